"""The whole queue as one file, and back: jobs with everything that happened, what they were launched with, drafts.

The file is a zip archive of the database, copied by SQLite's own backup while others go on writing, and of a note that
says what it is. Logs and results of conversions on this machine are not in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from core.atomic_files import sync_folder, sync_tree
from core.errors import InputError, StoreError, StoreUnusableError, TrackmapperError
from jobs import data_folder
from jobs.leadership import leading
from jobs.records import JobRecord, JobState, Step
from jobs.store import JobStore

FORMAT = 1
_NOTE, _DATABASE = "trackmapper-backup.json", "cache.db"
_NOTE_LIMIT = 64 * 1024
_CHUNK = 1 << 20
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    file: Path
    created: str
    """ISO 8601, UTC."""
    jobs: int
    active: int
    size: int
    """Bytes of the database."""
    sha256: str
    wrong: tuple[str, ...] = ()
    """What was already wrong with the queue, in words."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place."""

    backup: Backup
    data: Path
    replaced: Path | None
    """Where the queue lies that was there before; None when there was none."""
    in_doubt: tuple[str, ...]
    """Ids of jobs whose next steps may have been made since the backup: the worker looks before it sends."""


# --- writing --------------------------------------------------------------------------------------


def write_backup(store: JobStore, target: Path, *, now: datetime) -> Backup:
    """Write the queue into one file, readable by its owner only, and read it back.

    Args:
        store: The queue; others may go on writing.
        target: The file; one that is there is replaced when the new one is whole.
        now: The time that the note says, in UTC.

    Raises:
        StoreError: it could not be written, or what was written cannot be read back; an older file is untouched.
    """
    target = target.expanduser().absolute()
    with _errors_told(target), tempfile.TemporaryDirectory(prefix=".trackmapper-backup-", dir=target.parent) as folder:
        database = Path(folder, _DATABASE)
        store.backup(database)
        jobs, active, wrong = _contents(Path(folder), database)
        digest, size = _digest(database), database.stat().st_size
        note = {
            "trackmapper_backup": FORMAT,
            "created": now.isoformat(),
            "jobs": jobs,
            "active": active,
            "size": size,
            "sha256": digest,
            "wrong": list(wrong),
        }
        part = Path(folder, "part.zip")
        with _private(part) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_NOTE, json.dumps(note, indent=2))
            archive.write(database, _DATABASE)
            archive.close()
            file.flush()
            os.fsync(file.fileno())
        database.unlink()
        made = _extract(part, Path(folder, "again"))
        part.replace(target)
        sync_folder(target.parent)
    return Backup(target, made.created, made.jobs, made.active, made.size, made.sha256, made.wrong)


