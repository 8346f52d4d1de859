"""What people do to jobs: each act is checked here, whatever a page showed, and kept with its name."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from core import models
from core.errors import InputError, NotAllowedError, StaleRecordError, StoreUnusableError
from core.manifest import read_csv
from core.models import Problem, Severity
from jobs.launches import kept_mapping, open_launch
from jobs.protocol import intend
from jobs.records import JobRecord, JobState, Phase, RemoteIds, Step
from jobs.second_tries import recount
from jobs.store import JobStore
from jobs.submission import Choice, archive, attach, cancel, extend, resolve, retry, submit
from tests.fake_runner import Clock
from tests.job_records import START, a_plan


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "data") as opened:
        yield opened


def launch(store: JobStore, digest: str = "d1", **values):
    plan = a_plan(digest)
    given = {"rows": plan.rows, "problems": (), "confirmed": (), "user": "ana", "now": START, **values}
    return submit(store, plan, **given)


def to(store: JobStore, job_id: str, state: JobState, **values) -> JobRecord:
    """Bring a job to a state by a path that is allowed."""
    record = store.get(job_id)
    if state not in (JobState.REFUSED, JobState.CANCELLED):
        record = store.put(record.changed(state=JobState.PREPARING, step=Step.MANIFEST_ASSET))
    return store.put(record.changed(state=state, **values))


def test_a_launch_keeps_all_that_it_was(store):
    confirm = Problem("S1", Severity.CONFIRM, "far apart", "look")
    hint = Problem("R1", Severity.INFO, "known", "")
    done = launch(store, problems=(confirm, hint), confirmed=("S1",))
    record, plan = store.get(done.job_id), a_plan()
    assert (done.duplicate_of, record.state, record.created_by, record.attempt) == (None, "queued", "ana", 1)
    assert [(c.rule, c.by, c.at) for c in record.confirmed] == [("S1", "ana", START)]
    assert [p.rule for p in record.problems] == ["S1", "R1"]
    assert [(r.track, r.stream) for r in record.rows] == [("track 0", "Probe0"), ("track 1", "Probe1")]
    assert [m.asset_id for m in record.mounts] == ["id-1", "id-2"]
    assert (record.digest, record.parameters, record.converter_version) == ("d1", {"slow": "1"}, "1")
    kept = open_launch(store, record)
    assert list(kept.state.files.values()) == [plan.state]
    (csv,) = kept.manifest.files.values()
    assert hashlib.sha256(csv).hexdigest() == record.manifest_sha256
    assert read_csv(csv).rows == kept.rows
    assert kept.run_request.token == record.token


def test_a_launch_keeps_its_mapping_and_the_version_and_a_retry_keeps_them_too(store):
    mapping = models.Mapping(
        "700001",
        (models.Assignment("a", "r", "s", "ProbeA", 2, note="bent"), models.Assignment("b", include=False, note="?")),
        (models.LeftOut("s/ProbeB", "no track", "ana"),),
        (models.LeftOut("CCF", "landmarks", "ana"),),
    )
    job_id = launch(store, mapping=mapping).job_id
    assert kept_mapping(store, job_id) == mapping
    assert store.get(job_id).trackmapper_version == importlib.metadata.version("trackmapper")
    to(store, job_id, JobState.FAILED, step=Step.DONE, error="no results", ended=START)
    assert kept_mapping(store, retry(store, job_id, "ben", START).id) == mapping
    assert kept_mapping(store, launch(store, "d2").job_id) is None


def test_placeholders_become_the_ids_that_the_job_made(store):
    record = store.get(launch(store).job_id)
    ids = RemoteIds(manifest_asset="M", state_asset="S", run="R")
    kept = open_launch(store, record)
    assert [m.asset_id for m in kept.run(ids).mounts] == ["id-1", "id-2", "M", "S"]
    capture = kept.capture(ids)
    assert (capture.run_id, tuple(capture.provenance_data_assets)) == ("R", ("id-1", "id-2", "M", "S"))


@pytest.mark.parametrize(
    ("problems", "confirmed", "rule"),
    [
        ((Problem("M3", Severity.ERROR, "bad", "cure"),), ("M3",), "M3"),
        ((Problem("S1", Severity.CONFIRM, "far", "look"),), (), "S1"),
        ((Problem("S1", Severity.CONFIRM, "far", "look"), Problem("N4", Severity.CONFIRM, "x", "y")), ("S1",), "N4"),
    ],
)
def test_errors_and_unconfirmed_problems_stop_a_launch_on_the_server(store, problems, confirmed, rule):
    with pytest.raises(NotAllowedError, match=rule):
        launch(store, problems=problems, confirmed=confirmed)
    assert store.newest(5) == ()


def test_nobody_cannot_launch_and_other_rows_cannot_be_slipped_in(store):
    with pytest.raises(NotAllowedError, match="nobody"):
        launch(store, user=" ")
    with pytest.raises(InputError, match="not those"):
        launch(store, rows=a_plan().rows[:1])


def test_the_same_mapping_pressed_twice_is_one_job(store):
    first = launch(store)
    second = launch(store, user="ben")
    assert (second.job_id, second.duplicate_of) == (first.job_id, first.job_id)
    assert len(store.newest(5)) == 1


def test_results_of_one_second_have_names_of_their_own(store):
    names = {open_launch(store, store.get(launch(store, f"d{i}").job_id)).capture_request.name for i in range(4)}
    assert len(names) == 4


@pytest.mark.parametrize(
    ("zone", "launched"),
    [
        ("America/Los_Angeles", "2026-03-01_01-00-00"),
        ("Asia/Tokyo", "2026-03-01_18-00-00"),
        ("UTC", "2026-03-01_09-00-00"),
    ],
)
def test_results_are_named_by_the_labs_time_wherever_the_server_is(store, monkeypatch, zone, launched):
    monkeypatch.setenv("TZ", "Australia/Sydney")
    time.tzset()
    try:
        job_id = launch(store, zone=ZoneInfo(zone)).job_id
        to(store, job_id, JobState.FAILED, step=Step.DONE, ended=START)
        again = retry(store, job_id, "ben", START + timedelta(minutes=1), zone=ZoneInfo(zone))
    finally:
        monkeypatch.undo()
        time.tzset()
    name, later = (open_launch(store, store.get(each)).capture_request.name for each in (job_id, again.id))
    assert name.endswith(f"_ibl-converted_{launched}")
    assert later.endswith(launched.replace("-00-00", "-01-00"))


def test_changed_inputs_are_refused_by_the_worker(store):
    record = store.get(launch(store).job_id)
    with pytest.raises(StoreUnusableError, match="not the one that was launched"):
        open_launch(store, record.changed(manifest_sha256="0" * 64))


# --- cancel -----------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once(store):
    job_id = launch(store).job_id
    record = cancel(store, job_id, "ben", START)
    assert (record.state, record.ended, record.cancel.by) == (JobState.CANCELLED, START, "ben")
    assert store.active() == ()
    assert launch(store).job_id != job_id
    with pytest.raises(NotAllowedError, match="cancelled"):
        cancel(store, job_id, "ben", START)


def test_a_job_in_doubt_is_flagged_and_still_settled(store):
    job_id = launch(store).job_id
    to(store, job_id, JobState.LAUNCHING, step=Step.RUN, phase=Phase.SETTLING)
    record = cancel(store, job_id, "ben", START)
    assert (record.state, record.step, record.phase) == (JobState.CANCELLING, Step.RUN, Phase.SETTLING)
    assert cancel(store, job_id, "ana", START) == record


def test_a_cancellation_survives_the_workers_writes(store, monkeypatch):
    job_id = launch(store).job_id
    to(store, job_id, JobState.PREPARING)
    put, seen = store.put, []

    def late_put(record):
        if not seen:
            seen.append(put(store.get(job_id).told(START, "the worker wrote")))
        return put(record)

    monkeypatch.setattr(store, "put", late_put)
    record = cancel(store, job_id, "ben", START)
    assert record.cancel.by == "ben"
    assert "the worker wrote" in [event.what for event in record.events]


# --- retry ------------------------------------------------------------------------------------


def test_a_refused_step_is_tried_again_in_the_same_job(store):
    job_id = launch(store).job_id
    to(store, job_id, JobState.FAILED, step=Step.RUN, error="no", ended=START)
    record = retry(store, job_id, "ben", START)
    assert (record.id, record.state, record.step, record.error) == (job_id, JobState.LAUNCHING, Step.RUN, "")
    assert [r.id for r in store.active()] == [job_id]
    assert launch(store).duplicate_of == job_id


def test_what_ran_is_tried_again_as_a_new_job(store):
    job_id = launch(store).job_id
    old = to(store, job_id, JobState.FAILED, step=Step.DONE, error="no results", ended=START)
    new = retry(store, job_id, "ben", START)
    assert (new.relaunch_of, new.attempt, new.created_by, new.state) == (job_id, 2, "ben", JobState.QUEUED)
    assert new.token != old.token
    assert store.get(job_id).superseded_by == new.id
    fresh, kept = open_launch(store, new), open_launch(store, old)
    assert fresh.run_request.token == new.token
    assert [row.histology_track_id for row in fresh.rows] == [row.histology_track_id for row in kept.rows]
    with pytest.raises(NotAllowedError, match=new.id):
        retry(store, job_id, "ana", START)


def test_what_has_succeeded_meanwhile_is_not_tried_again(store):
    first = launch(store).job_id
    to(store, first, JobState.FAILED, step=Step.DONE, error="no results", ended=START)
    second = launch(store).job_id
    for state in ("preparing", "launching", "running", "verifying", "capturing", "succeeded"):
        store.put(store.get(second).changed(state=JobState(state)))
    with pytest.raises(NotAllowedError, match=second):
        retry(store, first, "ben", START)
    assert len(store.newest(5)) == 2


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SUCCEEDED])
def test_only_an_end_without_success_is_tried_again(store, state):
    job_id = launch(store).job_id
    if state is JobState.SUCCEEDED:
        for between in ("preparing", "launching", "running", "verifying", "capturing"):
            store.put(store.get(job_id).changed(state=JobState(between)))
        store.put(store.get(job_id).changed(state=state, step=Step.DONE))
    with pytest.raises(NotAllowedError):
        retry(store, job_id, "ben", START)


def test_a_relaunch_after_success_is_asked_for(store):
    job_id = launch(store).job_id
    for state in ("preparing", "launching", "running", "verifying", "capturing", "succeeded"):
        store.put(store.get(job_id).changed(state=JobState(state)))
    assert launch(store).duplicate_of == job_id
    again = store.get(launch(store, relaunch=True).job_id)
    assert (again.relaunch_of, again.attempt) == (job_id, 2)


def test_an_incomplete_job_is_counted_again_in_place(store):
    job_id = launch(store).job_id
    for state in ("preparing", "launching", "running", "verifying", "capturing"):
        store.put(store.get(job_id).changed(state=JobState(state)))
    ids = RemoteIds(run="run-1", result="asset-1")
    store.put(
        store.get(job_id).changed(state=JobState.INCOMPLETE, step=Step.DONE, ended=START, ids=ids, error="1 of 2")
    )
    record = recount(store, job_id, "ben", START)
    assert (record.state, record.step, record.ended, record.error) == (JobState.CAPTURING, Step.COUNT, None, "")
    assert (record.ids, record.events[-1].by, record.events[-1].at) == (ids, "ben", START)
    assert [r.id for r in store.active()] == [job_id]
    assert launch(store).duplicate_of == job_id, "while it is counted, its mapping is not launched anew"
    with pytest.raises(NotAllowedError, match="capturing"):
        recount(store, job_id, "ben", START)


def test_what_another_job_has_taken_over_is_not_counted_again(store):
    job_id = launch(store).job_id
    to(store, job_id, JobState.FAILED, step=Step.DONE, ended=START)
    with pytest.raises(NotAllowedError, match="failed, and kept no result"):
        recount(store, job_id, "ben", START)
    new = retry(store, job_id, "ben", START)
    with pytest.raises(NotAllowedError, match=new.id):
        recount(store, job_id, "ben", START)


# --- decide, put away -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "state", "phase"),
    [
        (Choice.LOOK_AGAIN, JobState.LAUNCHING, Phase.SETTLING),
        (Choice.START_AGAIN, JobState.LAUNCHING, Phase.READY),
        (Choice.GIVE_UP, JobState.CANCELLING, Phase.SETTLING),
    ],
)
def test_a_person_decides_and_is_named(store, choice, state, phase):
    job_id = launch(store).job_id
    to(store, job_id, JobState.NEEDS_YOU, step=Step.RUN, phase=Phase.SETTLING, clean_looks=9, error="?")
    record = resolve(store, job_id, choice, "ben", START)
    assert (record.state, record.phase) == (state, phase)
    assert (record.events[-1].what, record.events[-1].by) == ("decided", "ben")
    with pytest.raises(NotAllowedError):
        resolve(store, job_id, choice, "ben", START)


def test_a_person_names_the_run_that_was_never_found(store):
    job_id = launch(store).job_id
    with pytest.raises(NotAllowedError, match="asks for no run"):
        attach(store, job_id, "run-1", "ben", START)
    to(store, job_id, JobState.NEEDS_YOU, step=Step.RUN, phase=Phase.SETTLING, clean_looks=9, error="?")
    for wrong in ("", " ", "../x", "a b", "x" * 101, "\u0661"):
        with pytest.raises(InputError, match="no run's id"):
            attach(store, job_id, wrong, "ben", START)
    record = attach(store, job_id, " run-1 ", "ben", START)
    assert (record.state, record.phase, record.proposed_run) == (JobState.LAUNCHING, Phase.SETTLING, "run-1")
    assert (record.events[-1].what, record.events[-1].detail, record.events[-1].by) == (
        "a run was named",
        "run-1",
        "ben",
    )
    # Whoever cancels it wants what there is to be found and stopped, not judged.
    assert cancel(store, job_id, "ana", START).proposed_run == ""


def test_a_lost_capture_asks_for_no_run(store):
    job_id = launch(store).job_id
    to(store, job_id, JobState.NEEDS_YOU, step=Step.CAPTURE, phase=Phase.SETTLING, error="?")
    with pytest.raises(NotAllowedError):
        attach(store, job_id, "run-1", "ben", START)


def test_a_run_gets_more_time_from_a_named_person(store):
    job_id = launch(store).job_id
    with pytest.raises(NotAllowedError, match="queued"):
        extend(store, job_id, 1.0, "ben", START)
    record = to(store, job_id, JobState.LAUNCHING)
    store.put(record.changed(state=JobState.RUNNING, step=Step.WATCH, overdue=True, deadline=START))
    for hours in (0.0, -1.0, float("nan"), float("inf"), 1e4):
        with pytest.raises(InputError, match="hours"):
            extend(store, job_id, hours, "ben", START)
    record = extend(store, job_id, 1.5, "ben", START)
    assert (record.deadline, record.overdue) == (START + timedelta(hours=1.5), False)
    assert (record.events[-1].what, record.events[-1].by) == ("deadline moved", "ben")


def test_only_ended_jobs_are_put_away(store):
    job_id = launch(store).job_id
    with pytest.raises(NotAllowedError):
        archive(store, job_id, "ana", START)
    cancel(store, job_id, "ana", START)
    assert archive(store, job_id, "ana", START).archived
    assert [r.id for r in store.newest(5, archived=True)] == [job_id]
    assert not archive(store, job_id, "ana", START, archived=False).archived


def test_an_intent_that_is_overtaken_is_not_written(store):
    record = store.get(launch(store).job_id)
    cancel(store, record.id, "ana", START)
    with pytest.raises(StaleRecordError):
        store.put(intend(record, Clock()()))
