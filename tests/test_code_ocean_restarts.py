"""What the worker concludes from lists and records that lag behind, also when it has just begun and knows nothing."""

from __future__ import annotations

import pytest

from core.errors import PlatformError
from core.platforms.base import DIRECT, MONITORED, RunKey
from jobs import submission
from jobs.records import JobState, Phase, Step
from tests.code_ocean_jobs import bench
from tests.fake_code_ocean_state import CONVERTER, Outcome

HOUR_S, MINUTE_S = 3600.0, 60.0


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data") as made:
        yield made


def events(record) -> list[str]:
    return [event.what for event in record.events]


# --- the newest run that is known -------------------------------------------------------------------


def cut_list(jobs, *hidden: str) -> None:
    """The list of every capsule lacks these runs for good, as a list that ends too early would."""
    for run_id in hidden:
        jobs.fake.world.computations[run_id].visible = float("inf")


@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_new_worker_does_not_believe_a_list_without_the_newest_run_of_the_queue(jobs, route):
    first = jobs.until(jobs.launch(route=route), JobState.SUCCEEDED)
    newest = jobs.until(jobs.launch(route=route), JobState.SUCCEEDED)
    cut_list(jobs, newest.ids.run, *filter(None, [newest.remote.child]))
    for _ in range(2):
        key = RunKey("tokenofjob000001", route=route)
        with pytest.raises(PlatformError, match=f"out of date: it lacks the run {newest.ids.run}"):
            jobs.runner.find_runs(key)
        if route == MONITORED:
            with pytest.raises(PlatformError, match=f"out of date: it lacks the run {newest.remote.child}"):
                jobs.runner.find_children(key)
        jobs.restart()
        jobs.clock.s += 10.0
    assert first.ids.run != newest.ids.run


def test_a_start_whose_answer_was_lost_is_not_repeated_on_the_word_of_a_list_that_ends_too_early(jobs):
    jobs.until(jobs.launch(), JobState.SUCCEEDED)
    newest = jobs.until(jobs.launch(), JobState.SUCCEEDED)
    jobs.restart()
    cut_list(jobs, newest.ids.run)
    jobs.fake.timing.listing_lag_s = 1e9
    jobs.fake.faults.add("reset_after", method="POST", endpoint="computations")
    job_id = jobs.launch()
    jobs.run_for(3 * HOUR_S, step_s=60.0)
    record = jobs.record(job_id)
    assert len(jobs.made("run")) == 3
    assert (record.step, record.phase) == (Step.RUN, Phase.SETTLING)
    assert "out of date" in record.error
    for run in jobs.fake.world.computations.values():
        run.visible = 0.0
    jobs.until(job_id, JobState.SUCCEEDED)
    assert len(jobs.made("run")) == 3


def test_a_run_that_was_cancelled_or_deleted_is_expected_in_no_list(jobs):
    jobs.fake.timing.run_s = 1e6
    cancelled, deleted = (jobs.until(jobs.launch(), JobState.RUNNING) for _ in range(2))
    submission.cancel(jobs.store, cancelled.id, "ben", jobs.clock().at)
    jobs.until(cancelled.id, JobState.CANCELLED)
    del jobs.fake.world.computations[deleted.ids.run]
    jobs.run_for(2 * HOUR_S, step_s=60.0)
    assert jobs.record(deleted.id).state is JobState.FAILED
    jobs.restart()
    assert jobs.runner.find_runs(RunKey("tokenofjob000001")) == ()


# --- a run that is known and does not show ----------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_paid_run_that_does_not_show_yet_is_not_given_up(jobs, route, restarts):
    jobs.fake.timing.run_s, jobs.fake.timing.listing_lag_s, jobs.fake.timing.get_lag_s = 40 * MINUTE_S, 1500.0, 1500.0
    job_id = jobs.launch(route=route)
    jobs.until(job_id, JobState.RUNNING)
    for _ in range(20):
        jobs.run_for(MINUTE_S, step_s=20.0)
        if restarts:
            jobs.restart()
    assert jobs.record(job_id).state is JobState.RUNNING
    record = jobs.until(job_id, JobState.SUCCEEDED)
    assert len(jobs.made("run")) == (1 if route == DIRECT else 2)
    assert jobs.made("capture") == [record.ids.result]


