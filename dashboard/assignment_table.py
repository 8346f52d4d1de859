"""The mapping as a table. The server decides what may stand in a cell; the table only shows and asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import panel as pn

from core.errors import InputError
from core.models import Assignment, Severity, Subject, Suggestion
from dashboard import edits, text
from dashboard.edits import CHOICE_COLUMNS, EMPTY
from dashboard.state import Opened, Session
from dashboard.tables import COMPACT, DENSE, ROW_PX, SIGNED, SWATCH, TITLED, LiveTable, native
from dashboard.theme import SEVERITY_WORDS
from dashboard.turns import next_turn

HEADER_PX, MOST_ROWS = 62, 20
"""Beyond so many rows the table scrolls."""
TITLES = {
    "color": "",
    "track": "Track",
    "recording": "Recording",
    "sorting": "Sorting",
    "stream": "Stream",
    "shank": "Shank",
    "surface": "Surface recording",
    "include": "Include",
    "problems": "Problems",
    "suggestion": "Suggestion",
    "note": "Note",
}
WIDTHS = {
    "color": 32,
    "track": 150,
    "recording": 130,
    "sorting": 150,
    "stream": 90,
    "shank": 65,
    "surface": 140,
    "include": 76,
    "problems": 240,
    "suggestion": 240,
    "note": 120,
}
EDITABLE = (*CHOICE_COLUMNS, "note")
LETTER_PX, WIDEST_TRACK = 7.4, 280


def frame(session: Session) -> pd.DataFrame:
    """What the table shows: one line per row, indexed by row id."""
    opened = session.opened
    columns: dict[str, list[Any]] = {name: [] for name in TITLES}
    if opened is None:
        return pd.DataFrame(columns)
    worst = problem_words(session)
    for row in session.rows:
        assignment = row.assignment
        columns["color"].append(opened.colors.get(assignment.track, "#888888"))
        columns["track"].append(text.plain(assignment.track, 120))
        for name in CHOICE_COLUMNS:
            columns[name].append(edits.shown(opened.subject, assignment, name))
        columns["include"].append(assignment.include)
        columns["note"].append(assignment.note)
        columns["suggestion"].append(suggestion_words(session, assignment.track))
        fine = "✓ ok" if assignment.include and opened.whole else EMPTY
        columns["problems"].append(worst.get(row.id, fine))
    return pd.DataFrame(columns, index=[row.id for row in session.rows]).astype({"include": bool})


def table_height(session: Session) -> int:
    """Pixels for the rows a state opens with and one more: set once, so that nothing jumps while a person edits."""
    return HEADER_PX + ROW_PX * min(max(len(session.rows), 4) + 1, MOST_ROWS)


def widths(session: Session) -> dict[str, int]:
    """Pixels of each column: names of tracks often differ at their ends only, so they are shown whole."""
    longest = max((len(row.assignment.track) for row in session.rows), default=0)
    return WIDTHS | {"track": min(max(WIDTHS["track"], round(LETTER_PX * longest) + 20), WIDEST_TRACK)}


def problem_words(session: Session) -> dict[str, str]:
    """Row id -> how many problems the row has and the first, the worst severity first."""
    found: dict[str, list[Any]] = {}
    for problem in session.checked.problems:
        row_id = session.checked.row_id(problem)
        if row_id and problem.severity is not Severity.INFO:
            found.setdefault(row_id, []).append(problem)
    order = list(Severity)
    words = {}
    for row_id, problems in found.items():
        first = min(problems, key=lambda p: order.index(p.severity))
        more = f" (+{len(problems) - 1})" if len(problems) > 1 else ""
        words[row_id] = text.plain(f"{SEVERITY_WORDS[first.severity][0]} {first.rule}{more} {first.message}", 200)
    return words


def suggestion_words(session: Session, track: str) -> str:
    """What the suggestion for a track is and why, in a line."""
    found = session.suggestion(track)
    if found is None:
        return EMPTY
    reasons = "; ".join(found.reasons)
    if found.assignment is None:
        return text.plain(reasons or "cannot tell", 300)
    sure = "certain" if found.certain else f"{found.score:.2f}"
    return text.plain(f"{suggested_place(session.opened.subject, found)} · {sure}: {reasons}", 300)  # type: ignore[union-attr]


def suggested_place(subject: Subject | None, found: Suggestion) -> str:
    """Recording, stream and shank of a suggestion as cells show them; "" where nothing can be said."""
    if found.assignment is None:
        return ""
    place = [found.assignment.recording and edits.shown(subject, found.assignment, "recording")]
    place += [found.assignment.stream]
    if found.assignment.shank is not None:
        place += [edits.shown(subject, found.assignment, "shank")]
    return " ".join(filter(None, place))


def editors(opened: Opened) -> dict[str, Any]:
    """The editor of each column: lists of what exists, looked up by the labels that stand left of the cell."""
    subject = opened.subject if opened.whole else None
    recordings = edits.choices(subject, Assignment(""), "recording")
    options: dict[str, dict[str, Any]] = {"sorting": {}, "stream": {}, "shank": {}, "surface": {}}
    for recording_label, recording in recordings.items():
        at = Assignment("", recording=str(recording))
        sortings = edits.choices(subject, at, "sorting")
        options["sorting"][recording_label] = [EMPTY, *sortings]
        options["surface"][recording_label] = [EMPTY, *edits.choices(subject, at, "surface")]
        options["stream"][recording_label], options["shank"][recording_label] = {}, {}
        for sorting_label, sorting in sortings.items():
            here = replace(at, sorting=str(sorting))
            streams = edits.choices(subject, here, "stream")
            options["stream"][recording_label][sorting_label] = [EMPTY, *streams]
            options["shank"][recording_label][sorting_label] = {
                stream_label: [EMPTY, *edits.choices(subject, replace(here, stream=str(stream)), "shank")]
                for stream_label, stream in streams.items()
            }
    lookups = {
        "sorting": ["recording"],
        "stream": ["recording", "sorting"],
        "shank": ["recording", "sorting", "stream"],
        "surface": ["recording"],
    }
    nested = {name: {"type": "nested", "options": options[name], "lookup_order": lookups[name]} for name in lookups}
    fixed: dict[str, Any] = {name: None for name in TITLES if name not in EDITABLE}
    return {
        **fixed,
        **nested,
        "recording": {"type": "list", "values": [EMPTY, *recordings]},
        "note": {"type": "input"},
    }


class AssignmentTable:
    """The table of a session. Every change goes through `apply_edit`; the session's rows are what is true."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = session.opened.state.sha256 if session.opened else ""
        self._shown = frame(session)
        self.view = pn.widgets.Tabulator(
            self._shown.copy(),
            show_index=False,
            stylesheets=[COMPACT],
            titles=TITLES,
            widths=widths(session),
            height=table_height(session),
            sizing_mode="stretch_width",
            layout="fit_data_fill",
            selectable=1,
            editors=editors(session.opened) if session.opened else {},
            formatters={
                "color": SWATCH,
                "track": TITLED,
                "problems": SIGNED,
                "suggestion": TITLED,
                "include": {"type": "tickCross"},
            },
            frozen_columns=["color", "track"],
            configuration=DENSE
            | {
                "renderVerticalBuffer": ROW_PX,  # else as much again as is seen is drawn anew with each edit
                "placeholder": "No rows: add one for a track",
            },
        )
        self._live = LiveTable(self.view)
        # Not `on_edit`: under load Panel takes in a cell's new value before it hears of the edit, and then never tells.
        self.view.param.watch(lambda _: next_turn(self._edited), "value")
        # One press: the table's own editor would take two, the first to open a box.
        self.view.on_click(lambda event: next_turn(lambda: self.toggle(event.row)), column="include")
        # A press is told at once, a selection only after Panel has waited for more of it.
        self.view.on_click(lambda event: next_turn(lambda: self._select([event.row])))
        self.view.param.watch(lambda _: self._select(self.view.selection), "selection")
        session.param.watch(lambda *_: self.reopen(), "opened")
        session.param.watch(lambda *_: self.sync(), ["rows", "checked"])
        session.param.watch(lambda *_: self._mark(), "row")

    def apply_edit(self, position: int, column: str, value: object) -> None:
        """Take an edit of a cell, or put the cell back and say why not."""
        ids, before = list(self.view.value.index), self._session.rows
        if 0 <= position < len(ids):
            try:
                self._session.edit(ids[position], column, native(value))
            except InputError as error:
                text.notify("warning", str(error))
        if self._session.rows is before:  # else the change has brought the table up to date
            self.sync()

    def _edited(self) -> None:
        """Take what the table holds and the session did not put there: a person did."""
        now, shown = self.view.value, self._shown
        if list(now.index) != list(shown.index):
            return
        found = [
            (position, column, "" if pd.isna(value) else value)
            for column in EDITABLE
            for position, (value, old) in enumerate(zip(now[column], shown[column], strict=True))
            if value != old
        ]
        if found:
            self._live.seen()
        for position, column, value in found:
            self.apply_edit(position, column, value)

    def toggle(self, position: int) -> None:
        """Include a row, or leave it out."""
        ids = list(self.view.value.index)
        row = self._session.find(ids[position]) if 0 <= position < len(ids) else None
        if row is not None:
            self.apply_edit(position, "include", not row.assignment.include)

    def reopen(self) -> None:
        """Show another state, or the same one with other choices."""
        opened = self._session.opened
        if opened is None:
            return
        # To set them draws the whole table anew, and recordings come one by one.
        if (wanted := editors(opened)) != self.view.editors:
            self.view.editors = wanted
        if self._state == opened.state.sha256:
            return self.sync()
        self._state = opened.state.sha256
        self.view.height = table_height(self._session)
        self.view.widths = widths(self._session)
        self._shown = frame(self._session)
        self.view.value = self._shown.copy()

    def sync(self) -> None:
        """Bring the table to what the session holds, touching only the cells that differ."""
        self._shown = frame(self._session)
        if self._live.show(self._shown.copy()):
            self._mark()

    def _select(self, positions: list[int]) -> None:
        ids = list(self.view.value.index)
        chosen = [ids[i] for i in positions if i < len(ids)]
        if chosen and chosen[0] != self._session.row:
            self._session.select_row(chosen[0])

    def _mark(self) -> None:
        ids = list(self.view.value.index)
        wanted = [ids.index(self._session.row)] if self._session.row in ids else []
        if list(self.view.selection) != wanted:
            self.view.selection = wanted
