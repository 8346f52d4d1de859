"""A platform in memory whose answers can be spoiled, a queue in memory that can crash, a clock that tests move."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from typing import Any

from core.errors import NoSuchJobError, NotFoundError, RefusedError, StaleRecordError, UnavailableError, UnclearError
from core.manifest import read_csv, write_csv
from core.manifest.rows import ManifestRow
from core.models import Asset
from core.pick_files import pick_path
from core.platforms.base import (
    CaptureRequest,
    Entry,
    InputAsset,
    Mount,
    RunKey,
    RunRequest,
    RunState,
    RunStatus,
    SettlePolicy,
)
from jobs.launches import MANIFEST_ID, RUN_ID, STATE_ID, Launch, launch_to_json
from jobs.records import JobRecord, Moment, may_follow
from tests.job_records import START, a_state


class CrashError(BaseException):
    """The worker dies here. Nothing in the program may catch it."""


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    s: float = 0.0

    def __call__(self) -> Moment:
        return Moment(at=START + timedelta(seconds=self.s), boot_id="boot", boot_s=self.s)


def track_number(row: ManifestRow) -> float:
    """The i of `track i`."""
    return float(row.histology_track_id.split()[1])


def a_launch(token: str, rows: int = 2) -> Launch:
    """A launch of some rows, as submission would make it."""
    manifest = tuple(
        ManifestRow("700001", "ecephys_700001_2026-01-01_10-00-00_sorted_x", "state", f"track {i}", f"Probe{i}")
        for i in range(rows)
    )
    mounts = (Mount(MANIFEST_ID, "m"), Mount(STATE_ID, "s"), Mount("sorted", "sorted"))
    return Launch(
        rows=manifest,
        manifest=InputAsset(token, f"m_{token}", {"manifest.csv": write_csv(manifest)}, ("t",), "manifest"),
        state=InputAsset(token, f"s_{token}", {"state.json": a_state(rows)}, ("t",), "state"),
        run_request=RunRequest(token, f"r_{token}", mounts, {"manifest": "m/manifest.csv"}),
        capture_request=CaptureRequest(token, RUN_ID, f"c_{token}", ("t",), "", {"manifest": MANIFEST_ID}, (STATE_ID,)),
    )


@dataclass
class Thing:
    """Something on the platform."""

    id: str
    token: str
    name: str
    made_s: float
    visible_s: float


Outcome = str
"""What becomes of an effect: made, lost (made, but the answer is not), never (neither), late (made after the answer
was lost), rubbish, refused, down, crash_before, crash_after."""


@dataclass
class FakeRunner:
    """Implements `Runner`. `outcome` says what becomes of the next effect of a kind: manifest, state, run, capture."""

    clock: Clock
    outcome: Callable[[str], Outcome] = lambda _: "made"
    lag_s: float = 0.0
    late_s: float = 0.0
    run_s: float = 10.0
    """How long a run goes on."""
    delivered: int = 99
    """How many rows of a run get their files."""
    end: tuple[RunState, int | None] = (RunState.FINISHED, 0)
    asset_state: str = "ready"
    down: Callable[[], bool] = lambda: False
    name: str = "fake"
    platform_id: str = "the fake"
    converter: str = "image-space"
    converter_version: str = "1"
    settle: SettlePolicy = field(default_factory=lambda: SettlePolicy(60.0, 120.0, 3))
    things: list[Thing] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    """Of runs, by id."""
    shared: set[str] = field(default_factory=set)
    manifests: dict[str, bytes] = field(default_factory=dict)
    """By token, as they were sent."""
    launches: dict[str, Launch] = field(default_factory=dict)
    calls: int = 0

    # --- effects ------------------------------------------------------------------------------

    def _effect(self, kind: str, token: str, name: str) -> Thing:
        self.calls += 1
        outcome = self.outcome(kind)
        if outcome == "refused":
            raise RefusedError("the platform says no")
        if outcome == "down":
            raise UnavailableError("no route to the platform")
        if outcome == "crash_before":
            raise CrashError
        if outcome == "never":
            raise UnclearError("timed out")
        delay_s = self.late_s if outcome == "late" else 0.0
        made_s = self.clock.s + delay_s
        thing = Thing(f"{kind}-{len(self.things)}", token, name, made_s, made_s + self.lag_s)
        self.things.append(thing)
        if outcome == "crash_after":
            raise CrashError
        if outcome in ("lost", "late"):
            raise ConnectionResetError("connection reset by peer")
        return replace(thing, id="") if outcome == "rubbish" else thing

    def create_input_asset(self, request: InputAsset) -> Asset:
        kind = "manifest" if request.name.startswith("m_") else "state"
        for name, data in request.files.items():
            if name.endswith(".csv"):
                self.manifests[request.token] = data
        return self._asset(self._effect(kind, request.token, request.name))

    def start_run(self, request: RunRequest) -> str:
        assert not [m for m in request.mounts if m.asset_id.startswith("@")]
        if request.token in self.forbidden:
            raise RefusedError("it was stopped before it started")
        return self._effect("run", request.token, request.name).id

    def capture(self, request: CaptureRequest) -> Asset:
        assert request.run_id.startswith("run-")
        return self._asset(self._effect("capture", request.token, request.name))

    # --- looks --------------------------------------------------------------------------------

    def _ask(self) -> None:
        self.calls += 1
        if self.down():
            raise UnavailableError("no route to the platform")

    def _seen(self, token: str) -> list[Thing]:
        self._ask()
        return [t for t in self.things if t.token == token and t.visible_s <= self.clock.s]

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        return tuple(self._asset(t) for t in self._seen(token) if not t.id.startswith("run-"))

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        return tuple(t.id for t in self._seen(key.token) if t.id.startswith("run-"))

    def find_children(self, key: RunKey) -> tuple[str, ...]:
        return ()

    def belongs(self, run_id: str, key: RunKey) -> bool:
        return run_id in [t.id for t in self.things if t.token == key.token and t.id.startswith("run-")]

    def name_run(self, run_id: str, name: str) -> None:
        self._ask()
        self.names[run_id] = name

    def share(self, asset: Asset) -> None:
        self._ask()
        self.shared.add(asset.id)

    def refusal(self, converter: str, version: str, route: str) -> str:
        wanted, here = f"{converter} {version}", f"{self.converter} {self.converter_version}"
        return "" if wanted == here else f"the job asks for {wanted}, this worker runs {here}"

    def _asset(self, thing: Thing) -> Asset:
        created = START + timedelta(seconds=thing.made_s)
        return Asset(thing.id, thing.name, state=self.asset_state, tags=(thing.token,), created=created)

    def get_asset(self, asset_id: str) -> Asset:
        self._ask()
        found = next((t for t in self.things if t.id == asset_id), None)
        if found is None:
            raise NotFoundError("no such asset")
        return self._asset(found)

    def run_status(self, run_id: str) -> RunStatus:
        self._ask()
        run = next((t for t in self.things if t.id == run_id), None)
        if run is None:
            return RunStatus(run_id, RunState.GONE)
        if run_id in self.stopped:
            return RunStatus(run_id, RunState.STOPPED)
        if self.clock.s < run.made_s + self.run_s:
            return RunStatus(run_id, RunState.RUNNING)
        return RunStatus(run_id, self.end[0], self.end[1])

    def stop_run(self, run_id: str) -> None:
        self._ask()
        self.stopped.add(run_id)

    def forbid_run(self, token: str) -> None:
        self._ask()
        self.forbidden.add(token)
        for thing in self.things:
            if thing.token == token and thing.id.startswith("run-") and thing.made_s > self.clock.s:
                thing.token, thing.made_s, thing.visible_s = "", inf, inf  # it was on its way, and never arrives

    def list_results(self, run_id: str, path: str = "") -> tuple[Entry, ...]:
        self._ask()
        return (Entry("output", False), *(() if self.delivered < 0 else (Entry("700001", True),)))

    def _files(self, asset: Asset) -> dict[str, bytes]:
        token = next(t.token for t in self.things if t.id == asset.id)
        sent = self.manifests[token]
        rows = read_csv(sent).rows[: max(self.delivered, 0)]
        picks = {pick_path(row): {"xyz_picks": [[track_number(row), 2.0, 3.0]]} for row in rows}
        return {"manifest.csv": sent, **{path: json.dumps(value).encode() for path, value in picks.items()}}

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        self._ask()
        inside = [f.removeprefix(f"{path}/") for f in self._files(asset) if not path or f.startswith(f"{path}/")]
        names = {name.split("/")[0]: "/" in name for name in inside}
        if path and not names:
            raise NotFoundError("no such folder")
        return tuple(Entry(name, folder) for name, folder in sorted(names.items()))

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        self._ask()
        return self._files(asset)[path]

    def read_log(self, run_id: str, limit: int) -> bytes:
        return b""

    def active_runs(self) -> tuple[str, ...]:
        return ()

    def count(self, kind: str, token: str) -> int:
        """How many things of a kind carry a token, whether they show yet or not."""
        return sum(t.token == token and t.id.startswith(kind) for t in self.things)


class MemoryStore:
    """The part of `JobStore` that the worker uses, in memory; `spoil` is told each write, before and after."""

    def __init__(self, spoil: Callable[[str], None] = lambda _: None) -> None:
        self.records: dict[str, JobRecord] = {}
        self.launches: dict[str, tuple[Any, dict[str, bytes]]] = {}
        self.spoil = spoil
        self.paused = ""
        self.bad_rows: dict[str, str] = {}
        self.writes = 0

    def add(self, record: JobRecord, launch: Launch) -> None:
        value, blobs = launch_to_json(launch)
        digests = {hashlib.sha256(data).hexdigest(): data for data in blobs}
        manifest, state = (
            hashlib.sha256(next(iter(asset.files.values()))).hexdigest() for asset in (launch.manifest, launch.state)
        )
        self.records[record.id] = record.changed(manifest_sha256=manifest, state_sha256=state)
        self.launches[record.id] = (value, digests)

    def active(self) -> tuple[JobRecord, ...]:
        return tuple(r for r in self.records.values() if not r.has_ended)

    def get(self, job_id: str) -> JobRecord:
        return self.records[job_id]

    def put(self, record: JobRecord) -> JobRecord:
        self.spoil("before")
        before = self.records[record.id]
        if before.rev != record.rev:
            raise StaleRecordError("changed meanwhile")
        assert may_follow(before.state, record.state), (before.state, record.state)
        written = record.changed(rev=record.rev + 1)
        self.records[record.id] = written
        self.writes += 1
        self.spoil("after")
        return written

    def inputs(self, job_id: str) -> Any:
        return self.launches[job_id][0]

    def blob(self, sha256: str) -> bytes:
        for _, blobs in self.launches.values():
            if sha256 in blobs:
                return blobs[sha256]
        raise NoSuchJobError("no such bytes")

    def paused_by(self) -> str:
        return self.paused

    def set_worker_status(self, status: object) -> None:
        self.status = status
