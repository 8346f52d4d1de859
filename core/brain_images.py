"""The brain behind the tracks: a coarse level of its image, seen from three sides, and where in it there is tissue.

Read chunk by chunk through the platform and bounded in bytes; oriented by the image's own frame, so that a pixel lies
where a track through it does. It takes seconds on a slow line: call it from a thread, and give it a cache.
"""

from __future__ import annotations

import itertools
import json
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, NotFoundError
from core.geometry import (
    directions_ras,
    level0_to_image_ras_um,
    level_factors_zyx,
    level_to_level0,
)
from core.models import Asset, ImageChannel, ImageFrame
from core.tissue import USUAL_SHARE, Tissue, find_tissue
from core.zarr_chunks import MAX_METADATA_BYTES, ZarrArray, open_array, read_chunk

WANTED_BYTES = 64 * 1024 * 1024
"""The finest level of at most this many bytes, unpacked, is taken."""
MAX_VOLUME_BYTES = 128 * 1024 * 1024
"""When even the coarsest has more than is wanted, it is taken up to this size."""
_MAX_CHUNKS = 20_000
_MAX_PADDED = 4
"""Chunks at the far edges are whole, too: all of them together may have this many times the bytes of the volume."""
_SIDE_BY_SIDE = 4
_UNPACKING_BYTES = 64 * 1024 * 1024
"""Of chunks that are unpacked at the same time."""
_SHOWN_PERCENT = (1.0, 99.7)
_VIEWS = {"coronal": (0, 2), "sagittal": (1, 2), "horizontal": (0, 1)}
"""The axes of RAS along the columns and the rows of each view; the third one is looked along."""
_CURE = "The tracks can be judged without it; look at the stitched asset."


class ImageReader(Protocol):
    """What reading an image needs of a platform; see `AssetReader`."""

    connections: int

    @property
    def platform_id(self) -> str:
        """Tells this place from every other of the same name."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The brightest voxels along one axis, as a picture that a plot can take as it is."""

    pixels: NDArray[np.uint8]
    """(rows, columns): rows count upwards (towards S, in the horizontal view A), columns towards R (sagittal: A)."""
    extent_um: tuple[float, float, float, float]
    """Outer edges in image RAS um: left, right, bottom, top."""


@dataclass(frozen=True, slots=True, eq=False)
class BrainProjections:
    """An image from three sides."""

    coronal: Projection
    sagittal: Projection
    horizontal: Projection
    limits: tuple[float, float]
    """Grey values of the image that became 0 and 255; linear between."""


@dataclass(frozen=True, slots=True, eq=False)
class BrainImage:
    """What a coarse level of an image tells."""

    projections: BrainProjections
    tissue: Tissue | None
    """None when it shows no brain."""
    level: int
    """0 is the finest."""
    source: str
    """Which image of which asset, and how coarse, for people."""


class ImageCache(Protocol):
    """Keeps brain images; see `core.brain_image_cache`."""

    def load(self, key: str) -> BrainImage | None:
        """The image of this key, or None."""

    def keep(self, key: str, image: BrainImage) -> None:
        """Keep an image. That it cannot be kept is no error."""


