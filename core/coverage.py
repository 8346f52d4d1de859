"""What a finished conversion delivered, row by row, counted in the captured asset.

A converter's exit code and its word that all went well do not count. A row is delivered when the result holds its pick
file, whole, as a file of its own, made from the manifest that was sent, with the points of the row's own track where
the image had them when the mapping was checked; and, where the conversion was asked for them, the channel files of its
stream. What the converter says can only speak against a row.

Every published version of the full converter writes its picks as ours does: in the image's own frame, with the centre
of voxel (0, 0, 0) as origin, in RAS micrometres. Its other frame, into which the brain's registration moves the image,
is used on the way to the atlas only. So one comparison of coordinates serves all of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.channel_files import channel_fault
from core.converter_reports import REPORT, ConverterReports
from core.errors import InputError, PlatformError, StateError, UnavailableError, UnclearError
from core.geometry import level0_to_image_ras_um
from core.manifest import read_csv, write_csv
from core.manifest.rows import ManifestRow
from core.models import Asset, ImageFrame, Points
from core.neuroglancer import read_state
from core.pick_files import older_pick_path, pick_path, read_picks
from core.result_folder import ResultFolder, ResultReader

__all__ = [
    "DELIVERED",
    "MANIFEST",
    "MISSING",
    "REPORT",
    "Coverage",
    "Launched",
    "ResultReader",
    "RowCoverage",
    "count_coverage",
    "what_was_launched",
]

DELIVERED, MISSING = "delivered", "missing"
MANIFEST = "manifest.csv"
"""The converter's copy of the manifest it worked by."""
_MAX_STATE_BYTES = 64 * 1024 * 1024
_NEAR_UM = 0.1
"""Picks and track may differ by rounding; the smallest mistake in a frame, half a voxel, is nine times this."""


@dataclass(frozen=True, slots=True)
class RowCoverage:
    """Whether one manifest row was delivered."""

    track: str
    recording: str
    stream: str
    shank: int | None
    """0-based shank as `ephys_shank` has it."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Launched:
    """What was launched, as the launcher keeps it: what a result is held against."""

    tracks_level0_zyx: Mapping[str, Points]
    """The points of every layer of the state, (n, 3), by the layer's name."""
    frame: ImageFrame | None = None
    """The image's geometry when the mapping was checked; None when it was not known."""
    converter_version: str = ""
    """Version of the converter's library, which decides how some files are named; "" when it is not known."""
    wants_channels: bool = False
    """The channel files of each row's stream were asked for, too."""


def what_was_launched(
    state: bytes, frame: ImageFrame | None, converter_version: str, *, wants_channels: bool = False
) -> Launched:
    """What a result is held against, from the bytes of the state that was sent."""
    try:
        layers = read_state(state, limit_bytes=_MAX_STATE_BYTES).layers
    except StateError:
        layers = ()  # then no row's track can be found in it, and each says so
    tracks = {layer.name: layer.points_level0_zyx for layer in layers}
    return Launched(tracks, frame, converter_version, wants_channels)


def count_coverage(
    rows: Sequence[ManifestRow], reader: ResultReader, asset: Asset, launched: Launched | None = None
) -> Coverage:
    """Count which rows of a manifest a captured asset holds. Reads only; lists only the folders it needs.

    Args:
        rows: The manifest as sent.
        reader: Reads the captured asset.
        asset: The captured asset.
        launched: What else was sent and checked; without it, only the pick files themselves are looked at.

    Raises:
        UnavailableError, UnclearError: the platform does not answer, or the result cannot be listed: nothing can be
            said, which is another thing than rows that are missing.
    """
    look = ResultFolder(reader, asset)
    said = ConverterReports(look)
    changed = _manifest_faults(rows, look) if launched is not None else {}
    version = "" if launched is None else launched.converter_version
    paths = {pick_path(row) for row in rows}
    counted: list[RowCoverage] = []
    taken = _Taken()
    for number, row in enumerate(rows):
        try:
            path = _path(row, look, version, paths)
            fault = _fault(row, path, look, taken, launched)
            if number in changed:
                fault = said.with_reason(changed[number], row)
            why = fault or _channel_fault(path, look, launched) or said.against(row, path)
        except (UnavailableError, UnclearError):
            raise
        except InputError as error:
            why = said.with_reason(error.message, row)
        except PlatformError as error:
            why = f"its file cannot be read: {error}"
        counted.append(
            RowCoverage(
                row.histology_track_id,
                row.recording,
                row.ephys_collection,
                row.ephys_shank,
                MISSING if why else DELIVERED,
                _plain(why),
            )
        )
    delivered = sum(row.status == DELIVERED for row in counted)
    return Coverage(len(rows), delivered, tuple(counted))


