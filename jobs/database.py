"""The database under the store: opened with the settings that lose nothing, written in turns, read beside them.

diskcache's defaults forget: it evicts the oldest rows, does not wait for the disk, and keeps large values in
files that a killed process leaves missing. Every setting below takes one such way away, and all are checked
after opening, because anybody who opens the folder with other arguments rewrites them for everybody.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import diskcache

from core.errors import StoreBusyError, StoreError, StoreUnusableError
from jobs.data_folder import DataFolder
from jobs.text_disk import FOREIGN, TextDisk

TIMEOUT_S = 60.0
SETTINGS: dict[str, int | str] = {
    "eviction_policy": "none",
    "cull_limit": 0,
    "statistics": 0,
    "tag_index": 0,
    "sqlite_synchronous": 2,
    "sqlite_journal_mode": "wal",
    "sqlite_mmap_size": 0,
    "disk_min_file_size": 2**31 - 1,
}
_FULL = 2


class Turn:
    """One write transaction: reads and writes that commit together or not at all."""

    def __init__(self, cache: diskcache.Cache) -> None:
        self._cache = cache

    def get(self, key: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a key, None when there is none, `FOREIGN` when the row is not ours."""
        return self._cache.get(key)

    def set(self, key: str, value: object) -> None:
        """Write a value that has a JSON form."""
        self._cache.set(key, value)

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is fine."""
        self._cache.delete(key)

    def count(self, key: str) -> int:
        """Add one to a counter and return it; the first is 1.

        Raises:
            StoreUnusableError: the counter's row is not ours; beginning again would give numbers twice.
        """
        number = self._cache.get(key, default=0)
        if type(number) is not int:
            raise StoreUnusableError("a counter was changed", where=key, cure="Restore a backup.")
        self._cache.set(key, number + 1)
        return number + 1

    def tally(self, key: str, least: int = 0) -> int:
        """Add one to a counter that is only a hint: one that was lost or changed goes on from `least`."""
        held = self._cache.get(key)
        number = max(held if type(held) is int else 0, least) + 1
        self._cache.set(key, number)
        return number

    def last_key(self, prefix: str) -> str:
        """The highest key that begins so; "" when there is none. The prefix ends in "/"."""
        sql = "SELECT max(key) FROM Cache WHERE key > ? AND key < ? AND raw = 1 AND typeof(key) = 'text'"
        ((key,),) = self._cache._sql(sql, (prefix, prefix[:-1] + "0")).fetchall()
        return key or ""


class Database:
    """The open database. Threads may share it; each process opens its own.

    Raises:
        StoreUnusableError: the file is damaged, not ours, or its settings do not hold.
        StoreBusyError: the disk is full, or a foreign writer holds it for too long.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._path = folder.database
        self._lock_path = folder.locks / "turn.lock"
        self._thread_turn = threading.Lock()
        self._read_turn = threading.Lock()
        self._checked = threading.local()
        with self._true_cause(), self._turn():
            self._make_private()
            # Before the first real opening, which puts our settings in the place of foreign ones without a word.
            _refuse_foreign_settings(self._path)
            self._cache = diskcache.Cache(str(folder.store), timeout=TIMEOUT_S, disk=TextDisk, **SETTINGS)
            self._inode = self._path.stat().st_ino
            self._reader = sqlite3.connect(
                f"{self._path.as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=TIMEOUT_S
            )
            self._reader.execute("PRAGMA query_only=1")
            self.assert_settings()

    def _make_private(self) -> None:
        """Keep others from reading the file and its log, which SQLite makes with the rights of the file."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for name in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(f"{self._path.name}{name}").chmod(0o600)

    def close(self) -> None:
        """Close this process's connections."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # the folder is gone: there is nobody to take turns with
                stack.enter_context(self._turn())
            stack.enter_context(self._read_turn)
            self._cache.close()
            self._reader.close()

    # --- writing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def write(self) -> Iterator[Turn]:
        """One write transaction, in turn with all threads and processes. Keep it short; never wait inside.

        Raises:
            StoreBusyError: nothing was written; try again.
            StoreUnusableError: nothing was written, and nothing will be before somebody looks.
        """
        with self._true_cause(), self._turn():
            self._check_still_ours()
            try:
                with self._cache.transact():
                    yield Turn(self._cache)
            except sqlite3.Error:
                # A COMMIT that failed leaves the transaction open; closing the connection rolls it back.
                self._cache.close()
                self._checked.done = False
                raise

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Our place in the queue of writers.

        SQLite's own waiting has no order, so that one of several writers can starve; the kernel's lock has,
        is freed by any death, and keeps commits and checkpoints of two processes from ever overlapping.
        """
        with self._thread_turn:
            handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)

    def _check_still_ours(self) -> None:
        try:
            same = self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            same = False
        if not same:
            # Writes to a removed file would succeed and be gone with the process.
            raise StoreUnusableError(
                "the database was removed or replaced while it was in use",
                where=str(self._path),
                cure="Put it back, or restart dashboard and worker to begin with what is there now.",
            )
        if not getattr(self._checked, "done", False):
            # diskcache takes the pragmas of each new thread's connection from the file, where others can write.
            (level,) = self._cache._sql("PRAGMA synchronous").fetchone()
            if level != _FULL:
                raise _changed_settings(self._path, {"sqlite_synchronous": level})
            self._checked.done = True

    @contextlib.contextmanager
    def _true_cause(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except (diskcache.Timeout, sqlite3.Error, OSError) as error:
            raise store_error(error, self._path, time.monotonic() - began) from error

    # --- reading ------------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a SELECT on the read-only connection. Never waits for a writer."""
        with self._read_turn, self._true_cause():
            return self._reader.execute(sql, parameters).fetchall()

    def text(self, key: str) -> str | None:
        """The JSON text of a key; None when there is none, or none of ours."""
        rows = self.rows(
            "SELECT value FROM Cache WHERE key = ? AND raw = 1 AND mode = 1 AND typeof(value) = 'text'", (key,)
        )
        return str(rows[0][0]) if rows else None

    def value(self, key: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a key; None when there is none, or none of ours."""
        text = self.text(key)
        if text is None:
            return None
        value = TextDisk.fetch(self._cache.disk, 1, None, text, False)
        return None if value is FOREIGN else value

    def assert_settings(self) -> None:
        """Compare the settings in the file with ours.

        Raises:
            StoreUnusableError: they differ; names them.
        """
        with self._true_cause():
            held = dict(self._reader.execute("SELECT key, value FROM Settings").fetchall())
        wrong = {key: held.get(key) for key, value in SETTINGS.items() if held.get(key) != value}
        if wrong:
            raise _changed_settings(self._path, wrong)

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole database while others go on writing.

        Raises:
            StoreError: the copy could not be written.
        """
        partial = target.with_name(f".{target.name}.partial")
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
            with (
                contextlib.closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as source,
                contextlib.closing(sqlite3.connect(partial)) as copy,
            ):
                source.backup(copy)
            partial.replace(target)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the backup was not written: {error}", where=str(target), cure="Choose a folder with room."
            ) from error


