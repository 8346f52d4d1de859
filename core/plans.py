"""Where each probe of a recording was meant to go, in numbers that drawn tracks can be held against.

A plan is told in the lab's frame: um and directions towards right, front and up. How that frame lies in the drawn
brain, `core.brain_pose` estimates. Manipulator positions are left out: each manipulator counts from its own zero.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from core.atlas_frames import MIDLINE_ML_UM
from core.drawn_tracks import ccf_to_ras_um
from core.models import Points, Recording, Target


@dataclass(frozen=True, slots=True, eq=False)
class ProbePlan:
    """What the session's file tells of one probe; None where it does not."""

    structure: str = ""
    point_um: Points | None = None
    """(3,) the aim, towards right, front and up from the atlas's left front upper corner."""
    angles_deg: tuple[float, float] | None = None
    """Arc and module."""
    depth_um: float | None = None
    differing: tuple[tuple[str, str], ...] = ()
    """What the file tells in several ways, so that nothing is compared with it: the silent rule, and what is told."""

    @property
    def right_um(self) -> float | None:
        """How far the aim lies right of the midline; negative on the left."""
        return None if self.point_um is None else float(self.point_um[0]) - MIDLINE_ML_UM

    @property
    def words(self) -> str:
        """`target VISp`, or `its target` without a name."""
        return f"target {self.structure}" if self.structure else "its target"


NO_PLAN = ProbePlan()


def plan_of(recording: Recording, names: Collection[str]) -> ProbePlan:
    """The plan of the probe that has any of these names (its streams, its own); `NO_PLAN` when it is not told.

    The structures of several targets of one probe are joined; of numbers that differ none is taken, and they are named.
    """
    found = [target for target in recording.targets if target.probe in names]
    if not found:
        return NO_PLAN
    points = _different(target.ccf_um_mlapdv for target in found)
    angles = _different(_arc_and_module(target) for target in found)
    depths = _different(target.depth_um for target in found)
    told = {
        "T6": [f"{depth:,.0f} um as insertion depth" for depth in depths],
        "T10": [f"arc {arc:g}, module {module:g} as angles" for arc, module in angles],
        "T11": [f"ML {ml:,.0f}, AP {ap:,.0f}, DV {dv:,.0f} um as aim" for ml, ap, dv in points],
    }
    return ProbePlan(
        structure=" or ".join(_different(target.structure or None for target in found)),
        point_um=ccf_to_ras_um(np.array(points[0]))[0] if len(points) == 1 else None,
        angles_deg=angles[0] if len(angles) == 1 else None,
        depth_um=depths[0] if len(depths) == 1 else None,
        differing=tuple((rule, " and ".join(words)) for rule, words in told.items() if len(words) > 1),
    )


def _different[T](values: Iterable[T | None]) -> tuple[T, ...]:
    """What is told, each once."""
    return tuple(dict.fromkeys(value for value in values if value is not None))


def _arc_and_module(target: Target) -> tuple[float, float] | None:
    arc, module = target.angles_deg.get("arc"), target.angles_deg.get("module")
    return None if arc is None or module is None else (arc, module)


def planned_directions(angles_deg: Points, signs: tuple[int, int] = (1, 1)) -> Points:
    """(n, 3) unit vectors from the surface to the tip for (n, 2) arc and module angles.

    Labs differ in what a positive angle means. `signs` turn it round; with (1, 1) a positive arc brings the tip to
    the front and a positive module to the right.
    """
    arc, module = (np.radians(np.asarray(angles_deg, dtype=np.float64).reshape(-1, 2)) * signs).T
    return np.column_stack([np.sin(module), np.cos(module) * np.sin(arc), -np.cos(module) * np.cos(arc)])
