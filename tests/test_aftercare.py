"""One more look at a job: late twins are found, told and, where asked for, stopped; failures made good are marked."""

from __future__ import annotations

import pytest

from core.platforms.base import SettlePolicy
from core.settings import Settings
from jobs import submission
from jobs.aftercare import supersede_failures
from jobs.monitor import Monitor
from jobs.protocol import TWINS
from jobs.records import CountedCoverage, CountedRow, JobState, RemoteRun, Step
from jobs.store import JobStore
from tests.fake_runner import Clock, FakeRunner, Thing
from tests.job_records import START, a_plan, a_record


class Bench:
    """A real store, a platform in memory, a clock."""

    def __init__(self, store: JobStore, **settings) -> None:
        self.store, self.clock = store, Clock()
        self.runner = FakeRunner(self.clock, settle=SettlePolicy(60.0, 120.0, 3))
        self.settings = Settings(poll_seconds=2.0, **settings)
        plan = a_plan()
        self.job_id = submission.submit(
            store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START
        ).job_id
        self.monitor = self.start()

    def start(self) -> Monitor:
        return Monitor(self.store, self.runner, self.settings, now=self.clock, draw=lambda: 0.5)

    @property
    def job(self):
        return self.store.get(self.job_id)

    def until(self, s: float) -> None:
        while self.clock.s < s:
            self.monitor.run_pass()
            self.clock.s += 5.0

    def twin_turns_up(self, s: float) -> None:
        self.runner.things.append(Thing("run-twin", self.job.token, "", s, s))

    def alarms(self) -> list[str]:
        """What each alarm tells of, without how it ended."""
        return [event.detail.partition(",")[0] for event in self.job.events if event.what == TWINS]


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "data") as opened:
        yield opened


@pytest.mark.parametrize("stop_twins", [False, True])
def test_a_twin_that_turns_up_late_is_told_of_an_ended_job_that_stays_as_it_ended(store, stop_twins):
    bench = Bench(store, stop_twins=stop_twins)
    bench.until(60.0)
    ended = bench.job
    assert ended.state is JobState.SUCCEEDED
    bench.runner.run_s = 1e6
    bench.twin_turns_up(200.0)
    bench.monitor = bench.start()  # what is due is kept, whoever dies
    bench.until(230.0)
    assert bench.alarms() == []
    bench.until(300.0)
    assert bench.alarms() == ["run: run-twin"]
    assert bench.runner.stopped == ({"run-twin"} if stop_twins else set())
    assert (bench.job.state, bench.job.ended, bench.job.coverage) == (ended.state, ended.ended, ended.coverage)
    assert [n.state for n in store.notices(0)] == ["succeeded", "twins"]
    assert store.checkups() == ()
    calls = bench.runner.calls
    bench.until(1000.0)
    assert bench.runner.calls == calls


def test_a_run_that_turns_up_after_a_cancellation_is_stopped_within_minutes(store):
    bench = Bench(store)
    bench.runner.run_s = 1e6
    bench.until(10.0)
    submission.cancel(store, bench.job_id, "ben", START)
    bench.until(20.0)
    assert bench.job.state is JobState.CANCELLED
    bench.twin_turns_up(60.0)
    bench.until(150.0)
    assert "run-twin" in bench.runner.stopped
    assert [e.what for e in bench.job.events][-2:] == [TWINS, "twin stopped"]
    bench.until(400.0)
    assert bench.alarms() == ["run: run-twin"]
    assert store.checkups() == ()


def test_a_twin_that_has_ended_is_told_and_keeps_its_results(store):
    bench = Bench(store, stop_twins=True)
    bench.until(60.0)
    bench.twin_turns_up(100.0)
    bench.until(300.0)
    assert bench.alarms() == ["run: run-twin"]
    assert bench.runner.stopped == set()


