"""The table only shows and asks: the server decides, and puts back what cannot stand."""

from __future__ import annotations

import builders as b
import pandas as pd
import panel as pn
import pytest
from bokeh.document import Document
from panel.models.tabulator import TableEditEvent
from test_session_state import session

from core.models import Severity
from dashboard import assignment_table, edits, problems_view
from dashboard.assignment_table import AssignmentTable
from dashboard.problems_view import ProblemsView
from dashboard.tables import LiveTable


@pytest.fixture
def view():
    return session("one", "two", "three")


@pytest.fixture
def table(view):
    return AssignmentTable(view)


@pytest.fixture
def model(table):
    """What the browser has of the table."""
    return table.view.get_root(Document())


def cell(table: AssignmentTable, position: int, column: str) -> object:
    return table.view.value[column].iloc[position]


def test_rows_are_keyed_by_their_id_and_columns_are_fixed(table, view):
    assert list(table.view.value.index) == [row.id for row in view.rows]
    assert list(table.view.value.columns) == list(assignment_table.TITLES)
    assert set(table.view.editors) == set(assignment_table.TITLES)
    assert [name for name, editor in table.view.editors.items() if editor] == [
        name for name in table.view.editors if name in assignment_table.EDITABLE
    ]


def test_an_edit_reaches_the_session_and_what_depends_on_it_the_table(table, view):
    table.apply_edit(1, "recording", "2024-11-07 10:00")
    assert view.rows[1].assignment.sorting == b.SORT1
    assert cell(table, 1, "recording") == "2024-11-07 10:00"
    assert cell(table, 1, "surface") == "2024-11-07 11:00"
    assert cell(table, 0, "recording") == edits.EMPTY


@pytest.mark.parametrize(
    ("column", "value"), [("recording", "2024-11-07"), ("stream", "ProbeA"), ("shank", "9 of 4"), ("track", "two")]
)
def test_what_is_no_choice_is_put_back(table, view, column, value):
    shown = cell(table, 0, column)
    # as the browser does it: the cell changes first, then the edit is told
    table.view.patch({column: [(0, value)]}, as_index=False)
    assert cell(table, 0, column) == value
    before = view.rows
    table.apply_edit(0, column, value)
    assert cell(table, 0, column) == shown
    assert view.rows == before


def test_a_changed_cell_is_an_edit_though_the_browser_tells_of_the_edit_too_late_or_never(table, model, view):
    chosen = "2024-11-07 10:00"
    model.source.patch({"recording": [(1, chosen)]})
    assert view.rows[1].assignment.sorting == b.SORT1
    assert cell(table, 1, "sorting") == edits.shown(view.opened.subject, view.rows[1].assignment, "sorting")
    assert list(model.source.data["sorting"]) == list(table.view.value["sorting"])
    told = view.undoable
    model._trigger_event(TableEditEvent(model, "recording", 1, chosen, edits.EMPTY))
    assert view.undoable == told, "the same edit once more is nothing new"


def test_cells_changed_at_once_are_all_taken_those_on_the_left_first(table, model, view):
    model.source.patch({"note": [(0, "mine")], "stream": [(0, "ProbeA")], "recording": [(0, "2024-11-07 10:00")]})
    assert (view.rows[0].assignment.stream, view.rows[0].assignment.note) == ("ProbeA", "mine")
    model.source.patch({"note": [(0, None)]})
    assert view.rows[0].assignment.note == ""
    assert next(iter(model.source.data["note"])) == ""


def test_a_cell_that_the_browser_sets_to_no_choice_is_put_back(table, model, view):
    before = view.rows
    model.source.patch({"stream": [(2, "ProbeZ")]})
    assert view.rows == before
    assert model.source.data["stream"][2] == cell(table, 2, "stream") == edits.EMPTY


def test_an_edit_of_a_row_that_is_gone_changes_nothing(table, view):
    before = view.rows
    table.apply_edit(99, "note", "x")
    table.apply_edit(-1, "note", "x")
    assert view.rows == before


