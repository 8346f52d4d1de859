"""States: every form of layer, what each layer is, what is wrong with it."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StateError
from core.models import AnnotationLayer, LayerKind, Severity, State
from core.neuroglancer import looking_at, read_state

FOUND = Path(__file__).parents[2] / "shared" / "data" / "neuroglancer"
ZYXT = {"z": [2e-6, "m"], "y": [1.8e-6, "m"], "x": [1.8e-6, "m"], "t": [0.001, "s"]}
ASSET = "SmartSPIM_712345_2024-02-03_04-05-06_stitched_2024-02-05_06-07-08"
IMAGE = f"zarr://s3://some-bucket/{ASSET}/image_tile_fusing/OMEZarr/Ex_561_Em_593.zarr"
LINE = [[100.5 + 10 * i, 200.25 + 30 * i, 300 + 5 * i + i % 2, 0] for i in range(12)]
SCATTER = [[100, 900, 200, 0], [800, 100, 150, 0], [150, 200, 900, 0], [700, 800, 800, 0], [400, 120, 500, 0]]


def points(coordinates=LINE, descriptions=()):
    described = [*descriptions, *[None] * (len(coordinates) - len(descriptions))]
    return [
        {"type": "point", "id": str(i), "point": point} | ({"description": text} if text else {})
        for i, (point, text) in enumerate(zip(coordinates, described, strict=True))
    ]


def layer(name="268", annotations=None, *, dimensions=ZYXT, **more):
    transform = {} if dimensions is None else {"transform": {"outputDimensions": dimensions}}
    source = {"url": "local://annotations", **transform}
    annotations = points() if annotations is None else annotations
    return {"type": "annotation", "name": name, "source": source, "annotations": annotations, **more}


def image(name="Ex_561", source=IMAGE, **more):
    return {"type": "image", "name": name, "source": source, **more}


def state_of(*layers, dimensions=ZYXT, **more) -> dict:
    return {"dimensions": dimensions, "layers": [image(), *layers], **more}


def read(*layers, **more) -> State:
    return read_state(json.dumps(state_of(*layers, **more)))


def read_one(*args, state=None, **more) -> AnnotationLayer:
    return read(layer(*args, **more), **(state or {})).layers[0]


def found(problems) -> list[tuple[str, Severity]]:
    return [(problem.rule, problem.severity) for problem in problems]


# --- a plain state ------------------------------------------------------------------------------


def test_a_plain_state_is_read_whole():
    data = json.dumps(state_of(layer("a", annotationColor="#00ff2a"), layer("b", visible=False))).encode()
    state = read_state(data, stem="712345_day1")
    assert (state.stem, state.data, len(state.sha256)) == ("712345_day1", data, 64)
    assert (state.subject, state.acquisition) == ("712345", "SmartSPIM_712345_2024-02-03_04-05-06")
    assert [(d.name, d.scale, d.unit) for d in state.dimensions][:2] == [("z", 2e-6, "m"), ("y", 1.8e-6, "m")]
    assert [track.name for track in state.tracks] == ["a", "b"]
    first, second = state.layers
    assert first.points.tolist() == LINE
    assert first.points.dtype == np.float64
    assert first.points_level0_zyx.tolist() == [point[:3] for point in LINE]
    assert first.dimensions_from == "layer"
    assert [first.scale_um(axis) for axis in "zyxt"] == [pytest.approx(2), pytest.approx(1.8), pytest.approx(1.8), None]
    assert (first.color, first.visible, second.color, second.visible) == ("#00ff2a", True, None, False)
    assert first.descriptions == ("",) * len(LINE)
    assert (state.problems, first.problems, second.problems) == ((), (), ())
    assert state.images[0].urls == (IMAGE,)


def test_points_keep_the_layers_own_order():
    xyz = {"x": [1.8, "um"], "y": [1.8, "um"], "z": [2, "um"]}
    one = read_one(annotations=points([[3, 2, 1], [6, 5, 4.5]]), dimensions=xyz)
    assert one.points.tolist() == [[3, 2, 1], [6, 5, 4.5]]
    assert one.points_level0_zyx.tolist() == [[1, 2, 3], [4.5, 5, 6]]
    assert one.problems == ()


@pytest.mark.parametrize(
    ("written", "metres"),
    [([2e-6, "m"], 2e-6), ([2, "um"], 2e-6), ([2, "µm"], 2e-6), ([1.8, "um"], 1.8e-6), ([2000, "nm"], 2e-6),
     ([0.002, "mm"], 2e-6), ([2, "micrometer"], 2e-6), ([2, "Micrometers"], 2e-6), ([2, "micrometre"], 2e-6),
     ([0.002, "millimeter"], 2e-6), ([2, "micron"], 2e-6), ([2e-9, "km"], 2e-6), ([1, "meter"], 1.0)],
)  # fmt: skip
def test_units_are_read_in_every_spelling(written, metres):
    one = read_one(dimensions={"z": written, "y": written, "x": written, "t": [1, "ms"]}, state={"dimensions": None})
    assert [d.scale for d in one.dimensions[:3]] == pytest.approx([metres] * 3, rel=1e-12)
    assert [d.unit for d in one.dimensions] == ["m", "m", "m", "s"]
    assert one.dimensions[3].scale == 1e-3


@pytest.mark.parametrize(
    "dimensions",
    [
        [["z", 2e-6, "m"], ["y", 1.8e-6, "m"], ["x", 1.8e-6, "m"], ["t", 0.001, "s"]],
        [["z", [2e-6, "m"]], ["y", [1.8e-6, "m"]], ["x", [1.8e-6, "m"]], ["t", [0.001, "s"]]],
        [{"name": name, "scale": scale, "unit": unit} for name, (scale, unit) in ZYXT.items()],
        {"names": ["z", "y", "x", "t"], "scales": [2e-6, 1.8e-6, 1.8e-6, 1e-3], "units": ["m", "m", "m", "s"]},
    ],
)
def test_dimensions_are_read_in_list_forms(dimensions):
    state = read(layer(), dimensions=dimensions)
    assert [(d.name, d.scale, d.unit) for d in state.dimensions] == [(n, s, u) for n, (s, u) in ZYXT.items()]


@pytest.mark.parametrize(
    "dimensions",
    [7, "zyx", [], {}, [7], [[]], {"x": [0, "m"]}, {"x": [-1, "m"]}, {"x": ["1", "m"]}, {"x": [1, 2]},
     {"x": [True, "m"]}, [["x", 1, "m"], ["x", 1, "m"]], {"names": ["x"], "scales": []}, {"x": [1e300, "Ym"]}],
)  # fmt: skip
def test_dimensions_that_cannot_be_read_are_a_problem_of_the_layer(dimensions):
    one = read_one(dimensions=dimensions)
    assert ("N12", Severity.ERROR) in found(one.problems)
    assert one.dimensions_from == "state"
    assert len(one.points) == len(LINE)


# --- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["local://annotations", {"url": "local://annotations"}, [{"url": "local://annotations"}], ["local://annotations"],
     None, [], {}, 17, [None, 3], {"url": None}, {"url": "local://annotations", "transform": None}],
)  # fmt: skip
def test_every_form_of_source_without_a_space_gives_the_track(source):
    one = read(layer() | {"source": source}).layers[0]
    assert one.kind is LayerKind.TRACK
    assert one.dimensions_from == "state"
    assert found(one.problems) == [("N4", Severity.CONFIRM)]


def test_a_list_of_one_source_keeps_its_space():
    one = read(layer() | {"source": [layer()["source"]]}).layers[0]
    assert (one.dimensions_from, one.problems) == ("layer", ())


def test_sources_with_different_spaces_are_an_error():
    other = {"url": "local://b", "transform": {"outputDimensions": {"x": [1, "um"], "y": [1, "um"], "z": [1, "um"]}}}
    one = read(layer() | {"source": [layer()["source"], other]}).layers[0]
    assert found(one.problems) == [("N12", Severity.ERROR)]


@pytest.mark.parametrize(
    ("source", "asset", "channel", "file"),
    [
        (IMAGE, ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        (IMAGE + "/", ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        (IMAGE + "/|zarr2:", ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        ({"url": IMAGE, "subsources": {"default": True}}, ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        (IMAGE.replace("zarr://", "zarr2://"), ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        (IMAGE.replace("zarr://", "") + "|zarr3:", ASSET, "Ex_561_Em_593", "Ex_561_Em_593.zarr"),
        (IMAGE.replace("593.zarr", "593.ome.zarr"), ASSET, "Ex_561_Em_593", "Ex_561_Em_593.ome.zarr"),
        (IMAGE.replace("s3://some-bucket/", "s3://some-bucket/test/SmartSPIM/"), ASSET, "Ex_561_Em_593",
         "Ex_561_Em_593.zarr"),
        (IMAGE.replace("s3://some-bucket", "https://some-bucket.s3.amazonaws.com"), ASSET, "Ex_561_Em_593",
         "Ex_561_Em_593.zarr"),
        (f"zarr://s3://b/{ASSET}/registered/a.zarr", None, "a", "a.zarr"),
        ("zarr://s3://bucket/image_tile_fusing/OMEZarr/a.zarr", None, "a", "a.zarr"),
        ("precomputed://gs://bucket/a", None, None, None),
        (None, None, None, None),
    ],
)  # fmt: skip
def test_the_asset_and_channel_of_an_image_are_read_from_every_address(source, asset, channel, file):
    state = read_state(json.dumps({"layers": [image(source=source)]}))
    only = state.images[0]
    assert (only.asset, only.channel, only.image_file, only.source_is_list) == (asset, channel, file, False)


def test_a_folder_with_an_aind_name_gives_the_subject_but_no_asset():
    state = read_state(json.dumps({"layers": [image(source=f"zarr://s3://b/{ASSET}/registered/a.zarr")]}))
    assert (state.subject, state.acquisition) == ("712345", "SmartSPIM_712345_2024-02-03_04-05-06")
    assert found(state.problems) == [("N3", Severity.WARNING)]


def test_a_similar_name_is_no_subject():
    state = read_state(json.dumps({"layers": [image(source=IMAGE.replace(ASSET, ASSET + " (old)"))]}))
    assert state.subject is None


# --- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({}, LayerKind.TRACK, "12 points"),
        ({"archived": False, "visible": True}, LayerKind.TRACK, "12 points"),
        ({"archived": True}, LayerKind.ARCHIVED, "archived"),
        ({"archived": True, "annotations": []}, LayerKind.ARCHIVED, "archived"),
        ({"annotations": []}, LayerKind.EMPTY, "no annotations"),
        ({"annotations": None}, LayerKind.EMPTY, "no annotations"),
        ({"annotations": {}}, LayerKind.NOT_POINTS, "not a list"),
        ({"annotations": [], "source": "precomputed://gs://b/a"}, LayerKind.SERVER_SIDE, "precomputed://gs://b/a"),
        ({"annotations": [], "source": [{"url": "dvid://h/a"}]}, LayerKind.SERVER_SIDE, "on a server"),
        ({"annotations": [{"type": "line", "pointA": [1, 2, 3, 0], "pointB": [4, 5, 6, 0]}]}, LayerKind.NOT_POINTS,
         "a line"),
        ({"annotations": points(SCATTER)}, LayerKind.LANDMARKS, "do not lie along a line"),
        ({"annotations": points(SCATTER[:3], ["CC", "AC", "LGN"])}, LayerKind.LANDMARKS, "3 of 3"),
        ({"annotations": points(SCATTER[:3])}, LayerKind.TRACK, "3 points"),
        ({"annotations": points(SCATTER[:2], ["entry", "Tip"])}, LayerKind.TRACK, "2 points"),
        ({"annotations": points(SCATTER[:2], ["1", "2"])}, LayerKind.TRACK, "2 points"),
        ({"annotations": points(LINE, ["entry", "CA1"])}, LayerKind.TRACK, "12 points"),
        ({"annotations": points(LINE, [f"p{i}" for i in range(12)])}, LayerKind.TRACK, "12 points"),
        ({"annotations": points(LINE[:1])}, LayerKind.TRACK, "1 point"),
        ({"annotations": points([LINE[0]] * 5)}, LayerKind.TRACK, "5 points"),
    ],
)  # fmt: skip
def test_each_layer_says_what_it_is_and_why(changes, kind, reason):
    one = read(layer() | changes).layers[0]
    assert one.kind is kind
    assert reason in one.reason


def test_bent_and_four_shank_tracks_are_tracks():
    bent = [[10 * i, 30 * i, 0.08 * i * i, 0] for i in range(40)]
    shanks = [[20 * i, 5 * i, 140 * shank, 0] for i in range(80) for shank in range(4)]
    assert [read_one(annotations=points(drawn)).kind for drawn in (bent, shanks)] == [LayerKind.TRACK] * 2


@pytest.mark.parametrize("kind", ["annotation", "pointAnnotation", "auto", None, "new"])
def test_a_layer_is_known_by_what_it_holds_when_its_type_is_missing(kind):
    untyped = layer() | {"type": kind}
    if kind is None:
        del untyped["type"]
    assert [track.name for track in read(untyped).tracks] == ["268"]


def test_segmentations_and_meshes_are_no_layers_of_ours():
    state = read(
        {"type": "segmentation", "name": "ccf", "source": "precomputed://gs://a"}, {"type": "mesh", "name": "m"}
    )
    assert (state.layers, len(state.images)) == ((), 1)


def test_hidden_and_archived_layers_are_not_visible():
    state = read(layer("a", hidden=True), layer("b", visible=False), layer("c", archived=True))
    assert [one.visible for one in state.layers] == [False] * 3
    assert len(state.layers[2].points) == len(LINE)


def test_layers_before_coordinate_spaces_are_read_and_refused_for_a_launch():
    old = {"type": "annotation", "name": "old", "voxelSize": [4, 4, 40], "points": [[1, 2, 3], [4, 5, 6]]}
    pose = {"layers": [old | {"voxelSize": None}], "navigation": {"pose": {"position": {"voxelSize": [4, 4, 40]}}}}
    for one in (read_state(json.dumps({"layers": [old]})).layers[0], read_state(json.dumps(pose)).layers[0]):
        assert one.points_level0_zyx.tolist() == [[3, 2, 1], [6, 5, 4]]
        assert one.scale_um("z") == pytest.approx(0.04)
        assert {("N4", Severity.ERROR), ("N6", Severity.ERROR), ("N7", Severity.ERROR)} == set(found(one.problems))


# --- problems -----------------------------------------------------------------------------------

OTHER_SCALE = {"z": [2, "um"], "y": [1, "um"], "x": [1.8, "um"], "t": [1, "ms"]}
MATRIX = {"matrix": [[1, 0, 0, 0, 5]], "outputDimensions": ZYXT}
SHAPES = [
    {"type": "line", "pointA": [1, 1, 1, 0], "pointB": [2, 2, 2, 0]},
    {"type": "axis_aligned_bounding_box", "pointA": [9, 1, 1, 0], "pointB": [2, 2, 2, 0]},
    {"type": "ellipsoid", "center": [1, 1, 1, 0], "radii": [1, 1, 1, 0]},
    {"type": "polyline", "points": [[1, 1, 1, 0]]},
    {"type": "spiral"},
    {"type": "point", "point": [1, "2", 3, 0]},
    {"type": "point", "point": [1, True, 3, 0]},
    {"type": "point"},
    {"point": []},
    {"type": "point", "point": [0] * 17},
    7,
    None,
]


@pytest.mark.parametrize(
    ("changes", "rule", "severity", "says"),
    [
        ({"source": {"url": "local://a", "transform": MATRIX}}, "N5", Severity.ERROR, "matrix"),
        ({"annotations": points([*LINE, [1, 2, 3]])}, "N7", Severity.ERROR, "where the layer declares 4"),
        ({"annotations": points([p[:3] for p in LINE])}, "N7", Severity.ERROR, "3 in 12 of 12 points"),
        ({"annotations": points([[*p, 0] for p in LINE])}, "N7", Severity.ERROR, "5 in 12 of 12 points"),
        ({"name": " 268"}, "N9", Severity.ERROR, "space"),
        ({"name": "268 "}, "N9", Severity.ERROR, "space"),
        ({"name": "A/B"}, "N9", Severity.ERROR, "file name"),
        ({"name": ".."}, "N9", Severity.ERROR, "file name"),
        ({"name": "a\tb"}, "N9", Severity.ERROR, "invisible"),
        ({"name": "a\u202eb"}, "N9", Severity.ERROR, "invisible"),
        ({"source": layer(dimensions=OTHER_SCALE)["source"]}, "N10", Severity.ERROR, "y 1 um, those of the state"),
        ({"source": {"transform": {"outputDimensions": ZYXT, "inputDimensions": [["0", 4, "um"], ["1", 4, "um"],
            ["2", 4, "um"], ["3", 1, "ms"]]}}}, "N11", Severity.CONFIRM, "4e-06 m"),
        ({"source": layer(dimensions={"z": [2, "um"], "y": [1.8, "um"], "t": [1, "s"], "c'": [1, ""]})["source"]},
         "N12", Severity.ERROR, "x is missing"),
        ({"source": layer(dimensions=ZYXT | {"x": [1, "furlong"]})["source"]}, "N12", Severity.ERROR, '"furlong"'),
        ({"source": layer(dimensions=ZYXT | {"x": [1, ""]})["source"]}, "N12", Severity.ERROR, "no unit"),
        ({"annotations": points(SCATTER)}, "N13", Severity.INFO, "landmarks"),
        ({"annotations": points(LINE + LINE[:3])}, "N14", Severity.INFO, "3 of 15"),
        ({"name": ""}, "N8", Severity.ERROR, "no name"),
        ({"name": None}, "N8", Severity.ERROR, "no name"),
        ({"name": 268}, "N8", Severity.ERROR, "no name"),
    ],
)  # fmt: skip
def test_each_problem_is_found_once_with_its_layer_and_a_cure(changes, rule, severity, says):
    state = read(layer("before"), layer() | changes, layer("after"))
    before, one, after = state.layers
    assert found(one.problems) == [(rule, severity)]
    assert says in one.problems[0].message
    assert one.problems[0].where.track == one.name
    assert one.problems[0].cure.endswith(".")
    assert (before.problems, after.problems, state.problems) == ((), (), ())
    assert len(after.points) == len(LINE)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_no_point_is_named_and_leaves_the_points(shape):
    one = read_one(annotations=[*points(), shape])
    assert one.kind is LayerKind.TRACK
    assert one.points.tolist() == LINE
    assert found(one.problems) == [("N6", Severity.ERROR)]
    assert "annotations[12] is " in one.problems[0].message
    assert read_one(annotations=[shape]).kind is LayerKind.NOT_POINTS


@pytest.mark.parametrize(
    ("dimensions", "severity"),
    [(ZYXT, Severity.CONFIRM), ({"t": [1, "s"], **ZYXT}, Severity.ERROR), (None, Severity.CONFIRM),
     ({"x": [1.8, "um"], "y": [1.8, "um"], "z": [2, "um"], "t": [1, "s"]}, Severity.ERROR)],
)  # fmt: skip
def test_a_layer_without_a_space_is_confirmed_or_refused_by_the_states_order(dimensions, severity):
    one = read_one(dimensions=None, state={"dimensions": dimensions})
    assert found(one.problems) == [("N4", severity)]
    assert one.dimensions_from == ("state" if dimensions else "assumed")


def test_points_of_three_numbers_in_a_four_dimensional_space_are_the_spatial_ones():
    one = read_one(annotations=points([p[:3] for p in LINE]), dimensions={"t": [1, "s"], "x": [1.8, "um"],
                                                                         "y": [1.8, "um"], "z": [2, "um"]})  # fmt: skip
    assert one.points_level0_zyx.tolist() == [p[2::-1] for p in LINE]


def test_the_images_own_scale_is_the_measure_when_it_declares_one():
    own = {"url": IMAGE, "transform": {"outputDimensions": OTHER_SCALE}}
    state = read_state(json.dumps({"dimensions": ZYXT, "layers": [image("brain", own), layer()]}))
    assert 'the image "brain" y 1 um' in state.layers[0].problems[0].message
    matrix = image(source={"url": IMAGE, "transform": MATRIX})
    assert read_state(json.dumps({"dimensions": ZYXT, "layers": [matrix, layer()]})).layers[0].problems == ()


def test_equal_names_are_named_at_each_place():
    state = read(layer("a"), layer("b"), layer("a"), layer("Ex_561"))
    assert [found(one.problems) for one in state.layers] == [[("N8", Severity.ERROR)], [], [("N8", Severity.ERROR)],
                                                             [("N8", Severity.ERROR)]]  # fmt: skip
    assert "layers[1], layers[3]" in state.layers[0].problems[0].message
    assert len(state.tracks) == 4


def test_images_are_judged_together():
    other = IMAGE.replace("712345", "712346")
    listed = image("listed", [IMAGE])
    assert found(read(listed).problems) == [("N1", Severity.CONFIRM)]
    two = read(image("b", other))
    assert found(two.problems) == [("N2", Severity.ERROR)]
    assert (two.subject, two.acquisition) == (None, None)
    assert found(read(image("ccf", "precomputed://gs://b/ccf")).problems) == [("N2", Severity.CONFIRM)]
    again = read(image("b", IMAGE.replace("2024-02-05", "2024-03-05")))
    assert (again.subject, again.acquisition) == ("712345", "SmartSPIM_712345_2024-02-03_04-05-06")
    assert found(read_state('{"layers": []}').problems) == [("N3", Severity.WARNING)]


def test_layers_as_an_object_are_read_and_reported():
    state = read_state(json.dumps({"dimensions": ZYXT, "layers": {"image": image(), "268": layer()}}))
    assert [track.name for track in state.tracks] == ["268"]
    assert found(state.problems) == [("N17", Severity.ERROR)]
    odd = read_state(json.dumps({"dimensions": ZYXT, "layers": [image(), 7, layer(), None]}))
    assert [track.name for track in odd.tracks] == ["268"]
    assert "layers[1]" in odd.problems[0].message


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "where", "says"),
    [
        ("[]", "", "a list"),
        ("17", "", "a single value"),
        ('"s3://a/b"', "", "a single value"),
        ("{}", "layers", "no list of layers"),
        ('{"layers": 3}', "layers", "no list of layers"),
        (json.dumps(state_of(layer(annotations=points([[1, 2, 3, 0], [1, 2, -1e9, 0]])))),
         'layers[1] "268" annotations[1].point[2]', "not within"),
        (json.dumps(state_of(layer())).replace("100.5", "1e999"),
         'layers[1] "268" annotations[0].point[0]', "not finite"),
        (json.dumps(state_of(layer("n" * 10_001))), "layers[1].name", "longer than"),
        (json.dumps({"layers": [0] * 10_001}), "layers", "more than 10,000 layers"),
        (json.dumps({"layers": [layer(annotations=[0] * 1_000_001)]}), "layers", "more than 1,000,000 annotations"),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_makes_a_state_unreadable_is_refused_with_its_place(data, where, says):
    with pytest.raises(StateError, match=says) as caught:
        read_state(data)
    assert caught.value.where == where
    assert caught.value.cure


def test_long_shaders_and_descriptions_are_fine():
    state = read(layer("a", shader="x" * 50_000, annotations=points(LINE, ["d" * 20_000])))
    assert state.layers[0].descriptions[0] == "d" * 20_000


def test_the_size_limit_is_the_callers():
    data = json.dumps(state_of(layer())).encode()
    assert read_state(data, limit_bytes=len(data)).data == data
    with pytest.raises(StateError, match="larger than"):
        read_state(data, limit_bytes=len(data) - 1)


def test_a_byte_order_mark_is_no_part_of_the_state():
    data = json.dumps(state_of(layer())).encode()
    assert read_state(b"\xef\xbb\xbf" + data).data == data
    assert read_state("\ufeff" + data.decode()).sha256 == read_state(data).sha256


ODD_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**54) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["m", "um", "point", "line", "annotation", "image", "local://annotations", IMAGE, ZYXT, LINE]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["x", "y", "z", "url", "transform", "point", "type", "name", "layers"]), inner,
                      max_size=3),
    max_leaves=8,
)  # fmt: skip


def all_places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from all_places(child, (*path, key))


WHOLE = state_of(
    layer("a", points(LINE[:4], ["CA1"])),
    layer("b", [SHAPES[0], *points(SCATTER)], dimensions=None, voxelSize=[4, 4, 40], visible=False),
    layer("c", []) | {"source": [{"url": "local://a", "transform": MATRIX | {"inputDimensions": ZYXT}}, "dvid://h"]},
    navigation={"pose": {"position": {"voxelSize": [1, 1, 1]}}},
    position=[1, 2, 3, 0],
)
PLACES = list(all_places(WHOLE))


@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD_VALUES | st.just(...)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_damaged_state_is_read_or_refused(damages):
    state = copy.deepcopy(WHOLE)
    for path, value in damages:
        parent = state
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in path[:-1]:
                parent = parent[key]
            if path and value is ...:
                del parent[path[-1]]
            elif path:
                parent[path[-1]] = value
    with contextlib.suppress(StateError):
        read_back = read_state(json.dumps(state))
        for one in read_back.layers:
            assert one.reason
            assert one.points_level0_zyx.shape[1] == 3
            assert one.kind is not LayerKind.TRACK or len(one.points) == len(one.descriptions) > 0
        for one in read_back.layers:
            looking_at(json.loads(read_back.data), one)


@given(st.binary(max_size=100), st.integers(0, 3000), st.integers(0, 100))
@settings(max_examples=100, deadline=None)
def test_a_cut_or_overwritten_state_is_read_or_refused(noise, at, length):
    data = json.dumps(WHOLE).encode()
    with contextlib.suppress(StateError):
        assert isinstance(read_state(data[:at] + noise + data[at + length :]), State)


# --- states found in the wild, when they are there ------------------------------------------------

KINDS = {
    "aind-session_example_717381.json": ["track"] * 6 + ["landmarks"],
    "aind_exaspim_653980_fused.json": [],
    "aind_hcr_767018_layers_fragment_xyzt_points.json": ["landmarks"],
    "aind_ngchat_test_state_dump_bare_local_source.json": ["track"],
    "aind_smartspim_652506_registered_permutation_matrix.json": [],
    "cellmap_inputDimensions_annotation_layers_excerpt.json": ["empty", "server_side"],
    "google_neuroglancer_index_rst_17.json": [],
    "nglui_hemibrain_list_source_annotation.json": ["server_side"],
    "nglui_legacy_no_dimensions.json": ["track"],
    "synthetic_aind_ibl_preprocessing_test_668_1_MD.json": ["empty"],
}


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_states_found_in_the_wild_are_read(path):
    state = read_state(path.read_bytes(), stem=path.stem)
    assert [one.kind for one in state.layers] == KINDS.get(path.name, [one.kind for one in state.layers])
    assert all(one.reason for one in state.layers)


@pytest.mark.parametrize("path", sorted(FOUND.glob("aind-session_example_717381.json")), ids=lambda path: path.stem)
def test_the_real_track_state_is_read_to_the_last_point(path):
    state = read_state(path.read_bytes())
    assert [(track.name, len(track.points)) for track in state.tracks] == [
        ("268", 23), ("269", 31), ("270", 39), ("265", 35), ("263", 27), ("262", 25)]  # fmt: skip
    assert {tuple(d.name for d in one.dimensions) for one in state.layers} == {("z", "y", "x", "t")}
    assert [state.tracks[0].scale_um(axis) for axis in "zyx"] == [pytest.approx(2), pytest.approx(4), pytest.approx(4)]
    assert state.layers[6].descriptions == ("CCant", "AntComMid", "GenFacCran2", "LGN")
    assert [one.image_file for one in state.images] == ["Ex_561_Em_593.ome.zarr", "Ex_639_Em_667.ome.zarr"]
    assert (state.subject, state.acquisition) == ("717381", "SmartSPIM_717381_2024-07-03_10-49-01")
    assert state.problems == ()
    assert all(track.problems == () for track in state.tracks)
