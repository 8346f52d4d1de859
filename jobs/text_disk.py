"""How the store's rows look on disk: text keys that sort, JSON text inline, nothing pickled and nothing in files."""

from __future__ import annotations

import json
from typing import Any, Final

import diskcache
from diskcache.core import MODE_RAW

from core.errors import StoreUnusableError


class _Foreign:
    """Stands for a key or value that is not ours. Never decoded."""

    def __repr__(self) -> str:
        return "FOREIGN"


FOREIGN: Final = _Foreign()
"""What reading a row that this program did not write gives, instead of running what is in it."""


class TextDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keys are `str`, values JSON text in the row itself.

    diskcache's own Disk and JSONDisk both unpickle rows that say they are pickles, so whoever can write the
    file could run code here. This one never does: such rows read as `FOREIGN`. Values are never put in
    files, because diskcache removes a value's file before the transaction that replaces it has committed.
    """

    def put(self, key: object) -> tuple[str, bool]:
        """The database form of a key.

        Raises:
            TypeError: it is not text.
        """
        if type(key) is not str:
            raise TypeError(f"a key of the store is text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> object:
        """The key of a row; `FOREIGN` for one that is not ours, so that one bad row does not hide the others."""
        return key if raw and type(key) is str else FOREIGN

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, str]:
        """The columns size, mode, filename and value of a row.

        Raises:
            TypeError: the value has no JSON form, or is a file.
            ValueError: it holds a number that is not finite.
        """
        if read:
            raise TypeError("the store keeps no files")
        return 0, MODE_RAW, None, json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> Any:  # noqa: ANN401 - JSON
        """The value of a row; `FOREIGN` when it is not JSON text of ours."""
        if mode != MODE_RAW or filename is not None or type(value) is not str:
            return FOREIGN
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return FOREIGN

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """Refuses: no value is ever kept in a file of its own.

        Raises:
            StoreUnusableError: always.
        """
        raise StoreUnusableError("the store was asked to keep a value in a file", cure="Report this; it is a fault.")

    def remove(self, file_path: object) -> None:
        """Removes nothing: a path in a row is not ours."""
