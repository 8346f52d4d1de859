"""What a person may do to a row of the mapping, as pure functions: labels, choices per row, one edit, proposals.

The table shows labels; the mapping keeps values. A label is unique among the choices it stands in, so that the server
can read an edit back exactly, and refuses every text that is not one of that row's choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from core.errors import InputError
from core.models import Assignment, Recording, Role, Sorting, SortingStatus, Subject, Suggestion
from core.slots import shank_doubt, sorted_shanks
from dashboard.text import label

EMPTY = "–"
"""Shown in a cell that holds nothing, and the choice that clears it."""
NOTE_LIMIT = 500
CHOICE_COLUMNS = ("recording", "sorting", "stream", "shank", "surface")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. Its id never changes, whatever is sorted, added or removed."""

    id: str
    assignment: Assignment


def unique_labels(names: Mapping[str, str]) -> dict[str, str]:
    """Value -> label; where two labels would be equal, the value itself is shown, and numbered if need be."""
    wanted = list(names.values())
    labels: dict[str, str] = {}
    for value, text in names.items():
        shown = text if wanted.count(text) == 1 else label(value)
        while shown in labels.values() or shown == EMPTY:
            shown += "′"
        labels[value] = shown
    return labels


def recording_labels(recordings: Iterable[Recording]) -> dict[str, str]:
    """Recording name -> its start, to the minute."""
    return unique_labels({r.name: r.start[:16] or label(r.name) for r in recordings})


def sorting_label(sorting: Sorting) -> str:
    """Sorter and day of a sorting, and its status when it is not fine."""
    day = sorting.asset.name.rpartition("_sorted_")[2][:10] if "_sorted_" in sorting.asset.name else ""
    status = "" if sorting.status is SortingStatus.OK else f" ({sorting.status})"
    return label(f"{sorting.sorter or 'sorted'} {day}".strip() + status)


def sorting_labels(recording: Recording) -> dict[str, str]:
    """Sorted asset name -> label, within one recording. A second capture of one computation is no choice of its own."""
    return unique_labels({s.asset.name: sorting_label(s) for s in recording.sortings if not s.copy_of})


def shank_label(shank: int, total: int, *, unsure: bool = False) -> str:
    """A 0-based shank as people count: `1 of 4`, and `1 of 4 (?)` where it may be another one of the probe."""
    return f"{shank + 1} of {total}" + (" (?)" if unsure else "")


def shank_count(recording: Recording, stream: str, shanks: Iterable[int]) -> int:
    """Shanks the stream's probe has, by its part number, and at least as many as were sorted."""
    known = next((probe.shank_count for probe in recording.probes if probe.name == stream), 1)
    return max([known, *(shank + 1 for shank in shanks)])


def sortable(subject: Subject | None) -> tuple[Recording, ...]:
    """Recordings that a track can belong to: those with a sorting."""
    return tuple(r for r in subject.recordings if r.sortings) if subject else ()


def surfaces(subject: Subject, recording: Recording) -> tuple[Recording, ...]:
    """Recordings that can be the surface recording of this one, of the same day first."""
    others = [r for r in subject.recordings if r.name != recording.name and r.role is not Role.MAIN]
    others += [r for r in subject.recordings if r.name == recording.surface and r not in others]
    return tuple(sorted(others, key=lambda r: (r.start[:10] != recording.start[:10], r.start)))


def choices(subject: Subject | None, assignment: Assignment, column: str) -> dict[str, str | int]:
    """Label -> value of what may stand in one cell of this row, without the empty choice."""
    if subject is None:
        return {}
    if column == "recording":
        return {shown: name for name, shown in recording_labels(sortable(subject)).items()}
    recording = subject.recording(assignment.recording)
    if recording is None:
        return {}
    if column == "surface":
        return {shown: name for name, shown in recording_labels(surfaces(subject, recording)).items()}
    if column == "sorting":
        return {shown: name for name, shown in sorting_labels(recording).items()}
    sorting = next((s for s in recording.sortings if s.asset.name == assignment.sorting), None)
    if sorting is None:
        return {}
    if column == "stream":
        return {
            shown: token for token, shown in unique_labels({s.token: label(s.token) for s in sorting.streams}).items()
        }
    stream = next((s for s in sorting.streams if s.token == assignment.stream), None)
    if column != "shank" or stream is None:
        return {}
    shanks = sorted_shanks(recording, stream.token, sorting)
    total, doubt = shank_count(recording, stream.token, shanks), shank_doubt(recording, stream.token, sorting)
    return {shank_label(shank, total, unsure=bool(doubt)): shank for shank in shanks}