def test_a_run_that_was_seen_and_then_not_for_a_while_goes_on(jobs):
    jobs.fake.timing.run_s = 5 * HOUR_S
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.run_for(2 * HOUR_S, step_s=60.0)
    run = jobs.fake.world.computations.pop(record.ids.run)
    jobs.run_for(34 * MINUTE_S, step_s=30.0)
    waiting = jobs.record(record.id)
    assert waiting.state is JobState.RUNNING
    assert "does not show the run" in waiting.remote.detail
    jobs.fake.world.computations[run.id] = run
    jobs.run_for(2 * MINUTE_S)
    assert jobs.record(record.id).remote.since is None
    jobs.until(record.id, JobState.SUCCEEDED, seconds=6 * HOUR_S, step_s=30.0)
    assert len(jobs.made("run")) == 1


def test_a_run_that_somebody_deleted_is_gone_after_several_looks_over_the_window(jobs):
    jobs.fake.timing.run_s = 1e6
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.run_for(HOUR_S, step_s=60.0)
    del jobs.fake.world.computations[record.ids.run]
    began_s = jobs.clock.s
    ended = jobs.until(record.id, JobState.FAILED)
    assert "gone" in ended.error
    assert 35 * MINUTE_S <= jobs.clock.s - began_s < 37 * MINUTE_S


def test_a_run_that_does_not_show_is_not_taken_for_stopped(jobs):
    jobs.fake.timing.run_s, jobs.fake.timing.listing_lag_s, jobs.fake.timing.get_lag_s = 1e6, 900.0, 900.0
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.restart()
    submission.cancel(jobs.store, record.id, "ben", jobs.clock().at)
    jobs.run_for(10 * MINUTE_S, step_s=20.0)
    assert jobs.record(record.id).state is JobState.CANCELLING
    jobs.until(record.id, JobState.CANCELLED)
    assert jobs.fake.world.computations == {}


# --- results that show late -------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_good_run_whose_results_show_late_is_kept_and_counted(jobs, route, restarts):
    jobs.fake.timing.results_lag_s = 8 * MINUTE_S
    job_id = jobs.launch(route=route)
    jobs.until(job_id, JobState.VERIFYING)
    jobs.run_for(MINUTE_S)
    if restarts:
        jobs.restart()
    record = jobs.until(job_id, JobState.SUCCEEDED)
    assert record.coverage.delivered == 2
    assert len(jobs.made("capture")) == 1


def test_a_good_run_that_never_shows_results_fails_after_some_minutes_and_says_how_often_it_looked(jobs):
    jobs.fake.timing.results_lag_s = 1e9
    job_id = jobs.launch()
    jobs.until(job_id, JobState.VERIFYING)
    began_s = jobs.clock.s
    record = jobs.until(job_id, JobState.FAILED)
    assert 10 * MINUTE_S <= jobs.clock.s - began_s < 14 * MINUTE_S
    assert "left no results in" in record.error


def test_a_run_that_crashed_and_left_nothing_fails_at_once(jobs):
    jobs.fake.set_outcome(Outcome("failed"))
    job_id = jobs.launch()
    jobs.until(job_id, JobState.FAILED, seconds=60.0)


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_run_that_could_not_be_named_at_once_is_named_later(jobs, route):
    jobs.fake.timing.run_s = 1000.0
    jobs.fake.faults.add("503", method="PATCH", endpoint="computations/{id}", times=5)
    job_id = jobs.launch(route=route)
    jobs.until(job_id, JobState.RUNNING)
    jobs.run_for(500.0)
    token = jobs.record(job_id).token
    runs = jobs.fake.world.computations.values()
    assert [token in run.name for run in runs] == [True] * (1 if route == DIRECT else 2)
    named = jobs.fake.count("PATCH", "computations/{id}")
    jobs.run_for(200.0)
    assert jobs.fake.count("PATCH", "computations/{id}") == named


