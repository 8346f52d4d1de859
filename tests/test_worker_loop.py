"""The worker's loop: one leads, others stand by, and a queued job runs though nobody looks."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import StoreBusyError
from core.settings import Settings, load_settings
from dashboard import servers
from jobs import worker_loop
from jobs.clock import utc_now
from jobs.leadership import is_led, leading
from jobs.records import JobState
from jobs.store import JobStore
from jobs.submission import submit
from jobs.worker_health import health_lines
from tests import kill_campaign
from tests.fake_runner import Clock, FakeRunner
from tests.job_records import a_plan

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return load_settings(library=tmp_path / "library", data=tmp_path / "data", poll_seconds=0.1)


class Loop:
    """A worker's loop in a thread, on a platform in memory that is done at once."""

    def __init__(self, settings: Settings, runner: FakeRunner | None = None) -> None:
        self.stop = threading.Event()
        self.runner = runner or FakeRunner(Clock(), run_s=0.0)
        self.told: list[str] = []
        options = {"runner": self.runner, "tell": self.told.append}
        self.thread = threading.Thread(target=worker_loop.run_worker, args=(settings, self.stop), kwargs=options)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def launch(store: JobStore, digest: str = "d1") -> str:
    plan = a_plan(digest)
    return submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=utc_now()).job_id


def test_a_queued_job_is_carried_to_its_end(settings):
    with JobStore(settings.data) as store:
        job_id = launch(store)
        loop = Loop(settings)
        try:
            wait_for(lambda: store.get(job_id).has_ended, "the end of the job")
            assert store.get(job_id).state is JobState.SUCCEEDED
            assert is_led(settings.data)
        finally:
            loop.end()
        assert not is_led(settings.data)
        assert store.worker_status().pid == os.getpid()


def test_one_leads_and_the_other_takes_over(settings):
    first = Loop(settings)
    wait_for(lambda: is_led(settings.data), "a leader")
    second = Loop(settings)
    try:
        with JobStore(settings.data) as store:
            wait_for(lambda: store.worker_status(), "a report")
            leader = store.worker_status().owner
            first.end()
            wait_for(lambda: store.worker_status().owner != leader, "the other to lead")
            job_id = launch(store)
            wait_for(lambda: store.get(job_id).has_ended, "the end of the job")
            assert first.runner.things == []
            assert len(second.runner.things) == 4
    finally:
        first.end()
        second.end()


def test_asking_who_leads_does_not_keep_anybody_from_leading(settings):
    assert not is_led(settings.data)
    with JobStore(settings.data), leading(settings.data) as lead:
        assert lead
        assert is_led(settings.data)
        with leading(settings.data) as second:
            assert not second
    assert not is_led(settings.data)


def test_a_vanished_queue_is_not_begun_anew(settings, monkeypatch):
    monkeypatch.setattr(worker_loop, "_TROUBLE_S", 0.05)
    loop = Loop(settings)
    try:
        wait_for(lambda: is_led(settings.data), "a leader")
        with JobStore(settings.data) as store:
            wait_for(store.worker_status, "a report")
            database, away = store.folder.database, settings.data / "away.db"
            store.backup(away)
            database.unlink()
            launched = threading.Event()
            wait_for(lambda: not is_led(settings.data), "the worker to notice")
            launched.wait(0.3)
            assert not database.exists()
        for name in ("cache.db-wal", "cache.db-shm"):
            (settings.data / "store" / name).unlink(missing_ok=True)
        away.rename(database)
        wait_for(lambda: is_led(settings.data), "the worker to go on")
    finally:
        loop.end()


@pytest.mark.parametrize("harm", ["remove", "rename"])
def test_a_vanished_folder_is_told_and_waited_for(settings, monkeypatch, harm):
    monkeypatch.setattr(worker_loop, "_TROUBLE_S", 0.05)
    loop = Loop(settings)
    away = settings.data.with_name("away")
    try:
        wait_for(lambda: is_led(settings.data), "a leader")
        with JobStore(settings.data) as store:
            launch(store)
            wait_for(lambda: store.counts()[JobState.SUCCEEDED], "the end of the job")
        if harm == "rename":
            settings.data.rename(away)
        else:
            shutil.copytree(settings.data, away)
            shutil.rmtree(settings.data)
        wait_for(lambda: any("vanished" in words for words in loop.told), "the worker to tell")
        assert not settings.data.exists(), "an empty queue in its place would hide the loss"
        away.rename(settings.data)
        with JobStore(settings.data) as store:
            launch(store, "d2")
            wait_for(lambda: store.counts()[JobState.SUCCEEDED] == 2, "the worker to go on")
        wait_for(lambda: loop.told[-1] == "", "the worker to tell that all is well")
    finally:
        loop.end()


