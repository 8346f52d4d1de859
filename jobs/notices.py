"""Notices of ends and questions, for the people who were not looking when it happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobs.database import Database, Turn
from jobs.history import ROW_IS_OURS
from jobs.records import ID_DIGITS, JobRecord

if TYPE_CHECKING:
    from jobs.store import JobStore


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a job."""

    number: int
    job_id: str
    subject: str
    state: str
    words: str
    """Why, in one sentence; "" when the state says it all."""
    at: datetime
    to: str
    """Who launched the job."""


def add_notice(turn: Turn, record: JobRecord) -> None:
    """Keep a notice of the state that a record has come to, in the same transaction as the record."""
    number = turn.count("meta/last_notice")
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


def read_notices(database: Database, since: int, limit: int) -> tuple[Notice, ...]:
    """Notices with a number above `since`, oldest first."""
    rows = database.rows(
        f"SELECT value FROM Cache WHERE key > ? AND key < 'notice0' AND {ROW_IS_OURS} ORDER BY key LIMIT ?",
        (f"notice/{since:0{ID_DIGITS}d}", limit),
    )
    values = [json.loads(row[0]) for row in rows]
    return tuple(Notice(**{**value, "at": datetime.fromisoformat(value["at"])}) for value in values)


def unseen_notices(store: JobStore, since: int) -> tuple[Notice, ...]:
    """What happened after notice number `since` (0: everything); pass the last one's number the next time."""
    return store.notices(since)
