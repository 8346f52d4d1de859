"""Quotas: refused in the turn of the launch, with words that say when it will be possible."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import NotAllowedError
from core.settings import Settings
from jobs.quotas import Quotas
from jobs.records import JobState, Step
from jobs.store import JobStore
from jobs.submission import cancel, retry, submit
from tests.job_records import START, a_plan, a_record


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "data") as opened:
        yield opened


def launch(store: JobStore, digest: str, minutes: float = 0.0, user: str = "ana", **quotas: int) -> str:
    plan, now = a_plan(digest), START + timedelta(minutes=minutes)
    given = {"rows": plan.rows, "problems": (), "confirmed": (), "user": user, "now": now}
    return submit(store, plan, **given, quotas=Quotas(**quotas)).job_id


def test_the_settings_name_the_quotas():
    assert Quotas.of(Settings(jobs_per_user_day=3, jobs_active=5, jobs_per_hour=7)) == Quotas(3, 5, 7)
    assert Quotas.of(Settings()) == Quotas(0, 0, 0)


def test_no_more_jobs_are_under_way_at_once_than_may_be(store):
    first = launch(store, "d1", active=2)
    launch(store, "d2", active=2)
    with pytest.raises(NotAllowedError, match=r"2 jobs are under way.*when one of them has ended"):
        launch(store, "d3", active=2)
    assert len(store.newest(9)) == 2
    cancel(store, first, "ana", START)
    launch(store, "d3", active=2)


def test_the_same_mapping_shows_its_job_though_the_quota_is_used_up(store):
    first = launch(store, "d1", active=1)
    assert launch(store, "d1", active=1) == first


def test_an_hour_holds_so_many_launches_of_everybody(store):
    for minutes, user in ((0, "ana"), (20, "ben"), (50, "eve")):
        launch(store, f"d{minutes}", minutes, user)
    with pytest.raises(NotAllowedError, match=r"everybody.*2 jobs in an hour.*after 2026-03-01 10:20:00Z"):
        launch(store, "d", 59, hour=2)
    with pytest.raises(NotAllowedError, match=r"after 2026-03-01 10:20:00Z"):
        launch(store, "d", 79.9, hour=2)
    launch(store, "d", 80, hour=2)


def test_a_day_holds_so_many_launches_of_one_person(store):
    for number in range(600):
        store.add_job(a_record(f"d{number}", created_by="ben"), inputs={})
    launch(store, "mine", 60, user_day=1)
    with pytest.raises(NotAllowedError, match=r"ana may launch no more than 1.*after 2026-03-02 10:00:00Z"):
        launch(store, "more", 120, user_day=1)
    launch(store, "theirs", 120, user="eve", user_day=1)
    launch(store, "more", 60 + 24 * 60, user_day=1)


def test_a_retry_as_a_new_job_is_a_launch_and_one_of_the_same_job_is_none(store):
    job_id = launch(store, "d1")
    preparing = store.put(store.get(job_id).changed(state=JobState.PREPARING, step=Step.MANIFEST_ASSET))
    failed = store.put(preparing.changed(state=JobState.FAILED, ended=START))
    again = retry(store, job_id, "ana", START, Quotas(user_day=1))
    assert again.id == failed.id
    store.put(again.changed(state=JobState.FAILED, step=Step.DONE, ended=START))
    with pytest.raises(NotAllowedError, match="no more than 1"):
        retry(store, job_id, "ana", START, Quotas(user_day=1))


def test_a_run_that_is_started_again_needs_a_place_too(store):
    job_id = launch(store, "d1")
    preparing = store.put(store.get(job_id).changed(state=JobState.PREPARING, step=Step.RUN))
    store.put(preparing.changed(state=JobState.FAILED, ended=START))
    launch(store, "d2")
    with pytest.raises(NotAllowedError, match="1 jobs are under way"):
        retry(store, job_id, "ana", START, Quotas(active=1))
    assert store.get(job_id).state is JobState.FAILED
    assert retry(store, job_id, "ana", START, Quotas(active=2)).state is JobState.LAUNCHING
