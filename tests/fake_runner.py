"""A platform in memory whose answers can be spoiled, and a clock that tests move."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf

from core.errors import (
    AccessError,
    NotFoundError,
    RefusedError,
    ThrottledError,
    UnavailableError,
    UnclearError,
)
from core.manifest import read_csv, write_csv
from core.manifest.rows import ManifestRow
from core.models import Asset
from core.pick_files import pick_path
from core.platforms.base import (
    DIRECT,
    MONITORED,
    CaptureRequest,
    Entry,
    InputAsset,
    KnownRun,
    Mount,
    RunKey,
    RunRequest,
    RunState,
    RunStatus,
    SettlePolicy,
)
from jobs.launches import MANIFEST_ID, RUN_ID, STATE_ID, Launch
from jobs.records import Moment
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


_ASSETS = ("manifest", "state", "capture")


def a_launch(token: str, rows: int = 2, route: str = DIRECT) -> Launch:
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
        run_request=RunRequest(token, f"r_{token}", mounts, {"manifest": "m/manifest.csv"}, route=route),
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
    child_s: float = 3.0
    """On the monitored route, how long after its start a monitor starts the conversion; inf: never."""
    child_lag_s: float = 0.0
    """How long a conversion that a monitor started does not show."""
    children: int = 1
    """How many conversions a monitor starts."""
    dies_s: float = inf
    """How long after its start a monitor dies, whatever it was about to do."""
    keeps_s: float | None = 2.0
    """How long after the conversion's end its monitor keeps the result; None: never."""
    retry_after_s: float | None = 30.0
    log: bytes = b""
    sharing: Callable[[], None] = lambda: None
    down: Callable[[], bool] = lambda: False
    name: str = "fake"
    platform_id: str = "the fake"
    converter: str = "image-space"
    converter_version: str = "1"
    settle: SettlePolicy = field(default_factory=lambda: SettlePolicy(60.0, 120.0, 3))
    things: list[Thing] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    stopped_s: dict[str, float] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    routes: dict[str, str] = field(default_factory=dict)
    """By token of the run, the name of the result that its monitor keeps."""
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
        if outcome in ("throttled", "throttled_made"):
            if outcome == "throttled_made":
                self.things.append(Thing(f"{kind}-{len(self.things)}", token, name, self.clock.s, self.clock.s))
            raise ThrottledError("slow down", retry_after_s=self.retry_after_s)
        if outcome == "no_access":
            raise AccessError("the token is not valid any more")
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
        if request.route == MONITORED:
            assert request.capture is not None
            self.routes[request.token] = request.capture.name
        return self._effect("run", request.token, request.name).id

    # --- monitors -----------------------------------------------------------------------------

    def _live_monitors(self) -> None:
        """Let every monitor do by now what it would have done: start its conversions, keep the result, end."""
        for monitor in [t for t in self.things if t.id.startswith("run-") and t.token in self.routes]:
            if monitor.made_s > self.clock.s:
                continue
            starts_s = monitor.made_s + self.child_s
            end_s = min(monitor.made_s + self.dies_s, self.stopped_s.get(monitor.id, inf))
            begun = [t for t in self.things if t.id.startswith(f"child-{monitor.id}-")]
            if not begun and starts_s <= self.clock.s and starts_s < end_s:
                for number in range(self.children):
                    name = f"child-{monitor.id}-{number}"
                    begun.append(
                        Thing(name, monitor.token, "", starts_s + number, starts_s + number + self.child_lag_s)
                    )
                self.things += begun
            if not begun or self.keeps_s is None:
                continue
            keeps_s = begun[-1].made_s + self.run_s + self.keeps_s
            kept = f"capture-of-{monitor.id}"
            was_stopped = begun[-1].id in self.stopped
            is_new = not any(t.id == kept for t in self.things)
            if is_new and keeps_s <= self.clock.s and keeps_s < end_s and not was_stopped:
                name = self.routes[monitor.token]
                self.things.append(Thing(kept, monitor.token, name, keeps_s, keeps_s + self.lag_s))

    def _monitor_status(self, monitor: Thing) -> RunStatus:
        begun = [t for t in self.things if t.id.startswith(f"child-{monitor.id}-")]
        if self.clock.s >= monitor.made_s + self.dies_s:
            return RunStatus(monitor.id, RunState.FAILED, 1, "the machine was lost")
        if not begun:
            ended = self.child_s == inf and self.clock.s >= monitor.made_s + 1.0
            return RunStatus(monitor.id, RunState.FAILED if ended else RunState.RUNNING, 1 if ended else None)
        if begun[-1].id in self.stopped or self.clock.s >= begun[-1].made_s + self.run_s + (self.keeps_s or 0.0) + 1.0:
            return RunStatus(monitor.id, RunState.FINISHED, 0)
        return RunStatus(monitor.id, RunState.RUNNING)

    def capture(self, request: CaptureRequest) -> Asset:
        monitored = request.token in self.routes
        assert request.run_id.startswith("child-" if monitored else "run-"), request.run_id
        return self._asset(self._effect("capture", request.token, request.name))

    # --- looks --------------------------------------------------------------------------------

    def _ask(self) -> None:
        self.calls += 1
        if self.down():
            raise UnavailableError("no route to the platform")
        self._live_monitors()

    def _seen(self, token: str) -> list[Thing]:
        self._ask()
        return [t for t in self.things if t.token == token and t.visible_s <= self.clock.s]

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        return tuple(self._asset(t) for t in self._seen(token) if t.id.split("-")[0] in _ASSETS)

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        return tuple(t.id for t in self._seen(key.token) if t.id.startswith("run-"))

    def find_children(self, key: RunKey) -> tuple[str, ...]:
        return tuple(t.id for t in self._seen(key.token) if t.id.startswith("child-"))

    def belongs(self, run_id: str, key: RunKey) -> bool:
        return run_id in [t.id for t in self.things if t.token == key.token and t.id.startswith("run-")]

    def name_run(self, run_id: str, name: str) -> None:
        self._ask()
        self.names[run_id] = name

    def share(self, asset: Asset) -> None:
        self._ask()
        self.sharing()
        self.shared.add(asset.id)

    def recall(self, runs: Sequence[KnownRun], now: datetime) -> None:
        self.recalled = tuple(runs)

    def refusal(self, converter: str, version: str, route: str, monitor: str = "") -> str:
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
        if run_id.startswith("run-") and run.token in self.routes:
            return self._monitor_status(run)
        if self.clock.s < run.made_s + self.run_s:
            return RunStatus(run_id, RunState.RUNNING)
        return RunStatus(run_id, self.end[0], self.end[1])

    def stop_run(self, run_id: str) -> None:
        self._ask()
        self.stopped.add(run_id)
        self.stopped_s.setdefault(run_id, self.clock.s)

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
        self._ask()
        return self.log and self.log + run_id.encode()

    def active_runs(self) -> tuple[str, ...]:
        return ()

    def count(self, kind: str, token: str) -> int:
        """How many things of a kind carry a token, whether they show yet or not."""
        return sum(t.token == token and t.id.startswith(f"{kind}-") for t in self.things)
