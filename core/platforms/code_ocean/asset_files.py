"""The files of any asset: from S3 where it lies there, else from Code Ocean itself.

An asset's record names its bucket, or none when Code Ocean keeps the files: then they are looked for in the buckets of
the settings, under the asset's id and under its name. Where they were found is remembered.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from core.errors import AccessError, NotFoundError, PlatformError, RefusedError, UnavailableError, UnclearError
from core.loose_json import object_of, text_of
from core.models import Asset
from core.platforms.base import Entry
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.downloads import download, download_end
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.records import entries_of
from core.settings import Settings

_LOG = "output"
_LOOKING = 16
"""Places that are looked at side by side."""
_REFUSED_S = 300.0
_Way = tuple[str, bool]
"""How an asset without a bucket of its own is looked for: in this bucket, under its id (else its name)."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of a bucket; Code Ocean itself when it has no bucket."""

    bucket: str = ""
    prefix: str = ""


_CODE_OCEAN = _Place()


@dataclass(slots=True)
class _Known:
    """What is known of where an asset's files are."""

    place: _Place | None = None
    root: tuple[Entry, ...] | None = None
    """What was found there while looking, for the first who asks."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class AssetFiles:
    """Lists and reads the files of assets. Safe in several threads.

    Args:
        api: Code Ocean; None without a token: then only what is public is read.
        s3: The buckets.
        settings: Names the buckets that are searched.
        by_name: Whether a folder that is only called like an asset is taken for it. Never where a result is counted.
        now: Seconds that only go up.
    """

    def __init__(
        self,
        api: CodeOceanApi | None,
        s3: S3Files,
        settings: Settings,
        *,
        by_name: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._s3 = api, s3
        self._now = now
        buckets = settings.asset_bucket_names
        kinds = (True, False) if by_name else (True,)
        self._ways: tuple[_Way, ...] = tuple((bucket, by_id) for by_id in kinds for bucket in buckets)
        self._likely: tuple[_Way, ...] = ()
        """Ways by which assets were found, the latest first."""
        self._refused: dict[str, float] = {}
        """Buckets that are not ours to list, until when they are not asked again."""
        self._looked = False
        self._looking = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._owners: dict[_Place, str] = {}
        self._lock = threading.Lock()

    def note(self, assets: Iterable[Asset]) -> None:
        """Keep in mind which folders are other assets': a name alone may fit several."""
        with self._lock:
            for asset in assets:
                if place := _own_place(asset):
                    self._owners[place] = asset.id

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset, sorted by name.

        Raises:
            NotFoundError: there is no such folder.
            RefusedError: the path leads out of the asset.
            PlatformError: it cannot be listed.
        """
        inner = inner_path(path, asset.name)
        known = self._located(asset)
        with known.lock:
            root, known.root = (None, known.root) if inner else (known.root, None)
        if root is not None:
            return root
        place = known.place or _own_place(asset) or _CODE_OCEAN
        if place == _CODE_OCEAN:
            return self._list_there(asset, inner)
        try:
            return self._s3.list_folder(place.bucket, _joined(place.prefix, inner))
        except (NotFoundError, UnavailableError) as error:
            if self._api is None or (inner and isinstance(error, NotFoundError)):
                raise
            # The record may name where the files came from, not where they are now.
            try:
                entries = self._list_there(asset, inner)
            except PlatformError as other:
                raise (other if inner and isinstance(other, NotFoundError) else error) from None
            known.place = _CODE_OCEAN if _lasts(error) else known.place
            return entries

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            NotFoundError: there is no such file.
            RefusedError: the path leads out of the asset.
            PlatformError: it is larger than `limit` bytes, or cannot be read.
        """
        inner = inner_path(path, asset.name)
        if not inner:
            raise NotFoundError("it is not a file", where=asset.name, cure="Check the path.")
        known = self._located(asset)
        place = known.place or _own_place(asset) or _CODE_OCEAN
        if place == _CODE_OCEAN:
            return self._read_there(asset, inner, limit)
        try:
            return self._s3.read(place.bucket, _joined(place.prefix, inner), limit)
        except UnavailableError as error:
            if self._api is None:
                raise
            try:
                data = self._read_there(asset, inner, limit)
            except (UnavailableError, UnclearError, RefusedError):
                raise error from None
            known.place = _CODE_OCEAN if _lasts(error) else known.place
            return data

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of what a run printed; b"" when there is none (yet). Raises PlatformError."""
        if self._api is None:
            return b""
        where = f"log of {run_id}"
        for call in ("urls", "download_url"):  # the second one is that of older servers
            path = f"computations/{quote(run_id, safe='')}/results/{call}?path={_LOG}"
            with contextlib.suppress(NotFoundError):
                return download_end(self._url(path, where), limit, where, secure=self._secure)
        return b""

    # --- where an asset's files are -------------------------------------------------------------

    def _located(self, asset: Asset) -> _Known:
        with self._lock:
            known = self._known.setdefault(asset.id, _Known())
        if _own_place(asset) is None:
            with known.lock:  # who comes meanwhile waits: nobody looks twice
                if known.place is None:
                    known.place, known.root = self._looked_for(asset)
        return known

    def _looked_for(self, asset: Asset) -> tuple[_Place | None, tuple[Entry, ...] | None]:
        """Where the files are and what lies there; Code Ocean itself when no bucket shows them to us."""
        tried: set[_Way] = set()
        errors: list[PlatformError] = []
        found = self._look(asset, self._likely or self._ways[:1], tried, errors)
        if found is None:
            with self._looking:  # the first one looks everywhere, the others wait and know where to look
                if not self._looked:
                    found, self._looked = self._look(asset, self._ways, tried, errors), True
        if found is None:
            found = self._look(asset, self._likely, tried, errors) or self._look(asset, self._ways, tried, errors)
        if found is not None:
            return found
        lasting = all(isinstance(error, AccessError) for error in errors)
        if self._api is not None:
            return (_CODE_OCEAN if lasting else None), None
        if not lasting:
            raise next(error for error in errors if not isinstance(error, AccessError))
        raise NotFoundError(
            "no searched bucket shows its files",
            where=asset.name,
            cure="Add its bucket to TRACKMAPPER_ASSET_BUCKETS, or set CODE_OCEAN_API_TOKEN.",
        )

    def _look(
        self, asset: Asset, ways: Sequence[_Way], tried: set[_Way], errors: list[PlatformError]
    ) -> tuple[_Place, tuple[Entry, ...]] | None:
        """The first place that holds anything, of those not tried; what else went wrong is added to `errors`."""
        now_s = self._now()
        asked = [way for way in ways if way not in tried and self._refused.get(way[0], 0.0) <= now_s]
        tried.update(asked)
        places = [(way, place) for way in asked if (place := self._candidate(asset, way)) is not None]
        with ThreadPoolExecutor(_LOOKING, thread_name_prefix="places") as pool:
            looks = [pool.submit(self._s3.list_folder, place.bucket, place.prefix) for _, place in places]
        for (way, place), look in zip(places, looks, strict=True):
            try:
                found = place, look.result()
            except NotFoundError:
                continue
            except PlatformError as error:
                errors.append(error)
                if isinstance(error, AccessError):
                    self._refused[place.bucket] = now_s + _REFUSED_S
                continue
            self._likely = (way, *(one for one in self._likely if one != way))
            return found
        return None

    def _candidate(self, asset: Asset, way: _Way) -> _Place | None:
        bucket, by_id = way
        place = _Place(bucket, asset.id if by_id else asset.name)
        usable = place.prefix and "/" not in place.prefix
        return place if usable and self._owners.get(place, asset.id) == asset.id else None

    # --- Code Ocean itself ----------------------------------------------------------------------

    @property
    def _secure(self) -> bool:
        # A Code Ocean that is itself reached without https, on one's own machine, may give such addresses.
        return self._api is None or urlsplit(self._api.domain).scheme == "https"

    def _list_there(self, asset: Asset, inner: str) -> tuple[Entry, ...]:
        if self._api is None:
            raise NotFoundError("its files are not public", where=asset.name, cure="Set CODE_OCEAN_API_TOKEN.")
        told = self._api.read("POST", f"data_assets/{quote(asset.id, safe='')}/files", body={"path": inner})
        return entries_of(told, f"{asset.name}/{inner}")

    def _read_there(self, asset: Asset, inner: str, limit: int) -> bytes:
        where = f"{asset.name}/{inner}"
        path = f"data_assets/{quote(asset.id, safe='')}/files/urls?path={quote(inner, safe='')}"
        return download(self._url(path, where), limit, where, secure=self._secure)

    def _url(self, path: str, where: str) -> str:
        if self._api is None:
            raise NotFoundError("its files are not public", where=where, cure="Set CODE_OCEAN_API_TOKEN.")
        told = object_of(self._api.read("GET", path))
        if not (url := text_of(told.get("download_url")) or text_of(told.get("url"))):
            raise UnclearError("the answer holds no address of the file", where=where, cure="Try again later.")
        return url


def _lasts(error: PlatformError) -> bool:
    """Whether it will be the same at the next request."""
    return isinstance(error, AccessError | NotFoundError)


def _own_place(asset: Asset) -> _Place | None:
    return _Place(asset.bucket, asset.prefix or "") if asset.bucket else None


def _joined(prefix: str, inner: str) -> str:
    return "/".join(filter(None, (prefix.strip("/"), inner)))


def inner_path(path: str, where: str) -> str:
    """A path inside an asset in its plain form; "" for the asset itself. Raises RefusedError."""
    parts = PurePosixPath(path).parts
    odd = any(not character.isprintable() or "\ud800" <= character <= "\udfff" for character in path)
    if path.startswith("/") or ".." in parts or odd:
        raise RefusedError(f"{path[:200]!r} is not a path inside it", where=where, cure="Give a relative path.")
    return "/".join(parts)
