"""Which jobs are to be looked at once more: an effect that was lost may show up long after it was given up.

A row `checkup/<id>` is written with the record that makes it necessary, and goes away when the look has been made, so
that no restart forgets one.
"""

from __future__ import annotations

from pydantic import AwareDatetime, ValidationError

from jobs.database import Database, Turn
from jobs.history import ROW_IS_OURS
from jobs.job_states import Phase, Step
from jobs.protocol import TWINS
from jobs.record_rows import BadRows
from jobs.records import Frozen, JobRecord

_PREFIX = "checkup/"


class Checkup(Frozen):
    """A look that is still to be made."""

    job_id: str
    intent: AwareDatetime | None = None
    """When a run of the job was last about to be started; a look is due once nothing of that can still arrive."""
    soon: bool = False
    """A look is due at once: the job has ended, or twins were found."""
    again: AwareDatetime | None = None
    """When the next look is due beside these; None when there is none."""
    looks: int = 0
    """Such looks that were made."""


def mark_checkup(turn: Turn, before: JobRecord | None, record: JobRecord) -> None:
    """Keep what a record makes necessary, in the same transaction as the record."""
    at_run = record.step is Step.RUN and record.phase is Phase.INTENT
    sends = at_run and (before is None or before.phase is not Phase.INTENT)
    ends = record.has_ended and not (before is not None and before.has_ended) and record.ids.run is not None
    if not (sends or ends or tells_of_twins(before, record)):
        return
    held = _held(turn, record.id)
    intent = record.intent.at if sends and record.intent else held.intent
    _keep(turn, held.model_copy(update={"intent": intent, "soon": held.soon or not sends}))


def tells_of_twins(before: JobRecord | None, record: JobRecord) -> bool:
    """Whether a record tells of twins that the one before did not know."""
    return _alarms(record) > (0 if before is None else _alarms(before))


def _alarms(record: JobRecord) -> int:
    return sum(event.what == TWINS for event in record.events)


def read_checkups(database: Database, bad_rows: BadRows) -> tuple[Checkup, ...]:
    """Every look that is still to be made, oldest job first."""
    rows = database.rows(
        f"SELECT key, value FROM Cache WHERE key > '{_PREFIX}' AND key < 'checkup0' AND {ROW_IS_OURS} ORDER BY key"
    )
    found = []
    for key, text in rows:
        try:
            found.append(Checkup.model_validate_json(text))
        except ValidationError:
            bad_rows[key] = "it is not a checkup of this program"
    return tuple(found)


def end_checkup(turn: Turn, checkup: Checkup, following: Checkup | None) -> None:
    """The look has been made; one that became necessary meanwhile stays.

    Args:
        turn: The transaction.
        checkup: As it was read.
        following: What is still to be made; None when nothing is.
    """
    if _held(turn, checkup.job_id) != checkup:
        return
    if following is not None:
        _keep(turn, following)
    else:
        turn.delete(_PREFIX + checkup.job_id)


def _held(turn: Turn, job_id: str) -> Checkup:
    try:
        return Checkup.model_validate(turn.get(_PREFIX + job_id))
    except ValidationError:
        return Checkup(job_id=job_id)  # there is none, or none that can be read


def _keep(turn: Turn, checkup: Checkup) -> None:
    turn.set(_PREFIX + checkup.job_id, checkup.model_dump(mode="json"))
