"""A track against its recording: depths by hand, what must not matter, the shanks of one probe and their reversal."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import numpy as np
import pytest
import truth_mice
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checks_geometry import atlas_of

from core.contacts import RecordedContact
from core.models import Assignment
from core.same_probe import place_of, reverse_shanks, shank_places
from core.subjects.units import WHOLE, StreamUnits
from core.targets import Target
from core.tissue import Tissue
from core.unrolled import depth_bins, depth_um, drawn_scale, unroll
from core.unrolled_words import describe

FRAME = b.frame()


def straight(name: str, *, length_um: float = 3000.0, right_um: float = 0.0, top_um: float = 1000.0, count: int = 13):
    """A vertical track; z of the image runs down, x to the right."""
    down = np.linspace(top_um, top_um + length_um, count)
    points = [[z / 2.0, 1500.0, (4000.0 + right_um) / 1.8, 0.0] for z in down]
    return b.layer_json(name, points=points)


def contacts(shank: int, *heights: float) -> tuple[RecordedContact, ...]:
    return tuple(RecordedContact(shank, 8.0, height) for height in heights)


def units(*heights: float, shanks: tuple[int, ...] = (), passing: tuple[bool, ...] | None = None) -> StreamUnits:
    own = np.array(shanks or [WHOLE] * len(heights))
    good = None if passing is None else np.array(passing)
    return StreamUnits(np.array(heights), np.zeros(len(heights)), own, good, "here")


def probe(*found: RecordedContact, name: str = "ProbeB", count: int = 4):
    shanks = tuple(sorted({contact.shank for contact in found}))
    return replace(b.probe(name, *shanks, count=count), contacts=found)


def row(track: str, shank: int | None = None, stream: str = "ProbeB", **more: object) -> Assignment:
    return replace(Assignment(track, b.DAY1, b.SORT1, stream, shank), **more)  # type: ignore[arg-type]


def look(
    *rows: Assignment, layers, at: int = 0, of: object = None, streams=None, known=None, targets=(), scale=1.0, **more
):
    sorting = b.sorting(b.SORT1, *(streams or (b.stream("ProbeB", 0, 1, 2, 3),)))
    recording = b.recording(b.DAY1, sorting, probes=(of,) if of else (), targets=tuple(targets))
    state = b.make_state(*layers)
    made = unroll(
        rows[at], rows, state, FRAME, recording=recording, sorting=sorting, units=known or {}, scale=scale, **more
    )
    assert made is not None
    return made


def test_contacts_and_units_are_placed_from_the_tip():
    # 3,000 um long, the lowest row 200 um above the tip: heights 0, 1,000 and 3,000 are 2,800, 1,800 and -200 deep
    found = look(
        row("one", None, "ProbeA"),
        layers=[straight("one")],
        of=probe(*contacts(0, 0.0, 1000.0, 3000.0), name="ProbeA", count=1),
        streams=(b.stream("ProbeA"),),
        known={"ProbeA": units(0.0, 2950.0, passing=(True, False))},
        targets=[Target("ProbeA", "VISp", depth_um=3300.0)],
    )
    (shank,) = found.shanks
    assert shank.length_um == pytest.approx(3000.0)
    assert shank.points_um[:, 0] == pytest.approx(np.linspace(0, 3000, 13))
    assert shank.contacts_um[:, 0] == pytest.approx([2800.0, 1800.0, -200.0])
    assert shank.outside.tolist() == [False, False, True]
    assert shank.units_um == pytest.approx([2800.0, -150.0])
    assert found.planned_surface_um == pytest.approx(-300.0)
    said = " ".join(describe(found))
    assert "1 of 3 contacts lie above the surface, up to 0.20 mm." in said
    assert "The deepest contact is 0.20 mm above the tip." in said
    assert "2 units, 1 of which pass quality control, at depths from -0.15 mm to 2.80 mm; 1 of them" in said
    assert "moved in by 3,300 um: by that the surface lies 0.30 mm above the upper end" in said
    bins = depth_bins(shank)
    assert bins.edges_um[[0, -1]].tolist() == [-200.0, 2900.0]
    assert (bins.units.sum(), bins.passing.sum(), bins.units[0], bins.passing[0]) == (2, 1, 1, 0)


def test_what_is_not_known_says_where_it_was_looked_for():
    found = look(row("one", 0), layers=[straight("one")], of=b.probe("ProbeB", 0, 1, 2, 3, count=4))
    assert describe(found)[-1] == "No contacts known: settings.xml: no positions or numbers of electrodes."
    assert len(found.shanks[0].contacts_um) == len(found.shanks[0].units_um) == len(depth_bins(found.shanks[0]).units)
    found = look(row("one", 0), layers=[straight("one")])
    assert "No contacts known: no settings.xml could be read in" in describe(found)[-1]
    unread = StreamUnits(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), None, "", "no units of ProbeB: nowhere")
    found = look(row("one", 0), layers=[straight("one")], known={"ProbeB": unread})
    assert describe(found)[-1] == "Units: no units of ProbeB: nowhere."


def test_without_a_stream_or_a_shank_the_track_stands_alone():
    state = b.make_state(straight("one"), "two")
    alone = unroll(Assignment("one"), (), state, FRAME)
    assert alone is not None
    assert "No recording is chosen" in describe(alone)[-1]
    found = look(row("one"), layers=[straight("one")], of=probe(*contacts(0, 0.0)))
    assert "No shank is chosen" in describe(found)[-1]
    assert unroll(Assignment("gone"), (), state, FRAME) is None
    dot = b.layer_json("dot", points=[[500.0, 500.0, 500.0, 0.0]])
    assert unroll(Assignment("dot"), (), b.make_state(dot), FRAME) is None


def test_every_shank_of_the_probe_with_its_own_track_contacts_and_units():
    layers = [straight(name, right_um=250.0 * at) for at, name in enumerate(("a", "b", "c"))]
    rows = (row("a", 0), row("b", 1), row("c", 3), row("b", 2, include=False), row("b", 2, sorting=b.SORT2))
    every = [contact for shank in range(4) for contact in contacts(shank, 0.0, 100.0 * shank)]
    found = look(
        *rows, layers=layers, at=1, of=probe(*every), known={"ProbeB": units(10.0, 20.0, 30.0, shanks=(0, 1, 1))}
    )
    assert [(shank.number, shank.track) for shank in found.shanks] == [(0, "a"), (1, "b"), (2, ""), (3, "c")]
    assert found.chosen == 1
    assert [len(shank.units_um) for shank in found.shanks] == [1, 2, 0, 0]
    assert found.shanks[3].contacts_um[:, 0] == pytest.approx([2800.0, 2500.0])
    assert found.plane is not None
    assert [(one, other, round(um)) for one, other, um in found.plane.spacings] == [(0, 1, 250), (1, 3, 250)]
    assert found.plane.tip_um[:, 1] == pytest.approx(3000.0)
    assert sorted(found.plane.entry_um[:, 0]) == pytest.approx([-250.0, 0.0, 250.0])
    said = " ".join(describe(found))
    assert "No row gives a track to shank 3 of 4." in said
    assert "Distances of neighbouring shanks as drawn: 1 to 2: 250 um; 2 to 4: 250 um." in said


def test_the_streams_of_a_quad_base_probe_are_its_shanks():
    streams = tuple(b.stream(f"45883-{n}") for n in (1, 2, 3, 4))
    layers = [straight("a"), straight("b", right_um=250.0)]
    found = look(row("a", stream="45883-1"), row("b", stream="45883-4"), layers=layers, streams=streams)
    assert [shank.track for shank in found.shanks] == ["a", "", "", "b"]
    assert found.shank_count == 4


@settings(max_examples=60, deadline=None)
@given(moved=st.tuples(*[st.floats(-800, 800)] * 3), height=st.floats(0, 9000), length=st.floats(500, 6000))
def test_depths_do_not_depend_on_where_the_track_lies(moved, height, length):
    right, _, along = moved
    of = probe(*contacts(0, height), name="ProbeA", count=1)
    streams = (b.stream("ProbeA"),)
    found = [
        look(row("one", None, "ProbeA"), layers=[straight("one", length_um=length, **place)], of=of, streams=streams)
        for place in ({}, {"right_um": right, "top_um": 1000.0 + along})
    ]
    one, other = (each.shanks[0] for each in found)
    assert other.contacts_um == pytest.approx(one.contacts_um, abs=1e-6)
    assert other.points_um[:, 0] == pytest.approx(one.points_um[:, 0], abs=1e-6)
    assert one.contacts_um[0, 0] == pytest.approx(length - 200.0 - height)


@settings(max_examples=60, deadline=None)
@given(
    heights=st.lists(st.floats(0, 9000), min_size=2, max_size=8), scale=st.floats(0.7, 1.3), length=st.floats(500, 6000)
)
def test_swollen_tissue_stretches_what_lies_on_the_probe(heights, scale, length):
    drawn = depth_um(np.array(heights), length, scale=scale)
    true = depth_um(np.array(heights), length)
    assert np.diff(drawn) == pytest.approx(scale * np.diff(true), abs=1e-6)
    assert (length - drawn) == pytest.approx(scale * (length - true), abs=1e-6)


def test_the_size_of_the_tissue_is_read_off_rows_of_tracks():
    layers = [straight(str(at), right_um=0.9 * 250.0 * at) for at in range(4)]
    assert drawn_scale(b.make_state(*layers), FRAME) == pytest.approx(0.9, abs=1e-3)
    assert drawn_scale(b.make_state(*layers[:2]), FRAME) is None
    found = look(row("0", 0), layers=layers, of=probe(*contacts(0, 1000.0)), scale=0.9)
    assert found.shanks[0].contacts_um[0, 0] == pytest.approx(3000.0 - 0.9 * 1200.0)
    assert "multiplied by 0.90" in " ".join(describe(found))


# --- the order of shanks --------------------------------------------------------------------------


def turned(shanks: list[int | None], recorded: tuple[int, ...] = (0, 1, 2, 3)) -> list[int | None]:
    sorting = b.sorting(b.SORT1, b.stream("ProbeB", *recorded))
    recording = b.recording(b.DAY1, sorting, probes=(b.probe("ProbeB", *recorded, count=4),))
    places = shank_places(recording, sorting, "ProbeB")
    return [each.shank for each in reverse_shanks([row(f"t{i}", shank) for i, shank in enumerate(shanks)], places)]


@pytest.mark.parametrize(
    ("shanks", "recorded", "after"),
    [
        ([0, 1, 2, 3], (0, 1, 2, 3), [3, 2, 1, 0]),
        ([2, 0, 1, 3], (0, 1, 2, 3), [1, 3, 2, 0]),
        ([0, 1, 3], (0, 1, 2, 3), [3, 2, 0]),
        ([0, 1, 3], (0, 1, 3), [3, 1, 0]),
        ([2, 3], (2, 3), [3, 2]),
        ([1, None], (0, 1, 2, 3), [1, None]),
        ([], (0, 1, 2, 3), []),
    ],
)
def test_reversing_mirrors_the_row_of_shanks(shanks, recorded, after):
    assert turned(shanks, recorded) == after


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_reversing_twice_changes_nothing_and_once_only_names_recorded_shanks(data):
    recorded = data.draw(st.sets(st.integers(0, 3), min_size=2).map(lambda found: tuple(sorted(found))))
    shanks = data.draw(st.lists(st.sampled_from([*recorded, None]), max_size=6))
    after = turned(shanks, recorded)
    assert set(after) <= {*recorded, None}
    assert turned(after, recorded) == shanks


def test_a_mirrored_order_looks_mirrored_and_says_which_way_the_contacts_would_look():
    layers = [straight(str(at), right_um=250.0 * at) for at in range(4)]
    stands = {}
    for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
        found = look(*(row(str(at), shank) for at, shank in enumerate(order)), layers=layers)
        assert found.plane is not None
        places = dict(zip(found.plane.tracks, found.plane.tip_um[:, 0].round(), strict=True))
        assert places == {"0": -375.0, "1": -125.0, "2": 125.0, "3": 375.0}, "left is left, whatever the numbers"
        stands[tuple(found.plane.numbers[at] for at in found.plane.layout.order)] = " ".join(describe(found))
    assert "From left to right the shanks stand as 1, 2, 3, 4." in stands[0, 1, 2, 3]
    assert "they would look towards the back;" in stands[0, 1, 2, 3]
    assert "From left to right the shanks stand as 4, 3, 2, 1." in stands[3, 2, 1, 0]
    assert "they would look towards the front;" in stands[3, 2, 1, 0]


def test_a_row_of_shanks_from_back_to_front_is_seen_from_the_side():
    # y of the image leads to the back: the first track stands in front
    layers = [
        b.layer_json(
            str(at), points=[[z / 2.0, (2000.0 + 250.0 * at) / 1.8, 2000.0, 0.0] for z in range(1000, 4000, 300)]
        )
        for at in range(2)
    ]
    found = look(row("0", 0), row("1", 1), layers=layers)
    assert found.plane is not None
    assert found.plane.tip_um[:, 0].round().tolist() == [125.0, -125.0]
    said = " ".join(describe(found))
    assert "From back to front the shanks stand as 2, 1." in said
    assert "they would look towards the left;" in said


def test_reversing_a_quad_base_probe_swaps_its_streams():
    sorting = b.sorting(b.SORT1, *(b.stream(f"45883-{n}") for n in (1, 2, 3, 4)), b.stream("46110"))
    places = shank_places(b.recording(b.DAY1, sorting), sorting, "45883-2")
    rows = [row("a", stream="45883-1"), row("b", stream="45883-4"), row("c", stream="46110")]
    assert [place_of(each, places) is None for each in rows] == [False, False, True]
    assert [each.stream for each in reverse_shanks(rows, places)] == ["45883-4", "45883-1", "46110"]


def test_contacts_where_the_image_shows_no_tissue_are_told_apart_from_those_above_the_track():
    def seen(tissue: bool, frame=FRAME):
        blocks = Tissue(np.full((1, 1, 1), tissue), frame, (1e5, 1e5, 1e5))
        of = probe(*contacts(0, 0.0, 1000.0, 3000.0), name="ProbeA", count=1)
        found = look(
            row("one", None, "ProbeA"), layers=[straight("one")], of=of, streams=(b.stream("ProbeA"),), tissue=blocks
        )
        return found.shanks[0], " ".join(describe(found))

    shank, said = seen(tissue=False)
    assert shank.outside.tolist() == [True, True, True]
    assert shank.above.tolist() == [False, False, True]
    assert "1 of 3 contacts lie above the surface" in said
    assert "2 of 3 contacts lie where the image shows no tissue." in said
    shank, said = seen(tissue=True)
    assert shank.outside.tolist() == [False, False, True]
    assert "no tissue" not in said
    shank, said = seen(tissue=False, frame=replace(FRAME, scale_level0_um_xyz=(2.0, 2.0, 2.0)))
    assert shank.no_tissue is None, "the tissue of another image tells nothing of this one"


def test_the_target_is_told_by_where_the_atlas_puts_it_and_else_why_not():
    target = Target("ProbeA", "VISp", ccf_um_mlapdv=(7000.0, 7000.0, 2000.0))
    rows = (row("one", None, "ProbeA"),)
    plain = {"layers": [straight("one")], "streams": (b.stream("ProbeA"),), "targets": [target]}
    found = look(*rows, **plain)
    assert found.target is not None
    assert "the registration of this brain is not at hand" in describe(found)[-1]
    found = look(*rows, **plain, atlas=atlas_of(truth_mice.make_mouse(0)))
    assert found.target is not None
    assert found.target.depth_um is not None
    said = next(words for words in describe(found) if words.startswith("Target VISp lies "))
    assert f"{found.target.distance_um / 1000.0:.2f} mm beside the line" in said
