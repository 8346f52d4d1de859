"""Writing a record inside a turn: with it its markers, counts, notices and checkups, so that none is ever apart."""

from __future__ import annotations

import json

from core.errors import NoSuchJobError, NotAllowedError, StoreUnusableError
from jobs.checkups import mark_checkup
from jobs.database import Database, Turn
from jobs.history import count_query
from jobs.notices import add_notices
from jobs.record_rows import BadRows, as_kept, read_record
from jobs.records import JobRecord, JobState

COUNTS, SUPERSEDED = "meta/counts", "meta/superseded"
"""How many jobs are in each state: all of them, and those that a later job has taken the place of."""


def record_in_turn(turn: Turn, job_id: str, bad_rows: BadRows) -> JobRecord:
    """A job's record as it stands in this turn.

    Raises:
        NoSuchJobError: there is none.
        StoreUnusableError: its row cannot be read.
    """
    value = turn.get(f"job/{job_id}")
    text = None if value is None else json.dumps(value) if isinstance(value, dict) else ""
    return read_record(job_id, text, bad_rows)


def bound_job(turn: Turn, digest: str, bad_rows: BadRows) -> JobRecord | None:
    """The job that a second launch of the same mapping must show; None when there is none."""
    holder = turn.get(f"dedupe/{digest}")
    return record_in_turn(turn, holder, bad_rows) if isinstance(holder, str) else None


def write_record(turn: Turn, before: JobRecord | None, record: JobRecord, bad_rows: BadRows) -> JobRecord:
    """Write a record and all that follows from it; returns it as it will be read back.

    Args:
        turn: The transaction.
        before: The record as it stands; None for a new job.
        record: With its new `rev`.
        bad_rows: Where to note rows that cannot be read.

    Raises:
        NotAllowedError: its mapping belongs to another job by now.
    """
    record = as_kept(record)
    begins = not record.has_ended and (before is None or before.has_ended)
    _bind(turn, before, record, begins, bad_rows)
    active = f"active/{record.id}"
    if record.has_ended:
        turn.delete(active)
    elif begins:
        turn.set(active, 1)
    _count(turn, before, record)
    add_notices(turn, before, record)
    mark_checkup(turn, before, record)
    turn.set(f"job/{record.id}", record.model_dump(mode="json"))
    turn.tally("meta/version")
    if record.relaunch_of is not None and (begins or not record.binds_digest):
        _mark_earlier(turn, record, begins, bad_rows)
    return record


def _bind(turn: Turn, before: JobRecord | None, record: JobRecord, begins: bool, bad_rows: BadRows) -> None:
    binds = record.binds_digest and record.superseded_by is None
    dedupe = f"dedupe/{record.digest}"
    holder = turn.get(dedupe)
    if binds and holder not in (None, record.id):
        bound = bound_job(turn, record.digest, bad_rows)
        if bound is not None and before is not None and begins and bound.id != record.relaunch_of:
            raise NotAllowedError(
                f"the same mapping is job {bound.id} by now", where=f"job {record.id}", cure="Look at that one."
            )
    if binds and (before is None or not before.binds_digest or holder is None):
        turn.set(dedupe, record.id)
    elif not binds and holder == record.id:
        turn.delete(dedupe)


def _mark_earlier(turn: Turn, record: JobRecord, begins: bool, bad_rows: BadRows) -> None:
    """Put a relaunch in the place of the earlier job, or give that place back to a success it could not repeat."""
    try:
        earlier = record_in_turn(turn, record.relaunch_of or "", bad_rows)
    except (NoSuchJobError, StoreUnusableError):
        return  # noted in bad_rows; it must not keep its follower from being written
    stands_again = earlier.state is JobState.SUCCEEDED and earlier.superseded_by == record.id and record.has_ended
    if begins or stands_again:
        changed = earlier.changed(rev=earlier.rev + 1, superseded_by=record.id if begins else None)
        write_record(turn, earlier, changed, bad_rows)


def _count(turn: Turn, before: JobRecord | None, after: JobRecord) -> None:
    old, new = (None if before is None else before.state), after.state
    if old is not new:
        _move(turn, COUNTS, old, new)
    old_hidden = None if before is None or before.superseded_by is None else before.state
    new_hidden = None if after.superseded_by is None else after.state
    if old_hidden is not new_hidden:
        _move(turn, SUPERSEDED, old_hidden, new_hidden)


def _move(turn: Turn, key: str, old: JobState | None, new: JobState | None) -> None:
    counts = numbers(turn.get(key))
    for state, change in ((old, -1), (new, 1)):
        if state is not None:
            counts[state] = counts.get(state, 0) + change
    turn.set(key, {state: count for state, count in counts.items() if count > 0})


def begin_counts(database: Database) -> None:
    """Count the superseded jobs of a database from before they were counted. Once in its life."""
    if database.text(SUPERSEDED) is not None:
        return
    with database.write() as turn:
        turn.set(SUPERSEDED, {str(state): count for state, count in database.rows(count_query()) if state})


def numbers(held: object) -> dict[str, int]:
    """The numbers of a kept table; what is none is left out."""
    items = held.items() if isinstance(held, dict) else ()
    return {str(key): value for key, value in items if type(value) is int}
