"""Checks of the drawn points: inside the image, straight, in order, of a probe's length, not on top of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.brain_pose import Stretches
from core.checks.index import CheckIndex
from core.checks.thresholds import Thresholds
from core.models import AnnotationLayer, ImageFrame, Problem
from core.rules import problem

MOST_PAIRS = 50
"""Coinciding pairs that are listed per recording."""
_SAMPLES = np.linspace(0.0, 1.0, 8)
_FINE_SAMPLES = np.linspace(0.0, 1.0, 64)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Straight lines through n tracks, computed for all of them at once."""

    names: tuple[str, ...]
    ends_um_zyx: Floats
    """(n, 2, 3) ends of each line, in um along the image's z, y, x."""
    residual_um: Floats
    """(n,) largest distance of a point from its line."""
    length_um: Floats
    backstep_um: Floats
    """(n,) longest step against the direction of drawing."""
    gap_um: Floats
    """(n,) largest gap between neighbours along the line."""
    first_um_zyx: Floats
    """(n, 3) first and last point as drawn."""
    last_um_zyx: Floats


def check_tracks(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of the mapped tracks' geometry."""
    clouds = _gather([index.layers[name][0] for name in index.by_track if name in index.layers], index.frame)
    if clouds is None:
        return
    if index.frame is not None:
        yield from _outside(index, clouds, index.frame)
    lines = _fit(clouds)
    for i in np.flatnonzero(_odd_shape(lines, index.limits)):
        yield from _shape(index, lines, int(i))
    if index.frame is not None:
        yield from _depth(index, lines, index.frame)
    yield from _coinciding(index, lines)
    yield from _crossing(index, lines)


@dataclass(frozen=True, slots=True, eq=False)
class _Clouds:
    """The points of n tracks one after the other."""

    names: tuple[str, ...]
    counts: NDArray[np.intp]
    """(n,) points of each track, at least one."""
    starts: NDArray[np.intp]
    owner: NDArray[np.intp]
    """(points,) track of each point."""
    points_level0_zyx: Floats
    scale_um_zyx: Floats
    """(n, 3) voxel of each track; NaN where unknown."""


def _gather(layers: list[AnnotationLayer], frame: ImageFrame | None) -> _Clouds | None:
    names, points, scales = [], [], []
    for layer in layers:
        own = layer.points_level0_zyx
        if len(own):
            scale = frame.scale_level0_um_xyz if frame else [layer.scale_um(axis) or np.nan for axis in "xyz"]
            names.append(layer.name)
            points.append(own)
            scales.append(scale[::-1])
    if not names:
        return None
    counts = np.array([len(each) for each in points])
    return _Clouds(
        names=tuple(names),
        counts=counts,
        starts=np.cumsum(counts) - counts,
        owner=np.repeat(np.arange(len(names)), counts),
        points_level0_zyx=np.concatenate(points),
        scale_um_zyx=np.array(scales, dtype=np.float64),
    )


# --- in the image -------------------------------------------------------------------------------


def _outside(index: CheckIndex, clouds: _Clouds, frame: ImageFrame) -> Iterator[Problem]:
    shape = np.asarray(frame.shape_level0_zyx, dtype=np.float64)
    if shape.min() <= 0:
        return
    points = clouds.points_level0_zyx
    out = ((points < -0.5) | (points > shape - 0.5)).any(axis=1)
    tracks, firsts, outside = np.unique(clouds.owner[out], return_index=True, return_counts=True)
    for i, (z, y, x), count in zip(tracks, points[out][firsts], outside, strict=True):
        name = clouds.names[i]
        yield problem(
            "T8",
            f"{count} of {clouds.counts[i]} points lie outside the image, e.g. x {x:.0f}, y {y:.0f}, z {z:.0f}.",
            measured=int(count),
            threshold="x {2:.0f}, y {1:.0f}, z {0:.0f}".format(*shape),
            **index.at(index.by_track[name][0]),
        )


# --- lines --------------------------------------------------------------------------------------


def _fit(clouds: _Clouds) -> _Lines:
    """Straight lines through the tracks that have two points and a scale."""
    usable = (clouds.counts >= 2) & np.isfinite(clouds.scale_um_zyx).all(axis=1)
    counts = clouds.counts[usable]
    starts, lasts = np.cumsum(counts) - counts, np.cumsum(counts) - 1
    owner = np.repeat(np.arange(len(counts)), counts)
    names = tuple(name for name, use in zip(clouds.names, usable, strict=True) if use)
    points = (clouds.points_level0_zyx * clouds.scale_um_zyx[clouds.owner])[usable[clouds.owner]]
    if not names:
        none = np.empty(0)
        return _Lines(names, np.empty((0, 2, 3)), none, none, none, none, np.empty((0, 3)), np.empty((0, 3)))
    centres = np.add.reduceat(points, starts) / counts[:, None]
    offsets = points - centres[owner]
    spread = np.add.reduceat(offsets[:, :, None] * offsets[:, None, :], starts)
    directions = np.linalg.eigh(spread)[1][:, :, 2]
    # One sense for all, so that tracks drawn in opposite order can be compared.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    along = (offsets * directions[owner]).sum(axis=1)
    residual = np.linalg.norm(offsets - along[:, None] * directions[owner], axis=1)
    low, high = np.minimum.reduceat(along, starts), np.maximum.reduceat(along, starts)
    sense = np.where(along[lasts] < along[starts], -1.0, 1.0)
    inner = np.ones(len(points), dtype=bool)
    inner[starts] = False
    steps = np.diff(along, prepend=along[0])
    in_order = along[np.lexsort((along, owner))]
    gaps = np.diff(in_order, prepend=in_order[0])
    return _Lines(
        names=names,
        ends_um_zyx=centres[:, None, :] + np.stack([low, high], axis=1)[:, :, None] * directions[:, None, :],
        residual_um=np.maximum.reduceat(residual, starts),
        length_um=high - low,
        backstep_um=np.maximum.reduceat(np.where(inner, -steps * sense[owner], 0.0), starts),
        gap_um=np.maximum.reduceat(np.where(inner, gaps, 0.0), starts),
        first_um_zyx=points[starts],
        last_um_zyx=points[lasts],
    )


def _odd_shape(lines: _Lines, limits: Thresholds) -> NDArray[np.bool_]:
    """(n,) whether `_shape` has anything to say."""
    too_long = (lines.length_um < limits.shortest_um) | (lines.length_um > limits.longest_um)
    jumps = (lines.backstep_um > limits.backstep_um) | (lines.gap_um > limits.gap_um)
    return (lines.residual_um > limits.off_line_um) | jumps | too_long


def _shape(index: CheckIndex, lines: _Lines, i: int) -> Iterator[Problem]:
    limits, place = index.limits, index.at(index.by_track[lines.names[i]][0])
    residual, length = float(lines.residual_um[i]), float(lines.length_um[i])
    if residual > limits.off_line_um:
        grave = residual > limits.off_line_grave_um
        more = "; this is hardly one track" if grave else ""
        yield problem(
            "T2",
            f"A point lies {residual:.0f} um from the track's straight line{more}.",
            measured=round(residual, 1),
            threshold=limits.off_line_grave_um if grave else limits.off_line_um,
            **place,
        )
    if lines.backstep_um[i] > limits.backstep_um:
        yield problem(
            "T3",
            f"The points go back by {lines.backstep_um[i]:.0f} um along the track.",
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
    if not limits.shortest_um <= length <= limits.longest_um:
        short = length < limits.shortest_um
        yield problem(
            "T5",
            f"The track is {length:.0f} um long, {'very short' if short else 'longer than a probe'}.",
            measured=round(length, 1),
            threshold=limits.shortest_um if short else limits.longest_um,
            **place,
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
