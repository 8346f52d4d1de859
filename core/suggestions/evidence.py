"""How well each track fits each probe, kind by kind, in one currency.

Every kind gives an (n tracks, m probes) table: positive speaks for the pair, negative against it, 0 says nothing,
roughly as logarithms of odds. Each is bounded, so that one wrong number in a file cannot outweigh all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.atlas_frames import MIDLINE_ML_UM
from core.brain_pose import LENGTH_ERROR, Place, Scale, Stretches, Tilt
from core.models import Points, Recording
from core.shank_geometry import ShankGroup
from core.slots import recording_day, stream_letter
from core.suggestions.probe_slots import ProbeSlot
from core.track_geometry import TrackShape
from core.track_names import NameReading

AIM = (4.0, 400.0, -5.0)
"""At no distance, um of one usual error, and at the worst."""
ANGLE = (1.5, 4.0, -4.0)
LENGTH = (1.0, -4.0)
SIDE = (0.5, -4.0)
SIDE_UM = 700.0
SIDE_IN_ATLAS_UM = 300.0
"""As near to the image's middle, or the atlas's, no side is sure."""
SPAN_UM = 500.0
NOTHING_RECORDED = -3.0
GROUPED = 2.0
NOT_GROUPED = -0.5
ONE_OF_FOUR = -3.0
SAID, SAID_OTHERWISE = 3.0, -4.0
SHANK_SAID, SHANK_SAID_OTHERWISE = 2.0, -3.0
AGAINST = -2.0
"""A kind of geometry that says less than this contradicts the pair."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The tracks of a state as lines."""

    names: tuple[str, ...]
    shapes: tuple[TrackShape | None, ...]
    """In the image; None for a track that is no line."""
    tracks: Stretches
    """(n,) in the frame that aims are compared in. A track that is no line lies infinitely far away."""
    middles: Stretches
    """The same, but for shanks of one probe the middle of all of them."""
    group: tuple[int | None, ...]
    """Which group of parallel tracks each belongs to."""
    groups: tuple[ShankGroup, ...]


def several(slots: Sequence[ProbeSlot]) -> Points:
    """(m,) whether a probe takes several tracks."""
    return np.array([len(slot.positions) > 1 for slot in slots], dtype=np.float64)


# --- names ----------------------------------------------------------------------------------------


def by_name(
    reading: NameReading, slot: ProbeSlot, words: dict[str, frozenset[str]], days: tuple[str, ...], letters: set[str]
) -> float:
    """What a name says of a probe, its shank left aside."""
    found = 0.0
    if reading.tag is not None:
        found += SAID if any(stream in words[reading.tag] for stream, _ in slot.positions) else SAID_OTHERWISE
    elif reading.probe is not None and reading.probe in letters:
        found += SAID if stream_letter(slot.base) == reading.probe else SAID_OTHERWISE
    if found:
        found += _by_day(reading, slot.recording, days)
    return found / 2.0 if reading.notes else found


def _by_day(reading: NameReading, recording: Recording, days: tuple[str, ...]) -> float:
    day, found = recording_day(recording), 0.0
    if reading.date is not None and day:
        found += SAID if reading.date.fits(day) else SAID_OTHERWISE
    if reading.day is not None and day in days:
        found += SAID if days.index(day) + 1 == reading.day else SAID_OTHERWISE
    return found


def by_shank(reading: NameReading, slot: ProbeSlot, position: int) -> float:
    """What a name says of one position of a probe."""
    if reading.shank is None or len(slot.positions) == 1:
        return 0.0
    return SHANK_SAID if slot.physical_shank(position) == reading.shank else SHANK_SAID_OTHERWISE


# --- geometry -------------------------------------------------------------------------------------


def by_aim(distance_um: Points) -> Points:
    """From (n, m) distances of tracks from aims; NaN where an aim is not told."""
    best, sigma, worst = AIM
    with np.errstate(over="ignore"):
        found = np.maximum(best - 0.5 * (distance_um / sigma) ** 2, worst)
    return np.asarray(np.where(np.isfinite(distance_um), found, 0.0))


def aim_distances_um(tracks: Tracks, slots: Sequence[ProbeSlot], place: Place | None) -> Points:
    """(n, m) distance of each track, or of the middle of its shanks, from each probe's aim; NaN when unknown."""
    known = [j for j, slot in enumerate(slots) if slot.plan.point_um is not None]
    found = np.full((len(tracks.names), len(slots)), np.nan)
    if place is None or not known:
        return found
    places = place.points(np.array([slots[j].plan.point_um for j in known]))
    wide = several(slots)[known] > 0
    found[:, known] = np.where(wide, tracks.middles.distances_um(places), tracks.tracks.distances_um(places))
    return found


