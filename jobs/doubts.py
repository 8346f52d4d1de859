"""Which jobs may have a run that nobody sees: a start, or a run, that was looked for in vain and then given up."""

from __future__ import annotations

from core.platforms.base import RunState, RunStatus
from jobs.job_states import JobState, Phase, Step
from jobs.records import JobRecord
from jobs.watched import remote_of, run_words

TURNED_UP = "alarm: a run turned up"
"""The event that says that a run shows which the job had given up, or a result that a monitor kept of it."""
TAKEN_UP = ("tried again", Step.WATCH.value)
"""The event, and its detail, that says that a person let the job go on from there."""


def leaves_doubt(before: JobRecord | None, record: JobRecord) -> bool:
    """Whether a record gives up a start or a run that may exist and show only later.

    Args:
        before: The record as it stood; None for a new one.
        record: As it is written now.
    """
    if record.look_first and not (before is not None and before.look_first):
        return True  # from a backup, or found on the platform: what was started since, no record names
    if before is None:
        return False
    ends = record.has_ended and not before.has_ended
    return _gives_up_start(before, record) or (ends and _unseen(record))


def _gives_up_start(before: JobRecord, record: JobRecord) -> bool:
    if before.step is not Step.RUN or record.ids.run is not None:
        return False
    if before.phase is Phase.INTENT:
        return record.has_ended  # a refusal is believed, and yet looked after
    stops = record.has_ended or record.phase is Phase.READY
    asks = record.state is JobState.NEEDS_YOU and before.state is not JobState.NEEDS_YOU
    return before.phase is Phase.SETTLING and (stops or asks)


def given_up_runs(record: JobRecord) -> tuple[str, ...]:
    """Ids of runs that an ended job names and of which it did not see the end, a monitor's before its conversion's."""
    if not record.has_ended or not (_unseen(record) or record.state is JobState.CANCELLED):
        return ()
    return tuple(dict.fromkeys(filter(None, (record.ids.run, record.conversion_run))))


def _unseen(record: JobRecord) -> bool:
    """Whether an ended job has not seen the end of its run. A stop ends one that is seen to run."""
    remote = record.remote
    goes_on = remote.state in (RunState.STARTING, RunState.RUNNING) and record.state is not JobState.CANCELLED
    is_known = record.ids.run is not None or bool(remote.child)
    return is_known and (goes_on or remote.since is not None or remote.state == RunState.GONE)


def turned_up(record: JobRecord, run: str, status: RunStatus) -> tuple[JobRecord, str]:
    """The record of an ended job one of whose given-up runs shows, and what is to be told; "" when nothing is new.

    Args:
        record: The job.
        run: Which run.
        status: What it is doing.
    """
    converts = run == record.conversion_run
    if status.state is RunState.GONE or not (status.state.goes_on or (converts and _unseen(record))):
        return record, ""  # how a monitor ended says nothing new
    words = f"run: {run}, {'' if converts else 'the monitor, '}{status_words(status)}"
    was_told = any(event.what == TURNED_UP and event.detail.startswith(f"run: {run}, ") for event in record.events)
    if converts:
        was_told = record.remote.since is None and record.remote.state == status.state
        record = record.changed(remote=remote_of(status, record.remote.child))
    # One of a cancelled job that goes on is stopped, each time.
    return record, "" if was_told and record.state is not JobState.CANCELLED else words


def made_followable(record: JobRecord) -> JobRecord:
    """The job of which something turned up: one that failed may go on from the run that it names, if a person says so.

    Tried again it follows that run, and starts none.
    """
    return record.changed(step=Step.WATCH) if record.state is JobState.FAILED and record.ids.run else record


def late_words(record: JobRecord) -> tuple[str, ...]:
    """What has turned up of a job, each in words, since it last went on from there."""
    taken_up = [at for at, event in enumerate(record.events) if (event.what, event.detail) == TAKEN_UP]
    events = record.events[taken_up[-1] :] if taken_up else record.events
    return tuple(event.detail for event in events if event.what == TURNED_UP)


def status_words(status: RunStatus) -> str:
    """What a run is doing or how it ended, and what is known of its cost."""
    words = run_words(remote_of(status)).removesuffix(".")
    ran = "" if status.ran_s is None else f" It has run for {status.ran_s / 60:.0f} min."
    if status.state.goes_on:
        return f"{words}.{ran} It goes on and costs until it ends"
    unused = " Nobody has looked at its results; they lie on the platform" if status.state is RunState.FINISHED else ""
    return f"{words}.{ran} It has cost what it ran.{unused}".removesuffix(".")