def shown(subject: Subject | None, assignment: Assignment, column: str) -> str:
    """What a cell shows. A value that does not exist (any more) is shown as it is, marked `?`."""
    value = getattr(assignment, column)
    if value in ("", None):
        return EMPTY
    for text, choice in choices(subject, assignment, column).items():
        if choice == value:
            return text
    return f"{value + 1} ?" if isinstance(value, int) else f"{label(value)} ?"


def edit(subject: Subject | None, assignment: Assignment, column: str, text: object) -> Assignment:
    """The row after a person put `text` into one cell; cells that depended on the old value are cleared.

    A dependent cell with exactly one choice is filled; with several, a person decides.

    Raises:
        InputError: The text is not a choice of this row; nothing changes.
    """
    if column == "include":
        return replace(assignment, include=text in (True, "true", "True"))
    if column == "note":
        note = str(text or "")
        if len(note) > NOTE_LIMIT:
            raise InputError(f"A note holds {NOTE_LIMIT} characters, this one {len(note)}.", cure="Shorten it.")
        return replace(assignment, note=note)
    if column not in CHOICE_COLUMNS:
        raise InputError(f"{column} cannot be edited.", cure="Add or remove a row instead.")
    allowed = choices(subject, assignment, column)
    if text in ("", None, EMPTY):
        value: str | int | None = None if column == "shank" else ""
    elif str(text) in allowed:
        value = allowed[str(text)]
    else:
        raise InputError(
            f"{label(text, 60)} is not a {column} of this row.",
            cure=f"Choose one of the {len(allowed)} listed." if allowed else "Fill the cells to its left first.",
        )
    if value == getattr(assignment, column):
        return assignment
    return _settle(subject, replace(assignment, **{column: value}), column)


def _settle(subject: Subject | None, assignment: Assignment, column: str) -> Assignment:
    # cells right of the edited one described the old choice: emptied, then filled where only one thing is possible
    if column == "recording":
        recording = subject.recording(assignment.recording) if subject else None
        surface = recording.surface if recording and recording.surface else ""
        assignment = replace(assignment, sorting="", stream="", shank=None, surface=surface)
        assignment = replace(assignment, sorting=str(_only(choices(subject, assignment, "sorting")) or ""))
    if column == "sorting":
        tokens = choices(subject, assignment, "stream").values()
        if assignment.stream not in tokens:
            assignment = replace(assignment, stream="", shank=None)
        elif assignment.shank not in choices(subject, assignment, "shank").values():
            assignment = replace(assignment, shank=None)
    if column == "stream":
        only = _only(choices(subject, assignment, "shank"))
        assignment = replace(assignment, shank=only if isinstance(only, int) else None)
    return assignment


def _only(allowed: Mapping[str, str | int]) -> str | int | None:
    return next(iter(allowed.values())) if len(allowed) == 1 else None


def accept_certain(rows: Iterable[Row], suggestions: Mapping[str, Suggestion]) -> tuple[Row, ...]:
    """Fill every row that is still empty and whose suggestion is certain. Rows a person has touched stay."""
    filled = []
    for row in rows:
        proposal = suggestions.get(row.assignment.track)
        untouched = not row.assignment.recording and row.assignment.include
        if untouched and proposal and proposal.certain and proposal.assignment:
            row = take(row, proposal)
        filled.append(row)
    return tuple(filled)


def take(row: Row, proposal: Suggestion) -> Row:
    """The row as suggested; note and include stay a person's."""
    if proposal.assignment is None:
        return row
    return Row(row.id, _moved(row.assignment, proposal.assignment))


def give_place(rows: Iterable[Row], row_id: str, place: Assignment) -> tuple[Row, ...]:
    """A row takes a place; the included row that had it gets the first one's former place, so that none is lost."""
    rows = tuple(rows)
    taker = next((row for row in rows if row.id == row_id), None)
    if taker is None:
        return rows
    given = []
    for row in rows:
        if row.id == row_id:
            row = Row(row.id, _moved(row.assignment, place))
        elif place.recording and row.assignment.include and _place(row.assignment) == _place(place):
            row = Row(row.id, _moved(row.assignment, taker.assignment))
        given.append(row)
    return tuple(given)


def _place(assignment: Assignment) -> tuple[str, str, int | None]:
    return assignment.recording, assignment.stream, assignment.shank


def _moved(assignment: Assignment, place: Assignment) -> Assignment:
    return replace(place, track=assignment.track, include=assignment.include, note=assignment.note)
