"""The channel files of a recording's stream: where the electrodes lie, and which is which.

The full converter writes both names into the folder of every stream that it extracts, in all of its versions, and its
own datapackage leaves out a stream whose folder lacks the first: the alignment GUI opens them by exactly these names.
Newer versions add others (shank, contact), which are not asked for.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np

from core.errors import InputError, PlatformError, UnavailableError, UnclearError
from core.result_folder import ResultFolder

LOCAL_COORDINATES, RAW_INDICES = "channels.localCoordinates.npy", "channels.rawInd.npy"
CHANNEL_FILES = {LOCAL_COORDINATES: 2, RAW_INDICES: 1}
"""Name of each file -> dimensions of its array: (channels, x and y in um) and (channels,)."""
SKIP_EPHYS = "skip-ephys"
"""The converter's option that leaves these files out; "0" without a word."""


def skips_ephys(parameters: Mapping[str, str]) -> bool:
    """Whether a conversion with these options writes picks only."""
    return parameters.get(SKIP_EPHYS, "").strip().lower() not in ("", "0", "false")


def channel_fault(folder: str, result: ResultFolder) -> str:
    """What is wrong with the channel files of a stream's folder, or "".

    Raises:
        UnavailableError, UnclearError: the platform does not answer.
    """
    channels: set[int] = set()
    for name, dimensions in CHANNEL_FILES.items():
        path = f"{folder}/{name}"
        try:
            if result.file(path) is None:
                return f"{path} is not in the result: the stream's channels were not extracted"
            shape = array_shape(result.read(path))
        except InputError as error:
            return f"{path} cannot be used: {error.message}"
        except (UnavailableError, UnclearError):
            raise
        except PlatformError as error:
            return f"{path} cannot be read: {error}"
        if len(shape) != dimensions or not math.prod(shape):
            return f"{path} holds an array of shape {shape}"
        channels.add(shape[0])
    if len(channels) > 1:
        return f"the channel files of {folder} are of {' and '.join(map(str, sorted(channels)))} channels"
    return ""


def array_shape(data: bytes) -> tuple[int, ...]:
    """The shape of the numbers in a whole .npy file.

    Raises:
        InputError: it is cut short, or no such file.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    except (ValueError, SyntaxError, TypeError, EOFError, RecursionError, MemoryError) as error:
        raise InputError("it is cut short or holds no array") from error
    if dtype.kind not in "iuf":
        raise InputError("it holds no numbers")
    if len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise InputError("it is cut short or too long")
    return tuple(shape)
