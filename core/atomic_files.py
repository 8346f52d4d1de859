"""Files that are either whole or not there, whenever the power goes. Standard library only."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Write a file's bytes, synced, so that readers see the old file or the new one and nothing between.

    Raises:
        OSError: it could not be written; a file that was there before is untouched.
    """
    part = _part(path)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file that must not be there yet; whole from its first moment, and only one of many callers makes it.

    Returns:
        False when the file is already there; it is untouched then.

    Raises:
        OSError: it could not be written.
    """
    part = _part(path)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name[:50]}.{os.getpid()}-{threading.get_ident()}.part")


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sync_tree(path: Path) -> None:
    """Make a folder durable with all that is in it."""
    for folder, _, files in os.walk(path):
        for name in files:
            file = Path(folder, name)
            if file.is_symlink():
                continue
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(Path(folder))
