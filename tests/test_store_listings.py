"""What the store tells of superseded jobs, kept logs and looks that are still to be made."""

from __future__ import annotations

import hashlib

import pytest

from core.errors import StoreUnusableError
from jobs.checkups import Checkup
from jobs.protocol import TWINS, intend
from jobs.records import JobState, RemoteIds, Step
from jobs.store import JobStore
from tests.fake_runner import Clock
from tests.job_records import START, a_record


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "data") as opened:
        yield opened


def added(store: JobStore, digest: str = "d1", **values):
    return store.get(store.add_job(a_record(digest, **values), inputs={}).job_id)


def test_superseded_jobs_of_an_older_queue_are_counted_once_at_its_opening(tmp_path):
    with JobStore(tmp_path / "data") as store:
        for number in range(3):
            added(store, f"d{number}", state=JobState.FAILED, superseded_by="9" if number else None)
        with store._db.write() as turn:
            turn.delete("meta/superseded")
    for _ in range(2):
        with JobStore(tmp_path / "data") as store:
            assert store.counts()[JobState.FAILED] == 3
            assert store.counts(superseded=False)[JobState.FAILED] == 1


def test_a_superseded_job_that_lives_again_counts_again(store):
    record = added(store, state=JobState.FAILED, step=Step.RUN)
    record = store.put(record.changed(superseded_by="000000000009"))
    assert store.counts(superseded=False)[JobState.FAILED] == 0
    store.put(record.changed(superseded_by=None))
    assert store.counts(superseded=False)[JobState.FAILED] == 1
    assert [job.id for job in store.newest(5, superseded=False)] == [record.id]
    assert store.newest(5, superseded=True) == ()


def test_a_log_is_kept_with_its_record_or_not_at_all(store):
    record = added(store)
    assert store.kept_log(record) == b""
    log = b"bytes \xff of a run"
    kept = store.put(record.changed(log_sha256=hashlib.sha256(log).hexdigest()), blobs=(log,))
    assert store.kept_log(store.get(kept.id)) == log
    with pytest.raises(StoreUnusableError):
        store.kept_log(kept.changed(log_sha256="0" * 64))


def test_what_is_still_to_be_looked_at_is_kept_with_the_record_that_makes_it_necessary(store):
    record = added(store, state=JobState.LAUNCHING, step=Step.RUN)
    assert store.checkups() == ()
    sent = store.put(intend(record, Clock(5.0)()))
    [checkup] = store.checkups()
    assert checkup == Checkup(job_id=record.id, intent=Clock(5.0)().at)
    ended = store.put(sent.changed(state=JobState.FAILED, ids=RemoteIds(run="r"), ended=START))
    [later] = store.checkups()
    assert later == checkup.model_copy(update={"soon": True})
    # A look that was begun before something new became necessary does not end that.
    store.end_checkup(checkup, None)
    assert store.checkups() == (later,)
    store.end_checkup(later, None)
    assert store.checkups() == ()
    store.put(ended.told(START, TWINS, "run: x"))
    assert store.checkups() == (Checkup(job_id=record.id, soon=True),)


def test_a_job_that_never_ran_is_not_looked_at_again(store):
    record = added(store)
    store.put(record.changed(state=JobState.REFUSED, step=Step.DONE, ended=START))
    assert store.checkups() == ()


def test_a_row_that_is_no_checkup_hides_no_other(store):
    record = added(store, state=JobState.LAUNCHING, step=Step.RUN)
    store.put(intend(record, Clock()()))
    with store._db.write() as turn:
        turn.set("checkup/000000000000", {"job_id": 3})
    assert [checkup.job_id for checkup in store.checkups()] == [record.id]
    assert "checkup/000000000000" in store.bad_rows
