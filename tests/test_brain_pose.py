"""Tilt, size and place of a brain from tracks: found, found although one probe lies, held where little is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.brain_pose import IN_THE_ATLAS, PLACE_UM, Place, Stretches, fit_place, fit_scale, fit_tilt, rotation
from core.plans import planned_directions

ANGLES = np.array([[10.0, -15.0], [-12.0, 5.0], [3.0, 18.0], [20.0, 8.0], [-5.0, -20.0]])
AIMS = np.array([[1500.0, -3000, -2500], [8000, -4000, -3000], [3000, -9000, -4000], [7000, -10000, -2000], [5000, -6000, -5000]])  # fmt: skip  # noqa: E501
turns = st.tuples(*[st.floats(-0.12, 0.12)] * 3).map(np.array)


def tracks_to(tips: np.ndarray) -> Stretches:
    """Tracks of 3 mm with different directions that end at (n, 3) tips."""
    return Stretches(tips - 3_000.0 * planned_directions(ANGLES[: len(tips)]), tips)


def away_um(place: Place, tracks: Stretches) -> np.ndarray:
    """(5,) distance of every aim from its track."""
    places = place.points(AIMS)
    return np.linalg.norm(tracks.nearest_um(places) - places, axis=1)


def test_a_rotation_turns_by_the_length_of_its_vector():
    turned = rotation(np.array([0.0, 0.0, np.pi / 2])) @ np.array([1.0, 0.0, 0.0])
    assert np.allclose(turned, [0.0, 1.0, 0.0])
    assert np.allclose(rotation(np.zeros(3)), np.eye(3))


@settings(max_examples=40, deadline=None)
@given(turns, st.sampled_from([(1, 1), (1, -1), (-1, 1), (-1, -1)]))
def test_a_tilt_is_found_whatever_the_signs_of_the_angles_mean(turn, signs):
    drawn = planned_directions(ANGLES, signs) @ rotation(turn).T
    tilt = fit_tilt(ANGLES, drawn)
    off = np.degrees(np.arccos(np.clip((tilt.directions(ANGLES) * drawn).sum(axis=1), -1, 1)))
    assert tilt.signs == signs
    assert off.max() < 1.5


def test_one_probe_of_another_direction_does_not_bend_the_tilt():
    drawn = planned_directions(ANGLES) @ rotation(np.array([0.1, -0.05, 0.0])).T
    wrong = drawn.copy()
    wrong[2] = planned_directions(np.array([[-30.0, -30.0]]))[0]
    off = np.degrees(np.arccos((fit_tilt(ANGLES, wrong).directions(ANGLES) * drawn).sum(axis=1)))
    assert off.max() < 2.0


@settings(max_examples=40, deadline=None)
@given(turns, st.floats(0.87, 1.13), st.tuples(*[st.floats(-5_000, 5_000)] * 3).map(np.array))
def test_a_place_is_found_from_aims_that_tracks_pass(turn, size, shift):
    tips = size * AIMS @ rotation(turn).T + shift
    place = fit_place(AIMS, tracks_to(tips))
    # What is usual of brains pulls a little, and an aim may lie anywhere along its track.
    assert away_um(place, tracks_to(tips)).max() < PLACE_UM


def test_two_swapped_tracks_cannot_be_explained_by_a_brain_upside_down():
    tips = AIMS[:2][::-1] + 500.0
    tracks = tracks_to(tips)
    places = fit_place(AIMS[:2], tracks).points(AIMS[:2])
    assert (np.linalg.norm(tracks.nearest_um(places) - places, axis=1) > 2_000.0).all()


def test_one_track_far_from_its_aim_does_not_move_the_others():
    tips = AIMS + 700.0
    tips[3] += [3_000.0, 0.0, 0.0]
    tracks = tracks_to(tips)
    places = fit_place(AIMS, tracks).points(AIMS)
    away = np.linalg.norm(tracks.nearest_um(places) - places, axis=1)
    assert away[3] > 2_000.0
    assert np.delete(away, 3).max() < 400.0


def test_in_the_atlas_one_aim_is_enough_to_see_a_wrong_track():
    tracks = tracks_to(AIMS[:1] + np.array([3_000.0, 0.0, 0.0]))
    places = fit_place(AIMS[:1], tracks, IN_THE_ATLAS).points(AIMS[:1])
    assert np.linalg.norm(tracks.nearest_um(places) - places) > 2_000.0


def test_a_fit_goes_on_from_a_place_that_is_given():
    tips = 0.9 * AIMS @ rotation(np.array([0.1, 0.1, 0.0])).T + 4_000.0
    found = fit_place(
        AIMS, tracks_to(tips), start=Place(rotation(np.array([0.09, 0.1, 0.0])), 0.9, np.full(3, 4_000.0))
    )
    assert away_um(found, tracks_to(tips)).max() < 200.0


def test_a_scale_without_evidence_is_the_usual_one_and_unsure():
    assert fit_scale([]).scale == pytest.approx(1.0)
    many = fit_scale([(0.88, 0.05)] * 6)
    assert many.scale == pytest.approx(0.88, abs=0.01)
    assert many.share < fit_scale([]).share


def test_one_length_among_many_that_disagrees_does_not_change_the_scale():
    assert fit_scale([(1.1, 0.08)] * 6 + [(0.5, 0.08)]).scale == pytest.approx(1.1, abs=0.03)


def test_distances_are_those_to_the_stretch_between_the_ends():
    tracks = Stretches(np.array([[0.0, 0.0, 0.0]]), np.array([[0.0, 0.0, -1_000.0]]))
    points = np.array([[30.0, 40.0, -500.0], [0.0, 0.0, 200.0], [0.0, 300.0, -1_400.0]])
    assert np.allclose(tracks.distances_um(points), [[50.0, 200.0, 500.0]])
