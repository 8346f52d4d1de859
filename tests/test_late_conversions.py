"""Through the monitor: conversions that show before, without or long after the run that started them."""

from __future__ import annotations

import pytest

from core.platforms.base import MONITORED
from dashboard.job_words import trouble
from jobs import submission
from jobs.doubts import TURNED_UP
from jobs.protocol import TWINS
from jobs.records import JobRecord, JobState, Phase, Step
from jobs.submission import Choice
from tests.code_ocean_jobs import Bench, bench
from tests.test_late_runs import DAY_S, HOUR_S, MINUTE_S, hide, hide_new, is_told, lose_starts, show


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data") as made:
        yield made


@pytest.fixture
def stopping(tmp_path):
    """A worker that is set to stop twins."""
    with bench(tmp_path / "data", stop_twins=True) as made:
        yield made


def events(record: JobRecord, what: str) -> list[str]:
    return [event.detail for event in record.events if event.what == what]


def launch_with_a_lost_start(jobs: Bench) -> str:
    """The first start never reaches the platform, so looks for twins are due while the second one begins."""
    jobs.fake.faults.add("reset_before", method="POST", endpoint="computations", times=1)
    job_id = jobs.launch(route=MONITORED)
    jobs.until(job_id, lambda record: record.phase is Phase.SETTLING and record.step is Step.RUN)
    return job_id


# --- a look for twins before the conversion is known ------------------------------------------------


@pytest.mark.parametrize("init_s", [5.0, 25.0, 45.0, 228.0])
@pytest.mark.parametrize("stop_twins", [False, True])
def test_a_look_for_twins_takes_the_first_conversion_for_none(tmp_path, init_s, stop_twins):
    with bench(tmp_path / "data", stop_twins=stop_twins) as jobs:
        jobs.fake.timing.run_s, jobs.fake.timing.init_s = HOUR_S, init_s
        job_id = launch_with_a_lost_start(jobs)
        jobs.monitor._draw = lambda: 0.9  # looks at runs are further apart than looks for twins
        jobs.run_for(HOUR_S)
        record = jobs.until(job_id, JobState.SUCCEEDED, seconds=DAY_S, step_s=30.0)
        assert [record.ids.run, record.remote.child] == jobs.made("run")
        assert (jobs.made("delete_run"), trouble(record)) == ([], "")


def test_a_conversion_hidden_until_its_job_had_failed_is_told_and_not_stopped_as_a_twin(stopping):
    jobs = stopping
    jobs.fake.timing.init_s, jobs.fake.timing.run_s = 600.0, 3 * DAY_S
    record = jobs.until(jobs.launch(route=MONITORED), lambda r: r.step is Step.WATCH and r.ids.run is not None)
    hide_new(jobs)
    hide(jobs, *jobs.made("run"))
    jobs.until(record.id, JobState.FAILED, seconds=DAY_S, step_s=30.0)
    jobs.run_for(3 * HOUR_S, step_s=60.0)
    [monitor, conversion] = jobs.made("run")
    show(jobs, monitor, conversion)
    jobs.run_for(12 * HOUR_S, step_s=300.0)
    after = jobs.record(record.id)
    assert is_told(jobs, record.id, conversion)
    assert (after.state, after.remote.child) == (JobState.FAILED, conversion)
    assert (events(after, TWINS), jobs.made("delete_run")) == ([], [])
    jobs.run_for(3 * DAY_S, step_s=1800.0)
    assert [words for words in events(jobs.record(record.id), TURNED_UP) if f"{conversion}, finished" in words]


@pytest.mark.parametrize("route", ["direct", MONITORED])
def test_the_only_run_of_a_failed_job_is_never_stopped_as_a_twin(stopping, route):
    jobs = stopping
    hide_new(jobs)
    jobs.fake.timing.run_s = 5 * HOUR_S
    jobs.fake.faults.add("400", method="POST", endpoint="computations", times=1)
    job_id = jobs.launch(route=route)
    jobs.until(job_id, JobState.FAILED)
    jobs.runner.start_run(jobs.request(job_id))  # what the answer had denied
    jobs.run_for(HOUR_S, step_s=60.0)
    runs = jobs.made("run")
    show(jobs, *runs)
    jobs.run_for(DAY_S, step_s=600.0)
    assert all(is_told(jobs, job_id, run) for run in runs)
    assert (jobs.record(job_id).state, jobs.made("delete_run")) == (JobState.FAILED, [])


