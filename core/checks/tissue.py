"""Checks of the drawn tracks against the tissue that a coarse level of the image shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.checks.index import CheckIndex
from core.drawn_tracks import drawn_shape
from core.geometry import level0_to_image_ras_um
from core.models import AnnotationLayer, ImageFrame, Problem, Severity
from core.rules import problem
from core.tissue import Tissue

_STEP_UM = 25.0
_REMEMBERED = 512


@dataclass(frozen=True, slots=True)
class _Outside:
    """How much of one track lies outside the tissue."""

    length_um: float
    """Of the whole track."""
    outside_um: float
    tip_um: float
    """Of that, what lies between the tissue and the tip."""
    points: int
    of_points: int
    in_image: bool
    """Whether every point lies in the image; what does not is an error of its own."""


def check_tissue(index: CheckIndex, tissue: Tissue | None) -> Iterator[Problem]:
    """T8: mapped tracks that leave the tissue. Silent while the image has not been read."""
    frame, limits = index.frame, index.limits
    if tissue is None or frame is None or tissue.frame != frame:
        return
    for name, rows in index.by_track.items():
        found = _outside(index.layers[name][0], frame, tissue) if name in index.layers else None
        if found is None or not found.in_image:
            continue
        allowed_um = max(limits.outside_um, limits.outside_share * found.length_um)
        at_tip = found.tip_um > limits.tip_outside_um
        if not at_tip and found.outside_um <= allowed_um:
            continue
        where = f", the last {found.tip_um:.0f} um before the tip among them" if at_tip else ""
        yield problem(
            "T8",
            f"{found.outside_um:.0f} of {found.length_um:.0f} um of the track lie outside the tissue that the image "
            f"shows ({found.points} of {found.of_points} points){where}.",
            severity=Severity.WARNING,
            cure="Look at the track over the brain in the three views: it may be another brain's, or of another scale.",
            measured=round(found.tip_um if at_tip else found.outside_um),
            threshold=round(limits.tip_outside_um if at_tip else allowed_um),
            **index.at(rows[0]),
        )


@lru_cache(maxsize=_REMEMBERED)
def _outside(layer: AnnotationLayer, frame: ImageFrame, tissue: Tissue) -> _Outside | None:
    shape = drawn_shape(layer, frame)
    if shape is None:
        return None
    depths_um = np.linspace(0.0, shape.length_um, int(np.ceil(shape.length_um / _STEP_UM)) + 1)
    inside = tissue.inside(shape.at_depth_um(depths_um))
    per_sample_um = shape.length_um / len(inside)
    last = int(np.flatnonzero(inside)[-1]) + 1 if inside.any() else 0
    points = layer.points_level0_zyx
    shape_zyx = np.asarray(frame.shape_level0_zyx)
    return _Outside(
        length_um=shape.length_um,
        outside_um=float((~inside).sum() * per_sample_um),
        tip_um=(len(inside) - last) * per_sample_um,
        points=int((~tissue.inside(level0_to_image_ras_um(points, frame))).sum()),
        of_points=len(points),
        in_image=bool(((points >= -0.5) & (points <= shape_zyx - 0.5)).all()),
    )
