"""Calls that compare what was checked with where and with what it is run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from core.errors import AccessError, NotFoundError, RefusedError, UnavailableError
from core.models import ImageFrame
from core.platforms.base import MONITORED, RunKey, RunState, RunStatus
from jobs.call_answers import Accepted, Counted, Looked, NotReached, Pending, Ready, Refused, Results, Seen, Stopped
from jobs.calls import perform
from jobs.launches import Launch, launch_to_json, open_launch, plan_from_json, plan_to_json
from jobs.protocol import Kind
from jobs.records import Cancellation, RemoteIds, Step
from tests.fake_runner import Clock, FakeRunner, Thing, a_launch
from tests.job_records import START, a_plan, a_record
from tests.memory_store import MemoryStore

# The fake brain's picks are its z, y, x as x, y, z.
FRAME = ImageFrame((1.0, 1.0, 1.0), ("S", "A", "R"), (9, 9, 9), 1)


def run_to_the_end(runner, record, launch):
    ids = {"manifest_asset": runner.create_input_asset(launch.manifest_asset()).id}
    ids["state_asset"] = runner.create_input_asset(launch.state_asset()).id
    ids["run"] = runner.start_run(launch.run(RemoteIds(**ids)))
    ids["result"] = runner.capture(launch.capture(RemoteIds(**ids))).id
    return record.changed(ids=RemoteIds(**ids), step=Step.COUNT)


@pytest.mark.parametrize(
    ("checked_on", "answer"), [("", Accepted), ("the fake", Accepted), ("another library", Refused)]
)
def test_a_mapping_is_run_where_it_was_checked(checked_on, answer):
    launch = replace(a_launch("t"), platform_id=checked_on)
    told = perform(Kind.CLAIM, a_record(token="t"), FakeRunner(Clock()), lambda _: launch)
    assert isinstance(told, answer)


@pytest.mark.parametrize(("scale", "delivered"), [(1.0, 2), (2.0, 0)])
def test_a_result_is_held_against_the_geometry_that_was_checked(scale, delivered):
    runner = FakeRunner(Clock())
    launch = replace(a_launch("t"), frame=replace(FRAME, scale_level0_um_xyz=(scale, scale, scale)))
    record = run_to_the_end(runner, a_record(token="t"), launch)
    told = perform(Kind.COUNT, record, runner, lambda _: launch)
    assert isinstance(told, Counted)
    assert (told.coverage.asked, told.coverage.delivered) == (2, delivered)


@pytest.mark.parametrize(("kind", "answer"), [(Kind.STOP, Stopped()), (Kind.LOOK, Seen(()))])
def test_a_run_that_may_still_come_is_ruled_out_when_its_job_is_cancelled(kind, answer):
    runner = FakeRunner(Clock(), outcome=lambda _: "late", late_s=60.0)
    record = a_record(token="t", step=Step.RUN, cancel=Cancellation(by="ana", at=START))
    with pytest.raises(ConnectionResetError):
        runner.start_run(a_launch("t").run(RemoteIds(manifest_asset="m", state_asset="s")))
    assert perform(kind, record, runner, lambda _: a_launch("t")) == answer
    runner.clock.s = 1000.0
    assert runner.find_runs(RunKey("t")) == ()
    assert runner.count("run", "t") == 0


def test_looking_for_a_run_that_is_still_wanted_rules_nothing_out():
    runner = FakeRunner(Clock())
    perform(Kind.LOOK, a_record(token="t", step=Step.RUN), runner, lambda _: a_launch("t"))
    assert runner.forbidden == set()


def test_library_and_geometry_are_kept_with_the_plan_and_may_be_lacking_in_an_older_one():
    plan = replace(a_plan(), platform_id="a library", frame=FRAME)
    store = MemoryStore()
    launch = a_launch("t")
    store.add(a_record(token="t", id="1"), launch)
    value, blobs = launch_to_json(launch)
    older = json.loads(json.dumps(plan_to_json(plan)))
    del older["platform_id"], older["frame"]
    for kept, expected in (
        (plan_to_json(plan), ("a library", FRAME)),
        (older, ("", None)),
        (None, ("", None)),
    ):
        inputs = json.loads(json.dumps({**value, **({"plan": kept} if kept else {})}))
        store.launches["1"] = (inputs, {**store.launches["1"][1], plan.state_sha256: plan.state})
        opened: Launch = open_launch(store, store.get("1"))
        assert (opened.platform_id, opened.frame) == expected
        if kept:
            read = plan_from_json(store, inputs["plan"])
            assert (read.platform_id, read.frame) == expected
    assert asdict(plan_from_json(store, json.loads(json.dumps(plan_to_json(plan))))) == asdict(plan)
    assert blobs


# --- the run's name, sharing, belonging ---------------------------------------------------------


def refuse(error: Exception):
    def call(*_: object) -> None:
        raise error

    return call


@pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("away"), ZeroDivisionError("a fault")])
def test_a_name_that_cannot_be_given_changes_nothing(error):
    runner = FakeRunner(Clock())
    run_id = runner.start_run(a_launch("t").run(RemoteIds(manifest_asset="m", state_asset="s")))
    record = a_record(token="t", id="000000000012", step=Step.WATCH, ids=RemoteIds(run=run_id))
    status = RunStatus(run_id, RunState.RUNNING)
    assert perform(Kind.WATCH, record, runner, lambda _: a_launch("t")) == Looked(status, (run_id,))
    assert runner.names == {run_id: "job 12 700001 t"}
    runner.name_run = refuse(error)
    assert perform(Kind.WATCH, record, runner, lambda _: a_launch("t")) == Looked(status, (), name_failed=True)


@pytest.mark.parametrize(
    ("known", "named"), [({"named": ("run-0",)}, 0), ({"name_tries": 20}, 0), ({"name_tries": 19}, 1)]
)
def test_a_run_is_named_once_and_tried_often_not_for_ever(known, named):
    runner = FakeRunner(Clock())
    run_id = runner.start_run(a_launch("t").run(RemoteIds(manifest_asset="m", state_asset="s")))
    assert run_id == "run-0"
    record = a_record(token="t", id="000000000012", step=Step.WATCH, ids=RemoteIds(run=run_id), **known)
    perform(Kind.WATCH, record, runner, lambda _: a_launch("t"))
    assert len(runner.names) == named


@pytest.mark.parametrize(
    ("error", "tries", "answer"),
    [
        (RefusedError("only owners share"), 0, Ready("only owners share")),
        (AccessError("no right to share"), 0, Ready("no right to share")),
        (ZeroDivisionError("a fault"), 0, Ready("ZeroDivisionError: a fault")),
        (UnavailableError("away"), 0, NotReached("away", is_outage=True)),
        (UnavailableError("away"), 5, Ready("away")),
    ],
)
def test_a_result_that_cannot_be_shared_is_counted_all_the_same(error, tries, answer):
    runner, launch = FakeRunner(Clock()), a_launch("t")
    record = run_to_the_end(runner, a_record(token="t"), launch).changed(step=Step.CAPTURE_READY, tries=tries)
    runner.sharing = refuse(error)
    assert perform(Kind.RESULT, record, runner, lambda _: launch) == answer


def test_a_result_that_is_not_ready_is_not_shared():
    runner, launch = FakeRunner(Clock()), a_launch("t")
    record = run_to_the_end(runner, a_record(token="t"), launch)
    runner.asset_state = "draft"
    assert perform(Kind.RESULT, record, runner, lambda _: launch) == Pending(Step.CAPTURE, record.ids.result)
    assert runner.shared == set()


def test_a_result_that_was_kept_before_its_conversion_was_deleted_is_not_lost():
    runner, launch = FakeRunner(Clock()), a_launch("t", route=MONITORED)
    runner.list_results = refuse(NotFoundError("no such run"))
    record = a_record(token="t", step=Step.VERIFY, route=MONITORED, ids=RemoteIds(run="run-0"), named=("run-0",))
    assert perform(Kind.VERIFY, record, runner, lambda _: launch) == Results(exist=False)
    runner.things.append(Thing("capture-1", "t", launch.capture_request.name, 0.0, 0.0))
    assert perform(Kind.VERIFY, record, runner, lambda _: launch) == Results(exist=True)
