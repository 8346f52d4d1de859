"""What a call on the platform may give: a small record for each, so that every case is seen."""

from __future__ import annotations

from dataclasses import dataclass

from core.platforms.base import RunStatus
from jobs.records import CountedCoverage, Step


@dataclass(frozen=True, slots=True)
class Accepted:
    """CLAIM: this worker can run the job."""


@dataclass(frozen=True, slots=True)
class Made:
    """MAKE: the effect exists, with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """CLAIM or MAKE: a clear no; nothing was made."""

    words: str


@dataclass(frozen=True, slots=True)
class NotReached:
    """Any call: nothing was sent, or nothing could be read."""

    words: str
    is_outage: bool = False
    """True when the platform could not be reached at all, so that other jobs' calls would fail as well."""
    is_refusal: bool = False
    """True when it refuses who we are: an outage that only a person can end."""
    retry_after_s: float | None = None
    """How long the platform asks to be left alone; None when it did not say."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """MAKE: the platform asks for a pause. Nothing was made, by its documentation."""

    words: str
    retry_after_s: float | None = None
    """How long it asks to be left alone; None when it did not say."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """MAKE: the effect may or may not exist."""

    words: str


@dataclass(frozen=True, slots=True)
class Seen:
    """LOOK: ids of all that carry the token, oldest first."""

    ids: tuple[str, ...]
    conversions: tuple[str, ...] = ()
    """Of a monitor's run that does not show: the conversions of the job that do."""


@dataclass(frozen=True, slots=True)
class Pending:
    """INPUTS or RESULT: the asset of this step is not ready yet."""

    step: Step
    id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """INPUTS or RESULT: all assets are ready."""

    words: str = ""
    """RESULT: why others cannot see it; "" when all went well."""


@dataclass(frozen=True, slots=True)
class Broken:
    """INPUTS or RESULT: the asset of this step failed on the platform, or is gone."""

    step: Step
    words: str


@dataclass(frozen=True, slots=True)
class Looked:
    """WATCH: the run's state."""

    status: RunStatus
    named: tuple[str, ...] = ()
    """Runs that were given the job's name just now."""
    name_failed: bool = False
    """A run could not be given it."""


@dataclass(frozen=True, slots=True)
class Followed:
    """WATCH on the monitored route: the monitor's state, the conversions that it started, and the state of ours."""

    monitor: RunStatus
    children: tuple[str, ...] = ()
    """Oldest first."""
    child: RunStatus | None = None
    """None while no conversion is known."""
    named: tuple[str, ...] = ()
    """As of `Looked`."""
    name_failed: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """BELONGS: whether the run that a person named is this job's."""

    is_ours: bool


@dataclass(frozen=True, slots=True)
class Results:
    """VERIFY: whether the run left anything worth keeping."""

    exist: bool
    named: tuple[str, ...] = ()
    """As of `Looked`."""
    name_failed: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """COUNT: what the captured result holds, and ids of twins that should not exist."""

    coverage: CountedCoverage
    twins: tuple[str, ...] = ()
    other: RunStatus | None = None
    """The twin whose result was kept, when it is not that of the job's own run."""
    named: tuple[str, ...] = ()
    """As of `Looked`."""
    name_failed: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """STOP: no run of this job goes on."""


Answer = (
    Accepted
    | Made
    | Refused
    | NotReached
    | Throttled
    | Unclear
    | Seen
    | Pending
    | Ready
    | Broken
    | Looked
    | Followed
    | Judged
    | Results
    | Counted
    | Stopped
)
