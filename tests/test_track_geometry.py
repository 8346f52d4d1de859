"""The shape of one track and of two: computed by hand, and the same however the brain is turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from core.geometry import assumed_frame, level0_to_image_ras_um
from core.neuroglancer import read_state
from core.track_geometry import (
    angle_between_deg,
    distance_to_track_um,
    doubled_points,
    drawn_order,
    track_distance,
    track_shape,
    unroll_um,
)

SHARED = Path(__file__).parents[2] / "shared" / "data" / "neuroglancer"


def straight(start, end, count=21):
    return np.linspace(start, end, count)


# --- one track ----------------------------------------------------------------------------------


def test_a_track_has_the_ends_and_tilts_computed_by_hand():
    """3 mm down, 1 mm to the right, 1 mm to the back: each tilt is atan(1/3), the whole one atan(sqrt 2 / 3)."""
    shape = track_shape(straight([0, 0, 0], [1000, -1000, -3000]))
    np.testing.assert_allclose(shape.entry_um, [0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(shape.tip_um, [1000, -1000, -3000], atol=1e-9)
    assert shape.length_um == pytest.approx(np.sqrt(11e6))
    assert shape.tilt_right_deg == pytest.approx(18.434949)
    assert shape.tilt_front_deg == pytest.approx(-18.434949)
    assert shape.from_vertical_deg == pytest.approx(25.239402)
    assert shape.residual_max_um == pytest.approx(0.0, abs=1e-9)
    assert shape.explained == pytest.approx(1.0)
    assert shape.gap_um == pytest.approx(np.sqrt(11e6) / 20)
    assert shape.count == 21
    np.testing.assert_allclose(shape.depth_um, np.linspace(0, np.sqrt(11e6), 21), atol=1e-9)
    np.testing.assert_allclose(shape.middle_um, [500, -500, -1500], atol=1e-9)
    np.testing.assert_allclose(
        shape.at_depth_um([0.0, 2 * shape.length_um]), [[0, 0, 0], [2000, -2000, -6000]], atol=1e-6
    )


def test_residuals_are_distances_from_the_line():
    """Points 30 um to the right and to the left of a vertical line, in fours so that the line stays vertical."""
    z = -np.repeat(np.arange(0, 4000, 100), 4).astype(float)
    x = np.tile([30.0, -30.0, -30.0, 30.0], 40)
    shape = track_shape(np.column_stack([x, np.zeros(160), z]))
    assert shape.residual_rms_um == pytest.approx(30.0)
    assert shape.residual_max_um == pytest.approx(30.0)
    assert shape.length_um == pytest.approx(3900.0)
    assert shape.from_vertical_deg == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("points", [np.empty((0, 3)), np.ones((1, 3)), np.ones((7, 3))])
def test_points_in_one_place_have_no_shape(points):
    assert track_shape(points) is None


def test_a_level_track_points_to_the_front_else_to_the_right():
    ahead = track_shape(straight([0, 5, 0], [0, -5000, 0]))
    np.testing.assert_allclose(ahead.direction, [0, 1, 0], atol=1e-12)
    assert (ahead.from_vertical_deg, ahead.tilt_front_deg, ahead.tilt_right_deg) == (90.0, 90.0, 0.0)
    aside = track_shape(straight([0, 0, 0], [-5000, 0, 0]))
    np.testing.assert_allclose(aside.direction, [1, 0, 0], atol=1e-12)
    assert (aside.tilt_right_deg, aside.tilt_front_deg) == (90.0, 0.0)


# --- the order of the points --------------------------------------------------------------------


def test_order_from_the_surface_and_from_the_tip():
    down = drawn_order(np.arange(0, 3000, 100.0))
    assert (down.surface_first, down.out_of_order, down.backstep_um) == (True, 0, 0.0)
    up = drawn_order(np.arange(3000, 0, -100.0))
    assert (up.surface_first, up.out_of_order, up.backstep_um) == (False, 0, 0.0)


def test_one_point_clicked_late_is_one_point_out_of_order():
    depths = np.array([0, 200, 400, 800, 1000, 1200, 600, 1400.0])
    order = drawn_order(depths)
    assert (order.surface_first, order.out_of_order, order.backstep_um) == (True, 1, 600.0)
    first = drawn_order(np.array([1400, 0, 200, 400, 600, 800.0]))
    assert (first.surface_first, first.out_of_order, first.backstep_um) == (True, 1, 1400.0)


def test_a_jump_between_two_halves_moves_the_smaller_half():
    lower, upper = np.arange(2000, 3000, 100.0), np.arange(0, 1500, 100.0)
    order = drawn_order(np.r_[lower, upper])
    assert (order.surface_first, order.out_of_order, order.backstep_um) == (True, 10, 2900.0)


def test_jitter_of_the_hand_is_no_disorder():
    depths = np.array([0, 100, 95, 140, 135, 180, 170, 300.0])
    order = drawn_order(depths)
    assert (order.out_of_order, order.backstep_um) == (0, 10.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40).map(lambda n: 100.0 * n), min_size=2, max_size=9))
def test_out_of_order_is_what_remains_beside_the_longest_rise(depths):
    """Against every subset: with steps of 100 um there is no jitter."""

    def left_over(values):
        best = 0
        for mask in range(1 << len(values)):
            chosen = [value for i, value in enumerate(values) if mask >> i & 1]
            if chosen == sorted(chosen):
                best = max(best, len(chosen))
        return len(values) - best

    found = drawn_order(np.array(depths))
    assert found.out_of_order == min(left_over(depths), left_over(depths[::-1]))


def test_points_clicked_twice_are_counted():
    once = straight([0, 0, 0], [0, 0, -3000], 31)
    assert doubled_points(np.vstack([once, once[4], once[7] + [0, 3.0, 0]]), 5.0) == 4
    assert doubled_points(np.vstack([once, once[7] + [0, 8.0, 0]]), 5.0) == 0
    assert doubled_points(np.repeat(once[[0, 30]], 3, axis=0), 5.0) == 6


# --- unrolled -----------------------------------------------------------------------------------


def test_unrolled_points_are_depth_and_offsets_to_the_right_and_to_the_front():
    shape = track_shape(straight([100, 200, 50], [100, 200, -3950]))
    np.testing.assert_allclose(unroll_um(np.array([[110.0, 193.0, -950.0]]), shape), [[1000.0, 10.0, -7.0]], atol=1e-9)


def test_a_target_is_as_far_as_the_stretch_between_the_ends():
    shape = track_shape(straight([0, 0, 0], [0, 0, -3000]))
    targets = np.array([[30, 40, -1000], [0, 0, -3400], [300, 0, 400.0]])
    np.testing.assert_allclose(distance_to_track_um(targets, shape), [50.0, 400.0, 500.0], atol=1e-9)


# --- two tracks ---------------------------------------------------------------------------------


def test_parallel_tracks_keep_their_distance():
    found = track_distance(
        track_shape(straight([0, 0, 0], [0, 0, -3000])), track_shape(straight([150, 200, 0], [150, 200, -3000]))
    )
    assert found.min_um == pytest.approx(250.0)
    assert found.mean_um == pytest.approx(250.0)
    assert found.angle_deg == pytest.approx(0.0, abs=1e-6)


def test_crossing_tracks_come_near_between_their_ends():
    """Two lines at 45 degrees either way, 20 um from each other where they cross, 1 mm below the surface."""
    one = track_shape(straight([-1000, 0, 0], [1000, 0, -2000]))
    other = track_shape(straight([1000, 20, 0], [-1000, 20, -2000]))
    found = track_distance(one, other)
    assert found.min_um == pytest.approx(20.0)
    assert found.angle_deg == pytest.approx(90.0)
    apart = track_shape(straight([1500, 0, 0], [3500, 0, 0]))
    assert track_distance(one, apart).min_um == pytest.approx(np.sqrt(2) * 1250.0)
    assert angle_between_deg(one.direction, apart.direction) == pytest.approx(45.0)


def test_the_least_distance_is_that_of_the_nearest_of_many_places():
    rng = np.random.default_rng(4)
    shares = np.linspace(0, 1, 1501)
    for _ in range(25):
        one, other = (track_shape(rng.uniform(-2000, 2000, (2, 3))) for _ in range(2))
        places = one.at_depth_um(shares * one.length_um)
        sampled = float(distance_to_track_um(places, other).min())
        found = track_distance(one, other).min_um
        assert found <= sampled + 1e-6
        assert found == pytest.approx(sampled, abs=one.length_um / 1500)


# --- what must not matter -----------------------------------------------------------------------

seeds = st.integers(0, 10_000)


def drawn(seed, count=40):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-4000, 4000, 3)
    end = start + rng.uniform([-1500, -1500, -4000], [1500, 1500, -2000])
    return np.linspace(start, end, count) + rng.normal(0, 25, (count, 3))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_shuffled_points_have_the_same_shape(seed):
    points = drawn(seed)
    order = np.random.default_rng(seed + 1).permutation(len(points))
    one, other = track_shape(points), track_shape(points[order])
    for name in ("entry_um", "tip_um", "direction"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), atol=1e-6)
    for name in ("length_um", "residual_rms_um", "residual_max_um", "explained", "gap_um",
                 "from_vertical_deg", "tilt_right_deg", "tilt_front_deg"):  # fmt: skip
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-6)
    np.testing.assert_allclose(other.depth_um, one.depth_um[order], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_turned_brain_keeps_lengths_residuals_and_distances(seed):
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    tracks = [drawn(seed), drawn(seed + 77)]
    before = [track_shape(points) for points in tracks]
    after = [track_shape(points @ turn.T + [10, -20, 30]) for points in tracks]
    for one, other in zip(before, after, strict=True):
        for name in ("length_um", "residual_rms_um", "residual_max_um", "explained", "gap_um"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-6)
    one, other = track_distance(*before), track_distance(*after)
    assert (other.min_um, other.angle_deg) == pytest.approx((one.min_um, one.angle_deg), abs=1e-6)
    assert track_distance(*before[::-1]) == pytest.approx(one, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_unrolling_keeps_distances_and_gives_the_depths(seed):
    points = drawn(seed)
    shape = track_shape(points)
    unrolled = unroll_um(points, shape)
    np.testing.assert_allclose(unrolled[:, 0], shape.depth_um, atol=1e-6)
    assert np.hypot(unrolled[:, 1], unrolled[:, 2]).max() == pytest.approx(shape.residual_max_um, abs=1e-6)
    lengths, before = (np.linalg.norm(np.diff(each, axis=0), axis=1) for each in (unrolled, points))
    np.testing.assert_allclose(lengths, before, atol=1e-6)


# --- a mouse as somebody drew it ----------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(SHARED.glob("aind-session_example_717381.json")), ids=lambda file: file.stem)
def test_the_tracks_of_a_real_mouse_have_the_lengths_of_probes(file: Path):
    state = read_state(file.read_bytes())
    frame = assumed_frame(state)
    shapes = [track_shape(level0_to_image_ras_um(track.points_level0_zyx, frame)) for track in state.tracks]
    assert len(shapes) == 6
    assert all(2_100 < shape.length_um < 4_700 for shape in shapes)
    assert all(17 < shape.residual_rms_um < 63 for shape in shapes)
    assert all(shape.order.surface_first for shape in shapes)
    assert [shape.order.out_of_order for shape in shapes] == [0, 0, 1, 0, 0, 2]
