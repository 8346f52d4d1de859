"""The shape of one drawn track: its line, its two ends, how it is tilted, how well it was drawn.

Points are RAS micrometres (towards Right, Anterior, Superior) unless a name says otherwise. The track's line is the
straight line of largest variance; its *tip* is the deeper end, its *entry* the other one, both on the line. Nothing
here depends on the order of the points but what is said about that order.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.geometry import principal_line
from core.models import Points

JITTER_UM = 50.0
"""How far a point may lie behind the one before it and still be in order: hand jitter."""


@dataclass(frozen=True, slots=True)
class DrawnOrder:
    """In which order the points of a track stand in its file."""

    surface_first: bool
    """From the entry to the tip, as the alignment expects it."""
    out_of_order: int
    """Points that would have to move for the others to stand in order, in whichever direction."""
    backstep_um: float
    """The longest step against the direction of drawing."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackShape:
    """One track as a straight line."""

    count: int
    entry_um: Points
    """(3,) upper end of the line."""
    tip_um: Points
    """(3,) lower end of the line."""
    direction: Points
    """(3,) unit vector from entry to tip."""
    length_um: float
    residual_rms_um: float
    """Distance of the points from the line."""
    residual_max_um: float
    explained: float
    """Share of the points' variance along the line, 0 to 1."""
    from_vertical_deg: float
    """Angle between the line and straight down, 0 to 90."""
    tilt_right_deg: float
    """In the coronal plane, -90 to 90: positive when the tip lies right of the entry."""
    tilt_front_deg: float
    """In the sagittal plane, -90 to 90: positive when the tip lies in front of the entry."""
    depth_um: Points
    """(n,) place of every point along the line from the entry, in the order of the file."""
    gap_um: float
    """The longest stretch along the line without a point."""

    @property
    def order(self) -> DrawnOrder:
        """How the points stand in the file; worked out anew at each call."""
        return drawn_order(self.depth_um)

    @property
    def middle_um(self) -> Points:
        """(3,) halfway between entry and tip."""
        return np.asarray((self.entry_um + self.tip_um) / 2.0)

    def at_depth_um(self, depth_um: Points | float) -> Points:
        """(n, 3) places on the line at (n,) distances from the entry; beyond the ends the line goes on."""
        depths = np.atleast_1d(np.asarray(depth_um, dtype=np.float64))
        return np.asarray(self.entry_um + depths[:, None] * self.direction)


def track_shape(points_ras_um: Points) -> TrackShape | None:
    """The shape of a track of (n, 3) points; None when fewer than two of them differ."""
    points = np.asarray(points_ras_um, dtype=np.float64).reshape(-1, 3)
    line = principal_line(points)
    if line is None:
        return None
    low, high = float(line.along_um.min()), float(line.along_um.max())
    depth = line.along_um - low
    right, front, up = (float(component) for component in line.direction)
    return TrackShape(
        count=len(points),
        entry_um=line.centre_um + low * line.direction,
        tip_um=line.centre_um + high * line.direction,
        direction=line.direction,
        length_um=high - low,
        residual_rms_um=line.residual_rms_um,
        residual_max_um=line.residual_max_um,
        explained=line.explained,
        from_vertical_deg=float(np.degrees(np.arctan2(np.hypot(right, front), -up))),
        tilt_right_deg=_tilt_deg(right, -up),
        tilt_front_deg=_tilt_deg(front, -up),
        depth_um=depth,
        gap_um=float(np.diff(np.sort(depth)).max()),
    )


def _tilt_deg(sideways: float, down: float) -> float:
    """0 for a line that does not show in this plane."""
    return float(np.degrees(np.arctan2(sideways, down))) if np.hypot(sideways, down) > 1e-9 else 0.0


def drawn_order(depth_um: Points) -> DrawnOrder:
    """The order of (n,) depths along a track. One that could be either counts as surface first."""
    depth = np.asarray(depth_um, dtype=np.float64).ravel()
    down, up = _out_of_order(depth), _out_of_order(-depth)
    surface_first = bool(depth[-1] >= depth[0]) if down == up else down < up
    steps = np.diff(depth) if surface_first else -np.diff(depth)
    return DrawnOrder(surface_first, min(down, up), float(max(0.0, -steps.min(initial=0.0))))


def _out_of_order(values: NDArray[np.float64]) -> int:
    """How many values stand outside the longest rising run of values, by more than jitter."""
    chain = _longest_rise(values)
    places = np.searchsorted(chain, np.arange(len(values)))
    bounded = np.concatenate([[-np.inf], values[chain], [np.inf]])
    # Off the chain, a value's neighbours on it stand at `places - 1` and `places`; on it, it is its own neighbour.
    before, after = bounded[places], bounded[places + 1]
    outside = np.maximum(before - values, values - after)
    return int((outside > JITTER_UM).sum())


