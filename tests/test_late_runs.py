"""A run that shows only when its job has given it up: the page and a notice tell it, with what it has cost."""

from __future__ import annotations

import pytest

from core.errors import NotAllowedError
from core.platforms.base import DIRECT, MONITORED
from dashboard.job_words import trouble
from dashboard.news import notice_words
from jobs import second_tries, submission
from jobs.aftercare import check_up
from jobs.launches import open_launch
from jobs.records import JobRecord, JobState, Step
from jobs.submission import Choice
from tests.code_ocean_jobs import Bench, bench

HOUR_S, MINUTE_S, DAY_S = 3600.0, 60.0, 86400.0
NEVER_S = 1e9


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data") as made:
        yield made


def hide(jobs: Bench, *runs: str, seconds: float = NEVER_S) -> None:
    """Neither lists nor its own address show a run for so long."""
    for run_id in runs:
        run = jobs.fake.world.computations[run_id]
        run.visible = run.found = jobs.fake.world.now() + seconds


def hide_new(jobs: Bench) -> None:
    """Every run that is started from now on is hidden."""
    jobs.fake.timing.listing_lag_s = jobs.fake.timing.get_lag_s = NEVER_S


def show(jobs: Bench, *runs: str) -> None:
    hide(jobs, *runs, seconds=0.0)


def lose_starts(jobs: Bench, times: int) -> None:
    """The next starts are made, their answers lost, and no list shows them."""
    hide_new(jobs)
    jobs.fake.faults.add("reset_after", method="POST", endpoint="computations", times=times)


def told(jobs: Bench, job_id: str) -> tuple[str, list[str]]:
    """What the Jobs page says is wrong, and the notices of it."""
    return trouble(jobs.record(job_id)), [notice_words(n) for n in jobs.store.notices(0) if n.job_id == job_id]


def is_told(jobs: Bench, job_id: str, run: str) -> bool:
    page, notices = told(jobs, job_id)
    return run in page and any(run in words for words in notices)


def end_waiting(jobs: Bench, job_id: str) -> None:
    jobs.until(job_id, lambda record: record.has_ended or record.state is JobState.NEEDS_YOU, step_s=30.0)


def fail_with_a_hidden_conversion(jobs: Bench) -> tuple[JobRecord, str]:
    """A failed job whose monitor has started a conversion that does not show, and died; and that conversion."""
    jobs.fake.timing.run_s = HOUR_S
    record = jobs.until(jobs.launch(route=MONITORED), lambda r: r.step is Step.WATCH and r.ids.run is not None)
    hide_new(jobs)
    jobs.run_for(MINUTE_S)
    [monitor, child] = jobs.made("run")
    hide(jobs, child)
    world = jobs.fake.world
    world.computations[monitor].state, world.computations[monitor].end_status = "completed", "failed"
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=30.0)
    return record, child


def fail_with_a_kept_result(jobs: Bench) -> tuple[JobRecord, str]:
    """A failed job of whose runs none shows, and the result that the monitor, which saw its run, has kept of it."""
    jobs.fake.timing.run_s = HOUR_S
    record = jobs.until(jobs.launch(route=MONITORED), lambda r: bool(r.remote.child))
    jobs.run_for(2 * MINUTE_S)
    hide(jobs, *jobs.made("run"))
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=30.0)
    name = open_launch(jobs.store, record).capture_request.name
    return record, jobs.fake.add_asset(name, files={"a": b"b"}, tags=(record.token,))


# --- a run that the job knew ------------------------------------------------------------------------


@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_run_that_ended_well_while_nobody_saw_it_is_told_with_what_it_cost(jobs, route):
    jobs.fake.timing.run_s = 2 * HOUR_S
    record = jobs.until(jobs.launch(route=route), lambda r: r.step is Step.WATCH and bool(r.conversion_run))
    hide(jobs, *jobs.made("run"))
    failed = jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    run = failed.conversion_run
    jobs.run_for(5 * HOUR_S, step_s=300.0)
    assert not any("turned up" in words for words in told(jobs, record.id)[1])
    jobs.restart()
    show(jobs, *jobs.made("run"))
    jobs.run_for(6 * HOUR_S, step_s=300.0)
    page, notices = told(jobs, record.id)
    assert f"{run}, finished, exit code 0" in page
    assert "It has run for 120 min. It has cost what it ran." in page
    [notice] = [words for words in notices if run in words]
    assert "turned up late" in notice
    assert "120 min" in notice
    after = jobs.record(record.id)
    assert (after.state, after.ended) == (JobState.FAILED, failed.ended)
    jobs.run_for(3 * DAY_S, step_s=1800.0)
    assert len([words for words in told(jobs, record.id)[1] if run in words]) == 1


