"""The panel that shows a row's track against its recording: drawn when selected, units read beside the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import builders as b
import numpy as np
import pytest
from bokeh.document import Document
from test_session_state import choose, session

from core.contacts import RecordedContact
from core.errors import UnavailableError
from core.subjects.units import StreamUnits
from core.tissue import Tissue
from dashboard.state import Session
from dashboard.unrolled_view import PROBES, ROW, TRACKS, UnrolledView

HEIGHTS_UM = np.array([100.0, 900.0, 950.0])
WIDTHS = ("sizing_mode", "width", "height", "min_width", "max_width")


def with_contacts():
    """Four shanks with contacts up to 4 mm; the tracks of the builders are 3.6 mm long."""
    found = tuple(RecordedContact(shank, 8.0, height) for shank in range(4) for height in (0.0, 2000.0, 4000.0))
    subject = b.make_subject()
    day1 = subject.recordings[0]
    probes = tuple(replace(each, contacts=found) if each.name == "ProbeB" else each for each in day1.probes)
    return replace(subject, recordings=(replace(day1, probes=probes), *subject.recordings[1:]))


@pytest.fixture
def mapped() -> Session:
    made = session("one", "two", "three", subject=with_contacts())
    for row, shank in zip(made.rows, ("1 of 4", "2 of 4", "4 of 4"), strict=True):
        choose(made, row.id, recording="2024-11-07 10:00", stream="ProbeB", shank=shank)
    return made


def shown(view: Session, **more) -> UnrolledView:
    made = UnrolledView(view, **more)
    made.view.get_root(Document())
    made.draw()
    return made


def glyphs(made: UnrolledView, name: str) -> dict[str, list]:
    return made._plots[0]._sources[name].data


def test_nothing_is_drawn_while_no_row_is_selected(mapped):
    made = shown(mapped)
    assert not made.view.visible
    assert made._picture is None
    mapped.select_row(mapped.rows[0].id)
    made.draw()
    assert made.view.visible
    mapped.select_row("")
    made.plan_drawing()
    assert not made.view.visible


def test_contacts_of_every_mapped_shank_with_another_shape_outside(mapped):
    mapped.select_row(mapped.rows[1].id)
    made = shown(mapped)
    contacts = glyphs(made, "contacts")
    assert contacts["marker"] == ["circle", "circle", "triangle"] * 3
    assert len(set(contacts["color"])) == 4, "a colour per track, and one for what lies outside"
    words = glyphs(made, "words")
    bold = [text for text, style in zip(words["words"], words["style"], strict=True) if style == "bold"]
    assert bold == ["2 of 4", "two"]
    assert "no track" in words["words"]
    said = str(made.facts.object)
    assert "1 of 3 contacts lie above the surface" in said
    assert "No row gives a track to shank 3 of 4." in said
    assert "<ul>" in said
    assert made._plane.visible


def test_reversing_the_shanks_is_one_change_and_one_undo(mapped):
    mapped.select_row(mapped.rows[0].id)
    made = shown(mapped)
    assert not made.reverse.disabled
    before = mapped.rows
    made.reverse_order()
    assert [row.assignment.shank for row in mapped.rows] == [3, 2, 0]
    assert mapped.row == before[0].id
    assert mapped.undoable == "reversed shank order of ProbeB"
    mapped.undo()
    assert mapped.rows == before


def test_a_probe_of_one_shank_has_nothing_to_reverse(mapped):
    choose(mapped, mapped.rows[0].id, stream="ProbeA")
    mapped.select_row(mapped.rows[0].id)
    made = shown(mapped)
    assert made.reverse.disabled
    assert made._plots[1]._words.data["words"] == ["one track, no plane"]
    assert made._plots[1]._tracks.data["color"] == []
    made.reverse_order()
    assert not mapped.undoable.startswith("reversed")


def test_units_are_read_once_and_what_fails_is_told(mapped):
    asked = []

    async def read(sorting, token):
        asked.append((sorting.asset.name, token))
        if len(asked) == 1:
            raise UnavailableError("It is being repaired.")
        return StreamUnits(HEIGHTS_UM, HEIGHTS_UM, np.array([1, 1, 3]), np.array([True, False, True]), "here")

    mapped.select_row(mapped.rows[1].id)
    made = shown(mapped, read_units=read)
    sorting = mapped.opened.subject.recordings[0].sortings[0]
    asyncio.run(made.units.read([(sorting, "ProbeB")]))
    made.draw()
    assert "The units of ProbeB could not be read. It is being repaired." in str(made.facts.object)
    assert glyphs(made, "bars")["left"] == []
    asyncio.run(made.units.read([(sorting, "ProbeB")]))
    made.draw()
    assert "2 units, 1 of which pass quality control" in str(made.facts.object)
    assert sorted(glyphs(made, "bars")["units"]) == ["1 do not pass", "1 pass", "1 pass"]
    assert asked == [(b.SORT1, "ProbeB")] * 2


def test_a_track_that_is_no_line_or_has_no_stream_says_so():
    dot = b.layer_json("dot", points=[[500.0, 500.0, 500.0, 0.0]] * 3)
    view = session("one", dot)
    made = UnrolledView(view)
    made.view.get_root(Document())
    for row, words, drawn in (
        (view.rows[0], "No recording is chosen for this row", True),
        (view.rows[1], "make no line", False),
    ):
        view.select_row(row.id)
        made.draw()
        assert words in str(made.facts.object)
        assert made._along.visible == drawn


# --- candidates beside each other -----------------------------------------------------------------


def compared(view: Session, mode: str) -> UnrolledView:
    made = shown(view)
    asyncio.run(made.weigh(view.opened))
    made.compare.value = mode
    return made


def cards(made: UnrolledView) -> list[str]:
    return [str(words.object) for words, card in zip(made.cards._words, made.cards._cards, strict=True) if card.visible]


def test_other_probes_of_a_track_stand_beside_each_other_with_their_scores():
    view = session("A_1107", "B1_shank2", subject=with_contacts())
    view.select_row(view.rows[0].id)
    made = compared(view, PROBES)
    assert made.view.visible
    told = cards(made)
    assert len(told) > 1
    assert "ProbeA of 2024-11-07" in told[0]
    assert "its name says so" in told[0]
    assert "less likely than the best" in told[1]
    words = glyphs(made, "words")["words"]
    assert "ProbeA" in words
    assert any(word.startswith("11-07 · ") for word in words)
    assert set(glyphs(made, "tracks")["color"]) == {view.opened.colors["A_1107"]}
    assert all(each.label == "Use this" for each in made.cards.buttons[: len(told)])
    made.compare.value = ROW
    assert not made.cards.view.visible
    assert made.facts.visible


def test_to_use_a_candidate_is_one_change_and_nobody_loses_a_place():
    view = session("A_1107", "B1_shank2", subject=with_contacts())
    one, two = (row.id for row in view.rows)
    choose(view, one, recording="2024-11-07 10:00", stream="ProbeB", shank="2 of 4")
    choose(view, two, recording="2024-11-07 10:00", stream="ProbeA")
    before = view.rows
    view.edit(one, "note", "mine")
    view.select_row(one)
    made = compared(view, PROBES)
    at = next(i for i, words in enumerate(cards(made)) if "ProbeA of 2024-11-07" in words)
    made.cards._press(at)
    places = {row.assignment.track: (row.assignment.stream, row.assignment.shank) for row in view.rows}
    assert places == {"A_1107": ("ProbeA", None), "B1_shank2": ("ProbeB", 1)}
    assert view.find(one).assignment.note == "mine"
    made.draw()
    assert made.cards.buttons[at].disabled
    view.undo()
    view.undo()
    assert view.rows == before


def test_other_tracks_of_a_probe_and_what_is_said_where_there_is_none():
    view = session("A_1107", "B1_shank2", subject=with_contacts())
    one, two = (row.id for row in view.rows)
    view.select_row(one)
    made = compared(view, TRACKS)
    assert "The row names no probe yet" in str(made.cards.note.object)
    assert not made._along.visible
    choose(view, one, recording="2024-11-07 10:00", stream="ProbeB", shank="2 of 4")
    made.draw()
    told = cards(made)
    assert ["B1_shank2" in told[0], "A_1107" in told[1]] == [True, True]
    assert [button.label for button in made.cards.buttons[:2]] == ["Use this", "Mapped"]
    made.cards._press(0)
    assert view.find(two).assignment.stream == "ProbeB"
    assert view.find(one).assignment.recording == "", "it had nothing to give in return"
    assert view.row == two


def test_a_track_of_any_name_is_text_on_a_card():
    name = "<img src=x onerror=alert(1)>"
    view = session(name, subject=with_contacts())
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    view.select_row(view.rows[0].id)
    made = compared(view, TRACKS)
    assert "<img" not in cards(made)[0]
    assert not [words for words in glyphs(made, "words")["words"] if "<" in words]


def test_without_a_mouse_nothing_is_compared():
    view = session("one")
    view.opened = replace(view.opened, subject=None)
    view.select_row(view.rows[0].id)
    made = compared(view, PROBES)
    assert "No probe of this mouse is known" in str(made.cards.note.object)


def plane_words(made: UnrolledView) -> dict[str, float]:
    """Where each word of the plane's picture stands across it."""
    data = made._plots[1]._words.data
    return dict(zip(data["words"], data["x"], strict=True))


