"""A thousand runs at once: within the budget of requests, and what happens to a run is on the Jobs page soon."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.platforms.base import DIRECT, MONITORED
from core.platforms.code_ocean.runner import CodeOceanRunner
from dashboard.context import Context
from dashboard.jobs_view import JobsView
from dashboard.page import TICK_MS
from jobs.monitor import Monitor
from jobs.records import JobState, RemoteIds, Step
from jobs.store import JobStore
from tests.code_ocean_jobs import settings_of
from tests.code_ocean_place import code_ocean, s3_server
from tests.fake_code_ocean_state import CONVERTER, MONITOR, FakeComputation, Outcome
from tests.fake_library import FakeLibrary
from tests.fake_runner import Clock
from tests.job_records import START, a_record

JOBS, POLL_S, BUDGET, PASS_S = 1000, 30.0, 2.0, 3.0
ENDING = 5


def add_run(fake, capsule, mounts, by="client"):
    """A run that goes on until it is told to end."""
    world = fake.world
    made = FakeComputation(
        world.new_id(),
        world.capsules[capsule],
        3,
        world.now(),
        world.new_run_name(),
        mounts,
        (),
        Outcome("hang"),
        by=by,
    )
    made.state, made.started = "running", world.now()
    world.computations[made.id] = made
    return made


def launch_all(fake, store, owner):
    """A thousand jobs whose runs go on, every other one under a monitor; job's id -> its conversion."""
    conversions = {}
    for number in range(JOBS):
        route = (DIRECT, MONITORED)[number % 2]
        mounts = ((f"manifest-{number}", "manifest"), (f"state-{number}", "state"))
        ours = add_run(fake, MONITOR if route == MONITORED else CONVERTER, mounts)
        child = add_run(fake, CONVERTER, mounts, ours.id) if route == MONITORED else ours
        record = a_record(
            f"mapping {number}",
            platform="Code Ocean",
            converter=CONVERTER,
            converter_version="3",
            route=route,
            state=JobState.RUNNING,
            step=Step.WATCH,
            owner=owner,
            started=START,
            ids=RemoteIds(manifest_asset=f"manifest-{number}", state_asset=f"state-{number}", run=ours.id),
        )
        conversions[store.add_job(record, inputs={}).job_id] = ours, child
    return conversions


@pytest.fixture
def _storage(monkeypatch):
    for name, value in s3_server().environment().items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("_storage")
def test_a_thousand_jobs_cost_two_requests_a_second_and_a_change_is_seen_within_two_looks(tmp_path, tell):
    clock = Clock()

    def sleep(seconds):
        clock.s += seconds

    with code_ocean(sample=False, clock=lambda: START.timestamp() + clock.s) as fake, JobStore(tmp_path / "q") as store:
        settings = settings_of(fake, code_ocean_requests_per_second=BUDGET, code_ocean_poll_seconds=POLL_S)
        runner = CodeOceanRunner.of(settings, now=lambda: clock.s, sleep=sleep)
        monitor = Monitor(store, runner, settings, poll_s=POLL_S, owner="w1", now=clock)
        runs = launch_all(fake, store, "w1")
        view = JobsView(Context(settings, FakeLibrary(), store), "ana", lambda: None)
        turns, ticks = [], []

        def work(until_s, stop=lambda: False):
            while clock.s < until_s and not stop():
                began_s = time.monotonic()
                monitor.run_pass()
                turns.append(time.monotonic() - began_s)
                end_s = clock.s + PASS_S
                while clock.s < end_s and not stop():
                    sleep(TICK_MS / 1000)
                    began_s = time.monotonic()
                    asyncio.run(view.tick())
                    ticks.append(time.monotonic() - began_s)

        work(1.2 * POLL_S)
        at_rest = fake.count()
        began_s = clock.s
        work(began_s + 60.0)
        a_minute = fake.count() - at_rest
        taken_s = clock.s - began_s

        # The newest, which the worker comes to last, and which are on the page's first list.
        ended_s, ending = clock.s, dict(list(runs.items())[-2 * ENDING :])
        assert all("running" in view.table.value.loc[job_id, "state"] for job_id in ending)
        for ours, child in ending.values():
            for run in {ours.id: ours, child.id: child}.values():
                run.state, run.end_status, run.exit_code, run.ended = "completed", "failed", 1, fake.world.now()
        seen_s, in_queue_s = {}, {}

        def all_seen():
            for job_id in ending:
                if store.get(job_id).step is not Step.WATCH:
                    in_queue_s.setdefault(job_id, clock.s - ended_s)
                if "running" not in view.table.value.loc[job_id, "state"]:
                    seen_s.setdefault(job_id, clock.s - ended_s)
            return len(seen_s) == len(ending)

        work(ended_s + 3 * POLL_S, all_seen)
        turn_ms, tick_ms = (sorted(one)[len(one) // 2] * 1000 for one in (turns, ticks))
        told = f"{JOBS} jobs of 2 capsules: {a_minute} requests in {taken_s:.0f} s, a pass takes "
        told += (
            f"{turn_ms:.0f} ms, a look of the page {tick_ms:.0f} ms; "
            f"changes in the queue after {max(in_queue_s.values(), default=0):.0f} s at most, on the Jobs page after "
            f"{[round(s) for s in sorted(seen_s.values())]} s"
        )
        tell(told)
        assert a_minute <= BUDGET * taken_s
        assert taken_s < 70.0, "the budget held the passes up"
        assert len(seen_s) == len(ending)
        assert max(seen_s.values()) <= 2 * POLL_S
