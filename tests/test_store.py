"""The store: nothing forgotten, nothing decoded that is not ours, pages instead of scans."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import diskcache
import pytest

from core.errors import (
    InputError,
    NoSuchJobError,
    NotAllowedError,
    StaleRecordError,
    StoreBusyError,
    StoreUnusableError,
)
from jobs import database
from jobs.clock import utc_now
from jobs.data_folder import file_system_of, refuse_shared_file_system
from jobs.database import sqlite_note
from jobs.records import JobRecord, JobState, Step
from jobs.store import JobStore
from jobs.text_disk import FOREIGN, TextDisk
from tests.job_records import START, a_record

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    with JobStore(tmp_path / "data") as opened:
        yield opened


def add(store: JobStore, digest: str = "d1", **values) -> str:
    return store.add_job(a_record(digest, **values), inputs={"rows": 2}, blobs=[b"{}"]).job_id


def end(store: JobStore, job_id: str, state: JobState) -> JobRecord:
    """Bring a job to an end by legal steps."""
    record = store.get(job_id)
    if state is JobState.SUCCEEDED:
        for between in ("preparing", "launching", "running", "verifying", "capturing"):
            record = store.put(record.changed(state=JobState(between)))
    return store.put(record.changed(state=state, step=Step.DONE, ended=utc_now(), error="because"))


def sql(store: JobStore, statement: str, *parameters) -> None:
    with sqlite3.connect(store.folder.database) as connection:
        connection.execute(statement, parameters)
    connection.close()


def test_a_job_comes_back_as_it_was_given(store):
    job_id = add(store)
    record = store.get(job_id)
    assert record == a_record(token=record.token).changed(id=job_id, rev=1)
    assert (job_id, store.get("1")) == ("000000000001", record)
    assert store.inputs(job_id) == {"rows": 2}


def test_bytes_come_back_exactly(store):
    for data in (b'{"a": "\xc3\xa9"}', b"\xef\xbb\xbf{}", b"\xff\x00", b""):
        added = store.add_job(a_record(repr(data)), inputs={}, blobs=[data])
        assert added.duplicate_of is None
        assert store.blob(hashlib.sha256(data).hexdigest()) == data


def test_changed_bytes_are_refused(store):
    add(store)
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert store.blob(digest) == b"{}"
    sql(store, "UPDATE Cache SET value = ? WHERE key = ?", json.dumps({"utf8": "{} "}), f"blob/{digest}")
    with pytest.raises(StoreUnusableError, match="changed"):
        store.blob(digest)


@pytest.mark.parametrize("value", ['{"utf8":"bad"}', "[1]"])
def test_a_launch_puts_changed_bytes_right(store, value):
    first = add(store)
    digest = hashlib.sha256(b"{}").hexdigest()
    sql(store, "UPDATE Cache SET value = ? WHERE key = ?", value, f"blob/{digest}")
    assert add(store, "d2") != first
    assert store.blob(digest) == b"{}"


def test_the_same_mapping_is_one_job_while_it_lives_and_after_success(store):
    first = add(store)
    assert store.add_job(a_record(), inputs={}).duplicate_of == first
    assert store.add_job(a_record(), inputs={}, relaunch=True).duplicate_of == first
    end(store, first, JobState.SUCCEEDED)
    assert store.add_job(a_record(), inputs={}).duplicate_of == first
    again = store.add_job(a_record(relaunch_of=first), inputs={}, relaunch=True)
    assert again.duplicate_of is None
    assert store.get(first).superseded_by == again.job_id
    assert store.add_job(a_record(), inputs={}).duplicate_of == again.job_id


@pytest.mark.parametrize("end_state", [JobState.FAILED, JobState.CANCELLED])
def test_a_relaunch_without_success_gives_the_place_back_to_the_success_before(store, end_state):
    first = add(store)
    end(store, first, JobState.SUCCEEDED)
    again = store.add_job(a_record(), inputs={}, relaunch=True).job_id
    ended = end(store, again, end_state)
    assert store.add_job(a_record(), inputs={}).duplicate_of == first
    assert store.get(first).superseded_by is None
    third = store.add_job(a_record(), inputs={}, relaunch=True).job_id
    store.put(ended.changed(archived=True))
    assert store.get(first).superseded_by == third
    assert store.add_job(a_record(), inputs={}).duplicate_of == third


def test_a_relaunch_that_is_tried_again_takes_the_place_again(store):
    first = add(store)
    end(store, first, JobState.SUCCEEDED)
    again = store.add_job(a_record(), inputs={}, relaunch=True).job_id
    revived = store.put(end(store, again, JobState.FAILED).changed(state=JobState.PREPARING, ended=None))
    assert not revived.has_ended
    assert store.get(first).superseded_by == again
    assert store.add_job(a_record(), inputs={}).duplicate_of == again


def test_a_failed_mapping_may_be_launched_again_and_then_the_old_job_may_not_be_revived(store):
    first = add(store)
    failed = end(store, first, JobState.FAILED)
    second = add(store)
    assert second != first
    with pytest.raises(NotAllowedError, match=second):
        store.put(failed.changed(state=JobState.PREPARING, ended=None))


def test_a_write_from_an_old_reading_is_refused(store):
    job_id = add(store)
    mine = store.get(job_id)
    theirs = store.put(mine.told(START, "theirs"))
    with pytest.raises(StaleRecordError):
        store.put(mine.told(START, "mine"))
    assert store.get(job_id) == theirs


def test_a_state_that_may_not_follow_is_refused(store):
    failed = end(store, add(store), JobState.CANCELLED)
    with pytest.raises(NotAllowedError, match="cannot become running"):
        store.put(failed.changed(state=JobState.RUNNING))


def test_listings_counts_and_pages(store):
    ids = [add(store, f"d{i}", subject="1" if i % 2 else "2") for i in range(9)]
    end(store, ids[3], JobState.FAILED)
    assert [r.id for r in store.active()] == [i for i in ids if i != ids[3]]
    assert [r.id for r in store.newest(4)] == ids[:4:-1]
    assert [r.id for r in store.newest(100, before=ids[2])] == [ids[1], ids[0]]
    assert [r.id for r in store.newest(2, subject="1")] == [ids[7], ids[5]]
    assert [r.id for r in store.newest(9, states=[JobState.FAILED])] == [ids[3]]
    assert [r.id for r in store.newest(9, by="ben")] == []
    assert len(store.newest(9, since=START)) == 9
    assert store.newest(9, since=utc_now()) == ()
    assert store.newest(9, archived=True) == ()
    assert (store.counts()[JobState.QUEUED], store.counts()[JobState.FAILED]) == (8, 1)


@pytest.mark.parametrize("job_id", ["", "x", "-1", "1" * 13, "٣", "1/../2"])
def test_what_is_no_id_is_refused(store, job_id):
    with pytest.raises(NoSuchJobError):
        store.get(job_id)


def test_the_version_moves_with_every_change_of_a_job(store):
    before = store.version()
    job_id = add(store)
    between = store.version()
    store.put(store.get(job_id).told(START, "x"))
    assert before < between < store.version()
    store.set_draft("ana", "1", {})
    assert store.version() == between + 1


def test_an_end_makes_a_notice(store):
    job_id = add(store)
    end(store, job_id, JobState.FAILED)
    (notice,) = store.notices(0)
    assert (notice.job_id, notice.state, notice.words, notice.to) == (job_id, "failed", "because", "ana")
    assert store.notices(notice.number) == ()
    assert store.last_notice() == notice.number


def test_drafts_are_kept_by_person_and_mouse(store):
    store.set_draft("a/b", "7/1", {"rows": [1]})
    store.set_draft("ana", "2", {"rows": []})
    assert store.get_draft("a/b", "7/1") == {"rows": [1]}
    assert store.drafts() == (("a/b", "7/1"), ("ana", "2"))
    assert store.drafts("ana") == (("ana", "2"),)
    store.delete_draft("ana", "2")
    assert store.get_draft("ana", "2") is None


def test_the_settings_that_lose_nothing_hold(store):
    connection = sqlite3.connect(store.folder.database)
    held = dict(connection.execute("SELECT key, value FROM Settings"))
    connection.close()
    assert {key: held[key] for key in database.SETTINGS} == database.SETTINGS
    mode = store.folder.store.stat().st_mode
    assert stat.S_IMODE(mode) == 0o700


def test_a_foreign_opener_is_noticed(store):
    diskcache.Cache(str(store.folder.store), eviction_policy="least-recently-stored", cull_limit=10).close()
    with pytest.raises(StoreUnusableError, match="another program changed"):
        store.check()


def test_settings_that_another_program_has_changed_are_refused_before_they_are_hidden(tmp_path):
    with JobStore(tmp_path / "data") as store:
        job_id = add(store)
    diskcache.Cache(str(store.folder.store), eviction_policy="least-recently-stored", cull_limit=10).close()
    for _ in range(2):
        with pytest.raises(StoreUnusableError, match="cull_limit is 10") as caught:
            JobStore(tmp_path / "data")
    command = re.search(r"\((sqlite3 .*)\)", str(caught.value))[1]
    _, path, statements = shlex.split(command)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
    with JobStore(tmp_path / "data") as store:
        assert store.get(job_id)


def test_a_connection_that_is_opened_anew_is_checked_anew(store):
    add(store)
    with pytest.raises(StoreUnusableError), store._db.write():
        raise sqlite3.OperationalError("disk I/O error")
    diskcache.Cache(str(store.folder.store), sqlite_synchronous=1).close()
    with pytest.raises(StoreUnusableError, match="sqlite_synchronous"):
        add(store, "d2")


def test_nobody_else_can_read_the_queue_whatever_the_habits_of_the_account(tmp_path):
    before = os.umask(0)
    try:
        with JobStore(tmp_path / "data") as store:
            add(store)
            files = sorted(path.name for path in store.folder.store.iterdir())
            assert files == ["cache.db", "cache.db-shm", "cache.db-wal"]
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.folder.store.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}, modes


def test_a_folder_that_vanished_is_named_and_the_store_still_closes(tmp_path):
    store = JobStore(tmp_path / "data")
    record = store.get(add(store))
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(StoreUnusableError, match="not there any more"):
        store.put(record)
    store.close()


def test_a_foreign_weaker_setting_stops_writes_of_new_threads(store):
    add(store)
    diskcache.Cache(str(store.folder.store), sqlite_synchronous=1).close()
    caught = []

    def write() -> None:
        try:
            add(store, "d2")
        except StoreUnusableError as error:
            caught.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert "sqlite_synchronous" in caught[0]


class Bomb:
    """Runs a command when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_poisoned_rows_run_nothing_and_hide_nobody(store, tmp_path, monkeypatch):
    def no_pickle(*_):
        raise AssertionError("a pickle was loaded")

    monkeypatch.setattr(pickle, "load", no_pickle)
    monkeypatch.setattr(pickle, "loads", no_pickle)
    good, bad = add(store, "d1"), [add(store, f"bad{i}") for i in range(6)]
    bomb = sqlite3.Binary(pickle.dumps(Bomb(tmp_path / "ran")))
    update = "UPDATE Cache SET {} WHERE key = 'job/{}'"
    sql(store, update.format("mode = 4, value = ?", bad[0]), bomb)
    sql(store, update.format("mode = 2, filename = 'a/b.val', value = NULL", bad[1]))
    sql(store, update.format("value = '{\"v\": 1'", bad[2]))
    sql(store, update.format("value = '[]'", bad[3]))
    sql(store, update.format("value = '{\"v\": 99}'", bad[4]))
    sql(store, update.format("value = ?", bad[5]), "[" * 200_000)
    sql(store, "INSERT INTO Cache(key, raw, mode, value) VALUES (?, 0, 4, ?)", bomb, bomb)
    sql(store, "INSERT INTO Cache(key, raw, mode, value) VALUES (?, 1, 4, ?)", bomb, bomb)
    last = add(store, "d9")
    assert [r.id for r in store.active()] == [good, last]
    assert [r.id for r in store.newest(100)] == [last, good]
    assert [r.id for r in store.newest(100, subject="700001")] == [last, good]
    assert set(store.bad_rows) == {f"job/{i}" for i in bad}
    for job_id in bad:
        with pytest.raises(StoreUnusableError, match="cannot be read"):
            store.get(job_id)
    assert "newer program" in store.bad_rows[f"job/{bad[4]}"]
    assert len([words for words in store.check() if words.startswith("job/")]) == len(bad)
    assert not (tmp_path / "ran").exists()


