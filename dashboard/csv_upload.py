"""What an uploaded manifest makes of the mapping: refused where it is of another, merged with what it cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.errors import ManifestError
from core.manifest import ManifestRow, mapping_from_rows, rows_from_mapping
from core.manifest.reading import ManifestTable
from core.models import Assignment, Mapping
from dashboard.state import Opened
from dashboard.text import count, some

_AS_IT_WAS = "The mapping is as it was"
_DERIVED = ("logical_probe", "registration_asset", "template_to_ccf_asset")
"""Columns that follow from the rest of a mapping."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The rows as they are to be, and what became of them."""

    assignments: tuple[Assignment, ...]
    words: str
    warns: bool = False
    """Something was removed, or not taken over."""


def take_csv(table: ManifestTable, opened: Opened, before: Sequence[Assignment]) -> Taken:
    """Merge a manifest into a mapping. A manifest holds no notes and no rows left out: those of its tracks are kept.

    Args:
        table: What was read from the file.
        opened: The state, whose mouse and tracks the manifest must be of.
        before: The rows as they are.

    Raises:
        ManifestError: a column that every row needs is missing, or it is of another mouse or another state.
    """
    _refuse_foreign(table, opened)
    rows = mapping_from_rows(table.rows, opened.subject, opened.state).assignments
    notes = {_place(row): row.note for row in reversed(before) if row.note and row.include}
    rows_of = Counter(row.track for row in rows)
    by_track = {row.track: row.note for row in before if row.note and row.include and rows_of[row.track] == 1}
    merged = [replace(row, note=notes.get(_place(row), by_track.get(row.track, ""))) for row in rows]
    left_out = [(at, row) for at, row in enumerate(before) if not row.include and not rows_of[row.track]]
    for at, row in left_out:
        merged.insert(at, row)
    same = sum((Counter(map(_said, rows)) & Counter(_said(row) for row in before if row.include)).values())
    kept_notes = sum(bool(row.note) for row in merged if row.include)
    gone = [row.track for row in before if row.include and row.recording and not rows_of[row.track]]
    words = [
        f"{count(len(rows), 'row')} read: {same} as before, {len(rows) - same} changed or new",
        *([f"{count(len(gone), 'mapped row')} not in the file and removed ({some(gone, 3)})"] if gone else []),
        *([f"{count(len(left_out), 'row')} left out as before"] if left_out else []),
        *([f"{count(kept_notes, 'note')} kept"] if kept_notes else []),
    ]
    untaken = _untaken(table, merged, opened)
    told = f" Not taken over, as it follows from the rest: {', '.join(untaken)}." if untaken else ""
    return Taken(tuple(merged), f"{'; '.join(words)}.{told} Undo brings the old rows back.", bool(gone or untaken))


def _untaken(table: ManifestTable, merged: Sequence[Assignment], opened: Opened) -> list[str]:
    """Columns in which the file says something else than a manifest of these rows does."""
    mapping = Mapping(opened.state.subject or "", tuple(row for row in merged if row.include))
    own = {_row_key(row): row for row in rows_from_mapping(mapping, opened.subject, opened.state)}
    pairs = [(row, own[_row_key(row)]) for row in table.rows if _row_key(row) in own]
    differs = [name for name in _DERIVED if any(getattr(row, name) != getattr(ours, name) for row, ours in pairs)]
    return [name for name in differs if any(getattr(row, name) for row, _ in pairs)]


def _row_key(row: ManifestRow) -> tuple[object, ...]:
    return row.histology_track_id, row.sorted_recording, row.ephys_collection, row.ephys_shank


def _refuse_foreign(table: ManifestTable, opened: Opened) -> None:
    missing = [str(found.where.column) for found in table.problems if found.rule == "M2"]
    if missing:
        raise ManifestError(
            f"The CSV lacks {', '.join(missing)}. {_AS_IT_WAS}",
            cure="Download this mapping’s CSV to see the columns that a manifest has.",
        )
    if not table.rows:
        raise ManifestError(f"The CSV holds no rows. {_AS_IT_WAS}", cure="Choose a manifest with a row for each track.")
    mice, mouse = sorted({row.mouseid for row in table.rows if row.mouseid}), opened.state.subject
    others = [name for name in mice if name != mouse]
    if mouse and others:
        raise ManifestError(
            f"The CSV is of mouse {', '.join(others)[:100]}, and the open state of mouse {mouse}. {_AS_IT_WAS}",
            cure="Open that mouse’s state first, or choose this mouse’s file.",
        )
    tracks = {layer.name for layer in opened.state.tracks}
    if not any(row.histology_track_id in tracks for row in table.rows):
        raise ManifestError(
            f"None of the CSV’s tracks is in the open state. {_AS_IT_WAS}",
            cure="Open the state that its tracks were drawn in.",
        )


def _place(row: Assignment) -> tuple[str, str, str, int | None]:
    return row.track, row.recording, row.stream, row.shank


def _said(row: Assignment) -> Assignment:
    """A row without what a manifest cannot hold."""
    return replace(row, note="", include=True)