def test_a_run_that_still_goes_on_is_told_and_its_end_too(jobs):
    jobs.fake.timing.run_s = 6 * HOUR_S
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    hide(jobs, record.ids.run)
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    show(jobs, record.ids.run)
    jobs.run_for(2 * HOUR_S, step_s=60.0)
    assert "It goes on and costs until it ends" in told(jobs, record.id)[0]
    assert jobs.made("delete_run") == [], "it may be wanted"
    jobs.run_for(18 * HOUR_S, step_s=600.0)
    assert "It has run for 360 min. It has cost what it ran." in told(jobs, record.id)[0]
    assert len([words for words in told(jobs, record.id)[1] if record.ids.run in words]) == 2


def test_a_run_that_did_not_show_when_it_was_cancelled_is_stopped_when_it_does(jobs):
    jobs.fake.timing.run_s = NEVER_S
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.run_for(HOUR_S, step_s=60.0)
    hide(jobs, record.ids.run)
    jobs.run_for(10 * MINUTE_S, step_s=30.0)
    submission.cancel(jobs.store, record.id, "ben", jobs.clock().at)
    jobs.until(record.id, JobState.CANCELLED)
    jobs.run_for(4 * HOUR_S, step_s=300.0)
    assert record.ids.run in jobs.fake.world.computations
    show(jobs, record.ids.run)
    jobs.run_for(5 * HOUR_S, step_s=300.0)
    assert jobs.fake.world.computations == {}
    assert is_told(jobs, record.id, record.ids.run)


def test_a_conversion_that_no_monitor_was_known_to_have_started_is_told(jobs):
    record, child = fail_with_a_hidden_conversion(jobs)
    jobs.run_for(10 * HOUR_S, step_s=300.0)
    show(jobs, child)
    jobs.run_for(12 * HOUR_S, step_s=300.0)
    assert is_told(jobs, record.id, child)


def test_a_result_that_the_monitor_kept_of_a_job_that_had_ended_without_it_is_told(jobs):
    record, kept = fail_with_a_kept_result(jobs)
    jobs.run_for(3 * HOUR_S, step_s=300.0)
    assert is_told(jobs, record.id, kept)
    assert "kept by the monitor and not counted" in told(jobs, record.id)[0]


# --- a start that nobody confirmed ------------------------------------------------------------------


def test_a_first_run_that_shows_a_day_after_the_second_one_is_told(jobs):
    lose_starts(jobs, 1)
    job_id = jobs.launch()
    jobs.until(job_id, lambda record: record.step is Step.WATCH, step_s=30.0)
    [lost, ours] = jobs.made("run")
    show(jobs, ours)
    record = jobs.until(job_id, JobState.SUCCEEDED, step_s=10.0)
    assert record.ids.run == ours
    jobs.run_for(DAY_S, step_s=600.0)
    show(jobs, lost)
    jobs.run_for(DAY_S, step_s=600.0)
    assert is_told(jobs, job_id, lost)
    assert "finished, exit code 0" in told(jobs, job_id)[0]
    assert jobs.record(job_id).state is JobState.SUCCEEDED


@pytest.mark.parametrize("choice", [Choice.START_AGAIN, Choice.GIVE_UP, None])
def test_runs_that_show_long_after_a_person_was_asked_are_told_whatever_was_decided(jobs, choice):
    lose_starts(jobs, 2)
    job_id = jobs.launch()
    jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    lost = jobs.made("run")
    jobs.run_for(10 * HOUR_S, step_s=300.0)
    if choice is not None:
        submission.resolve(jobs.store, job_id, choice, "ben", jobs.clock().at)
        jobs.fake.timing.listing_lag_s = jobs.fake.timing.get_lag_s = 0.0
        jobs.until(job_id, lambda record: record.has_ended, step_s=30.0)
        jobs.run_for(10 * HOUR_S, step_s=300.0)
    show(jobs, *lost)
    jobs.run_for(DAY_S, step_s=600.0)
    record = jobs.record(job_id)
    if choice is None:
        assert (record.state, record.ids.run) == (JobState.SUCCEEDED, lost[0])
        assert is_told(jobs, job_id, lost[1])
    else:
        assert all(is_told(jobs, job_id, run) for run in lost)
        ends = {Choice.START_AGAIN: JobState.SUCCEEDED, Choice.GIVE_UP: JobState.CANCELLED}
        assert record.state is ends[choice]


