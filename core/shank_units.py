"""Which shank of a probe each unit of a stream is of: by the sorter's group, else by its place across the probe."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.models import Probe, SortedStream
from core.probe_geometry import model_contacts, probe_model
from core.subjects.units import WHOLE, StreamUnits

NO_SHANK = -1
_NEAR = 0.4
"""Share of the shanks' distance within which a unit is near one; the sorter's places are off by some tens of um."""
_ASTRAY = 0.05
"""Share of units near shanks that were not recorded, above which the places do not tell shanks at all."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitsByShank:
    """The units of a stream with their shanks."""

    shanks: NDArray[np.int64]
    """(n,) 0-based physical shank, `NO_SHANK` where it cannot be told."""
    words: str = ""
    """What cannot be told, one sentence; "" when all can."""


def units_by_shank(
    units: StreamUnits, stream: SortedStream | None, probe: Probe | None, recorded: Collection[int]
) -> UnitsByShank:
    """The shank of each unit.

    A stream that was sorted as a whole has no groups; its shanks stand side by side in the sorter's coordinates, a
    pitch apart, and the first shank of the probe lies at 0 whether it was recorded or not. Older readers began at the
    first recorded shank instead: then units lie where no shank was recorded, and none of them is given one.

    Args:
        units: The units.
        stream: The stream as its sorting has it.
        probe: The stream's probe; its part number tells how far apart its shanks stand.
        recorded: 0-based physical shanks that units can be of.
    """
    if len(recorded) == 1:
        return UnitsByShank(np.full(len(units.groups), next(iter(recorded)), dtype=np.int64))
    told, words = np.full(len(units.groups), NO_SHANK, dtype=np.int64), ""
    for shank in stream.shanks if stream is not None else ():
        group = stream.group_of(shank) if stream is not None else None
        told[units.groups == group] = shank
    whole = units.groups == WHOLE
    if whole.any():
        told[whole], words = _by_place(units.x_um[whole], probe, recorded)
    return UnitsByShank(told, words)


def _by_place(
    x_um: NDArray[np.float64], probe: Probe | None, recorded: Collection[int]
) -> tuple[NDArray[np.int64], str]:
    nowhere = np.full(len(x_um), NO_SHANK, dtype=np.int64)
    together = f"The shanks were sorted together: {len(x_um):,} units"
    model = probe_model(probe.part_number) if probe is not None else None
    if model is None or model.shank_pitch_um <= 0:
        return nowhere, f"{together} are drawn on no shank, since how far apart the shanks stand is not known."
    middle_um = float(np.mean([contact.x_um for contact in model_contacts(model.part_number, 0)]))
    steps = (x_um - middle_um) / model.shank_pitch_um
    nearest = np.rint(steps).astype(np.int64)
    stands = np.isin(nearest, list(recorded))
    if np.mean(~stands) > _ASTRAY:
        lost = int((~stands).sum())
        return nowhere, f"{together} are drawn on no shank, since {lost:,} of them lie where no shank was recorded."
    near = stands & (np.abs(steps - nearest) <= _NEAR)
    between = int((~near).sum())
    words = f"{together} were told apart by their places across the probe"
    words += f"; {between:,} lie between the shanks and are drawn on none." if between else "."
    return np.where(near, nearest, NO_SHANK), words
