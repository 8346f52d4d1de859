"""The brain of a synthetic mouse as it was imaged: its place, its registration, and where its image shows tissue.

Planned numbers are um towards right, front and up of the atlas; drawn ones of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.atlas_frames import MIDLINE_ML_UM, Affine, AffineAtlas, PipelineFrame
from core.brain_pose import rotation
from core.geometry import directions_ras, level0_to_image_ras_um, level_to_level0
from core.models import ImageFrame, Points
from core.tissue import Tissue, find_tissue

if TYPE_CHECKING:
    from truth_ranges import Ranges

SHAPE_ZYX = (5_200, 8_400, 7_200)
FRAME = ImageFrame((1.8, 1.8, 2.0), ("R", "P", "I"), SHAPE_ZYX, 5)
CENTRE_UM = np.array([MIDLINE_ML_UM, -6_600.0, -4_000.0])
RADII_UM = np.array([5_000.0, 6_200.0, 3_800.0])
_LEVEL = 64
"""Finest voxels along one voxel of the level that tissue is looked for in: 115 um."""
_NOISE = 25.0
_DARK, _BRIGHT, _DIM = 100.0, 490.0, 180.0
"""Grey around the brain; in its middle; how much dimmer it is at its surface."""
_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Brain:
    """From the plan's frame into the image."""

    matrix: Points
    scale: float
    middle_um: Points
    phase: Points
    warp_um: float

    @classmethod
    def of(cls, rng: np.random.Generator, ranges: Ranges) -> Brain:
        axis = rng.normal(size=3)
        turn = axis / np.linalg.norm(axis) * np.radians(rng.uniform(0.0, ranges.tilt_deg))
        middle = level0_to_image_ras_um(np.array([SHAPE_ZYX]) / 2.0, FRAME)[0]
        return cls(
            rotation(turn),
            float(rng.uniform(*ranges.scale)),
            middle + rng.normal(0.0, ranges.off_centre_error_um, 3),
            rng.uniform(0.0, 2.0 * np.pi, (3, 3)),
            float(rng.uniform(0.0, ranges.warp_um)),
        )

    def image_um(self, points_um: Points) -> Points:
        """(n, 3) planned points in the image, turned, shrunk and gently warped."""
        offsets = points_um - CENTRE_UM
        waves = np.sin(offsets[:, None, :] * (2.0 * np.pi / 8_000.0) + self.phase[None]).mean(axis=2)
        return np.asarray(self.scale * offsets @ self.matrix.T + self.middle_um + self.warp_um * waves)

    def plan_um(self, points_um: Points) -> Points:
        """(n, 3) places in the image as they were planned, but for the warp."""
        return np.asarray((points_um - self.middle_um) @ self.matrix / self.scale + CENTRE_UM)

    def radii(self, points_um: Points) -> Points:
        """(n,) squared distance of (n, 3) places in the image from the brain's middle; 1 at its surface."""
        return np.asarray((((self.plan_um(points_um) - CENTRE_UM) / RADII_UM) ** 2).sum(axis=1))


def registration_of(brain: Brain, seed: int, ranges: Ranges) -> AffineAtlas:
    """The way into the atlas as the affines of a registration tell it: without the warp, and a little off."""
    off_mm = np.random.default_rng([seed, 1]).normal(0.0, ranges.registration_error_um, 3) / 1e3
    matrix = brain.scale * (_LPS_OF_RAS @ brain.matrix @ _LPS_OF_RAS)
    centre_mm, middle_mm = (_LPS_OF_RAS @ place / 1e3 for place in (CENTRE_UM, brain.middle_um))
    directions = directions_ras(FRAME.directions_xyz) * np.diag(_LPS_OF_RAS)[:, None]
    frame = PipelineFrame(np.zeros(3), np.array(FRAME.scale_level0_um_xyz) / 1e3, directions)
    return AffineAtlas(frame, Affine(matrix, middle_mm - matrix @ centre_mm), Affine(np.eye(3), off_mm))


def tissue_of(brain: Brain, seed: int) -> Tissue:
    """Where a noisy image of the brain shows tissue."""
    shape = tuple(size // _LEVEL for size in SHAPE_ZYX)
    voxels = np.indices(shape).reshape(3, -1).T
    radii = brain.radii(level0_to_image_ras_um(level_to_level0(voxels, (float(_LEVEL),) * 3), FRAME))
    noise = np.random.default_rng([seed, 2]).normal(0.0, _NOISE, len(voxels))
    grey = np.where(radii <= 1.0, _BRIGHT - _DIM * radii, _DARK) + noise
    found = find_tissue(grey.reshape(shape), FRAME, (float(_LEVEL),) * 3)
    assert found is not None
    return found
