"""Results as the full converter leaves them, old and new, and a platform that keeps them in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np

from core.coverage import Launched
from core.errors import NotFoundError
from core.manifest import ManifestRow
from core.models import ImageFrame
from core.pick_files import older_pick_path, pick_path
from core.platforms.base import Entry
from tests.local_fixtures import expected_ras_um, manifest_bytes, row, track_points

FRAME = ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (0, 0, 0), 1)
ROWS = (
    row("single", "ProbeA"),
    row("first", "ProbeB", 0),
    row("second", "ProbeB", 1),
    row("split", "45883-3", histology_shank=2, ephys_shank=0, logical_probe="45883"),
)
TRACKS = {one.histology_track_id: track_points(1000.0 + 50 * n, 4 + n) for n, one in enumerate(ROWS)}
LAUNCHED = Launched(
    {name: np.array(points)[:, :3] for name, points in TRACKS.items()}, FRAME, wants_channels=True
)  # fmt: skip


class KeptResult:
    """A captured asset in memory. Counts what was listed and read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.listed: list[str] = []
        self.read: list[str] = []

    def list_folder(self, asset: object, path: str = "") -> tuple[Entry, ...]:
        self.listed.append(path)
        inside = {n.removeprefix(f"{path}/") for n in self.files if not path or n.startswith(f"{path}/")}
        if path and not inside:
            raise NotFoundError(path)
        sizes = {name: len(self.files[f"{path}/{name}" if path else name]) for name in inside if "/" not in name}
        folders = {name.split("/")[0] for name in inside if "/" in name}
        return tuple(Entry(n, n in folders, sizes.get(n)) for n in sorted(sizes.keys() | folders))

    def read_file(self, asset: object, path: str, limit: int) -> bytes:
        self.read.append(path)
        if path not in self.files:
            raise NotFoundError(path)
        return self.files[path]


def npy(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def full_result(rows: tuple[ManifestRow, ...] = ROWS, *, old: bool = False) -> dict[str, bytes]:
    """A result without a fault: the files that every row needs, and others."""
    files = {"manifest.csv": manifest_bytes(*rows), "output": b"done\n", "attached_data.txt": b"all\n"}
    for number, stream in enumerate(sorted({f"{r.mouseid}/{r.recording}/{r.ephys_collection}" for r in rows})):
        channels = 32 + number
        files[f"{stream}/channels.localCoordinates.npy"] = npy(np.arange(2.0 * channels).reshape(-1, 2))
        files[f"{stream}/channels.rawInd.npy"] = npy(np.arange(channels))
        files[f"{stream}/_iblqc_ephysTimeRmsAP.rms.npy"] = npy(np.ones((3, channels)))
    for one in rows:
        picks = {"xyz_picks": expected_ras_um(TRACKS[one.histology_track_id])}
        files[path_of(one, old=old)] = json.dumps(picks).encode()
    return files


def path_of(one: ManifestRow, *, old: bool = False) -> str:
    """Where a version of the converter puts a row's picks."""
    return (older_pick_path(one, "0.1.3") if old else "") or pick_path(one)


def needed(rows: tuple[ManifestRow, ...] = ROWS, *, old: bool = False) -> dict[str, set[str]]:
    """Every file that some row is counted by -> the tracks of these rows."""
    files = {"manifest.csv": {one.histology_track_id for one in rows}}
    for one in rows:
        folder = path_of(one, old=old).rpartition("/")[0]
        for name in ("channels.localCoordinates.npy", "channels.rawInd.npy"):
            files.setdefault(f"{folder}/{name}", set()).add(one.histology_track_id)
        files[path_of(one, old=old)] = {one.histology_track_id}
    return files
