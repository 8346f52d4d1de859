"""Checks of tracks against the plans of their probes: length, recorded span, angle, side and aim (T6, T7, T10, T11).

The tracks of one probe in one recording are judged together, by the middle of its shanks. What a file does not tell is
not checked. The brain's own scale, tilt and place are estimated from all mapped probes and taken out first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.atlas_frames import AffineAtlas, hemisphere, right_of_midline_um
from core.brain_pose import (
    IN_THE_ATLAS,
    LENGTH_ERROR,
    PITCH_ERROR,
    Scale,
    Stretches,
    UsualPlace,
    fit_place,
    fit_scale,
)
from core.checks.angles import check_angles
from core.checks.index import CheckIndex
from core.checks.mapped import MappedProbe
from core.checks.thresholds import Thresholds
from core.drawn_tracks import image_middle_um, ras_to_ccf_um
from core.models import Problem, Severity
from core.probe_geometry import RecordedSpan, recorded_spans
from core.rules import problem
from core.slots import probe_of


def check_probes(index: CheckIndex, probes: Sequence[MappedProbe], atlas: AffineAtlas | None) -> Iterator[Problem]:
    """Every problem of mapped tracks against the plans of their probes."""
    if not probes:
        return
    brain = _Brain(probes, index.limits)
    for number, probe in enumerate(probes):
        yield from _differing(index, probe)
        yield from _length(index, brain, number)
        yield from _span(index, brain, number)
    yield from check_angles(index, probes)
    far = list(_aims(index, brain, atlas))
    yield from far
    told = {each.where.row for each in far}
    sides = _atlas_sides(index, probes, atlas) if atlas is not None else _sides(index, probes)
    yield from (each for each in sides if each.where.row not in told)


def _differing(index: CheckIndex, probe: MappedProbe) -> Iterator[Problem]:
    """Plans that the session's file tells in several ways: what they would be held against is not judged."""
    for rule, told in probe.plan.differing:
        yield problem(
            rule,
            f"The session's file tells {told}: the track is compared with neither.",
            severity=Severity.INFO,
            cure="Find out which holds; the recording's card shows both.",
            measured=told,
            threshold="one",
            **index.at(probe.rows[0]),
        )


@dataclass
class _Brain:
    """What all probes of a mapping say of the brain's size."""

    probes: Sequence[MappedProbe]
    limits: Thresholds

    @cached_property
    def _depths(self) -> list[tuple[int, float]]:
        """(probe, drawn length over insertion depth) where the depth is known."""
        return [
            (number, float(np.median([shape.length_um for shape in probe.shapes])) / probe.plan.depth_um)
            for number, probe in enumerate(self.probes)
            if probe.plan.depth_um
        ]

    @cached_property
    def _pitches(self) -> list[tuple[float, float]]:
        return [(scale, PITCH_ERROR) for probe in self.probes if (scale := probe.scale(self.limits))]

    @cached_property
    def scale(self) -> Scale:
        """By all probes."""
        return self.scale_without(None)

    def scale_without(self, number: int | None) -> Scale:
        """By the depths of all probes but one, so that it is not compared with itself."""
        return fit_scale([*self._pitches, *((ratio, LENGTH_ERROR) for n, ratio in self._depths if n != number)])


# --- length ---------------------------------------------------------------------------------------


def _length(index: CheckIndex, brain: _Brain, number: int) -> Iterator[Problem]:
    """T6: each track against how far its probe was moved in."""
    probe, limits = brain.probes[number], index.limits
    if not probe.plan.depth_um:
        return
    scale = brain.scale_without(number)
    expected = probe.plan.depth_um * scale.scale
    allowed = max(limits.length_um, max(limits.length_share, 3.0 * scale.share) * expected)
    for row, shape in zip(probe.rows, probe.shapes, strict=True):
        if abs(shape.length_um - expected) > allowed:
            yield problem(
                "T6",
                f"The track is {shape.length_um:.0f} um long; the probe was moved in by {probe.plan.depth_um:.0f} um, "
                f"which is {expected:.0f} um in this brain (size {scale.scale:.2f}).",
                measured=round(shape.length_um),
                threshold=f"{expected - allowed:.0f} to {expected + allowed:.0f} um",
                **index.at(row),
            )


