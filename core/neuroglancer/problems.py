"""What the converter would stumble over in an annotation layer, as problems with a cure (N rules).

The converter finds a layer by its exact name, takes every annotation for a point, and takes the numbers for
level-0 voxels in the order of the layer's own `outputDimensions`. Whatever breaks one of these is a problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.models import Dimension, Points, Problem, Severity, Where
from core.neuroglancer.points import Annotations
from core.neuroglancer.sources import sources_of, transform_of
from core.neuroglancer.spaces import SPATIAL, order_of, read_dimensions
from core.strict_json import shown

SAME_SCALE = 1e-4
"""Scales count as equal when they differ by less than this share."""
CONVERTER_RANK = 4
"""How many numbers the converter wants in a point of a layer that declares no space."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a layer is compared with."""

    dimensions: tuple[Dimension, ...]
    """The state's own axes; () when it has none."""
    reference: tuple[Dimension, ...]
    """The axes whose scale a layer should have."""
    reference_name: str
    """Whose axes these are, in words."""


def problem(
    rule: str,
    severity: Severity,
    name: str,
    message: str,
    cure: str,
    measured: str | float | None = None,
    threshold: str | float | None = None,
) -> Problem:
    """A problem of the layer of this name."""
    return Problem(rule, severity, message, cure, Where(track=name), measured, threshold)


# --- the coordinate space -----------------------------------------------------------------------


def space_problems(
    name: str,
    spaces: Sequence[object],
    own: tuple[Dimension, ...] | None,
    dimensions: tuple[Dimension, ...],
    around: Surroundings,
) -> list[Problem]:
    """What is wrong with the space that the layer's numbers are in.

    Args:
        name: The layer's name.
        spaces: Its sources' `outputDimensions` as written, in any form.
        own: The first of them that could be read.
        dimensions: The axes that its points are taken for.
        around: The state's axes and the scale expected.
    """
    redraw = "Draw the track again in a new annotation layer of this brain."
    if own is None and spaces:
        return [
            problem(
                "N12",
                Severity.ERROR,
                name,
                "The layer's outputDimensions cannot be read.",
                "Each axis is written as name: [scale, unit]. " + redraw,
            )
        ]
    if own is None:
        seen = f"the state's order is {order_of(dimensions)}" if around.dimensions else "the state has no order either"
        if tuple(dimension.name for dimension in dimensions[:3]) == SPATIAL:
            return [
                problem(
                    "N4",
                    Severity.CONFIRM,
                    name,
                    f"The layer declares no coordinate space; its points are read as z, y, x ({seen}).",
                    "Confirm the order, or give the layer's source its dimensions.",
                )
            ]
        return [
            problem(
                "N4",
                Severity.ERROR,
                name,
                f"The layer declares no coordinate space, so the converter reads its points as z, y, x; "
                f"its numbers are in the order {order_of(dimensions)}.",
                "Give the layer's source its dimensions in Neuroglancer (Source tab).",
            )
        ]

    problems = []
    if any(read_dimensions(space) != own for space in spaces):
        problems.append(
            problem(
                "N12",
                Severity.ERROR,
                name,
                "The layer has sources with different dimensions.",
                "Keep only the local source of the points.",
            )
        )
    missing = [axis for axis in SPATIAL if axis not in {dimension.name for dimension in own}]
    if missing:
        problems.append(
            problem(
                "N12",
                Severity.ERROR,
                name,
                f"The layer's dimensions are {order_of(own)}; {', '.join(missing)} is missing.",
                "A track needs the axes x, y and z by these names. " + redraw,
            )
        )
    for dimension in own:
        if dimension.name in SPATIAL and dimension.unit != "m":
            unit = f'"{dimension.unit}"' if dimension.unit else "no unit"
            problems.append(
                problem(
                    "N12",
                    Severity.ERROR,
                    name,
                    f"The unit of {dimension.name} is {unit}, which is no length.",
                    "Give it a scale in um or m in Neuroglancer (Source tab).",
                )
            )
    return problems + _scale_problems(name, own, around)


def _scale_problems(name: str, own: Sequence[Dimension], around: Surroundings) -> list[Problem]:
    scales = {dimension.name: dimension.scale for dimension in around.reference if dimension.unit == "m"}
    differing = [
        (dimension, scales[dimension.name])
        for dimension in own
        if dimension.name in SPATIAL
        and dimension.unit == "m"
        and dimension.name in scales
        and not math.isclose(dimension.scale, scales[dimension.name], rel_tol=SAME_SCALE)
    ]
    if not differing:
        return []
    mine = ", ".join(f"{dimension.name} {dimension.scale * 1e6:g}" for dimension, _ in differing)
    other = ", ".join(f"{dimension.name} {scale * 1e6:g}" for dimension, scale in differing)
    return [
        problem(
            "N10",
            Severity.ERROR,
            name,
            f"The layer's voxels are {mine} um, those of {around.reference_name} {other} um. "
            "The converter ignores the scale, so one of the two is placed wrongly.",
            "Draw the track in the voxels of the image's finest level, or set the viewer's dimensions to it.",
            mine,
            other,
        )
    ]


