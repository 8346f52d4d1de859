"""Code Ocean, settings and people change under a job: it goes on with what was confirmed, or waits and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import PlatformError, RefusedError
from core.platforms.base import DIRECT, MONITORED, RunKey, RunState
from core.platforms.code_ocean.launch_checks import Capsules, run_params
from core.platforms.code_ocean.records import computation_of
from jobs import submission
from jobs.backup import restore_backup, write_backup
from jobs.monitor import Monitor
from jobs.records import JobState, Phase, RemoteRun, Step
from jobs.store import JobStore
from tests.code_ocean_jobs import VERSION, bench
from tests.fake_code_ocean_state import CONVERTER, FakeCapsule, Outcome
from tests.job_records import START

OTHER = "c0ffee00-0000-4000-8000-000000000001"


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path) as made:
        yield made


def set_to_another_converter(jobs):
    """The worker is started again, set to a capsule that takes just the same."""
    jobs.fake.add_capsule(FakeCapsule(OTHER, "Another converter", "1234567"))
    jobs.settings = jobs.settings.model_copy(update={"converter_capsule": OTHER})
    jobs.restart()


def set_to_another_monitor(jobs):
    """Likewise, to another monitor."""
    jobs.fake.add_capsule(FakeCapsule(OTHER, "Another monitor", "1234567"))
    jobs.settings = jobs.settings.model_copy(update={"monitor_capsule": OTHER})
    jobs.restart()


def capsules_run(jobs):
    return [effect.details["capsule"] for effect in jobs.fake.effects("run")]


# --- settings ---------------------------------------------------------------------------------------


def test_a_job_never_runs_on_a_capsule_that_was_set_after_its_launch(jobs):
    jobs.fake.timing.asset_s = 60.0
    job_id = jobs.launch()
    jobs.until(job_id, lambda record: record.step is Step.INPUTS_READY)
    set_to_another_converter(jobs)
    record = jobs.until(job_id, JobState.FAILED)
    assert capsules_run(jobs) == []
    assert f"asks for the capsule {CONVERTER}, this worker runs {OTHER}" in record.error


def test_a_job_waits_for_a_worker_of_its_own_platform(jobs, tmp_path):
    jobs.fake.timing.run_s = 300.0
    job_id = jobs.launch()
    jobs.until(job_id, JobState.RUNNING)
    with bench(tmp_path / "elsewhere") as elsewhere:
        there = elsewhere.runner
        monitor = Monitor(jobs.store, there, jobs.settings, now=jobs.clock, draw=lambda: 0.5)
        for _ in range(200):
            monitor.run_pass()
            jobs.clock.s += 30.0
        record = jobs.record(job_id)
        assert record.state is JobState.RUNNING
        assert "waits for a worker that is set to the same" in record.error
        assert elsewhere.fake.count("GET", "computations/{id}") == 0
    jobs.restart()
    assert jobs.until(job_id, lambda record: record.has_ended).state is JobState.SUCCEEDED
    assert len(jobs.made("run")) == 1


@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_lost_start_is_looked_for_in_the_capsule_of_the_launch(jobs, route):
    jobs.fake.timing.run_s = 300.0
    jobs.fake.faults.add("reset_after", method="POST", endpoint="computations")
    jobs.fake.faults.add("503", endpoint="capsules/{id}/computations", times=4)
    job_id = jobs.launch(route=route)
    jobs.until(job_id, lambda record: record.phase is Phase.SETTLING and record.step is Step.RUN)
    set_to_another_converter(jobs)
    record = jobs.until(job_id, lambda record: record.has_ended)
    assert record.state is JobState.SUCCEEDED, record.error
    assert OTHER not in capsules_run(jobs)
    assert len(jobs.made("run")) == (1 if route == DIRECT else 2)


def test_a_lost_start_is_looked_for_in_the_monitor_of_the_launch_and_never_sent_to_another(jobs):
    jobs.fake.timing.run_s = 300.0
    jobs.fake.faults.add("reset_after", method="POST", endpoint="computations")
    jobs.fake.faults.add("503", endpoint="capsules/{id}/computations", times=4)
    job_id = jobs.launch(route=MONITORED)
    jobs.until(job_id, lambda record: record.phase is Phase.SETTLING and record.step is Step.RUN)
    set_to_another_monitor(jobs)
    record = jobs.until(job_id, lambda record: record.has_ended)
    assert record.state is JobState.SUCCEEDED, record.error
    assert OTHER not in capsules_run(jobs)
    assert len(jobs.made("run")) == 2, "the monitor's run and its conversion"


def test_a_job_that_was_not_started_yet_is_not_given_to_another_monitor(jobs):
    jobs.fake.timing.asset_s = 60.0
    job_id = jobs.launch(route=MONITORED)
    jobs.until(job_id, lambda record: record.step is Step.INPUTS_READY)
    set_to_another_monitor(jobs)
    record = jobs.until(job_id, JobState.FAILED)
    assert capsules_run(jobs) == []
    assert f"this worker runs {OTHER}" in record.error


# --- what Code Ocean shows late ---------------------------------------------------------------------


def test_a_look_for_another_job_does_not_make_a_run_gone_that_does_not_show_yet(jobs):
    jobs.fake.timing.run_s = 300.0
    job_id = jobs.launch()
    record = jobs.until(job_id, JobState.RUNNING)
    run = jobs.fake.world.computations.pop(record.ids.run)
    jobs.clock.s += 10
    with pytest.raises(PlatformError, match="out of date"):
        jobs.runner.find_runs(RunKey("tokenofjob000001"))
    jobs.run_for(60.0)
    assert jobs.record(job_id).state is JobState.RUNNING
    jobs.fake.world.computations[run.id] = run
    assert jobs.until(job_id, lambda record: record.has_ended).state is JobState.SUCCEEDED


def test_an_end_in_words_that_are_not_known_is_no_good_end():
    told = {"id": "r1", "created": 1, "state": "completed", "end_status": "evicted", "exit_code": 0}
    assert computation_of(told).status.state is RunState.FAILED


# --- what a capsule brings --------------------------------------------------------------------------


def test_a_capsule_that_brings_another_asset_under_a_name_of_ours_is_refused(jobs):
    request = jobs.request(jobs.launch())
    name = request.mounts[0].mount
    with pytest.raises(RefusedError, match="brings another asset"):
        run_params(request, CONVERTER, replace(Capsules(jobs.api).terms(CONVERTER, VERSION), baked_in={"x": name}))


# --- a backup ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [False, True], ids=["cancelled since", "tidied up since"])
def test_a_restored_job_whose_run_was_deleted_since_does_not_start_a_second_one_by_itself(jobs, tmp_path, ended):
    jobs.fake.timing.run_s = 60.0
    job_id = jobs.launch()
    write_backup(jobs.store, tmp_path / "b.zip", now=START)
    if ended:
        record = jobs.until(job_id, JobState.SUCCEEDED)
        jobs.runner.stop_run(record.ids.run)
    else:
        jobs.until(job_id, JobState.RUNNING)
        submission.cancel(jobs.store, job_id, "ana", jobs.clock().at)
        jobs.until(job_id, JobState.CANCELLED)
    restore_backup(tmp_path / "b.zip", tmp_path / "new", now=jobs.clock().at)
    with JobStore(tmp_path / "new") as store:
        jobs.store = store
        jobs.restart()
        record = jobs.until(job_id, lambda record: record.has_ended or record.state is JobState.NEEDS_YOU)
        assert record.state is JobState.NEEDS_YOU
        assert len(jobs.made("run")) == 1
        submission.resolve(store, job_id, submission.Choice.START_AGAIN, "ana", jobs.clock().at)
        jobs.until(job_id, JobState.SUCCEEDED)
        assert len(jobs.made("run")) == 2


def test_a_restored_job_finds_its_result_although_its_run_was_deleted_since(jobs, tmp_path):
    jobs.fake.timing.run_s = 60.0
    job_id = jobs.launch()
    jobs.until(job_id, JobState.RUNNING)
    write_backup(jobs.store, tmp_path / "b.zip", now=START)
    result = jobs.until(job_id, JobState.SUCCEEDED).ids.result
    jobs.runner.stop_run(jobs.record(job_id).ids.run)
    restore_backup(tmp_path / "b.zip", tmp_path / "new", now=jobs.clock().at)
    with JobStore(tmp_path / "new") as store:
        jobs.store = store
        jobs.restart()
        record = jobs.until(job_id, lambda record: record.has_ended)
    assert (record.state, record.ids.result) == (JobState.INCOMPLETE, result)
    assert "2 of 2 tracks delivered" in record.error
    assert len(jobs.made("capture")) == 1


# --- a monitor that started twice --------------------------------------------------------------------


@pytest.mark.parametrize(("second", "ends"), [("ok", JobState.SUCCEEDED), ("crash", JobState.INCOMPLETE)])
def test_a_result_that_a_monitor_kept_of_its_other_conversion_is_as_good_as_that_one(jobs, second, ends):
    jobs.fake.monitor.habits.twice = True
    jobs.fake.set_outcome(Outcome("ok"))
    jobs.fake.set_outcome(Outcome(second))
    jobs.fake.timing.asset_s = 60.0
    job_id = jobs.launch(route=MONITORED)

    def kept():
        return [asset for asset in jobs.fake.world.assets.values() if jobs.record(job_id).token in asset.tags][2:]

    record = jobs.until(job_id, lambda _: bool(kept()))
    assert record.state is JobState.RUNNING
    [result] = kept()
    result.provenance = {**result.provenance, "computation": jobs.made("run")[2]}
    record = jobs.until(job_id, lambda record: record.has_ended)
    assert (record.coverage.delivered, record.remote.state) == (2, "finished")
    assert (record.state, "failed, exit code 1" in record.error) == (ends, second == "crash")


# --- a cancellation ---------------------------------------------------------------------------------


def test_a_conversion_that_shows_after_its_monitor_was_cancelled_is_stopped(jobs):
    """The monitor waited for hours before it began, and started its conversion just then."""
    jobs.fake.timing.run_s = 1e6
    job_id = jobs.launch(route=MONITORED)
    record = jobs.until(job_id, lambda record: bool(record.remote.child))
    jobs.clock.s += 3 * 3600.0
    child = jobs.fake.world.computations.pop(record.remote.child)
    jobs.store.put(jobs.record(job_id).changed(remote=RemoteRun(state="running")))
    jobs.restart()
    submission.cancel(jobs.store, job_id, "ana", jobs.clock().at)
    jobs.until(job_id, JobState.CANCELLED)
    jobs.run_for(60)
    jobs.fake.world.computations[child.id] = child
    jobs.run_for(60 * 60, step_s=20)
    assert child.id not in jobs.fake.world.computations