# --- a conversion that shows before its monitor -----------------------------------------------------


def test_a_conversion_that_shows_while_a_person_is_asked_is_told_and_followed_once_its_monitor_shows(jobs):
    jobs.fake.timing.run_s = 2 * DAY_S
    lose_starts(jobs, 2)
    job_id = jobs.launch(route=MONITORED)
    jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    [monitor, conversion, second, other] = jobs.made("run")
    show(jobs, conversion)
    jobs.run_for(DAY_S, step_s=600.0)
    assert jobs.record(job_id).state is JobState.NEEDS_YOU
    assert is_told(jobs, job_id, conversion)
    show(jobs, monitor)
    jobs.until(job_id, JobState.SUCCEEDED, seconds=4 * DAY_S, step_s=600.0)
    record = jobs.record(job_id)
    assert (record.ids.run, record.remote.child) == (monitor, conversion)
    show(jobs, second, other)
    jobs.run_for(2 * DAY_S, step_s=600.0)
    assert is_told(jobs, job_id, second)
    assert is_told(jobs, job_id, other)


def lose_the_monitor(jobs: Bench) -> tuple[str, str]:
    """A start whose answer is lost, and whose monitor somebody deletes; its conversion goes on and shows."""
    jobs.fake.timing.run_s = 5 * HOUR_S
    lose_starts(jobs, 1)
    job_id = jobs.launch(route=MONITORED)
    jobs.until(job_id, lambda record: record.phase is Phase.SETTLING and record.step is Step.RUN)
    jobs.run_for(MINUTE_S)
    monitor, conversion = jobs.made("run")
    del jobs.fake.world.computations[monitor]
    show(jobs, conversion)
    jobs.fake.timing.listing_lag_s = jobs.fake.timing.get_lag_s = 0.0
    return job_id, conversion


def test_nothing_is_sent_again_while_the_conversion_of_a_lost_start_shows_and_it_can_be_named(jobs):
    job_id, conversion = lose_the_monitor(jobs)
    record = jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    assert f"the conversion {conversion} shows" in record.error
    assert "name that conversion to go on with it" in record.error
    assert len(jobs.made("run")) == 2
    submission.resolve(jobs.store, job_id, Choice.LOOK_AGAIN, "ben", jobs.clock().at)
    jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    submission.attach(jobs.store, job_id, conversion, "ben", jobs.clock().at)
    record = jobs.until(job_id, JobState.SUCCEEDED, seconds=DAY_S, step_s=60.0)
    assert (record.conversion_run, record.coverage.delivered) == (conversion, 2)
    assert (len(jobs.made("run")), len(jobs.made("capture")), trouble(record)) == (2, 1, "")


def test_a_conversion_seen_once_keeps_its_start_from_being_sent_again_though_it_is_hidden_since(jobs):
    job_id, conversion = lose_the_monitor(jobs)
    jobs.until(job_id, lambda record: record.remote.child == conversion)
    hide(jobs, conversion)
    jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    assert len(jobs.made("run")) == 2


@pytest.mark.parametrize("when", ["looking", "asked"])
def test_giving_up_stops_the_conversion_whose_monitor_does_not_show(jobs, when):
    job_id, conversion = lose_the_monitor(jobs)
    if when == "asked":
        jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
        submission.resolve(jobs.store, job_id, Choice.GIVE_UP, "ben", jobs.clock().at)
    else:
        jobs.until(job_id, lambda record: record.remote.child == conversion)
        submission.cancel(jobs.store, job_id, "ben", jobs.clock().at)
    jobs.until(job_id, JobState.CANCELLED)
    assert (jobs.made("delete_run"), jobs.fake.world.computations) == ([conversion], {})


def test_started_anew_on_purpose_the_new_conversion_is_followed_and_the_old_one_told(jobs):
    job_id, conversion = lose_the_monitor(jobs)
    jobs.until(job_id, JobState.NEEDS_YOU, step_s=30.0)
    submission.resolve(jobs.store, job_id, Choice.START_AGAIN, "ben", jobs.clock().at)
    record = jobs.until(job_id, JobState.SUCCEEDED, seconds=DAY_S, step_s=60.0)
    assert [record.ids.run, record.remote.child] == jobs.made("run")[2:]
    assert conversion in record.surplus
    assert conversion in trouble(record)
