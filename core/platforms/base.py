"""What a platform must do: read assets (anybody), and make effects (the worker only).

Every effect carries a token, unique per job and attempt, by which it can be found again. An effect
method either returns (it was made), raises RefusedError, NotFoundError or UnavailableError (it was not made), or raises
anything else (unknown: look for it by its token, never repeat it blindly).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.errors import PlatformError
from core.models import Asset, SavedState


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of an asset or a result."""

    name: str
    is_folder: bool
    size: int | None = None
    is_link: bool = False
    """It is a name for something that lies elsewhere."""


class HealthKind(StrEnum):
    """How a platform answers."""

    OK = "ok"
    SLOW = "slow"
    REFUSING = "refusing"
    """It answers, and refuses us: the token, its scopes, the server's version."""
    AWAY = "away"
    """It does not answer, or is broken."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a platform answers, and what to do about it in one sentence."""

    kind: HealthKind = HealthKind.OK
    words: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option of a converter, as the platform describes it."""

    name: str
    default: str = ""
    required: bool = False
    help: str = ""
    choices: tuple[str, ...] = ()
    """The values it may have; () when it may have any."""


@dataclass(frozen=True, slots=True)
class ConverterOffer:
    """A conversion that can be launched: which versions, with which options."""

    converter: str
    """What a job keeps: a name, or a capsule's id."""
    label: str
    """What people read."""
    versions: tuple[str, ...]
    """Newest first."""
    version: str
    """The one proposed; the parameters are this version's."""
    parameters: tuple[Parameter, ...] = ()
    """Options a person may set; `manifest` and `neuroglancer` are ours and not among them."""
    routes: tuple[str, ...] = ("direct",)
    route: str = "direct"
    """The one proposed."""
    monitor: str = ""
    """What keeps the result on the monitored route; "" when there is none."""


class PartlyFoundError(PlatformError):
    """Some of the searches for a mouse failed, so that assets may be missing from what was found."""

    def __init__(self, message: str, found: tuple[Asset, ...], *, where: str = "", cure: str = "") -> None:
        super().__init__(message, where=where, cure=cure)
        self.found = found


class AssetReader(Protocol):
    """Reads assets. Used by the dashboard and the worker; has no effect on the platform."""

    name: str
    """Shown in the header: "this machine" or "Code Ocean"."""

    launch_refusal: str
    """Why nothing can be launched from here, and what to do about it; "" when it can."""

    connections: int
    """Requests that it bears at the same time; 0 where nothing is gained by asking for files ahead of their use."""

    @property
    def platform_id(self) -> str:
        """Tells this place from every other of the same name; "" when it cannot be told."""

    @property
    def requests(self) -> int:
        """How many requests this reader has made."""

    def find_subject_assets(self, subject: str) -> tuple[Asset, ...]:
        """Every asset that may belong to the subject, by name or tag; the caller compares tokens exactly.

        Raises:
            PartlyFoundError: some of the searches failed; it holds what the others found.
            PlatformError: nothing could be searched.
        """

    def get_asset(self, asset_id: str) -> Asset:
        """One asset. Raises NotFoundError."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset, sorted by name. Raises NotFoundError when there is none."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes. Raises NotFoundError, or PlatformError when it is larger than `limit` bytes."""

    def saved_states(self) -> tuple[SavedState, ...]:
        """State files kept on the platform."""

    def read_state(self, path: str) -> bytes:
        """The bytes of a saved state (`SavedState.path`). Raises NotFoundError; at most 64 MiB."""

    def health(self) -> Health:
        """How the platform answers just now. Raises nothing."""

    def converter_offer(self, version: str = "") -> ConverterOffer:
        """What can be launched, with the options of this version; of the proposed one when "". Raises PlatformError."""

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of a run's log; b"" when there is none (yet). Raises PlatformError."""

    def web_link(self, kind: str, ident: str, capsule: str = "") -> str:
        """Address of a page of the platform; "" when it has none.

        Args:
            kind: "asset", "capsule" or "run".
            ident: The thing's id.
            capsule: Of a run, the id of its capsule.
        """


class RunState(StrEnum):
    """What a conversion is doing, platform's words made few."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    """It ended by itself; `exit_code` and the results say how."""
    FAILED = "failed"
    STOPPED = "stopped"
    GONE = "gone"
    """The platform has no such run any more, or its process vanished without a word."""

    @property
    def goes_on(self) -> bool:
        """Whether the run has not ended."""
        return self in (RunState.STARTING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One look at a conversion."""

    id: str
    state: RunState
    exit_code: int | None = None
    detail: str = ""
    """The platform's own words, for people."""
    ran_s: float | None = None
    """How long it has run, in seconds; None when the platform does not say."""


@dataclass(frozen=True, slots=True)
class InputAsset:
    """An asset to make from files: the manifest or the state of one job."""

    token: str
    name: str
    """Also the mount and folder name."""
    files: Mapping[str, bytes]
    """Path inside the asset -> bytes."""
    tags: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Mount:
    """An asset attached to a run under a folder name."""

    asset_id: str
    mount: str


