"""Asking for files before they are needed, so that an asset costs the time of its longest chain of requests."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from core.errors import NotFoundError
from core.models import Asset
from core.platforms.base import Entry


class FileReader(Protocol):
    """What reading an asset needs of a platform; see `AssetReader`."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes."""


class ReadAhead:
    """A reader that has begun with some requests by the time they are asked for.

    Args:
        reader: Makes the requests.
        pool: Where those run that were begun ahead. What runs there waits for nothing else that does.
    """

    def __init__(self, reader: FileReader, pool: ThreadPoolExecutor) -> None:
        self._reader, self._pool = reader, pool
        self._folders: dict[tuple[str, str, str], tuple[Future[tuple[Entry, ...]], bool]] = {}
        self._files: dict[tuple[str, str, str], tuple[Future[bytes], bool]] = {}

    def begin(self, asset: Asset, folders: Iterable[str], files: Iterable[tuple[str, int]], *, guessed: bool) -> None:
        """Begin with requests that will be made; see `read_ahead`."""
        for path in folders:
            listing = self._pool.submit(self._reader.list_folder, asset, path)
            self._folders[asset.id, asset.name, path] = listing, guessed
        for path, limit in files:
            data = self._pool.submit(self._reader.read_file, asset, path, limit)
            self._files[asset.id, asset.name, path] = data, guessed

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset, as the reader gives them."""
        begun, guessed = self._folders.pop((asset.id, asset.name, path), (None, False))
        try:
            if begun is not None:
                return begun.result()
        except NotFoundError:
            if not guessed:
                raise
        return self._reader.list_folder(asset, path)

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes, as the reader gives them."""
        begun, guessed = self._files.pop((asset.id, asset.name, path), (None, False))
        try:
            if begun is not None:
                return begun.result()
        except NotFoundError:
            if not guessed:
                raise
        return self._reader.read_file(asset, path, limit)


def read_ahead(
    reader: FileReader,
    asset: Asset,
    folders: Iterable[str] = (),
    files: Iterable[tuple[str, int]] = (),
    *,
    guessed: bool = False,
) -> None:
    """Begin with requests whose answers will be asked for; nothing happens where that gains no time.

    Args:
        reader: The reader that will be asked.
        asset: Whose files.
        folders: Paths to list.
        files: Paths to read, each with the limit that it will be read with.
        guessed: They may not be there. Who asks all the same, because a listing shows them, has them looked for anew:
            the listing may come from another place than the guess was made at.
    """
    if isinstance(reader, ReadAhead):
        reader.begin(asset, folders, files, guessed=guessed)
