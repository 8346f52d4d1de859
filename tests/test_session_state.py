"""A person's rows: choices that exist, edits that the server checks, undo, selection, drafts."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.models import Assignment, SortingStatus, Suggestion
from dashboard import edits
from dashboard.drafts import STATES_KEPT, Drafts, draft_name
from dashboard.opening import check_rows, drawn_frame
from dashboard.other_window import OtherWindow, differing, said
from dashboard.state import Opened, Session
from dashboard.theme import track_colors
from jobs.store import JobStore

COLUMNS = (*edits.CHOICE_COLUMNS, "include", "note")


def opened(*tracks: str, subject=None, suggestions=()) -> Opened:
    state = b.make_state(*(tracks or ("one", "two", "three")))
    subject = subject or b.make_subject()
    return Opened(state, subject, drawn_frame(state, subject), tuple(suggestions), track_colors(state))


def session(*tracks: str, **more) -> Session:
    made = Session(check_rows)
    made.open(opened(*tracks, **more))
    return made


def choose(view: Session, row_id: str, **cells: str) -> None:
    for column, value in cells.items():
        view.edit(row_id, column, value)


def test_one_empty_row_per_track_and_problems_from_the_start():
    view = session("one", "two")
    assert [row.assignment for row in view.rows] == [Assignment("one"), Assignment("two")]
    assert {view.checked.row_id(p) for p in view.checked.problems if p.where.row is not None} >= {
        row.id for row in view.rows
    }


def test_choices_are_what_exists_right_of_what_was_chosen():
    subject = b.make_subject()
    row = Assignment("one")
    assert list(edits.choices(subject, row, "recording")) == ["2024-11-07 10:00", "2024-11-08 10:00"]
    assert edits.choices(subject, row, "sorting") == {}
    row = edits.edit(subject, row, "recording", "2024-11-07 10:00")
    assert (row.recording, row.sorting, row.surface) == (b.DAY1, b.SORT1, b.SURFACE1), "the only sorting is filled in"
    assert set(edits.choices(subject, row, "stream")) == {"ProbeA", "ProbeB", "45883-1", "45883-3"}
    row = edits.edit(subject, row, "stream", "ProbeB")
    assert list(edits.choices(subject, row, "shank")) == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert edits.edit(subject, row, "shank", "2 of 4").shank == 1


def test_a_single_shank_stream_needs_no_shank_and_several_sortings_need_a_person():
    day = b.recording(
        b.DAY1,
        b.sorting(b.SORT1, b.stream("ProbeA")),
        b.sorting(b.SORT1 + "x", b.stream("ProbeA", 2), status=SortingStatus.PARTIAL),
        probes=b.PROBES1,
    )
    subject = b.make_subject(day)
    row = edits.edit(subject, Assignment("one"), "recording", "2024-11-07 10:00")
    assert row.sorting == "", "never picked silently"
    labels = edits.choices(subject, row, "sorting")
    assert len(labels) == 2
    assert sum("partial" in words for words in labels) == 1
    row = edits.edit(subject, row, "sorting", next(words for words in labels if "partial" not in words))
    row = edits.edit(subject, row, "stream", "ProbeA")
    assert row.shank is None
    assert edits.choices(subject, row, "shank") == {}


def test_cells_that_depended_on_an_old_choice_are_cleared():
    subject = b.make_subject()
    row = Assignment("one", b.DAY1, b.SORT1, "ProbeB", 3, b.SURFACE1, note="mine")
    changed = edits.edit(subject, row, "stream", "ProbeA")
    assert changed.shank is None
    moved = edits.edit(subject, row, "recording", "2024-11-08 10:00")
    assert moved == Assignment("one", b.DAY2, b.SORT2, note="mine")
    assert edits.edit(subject, row, "recording", edits.EMPTY) == Assignment("one", note="mine")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("recording", b.DAY1), ("recording", "2024-11-09 10:00"), ("sorting", "anything"), ("stream", "probeb"),
        ("shank", "5 of 4"), ("shank", "1"), ("track", "two"), ("color", "#000000"), ("note", "x" * 501),
    ],
)  # fmt: skip
def test_what_is_no_choice_is_refused_and_changes_nothing(column, value):
    view = session("one")
    row_id = view.rows[0].id
    choose(view, row_id, recording="2024-11-07 10:00", stream="ProbeB")
    before = view.rows
    with pytest.raises(InputError):
        view.edit(row_id, column, value)
    assert view.rows == before


def test_labels_of_equal_things_differ():
    assert len(set(edits.unique_labels({"a": "same", "b": "same", "c": edits.EMPTY}).values())) == 3
    assert edits.EMPTY not in edits.unique_labels({"c": edits.EMPTY}).values()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 5), st.sampled_from(COLUMNS), st.integers(0, 6)),
        st.tuples(st.sampled_from(["duplicate", "remove", "undo", "redo", "select"]), st.integers(0, 5)),
        st.tuples(st.just("add"), st.sampled_from(["one", "two"])),
    ),
    max_size=25,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_whatever_is_pressed_rows_hold_only_what_exists_and_undo_goes_all_the_way_back(pressed):
    view = session("one", "two")
    start = view.rows
    subject = view.opened.subject
    for what, *arguments in pressed:
        row_id = view.rows[arguments[0] % len(view.rows)].id if view.rows and what != "add" else ""
        if what == "edit" and row_id:
            _, column, number = arguments
            allowed = [edits.EMPTY, *edits.choices(subject, view.find(row_id).assignment, column)]
            value = {"include": number % 2 == 0, "note": f"note {number}"}.get(column, allowed[number % len(allowed)])
            view.edit(row_id, column, value)
        elif what == "add":
            view.add(arguments[0])
        elif what in ("undo", "redo"):
            getattr(view, what)()
        elif what == "select":
            view.select_row(row_id)
        elif row_id:
            getattr(view, what)(row_id)
        assert len({row.id for row in view.rows}) == len(view.rows)
        assert view.row == "" or view.find(view.row) is not None
        assert len(view.checked.row_ids) == sum(row.assignment.include for row in view.rows)
        for row in view.rows:
            for column in edits.CHOICE_COLUMNS:
                value = getattr(row.assignment, column)
                assert value in ("", None) or value in edits.choices(subject, row.assignment, column).values()
    while view.redoable:
        view.redo()
    end = view.rows
    while view.undoable:
        view.undo()
    assert view.rows == start
    while view.redoable:
        view.redo()
    assert view.rows == end


def suggestion(track: str, certain: bool) -> Suggestion:
    found = Assignment(track, b.DAY1, b.SORT1, "ProbeA", None, b.SURFACE1)
    return Suggestion(track, found, 0.9, certain, ("the name says so",))


def test_certain_suggestions_fill_untouched_rows_only_and_one_undo_takes_all_back():
    view = session(
        "one",
        "two",
        "three",
        suggestions=[suggestion("one", True), suggestion("two", True), suggestion("three", False)],
    )
    choose(view, view.rows[1].id, recording="2024-11-08 10:00", note="by hand")
    before = view.rows
    assert view.accept_certain() == 1
    assert [row.assignment.recording for row in view.rows] == [b.DAY1, b.DAY2, ""]
    assert view.accept_certain() == 0
    view.undo()
    assert view.rows == before
    view.accept(view.rows[2].id)
    assert view.rows[2].assignment.stream == "ProbeA"


def test_selecting_a_track_or_a_row_selects_both():
    view = session("one", "two")
    view.select_track("two")
    assert view.row == view.rows[1].id
    copy = view.duplicate(view.row)
    view.select_row(copy)
    view.select_track("two")
    assert view.row == copy, "the row that is selected stays, when it is one of the track's"
    view.select_row("")
    assert view.track == ""


def test_what_is_removed_is_selected_no_more():
    view = session("one", "two")
    view.select_row(view.rows[0].id)
    view.remove(view.row)
    assert (view.row, view.track) == ("", "")
    view.select_track("two")
    view.undo()
    assert view.track == "two", "another one stays"


def test_problems_name_the_row_though_left_out_rows_shift_the_manifest():
    view = session("one", "two", "three")
    view.edit(view.rows[0].id, "include", False)
    rows_with_problems = {view.checked.row_id(p) for p in view.checked.problems if p.where.track == "three"}
    assert view.rows[2].id in rows_with_problems
    assert view.rows[1].id not in rows_with_problems


def test_a_draft_comes_back_and_belongs_to_one_person_and_state(tmp_path):
    with JobStore(tmp_path / "data") as store:
        view = session("one", "two")
        drafts = Drafts(store, "ana")
        assert not drafts.save(view.held()), "an untouched mapping is no draft"
        choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeB", shank="3 of 4", note="“sure”")
        assert drafts.save(view.held())
        assert not drafts.save(view.held()), "nothing new to write"
        assert Drafts(store, "ana").restore(view.opened) == view.rows
        assert Drafts(store, "ben").restore(view.opened) is None
        assert Drafts(store, "ana").restore(opened("one", "other")) is None
        view.undo()
        assert drafts.save(view.held())
        assert Drafts(store, "ana").restore(view.opened) == view.rows


def test_two_windows_never_overwrite_each_other_unasked(tmp_path):
    with JobStore(tmp_path / "data") as store:
        one, other = session("one", "two"), session("one", "two")
        mine, theirs = Drafts(store, "ana"), Drafts(store, "ana")
        for drafts, view in ((mine, one), (theirs, other)):
            assert drafts.restore(view.opened) is None
        choose(one, one.rows[0].id, note="from one")
        assert mine.save(one.held())
        kept = store.get_draft("ana", draft_name(one.opened))

        assert not theirs.save(other.held()), "the window that only looks on learns of it, too"
        assert theirs.elsewhere.rows == one.rows
        choose(other, other.rows[1].id, note="from the other")
        assert not theirs.save(other.held())
        assert store.get_draft("ana", draft_name(one.opened)) == kept
        assert differing(theirs.elsewhere.rows, other.rows) == ("one", "two")
        words = said(theirs.elsewhere, other.rows, theirs.elsewhere.saved, None)
        assert "2 tracks mapped in another way there: one, two." in words

        banner = OtherWindow(other, theirs, lambda: None)
        banner.look()
        assert banner.view.visible
        assert other.saved == "draft not kept"
        banner.keep_mine()
        assert not banner.view.visible
        assert theirs.save(other.held())
        assert Drafts(store, "ana").restore(one.opened) == other.rows

        assert not mine.save(one.held()), "now it is the first window's turn to choose"
        before = one.rows
        banner = OtherWindow(one, mine, lambda: None)
        banner.take_theirs()
        assert one.rows == other.rows
        assert not mine.save(one.held()), "it is kept already"
        one.undo()
        assert one.rows == before
        assert mine.save(one.held())


def test_windows_that_came_to_the_same_mapping_ask_nothing(tmp_path):
    with JobStore(tmp_path / "data") as store:
        one, other = session("one"), session("one")
        mine, theirs = Drafts(store, "ana"), Drafts(store, "ana")
        for drafts, view in ((mine, one), (theirs, other)):
            drafts.restore(view.opened)
            choose(view, view.rows[0].id, note="same")
        assert mine.save(one.held())
        assert not theirs.save(other.held())
        assert theirs.elsewhere is None
        choose(other, other.rows[0].id, note="further")
        assert theirs.save(other.held())


def test_a_draft_written_between_look_and_write_is_not_overwritten(tmp_path):
    with JobStore(tmp_path / "data") as store:
        assert store.replace_draft("ana", "1", None, {"rows": [1]})
        assert not store.replace_draft("ana", "1", None, {"rows": [2]})
        assert not store.replace_draft("ana", "1", {"rows": [3]}, {"rows": [2]})
        assert store.get_draft("ana", "1") == {"rows": [1]}
        assert store.replace_draft("ana", "1", {"rows": [1]}, {"rows": [2]})


def test_a_draft_of_a_foreign_form_is_left_alone(tmp_path):
    with JobStore(tmp_path / "data") as store:
        view = session("one")
        name = draft_name(view.opened)
        store.set_draft("ana", name, {"schema": 99, "rows": []})
        assert Drafts(store, "ana").restore(view.opened) is None
        store.set_draft(
            "ana", name, {"schema": 1, "rows": [{"id": "r1", "track": "gone"}, {"id": 3, "track": "one"}, "x"]}
        )
        assert Drafts(store, "ana").restore(view.opened) == ()


def test_a_pasted_state_is_kept_for_the_reload(tmp_path):
    with JobStore(tmp_path / "data") as store:
        view = session("one")
        drafts = Drafts(store, "ana")
        drafts.keep_state(view.opened)
        given_back = drafts.kept_state(view.opened.state.sha256[:16])
        assert given_back is not None
        assert given_back.data == view.opened.state.data
        assert drafts.kept_state("0" * 16) is None
        assert drafts.kept_state("") is None


def test_the_last_pasted_states_are_kept_and_older_ones_go(tmp_path):
    with JobStore(tmp_path / "data") as store:
        views = [opened(f"track {i}") for i in range(STATES_KEPT + 2)]
        for each in views:
            Drafts(store, "ana").keep_state(each)
        Drafts(store, "ana").keep_state(views[2])  # once more: the newest now
        Drafts(store, "ana").keep_state(opened("one more"))
        kept = [Drafts(store, "ana").kept_state(each.state.sha256[:16]) is not None for each in views]
        assert kept == [False, False, True, False, *[True] * (STATES_KEPT - 2)]


def test_states_kept_by_two_windows_at_once_are_both_in_the_list(tmp_path):
    class Slow(JobStore):
        """Another window keeps a state between this one's look at the list and its writing."""

        between = ()

        def replace_draft(self, *what):
            while self.between:
                Drafts(other, "ana").keep_state(self.between.pop())
            return super().replace_draft(*what)

    with Slow(tmp_path / "data") as store, JobStore(tmp_path / "data") as other:
        mine, theirs = opened("mine"), opened("theirs")
        store.between = [theirs]
        Drafts(store, "ana").keep_state(mine)
        for number in range(STATES_KEPT):
            Drafts(store, "ana").keep_state(opened(f"later {number}"))
        kept = [Drafts(store, "ana").kept_state(each.state.sha256[:16]) for each in (mine, theirs)]
        assert kept == [None, None], "both gave way, none was left behind"


