"""Notices of ends and questions, for the people who were not looking when it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime, ValidationError

from jobs.database import Database, Turn
from jobs.history import ROW_IS_OURS
from jobs.record_rows import BadRows
from jobs.records import ID_DIGITS, Frozen, JobRecord

if TYPE_CHECKING:
    from jobs.store import JobStore


class Notice(Frozen):
    """Something that happened to a job."""

    number: int
    job_id: str
    subject: str
    state: str
    words: str
    """Why, in one sentence; "" when the state says it all."""
    at: AwareDatetime
    to: str
    """Who launched the job."""


def add_notice(turn: Turn, record: JobRecord) -> None:
    """Keep a notice of the state that a record has come to, in the same transaction as the record."""
    last = turn.last_key("notice/").removeprefix("notice/")
    number = turn.tally("meta/last_notice", int(last) if last.isdecimal() else 0)
    at = record.ended or (record.events[-1].at if record.events else record.created)
    value = {
        "number": number,
        "job_id": record.id,
        "subject": record.subject,
        "state": record.state.value,
        "words": record.error,
        "at": at.isoformat(),
        "to": record.created_by,
    }
    turn.set(f"notice/{number:0{ID_DIGITS}d}", value)


def read_notices(database: Database, since: int, limit: int, bad_rows: BadRows) -> tuple[Notice, ...]:
    """Notices with a number above `since`, oldest first; those that cannot be read are noted and passed over."""
    rows = database.rows(
        f"SELECT key, value FROM Cache WHERE key > ? AND key < 'notice0' AND {ROW_IS_OURS} ORDER BY key LIMIT ?",
        (f"notice/{since:0{ID_DIGITS}d}", limit),
    )
    found = []
    for key, text in rows:
        try:
            found.append(Notice.model_validate_json(text))
        except ValidationError:
            bad_rows[key] = "it is not a notice of this program"
    return tuple(found)


def unseen_notices(store: JobStore, since: int) -> tuple[Notice, ...]:
    """What happened after notice number `since` (0: everything); pass the last one's number the next time."""
    return store.notices(since)