def test_a_run_given_up_and_launched_anew_as_another_job_is_told_of_the_job_it_belongs_to(jobs):
    jobs.fake.timing.run_s = 2 * HOUR_S
    first = jobs.until(jobs.launch(), JobState.RUNNING)
    hide(jobs, first.ids.run)
    jobs.until(first.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    second = submission.retry(jobs.store, first.id, "ben", jobs.clock().at)
    jobs.until(second.id, JobState.SUCCEEDED, seconds=DAY_S, step_s=60.0)
    show(jobs, first.ids.run)
    jobs.run_for(DAY_S, step_s=600.0)
    assert is_told(jobs, first.id, first.ids.run)
    assert trouble(jobs.record(second.id)) == ""


def test_a_start_that_was_refused_and_took_place_all_the_same_is_told(jobs):
    hide_new(jobs)
    jobs.fake.faults.add("400", method="POST", endpoint="computations", times=1)
    job_id = jobs.launch()
    record = jobs.until(job_id, JobState.FAILED)
    assert record.step is Step.RUN
    lost = jobs.runner.start_run(jobs.request(job_id))  # what the answer had denied
    jobs.run_for(10 * HOUR_S, step_s=300.0)
    show(jobs, lost)
    jobs.run_for(DAY_S, step_s=600.0)
    assert is_told(jobs, job_id, lost)


def test_a_run_started_after_the_backup_that_was_restored_is_told_of_the_failed_job(jobs):
    jobs.fake.faults.add("400", method="POST", endpoint="computations", times=1)
    job_id = jobs.launch()
    failed = jobs.until(job_id, JobState.FAILED)
    jobs.run_for(2 * HOUR_S, step_s=60.0)
    lost = jobs.runner.start_run(jobs.request(job_id))  # of the queue that is lost by now
    jobs.store.put(jobs.record(failed.id).changed(look_first=True))  # as `restore` marks it
    jobs.restart()
    jobs.run_for(HOUR_S, step_s=60.0)
    assert is_told(jobs, job_id, lost)


# --- going on from what turned up -------------------------------------------------------------------


def followed(jobs: Bench, job_id: str) -> None:
    """The job as it ends when a person lets it go on from what turned up; nothing is started for it."""
    failed = jobs.record(job_id)
    assert second_tries.follows_run(failed)
    assert not second_tries.starts_run(failed)
    assert "Follow its run takes it up" in trouble(failed)
    started = jobs.made("run")
    assert submission.retry(jobs.store, job_id, "ben", jobs.clock().at).id == job_id
    jobs.until(job_id, lambda record: record.has_ended, seconds=DAY_S, step_s=30.0)
    jobs.run_for(3 * HOUR_S, step_s=600.0)
    assert jobs.made("run") == started
    assert "turned up" not in trouble(jobs.record(job_id))


@pytest.mark.parametrize(("route", "shown_after_s"), [(DIRECT, 10 * MINUTE_S), (MONITORED, 5 * HOUR_S)])
def test_a_failed_job_goes_on_from_its_run_while_it_runs_and_after_it_ended(jobs, route, shown_after_s):
    jobs.fake.timing.run_s = 4 * HOUR_S
    record = jobs.until(jobs.launch(route=route), lambda r: r.step is Step.WATCH and bool(r.conversion_run))
    hide(jobs, *jobs.made("run"))
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    jobs.run_for(shown_after_s, step_s=60.0)
    show(jobs, *jobs.made("run"))
    jobs.run_for(6 * HOUR_S, step_s=60.0)
    followed(jobs, record.id)
    after = jobs.record(record.id)
    assert (after.state, after.coverage.delivered) == (JobState.SUCCEEDED, after.coverage.asked)
    assert len(jobs.made("capture")) == 1
    assert trouble(after) == ""


def test_a_failed_job_goes_on_from_a_start_that_was_refused_and_took_place(jobs):
    hide_new(jobs)
    jobs.fake.faults.add("400", method="POST", endpoint="computations", times=1)
    job_id = jobs.launch()
    jobs.until(job_id, JobState.FAILED)
    assert second_tries.starts_run(jobs.record(job_id))
    lost = jobs.runner.start_run(jobs.request(job_id))
    jobs.run_for(10 * HOUR_S, step_s=300.0)
    show(jobs, lost)
    jobs.run_for(DAY_S, step_s=600.0)
    followed(jobs, job_id)
    after = jobs.record(job_id)
    assert (after.state, after.ids.run) == (JobState.SUCCEEDED, lost)


def test_a_failed_job_goes_on_from_a_conversion_that_no_monitor_was_known_to_have_started(jobs):
    record, child = fail_with_a_hidden_conversion(jobs)
    show(jobs, child)
    jobs.run_for(12 * HOUR_S, step_s=300.0)
    followed(jobs, record.id)
    after = jobs.record(record.id)
    assert (after.state, after.remote.child) == (JobState.SUCCEEDED, child)


def test_a_failed_job_counts_the_result_that_the_monitor_kept_and_keeps_no_other(jobs):
    record, kept = fail_with_a_kept_result(jobs)
    jobs.run_for(3 * HOUR_S, step_s=300.0)
    show(jobs, *jobs.made("run"))
    jobs.run_for(6 * HOUR_S, step_s=300.0)
    followed(jobs, record.id)
    after = jobs.record(record.id)
    assert (after.ids.result, after.state) == (kept, JobState.INCOMPLETE), "it holds none of the rows"
    assert jobs.made("capture") == []


def test_a_mapping_that_was_launched_anew_meanwhile_is_not_followed_a_second_time(jobs):
    jobs.fake.timing.run_s = 2 * HOUR_S
    plan = jobs.plan()
    record = jobs.until(jobs.launch(plan), JobState.RUNNING)
    hide(jobs, record.ids.run)
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    again = jobs.launch(plan)
    show(jobs, record.ids.run)
    jobs.run_for(HOUR_S, step_s=60.0)
    with pytest.raises(NotAllowedError, match="by now"):
        submission.retry(jobs.store, record.id, "ben", jobs.clock().at)
    jobs.until(again, JobState.SUCCEEDED, seconds=DAY_S, step_s=60.0)
    assert jobs.record(record.id).state is JobState.FAILED


def test_a_job_from_a_backup_is_not_deprived_of_the_run_that_was_started_since(jobs):
    jobs.fake.timing.asset_s = MINUTE_S
    job_id = jobs.launch()
    jobs.until(job_id, lambda record: record.step is Step.INPUTS_READY)
    jobs.clock.s += 2 * MINUTE_S
    run = jobs.runner.start_run(jobs.request(job_id))  # of the queue that is lost by now
    jobs.store.put(jobs.record(job_id).changed(look_first=True))  # as `restore` marks it
    jobs.restart()
    [checkup] = jobs.store.checkups()
    check_up(jobs.store, jobs.runner, checkup, jobs.clock(), stop_twins=True, find_again_s=0.0)
    after = jobs.until(job_id, lambda record: record.has_ended, seconds=DAY_S, step_s=30.0)
    assert (after.state, after.ids.run) == (JobState.SUCCEEDED, run)
    assert jobs.made("run") == [run]
    assert run not in after.surplus


# --- what it costs ----------------------------------------------------------------------------------


def test_looking_for_what_was_given_up_is_seldom_and_ends(jobs, tell):
    jobs.fake.timing.run_s = HOUR_S
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    hide(jobs, record.ids.run)
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=60.0)
    asked = len(jobs.fake.requests)
    jobs.run_for(DAY_S, step_s=300.0)
    first_day = len(jobs.fake.requests) - asked
    jobs.run_for(14 * DAY_S, step_s=1800.0)
    assert jobs.store.checkups() == ()
    asked = len(jobs.fake.requests)
    jobs.run_for(DAY_S, step_s=3600.0)
    assert len(jobs.fake.requests) == asked
    tell(f"a run that was given up: {first_day} requests to look for it on the first day, none after two weeks")
    assert first_day < 60
