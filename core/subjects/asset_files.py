"""Reading an asset's small files, whatever shape they have: bounded bytes, JSON objects, values looked up with care.

AIND's metadata files are written by Python, so they may hold `NaN`, and their schemas change between years. Nothing
here raises for a value of another kind than expected; a file that is no JSON object at all is an InputError.
"""

from __future__ import annotations

import json
from typing import Any

from core.errors import InputError, NotFoundError, TrackmapperError
from core.models import Asset, Problem
from core.platforms.base import Entry
from core.rules import problem
from core.subjects.reading import FileReader

MAX_JSON_BYTES = 16 * 1024 * 1024


def read_object(reader: FileReader, asset: Asset, path: str) -> dict[str, Any]:
    """A JSON object of an asset.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is no JSON object.
        PlatformError: it cannot be read, or has more than 16 MiB.
    """
    data = reader.read_file(asset, path, MAX_JSON_BYTES)
    where = f"{asset.name}/{path}"
    cure = "Look at the file; the upload may have been cut short."
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"It is no JSON ({error}).", where=where, cure=cure) from error
    if not isinstance(content, dict):
        raise InputError("It holds no JSON object.", where=where, cure=cure)
    return content


def read_listed(reader: FileReader, asset: Asset, path: str, problems: list[Problem]) -> dict[str, Any]:
    """A JSON object that a listing has shown; an empty one, and an addition to `problems`, when it cannot be read."""
    try:
        return read_object(reader, asset, path)
    except TrackmapperError as error:
        problems.append(problem("A14", f"{asset.name}/{path}: {error.message}", recording=asset.name))
        return {}


def list_optional(reader: FileReader, asset: Asset, path: str) -> tuple[Entry, ...]:
    """A folder's entries; none when there is no such folder. Raises PlatformError for all else."""
    try:
        return reader.list_folder(asset, path)
    except NotFoundError:
        return ()
