"""What the played Code Ocean holds: assets, capsules, computations, a clock with things to come, a ledger of effects.

Everything happens at a moment of the clock that is passed in. With a clock that a test moves, what is due happens at
the next request or `World.advance`; with real time a ticker of the server sees to it.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONVERTER = "60569c31-be2d-4ccd-b60b-ab247824ec7c"
MONITOR = "567b5b98-8d41-413b-9375-9ca610ca2fd3"
OWNER, OWNER_EMAIL = "11111111-2222-4333-8444-555555555555", "worker@lab.example"
Record = dict[str, Any]


class Refusal(Exception):
    """The server says no, and nothing was made."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Timing:
    """Seconds that things take, and seconds until others see them in lists."""

    asset_s: float = 0.0
    """A new asset is a draft this long."""
    init_s: float = 0.0
    run_s: float = 0.0
    """A `slow` parameter adds its seconds for every manifest row."""
    finalize_s: float = 0.0
    poll_s: float = 0.05
    """Between two looks of a monitor at its child."""
    listing_lag_s: float = 0.0
    """A new computation is missing from its capsule's list this long."""
    get_lag_s: float = 0.0
    """A new computation is not known by its own id this long."""
    results_lag_s: float = 0.0
    """The results of a computation that has ended show only its output this long."""
    search_lag_s: float = 0.0
    """A new asset is not found by search this long."""
    jitter: float = 0.0
    """Share of lags and of late effects that is left to chance: 0 none, 1 all of it."""


@dataclass
class Outcome:
    """How a computation ends.

    `kind`: ok | crash (completed, exit code 1) | failed | stopped | empty (no results but the log) | partial (the last
    `rows` of the manifest are not delivered; `told`: coverage.json says so, else there is none) | hang (never ends).
    """

    kind: str = "ok"
    rows: int = 1
    told: bool = True
    exit_code: int = 1
    state_word: str = ""
    """A word for the state that no client knows, instead of "running"."""
    missing: tuple[str, ...] = ()
    """Fields that its record lacks."""


@dataclass
class MonitorHabits:
    """How a pipeline monitor misbehaves."""

    dies: str = ""
    """"before_child", "after_child" or "after_capture"."""
    twice: bool = False
    """It starts its child twice."""
    captures_crashes: bool = False
    """As old monitors do: only the state `failed` counts as an error."""


@dataclass
class PanelParameter:
    """A field of a capsule's app panel. One without `param_name` is positional only."""

    name: str
    param_name: str | None = None
    default: str | None = None
    required: bool = False
    value_type: str = "string"
    choices: tuple[str, ...] = ()


CONVERTER_PANEL = (
    PanelParameter("Manifest", "manifest", "700001_test.csv", required=True),
    PanelParameter("Neuroglancer", "neuroglancer", required=True),
    PanelParameter("Skip ephys", "skip-ephys", "0", value_type="integer"),
    PanelParameter("Run async", "run-async", "1", value_type="integer"),
    PanelParameter("Slow", "slow", "0", value_type="number"),
)


@dataclass
class FakeCapsule:
    """A capsule that others released."""

    id: str
    name: str
    slug: str
    kind: str = "converter"
    """"converter" or "monitor"."""
    versions: tuple[int, ...] = (1, 2, 3)
    panel: tuple[PanelParameter, ...] = CONVERTER_PANEL
    baked_in: tuple[str, ...] = ()
    """Ids of assets that are attached to the capsule itself."""
    outcome: Outcome = field(default_factory=Outcome)
    habits: MonitorHabits = field(default_factory=MonitorHabits)
    shared: bool = True
    """The token may see it."""

    def record(self) -> Record:
        versions = [{"major_version": v, "minor_version": 0, "release_time": 1_700_000_000 + v} for v in self.versions]
        told = {"id": self.id, "name": self.name, "slug": self.slug, "status": "release", "owner": OWNER}
        return told | {"created": 1_700_000_000, "description": "", "versions": versions}


