"""Checks of the layers that are mapped: they exist, are tracks, and mean what the converter takes them for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from core.checks.index import CheckIndex, RowPlace, nearest
from core.models import AnnotationLayer, LayerKind, Problem, Severity
from core.rules import problem


def check_state(index: CheckIndex) -> Iterator[Problem]:
    """Problems of the state as a whole and of every mapped layer."""
    brainless = not any(image.asset for image in index.state.images)
    for known in index.state.problems:
        # A state without a brain can be looked at, but not converted.
        yield replace(known, severity=Severity.ERROR) if brainless and known.rule == "N3" else known
    for name, numbers in index.by_track.items():
        if not name:
            continue
        place = index.at(numbers[0])
        layers = index.layers.get(name, [])
        if not layers:
            yield _no_layer(index, name, place)
            continue
        own = list(_layer(index, layers, place))
        yield from own
        # Judged here with more knowledge than the state alone has: the severity of a mapped layer, the true voxel.
        judged = {each.rule for each in own} | {"N13", "N16"} | ({"N10"} if index.frame else set())
        for known in layers[0].problems:
            if known.rule not in judged:
                where = replace(known.where, row=place["row"], track=name, recording=place["recording"])
                yield replace(known, where=where)


def _no_layer(index: CheckIndex, name: str, place: RowPlace) -> Problem:
    near = nearest(name, index.layers)
    alike = f"; the nearest is {near!r}" if near else ""
    return problem(
        "N8",
        f"The state has no annotation layer of exactly this name: {name!r}{alike}.",
        column="histology_track_id",
        measured=0,
        threshold=1,
        **place,
    )


def _layer(index: CheckIndex, layers: list[AnnotationLayer], place: RowPlace) -> Iterator[Problem]:
    layer = layers[0]
    if len(layers) > 1:
        yield problem(
            "N8",
            f"The state has {len(layers)} annotation layers named {layer.name!r}.",
            column="histology_track_id",
            measured=len(layers),
            threshold=1,
            **place,
        )
    if layer.kind in (LayerKind.EMPTY, LayerKind.NOT_POINTS, LayerKind.SERVER_SIDE):
        yield problem("N15", f"The layer {layer.name!r} cannot be converted: {layer.reason}", **place)
        return
    if layer.kind is LayerKind.LANDMARKS:
        yield problem("N13", f"The layer {layer.name!r} looks like landmarks: {layer.reason}", **place)
    if layer.kind is LayerKind.ARCHIVED:
        yield problem("N16", f"The layer {layer.name!r} is archived.", **place)
    yield from _point_count(index, layer, place)
    yield from _scale(index, layer, place)


@lru_cache(maxsize=512)
def _places(layer: AnnotationLayer) -> int:
    """Points in different places. Editing a mapping moves none, so they are counted once."""
    return len(set(map(tuple, layer.points.tolist())))


def _point_count(index: CheckIndex, layer: AnnotationLayer, place: RowPlace) -> Iterator[Problem]:
    """Points in different places count: a line needs two of them."""
    count = _places(layer)
    fewest, few, many = index.limits.fewest_points, index.limits.few_points, index.limits.many_points
    if count < few:
        too_few = count < fewest
        doubled = f" in different places, of {len(layer.points)}" if count < len(layer.points) else ""
        yield problem(
            "T1",
            f"The track has {count} point{'' if count == 1 else 's'}{doubled}.",
            severity=Severity.ERROR if too_few else Severity.WARNING,
            measured=count,
            threshold=fewest if too_few else few,
            **place,
        )
    elif count > many:
        yield problem(
            "T1",
            f"The track has {count} points, many for a line.",
            severity=Severity.INFO,
            cure="Nothing to do, unless several tracks were drawn into one layer.",
            measured=count,
            threshold=many,
            **place,
        )


def _scale(index: CheckIndex, layer: AnnotationLayer, place: RowPlace) -> Iterator[Problem]:
    """The layer's voxel against the image's: the converter takes the numbers for full-resolution voxels."""
    if index.frame is None:
        return
    true = dict(zip("xyz", index.frame.scale_level0_um_xyz, strict=True))
    differ = {}
    for axis, voxel in true.items():
        own = layer.scale_um(axis)
        if own is not None and abs(own - voxel) > index.limits.same_scale * voxel:
            differ[axis] = own
    if differ:
        mine = ", ".join(f"{axis} {value:g}" for axis, value in differ.items())
        image = ", ".join(f"{axis} {true[axis]:g}" for axis in differ)
        yield problem(
            "N10",
            f"The layer's voxels are {mine} um, the image's {image} um.",
            measured=mine,
            threshold=image,
            **place,
        )
