"""Notices of ends and questions, for the people who were not looking when it happened."""

from __future__ import annotations

from pydantic import AwareDatetime, ValidationError

from jobs.checkups import tells_of, tells_of_twins
from jobs.database import Database, Turn
from jobs.doubts import TURNED_UP
from jobs.history import ROW_IS_OURS
from jobs.protocol import OVERDUE, TWINS
from jobs.record_rows import BadRows
from jobs.records import ID_DIGITS, Frozen, JobRecord, JobState


class Notice(Frozen):
    """Something that happened to a job."""

    number: int
    job_id: str
    subject: str
    state: str
    """The state that the job came to, or "overdue", "twins", or "turned up"."""
    words: str
    """Why, in one sentence; "" when the state says it all."""
    at: AwareDatetime
    to: str
    """Who launched the job."""


def add_notices(turn: Turn, before: JobRecord | None, record: JobRecord) -> None:
    """Keep notices of what a record tells anew, in the same transaction: an end, a question, a deadline, twins."""
    is_new = before is None or before.state is not record.state
    if is_new and (record.has_ended or record.state is JobState.NEEDS_YOU):
        _add(turn, record, record.state.value, record.error)
    if record.overdue and not (before is not None and before.overdue):
        _add(turn, record, OVERDUE, _last_words(record, OVERDUE))
    if tells_of_twins(before, record):
        _add(turn, record, "twins", f"more than one was made of this launch: {_last_words(record, TWINS)}")
    if tells_of(TURNED_UP, before, record):
        _add(turn, record, "turned up", f"nobody looked for it any more: {_last_words(record, TURNED_UP)}")


def _last_words(record: JobRecord, what: str) -> str:
    return next((event.detail for event in reversed(record.events) if event.what == what), "")


def _add(turn: Turn, record: JobRecord, state: str, words: str) -> None:
    last = turn.last_key("notice/").removeprefix("notice/")
    number = turn.tally("meta/last_notice", int(last) if last.isdecimal() else 0)
    at = record.events[-1].at if record.events else record.created
    value = {
        "number": number,
        "job_id": record.id,
        "subject": record.subject,
        "state": state,
        "words": words,
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