def test_rows_added_copied_and_removed_appear_without_losing_the_selection(table, view):
    view.select_row(view.rows[2].id)
    assert table.view.selection == [2]
    copy = view.duplicate(view.rows[0].id)
    assert list(table.view.value.index) == [row.id for row in view.rows]
    assert table.view.selection == [3], "the selected row has moved down"
    view.remove(copy)
    assert table.view.selection == [2]
    table.view.selection = [0]
    assert (view.row, view.track) == (view.rows[0].id, "one")


def test_the_lists_offer_exactly_what_the_server_takes(view):
    offered = assignment_table.editors(view.opened)
    subject = view.opened.subject
    recording = "2024-11-07 10:00"
    row = edits.edit(subject, view.rows[0].assignment, "recording", recording)
    sorting = edits.shown(subject, row, "sorting")
    assert offered["recording"]["values"] == [edits.EMPTY, *edits.choices(subject, row, "recording")]
    assert offered["stream"]["options"][recording][sorting] == [edits.EMPTY, *edits.choices(subject, row, "stream")]
    row = edits.edit(subject, row, "stream", "ProbeB")
    assert offered["shank"]["options"][recording][sorting]["ProbeB"] == [
        edits.EMPTY, *edits.choices(subject, row, "shank"),
    ]  # fmt: skip
    assert offered["surface"]["options"][recording] == [edits.EMPTY, *edits.choices(subject, row, "surface")]


def test_a_value_that_does_not_exist_is_shown_and_marked(view):
    from dataclasses import replace

    odd = replace(view.rows[0].assignment, recording="ecephys_gone", shank=7)
    assert edits.shown(view.opened.subject, odd, "recording") == "ecephys_gone ?"
    assert edits.shown(view.opened.subject, odd, "shank") == "8 ?"


def test_the_problems_column_names_the_worst_first(table, view):
    assert str(cell(table, 0, "problems")).startswith("✕ ")
    view.edit(view.rows[0].id, "include", False)
    assert cell(table, 0, "problems") == edits.EMPTY


def test_a_click_on_a_problem_goes_to_its_row(view):
    problems = ProblemsView(view)
    listed = problems_view.ordered(view)
    assert [p.severity for p in listed] == sorted((p.severity for p in listed), key=list(Severity).index)
    at = next(i for i, p in enumerate(listed) if p.where.row == 2)
    problems.jump(at)
    assert (view.row, view.track) == (view.rows[2].id, "three")
    problems.jump(10_000)
    assert view.row == view.rows[2].id


def test_the_problem_list_follows_the_rows(view):
    problems = ProblemsView(view)
    before = len(problems.table.value)
    for row in view.rows:
        view.edit(row.id, "recording", "2024-11-07 10:00")
        view.edit(row.id, "stream", "ProbeA")
    assert len(problems.table.value) == len(view.checked.problems) != before
    assert "error" in str(problems.counts.object)


def test_one_press_leaves_a_row_out_and_another_takes_it_in(table, view):
    table.toggle(0)
    assert view.rows[0].assignment.include is False
    assert not cell(table, 0, "include")
    table.toggle(0)
    assert view.rows[0].assignment.include is True
    table.toggle(99)  # a press on a row that is gone changes nothing
    assert all(row.assignment.include for row in view.rows)


def test_a_table_that_may_still_be_built_in_the_browser_is_given_all_of_its_data():
    now = [100.0]
    table = pn.widgets.Tabulator(pd.DataFrame({"state": ["queued", "running"]}, index=["1", "2"]))
    live = LiveTable(table, clock=lambda: now[0])
    doc = Document()
    doc.add_root(table.get_root(doc))
    sent: list[str] = []
    doc.on_change(lambda event: sent.append(type(event).__name__))

    def show(state: str) -> list[str]:
        sent.clear()
        live.show(pd.DataFrame({"state": [state, "running"]}, index=["1", "2"]))
        return [name for name in sent if name.startswith("Column")]

    assert show("running") == ["ColumnDataChangedEvent"]
    assert show("running") == []
    now[0] += 31
    assert show("succeeded") == ["ColumnsPatchedEvent"]
    assert list(table.value["state"]) == ["succeeded", "running"]
