"""A track held against the recording it is mapped to: everything by its depth along the drawn line.

Depth 0 is the upper end of the drawn track, where the probe entered the brain; its lower end is taken for the tip of
the probe. Heights on a probe are told above its lowest row of electrodes, for contacts and for units alike, and that
row lies `GUI_TIP_UM` above the tip: what is `y` high lies at `length - scale * (tip + y)`. A negative depth is outside
the brain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.atlas_frames import AffineAtlas
from core.drawn_tracks import drawn_shape
from core.geometry import level0_to_image_ras_um
from core.models import AnnotationLayer, Assignment, ImageFrame, Points, Probe, Recording, Sorting, State
from core.plans import plan_of
from core.probe_geometry import GUI_TIP_UM
from core.same_probe import ShankPlace, of_one_sorting, place_of, shank_places
from core.shank_geometry import ShankLayout, anatomical, shank_groups, shank_layout, tissue_scale
from core.shank_units import UnitsByShank, units_by_shank
from core.slots import probe_of, shank_doubt, sorted_stream_of
from core.subjects.facts import probe_facts
from core.subjects.units import StreamUnits
from core.tissue import Tissue
from core.track_geometry import TrackShape, unroll_um
from core.unrolled_target import TargetOnTrack, target_on_track

_NOTHING = np.empty(0)
_NO_CONTACTS = np.empty((0, 2))


@dataclass(frozen=True, slots=True, eq=False)
class UnrolledShank:
    """One shank of a probe along the track that is mapped to it. Without a track nothing has a depth."""

    number: int
    """0-based physical shank."""
    track: str
    """Layer name, "" when no row gives the shank a track."""
    length_um: float
    """From the entry to the tip as drawn; 0 without a track."""
    points_um: Points
    """(n, 2) clicked points: depth, and how far off the line towards the right."""
    contacts_um: Points
    """(m, 2) recorded contacts: depth, and place across the shank from its left edge."""
    units_um: Points
    """(k,) depth of each unit."""
    passing: NDArray[np.bool_] | None
    """(k,) which units pass quality control; None when that is not known."""
    residual_rms_um: float = 0.0
    """Distance of the clicked points from the line."""
    no_tissue: NDArray[np.bool_] | None = None
    """(m,) which contacts lie where the image shows no tissue; None when that is not known."""

    @property
    def above(self) -> NDArray[np.bool_]:
        """(m,) which contacts lie above the upper end of the track."""
        return np.asarray(self.contacts_um[:, 0] < 0.0)

    @property
    def outside(self) -> NDArray[np.bool_]:
        """(m,) which contacts lie above the upper end of the track, or where the image shows no tissue."""
        return self.above if self.no_tissue is None else np.asarray(self.above | self.no_tissue)


@dataclass(frozen=True, slots=True, eq=False)
class ShankPlane:
    """The tracks of one probe in its plane."""

    numbers: tuple[int, ...]
    """Shank of each track."""
    tracks: tuple[str, ...]
    entry_um: Points
    """(n, 2) upper ends: place across the probe, 0 in the middle, and depth below the highest of them."""
    tip_um: Points
    """(n, 2) lower ends."""
    layout: ShankLayout
    """With `across` towards one side of the brain, so that a mirrored order looks mirrored."""

    @property
    def spacings(self) -> tuple[tuple[int, int, float], ...]:
        """Neighbours as they stand: shank, shank, and their distance in um."""
        order = self.layout.order
        return tuple(
            (self.numbers[one], self.numbers[other], float(apart))
            for one, other, apart in zip(order, order[1:], self.layout.spacing_um, strict=False)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """All shanks of the probe that a row maps a track to."""

    shanks: tuple[UnrolledShank, ...]
    """First shank first."""
    chosen: int
    """Which of them is the row's."""
    shank_count: int
    """Shanks that the probe has."""
    scale: float
    """Size of this tissue over its size in life, by which heights on the probe were multiplied; 1 when unknown."""
    inserted_um: float | None
    """How far the probe was moved in from the surface, when the session's file tells it."""
    plane: ShankPlane | None
    """When two or more of the shanks have a track."""
    unknown: tuple[str, ...]
    """What is not known and where it was looked for, one sentence each."""
    target: TargetOnTrack | None = None
    """Seen from the chosen shank; None when none is told."""

    @property
    def planned_surface_um(self) -> float | None:
        """Depth of the surface on the chosen shank by how far the probe was moved in."""
        if self.inserted_um is None or not self.shanks[self.chosen].track:
            return None
        return self.shanks[self.chosen].length_um - self.scale * self.inserted_um