@dataclass
class FakeAsset:
    """A data asset. `folder` holds its files here; an external one may have them in S3 only."""

    id: str
    name: str
    mount: str
    created: float
    state: str = "ready"
    type: str = "dataset"
    tags: tuple[str, ...] = ()
    description: str = ""
    custom_metadata: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] | None = None
    source_bucket: dict[str, Any] | None = None
    folder: Path | None = None
    files: int | None = None
    size: int | None = None
    last_used: float = 0
    owned: bool = True
    archived: bool = False
    failure_reason: str = ""
    permissions: dict[str, Any] = field(default_factory=lambda: {"everyone": "none"})
    app_parameters: list[dict[str, str]] | None = None
    visible: float = 0
    """Search finds it from this moment on."""
    missing: tuple[str, ...] = ()
    """Fields that its record lacks."""

    @property
    def is_external(self) -> bool:
        return bool(self.source_bucket and self.source_bucket.get("external"))

    def record(self) -> Record:
        told = {
            "id": self.id,
            "created": int(self.created),
            "name": self.name,
            "mount": self.mount,
            "state": self.state,
            "type": self.type,
            "tags": list(self.tags),
            "description": self.description,
            "files": self.files,
            "size": self.size,
            "last_used": int(self.last_used),
            "owner": OWNER if self.owned else "somebody-else",
            "owner_email": OWNER_EMAIL if self.owned else None,
            "custom_metadata": self.custom_metadata or None,
            "source_bucket": self.source_bucket,
            "provenance": self.provenance,
            "app_parameters": self.app_parameters,
            "failure_reason": self.failure_reason or None,
        }
        return {key: value for key, value in told.items() if value is not None and key not in self.missing}


@dataclass
class FakeComputation:
    """A run of a capsule."""

    id: str
    capsule: FakeCapsule
    version: int | None
    created: float
    name: str
    mounts: tuple[tuple[str, str], ...]
    """(asset id, folder name)."""
    parameters: tuple[tuple[PanelParameter, str], ...]
    outcome: Outcome
    state: str = "initializing"
    end_status: str | None = None
    exit_code: int | None = None
    results: Path | None = None
    started: float | None = None
    ended: float | None = None
    log: list[str] = field(default_factory=list)
    by: str = "client"
    """"client", or the id of the monitor's computation."""
    visible: float = 0
    """Its capsule's list has it from this moment on."""
    found: float = 0
    """It is known by its own id from this moment on."""

    @property
    def named(self) -> dict[str, str]:
        return {parameter.param_name or parameter.name: value for parameter, value in self.parameters}

    def record(self, now: float) -> Record:
        until = now if self.ended is None else self.ended
        state = self.outcome.state_word if self.outcome.state_word and self.state == "running" else self.state
        told = {
            "id": self.id,
            "created": int(self.created),
            "name": self.name,
            "owner": "release" if self.version is not None else OWNER,
            "run_time": int(until - self.started) if self.started is not None else 0,
            "state": state,
            "cloud_workstation": False,
            "data_assets": [{"id": asset, "mount": mount} for asset, mount in self.mounts],
            "parameters": [
                {"name": p.name, "value": value} | ({"param_name": p.param_name} if p.param_name else {})
                for p, value in self.parameters
            ],
            "end_status": self.end_status,
            "exit_code": self.exit_code,
            "has_results": self.results is not None,
        }
        return {key: value for key, value in told.items() if value is not None and key not in self.outcome.missing}


@dataclass
class Effect:
    """Something that was made or changed, for the count at the end."""

    at: float
    kind: str
    """asset, capture, run, rename, update, share, delete_asset, delete_run or archive."""
    id: str
    by: str
    """"client", or the id of a monitor's computation."""
    details: Record
    """Name, tags, mounts, parameters, description: what a token may stand in."""
    answered: bool | None = None
    """The client was given the whole true answer; None while nobody was answered yet."""


