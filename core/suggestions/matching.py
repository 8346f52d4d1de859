"""One track for one place, the best for all together, and how much worse the next best is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.models import Points

FORBIDDEN = -1e6


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """A choice of at most one place per track, and of one track per place."""

    place: NDArray[np.intp]
    """(n,) chosen place of each track; -1 for none."""
    total: float
    """Sum of the chosen scores; none counts 0."""


def match(scores: Points) -> Matching:
    """The best choice for (n tracks, p places) scores; leaving a track without a place scores 0."""
    from scipy.optimize import linear_sum_assignment  # here, since every command would wait for it at its start

    tracks, places = scores.shape
    # One place of its own for every track stands for "none of them".
    none = np.full((tracks, tracks), FORBIDDEN)
    np.fill_diagonal(none, 0.0)
    rows, columns = linear_sum_assignment(np.hstack([scores, none]), maximize=True)
    chosen = np.full(tracks, -1, dtype=np.intp)
    real = columns < places
    chosen[rows[real]] = columns[real]
    kept = chosen >= 0
    return Matching(chosen, float(scores[np.flatnonzero(kept), chosen[kept]].sum()))


@dataclass(frozen=True, slots=True)
class Margin:
    """What it costs to give a track to another probe."""

    loss: float
    """How much the best sum falls."""
    runner_up: int | None
    """The probe it would be given to; None when none."""


def margins(scores: Points, probe_of_place: NDArray[np.intp], best: Matching) -> tuple[Margin | None, ...]:
    """Per track: how much worse everything gets when its probe is refused to it; None for a track without one."""
    found: list[Margin | None] = []
    for track, place in enumerate(best.place.tolist()):
        if place < 0:
            found.append(None)
            continue
        without = scores.copy()
        without[track, probe_of_place == probe_of_place[place]] = FORBIDDEN
        other = match(without)
        at = int(other.place[track])
        found.append(Margin(best.total - other.total, int(probe_of_place[at]) if at >= 0 else None))
    return tuple(found)
