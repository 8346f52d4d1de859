"""The worker's hands: one bad job does not stop the others, nothing is written without news, every wish is heard."""

from __future__ import annotations

import pytest

from core.errors import PlatformError, StoreBusyError
from core.platforms.base import RunState
from core.settings import Settings
from jobs import second_tries, submission
from jobs.monitor import Monitor
from jobs.records import JobState, Phase, Step
from jobs.store import JobStore
from tests.fake_runner import Clock, FakeRunner, Thing
from tests.job_records import START, a_plan

SETTINGS = Settings(poll_seconds=2.0)


class Bench:
    """A real store, a platform in memory, a clock."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.clock = Clock()
        self.runner = FakeRunner(self.clock)
        self.monitor = self.start()

    def start(self) -> Monitor:
        return Monitor(self.store, self.runner, SETTINGS, now=self.clock, draw=lambda: 0.5, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.clock.s += seconds

    def launch(self, digest: str = "d1") -> str:
        plan = a_plan(digest)
        return submission.submit(
            self.store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START
        ).job_id

    def until(self, job_id: str, state: JobState, seconds: float = 2000.0) -> None:
        """Let time pass until a job is in a state."""
        end_s = self.clock.s + seconds
        while self.store.get(job_id).state is not state:
            record = self.store.get(job_id)
            assert self.clock.s < end_s, f"{record.state} {record.step} {record.phase} {record.error}"
            self.monitor.run_pass()
            self.clock.s += 1.0


@pytest.fixture
def bench(tmp_path):
    with JobStore(tmp_path / "data") as store:
        yield Bench(store)


def test_one_pass_goes_as_far_as_it_can(bench):
    job_id = bench.launch()
    bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert (record.state, record.step) == (JobState.RUNNING, Step.WATCH)
    assert record.started is not None


def test_waiting_writes_nothing_and_asks_seldom(bench):
    bench.launch()
    bench.monitor.run_pass()
    bench.monitor.run_pass()
    bench.runner.run_s = 1e9
    version, calls = bench.store.version(), bench.runner.calls
    for _ in range(100):
        bench.clock.s += 0.1
        bench.monitor.run_pass()
    assert bench.store.version() - version <= 1
    assert bench.runner.calls - calls <= 6


def test_a_fault_in_one_job_does_not_stop_the_others(bench, monkeypatch):
    bad, good = bench.launch("d1"), bench.launch("d2")
    right = bench.monitor._open_launch

    def broken(record):
        if record.id == bad:
            raise ZeroDivisionError("a fault")
        return right(record)

    monkeypatch.setattr(bench.monitor, "_open_launch", broken)
    bench.until(good, JobState.RUNNING)
    assert bench.store.get(bad).state is JobState.QUEUED
    assert any("a fault" in words for words in bench.store.worker_status().errors)


def test_an_unexpected_fault_in_the_protocol_is_kept_inside_its_job(bench, monkeypatch):
    bad, good = bench.launch("d1"), bench.launch("d2")
    right = bench.monitor._write

    def broken(record, answer, asked):
        if record.id == bad:
            raise RuntimeError("cannot happen")
        return right(record, answer, asked)

    monkeypatch.setattr(bench.monitor, "_write", broken)
    bench.until(good, JobState.SUCCEEDED)
    assert any("cannot happen" in words for words in bench.store.worker_status().errors)
    monkeypatch.undo()
    bench.until(bad, JobState.SUCCEEDED)
    assert bench.runner.count("run", bench.store.get(bad).token) == 1


def fill_the_disk(bench, monkeypatch, writes):
    """So many writes of a run's id fail."""
    right, left = bench.store.put, [writes]

    def busy_after_run(record, blobs=()):
        if record.ids.run and left[0]:
            left[0] -= 1
            raise StoreBusyError("the disk is full")
        return right(record, blobs)

    monkeypatch.setattr(bench.store, "put", busy_after_run)


