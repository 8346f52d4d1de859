"""What the plots draw: each track as a short line in anatomical millimetres, and the box of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.geometry import image_bounds_ras_um, level0_to_image_ras_um
from core.models import ImageFrame, Points, State
from dashboard.text import label

VIEWS = (("Coronal", 0, 2), ("Sagittal", 1, 2), ("Horizontal", 0, 1))
"""Each projection's name, and which anatomical axes go across and up."""
AXES = ("L ←  ML, mm  → R", "P ←  AP, mm  → A", "I ←  DV, mm  → S")
DRAWN_POINTS = 200
_NARROWEST = 0.8
"""Where the image's size is unknown, no side is shorter than this share of the longest: axes need their room."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackLine:
    """One drawn track."""

    track: str
    label: str
    color: str
    points_image_ras_mm: Points
    """(n, 3), at most `DRAWN_POINTS` of the track's points, in the file's order."""
    points: int
    """Points the layer has."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Everything the plots show of a state."""

    lines: tuple[TrackLine, ...]
    box_image_ras_mm: Points | None
    """(2, 3) low and high corner of the image; None when its size is unknown."""
    limits_mm: Points
    """(2, 3) low and high corner of what is to be seen."""
    assumed: str
    """What was assumed of the image's geometry, "" when it was read."""

    def line(self, track: str) -> TrackLine | None:
        """The line of a track."""
        return next((line for line in self.lines if line.track == track), None)


def scene(state: State, frame: ImageFrame, colors: Mapping[str, str]) -> Scene:
    """Lay out the tracks of a state in the image's anatomical frame."""
    lines = []
    for layer in state.tracks:
        points_mm = level0_to_image_ras_um(layer.points_level0_zyx, frame) / 1000.0
        kept = decimate(points_mm, DRAWN_POINTS)
        lines.append(TrackLine(layer.name, label(layer.name, 60), colors[layer.name], kept, len(layer.points)))
    bounds_um = image_bounds_ras_um(frame)
    box = None if bounds_um is None else bounds_um / 1000.0
    corners = [line.points_image_ras_mm for line in lines if len(line.points_image_ras_mm)]
    corners += [box] if box is not None else []
    everything = np.vstack(corners) if corners else np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    low, high = everything.min(axis=0), everything.max(axis=0)
    longest = float((high - low).max())
    margins = np.full(3, max(0.3, 0.04 * longest))
    if box is None:
        margins = np.maximum(margins, (_NARROWEST * (longest + 2 * margins) - (high - low)) / 2)
    return Scene(tuple(lines), box, np.array([low - margins, high + margins]), frame.assumed)


def decimate(points: Points, limit: int) -> Points:
    """At most `limit` of the points, in their order: the ends, and of each stretch its end and what bends it most."""
    if len(points) <= limit:
        return points
    edges = np.linspace(0, len(points) - 1, (limit - 1) // 2 + 1).round().astype(int)
    inner = np.setdiff1d(np.arange(len(points)), edges)
    stretch = np.searchsorted(edges, inner) - 1
    start, end = points[edges[stretch]], points[edges[stretch + 1]]
    along, offsets = end - start, points[inner] - start
    length2 = (along**2).sum(axis=1)
    share = np.divide((offsets * along).sum(axis=1), length2, out=np.zeros_like(length2), where=length2 > 0)
    off2 = ((offsets - np.clip(share, 0.0, 1.0)[:, None] * along) ** 2).sum(axis=1)
    by_stretch = np.lexsort((off2, stretch))  # the furthest of each stretch stands last
    last = np.append(np.flatnonzero(np.diff(stretch[by_stretch])), len(inner) - 1)
    return points[np.union1d(edges, inner[by_stretch[last]])]
