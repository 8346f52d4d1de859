"""What a second try of an ended job means: whether it starts a run, and a count that is made once more."""

from __future__ import annotations

from datetime import datetime

from core.errors import NotAllowedError
from jobs.records import STATE_OF_STEP, JobRecord, JobState, Phase, Step
from jobs.store import JobStore
from jobs.submission import AT_ONCE, change_record, names_conversion

_AFTER_THE_RUN = frozenset({Step.VERIFY, Step.CAPTURE, Step.CAPTURE_READY, Step.COUNT})


def follows_run(record: JobRecord) -> bool:
    """Whether trying a failed job again follows a run of it that turned up after it had been given up."""
    return record.state is JobState.FAILED and (record.step is Step.WATCH or names_conversion(record))


def starts_run(record: JobRecord) -> bool:
    """Whether trying an ended job again starts a run, which may cost money: not where one is there to go on from."""
    return not (follows_run(record) or (record.state is JobState.FAILED and record.step in _AFTER_THE_RUN))


def can_recount(record: JobRecord) -> bool:
    """Whether a kept result was counted as lacking something, so that another count may find more."""
    return record.state is JobState.INCOMPLETE and record.ids.result is not None and record.superseded_by is None


def recount(store: JobStore, job_id: str, user: str, now: datetime) -> JobRecord:
    """Count the result of an incomplete job once more: the same asset, no new run.

    Files may have been listed late, or the count of an earlier version may have been wrong.

    Raises:
        NotAllowedError: it is not incomplete, no result was kept, or the mapping belongs to a later job.
        NoSuchJobError: there is no such job.
    """

    def change(record: JobRecord) -> JobRecord:
        if record.superseded_by is not None:
            raise NotAllowedError(
                f"job {record.superseded_by} has taken its place", where=f"job {record.id}", cure="Look at that one."
            )
        if not can_recount(record):
            raise NotAllowedError(
                f"the job is {record.state}" + ("" if record.ids.result else ", and kept no result"),
                where=f"job {record.id}",
                cure="Only an incomplete job whose result was kept is counted again.",
            )
        again = record.changed(
            state=STATE_OF_STEP[Step.COUNT], step=Step.COUNT, phase=Phase.READY, ended=None, error="", **AT_ONCE
        )
        return again.told(now, "counted again", record.ids.result or "", by=user)

    return change_record(store, job_id, change)
