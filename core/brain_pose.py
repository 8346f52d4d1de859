"""How the drawn brain lies to the frame in which its insertions were planned: turned, moved, shrunk.

Cleared brains are imaged tilted and change their size, each as a whole. So plans are compared with tracks up to one
turn, one shift and one scale for the brain, estimated from all probes together. Every estimate is robust: a probe
that disagrees with the others loses its say instead of pulling them along. And each is held by what is usual of
brains, so that two swapped probes cannot be explained by a brain that was imaged upside down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from core.models import Points
from core.plans import planned_directions

TILT_DEG = 9.0
"""Usual tilt of a brain in its image."""
SCALE_SHARE = 0.085
"""Usual change of size of cleared tissue."""
ANGLE_DEG = 3.0
"""Usual difference of a track from its plan's direction."""
PLACE_UM = 350.0
"""Usual distance of a track from its aim."""
LENGTH_ERROR = 0.08
"""Usual difference of a drawn length from the insertion's, as a share."""
PITCH_ERROR = 0.05
"""Usual error of a scale that comes from the distances of a probe's shanks."""
_COARSE_TO_FINE = (12.0, 8.0, 5.0, 3.0, 3.0, 3.0, 3.0)
"""How many usual errors off a probe loses its say, pass by pass: the later, the stricter."""

_SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


# --- turning ------------------------------------------------------------------------------------


def rotation(turn: Points) -> Points:
    """(3, 3) rotation about the axis of a (3,) vector by its length in radians."""
    angle = float(np.linalg.norm(turn))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = turn / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross))


def _crosses(vectors: Points) -> Points:
    """(n, 3, 3) matrices M with M @ turn = turn x vector."""
    x, y, z = np.asarray(vectors).T
    none = np.zeros_like(x)
    return np.stack([np.stack([none, z, -y], 1), np.stack([-z, none, x], 1), np.stack([y, -x, none], 1)], 1)


@dataclass(frozen=True, slots=True, eq=False)
class Tilt:
    """How the brain is turned against the frame of the manipulators' angles."""

    matrix: Points
    """(3, 3) from the planned frame to the drawn one."""
    signs: tuple[int, int]
    """What a positive arc and module mean in this lab."""
    tilt_deg: float

    def directions(self, angles_deg: Points) -> Points:
        """(n, 3) unit vectors in the drawn brain for (n, 2) planned arc and module angles."""
        return np.asarray(planned_directions(angles_deg, self.signs) @ self.matrix.T)


def fit_tilt(angles_deg: Points, drawn: Points) -> Tilt:
    """The turn that brings planned directions onto drawn ones best.

    Args:
        angles_deg: (n, 2) planned arc and module.
        drawn: (n, 3) unit vectors of the same probes' tracks, from entry to tip.
    """
    fits = [(*_fit_turn(planned_directions(angles_deg, signs), drawn), signs) for signs in _SIGNS]
    # With equal costs (all probes upright) the first: the plain meaning of the signs.
    turn, _, signs = min(fits, key=lambda fit: round(fit[1], 6))
    return Tilt(rotation(turn), signs, float(np.degrees(np.linalg.norm(turn))))


def _fit_turn(planned: Points, drawn: Points) -> tuple[Points, float]:
    sigma, prior = np.radians(ANGLE_DEG), np.radians(TILT_DEG)
    turn = np.zeros(3)
    for reach in _COARSE_TO_FINE:
        moved = planned @ rotation(turn).T
        off = drawn - moved
        say = _say((off**2).sum(axis=1) / sigma**2, reach)
        slope = _crosses(moved)
        normal = np.einsum("n,nki,nkj->ij", say, slope, slope) / sigma**2 + np.eye(3) / prior**2
        turn = turn + np.linalg.solve(normal, np.einsum("n,nki,nk->i", say, slope, off) / sigma**2 - turn / prior**2)
    off = drawn - planned @ rotation(turn).T
    cost = _cost((off**2).sum(axis=1) / sigma**2, _COARSE_TO_FINE[-1]) + float(turn @ turn) / prior**2
    return turn, cost


def _say(squared: Points, reach: float) -> Points:
    """Weight of a probe by its squared error in usual errors: 1 when small, next to nothing beyond `reach`."""
    return np.asarray(1.0 / (1.0 + squared / reach**2) ** 2)


def _cost(squared: Points, reach: float) -> float:
    return float((squared / (1.0 + squared / reach**2)).sum())


# --- scale --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scale:
    """Drawn lengths over true ones, and how sure that is."""

    scale: float
    share: float
    """Usual error, as a share."""


def fit_scale(ratios: Sequence[tuple[float, float]]) -> Scale:
    """The brain's scale from (drawn over true, usual error as a share); without any, what is usual of tissue."""
    values = np.array([log(ratio) for ratio, _ in ratios] or [0.0])
    sigmas = np.array([share for _, share in ratios] or [np.inf])
    found, weight = float(np.median(values)) / 2.0, 1.0
    for reach in (6.0, 4.0, 3.0, 3.0, 3.0):
        say = _say(((values - found) / sigmas) ** 2, reach) / sigmas**2
        weight = float(say.sum()) + 1.0 / SCALE_SHARE**2
        found = float((say * values).sum()) / weight
    return Scale(exp(found), weight**-0.5)