def test_a_changed_counter_stops_launches_instead_of_giving_numbers_twice(store):
    job_id = add(store)
    sql(store, "UPDATE Cache SET value = '\"one\"' WHERE key = 'meta/last_id'")
    with pytest.raises(StoreUnusableError, match="counter"):
        add(store, "d2")
    assert [r.id for r in store.newest(5)] == [job_id]


@pytest.mark.parametrize("statement", ["DELETE FROM Cache", "UPDATE Cache SET value = '0'"])
def test_a_lost_counter_stops_launches_instead_of_writing_over_a_job(store, statement):
    job_id = add(store)
    sql(store, f"{statement} WHERE key = 'meta/last_id'")
    with pytest.raises(StoreUnusableError, match="counter"):
        add(store, "d2")
    assert store.get(job_id).digest == "d1"


@pytest.mark.parametrize("value", ['"abc"', "[1]", '{"a": 1}', '{"queued": "x"}', "null"])
def test_small_rows_that_were_changed_stop_nothing(store, value):
    job_id = add(store)
    for key in ("meta/version", "meta/counts", "meta/last_notice", "meta/worker"):
        sql(store, "INSERT OR REPLACE INTO Cache(key, raw, mode, value) VALUES (?, 1, 1, ?)", key, value)
    assert (store.version(), store.last_notice(), store.worker_status()) == (0, 0, None)
    assert store.counts()[JobState.QUEUED] == 0
    end(store, job_id, JobState.FAILED)
    assert add(store, "d2")
    assert store.version() > 0
    assert [notice.job_id for notice in store.notices(0)] == [job_id]


