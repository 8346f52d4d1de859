"""The Jobs page: newest first, filtered, with everything kept of a job, without a browser."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from fake_library import FakeLibrary
from job_records import START, a_record

from core.settings import Settings
from dashboard import job_detail
from dashboard.context import Context
from dashboard.job_detail import Seen
from dashboard.job_links import Links
from dashboard.job_words import STATE_WORDS, state_line
from dashboard.jobs_list import FILTERS, PAGE_SIZE, Wanted, list_jobs
from dashboard.jobs_view import JobsView
from jobs.protocol import TWINS
from jobs.records import Confirmation, CountedCoverage, CountedRow, JobState, RemoteIds, Step
from jobs.store import JobStore


class Place(FakeLibrary):
    """A platform with pages and logs."""

    name = "Code Ocean"
    launch_refusal = ""

    def __init__(self) -> None:
        super().__init__()
        self.logs_read: list[str] = []

    def read_log(self, run_id: str, limit: int) -> bytes:
        self.logs_read.append(run_id)
        return f"log of {run_id}\n<b>not bold</b>".encode()

    def web_link(self, kind: str, ident: str, capsule: str = "") -> str:
        return f"{SITE}/{kind}/{capsule}/{ident}"


@pytest.fixture
def shared(tmp_path):
    chosen = Settings(platform="code_ocean", data=tmp_path / "data", code_ocean_domain=SITE, user="ana")
    with JobStore(chosen.data) as store:
        yield Context(chosen, Place(), store)


SITE = "https://codeocean.example.org"


def seen(shared, now=START) -> Seen:
    return Seen(Links(shared.reader, shared.settings), None, now, None)


def add(shared, digest: str, **values) -> str:
    return shared.store.add_job(a_record(digest, **values), inputs={}).job_id


def load(view: JobsView) -> JobsView:
    asyncio.run(view.load())
    return view


def coverage(delivered: int) -> CountedCoverage:
    rows = tuple(
        CountedRow(
            track=track, recording="r", stream="P", shank=number,
            status="delivered" if number < delivered else "missing",
            why="" if number < delivered else "no file <img src=x>",
        )
        for number, track in enumerate("ab")
    )  # fmt: skip
    return CountedCoverage(asked=2, delivered=delivered, rows=rows)


def test_newest_first_and_every_filter_shows_its_states(shared):
    ids = {state: add(shared, state.value, state=state) for state in JobState}
    newest_first = sorted(ids.values(), reverse=True)
    assert [job.id for job in list_jobs(shared.store, Wanted("all"), None)] == newest_first
    for key, (_, states) in FILTERS.items():
        if states:
            assert {job.state for job in list_jobs(shared.store, Wanted(key), None)} == set(states)
    covered = set().union(*(states for _, states in FILTERS.values()))
    assert covered == set(JobState), "no job is in none of the lists"


def test_subject_and_person_filter_exactly(shared):
    add(shared, "1", subject="700001", created_by="ana")
    add(shared, "2", subject="70000", created_by="ben")
    assert [job.subject for job in list_jobs(shared.store, Wanted(subject="70000"), None)] == ["70000"]
    assert [job.created_by for job in list_jobs(shared.store, Wanted(show="active", who="ana"), None)] == ["ana"]


def test_pages_of_the_history_follow_each_other(shared):
    ids = [add(shared, str(i)) for i in range(PAGE_SIZE + 3)]
    view = load(JobsView(shared, "ana", lambda: None))
    assert list(view.table.value.index) == ids[:2:-1]
    assert not view.older.disabled
    asyncio.run(view._go_older(None))
    assert list(view.table.value.index) == ids[2::-1]
    assert view.older.disabled
    asyncio.run(view._go_newer(None))
    assert list(view.table.value.index) == ids[:2:-1]


def test_the_selected_job_stays_selected_when_others_come_and_change(shared):
    first, second = add(shared, "1"), add(shared, "2")
    view = load(JobsView(shared, "ana", lambda: None))
    asyncio.run(view.choose(first))
    assert view.table.selection == [1]
    add(shared, "3")
    job = shared.store.get(second)
    shared.store.put(job.changed(state=JobState.PREPARING, step=Step.MANIFEST_ASSET))
    asyncio.run(view.tick())
    assert view.chosen == first
    assert view.table.selection == [2]
    assert "preparing" in view.table.value["state"].loc[second]


def test_a_tick_without_change_reads_no_job(shared, monkeypatch):
    add(shared, "1")
    view = load(JobsView(shared, "ana", lambda: None))
    asyncio.run(view.tick())
    monkeypatch.setattr(shared.store, "newest", lambda *_, **__: pytest.fail("read again though nothing changed"))
    asyncio.run(view.tick())


def test_detail_tells_all_and_data_is_text(shared):
    kept = a_record(
        "1",
        state=JobState.INCOMPLETE,
        coverage=coverage(1),
        ended=START + timedelta(hours=1),
        error="1 of 2 <script>",
        platform="Code Ocean",
        ids=RemoteIds(run="run-7", result="asset-9"),
        confirmed=(Confirmation(rule="S1", message="a stream has no track", by="ana", at=START),),
    ).told(START, "queued", "<img src=x onerror=1>", by="ana")
    job_id = shared.store.add_job(kept, inputs={}).job_id
    view = load(JobsView(shared, "ana", lambda: None))
    asyncio.run(view.choose(job_id))
    shown = str(view.head.object) + str(view.body.object) + str(view.log.object)
    for words in (
        "1 of 2 delivered",
        "shank 2",
        "no file",
        "run-7",
        "asset-9",
        "S1",
        "log of",
        "queued",
        "&lt;img",
        "&lt;script",
    ):
        assert words in shown
    for raw in ("<img", "<script", "<b>not"):
        assert raw not in shown


def test_buttons_are_those_the_state_allows(shared):
    states = {
        JobState.RUNNING: {"cancel"},
        JobState.FAILED: {"retry"},
        JobState.SUCCEEDED: set(),
        JobState.INCOMPLETE: {"retry"},
        JobState.NEEDS_YOU: {"cancel", "choices"},
    }
    view = JobsView(shared, "ana", lambda: None)
    for state, expected in states.items():
        asyncio.run(view.choose(add(shared, state.value, state=state)))
        offered = {"cancel"} if view.actions.cancel.visible else set()
        offered |= {"retry"} if view.actions.retry.visible else set()
        offered |= {"choices"} if view.actions._decisions.visible else set()
        assert offered == expected, state


def test_cancel_asks_first_then_is_kept_with_the_name(shared):
    job_id = add(shared, "1")
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    view.actions.ask()
    assert view.actions.dialog.open
    assert not shared.store.get(job_id).has_ended
    asyncio.run(view.actions._cancel(None))
    record = shared.store.get(job_id)
    assert record.state in (JobState.CANCELLED, JobState.CANCELLING)
    assert any(event.by == "ana" for event in record.events)


def test_a_job_that_is_not_there_is_said_not_raised(shared):
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose("000000000099"))
    assert not view.actions.view.visible


def test_words_exist_for_every_state_and_counted_ends_say_the_count():
    assert set(STATE_WORDS) == set(JobState)
    done = a_record("1", state=JobState.SUCCEEDED, coverage=coverage(2), ended=START)
    assert state_line(done, START) == "✓ succeeded: 2 of 2 delivered"
    running = a_record("1", state=JobState.RUNNING, started=START)
    assert state_line(running, START + timedelta(minutes=72)) == "◑ running 1 h 12 min"


def test_before_the_count_the_rows_asked_are_shown():
    assert "not counted yet" in job_detail.coverage(a_record("1"))


def test_a_twin_of_a_launch_is_told_also_when_the_job_succeeded(shared):
    twin = a_record("t", state=JobState.SUCCEEDED).told(START, TWINS, "run: r-2")
    shared.store.add_job(twin, inputs={})
    view = load(JobsView(shared, "ana", lambda: None))
    assert "r-2" in " ".join(view.table.value.iloc[0])
    assert "More than one was made" in job_detail.head(twin, seen(shared))