def read_note(file: Path) -> Backup:
    """What a backup says that it holds; nothing of it is compared yet.

    Raises:
        InputError: it is no backup of this program, or of a newer one.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_NOTE) as opened:
            note = json.loads(opened.read(_NOTE_LIMIT))
        if note["trackmapper_backup"] != FORMAT:
            raise InputError("it was written by a newer Trackmapper", where=str(file), cure="Restore it with that one.")
        return Backup(
            file=file,
            created=str(note["created"]),
            jobs=int(note["jobs"]),
            active=int(note["active"]),
            size=int(note["size"]),
            sha256=str(note["sha256"]),
            wrong=tuple(str(words) for words in note["wrong"]),
        )
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(file), cure="Check the path.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            "it is no backup of Trackmapper, or it is damaged", where=str(file), cure="Take another one."
        ) from error


def _extract(file: Path, folder: Path) -> Backup:
    """Take the database out of a backup into `folder/cache.db`, compared with the note, and look at all of it.

    Raises:
        InputError: it is damaged.
    """
    note = read_note(file)
    folder.mkdir(mode=0o700)
    database, size = folder / _DATABASE, 0
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_DATABASE) as packed, _private(database) as out:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                if size > note.size:
                    break  # what is too large is refused below, and fills no disk
                out.write(chunk)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise InputError("the backup is damaged", where=str(file), cure="Take another one.") from error
    if size != note.size or _digest(database) != note.sha256:
        raise InputError("the backup is damaged: not what was written", where=str(file), cure="Take another one.")
    jobs, active, _ = _contents(folder, database)
    if (jobs, active) != (note.jobs, note.active):
        raise InputError("the backup does not hold what it says", where=str(file), cure="Take another one.")
    return note


def _contents(folder: Path, database: Path) -> tuple[int, int, tuple[str, ...]]:
    """How many jobs a database holds, how many go on, and what is wrong with it; it is not changed."""
    with tempfile.TemporaryDirectory(prefix="look-", dir=folder) as looked:
        # Opening writes beside the file, and the file must stay as it was written.
        copy = Path(looked, "store", database.name)
        copy.parent.mkdir(mode=0o700)
        shutil.copy(database, copy)
        with JobStore(Path(looked)) as store:
            return sum(store.counts().values()), len(store.active()), store.check()


# --- restoring ------------------------------------------------------------------------------------


def restore_backup(file: Path, data: Path, *, now: datetime, replace: bool = False) -> Restored:
    """Put a backup in the place of the queue of a data folder. What was there is kept beside it.

    Jobs that had not ended went on after the backup was written. Each is marked: the worker looks for what it is about
    to make, by the job's token, before it makes it.

    Args:
        file: The backup.
        data: The data folder; made when it is not there.
        now: When, in UTC.
        replace: Also when the folder holds jobs or drafts already.

    Raises:
        InputError: it is no backup, it is damaged, or there is a queue and `replace` is not set; nothing was changed.
        StoreUnusableError: a worker leads, or the folder cannot be used; nothing was changed.
    """
    target = data_folder.prepare(data)
    with _errors_told(target.root), leading(data) as lead:
        if lead is None:
            raise StoreUnusableError(
                "a worker is at work on this queue", where=str(target.root), cure="End it (and the dashboard) first."
            )
        held = _held(data) if target.database.exists() else ""
        if held and not replace:
            raise InputError(
                f"there is a queue already: {held}",
                where=str(target.root),
                cure="Restore into an empty folder (--data DIR), or say --replace: what is there is kept beside it.",
            )
        with tempfile.TemporaryDirectory(prefix=".restoring-", dir=target.root) as folder:
            fresh = Path(folder, "store")
            note = _extract(file, fresh)
            in_doubt = _put_in_doubt(Path(folder), now)
            sync_tree(fresh)
            replaced = _swap(target, fresh, now)
    return Restored(note, target.root, replaced if held else None, in_doubt)


def _held(data: Path) -> str:
    """What a queue holds, in words; "" when nothing worth keeping. One that cannot be opened counts as worth it."""
    try:
        with JobStore(data) as store:
            jobs, drafts = sum(store.counts().values()), len(store.drafts())
    except StoreUnusableError as error:
        return error.message
    return f"{jobs} jobs, {drafts} drafts" if jobs or drafts else ""


def _put_in_doubt(folder: Path, now: datetime) -> tuple[str, ...]:
    """Mark every job that may have gone on since the backup, in the restored database."""
    marked = []
    with JobStore(folder) as store:
        for record in (*store.active(), *_retriable(store)):
            # What was in doubt may have been sent once more since: it is looked for over a whole window again.
            doubted = record.changed(look_first=True, due=None, intent=None, throttled=False, clean_looks=0)
            store.put(doubted.told(now, "restored from a backup", "what it is about to make is looked for first"))
            marked.append(record.id)
    return tuple(sorted(marked))


def _retriable(store: JobStore) -> Iterator[JobRecord]:
    """Failed jobs of which a step can be tried again: somebody may have done that since the backup."""
    before: str | None = None
    while page := store.newest(_PAGE, before=before, states=(JobState.FAILED,)):
        before = page[-1].id
        yield from (record for record in page if record.step is not Step.DONE)


def _swap(target: data_folder.DataFolder, fresh: Path, now: datetime) -> Path:
    """Put the new folder in the place of the old one, which is kept; writers are kept out meanwhile."""
    kept = target.root / f"store-before-{now:%Y%m%dT%H%M%S%fZ}"
    # The lock of whoever writes: an open dashboard finds the database replaced afterwards, and says so.
    with (target.locks / "turn.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target.store.rename(kept)
        fresh.rename(target.store)
        sync_folder(target.root)
    return kept


# --- files ----------------------------------------------------------------------------------------


def _private(path: Path) -> IO[bytes]:
    """A new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _errors_told(where: Path) -> Iterator[Any]:
    try:
        yield
    except TrackmapperError:
        raise
    except OSError as error:
        raise StoreError(
            f"it could not be done: {error.strerror or error}", where=str(where), cure="Check the folder and its room."
        ) from error