def test_a_run_that_has_ended_at_the_first_look_is_named_all_the_same(jobs):
    jobs.fake.faults.add("503", method="PATCH", endpoint="computations/{id}", times=2)
    record = jobs.until(jobs.launch(), JobState.SUCCEEDED)
    [run] = jobs.fake.world.computations.values()
    assert record.token in run.name


def test_a_run_that_can_never_be_named_is_asked_so_only_so_often(jobs):
    jobs.fake.timing.run_s = 2 * HOUR_S
    jobs.fake.faults.add("503", method="PATCH", endpoint="computations/{id}", times=None)
    jobs.until(jobs.launch(), JobState.SUCCEEDED, step_s=20.0)
    assert jobs.fake.count("PATCH", "computations/{id}") == 20


# --- logs -------------------------------------------------------------------------------------------


def test_the_log_of_a_run_is_kept_before_it_is_deleted(jobs):
    jobs.fake.set_outcome(Outcome("hang"))
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    submission.cancel(jobs.store, record.id, "ben", jobs.clock().at)
    ended = jobs.until(record.id, JobState.CANCELLED)
    assert jobs.store.kept_log(ended) == b"Data converter has started\n"
    assert "no log could be kept" not in events(ended)


def test_both_logs_are_kept_before_a_monitor_and_its_conversion_are_deleted(jobs):
    jobs.fake.set_outcome(Outcome("hang"), CONVERTER)
    job_id = jobs.launch(route=MONITORED)
    record = jobs.until(job_id, lambda record: bool(record.remote.child))
    submission.cancel(jobs.store, job_id, "ben", jobs.clock().at)
    log = jobs.store.kept_log(jobs.until(job_id, JobState.CANCELLED)).decode()
    assert f"--- log of the monitor's run {record.ids.run} ---\nPipeline monitor has started\n" in log
    assert log.endswith(f"--- log of the conversion {record.remote.child} ---\nData converter has started\n")
    assert jobs.fake.world.computations == {}


@pytest.mark.parametrize("times", [3, None])
def test_a_log_that_cannot_be_read_delays_the_deletion_a_little_and_is_told_as_missing(jobs, times):
    jobs.fake.set_outcome(Outcome("hang"))
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.fake.faults.add("500", endpoint="computations/{id}/results/urls", times=times)
    submission.cancel(jobs.store, record.id, "ben", jobs.clock().at)
    ended = jobs.until(record.id, JobState.CANCELLED, seconds=120.0)
    assert bool(jobs.store.kept_log(ended)) is (times is not None)
    assert ("no log could be kept" in events(ended)) is (times is None)


# --- unsafe settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "told"), [(35.0, False), (5.0, True)])
def test_the_worker_tells_of_a_settle_window_that_is_too_short(tmp_path, minutes, told):
    with bench(tmp_path / "data", run_settle_minutes=minutes) as jobs:
        jobs.monitor.run_pass()
        words = [error for error in jobs.store.worker_status().errors if "TRACKMAPPER_RUN_SETTLE_MINUTES" in error]
        assert len(words) == told


# --- nobody works -----------------------------------------------------------------------------------


def test_a_monitored_launch_is_run_and_kept_while_no_worker_lives(jobs):
    jobs.fake.timing.run_s, jobs.fake.timing.asset_s = 30 * MINUTE_S, 20.0
    job_id = jobs.launch(route=MONITORED)
    started = jobs.until(job_id, JobState.RUNNING)
    asked = jobs.fake.count()
    for _ in range(6 * 60):  # hours in which nobody asks anything
        jobs.clock.s += MINUTE_S
        jobs.fake.advance()
    assert jobs.fake.count() == asked
    [kept] = jobs.fake.effects("capture")
    assert kept.by == started.ids.run
    jobs.restart()
    record = jobs.until(job_id, JobState.SUCCEEDED, seconds=300.0)
    assert (record.ids.result, record.coverage.delivered) == (kept.id, 2)
    assert len(jobs.made("run")) == 2
    assert len(jobs.made("capture")) == 1
