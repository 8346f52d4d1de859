"""Looks into a captured result: each folder is listed once, files are read bounded, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import InputError, NotFoundError, PlatformError, UnavailableError, UnclearError
from core.models import Asset
from core.platforms.base import Entry

_MAX_BYTES = 16 * 1024 * 1024


class ResultReader(Protocol):
    """The part of a platform that is needed to count."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder of the captured asset. Raises NotFoundError."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of the captured asset. Raises NotFoundError."""


@dataclass(slots=True)
class ResultFolder:
    """One captured result. What is reached through a link is not in it.

    Only the folders on the way to a file that is asked for are listed: a result may hold thousands of others.
    """

    reader: ResultReader
    asset: Asset
    _listed: dict[str, Mapping[str, Entry]] = field(default_factory=dict)

    def file(self, path: str) -> Entry | None:
        """The file of this path, or None when the result has none.

        Raises:
            UnavailableError, UnclearError: a folder on the way cannot be listed: nothing can be said.
        """
        entry = self._entry(path)
        return None if entry is None or entry.is_folder else entry

    def read(self, path: str) -> bytes:
        """The bytes of a file that is there.

        Raises:
            InputError: it is too large to be what it should be.
            PlatformError: it cannot be read.
        """
        entry = self.file(path)
        if entry is not None and entry.size is not None and entry.size > _MAX_BYTES:
            raise InputError(f"{path} is too large")
        return self.reader.read_file(self.asset, path, _MAX_BYTES)

    def _entry(self, path: str) -> Entry | None:
        folder, _, name = path.rpartition("/")
        if folder and ((parent := self._entry(folder)) is None or not parent.is_folder):
            return None
        if folder not in self._listed:
            self._listed[folder] = {entry.name: entry for entry in self._list(folder)}
        entry = self._listed[folder].get(name)
        return None if entry is None or entry.is_link else entry

    def _list(self, folder: str) -> tuple[Entry, ...]:
        try:
            return self.reader.list_folder(self.asset, folder)
        except (UnavailableError, UnclearError):
            raise
        except PlatformError as error:
            if folder and isinstance(error, NotFoundError):
                return ()
            # A result that cannot be looked into is no result without files.
            raise UnavailableError(
                f"the result cannot be listed: {error.message}",
                where=folder,
                cure=error.cure or "It is counted as soon as it can be listed.",
            ) from error
