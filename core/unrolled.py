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
from core.same_probe import ShankPlace, place_of, shank_places
from core.shank_geometry import ShankLayout, shank_groups, shank_layout, tissue_scale
from core.slots import probe_of
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
        sorting: The row's sorting.
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
    places: tuple[ShankPlace, ...] = ()
    if recording is not None and sorting is not None and row.stream:
        places = shank_places(recording, sorting, row.stream)
    own = place_of(row, places)
    if recording is None or own is None:
        alone = _shank(0, layers[row.track], frame, _Source(scale=scale))
        why = "No stream is chosen for this row" if not places else "No shank is chosen for this row"
        return Unrolled((alone,), 0, 1, scale, None, None, (f"{why}: its contacts and units are not known.",))
    mapped = {own.number: row.track}
    for other in rows:
        place = place_of(other, places) if other.include and other.sorting == row.sorting else None
        if place is not None and other.track in layers:
            mapped.setdefault(place.number, other.track)
    shanks, unknown = [], []
    seen = tissue if tissue is not None and tissue.frame == frame else None  # of another image it tells nothing
    for place in places:
        source = _Source(probe_of(recording, place.stream), (units or {}).get(place.stream), scale, seen)
        layer = layers.get(mapped.get(place.number, ""))
        shanks.append(_shank(place.number, layer, frame, source, sorted_shank=place.shank))
    if not len(shanks[places.index(own)].contacts_um):
        contacts = next(fact for fact in probe_facts(recording, own.stream) if fact.name == "recorded contacts")
        unknown.append(f"No contacts known: {contacts.looked_for or 'none recorded on this shank'}.")
    read = (units or {}).get(own.stream)
    if read is not None and read.looked_for:
        unknown.append(f"Units: {read.looked_for}.")
    probe, streams = probe_of(recording, own.stream), {place.stream for place in places}
    target = target_on_track(shape, frame, recording, streams, atlas)
    return Unrolled(
        shanks=tuple(shanks),
        chosen=places.index(own),
        shank_count=max([probe.shank_count if probe else 1, *(place.number + 1 for place in places)]),
        scale=scale,
        inserted_um=plan_of(recording, streams).depth_um,
        plane=_plane(
            [(each.number, each.track, drawn_shape(layers[each.track], frame)) for each in shanks if each.track]
        ),
        unknown=(*unknown, target.unknown) if target is not None and target.unknown else tuple(unknown),
        target=target,
    )


def drawn_scale(state: State, frame: ImageFrame) -> float | None:
    """Size of a cleared brain over its size in life, by tracks that stand like three or four shanks of one probe."""
    shapes = [shape for layer in state.tracks if (shape := drawn_shape(layer, frame)) is not None]
    return tissue_scale([group for group in shank_groups(shapes) if len(group.tracks) >= 3])


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What was recorded by one stream, and in what it lay, as far as it is known."""

    probe: Probe | None = None
    units: StreamUnits | None = None
    scale: float = 1.0
    tissue: Tissue | None = None


def _shank(
    number: int,
    layer: AnnotationLayer | None,
    frame: ImageFrame,
    source: _Source,
    *,
    sorted_shank: int | None = None,
) -> UnrolledShank:
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
        here = source.units.on_shank(sorted_shank)
        units = depth_um(source.units.depths_um[here], length, scale=scale)
        passing = None if source.units.passing is None else source.units.passing[here]
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
    layout = shank_layout(shapes)
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


# --- in words -------------------------------------------------------------------------------------


def describe(unrolled: Unrolled) -> tuple[str, ...]:
    """The picture in sentences with numbers: the row's own shank first, then the probe, then what is not known."""
    shank = unrolled.shanks[unrolled.chosen]
    told = [
        f"The track is {_mm(shank.length_um)} long; its {len(shank.points_um):,} points lie "
        f"{shank.residual_rms_um:.0f} um from a straight line (root mean square).",
        *_contact_words(shank),
        *_unit_words(shank),
    ]
    surface = unrolled.planned_surface_um
    if surface is not None:
        off = f"{_mm(abs(surface))} {'above' if surface < 0 else 'below'}" if abs(surface) >= 5.0 else "at"
        told.append(
            f"The probe was moved in by {unrolled.inserted_um:,.0f} um: by that the surface lies {off} the "
            "upper end of the track."
        )
    told += _target_words(unrolled)
    told += _other_shanks(unrolled)
    if f"{unrolled.scale:.2f}" != "1.00" and any(len(each.contacts_um) for each in unrolled.shanks):
        told.append(
            f"Heights on the probe are multiplied by {unrolled.scale:.2f}: the size of this tissue, by the distances "
            "of tracks that stand like the shanks of one probe."
        )
    return (*told, *unrolled.unknown)


def _target_words(unrolled: Unrolled) -> list[str]:
    target, length = unrolled.target, unrolled.shanks[unrolled.chosen].length_um
    if target is None or target.depth_um is None or target.distance_um is None:
        return []
    depth = target.depth_um
    if depth < 0:
        where = f"{_mm(-depth)} above the upper end"
    elif depth > length:
        where = f"{_mm(depth - length)} below the tip"
    else:
        where = f"at a depth of {_mm(depth)}"
    return [f"{target.words[0].upper()}{target.words[1:]} lies {_mm(target.distance_um)} beside the line, {where}."]


def _contact_words(shank: UnrolledShank) -> list[str]:
    if not len(shank.contacts_um):
        return []
    depths, total, out = shank.contacts_um[:, 0], len(shank.contacts_um), int(shank.above.sum())
    if out:
        first = f"{out} of {total} contacts lie above the surface, up to {_mm(-float(depths.min()))}."
    else:
        first = f"All {total} contacts lie below the surface, the highest {_mm(float(depths.min()))} below it."
    bare = 0 if shank.no_tissue is None else int((shank.no_tissue & ~shank.above).sum())
    more = [f"{bare} of {total} contacts lie where the image shows no tissue."] if bare else []
    return [first, *more, f"The deepest contact is {_mm(shank.length_um - float(depths.max()))} above the tip."]


def _unit_words(shank: UnrolledShank) -> list[str]:
    total = len(shank.units_um)
    if not total:
        return []
    good = "" if shank.passing is None else f", {int(shank.passing.sum()):,} of which pass quality control"
    out = int((shank.units_um < 0).sum())
    low, high = float(shank.units_um.min()), float(shank.units_um.max())
    above = f"; {out:,} of them lie above the surface" if out else ""
    return [f"{total:,} units{good}, at depths from {_mm(low)} to {_mm(high)}{above}."]


def _other_shanks(unrolled: Unrolled) -> list[str]:
    told = []
    bare = [str(shank.number + 1) for shank in unrolled.shanks if not shank.track]
    if bare:
        told.append(f"No row gives a track to shank {', '.join(bare)} of {unrolled.shank_count}.")
    plane = unrolled.plane
    if plane is not None:
        apart = "; ".join(f"{one + 1} to {other + 1}: {um:.0f} um" for one, other, um in plane.spacings)
        told.append(f"Distances of neighbouring shanks as drawn: {apart}.")
    return told


def _mm(um: float) -> str:
    return f"{um / 1000.0:.2f} mm"
