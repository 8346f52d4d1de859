"""Cuts the power at random moments of the queue's life, and looks whether what was acknowledged is still there.

A process writes jobs through the real store while a shim under SQLite, made of SQLite's own interface for virtual file
systems, records every write, truncation, removal and synchronisation. From the record follow the states in which a cut
may leave the disk: all that was synchronised, and of the rest nothing, or any pieces of 512 bytes. Each is opened with
the real store. A disk that lies about synchronising is outside of this.

`python -m tests.power_cut FOLDER --states 300 --seed 1` prints one line; `--normal` writes as one must not.
"""

from __future__ import annotations

import _sqlite3
import argparse
import collections
import ctypes
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from core.errors import TrackmapperError
from jobs.store import JobStore
from tests.job_records import START, a_record
from tests.side_by_side import side_by_side

ROOT = Path(__file__).parents[1]
SECTOR = 512
JOBS, TRANSITIONS = 12, 500
STATES_A_WRITER, VARIANTS = 150, 3

# --- recording ------------------------------------------------------------------------------------


class Happened(NamedTuple):
    """One thing that the writer did: write, truncate, sync and delete of a file, or the acknowledgement of a job."""

    what: str
    name: str
    offset: int = 0
    data: bytes = b""


# Paths are addresses: SQLite keeps them, and reads the parameters of a URI behind their end.
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    """SQLite's `sqlite3_vfs`, version 3."""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("path_size", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 14),
    )