def test_a_busy_store_is_told_and_the_effect_is_found_again(bench, monkeypatch, caplog):
    job_id = bench.launch()
    fill_the_disk(bench, monkeypatch, 5)
    with pytest.raises(StoreBusyError):
        bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert record.phase is Phase.INTENT
    told = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
    assert len(told) == 5
    assert all("job 1: the step run made run-2" in line and "the disk is full" in line for line in told)
    assert "it is looked for later" in told[-1]
    assert record.token not in caplog.text
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.runner.count("run", record.token) == 1


def test_an_effect_is_written_down_again_when_the_disk_was_full_for_a_moment(bench, monkeypatch):
    job_id = bench.launch()
    fill_the_disk(bench, monkeypatch, 4)
    bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert (record.ids.run, record.state) == ("run-2", JobState.RUNNING)
    assert "in doubt" not in [event.what for event in record.events]


def test_a_new_worker_looks_before_it_sends(bench):
    job_id = bench.launch()
    outcomes = ["made", "made", "lost"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.runner.lag_s = 30.0
    bench.monitor.run_pass()
    assert bench.store.get(job_id).phase is Phase.SETTLING
    bench.monitor = bench.start()
    bench.until(job_id, JobState.SUCCEEDED)
    record = bench.store.get(job_id)
    assert record.owner == bench.monitor.owner
    assert bench.runner.count("run", record.token) == 1


def test_a_cancellation_while_the_call_is_under_way_keeps_the_id_and_stops_the_run(bench):
    job_id = bench.launch()
    right = bench.runner.start_run

    def start_run(request):
        submission.cancel(bench.store, job_id, "ben", START)
        return right(request)

    bench.runner.start_run = start_run
    bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert (record.state, record.error) == (JobState.CANCELLED, "cancelled by ben")
    assert bench.runner.stopped == {record.ids.run}


def test_a_running_job_is_stopped_and_a_lost_stop_is_repeated(bench):
    job_id = bench.launch()
    bench.until(job_id, JobState.RUNNING)
    submission.cancel(bench.store, job_id, "ben", START)
    bench.runner.down = lambda: bench.clock.s < 50
    bench.until(job_id, JobState.CANCELLED)
    assert bench.clock.s >= 50
    assert bench.runner.stopped == {bench.store.get(job_id).ids.run}


def test_a_cancellation_does_not_wait_for_the_next_look(bench):
    job_id = bench.launch()
    bench.runner.run_s = 1e9
    for _ in range(100):
        bench.clock.s += 20
        bench.monitor.run_pass()
    submission.cancel(bench.store, job_id, "ben", START)
    bench.monitor.run_pass()
    assert bench.store.get(job_id).state is JobState.CANCELLED


def test_a_cancelled_doubt_stops_what_it_finds(bench):
    job_id = bench.launch()
    bench.runner.lag_s = 20.0
    outcomes = ["made", "made", "lost"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.monitor.run_pass()
    submission.cancel(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.CANCELLED)
    assert len(bench.runner.stopped) == 1


def lose_inputs(bench: Bench, job_id: str) -> None:
    with bench.store._db.write() as turn:
        turn.delete(f"input/{job_id}")


@pytest.mark.parametrize("outcome", ["made", "lost"])
def test_a_run_is_stopped_though_its_inputs_are_lost(bench, outcome):
    job_id = bench.launch()
    outcomes = ["made", "made", outcome]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.runner.run_s, bench.runner.lag_s = 1e9, 20.0
    bench.monitor.run_pass()
    lose_inputs(bench, job_id)
    submission.cancel(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.CANCELLED)
    assert bench.runner.stopped == {bench.store.get(job_id).ids.run}


def test_a_cancelled_job_names_the_result_that_nobody_counted(bench):
    job_id = bench.launch()
    right = bench.runner.capture

    def capture(request):
        submission.cancel(bench.store, job_id, "ben", START)
        return right(request)

    bench.runner.capture = capture
    bench.until(job_id, JobState.CANCELLED)
    record = bench.store.get(job_id)
    assert record.ids.result
    assert record.error.startswith(f"cancelled by ben; the result asset {record.ids.result}")


def test_a_result_that_vanished_before_the_count_is_captured_again_on_request(bench):
    job_id = bench.launch()
    gone: list[str] = []

    def get_asset(asset_id):
        record = bench.store.get(job_id)
        if record.step is Step.COUNT and not gone:
            gone.append(asset_id)
            bench.runner.things = [thing for thing in bench.runner.things if thing.id != asset_id]
        return look(asset_id)

    look, bench.runner.get_asset = bench.runner.get_asset, get_asset
    bench.until(job_id, JobState.FAILED)
    record = bench.store.get(job_id)
    assert (record.step, record.ids.result, record.surplus) == (Step.CAPTURE, None, tuple(gone))
    assert "no such asset any more" in record.error
    submission.retry(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.runner.count("run", record.token) == 1


def test_a_result_that_was_listed_late_is_counted_again_and_nothing_is_run(bench):
    """The files were not listed at the first count; at the second they are: the same asset, and the job is green."""
    job_id = bench.launch()
    bench.runner.delivered = 1
    bench.until(job_id, JobState.INCOMPLETE)
    first = bench.store.get(job_id)
    bench.runner.delivered = 2
    second_tries.recount(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.SUCCEEDED)
    record = bench.store.get(job_id)
    assert (record.coverage.delivered, record.ids, record.error) == (2, first.ids, "")
    assert bench.store.active() == ()
    assert [bench.runner.count(kind, record.token) for kind in ("run", "capture")] == [1, 1]
    assert [(event.what, event.by) for event in record.events if event.by] == [
        ("launched", "ana"),
        ("counted again", "ben"),
    ]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PREPARING])
def test_a_busy_queue_ends_no_job(bench, monkeypatch, state):
    job_id = bench.launch()
    bench.store.set_paused("ben")
    if state is JobState.PREPARING:
        bench.monitor.run_pass()
    assert bench.store.get(job_id).state is state
    bench.store.set_paused("")

    def busy(_):
        raise StoreBusyError("the database is locked")

    monkeypatch.setattr(bench.monitor, "_open_launch", busy)
    bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert (record.state, record.error) == (state, "the database is locked")
    monkeypatch.undo()
    bench.until(job_id, JobState.SUCCEEDED)


def test_only_outages_keep_other_jobs_from_being_sent(bench, monkeypatch):
    bad = [bench.launch(f"bad{i}") for i in range(8)]
    bench.until(bad[-1], JobState.RUNNING)

    def unreadable(run_id):
        raise PlatformError("the answer is rubbish")

    monkeypatch.setattr(bench.runner, "run_status", unreadable)
    bench.clock.s += 60.0
    bench.monitor.run_pass()
    good = bench.launch("good")
    bench.monitor.run_pass()
    assert bench.store.get(good).state is JobState.RUNNING
    assert {"it did not work; trying again"} == {bench.store.get(i).events[-1].what for i in bad}


def test_taking_jobs_in_hand_does_not_hide_an_outage(bench):
    bench.runner.outcome = lambda _: "down"
    for number in range(12):
        bench.launch(f"d{number}")
    bench.monitor.run_pass()
    assert bench.runner.calls == 5
    assert "cannot be reached" in bench.store.worker_status().waiting


def test_the_pause_holds_effects_and_nothing_else(bench):
    running = bench.launch("d1")
    bench.until(running, JobState.RUNNING)
    bench.store.set_paused("ben")
    queued = bench.launch("d2")
    bench.clock.s += 60
    bench.monitor.run_pass()
    bench.monitor.run_pass()
    assert bench.store.get(running).step is Step.CAPTURE
    assert bench.store.get(queued).step is Step.MANIFEST_ASSET
    assert bench.store.worker_status().waiting == "paused by ben"
    bench.store.set_paused("")
    bench.until(running, JobState.SUCCEEDED)
    bench.until(queued, JobState.SUCCEEDED)


def test_a_platform_that_is_down_is_asked_once_a_minute_for_all_jobs(bench):
    for number in range(12):
        bench.launch(f"d{number}")
    bench.runner.outcome = lambda _: "down" if bench.clock.s < 300 else "made"
    for _ in range(300):
        bench.monitor.run_pass()
        bench.clock.s += 1.0
    assert "cannot be reached" in bench.store.worker_status().waiting
    assert bench.runner.calls < 30
    for job in bench.store.active():
        bench.until(job.id, JobState.SUCCEEDED)


def test_a_persons_decision_is_carried_out(bench):
    job_id = bench.launch()
    outcomes = ["made", "made", "never", "never"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.until(job_id, JobState.NEEDS_YOU)
    submission.resolve(bench.store, job_id, submission.Choice.START_AGAIN, "ben", START)
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.runner.count("run", bench.store.get(job_id).token) == 1


@pytest.mark.parametrize(("named", "state"), [("run-lost", JobState.SUCCEEDED), ("run-of-others", JobState.NEEDS_YOU)])
def test_a_run_that_a_person_names_is_adopted_when_it_is_the_jobs(bench, named, state):
    job_id = bench.launch()
    outcomes = ["made", "made", "never", "never"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.until(job_id, JobState.NEEDS_YOU)
    token = bench.store.get(job_id).token
    bench.runner.things.append(Thing("run-lost", token, "", bench.clock.s, bench.clock.s + 1e6))
    bench.runner.things.append(Thing("run-of-others", "another", "", 0.0, 0.0))
    submission.attach(bench.store, job_id, named, "ben", START)
    bench.monitor.run_pass()
    bench.until(job_id, state)
    record = bench.store.get(job_id)
    assert (record.ids.run, record.proposed_run) == ("run-lost" if state is JobState.SUCCEEDED else None, "")
    assert ("was not started for this job" in record.error) is (state is JobState.NEEDS_YOU)


def test_a_pause_between_the_intent_and_the_call_is_honoured(bench):
    job_id = bench.launch()
    right = bench.store.put

    def put(record, blobs=()):
        if record.phase is Phase.INTENT and record.step is Step.RUN:
            bench.store.set_paused("ben")
        return right(record, blobs)

    bench.store.put = put
    bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert (record.step, record.phase, bench.runner.count("run", record.token)) == (Step.RUN, Phase.READY, 0)
    bench.store.put = right
    bench.store.set_paused("")
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.clock.s < 60.0


@pytest.mark.parametrize("fault", [None, PlatformError("rubbish"), ZeroDivisionError("a fault")])
def test_the_log_is_kept_before_a_cancellation_takes_the_run_away(bench, fault):
    job_id = bench.launch()
    bench.runner.log, bench.runner.run_s = b"x" * 300_000 + b"the end of ", 1e9
    bench.until(job_id, JobState.RUNNING)
    if fault is not None:

        def read_log(run_id, limit):
            raise fault

        bench.runner.read_log = read_log
    submission.cancel(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.CANCELLED)
    record = bench.store.get(job_id)
    log = bench.store.kept_log(record)
    assert log == b"" if fault is not None else log.endswith(b"xthe end of run-2")
    assert len(log) == (0 if fault is not None else 256 * 1024)
    said = [event.detail for event in record.events if event.what == "no log could be kept"]
    assert said == ([] if fault is None else ["the run run-2: it could not be read"])


@pytest.mark.parametrize(("failures", "kept"), [(2, b"the end of run-2"), (3, b"")])
def test_a_log_that_cannot_be_read_is_asked_for_a_few_times_before_its_run_is_stopped(bench, failures, kept):
    job_id = bench.launch()
    bench.runner.log, bench.runner.run_s, left = b"the end of ", 1e9, [failures]
    bench.until(job_id, JobState.RUNNING)
    right = bench.runner.read_log

    def read_log(run_id, limit):
        assert not bench.runner.stopped
        if left[0]:
            left[0] -= 1
            raise PlatformError("rubbish")
        return right(run_id, limit)

    bench.runner.read_log = read_log
    submission.cancel(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.CANCELLED, seconds=60.0)
    assert bench.store.kept_log(bench.store.get(job_id)) == kept


def test_a_run_without_a_log_is_stopped_at_once_and_the_job_says_so(bench):
    job_id = bench.launch()
    bench.runner.run_s = 1e9
    bench.until(job_id, JobState.RUNNING)
    submission.cancel(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.CANCELLED, seconds=3.0)
    [said] = [event for event in bench.store.get(job_id).events if event.what == "no log could be kept"]
    assert said.detail == "the run run-2: the platform has none yet"


@pytest.mark.parametrize("state", [JobState.PREPARING, JobState.CAPTURING])
def test_an_asset_that_does_not_get_ready_asks_its_people_once_and_goes_on_when_it_does(bench, state):
    job_id = bench.launch()
    if state is JobState.CAPTURING:
        bench.until(job_id, JobState.RUNNING)
    bench.runner.asset_state = "draft"
    bench.until(job_id, state)
    for _ in range(29):
        bench.monitor.run_pass()
        bench.clock.s += 60.0
    assert not bench.store.get(job_id).overdue
    for _ in range(10):
        bench.monitor.run_pass()
        bench.clock.s += 60.0
    record, what = bench.store.get(job_id), "manifest asset" if state is JobState.PREPARING else "result asset"
    assert (record.state, record.overdue) == (state, True)
    assert f"the {what}" in record.error
    assert "30 min" in record.error
    notices = [notice for notice in bench.store.notices(0) if notice.state == "overdue"]
    assert [notice.words for notice in notices] == [record.error]
    bench.runner.asset_state = "ready"
    bench.until(job_id, JobState.SUCCEEDED)
    assert not bench.store.get(job_id).overdue


@pytest.mark.parametrize("age_s", [0.0, 50_000.0])
def test_an_end_is_seen_within_two_looks_however_old_the_run_is(bench, age_s):
    job_id = bench.launch()
    bench.monitor = Monitor(bench.store, bench.runner, SETTINGS, poll_s=30.0, now=bench.clock, draw=lambda: 1.0)
    bench.runner.run_s = 1e9
    bench.monitor.run_pass()
    while bench.clock.s < age_s:
        bench.clock.s += 500.0
        bench.monitor.run_pass()
    bench.runner.run_s, ended_s = 0.0, bench.clock.s
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.clock.s - ended_s <= 2 * 30.0


def test_inputs_are_looked_at_more_often_than_runs(bench):
    job_id = bench.launch()
    bench.monitor = Monitor(bench.store, bench.runner, SETTINGS, poll_s=100.0, now=bench.clock, draw=lambda: 1.0)
    bench.runner.asset_state = "draft"
    bench.monitor.run_pass()
    bench.runner.asset_state = "ready"
    bench.until(job_id, JobState.RUNNING)
    assert bench.clock.s <= 15.0


def test_a_refused_capture_is_tried_again_without_another_run(bench):
    job_id = bench.launch()
    outcomes = ["made", "made", "made", "refused"]
    bench.runner.outcome = lambda _: outcomes.pop(0) if outcomes else "made"
    bench.until(job_id, JobState.FAILED)
    submission.retry(bench.store, job_id, "ben", START)
    bench.until(job_id, JobState.SUCCEEDED)
    assert bench.runner.count("run", bench.store.get(job_id).token) == 1


def test_a_long_run_is_marked_once_and_goes_on(bench):
    job_id = bench.launch()
    bench.runner.run_s = 5 * 3600.0
    bench.monitor.run_pass()
    for _ in range(40):
        bench.clock.s += 600
        bench.monitor.run_pass()
    record = bench.store.get(job_id)
    assert [event.what for event in record.events].count("overdue") == 1
    bench.until(job_id, JobState.SUCCEEDED)


def test_a_run_that_vanished_is_counted_by_what_it_left(bench):
    job_id = bench.launch()
    bench.runner.end, bench.runner.delivered = (RunState.GONE, None), 1
    bench.runner.run_s = 3.0
    bench.until(job_id, JobState.INCOMPLETE)
    assert bench.store.get(job_id).coverage.delivered == 1


def test_an_unreadable_job_is_reported_and_left_alone(bench):
    bad, good = bench.launch("d1"), bench.launch("d2")
    with bench.store._db.write() as turn:
        turn.set(f"job/{bad}", {"v": 99})
    bench.until(good, JobState.SUCCEEDED)
    assert any("newer program" in words for words in bench.store.worker_status().errors)
