"""The shape of a drawn track is that of all its points, however many there are and in whatever order they stand."""

from __future__ import annotations

import builders as b
import numpy as np
import pytest

from core.atlas_frames import Affine, AffineAtlas, PipelineFrame
from core.checks import check_mapping
from core.drawn_tracks import atlas_shape, drawn_shape
from core.manifest import ManifestRow
from core.models import Target

COUNT = 2_000
ATLAS = AffineAtlas(
    PipelineFrame(np.array([-2.0, 1.0, -1.0]), np.array([0.0018, 0.0018, 0.002]), np.diag([-1.0, 1.0, -1.0])),
    Affine(np.eye(3), np.zeros(3)),
    Affine(np.eye(3), np.zeros(3)),
)


@pytest.fixture(params=range(3))
def shuffled(request) -> list[list[float]]:
    """A straight track, 3 mm down from z 500, in no order."""
    z = np.linspace(500.0, 2_000.0, COUNT)
    np.random.default_rng(request.param).shuffle(z)
    return [[float(each), 1_500.0, 2_000.0, 0.0] for each in z]


def test_the_ends_of_a_track_of_many_points_in_no_order_are_its_outermost_points(shuffled):
    layer = b.make_state(b.layer_json("many", points=shuffled)).tracks[0]
    shape = drawn_shape(layer, b.frame())
    assert shape.count == COUNT
    assert shape.length_um == pytest.approx(3_000.0)
    in_order = b.make_state(b.layer_json("many", points=sorted(shuffled))).tracks[0]
    np.testing.assert_allclose(shape.tip_um, drawn_shape(in_order, b.frame()).tip_um, atol=1e-6)


def test_in_the_atlas_too(shuffled):
    layer = b.make_state(b.layer_json("many", points=shuffled)).tracks[0]
    assert atlas_shape(layer, ATLAS).length_um == pytest.approx(3_000.0)


def test_a_check_measures_all_points(shuffled):
    state = b.make_state(b.layer_json("many", points=shuffled))
    subject = b.make_subject()
    day1 = subject.recordings[0]
    planned = b.replace(day1, targets=(Target("ProbeA", "VISp", depth_um=6_000.0),))
    subject = b.replace(subject, recordings=(planned, *subject.recordings[1:]))
    rows = [ManifestRow(b.MOUSE, b.SORT1, b.STEM, "many", "ProbeA", "ProbeA", None, None, b.SURFACE1)]
    found = [each for each in check_mapping(rows, state=state, subject=subject) if each.rule == "T6"]
    assert [each.measured for each in found] == [3_000]