def depth_um(height_um: Points, length_um: float, *, tip_um: float = GUI_TIP_UM, scale: float = 1.0) -> Points:
    """Depths along a track of places on the probe, (n,) um above its lowest row of electrodes."""
    return np.asarray(length_um - scale * (tip_um + np.asarray(height_um, dtype=np.float64)))


def unroll(
    row: Assignment,
    rows: Sequence[Assignment],
    state: State,
    frame: ImageFrame,
    *,
    recording: Recording | None = None,
    sorting: Sorting | None = None,
    units: Mapping[str, StreamUnits] | None = None,
    scale: float = 1.0,
    atlas: AffineAtlas | None = None,
    tissue: Tissue | None = None,
) -> Unrolled | None:
    """A row's track, and those of the same probe's other shanks, against what was recorded.

    Args:
        row: The row that is looked at.
        rows: All rows of the mapping; those of the same probe are found among them.
        state: Has the tracks.
        frame: The image's geometry.
        recording: The row's recording; None while none is chosen.
        sorting: The row's sorting; without one the shanks and contacts are those of settings.xml.
        units: By stream token, as far as they were read.
        scale: Size of the cleared brain over its size in life, as `drawn_scale` tells it.
        atlas: The way into the atlas, where targets are told.
        tissue: Where the image shows tissue.

    Returns:
        None when the row's track is no line.
    """
    layers = {layer.name: layer for layer in state.tracks}
    shape = drawn_shape(layers[row.track], frame) if row.track in layers else None
    if shape is None:
        return None
    seen = tissue if tissue is not None and tissue.frame == frame else None  # of another image it tells nothing
    if recording is None or not row.stream:
        alone = _shank(0, layers[row.track], frame, _Source(scale=scale))
        why = f"No {'recording' if recording is None else 'stream'} is chosen for this row"
        return Unrolled((alone,), 0, 1, scale, None, None, (f"{why}: its contacts and units are not known.",))
    places = shank_places(recording, sorting, row.stream)
    streams = {place.stream for place in places}
    target = target_on_track(shape, frame, recording, streams, atlas)
    inserted_um = plan_of(recording, streams).depth_um
    more = [target.unknown] if target is not None and target.unknown else []
    own = place_of(row, places)
    if own is None:
        alone = _shank(0, layers[row.track], frame, _Source(scale=scale))
        why = "No shank is chosen for this row" if row.shank is None else f"Shank {row.shank + 1} was not recorded"
        told = (f"{why}: its contacts and units are not known.", *more)
        return Unrolled((alone,), 0, 1, scale, inserted_um, None, told, target)
    mapped = {own.number: row.track}
    for other in rows:
        place = place_of(other, places) if other.include and of_one_sorting(row, other) else None
        if place is not None and other.track in layers:
            mapped.setdefault(place.number, other.track)
    shanks = []
    found = {stream: _units(recording, sorting, stream, places, units or {}) for stream in streams}
    for place in places:
        source = _Source(probe_of(recording, place.stream), found[place.stream], scale, seen)
        shanks.append(_shank(place.number, layers.get(mapped.get(place.number, "")), frame, source))
    unknown = []
    if not len(shanks[places.index(own)].contacts_um):
        contacts = next(fact for fact in probe_facts(recording, own.stream) if fact.name == "recorded contacts")
        unknown.append(f"No contacts known: {contacts.looked_for or 'none recorded on this shank'}.")
    unknown += _unit_gaps(row, own, recording, sorting, found[own.stream])
    probe = probe_of(recording, own.stream)
    return Unrolled(
        shanks=tuple(shanks),
        chosen=places.index(own),
        shank_count=max([probe.shank_count if probe else 1, *(place.number + 1 for place in places)]),
        scale=scale,
        inserted_um=inserted_um,
        plane=_plane(
            [(each.number, each.track, drawn_shape(layers[each.track], frame)) for each in shanks if each.track]
        ),
        unknown=(*unknown, *more),
        target=target,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """The units of one stream with the shanks that they are of."""

    units: StreamUnits
    on: UnitsByShank


def _units(
    recording: Recording,
    sorting: Sorting | None,
    stream: str,
    places: Sequence[ShankPlace],
    known: Mapping[str, StreamUnits],
) -> _Units | None:
    """The units of one stream; None while they are not read, and without a sorting."""
    if sorting is None or stream not in known:
        return None
    shanks = {place.number for place in places if place.stream == stream}
    by_shank = units_by_shank(known[stream], sorted_stream_of(sorting, stream), probe_of(recording, stream), shanks)
    return _Units(known[stream], by_shank)


def _unit_gaps(
    row: Assignment, own: ShankPlace, recording: Recording, sorting: Sorting | None, found: _Units | None
) -> list[str]:
    """What is not known of the units of a row's shank."""
    if sorting is None:
        why = "The chosen sorting is not one of this recording" if row.sorting else "No sorting is chosen for this row"
        return [f"{why}: its units are not known."]
    told = []
    stream, doubt = sorted_stream_of(sorting, own.stream), shank_doubt(recording, own.stream, sorting)
    if own.shank is not None and stream is not None and stream.shanks and own.shank not in stream.shanks:
        told.append(f"The sorting holds nothing of shank {own.number + 1}.")
    if doubt:
        told.append(f"The units may be another shank's: {doubt}.")
    if found is not None:
        told += [f"Units: {found.units.looked_for}."] if found.units.looked_for else []
        told += [found.on.words] if found.on.words else []
    return told


def drawn_scale(state: State, frame: ImageFrame) -> float | None:
    """Size of a cleared brain over its size in life, by tracks that stand like three or four shanks of one probe."""
    shapes = [shape for layer in state.tracks if (shape := drawn_shape(layer, frame)) is not None]
    return tissue_scale([group for group in shank_groups(shapes) if len(group.tracks) >= 3])


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What was recorded by one stream, and in what it lay, as far as it is known."""

    probe: Probe | None = None
    units: _Units | None = None
    scale: float = 1.0
    tissue: Tissue | None = None


def _shank(number: int, layer: AnnotationLayer | None, frame: ImageFrame, source: _Source) -> UnrolledShank:
    shape = drawn_shape(layer, frame) if layer is not None else None
    if layer is None or shape is None:
        return UnrolledShank(number, "", 0.0, _NO_CONTACTS, _NO_CONTACTS, _NOTHING, None)
    points = unroll_um(level0_to_image_ras_um(layer.points_level0_zyx, frame), shape)[:, :2]
    length, scale = shape.length_um, source.scale
    own = [contact for contact in source.probe.contacts if contact.shank == number] if source.probe else []
    heights = np.array([contact.y_um for contact in own])
    across = np.array([contact.x_um for contact in own])
    units, passing = _NOTHING, None
    if source.units is not None:
        here, every = source.units.on.shanks == number, source.units.units
        units = depth_um(every.depths_um[here], length, scale=scale)
        passing = None if every.passing is None else every.passing[here]
    depths = depth_um(heights, length, scale=scale)
    return UnrolledShank(
        number=number,
        track=layer.name,
        length_um=length,
        points_um=points,
        contacts_um=np.column_stack([depths, across]),
        units_um=units,
        passing=passing,
        residual_rms_um=shape.residual_rms_um,
        no_tissue=None if source.tissue is None else ~source.tissue.inside(shape.at_depth_um(depths)),
    )


def _plane(tracks: Sequence[tuple[int, str, TrackShape | None]]) -> ShankPlane | None:
    known = [(number, track, shape) for number, track, shape in tracks if shape is not None]
    if len(known) < 2:
        return None
    shapes = [shape for _, _, shape in known]
    layout = anatomical(shank_layout(shapes))
    seen = np.column_stack([layout.across, layout.axis])
    entries = (np.array([shape.entry_um for shape in shapes]) - layout.middle_um) @ seen
    tips = (np.array([shape.tip_um for shape in shapes]) - layout.middle_um) @ seen
    top = np.array([0.0, entries[:, 1].min()])
    return ShankPlane(
        numbers=tuple(number for number, _, _ in known),
        tracks=tuple(track for _, track, _ in known),
        entry_um=np.asarray(entries - top),
        tip_um=np.asarray(tips - top),
        layout=layout,
    )


# --- units by depth -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class DepthBins:
    """How many units lie in each stretch of depth."""

    edges_um: Points
    """(n + 1,) multiples of the step, so that the bins of all shanks are the same; (0,) without units."""
    units: NDArray[np.int64]
    """(n,)"""
    passing: NDArray[np.int64]
    """(n,) of these, those that pass quality control; all of them when that is not known."""


def depth_bins(shank: UnrolledShank, *, step_um: float = 100.0) -> DepthBins:
    """The units of a shank by depth."""
    if not len(shank.units_um):
        return DepthBins(_NOTHING, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    low, high = np.floor(shank.units_um.min() / step_um), np.floor(shank.units_um.max() / step_um) + 1
    edges = step_um * np.arange(low, high + 1)
    passing = shank.units_um if shank.passing is None else shank.units_um[shank.passing]
    return DepthBins(edges, np.histogram(shank.units_um, edges)[0], np.histogram(passing, edges)[0])
