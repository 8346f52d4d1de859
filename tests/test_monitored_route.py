"""The route through a monitor: its conversion is followed, whoever dies, and the result is kept once."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.platforms.base import MONITORED, RunState, RunStatus, SettlePolicy
from jobs import submission
from jobs.call_answers import Followed, Results, Seen
from jobs.protocol import TWINS, Kind, Policy, next_call, settle_window_s, step
from jobs.records import JobState, Phase, RemoteIds, RemoteRun, Step
from tests.fake_runner import Clock, CrashError
from tests.job_records import START, a_record
from tests.trial import Trial

POLICY = Policy(SettlePolicy(60.0, 120.0, 3))
GOING, WELL = RunState.RUNNING, RunState.FINISHED


def monitored(**values) -> Trial:
    return Trial(route=MONITORED, **values)


def captures(trial: Trial) -> list[str]:
    return [thing.id for thing in trial.runner.things if thing.id.startswith("capture-")]


def events(trial: Trial) -> list[str]:
    return [event.what for event in trial.job.events]


def test_the_monitor_keeps_the_result_and_the_job_counts_it():
    trial = monitored(log=b"the log of ")
    trial.run()
    job = trial.job
    assert (job.state, job.remote.child) == (JobState.SUCCEEDED, "child-run-2-0")
    assert captures(trial) == ["capture-of-run-2"] == [job.ids.result]
    assert trial.runner.shared == {"capture-of-run-2"}
    assert trial.runner.names == {
        "run-2": f"job 1 700001 {job.token}",
        "child-run-2-0": f"job 1 700001 {job.token} conversion",
    }
    assert trial.store.logs[job.log_sha256].split(b"\n") == [
        b"--- log of the monitor's run run-2 ---",
        b"the log of run-2",
        b"--- log of the conversion child-run-2-0 ---",
        b"the log of child-run-2-0",
    ]


@pytest.mark.parametrize("dies_s", [4.0, 8.0, 14.0])
def test_a_monitor_that_dies_leaves_the_conversion_and_we_keep_its_result(dies_s):
    trial = monitored(dies_s=dies_s)
    trial.tick_s = 1.0
    trial.run()
    assert trial.job.state is JobState.SUCCEEDED
    assert captures(trial) == [trial.job.ids.result]
    assert trial.job.ids.result != "capture-of-run-2"
    assert trial.doubled() == []


def test_a_monitor_that_keeps_nothing_is_done_without():
    trial = monitored(keeps_s=None)
    trial.run()
    assert trial.job.state is JobState.SUCCEEDED
    assert captures(trial) == [trial.job.ids.result]
    assert "settled" in events(trial)


def test_a_monitor_that_starts_nothing_fails_its_job_after_the_window_and_says_where_to_look():
    trial = monitored(child_s=inf, log=b"bad settings: ")
    trial.run()
    assert (trial.job.state, trial.job.step) == (JobState.FAILED, Step.DONE)
    assert "exit code 1" in trial.job.error
    assert "log of the monitor's run" in trial.job.error
    assert "alarm: a run turned up" not in events(trial), "it was known, and seen to end"
    assert trial.clock.s > 120.0
    assert trial.store.logs[trial.job.log_sha256] == b"bad settings: run-2"
    assert captures(trial) == []


def test_a_conversion_that_shows_late_is_found_though_its_monitor_is_dead():
    trial = monitored(dies_s=4.0, child_lag_s=60.0)
    trial.run()
    assert (trial.job.state, trial.job.remote.child) == (JobState.SUCCEEDED, "child-run-2-0")


def test_more_than_one_conversion_of_a_monitor_is_an_alarm():
    trial = monitored(children=2)
    trial.run()
    assert trial.job.state is JobState.SUCCEEDED
    assert trial.job.surplus == ("child-run-2-1",)
    assert events(trial).count(TWINS) == 1


def test_the_conversions_outcome_counts_not_the_monitors():
    trial = monitored(end=(RunState.FAILED, 137))
    trial.run()
    assert trial.job.state is JobState.INCOMPLETE
    assert "exit code 137" in trial.job.error


@pytest.mark.parametrize("cancelled_at_s", [1.0, 3.0, 4.0, 9.0, 15.0])
def test_a_cancelled_job_stops_the_monitor_first_and_then_every_conversion(cancelled_at_s):
    trial = monitored(children=2, child_lag_s=2.0, run_s=100.0)
    trial.tick_s = 1.0
    cancel_at(trial, cancelled_at_s)
    trial.run()
    assert trial.job.state is JobState.CANCELLED
    let_late_things_turn_up(trial)
    going = [
        t.id for t in trial.runner.things if t.id.startswith(("run-", "child-")) and t.id not in trial.runner.stopped
    ]
    assert going == []
    stopped = list(trial.runner.stopped_s)
    assert stopped[0] == "run-2"


def cancel_at(trial: Trial, s: float) -> None:
    real = trial.store.active

    def active():
        record = trial.job
        if trial.clock.s >= s and record.cancel is None and not record.has_ended:
            submission.cancel(trial.store, record.id, "ben", START)
        return real()

    trial.store.active = active


def let_late_things_turn_up(trial: Trial) -> None:
    worker, end_s = trial.start(), trial.clock.s + 300.0
    while trial.clock.s < end_s:
        try:
            worker.run_pass()
        except CrashError:
            worker = trial.start()
        trial.clock.s += 5.0
    assert [checkup for checkup in trial.store.checkups() if not checkup.in_doubt] == []


@settings(max_examples=60, deadline=None)
@given(
    child_s=st.sampled_from([0.0, 3.0, 20.0, inf]),
    child_lag_s=st.sampled_from([0.0, 30.0, 100.0]),
    lag_s=st.sampled_from([0.0, 20.0, 50.0]),
    children=st.integers(1, 2),
    dies_s=st.sampled_from([1.0, 5.0, 12.0, 16.0, 25.0, inf]),
    keeps_s=st.sampled_from([None, 0.0, 2.0, 15.0]),
    run_s=st.sampled_from([0.0, 10.0]),
    outcome=st.sampled_from(["made", "lost", "late", "never", "throttled", "throttled_made"]),
    crashes=st.sets(st.integers(0, 60), max_size=3),
    cancelled_at_s=st.none() | st.sampled_from([2.0, 15.0, 40.0, 90.0]),
)
def test_in_no_order_of_things_is_a_result_kept_twice_or_a_run_started_twice(
    outcome, crashes, cancelled_at_s, **runner
):
    spoiled = {"run": outcome, "capture": outcome}
    trial = monitored(outcome=lambda kind: spoiled.pop(kind, "made"), late_s=15.0, **runner)
    count = iter(range(10_000))

    def spoil(_: str) -> None:
        if next(count) in crashes:
            raise CrashError

    trial.store.spoil = spoil
    if cancelled_at_s is not None:
        cancel_at(trial, cancelled_at_s)
    trial.run()
    job = trial.job
    let_late_things_turn_up(trial)
    assert trial.runner.count("run", job.token) <= 1
    assert len(captures(trial)) <= 1
    if job.state is JobState.SUCCEEDED:
        assert captures(trial) == [job.ids.result]
    elif cancelled_at_s is None:
        assert child_or_start_was_lost(trial, runner), (job.state, job.error)
    known = {trial.job.remote.child, *trial.job.surplus}
    assert {t.id for t in trial.runner.things if t.id.startswith("child-")} <= known


def child_or_start_was_lost(trial: Trial, runner: dict) -> bool:
    """Whether there is nothing that could have been converted, or a person is asked."""
    nothing_ran = not any(thing.id.startswith("child-") for thing in trial.runner.things)
    return nothing_ran or runner["child_lag_s"] >= 100.0 or trial.job.state is JobState.NEEDS_YOU


# --- the pure step ----------------------------------------------------------------------------


def watching(**remote):
    return a_record(
        state=JobState.RUNNING,
        step=Step.WATCH,
        route=MONITORED,
        ids=RemoteIds(run="m"),
        started=START,
        remote=RemoteRun(state="running", **remote),
    )


@pytest.mark.parametrize(
    ("monitor", "child", "step_after", "words"),
    [
        (GOING, None, Step.WATCH, "not started"),
        (GOING, GOING, Step.WATCH, "conversion is running"),
        (GOING, WELL, Step.WATCH, "the monitor goes on"),
        (WELL, GOING, Step.WATCH, "the conversion goes on"),
        (RunState.GONE, GOING, Step.WATCH, "the conversion goes on"),
        (RunState.FAILED, WELL, Step.VERIFY, ""),
        (WELL, RunState.FAILED, Step.VERIFY, ""),
        (RunState.GONE, RunState.GONE, Step.VERIFY, ""),
    ],
)
def test_the_job_waits_for_the_monitor_and_for_the_conversion(monitor, child, step_after, words):
    seen = None if child is None else RunStatus("c", child)
    after = step(watching(), Followed(RunStatus("m", monitor), ("c",) if child else (), seen), Clock(5.0)(), POLICY)
    assert after.step is step_after
    assert words in after.remote.detail
    if step_after is Step.VERIFY:
        assert (after.remote.state, after.conversion_run) == (child, "c")


def test_before_we_keep_a_result_the_monitors_is_looked_for_over_the_whole_window():
    record = watching(child="c").changed(state=JobState.VERIFYING, step=Step.VERIFY)
    now = Clock(1000.0)()
    record = step(record, Results(exist=True), now, POLICY)
    assert (record.step, record.phase, record.intent) == (Step.CAPTURE, Phase.SETTLING, now)
    for s in range(1000, 1200, 5):
        if record.phase is Phase.SETTLING:
            assert next_call(record.changed(due=None), Clock(float(s))()) is Kind.LOOK
            record, looked_s = step(record, Seen(()), Clock(float(s))(), POLICY), s - 1000
    assert record.phase is Phase.READY
    assert looked_s == settle_window_s(Step.CAPTURE, POLICY.settle)


def test_a_look_that_came_back_without_the_conversion_is_not_the_end_of_it():
    """The window begins when the monitor was first seen to have ended, and a conversion that shows takes it back."""
    dead, record = RunStatus("m", RunState.FAILED, 1), watching()
    for s in (10.0, 70.0, 129.0):
        record = step(record, Followed(dead), Clock(s)(), POLICY)
        assert (record.step, record.remote.since) == (Step.WATCH, Clock(10.0)())
    found = step(record, Followed(dead, ("c",), RunStatus("c", GOING)), Clock(129.5)(), POLICY)
    assert (found.remote.child, found.remote.since, found.clean_looks) == ("c", None, 0)
    lost = step(record, Followed(dead), Clock(131.0)(), POLICY)
    assert (lost.state, lost.step) == (JobState.FAILED, Step.DONE)
