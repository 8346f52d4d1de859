"""Zarr arrays of other people, read chunk by chunk through whatever reads files: formats 2 and 3, bounded throughout.

Nothing is allocated by what the metadata claims before that is held against a limit, and no chunk can unpack to more
than its array says. Read are plain numbers, whole or compressed by blosc, zstd, lz4, gzip or zlib; anything else
(filters, shards, structured elements) is refused with its name.
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numcodecs
import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, NotFoundError

ReadFile = Callable[[str, int], bytes]
"""(path, limit in bytes) -> the file's bytes. Raises NotFoundError, or PlatformError when there are more."""
MAX_METADATA_BYTES = 4 * 1024 * 1024
MAX_CHUNK_BYTES = 64 * 1024 * 1024
_MAX_AXES = 8
_PACKED_MARGIN = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_V3_TYPES = {
    **{name: np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{name: np.dtype(name) for name in ("float16", "float32", "float64", "bool")},
}
_CURE = "Look at the array's metadata; the upload may have been cut short, or the format may be too new."


@dataclass(frozen=True, slots=True)
class ZarrArray:
    """One array by its metadata, which fits into itself."""

    path: str
    where: str
    """What to call it in errors."""
    format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float
    codecs: tuple[str, ...]
    """What a chunk's bytes are packed with, the outermost last."""
    axes: tuple[int, ...]
    """The order in which a chunk's axes lie in its file, slowest first."""
    prefix: str
    separator: str

    @property
    def nbytes(self) -> int:
        """Bytes of all elements, unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def chunk_nbytes(self) -> int:
        """Bytes of one chunk, unpacked."""
        return math.prod(self.chunks) * self.dtype.itemsize

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    def chunk_path(self, index: Sequence[int]) -> str:
        """The file of a chunk."""
        name = self.separator.join(map(str, index)) or "0"
        if self.prefix:
            name = self.prefix if not index else f"{self.prefix}{self.separator}{name}"
        return f"{self.path}/{name}"

    def place(self, index: Sequence[int]) -> tuple[slice, ...]:
        """Where the elements of a chunk lie in the array; at its far edges they are fewer than a chunk has."""
        spans = zip(index, self.chunks, self.shape, strict=True)
        return tuple(slice(i * chunk, min((i + 1) * chunk, size)) for i, chunk, size in spans)


def open_array(read: ReadFile, path: str, *, where: str = "") -> ZarrArray:
    """Read an array's metadata, of format 2 or else of format 3.

    Args:
        read: Reads the files.
        path: The array's folder.
        where: What to call it in errors; the path when "".

    Raises:
        NotFoundError: there is no array.
        InputError: the metadata makes no sense, claims chunks of more than 64 MiB, or names what is not read here.
        PlatformError: it cannot be read.
    """
    where = where or path
    try:
        data, build = read(f"{path}/.zarray", MAX_METADATA_BYTES), _array_v2
    except NotFoundError:
        data, build = read(f"{path}/zarr.json", MAX_METADATA_BYTES), _array_v3
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        array = build(document, path, where)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"Its metadata cannot be used ({type(error).__name__}: {error}).", where=where, cure=_CURE
        ) from error
    if array.chunk_nbytes > MAX_CHUNK_BYTES:
        raise InputError(
            f"One chunk of shape {array.chunks} has more than {MAX_CHUNK_BYTES} bytes.", where=where, cure=_CURE
        )
    return array


def read_chunk(read: ReadFile, array: ZarrArray, index: Sequence[int]) -> NDArray[Any] | None:
    """The elements of one chunk, cut to the array; None when its file is not there, which means the fill value.

    Raises:
        InputError: the bytes do not unpack to a chunk.
        PlatformError: it cannot be read.
    """
    path = array.chunk_path(index)
    limit = array.chunk_nbytes + array.chunk_nbytes // 64 + _PACKED_MARGIN
    try:
        data = read(path, limit)
    except NotFoundError:
        return None
    try:
        for number, codec in reversed(list(enumerate(array.codecs))):
            # A checksum inside the compression makes the unpacked bytes a little longer than the chunk.
            checksums = sum(each == "crc32c" for each in array.codecs[:number])
            data = _unpacked(codec, data, array.chunk_nbytes + 4 * checksums)
        if len(data) != array.chunk_nbytes:
            raise ValueError(f"{len(data)} bytes instead of {array.chunk_nbytes}")
    except (ValueError, RuntimeError, TypeError, MemoryError, zlib.error) as error:
        raise InputError(f"A chunk of it is damaged ({error}).", where=f"{array.where}: {path}", cure=_CURE) from error
    elements = np.frombuffer(data, dtype=array.dtype).reshape([array.chunks[axis] for axis in array.axes])
    whole = elements.transpose(np.argsort(array.axes)) if array.axes else elements
    return whole[tuple(slice(part.stop - part.start) for part in array.place(index))]


def read_array(read: ReadFile, array: ZarrArray, *, limit: int) -> NDArray[Any]:
    """A whole small array.

    Raises:
        InputError: it would have more than `limit` bytes or chunks beyond reason, or a chunk is damaged.
        PlatformError: it cannot be read.
    """
    if max(array.nbytes, array.chunk_nbytes) > limit or math.prod(array.grid) > max(64, limit // 4096):
        raise InputError(
            f"Its shape {array.shape} in chunks of {array.chunks} is more than the {limit} bytes that are read of it.",
            where=array.where,
            cure=_CURE,
        )
    elements = np.full(array.shape, array.fill, dtype=array.dtype)
    for index in chunk_indices(array):
        chunk = read_chunk(read, array, index)
        if chunk is not None:
            elements[array.place(index)] = chunk
    return elements


def chunk_indices(array: ZarrArray) -> Iterator[tuple[int, ...]]:
    """The index of every chunk, the last axis fastest."""
    return itertools.product(*map(range, array.grid))


# --- metadata -----------------------------------------------------------------------------------


def _array_v2(document: Mapping[str, Any], path: str, where: str) -> ZarrArray:
    if document.get("filters"):
        raise ValueError("filters are not read here")
    compressor = document.get("compressor")
    codecs = (str(compressor["id"]),) if compressor is not None else ()
    _known(codecs, ("blosc", "zstd", "lz4", "gzip", "zlib"))
    typed = document["dtype"]
    if not isinstance(typed, str):
        raise ValueError(f"elements of the structure {typed!r} are not read here")
    dtype = np.dtype(typed)
    shape, chunks = _sizes(document["shape"], 0), _sizes(document["chunks"], 1)
    order = document.get("order", "C")
    if order not in ("C", "F"):
        raise ValueError(f"order {order!r}")
    axes = tuple(range(len(shape)))
    axes = axes if order == "C" else axes[::-1]
    separator = document.get("dimension_separator", ".")
    return _checked(path, where, 2, shape, chunks, dtype, document.get("fill_value"), codecs, axes, "", separator)


def _array_v3(document: Mapping[str, Any], path: str, where: str) -> ZarrArray:
    if document.get("node_type", "array") != "array":
        raise ValueError("it is a group")
    typed = document["data_type"]
    if typed not in _V3_TYPES:
        raise ValueError(f"elements of type {typed!r} are not read here")
    dtype = _V3_TYPES[typed]
    if document["chunk_grid"]["name"] != "regular":
        raise ValueError("chunks of unequal size are not read here")
    shape = _sizes(document["shape"], 0)
    chunks = _sizes(document["chunk_grid"]["configuration"]["chunk_shape"], 1)
    encoding = document.get("chunk_key_encoding") or {"name": "default"}
    kind, options = encoding["name"], encoding.get("configuration") or {}
    if kind not in ("default", "v2"):
        raise ValueError(f"chunk keys {kind!r} are not read here")
    separator = options.get("separator", "/" if kind == "default" else ".")
    codecs, axes = [], tuple(range(len(shape)))
    for codec in document["codecs"]:
        name, settings = str(codec["name"]), codec.get("configuration") or {}
        if name == "transpose":
            step = [int(axis) for axis in settings["order"]]
            if sorted(step) != list(range(len(shape))):
                raise ValueError(f"transpose to {step}")
            axes = tuple(axes[axis] for axis in step)
        elif name == "bytes":
            dtype = dtype.newbyteorder(">" if settings.get("endian") == "big" else "<")
        else:
            codecs.append(name)
    _known(codecs, ("blosc", "zstd", "gzip", "crc32c"))
    prefix = "c" if kind == "default" else ""
    fill = document.get("fill_value")
    return _checked(path, where, 3, shape, chunks, dtype, fill, tuple(codecs), axes, prefix, separator)


def _checked(
    path: str,
    where: str,
    zarr_format: int,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: object,
    codecs: tuple[str, ...],
    axes: tuple[int, ...],
    prefix: str,
    separator: object,
) -> ZarrArray:
    if len(shape) != len(chunks) or len(shape) > _MAX_AXES:
        raise ValueError(f"shape {shape} in chunks of {chunks}")
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"elements of type {dtype} are not read here")
    if separator not in (".", "/"):
        raise ValueError(f"separator {separator!r}")
    value = _SPECIAL.get(fill, fill) if isinstance(fill, str) else fill
    if not isinstance(value, int | float | None):
        raise ValueError(f"fill value {fill!r}")
    value = 0.0 if value is None else value
    np.full(1, value, dtype=dtype)  # a value that no element can have is an OverflowError here, not in the middle
    return ZarrArray(path, where, zarr_format, shape, chunks, dtype, value, codecs, axes, prefix, str(separator))


def _known(codecs: Sequence[str], known: Sequence[str]) -> None:
    for codec in codecs:
        if codec not in known:
            raise ValueError(f"{codec!r} is not read here")


def _sizes(value: object, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(size) is not int or not least <= size < 2**40 for size in value):
        raise ValueError(f"sizes {value!r}")
    return tuple(value)


# --- unpacking ----------------------------------------------------------------------------------


def _unpacked(codec: str, data: bytes, size: int) -> bytes:
    """The `size` bytes that were packed; what claims or holds another number is refused before it is unpacked."""
    if codec == "crc32c":
        return data[:-4]  # the reader's own transport has checked its bytes
    if codec in ("gzip", "zlib"):
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        unpacked = stream.decompress(data, size + 1)
        if len(unpacked) != size or not stream.eof:
            raise ValueError("its compressed stream has another length")
        return unpacked
    claimed = _CLAIMED[codec](data)
    if claimed != size:
        raise ValueError(f"it would unpack to {claimed} bytes instead of {size}")
    buffer = np.empty(size, dtype=np.uint8)
    numcodecs.get_codec({"id": codec}).decode(data, out=buffer)
    return buffer.tobytes()


def _claimed_by_blosc(data: bytes) -> int:
    # The library trusts this length of the packed bytes, too, and would read beyond them.
    if len(data) < 16 or int.from_bytes(data[12:16], "little") != len(data):
        raise ValueError("its compressed bytes are cut short")
    return int.from_bytes(data[4:8], "little")


def _claimed_by_lz4(data: bytes) -> int:
    return int.from_bytes(data[:4], "little")


def _claimed_by_zstd(data: bytes) -> int:
    """The content size in the header of a frame."""
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("it is no zstd frame")
    flags = data[4]
    single = flags >> 5 & 1
    width = (single, 2, 4, 8)[flags >> 6]
    start = 6 - single + (0, 1, 2, 4)[flags & 3]
    if width == 0 or len(data) < start + width:
        raise ValueError("its zstd frame does not tell its size")
    return int.from_bytes(data[start : start + width], "little") + (256 if width == 2 else 0)


_CLAIMED = {"blosc": _claimed_by_blosc, "zstd": _claimed_by_zstd, "lz4": _claimed_by_lz4}