def transform_problems(name: str, layer: dict[str, object]) -> list[Problem]:
    """What a transform of the layer's sources does that the converter leaves out."""
    problems = []
    transforms = [transform_of(source) for source in sources_of(layer)]
    if any(transform.get("matrix") is not None for transform in transforms):
        problems.append(
            problem(
                "N5",
                Severity.ERROR,
                name,
                "The layer's source has a transform matrix, which the converter does not apply.",
                "Reset the transform in the layer's Source tab, and look that the points still lie on the track.",
            )
        )
    for transform in transforms:
        inner, outer = (read_dimensions(transform.get(key)) for key in ("inputDimensions", "outputDimensions"))
        if inner and outer and not _same_scales(inner, outer):
            problems.append(
                problem(
                    "N11",
                    Severity.CONFIRM,
                    name,
                    f"The points are stored in other units than the layer shows: "
                    f"{_scales(inner)} in the file, {_scales(outer)} in the viewer. "
                    "The converter takes the stored numbers.",
                    "Confirm that the stored numbers are the image's voxels, or reset the layer's "
                    "dimensions in its Source tab.",
                )
            )
    return problems


def _same_scales(inner: Sequence[Dimension], outer: Sequence[Dimension]) -> bool:
    return len(inner) == len(outer) and all(
        a.unit == b.unit and math.isclose(a.scale, b.scale, rel_tol=SAME_SCALE)
        for a, b in zip(inner, outer, strict=True)
    )


def _scales(dimensions: Sequence[Dimension]) -> str:
    return ", ".join(f"{dimension.scale:g} {dimension.unit}".strip() for dimension in dimensions[:5])


# --- the annotations ----------------------------------------------------------------------------


def annotation_problems(name: str, annotations: Annotations, expected: int, declared: bool) -> list[Problem]:
    """What is wrong with the annotations themselves.

    Args:
        name: The layer's name.
        annotations: What was read.
        expected: How many numbers the converter wants in each point.
        declared: Whether the layer declares so itself.
    """
    problems = []
    points = sum(count for _, count in annotations.ranks)
    if annotations.old_form:
        problems.append(
            problem(
                "N6",
                Severity.ERROR,
                name,
                f"The layer's {points} points are written in an old form that the converter does not read.",
                "Open the state in Neuroglancer and copy it again.",
            )
        )
    if annotations.not_points and points:
        first = ", ".join(annotations.not_points[:3])
        more = len(annotations.not_points) - 3
        problems.append(
            problem(
                "N6",
                Severity.ERROR,
                name,
                f"{first}{f' and {more} more' if more > 0 else ''}: the converter stops at anything but a point.",
                "Delete it in the layer's Annotations tab; a track is made of points.",
            )
        )
    wrong = [(rank, count) for rank, count in annotations.ranks if rank != expected]
    if wrong:
        found = ", ".join(f"{rank} in {count} of {points} points" for rank, count in wrong[:3])
        why = "the layer declares" if declared else "the converter expects without declared dimensions"
        problems.append(
            problem(
                "N7",
                Severity.ERROR,
                name,
                f"Wrong number of coordinates: {found}, where {why} {expected}.",
                "Draw these points again in a layer of this brain.",
                wrong[0][0],
                expected,
            )
        )
    doubled = _doubled(annotations.points) if points else 0
    if doubled:
        problems.append(
            problem(
                "N14",
                Severity.INFO,
                name,
                f"{doubled} of {points} points lie exactly on another.",
                "Delete the doubled points when they are not meant.",
                doubled,
            )
        )
    return problems


def _doubled(points: Points) -> int:
    """How many points equal one before them. Sorting by columns is many times faster than `np.unique` by rows."""
    in_order = points[np.lexsort(points.T)]
    return int((in_order[1:] == in_order[:-1]).all(axis=1).sum())


def unsafe_name(name: str) -> list[Problem]:
    """What in the name breaks files and tables that carry it."""
    wrong = []
    if name != name.strip():
        wrong.append("begins or ends with a space")
    if "/" in name or name in (".", ".."):
        wrong.append("is no file name, which the result is named by")
    if not name.isprintable():
        wrong.append("holds invisible characters")
    if not wrong:
        return []
    return [
        problem(
            "N9",
            Severity.ERROR,
            name,
            f'The layer\'s name "{shown(name)}" {" and ".join(wrong)}.',
            "Rename the layer in Neuroglancer with letters, digits, - and _.",
        )
    ]
