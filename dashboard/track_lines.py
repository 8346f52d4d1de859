"""What the plots draw: each track as a short line in anatomical millimetres, and the box of the image."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.geometry import image_bounds_ras_um, level0_to_image_ras_um
from core.models import ImageFrame, Points, State
from dashboard.text import label

DRAWN_POINTS = 200


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
    margin = max(0.3, 0.04 * float((high - low).max()))
    return Scene(tuple(lines), box, np.array([low - margin, high + margin]), frame.assumed)


def decimate(points: Points, limit: int) -> Points:
    """At most `limit` of the points: the ends, and then again and again the point furthest from the line so far."""
    if len(points) <= limit:
        return points
    kept = {0, len(points) - 1}
    spans = [_furthest(points, 0, len(points) - 1)]
    while spans and len(kept) < limit:
        _, at, start, stop = heapq.heappop(spans)
        kept.add(at)
        for a, b in ((start, at), (at, stop)):
            if b - a > 1:
                heapq.heappush(spans, _furthest(points, a, b))
    return points[sorted(kept)]


def _furthest(points: Points, start: int, stop: int) -> tuple[float, int, int, int]:
    base, along = points[start], points[stop] - points[start]
    offsets = points[start + 1 : stop] - base
    length2 = float(along @ along)
    share = np.clip(offsets @ along / length2, 0, 1)[:, None] if length2 else np.zeros((len(offsets), 1))
    distances = np.linalg.norm(offsets - share * along, axis=1)
    at = int(distances.argmax())
    return -float(distances[at]), start + 1 + at, start, stop
