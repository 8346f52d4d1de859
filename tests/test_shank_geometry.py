"""Tracks as shanks of one probe: spacing, plane, order, and which tracks of a mouse could be shanks at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from core.shank_geometry import (
    ShankLimits,
    anatomical,
    fit_pitch,
    looks_like_shanks,
    shank_groups,
    shank_layout,
    side_of,
    tissue_scale,
)
from core.track_geometry import track_shape


def shank(place, *, direction=(0.0, 0.0, -1.0), length=3000.0, noise=0.0, seed=0):
    """A track of 30 points from `place` on, in RAS um."""
    rng = np.random.default_rng(seed)
    along = np.linspace(0.0, length, 30)[:, None] * np.array(direction) / np.linalg.norm(direction)
    return np.array(place) + along + rng.normal(0.0, noise, (30, 3))


def shapes(*tracks):
    return [track_shape(track) for track in tracks]


def probe(at=(0.0, 0.0, 0.0), *, places=(0, 250, 500, 750), noise=0.0, seed=0):
    """The shanks of one probe side by side along x."""
    return [
        shank(np.array(at) + np.array([place, 0, 0]), noise=noise, seed=seed * 10 + i)
        for i, place in enumerate(np.asarray(places, dtype=float))
    ]


# --- layout -------------------------------------------------------------------------------------


def test_four_shanks_have_the_spacing_and_order_computed_by_hand():
    layout = shank_layout(shapes(*probe()))
    np.testing.assert_allclose(layout.axis, [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(layout.across, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(layout.middle_um, [375, 0, -1500], atol=1e-9)
    np.testing.assert_allclose(layout.position_um, [-375, -125, 125, 375], atol=1e-9)
    np.testing.assert_allclose(layout.spacing_um, [250, 250, 250], atol=1e-9)
    np.testing.assert_allclose(layout.out_of_plane_um, 0, atol=1e-9)
    np.testing.assert_allclose(layout.angle_deg, np.zeros((4, 4)), atol=1e-6)
    assert layout.order == (0, 1, 2, 3)
    assert layout.in_order
    assert layout.tips_apart_um == pytest.approx(0.0, abs=1e-9)


def test_exchanged_shanks_are_out_of_order_and_a_mirrored_row_is_not():
    tracks = shapes(*probe())
    exchanged = shank_layout([tracks[i] for i in (0, 2, 1, 3)])
    assert exchanged.order == (0, 2, 1, 3)
    assert not exchanged.in_order
    np.testing.assert_allclose(exchanged.spacing_um, [250, 250, 250], atol=1e-9)
    mirrored = shank_layout(tracks[::-1])
    assert mirrored.in_order
    np.testing.assert_allclose(mirrored.across, [-1, 0, 0], atol=1e-12)


def test_a_shank_beside_the_plane_and_one_too_deep_are_seen():
    tracks = probe()
    tracks[1] = shank([250, 90, 0])
    tracks[3] = shank([750, 0, -400])
    layout = shank_layout(shapes(*tracks))
    assert np.abs(layout.out_of_plane_um).argmax() == 1
    assert np.ptp(layout.out_of_plane_um) > 80
    assert layout.tips_apart_um == pytest.approx(400.0)
    np.testing.assert_allclose(layout.tip_um, [-100, -100, -100, 300], atol=1e-6)


def test_spread_shanks_are_measured_at_mid_depth():
    """Two tracks that open by 4 degrees about the surface: 1,500 um down they are 105 um further apart."""
    slope = np.tan(np.radians(4.0))
    layout = shank_layout(shapes(shank([0, 0, 0]), shank([250, 0, 0], direction=(slope, 0, -1), length=3007.3)))
    assert layout.largest_angle_deg == pytest.approx(4.0)
    half = np.cos(np.radians(2.0))
    assert layout.spacing_um[0] == pytest.approx((250 + 1500 * slope) * half, rel=2e-3)


def test_one_track_has_no_layout():
    with pytest.raises(ValueError, match="two tracks"):
        shank_layout(shapes(shank([0, 0, 0])))


def test_two_tracks_on_one_place_and_two_at_right_angles_still_have_a_layout():
    same = shank_layout(shapes(shank([0, 0, 0]), shank([0, 0, 0])))
    assert same.spacing_um[0] == pytest.approx(0.0, abs=1e-9)
    assert abs(same.across @ same.axis) < 1e-9
    crossed = shank_layout(shapes(shank([0, 0, 0]), shank([0, 0, 0], direction=(1, 0, -1e-3))))
    assert crossed.largest_angle_deg == pytest.approx(90.0, abs=0.1)
    assert np.isfinite(crossed.position_um).all()


# --- against the pitch --------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.15])
def test_shrunken_tissue_is_found_as_a_scale(scale: float):
    layout = shank_layout(shapes(*probe(places=np.array([0, 250, 500, 750]) * scale)))
    fit = fit_pitch(layout)
    assert (fit.slots, fit.scale) == ((0, 1, 2, 3), pytest.approx(scale))
    assert fit.residual_um == pytest.approx(0.0, abs=1e-6)
    assert looks_like_shanks(layout, fit)
    assert fit_pitch(layout, scale=(1.0, 1.0)).residual_um == pytest.approx(
        abs(scale - 1) * 250 * np.sqrt(1.25), abs=1e-6
    )


def test_a_missing_shank_leaves_its_slot_free():
    assert fit_pitch(shank_layout(shapes(*probe(places=(0, 250, 750))))).slots == (0, 1, 3)
    assert fit_pitch(shank_layout(shapes(*probe(places=(0, 500))))).slots == (0, 2)
    assert fit_pitch(shank_layout(shapes(*probe(places=(0, 250))))).slots == (0, 1)
    assert fit_pitch(shank_layout(shapes(*probe(places=(0, 250, 500, 750, 1000))))) is None


@pytest.mark.parametrize(
    "tracks",
    [
        probe(places=(0, 250, 350, 750)),
        probe(places=(0, 90)),
        [*probe()[:3], shank([750, 0, 0], direction=(0.2, 0, -1))],
        [*probe()[:3], shank([750, 0, -350])],
        [*probe()[:3], shank([750, 300, 0])],
    ],
    ids=["uneven", "too near", "not parallel", "too deep", "not in the plane"],
)
def test_what_is_no_probe_does_not_look_like_one(tracks):
    layout = shank_layout(shapes(*tracks))
    assert not looks_like_shanks(layout, fit_pitch(layout))


def test_limits_are_a_matter_of_choice():
    layout = shank_layout(shapes(*probe()[:3], shank([750, 0, -350])))
    assert looks_like_shanks(layout, fit_pitch(layout), ShankLimits(tips_apart_um=400.0))
    assert not looks_like_shanks(layout, None)


# --- among all tracks ---------------------------------------------------------------------------


def test_the_probes_of_a_mouse_are_found_among_its_tracks():
    four = probe((0, 0, 0), noise=15, seed=1)
    three = probe((4000, 1000, -200), places=(0, 250, 750), noise=15, seed=2)
    singles = [shank([-3000, 2000, 0], noise=15, seed=3), shank([3000, -3000, 0], noise=15, seed=4)]
    tracks = [four[2], singles[0], three[0], four[0], four[3], three[2], singles[1], four[1], three[1]]
    groups = shank_groups(shapes(*tracks))
    assert [set(group.tracks) for group in groups] == [{0, 3, 4, 7}, {2, 5, 8}]
    assert groups[0].tracks in ((3, 7, 0, 4), (4, 0, 7, 3))
    assert groups[0].layout.in_order
    assert groups[1].fit.slots in ((0, 1, 3), (0, 2, 3))
    assert tissue_scale(groups) == pytest.approx(1.0, abs=0.02)


def test_two_four_shank_probes_side_by_side_are_not_mixed():
    one, other = probe((0, 0, 0), noise=10, seed=5), probe((0, 400, 0), noise=10, seed=6)
    groups = shank_groups(shapes(*one, *other))
    assert {frozenset(group.tracks) for group in groups} == {frozenset(range(4)), frozenset(range(4, 8))}


def test_tracks_far_from_each_other_are_no_group():
    assert shank_groups(shapes(shank([0, 0, 0]), shank([2000, 0, 0]), shank([0, 2500, 0]))) == ()
    assert shank_groups([]) == ()
    assert tissue_scale(()) is None


def test_a_chance_neighbour_at_another_angle_is_left_out():
    tracks = [*probe(noise=10, seed=7), shank([1000, 0, 0], direction=(0.3, 0, -1), noise=10)]
    assert [set(group.tracks) for group in shank_groups(shapes(*tracks))] == [{0, 1, 2, 3}]


# --- what must not matter -----------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_a_turned_brain_keeps_spacing_plane_and_order(seed, given_order):
    rng = np.random.default_rng(seed)
    tracks = [shank([250.0 * i, 30.0 * (i % 2), -40.0 * i], noise=12, seed=seed + i) for i in given_order]
    # Less than a right angle, so that the tips stay below.
    turn = Rotation.from_rotvec(rng.uniform(-0.6, 0.6, 3)).as_matrix()
    before = shank_layout(shapes(*tracks))
    after = shank_layout(shapes(*(track @ turn.T + [10, -20, 30] for track in tracks)))
    for name in ("position_um", "spacing_um", "tip_um", "angle_deg", "out_of_plane_um"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-5)
    assert after.order == before.order
    np.testing.assert_allclose(after.across, turn @ before.across, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_the_tracks_does_not_decide_the_groups(seed, shuffler):
    tracks = [*probe((0, 0, 0), noise=12, seed=seed), *probe((0, 3000, 0), places=(0, 250), noise=12, seed=seed + 1)]
    order = list(range(6))
    shuffler.shuffle(order)
    plain = {frozenset(group.tracks) for group in shank_groups(shapes(*tracks))}
    shuffled = shank_groups(shapes(*(tracks[i] for i in order)))
    assert {frozenset(order[i] for i in group.tracks) for group in shuffled} == plain == {
        frozenset({0, 1, 2, 3}), frozenset({4, 5})
    }  # fmt: skip


# --- as it stands in the brain ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "sides"),
    [((1, 0, 0), ("left", "right")), ((0, 1, 0), ("back", "front")), ((0.9, -0.3, 0), ("left", "right"))],
)
@pytest.mark.parametrize("turned", [1, -1])
def test_a_row_of_shanks_is_seen_from_one_side_of_the_brain_whatever_their_order(way, sides, turned):
    step = np.array(way) / np.linalg.norm(way)
    tracks = shapes(*(shank(250.0 * place * step) for place in range(4)))[::turned]
    layout = anatomical(shank_layout(tracks))
    assert side_of(layout.across) == sides
    np.testing.assert_allclose(layout.across, step, atol=1e-9)
    assert layout.order == tuple(range(4))[::turned]
    np.testing.assert_allclose(layout.position_um, np.array([-375, -125, 125, 375])[::turned], atol=1e-6)
    np.testing.assert_allclose(layout.spacing_um, 250.0, atol=1e-6)


def test_turning_a_layout_round_keeps_neighbours_and_their_distances_together():
    tracks = shapes(*probe(places=(0, 250, 700, 900))[::-1])
    before, after = shank_layout(tracks), anatomical(shank_layout(tracks))
    assert after.order == (3, 2, 1, 0)
    np.testing.assert_allclose(after.spacing_um, [250, 450, 200], atol=1e-9)
    np.testing.assert_allclose(after.out_of_plane_um, -before.out_of_plane_um, atol=1e-9)
    assert anatomical(after) is after
