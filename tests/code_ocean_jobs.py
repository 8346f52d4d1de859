"""Jobs on the played Code Ocean: a real store, the real worker's loop, and a clock that moves when a test says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.conversion import ConversionPlan, NeededAsset
from core.platforms.base import DIRECT
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.runner import CodeOceanRunner
from core.settings import Settings
from jobs import submission
from jobs.monitor import Monitor
from jobs.records import JobRecord, JobState
from jobs.store import JobStore
from tests.code_ocean_place import SCRATCH_BUCKET, SCRATCH_PREFIX, code_ocean
from tests.fake_code_ocean import FakeCodeOcean
from tests.fake_code_ocean_state import CONVERTER, MONITOR
from tests.fake_runner import Clock
from tests.job_records import START
from tests.local_fixtures import IMAGE, RECORDING, SORTED, STEM, STITCHED, acquisition, layer, row, track_points, zattrs
from tests.local_fixtures import state as a_state

VERSION = "3"
LAYERS = (layer("268", track_points(1000)), layer("269", track_points(1100)))
STATE = json.dumps(a_state(*LAYERS)).encode()
ROWS = (row("268"), row("269", "ProbeB", 0))


def settings_of(fake: FakeCodeOcean, **more: Any) -> Settings:
    """What a worker of this Code Ocean is set to."""
    told: dict[str, Any] = {
        "platform": "code_ocean",
        "code_ocean_domain": fake.url,
        "code_ocean_token": fake.token,
        "code_ocean_requests_per_second": 1000.0,
        "code_ocean_poll_seconds": 30.0,
        "converter_capsule": CONVERTER,
        "monitor_capsule": MONITOR,
        "scratch_bucket": SCRATCH_BUCKET,
        "scratch_prefix": SCRATCH_PREFIX,
    }
    return Settings(**{**told, **more})


def mouse_files() -> dict[str, dict[str, str]]:
    """The stitched brain, a sorting and its recording: name -> path -> text."""
    brain = {f"image_tile_fusing/OMEZarr/{IMAGE}/.zattrs": zattrs(), "acquisition.json": acquisition()}
    files = {STITCHED: brain, SORTED: {"processing.json": {}}, RECORDING: {"session.json": {}}}
    return {name: {path: json.dumps(value) for path, value in told.items()} for name, told in files.items()}


def add_mouse(fake: FakeCodeOcean) -> dict[str, str]:
    """The mouse's assets as internal ones; their ids by name."""
    return {
        name: fake.add_asset(name, files={path: text.encode() for path, text in told.items()})
        for name, told in mouse_files().items()
    }


def a_plan(name: str, assets: Mapping[str, str], domain: str) -> ConversionPlan:
    """The mapping of the two tracks, as one of its own for each name.

    Args:
        name: What tells it from others.
        assets: Ids of the mouse's assets by their names.
        domain: The Code Ocean that it was checked on.
    """
    return ConversionPlan(
        subject="700001",
        acquisition=STITCHED.partition("_stitched")[0],
        platform="Code Ocean",
        converter=CONVERTER,
        converter_version=VERSION,
        parameters={},
        rows=ROWS,
        state=STATE,
        state_stem=STEM,
        state_sha256=hashlib.sha256(STATE).hexdigest(),
        assets=tuple(NeededAsset(ident, name, name, "needed") for name, ident in assets.items()),
        digest=hashlib.sha256(name.encode()).hexdigest(),
        recordings=(RECORDING,),
        platform_id=domain,
    )


class Bench:
    """A mouse on a played Code Ocean, a queue, and a worker that may be replaced by another."""

    def __init__(self, fake: FakeCodeOcean, store: JobStore, clock: Clock, *, read_s: float, **settings: Any) -> None:
        self.fake, self.store, self.clock = fake, store, clock
        self.settings = settings_of(fake, **settings)
        self.assets = add_mouse(fake)
        self._read_s = read_s
        self.runner = self.new_runner()
        self.monitor = self.new_monitor()

    def sleep(self, seconds: float) -> None:
        self.clock.s += seconds

    def new_runner(self) -> CodeOceanRunner:
        """As a worker that has just been started has it: it knows nothing."""
        api = CodeOceanApi(
            self.fake.url,
            self.settings.code_ocean_token,
            min_version="4.0.0",
            sleep=self.sleep,
            draw=lambda: 0.5,
            read_s=self._read_s,
        )
        s3 = S3Files.of(self.settings)
        files = AssetFiles(api, s3, self.settings)
        return CodeOceanRunner(self.settings, api, s3, files, now=lambda: self.clock.s)

    def new_monitor(self) -> Monitor:
        return Monitor(self.store, self.runner, self.settings, now=self.clock, draw=lambda: 0.5)

    def restart(self) -> None:
        """The worker dies and another begins."""
        self.runner = self.new_runner()
        self.monitor = self.new_monitor()

    def plan(self, *, route: str = DIRECT, **more: Any) -> ConversionPlan:
        name = f"{route}{sorted(more.items())}{len(self.store.active())}{self.clock.s}"
        return replace(a_plan(name, self.assets, self.fake.url), route=route, **more)

    def launch(self, **more: Any) -> str:
        plan = self.plan(**more)
        return submission.submit(
            self.store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START
        ).job_id

    def record(self, job_id: str) -> JobRecord:
        return self.store.get(job_id)

    def run_for(self, seconds: float, step_s: float = 5.0) -> None:
        end_s = self.clock.s + seconds
        while self.clock.s < end_s:
            self.monitor.run_pass()
            self.clock.s += step_s

    def until(
        self, job_id: str, happens: JobState | Callable[[JobRecord], bool], seconds: float = 9000.0, step_s: float = 5.0
    ) -> JobRecord:
        """Let the worker work until a job is in a state."""
        end_s = self.clock.s + seconds
        while True:
            record = self.record(job_id)
            if record.state is happens if isinstance(happens, JobState) else happens(record):
                return record
            assert self.clock.s < end_s, f"{record.state} {record.step} {record.phase} {record.error}"
            self.monitor.run_pass()
            self.clock.s += step_s

    def made(self, kind: str) -> list[str]:
        """Ids of what was made of a kind: asset, run, capture."""
        return [effect.id for effect in self.fake.effects(kind)]


@contextmanager
def bench(
    folder: Path, *, read_s: float = 5.0, options: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Bench]:
    """A bench in a folder.

    Args:
        folder: Of the queue.
        read_s: How long the worker waits for an answer.
        options: Of the fake.
        settings: Of the worker.
    """
    clock = Clock()
    with (
        code_ocean(sample=False, clock=lambda: START.timestamp() + clock.s, **(options or {})) as fake,
        JobStore(folder) as store,
    ):
        yield Bench(fake, store, clock, read_s=read_s, **settings)


__all__ = ["CONVERTER", "LAYERS", "MONITOR", "ROWS", "STATE", "STITCHED", "VERSION", "Bench", "bench", "settings_of"]
