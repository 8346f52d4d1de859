"""A folder of assets on one machine, read like a platform.

    <library>/assets/<name>/         an asset
    <library>/assets/<name>.json     its sidecar (or <name>/.asset.json)
    <library>/states/<stem>/<stem>.json
    <library>/.library-id            which library this is, wherever it is moved or mounted

Names and paths come from states and manifests: none of them, and no link, leads out of the library.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from core import atomic_files, image_space_converter
from core.errors import NotFoundError, PlatformError, RefusedError, TrackmapperError, UnclearError
from core.models import Asset, SavedState
from core.platforms import local_runs, sidecar
from core.platforms.base import ConverterOffer, Entry, Health, HealthKind

MAX_STATE_BYTES = 64 * 1024 * 1024
_Stamp = tuple[int, int, int]
_ID = re.compile(rb"[0-9a-f-]{36}\s*")
_PART = re.compile(r"\..+\.(?P<pid>[0-9]+)-[0-9a-f]{8}\.part")
_LEFT_OVER_S = 24 * 3600.0
"""After this long a half-made asset whose maker is not alive here is nobody's: not even another machine's."""


class LocalLibrary:
    """Reads the assets and saved states of a library folder. Implements `AssetReader`."""

    name = "this machine"
    launch_refusal, connections = "", 0

    def __init__(self, library: Path, data: Path | None = None) -> None:
        self.library = library.absolute()
        self._runs = None if data is None else data.absolute() / "runs"
        self.assets_folder = self.library / "assets"
        self.states_folder = self.library / "states"
        self.requests = 0
        self._root = Path(os.path.realpath(library))
        self._read: dict[Path, tuple[_Stamp, Asset]] = {}

    @property
    def platform_id(self) -> str:
        """The library's own id, made when it is first asked for; the folder's place while it cannot be written.

        A copy of the library has the same id: what lies in it is compared when a result is counted.
        """
        path = self._root / ".library-id"
        try:
            if not path.exists():
                atomic_files.create_file(path, f"{uuid.uuid4()}\n".encode())
            told = path.read_bytes()
        except OSError:
            return str(self._root)
        return told.decode().strip() if _ID.fullmatch(told) else str(self._root)

    # --- assets ---------------------------------------------------------------------------------

    def find_subject_assets(self, subject: str) -> tuple[Asset, ...]:
        """Assets whose name has the subject as a token, or that are tagged with it. Raises PlatformError."""
        self.requests += 1
        return tuple(asset for asset in self._assets() if subject and _may_belong(asset, subject))

    def find_tagged_assets(self, tag: str) -> tuple[Asset, ...]:
        """Assets with exactly this tag. Raises PlatformError."""
        self.requests += 1
        return tuple(asset for asset in self._assets() if tag in asset.tags)

    def get_asset(self, asset_id: str) -> Asset:
        """One asset. Raises NotFoundError, or PlatformError when several assets have this id."""
        self.requests += 1
        found = [asset for asset in self._assets() if asset.id == asset_id]
        if not found:
            raise NotFoundError(
                "this library has no such asset", where=asset_id, cure="Check the library, or add the asset to it."
            )
        if len(found) > 1:
            names = ", ".join(asset.name for asset in found)
            raise PlatformError(f"{names} have the same id", where=asset_id, cure="Give each sidecar its own id.")
        return found[0]

    def asset_folder(self, asset: Asset) -> Path:
        """The folder of an asset. Raises NotFoundError or RefusedError."""
        folder = self.assets_folder / _asset_name(asset.name)
        self._keep_inside(folder, asset.name)
        if not folder.is_dir():
            raise NotFoundError("this library has no such asset", where=asset.name, cure="Add it to the library.")
        return folder

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset, sorted by name; links that leave the library are left out.

        Raises:
            NotFoundError: there is no such folder.
            RefusedError: the path leads out of the library.
        """
        self.requests += 1
        folder = self._inside(self.asset_folder(asset), path, asset.name)
        return list_entries(folder, self._root, f"{asset.name}/{path}")

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            NotFoundError: there is no such file.
            RefusedError: the path leads out of the library.
            PlatformError: it is larger than `limit` bytes, or cannot be read.
        """
        self.requests += 1
        return read_bounded(self._inside(self.asset_folder(asset), path, asset.name), limit, f"{asset.name}/{path}")

    def _assets(self) -> Iterator[Asset]:
        self._keep_inside(self.assets_folder, "assets")
        try:
            with os.scandir(self.assets_folder) as entries:
                names = sorted(e.name for e in entries if os.path.isdir(e.path) and not e.name.startswith("."))
        except FileNotFoundError:
            return
        except OSError as error:
            raise PlatformError(
                f"the library cannot be read ({error.strerror})",
                where=str(self.assets_folder),
                cure="Check its rights.",
            ) from error
        for name in names:
            yield self._asset(name)

    def _asset(self, name: str) -> Asset:
        folder = self.assets_folder / name
        for path in (self.assets_folder / f"{name}.json", folder / ".asset.json"):
            try:
                for link in (folder, path):
                    if link.is_symlink():
                        self._keep_inside(link, name)
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):
                    continue
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                known = self._read.get(path)
                if known is None or known[0] != stamp:
                    # Sidecars are few and small, and every search needs all of them: each is parsed once per change.
                    known = (stamp, sidecar.read_sidecar(read_bounded(path, sidecar.MAX_BYTES, path.name), name))
                    self._read[path] = known
                return known[1]
            except FileNotFoundError:
                continue
            except OSError as error:
                return sidecar.broken_asset(name, f"Its sidecar cannot be read: {error.strerror}.")
            except TrackmapperError as error:
                return sidecar.broken_asset(name, f"It cannot be read: {error.message}.")
        return sidecar.asset_without_sidecar(name)

    # --- saved states ---------------------------------------------------------------------------

    def saved_states(self) -> tuple[SavedState, ...]:
        """State files of the library, sorted by name. Raises PlatformError."""
        self.requests += 1
        found = []
        for entry in list_entries(self.states_folder, self._root, "states") if self.states_folder.is_dir() else ():
            file = self.states_folder / entry.name / f"{entry.name}.json"
            if entry.is_folder and self._is_inside(file) and file.is_file():
                found.append(SavedState(entry.name, f"{entry.name}/{file.name}", file.stat().st_size))
        return tuple(found)

    def read_state(self, path: str) -> bytes:
        """The bytes of a saved state. Raises NotFoundError, RefusedError or PlatformError."""
        self.requests += 1
        return read_bounded(self._inside(self.states_folder, path, "states"), MAX_STATE_BYTES, path)

    def health(self) -> Health:
        """Whether the library can be used, and else why not."""
        if not self.library.is_dir():
            return Health(HealthKind.AWAY, f"The library folder {self.library} is not there.")
        if not os.access(self.library, os.R_OK | os.X_OK):
            return Health(HealthKind.REFUSING, f"The library folder {self.library} cannot be read.")
        if not self.assets_folder.is_dir():
            return Health(HealthKind.AWAY, f"The library {self.library} has no folder named assets.")
        return Health()

    # --- conversions ----------------------------------------------------------------------------

    def converter_offer(self, version: str = "") -> ConverterOffer:
        """The conversion to image space, which has one version and nothing to choose."""
        name, only = image_space_converter.NAME, image_space_converter.VERSION
        return ConverterOffer(name, name, (only,), only)

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of a run's log; b"" when there is none, or when no data folder is known."""
        run = None if self._runs is None else local_runs.run_folder(self._runs, run_id)
        return b"" if run is None else local_runs.tail(run.log, limit)

    def web_link(self, kind: str, ident: str, capsule: str = "") -> str:
        """None: this machine has no pages."""
        return ""

    # --- adding an asset ------------------------------------------------------------------------

    def part_folder(self, asset: Asset) -> Path:
        """An empty folder in the library's own file system in which a new asset is put together, its maker's alone.

        Raises:
            RefusedError: the name cannot be used or is taken, or the library cannot be written.
        """
        name = _asset_name(asset.name)
        if name.endswith(".json") or len(name.encode()) > 200:
            raise RefusedError("an asset cannot have this name", where=name, cure="Use a shorter name without .json.")
        self._refuse_taken(name)
        folder = self.assets_folder / f".{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part"
        try:
            self.assets_folder.mkdir(parents=True, exist_ok=True)
            _clear_left_over(self.assets_folder)
            folder.mkdir()
        except OSError as error:
            raise cannot_write(self.library, error) from error
        return folder

    def add_asset(self, asset: Asset, part: Path) -> None:
        """Turn a filled part folder into the asset, whole and at once.

        Raises:
            RefusedError: it could not be written, or the name was taken meanwhile; the library is as it was.
            UnclearError: the asset is there, but the disk did not say that it stays.
        """
        beside, folder = self.assets_folder / f"{asset.name}.json", self.assets_folder / asset.name
        try:
            atomic_files.sync_tree(part)
            with self._adding():
                self._refuse_taken(asset.name)
                # The sidecar goes first: without its folder it is not an asset yet, and with it the asset is complete.
                try:
                    atomic_files.write_file(beside, sidecar.write_sidecar(asset))
                    part.rename(folder)
                except OSError:
                    beside.unlink(missing_ok=True)
                    raise
        except RefusedError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise cannot_write(self.library, error) from error
        try:
            atomic_files.sync_folder(self.assets_folder)
        except OSError as error:
            raise UnclearError(
                f"the disk does not confirm the new asset ({error.strerror})", where=asset.name, cure="Look for it."
            ) from error

    def _refuse_taken(self, name: str) -> None:
        if os.path.lexists(self.assets_folder / name):
            raise RefusedError("the library has another asset of this name", where=name, cure="Use another name.")

    @contextlib.contextmanager
    def _adding(self) -> Iterator[None]:
        """One maker at a time gives a name: a sidecar and its folder are always of the same asset."""
        lock = os.open(self.assets_folder / ".adding.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # --- staying inside -------------------------------------------------------------------------

    def _inside(self, folder: Path, path: str, where: str) -> Path:
        target = folder.joinpath(*relative_parts(path, where))
        self._keep_inside(target, f"{where}/{path}")
        return target

    def _keep_inside(self, path: Path, where: str) -> None:
        if not self._is_inside(path):
            raise RefusedError(
                "it is a link that leaves the library", where=where, cure="Put the data into the library's folder."
            )

    def _is_inside(self, path: Path) -> bool:
        return is_inside(path, self._root)


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path, its links followed, stays within a folder (itself given with its links followed)."""
    try:
        return Path(os.path.realpath(path)).is_relative_to(root)
    except (OSError, ValueError):
        return False


def relative_parts(path: str, where: str) -> tuple[str, ...]:
    """The parts of a path inside a folder.

    Raises:
        RefusedError: it is absolute, climbs, or holds a character that no file name has.
    """
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\0" in path or _unwritable(path):
        raise RefusedError(f"{path[:200]!r} is not a path inside it", where=where, cure="Give a relative path.")
    return parts


def _asset_name(name: str) -> str:
    if relative_parts(name, "the library") != (name,) or name.startswith("."):
        raise RefusedError(f"{name[:200]!r} is not a name of an asset", where="the library", cure="Check the name.")
    return name


def _unwritable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def list_entries(folder: Path, root: Path, where: str) -> tuple[Entry, ...]:
    """Files and folders of a folder, sorted by name; links that leave `root` are left out.

    Raises:
        NotFoundError: there is no such folder.
        PlatformError: it cannot be read.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink() and not (os.path.exists(entry.path) and is_inside(Path(entry.path), root)):
                    continue
                if entry.is_dir():
                    found.append(Entry(entry.name, True, is_link=entry.is_symlink()))
                elif entry.is_file():
                    found.append(Entry(entry.name, False, entry.stat().st_size, entry.is_symlink()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError("there is no such folder", where=where, cure="Check the asset's contents.") from error
    except OSError as error:
        raise PlatformError(f"it cannot be read ({error.strerror})", where=where, cure="Check its rights.") from error
    return tuple(sorted(found, key=lambda entry: entry.name))


def read_bounded(path: Path, limit: int, where: str) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises:
        NotFoundError: there is no such file.
        PlatformError: it is larger, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotFoundError("it is not a file", where=where, cure="Check the asset's contents.")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError("there is no such file", where=where, cure="Check the asset's contents.") from error
    except OSError as error:
        raise PlatformError(f"it cannot be read ({error.strerror})", where=where, cure="Check its rights.") from error
    if len(data) > limit:
        raise PlatformError(
            f"it has more than {limit} bytes", where=where, cure="It is larger than such a file can be."
        )
    return data


def cannot_write(folder: Path, error: OSError) -> RefusedError:
    """What to tell when a folder cannot be written: no room, no right, or the disk's own words."""
    reason = error.strerror or str(error)
    return RefusedError(
        f"nothing could be written ({reason})", where=str(folder), cure="Make room or correct the rights, then retry."
    )


def _clear_left_over(folder: Path) -> None:
    """Remove what makers that died long ago left half made."""
    with os.scandir(folder) as entries:
        parts = [(Path(entry.path), found) for entry in entries if (found := _PART.fullmatch(entry.name))]
    for part, found in parts:
        with contextlib.suppress(OSError):
            old = time.time() - part.stat().st_mtime > _LEFT_OVER_S
            if old and not _is_running(int(found["pid"])):
                shutil.rmtree(part, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _may_belong(asset: Asset, subject: str) -> bool:
    told = asset.custom_metadata.get("subject id")
    return subject in asset.name.split("_") or subject in asset.tags or (told is not None and str(told) == subject)