def read_brain_image(
    reader: ImageReader,
    asset: Asset,
    channel: ImageChannel,
    *,
    cache: ImageCache | None = None,
    wanted_bytes: int = WANTED_BYTES,
    tissue_share: float = USUAL_SHARE,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BrainImage:
    """Read a coarse level of an image and look at it from three sides.

    Args:
        reader: Reads the stitched asset, from several threads at once.
        asset: The stitched asset.
        channel: One of its channels.
        cache: Keeps what was made, and is asked first.
        wanted_bytes: The finest level of at most this many bytes is taken.
        tissue_share: How bright tissue is; see `find_tissue`.
        progress: Told the share of chunks read, 0 to 1, from the threads that read.
        cancelled: Asked before every chunk; when it says True the reading ends.

    Raises:
        NotFoundError: the image, or every voxel of the level, is not there.
        InputError: the image cannot be understood, is damaged or has no level that is small enough.
        PlatformError: it cannot be read.
        CancelledError: `cancelled` said so.
    """
    where = f"{asset.name}/{channel.path}"
    if channel.frame is None:
        raise InputError("Where the image lies is not known.", where=where, cure=_CURE)

    def read(path: str, limit: int) -> bytes:
        return reader.read_file(asset, path, limit)

    zattrs = _attributes(read, channel.path, where)
    level, array, axes = _chosen_level(read, channel.path, zattrs, where, wanted_bytes)
    told = [repr(channel), repr(array), json.dumps(zattrs, sort_keys=True), repr(tissue_share)]
    key = "\n".join([reader.platform_id, asset.id, *told])
    kept = cache.load(key) if cache is not None else None
    if kept is not None:
        return kept
    volume = _volume(read, array, axes, reader.connections or _SIDE_BY_SIDE, progress, cancelled)
    factors = level_factors_zyx(zattrs, level)
    image = _looked_at(volume, channel.frame, factors, level, where, tissue_share)
    if cache is not None:
        cache.keep(key, image)
    return image


# --- reading ------------------------------------------------------------------------------------


_Read = Callable[[str, int], bytes]


def _attributes(read: _Read, path: str, where: str) -> Mapping[str, Any]:
    """The attributes that hold the multiscales block."""
    try:
        try:
            document = json.loads(read(f"{path}/.zattrs", MAX_METADATA_BYTES))
        except NotFoundError:
            document = json.loads(read(f"{path}/zarr.json", MAX_METADATA_BYTES))["attributes"]
        attributes = document.get("ome", document)
        if not isinstance(attributes, dict):
            raise ValueError("no JSON object")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"Its attributes are not those of an image ({error}).", where=where, cure=_CURE) from error
    return attributes


def _chosen_level(
    read: _Read, path: str, zattrs: Mapping[str, Any], where: str, wanted_bytes: int
) -> tuple[int, ZarrArray, tuple[int, int, int]]:
    """The level to read, its array, and the places of z, y, x among its axes."""
    try:
        multiscale = zattrs["multiscales"][0]
        names = [str(axis["name"]).lower() for axis in multiscale["axes"]]
        folders = [str(level["path"]) for level in multiscale["datasets"]]
        z, y, x = (names.index(axis) for axis in "zyx")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"It has no multiscales block ({error}).", where=where, cure=_CURE) from error
    chosen: tuple[int, ZarrArray] | None = None
    for level in reversed(range(len(folders))):
        array = open_array(read, f"{path}/{folders[level]}", where=f"{where}/{folders[level]}")
        if len(array.shape) != len(names) or 0 in array.shape:
            raise InputError(f"Shape {array.shape} does not fit axes {names}.", where=array.where, cure=_CURE)
        nbytes = _spatial_bytes(array, (z, y, x))
        if nbytes > (wanted_bytes if chosen else MAX_VOLUME_BYTES):
            break
        chosen = level, array
        if nbytes > wanted_bytes:
            break
    if chosen is None:
        raise InputError(
            f"Even its coarsest level has more than {MAX_VOLUME_BYTES >> 20} MiB.", where=where, cure=_CURE
        )
    return *chosen, (z, y, x)


def _spatial_bytes(array: ZarrArray, axes: tuple[int, int, int]) -> int:
    z, y, x = (array.shape[axis] for axis in axes)
    return z * y * x * array.dtype.itemsize


