"""Where a probe was meant to go, as the files of its session tell it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """Where a probe was meant to go, from session.json or acquisition.json."""

    probe: str
    structure: str
    angles_deg: dict[str, float] = field(default_factory=dict)
    """arc, module, rotation when known."""
    manipulator_um: dict[str, float] = field(default_factory=dict)
    """x, y, z (or axis names of the file) when known."""
    notes: str = ""
    ccf_um_mlapdv: tuple[float, float, float] | None = None
    """The aim in the Allen CCF, um from its left front upper corner towards right, back and down. None when it is not
    told, is told in another frame, or cannot be meant (`aim_refused`)."""
    depth_um: float | None = None
    """How far the probe was moved in from the brain's surface, along itself; None when it is not told."""
    aim_refused: str = ""
    """The numbers that stand where the aim should and are no place in a brain, in words; "" when there are none."""