def _refuse_foreign_settings(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=TIMEOUT_S)) as connection:
        try:
            held = dict(connection.execute("SELECT key, value FROM Settings").fetchall())
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return  # nobody has begun it yet
            raise
    wrong = {key: held[key] for key, value in SETTINGS.items() if key in held and held[key] != value}
    if wrong:
        raise _changed_settings(path, wrong)


def _changed_settings(path: Path, wrong: dict[str, Any]) -> StoreUnusableError:
    sql = " ".join(f"UPDATE Settings SET value = {SETTINGS[key]!r} WHERE key = {key!r};" for key in wrong)
    return StoreUnusableError(
        "another program changed the store's settings: " + ", ".join(f"{k} is {v!r}" for k, v in wrong.items()),
        where=str(path),
        cure="Find what else opens this folder and stop it, look whether jobs are missing, put the settings back"
        f" (sqlite3 {shlex.quote(str(path))} {shlex.quote(sql)}), then restart dashboard and worker.",
    )


def store_error(error: Exception, path: Path, waited_s: float = 0.0) -> StoreError:
    """What an error at a file of the queue means, as it is.

    Args:
        error: Of SQLite, diskcache or the system.
        path: The file.
        waited_s: How long it had been waited for.
    """
    # diskcache reports a full or read-only disk as a time-out without a word.
    words = str(error)
    full = "disk is full" in words or "No space left" in words or _is_full(path)
    if full:
        return StoreBusyError("the disk is full", where=str(path), cure="Free some space; nothing else is needed.")
    if "readonly" in words or _is_read_only(path):
        return StoreUnusableError("the disk is read-only", where=str(path), cure="Make it writable, then restart.")
    if isinstance(error, sqlite3.OperationalError | diskcache.Timeout) and (
        "locked" in words or waited_s >= TIMEOUT_S * 0.9
    ):
        return StoreBusyError(
            f"another program has kept the database locked for {waited_s:.0f} s",
            where=str(path),
            cure="End it (a database browser, a backup tool), then try again.",
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return StoreBusyError(
            f"the machine gives no more: {error.strerror}", where=str(path), cure="End some programs, then try again."
        )
    if isinstance(error, FileNotFoundError):
        return StoreUnusableError("the data folder is not there any more", where=str(path), cure="Put it back.")
    return StoreUnusableError(
        f"the database cannot be used: {words or type(error).__name__}",
        where=str(path),
        cure="Keep the file as it is, and restore a backup beside it.",
    )


def _is_full(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.statvfs(path.parent).f_bavail == 0
    return False


def _is_read_only(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY) or (path.exists() and not os.access(path, os.W_OK))
    return False


def sqlite_note(version: str = sqlite3.sqlite_version) -> str:
    """What to know of this SQLite: versions up to 3.51.2 can lose a commit that races with a checkpoint."""
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    fixed = number >= (3, 51, 3) or (3, 50, 7) <= number < (3, 51, 0) or (3, 44, 6) <= number < (3, 45, 0)
    return f"SQLite {version}: " + ("fixed" if fixed else "its WAL-reset fault is covered by our lock")
