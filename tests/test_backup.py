"""Backups: whole while others write, verified, and restored so that nothing is started a second time."""

from __future__ import annotations

import io
import json
import stat
import threading
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest

from core.errors import InputError, StoreError, StoreUnusableError
from core.settings import Settings
from jobs import submission
from jobs.backup import read_note, restore_backup, write_backup
from jobs.leadership import leading
from jobs.monitor import Monitor
from jobs.records import JobRecord, JobState, Phase, Step
from jobs.store import JobStore
from tests.fake_runner import Clock, CrashError, FakeRunner
from tests.job_records import START, a_plan, a_record

SETTINGS = Settings(poll_seconds=2.0)


def launch(store: JobStore, digest: str = "d1") -> str:
    plan = a_plan(digest)
    return submission.submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START).job_id


def drive(store: JobStore, runner: FakeRunner, clock: Clock, job_id: str, states: set[JobState]) -> JobRecord:
    """Let a new worker carry a job on until it is in one of these states."""
    monitor, end_s = Monitor(store, runner, SETTINGS, now=clock, draw=lambda: 0.5), clock.s + 5000.0
    while (record := store.get(job_id)).state not in states:
        assert clock.s < end_s, f"{record.state} {record.step} {record.phase} {record.error}"
        monitor.run_pass()
        clock.s += 1.0
    return record


def made(runner: FakeRunner, token: str) -> Counter[str]:
    """How many things of each kind and name carry a token."""
    return Counter(f"{thing.id.split('-')[0]} {thing.name}" for thing in runner.things if thing.token == token)


@pytest.fixture
def data(tmp_path) -> Path:
    return tmp_path / "data"


def a_backup(data: Path, target: Path, jobs: int = 2) -> Path:
    with JobStore(data) as store:
        for number in range(jobs):
            launch(store, f"d{number}")
        store.set_draft("ana", "700001", {"rows": [1]})
        write_backup(store, target, now=START)
    return target


# --- the file -----------------------------------------------------------------------------------


def test_everything_comes_back(data, tmp_path):
    file = a_backup(data, tmp_path / "b.zip")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    note = read_note(file)
    assert (note.jobs, note.active, note.wrong, note.created) == (2, 2, (), START.isoformat())
    restored = restore_backup(file, tmp_path / "new", now=START)
    assert (restored.replaced, restored.in_doubt) == (None, ("000000000001", "000000000002"))
    with JobStore(data) as before, JobStore(tmp_path / "new") as after:
        for job_id in restored.in_doubt:
            old, new = before.get(job_id), after.get(job_id)
            assert new.changed(look_first=False, rev=old.rev, events=old.events) == old
            assert new.events[-1].what == "restored from a backup"
            assert after.inputs(job_id) == before.inputs(job_id)
            assert after.blob(old.state_sha256) == before.blob(old.state_sha256)
        assert after.get_draft("ana", "700001") == {"rows": [1]}
        assert after.check() == ()
        assert launch(after, "d9") == "000000000003"
    assert stat.S_IMODE((tmp_path / "new" / "store" / "cache.db").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_it_is_whole_while_others_write(data, tmp_path):
    with JobStore(data) as store:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                store.add_job(a_record(f"w{number}"), inputs={"n": number}, blobs=[str(number).encode()])
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            made_of = [write_backup(store, tmp_path / f"{n}.zip", now=START) for n in range(3)]
        finally:
            stop.set()
            writer.join()
    assert made_of[0].jobs <= made_of[1].jobs <= made_of[2].jobs
    restore_backup(tmp_path / "2.zip", tmp_path / "new", now=START)
    with JobStore(tmp_path / "new") as after:
        assert len(after.active()) == made_of[2].jobs
        assert [after.inputs(record.id)["n"] for record in after.active()] == list(range(made_of[2].jobs))


def test_a_backup_that_cannot_be_written_leaves_the_older_one(data, tmp_path):
    file = a_backup(data, tmp_path / "b.zip")
    before = file.read_bytes()
    with JobStore(data) as store:
        with pytest.raises(StoreError):
            write_backup(store, tmp_path / "nowhere" / "b.zip", now=START)
        store._db.backup = lambda target: target.write_bytes(b"not a database")
        with pytest.raises(StoreError):
            write_backup(store, file, now=START)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "data"]


def changed_note(file: Path, target: Path, **values: object) -> Path:
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        note = json.loads(old.read("trackmapper-backup.json"))
        new.writestr("trackmapper-backup.json", json.dumps({**note, **values}))
        new.writestr("cache.db", old.read("cache.db"))
    return target


