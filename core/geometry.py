"""From voxel indices of a stitched image to anatomical micrometres, and lines through tracks.

Two frames, both with float64 points of shape (n, 3):

- `level0_zyx`: voxel indices of the image's finest level, in array order. Integer indices are voxel centres.
- `image_ras_um`: micrometres towards Right, Anterior, Superior, with the centre of voxel (0, 0, 0) as origin.

Neuroglancer's whole numbers are voxel corners, half a voxel off. The converters take its numbers for indices as
they are, and so does this module: a result must be the same whoever computes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import InputError
from core.models import Dimension, ImageFrame, Points, State

_UM_PER_UNIT = {"micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
_AXES = ("x", "y", "z")
_RAS_OF_LETTER = {"R": (0, 1.0), "L": (0, -1.0), "A": (1, 1.0), "P": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}
_LETTER_OF_WORD = {"right": "R", "left": "L", "anterior": "A", "posterior": "P", "superior": "S", "inferior": "I"}

AIND_DIRECTIONS_XYZ = ("R", "A", "I")
"""How AIND's SmartSPIM brains lie: x from left to right, y from posterior to anterior, z from superior to inferior."""
AIND_SCALE_UM_XYZ = (1.8, 1.8, 2.0)
"""Voxel size of a SmartSPIM brain, used only when nothing at all says another."""
_LEVEL = 1e-9
"""A component of a unit vector below this is rounding."""
_ASSUMED_DIRECTIONS = "x runs left to right, y posterior to anterior, z superior to inferior: no acquisition axes"


# --- reading an image's geometry ----------------------------------------------------------------


def image_frame(
    zattrs: Mapping[str, Any], shape_level0_zyx: Sequence[int], acquisition: Mapping[str, Any] | None
) -> ImageFrame:
    """The geometry of an OME-Zarr image.

    Args:
        zattrs: The parsed `.zattrs` of the image's folder.
        shape_level0_zyx: Size of the finest level in voxels.
        acquisition: The parsed `acquisition.json`, or None when there is none; AIND's usual directions are
            assumed then, and `ImageFrame.assumed` says so.

    Raises:
        InputError: scale, unit or axes cannot be understood; names the place.
    """
    scales_um = level_scales_um_xyz(zattrs)
    directions, assumed = _directions_xyz(acquisition)
    z, y, x = (int(size) for size in shape_level0_zyx)
    return ImageFrame(scales_um[0], directions, (z, y, x), len(scales_um), assumed)


def level_scales_um_xyz(zattrs: Mapping[str, Any]) -> tuple[tuple[float, float, float], ...]:
    """Voxel size of every level in um along x, y, z, finest first.

    Raises:
        InputError: the multiscales block has another form, or a unit is unknown.
    """
    try:
        multiscale = zattrs["multiscales"][0]
        axes = multiscale["axes"]
        names = [str(axis["name"]).lower() for axis in axes]
        places = [names.index(axis) for axis in _AXES]
        units = [str(axes[place].get("unit")) for place in places]
        scales = [[float(level["coordinateTransformations"][0]["scale"][i]) for i in places]
                  for level in multiscale["datasets"]]  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            "the image's multiscales block has no axes x, y, z with a scale for every level",
            where=".zattrs",
            cure="The image must be an OME-Zarr of version 0.4; check the stitched asset.",
        ) from error
    unknown = next((unit for unit in units if unit not in _UM_PER_UNIT), None)
    if unknown is not None:
        raise InputError(
            f"the image's axes are in the unit {unknown!r}",
            where=".zattrs",
            cure=f"Known units are {', '.join(_UM_PER_UNIT)}.",
        )
    if not scales or not all(np.isfinite(s) and s > 0 for scale in scales for s in scale):
        raise InputError("the image has no level with a positive scale", where=".zattrs", cure="Check the image.")
    factors = [_UM_PER_UNIT[unit] for unit in units]
    return tuple((s[0] * factors[0], s[1] * factors[1], s[2] * factors[2]) for s in scales)


def _directions_xyz(acquisition: Mapping[str, Any] | None) -> tuple[tuple[str, str, str], str]:
    if acquisition is None or not acquisition.get("axes"):
        return AIND_DIRECTIONS_XYZ, _ASSUMED_DIRECTIONS
    letters: dict[str, str] = {}
    try:
        for axis in acquisition["axes"]:
            letters[str(axis["name"]).lower()] = _LETTER_OF_WORD[axis["direction"].lower().split("_")[-1]]
        x, y, z = (letters[axis] for axis in _AXES)
        places = {_RAS_OF_LETTER[letter][0] for letter in (x, y, z)}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "the acquisition's axes do not give x, y and z a direction such as Left_to_right",
            where="acquisition axes",
            cure="Correct the stitched asset's acquisition metadata.",
        ) from error
    if len(places) != 3:
        raise InputError(
            f"two of the axes run along the same line (x to {x}, y to {y}, z to {z})",
            where="acquisition axes",
            cure="Correct the stitched asset's acquisition metadata.",
        )
    return (x, y, z), ""


def assumed_frame(state: State) -> ImageFrame:
    """A frame from the state alone, for when the image cannot be read.

    The scale is the state's own, else its first track's, else AIND's usual voxel; directions are AIND's usual
    ones; the image's size is unknown (0, 0, 0). `assumed` says all that.
    """
    spaces = [("the state's dimensions", state.dimensions)]
    spaces += [(f"layer {layer.name}", layer.dimensions) for layer in (*state.tracks, *state.layers)]
    known = ((scale, source) for source, dimensions in spaces if (scale := _scale_um_xyz(dimensions)) is not None)
    scale, source = next(known, (AIND_SCALE_UM_XYZ, "a SmartSPIM brain's usual voxel"))
    assumed = f"voxel size from {source}; {_ASSUMED_DIRECTIONS}; size of the image unknown"
    return ImageFrame(scale, AIND_DIRECTIONS_XYZ, (0, 0, 0), 1, assumed)


