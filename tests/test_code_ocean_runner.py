"""Conversions on a played Code Ocean: the contract of platforms, both routes to a counted result, no twin unseen."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_contract import Place, PlatformContract

from core import manifest
from core.conversion import NeededAsset
from core.errors import NotFoundError, PlatformError, RefusedError, UnavailableError
from core.platforms.base import (
    DIRECT,
    MONITORED,
    CaptureRequest,
    InputAsset,
    Mount,
    Parameter,
    RunKey,
    RunRequest,
    RunState,
)
from core.platforms.code_ocean.launch_checks import CapsuleTerms, run_params
from core.platforms.code_ocean.monitor_settings import monitor_settings
from core.platforms.code_ocean.reader import CodeOceanReader
from core.platforms.code_ocean.runner import CodeOceanRunner
from jobs import submission
from jobs.records import JobState, Phase
from tests.code_ocean_jobs import ROWS, STATE, STITCHED, VERSION, add_mouse, bench, settings_of
from tests.code_ocean_place import code_ocean, s3_server
from tests.fake_code_ocean_state import CONVERTER, FakeCapsule, Outcome
from tests.job_records import START
from tests.local_fixtures import SORTED, STEM


@pytest.fixture
def place(monkeypatch):
    for name, value in s3_server().environment().items():
        monkeypatch.setenv(name, value)
    with code_ocean(sample=False) as fake:
        told = settings_of(fake, code_ocean_poll_seconds=0.1)
        yield Place(
            CodeOceanReader.of(told),
            CodeOceanRunner.of(told),
            Mount(add_mouse(fake)[STITCHED], STITCHED),
            ROWS,
            manifest.write_csv(ROWS),
            STATE,
            STEM,
            {"slow": "600"},
            version=VERSION,
            token_form="tokenofjob{}",
        )


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data") as made:
        yield made


class TestContract(PlatformContract):
    """Code Ocean keeps the contract of all platforms."""


# --- both routes, end to end ------------------------------------------------------------------------


def test_the_direct_route_ends_in_a_counted_result(jobs):
    record = jobs.until(jobs.launch(), JobState.SUCCEEDED)
    assert (record.coverage.asked, record.coverage.delivered) == (2, 2)
    assert jobs.made("run") == [record.ids.run]
    assert jobs.made("capture") == [record.ids.result]
    assert jobs.made("asset") == [record.ids.manifest_asset, record.ids.state_asset]
    result = jobs.fake.world.assets[record.ids.result]
    assert record.token in result.tags
    assert result.permissions == {"everyone": "viewer"}
    [run] = jobs.fake.world.computations.values()
    assert (run.version, record.token in run.name) == (3, True)


def test_the_route_through_the_monitor_ends_in_a_counted_result(jobs):
    record = jobs.until(jobs.launch(route=MONITORED), JobState.SUCCEEDED)
    assert (record.coverage.asked, record.coverage.delivered) == (2, 2)
    assert jobs.made("run") == [record.ids.run, record.remote.child]
    assert jobs.made("capture") == [record.ids.result]
    [effect] = jobs.fake.effects("capture")
    assert effect.by == record.ids.run  # the monitor kept it, not we
    assert record.token in effect.details["tags"]
    [share] = jobs.fake.effects("share")[:1]
    assert share.details == {"everyone": "viewer"}


def test_a_monitor_that_starts_twice_raises_an_alarm(jobs):
    jobs.fake.monitor.habits.twice = True
    record = jobs.until(jobs.launch(route=MONITORED), lambda record: record.has_ended)
    monitor, first, second = jobs.made("run")
    assert (record.ids.run, record.remote.child) == (monitor, first)
    assert second in record.surplus
    key = RunKey(record.token, record.ids.manifest_asset, MONITORED)
    jobs.clock.s += 10
    assert jobs.runner.find_runs(key) == (monitor,)
    assert jobs.runner.find_children(key) == (first, second)
    assert jobs.runner.belongs(monitor, key)
    assert not jobs.runner.belongs(first, key)
    assert jobs.runner.belongs(first, RunKey(record.token, record.ids.manifest_asset))


def test_a_result_that_lacks_rows_is_never_green(jobs):
    jobs.fake.set_outcome(Outcome("partial", rows=1))
    record = jobs.until(jobs.launch(), lambda record: record.has_ended)
    assert record.state is JobState.INCOMPLETE
    assert (record.coverage.asked, record.coverage.delivered) == (2, 1)


# --- what is lost is looked for, never repeated -----------------------------------------------------


@pytest.mark.parametrize("route", [DIRECT, MONITORED])
def test_a_run_whose_answer_was_lost_is_adopted(jobs, route):
    jobs.fake.faults.add("reset_after", method="POST", endpoint="computations")
    record = jobs.until(jobs.launch(route=route), JobState.SUCCEEDED)
    assert len(jobs.made("run")) == (1 if route == DIRECT else 2)
    assert any(event.what == "in doubt" for event in record.events)


def test_a_run_that_was_never_started_is_started_again_only_after_its_window(jobs):
    jobs.fake.faults.add("500", method="POST", endpoint="computations")
    job_id = jobs.launch()
    jobs.run_for(34 * 60, step_s=20)
    assert jobs.made("run") == []
    assert jobs.record(job_id).phase is Phase.SETTLING
    jobs.until(job_id, JobState.SUCCEEDED)
    assert len(jobs.made("run")) == 1


def test_a_run_that_starts_late_is_adopted_by_a_new_worker(jobs):
    jobs.fake.faults.add("late_504", method="POST", endpoint="computations", late_s=25 * 60.0)
    job_id = jobs.launch()
    jobs.run_for(60)
    jobs.restart()
    jobs.until(job_id, JobState.SUCCEEDED)
    assert len(jobs.made("run")) == 1


def test_an_asset_whose_answer_was_lost_is_found_by_its_tag_also_when_archived(jobs):
    jobs.fake.faults.add("502_after", method="POST", endpoint="data_assets")
    jobs.fake.timing.search_lag_s = 120.0
    job_id = jobs.launch()
    jobs.run_for(5)
    [made] = jobs.made("asset")
    jobs.fake.world.assets[made].archived = True
    record = jobs.until(job_id, JobState.SUCCEEDED)
    assert record.ids.manifest_asset == made
    assert len(jobs.made("asset")) == 2


def test_somebody_elses_run_of_the_same_manifest_is_told_of(jobs):
    jobs.fake.timing.run_s = 600.0
    job_id = jobs.launch()
    record = jobs.until(job_id, JobState.RUNNING)
    [run] = jobs.fake.world.computations.values()
    told = {
        "capsule_id": CONVERTER,
        "version": 3,
        "data_assets": [{"id": ident, "mount": mount} for ident, mount in run.mounts],
        "named_parameters": [{"param_name": "manifest", "value": "m"}, {"param_name": "neuroglancer", "value": "n"}],
    }
    again = jobs.api.effect("POST", "computations", body=told)["id"]
    record = jobs.until(job_id, lambda record: record.has_ended)
    assert again in record.surplus
    assert record.ids.run == run.id


# --- the list of runs -------------------------------------------------------------------------------


def lists(jobs):
    return jobs.fake.count("GET", "capsules/{id}/computations")


def test_one_list_serves_many_jobs_and_no_job_twice(jobs):
    keys = [RunKey(f"tokenofjob{number:06d}") for number in range(20)]
    for key in keys:
        assert jobs.runner.find_runs(key) == ()
    assert lists(jobs) == 1
    jobs.runner.find_runs(keys[0])
    assert lists(jobs) == 2
    jobs.clock.s += 3  # nobody concludes from a list that old
    jobs.runner.find_runs(keys[1])
    assert lists(jobs) == 3


def test_a_list_from_before_a_start_says_nothing_of_it(jobs):
    jobs.fake.timing.run_s = 1e6
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    jobs.runner.find_runs(RunKey("tokenofjob000001"))
    twin = jobs.runner.start_run(jobs.request(record.id))
    jobs.clock.s += 0.1
    assert set(jobs.runner.find_runs(RunKey(record.token))) == {record.ids.run, twin}


def test_many_looks_at_runs_cost_one_list(jobs):
    jobs.fake.timing.run_s = 1e6
    runs = [jobs.until(jobs.launch(), JobState.RUNNING).ids.run for _ in range(3)]
    jobs.clock.s += 100
    before = jobs.fake.count()
    assert {jobs.runner.run_status(run).state for run in runs} == {RunState.RUNNING}
    assert jobs.fake.count() - before == 1


def test_a_stale_list_is_not_believed(jobs):
    jobs.fake.timing.run_s = 1e6
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    key = RunKey("tokenofjob000001")
    jobs.clock.s += 10
    assert jobs.runner.find_runs(key) == ()
    run = jobs.fake.world.computations[record.ids.run]
    run.visible = float("inf")
    jobs.clock.s += 10
    with pytest.raises(PlatformError, match="out of date"):
        jobs.runner.find_runs(key)
    assert jobs.runner.run_status(run.id).state is RunState.RUNNING  # asked for singly
    del jobs.fake.world.computations[run.id]  # somebody deletes it
    jobs.clock.s += 36 * 60  # before, it may only not show yet
    assert jobs.runner.find_runs(key) == ()


@pytest.mark.parametrize("fault", ["wrong_types", "missing_fields", "empty", "html", "truncated"])
def test_a_list_that_is_not_whole_is_not_believed(jobs, fault):
    jobs.until(jobs.launch(), JobState.SUCCEEDED)
    jobs.clock.s += 10
    jobs.fake.faults.add(fault, endpoint="capsules/{id}/computations", times=None)
    with pytest.raises(PlatformError):
        jobs.runner.find_runs(RunKey("tokenofjob000001"))


def test_a_run_that_was_just_started_and_is_not_shown_can_be_neither_named_nor_stopped(jobs):
    jobs.fake.timing.run_s = 1e6
    record = jobs.until(jobs.launch(), JobState.RUNNING)
    run = jobs.fake.world.computations.pop(record.ids.run)
    jobs.clock.s += 60
    for _ in range(2):
        assert jobs.runner.run_status(run.id).state is RunState.GONE
        for call in (jobs.runner.stop_run, lambda run_id: jobs.runner.name_run(run_id, "name")):
            with pytest.raises(PlatformError, match="does not show"):
                call(run.id)
        jobs.restart()
    jobs.clock.s += 36 * 60
    jobs.runner.name_run(run.id, "name")
    jobs.runner.stop_run(run.id)


# --- what is refused before anything is sent --------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "9"}, "no released version 9; it has 3, 2, 1"),
        ({"version": ""}, "a version must be chosen: 3, 2, 1"),
        ({"parameters": {"manifest": "m/m.csv"}}, "neuroglancer is missing"),
        ({"parameters": {"manifest": "m", "neuroglancer": "n", "speed": "1"}}, "knows no parameter speed"),
        ({"parameters": {"manifest": "m" * 4097, "neuroglancer": "n"}}, "4097 characters, 4096 are possible"),
        ({"route": "sideways"}, "a route 'sideways'"),
        ({"token": "j1"}, "is no token"),
        ({"token": 'tag:"x" OR name'}, "is no token"),
        ({"route": MONITORED}, "nothing says how the monitor"),
    ],
)
def test_a_run_that_the_capsule_does_not_take_is_refused(jobs, change, words):
    request = replace(jobs.request(jobs.launch()), **change)
    with pytest.raises(RefusedError, match=re.escape(words)):
        jobs.runner.start_run(request)
    assert jobs.fake.count("POST", "computations") == 0


def test_a_value_of_4096_characters_is_sent(jobs):
    record = jobs.until(jobs.launch(), lambda record: record.ids.state_asset is not None)
    request = jobs.request(record.id)
    told = {**request.parameters, "manifest": "m" * 4096}
    assert jobs.runner.start_run(replace(request, parameters=told))


def test_a_capsule_without_a_release_is_run_without_a_version(jobs):
    class Unreleased(FakeCapsule):
        def record(self):
            return {**super().record(), "status": "non_release"}

    jobs.fake.add_capsule(Unreleased(CONVERTER, "Data converter", "0325751", versions=()))
    record = jobs.until(jobs.launch(converter_version=""), JobState.SUCCEEDED)
    assert jobs.fake.world.computations[record.ids.run].version is None


def test_an_asset_that_the_capsule_brings_is_not_attached_again(jobs):
    jobs.fake.converter.baked_in = (jobs.assets[SORTED],)
    record = jobs.until(jobs.launch(), lambda record: record.ids.run is not None)
    assert jobs.assets[SORTED] not in dict(jobs.fake.world.computations[record.ids.run].mounts)


def test_an_asset_that_the_capsule_brings_under_another_name_is_refused(jobs):
    jobs.fake.converter.baked_in = (jobs.assets[SORTED],)
    request = jobs.request(jobs.launch())
    mounts = tuple(replace(m, mount="elsewhere") if m.asset_id == jobs.assets[SORTED] else m for m in request.mounts)
    with pytest.raises(RefusedError, match=f"as {SORTED}, the job needs it as elsewhere"):
        jobs.runner.start_run(replace(request, mounts=mounts))
    assert jobs.made("run") == []


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden", "x" * 101])
def test_an_input_with_an_odd_name_is_refused_before_it_is_uploaded(jobs, name):
    for request in (
        InputAsset("tokenofjob000001", name, {"m.csv": b"x"}, (), ""),
        InputAsset("tokenofjob000001", "manifest", {f"m/{name}": b"x"}, (), ""),
    ):
        with pytest.raises(RefusedError):
            jobs.runner.create_input_asset(request)
    assert jobs.s3.writes == jobs.fake.count() == 0


def test_nothing_is_sent_long_after_its_intent(jobs):
    jobs.s3.on_write = lambda: jobs.sleep(61.0)
    with pytest.raises(UnavailableError, match="61 s"):
        jobs.runner.create_input_asset(InputAsset("tokenofjob000001", "manifest", {"m.csv": b"x"}, (), ""))
    assert jobs.fake.count() == 0
    jobs.s3.on_write = lambda: jobs.sleep(30.0)
    jobs.runner.create_input_asset(InputAsset("tokenofjob000001", "manifest", {"m.csv": b"x"}, (), ""))
    assert len(jobs.made("asset")) == 1


@pytest.mark.parametrize("ident", ["../data_assets", "a/b", "", "x?y=1", "é"])
def test_what_cannot_be_an_id_never_becomes_an_address(jobs, ident):
    assert jobs.runner.run_status(ident).state is RunState.GONE
    assert not jobs.runner.belongs(ident, RunKey("tokenofjob000001"))
    jobs.runner.stop_run(ident)
    jobs.runner.name_run(ident, "x")
    for call in (jobs.runner.get_asset, jobs.runner.list_results):
        with pytest.raises(NotFoundError):
            call(ident)
    assert jobs.fake.count() == 0


# --- the monitor's settings -------------------------------------------------------------------------

CAPTURE = CaptureRequest("tokenofjob000001", "", "result", ("700001",), "what came out", {"subject id": "700001"})


def params(assets: int):
    terms = CapsuleTerms(("3",), (Parameter("manifest"), Parameter("neuroglancer")), {})
    mounts = tuple(Mount(f"{number:036d}", "SmartSPIM_700001_2024-07-03_10-49-01") for number in range(assets))
    request = RunRequest("tokenofjob000001", "x", mounts, {"manifest": "m/m.csv", "neuroglancer": "n/n.json"}, "3")
    return run_params(request, CONVERTER, terms)


def nulls(value):
    if isinstance(value, dict):
        return sum(map(nulls, value.values()))
    return sum(map(nulls, value)) if isinstance(value, list) else value is None


@pytest.mark.parametrize("share", ["viewer", "discoverable", "none"])
def test_the_monitors_settings_hold_no_nulls_and_no_time_out(share):
    told = json.loads(monitor_settings(params(3), CAPTURE, share))
    assert nulls(told) == 0
    assert told.keys() == {"computation_polling_interval", "run_params", "capture_settings"}
    assert told["run_params"] == params(3)
    kept = told["capture_settings"]
    assert (kept["name"], kept["tags"]) == ("result", ["700001", "tokenofjob000001"])
    assert kept.get("permissions", {"everyone": "viewer"}) == {"everyone": share}


@given(st.integers(0, 80))
@settings(max_examples=40, deadline=None)
def test_the_monitors_settings_are_sent_whole_or_refused_with_their_length(assets):
    refused = None
    try:
        assert len(monitor_settings(params(assets), CAPTURE, "viewer")) <= 4096
    except RefusedError as error:
        refused = error
    assert refused is None or assets > 30  # 4,096 characters hold some 35 assets with names of this length
    assert refused is not None or assets < 40
    if refused is not None:
        [length] = re.findall(r"(\d+) characters, Code Ocean takes 4096", refused.message)
        assert int(length) > 4096
        assert "direct route" in refused.cure


def test_a_mapping_that_is_too_long_for_the_monitor_fails_with_a_cure_and_starts_nothing(jobs):
    more = {f"ecephys_700001_2024-01-{n:02d}_10-00-00_a_rather_long_name_of_a_recording": "" for n in range(1, 31)}
    assets = tuple(NeededAsset(jobs.fake.add_asset(name, files={"a": b"x"}), name, name, "x") for name in more)
    record = jobs.until(jobs.launch(route=MONITORED, assets=assets), JobState.FAILED)
    assert "4096" in record.error
    assert "direct route" in record.error
    assert jobs.made("run") == []


# --- stopping, sharing, keeping quiet ---------------------------------------------------------------


def test_a_cancelled_run_is_deleted_once_and_stays_gone_in_a_list_that_lags(jobs):
    jobs.fake.timing.run_s = 1e6
    job_id = jobs.launch()
    run = jobs.until(job_id, JobState.RUNNING).ids.run
    submission.cancel(jobs.store, job_id, "ben", START)
    jobs.until(job_id, JobState.CANCELLED)
    assert jobs.made("delete_run") == [run]
    assert jobs.runner.run_status(run).state is RunState.GONE
    assert jobs.runner.active_runs() == ()


def test_results_are_shared_as_the_settings_say(tmp_path):
    with bench(tmp_path / "data", share_results="none") as jobs:
        jobs.until(jobs.launch(), JobState.SUCCEEDED)
        assert jobs.fake.count("POST", "data_assets/{id}/permissions") == 0


def test_the_token_is_nowhere_to_be_seen(jobs, caplog):
    caplog.set_level("DEBUG")
    for fault in ("401", "500_after", "truncated", "html"):
        jobs.fake.faults.add(fault, method="POST", endpoint="computations")
    record = jobs.until(jobs.launch(), lambda record: record.has_ended or len(record.events) > 5)
    jobs.run_for(600)
    texts = (repr(jobs.runner), repr(jobs.api), repr(jobs.settings), record.model_dump_json(), caplog.text)
    assert all(jobs.fake.token not in text for text in texts)


def test_what_a_worker_cannot_run_is_refused_without_a_request(jobs):
    refusal = jobs.runner.refusal
    assert refusal(CONVERTER, "3", DIRECT) == refusal(CONVERTER, "", MONITORED) == ""
    assert "another" in refusal("another", "3", DIRECT)
    assert "numbers" in refusal(CONVERTER, "v3", DIRECT)
    assert "sideways" in refusal(CONVERTER, "3", "sideways")
    assert jobs.fake.count() == 0


def test_without_a_monitor_capsule_its_route_is_refused(tmp_path):
    with bench(tmp_path / "data", monitor_capsule="") as jobs:
        record = jobs.until(jobs.launch(route=MONITORED), JobState.REFUSED)
        assert "monitor" in record.error
