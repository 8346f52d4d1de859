"""Coordinate spaces of a Neuroglancer state: names, scales and units of axes, in every form found in the wild."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from core.models import Dimension
from core.strict_json import shown

SPATIAL = ("z", "y", "x")
"""The axes of a stitched brain, in the order in which the converter reads points that declare none."""
ASSUMED = tuple(Dimension(name, 1.0, "") for name in (*SPATIAL, "t"))
"""What the converter takes for granted where nothing is declared. The scale is unknown, so it has no unit."""

_PREFIXES = {"Y": 1e24, "Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "": 1.0,
             "c": 1e-2, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18,
             "z": 1e-21, "y": 1e-24}  # fmt: skip
_PREFIX_WORDS = {"": "", "kilo": "k", "centi": "c", "milli": "m", "micro": "u", "nano": "n", "pico": "p"}
_WORD = re.compile(r"(kilo|centi|milli|micro|nano|pico|)(met(?:er|re)|second)s?", re.IGNORECASE)
_SYMBOL = re.compile(r"([YZEPTGMkhcmuµμnpfazy]?)([ms])")
_MICRON = re.compile(r"microns?", re.IGNORECASE)


def read_dimensions(value: object) -> tuple[Dimension, ...] | None:
    """Read a coordinate space, in the order in which it is written.

    Known forms: `{"x": [4e-6, "m"]}`; a list of `["x", 4e-6, "m"]` or of objects with `name`, `scale` and `unit`;
    an object of three lists `names`, `scales`, `units`; a list of bare names (then scales are unknown).

    Returns:
        The axes with scales in metres or seconds; a unit that is neither stays as written. None when the value is
        no coordinate space, or has an axis twice or without a positive scale.
    """
    axes = _axes(value)
    if not axes:
        return None
    dimensions = [_dimension(name, scale, unit) for name, scale, unit in axes]
    read = tuple(dimension for dimension in dimensions if dimension is not None)
    names = {dimension.name for dimension in read}
    return read if len(read) == len(dimensions) == len(names) else None


def voxel_size_dimensions(value: object) -> tuple[Dimension, ...] | None:
    """Read a `voxelSize` of states older than coordinate spaces: nanometres along x, y, z."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    return read_dimensions({name: [size, "nm"] for name, size in zip("xyz", value, strict=True)})


def order_of(dimensions: Sequence[Dimension]) -> str:
    """The order of axes in words: `z, y, x, t`."""
    return ", ".join(shown(dimension.name, 20) for dimension in dimensions[:8]) or "none"


def matching_rank(dimensions: tuple[Dimension, ...], rank: int) -> tuple[Dimension, ...]:
    """The axes that points of `rank` numbers stand for: all, or the spatial ones alone, or the first ones."""
    if rank >= len(dimensions):
        return dimensions
    spatial = tuple(dimension for dimension in dimensions if dimension.name in SPATIAL)
    return spatial if len(spatial) == rank else dimensions[:rank]


def _axes(value: object) -> list[tuple[object, object, object]]:
    """(name, scale, unit) of each axis, not yet checked; empty for an unknown form."""
    if isinstance(value, dict):
        names = value.get("names")
        if isinstance(names, list):
            scales, units = value.get("scales"), value.get("units", "")
            units = units if isinstance(units, list) else [units] * len(names)
            if not isinstance(scales, list) or not len(names) == len(scales) == len(units):
                return []
            return list(zip(names, scales, units, strict=True))
        return [(name, *_scale_and_unit(axis)) for name, axis in value.items()]
    if isinstance(value, list):
        return [_axis_of_list(axis) for axis in value]
    return []


def _axis_of_list(axis: object) -> tuple[object, object, object]:
    if isinstance(axis, str):
        return axis, 1.0, ""
    if isinstance(axis, dict):
        return axis.get("name"), axis.get("scale"), axis.get("unit", axis.get("units", ""))
    if isinstance(axis, list) and axis:
        return axis[0], *_scale_and_unit(axis[1:] if len(axis) == 3 else axis[1] if len(axis) == 2 else None)
    return None, None, None


def _scale_and_unit(axis: object) -> tuple[object, object]:
    if isinstance(axis, list) and len(axis) == 2:
        return axis[0], axis[1]
    return axis, ""


def _dimension(name: object, scale: object, unit: object) -> Dimension | None:
    if not isinstance(name, str) or not isinstance(unit, str):
        return None
    if not isinstance(scale, int | float) or isinstance(scale, bool) or scale <= 0:
        return None
    prefix, base = _unit(unit)
    in_base = scale * _PREFIXES[prefix]
    return Dimension(name, in_base, base) if math.isfinite(in_base) and in_base > 0 else None


def _unit(unit: str) -> tuple[str, str]:
    """Prefix symbol and base unit: `m`, `s`, or what is written when it is neither."""
    if symbol := _SYMBOL.fullmatch(unit):
        return symbol[1], symbol[2]
    if word := _WORD.fullmatch(unit):
        return _PREFIX_WORDS[word[1].lower()], "m" if word[2].lower().startswith("met") else "s"
    if _MICRON.fullmatch(unit):
        return "u", "m"
    return "", shown(unit, 20)
