"""A job in words: what it is doing, since when, what came of it, whom it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from core.platforms.base import MONITORED
from dashboard.text import count, duration, moment
from jobs.doubts import late_words
from jobs.protocol import TWINS
from jobs.records import JobRecord, JobState, Phase, Step
from jobs.second_tries import follows_run

FOLLOW = "Follow its run"
"""Words of the button that tries such a job again."""

STATE_WORDS: dict[JobState, tuple[str, str, str]] = {
    JobState.QUEUED: ("○", "info", "queued"),
    JobState.PREPARING: ("◔", "info", "preparing the inputs"),
    JobState.LAUNCHING: ("◑", "info", "launching"),
    JobState.RUNNING: ("◑", "info", "running"),
    JobState.VERIFYING: ("◕", "info", "verifying the results"),
    JobState.CAPTURING: ("◕", "info", "capturing and counting"),
    JobState.NEEDS_YOU: ("?", "warn", "needs you"),
    JobState.CANCELLING: ("◌", "warn", "cancelling"),
    JobState.SUCCEEDED: ("✓", "good", "succeeded"),
    JobState.INCOMPLETE: ("✕", "bad", "incomplete"),
    JobState.FAILED: ("✕", "bad", "failed"),
    JobState.CANCELLED: ("–", "dim", "cancelled"),
    JobState.REFUSED: ("✕", "bad", "refused"),
}
"""Sign, style and words of each state."""
FAILURES = frozenset({JobState.FAILED, JobState.INCOMPLETE, JobState.REFUSED})
_EFFECTS = {
    Step.MANIFEST_ASSET: "manifest asset",
    Step.STATE_ASSET: "state asset",
    Step.RUN: "run",
    Step.CAPTURE: "result asset",
}


def number(job_id: str) -> str:
    """A job's id as people say it: `12`."""
    return job_id.lstrip("0") or "0"


def asks(job: JobRecord) -> bool:
    """True when the job waits for a person: it needs a decision, or has run past its deadline."""
    return job.state is JobState.NEEDS_YOU or (job.overdue and not job.has_ended)


def style(job: JobRecord) -> str:
    """The style of a job's state."""
    if job.state in FAILURES and job.superseded_by:
        return "dim"
    return "warn" if asks(job) else STATE_WORDS[job.state][1]


def state_line(job: JobRecord, now: datetime) -> str:
    """`running 1 h 12 min`, `incomplete: 22 of 24 delivered`, `failed, superseded by job 12`."""
    sign, _, words = STATE_WORDS[job.state]
    if job.coverage is not None and job.has_ended:
        words = f"{words}: {job.coverage.delivered} of {job.coverage.asked} delivered"
    elif job.state is JobState.RUNNING and job.started:
        words += f" {duration((now - job.started).total_seconds())}"
    elif not job.has_ended:
        words += f", {duration((now - since(job)).total_seconds())}"
    if job.state in FAILURES and job.superseded_by:
        return f"– {words}, superseded by job {number(job.superseded_by)}"
    if job.overdue and not job.has_ended:
        # Else an asset does not get ready, and the job's words say which.
        return f"? {words}, past its deadline" if job.state is JobState.RUNNING else f"? {words}, a person must look"
    return f"{sign} {words}"


def trouble(job: JobRecord) -> str:
    """What is wrong, in words; "" when nothing is. A twin of the launch is trouble also when the job succeeded."""
    twins = [event.detail for event in job.events if event.what == TWINS]
    late = late_words(job)
    told = [
        f"More than one was made of this launch; look at the others before you use the result: {'; '.join(twins)}",
        f"Something of it turned up after it had been given up; look at it before you launch again: {'; '.join(late)}."
        + (f" {FOLLOW} takes it up, and starts no other." if follows_run(job) else ""),
    ]
    words = [each for each, found in zip(told, (twins, late), strict=True) if found]
    error = job.error if not (job.error and words) or job.error.endswith(".") else f"{job.error}."
    return " ".join(filter(None, (error, *words)))


