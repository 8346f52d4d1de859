"""Links back into a viewer: the same state, to the last digit, looking at a track."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.neuroglancer import interpret_paste, looking_at, open_link, read_state, viewer_of
from core.neuroglancer.open_links import MAX_LINK

VIEWER = "https://neuroglancer-demo.appspot.com"
FOUND = Path(__file__).parents[2] / "shared" / "data" / "neuroglancer"
NUMBERS = st.floats(-1e8, 1e8, allow_nan=False) | st.integers(-(2**30), 2**30)
LEAVES = (
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
)
KEYS = st.text("abXY_'", max_size=5)
JSON = st.recursive(LEAVES, lambda of: st.lists(of, max_size=3) | st.dictionaries(KEYS, of, max_size=3), max_leaves=8)


def opened(link: str) -> dict:
    return json.loads(interpret_paste(link))


def moved(document: dict, name: str = "268") -> dict:
    """The document of a link to a track, after going through the whole door."""
    state = read_state(json.dumps(document))
    track = next(layer for layer in state.layers if layer.name == name)
    return opened(open_link(state, track, VIEWER))


def document(*layers: dict, dimensions: object = None, **more: object) -> dict:
    return {"dimensions": dimensions or b.space(), "layers": [b.image_json(), *layers], **more}


def test_a_link_opens_the_same_layers_in_the_viewer_that_is_named():
    state = read_state(json.dumps(document(b.layer_json("it's 100%, é_#1"), position=[1, 2, 3, 0.5])))
    for viewer in (VIEWER, VIEWER + "/"):
        link = open_link(state, None, viewer)
        assert link.startswith("https://neuroglancer-demo.appspot.com/#!%7B%22dimensions%22")
        assert not set(link) & set(" \"'{}<>\\")
        assert opened(link) == json.loads(state.data)


def test_the_view_is_centred_on_the_middle_point_and_its_layer_selected_and_visible():
    before = document(
        b.layer_json("267"),
        b.layer_json("268", points=b.line_points(1, count=11), visible=False),
        position=[1, 2, 3, 0.5],
        selectedLayer={"size": 300, "layer": "267", "visible": False},
        layout="4panel",
        crossSectionScale=2.5,
    )
    after = moved(before)
    assert after["position"] == b.line_points(1, count=11)[5]
    assert after["selectedLayer"] == {"size": 300, "layer": "268", "visible": True}
    assert after["layers"][2].pop("visible") is True
    assert before["layers"][2].pop("visible") is False
    kept = [key for key in before if key not in ("position", "selectedLayer")]
    assert [after[key] for key in kept] == [before[key] for key in kept]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 4), min_size=1, max_size=6),
    st.permutations("xyzt"),
    st.dictionaries(st.text("abcdefg", min_size=1, max_size=6), JSON, max_size=3),
    st.lists(NUMBERS, min_size=4, max_size=4),
)
def test_all_but_position_and_selection_survives_exactly(points, axes, more, position):
    full = b.space()
    dimensions = {axis: full[axis] for axis in axes}
    layer = b.layer_json("268", points=[list(point) for point in points], annotationColor="#aa00ff")
    before = {**more, **document(layer, b.layer_json("9"), dimensions=dimensions, position=position)}
    untouched = copy.deepcopy(before)
    state = read_state(json.dumps(before))
    after = opened(open_link(state, state.layers[0], VIEWER))
    found = dict(zip(axes, after.pop("position"), strict=True))
    assert tuple(found[axis] for axis in "zyxt") in points, "one of the drawn points, axis by axis, to the last digit"
    assert after.pop("selectedLayer")["layer"] == "268"
    del before["position"]
    before.pop("selectedLayer", None)
    assert after == before
    assert list(after["dimensions"]) == list(axes)
    assert looking_at(untouched, state.layers[0]) is not untouched
    assert untouched == {**before, "position": position}, "the given document stays as it was"


def test_other_scales_are_converted_and_other_units_are_left():
    space = {"x": [3.6, "um"], "z": [2e-6, "m"], "y": [0.9e-6, "m"], "t": [1, ""]}
    after = moved(document(b.layer_json("268", points=[[10, 20, 30, 4]]), dimensions=space, position=[1, 2, 3, 7.5]))
    assert after["position"] == [pytest.approx(15, rel=1e-12), 10, pytest.approx(40, rel=1e-12), 7.5]


def test_a_scale_written_in_another_unit_is_the_same_scale():
    space = {"z": [2, "um"], "y": [1.8, "um"], "x": [1800, "nm"], "t": [1, "ms"]}
    after = moved(document(b.layer_json("268", points=[[1234.5678901234567, 2.1, 3.3, 0]]), dimensions=space))
    assert after["position"] == [1234.5678901234567, 2.1, 3.3, 0]


def test_where_points_cannot_be_placed_only_the_layer_is_selected():
    turned = b.layer_json("268")
    turned["source"]["transform"]["matrix"] = [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    empty = b.layer_json("268", points=[])
    for layer in (turned, empty):
        after = moved(document(layer, position=[1, 2, 3, 4]))
        assert (after["position"], after["selectedLayer"]["layer"]) == ([1, 2, 3, 4], "268")
    without = {"layers": [b.layer_json("268")], "position": [5, 6]}
    assert moved(without)["position"] == [5, 6]


def test_states_older_than_coordinate_spaces_move_by_their_pose():
    pose = {"position": {"voxelSize": [1800, 1800, 2000], "voxelCoordinates": [1, 2, 3]}, "orientation": [0, 0, 0, 1]}
    layer = {
        "type": "annotation",
        "name": "268",
        "annotations": [{"type": "point", "id": "a", "point": [10.5, 20, 30]}],
    }
    after = moved({"navigation": {"pose": pose, "zoomFactor": 8}, "layers": [layer]})
    assert after["navigation"]["pose"]["position"] == {
        "voxelSize": [1800, 1800, 2000],
        "voxelCoordinates": [10.5, 20, 30],
    }
    assert after["navigation"]["zoomFactor"] == 8
    assert after["navigation"]["pose"]["orientation"] == [0, 0, 0, 1]


def test_of_layers_with_one_name_the_first_is_shown():
    after = moved(document(b.layer_json("268", visible=False), b.layer_json("268", 3, visible=False)))
    assert [layer["visible"] for layer in after["layers"][1:]] == [True, False]


def test_layers_in_an_object_stay_one():
    line = b.line_points(count=11)
    layer = {key: value for key, value in b.layer_json("268", points=line, visible=False).items() if key != "name"}
    after = moved({"dimensions": b.space(), "layers": {"268": layer}})
    assert after["layers"]["268"]["visible"] is True
    assert after["position"] == line[5]


def test_a_link_too_long_for_browsers_is_not_made():
    for size, made in ((MAX_LINK // 2, True), (MAX_LINK, False), (9 * MAX_LINK, False)):
        state = read_state(json.dumps(document(b.layer_json("268", shader="x" * size))))
        assert bool(open_link(state, state.layers[0], VIEWER)) is made


@pytest.mark.parametrize(
    ("text", "viewer"),
    [
        ("https://viewer.example.org/v/1/#!{}", "https://viewer.example.org/v/1/"),
        ("  \ufeffhttps://viewer.example.org#!s3://bucket/key.json", "https://viewer.example.org"),
        ("#!{}", ""),
        ('{"layers": []}', ""),
        ("s3://bucket/key.json", ""),
        ("https://states.example.org/a.json", ""),
    ],
)
def test_the_viewer_of_a_paste(text, viewer):
    assert viewer_of(text) == viewer


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_states_found_in_the_wild_come_back_whole(path):
    state = read_state(path.read_bytes(), stem=path.stem)
    assert opened(open_link(state, None, VIEWER)) == json.loads(state.data)
    for layer in state.tracks:
        assert read_state(json.dumps(opened(open_link(state, layer, VIEWER)))).subject == state.subject
