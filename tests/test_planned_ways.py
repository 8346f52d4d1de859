"""Where a track would go by its manipulator's angles, as T10 compares it and as the pictures draw it."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import numpy as np
import pytest
from test_checks_geometry import find, problems, with_target
from test_plots_view import Page
from test_session_state import choose, session

from core.checks import Thresholds, planned_ways
from core.drawn_tracks import drawn_shape
from core.geometry import assumed_frame
from core.manifest import ManifestRow
from core.models import Target
from core.subjects.shown_image import image_frame_of
from dashboard.saved_pictures import draw_views
from dashboard.theme import track_colors
from dashboard.track_lines import scene

DOWN = [[600.0, 1500.0, z, 0.0] for z in np.linspace(500.0, 2000.0, 12)]
"""x, y, z voxels: 3,000 um straight down."""
RIGHT = [[600.0 + 1500.0 * i / 1.8, 1500.0, 500.0 + 1500.0 * 3**0.5 * i / 2.0, 0.0] for i in np.linspace(0.0, 1.0, 12)]
"""3,000 um, the tip 30 degrees to the right: 1,500 um beside and 2,598 um below the entry."""
TWO = Thresholds(angle_tracks=2)


def zyx(points):
    return [[z, y, x, t] for x, y, z, t in points]


def subject(module: float | None = 30.0):
    angles = {"arc": 0.0, "module": module} if module is not None else {}
    upright = Target("ProbeA", "MOs", angles_deg={"arc": 0.0, "module": 0.0})
    targets = (upright, Target("ProbeB", "MD", angles_deg=angles))
    made = b.make_subject()
    return replace(made, recordings=(replace(made.recordings[0], targets=targets), *made.recordings[1:]))


STATE = b.make_state(b.layer_json("down", points=zyx(DOWN)), b.layer_json("right", points=zyx(RIGHT)))
ROWS = (
    ManifestRow(b.MOUSE, b.SORT1, b.STEM, "down", "ProbeA", "ProbeA", None, None, b.SURFACE1),
    ManifestRow(b.MOUSE, b.SORT1, b.STEM, "right", "ProbeB", "ProbeB", 0, 0, b.SURFACE1),
)


def test_tracks_that_stand_as_planned_go_where_the_angles_say():
    ways = planned_ways(ROWS, state=STATE, subject=subject(), limits=TWO)
    entry = [1080.0, -2700.0, -1000.0]
    assert np.allclose(ways["down"], [entry, [1080.0, -2700.0, -4000.0]], atol=1.0)
    assert np.allclose(ways["right"], [entry, [2580.0, -2700.0, -3598.0]], atol=1.0)


def test_nothing_is_planned_where_angles_rows_or_the_mouse_are_not_known():
    assert planned_ways(ROWS, state=STATE, subject=subject()) == {}, "two angles tell no tilt"
    assert set(planned_ways(ROWS, state=STATE, subject=subject(None), limits=Thresholds(angle_tracks=1))) == {"down"}
    assert planned_ways((), state=STATE, subject=subject(), limits=TWO) == {}
    assert planned_ways(ROWS, state=STATE, subject=None, limits=TWO) == {}


def test_it_is_turned_from_the_track_by_what_t10_tells():
    mouse, probe = find("one")
    arc, module = probe.target.angles_deg["arc"], probe.target.angles_deg["module"]
    turned = with_target(mouse, probe, angles_deg={"arc": arc + (45.0 if arc < 0 else -45.0), "module": module})
    told = next(each for each in problems(turned, "T10") if each.where.row == probe.rows[0])
    state = turned.state()
    ways = planned_ways(turned.rows, state=state, subject=turned.subject)
    track = turned.rows[probe.rows[0]].histology_track_id
    entry, end = ways[track]
    layer = next(each for each in state.tracks if each.name == track)
    shape = drawn_shape(layer, image_frame_of(state, turned.subject))
    assert np.allclose(entry, shape.entry_um)
    cosine = (end - entry) @ shape.direction / shape.length_um
    assert np.degrees(np.arccos(cosine)) == pytest.approx(float(told.measured), abs=0.1)


def test_the_views_draw_it_for_the_selected_track_and_only_while_it_is_known():
    view = session("one", "two", subject=subject())
    page = Page(view, None)
    page.turns()
    drawn = page.plots._plots.planned
    assert "Dashed: the selected track by its manipulator" in page.words
    assert drawn.data["ml"] == []
    way = np.array([[1000.0, -2000.0, -1000.0], [1000.0, -2000.0, -4000.0]])
    view.checked = replace(view.checked, planned={"one": way})
    view.select_track("one")
    page.turns()
    assert list(drawn.data["dv"]) == [-1.0, -4.0]
    view.select_track("two")
    page.turns()
    assert drawn.data["dv"] == []


def test_a_mapping_on_the_page_knows_its_planned_ways():
    made = subject()
    day1 = made.recordings[0]
    every = (*day1.targets, Target("45883-1", "VISp", angles_deg={"arc": 0.0, "module": 0.0}))
    made = replace(made, recordings=(replace(day1, targets=every), *made.recordings[1:]))
    view = session("one", "two", "three", subject=made)
    for row, stream in zip(view.rows, ("ProbeA", "ProbeB", "45883-1"), strict=True):
        choose(view, row.id, recording="2024-11-07 10:00", stream=stream)
    assert set(view.checked.planned) == {"one", "two", "three"}
    view.undo()
    assert view.checked.planned == {}


def test_files_say_whose_dashed_line_it_is():
    made = scene(STATE, assumed_frame(STATE), track_colors(STATE))
    way = np.array([[1000.0, -2000.0, -1000.0], [1000.0, -2000.0, -4000.0]])
    svg = draw_views(made, "title", "svg", planned={"down": way}).decode()
    assert "dashed: down by the manipulator's angles" in svg.replace("&#39;", "'")
    assert svg.count("stroke-dasharray") > draw_views(made, "title", "svg").decode().count("stroke-dasharray")
