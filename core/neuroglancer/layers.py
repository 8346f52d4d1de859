"""Annotation layers of a state: their points, what each layer is to a mapping, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.geometry import principal_line
from core.models import AnnotationLayer, Dimension, LayerKind, Points, Problem, Severity
from core.neuroglancer.points import Annotations, read_annotations
from core.neuroglancer.problems import (
    CONVERTER_RANK,
    Surroundings,
    annotation_problems,
    problem,
    space_problems,
    transform_problems,
    unsafe_name,
)
from core.neuroglancer.sources import sources_of, transform_of, urls_of
from core.neuroglancer.spaces import ASSUMED, SPATIAL, matching_rank, read_dimensions, voxel_size_dimensions
from core.strict_json import shown

NOT_A_LINE = 0.15
"""Points are landmarks when their rms distance from a line is more than this share of their extent. Probe tracks
are straight to a few hundredths, also when they bend and when the four shanks of a probe share a layer."""

_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]{3,20}")
_ANNOTATION_TYPES = ("annotation", "pointAnnotation")
_UNTYPED = (None, "auto", "new")
# Words for places along one track; they do not make landmarks of its points.
_ALONG_A_TRACK = {
    "",
    "entry",
    "exit",
    "tip",
    "top",
    "bottom",
    "surface",
    "start",
    "end",
    "first",
    "last",
    "pia",
    "base",
}


def is_annotation_layer(layer: dict[str, object]) -> bool:
    """Whether the layer holds annotations, by its type or, when it has none, by what stands in it."""
    if layer.get("type") in _ANNOTATION_TYPES:
        return True
    holds = isinstance(layer.get("annotations"), list) or isinstance(layer.get("points"), list)
    return layer.get("type") in _UNTYPED and (holds or any(url.startswith("local://") for url in urls_of(layer)))


def read_layer(
    layer: dict[str, object], name: str, place: str, around: Surroundings, name_problems: tuple[Problem, ...] = ()
) -> AnnotationLayer:
    """Read one annotation layer.

    Args:
        layer: Its JSON object.
        name: Its name, "" when it has none.
        place: Where it stands in the state, for errors.
        around: The state's axes and the scale expected.
        name_problems: What is wrong with the name among the state's layers.

    Raises:
        StateError: a coordinate is too large to be one.
    """
    spaces = [
        transform_of(source)["outputDimensions"]
        for source in sources_of(layer)
        if transform_of(source).get("outputDimensions") is not None
    ]
    own = next((read for space in spaces if (read := read_dimensions(space)) is not None), None)
    annotations = read_annotations(layer, len(own) if own else CONVERTER_RANK, place)
    dimensions, origin = _dimensions(layer, own, around)
    if annotations.ranks:
        dimensions = matching_rank(dimensions, annotations.points.shape[1])
    kind, reason = _kind(layer, annotations, _lengths(annotations.points, dimensions))

    problems = [*name_problems, *unsafe_name(name)]
    if annotations.count:
        problems += space_problems(name, spaces, own, dimensions, around)
        problems += transform_problems(name, layer)
        problems += annotation_problems(name, annotations, len(own) if own else CONVERTER_RANK, own is not None)
    if kind is LayerKind.LANDMARKS:
        problems.append(
            problem(
                "N13",
                Severity.INFO,
                name,
                f"The layer looks like landmarks: {reason}",
                "Leave it out of the mapping unless it is a track.",
            )
        )
    color = layer.get("annotationColor")
    archived = layer.get("archived") is True
    return AnnotationLayer(
        name=name,
        kind=kind,
        reason=reason,
        dimensions=dimensions,
        dimensions_from=origin,
        points=annotations.points,
        descriptions=annotations.descriptions,
        color=color if isinstance(color, str) and _COLOR.fullmatch(color) else None,
        visible=not archived and layer.get("visible") is not False and layer.get("hidden") is not True,
        problems=tuple(problems),
    )


def _dimensions(
    layer: dict[str, object], own: tuple[Dimension, ...] | None, around: Surroundings
) -> tuple[tuple[Dimension, ...], str]:
    if own is not None:
        return own, "layer"
    old = voxel_size_dimensions(layer.get("voxelSize"))
    if old is not None:
        return old, "layer"
    return (around.dimensions, "state") if around.dimensions else (ASSUMED, "assumed")


# --- what a layer is ----------------------------------------------------------------------------


def _kind(layer: dict[str, object], annotations: Annotations, lengths: Points) -> tuple[LayerKind, str]:
    if layer.get("archived") is True:
        return LayerKind.ARCHIVED, "archived in Neuroglancer"
    points = len(annotations.points)
    if not annotations.count:
        remote = [url for url in urls_of(layer) if not url.startswith("local://")]
        if remote:
            return LayerKind.SERVER_SIDE, f"its points are on a server ({shown(remote[0])}), not in the state"
        return LayerKind.EMPTY, "no annotations"
    if not points:
        return LayerKind.NOT_POINTS, f"no point among {annotations.count} annotations ({annotations.not_points[0]})"
    named = _distinct_names(annotations.descriptions)
    rms, extent = _straightness(lengths)
    judged = points >= 4 and extent > 0
    beside = judged and rms > NOT_A_LINE * extent
    if named > points / 2 and points >= 2 and (beside or not judged):
        return LayerKind.LANDMARKS, f"{named} of {points} points carry a name of their own"
    if beside:
        return LayerKind.LANDMARKS, f"its points do not lie along a line ({rms / extent:.0%} of the extent off it, rms)"
    return LayerKind.TRACK, f"{points} points" if points > 1 else "1 point"


def _distinct_names(descriptions: Sequence[str]) -> int:
    words = {text.strip().lower() for text in descriptions}
    return sum(not word.isdigit() for word in words - _ALONG_A_TRACK)


def _lengths(points: Points, dimensions: Sequence[Dimension]) -> Points:
    """(n, 3) points along z, y, x in um, or in voxels where the layer has no plausible scale."""
    order = {dimension.name: (i, dimension) for i, dimension in enumerate(dimensions)}
    if not len(points) or not set(SPATIAL) <= order.keys():
        return np.empty((0, 3))
    axes = [order[axis] for axis in SPATIAL]
    known = all(axis.unit == "m" and 1e-12 < axis.scale < 1 for _, axis in axes)
    scales = [axis.scale * 1e6 if known else 1.0 for _, axis in axes]
    spatial: Points = points[:, [i for i, _ in axes]] * np.array(scales)
    return spatial


def _straightness(lengths: Points) -> tuple[float, float]:
    """Rms distance from the principal line, and the extent along it."""
    line = principal_line(lengths)
    return (0.0, 0.0) if line is None else (line.residual_rms_um, float(np.ptp(line.along_um)))