def test_the_plane_shows_a_mirrored_order_mirrored_and_names_both_ends(mapped):
    mapped.select_row(mapped.rows[0].id)
    made = shown(mapped)
    before = plane_words(made)
    assert before["L"] < before["1 of 4"] < before["4 of 4"] < before["R"]
    assert "Shank 1 is the left-most one" in str(made.view[-1].object)
    made.reverse_order()
    made.draw()
    after = plane_words(made)
    assert after["4 of 4"] == before["1 of 4"]
    assert after["1 of 4"] == before["4 of 4"]


def several_sortings():
    """Day 1 has been sorted twice."""
    subject = with_contacts()
    day1 = subject.recordings[0]
    again = replace(day1.sortings[0], asset=b.asset(f"{b.DAY1}_sorted_2024-12-24_01-00-00"))
    return replace(subject, recordings=(replace(day1, sortings=(*day1.sortings, again)), *subject.recordings[1:]))


def test_a_row_without_a_sorting_shows_its_contacts_and_says_what_is_missing():
    view = session("one", subject=several_sortings())
    row = view.rows[0]
    view.change((replace(row, assignment=replace(row.assignment, recording=b.DAY1, stream="ProbeB", shank=1)),), "set")
    view.select_row(row.id)
    made = shown(view)
    assert "No sorting is chosen for this row: its units are not known." in str(made.facts.object)
    assert "No stream" not in str(made.facts.object)
    assert len(glyphs(made, "contacts")["x"]) == 3
    assert "ProbeB" in str(made.title.object)


