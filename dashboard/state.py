"""One person's session: what is open, what is selected, the rows and how to undo them. No component lives here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import param

from core.atlas_frames import AffineAtlas
from core.checks.earlier import Converted
from core.errors import InputError
from core.models import Assignment, ImageFrame, Mapping, Points, Problem, Subject, Suggestion
from core.models import State as NeuroState
from core.tissue import Tissue
from dashboard import edits
from dashboard.edits import Row

UNDO_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """A state that was read, and what is known of its mouse."""

    state: NeuroState
    subject: Subject | None
    frame: ImageFrame
    suggestions: tuple[Suggestion, ...]
    colors: dict[str, str]
    note: str = ""
    """Why there is no subject, or nothing of it: one sentence, "" when all is there."""
    converted: tuple[Converted, ...] = ()
    """What earlier jobs had made of the mouse when this was opened."""
    whole: bool = True
    """False while the mouse is still being gathered: what is known is shown, nothing is checked or launched."""
    viewer: str = ""
    """The viewer that the pasted link named, if it named one."""
    atlas: AffineAtlas | None = None
    """The way from the image into the atlas, when its registration is at hand."""
    no_atlas: str = ""
    """Why there is none: one sentence; "" also where nothing could be registered."""
    tissue: Tissue | None = None
    """Where its image shows tissue, once that has been read."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks said of the rows."""

    problems: tuple[Problem, ...]
    row_ids: tuple[str, ...]
    """Row id of each manifest row, in the manifest's order: only included rows are in it."""
    planned: dict[str, Points] = field(default_factory=dict, compare=False)
    """By track, where it would go as planned, as `planned_ways` tells it; without those of which that is not known."""

    def row_id(self, problem: Problem) -> str | None:
        """Id of the row a problem is about."""
        index = problem.where.row
        return self.row_ids[index] if index is not None and 0 <= index < len(self.row_ids) else None


@dataclass(frozen=True, slots=True)
class Held:
    """What a session holds at one moment, to be kept by another thread."""

    opened: Opened | None
    rows: tuple[Row, ...]
    is_touched: bool
    """False for rows as they were opened."""


Check = Callable[[Opened, tuple[Row, ...], tuple[Converted, ...]], Checked]
"""(what is open, its rows, what earlier jobs made of the mouse) -> what the checks say."""


