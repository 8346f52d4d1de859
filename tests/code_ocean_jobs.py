"""Jobs on the played Code Ocean: a real store, the real worker's loop, and a clock that moves when a test says so."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from core.conversion import ConversionPlan, NeededAsset
from core.platforms.base import DIRECT, MONITORED, RunRequest
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles
from core.platforms.code_ocean.files import Clients, S3Files
from core.platforms.code_ocean.runner import CodeOceanRunner
from core.settings import Settings
from jobs import submission
from jobs.launches import open_launch
from jobs.monitor import Monitor
from jobs.records import JobRecord, JobState
from jobs.store import JobStore
from tests.code_ocean_place import SCRATCH_BUCKET, SCRATCH_PREFIX
from tests.fake_code_ocean import FakeCodeOcean
from tests.fake_code_ocean_state import CONVERTER, MONITOR, Timing
from tests.fake_code_ocean_storage import INTERNAL_BUCKET
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

    def __init__(
        self,
        fake: FakeCodeOcean,
        store: JobStore,
        clock: Clock,
        *,
        api: type[CodeOceanApi] = CodeOceanApi,
        s3: S3Files | None = None,
        **settings: Any,
    ) -> None:
        self.fake, self.store, self.clock = fake, store, clock
        self.settings = settings_of(fake, **settings)
        self.assets = add_mouse(fake)
        self._make_api, self._s3 = api, s3 or S3Files()
        self.restart()

    def sleep(self, seconds: float) -> None:
        self.clock.s += seconds

    def restart(self) -> None:
        """The worker dies and another begins, which knows nothing."""
        self.api = self._make_api(
            self.fake.url,
            self.settings.code_ocean_token,
            min_version="4.0.0",
            sleep=self.sleep,
            draw=lambda: 0.5,
        )
        files = AssetFiles(self.api, self._s3, self.settings, by_name=False)
        self.runner = CodeOceanRunner(self.settings, self.api, self._s3, files, now=lambda: self.clock.s)
        self.monitor = Monitor(self.store, self.runner, self.settings, now=self.clock, draw=lambda: 0.5)

    def plan(self, *, route: str = DIRECT, **more: Any) -> ConversionPlan:
        name = f"{route}{sorted(more.items())}{len(self.store.active())}{self.clock.s}"
        monitor = self.settings.monitor_capsule if route == MONITORED else ""
        return replace(a_plan(name, self.assets, self.fake.url), route=route, monitor=monitor, **more)

    def launch(self, plan: ConversionPlan | None = None, **more: Any) -> str:
        plan = plan or self.plan(**more)
        self.clock.s += 1.0  # names of results hold the second
        return submission.submit(
            self.store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=self.clock().at
        ).job_id

    def request(self, job_id: str) -> RunRequest:
        """What starts a job's run."""
        record = self.record(job_id)
        return open_launch(self.store, record).run(record.ids)

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
    folder: Path, *, timing: Timing | None = None, tls: ssl.SSLContext | None = None, **settings: Any
) -> Iterator[Bench]:
    """A bench in a folder, over S3 in memory.

    Args:
        folder: Of the queue.
        timing: How long things take on Code Ocean.
        tls: What makes Code Ocean speak https.
        settings: Of the worker, and `api`: which kind of CodeOceanApi it has.
    """
    clock, memory = Clock(), MemoryS3()
    s3 = S3Files(lambda: Clients(signed=memory, unsigned=memory))
    with (
        FakeCodeOcean(s3=memory, clock=lambda: START.timestamp() + clock.s, timing=timing, tls=tls) as fake,
        JobStore(folder) as store,
    ):
        made = Bench(fake, store, clock, s3=s3, **{"asset_buckets": INTERNAL_BUCKET, **settings})
        memory.writes = 0
        made.s3 = memory
        yield made


class MemoryS3:
    """As much of a boto3 client as the worker's uploads and the played Code Ocean use."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], bytes] = {}
        self.writes = 0
        self.on_write: Callable[[], None] = lambda: None

    def create_bucket(self, Bucket: str) -> None:
        """Buckets need no making."""

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self._objects[Bucket, Key] = Body
        self.writes += 1
        self.on_write()

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self._objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        data = self._objects[Bucket, Key]
        return {"Body": io.BytesIO(data), "ContentLength": len(data)}

    def list_objects_v2(self, Bucket: str, Prefix: str, Delimiter: str = "") -> dict[str, Any]:
        found = {key: data for (bucket, key), data in self._objects.items() if bucket == Bucket}
        rests = {key[len(Prefix) :]: data for key, data in found.items() if key.startswith(Prefix)}
        folders = {rest.partition("/")[0] for rest in rests if Delimiter and "/" in rest}
        files = {rest: len(data) for rest, data in rests.items() if not (Delimiter and "/" in rest)}
        return {
            "Contents": [{"Key": Prefix + rest, "Size": size} for rest, size in sorted(files.items())],
            "CommonPrefixes": [{"Prefix": f"{Prefix}{folder}/"} for folder in sorted(folders)],
        }

    def get_paginator(self, _: str) -> MemoryS3:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        return [self.list_objects_v2(Bucket, Prefix)]
