"""Checks of the drawn points: inside the image, straight, in order, of a probe's length, not on top of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.brain_pose import Stretches
from core.checks.index import CheckIndex
from core.checks.thresholds import Thresholds
from core.models import AnnotationLayer, ImageFrame, Problem
from core.rules import problem
from core.track_geometry import doubled_points

_REMEMBERED = 512
MOST_PAIRS = 50
"""Coinciding pairs that are listed per recording."""
_SAMPLES = np.linspace(0.0, 1.0, 8)
_FINE_SAMPLES = np.linspace(0.0, 1.0, 64)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Straight lines through n tracks."""

    names: tuple[str, ...]
    ends_um_zyx: Floats
    """(n, 2, 3) ends of each line, in um along the image's z, y, x."""
    residual_um: Floats
    """(n,) largest distance of a point from its line."""
    rms_um: Floats
    """(n,) root mean square of the points' distances from it."""
    explained: Floats
    """(n,) share of the points' variance along it, 0 to 1."""
    length_um: Floats
    backstep_um: Floats
    """(n,) longest step against the direction of drawing."""
    gap_um: Floats
    """(n,) largest gap between neighbours along the line."""
    doubled: Floats
    """(n,) points that were clicked twice."""
    first_um_zyx: Floats
    """(n, 3) first and last point as drawn."""
    last_um_zyx: Floats