_NOT_KNOWN = {
    "parameters": "the converter's parameters, so that channel files are looked for whether they were asked for or not",
    "geometry": "the image's geometry when it was checked, so that the picks' places are not compared with the tracks",
}


def weaker_count(job: JobRecord) -> str:
    """Why a count of this job says less than others, or may say too little; "" when it does not."""
    unknown = [_NOT_KNOWN.get(what, what) for what in job.not_known]
    if not unknown:
        return ""
    return f"Found on the platform and counted by less than a launch from here. Not known: {'; '.join(unknown)}."


def since(job: JobRecord) -> datetime:
    """When the job last changed: its newest event, else its creation."""
    return job.ended or (job.events[-1].at if job.events else job.created)


def tracks_line(job: JobRecord) -> str:
    """`6 tracks`; a track with several rows counts once."""
    return count(len({row.track for row in job.rows}), "track")


@dataclass(frozen=True, slots=True)
class Windows:
    """How long a lost answer is looked for, in seconds."""

    asset_s: float
    run_s: float


def waiting_words(job: JobRecord, windows: Windows | None, now: datetime, zone: tzinfo | None) -> str:
    """What a job that has not ended waits for, beyond its state; "" when for nothing.

    Args:
        job: The job.
        windows: How long a lost answer is looked for; None when that is not known here.
        now: The present time.
        zone: The viewer's.
    """
    if job.has_ended:
        return ""
    if job.phase is not Phase.READY and job.step in _EFFECTS and job.state is not JobState.NEEDS_YOU:
        return _settling(job, windows, now, zone)
    if job.tries and job.due:
        return f"Tried {count(job.tries, 'time')}; tried again {moment(job.due, now, zone)}."
    return ""


def _settling(job: JobRecord, windows: Windows | None, now: datetime, zone: tzinfo | None) -> str:
    what, asked = _EFFECTS[job.step], job.intent.at if job.intent else since(job)
    if job.phase is Phase.INTENT:
        return f"The {what} is being asked for since {moment(asked, now, zone)}."
    words = (
        f"The answer about the {what} asked for {moment(asked, now, zone)} was lost. It is looked for and not sent "
        f"again: {count(job.clean_looks, 'look')}, nothing found yet."
    )
    if windows is not None:
        window_s = windows.asset_s if job.step in (Step.MANIFEST_ASSET, Step.STATE_ASSET) else windows.run_s
        words += f" Decided {moment(asked + timedelta(seconds=window_s), now, zone)} at the earliest."
    return words + (f" It was sent again {count(job.reposts, 'time')} before." if job.reposts else "")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a job's way, as the detail draws it."""

    words: str
    at: datetime | None
    """When it was reached; None when it was not, or nobody noted it."""
    reached: bool


_ORDER = list(Step)
_STAGES = (
    # words, the step that follows it, how the events that tell of it begin
    ("launched", Step.CLAIM, ("launched",)),
    ("inputs made", Step.INPUTS_READY, ("state asset made", "state asset found")),
    ("run started", Step.WATCH, ("run made", "run found")),
    ("run ended", Step.VERIFY, ("run ended",)),
    ("result kept", Step.CAPTURE_READY, ("result asset made", "result asset found")),
)


def stages(job: JobRecord) -> tuple[Stage, ...]:
    """The way of a job: launched, inputs, run started, run ended, kept, counted."""
    told = {words: _told_at(job, beginnings) for words, _, beginnings in _STAGES}
    told["launched"] = told["launched"] or job.created
    told["run started"] = told["run started"] or job.started
    made = []
    for words, follows, _ in _STAGES:
        passed = job.step is not Step.DONE and _ORDER.index(job.step) >= _ORDER.index(follows)
        made.append(Stage(words, told[words], passed or told[words] is not None or job.coverage is not None))
    counted = job.coverage is not None
    return (*made, Stage("counted", job.ended if counted else None, counted))


def _told_at(job: JobRecord, beginnings: tuple[str, ...]) -> datetime | None:
    return next((event.at for event in reversed(job.events) if event.what.startswith(beginnings)), None)


def monitored(job: JobRecord) -> bool:
    """True when the platform's monitor run keeps the result."""
    return job.route == MONITORED
