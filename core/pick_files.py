"""The files that hold a track's points in image space: where a converter puts each row's, and what is in one."""

from __future__ import annotations

import json
import re

import numpy as np

from core.errors import InputError
from core.manifest.rows import ManifestRow
from core.models import Points

_FARTHEST_UM = 1e9
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})(\..*)?", re.ASCII)
_NAMES_SPLIT_SHANKS = (0, 4)
"""First version whose name for the one shank of a split probe says which of the probe's shanks it is."""


def pick_path(row: ManifestRow) -> str:
    """Where today's converters put the row's picks, relative to their results.

    "" when the row's names cannot be those of files.
    """
    shank = "" if row.histology_shank is None else f"_shank{row.histology_shank + 1}"
    return _in_folder(row, f"xyz_picks{shank}_image_space.json")


def older_pick_path(row: ManifestRow, converter_version: str) -> str:
    """Where an older version of the full converter puts them instead; "" when this one names them as today.

    Args:
        row: The row.
        converter_version: The version of the converter's library. Where it is not known ("": a capsule's number does
            not tell it), the row's picks may be under either name.
    """
    if converter_version:
        version = _VERSION.fullmatch(converter_version)
        if version is None or (int(version[1]), int(version[2])) >= _NAMES_SPLIT_SHANKS:
            return ""
    return "" if row.histology_shank == row.ephys_shank else _in_folder(row, "xyz_picks_image_space.json")


def _in_folder(row: ManifestRow, name: str) -> str:
    folders = (row.mouseid, row.recording, row.ephys_collection)
    return "/".join((*folders, name)) if all(is_file_name(folder) for folder in folders) else ""


def is_file_name(name: str) -> bool:
    """Whether a text from outside can be the name of one file or folder."""
    return 0 < len(name.encode(errors="replace")) <= 200 and name not in (".", "..") and name.isprintable() and (
        "/" not in name and name == name.strip()
    )  # fmt: skip


def read_picks(data: bytes) -> Points:
    """The points of a pick file, (n, 3) in RAS micrometres, at least one.

    Raises:
        InputError: it is not whole, or one of its points is no place; the words continue "The file ...".
    """
    try:
        picks = json.loads(data)["xyz_picks"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError("is empty, cut short or no pick file") from error
    if not isinstance(picks, list) or not picks:
        raise InputError("holds no points")
    if not all(_is_point(point) for point in picks):
        raise InputError("holds a point that is no place")
    return np.asarray(picks, dtype=np.float64)


def _is_point(point: object) -> bool:
    if not isinstance(point, list) or len(point) != 3 or any(isinstance(value, bool) for value in point):
        return False
    return all(isinstance(value, int | float) and abs(value) < _FARTHEST_UM for value in point)
