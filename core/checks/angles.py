"""Directions of tracks against the angles of their manipulators, after the turn that all of them share (T10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.brain_pose import Tilt, fit_tilt
from core.checks.index import CheckIndex, build_index
from core.checks.mapped import MappedProbe, mapped_probes
from core.checks.thresholds import USUAL, Thresholds
from core.manifest.rows import ManifestRow
from core.models import Points, Problem, State, Subject
from core.rules import problem

_REMEMBERED = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Planned:
    """The probes whose angles are known, and how the brain is turned against these."""

    probes: tuple[MappedProbe, ...]
    angles_deg: Points
    """(n, 2) arc and module."""
    drawn: Points
    """(n, 3) unit vectors of the probes as drawn."""
    tilt: Tilt

    @property
    def directions(self) -> Points:
        """(n, 3) unit vectors in the image, as planned."""
        return self.tilt.directions(self.angles_deg)


def _planned(probes: Sequence[MappedProbe], limits: Thresholds) -> _Planned | None:
    """None where too few angles are known to tell the tilt of the image from them."""
    known = tuple(probe for probe in probes if probe.plan.angles_deg is not None)
    if not known or len(known) < limits.angle_tracks:
        return None
    angles = np.array([probe.plan.angles_deg for probe in known])
    drawn = np.array([_direction(probe) for probe in known])
    return _Planned(known, angles, drawn, _tilt(tuple(map(tuple, angles)), tuple(map(tuple, drawn))))


@lru_cache(maxsize=_REMEMBERED)
def _tilt(angles_deg: tuple[tuple[float, ...], ...], drawn: tuple[tuple[float, ...], ...]) -> Tilt:
    """Each edit asks twice, for T10 and for its picture, and most edits change no direction."""
    return fit_tilt(np.array(angles_deg), np.array(drawn))


def _direction(probe: MappedProbe) -> Points:
    entry, tip = probe.middle()
    way = tip - entry
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-9))


def check_angles(index: CheckIndex, probes: Sequence[MappedProbe]) -> Iterator[Problem]:
    """T10: directions against the manipulators' angles, after the turn that all of them share."""
    planned = _planned(probes, index.limits)
    if planned is None:
        return
    off = np.degrees(np.arccos(np.clip((planned.directions * planned.drawn).sum(axis=1), -1.0, 1.0)))
    for i in np.flatnonzero(off > index.limits.angle_deg):
        arc, module = planned.angles_deg[i]
        yield problem(
            "T10",
            f"The track is turned by {off[i]:.0f} degrees from the manipulator's angles (arc {arc:g}, module "
            f"{module:g}), after the {planned.tilt.tilt_deg:.0f} degrees by which the image is tilted.",
            measured=round(float(off[i]), 1),
            threshold=index.limits.angle_deg,
            **index.at(planned.probes[i].rows[0]),
        )


def planned_ways(
    rows: Sequence[ManifestRow], *, state: State, subject: Subject | None, limits: Thresholds = USUAL
) -> dict[str, Points]:
    """Where tracks would go by their manipulators' angles, turned as the brain of these rows is: what T10 compares.

    Returns:
        By track, (2, 3) um in the image: its entry, and as far from there as it is long. Without the tracks whose
        angles or image are not known, and empty where too few angles are known to tell the brain's turn.
    """
    index = build_index(rows, state, subject, None, limits)
    planned = _planned(mapped_probes(index, None), limits)
    if planned is None:
        return {}
    return {
        index.rows[row].histology_track_id: np.array([shape.entry_um, shape.entry_um + shape.length_um * way])
        for probe, way in zip(planned.probes, planned.directions, strict=True)
        for row, shape in zip(probe.rows, probe.shapes, strict=True)
    }