DIRECT, MONITORED = "direct", "monitor"
"""Routes of a launch: our worker keeps the result, or the platform's own monitor run does."""


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Keep a finished run's results as a new asset."""

    token: str
    run_id: str
    name: str
    tags: tuple[str, ...]
    description: str
    custom_metadata: Mapping[str, str] = field(default_factory=dict)
    provenance_data_assets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A conversion to start."""

    token: str
    name: str
    mounts: tuple[Mount, ...]
    parameters: Mapping[str, str]
    """Named parameters: `manifest`, `neuroglancer` (paths under the data folder), converter options."""
    version: str = ""
    """Released version of the converter; "" where a platform has only one."""
    route: str = DIRECT
    capture: CaptureRequest | None = None
    """On the monitored route, how the monitor keeps the result; its `run_id` is not known and not used."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """What tells the runs of one job from all others."""

    token: str
    manifest_asset: str = ""
    """Id of the asset that was made for this job alone: a run that it is attached to is this job's."""
    route: str = DIRECT
    converter: str = ""
    """The conversion that the job was launched with, whatever the settings name by now; "": the runner's."""
    monitor: str = ""
    """Likewise of what keeps the result on the monitored route."""


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run that the queue knows of, told to a runner that has just begun."""

    id: str
    key: RunKey
    started: datetime
    is_child: bool = False
    """A monitor started it."""
    should_show: bool = True
    """False when it was stopped, or is gone: a list without it may be whole all the same."""


@dataclass(frozen=True, slots=True)
class SettlePolicy:
    """How long a lost effect may take to show up here, and how often to look before concluding that there is none."""

    asset_window_s: float
    run_window_s: float
    clean_looks: int
    starts_once: bool = False
    """The platform itself makes at most one run of a token: sending a start again can double nothing."""
    capture_window_s: float | None = None
    """Of a captured result, which like a run must not exist twice; None: as long as a run's."""
    lost_window_s: float = 0.0
    """How long a run that we know may not show before it counts as gone; 0: the platform knows at once."""
    results_window_s: float = 0.0
    """How long the results of a run that ended well may not show; 0: they show with its end."""


class Runner(Protocol):
    """Makes effects. Only the worker holds one."""

    name: str

    @property
    def platform_id(self) -> str:
        """As a reader of the same place says it. What was checked elsewhere is not run here."""

    settle: SettlePolicy
    converter: str
    """Name of the conversion it runs, e.g. "image-space", or the capsule's id."""

    def recall(self, runs: Sequence[KnownRun], now: datetime) -> None:
        """Hear of the runs that were known before this runner began. Asks nothing of the platform."""

    def refusal(self, converter: str, version: str, route: str, monitor: str = "") -> str:
        """Why this worker cannot run such a job, for people; "" when it can. Asks nothing of the platform."""

    def create_input_asset(self, request: InputAsset) -> Asset:
        """Make an asset of the request's files."""

    def start_run(self, request: RunRequest) -> str:
        """Start a conversion; returns the run's id."""

    def capture(self, request: CaptureRequest) -> Asset:
        """Make an asset of a run's results."""

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        """Every asset made with this token."""

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        """Ids of every run that we started for a job, oldest first: the monitor's on the monitored route.

        Raises:
            PlatformError: the list could not be read whole; nothing may be concluded from it.
        """

    def find_children(self, key: RunKey) -> tuple[str, ...]:
        """Ids of every conversion that a monitor started for a job, oldest first; () on the direct route."""

    def belongs(self, run_id: str, key: RunKey) -> bool:
        """Whether a run that a person names was started for this job. Raises PlatformError."""

    def name_run(self, run_id: str, name: str) -> None:
        """Give a run a name that people recognise. Repeating it is fine; a run that is gone is, too.

        Raises:
            PlatformError: it is not known to have it.
        """

    def share(self, asset: Asset) -> None:
        """Let others see a captured result, as the settings say. Repeating it is fine. Raises PlatformError."""

    def get_asset(self, asset_id: str) -> Asset:
        """An asset's present state. Raises NotFoundError."""

    def run_status(self, run_id: str) -> RunStatus:
        """One look at a run; `GONE` when there is none."""

    def stop_run(self, run_id: str) -> None:
        """Stop a run. Stopping a stopped or unknown run is fine."""

    def forbid_run(self, token: str) -> None:
        """From now on no run of this token starts, not even one whose start was on its way.

        One that had started is not touched and is found by `find_runs`. A platform on which a start cannot be on
        its way that long does nothing.

        Raises:
            PlatformError: it could not be ruled out.
        """

    def list_results(self, run_id: str, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder of a run's results. Raises NotFoundError."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside a captured asset. Raises NotFoundError."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of a captured asset."""

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of a run's log; b"" when there is none yet."""

    def active_runs(self) -> tuple[str, ...]:
        """Ids of runs that are still going."""
