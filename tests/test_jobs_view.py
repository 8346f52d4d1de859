"""The Jobs page: newest first, filtered, with everything kept of a job, without a browser."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from datetime import timedelta

import pytest
from fake_library import FakeLibrary
from job_records import START, a_record
from test_text import PAYLOADS, Elements

from core.errors import UnavailableError
from core.platforms.base import MONITORED
from core.settings import Settings
from dashboard import job_detail, news
from dashboard.context import Context
from dashboard.job_actions import cancel_words, retry_words
from dashboard.job_detail import Seen
from dashboard.job_links import Links
from dashboard.job_log import KeptLog
from dashboard.job_words import STATE_WORDS, Windows, number, stages, state_line, waiting_words
from dashboard.jobs_list import FILTERS, PAGE_SIZE, Wanted, list_jobs
from dashboard.jobs_view import JobsView
from jobs.protocol import TWINS
from jobs.records import (
    Confirmation,
    CountedCoverage,
    CountedRow,
    JobState,
    Moment,
    Phase,
    RemoteIds,
    RemoteRun,
    Step,
)
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


def test_a_slow_reading_of_an_earlier_filter_does_not_replace_the_newer_one(shared, monkeypatch):
    add(shared, "1", created_by="ana")
    add(shared, "2", created_by="ben")
    view = JobsView(shared, "ana", lambda: None)
    slow_may_end, read = threading.Event(), list_jobs

    def list_jobs_late_for_all(store, wanted, before):
        found = read(store, wanted, before)
        if not wanted.who:
            slow_may_end.wait(10)
        return found

    monkeypatch.setattr("dashboard.jobs_view.list_jobs", list_jobs_late_for_all)

    async def both() -> None:
        everybody = asyncio.create_task(view.load())
        await asyncio.sleep(0)
        view.who.value = "ana"  # reads the list by itself
        while not len(view.table.value):
            await asyncio.sleep(0.01)
        slow_may_end.set()
        await everybody

    asyncio.run(both())
    assert [*view.table.value["who"]] == ["ana"]


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
        JobState.INCOMPLETE: {"retry", "recount"},
        JobState.NEEDS_YOU: {"cancel", "choices"},
    }
    view = JobsView(shared, "ana", lambda: None)
    for state, expected in states.items():
        asyncio.run(view.choose(add(shared, state.value, state=state, ids=RemoteIds(result=RESULT))))
        offered = {"cancel"} if view.actions.cancel.visible else set()
        offered |= {"retry"} if view.actions.retry.visible else set()
        offered |= {"recount"} if view.actions.recount.visible else set()
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


def test_a_filter_that_the_browser_loses_is_kept_and_a_job_that_it_hides_is_let_go(shared):
    failed, running = add(shared, "1", state=JobState.FAILED), add(shared, "2")
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(failed))
    view.show.value = "failed"
    asyncio.run(view._filtered(None))
    assert view.chosen == failed
    view.show.value = None
    asyncio.run(view._filtered(None))
    assert (view.show.value, view.wanted.show, view.chosen) == ("failed", "failed", failed)
    view.show.value = "active"
    asyncio.run(view._filtered(None))
    assert ([job.id for job in view._jobs], view.chosen, view.job) == ([running], "", None)


@pytest.mark.parametrize("ends", [False, True])
def test_the_question_before_a_cancellation_is_about_one_job_and_closes_with_it(shared, ends):
    first, second = add(shared, "1"), add(shared, "2")
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(first))
    view.actions.ask()
    assert "Job 1:" in str(view.actions.question.object)
    if ends:
        record = shared.store.get(first)
        shared.store.put(record.changed(state=JobState.FAILED, step=Step.DONE, ended=record.created))
        asyncio.run(view.tick())
    else:
        asyncio.run(view.choose(second))
    assert not view.actions.dialog.open


def test_a_new_run_is_asked_about_with_its_cost_and_counting_again_is_not(shared):
    ids = RemoteIds(run=RUN, result=RESULT)
    job_id = add(shared, "1", state=JobState.INCOMPLETE, step=Step.DONE, ids=ids, coverage=coverage(1))
    view = JobsView(shared, "ana", lambda: None)
    actions = view.actions
    asyncio.run(view.choose(job_id))
    asyncio.run(actions._ask_retry(None))
    assert actions.retry_dialog.open
    assert "Run again starts a paid run on Code Ocean" in str(actions.retry_question.object)
    assert "A new job converts all 2 tracks" in str(actions.retry_question.object)
    assert [job.id for job in shared.store.newest(9)] == [job_id]
    other = add(shared, "2", state=JobState.FAILED, step=Step.DONE)
    asyncio.run(view.choose(other))
    assert not actions.retry_dialog.open, "the question was about another job"
    asyncio.run(view.choose(job_id))
    asyncio.run(actions._recount(None))
    record = shared.store.get(job_id)
    assert (record.state, record.step, record.ids) == (JobState.CAPTURING, Step.COUNT, ids)
    assert (record.events[-1].what, record.events[-1].by) == ("counted again", "ana")
    assert not actions.recount.visible
    assert len(shared.store.newest(9)) == 2


def test_a_failed_job_whose_run_turned_up_offers_to_follow_it_without_a_question(shared):
    ids = RemoteIds(manifest_asset="m", state_asset="s", run=RUN)
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(add(shared, "1", state=JobState.FAILED, step=Step.DONE)))
    assert view.actions.retry.label == "Retry"
    asyncio.run(view.choose(late := add(shared, "2", state=JobState.FAILED, step=Step.WATCH, ids=ids)))
    assert view.actions.retry.label == "Follow its run"
    asyncio.run(view.actions._ask_retry(None))
    assert not view.actions.retry_dialog.open
    record = shared.store.get(late)
    assert (record.state, record.step, record.ids) == (JobState.RUNNING, Step.WATCH, ids)


def test_launches_are_paused_for_all_and_the_button_says_by_whom(shared):
    mine, theirs = JobsView(shared, "ana", lambda: None), JobsView(shared, "ben", lambda: None)
    asyncio.run(mine.tick())
    asyncio.run(mine._turn_pause(None))
    assert shared.store.paused_by() == "ana"
    asyncio.run(theirs.tick())
    assert theirs.pause.label == "Go on: paused by ana"
    asyncio.run(theirs._turn_pause(None))
    asyncio.run(mine.tick())
    assert (shared.store.paused_by(), mine.pause.label) == ("", "Pause launches")


def test_a_refused_start_asks_too_and_a_result_that_was_not_kept_is_tried_again_at_once(shared):
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(refused := add(shared, "1", state=JobState.FAILED, step=Step.RUN)))
    asyncio.run(view.actions._ask_retry(None))
    assert "paid run" in str(view.actions.retry_question.object)
    assert shared.store.get(refused).state is JobState.FAILED
    asyncio.run(view.actions._retry(None))
    assert not view.actions.retry_dialog.open
    assert shared.store.get(refused).state is JobState.LAUNCHING
    asyncio.run(view.choose(kept := add(shared, "2", state=JobState.FAILED, step=Step.CAPTURE)))
    asyncio.run(view.actions._ask_retry(None))
    assert not view.actions.retry_dialog.open
    assert shared.store.get(kept).state is JobState.CAPTURING


def test_where_nothing_is_paid_no_price_is_told():
    job = a_record(state=JobState.FAILED, step=Step.DONE)
    assert "▲" not in retry_words(job, "")
    assert "2 tracks of mouse 700001" in retry_words(job, "")


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


# --- on Code Ocean ----------------------------------------------------------------------------------

RUN, CHILD, RESULT = (f"{digit * 8}-1111-4222-8333-444444444444" for digit in "abc")


def on_code_ocean(**values):
    return a_record(
        **{"platform": "Code Ocean", "converter": "capsule-id", "converter_label": "Data converter", **values}
    )


def detail_of(shared, record) -> str:
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(shared.store.add_job(record, inputs={}).job_id))
    return " ".join(str(pane.object) for pane in (view.head, view.body, view.log_title, view.log))


def test_ids_are_links_with_copy_buttons_and_only_where_the_platform_is_this_one(shared):
    ids = RemoteIds(run=RUN, result=RESULT)
    shown = detail_of(shared, on_code_ocean(digest="1", ids=ids))
    for address in (f"{SITE}/run/capsule-id/{RUN}", f"{SITE}/asset//{RESULT}", f"{SITE}/capsule//capsule-id"):
        assert f'href="{address}" target="_blank" rel="noopener"' in shown
    for copied in (RUN, RESULT, "capsule-id"):
        assert f'data-copy="{copied}"' in shown
    assert "no address of a single run" in shown, "it opens the capsule's page, as the capsule's own link does"
    elsewhere = detail_of(shared, on_code_ocean(digest="2", ids=ids, platform="this machine"))
    assert SITE not in elsewhere
    assert f'data-copy="{RUN}"' in elsewhere


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://codeocean.example.org/x", "https://evil.example/x"])
def test_an_address_that_leads_elsewhere_is_no_link(shared, address):
    shared.reader.web_link = lambda *_: address
    assert "href" not in detail_of(shared, on_code_ocean(ids=RemoteIds(run=RUN)))


def test_a_monitored_job_shows_both_runs_and_reads_the_log_of_the_conversion(shared):
    record = on_code_ocean(
        route=MONITORED, ids=RemoteIds(run=RUN), remote=RemoteRun(child=CHILD), state=JobState.RUNNING
    )
    shown = detail_of(shared, record)
    assert f"{SITE}/run/{shared.settings.monitor_capsule}/{RUN}" in shown
    assert f"{SITE}/run/capsule-id/{CHILD}" in shown
    assert "Monitor run" in shown
    assert shared.reader.logs_read == [CHILD]


def test_the_log_is_read_when_chosen_when_the_state_changes_and_on_demand_not_at_every_tick(shared):
    job_id = add(shared, "1", platform="Code Ocean", ids=RemoteIds(run=RUN), state=JobState.RUNNING, step=Step.WATCH)
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    for _ in range(3):
        record = shared.store.get(job_id)
        shared.store.put(record.told(START, "looked at"))
        asyncio.run(view.tick())
    assert shared.reader.logs_read == [RUN]
    asyncio.run(view._refresh_log(None))
    assert len(shared.reader.logs_read) == 2
    shared.store.put(shared.store.get(job_id).changed(state=JobState.VERIFYING, step=Step.VERIFY))
    asyncio.run(view.tick())
    assert len(shared.reader.logs_read) == 3


def test_a_kept_log_is_shown_and_the_platform_not_asked(shared):
    data = b"the last words\n<img src=x>"
    sha256 = hashlib.sha256(data).hexdigest()
    record = on_code_ocean(ids=RemoteIds(run=RUN), state=JobState.FAILED, log_sha256=sha256)
    job_id = shared.store.add_job(record, inputs={}, blobs=(data,)).job_id
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    assert "the last words" in str(view.log.object)
    assert "<img" not in str(view.log.object)
    assert "kept here" in str(view.log_title.object)
    assert shared.reader.logs_read == []


def test_a_kept_report_is_downloaded_and_where_there_is_none_none_is_offered(shared):
    data = b"<html>what was decided</html>"
    record = on_code_ocean(report_sha256=hashlib.sha256(data).hexdigest())
    job_id = shared.store.add_job(record, inputs={}, blobs=(data,)).job_id
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    assert view.report.visible
    assert asyncio.run(view._report()) == data
    assert view.report.filename == f"job-{int(job_id)}-mapping-report.html"
    asyncio.run(view.choose(add(shared, "another")))
    assert not view.report.visible


def test_a_log_that_cannot_be_read_is_said(shared):
    def gone(run_id, limit):
        raise UnavailableError("Code Ocean does not answer", cure="Try again later.")

    shared.reader.read_log = gone
    assert "Code Ocean does not answer" in detail_of(shared, on_code_ocean(ids=RemoteIds(run=RUN)))


def test_a_run_past_its_deadline_asks_and_is_listed_where_people_are_needed(shared):
    add(shared, "1", state=JobState.RUNNING)
    late = add(shared, "2", state=JobState.RUNNING, step=Step.WATCH, started=START, overdue=True, deadline=START)
    assert [job.id for job in list_jobs(shared.store, Wanted("needs-you"), None)] == [late]
    view = load(JobsView(shared, "ana", lambda: None))
    assert "Needs you 1" in view.show.options
    asyncio.run(view.choose(late))
    assert "past its deadline" in view.table.value["state"].loc[late]
    assert "has passed" in str(view.head.object)
    assert view.actions._waits.visible
    view.actions.hours.value = 5.0
    assert view.actions.extend.label == "Wait 5 h more"
    asyncio.run(view.actions._extend(None))
    assert not shared.store.get(late).overdue
    assert shared.store.get(late).events[-1].by == "ana"
    assert list_jobs(shared.store, Wanted("needs-you"), None) == ()


def test_a_person_names_the_run_and_the_worker_is_asked_to_look(shared):
    job_id = add(shared, "1", state=JobState.NEEDS_YOU, step=Step.RUN, phase=Phase.SETTLING, error="no run was found")
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    assert view.actions._decisions.visible
    assert view.actions.attach.visible
    view.actions.run_id.value = f" {RUN} "
    asyncio.run(view.actions._attach(None))
    assert shared.store.get(job_id).proposed_run == RUN
    assert RUN in str(view.head.object)


def test_a_run_is_asked_for_only_where_a_run_is_missing(shared):
    job_id = add(shared, "1", state=JobState.NEEDS_YOU, step=Step.STATE_ASSET, phase=Phase.SETTLING, error="no asset")
    view = JobsView(shared, "ana", lambda: None)
    asyncio.run(view.choose(job_id))
    assert view.actions._decisions.visible
    assert not view.actions.attach.visible


def test_failures_that_a_later_job_made_good_leave_the_open_ones(shared):
    later = add(shared, "0")
    old = add(shared, "1", state=JobState.FAILED, superseded_by=later, error="exit code 1")
    others = [add(shared, str(i), state=JobState.FAILED) for i in range(2, 2 + PAGE_SIZE + 5)]
    listed = list_jobs(shared.store, Wanted("failed"), None)
    assert [job.id for job in listed] == others[::-1][:PAGE_SIZE]
    rest = list_jobs(shared.store, Wanted("failed"), listed[-1].id)
    assert [job.id for job in rest] == others[:5][::-1]
    view = load(JobsView(shared, "ana", lambda: None))
    assert f"Failed, open {PAGE_SIZE + 5}" in view.show.options
    asyncio.run(view.choose(old))
    assert f'href="?page=jobs&amp;job={number(later)}"' in str(view.head.object)
    assert "superseded by job 1" in state_line(shared.store.get(old), START)
    assert not view.actions.retry.visible


def test_twins_are_listed_with_links(shared):
    twin = on_code_ocean(state=JobState.SUCCEEDED, surplus=(CHILD, RESULT)).told(START, TWINS, f"run: {CHILD}")
    shown = detail_of(shared, twin)
    assert f"{SITE}/run/capsule-id/{CHILD}" in shown
    assert f"{SITE}/asset//{RESULT}" in shown


def test_a_lost_answer_is_told_with_the_time_at_which_it_is_decided(shared):
    record = on_code_ocean(
        state=JobState.LAUNCHING, step=Step.RUN, phase=Phase.SETTLING, intent=Moment(at=START), clean_looks=7
    )
    words = waiting_words(record, Windows(asset_s=600, run_s=2100), START, None)
    assert "7 looks" in words
    assert "Decided today 09:35 UTC at the earliest." in words
    assert "Decided" not in waiting_words(record, None, START, None)
    paused = record.changed(phase=Phase.READY, tries=3, due=START + timedelta(minutes=2))
    assert "Tried 3 times" in waiting_words(paused, None, START, None)
    assert waiting_words(record.changed(state=JobState.FAILED), None, START, None) == ""


def test_stages_say_what_was_reached_and_when():
    record = on_code_ocean(state=JobState.RUNNING, step=Step.WATCH, started=START + timedelta(minutes=5))
    record = record.told(START + timedelta(minutes=2), "state asset made", "x")
    assert [(stage.words, stage.reached) for stage in stages(record)] == [
        ("launched", True), ("inputs made", True), ("run started", True),
        ("run ended", False), ("result kept", False), ("counted", False),
    ]  # fmt: skip
    assert [stage.at for stage in stages(record)][:3] == [START + timedelta(minutes=m) for m in (0, 2, 5)]


def test_cancelling_says_what_code_ocean_does(shared):
    job = on_code_ocean(ids=RemoteIds(run=RUN), state=JobState.RUNNING)
    assert "Code Ocean deletes the run and its results" in cancel_words(job, shared)
    assert "both deleted" in cancel_words(job.changed(route=MONITORED), shared)
    assert "deletes" not in cancel_words(job.changed(platform="this machine"), shared)
    assert cancel_words(on_code_ocean(), shared) == "Nothing has been started yet."


def test_the_page_of_a_job_made_of_payloads_holds_no_foreign_element(shared):
    for at, payload in enumerate(PAYLOADS):
        record = on_code_ocean(
            digest=str(at), state=JobState.INCOMPLETE, error=payload, converter_label=payload,
            parameters={"p": payload},
            ids=RemoteIds(run=payload, result=payload), surplus=(payload,), superseded_by=payload,
            remote=RemoteRun(state=payload, detail=payload), coverage=coverage(1),
        )  # fmt: skip
        record = record.told(START, payload, payload, by=payload)
        shown = job_detail.head(record, seen(shared)) + job_detail.body(record, seen(shared))
        shown += job_detail.log(KeptLog(payload, payload)) + job_detail.log(KeptLog(trouble=payload))
        found = Elements(shown).elements
        assert not {"img", "script", "svg", "iframe"} & set(found)
        assert {address.split("/")[0] for address in re.findall(r'href="([^"?]+)', shown)} <= {"https:"}


# --- news ---------------------------------------------------------------------------------------------


def test_what_happens_while_the_page_is_open_is_told_once_and_counted_until_it_is_looked_at(shared, monkeypatch):
    told = []
    monkeypatch.setattr(news.text, "notify", lambda kind, words, *_: told.append((kind, words)))
    job_id = add(shared, "1", state=JobState.CAPTURING, created_by="ben", subject="717381")
    add(shared, "0", state=JobState.FAILED)
    watched = news.News(shared.store)
    watched.tell(watched.look(), looking=False)
    assert (told, watched.unseen) == ([], 0)
    shared.store.put(shared.store.get(job_id).changed(state=JobState.INCOMPLETE, error="1 of 2 delivered", ended=START))
    watched.tell(watched.look(), looking=False)
    assert told == [("error", "Job 1 (mouse 717381) incomplete: 1 of 2 delivered")]
    watched.tell(watched.look(), looking=False)
    assert (len(told), watched.unseen) == (1, 1)
    watched.tell((), looking=True)
    assert watched.unseen == 0
