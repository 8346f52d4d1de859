"""What every platform must do, whatever it is made of. A platform's test module mixes this in and gives `Place`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from core.coverage import count_coverage, what_was_launched
from core.errors import NotFoundError, PlatformError, RefusedError
from core.manifest import ManifestRow
from core.models import Asset
from core.platforms.base import (
    AssetReader,
    CaptureRequest,
    HealthKind,
    InputAsset,
    Mount,
    RunKey,
    Runner,
    RunRequest,
    RunState,
)

GOING = (RunState.STARTING, RunState.RUNNING)


@dataclass
class Place:
    """A platform with one stitched brain, and a mapping that it can convert."""

    reader: AssetReader
    runner: Runner
    stitched: Mount
    rows: tuple[ManifestRow, ...]
    """At least two, each with a track in the state."""
    manifest: bytes
    state: bytes
    state_stem: str
    slow: dict[str, str]
    """Parameters with which a conversion lasts until it is stopped."""
    version: str = ""
    """Of the converter; "" where it has only one."""
    token_form: str = "{}"
    """Makes a token of this platform's form."""
    manifests: dict[str, str] = field(default_factory=dict)
    """Ids of the manifest assets that were made, by job."""

    def token(self, job: str, kind: str) -> str:
        return self.token_form.format(f"{job}{kind}")

    def key(self, job: str) -> RunKey:
        return RunKey(self.token(job, "r"), self.manifests.get(job, ""))

    def inputs(self, job: str) -> tuple[InputAsset, InputAsset]:
        files = {f"{job}.csv": self.manifest}
        manifest = InputAsset(self.token(job, "m"), f"manifest-{job}", files, ("trackmapper",), "manifest")
        files = {f"{self.state_stem}.json": self.state}
        return manifest, InputAsset(self.token(job, "s"), f"state-{job}", files, ("trackmapper",), "state")

    def make(self, request: InputAsset) -> Asset:
        return self.until_ready(self.runner.create_input_asset(request))

    def capture(self, request: CaptureRequest) -> Asset:
        return self.until_ready(self.runner.capture(request))

    def until_ready(self, asset: Asset) -> Asset:
        while (asset := self.runner.get_asset(asset.id)).state == "draft":
            time.sleep(0.02)
        return asset

    def request(self, job: str, **parameters: str) -> RunRequest:
        made = [self.make(asset) for asset in self.inputs(job)]
        self.manifests[job] = made[0].id
        mounts = (self.stitched, *(Mount(asset.id, asset.name) for asset in made))
        told = {"manifest": f"manifest-{job}/{job}.csv", "neuroglancer": f"state-{job}/{self.state_stem}.json"}
        return RunRequest(
            self.token(job, "r"), f"conversion {job}", mounts, {**told, **parameters}, version=self.version
        )

    def start(self, job: str, **parameters: str) -> str:
        return self.runner.start_run(self.request(job, **parameters))

    def capture_request(self, job: str, run: str, **more: Any) -> CaptureRequest:
        given = {"tags": ("trackmapper", "result"), "description": "what came out", **more}
        return CaptureRequest(token=self.token(job, "c"), run_id=run, name=f"result-{job}", **given)

    def until_ended(self, run: str) -> RunState:
        while (status := self.runner.run_status(run)).state in GOING:
            time.sleep(0.02)
        return status.state


