"""Voxels to anatomical micrometres: hand-computed values, and invariances that must hold for every image."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.geometry import (
    assumed_frame,
    image_bounds_ras_um,
    image_frame,
    image_ras_um_to_level0,
    level0_to_image_ras_um,
    level0_to_level,
    level_factors_zyx,
    level_to_level0,
    principal_line,
    track_length_um,
)
from core.models import AnnotationLayer, Dimension, LayerKind, State

WORDS = {"R": "Left_to_right", "L": "Right_to_left", "A": "Posterior_to_anterior", "P": "Anterior_to_posterior",
         "S": "Inferior_to_superior", "I": "Superior_to_inferior"}  # fmt: skip
UNITS_UM = {"micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}


def zattrs_of(scale_um, *, order="tczyx", unit="micrometer", levels=3):
    """An OME-Zarr 0.4 block with `scale_um` by axis name."""
    axes = [{"name": name, "type": "space", "unit": unit} if name in "xyz" else {"name": name} for name in order]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {
                    "type": "scale",
                    "scale": [scale_um[n] / UNITS_UM[unit] * 2**level if n in "xyz" else 1.0 for n in order],
                }
            ],
        }
        for level in range(levels)
    ]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}


def acquisition_of(letters_xyz, order=(0, 1, 2)):
    axes = [
        {"name": name, "dimension": 2 - i, "direction": WORDS[letter]}
        for i, (name, letter) in enumerate(zip("XYZ", letters_xyz, strict=True))
    ]
    return {"axes": [axes[i] for i in order]}


AIND = {"x": 1.8, "y": 1.8, "z": 2.0}


def test_a_usual_brain_gives_the_hand_computed_point():
    frame = image_frame(zattrs_of(AIND), (4000, 5000, 3000), acquisition_of("RAI"))
    assert frame.directions_xyz == ("R", "A", "I")
    assert frame.scale_level0_um_xyz == pytest.approx((1.8, 1.8, 2.0))
    assert frame.levels == 3
    assert frame.assumed == ""
    # z=100, y=2000, x=1000: 1000 * 1.8 to the right, 2000 * 1.8 to the front, 100 * 2 down
    np.testing.assert_allclose(level0_to_image_ras_um(np.array([[100.0, 2000.0, 1000.0]]), frame), [[1800, 3600, -200]])


def test_directions_with_other_axes_give_the_hand_computed_point():
    frame = image_frame(zattrs_of({"x": 1.0, "y": 2.0, "z": 3.0}), (10, 10, 10), acquisition_of("PSL"))
    # x runs to P: A = -1 * 5; y runs to S: S = 2 * 7; z runs to L: R = -3 * 11
    np.testing.assert_allclose(level0_to_image_ras_um(np.array([[11.0, 7.0, 5.0]]), frame), [[-33, -5, 14]])


def test_without_acquisition_the_usual_directions_are_assumed_and_said():
    for nothing in (None, {}, {"axes": []}):
        frame = image_frame(zattrs_of(AIND), (10, 10, 10), nothing)
        assert frame.directions_xyz == ("R", "A", "I")
        assert "left to right" in frame.assumed


finite = st.floats(-20_000, 20_000)


@settings(max_examples=100, deadline=None)
@given(
    point=st.tuples(finite, finite, finite),
    scale=st.tuples(*[st.floats(0.2, 50)] * 3),
    letters=st.sampled_from(
        ["".join(p) for axes in permutations(("LR", "PA", "SI")) for p in product(*axes)],
    ),
    order=st.sampled_from(["".join(p) for p in permutations("tczyx")]),
    unit=st.sampled_from(sorted(UNITS_UM)),
    listed=st.sampled_from(list(permutations(range(3)))),
)
def test_how_the_file_writes_the_geometry_changes_no_point(point, scale, letters, order, unit, listed):
    scale_um = dict(zip("xyz", scale, strict=True))
    plain = image_frame(zattrs_of(scale_um), (9, 9, 9), acquisition_of(letters))
    other = image_frame(zattrs_of(scale_um, order=order, unit=unit), (9, 9, 9), acquisition_of(letters, listed))
    points_level0_zyx = np.array([point])
    expected = level0_to_image_ras_um(points_level0_zyx, plain)
    np.testing.assert_allclose(level0_to_image_ras_um(points_level0_zyx, other), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(image_ras_um_to_level0(expected, plain), points_level0_zyx, rtol=0, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    right=st.floats(0, 5000),
    anterior=st.floats(0, 5000),
    inferior=st.floats(0, 5000),
    flips=st.tuples(*[st.booleans()] * 3),
    axes=st.sampled_from(list(permutations(range(3)))),
)
def test_the_same_place_stored_flipped_and_permuted_gives_the_same_point(right, anterior, inferior, flips, axes):
    """A place in one image, and the same place in that image stored with axes swapped and turned round."""
    shape = (4001, 5001, 3001)
    place = np.array([right, anterior, inferior]) / 5000 * 3000
    base_letters = ("R", "A", "I")
    opposite = {"R": "L", "A": "P", "I": "S"}
    letters = "".join(opposite[base_letters[a]] if flips[a] else base_letters[a] for a in axes)
    stored_xyz = np.array([-place[a] if flips[a] else place[a] for a in axes])
    base = image_frame(zattrs_of({"x": 2, "y": 2, "z": 2}), shape, acquisition_of("RAI"))
    turned = image_frame(zattrs_of({"x": 2, "y": 2, "z": 2}), shape, acquisition_of(letters))
    expected = level0_to_image_ras_um(place[::-1][None], base)
    np.testing.assert_allclose(level0_to_image_ras_um(stored_xyz[::-1][None], turned), expected, rtol=0, atol=1e-6)


def test_levels_follow_the_half_voxel_rule():
    zattrs = zattrs_of(AIND, levels=4)
    factors = level_factors_zyx(zattrs, 3)
    assert factors == pytest.approx((8, 8, 8))
    # the first voxel of level 3 covers indices 0..7, whose mean is 3.5
    np.testing.assert_allclose(level_to_level0(np.zeros((1, 3)), factors), [[3.5, 3.5, 3.5]])
    np.testing.assert_allclose(level0_to_level(np.array([[3.5, 11.5, 19.5]]), factors), [[0, 1, 2]])
    frame = image_frame(zattrs, (80, 80, 80), acquisition_of("RAI"))
    # (s(3) - s(0)) / 2 along every axis: 1.8 * 7 / 2 and 2 * 7 / 2
    origin = level0_to_image_ras_um(level_to_level0(np.zeros((1, 3)), factors), frame)
    np.testing.assert_allclose(origin, [[6.3, 6.3, -7.0]])


def test_the_mean_of_the_voxels_beneath_is_where_the_coarse_voxel_is():
    frame = image_frame(zattrs_of(AIND), (80, 80, 80), acquisition_of("LPS"))
    index = np.array([3, 5, 7])
    beneath = np.array(list(product(*[range(4 * i, 4 * i + 4) for i in index])), dtype=float)
    mean = level0_to_image_ras_um(beneath, frame).mean(axis=0)
    coarse = level0_to_image_ras_um(level_to_level0(index[None], (4, 4, 4)), frame)[0]
    np.testing.assert_allclose(coarse, mean)


def test_bounds_hold_every_voxel_and_are_none_without_a_size():
    frame = image_frame(zattrs_of(AIND), (10, 20, 30), acquisition_of("RAI"))
    np.testing.assert_allclose(image_bounds_ras_um(frame), [[-0.9, -0.9, -19.0], [53.1, 35.1, 1.0]])
    assert image_bounds_ras_um(image_frame(zattrs_of(AIND), (0, 0, 0), None)) is None


@pytest.mark.parametrize(
    ("zattrs", "words"),
    [
        ({}, "multiscales"),
        ({"multiscales": []}, "multiscales"),
        ({"multiscales": [{"axes": [{"name": "x"}], "datasets": []}]}, "multiscales"),
        ({"multiscales": "no"}, "multiscales"),
        (zattrs_of(AIND, levels=0), "no level"),
    ],
)
def test_an_image_that_cannot_be_understood_is_refused_with_its_place(zattrs, words):
    with pytest.raises(InputError, match=words) as caught:
        image_frame(zattrs, (1, 1, 1), None)
    assert caught.value.where == ".zattrs"
    assert caught.value.cure


@pytest.mark.parametrize("unit", ["inch", "nanometer", None])
def test_an_unknown_unit_is_refused(unit):
    zattrs = zattrs_of(AIND)
    for axis in zattrs["multiscales"][0]["axes"]:
        if axis["name"] in "xyz":
            axis["unit"] = unit
    with pytest.raises(InputError, match="unit"):
        image_frame(zattrs, (1, 1, 1), None)


@pytest.mark.parametrize("scale", [0.0, -1.8, float("nan"), float("inf")])
def test_a_scale_that_is_no_size_is_refused(scale):
    with pytest.raises(InputError, match="positive scale"):
        image_frame(zattrs_of({"x": scale, "y": 1.0, "z": 1.0}), (1, 1, 1), None)


@pytest.mark.parametrize(
    "acquisition",
    [
        {"axes": [{"name": "X", "direction": "Left_to_right"}]},
        {"axes": [{"name": n, "direction": "sideways"} for n in "XYZ"]},
        {"axes": [{"name": n, "direction": "Left_to_right"} for n in "XYZ"]},
        {"axes": "XYZ"},
        {"axes": [3, 4, 5]},
    ],
)
def test_directions_that_make_no_frame_are_refused(acquisition):
    with pytest.raises(InputError) as caught:
        image_frame(zattrs_of(AIND), (1, 1, 1), acquisition)
    assert caught.value.where == "acquisition axes"


def state_with(dimensions, layers=()):
    return State("s", b"", "", dimensions, (), layers, None, None)


def metres(*scales_um, names="zyx"):
    return tuple(Dimension(n, s * 1e-6, "m") for n, s in zip(names, scales_um, strict=True))


def test_an_assumed_frame_takes_the_scale_the_state_has():
    layer = AnnotationLayer("t1", LayerKind.TRACK, "", metres(7.0, 8.0, 9.0), "layer", np.empty((0, 3)))
    from_state = assumed_frame(state_with(metres(2.0, 4.0, 5.0), (layer,)))
    assert from_state.scale_level0_um_xyz == pytest.approx((5.0, 4.0, 2.0))
    assert "the state's dimensions" in from_state.assumed
    from_layer = assumed_frame(state_with((), (layer,)))
    assert from_layer.scale_level0_um_xyz == pytest.approx((9.0, 8.0, 7.0))
    assert "t1" in from_layer.assumed
    assert assumed_frame(state_with(())).scale_level0_um_xyz == (1.8, 1.8, 2.0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), noise=st.floats(0, 20))
def test_a_line_is_found_whatever_the_order_of_its_points(seed, noise):
    random = np.random.default_rng(seed)
    direction = random.normal(size=3)
    direction[2] = -abs(direction[2]) - 0.1
    direction /= np.linalg.norm(direction)
    points_um = random.uniform(-4000, 4000, 3) + np.outer(np.linspace(0, 3000, 30), direction)
    points_um += random.uniform(-noise, noise, points_um.shape) / np.sqrt(3)
    shuffled = random.permutation(points_um)
    line = principal_line(shuffled)
    assert line.direction @ direction > 0.999
    assert line.residual_rms_um <= line.residual_max_um <= 2 * noise + 1e-6
    assert line.explained > 0.99
    assert track_length_um(shuffled) == pytest.approx(track_length_um(points_um))
    assert abs(track_length_um(points_um) - 3000) <= 2 * noise + 1e-6


def test_points_off_a_line_have_the_hand_computed_residual():
    line = principal_line(
        np.array([[0, 0, 0], [0, 0, -1000], [0, 10, -500], [0, -10, -500], [0, 0, -500]], dtype=float)
    )
    assert line.residual_max_um == pytest.approx(10)
    assert line.residual_rms_um == pytest.approx(np.sqrt(200 / 5))


def test_no_line_through_one_place():
    for points in (np.empty((0, 3)), np.ones((1, 3)), np.ones((5, 3))):
        assert principal_line(points) is None
        assert track_length_um(points) == 0