def _longest_rise(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the longest subsequence that never falls."""
    ends: list[float] = []
    at: list[int] = []
    before: list[int] = []
    for i, value in enumerate(values.tolist()):
        place = bisect_right(ends, value)
        before.append(at[place - 1] if place else -1)
        ends[place : place + 1] = [value]
        at[place : place + 1] = [i]
    chain = []
    i = at[-1] if at else -1
    while i >= 0:
        chain.append(i)
        i = before[i]
    return np.array(chain[::-1], dtype=np.intp)


def doubled_points(points_um: Points, within_um: float) -> int:
    """How many of (n, 3) points have another one nearer than this."""
    from scipy.spatial import cKDTree  # here, since every command would wait for it at its start

    points = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
    placed = points[np.lexsort(points.T)]  # a tree of many equal points would be slow
    first = np.flatnonzero(np.r_[True, (placed[1:] != placed[:-1]).any(axis=1)])
    places, counts = placed[first], np.diff(np.r_[first, len(placed)])
    if len(places) < 2:
        return len(points) if len(points) > 1 else 0
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return int(counts[(counts > 1) | (nearest < within_um)].sum())


# --- unrolled -----------------------------------------------------------------------------------


def unroll_um(points_ras_um: Points, shape: TrackShape) -> Points:
    """Points seen from a track: (n, 3) depth along its line from the entry, then off it to the right and to the front.

    The two sideways directions are at right angles to the line, the first one as far to the right as it can be.
    """
    offsets = np.asarray(points_ras_um, dtype=np.float64).reshape(-1, 3) - shape.entry_um
    return np.asarray(offsets @ np.column_stack([shape.direction, *_sideways(shape.direction)]))


def _sideways(direction: Points) -> tuple[Points, Points]:
    right = np.array([1.0, 0.0, 0.0])
    right = right - (right @ direction) * direction
    if np.linalg.norm(right) < 1e-6:  # the track itself runs to the right
        right = np.array([0.0, 0.0, 1.0])
        right = right - (right @ direction) * direction
    right /= np.linalg.norm(right)
    front = np.cross(right, direction)
    return right, front if front[1] >= 0 else -front


def distance_to_track_um(points_ras_um: Points, shape: TrackShape) -> Points:
    """(n,) distance of each of (n, 3) points from the stretch between entry and tip."""
    offsets = np.asarray(points_ras_um, dtype=np.float64).reshape(-1, 3) - shape.entry_um
    along = np.clip(offsets @ shape.direction, 0.0, shape.length_um)
    return np.asarray(np.linalg.norm(offsets - along[:, None] * shape.direction, axis=1))


# --- two tracks ---------------------------------------------------------------------------------


class TrackDistance(NamedTuple):
    """How two tracks lie to each other."""

    min_um: float
    """Between the two nearest places of the two lines, each from its entry to its tip."""
    mean_um: float
    """Over pairs of places at the same share of each length."""
    angle_deg: float
    """Between the two lines, 0 to 90."""


_SHARES = np.linspace(0.0, 1.0, 8)


def track_distance(one: TrackShape, other: TrackShape) -> TrackDistance:
    """How near two tracks come, and how they are turned to each other. The order of the two does not matter."""
    a, b = (each.at_depth_um(_SHARES * each.length_um) for each in (one, other))
    mean_um = float(np.linalg.norm(a - b, axis=1).mean())
    return TrackDistance(_nearest_um(one, other), mean_um, angle_between_deg(one.direction, other.direction))


def angle_between_deg(one: Points, other: Points) -> float:
    """Angle between two lines, 0 to 90 degrees, whichever way they point. Exact for small angles too."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), abs(float(one @ other)))))


def _nearest_um(one: TrackShape, other: TrackShape) -> float:
    """Least distance of two straight stretches: within both, or from an end of one to the other."""
    found = [float(distance_to_track_um(end, other)[0]) for end in (one.entry_um, one.tip_um)]
    found += [float(distance_to_track_um(end, one)[0]) for end in (other.entry_um, other.tip_um)]
    cosine = float(one.direction @ other.direction)
    slant = 1.0 - cosine * cosine
    if slant > 1e-12:
        apart = other.entry_um - one.entry_um
        p, q = float(apart @ one.direction), float(apart @ other.direction)
        s, t = (p - cosine * q) / slant, (cosine * p - q) / slant
        if 0.0 <= s <= one.length_um and 0.0 <= t <= other.length_um:
            found.append(float(np.linalg.norm(apart + t * other.direction - s * one.direction)))
    return min(found)
