"""Where in a coarse image there is tissue: the whole brain as one body, its ventricles and dark tracts with it.

What is brighter than the dark around the brain counts, block by block of about 100 um; narrow gaps are closed, what is
enclosed is filled and specks are left away. It is made to hold drawn tracks against, so it errs towards tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.geometry import image_ras_um_to_level0, level0_to_level
from core.models import ImageFrame, Points

USUAL_SHARE = 0.1
"""Of the brightness of bright tissue above the dark around it: what has more is tissue."""
_BLOCK_UM = 100.0
_GAP_UM = 600.0
"""Gaps narrower than this are closed: ventricles that open to the outside, the cleft between the hemispheres."""
_DARK_PERCENT, _BRIGHT_PERCENT = 25.0, 95.0
_SPECK_SHARE = 0.02
"""Of the largest piece: smaller ones are dust."""
_LEAST_MM3 = 50.0
"""A tenth of a mouse brain; what has less shows no brain."""


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
    """Blocks of an image that are tissue."""

    blocks_zyx: NDArray[np.bool_]
    """In the image's own order."""
    frame: ImageFrame
    """Of the image."""
    factors_zyx: tuple[float, float, float]
    """Finest voxels along one block."""

    def inside(self, points_image_ras_um: Points) -> NDArray[np.bool_]:
        """(n,) whether each of (n, 3) points lies in tissue; never outside the image."""
        at_zyx = level0_to_level(image_ras_um_to_level0(points_image_ras_um, self.frame), self.factors_zyx)
        finite = np.isfinite(at_zyx).all(axis=1)
        index = np.rint(np.where(finite[:, None], at_zyx, -1.0).clip(-1.0, 2.0**31)).astype(np.int64)
        known = finite & ((index >= 0) & (index < self.blocks_zyx.shape)).all(axis=1)
        found = np.zeros(len(index), dtype=np.bool_)
        found[known] = self.blocks_zyx[tuple(index[known].T)]
        return found


def find_tissue(
    volume_zyx: NDArray[Any], frame: ImageFrame, factors_zyx: Sequence[float], *, share: float = USUAL_SHARE
) -> Tissue | None:
    """The tissue of an image; None when it shows no brain.

    Args:
        volume_zyx: A coarse level of the image.
        frame: The image's geometry.
        factors_zyx: Finest voxels along one voxel of the level.
        share: What is brighter than the dark around by this share of the brightness of bright tissue is tissue.
    """
    voxel_um = np.array(frame.scale_level0_um_xyz[::-1]) * factors_zyx
    steps = np.maximum(1, np.rint(_BLOCK_UM / voxel_um)).astype(int)
    block_um = voxel_um * steps
    grey = _block_means(volume_zyx, steps)
    dark = float(np.percentile(np.concatenate([side.ravel() for side in _sides(grey)]), _DARK_PERCENT))
    brighter = grey[grey > dark]
    if not brighter.size:
        return None
    bright = float(np.percentile(brighter, _BRIGHT_PERCENT))
    blocks = _one_body(grey > dark + share * (bright - dark), block_um)
    if blocks.sum() * np.prod(block_um) < _LEAST_MM3 * 1e9:
        return None
    z, y, x = (float(factor) * int(step) for factor, step in zip(factors_zyx, steps, strict=True))
    return Tissue(blocks, frame, (z, y, x))


def _block_means(volume_zyx: NDArray[Any], steps: NDArray[np.int_]) -> NDArray[np.float32]:
    """Means of blocks of so many voxels; the last ones along an axis may have fewer."""
    means: NDArray[np.float32] = volume_zyx.astype(np.float32) if (steps == 1).all() else volume_zyx
    for axis, step in enumerate(steps):
        size = means.shape[axis]
        starts = np.arange(0, size, step)
        counts = np.diff(np.append(starts, size)).astype(np.float32)
        sums: NDArray[np.float32] = np.add.reduceat(means, starts, axis=axis, dtype=np.float32)
        means = sums / counts.reshape([-1 if other == axis else 1 for other in range(3)])
    return means


def _sides(volume_zyx: NDArray[Any]) -> list[NDArray[Any]]:
    """The volume's six faces."""
    return [np.take(volume_zyx, place, axis) for axis in range(3) for place in (0, -1)]


def _one_body(bright_zyx: NDArray[np.bool_], block_um: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Without specks, with narrow gaps closed and with all that is enclosed."""
    from scipy import ndimage  # here, since every command would wait for it at its start

    labels, count = ndimage.label(bright_zyx)
    if not count:
        return bright_zyx
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = (sizes >= _SPECK_SHARE * sizes.max())[labels]
    # Beyond the image's faces there is nothing to close to, so it is given room to grow and to shrink again.
    turns = max(1, round(_GAP_UM / 2.0 / float(block_um.mean())))
    roomy = np.pad(kept, turns)
    closed = ndimage.binary_closing(roomy, ndimage.generate_binary_structure(3, 1), iterations=turns)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)
    return np.ascontiguousarray(filled[(slice(turns, -turns),) * 3])