class Session(param.Parameterized):
    """The shared state of one session's views. Views watch it, and change it only by its methods."""

    phase = param.Selector(default="empty", objects=["empty", "working", "open", "refused"])
    progress = param.String(doc="What the page waits for, in words.")
    refusal = param.Parameter(doc="The TrackmapperError that ended the last attempt to open a state.")
    opened = param.ClassSelector(class_=Opened, default=None)
    rows = param.Parameter(default=(), doc="Tuple of Row, in the table's order.")
    checked = param.ClassSelector(class_=Checked, default=Checked((), ()))
    row = param.String(doc="Id of the selected row, or none.")
    track = param.String(doc="Name of the selected track, or none.")
    undoable = param.String(doc="What one press of undo takes back, or none.")
    redoable = param.String()
    tissue = param.ClassSelector(class_=Tissue, default=None, doc="Where the image shows tissue, once that is read.")
    contested = param.Boolean(doc="Another window changed the mapping, and a person has not chosen yet.")
    saved = param.String(doc="When the draft was last kept, in words.")

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check
        self._converted: tuple[Converted, ...] = ()
        self._undo: list[tuple[str, tuple[Row, ...]]] = []
        self._redo: list[tuple[str, tuple[Row, ...]]] = []
        self._next_id = 0

    def open(self, opened: Opened, rows: tuple[Row, ...] | None = None) -> None:
        """Show a state; `rows` restores a draft, else there is one empty row per track."""
        self._undo.clear()
        self._redo.clear()
        fresh = rows is None
        if rows is None:
            rows = tuple(self.new_row(Assignment(track=layer.name)) for layer in opened.state.tracks)
        self._converted, self.tissue = opened.converted, opened.tissue
        self.param.update(
            opened=opened,
            rows=rows,
            checked=self._checked(opened, rows),
            row="",
            track="",
            refusal=None,
            undoable="",
            redoable="",
            saved="" if fresh else "draft kept",
            **_phase(opened),
        )

    def renew(self, opened: Opened) -> None:
        """Show the same state with more, or newer, knowledge of its mouse; rows, undo and selection stay."""
        self._converted = opened.converted
        self.param.update(opened=opened, checked=self._checked(opened, self.rows), refusal=None, **_phase(opened))

    def _checked(self, opened: Opened, rows: tuple[Row, ...]) -> Checked:
        if not opened.whole:
            return Checked((), ())
        return self._check(replace(opened, tissue=self.tissue), rows, self._converted)

    def remember(self, converted: tuple[Converted, ...]) -> None:
        """Take note of what earlier jobs made of the mouse, and check again when that is news."""
        if converted != self._converted:
            self._converted = converted
            if self.opened is not None:
                self.checked = self._checked(self.opened, self.rows)

    def see(self, tissue: Tissue | None) -> None:
        """Take note of where the image shows tissue, which is known later than all else, and check again."""
        if tissue is not self.tissue:
            self.tissue = tissue
            if self.opened is not None:
                self.checked = self._checked(self.opened, self.rows)

    def held(self) -> Held:
        """What is open and its rows, which belong together only when they are read in one turn."""
        return Held(self.opened, self.rows, bool(self.undoable or self.redoable))

    def new_row(self, assignment: Assignment) -> Row:
        """A row with an id that no row of this session has."""
        taken = {row.id for row in self.rows}
        while True:
            self._next_id += 1
            if (row_id := f"r{self._next_id}") not in taken:
                return Row(row_id, assignment)

    def find(self, row_id: str) -> Row | None:
        """The row of this id."""
        return next((row for row in self.rows if row.id == row_id), None)

    @property
    def mapping(self) -> Mapping:
        """The rows as a mapping."""
        subject = self.opened.state.subject if self.opened else None
        return Mapping(subject=subject or "", assignments=tuple(row.assignment for row in self.rows))

    def suggestion(self, track: str) -> Suggestion | None:
        """The suggestion for a track."""
        if self.opened is None:
            return None
        return next((s for s in self.opened.suggestions if s.track == track), None)

    # --- changes ---------------------------------------------------------------------------------

    def change(self, rows: tuple[Row, ...], what: str) -> None:
        """Replace the rows, remember the old ones, check again. Does nothing when nothing changes."""
        if rows == self.rows or self.opened is None:
            return
        self._undo = [*self._undo, (what, self.rows)][-UNDO_LIMIT:]
        self._redo.clear()
        self._put(rows)

    def _put(self, rows: tuple[Row, ...]) -> None:
        checked = self._checked(self.opened, rows)
        gone = bool(self.row) and all(row.id != self.row for row in rows)
        self.param.update(
            rows=rows,
            checked=checked,
            row="" if gone else self.row,
            track="" if gone else self.track,
            undoable=self._undo[-1][0] if self._undo else "",
            redoable=self._redo[-1][0] if self._redo else "",
        )

    def undo(self) -> None:
        """Take the last change back."""
        if self._undo:
            what, rows = self._undo.pop()
            self._redo.append((what, self.rows))
            self._put(rows)

    def redo(self) -> None:
        """Make the last change that was taken back again."""
        if self._redo:
            what, rows = self._redo.pop()
            self._undo.append((what, self.rows))
            self._put(rows)

    def edit(self, row_id: str, column: str, text: object) -> Row | None:
        """Edit one cell; returns the row as it then is, None when there is no such row.

        Raises:
            InputError: The value cannot stand there; nothing changed.
        """
        row = self.find(row_id)
        if row is None or self.opened is None:
            return row
        if not self.opened.whole and column in edits.CHOICE_COLUMNS:
            raise InputError("The mouse is still being read.", cure="Choose when its recordings are all there.")
        after = replace(row, assignment=edits.edit(self.opened.subject, row.assignment, column, text))
        self.change(tuple(after if r.id == row_id else r for r in self.rows), f"{column} of {row.assignment.track}")
        return after

    def add(self, track: str) -> str:
        """Add an empty row for a track; returns its id."""
        row = self.new_row(Assignment(track=track))
        self.change((*self.rows, row), f"row added for {track}")
        return row.id

    def duplicate(self, row_id: str) -> str:
        """Copy a row below itself; returns the copy's id, "" when there is no such row."""
        row = self.find(row_id)
        if row is None:
            return ""
        copy = self.new_row(row.assignment)
        at = self.rows.index(row) + 1
        self.change((*self.rows[:at], copy, *self.rows[at:]), f"copy of {row.assignment.track}")
        return copy.id

    def remove(self, row_id: str) -> None:
        """Remove a row."""
        if row := self.find(row_id):
            self.change(tuple(r for r in self.rows if r.id != row_id), f"removal of {row.assignment.track}")

    def replace_all(self, assignments: tuple[Assignment, ...], what: str) -> None:
        """Put other assignments in the place of all rows, as one change."""
        rows: list[Row] = []
        for assignment in assignments:
            rows.append(self.new_row(assignment))
        self.change(tuple(rows), what)

    def accept_certain(self) -> int:
        """Take every certain suggestion for rows still empty, as one change; returns how many."""
        if self.opened is None:
            return 0
        rows = edits.accept_certain(self.rows, {s.track: s for s in self.opened.suggestions})
        taken = sum(before != after for before, after in zip(self.rows, rows, strict=True))
        self.change(rows, f"{taken} suggestions accepted")
        return taken

    def accept(self, row_id: str) -> None:
        """Take the suggestion for one row."""
        row = self.find(row_id)
        proposal = self.suggestion(row.assignment.track) if row else None
        if row and proposal:
            taken = edits.take(row, proposal)
            self.change(
                tuple(taken if r.id == row_id else r for r in self.rows), f"suggestion for {taken.assignment.track}"
            )

    def give_place(self, row_id: str, place: Assignment) -> None:
        """Give a row another place, and its former one to the row that had it, as one change."""
        if row := self.find(row_id):
            self.change(edits.give_place(self.rows, row_id, place), f"{row.assignment.track} to {place.stream}")

    # --- selection -------------------------------------------------------------------------------

    def select_row(self, row_id: str) -> None:
        """Select a row and with it its track, everywhere."""
        row = self.find(row_id)
        self.param.update(row=row_id if row else "", track=row.assignment.track if row else "")

    def select_track(self, track: str) -> None:
        """Select a track and with it its row: the one selected when it is one of that track's, else the first."""
        rows = [row.id for row in self.rows if row.assignment.track == track]
        row = self.row if self.row in rows else next(iter(rows), "")
        self.param.update(row=row, track=track)


def _phase(opened: Opened) -> dict[str, str]:
    return {"phase": "open", "progress": ""} if opened.whole else {"phase": "working"}