def check_tracks(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of the mapped tracks' geometry."""
    same_um = index.limits.same_point_um
    mapped = [index.layers[name][0] for name in index.by_track if name in index.layers]
    measured = [each for layer in mapped if (each := _measure(layer, index.frame, same_um)) is not None]
    if not measured:
        return
    if index.frame is not None:
        yield from _outside(index, measured, index.frame)
    lines = _joined([each.lines for each in measured])
    for i in np.flatnonzero(_odd_shape(lines, index.limits)):
        yield from _shape(index, lines, int(i))
    if index.frame is not None:
        yield from _depth(index, lines, index.frame)
    yield from _coinciding(index, lines)
    yield from _crossing(index, lines)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """One track. Editing a mapping moves no point, so each is measured once and remembered."""

    name: str
    count: int
    outside: int
    """Points outside the image."""
    first_outside_zyx: tuple[float, ...]
    lines: _Lines
    """One line; none without two points or a scale."""


@lru_cache(maxsize=_REMEMBERED)
def _measure(layer: AnnotationLayer, frame: ImageFrame | None, same_point_um: float) -> _Measured | None:
    points = layer.points_level0_zyx
    if not len(points):
        return None
    scale = frame.scale_level0_um_xyz if frame else [layer.scale_um(axis) or np.nan for axis in "xyz"]
    out = np.zeros(len(points), dtype=bool)
    if frame is not None and min(frame.shape_level0_zyx) > 0:
        shape = np.asarray(frame.shape_level0_zyx, dtype=np.float64)
        out = ((points < -0.5) | (points > shape - 0.5)).any(axis=1)
    first = tuple(points[int(out.argmax())].tolist()) if out.any() else ()
    lines = _fit(layer.name, points, np.array(scale[::-1]), same_point_um)
    return _Measured(layer.name, len(points), int(out.sum()), first, lines)


# --- in the image -------------------------------------------------------------------------------


def _outside(index: CheckIndex, measured: list[_Measured], frame: ImageFrame) -> Iterator[Problem]:
    for each in measured:
        if each.outside:
            z, y, x = each.first_outside_zyx
            yield problem(
                "T8",
                f"{each.outside} of {each.count} points lie outside the image, e.g. x {x:.0f}, y {y:.0f}, z {z:.0f}.",
                measured=each.outside,
                threshold="x {2:.0f}, y {1:.0f}, z {0:.0f}".format(*map(float, frame.shape_level0_zyx)),
                **index.at(index.by_track[each.name][0]),
            )


# --- lines --------------------------------------------------------------------------------------


def _fit(name: str, points_level0_zyx: Floats, scale_um_zyx: Floats, same_point_um: float) -> _Lines:
    """The straight line through a track; none when it has one point or no scale."""
    if len(points_level0_zyx) < 2 or not np.isfinite(scale_um_zyx).all():
        none = np.empty(0)
        nowhere = np.empty((0, 3))
        return _Lines((), np.empty((0, 2, 3)), none, none, none, none, none, none, none, nowhere, nowhere)
    points = points_level0_zyx * scale_um_zyx
    centre = points.mean(axis=0)
    offsets = points - centre
    direction = np.linalg.eigh(offsets.T @ offsets)[1][:, 2]
    # One sense for all, so that tracks drawn in opposite order can be compared.
    direction = direction * (-1.0 if direction[np.abs(direction).argmax()] < 0 else 1.0)
    along = offsets @ direction
    away = np.linalg.norm(offsets - along[:, None] * direction, axis=1)
    variance = float((offsets**2).sum())
    low, high = float(along.min()), float(along.max())
    sense = -1.0 if along[-1] < along[0] else 1.0
    return _Lines(
        names=(name,),
        ends_um_zyx=(centre + np.array([[low], [high]]) * direction)[None],
        residual_um=np.array([away.max()]),
        rms_um=np.array([np.sqrt((away**2).mean())]),
        explained=np.array([float(along @ along) / variance if variance > 0 else 1.0]),
        length_um=np.array([high - low]),
        backstep_um=np.array([max(0.0, float((-np.diff(along) * sense).max()))]),
        gap_um=np.array([np.diff(np.sort(along)).max()]),
        doubled=np.array([float(doubled_points(points, same_point_um))]),
        first_um_zyx=points[:1],
        last_um_zyx=points[-1:],
    )


def _joined(lines: list[_Lines]) -> _Lines:
    arrays = (field.name for field in fields(_Lines) if field.name != "names")
    return _Lines(
        names=tuple(name for each in lines for name in each.names),
        **{name: np.concatenate([getattr(each, name) for each in lines]) for name in arrays},
    )


def _odd_shape(lines: _Lines, limits: Thresholds) -> NDArray[np.bool_]:
    """(n,) whether `_shape` has anything to say."""
    too_long = (lines.length_um < limits.shortest_um) | (lines.length_um > limits.longest_um)
    jumps = (lines.backstep_um > limits.backstep_um) | (lines.gap_um > limits.gap_um)
    return (lines.residual_um > limits.off_line_um) | jumps | too_long | (lines.doubled > 0)


def _shape(index: CheckIndex, lines: _Lines, i: int) -> Iterator[Problem]:
    limits, place = index.limits, index.at(index.by_track[lines.names[i]][0])
    residual, length = float(lines.residual_um[i]), float(lines.length_um[i])
    if residual > limits.off_line_um:
        grave = residual > limits.off_line_grave_um
        more = "; this is hardly one track" if grave else ""
        rms, explained = float(lines.rms_um[i]), float(lines.explained[i])
        yield problem(
            "T2",
            f"A point lies {residual:.0f} um from the track's straight line, all of them {rms:.0f} um (RMS); "
            f"{explained:.1%} of their variance lies along it{more}.",
            measured=f"{residual:.1f} um at most, {rms:.1f} um RMS, {explained:.1%} explained",
            threshold=limits.off_line_grave_um if grave else limits.off_line_um,
            **place,
        )
    if lines.backstep_um[i] > limits.backstep_um:
        yield problem(
            "T3",
            f"The points go back by {lines.backstep_um[i]:.0f} um along the track.",
            cure=_how_to_sort(index.frame),
            measured=round(float(lines.backstep_um[i]), 1),
            threshold=limits.backstep_um,
            **place,
        )
    if lines.gap_um[i] > limits.gap_um:
        yield problem(
            "T4",
            f"There is a gap of {lines.gap_um[i]:.0f} um between points.",
            measured=round(float(lines.gap_um[i]), 1),
            threshold=limits.gap_um,
            **place,
        )
    doubled = int(lines.doubled[i])
    if doubled:
        yield problem(
            "T4",
            f"{doubled} points have another one within {limits.same_point_um:g} um: they were clicked twice, and count "
            "twice where the track is fitted.",
            cure="Delete the second of each, or leave them: the line hardly moves.",
            measured=f"{doubled} points",
            threshold=f"{limits.same_point_um:g} um apart",
            **place,
        )
    if not limits.shortest_um <= length <= limits.longest_um:
        short = length < limits.shortest_um
        yield problem(
            "T5",
            f"The track is {length:.0f} um long, {'very short' if short else 'longer than a probe'}.",
            measured=round(length, 1),
            threshold=limits.shortest_um if short else limits.longest_um,
            **place,
        )


def _how_to_sort(frame: ImageFrame | None) -> str:
    """How a track is put in order: no tool here changes a state, so that it stays what was drawn."""
    axis = next((i for i, letter in enumerate(frame.directions_xyz) if letter in "SI"), None) if frame else None
    if frame is None or axis is None:
        return "Draw it again from the surface to the tip, or sort the layer's points so in the state's JSON."
    way = "falling" if frame.directions_xyz[axis] == "S" else "rising"
    return (
        f"Draw it again from the surface to the tip, or sort the layer's annotations in the state's JSON by {way} "
        f"{'xyz'[axis]}, and open that state."
    )


def _depth(index: CheckIndex, lines: _Lines, frame: ImageFrame) -> Iterator[Problem]:
    limits = index.limits
    axis = next((i for i, letter in enumerate(reversed(frame.directions_xyz)) if letter in "SI"), None)
    if axis is None:
        return
    up = 1.0 if frame.directions_xyz[2 - axis] == "S" else -1.0
    depth = np.abs(lines.ends_um_zyx[:, 1, axis] - lines.ends_um_zyx[:, 0, axis])
    rise = up * (lines.last_um_zyx[:, axis] - lines.first_um_zyx[:, axis])
    share = depth / np.maximum(lines.length_um, 1e-9)
    flat = (share < limits.steepest_share) & (lines.length_um > 0)
    for i in np.flatnonzero(flat | (rise > limits.backstep_um)):
        place = index.at(index.by_track[lines.names[i]][0])
        if flat[i]:
            yield problem(
                "T9",
                f"Only {share[i]:.0%} of the track's length goes in depth.",
                measured=round(float(share[i]), 3),
                threshold=limits.steepest_share,
                **place,
            )
        else:
            yield problem(
                "T3",
                f"The first point lies {rise[i]:.0f} um deeper than the last: the track was drawn from the tip.",
                cure=_how_to_sort(frame),
                measured=round(float(rise[i]), 1),
                threshold=limits.backstep_um,
                **place,
            )


# --- two tracks in one place --------------------------------------------------------------------


def _coinciding(index: CheckIndex, lines: _Lines) -> Iterator[Problem]:
    from scipy.spatial import cKDTree  # here, since every command would wait for it at its start

    limits, number = index.limits, {name: i for i, name in enumerate(lines.names)}
    starts, ends = lines.ends_um_zyx[:, :1], lines.ends_um_zyx[:, 1:]
    samples = starts + (ends - starts) * _SAMPLES[None, :, None]
    for rows in index.by_recording.values():
        tracks = dict.fromkeys(index.rows[row].histology_track_id for row in rows)
        members = [number[track] for track in tracks if track in number]
        if len(members) < 2:
            continue
        # The mean distance of two tracks is never less than the distance of their means.
        near = cKDTree(samples[members].mean(axis=1)).query_pairs(limits.same_place_um, output_type="ndarray")
        if len(near) == 0:
            continue
        one, other = np.asarray(members)[near[:, 0]], np.asarray(members)[near[:, 1]]
        distance = np.linalg.norm(samples[one] - samples[other], axis=2).mean(axis=1)
        close = np.flatnonzero(distance < limits.same_place_um)
        for pair in close[:MOST_PAIRS]:
            a, b = lines.names[one[pair]], lines.names[other[pair]]
            yield problem(
                "R4",
                f"The tracks {a!r} and {b!r} lie {distance[pair]:.0f} um apart on average.",
                measured=round(float(distance[pair]), 1),
                threshold=limits.same_place_um,
                **index.at(index.by_track[b][0]),
            )


def _crossing(index: CheckIndex, lines: _Lines) -> Iterator[Problem]:
    """Tracks of two probes of one recording that touch each other somewhere, but do not coincide."""
    limits, number = index.limits, {name: i for i, name in enumerate(lines.names)}
    for rows in index.by_recording.values():
        own = {index.rows[row].histology_track_id: index.rows[row] for row in rows}
        names = [name for name in own if name in number]
        at = [number[name] for name in names]
        if len(at) < 2:
            continue
        starts, ends = lines.ends_um_zyx[at, 0], lines.ends_um_zyx[at, 1]
        samples = starts[:, None] + (ends - starts)[:, None] * _FINE_SAMPLES[None, :, None]
        nearest = Stretches(starts, ends).distances_um(samples.reshape(-1, 3)).reshape(len(at), len(at), -1).min(axis=2)
        coarse = samples[:, :: len(_FINE_SAMPLES) // 8]
        reach = limits.same_place_um
        for i, j in np.argwhere(np.triu(nearest < limits.crossing_um, 1))[:MOST_PAIRS].tolist():
            one, other = own[names[i]], own[names[j]]
            probes = {row.logical_probe or row.ephys_collection for row in (one, other)}
            together = (np.linalg.norm(coarse[i] - way, axis=1).mean() < reach for way in (coarse[j], coarse[j][::-1]))
            if len(probes) == 2 and not any(together):
                yield problem(
                    "R4",
                    f"The tracks {names[i]!r} and {names[j]!r} of two probes come within {nearest[i, j]:.0f} um.",
                    measured=round(float(nearest[i, j]), 1),
                    threshold=limits.crossing_um,
                    **index.at(index.by_track[names[j]][0]),
                )
