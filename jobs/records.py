"""A job as it is kept for years: one frozen record, JSON both ways, and the transitions its state may make."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.errors import NoSuchJobError
from core.models import Problem
from core.platforms.base import DIRECT, MONITORED, RunState
from jobs.job_states import ENDS, STATE_OF_STEP, TRANSITIONS, JobState, Phase, Step, may_follow

__all__ = ["ENDS", "STATE_OF_STEP", "TRANSITIONS", "JobRecord", "JobState", "Phase", "Step", "may_follow"]

SCHEMA_VERSION = 1
"""Written as `v`. A record with a higher number was written by a newer program and is not touched."""
EVENT_CAP = 200
ID_DIGITS = 12
TEXT_CAP = 2_000
_TOKEN_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class Frozen(BaseModel):
    """Base of everything that is kept: immutable, exact, nothing unknown let in."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Moment(Frozen):
    """A time by two clocks: the wall's, for people, and the kernel's since boot, which nobody sets."""

    at: AwareDatetime
    boot_id: str = ""
    """Identifies the boot that `boot_s` counts from; "" when unknown."""
    boot_s: float = 0.0
    """Seconds since boot, sleep included."""

    def seconds_since(self, earlier: Moment) -> float:
        """Seconds from `earlier` to here, by the kernel's clock within one boot, else by the wall's."""
        if self.boot_id and self.boot_id == earlier.boot_id:
            return self.boot_s - earlier.boot_s
        return (self.at - earlier.at).total_seconds()


class Event(Frozen):
    """One line of a job's history. Never changed, never taken away but for the cap."""

    at: AwareDatetime
    what: str
    detail: str = ""
    by: str = ""


class KeptWhere(Frozen):
    """Where a kept problem is; shanks and rows are 0-based."""

    row: int | None = None
    track: str | None = None
    recording: str | None = None
    column: str | None = None


class KeptProblem(Frozen):
    """A problem as it stood at launch."""

    rule: str
    severity: str
    message: str
    cure: str
    where: KeptWhere = KeptWhere()
    measured: str | float | None = None
    threshold: str | float | None = None

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The kept form of a problem. A number that is not finite is kept as its word."""
        where = problem.where
        return cls(
            rule=problem.rule,
            severity=str(problem.severity),
            message=problem.message,
            cure=problem.cure,
            where=KeptWhere(row=where.row, track=where.track, recording=where.recording, column=where.column),
            measured=_finite(problem.measured),
            threshold=_finite(problem.threshold),
        )


def _finite(value: str | float | None) -> str | float | None:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return number if number - number == 0 else str(number)


class Confirmation(Frozen):
    """A problem that a named person let pass."""

    rule: str
    message: str
    by: str
    at: AwareDatetime


class MountedAsset(Frozen):
    """An existing asset that the run needs, under the folder name it is attached as."""

    asset_id: str
    mount: str


class AskedRow(Frozen):
    """A row of the manifest as people know it. `shank` is 0-based, None on a single-shank stream."""

    track: str
    recording: str
    stream: str
    shank: int | None = None


class CountedRow(AskedRow):
    """What became of a row."""

    status: str
    """"delivered" or "missing"."""
    why: str = ""


class CountedCoverage(Frozen):
    """What was asked and what lies in the captured result."""

    asked: int
    delivered: int
    rows: tuple[CountedRow, ...] = ()


class RemoteIds(Frozen):
    """Ids of what the job made on the platform."""

    manifest_asset: str | None = None
    state_asset: str | None = None
    run: str | None = None
    result: str | None = None


class RemoteRun(Frozen):
    """The last look at the run, in the platform's words."""

    state: str = ""
    exit_code: int | None = None
    detail: str = ""
    child: str = ""
    """On the monitored route, the id of the conversion that the monitor started; "" before it is found."""
    since: Moment | None = None
    """When a run that should show was first missed: ours, or the conversion of a monitor that has ended."""

    @property
    def ended_well(self) -> bool:
        """Whether what it wrote may be taken for whole."""
        return self.state == RunState.FINISHED and self.exit_code in (0, None)


class Cancellation(Frozen):
    """Who asked for the job to be stopped, and when."""

    by: str
    at: AwareDatetime


