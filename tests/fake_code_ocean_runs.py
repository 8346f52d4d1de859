"""Computations of the played Code Ocean: what may be started, what a converter does, what a pipeline monitor does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core import image_space_converter
from core.channel_files import LOCAL_COORDINATES, RAW_INDICES, skips_ephys
from core.coverage import REPORT
from core.errors import TrackmapperError
from core.manifest import read_csv
from core.pick_files import pick_path
from tests.fake_code_ocean_state import FakeCapsule, FakeComputation, PanelParameter, Record, Refusal, World
from tests.fake_code_ocean_storage import Storage

LONGEST_PARAMETER = 4096
Capture = Callable[[Record, str], str]
"""Makes an asset as `POST data_assets` does, for somebody; returns its id."""


def start(world: World, storage: Storage, capture: Capture, told: Record, by: str = "client") -> FakeComputation:
    """Start a computation as `POST computations` does.

    Raises:
        Refusal: the request is not fine.
    """
    if told.get("pipeline_id") or not told.get("capsule_id"):
        raise Refusal(400 if not told.get("pipeline_id") else 404, "capsule_id is required; there are no pipelines")
    capsule = world.capsule(told["capsule_id"])
    version = told.get("version")
    if version is None:
        version = max(capsule.versions, default=None)
    elif version not in capsule.versions or isinstance(version, bool):
        raise Refusal(400, f"version {version} of the capsule does not exist")
    mounts = _mounts(world, capsule, told.get("data_assets"))
    parameters = _parameters(capsule, told.get("parameters"), told.get("named_parameters"))
    now = world.now()
    made = FakeComputation(
        id=world.new_id(),
        capsule=capsule,
        version=version,
        created=now,
        name=world.new_run_name(),
        mounts=mounts,
        parameters=parameters,
        outcome=world.next_outcome(capsule),
        by=by,
        visible=now + world.lag(world.timing.listing_lag_s),
        found=now + world.lag(world.timing.get_lag_s),
    )
    world.computations[made.id] = made
    for asset, _ in mounts:
        world.assets[asset].last_used = now
    details = {"capsule": capsule.id, "data_assets": dict(mounts), "parameters": made.named}
    world.record_effect("run", made.id, by, details)
    world.after(world.timing.init_s, lambda: _Life(world, storage, capture, made).run())
    return made


def _mounts(world: World, capsule: FakeCapsule, told: object) -> tuple[tuple[str, str], ...]:
    mounts: list[tuple[str, str]] = []
    if told is not None and not isinstance(told, list):
        raise Refusal(400, "invalid request body")
    for item in told or ():
        if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not isinstance(item.get("mount"), str):
            raise Refusal(400, "invalid request body")  # a null mount is one
        ident, mount = item["id"], item["mount"]
        parts = mount.split("/")
        if "" in parts or ".." in parts or "." in parts:
            raise Refusal(400, f"invalid mount {mount!r}")
        if ident in capsule.baked_in:
            raise Refusal(400, "data asset already attached")
        asset = world.assets.get(ident)
        if asset is None:
            raise Refusal(400, f"data asset {ident} not found")
        if asset.state != "ready":
            raise Refusal(400, f"data asset {ident} is not ready: {asset.state}")
        if ident in (i for i, _ in mounts) or mount in (m for _, m in mounts):
            raise Refusal(400, f"data asset {ident}: asset or mount {mount!r} is given twice")
        mounts.append((ident, mount))
    return tuple(mounts)


def _parameters(capsule: FakeCapsule, listed: object, named: object) -> tuple[tuple[PanelParameter, str], ...]:
    given: list[tuple[PanelParameter, str]] = []
    if listed and named:
        raise Refusal(400, "parameters and named_parameters exclude each other")
    if not isinstance(listed or [], list) or not isinstance(named or [], list):
        raise Refusal(400, "invalid request body")
    for number, value in enumerate(listed or ()):
        if number >= len(capsule.panel):
            raise Refusal(400, "more parameters than the app panel has")
        given.append((capsule.panel[number], value))
    panel = {parameter.param_name: parameter for parameter in capsule.panel if parameter.param_name}
    for item in named or ():
        name = item.get("param_name") if isinstance(item, dict) else None
        if name not in panel:
            raise Refusal(400, f"unknown parameter {name!r}")
        if panel[name] in (parameter for parameter, _ in given):
            raise Refusal(400, f"parameter {name!r} is given twice")
        given.append((panel[name], item.get("value")))
    for parameter, value in given:
        if not isinstance(value, str):
            raise Refusal(400, "invalid request body")
        if len(value) > LONGEST_PARAMETER:
            raise Refusal(400, f"parameter {parameter.name!r} is longer than {LONGEST_PARAMETER} characters")
    told = {parameter.name: value for parameter, value in given}
    for parameter in capsule.panel:
        if parameter.required and not told.get(parameter.name):
            raise Refusal(400, f"parameter {parameter.name!r} is required")
        if parameter.name not in told and parameter.default is not None:
            given.append((parameter, parameter.default))
    return tuple(given)


def _write_channels(results: Path) -> None:
    """The channel files beside the picks, as the full converter writes them."""
    for folder in {picks.parent for picks in results.glob("*/*/*/xyz_picks*_image_space.json")}:
        np.save(folder / LOCAL_COORDINATES, np.arange(32.0).reshape(16, 2))
        np.save(folder / RAW_INDICES, np.arange(16))


class _Life:
    """What happens to one computation after its start."""

    def __init__(self, world: World, storage: Storage, capture: Capture, made: FakeComputation) -> None:
        self.world = world
        self.storage = storage
        self.capture = capture
        self.made = made

    @property
    def is_gone(self) -> bool:
        return self.made.id not in self.world.computations

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen to the computation later, unless it is deleted before."""
        self.world.after(seconds, lambda: None if self.is_gone else event())

    def run(self) -> None:
        if self.is_gone:
            return
        made = self.made
        made.state, made.started = "running", self.world.now()
        made.log.append(f"{made.capsule.name} has started")
        if made.outcome.kind == "hang":
            return
        if made.capsule.kind == "monitor":
            self.after(0, self.monitor)
        else:
            self.after(self.world.timing.run_s + self._slow_s(), self.convert)

    # --- the converter ---

    def _slow_s(self) -> float:
        """Our converter waits that long before each row; here the clock does."""
        try:
            slow = float(self.made.named.get("slow") or 0)
        except ValueError:
            return 0.0
        return slow * len(self._manifest_rows()) if slow > 0 else 0.0

    def _manifest_rows(self) -> tuple[Any, ...]:
        mount, _, path = self.made.named.get("manifest", "").partition("/")
        ident = {m: i for i, m in self.made.mounts}.get(mount)
        try:
            return read_csv((self.storage.files(self.world.assets[ident]) / path).read_bytes()).rows if ident else ()
        except (OSError, TrackmapperError, Refusal, KeyError):
            return ()

    def convert(self) -> None:
        made, kind = self.made, self.made.outcome.kind
        made.state = "finalizing"
        if kind in ("empty", "failed", "stopped"):
            self._converted(0)
        else:
            self.world.aside(self._really_convert, self._converted)

    def _converted(self, exit_code: int | None) -> None:
        made, kind = self.made, self.made.outcome.kind
        if kind == "partial":
            self._drop_rows(self.storage.results_folder(made.id))
        if kind == "crash":
            made.log += ["Traceback (most recent call last):", "RuntimeError: the converter crashed on purpose"]
            exit_code = made.outcome.exit_code
        state, status = "completed", "succeeded" if exit_code == 0 else "failed"
        if kind in ("failed", "stopped"):
            state, status, exit_code = "failed", kind, None
        self.after(self.world.timing.finalize_s, lambda: self.end(state, status, exit_code))

    def _really_convert(self) -> int:
        made, world = self.made, self.world
        results = self.storage.results_folder(made.id)
        try:
            results.mkdir(parents=True)
            mounts = [(world.asset(ident), mount) for ident, mount in made.mounts]
            data = self.storage.mount(made.id, mounts)
            (results / "attached_data.txt").write_text("\n".join(sorted(mount for _, mount in made.mounts)) + "\n")
            told = made.named
            done = image_space_converter.convert(
                data, results, told["manifest"], told["neuroglancer"], say=made.log.append
            )
            if not skips_ephys(told):
                _write_channels(results)
        except (TrackmapperError, OSError, Refusal) as error:
            made.log.append(f"Failed: {error}")
            return 1
        return 0 if done else 1

    def _drop_rows(self, results: Path) -> None:
        """Take the last rows' files away, as a converter does that skips what it cannot do."""
        outcome = self.made.outcome
        dropped = {pick_path(row) for row in self._manifest_rows()[-outcome.rows :]}
        for path in dropped:
            (results / path).unlink(missing_ok=True)
        report = results / REPORT
        if not outcome.told:
            report.unlink(missing_ok=True)
        elif report.exists():
            told = json.loads(report.read_bytes())
            for row in told["rows"]:
                if row["file"] in dropped:
                    row.update(done=False, reason="no spike-sorting output (bad sorting)", file="")
            report.unlink()
            report.write_text(json.dumps(told))

    def end(self, state: str, status: str, exit_code: int | None) -> None:
        made = self.made
        made.state, made.end_status, made.exit_code, made.ended = state, status, exit_code, self.world.now()
        results = self.storage.results_folder(made.id)
        results.mkdir(parents=True, exist_ok=True)
        (results / "output").write_text("".join(f"{line}\n" for line in made.log))
        made.results = results
        shutil.rmtree(self.storage.folder / "data" / made.id, ignore_errors=True)

    # --- the pipeline monitor ---

    def monitor(self) -> None:
        """Start the child as the settings say; watching it goes on although nobody looks."""
        made, habits = self.made, self.made.capsule.habits
        try:
            settings = json.loads(made.parameters[0][1])
            run_params = settings["run_params"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return self._die(f"ValidationError: settings cannot be read: {error!r}")
        if habits.dies == "before_child":
            return self._die("Killed before the child was started")
        try:
            child = start(self.world, self.storage, self.capture, run_params, by=made.id)
            made.log.append(f"Started computation {child.id}")
            if habits.twice:
                again = start(self.world, self.storage, self.capture, run_params, by=made.id)
                made.log.append(f"Started computation {again.id}")
        except Refusal as refusal:
            return self._die(f"Error: {refusal.status} {refusal.message}")
        if habits.dies == "after_child":
            return self._die("Killed after the child was started")
        return self._watch(child, settings)

    def _watch(self, child: FakeComputation, settings: Record) -> None:
        world = self.world
        if child.id not in world.computations:
            return self._die(f"Error: 404 computation {child.id} not found")
        if child.ended is None:
            limit = settings.get("computation_timeout")
            if limit is not None and world.now() - child.created > limit:
                del world.computations[child.id]
                world.record_effect("delete_run", child.id, self.made.id, {})
                return self._die("TimeoutError")
            return self.after(world.timing.poll_s, lambda: self._watch(child, settings))
        bad = child.end_status in ("failed", "stopped") or child.exit_code not in (None, 0)
        if child.state == "failed" or (bad and not self.made.capsule.habits.captures_crashes):
            return self._die(f"Error: computation {child.id} ended as {child.state}, {child.end_status}")
        return self._keep(child, settings.get("capture_settings"))

    def _keep(self, child: FakeComputation, told: Record | None) -> None:
        if told is None:
            return self.end("completed", "succeeded", 0)
        first = self.world.assets[child.mounts[0][0]].name if child.mounts else child.id
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S", time.gmtime(self.world.now()))
        name = told.get("name") or f"{first}_{told.get('process_name_suffix') or 'processed'}_{stamp}"
        fields = ("tags", "description", "custom_metadata", "target", "results_info")
        params = {key: told[key] for key in fields if told.get(key) is not None}
        params |= {"name": name, "mount": told.get("mount") or name, "source": {"computation": {"id": child.id}}}
        try:
            asset = self.capture(params, self.made.id)
        except Refusal as refusal:
            return self._die(f"Error: {refusal.status} {refusal.message}")
        self.made.log.append(f"Captured {name} as {asset}")
        if self.made.capsule.habits.dies == "after_capture":
            return self._die("Killed after the capture")
        return self._until_ready(asset, told.get("permissions") or {"everyone": "viewer"})

    def _until_ready(self, ident: str, permissions: Record) -> None:
        asset = self.world.assets.get(ident)
        if asset is None or asset.state == "failed":
            return self._die(f"Error: data asset {ident} is not ready")
        if asset.state == "draft":
            return self.after(self.world.timing.poll_s, lambda: self._until_ready(ident, permissions))
        asset.permissions = permissions
        self.world.record_effect("share", ident, self.made.id, permissions)
        return self.end("completed", "succeeded", 0)

    def _die(self, words: str) -> None:
        self.made.log.append(words)
        self.end("completed", "failed", 1)