@dataclass
class World:
    """All of it, behind one lock."""

    clock: Callable[[], float]
    timing: Timing = field(default_factory=Timing)
    seed: int = 0
    assets: dict[str, FakeAsset] = field(default_factory=dict)
    capsules: dict[str, FakeCapsule] = field(default_factory=dict)
    computations: dict[str, FakeComputation] = field(default_factory=dict)
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    """(capsule id, how its next run ends), taken in order."""
    ledger: list[Effect] = field(default_factory=list)
    faults_seen: list[BaseException] = field(default_factory=list)
    """What went wrong in the fake itself; none in a sound test."""

    def __post_init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.rng = random.Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._moment: float | None = None
        self._runs = itertools.count(1)
        self._hands = threading.Semaphore(2)
        self._over = False

    def now(self) -> float:
        """The moment of the event that happens just now, else the clock's."""
        return self.clock() if self._moment is None else self._moment

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def new_run_name(self) -> str:
        return f"Run With Parameters {next(self._runs):07d}"

    def lag(self, seconds: float) -> float:
        """A lag of at most these seconds, as `Timing.jitter` says."""
        return seconds * (1 - self.timing.jitter * self.rng.random()) if self.timing.jitter else seconds

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen later."""
        with self.lock:
            heapq.heappush(self._events, (self.now() + seconds, next(self._order), event))
            self.lock.notify_all()

    def aside(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do long work and go on with what it returns; in real time beside the requests, else at this moment."""
        if self.clock is not time.time:
            then(work())
            return

        def go() -> None:
            with self._hands:
                if self._over:
                    return
                try:
                    value = work()
                except Exception as error:  # noqa: BLE001 - as in `advance`
                    self.faults_seen.append(error)
                    return
            self.after(0, lambda: then(value))

        threading.Thread(target=go, daemon=True).start()

    def finish(self) -> None:
        """Start no more long work, and wait for what is under way: it writes files."""
        self._over = True
        for _ in range(2):
            self._hands.acquire()

    def advance(self) -> float | None:
        """Let everything happen that is due. Returns the seconds until the next event; None when there is none."""
        with self.lock:
            if self._moment is not None:  # an event that asks for something finds the world as it is at its moment
                return None
            now = self.clock()
            while self._events and self._events[0][0] <= now:
                moment, _, event = heapq.heappop(self._events)
                self._moment = moment
                try:
                    event()
                except Exception as error:  # noqa: BLE001 - kept for the test's end: the fake must not hide its faults
                    self.faults_seen.append(error)
                finally:
                    self._moment = None
            return self._events[0][0] - now if self._events else None

    def record_effect(self, kind: str, ident: str, by: str, details: Mapping[str, Any]) -> None:
        self.ledger.append(Effect(self.now(), kind, ident, by, dict(details)))

    def asset(self, ident: str) -> FakeAsset:
        if ident not in self.assets:
            raise Refusal(404, "data asset not found")
        return self.assets[ident]

    def capsule(self, ident: object) -> FakeCapsule:
        found = self.capsules.get(ident) if isinstance(ident, str) else None
        if found is None:
            raise Refusal(404, "capsule not found")
        if not found.shared:
            raise Refusal(403, "you have no permission for this capsule")
        return found

    def computation(self, ident: str) -> FakeComputation:
        """Raises a Refusal also for one that is not known by its id yet."""
        if ident not in self.computations or self.computations[ident].found > self.now():
            raise Refusal(404, "computation not found")
        return self.computations[ident]

    def next_outcome(self, capsule: FakeCapsule) -> Outcome:
        for number, (ident, outcome) in enumerate(self.outcomes):
            if ident == capsule.id:
                del self.outcomes[number]
                return outcome
        return capsule.outcome

    def runs_of(self, capsule: FakeCapsule) -> Sequence[FakeComputation]:
        """What the list of a capsule shows just now, newest first."""
        now = self.now()
        shown = [c for c in self.computations.values() if c.capsule.id == capsule.id and c.visible <= now]
        return sorted(shown, key=lambda c: c.created, reverse=True)
