"""Checks of the tracks that are mapped to the shanks of one probe: spacing, parallel, order, tips (S2 to S5).

Geometry cannot tell a row of shanks from its mirror image: a wholly reversed order passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from core.checks.index import CheckIndex
from core.checks.mapped import MappedProbe
from core.models import Problem
from core.probe_geometry import shank_pitch_um
from core.rules import problem
from core.shank_geometry import ShankLayout, shank_layout
from core.slots import probe_of


def check_shanks(index: CheckIndex, probes: Sequence[MappedProbe]) -> Iterator[Problem]:
    """Every problem of how the tracks of each multi-shank probe stand to each other."""
    for probe in probes:
        shanks = [shank for shank in probe.shanks if shank is not None]
        if len(shanks) == len(probe.shanks) >= 2 and len(set(shanks)) == len(shanks):
            yield from _probe(index, probe, shanks)


def _probe(index: CheckIndex, probe: MappedProbe, shanks: list[int]) -> Iterator[Problem]:
    layout = shank_layout(probe.shapes)
    yield from _parallel(index, probe, layout)
    yield from _order(index, probe, layout, shanks)
    yield from _spacing(index, probe, layout, shanks)
    yield from _tips(index, probe, layout)


def _parallel(index: CheckIndex, probe: MappedProbe, layout: ShankLayout) -> Iterator[Problem]:
    if layout.largest_angle_deg > index.limits.parallel_deg:
        odd = int(np.median(layout.angle_deg, axis=1).argmax())
        yield problem(
            "S3",
            f"The track is turned by up to {layout.angle_deg[odd].max():.1f} degrees from its probe's other shanks.",
            measured=round(layout.largest_angle_deg, 1),
            threshold=index.limits.parallel_deg,
            **index.at(probe.rows[odd]),
        )


def _order(index: CheckIndex, probe: MappedProbe, layout: ShankLayout, shanks: list[int]) -> Iterator[Problem]:
    """By rising shank, the places along the probe must rise or fall all the way."""
    steps = np.diff(layout.position_um[np.argsort(shanks)])
    if len(steps) < 2:
        return
    against = steps if np.median(steps) < 0 else -steps
    if against.max() > index.limits.shank_order_um:
        wanted = sorted(shanks)
        drawn = [shanks[i] + 1 for i in layout.order]
        at = probe.rows[shanks.index(wanted[int(against.argmax()) + 1])]
        yield problem(
            "S4",
            f"From one side of the probe to the other the shanks stand as {', '.join(map(str, drawn))}.",
            measured=", ".join(map(str, drawn)),
            threshold=", ".join(str(shank + 1) for shank in wanted),
            **index.at(at),
        )


def _spacing(index: CheckIndex, probe: MappedProbe, layout: ShankLayout, shanks: list[int]) -> Iterator[Problem]:
    """Neighbours as they are mapped, against so many times the distance that the probe's type has."""
    pitch_um = shank_pitch_um(probe_of(probe.recording, index.rows[probe.rows[0]].ephys_collection))
    at = sorted(range(len(shanks)), key=shanks.__getitem__)
    for one, other in pairwise(at):
        true_um = pitch_um * (shanks[other] - shanks[one])
        apart_um = float(
            np.hypot(
                layout.position_um[other] - layout.position_um[one],
                layout.out_of_plane_um[other] - layout.out_of_plane_um[one],
            )
        )
        least, most = index.limits.spacing_least * true_um, index.limits.spacing_most * true_um
        if not least <= apart_um <= most:
            yield problem(
                "S2",
                f"Shanks {shanks[one] + 1} and {shanks[other] + 1} lie {apart_um:.0f} um apart; on the probe it is "
                f"{true_um:.0f} um.",
                measured=round(apart_um),
                threshold=f"{least:.0f} to {most:.0f} um",
                **index.at(probe.rows[other]),
            )


def _tips(index: CheckIndex, probe: MappedProbe, layout: ShankLayout) -> Iterator[Problem]:
    if layout.tips_apart_um > index.limits.tips_apart_um:
        odd = int(np.abs(layout.tip_um - np.median(layout.tip_um)).argmax())
        yield problem(
            "S5",
            f"The tips of the probe's shanks end up to {layout.tips_apart_um:.0f} um apart in depth.",
            measured=round(layout.tips_apart_um),
            threshold=index.limits.tips_apart_um,
            **index.at(probe.rows[odd]),
        )
