"""What earlier jobs made of a mouse's recordings, for the check that asks before one is converted in another way."""

from __future__ import annotations

from core.checks.earlier import Converted, converted_by
from jobs.records import JobRecord, JobState
from jobs.store import JobStore

_LOOK_BACK = 1_000
_COUNT = frozenset(JobState) - {JobState.FAILED, JobState.CANCELLED, JobState.REFUSED}


def converted_before(store: JobStore, subject: str) -> tuple[Converted, ...]:
    """Every recording of the mouse that a job has delivered, in whole or in part, or is converting; the last job first.

    Jobs that another one superseded, those put away, and those that are being cancelled do not count.
    """
    jobs = store.newest(_LOOK_BACK, states=_COUNT, subject=subject, archived=False)
    counted = (job for job in jobs if job.superseded_by is None and (job.has_ended or job.cancel is None))
    return tuple(found for job in counted for found in _converted(job))


def _converted(job: JobRecord) -> tuple[Converted, ...]:
    rows = ((row.recording, row.track, row.stream, row.shank) for row in job.rows)
    return converted_by(str(int(job.id)), rows, goes_on=not job.has_ended)