def test_a_run_that_turns_up_while_a_person_is_asked_is_adopted(store):
    bench = Bench(store)
    outcomes = ["made", "made", "never", "never"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    while bench.job.state is not JobState.NEEDS_YOU:
        bench.until(bench.clock.s + 5.0)
    bench.twin_turns_up(bench.clock.s)
    bench.until(bench.clock.s + 400.0)
    assert (bench.job.state, bench.job.ids.run) == (JobState.SUCCEEDED, "run-twin")


def test_an_outage_delays_a_look_and_forgets_none(store):
    bench = Bench(store)
    bench.until(60.0)
    bench.twin_turns_up(100.0)
    bench.runner.down = lambda: bench.clock.s < 900.0
    bench.until(890.0)
    assert bench.alarms() == []
    assert any("checkup of job 1" in words for words in store.worker_status().errors)
    bench.until(1000.0)
    assert bench.alarms() == ["run: run-twin"]


# --- failures made good -----------------------------------------------------------------------


def rows_of(*tracks: str, status: str = "delivered") -> tuple[CountedRow, ...]:
    return tuple(CountedRow(track=t, recording="r", stream=t.upper(), status=status) for t in tracks)


def an_end(store: JobStore, state: JobState, delivered: str = "", missing: str = "", **values):
    rows = (*rows_of(*delivered), *rows_of(*missing, status="missing"))
    asked = tuple(CountedRow.model_validate(row.model_dump()) for row in rows)
    coverage = CountedCoverage(asked=len(rows), delivered=len(delivered), rows=rows) if delivered else None
    told = {"rows": asked, "coverage": coverage, "remote": RemoteRun(state="finished", exit_code=0), **values}
    record = a_record(f"digest {len(store.newest(99))}", **told, ended=START, state=state, step=Step.DONE)
    job_id = store.add_job(record, inputs={}).job_id
    return store.get(job_id)


def test_failures_whose_missing_rows_were_delivered_later_are_marked_and_leave_the_open_ones(store):
    failed = an_end(store, JobState.FAILED, missing="ab")
    lacking = an_end(store, JobState.INCOMPLETE, delivered="a", missing="c")
    broken_off = an_end(store, JobState.INCOMPLETE, delivered="ab", remote=RemoteRun(state="failed"))
    more = an_end(store, JobState.FAILED, missing="abcd")
    other_mouse = an_end(store, JobState.FAILED, missing="a", subject="700002")
    elsewhere = an_end(store, JobState.FAILED, missing="a", platform="Code Ocean")
    wanted_so = an_end(store, JobState.CANCELLED, missing="a")
    good = an_end(store, JobState.SUCCEEDED, delivered="abc")
    later = an_end(store, JobState.FAILED, missing="a")
    for _ in range(2):
        supersede_failures(store, good, Clock(5.0)())
    marked = {job.id for job in store.newest(99, superseded=True)}
    assert marked == {failed.id, lacking.id, broken_off.id}
    assert [e.what for e in store.get(failed.id).events] == ["superseded"]
    assert {job.id for job in store.newest(99, states=(JobState.FAILED,), superseded=False)} == {
        more.id,
        other_mouse.id,
        elsewhere.id,
        later.id,
    }
    assert store.get(wanted_so.id).superseded_by is None
    assert store.counts()[JobState.FAILED] == 5
    assert store.counts(superseded=False)[JobState.FAILED] == 4
    assert store.counts(superseded=False)[JobState.INCOMPLETE] == 0


@pytest.mark.parametrize("last", ["the first", "the second"])
def test_a_failure_is_made_good_by_several_jobs_together_whichever_ends_last(store, last):
    """A mapping of two recordings is launched anew as one job for each."""
    early = an_end(store, JobState.SUCCEEDED, delivered="a")
    failed = an_end(store, JobState.FAILED, missing="abc")
    first, second = (an_end(store, JobState.CAPTURING, missing=tracks) for tracks in ("bc", "a"))
    still = an_end(store, JobState.FAILED, missing="c")
    elsewhere = an_end(store, JobState.SUCCEEDED, delivered="abc", platform="Code Ocean")
    told = {"the first": (second, "a", first, "bc"), "the second": (first, "bc", second, "a")}[last]

    def ends_well(job, tracks):
        coverage = CountedCoverage(asked=len(tracks), delivered=len(tracks), rows=rows_of(*tracks))
        good = store.put(job.changed(state=JobState.SUCCEEDED, coverage=coverage))
        supersede_failures(store, good, Clock(5.0)())

    supersede_failures(store, elsewhere, Clock(5.0)())
    ends_well(*told[:2])
    assert store.get(failed.id).superseded_by is None, f"{early.id} came before it, and {elsewhere.id} is elsewhere"
    ends_well(*told[2:])
    made_good = store.get(failed.id)
    assert made_good.superseded_by == second.id
    words = f"jobs {int(first.id)} and {int(second.id)} delivered what this one did not"
    assert made_good.events[-1].detail == words
    assert store.get(still.id).superseded_by is None, "both came before it"


def test_a_run_that_did_not_end_well_makes_nothing_good(store):
    failed = an_end(store, JobState.FAILED, missing="a")
    bad = an_end(store, JobState.INCOMPLETE, delivered="a", remote=RemoteRun(state="failed", exit_code=1))
    supersede_failures(store, bad, Clock()())
    assert store.get(failed.id).superseded_by is None


def test_the_worker_marks_what_a_job_made_good(store):
    plan = a_plan()
    rows = tuple(
        CountedRow(track=r.histology_track_id, recording=r.recording, stream=r.ephys_collection, status="missing")
        for r in plan.rows
    )
    failed = an_end(store, JobState.FAILED, rows=rows, platform="fake")
    bench = Bench(store)
    bench.until(60.0)
    assert bench.job.state is JobState.SUCCEEDED
    assert store.get(failed.id).superseded_by == bench.job_id


def test_a_record_that_cannot_be_read_holds_up_no_other_job(store):
    """As a newer program leaves it whose update was taken back: told, left as it is, and no other job waits."""
    bench = Bench(store)
    bench.until(60.0)
    bad, kept = bench.job_id, bench.job.model_dump(mode="json") | {"v": 99}
    with store._db.write() as turn:
        turn.set(f"job/{bad}", kept)
    plan = a_plan("other")
    other = {"rows": plan.rows, "problems": (), "confirmed": (), "user": "ana", "now": bench.clock().at}
    bench.job_id = submission.submit(store, plan, **other).job_id
    outcomes = ["made", "made", "lost"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.monitor = bench.start()
    bench.until(900.0)
    assert bench.job.state is JobState.SUCCEEDED
    assert any(bad in words and "newer program" in words for words in store.worker_status().errors)
    assert any(checkup.job_id == bad for checkup in store.checkups()), "looked at when it can be read again"