def unpacks_to(archive: bytes, database: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read("cache.db") == database
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return False


def test_what_is_no_whole_backup_is_refused_and_changes_nothing(data, tmp_path):
    file, bad = a_backup(data, tmp_path / "b.zip"), tmp_path / "bad.zip"
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as opened:
        database = opened.read("cache.db")
    places = range(len(whole) // 8, len(whole) * 7 // 8, len(whole) // 60)
    flipped = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in places]
    # A deflated run of zeros can be copied from two distances: such a byte harms nothing that was written.
    harmed = [archive for archive in flipped if not unpacks_to(archive, database)]
    assert len(harmed) > len(flipped) * 0.9
    for damaged in (b"", b"no archive", whole[:-200], whole[: len(whole) // 2], *harmed):
        bad.write_bytes(damaged)
        with pytest.raises(InputError):
            restore_backup(bad, tmp_path / "new", now=START)
    size = read_note(file).size
    for values in (
        {"size": size - 1},
        {"size": 1},
        {"sha256": "0" * 64},
        {"jobs": 3},
        {"trackmapper_backup": 2},
        {"jobs": None},
    ):
        with pytest.raises(InputError):
            restore_backup(changed_note(file, bad, **values), tmp_path / "new", now=START)
    with pytest.raises(InputError):
        restore_backup(tmp_path / "nowhere.zip", tmp_path / "new", now=START)
    assert not (tmp_path / "new" / "store" / "cache.db").exists()
    assert [path.name for path in (tmp_path / "new").iterdir() if path.name.startswith((".", "store-"))] == []


def test_a_queue_is_replaced_only_when_that_is_said_and_is_kept(data, tmp_path):
    file = a_backup(data, tmp_path / "b.zip")
    with JobStore(data) as store:
        launch(store, "later")
        with pytest.raises(InputError, match="3 jobs, 1 drafts"):
            restore_backup(file, data, now=START)
    restored = restore_backup(file, data, now=START, replace=True)
    with JobStore(data) as store:
        assert len(store.active()) == 2
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    restored.replaced.rename(kept / "store")
    with JobStore(kept) as store:
        assert len(store.active()) == 3


def test_an_open_dashboard_writes_into_no_replaced_queue(data, tmp_path):
    file = a_backup(data, tmp_path / "b.zip")
    with JobStore(data) as dashboard:
        restore_backup(file, data, now=START, replace=True)
        with pytest.raises(StoreUnusableError, match="replaced"):
            launch(dashboard, "lost?")


def test_nothing_is_restored_under_a_worker(data, tmp_path):
    file = a_backup(data, tmp_path / "b.zip")
    with leading(data), pytest.raises(StoreUnusableError, match="worker"):
        restore_backup(file, data, now=START, replace=True)
    with JobStore(data) as store:
        assert len(store.active()) == 2


# --- what goes on after a restore ---------------------------------------------------------------


class Recorded(JobStore):
    """A queue of which a backup is written after every change of a job."""

    def __init__(self, data: Path, folder: Path) -> None:
        super().__init__(data)
        self.folder_of_backups = folder
        self.backups: list[tuple[JobRecord, Path]] = []

    def put(self, record: JobRecord) -> JobRecord:
        done = super().put(record)
        self.keep(done)
        return done

    def keep(self, record: JobRecord) -> None:
        file = self.folder_of_backups / f"{len(self.backups)}.zip"
        write_backup(self, file, now=START)
        self.backups.append((record, file))


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    """A job carried to its end, with a backup from every moment of its life, and the platform afterwards."""
    folder = tmp_path_factory.mktemp("life")
    clock = Clock()
    runner = FakeRunner(clock)
    with Recorded(folder / "data", folder) as store:
        job_id = launch(store)
        store.keep(store.get(job_id))
        record = drive(store, runner, clock, job_id, {JobState.SUCCEEDED})
        return runner, clock, record, tuple(store.backups)


def everything_once(runner: FakeRunner, token: str) -> None:
    counted = made(runner, token)
    assert set(counted.values()) == {1}, counted
    assert len(counted) == 4, counted


def test_every_moment_of_a_job_was_recorded(life):
    _, _, record, backups = life
    seen = {(each.step, each.phase) for each, _ in backups}
    for step in (Step.MANIFEST_ASSET, Step.STATE_ASSET, Step.RUN, Step.CAPTURE):
        assert {(step, Phase.READY), (step, Phase.INTENT)} <= seen
    assert {Step.CLAIM, Step.WATCH, Step.DONE} <= {step for step, _ in seen}
    everything_once(life[0], record.token)


def test_a_job_restored_from_any_moment_finds_what_it_made_and_starts_nothing(life, tmp_path):
    runner, clock, record, backups = life
    for number, (_, file) in enumerate(backups):
        data = tmp_path / str(number)
        restore_backup(file, data, now=START)
        with JobStore(data) as store:
            ended = drive(store, runner, clock, record.id, {JobState.SUCCEEDED, JobState.NEEDS_YOU})
            assert (ended.state, ended.ids) == (JobState.SUCCEEDED, record.ids)
    everything_once(runner, record.token)


def test_without_looking_first_it_would_start_again(life, tmp_path):
    """The control: the same backups without the mark."""
    runner, clock, record, backups = life
    early = next(file for each, file in backups if (each.step, each.phase) == (Step.RUN, Phase.READY))
    restore_backup(early, tmp_path / "data", now=START)
    things = list(runner.things)
    with JobStore(tmp_path / "data") as store:
        store.put(store.get(record.id).changed(look_first=False))
        drive(store, runner, clock, record.id, {JobState.SUCCEEDED, JobState.INCOMPLETE, JobState.NEEDS_YOU})
    assert sum(count for name, count in made(runner, record.token).items() if name.startswith("run")) == 2
    runner.things[:] = things


@pytest.mark.parametrize("kind", ["run", "capture"])
def test_what_was_never_made_is_made_once(tmp_path, kind):
    """The worker died between intent and call: after the whole window it is sent, once."""
    clock, folder = Clock(), tmp_path
    runner = FakeRunner(clock, outcome=lambda what: "crash_before" if what == kind else "made")
    with JobStore(folder / "data") as store:
        job_id = launch(store)
        with pytest.raises(CrashError):
            drive(store, runner, clock, job_id, {JobState.SUCCEEDED})
        token = store.get(job_id).token
        write_backup(store, folder / "b.zip", now=START)
    restore_backup(folder / "b.zip", folder / "new", now=START)
    runner.outcome = lambda _: "made"
    with JobStore(folder / "new") as store:
        began_s = clock.s
        if kind == "run":
            # It may also have been started and deleted since: only a person knows.
            drive(store, runner, clock, job_id, {JobState.NEEDS_YOU})
            submission.resolve(store, job_id, submission.Choice.START_AGAIN, "ben", START)
        drive(store, runner, clock, job_id, {JobState.SUCCEEDED})
        assert clock.s - began_s >= (runner.settle.run_window_s if kind == "run" else runner.settle.asset_window_s)
        assert not store.get(job_id).look_first
    everything_once(runner, token)


def test_cancelling_a_restored_job_stops_the_run_that_it_did_not_know(tmp_path):
    clock, folder = Clock(), tmp_path
    runner = FakeRunner(clock, run_s=1e9)
    with JobStore(folder / "data") as store:
        job_id = launch(store)
        write_backup(store, folder / "b.zip", now=START)
        drive(store, runner, clock, job_id, {JobState.RUNNING})
        run = store.get(job_id).ids.run
    restore_backup(folder / "b.zip", folder / "new", now=START)
    with JobStore(folder / "new") as store:
        asked = submission.cancel(store, job_id, "ben", START)
        assert asked.state is JobState.CANCELLING
        drive(store, runner, clock, job_id, {JobState.CANCELLED})
    assert run in runner.stopped


def test_retrying_a_restored_failure_finds_what_an_earlier_retry_made(tmp_path):
    clock, folder = Clock(), tmp_path
    answers = {"run": "refused"}
    runner = FakeRunner(clock, outcome=lambda what: answers.get(what, "made"))
    with JobStore(folder / "data") as store:
        job_id = launch(store)
        drive(store, runner, clock, job_id, {JobState.FAILED})
        write_backup(store, folder / "b.zip", now=START)
        answers.clear()
        submission.retry(store, job_id, "ana", START)
        token = drive(store, runner, clock, job_id, {JobState.SUCCEEDED}).token
    restored = restore_backup(folder / "b.zip", folder / "new", now=START)
    assert restored.in_doubt == (job_id,)
    with JobStore(folder / "new") as store:
        submission.retry(store, job_id, "ana", START)
        drive(store, runner, clock, job_id, {JobState.SUCCEEDED})
    everything_once(runner, token)