def _scale_um_xyz(dimensions: Sequence[Dimension]) -> tuple[float, float, float] | None:
    scales = {dimension.name: dimension.scale * 1e6 for dimension in dimensions if dimension.unit == "m"}
    if not set(_AXES) <= scales.keys() or any(not scales[axis] > 0 for axis in _AXES):
        return None
    return scales["x"], scales["y"], scales["z"]


# --- points -------------------------------------------------------------------------------------


def level0_to_image_ras_um(points_level0_zyx: Points, frame: ImageFrame) -> Points:
    """Voxel indices of the finest level, (n, 3) in z, y, x, as (n, 3) RAS micrometres."""
    return np.asarray(points_level0_zyx, dtype=np.float64).reshape(-1, 3) @ _matrix_ras_um_from_zyx(frame).T


def image_ras_um_to_level0(points_image_ras_um: Points, frame: ImageFrame) -> Points:
    """The inverse of `level0_to_image_ras_um`: (n, 3) RAS micrometres as voxel indices in z, y, x."""
    points = np.asarray(points_image_ras_um, dtype=np.float64).reshape(-1, 3)
    return points @ np.linalg.inv(_matrix_ras_um_from_zyx(frame)).T


def directions_ras(directions_xyz: Sequence[str]) -> Points:
    """(3, 3): column a is the RAS unit vector that the index of x, y or z increases along."""
    matrix = np.zeros((3, 3))
    for axis, letter in enumerate(directions_xyz):
        place, sign = _RAS_OF_LETTER[letter]
        matrix[place, axis] = sign
    return matrix


def _matrix_ras_um_from_zyx(frame: ImageFrame) -> Points:
    return np.asarray((directions_ras(frame.directions_xyz) * frame.scale_level0_um_xyz)[:, ::-1])


def level_factors_zyx(zattrs: Mapping[str, Any], level: int) -> tuple[float, float, float]:
    """How many finest voxels one voxel of `level` spans along z, y, x (2**level in AIND's images)."""
    scales = level_scales_um_xyz(zattrs)
    x, y, z = (coarse / fine for coarse, fine in zip(scales[level], scales[0], strict=True))
    return z, y, x


def level_to_level0(points_level_zyx: Points, factors_zyx: Sequence[float]) -> Points:
    """Indices of a coarser level as indices of the finest.

    A coarse voxel is the mean of the voxels beneath it, so its centre lies between theirs: half a voxel counts.
    """
    factors = np.asarray(factors_zyx, dtype=np.float64)
    return (np.asarray(points_level_zyx, dtype=np.float64).reshape(-1, 3) + 0.5) * factors - 0.5


def level0_to_level(points_level0_zyx: Points, factors_zyx: Sequence[float]) -> Points:
    """The inverse of `level_to_level0`."""
    factors = np.asarray(factors_zyx, dtype=np.float64)
    return (np.asarray(points_level0_zyx, dtype=np.float64).reshape(-1, 3) + 0.5) / factors - 0.5


def image_bounds_ras_um(frame: ImageFrame) -> Points | None:
    """The image's outer faces as (2, 3) RAS micrometres, lowest then highest; None when its size is unknown."""
    if min(frame.shape_level0_zyx) <= 0:
        return None
    corners_zyx = np.array([(-0.5, -0.5, -0.5), np.asarray(frame.shape_level0_zyx) - 0.5])
    corners = level0_to_image_ras_um(corners_zyx, frame)
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


# --- lines through tracks -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The straight line that fits points best."""

    centre_um: Points
    """(3,) mean of the points."""
    direction: Points
    """(3,) unit vector; its third component is never positive: in RAS it points down. A level line points to the
    front, or else to the right, so that the order of the points never decides."""
    along_um: Points
    """(n,) place of every point on the line, 0 at the centre."""
    residual_rms_um: float
    residual_max_um: float
    explained: float
    """Share of the variance that lies along the line, 0 to 1."""


def principal_line(points_um: Points) -> Line | None:
    """The line of largest variance through (n, 3) points in um; None when fewer than two differ."""
    points = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
    if len(points) < 2:
        return None
    centre = points.mean(axis=0)
    offsets = points - centre
    _, spread, axes = np.linalg.svd(offsets, full_matrices=False)
    if not spread[0] > 0:
        return None
    direction = _downwards(axes[0])
    along = offsets @ direction
    residuals = np.linalg.norm(offsets - np.outer(along, direction), axis=1)
    explained = float(spread[0] ** 2 / np.sum(spread**2))
    return Line(centre, direction, along, float(np.sqrt(np.mean(residuals**2))), float(residuals.max()), explained)


def _downwards(axis: Points) -> Points:
    for component, wanted in ((axis[2], -1.0), (axis[1], 1.0), (axis[0], 1.0)):
        if abs(component) > _LEVEL:
            return axis if component * wanted > 0 else -axis
    return axis


def track_length_um(points_um: Points) -> float:
    """How far (n, 3) points reach along their line, in um. The order of the points does not matter."""
    line = principal_line(points_um)
    return 0.0 if line is None else float(np.ptp(line.along_um))