# --- the row's file -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Taken:
    """Which row each file, and each content, is counted for."""

    files: dict[str, ManifestRow] = field(default_factory=dict)
    contents: dict[bytes, ManifestRow] = field(default_factory=dict)


def _path(row: ManifestRow, look: ResultFolder, version: str, paths: set[str]) -> str:
    """Where the row's picks are. Raises InputError when they are nowhere."""
    path = pick_path(row)
    if not path:
        raise InputError("its mouse, recording or stream cannot be the name of a folder")
    if look.file(path) is not None:
        return path
    older = older_pick_path(row, version)
    if older and older not in paths and look.file(older) is not None:
        return older
    raise InputError(f"{path} is not in the result as a file of its own")


def _fault(row: ManifestRow, path: str, look: ResultFolder, taken: _Taken, launched: Launched | None) -> str:
    """What is wrong with the row's pick file; "" when nothing is, and the file is taken by the row then.

    Raises:
        InputError: the file cannot be this row's picks at all.
    """
    if path in taken.files:
        raise InputError(f"{path} holds one track, and it is counted for {taken.files[path].histology_track_id}")
    data = look.read(path)
    try:
        picks_image_ras_um = read_picks(data)
    except InputError as error:
        raise InputError(f"{path} {error.message}") from error
    if launched is not None and (why := _differs(row, picks_image_ras_um, launched)):
        return f"{path} {why}"
    twin = taken.contents.setdefault(hashlib.sha256(data).digest(), row)
    if twin is not row and not _same_points(row, twin, launched):
        return f"{path} holds the same points as the file counted for {twin.histology_track_id}"
    taken.files[path] = row
    return ""


def _channel_fault(path: str, look: ResultFolder, launched: Launched | None) -> str:
    if launched is None or not launched.wants_channels:
        return ""
    return channel_fault(path.rpartition("/")[0], look)


def _differs(row: ManifestRow, picks_image_ras_um: Points, launched: Launched) -> str:
    """How the picks differ from the row's track as it was launched, or ""."""
    track = launched.tracks_level0_zyx.get(row.histology_track_id)
    if track is None:
        return "cannot be compared: the state that was launched has no such track"
    if len(track) != len(picks_image_ras_um):
        return f"holds {len(picks_image_ras_um)} points; the track has {len(track)}"
    if launched.frame is None:
        return ""
    away_um = _distance_um(picks_image_ras_um, track, launched.frame)
    if away_um <= _NEAR_UM:
        return ""
    for name, other in launched.tracks_level0_zyx.items():
        if len(other) == len(track) and _distance_um(picks_image_ras_um, other, launched.frame) <= _NEAR_UM:
            return f"holds the points of track {name}"
    return (
        f"holds points up to {away_um:.1f} um from where the track lies in the image that was checked: "
        "the image's geometry or the track was changed after the check"
    )


def _distance_um(picks_image_ras_um: Points, track_level0_zyx: Points, frame: ImageFrame) -> float:
    return float(np.abs(level0_to_image_ras_um(track_level0_zyx, frame) - picks_image_ras_um).max())


def _same_points(row: ManifestRow, other: ManifestRow, launched: Launched | None) -> bool:
    """Whether two rows must have the same picks: they are of one track, or of two drawn alike."""
    names = (row.histology_track_id, other.histology_track_id)
    if launched is None or names[0] == names[1]:
        return names[0] == names[1]
    return np.array_equal(launched.tracks_level0_zyx[names[0]], launched.tracks_level0_zyx[names[1]])


# --- the manifest it was made from ------------------------------------------------------------------


def _manifest_faults(rows: Sequence[ManifestRow], look: ResultFolder) -> dict[int, str]:
    """Why rows cannot be trusted, by their number: the converter worked by another manifest than the one sent."""
    everywhere = range(len(rows))
    try:
        if look.file(MANIFEST) is None:
            return {number: f"the result has no {MANIFEST}: nothing tells what was converted" for number in everywhere}
        used = Counter(read_csv(look.read(MANIFEST)).rows)
    except (UnavailableError, UnclearError):
        raise
    except (InputError, PlatformError) as error:
        return {number: f"the result's {MANIFEST} cannot be read: {error.message}" for number in everywhere}
    faults = {}
    for number, row in enumerate(read_csv(write_csv(rows)).rows):
        if used[row] > 0:
            used[row] -= 1
        else:
            faults[number] = f"the manifest was changed before the conversion: the result's {MANIFEST} has no such row"
    if surplus := +used:
        # Whatever was changed, rows that nobody launched make the whole result another one.
        told = f"the manifest was changed before the conversion: {surplus.total()} of its rows were never launched"
        faults = {number: faults.get(number, told) for number in everywhere}
    return faults


def _plain(text: str) -> str:
    """Text that can be kept: a result's files may hold half characters."""
    return text.encode(errors="replace").decode()
