"""The SELECT that reads a page of the history: by key, so that a page costs the same in any year."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from jobs.records import JobState

ROW_IS_OURS = "raw = 1 AND mode = 1 AND typeof(value) = 'text' AND typeof(key) = 'text'"
# CASE keeps json_extract away from rows that are not JSON: it would end the whole query.
_FIELD = "CASE WHEN json_valid(value) THEN json_extract(value, '$.{}') END"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a listing; an empty one lets everything through."""

    states: Collection[JobState] = ()
    subject: str = ""
    by: str = ""
    since: datetime | None = None
    archived: bool | None = None
    superseded: bool | None = None


def history_query(top: str, wanted: Wanted) -> tuple[str, list[str]]:
    """SQL and parameters (all but the last: the limit) of the rows (key, mode, value) below key `top`, newest first."""
    where, values = ["key > 'job/'", "key < ?", "raw = 1", "typeof(key) = 'text'"], [top]
    for name, text in (("subject", wanted.subject), ("created_by", wanted.by)):
        if text:
            where.append(f"{_FIELD.format(name)} = ?")
            values.append(text)
    if wanted.states:
        where.append(f"{_FIELD.format('state')} IN ({','.join('?' * len(wanted.states))})")
        values += [str(state) for state in wanted.states]
    if wanted.since is not None:
        where.append(f"julianday({_FIELD.format('created')}) >= julianday(?)")
        values.append(wanted.since.isoformat())
    if wanted.archived is not None:
        where.append(f"{_FIELD.format('archived')} = {int(wanted.archived)}")
    if wanted.superseded is not None:
        where.append(f"{_FIELD.format('superseded_by')} IS {'NOT NULL' if wanted.superseded else 'NULL'}")
    return f"SELECT key, mode, value FROM Cache WHERE {' AND '.join(where)} ORDER BY key DESC LIMIT ?", values


def count_query() -> str:
    """SQL that counts the superseded jobs by state. Reads the whole history."""
    return (
        f"SELECT {_FIELD.format('state')}, count(*) FROM Cache WHERE key > 'job/' AND key < 'job0' AND {ROW_IS_OURS}"
        f" AND {_FIELD.format('superseded_by')} IS NOT NULL GROUP BY 1"
    )


def launched_query() -> str:
    """SQL of (key, created, created_by) below a key, newest first; its parameters are that key and the limit."""
    return (
        f"SELECT key, {_FIELD.format('created')}, {_FIELD.format('created_by')} FROM Cache"
        f" WHERE key > 'job/' AND key < ? AND {ROW_IS_OURS} ORDER BY key DESC LIMIT ?"
    )
