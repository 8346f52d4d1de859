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
from dashboard.state import Session
from dashboard.unrolled_view import UnrolledView

HEIGHTS_UM = np.array([100.0, 900.0, 950.0])


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
    assert made._plots is not None
    return made._plots[0]._sources[name].data


def test_nothing_is_drawn_while_no_row_is_selected(mapped):
    made = shown(mapped)
    assert not made.view.visible
    assert made._plots is None
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
    assert not made.reverse.visible
    assert not made._plane.visible
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
    asyncio.run(made.read(sorting, ["ProbeB"]))
    made.draw()
    assert "The units of ProbeB could not be read. It is being repaired." in str(made.facts.object)
    assert glyphs(made, "bars")["left"] == []
    asyncio.run(made.read(sorting, ["ProbeB"]))
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
        (view.rows[0], "No stream is chosen for this row", True),
        (view.rows[1], "make no line", False),
    ):
        view.select_row(row.id)
        made.draw()
        assert words in str(made.facts.object)
        assert made._along.visible == drawn
