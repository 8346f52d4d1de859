"""All evidence of one mouse brought together: tracks, probes, and the brain's tilt, size and place found on the way.

Which track is whose and how the brain lies depend on each other. So they are found in turns: names give a first
choice, the choice a place, the place a better choice. Where names are silent, places in which many aims meet tracks
are tried; the choice with the best sum wins, and what other choices nearly reach makes it less sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.atlas_frames import MIDLINE_ML_UM, AffineAtlas
from core.brain_pose import (
    IN_THE_ATLAS,
    LENGTH_ERROR,
    PITCH_ERROR,
    Place,
    Scale,
    Stretches,
    Tilt,
    UsualPlace,
    fit_place,
    fit_scale,
    fit_tilt,
)
from core.drawn_tracks import atlas_shape, drawn_shape, image_middle_um
from core.models import AnnotationLayer, ImageFrame, Points
from core.shank_geometry import shank_groups
from core.suggestions import evidence as e
from core.suggestions.matching import Margin, Matching, margins, match
from core.suggestions.probe_slots import ProbeSlot

FEWEST_ANGLES = 4
"""Probes with known angles that tell the tilt; fewer can be explained by some tilt whosever they are."""
FEWEST_AIMS = 2
_TRIES = 48
_KEPT_TRIES = 2
_TURNS = 3
_NEAR_UM = 700.0
_TOLD = 0.5
"""Share of tracks whose names say something, above which names alone are a good first choice."""
_FAR_UM = 1e7


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What every kind says of every pair, with the numbers behind it; arrays are (n tracks, m probes)."""

    kinds: dict[str, Points]
    away_um: Points
    turned_deg: Points
    ratio: Points
    scale: Scale

    @property
    def geometry(self) -> Points:
        """The sum of all kinds but names."""
        return np.asarray(sum(self.kinds.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The best choice of all, and what speaks for it."""

    evidence: Evidence
    scores: Points
    """(n tracks, p positions)."""
    matching: Matching
    margins: tuple[Margin | None, ...]


def gather_tracks(layers: Sequence[AnnotationLayer], frame: ImageFrame, atlas: AffineAtlas | None) -> e.Tracks:
    """The tracks of a state as lines, with the groups that look like shanks of one probe."""
    shapes = tuple(drawn_shape(layer, frame) for layer in layers)
    placed = shapes if atlas is None else tuple(atlas_shape(layer, atlas) for layer in layers)
    lines = [i for i, shape in enumerate(shapes) if shape is not None]
    found = shank_groups([shape for shape in shapes if shape is not None])
    groups = tuple(replace(group, tracks=tuple(lines[i] for i in group.tracks)) for group in found)
    member: list[int | None] = [None] * len(layers)
    for number, group in enumerate(groups):
        for i in group.tracks:
            member[i] = number
    nowhere = np.full(3, _FAR_UM)
    entry = np.array([nowhere if shape is None else shape.entry_um for shape in placed]).reshape(-1, 3)
    tip = np.array([nowhere if shape is None else shape.tip_um for shape in placed]).reshape(-1, 3)
    middle_entry, middle_tip = entry.copy(), tip.copy()
    for group in groups:
        if len(group.tracks) >= 3:
            own = list(group.tracks)
            middle_entry[own], middle_tip[own] = entry[own].mean(axis=0), tip[own].mean(axis=0)
    return e.Tracks(
        tuple(layer.name for layer in layers),
        shapes,
        Stretches(entry, tip),
        Stretches(middle_entry, middle_tip),
        tuple(member),
        groups,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """What stays the same while tilt, size and place are looked for."""

    tracks: e.Tracks
    slots: tuple[ProbeSlot, ...]
    named: Points
    """(n, p) what names say of every position."""
    probe_of_place: NDArray[np.intp]
    """(p,) probe of every position."""
    middle_um: float | None
    in_atlas: bool

    def judge(self) -> Judged:
        """The best choice of all starts."""
        ends = [self._settle(place) for place in self._starts()]
        best_evidence, best_scores, best = max(ends, key=lambda end: end[2].total)
        costs = margins(best_scores, self.probe_of_place, best)
        for _, _, other in ends:
            costs = self._less_sure(costs, best, other)
        return Judged(best_evidence, best_scores, best, costs)

    def _less_sure(
        self, costs: tuple[Margin | None, ...], best: Matching, other: Matching
    ) -> tuple[Margin | None, ...]:
        """Margins bounded by what another place of the brain nearly reaches."""
        loss = best.total - other.total
        lower = []
        for cost, mine, its in zip(costs, self._probes(best), self._probes(other), strict=True):
            lower.append(Margin(loss, its if its >= 0 else None) if cost and mine != its and loss < cost.loss else cost)
        return tuple(lower)

    def _probes(self, matching: Matching) -> list[int]:
        return [int(self.probe_of_place[place]) if place >= 0 else -1 for place in matching.place]

    def _settle(self, place: Place | None) -> tuple[Evidence, Points, Matching]:
        """Choice and place in turns, from a first place; None begins with the choice."""
        tilt: Tilt | None = None
        scale, before = self._scale(None), None
        for _ in range(_TURNS):
            found = self._evidence(place, tilt, scale)
            chosen = match(self._scores(found))
            if before is not None and np.array_equal(chosen.place, before):
                break
            before = chosen.place
            scale = self._scale(chosen)
            tilt = self._tilt(chosen)
            place = self._place(chosen, scale, place)
        found = self._evidence(place, tilt, scale)
        scores = self._scores(found)
        return found, scores, match(scores)

    def _evidence(self, place: Place | None, tilt: Tilt | None, scale: Scale) -> Evidence:
        away = e.aim_distances_um(self.tracks, self.slots, place)
        turned = e.turned_deg(self.tracks, self.slots, tilt)
        ratio = e.length_ratios(self.tracks, self.slots)
        kinds = {
            "aim": e.by_aim(away),
            "angle": e.by_angle(turned),
            "length": e.by_length(ratio, scale),
            "span": e.by_span(self.tracks, self.slots, scale),
            "side": e.by_side(self.tracks, self.slots, self.middle_um, in_atlas=self.in_atlas),
            "group": e.by_group(self.tracks, self.slots),
        }
        return Evidence(kinds, away, turned, ratio, scale)

    def _scores(self, found: Evidence) -> Points:
        return np.asarray(self.named + found.geometry[:, self.probe_of_place])

    # --- the brain as a choice shows it -----------------------------------------------------------

    def _chosen(self, matching: Matching) -> list[tuple[int, int]]:
        """(probe, one of its tracks), once per probe."""
        found: dict[int, int] = {}
        for track, probe in enumerate(self._probes(matching)):
            if probe >= 0 and self.tracks.shapes[track] is not None:
                found.setdefault(probe, track)
        return list(found.items())

    def _scale(self, matching: Matching | None) -> Scale:
        ratios = [(group.fit.scale, PITCH_ERROR) for group in self.tracks.groups if len(group.tracks) >= 3]
        for probe, track in self._chosen(matching) if matching else ():
            depth, shape = self.slots[probe].plan.depth_um, self.tracks.shapes[track]
            if depth and shape is not None:
                ratios.append((shape.length_um / depth, LENGTH_ERROR))
        return fit_scale(ratios)

    def _tilt(self, matching: Matching) -> Tilt | None:
        known = [
            (angles, shape.direction)
            for probe, track in self._chosen(matching)
            if (angles := self.slots[probe].plan.angles_deg) is not None
            and (shape := self.tracks.shapes[track]) is not None
        ]
        if len(known) < FEWEST_ANGLES:
            return None
        return fit_tilt(np.array([angles for angles, _ in known]), np.array([way for _, way in known]))

    def _usual(self, scale: Scale) -> UsualPlace:
        return IN_THE_ATLAS if self.in_atlas else UsualPlace(scale=scale)

    def _place(self, matching: Matching, scale: Scale, start: Place | None) -> Place | None:
        known = [pair for pair in self._chosen(matching) if self.slots[pair[0]].plan.point_um is not None]
        if len(known) < (1 if self.in_atlas else FEWEST_AIMS):
            return start if self.in_atlas else None
        aims = np.array([self.slots[probe].plan.point_um for probe, _ in known])
        return fit_place(aims, self.tracks.middles.take([track for _, track in known]), self._usual(scale), start)

    def _starts(self) -> list[Place | None]:
        """Places to begin with: the atlas's own; else none, and where names are silent, those of most meeting aims."""
        if self.in_atlas:
            return [Place(np.eye(3), 1.0, np.zeros(3))]
        told = (self.named.max(axis=1) > 0).mean()
        return [None] if told > _TOLD else [None, *self._meeting()]

    def _meeting(self) -> list[Place]:
        """Shifts that bring one aim onto one tip, the best of some dozens by how many aims then lie on a track."""
        aims = [(j, slot.plan.point_um) for j, slot in enumerate(self.slots) if slot.plan.point_um is not None]
        tracks = [i for i, shape in enumerate(self.tracks.shapes) if shape is not None]
        if len(aims) < 3 or len(tracks) < 3:
            return []
        points = np.array([point for _, point in aims])
        scale = self._scale(None).scale
        shifts = (self.tracks.middles.tip_um[tracks][:, None] - scale * points[None]).reshape(-1, 3)
        if self.middle_um is not None:  # the middle of the image is about the middle of the brain
            off = np.abs(shifts[:, 0] + scale * MIDLINE_ML_UM - self.middle_um)
            shifts = shifts[off < 1_500.0]
        shifts = shifts[:: max(1, len(shifts) // _TRIES)][:_TRIES]
        if not len(shifts):
            return []
        places = (scale * points[None] + shifts[:, None]).reshape(-1, 3)
        away = self.tracks.middles.take(tracks).distances_um(places).min(axis=0).reshape(len(shifts), -1)
        met = np.exp(-0.5 * (away / _NEAR_UM) ** 2).sum(axis=1)
        best = np.argsort(-met, kind="stable")[:_KEPT_TRIES]
        return [Place(np.eye(3), scale, shifts[i]) for i in best]


def judge_brain(
    layers: Sequence[AnnotationLayer],
    slots: tuple[ProbeSlot, ...],
    named: Points,
    probe_of_place: NDArray[np.intp],
    frame: ImageFrame,
    atlas: AffineAtlas | None,
) -> tuple[e.Tracks, Judged]:
    """The tracks as lines, and the best choice for all of them."""
    tracks = gather_tracks(layers, frame, atlas)
    middle = image_middle_um(frame)
    return tracks, Judge(tracks, slots, named, probe_of_place, middle, atlas is not None).judge()
