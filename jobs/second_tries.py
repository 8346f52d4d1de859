"""What a second try of an ended job means: whether it starts a run, a count made once more, a run followed again."""

from __future__ import annotations

from datetime import datetime

from core.errors import NotAllowedError
from jobs.doubts import FOLLOWED_AGAIN, late_run, late_words
from jobs.records import STATE_OF_STEP, JobRecord, JobState, Phase, Step
from jobs.store import JobStore
from jobs.submission import AT_ONCE, change_record

_AFTER_THE_RUN = frozenset({Step.VERIFY, Step.CAPTURE, Step.CAPTURE_READY, Step.COUNT})


def starts_run(record: JobRecord) -> bool:
    """Whether trying an ended job again starts a run, which may cost money: all but a result that was not kept."""
    return not (record.state is JobState.FAILED and record.step in _AFTER_THE_RUN)


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


def can_follow(record: JobRecord) -> bool:
    """Whether a run of a failed job has turned up, so that its results can still be had without another one."""
    return record.state is JobState.FAILED and record.superseded_by is None and bool(late_run(record))


def follow(store: JobStore, job_id: str, user: str, now: datetime) -> JobRecord:
    """Follow the run of a failed job that turned up after it had been given up: to its end, its result and the count.

    Starts nothing. A run that the job did not know is asked first whether it is this job's.

    Raises:
        NotAllowedError: nothing turned up of it, it has not failed, or the mapping belongs to a later job.
        NoSuchJobError: there is no such job.
    """

    def change(record: JobRecord) -> JobRecord:
        if record.superseded_by is not None:
            raise NotAllowedError(
                f"job {record.superseded_by} has taken its place", where=f"job {record.id}", cure="Look at that one."
            )
        if not can_follow(record):
            raise NotAllowedError(
                f"the job is {record.state}" + ("" if late_run(record) else ", and no run of it turned up"),
                where=f"job {record.id}",
                cure="Only a failed job whose run turned up later is followed again.",
            )
        run, told = late_run(record), set(" ".join(late_words(record)).replace(",", " ").split())
        # What was told as an alarm is wanted now: a run, or a result that a monitor kept of it.
        known = tuple(ident for ident in record.surplus if ident not in told)
        step, phase = (Step.WATCH, Phase.READY) if record.ids.run else (Step.RUN, Phase.SETTLING)
        again = record.changed(
            state=STATE_OF_STEP[step], step=step, phase=phase, ended=None, error="", surplus=known, **AT_ONCE
        ).changed(proposed_run="" if record.ids.run else run)
        return again.told(now, FOLLOWED_AGAIN, run, by=user)

    return change_record(store, job_id, change)