# --- place --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """n tracks from entry to tip, (n, 3) um each, in one frame."""

    entry_um: Points
    tip_um: Points

    def nearest_um(self, points_um: Points) -> Points:
        """(n, 3) the place of each track that is nearest to its point, of (n, 3)."""
        way = self.tip_um - self.entry_um
        long = np.maximum((way**2).sum(axis=1), 1e-9)
        share = np.clip(((points_um - self.entry_um) * way).sum(axis=1) / long, 0.0, 1.0)
        return np.asarray(self.entry_um + share[:, None] * way)

    def distances_um(self, points_um: Points) -> Points:
        """(n, m) distance of every track from every one of (m, 3) points."""
        way = self.tip_um - self.entry_um
        long = np.maximum((way**2).sum(axis=1), 1e-9)
        apart = points_um[None] - self.entry_um[:, None]
        share = np.clip(np.einsum("nmk,nk->nm", apart, way) / long[:, None], 0.0, 1.0)
        return np.asarray(np.linalg.norm(apart - share[..., None] * way[:, None], axis=2))

    def right_at_um(self, points_um: Points) -> Points:
        """(n, m) how far to the right every track lies where it passes level with every one of (m, 3) points.

        Level with a point is the place whose front and up are nearest to the point's: of a track and its mirror image
        the same, so that the one is as far left as the other is right.
        """
        way = self.tip_um - self.entry_um
        long = np.maximum((way[:, 1:] ** 2).sum(axis=1), 1e-9)
        apart = points_um[None] - self.entry_um[:, None]
        share = np.clip(np.einsum("nmk,nk->nm", apart[..., 1:], way[:, 1:]) / long[:, None], 0.0, 1.0)
        return np.asarray(self.entry_um[:, :1] + share * way[:, :1])

    def take(self, which: Sequence[int]) -> Stretches:
        """Some of the tracks."""
        rows = list(which)
        return Stretches(self.entry_um[rows], self.tip_um[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where planned points lie in the drawn brain: `scale * turned + shift`."""

    matrix: Points
    """(3, 3) rotation."""
    scale: float
    shift_um: Points
    """(3,)."""

    def points(self, planned_um: Points) -> Points:
        """(n, 3) planned points in the drawn brain."""
        return np.asarray(self.scale * planned_um @ self.matrix.T + self.shift_um)


@dataclass(frozen=True, slots=True, eq=False)
class UsualPlace:
    """What is believed of a place before any track is looked at."""

    tilt_deg: float = TILT_DEG
    scale: Scale = Scale(1.0, SCALE_SHARE)
    shift_error_um: float | None = None
    """Usual error of a shift of none; None when the shift can be anything."""


IN_THE_IMAGE = UsualPlace()
IN_THE_ATLAS = UsualPlace(tilt_deg=4.0, scale=Scale(1.0, 0.04), shift_error_um=300.0)
"""After the affines, that leave some hundred micrometres."""


def fit_place(
    planned_um: Points, tracks: Stretches, usual: UsualPlace = IN_THE_IMAGE, start: Place | None = None
) -> Place:
    """The place in which planned points lie nearest to their tracks.

    Args:
        planned_um: (n, 3) aims, n at least 1.
        tracks: The n tracks, in the same order.
        usual: What holds the estimate where tracks say little.
        start: Where to begin; without it, from the middle of all when the shift is free.
    """
    free = usual.shift_error_um is None
    centre = np.median(planned_um, axis=0)
    offsets = planned_um - centre
    turn, size = np.zeros(3), log(usual.scale.scale)
    if start is not None:
        turn, size = _turn_of(start.matrix), log(start.scale)
        shift = start.points(centre[None])[0]
    elif free:
        shift = np.median(tracks.tip_um - offsets, axis=0)
    else:
        shift = centre.copy()
    tie = 0.0 if usual.shift_error_um is None else PLACE_UM**2 / usual.shift_error_um**2
    held = np.array(
        [*[PLACE_UM**2 / np.radians(usual.tilt_deg) ** 2] * 3, PLACE_UM**2 / usual.scale.share**2, *[tie] * 3]
    )
    for reach in _COARSE_TO_FINE[1:] if start is None else _COARSE_TO_FINE[2:]:
        moved = exp(size) * offsets @ rotation(turn).T
        places = moved + shift
        off = tracks.nearest_um(places) - places
        say = _say((off**2).sum(axis=1) / PLACE_UM**2, reach)
        slope = np.concatenate(
            [_crosses(moved), moved[:, :, None], np.broadcast_to(np.eye(3), (len(moved), 3, 3))], axis=2
        )
        pull = np.array([*-turn, log(usual.scale.scale) - size, *(centre - shift)]) * held
        normal = np.einsum("n,nki,nkj->ij", say, slope, slope) + np.diag(held + 1e-9)
        step = np.linalg.solve(normal, np.einsum("n,nki,nk->i", say, slope, off) + pull)
        turn, size, shift = turn + step[:3], size + float(step[3]), shift + step[4:]
    matrix = rotation(turn)
    return Place(matrix, exp(size), shift - exp(size) * matrix @ centre)


def _turn_of(matrix: Points) -> Points:
    """The (3,) rotation vector of a rotation that is not half a turn."""
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / 2.0
    sine = float(np.linalg.norm(axis))
    if sine < 1e-12:
        return np.zeros(3)
    return np.asarray(axis * (np.arctan2(sine, (np.trace(matrix) - 1.0) / 2.0) / sine))