def turned_deg(tracks: Tracks, slots: Sequence[ProbeSlot], tilt: Tilt | None) -> Points:
    """(n, m) angle of each track from each probe's manipulator; NaN when unknown."""
    found = np.full((len(tracks.names), len(slots)), np.nan)
    known = [j for j, slot in enumerate(slots) if slot.plan.angles_deg is not None]
    if tilt is None or not known:
        return found
    planned = tilt.directions(np.array([slots[j].plan.angles_deg for j in known]))
    drawn = np.array([shape.direction if shape is not None else np.full(3, np.nan) for shape in tracks.shapes])
    found[:, known] = np.degrees(np.arccos(np.clip(drawn @ planned.T, -1.0, 1.0)))
    return found


def by_angle(turned: Points) -> Points:
    """From (n, m) angles in degrees; NaN where unknown."""
    best, sigma, worst = ANGLE
    return np.asarray(np.where(np.isfinite(turned), np.maximum(best - 0.5 * (turned / sigma) ** 2, worst), 0.0))


def length_ratios(tracks: Tracks, slots: Sequence[ProbeSlot]) -> Points:
    """(n, m) drawn length over the probe's insertion; NaN when unknown."""
    depths = np.array([slot.plan.depth_um or np.nan for slot in slots])
    return np.asarray(_lengths_um(tracks)[:, None] / depths[None])


def by_length(ratios: Points, scale: Scale) -> Points:
    """From (n, m) ratios, the brain's size taken out."""
    best, worst = LENGTH
    sigma = float(np.hypot(LENGTH_ERROR, scale.share))
    with np.errstate(divide="ignore", invalid="ignore"):
        off = (np.log(ratios) - np.log(scale.scale)) / sigma
    return np.asarray(np.where(np.isfinite(off), np.maximum(best - 0.5 * off**2, worst), 0.0))


def by_span(tracks: Tracks, slots: Sequence[ProbeSlot], scale: Scale) -> Points:
    """Against probes whose every recorded electrode would lie above the track."""
    lowest = np.array([np.nan if slot.lowest_um is None else slot.lowest_um for slot in slots]) * scale.scale
    margin = SPAN_UM + 2.0 * scale.share * lowest
    above = lowest[None] > _lengths_um(tracks)[:, None] + margin[None]
    return np.where(above, NOTHING_RECORDED, 0.0)


def _lengths_um(tracks: Tracks) -> Points:
    return np.array([np.nan if shape is None else shape.length_um for shape in tracks.shapes])


def by_side(tracks: Tracks, slots: Sequence[ProbeSlot], middle_um: float | None, *, in_atlas: bool = False) -> Points:
    """Side of the track against the side of the aim; nothing near the middle.

    Args:
        tracks: n tracks.
        slots: m probes.
        middle_um: Where the image's middle lies to the right; None when that tells nothing. Not used in the atlas.
        in_atlas: The tracks lie in the atlas: they are compared level with the aim, with its midline.
    """
    aims = np.array([np.nan if slot.plan.right_um is None else slot.plan.right_um for slot in slots])
    if in_atlas:
        nowhere = np.full(3, np.nan)
        points = np.array([nowhere if slot.plan.point_um is None else slot.plan.point_um for slot in slots])
        points = points.reshape(-1, 3)
        wide = several(slots) > 0
        at = np.where(wide, tracks.middles.right_at_um(points), tracks.tracks.right_at_um(points))
        lines = np.array([shape is not None for shape in tracks.shapes], dtype=bool)
        right, limit = np.where(lines[:, None], at - MIDLINE_ML_UM, np.nan), SIDE_IN_ATLAS_UM
    elif middle_um is None:
        return np.zeros((len(tracks.names), len(slots)))
    else:
        middles = [np.nan if shape is None else shape.middle_um[0] - middle_um for shape in tracks.shapes]
        right, limit = np.array(middles)[:, None], SIDE_UM
    sure = (np.abs(right) > limit) & (np.abs(aims) > limit)[None]
    same = np.sign(right) == np.sign(aims)[None]
    return np.where(sure, np.where(same, *SIDE), 0.0)


def by_group(tracks: Tracks, slots: Sequence[ProbeSlot]) -> Points:
    """Parallel tracks a shank's pitch apart against how many shanks the probe has. Two alone may be chance."""
    sizes = np.array([0 if g is None else len(tracks.groups[g].tracks) for g in tracks.group])[:, None]
    wide = several(slots)[None] > 0
    large = sizes >= 3
    return np.where(
        large & wide, GROUPED, np.where(large, ONE_OF_FOUR, np.where(wide & (sizes == 0), NOT_GROUPED, 0.0))
    )
