"""What a finished conversion delivered, row by row, counted in the captured asset.

A converter's exit code and its own report do not count: a row is delivered when its pick file is there, is whole, and
holds at least one point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import NotFoundError
from core.manifest.rows import ManifestRow
from core.models import Asset
from core.platforms.base import Entry

DELIVERED, MISSING = "delivered", "missing"
MAX_PICK_BYTES = 16 * 1024 * 1024
REPORT = "coverage.json"
"""The converter's own report; only the reasons in it are used."""
_MAX_REASON = 500
_FARTHEST_UM = 1e9


class ResultReader(Protocol):
    """The part of a platform that is needed to count."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder of the captured asset. Raises NotFoundError."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of the captured asset. Raises NotFoundError."""


@dataclass(frozen=True, slots=True)
class RowCoverage:
    """Whether one manifest row was delivered."""

    track: str
    recording: str
    stream: str
    shank: int | None
    """0-based shank within the stream."""
    status: str
    """"delivered" or "missing"."""
    why: str = ""
    """Why it is missing."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Rows asked and rows delivered. Raises nothing and hides nothing: `rows` has one entry per manifest row."""

    asked: int
    delivered: int
    rows: tuple[RowCoverage, ...]


def pick_paths(row: ManifestRow) -> tuple[str, ...]:
    """Where a converter puts the row's picks, relative to its results: today's name, then an older version's.

    Empty when the row's names cannot be those of files.
    """
    folders = (row.mouseid, row.recording, row.ephys_collection)
    if not all(is_file_name(name) for name in folders):
        return ()
    shank = "" if row.histology_shank is None else f"_shank{row.histology_shank + 1}"
    names = [f"xyz_picks{shank}_image_space.json"]
    if row.histology_shank != row.ephys_shank:
        # One shank of a split probe, alone in its folder: converters before 0.4 knew no shank for it.
        names.append("xyz_picks_image_space.json")
    return tuple("/".join((*folders, name)) for name in names)


def is_file_name(name: str) -> bool:
    """Whether a text from outside can be the name of one file or folder."""
    return 0 < len(name.encode(errors="replace")) <= 200 and name not in (".", "..") and name.isprintable() and (
        "/" not in name and name == name.strip()
    )  # fmt: skip


def count_coverage(rows: Sequence[ManifestRow], reader: ResultReader, asset: Asset) -> Coverage:
    """Count which rows of a manifest a captured asset holds.

    Args:
        rows: The manifest as launched.
        reader: Reads the captured asset.
        asset: The captured asset.

    Raises:
        PlatformError: the asset could not be looked at, so nothing can be said.
    """
    look = _Look(reader, asset)
    reasons = _reasons(look)
    counted: list[RowCoverage] = []
    taken: dict[str, str] = {}
    for row in rows:
        file, why = _find(row, look, taken)
        if file:
            taken[file] = row.histology_track_id
        elif told := reasons.get(
            _key(row.histology_track_id, row.recording, row.ephys_collection, row.histology_shank)
        ):
            why = f"{why}; the converter says: {told}"
        status = DELIVERED if file else MISSING
        counted.append(
            RowCoverage(
                row.histology_track_id,
                row.recording,
                row.ephys_collection,
                row.ephys_shank,
                status,
                "" if file else why,
            )
        )
    delivered = sum(row.status == DELIVERED for row in counted)
    return Coverage(len(rows), delivered, tuple(counted))


@dataclass(slots=True)
class _Look:
    """Looks into one asset, listing each folder once."""

    reader: ResultReader
    asset: Asset
    _listed: dict[str, Mapping[str, Entry]] = field(default_factory=dict)

    def file(self, path: str) -> Entry | None:
        folder, _, name = path.rpartition("/")
        if folder not in self._listed:
            try:
                self._listed[folder] = {e.name: e for e in self.reader.list_folder(self.asset, folder)}
            except NotFoundError:
                self._listed[folder] = {}
        entry = self._listed[folder].get(name)
        return None if entry is None or entry.is_folder else entry

    def read(self, path: str) -> bytes:
        return self.reader.read_file(self.asset, path, MAX_PICK_BYTES)


def _find(row: ManifestRow, look: _Look, taken: Mapping[str, str]) -> tuple[str, str]:
    """The row's pick file, or "" and the reason."""
    paths = pick_paths(row)
    if not paths:
        return "", "its mouse, recording or stream cannot be the name of a folder"
    path = next((path for path in paths if look.file(path) is not None), None)
    if path is None:
        return "", f"{paths[0]} is not in the result"
    if path in taken:
        return "", f"{path} holds one track, and it is counted for {taken[path]}"
    fault = _fault(path, look)
    return ("", f"{path} {fault}") if fault else (path, "")


def _fault(path: str, look: _Look) -> str:
    entry = look.file(path)
    if entry is not None and entry.size is not None and entry.size > MAX_PICK_BYTES:
        return "is too large for a pick file"
    try:
        picks = json.loads(look.read(path))["xyz_picks"]
    except NotFoundError:
        return "is listed but cannot be read"
    except (ValueError, RecursionError, KeyError, TypeError):
        return "is empty, cut short or no pick file"
    if not isinstance(picks, list) or not picks:
        return "holds no points"
    return "" if all(_is_point(point) for point in picks) else "holds a point that is no place"


def _is_point(point: object) -> bool:
    if not isinstance(point, list) or len(point) != 3 or any(isinstance(value, bool) for value in point):
        return False
    return all(isinstance(value, int | float) and abs(value) < _FARTHEST_UM for value in point)


def _key(track: object, recording: object, stream: object, shank: object) -> tuple[str, str, str, str]:
    return str(track), str(recording), str(stream), "" if shank is None else str(shank)


def _reasons(look: _Look) -> dict[tuple[str, str, str, str], str]:
    """The converter's own reasons by row; none when its report is not there or not readable."""
    if look.file(REPORT) is None:
        return {}
    try:
        rows = json.loads(look.read(REPORT))["rows"]
        return {
            _key(row["track"], row["recording"], row["collection"], row.get("shank")): str(row["reason"])[:_MAX_REASON]
            for row in rows
            if row.get("reason")
        }
    except (NotFoundError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