def _volume(
    read: _Read,
    array: ZarrArray,
    axes: tuple[int, int, int],
    connections: int,
    progress: Callable[[float], None] | None,
    cancelled: Callable[[], bool] | None,
) -> NDArray[Any]:
    """The first time and channel of an array, in z, y, x."""
    counts = [count if axis in axes else 1 for axis, count in enumerate(array.grid)]
    total = math.prod(counts)
    if total > _MAX_CHUNKS or total * array.chunk_nbytes > _MAX_PADDED * MAX_VOLUME_BYTES:
        raise InputError(
            f"It has {total} chunks of {array.chunk_nbytes} bytes, more than are read.", where=array.where, cure=_CURE
        )
    shape = [array.shape[axis] for axis in axes]
    volume = np.full(shape, array.fill, dtype=array.dtype.newbyteorder("="))
    lock, stop = threading.Lock(), threading.Event()
    done = found = 0

    def take(index: tuple[int, ...]) -> None:
        nonlocal done, found
        if stop.is_set() or (cancelled is not None and cancelled()):
            raise CancelledError
        chunk = read_chunk(read, array, index)
        if chunk is not None:
            place = array.place(index)
            others = tuple(slice(None) if axis in axes else 0 for axis in range(len(place)))
            order = np.argsort(np.argsort(axes))
            volume[tuple(place[axis] for axis in axes)] = chunk[others].transpose(order)
        with lock:
            done, found = done + 1, found + (chunk is not None)
            if progress is not None:
                progress(done / total)

    side_by_side = max(1, min(connections, _UNPACKING_BYTES // array.chunk_nbytes))
    with ThreadPoolExecutor(side_by_side, "image") as pool:
        try:
            for _ in pool.map(take, itertools.product(*map(range, counts))):
                pass
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if not found:
        raise NotFoundError("None of the level's voxels are there.", where=array.where, cure=_CURE)
    return volume


# --- looking ------------------------------------------------------------------------------------


def _looked_at(
    volume_zyx: NDArray[Any],
    frame: ImageFrame,
    factors_zyx: tuple[float, float, float],
    level: int,
    where: str,
    tissue_share: float,
) -> BrainImage:
    steep = np.nan_to_num(volume_zyx, nan=0.0, posinf=0.0, neginf=0.0) if volume_zyx.dtype.kind == "f" else volume_zyx
    flat = {name: _flattened(steep, frame, *axes) for name, axes in _VIEWS.items()}
    seen = np.concatenate([picture.ravel() for picture in flat.values()]).astype(np.float64)
    low, high = (float(value) for value in np.percentile(seen, _SHOWN_PERCENT))
    if not high > low:
        low, high = float(seen.min()), float(max(seen.max(), seen.min() + 1.0))
    extents = _extents_um(steep.shape, frame, factors_zyx)
    views = {
        name: Projection(_grey(picture, low, high), (*extents[_VIEWS[name][0]], *extents[_VIEWS[name][1]]))
        for name, picture in flat.items()
    }
    voxel_um = ", ".join(f"{s * f:.3g}" for s, f in zip(frame.scale_level0_um_xyz, factors_zyx[::-1], strict=True))
    return BrainImage(
        projections=BrainProjections(**views, limits=(low, high)),
        tissue=find_tissue(steep, frame, factors_zyx, share=tissue_share),
        level=level,
        source=f"{where}, level {level}: voxels of {voxel_um} um",
    )


def _flattened(volume_zyx: NDArray[Any], frame: ImageFrame, across: int, up: int) -> NDArray[Any]:
    """The brightest voxels along the remaining axis of RAS; rows along `up`, columns along `across`, both upwards."""
    ras = directions_ras(frame.directions_xyz)[:, ::-1]  # columns are z, y, x
    axis_of = np.abs(ras).argmax(axis=1)  # the array's axis along R, A, S
    along = 3 - across - up
    picture = volume_zyx.max(axis=int(axis_of[along]))
    if axis_of[across] < axis_of[up]:
        picture = picture.T
    for row_or_column, axis in enumerate((up, across)):
        if ras[axis].sum() < 0:
            picture = np.flip(picture, row_or_column)
    return picture


def _extents_um(
    shape_zyx: tuple[int, ...], frame: ImageFrame, factors_zyx: tuple[float, float, float]
) -> tuple[tuple[float, float], ...]:
    """Lowest and highest face of the level along R, A and S."""
    faces_zyx = np.array([(-0.5, -0.5, -0.5), np.asarray(shape_zyx) - 0.5])
    faces = level0_to_image_ras_um(level_to_level0(faces_zyx, factors_zyx), frame)
    return tuple((float(low), float(high)) for low, high in zip(faces.min(axis=0), faces.max(axis=0), strict=True))


def _grey(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    grey = np.empty(values.shape, dtype=np.uint8)
    for place, part in enumerate(values):  # part by part: floats of a whole volume would take four times its bytes
        grey[place] = np.rint(((part.astype(np.float64) - low) * (255.0 / (high - low))).clip(0.0, 255.0))
    return grey
