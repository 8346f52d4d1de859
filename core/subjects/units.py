"""The units of one stream of a sorting: how high on the probe, of which group, and whether they pass quality control.

Read only when somebody looks at the stream: one listing and a few small files. Where a file is missing or odd the
units are as unknown as before, with words for where they were looked for.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.asset_names import sorted_stream
from core.errors import InputError, NotFoundError, TrackmapperError, UnavailableError, UnclearError
from core.models import Asset, Points, Sorting
from core.recent import Recent
from core.subjects.asset_files import list_optional
from core.subjects.reading import FileReader
from core.zarr_chunks import open_array, read_array

MAX_UNITS_BYTES = 4 * 1024 * 1024
"""Of one file: some 150,000 units."""
WHOLE = -1
"""In place of a group: the stream was sorted as a whole."""
_LOCATIONS = "unit_locations/unit_locations"
_QUALITY = "properties/default_qc.npy"
_CURATED = ("curated", "sorting_precurated")
_CURE = "Look at the sorting's files; the upload may have been cut short."


@dataclass(frozen=True, slots=True, eq=False)
class StreamUnits:
    """The units of one stream, group after group."""

    depths_um: Points
    """(n,) height above the probe's lowest row of electrodes, towards its base: y of the sorter's location."""
    x_um: Points
    """(n,) across the probe; shanks lie side by side."""
    groups: NDArray[np.int64]
    """(n,) the sorter's number of the shank, which need not be the probe's; `WHOLE` where it sorted all together."""
    passing: NDArray[np.bool_] | None
    """(n,) passes quality control; None when that is not known of every unit."""
    source: str
    """Where it was read, for people; "" when there is nothing."""
    looked_for: str = ""
    """What is not known, and where it was looked for; "" when all is known."""


UnitsCache = Recent[tuple[str, str], StreamUnits]
"""(asset id, stream token) -> its units."""


def read_units(reader: FileReader, sorting: Sorting, token: str, *, known: UnitsCache | None = None) -> StreamUnits:
    """The units of one stream of a sorting.

    Args:
        reader: Reads the sorted asset.
        sorting: The sorting.
        token: The stream's exact token.
        known: Keeps what was read, and is asked first.

    Raises:
        PlatformError: the sorting cannot be listed, or the platform not be reached; a file that is missing or odd
            is told in `looked_for`.
    """
    if known is None:
        return _read_units(reader, sorting.asset, token)
    return known.get((sorting.asset.id, token), lambda: _read_units(reader, sorting.asset, token))


def _read_units(reader: FileReader, asset: Asset, token: str) -> StreamUnits:
    names = [entry.name for entry in list_optional(reader, asset, "postprocessed")]
    streams = [(name, stream) for name in names if (stream := sorted_stream(name)) is not None]
    own = sorted((stream.group if stream.group is not None else WHOLE, name) for name, stream in streams
                 if stream.token == token)  # fmt: skip
    if not own:
        return _unknown(f"no units of {token}: {asset.name}/postprocessed has no folder of this stream")
    xy_um, groups, passing, gaps = [], [], [], []
    for group, name in own:
        try:
            located = _locations(reader, asset, name)
        except (UnavailableError, UnclearError):
            raise
        except TrackmapperError as error:
            gaps.append(f"no unit locations in postprocessed/{name}: {error.message}")
            continue
        xy_um.append(located[:, :2])
        groups.append(np.full(len(located), group, dtype=np.int64))
        try:
            passing.append(_passing(reader, asset, name.removesuffix(".zarr"), len(located)))
        except (UnavailableError, UnclearError):
            raise
        except TrackmapperError as error:
            gaps.append(f"quality not known: {error.message}")
    if not xy_um:
        return _unknown("; ".join(gaps))
    together = np.concatenate(xy_um)
    return StreamUnits(
        depths_um=together[:, 1],
        x_um=together[:, 0],
        groups=np.concatenate(groups),
        passing=np.concatenate(passing) if len(passing) == len(xy_um) else None,
        source=f"unit_locations in {asset.name}/postprocessed",
        looked_for="; ".join(gaps),
    )


def _unknown(looked_for: str) -> StreamUnits:
    nothing = np.empty(0)
    return StreamUnits(nothing, nothing, np.empty(0, dtype=np.int64), None, "", looked_for)


def _locations(reader: FileReader, asset: Asset, name: str) -> Points:
    """(n, 2 or 3) um: across the probe, along it, away from it.

    Raises:
        NotFoundError, InputError: there are none, or they make no sense.
    """
    where = f"{asset.name}/postprocessed/{name}"

    def read(path: str, limit: int) -> bytes:
        return reader.read_file(asset, path, limit)

    folder = f"postprocessed/{name}"
    if name.endswith(".zarr"):
        array = open_array(read, f"{folder}/extensions/{_LOCATIONS}", where=where)
        located = read_array(read, array, limit=MAX_UNITS_BYTES)
    else:
        try:
            data = read(f"{folder}/extensions/{_LOCATIONS}.npy", MAX_UNITS_BYTES)
        except NotFoundError:
            data = read(f"{folder}/{_LOCATIONS}.npy", MAX_UNITS_BYTES)
        located = read_npy(data, where=where)
    if located.ndim != 2 or located.shape[1] not in (2, 3) or located.dtype.kind != "f":
        raise InputError(f"Unit locations of shape {located.shape} are no places.", where=where, cure=_CURE)
    if not np.isfinite(located[:, :2]).all():
        raise InputError("Some units have no finite location.", where=where, cure=_CURE)
    return located.astype(np.float64)


def _passing(reader: FileReader, asset: Asset, name: str, units: int) -> NDArray[np.bool_]:
    """(n,) which units pass.

    Raises:
        NotFoundError, InputError: it is not told, or not of these units.
    """
    for folder in _CURATED:
        path = f"{folder}/{name}/{_QUALITY}"
        try:
            passes = read_npy(reader.read_file(asset, path, MAX_UNITS_BYTES), where=f"{asset.name}/{path}")
        except NotFoundError:
            continue
        if passes.shape != (units,) or passes.dtype.kind != "b":
            raise InputError(f"{path} is not about these {units} units.", where=asset.name, cure=_CURE)
        return passes.astype(np.bool_)
    raise NotFoundError(f"no {_QUALITY} in curated/{name}", where=asset.name)


def read_npy(data: bytes, *, where: str) -> NDArray[np.generic]:
    """An array of plain numbers from the bytes of a .npy file; nothing is allocated that the bytes do not hold.

    Raises:
        InputError: it is no such file.
    """
    try:
        file = io.BytesIO(data)
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.kind not in "biuf":
            raise ValueError(f"elements of type {dtype}")
        return np.frombuffer(data, dtype=dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")
    except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError) as error:
        raise InputError(f"It is no .npy file of numbers ({error}).", where=where, cure=_CURE) from error