def test_a_freshly_opened_state_does_not_say_that_its_draft_is_kept():
    view = session("one")
    view.saved = "draft kept"
    view.open(opened("other"))
    assert view.saved == ""
    view.open(opened("other"), view.rows)
    assert view.saved == "draft kept"


def test_colors_are_one_per_track_and_can_be_told_apart():
    state = b.make_state(*(f"t{i}" for i in range(6)), b.layer_json("white", annotationColor="#ffffff"))
    colors = track_colors(state)
    assert set(colors) == {layer.name for layer in state.tracks}
    assert len(set(colors.values())) == len(colors)
    assert colors["white"] != "#ffffff", "cannot be read on a white page"
    assert track_colors(replace(state, stem="other")) == colors


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_place_that_changes_hands_is_held_by_as_many_rows_as_before(data):
    place = st.sampled_from([("", "", None), ("r", "A", None), ("r", "B", 0), ("r", "B", 1), ("s", "A", None)])
    rows = tuple(
        edits.Row(
            f"r{i}", Assignment(f"t{i}", recording, "", stream, shank, include=data.draw(st.booleans()), note=f"{i}")
        )
        for i, (recording, stream, shank) in enumerate(data.draw(st.lists(place, min_size=1, max_size=6)))
    )
    taker = data.draw(st.sampled_from([*rows, edits.Row("gone", Assignment("gone"))])).id
    recording, stream, shank = data.draw(place.filter(lambda each: bool(each[0])))
    after = edits.give_place(rows, taker, Assignment("other", recording, "", stream, shank))
    kept = [(row.id, row.assignment.track, row.assignment.include, row.assignment.note) for row in rows]
    assert [(row.id, row.assignment.track, row.assignment.include, row.assignment.note) for row in after] == kept
    if taker == "gone":
        assert after == rows
        return
    held = [
        row
        for row in after
        if (row.assignment.recording, row.assignment.stream, row.assignment.shank) == (recording, stream, shank)
    ]
    assert taker in {row.id for row in held}
    former = next(row.assignment for row in rows if row.id == taker)
    if (former.recording, former.stream, former.shank) != (recording, stream, shank):
        assert [row.id for row in held if row.assignment.include and row.id != taker] == []
