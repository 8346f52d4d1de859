"""Where a probe's target lies along its track, by tracks and targets that are laid out in the atlas."""

from __future__ import annotations

import builders as b
import numpy as np
import pytest
import truth_mice as t
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checks_geometry import atlas_of

from core.atlas_frames import Affine, AffineAtlas, ccf_um_to_points
from core.brain_pose import rotation
from core.drawn_tracks import drawn_shape
from core.targets import Target
from core.unrolled_target import target_on_track

ENTRY, TIP = np.array([6_800.0, 4_000.0, 600.0]), np.array([7_100.0, 4_400.0, 4_600.0])
"""CCF um ML, AP, DV."""
ACROSS = np.cross(TIP - ENTRY, [0.0, 1.0, 0.0]) / np.linalg.norm(np.cross(TIP - ENTRY, [0.0, 1.0, 0.0]))
PLAIN = atlas_of(t.make_mouse(0))


def seen(target: Target | None, atlas: AffineAtlas, *, told: bool = True):
    """The target on a track that runs from ENTRY to TIP in this atlas; also the track as drawn."""
    points = [[*point, 0.0] for point in ccf_um_to_points(np.linspace(ENTRY, TIP, 21), atlas).tolist()]
    layer = b.make_state(b.layer_json("one", points=points)).tracks[0]
    shape = drawn_shape(layer, t.FRAME)
    recording = b.recording(b.DAY1, targets=() if target is None else (target,))
    return target_on_track(shape, t.FRAME, recording, {"ProbeB"}, atlas if told else None), shape


def aim(share: float, off_um: float, name: str = "VISp") -> Target:
    place = ENTRY + share * (TIP - ENTRY) + off_um * ACROSS
    return Target("ProbeB", name, ccf_um_mlapdv=tuple(place.tolist()))


def test_a_target_beside_the_line_has_the_depth_of_its_foot():
    found, shape = seen(aim(0.75, 300.0), PLAIN)
    assert (found.words, found.unknown) == ("target VISp", "")
    assert found.depth_um == pytest.approx(0.75 * shape.length_um, abs=1.0)
    assert found.distance_um == pytest.approx(300.0, abs=1.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.3, 1.4), st.floats(0.0, 2_000.0), st.floats(0.85, 1.15), st.floats(-0.25, 0.25))
def test_however_the_brain_lies_and_shrank_the_target_stays_at_its_share_of_the_line(share, off_um, scale, turn):
    lies = Affine(scale * rotation(np.array([turn, turn / 2, -turn])), np.array([0.3, -0.2, 0.1]))
    found, shape = seen(aim(share, off_um), AffineAtlas(PLAIN.pipeline, lies, PLAIN.template_to_ccf))
    assert found.depth_um == pytest.approx(share * shape.length_um, abs=2.0)
    assert found.distance_um == pytest.approx(off_um, abs=2.0)


def test_what_is_not_told_is_said():
    assert seen(None, PLAIN)[0] is None
    found, _ = seen(Target("ProbeB", "VISp"), PLAIN)
    assert found.depth_um is None
    assert "the session's file does not tell" in found.unknown
    found, _ = seen(aim(0.5, 0.0), PLAIN, told=False)
    assert found.distance_um is None
    assert "registration of this brain is not at hand" in found.unknown
    assert seen(aim(0.5, 0.0, name=""), PLAIN)[0].words == "its target"