class PlatformContract:
    """Needs a fixture `place`."""

    def test_an_input_asset_is_found_by_its_token_and_read_back(self, place: Place):
        manifest, _ = place.inputs("j1")
        assert place.runner.find_assets(manifest.token) == ()
        made = place.make(manifest)
        assert made.name == manifest.name
        assert made.state == "ready"
        assert {"trackmapper", manifest.token} <= set(made.tags)
        [found] = place.runner.find_assets(manifest.token)
        assert found == made == place.runner.get_asset(made.id) == place.reader.get_asset(made.id)
        assert [entry.name for entry in place.runner.list_folder(made)] == ["j1.csv"]
        assert place.reader.read_file(made, "j1.csv", 10_000) == place.manifest

    def test_an_unknown_asset_or_run_is_said_so(self, place: Place):
        with pytest.raises(NotFoundError):
            place.runner.get_asset("none")
        assert place.runner.run_status("none").state is RunState.GONE
        assert place.runner.find_runs(RunKey("none")) == ()
        assert place.runner.read_log("none", 100) == b""
        place.runner.stop_run("none")
        with pytest.raises(NotFoundError):
            place.runner.list_results("none")
        with pytest.raises((NotFoundError, RefusedError)):
            place.runner.capture(place.capture_request("j1", "none"))

    def test_a_conversion_runs_to_a_counted_result(self, place: Place):
        asked = place.request("j1")
        run = place.runner.start_run(asked)
        assert place.runner.find_runs(place.key("j1")) == (run,)
        assert place.runner.find_children(place.key("j1")) == ()
        assert place.runner.belongs(run, place.key("j1"))
        assert not place.runner.belongs(run, place.key("j2"))
        assert not place.runner.belongs("none", place.key("j1"))
        place.runner.name_run(run, "conversion j1")
        assert place.until_ended(run) is RunState.FINISHED
        status = place.runner.run_status(run)
        assert status.exit_code == 0
        assert place.runner.active_runs() == ()
        assert "manifest.csv" in [entry.name for entry in place.runner.list_results(run)]
        with pytest.raises(NotFoundError):
            place.runner.list_results(run, "nothing")
        log = place.runner.read_log(run, 100_000)
        assert place.rows[0].histology_track_id.encode() in log
        assert place.runner.read_log(run, 10) == log[-10:]

        inputs = tuple(mount.asset_id for mount in asked.mounts)
        request = place.capture_request("j1", run, provenance_data_assets=inputs, custom_metadata={"subject id": "x"})
        result = place.capture(request)
        place.runner.share(result)
        assert result.state == "ready"
        assert result.provenance_computation == run
        assert result.provenance_data_assets == inputs
        assert result.custom_metadata == {"subject id": "x"}
        assert place.runner.find_assets(request.token) == (result,)
        launched = what_was_launched(place.state, None, "")
        coverage = count_coverage(place.rows, place.runner, result, launched)
        assert (coverage.asked, coverage.delivered) == (len(place.rows), len(place.rows)), coverage
        pick = f"{place.rows[0].mouseid}/{place.rows[0].recording}"
        assert place.reader.list_folder(result, pick) == place.runner.list_folder(result, pick)

    def test_a_run_that_goes_on_is_seen_not_captured_and_stopped(self, place: Place):
        run = place.start("j1", **place.slow)
        assert place.runner.run_status(run).state in GOING
        assert place.runner.active_runs() == (run,)
        with pytest.raises(RefusedError):
            place.runner.capture(place.capture_request("j1", run))
        assert place.runner.find_assets(place.token("j1", "c")) == ()
        for _ in range(2):
            place.runner.stop_run(run)
            assert place.runner.run_status(run).state in (RunState.STOPPED, RunState.GONE)
            assert place.runner.active_runs() == ()

    def test_two_runs_side_by_side_are_kept_apart(self, place: Place):
        slow = place.start("j1", **place.slow)
        try:
            assert place.until_ended(place.start("j2")) is RunState.FINISHED
            assert place.runner.active_runs() == (slow,)
        finally:
            place.runner.stop_run(slow)

    def test_a_conversion_that_does_nothing_says_so_by_its_exit_code(self, place: Place):
        request = place.request("j1")
        run = place.runner.start_run(replace(request, mounts=request.mounts[1:]))
        assert place.until_ended(run) in (RunState.FINISHED, RunState.FAILED)
        assert place.runner.run_status(run).exit_code == 1
        result = place.capture(place.capture_request("j1", run))
        coverage = count_coverage(place.rows, place.runner, result)
        assert coverage.delivered == 0
        assert all(row.why for row in coverage.rows)

    def test_a_run_that_cannot_be_asked_for_is_refused_and_leaves_nothing(self, place: Place):
        request = place.request("j1")
        unknown = (*request.mounts, Mount("none", "none"))
        with pytest.raises(RefusedError):
            place.runner.start_run(replace(request, token=place.token("j3", "r"), mounts=unknown))
        assert place.runner.find_runs(place.key("j3")) == place.runner.active_runs() == ()

    def test_files_that_are_too_large_are_not_read(self, place: Place):
        made = place.make(place.inputs("j1")[0])
        with pytest.raises(PlatformError):
            place.reader.read_file(made, "j1.csv", len(place.manifest) - 1)
        with pytest.raises(NotFoundError):
            place.reader.read_file(made, "none.csv", 10)

    def test_the_state_is_kept_byte_for_byte(self, place: Place):
        made = place.make(place.inputs("j1")[1])
        data = place.reader.read_file(made, f"{place.state_stem}.json", 1_000_000)
        assert data == place.state
        assert json.loads(data)["layers"]

    def test_settling_and_versions_are_told(self, place: Place):
        assert place.runner.converter
        assert place.runner.settle.clean_looks >= 1
        assert place.runner.settle.run_window_s >= 0
        assert place.reader.health().kind is HealthKind.OK
        assert place.reader.platform_id == place.runner.platform_id
