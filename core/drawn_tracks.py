"""The shapes of a state's tracks in anatomical micrometres, kept between two looks at the same state.

Editing a mapping moves no point, so the shape of a layer is measured once, by all its points, and remembered.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from core.atlas_frames import AffineAtlas, points_to_ccf_um
from core.geometry import image_bounds_ras_um, level0_to_image_ras_um
from core.models import AnnotationLayer, ImageFrame, Points
from core.track_geometry import TrackShape, track_shape

_REMEMBERED = 512
WHOLE_BRAIN_UM = 8_000.0
"""An image narrower than this may show one hemisphere: its middle tells nothing."""
_RAS_OF_CCF = np.array([1.0, -1.0, -1.0])


@lru_cache(maxsize=_REMEMBERED)
def drawn_shape(layer: AnnotationLayer, frame: ImageFrame) -> TrackShape | None:
    """A layer's track as a line in the image's RAS micrometres; None when fewer than two points differ."""
    points_level0_zyx = layer.points_level0_zyx
    return track_shape(level0_to_image_ras_um(points_level0_zyx, frame)) if len(points_level0_zyx) else None


@lru_cache(maxsize=_REMEMBERED)
def atlas_shape(layer: AnnotationLayer, atlas: AffineAtlas) -> TrackShape | None:
    """A layer's track as a line in the atlas, in RAS micrometres: CCF ML, and CCF AP and DV turned round."""
    points_level0_zyx = layer.points_level0_zyx
    if not len(points_level0_zyx):
        return None
    return track_shape(ccf_to_ras_um(points_to_ccf_um(points_level0_zyx, atlas)))


def ccf_to_ras_um(points_ccf_um: Points) -> Points:
    """(n, 3) CCF micrometres ML, AP, DV as micrometres towards right, front and up from the same origin."""
    return np.asarray(np.asarray(points_ccf_um, dtype=np.float64).reshape(-1, 3) * _RAS_OF_CCF)


def ras_to_ccf_um(points_um: Points) -> Points:
    """(n, 3) micrometres towards right, front and up from the CCF's origin as CCF micrometres ML, AP, DV."""
    return ccf_to_ras_um(points_um)  # the same axes turned round once more


def image_middle_um(frame: ImageFrame) -> float | None:
    """Where the image's middle lies towards the right; None when its size is unknown or it may be half a brain."""
    bounds = image_bounds_ras_um(frame)
    if bounds is None or bounds[1, 0] - bounds[0, 0] < WHOLE_BRAIN_UM:
        return None
    return float(bounds[:, 0].mean())