class JobRecord(Frozen):
    """One launch of one mapping, from the press of the button to the counted result."""

    v: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    id: str = ""
    """12 digits, in order of creation; the store gives it."""
    rev: int = 0
    """Grows by one with every write; a write names the revision it has read."""
    token: str
    """Unique; the platform's traces of this job carry it."""
    attempt: int = 1
    owner: str = ""
    """The worker that last took the job in hand."""
    state: JobState = JobState.QUEUED
    step: Step = Step.CLAIM
    phase: Phase = Phase.READY

    created: AwareDatetime
    created_by: str
    started: AwareDatetime | None = None
    """When the run started."""
    ended: AwareDatetime | None = None

    subject: str
    acquisition: str | None = None
    platform: str
    platform_id: str = ""
    """Which platform of that name; "" for jobs from before it was kept."""
    converter: str
    converter_version: str
    trackmapper_version: str = ""
    """Of the program that launched it; "" for jobs from before it was kept."""
    converter_label: str = ""
    """The converter's name as people read it; "" when it is `converter`."""
    route: str = DIRECT
    """Who keeps the result: our worker, or the platform's monitor run."""
    monitor: str = ""
    """What that monitor was at the launch; "" on the direct route and for jobs from before it was kept."""
    deadline_h: float | None = None
    """Hours after which the run asks its people; None: as the worker is set."""
    parameters: dict[str, str] = Field(default_factory=dict)
    digest: str
    """What makes two launches the same launch."""
    manifest_sha256: str
    state_sha256: str
    state_stem: str
    rows: tuple[AskedRow, ...] = ()
    mounts: tuple[MountedAsset, ...] = ()
    problems: tuple[KeptProblem, ...] = ()
    confirmed: tuple[Confirmation, ...] = ()

    ids: RemoteIds = RemoteIds()
    surplus: tuple[str, ...] = ()
    """Ids that carry our token but are not used: twins of a lost answer, assets that failed."""
    remote: RemoteRun = RemoteRun()
    coverage: CountedCoverage | None = None
    not_known: tuple[str, ...] = ()
    """What the count cannot hold the result against: "parameters", "geometry". Of jobs found on the platform."""
    error: str = ""
    """One sentence for people; "" when all is well."""

    intent: Moment | None = None
    """When the effect in doubt was about to be sent; once it is looked for, when it was surely not sent later."""
    clean_looks: int = 0
    """Looks that found no effect, since this owner began to look."""
    waits_since: Moment | None = None
    """When the present step first found that what it waits for is not there: an asset that is ready, results."""
    reposts: int = 0
    """How often the effect of the present step was sent again after nothing had been found."""
    tries: int = 0
    """Failed calls in a row."""
    due: AwareDatetime | None = None
    """Not before this time."""
    pause_s: float = 0.0
    """How long the platform asked to be left alone when `due` was set; 0 when it did not."""
    throttled: bool = False
    """The effect in doubt was answered with a request for a pause: one look that finds nothing settles it."""
    look_first: bool = False
    """Restored from a backup: what it is about to make may have been made since, and is looked for first."""
    proposed_run: str = ""
    """A run that a person named as this job's; the worker asks the platform whether it is."""
    deadline: AwareDatetime | None = None
    """When the run asks its people; a person may move it."""
    overdue: bool = False
    """A deadline has passed, the run's or that of an asset to get ready, and nobody has answered yet."""
    named: tuple[str, ...] = ()
    """Ids of runs that have got the job's name on the platform."""
    name_tries: int = 0
    """How often a run could not be given it."""
    log_sha256: str = ""
    """Of the run's log as kept in this queue; "" when none is kept."""
    report_sha256: str = ""
    """Of the page that says what was decided and on what evidence; "" for jobs from before it was kept."""
    cancel: Cancellation | None = None
    relaunch_of: str | None = None
    superseded_by: str | None = None
    archived: bool = False
    events: tuple[Event, ...] = ()

    @property
    def has_ended(self) -> bool:
        """True when nothing more happens by itself."""
        return self.state in ENDS

    @property
    def conversion_run(self) -> str | None:
        """Id of the run that converts, with the results and the log: on the monitored route, the monitor's child."""
        return self.remote.child or None if self.route == MONITORED else self.ids.run

    @property
    def binds_digest(self) -> bool:
        """True while a second launch of the same mapping must show this job instead."""
        return not self.has_ended or self.state is JobState.SUCCEEDED

    def changed(self, **values: Any) -> JobRecord:  # noqa: ANN401 - any field
        """A copy with other values; a state that does not exist is refused."""
        unknown = values.keys() - type(self).model_fields.keys()
        if unknown:
            raise ValueError(f"a job has no {', '.join(sorted(unknown))}")
        if "error" in values:
            values["error"] = values["error"][:TEXT_CAP]
        return self.model_copy(update=values)

    def told(self, at: datetime, what: str, detail: str = "", by: str = "") -> JobRecord:
        """A copy with one more event. Beyond the cap the middle is dropped, and says so."""
        events = (*self.events, Event(at=at, what=what, detail=detail[:TEXT_CAP], by=by))
        if len(events) > EVENT_CAP:
            early, late = events[: EVENT_CAP // 4], events[EVENT_CAP // 4 + 2 :]
            gap = Event(at=events[EVENT_CAP // 4].at, what="earlier events left out", detail="")
            events = (*early, gap, *late)
        return self.model_copy(update={"events": events})


def full_id(job_id: str) -> str:
    """A job's id with its leading zeros: `12` is `000000000012`.

    Raises:
        NoSuchJobError: it is not a number of at most 12 digits.
    """
    if not (job_id.isascii() and job_id.isdigit() and len(job_id) <= ID_DIGITS):
        raise NoSuchJobError(f"{job_id[:40]!r} is no job's id", cure="Ids are numbers; the Jobs page lists them.")
    return job_id.zfill(ID_DIGITS)


def whole_text(text: str) -> str:
    """Text as it is kept: halves of characters, which have no UTF-8 form, become question marks."""
    return text.encode("utf-8", "replace").decode()


def new_token() -> str:
    """A token of 16 small letters and digits, short and plain enough for every platform's tag search."""
    return "j" + "".join(secrets.choice(_TOKEN_LETTERS) for _ in range(15))