def test_a_changed_change_hint_is_told(store):
    sql(store, "INSERT INTO Cache(key, raw, mode, value) VALUES ('meta/version', 1, 1, '\"abc\"')")
    assert store.version() == 0
    assert "meta/version" in store.bad_rows
    add(store)
    assert store.version() == 1
    assert store.bad_rows == {}


def test_a_notice_that_cannot_be_read_hides_no_other_and_a_lost_counter_no_new_one(store):
    jobs = [add(store, f"d{i}") for i in range(4)]
    for job_id in jobs[:3]:
        end(store, job_id, JobState.FAILED)
    sql(store, "UPDATE Cache SET value = '[1]' WHERE key = 'notice/000000000002'")
    sql(store, "DELETE FROM Cache WHERE key = 'meta/last_notice'")
    assert [notice.job_id for notice in store.notices(0)] == [jobs[0], jobs[2]]
    assert "notice/000000000002" in store.bad_rows
    end(store, jobs[3], JobState.FAILED)
    assert [notice.number for notice in store.notices(3)] == [4]


def test_a_record_of_a_newer_program_is_not_touched(store):
    job_id = add(store)
    newer = store.get(job_id).model_dump(mode="json") | {"v": 2}
    sql(store, "UPDATE Cache SET value = ? WHERE key = ?", json.dumps(newer), f"job/{job_id}")
    with pytest.raises(StoreUnusableError, match="newer program"):
        store.get(job_id)


