"""Several tracks together: are they the shanks of one probe, and in which order do they stand?

Everything is measured at *mid-depth*, halfway down the stretch that the tracks share, in the plane at right angles to
their common direction. The line through the places found there is the plane of the probe. Cleared tissue shrinks and
swells as a whole, so a distance is compared with the probe's by a scale that is fitted, within bounds.

Geometry cannot tell a row of shanks from its mirror image: which end is shank 0 remains to be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from core.models import Points
from core.probe_geometry import PITCH_UM
from core.track_geometry import TrackShape

SHANKS = 4


@dataclass(frozen=True, slots=True)
class ShankLimits:
    """What the shanks of one probe may look like in a drawing."""

    scale: tuple[float, float] = (0.75, 1.3)
    """Least and largest: how much cleared tissue may have shrunk or swollen."""
    parallel_deg: float = 5.0
    """Largest angle between two of them."""
    tips_apart_um: float = 300.0
    """Between the highest tip and the deepest, along the probe."""
    off_place_um: float = 60.0
    """Root mean square distance from their places at equal steps."""


USUAL = ShankLimits()


@dataclass(frozen=True, slots=True, eq=False)
class ShankLayout:
    """How n tracks, two or more, stand to each other. Numbers of tracks are places in the sequence given."""

    axis: Points
    """(3,) their common direction, from the surface to the tips."""
    across: Points
    """(3,) unit vector at right angles to it in the plane of the probe, from the first track towards the last, or
    towards one side of the brain."""
    middle_um: Points
    """(3,) mean place of the tracks at mid-depth."""
    position_um: Points
    """(n,) place of each track along `across`, 0 at the middle."""
    out_of_plane_um: Points
    """(n,) signed distance of each track from the plane of the probe."""
    tip_um: Points
    """(n,) depth of each tip along the axis; 0 is the mean of all."""
    order: tuple[int, ...]
    """The tracks sorted by their place along `across`."""
    spacing_um: Points
    """(n - 1,) distances of neighbours in that order, in the plane of the probe."""
    angle_deg: Points
    """(n, n) angles between the tracks, 0 to 90."""

    @property
    def in_order(self) -> bool:
        """Whether the tracks were given as they stand, from one side to the other."""
        return self.order == tuple(range(len(self.order)))

    @property
    def largest_angle_deg(self) -> float:
        """Between any two of the tracks."""
        return float(self.angle_deg.max())

    @property
    def tips_apart_um(self) -> float:
        """Between the highest tip and the deepest, along the axis."""
        return float(np.ptp(self.tip_um))


def shank_layout(shapes: Sequence[TrackShape]) -> ShankLayout:
    """How the tracks of one probe stand to each other. Points of all in the same frame, in um.

    Raises:
        ValueError: fewer than two tracks.
    """
    if len(shapes) < 2:
        raise ValueError("a layout needs two tracks")
    return _layout(_Stretches.of(shapes))


@dataclass(frozen=True, slots=True, eq=False)
class _Stretches:
    """n tracks as arrays, (n, 3) each."""

    entry_um: Points
    tip_um: Points
    direction: Points

    @classmethod
    def of(cls, shapes: Sequence[TrackShape]) -> _Stretches:
        return cls(
            np.array([shape.entry_um for shape in shapes]).reshape(-1, 3),
            np.array([shape.tip_um for shape in shapes]).reshape(-1, 3),
            np.array([shape.direction for shape in shapes]).reshape(-1, 3),
        )

    def take(self, which: Sequence[int]) -> _Stretches:
        rows = list(which)
        return _Stretches(self.entry_um[rows], self.tip_um[rows], self.direction[rows])

    def common_axis(self) -> Points:
        """(3,) the direction that the tracks share, pointing down with most of them."""
        axis = np.linalg.svd(self.direction, full_matrices=False)[2][0]
        return np.asarray(axis if (self.direction @ axis).sum() >= 0 else -axis)

    def mid_depth_um(self, axis: Points) -> float:
        """Halfway down the stretch that all of them share, along the axis from the origin."""
        ends = self.entry_um @ axis, self.tip_um @ axis
        return float(np.minimum(*ends).max() + np.maximum(*ends).min()) / 2.0

    def at_depth(self, axis: Points, depth_um: float) -> Points:
        """(n, 3) where the tracks pass the plane at right angles to the axis at a place along it."""
        middle = (self.entry_um + self.tip_um) / 2.0
        slope = self.direction @ axis
        # A track that lies across the others never passes that plane: it is taken at its own middle.
        crosses = np.abs(slope) > 0.1
        way = np.where(crosses[:, None], self.direction / np.where(crosses, slope, 1.0)[:, None], axis)
        return np.asarray(middle + (depth_um - middle @ axis)[:, None] * way)

    def angles_deg(self) -> Points:
        """(n, n) angles between the tracks, 0 to 90."""
        across = np.linalg.norm(np.cross(self.direction[:, None], self.direction[None]), axis=2)
        return np.asarray(np.degrees(np.arctan2(across, np.abs(self.direction @ self.direction.T))))


def _layout(tracks: _Stretches) -> ShankLayout:
    axis = tracks.common_axis()
    tips = tracks.tip_um @ axis
    places = tracks.at_depth(axis, tracks.mid_depth_um(axis))
    middle = places.mean(axis=0)
    offsets = places - middle
    across = np.linalg.svd(offsets, full_matrices=False)[2][0]
    across = across - (across @ axis) * axis
    size = float(np.linalg.norm(across))
    across = across / size if size > 1e-9 else _any_across(axis)
    if (offsets[-1] - offsets[0]) @ across < 0:
        across = -across
    position = offsets @ across
    order = np.argsort(position, kind="stable")
    return ShankLayout(
        axis=axis,
        across=across,
        middle_um=middle,
        position_um=position,
        out_of_plane_um=offsets @ np.cross(axis, across),
        tip_um=tips - tips.mean(),
        order=tuple(int(i) for i in order),
        spacing_um=np.diff(position[order]),
        angle_deg=tracks.angles_deg(),
    )


SIDES = (("left", "right"), ("back", "front"), ("below", "above"))
"""Where each axis of RAS coordinates comes from and leads to."""


def side_of(direction: Points) -> tuple[str, str]:
    """Where a direction in RAS coordinates mostly comes from, and where it leads to: `("left", "right")`."""
    axis = int(np.abs(direction).argmax())
    start, end = SIDES[axis]
    return (start, end) if direction[axis] >= 0 else (end, start)


def anatomical(layout: ShankLayout) -> ShankLayout:
    """The layout seen from one side of the brain: `across` leads to the right, or to the front where it runs that way.

    A layout turns with the order of its tracks, which hides a mirrored order; this one does not. Its tracks must be in
    RAS coordinates.
    """
    if layout.across[int(np.abs(layout.across).argmax())] >= 0:
        return layout
    return replace(
        layout,
        across=-layout.across,
        position_um=-layout.position_um,
        out_of_plane_um=-layout.out_of_plane_um,
        order=layout.order[::-1],
        spacing_um=layout.spacing_um[::-1],
    )


def _any_across(axis: Points) -> Points:
    across = np.cross(axis, np.eye(3)[int(np.abs(axis).argmin())])
    return np.asarray(across / np.linalg.norm(across))


# --- against the probe's own pitch --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PitchFit:
    """The best agreement of tracks with shanks that stand at equal distances."""

    slots: tuple[int, ...]
    """Shank of each track in the order of the layout, the first one 0: (0, 1, 3) when the third is missing."""
    scale: float
    """Distances drawn over distances of the probe: below 1 where the tissue has shrunk."""
    residual_um: float
    """Root mean square distance of the tracks from their places, in the plane of the probe and out of it."""
    pitch_um: float
    """Distance of neighbouring shanks that was compared with."""


def fit_pitch(
    layout: ShankLayout,
    *,
    pitch_um: float = PITCH_UM,
    shanks: int = SHANKS,
    scale: tuple[float, float] = USUAL.scale,
) -> PitchFit | None:
    """How well tracks agree with shanks at equal distances; None when there are more tracks than shanks.

    Args:
        layout: The tracks.
        pitch_um: Distance of neighbouring shanks.
        shanks: How many the probe has; tracks may be fewer.
        scale: Least and largest; the same number twice where the brain's scale is known.
    """
    n = len(layout.order)
    if n > shanks:
        return None
    placed = layout.position_um[list(layout.order)]
    off_plane = float(np.mean(layout.out_of_plane_um**2))
    fits = []
    for rest in combinations(range(1, shanks), n - 1):
        slots = (0, *rest)
        ideal = pitch_um * (np.array(slots) - np.mean(slots))
        fitted = float(np.clip((placed @ ideal) / (ideal @ ideal), *scale))
        residual = float(np.sqrt(np.mean((placed - fitted * ideal) ** 2) + off_plane))
        fits.append(PitchFit(slots, fitted, residual, pitch_um))
    # Of equally good ones the more usual scale, e.g. for two tracks that fit neighbours and others alike.
    return min(fits, key=lambda fit: (round(fit.residual_um, 6), abs(np.log(fit.scale))))


def looks_like_shanks(layout: ShankLayout, fit: PitchFit | None, limits: ShankLimits = USUAL) -> bool:
    """Whether tracks could be shanks of one probe: parallel, in their places, tips at one depth."""
    if fit is None:
        return False
    # Two tracks agree with any scale, so their distance itself must be possible.
    steps_um = np.diff(fit.slots) * fit.pitch_um
    slack_um = limits.off_place_um / 2.0
    least, largest = (steps_um * bound for bound in limits.scale)
    possible = (layout.spacing_um >= least - slack_um) & (layout.spacing_um <= largest + slack_um)
    return (
        bool(possible.all())
        and layout.largest_angle_deg <= limits.parallel_deg
        and fit.residual_um <= limits.off_place_um
        and layout.tips_apart_um <= limits.tips_apart_um
    )


# --- candidates among all tracks of a mouse -----------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class ShankGroup:
    """Tracks that look like shanks of one probe."""

    tracks: tuple[int, ...]
    """Their numbers, from one side of the probe to the other; which side is shank 0 is not known."""
    layout: ShankLayout
    """Of the tracks in this order."""
    fit: PitchFit


def shank_groups(
    shapes: Sequence[TrackShape], *, pitch_um: float = PITCH_UM, limits: ShankLimits = USUAL
) -> tuple[ShankGroup, ...]:
    """Groups of two to four tracks that look like shanks of one probe, the largest and best first.

    Every track is in one group at most. A group is a candidate, no more: two single-shank probes may stand like that.
    """
    tracks = _Stretches.of(shapes)
    found: dict[frozenset[int], ShankGroup | None] = {}
    for one, other in np.argwhere(np.triu(tracks.angles_deg() <= limits.parallel_deg, 1)).tolist():
        for members in _in_line(tracks, one, other, pitch_um, limits):
            key = frozenset(members)
            if key not in found:
                found[key] = _group(tracks, members, pitch_um, limits)
    groups: list[ShankGroup] = []
    taken: set[int] = set()
    candidates = (group for group in found.values() if group is not None)
    for group in sorted(candidates, key=lambda group: (-len(group.tracks), group.fit.residual_um)):
        if taken.isdisjoint(group.tracks):
            groups.append(group)
            taken.update(group.tracks)
    return tuple(groups)


def _in_line(
    tracks: _Stretches, one: int, other: int, pitch_um: float, limits: ShankLimits
) -> Iterator[tuple[int, ...]]:
    """Sets of tracks at equal steps along the line of two, these taken for any two shanks of one probe."""
    pair = tracks.take([one, other])
    axis = pair.common_axis()
    depth_um = pair.mid_depth_um(axis)
    start, end = pair.at_depth(axis, depth_um)
    apart_um = float(np.linalg.norm(end - start))
    least, largest = limits.scale
    steps = [n for n in range(1, SHANKS) if least * n * pitch_um <= apart_um <= largest * n * pitch_um]
    if not steps:
        return
    places = tracks.at_depth(axis, depth_um)
    places[[one, other]] = np.inf
    for n in steps:
        at = {0: one, n: other}
        for slot in range(n + 1 - SHANKS, SHANKS):
            if slot not in at:
                gaps_um = np.linalg.norm(places - (start + (end - start) * slot / n), axis=1)
                if gaps_um.min() <= 2.0 * limits.off_place_um:
                    at[slot] = int(gaps_um.argmin())
        for first in range(n + 1 - SHANKS, 1):
            members = [at[slot] for slot in range(first, first + SHANKS) if slot in at]
            if len(set(members)) == len(members):
                yield tuple(members)


def _group(tracks: _Stretches, members: tuple[int, ...], pitch_um: float, limits: ShankLimits) -> ShankGroup | None:
    layout = _layout(tracks.take(members))
    fit = fit_pitch(layout, pitch_um=pitch_um, scale=limits.scale)
    if fit is None or not looks_like_shanks(layout, fit, limits):
        return None
    in_order = tuple(members[i] for i in layout.order)
    return ShankGroup(in_order, _layout(tracks.take(in_order)), fit)


def tissue_scale(groups: Sequence[ShankGroup]) -> float | None:
    """The brain's scale as its multi-shank probes show it, each weighed by its width; None without any."""
    widths = np.array([np.ptp(group.fit.slots) for group in groups], dtype=np.float64)
    if not len(widths):
        return None
    return float(np.average([group.fit.scale for group in groups], weights=widths))