def test_an_unexpected_fault_is_told_and_the_loop_goes_on(settings, monkeypatch):
    monkeypatch.setattr(worker_loop, "_TROUBLE_S", 0.05)
    right, faults = worker_loop.Monitor.run_pass, [ZeroDivisionError("a fault"), OSError(28, "No space left")]

    def broken(monitor, go_on):
        if faults:
            raise faults.pop()
        return right(monitor, go_on)

    monkeypatch.setattr(worker_loop.Monitor, "run_pass", broken)
    with JobStore(settings.data) as store:
        job_id = launch(store)
        loop = Loop(settings)
        try:
            wait_for(lambda: store.get(job_id).has_ended, "the end of the job")
        finally:
            loop.end()
    assert any("ZeroDivisionError: a fault" in words for words in loop.told)
    assert loop.told[-1] == ""


def test_a_worker_without_a_token_waits_and_the_pages_can_say_why(tmp_path, monkeypatch):
    for name in ("CODE_OCEAN_API_TOKEN", "CODEOCEAN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings(platform="code_ocean", data=tmp_path / "data")
    stop, told = threading.Event(), []
    thread = threading.Thread(target=worker_loop.run_worker, args=(settings, stop), kwargs={"tell": told.append})
    thread.start()
    try:
        with JobStore(settings.data) as store:
            wait_for(store.worker_status, "the worker's status")
            assert "CODE_OCEAN_API_TOKEN" in store.worker_status().waiting
            assert "CODE_OCEAN_API_TOKEN" in told[-1]
            assert is_led(settings.data)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_the_loops_own_trouble_stands_on_the_page(settings):
    lines = dict(health_lines(settings.data, running=True, trouble="the data folder is a link"))
    assert lines["Its trouble"] == "the data folder is a link"
    settings.data.joinpath("store", "cache.db").write_bytes(b"damaged " * 1000)
    health_lines.__globals__["_open_store"].cache_clear()
    lines = dict(health_lines(settings.data, running=True, trouble="damaged"))
    assert lines["Its trouble"] == "damaged"


def test_a_leader_whose_lock_was_removed_leads_on_with_a_new_one(settings):
    loop = Loop(settings)
    lock = settings.data / "locks" / "leader.lock"
    try:
        wait_for(lambda: is_led(settings.data), "a leader")
        with JobStore(settings.data) as store:
            wait_for(store.worker_status, "a report")
            owner = store.worker_status().owner
            lock.unlink()
            wait_for(lambda: store.worker_status().owner != owner, "the leader to notice")
        wait_for(lambda: is_led(settings.data), "a leader")
    finally:
        loop.end()


def test_a_lock_that_was_replaced_is_not_held(settings):
    with JobStore(settings.data), leading(settings.data) as lead:
        assert lead.holds()
        lead.path.unlink()
        assert not lead.holds()
        with leading(settings.data) as other:
            assert other.holds()
            assert not lead.holds()


def test_a_machine_without_more_files_is_called_busy(settings):
    with JobStore(settings.data):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(StoreBusyError, match="Too many open files"), leading(settings.data):
                pass
            with pytest.raises(StoreBusyError, match="Too many open files"):
                is_led(settings.data)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_watchdog_spares_a_long_call_and_what_has_ended():
    ended: list[int] = []
    watchdog = worker_loop.Watchdog(patience_s=0.05, call_s=3600.0, end=ended.append)
    stop = threading.Event()
    watch = threading.Thread(target=watchdog.watch, args=(stop,))
    with watchdog.calling():
        watch.start()
        watch.join(0.3)
        assert ended == []
    watch.join(PATIENCE_S)
    assert ended == [70]


def test_a_loop_that_ends_takes_its_watchdog_with_it(settings, monkeypatch):
    monkeypatch.setattr(worker_loop, "run_worker", lambda *_, **__: None)
    before = set(threading.enumerate())
    first = worker_loop.start_worker_thread(settings)
    first.join(PATIENCE_S)
    wait_for(lambda: not set(threading.enumerate()) - before, "the watchdog to end")
    second = worker_loop.start_worker_thread(settings)
    assert second is not first
    second.join(PATIENCE_S)


def test_the_watchdog_ends_a_process_whose_loop_hangs():
    ended: list[int] = []
    watchdog = worker_loop.Watchdog(patience_s=0.05, end=ended.append)
    watchdog.watch(threading.Event())
    assert ended == [70]
    stop = threading.Event()
    stop.set()
    worker_loop.Watchdog(patience_s=60.0, end=ended.append).watch(stop)
    assert ended == [70]


def test_the_health_is_told_in_words(settings):
    with JobStore(settings.data) as store:
        launch(store)
        lines = dict(health_lines(settings.data, running=True))
        assert lines["Leader"] == "nobody holds the leader's lock"
        assert (lines["Jobs in hand"], lines["Queue"]) == ("1", "1 queued")
        assert "SQLite" in lines["Database"]
        loop = Loop(settings)
        try:
            wait_for(lambda: store.counts()[JobState.SUCCEEDED], "the end of the job")
            lines = {"Leader": "this process", "Jobs in hand": "0"}
            wait_for(lambda: lines.items() <= dict(health_lines(settings.data, running=True)).items(), "a report")
        finally:
            loop.end()


def test_an_unusable_folder_is_told_in_words(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    assert "other accounts can write" in dict(health_lines(tmp_path / "data", running=False))["Queue"]


def test_wrong_options_end_the_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TRACKMAPPER_POLL_SECONDS", "never")
    assert worker_loop.main(["--data", str(tmp_path / "data")]) == 2
    assert "TRACKMAPPER_POLL_SECONDS" in capsys.readouterr().err


def test_the_command_ends_on_sigterm_and_is_followed_by_another(settings):
    command = [sys.executable, "-m", "jobs.worker_loop"]
    command += ["--library", str(settings.library), "--data", str(settings.data)]
    settings.library.mkdir()
    workers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        with JobStore(settings.data) as store:
            wait_for(store.worker_status, "a report")
            leader = store.worker_status().pid
            first = next(worker for worker in workers if worker.pid == leader)
            other = next(worker for worker in workers if worker.pid != leader)
            first.send_signal(signal.SIGTERM)
            assert first.wait(PATIENCE_S) == 0
            wait_for(lambda: store.worker_status().pid == other.pid, "the other to lead")
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def test_a_worker_that_is_open_to_the_network_shows_nothing_and_works(settings):
    code = (
        "import json, runpy, socket, sys, panel as pn\n"
        "shown = []\n"
        "pn.viewable.Viewable.servable = lambda page, **_: shown.append(page)\n"
        "with socket.socket() as server:\n"
        "    server.bind(('0.0.0.0' if sys.argv[1] == 'open' else '127.0.0.1', 0)); server.listen()\n"
        "    runpy.run_path('jobs/worker.py')\n"
        "print(json.dumps(' '.join(str(pane.object) for pane in shown[0].select(pn.pane.HTML))))\n"
        "from jobs.worker_loop import WorkerThread; import threading\n"
        "assert any(isinstance(thread, WorkerThread) for thread in threading.enumerate())\n"
    )
    settings.library.mkdir()
    env = {**servers.environment(settings), "PYTHONPATH": str(ROOT)}
    for how, words, absent in (("open", "without a log-in", "Jobs in hand"), ("loopback", "Jobs in hand", "log-in")):
        command = [sys.executable, "-c", code, how]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert absent not in done.stdout


def test_the_served_worker_runs_a_job_with_no_page_opened(tmp_path):
    campaign = kill_campaign.Campaign(tmp_path, seed=1)
    campaign.launch()
    with campaign.store as store:
        job = store.newest(1)[0]
        with servers.started(servers.WORKER, servers.free_port(25007), servers.environment(campaign.settings)):
            wait_for(lambda: store.get(job.id).has_ended, "the end of the job")
        assert store.get(job.id).state is JobState.SUCCEEDED
        assert campaign.ledger()["wrong"] == []