class _Methods(ctypes.Structure):
    """SQLite's `sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),
    )


def _address(function: object) -> int | None:
    return ctypes.cast(function, c_void_p).value


def _file_name(path: int) -> str:
    return os.path.basename(ctypes.string_at(path).decode())


class Recorder:
    """Records what this process' SQLite does to its files, from here on.

    A file stays SQLite's own: only its table of functions is replaced by a copy with three of them ours.
    """

    def __init__(self) -> None:
        self.happened: list[Happened] = []
        self._names: dict[int, str] = {}
        self._tables: dict[int, _Methods] = {}
        self._kept: list[object] = []
        # Through the module that Python itself uses: another copy of the library would see nothing.
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = c_void_p
        found = library.sqlite3_vfs_find(None)
        self._real = _Vfs.from_address(found)
        assert self._real.version >= 3, "this SQLite is older than the shim"
        self._shim = _Vfs.from_buffer_copy(self._real)
        self._shim.name = b"recorder"
        self._shim.open = self._keep(_Open(self._open))
        self._shim.delete = self._keep(_Delete(self._delete))
        assert library.sqlite3_vfs_register(ctypes.byref(self._shim), 1) == 0

    def _keep(self, function: object) -> int | None:
        self._kept.append(function)  # else Python frees what SQLite still calls
        return _address(function)

    def _open(self, _: int, path: int | None, file: int, flags: int, out: int | None) -> int:
        code: int = _Open(self._real.open)(ctypes.addressof(self._real), path, file, flags, out)
        table = c_void_p.from_address(file)
        if code == 0 and path is not None and table.value:
            self._names[file] = _file_name(path)
            table.value = ctypes.addressof(self._recording(table.value))
        return code

    def _recording(self, table: int) -> _Methods:
        """A copy of a table of functions in which those that change a file are recorded."""
        if table not in self._tables:
            real = _Methods.from_address(table)
            write, truncate, sync = _Write(real.write), _Truncate(real.truncate), _Sync(real.sync)

            def on_write(file: int, data: int, size: int, offset: int) -> int:
                self._note("write", file, offset, ctypes.string_at(data, size))
                return write(file, data, size, offset)

            def on_truncate(file: int, size: int) -> int:
                self._note("truncate", file, size)
                return truncate(file, size)

            def on_sync(file: int, flags: int) -> int:
                code: int = sync(file, flags)
                self._note("sync", file)
                return code

            copy = _Methods.from_buffer_copy(real)
            copy.write = self._keep(_Write(on_write))
            copy.truncate = self._keep(_Truncate(on_truncate))
            copy.sync = self._keep(_Sync(on_sync))
            self._tables[table] = copy
        return self._tables[table]

    def _delete(self, _: int, path: int, sync_folder: int) -> int:
        self.happened.append(Happened("delete", _file_name(path)))
        return _Delete(self._real.delete)(ctypes.addressof(self._real), path, sync_folder)

    def _note(self, what: str, file: int, offset: int = 0, data: bytes = b"") -> None:
        self.happened.append(Happened(what, self._names[file], offset, data))


def write(folder: Path, seed: int, *, normal: bool) -> list[Happened]:
    """Keep jobs and change them; every one that the store has acknowledged is noted among the writes."""
    draw, recorder = random.Random(seed), Recorder()
    with JobStore(folder / "data") as store:
        records = []
        for number in range(JOBS):
            added = store.add_job(a_record(f"d{number}"), inputs={"number": number}, blobs=(draw.randbytes(3000),))
            records.append(store.get(added.job_id))
            recorder.happened.append(Happened("kept", added.job_id, 1, records[-1].model_dump_json().encode()))
        if normal:
            store._db._cache._sql("PRAGMA synchronous=NORMAL")  # the fault that the control is about
        for number in range(TRANSITIONS):
            at = draw.randrange(JOBS)
            told = records[at].told(START, f"transition {number}", "x" * draw.randrange(200))
            # Noted before: a write that was not acknowledged may be there or not, but nothing else may.
            text = told.changed(rev=told.rev + 1).model_dump_json().encode()
            recorder.happened.append(Happened("asked", told.id, told.rev + 1, text))
            records[at] = store.put(told)
            recorder.happened.append(Happened("kept", told.id, told.rev + 1, text))
    return recorder.happened


# --- cutting --------------------------------------------------------------------------------------


@dataclass
class Disk:
    """What the files hold for sure, and what was written since and may be there in any part."""

    sure: dict[str, bytearray] = field(default_factory=dict)
    unsure: dict[str, list[Happened]] = field(default_factory=lambda: collections.defaultdict(list))
    kept: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """The last acknowledged revision of each job, and its text."""
    asked: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """The last revision that was asked for."""

    def goes_on(self, happened: Happened) -> None:
        """One more thing that happened before the cut."""
        what, name = happened.what, happened.name
        if what in ("kept", "asked"):
            (self.kept if what == "kept" else self.asked)[name] = happened.offset, happened.data
        elif what == "delete":
            self.sure.pop(name, None)  # SQLite never needs a file again that it has removed
            self.unsure.pop(name, None)
        elif what == "sync":
            self.sure[name] = self._held(name, self.unsure.pop(name, []))
        else:
            self.unsure[name].append(happened)

    def after_cut(self, draw: random.Random | None) -> dict[str, bytes]:
        """The files after a cut: only what is sure, or with it any pieces of the rest."""
        files = {}
        for name in self.sure.keys() | self.unsure.keys():
            pieces = [] if draw is None else [p for op in self.unsure.get(name, ()) for p in _survivors(op, draw)]
            if name in self.sure or pieces:
                files[name] = bytes(self._held(name, pieces))
        return files

    def _held(self, name: str, operations: list[Happened]) -> bytearray:
        held = bytearray(self.sure.get(name, b""))
        for operation in operations:
            if operation.what == "truncate":
                del held[operation.offset :]
                held.extend(bytes(operation.offset - len(held)))
            else:
                end = operation.offset + len(operation.data)
                held.extend(bytes(max(0, end - len(held))))
                held[operation.offset : end] = operation.data
        return held


def _survivors(operation: Happened, draw: random.Random) -> list[Happened]:
    """The parts of a write that reached the disk: all, none, or some of its sectors."""
    fate = draw.random()
    if fate < 0.35:
        return []
    if fate < 0.7 or operation.what == "truncate":
        return [operation]
    start, pieces = 0, []
    while start < len(operation.data):
        end = min(len(operation.data), start + SECTOR - (operation.offset + start) % SECTOR)
        if draw.random() < 0.5:
            pieces.append(Happened("write", operation.name, operation.offset + start, operation.data[start:end]))
        start = end
    return pieces


@dataclass
class Cuts:
    """Counts over states of the disk after a cut."""

    states: int = 0
    lost: int = 0
    """States in which something acknowledged is missing or changed."""
    most_lost: int = 0
    unopenable: int = 0
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The figures, for people."""
        return (
            f"{self.states} states after a power cut, {self.lost} lost something acknowledged "
            f"(at most {self.most_lost} jobs), {self.unopenable} could not be opened"
        )

    def add(self, other: Cuts) -> None:
        self.states += other.states
        self.lost += other.lost
        self.most_lost = max(self.most_lost, other.most_lost)
        self.unopenable += other.unopenable
        self.wrong = [*self.wrong, *other.wrong][:10]

    def look(self, disk: Disk, files: dict[str, bytes], folder: Path, name: str) -> None:
        """Open what a cut has left with the real store."""
        self.states += 1
        store_folder = folder / "data" / "store"
        shutil.rmtree(folder, ignore_errors=True)
        store_folder.mkdir(parents=True, mode=0o700)
        store_folder.parent.chmod(0o700)
        for file, data in files.items():
            (store_folder / file).write_bytes(data)
            (store_folder / file).chmod(0o600)
        try:
            with JobStore(folder / "data") as store:
                broken = list(store.check())
                lost = [job for job in disk.kept if not _holds(store, disk, job)]
        except TrackmapperError as error:
            broken, lost = [str(error)], []
        self.unopenable += bool(broken)
        self.lost += bool(lost)
        self.most_lost = max(self.most_lost, len(lost))
        if (broken or lost) and len(self.wrong) < 10:
            self.wrong.append(f"{name}: {broken} {lost}")


