"""What the annotations of one layer hold: its points, and everything that is not a readable point."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.errors import StateError
from core.models import Points

MAX_COORDINATE = 1e9
"""Coordinates are voxels; a brain has a few ten thousand along each axis."""
MAX_RANK = 16

_SHAPES = {
    "line": "a line",
    "axis_aligned_bounding_box": "a box",
    "ellipsoid": "an ellipsoid",
    "polyline": "a polyline",
}


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """The annotations of one layer, read one by one: an odd one never hides the others."""

    count: int
    """How many there are in the file, of any kind."""
    points: Points
    """(n, rank) the numbers of the file. Points of another rank than the layer's are left out."""
    descriptions: tuple[str, ...] = ()
    """One per point; "" where there is none."""
    ranks: tuple[tuple[int, int], ...] = ()
    """(rank, number of points) of all readable points."""
    not_points: tuple[str, ...] = ()
    """One text for each annotation that is no readable point: `annotations[5] is a line`."""
    old_form: bool = False
    """The points stand in a `points` list of the layer, as before annotations had types."""


def read_annotations(layer: dict[str, object], expected_rank: int, place: str) -> Annotations:
    """Read a layer's annotations.

    Args:
        layer: The layer's JSON object.
        expected_rank: How many numbers a point of this layer should have. Points of this rank are kept; where
            there are none, those of the most common rank.
        place: Where the layer stands, for errors.

    Raises:
        StateError: a coordinate is too large to be one.
    """
    listed = layer.get("annotations")
    old_form = not isinstance(listed, list) and isinstance(layer.get("points"), list)
    if old_form:
        listed = [{"point": point} for point in layer["points"]]  # type: ignore[attr-defined]
    if not isinstance(listed, list):
        wrong = () if listed is None else ("annotations is not a list",)
        return Annotations(len(wrong), np.empty((0, 0)), not_points=wrong)

    by_rank: dict[int, list[list[float]]] = {}
    words: dict[int, list[str]] = {}
    not_points: list[str] = []
    for i, annotation in enumerate(listed):
        point = _point_of(annotation)
        if point is None:
            not_points.append(f"annotations[{i}] is {_what(annotation)}")
            continue
        if max(point) >= MAX_COORDINATE or min(point) <= -MAX_COORDINATE:
            axis = next(axis for axis, number in enumerate(point) if abs(number) >= MAX_COORDINATE)
            raise StateError(
                f"The coordinate is not within ±{MAX_COORDINATE:g} voxels.",
                where=f"{place} annotations[{i}].point[{axis}]",
                cure="Delete this point in Neuroglancer and draw it again.",
            )
        by_rank.setdefault(len(point), []).append(point)
        description = annotation.get("description")
        words.setdefault(len(point), []).append(description if isinstance(description, str) else "")

    ranks = Counter({rank: len(points) for rank, points in by_rank.items()}).most_common()
    rank = expected_rank if expected_rank in by_rank else ranks[0][0] if ranks else 0
    return Annotations(
        len(listed),
        np.array(by_rank[rank], dtype=np.float64) if ranks else np.empty((0, 0)),
        tuple(words.get(rank, [])),
        tuple(ranks),
        tuple(not_points),
        old_form,
    )


def _point_of(annotation: object) -> list[float] | None:
    if type(annotation) is not dict or annotation.get("type", "point") != "point":
        return None
    point = annotation.get("point")
    if type(point) is not list or not 0 < len(point) <= MAX_RANK:
        return None
    for number in point:
        # bool is an int to isinstance, and no coordinate.
        if type(number) is not float and type(number) is not int:
            return None
    return point


def _what(annotation: object) -> str:
    kind = annotation.get("type", "point") if isinstance(annotation, dict) else None
    if kind == "point":
        return "a point without readable coordinates"
    return _SHAPES.get(kind, "of an unknown kind") if isinstance(kind, str) else "no annotation"