def test_the_disk_refuses_what_is_not_text():
    disk = TextDisk("unused")
    with pytest.raises(TypeError):
        disk.put(1)
    with pytest.raises(TypeError):
        disk.store({1}, False)
    with pytest.raises(ValueError, match="Out of range"):
        disk.store(float("nan"), False)
    with pytest.raises(TypeError):
        disk.store(b"", True)
    assert disk.fetch(4, None, b"", False) is FOREIGN
    assert disk.get(b"", False) is FOREIGN


def test_lone_surrogates_can_be_kept(store):
    store.set_draft("ana", "1", {"note": "\ud800"})
    assert store.get_draft("ana", "1") == {"note": "\ud800"}


def test_halves_of_characters_make_no_job_unreadable(store):
    name = b"jos\xe9".decode("utf-8", "surrogateescape")
    job_id = add(store, created_by=name, subject=name).strip()
    record = store.get(job_id)
    assert record.created_by == "jos?"
    written = store.put(record.changed(error=f"bad {name}").told(START, "x", name, by=name))
    assert store.get(job_id) == written
    assert written.error == "bad jos?"
    assert [r.id for r in store.newest(5, by=name, subject=name)] == [r.id for r in store.active()] == [job_id]
    store.set_draft(name, name, {"a": 1})
    assert store.get_draft(name, name) == {"a": 1}
    assert store.drafts(name) == (("jos?", "jos?"),)


def test_a_record_that_could_not_be_read_back_is_not_written(store):
    job_id = add(store)
    with pytest.raises(InputError, match="not written"):
        store.put(store.get(job_id).changed(attempt="many"))
    assert store.get(job_id).rev == 1


def test_folders_that_others_can_write_or_that_are_links_are_refused(tmp_path):
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o770)
    with pytest.raises(StoreUnusableError, match="other accounts can write"):
        JobStore(open_folder)
    linked = tmp_path / "linked"
    linked.mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (linked / "store").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusableError, match="link"):
        JobStore(linked)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusableError, match="cannot be made"):
        JobStore(tmp_path / "file" / "data")