def _span(index: CheckIndex, brain: _Brain, number: int) -> Iterator[Problem]:
    """T7: each track against the electrodes that were recorded on its shank."""
    probe, limits = brain.probes[number], index.limits
    scale = brain.scale
    for row, shape, shank in zip(probe.rows, probe.shapes, probe.shanks, strict=True):
        known = probe_of(probe.recording, index.rows[row].ephys_collection)
        span = _recorded(recorded_spans(known), shank) if known is not None else None
        if span is None:
            continue
        lowest, highest = span.lowest_um * scale.scale, span.highest_um * scale.scale
        # How unsure the brain's size is widens the margin: a long track may shrink by more than the ends are off.
        margin = limits.span_um + 2.0 * scale.share * lowest
        if lowest > shape.length_um + margin:
            yield problem(
                "T7",
                f"The lowest recorded electrode lies {lowest:.0f} um above the tip, but the track is only "
                f"{shape.length_um:.0f} um long: nothing was recorded inside the brain along it.",
                measured=round(shape.length_um),
                threshold=round(lowest - margin),
                **index.at(row),
            )
        elif highest < shape.length_um - limits.span_um and not index.rows[row].surface_finding:
            yield problem(
                "T7",
                f"The highest recorded electrode lies {highest:.0f} um above the tip of a track of "
                f"{shape.length_um:.0f} um: the surface of the brain was not recorded.",
                severity=Severity.INFO,
                cure="Name the surface recording when there is one; else the surface must be found otherwise.",
                measured=round(highest),
                threshold=round(shape.length_um - limits.span_um),
                **index.at(row),
            )
        elif highest > shape.length_um + limits.span_um:
            yield problem(
                "T7",
                f"The highest recorded electrode lies {highest:.0f} um above the tip of a track of "
                f"{shape.length_um:.0f} um: the contacts above the surface were out of the brain.",
                severity=Severity.INFO,
                cure="Nothing to do: they tell where the surface is. Unless the track should be longer.",
                measured=round(highest),
                threshold=round(shape.length_um + limits.span_um),
                **index.at(row),
            )


def _recorded(spans: Sequence[RecordedSpan], shank: int | None) -> RecordedSpan | None:
    """The span of a shank, or the only one."""
    return next((span for span in spans if span.shank == shank), spans[0] if len(spans) == 1 else None)


# --- aims -----------------------------------------------------------------------------------------


def _aims(index: CheckIndex, brain: _Brain, atlas: AffineAtlas | None) -> Iterator[Problem]:
    """T11: the distance of each probe from its aim, after the place that all of them share."""
    known = [
        (probe, probe.plan.point_um, *probe.middle(atlas=atlas is not None))
        for probe in brain.probes
        if probe.plan.point_um is not None and (atlas is None or len(probe.in_atlas) == len(probe.rows))
    ]
    if len(known) < (2 if atlas is None else 1):
        return  # one aim alone fits any track: where the brain lies is not known
    aims = np.array([point for _, point, _, _ in known])
    tracks = Stretches(np.array([entry for *_, entry, _ in known]), np.array([tip for *_, tip in known]))
    usual = UsualPlace(scale=brain.scale) if atlas is None else IN_THE_ATLAS
    place = fit_place(aims, tracks, usual)
    places = place.points(aims)
    away = np.linalg.norm(tracks.nearest_um(places) - places, axis=1)
    for i in np.flatnonzero(away > index.limits.target_um):
        probe = known[i][0]
        how = f"by the atlas, {atlas.note}" if atlas else f"as the {len(known)} aims of this mouse lie to each other"
        yield problem(
            "T11",
            f"The track passes {away[i] / 1e3:.1f} mm from {probe.plan.words} ({how}).",
            measured=round(float(away[i])),
            threshold=index.limits.target_um,
            **index.at(probe.rows[0]),
        )


def _atlas_sides(index: CheckIndex, probes: Sequence[MappedProbe], atlas: AffineAtlas) -> Iterator[Problem]:
    """T11: the hemisphere of a track where it passes level with its aim against the hemisphere of the aim."""
    limit = index.limits.atlas_midline_um
    for probe in probes:
        aim_um = probe.plan.point_um
        if aim_um is None or len(probe.in_atlas) != len(probe.rows):
            continue
        entry, tip = probe.middle(atlas=True)
        level_um = aim_um.copy()
        level_um[0] = Stretches(entry[None], tip[None]).right_at_um(aim_um[None])[0, 0]
        drawn, planned = (hemisphere(ras_to_ccf_um(point), unsure_um=limit) for point in (level_um, aim_um))
        if drawn and planned and drawn != planned:
            right = float(right_of_midline_um(ras_to_ccf_um(level_um))[0])
            yield problem(
                "T11",
                f"Level with its target the track lies {abs(right) / 1e3:.1f} mm {drawn} of the atlas's midline, "
                f"{probe.plan.words} {planned} of it ({atlas.note}).",
                measured=round(right),
                threshold=limit if planned == "right" else -limit,
                **index.at(probe.rows[0]),
            )


def _sides(index: CheckIndex, probes: Sequence[MappedProbe]) -> Iterator[Problem]:
    """T11: the side of the image's middle against the side of the aim."""
    middle = image_middle_um(index.frame) if index.frame is not None else None
    if middle is None:
        return
    limit = index.limits.midline_um
    for probe in probes:
        aim = probe.plan.right_um
        if aim is None or abs(aim) <= limit:
            continue
        entry, tip = probe.middle()
        right = float((entry + tip)[0] / 2.0 - middle)
        if right * aim < 0 and abs(right) > limit:
            yield problem(
                "T11",
                f"The track lies {abs(right) / 1e3:.1f} mm {'right' if right > 0 else 'left'} of the image's middle, "
                f"{probe.plan.words} {'right' if aim > 0 else 'left'} of the midline.",
                measured=round(right),
                threshold=limit if aim > 0 else -limit,
                **index.at(probe.rows[0]),
            )