def _holds(store: JobStore, disk: Disk, job: str) -> bool:
    """True when a job is as it was acknowledged last, or as it was asked for since."""
    try:
        found = store.get(job)
    except TrackmapperError:
        return False
    return (found.rev, found.model_dump_json().encode()) in (disk.kept[job], disk.asked.get(job))


def record(folder: Path, seed: int, *, normal: bool) -> list[Happened]:
    """What a writer did, in a process of its own: the shim stays for as long as the process."""
    target = folder / "happened.pickle"
    command = [sys.executable, "-m", "tests.power_cut", str(folder), "--write", str(target), "--seed", str(seed)]
    subprocess.run([*command, *(["--normal"] if normal else [])], cwd=ROOT, check=True)
    return [Happened(*one) for one in pickle.loads(target.read_bytes())]


def _cut_one(folder: Path, states: int, seed: int, normal: bool) -> Cuts:
    """Record one writer, and open the states of so many cuts at random moments of it."""
    happened, draw = record(folder, seed, normal=normal), random.Random(seed)
    begun = next(n for n, one in enumerate(happened) if one.what == "kept")
    writes = {one.name for one in happened[begun:] if one.what == "write"}
    assert {"cache.db", "cache.db-wal"} <= writes, f"no checkpoint in {writes}: the record is too short"
    moments = sorted(draw.randrange(len(happened) + 1) for _ in range(-(-states // VARIANTS)))
    disk, cuts, at = Disk(), Cuts(), 0
    for moment in moments:
        for one in happened[at:moment]:
            disk.goes_on(one)
        at = moment
        for variant in range(min(VARIANTS, states - cuts.states)):
            files = disk.after_cut(draw if variant else None)
            cuts.look(disk, files, folder / "cut", f"seed {seed}, cut at {moment}, variant {variant}")
    for one in happened[at:]:
        disk.goes_on(one)
    assert disk.after_cut(None)["cache.db"] == (folder / "data/store/cache.db").read_bytes(), "writes went unrecorded"
    return cuts


def cut_power(
    folder: Path, states: int, seed: int, *, normal: bool = False, say: Callable[[Cuts], object] = lambda _: None
) -> Cuts:
    """Cut the power so many times, in the lives of several writers.

    Args:
        folder: For scratch.
        states: How many; of three, one holds only what is sure, the others pieces of the rest.
        seed: Of everything.
        normal: Let the writers not wait for the disk, as the control.
        say: Told how far it is.
    """
    cuts, tasks = Cuts(), []
    for number, first in enumerate(range(0, states, STATES_A_WRITER)):
        (folder / str(number)).mkdir()
        tasks.append((folder / str(number), min(STATES_A_WRITER, states - first), seed * 1000 + number, normal))
    for part in side_by_side(_cut_one, tasks):
        cuts.add(part)
        say(cuts)
    return cuts


def main() -> int:
    """Cut the power; prints one line, and exits 1 when anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--states", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--normal", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.write is not None:
        happened = write(options.folder, options.seed, normal=options.normal)
        options.write.write_bytes(pickle.dumps([tuple(one) for one in happened]))
        return 0
    began = time.monotonic()
    cuts = cut_power(options.folder, options.states, options.seed, normal=options.normal)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{cuts.line()}, seed {options.seed}, {seconds:.0f} s\n" + "".join(f"{w}\n" for w in cuts.wrong))
    return 1 if cuts.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
