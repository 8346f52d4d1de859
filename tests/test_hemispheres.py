"""A track of the wrong hemisphere, near the midline too: told by the atlas where its affines are at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import truth_mice as t
from test_checks_geometry import KNOWN, atlas_of, find, problems, with_points, with_target

from core.brain_pose import Stretches
from core.checks.thresholds import Thresholds
from core.suggestions import suggest
from core.suggestions.candidates import other_probes
from core.suggestions.door import weigh_mouse

UPRIGHT = replace(KNOWN, scale=(1.0, 1.0), tilt_deg=0.0, off_centre_error_um=0.0, warp_um=0.0, aim_error_um=1.0)


def near_the_midline(aim_right_um: float, track_right_um: float) -> tuple[t.Mouse, t.Insertion]:
    """An upright mouse in which one probe's aim and track lie so far right of the midline, level with the aim."""
    mouse, probe = find("one", UPRIGHT)
    ml, ap, dv = probe.target.ccf_um_mlapdv
    off_um = track_right_um - (ml - t.MIDLINE_ML_UM)
    axis_x, voxel_um = 2, t.FRAME.scale_level0_um_xyz[0]
    towards = 1.0 if t.FRAME.directions_xyz[0] == "R" else -1.0
    moved = with_points(mouse, probe.tracks[0], lambda p: p + np.eye(3)[axis_x] * towards * off_um / voxel_um)
    return with_target(moved, probe, ccf_um_mlapdv=(t.MIDLINE_ML_UM + aim_right_um, ap, dv)), probe


@pytest.mark.parametrize("side", [1, -1])
def test_a_track_half_a_millimetre_on_the_other_side_is_told_by_the_atlas(side):
    mouse, probe = near_the_midline(side * 500.0, -side * 500.0)
    assert not problems(mouse, "T11"), "the image's middle is not sure of so little"
    (found,) = problems(mouse, "T11", atlas=atlas_of(mouse))
    assert found.where.row == probe.rows[0]
    assert float(found.measured) == pytest.approx(-side * 500.0, abs=60.0)
    assert found.threshold == side * Thresholds().atlas_midline_um
    drawn, planned = ("left", "right") if side > 0 else ("right", "left")
    assert f"{drawn} of the atlas's midline" in found.message
    assert f"{planned} of it" in found.message
    assert "affine only" in found.message


@pytest.mark.parametrize(("aim_um", "track_um"), [(500, 500), (500, -200), (200, -500), (-500, -200), (100, -100)])
def test_nearer_to_the_midline_than_the_affines_tell_no_side_is_sure(aim_um, track_um):
    mouse, _ = near_the_midline(aim_um, track_um)
    assert not problems(mouse, "T11", atlas=atlas_of(mouse))


def test_the_limit_is_a_setting():
    mouse, _ = near_the_midline(500.0, -500.0)
    assert not problems(mouse, "T11", atlas=atlas_of(mouse), limits=Thresholds(atlas_midline_um=650.0))
    closer, _ = near_the_midline(200.0, -200.0)
    assert problems(closer, "T11", atlas=atlas_of(closer), limits=Thresholds(atlas_midline_um=100.0))


def test_one_problem_tells_of_a_track_that_is_far_and_on_the_other_side():
    mouse, probe = near_the_midline(2_500.0, -2_500.0)
    assert [each.where.row for each in problems(mouse, "T11", atlas=atlas_of(mouse))] == [probe.rows[0]]


def test_a_track_and_its_mirror_image_are_compared_level_with_the_aim():
    """A slanted track that ends on its aim, and the same one mirrored: the nearest places are not mirrored."""
    entry, tip, aim = np.array([1_500.0, 0, 0]), np.array([400.0, 0, -2_000.0]), np.array([400.0, 0, -2_000.0])
    mirror = np.array([-1.0, 1.0, 1.0])
    both = Stretches(np.array([entry, entry * mirror]), np.array([tip, tip * mirror]))
    np.testing.assert_allclose(both.right_at_um(aim[None])[:, 0], [400.0, -400.0])
    assert both.right_at_um(np.array([[9.0, 0, 500.0]]))[0, 0] == 1_500.0, "no further than its ends"


def test_a_suggestion_in_the_atlas_tells_the_side_near_the_midline():
    mouse, probe = near_the_midline(500.0, -500.0)
    state, atlas = mouse.state(), atlas_of(mouse)
    name = probe.tracks[0]
    right = next(each for each in suggest(near_the_midline(500.0, 500.0)[0].state(), mouse.subject, atlas=atlas)
                 if each.track == name)  # fmt: skip
    assert right.assignment is not None

    def side(**more):
        found = other_probes(weigh_mouse(state, mouse.subject, **more), right.assignment)
        return next(each for each in found if each.is_own).evidence.get("side", 0.0)

    assert side() == 0.0
    assert side(atlas=atlas) < 0.0