def test_candidates_are_drawn_without_what_they_leave_open():
    subject = several_sortings()
    view = session("A_1107", "268", subject=subject)
    view.select_row(view.rows[1].id)
    made = compared(view, PROBES)
    for sorting in subject.recordings[0].sortings:
        for stream in sorting.streams:
            known = StreamUnits(HEIGHTS_UM, np.zeros(3), np.array([0, 1, 1]), None, "here")
            made.units.known[sorting.asset.id, stream.token] = known
    made.draw()
    assert "shank open" in " ".join(glyphs(made, "words")["words"]), "a word a line"
    assert not glyphs(made, "bars")["left"]
    assert "nothing is drawn that depends on it" in str(made.cards.note.object)
    assert any("2 usable sortings: choose" in words for words in cards(made))
    assert any("which of its shanks, nothing tells" in words for words in cards(made))
    view.select_row(view.rows[0].id)
    made.draw()
    assert "no sorting" in " ".join(glyphs(made, "words")["words"]), "ProbeA of day 1 has two sortings"


def test_the_tissue_that_is_read_later_is_seen_in_the_picture(mapped):
    mapped.select_row(mapped.rows[1].id)
    made = shown(mapped)
    assert "outside the tissue" not in glyphs(made, "contacts")["where"]
    frame = mapped.opened.frame
    bare = Tissue(np.zeros((1, 1, 1), dtype=bool), frame, tuple(float(size) for size in frame.shape_level0_zyx))
    mapped.see(bare)
    made.draw()
    assert set(glyphs(made, "contacts")["where"]) == {"outside the tissue", "above the surface"}


def test_pictures_keep_their_figures_widths_when_hidden_and_shown_again(mapped):
    mapped.select_row(mapped.rows[0].id)
    made = compared(mapped, ROW)

    def widths(pane):
        of_figure, of_pane = ({name: getattr(each, name) for name in WIDTHS} for each in (pane.object, pane))
        assert of_figure == of_pane
        return of_pane

    alone, plane = widths(made._along), widths(made._plane)
    assert (alone["sizing_mode"], plane["sizing_mode"], plane["width"]) == ("stretch_width", "fixed", 250)
    made.compare.value = TRACKS
    made.draw()
    assert not made._plane.visible
    assert widths(made._along)["min_width"] > alone["min_width"]
    made.compare.value = ROW
    made.draw()
    assert (widths(made._along), widths(made._plane)) == (alone, plane)
