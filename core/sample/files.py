"""Small writers that give the same bytes on every machine: JSON, zarr arrays, random numbers by name."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

_NAMESPACE = uuid.UUID("5d0f6b0e-6a52-4f1c-9a57-70c1c5f0a9d1")


def random_for(seed: int, *what: object) -> np.random.Generator:
    """A generator that depends on the seed and on what it is for, not on what was drawn before."""
    text = "/".join(str(part) for part in (seed, *what))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


def named_id(seed: int, name: str) -> str:
    """A UUID that belongs to this name and seed."""
    return str(uuid.uuid5(_NAMESPACE, f"{seed}/{name}"))


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, keys in the order given (Neuroglancer's axes have their order from it)."""
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_group(folder: Path, attributes: Mapping[str, Any] | None = None) -> None:
    """Write the metadata of a zarr v2 group."""
    write_json(folder / ".zgroup", {"zarr_format": 2})
    if attributes is not None:
        write_json(folder / ".zattrs", attributes)


def write_array(
    folder: Path,
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    data: Iterable[tuple[tuple[int, ...], NDArray[Any]]] = (),
    separator: str = ".",
) -> None:
    """Write a zarr v2 array with blosc-compressed chunks; chunks that are not given are absent (fill value 0).

    Args:
        folder: The array's folder.
        shape: Shape of the whole array.
        chunks: Shape of one chunk.
        dtype: Numpy's word for the element type, little endian, e.g. `<u2`.
        data: Chunk index and its elements; at the array's far edges the elements may be fewer than a chunk has.
        separator: Between the numbers of a chunk's file name, "." or "/".
    """
    codec = Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE)
    metadata = {
        "chunks": list(chunks),
        "compressor": codec.get_config(),
        "dimension_separator": separator,
        "dtype": dtype,
        "fill_value": 0,
        "filters": None,
        "order": "C",
        "shape": list(shape),
        "zarr_format": 2,
    }
    write_json(folder / ".zarray", metadata)

    def write_chunk(item: tuple[tuple[int, ...], NDArray[Any]]) -> None:
        index, elements = item
        full = np.zeros(chunks, dtype=dtype)
        full[tuple(slice(0, n) for n in elements.shape)] = elements
        write_bytes(folder / separator.join(map(str, index)), codec.encode(full))

    # Blosc uses its own threads only when called from the main thread, and then orders the blocks by chance:
    # compressing elsewhere keeps the bytes the same on every run.
    with ThreadPoolExecutor(max_workers=2) as pool:
        for batch in itertools.batched(data, 4):
            list(pool.map(write_chunk, batch))


def write_small_array(folder: Path, elements: NDArray[Any]) -> None:
    """Write a whole array as one chunk."""
    dtype = elements.dtype.newbyteorder("<").str
    shape = tuple(max(1, n) for n in elements.shape)
    chunk = [((0,) * elements.ndim, elements)] if elements.size else []
    write_array(folder, shape=elements.shape, chunks=shape, dtype=dtype, data=chunk)
