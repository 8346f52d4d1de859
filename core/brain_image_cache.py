"""Brain images on this machine's disk, so that a brain is read once. Losing them costs time and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic_files import write_file
from core.brain_images import BrainImage, BrainProjections, Projection
from core.models import ImageFrame
from core.tissue import Tissue

MAX_FOLDER_BYTES = 256 * 1024 * 1024
_VERSION = 2
"""Raised when what is made of an image changes."""
_ENDING = ".brain.npz"
_VIEWS = ("coronal", "sagittal", "horizontal")
_log = logging.getLogger(__name__)


class BrainImageFiles:
    """A folder of brain images; an `ImageCache` for several threads and processes.

    Args:
        folder: Its own folder; made when something is kept.
        max_bytes: The files that were not used longest are removed above this.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_FOLDER_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def load(self, key: str) -> BrainImage | None:
        """The image of this key; None when there is none. A damaged file is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                image = _image(arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            _log.warning("A kept brain image cannot be used (%s: %s): %s", type(error).__name__, error, path.name)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # it was removed just now, and is in memory already
            os.utime(path)
        return image

    def keep(self, key: str, image: BrainImage) -> None:
        """Keep an image; one that cannot be written is written to the log and read again the next time."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **_arrays(image))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_file(self._path(key), buffer.getvalue())
            self._remove_oldest()
        except OSError as error:
            _log.warning("A brain image cannot be kept in %s: %s", self._folder, error)

    def _path(self, key: str) -> Path:
        return self._folder / (hashlib.sha256(f"{_VERSION}\n{key}".encode()).hexdigest() + _ENDING)

    def _remove_oldest(self) -> None:
        files = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(_ENDING) and entry.is_file(follow_symlinks=False):
                    status = entry.stat()
                    files.append((status.st_mtime_ns, status.st_size, entry.path))
        spare = self._max_bytes
        for number, (_, size, path) in enumerate(sorted(files, reverse=True)):
            spare -= size
            if spare < 0 and number:  # the newest stays, however large it is
                Path(path).unlink(missing_ok=True)


def _arrays(image: BrainImage) -> dict[str, NDArray[Any]]:
    views = {name: getattr(image.projections, name) for name in _VIEWS}
    tissue = image.tissue
    told = {
        "extents_um": {name: view.extent_um for name, view in views.items()},
        "limits": image.projections.limits,
        "tissue": tissue and {"frame": asdict(tissue.frame), "factors_zyx": tissue.factors_zyx},
        "level": image.level,
        "source": image.source,
    }
    text = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
    blocks = {"tissue": tissue.blocks_zyx} if tissue else {}
    return {"told": text, **blocks, **{name: view.pixels for name, view in views.items()}}


def _image(arrays: Any) -> BrainImage:  # noqa: ANN401 - numpy's open .npz file has no public type
    told = json.loads(arrays["told"].tobytes())
    views = {name: Projection(arrays[name], tuple(told["extents_um"][name])) for name in _VIEWS}
    low, high = told["limits"]
    return BrainImage(
        projections=BrainProjections(**views, limits=(low, high)),
        tissue=told["tissue"] and _tissue(told["tissue"], arrays["tissue"]),
        level=told["level"],
        source=told["source"],
    )


def _tissue(told: dict[str, Any], blocks_zyx: NDArray[np.bool_]) -> Tissue:
    frame: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told["frame"].items()
    }
    z, y, x = told["factors_zyx"]
    return Tissue(blocks_zyx, ImageFrame(**frame), (z, y, x))
