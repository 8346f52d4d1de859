"""Which jobs are to be looked at once more: an effect that was lost may show up long after it was given up.

A row `checkup/<id>` is written with the record that makes it necessary, and goes away when the look has been made, so
that no restart forgets one.
"""

from __future__ import annotations

from pydantic import AwareDatetime, ValidationError

from jobs.database import Database, Turn
from jobs.doubts import leaves_doubt
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
    late_made: bool = False
    """The look after which nothing of a start should turn up has been made."""
    in_doubt: bool = False
    """A start or a run was given up that may exist all the same: it is looked for on and on, ever more seldom."""


def mark_checkup(turn: Turn, before: JobRecord | None, record: JobRecord) -> None:
    """Keep what a record makes necessary, in the same transaction as the record."""
    at_run = record.step is Step.RUN and record.phase is Phase.INTENT
    sends = at_run and (before is None or before.phase is not Phase.INTENT)
    ends = record.has_ended and not (before is not None and before.has_ended) and record.ids.run is not None
    doubt = leaves_doubt(before, record)
    if not (sends or ends or doubt or tells_of_twins(before, record)):
        return
    held = _held(turn, record.id)
    told: dict[str, object] = {"soon": held.soon or not sends}
    if sends and record.intent:
        told |= {"intent": record.intent.at, "late_made": False}
    if doubt:
        told |= {"in_doubt": True, "looks": 0, "again": None}
    _keep(turn, held.model_copy(update=told))


def tells_of_twins(before: JobRecord | None, record: JobRecord) -> bool:
    """Whether a record tells of twins that the one before did not know."""
    return tells_of(TWINS, before, record)


def tells_of(what: str, before: JobRecord | None, record: JobRecord) -> bool:
    """Whether a record has one more event of a kind than the one before."""
    return _events(what, record) > (0 if before is None else _events(what, before))


def _events(what: str, record: JobRecord) -> int:
    return sum(event.what == what for event in record.events)


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