def test_shared_file_systems_are_refused(tmp_path, monkeypatch):
    mounts = "/dev/a / ext4 rw 0 0\nhost:/x /srv/my\\040lab nfs4 rw 0 0\n/dev/b /srv/my\\040lab/disk xfs rw 0 0\n"
    assert file_system_of(Path("/srv/my lab/jobs"), mounts) == "nfs4"
    assert file_system_of(Path("/srv/my lab/disk/jobs"), mounts) == "xfs"
    assert file_system_of(Path("/srv/my labs"), mounts) == "ext4"
    table = tmp_path / "mounts"
    monkeypatch.setattr("jobs.data_folder._MOUNTS", table)
    for kind in ("nfs", "cifs", "fuse.sshfs", "virtiofs"):
        table.write_text(f"x / {kind} rw 0 0\n")
        with pytest.raises(StoreUnusableError, match=kind):
            refuse_shared_file_system(tmp_path)
    table.write_text("x / ext4 rw 0 0\n")
    refuse_shared_file_system(tmp_path)
    table.unlink()
    with pytest.raises(StoreUnusableError, match="cannot be told"):
        refuse_shared_file_system(tmp_path)


def test_a_removed_database_is_noticed(store):
    job_id = add(store)
    record = store.get(job_id)
    store.folder.database.unlink()
    with pytest.raises(StoreUnusableError, match="removed or replaced"):
        store.put(record.told(START, "x"))


def test_a_damaged_file_is_reported_and_kept(tmp_path):
    with JobStore(tmp_path / "data") as store:
        add(store)
    database_file = store.folder.database
    database_file.write_bytes(b"not a database, " * 1000)
    with pytest.raises(StoreUnusableError, match="cannot be used"):
        JobStore(tmp_path / "data")
    assert database_file.read_bytes().startswith(b"not a database")


def test_a_foreign_lock_is_called_busy_and_leaves_all_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "TIMEOUT_S", 0.2)
    with JobStore(tmp_path / "data") as store:
        job_id = add(store)
        holder = sqlite3.connect(store.folder.database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="locked"):
            add(store, "d2")
        holder.execute("ROLLBACK")
        holder.close()
        assert [r.id for r in store.newest(5)] == [job_id]
        assert add(store, "d2") == "000000000002"


def test_a_full_disk_is_named_and_writing_goes_on_afterwards(store):
    add(store)
    cache = store._db._cache
    (pages,) = cache._sql("PRAGMA page_count").fetchone()
    cache._sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreBusyError, match="full"):
        store.add_job(a_record("big"), inputs={"text": "x" * 500_000})
    assert [r.digest for r in store.newest(5)] == ["d1"]
    assert store.add_job(a_record("big"), inputs={"text": "x" * 500_000}).job_id == "000000000002"


def test_a_backup_is_whole_and_opens(store, tmp_path):
    job_id = add(store)
    target = tmp_path / "backup" / "store" / "cache.db"
    target.parent.mkdir(parents=True, mode=0o700)
    (tmp_path / "backup").chmod(0o700)
    store.backup(target)
    with JobStore(tmp_path / "backup") as copy:
        assert copy.get(job_id) == store.get(job_id)
        assert copy.check() == ()


CONTENDER = """
import sys
from pathlib import Path
from core.errors import StaleRecordError
from jobs.store import JobStore
with JobStore(Path(sys.argv[1])) as store:
    for _ in range(int(sys.argv[2])):
        while True:
            record = store.get("1")
            try:
                store.put(record.changed(attempt=record.attempt + 1))
                break
            except StaleRecordError:
                pass
        store.set_draft(sys.argv[3], "1", {})
"""


def test_two_processes_and_two_threads_lose_no_write(store):
    add(store)
    processes = [
        subprocess.Popen([sys.executable, "-c", CONTENDER, str(store.folder.root), "60", name], cwd=ROOT)
        for name in ("ana", "ben")
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert store.get("1").attempt == 121
    assert store.check() == ()


@pytest.mark.parametrize(
    ("version", "word"), [("3.40.1", "covered"), ("3.51.3", "fixed"), ("3.50.7", "fixed"), ("3.51.1", "covered")]
)
def test_the_sqlite_version_is_judged(version, word):
    assert word in sqlite_note(version)
