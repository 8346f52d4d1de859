"""Probe tracks as a person would click them: from the brain's surface to the tip, slightly bent, slightly off.

The image box: um from the centre of voxel (0, 0, 0), x to the right, y to the front, z downwards.
"""

from __future__ import annotations

import numpy as np

from core.models import Points
from core.sample.files import random_for
from core.sample.plan import SHANK_PITCH_UM, Insertion, RecordingPlan, Sizes

VOXEL_UM_XYZ = np.array([1.8, 1.8, 2.0])
SHAPE_LEVEL0_ZYX = (4000, 7222, 6111)
BRAIN_CENTRE_UM = np.array([5500.0, 6500.0, 4000.0])
BRAIN_RADII_UM = np.array([4900.0, 6100.0, 3400.0])
_CLICK_NOISE_UM = 10.0
_FIRST_CLICK_BELOW_SURFACE_UM = 30.0


def surface_z_um(x_um: float, y_um: float) -> float:
    """Height of the brain's upper surface above the point (x, y) of the image box."""
    flat = (np.array([x_um, y_um]) - BRAIN_CENTRE_UM[:2]) / BRAIN_RADII_UM[:2]
    return float(BRAIN_CENTRE_UM[2] - BRAIN_RADII_UM[2] * np.sqrt(1.0 - flat @ flat))


def direction_box(insertion: Insertion) -> Points:
    """Unit vector from surface to tip, (3,) in the image box."""
    slope = np.tan(np.radians([insertion.module_deg, insertion.arc_deg]))
    vector = np.array([slope[0], slope[1], 1.0])
    return np.asarray(vector / np.linalg.norm(vector))


def tip_um(insertion: Insertion, shank: int = 0) -> Points:
    """Tip of a shank (0-based), (3,) um in the image box."""
    x, y = insertion.entry_um_xy
    entry = np.array([x, y, surface_z_um(x, y)])
    across = _across(insertion)
    return np.asarray(entry + insertion.length_um * direction_box(insertion) + SHANK_PITCH_UM * shank * across)


def track_um(insertion: Insertion, shank: int, recording: RecordingPlan, *, seed: int, sizes: Sizes) -> Points:
    """The clicked points of one shank, surface first.

    Args:
        insertion: The probe in the brain.
        shank: 0-based.
        recording: The recording it was inserted for.
        seed: Seed of the sample.
        sizes: Says how many points.

    Returns:
        (n, 3) um in the image box.
    """
    rng = random_for(seed, "track", recording.name, insertion.probe, shank)
    direction, across = direction_box(insertion), _across(insertion)
    tip = tip_um(insertion, shank)
    top = _distance_to_surface(tip, -direction) - _FIRST_CLICK_BELOW_SURFACE_UM
    few, many = sizes.points_per_track
    count = int(rng.integers(few, many + 1))
    steps = np.arange(count) + np.r_[0.0, rng.uniform(-0.3, 0.3, count - 2), 0.0]
    above_tip = top * (1.0 - steps / (count - 1))
    # The probe bends as a whole, so its shanks stay parallel.
    fraction = above_tip / insertion.length_um
    bend = insertion.bend_um * 4.0 * fraction * (1.0 - fraction)
    points = tip - above_tip[:, None] * direction + bend[:, None] * np.cross(direction, across)
    return np.asarray(points + rng.normal(0.0, _CLICK_NOISE_UM, points.shape))


def to_level0_zyx(points_box_um: Points) -> Points:
    """Points of the image box, (n, 3) um x, y, z, as level-0 voxel indices z, y, x."""
    return np.asarray((points_box_um / VOXEL_UM_XYZ)[:, ::-1])


def _across(insertion: Insertion) -> Points:
    axis = np.eye(3)["xyz".index(insertion.shanks_along)]
    direction = direction_box(insertion)
    vector = axis - (axis @ direction) * direction
    return np.asarray(vector / np.linalg.norm(vector))


def _distance_to_surface(inside_um: Points, direction: Points) -> float:
    """Distance in um from a point inside the brain to its surface along a unit vector."""
    start = (inside_um - BRAIN_CENTRE_UM) / BRAIN_RADII_UM
    step = direction / BRAIN_RADII_UM
    a, b, c = step @ step, start @ step, start @ start - 1.0
    return float((-b + np.sqrt(b * b - a * c)) / a)
