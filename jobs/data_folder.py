"""The data folder: where things lie in it, and whether it is a place where a queue can be kept safely."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.errors import StoreUnusableError

_SHARED = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "9p", "virtiofs", "vboxsf", "davfs"),
        *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2"),
    }
)
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuseblk"})
_MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Paths inside the data folder."""

    root: Path

    @classmethod
    def at(cls, data: Path) -> Self:
        """The layout of a data folder, `~` and relative paths made absolute. Makes nothing."""
        return cls(data.expanduser().absolute())

    @property
    def store(self) -> Path:
        """Folder of the database."""
        return self.root / "store"

    @property
    def database(self) -> Path:
        """The database file."""
        return self.store / "cache.db"

    @property
    def locks(self) -> Path:
        """Folder of the lock files."""
        return self.root / "locks"

    @property
    def brain_images(self) -> Path:
        """Folder of brain images that were read before; losing it costs time and nothing else."""
        return self.root / "brain_images"


def prepare(data: Path) -> DataFolder:
    """Make the folders that are missing and refuse a place where the queue would not be safe.

    Raises:
        StoreUnusableError: a network file system, another owner, writable by others, a link, or not makeable.
    """
    folder = DataFolder.at(data)
    for path in (folder.root, folder.store, folder.locks):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusableError(
                f"the data folder cannot be made: {error.strerror}",
                where=str(path),
                cure="Choose another with TRACKMAPPER_DATA or --data.",
            ) from error
    refuse_shared_file_system(folder.root)
    for path in (folder.root, folder.store, folder.locks):
        _refuse_open_folder(path, is_root=path == folder.root)
    return folder


def _refuse_open_folder(path: Path, *, is_root: bool) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and not is_root:
        raise StoreUnusableError("the folder is a link", where=str(path), cure="Put a real folder in its place.")
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StoreUnusableError(
            "the folder belongs to another account",
            where=str(path),
            cure="Run as that account, or choose another folder with TRACKMAPPER_DATA or --data.",
        )
    # Whoever can write here can put rows into the queue.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreUnusableError(
            "other accounts can write to the folder", where=str(path), cure=f"Close it: chmod go-w '{path}'."
        )


def refuse_shared_file_system(path: Path) -> None:
    """Refuse a folder that other machines may share: SQLite's log and our locks hold on one machine only.

    Raises:
        StoreUnusableError: the folder lies on such a file system.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mounts = _MOUNTS.read_text(errors="replace")
    except OSError as error:
        raise StoreUnusableError(
            f"it cannot be told whether the folder is shared: {_MOUNTS} cannot be read",
            where=str(path),
            cure="Mount /proc, then start again.",
        ) from error
    kind = file_system_of(path.resolve(), mounts)
    if kind in _SHARED or (kind.startswith("fuse") and kind not in _LOCAL_FUSE):
        raise StoreUnusableError(
            f"the folder lies on a {kind} file system, where a queue can be damaged",
            where=str(path),
            cure="Choose a folder on a local disk with TRACKMAPPER_DATA or --data.",
        )


def file_system_of(path: Path, mounts: str) -> str:
    """The kind of file system that `path` lies on; "" when unknown.

    Args:
        path: Absolute, without links.
        mounts: Text in the form of /proc/self/mounts; later lines cover earlier ones.
    """
    kind, best = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        depth = len(point.parts)
        if depth >= best and path.is_relative_to(point):
            kind, best = fields[2], depth
    return kind
