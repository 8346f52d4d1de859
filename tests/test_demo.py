"""`trackmapper demo` as a person meets it: an address that answers, and nothing left after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.conversion import plan_conversion
from core.manifest import read_csv
from core.neuroglancer import read_state
from core.platforms.local import LocalLibrary, LocalRunner
from core.subjects import gather_subject
from jobs.store import JobStore
from jobs.submission import submit

ROOT = Path(__file__).parents[1]


def _children(pid: int) -> list[int]:
    """Every living process that has `pid` above it, told by what the kernel says."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return sorted(found)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    log = folder / f"demo-{time.monotonic_ns()}.txt"
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.cli", "demo", "--no-browser", "--data", str(folder / "data")],
            cwd=ROOT,
            stderr=told,
            stdout=told,
            env={**os.environ, "TRACKMAPPER_PORT": "17006", "TRACKMAPPER_WORKER_PORT": "17006"},
        )
    return process, log


def _wait_for(check, patience_s=120.0):
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


@pytest.fixture
def demo(tmp_path):
    """A demo that serves, beside somebody else who has the usual port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 17006))
        other.listen()
        process, log = _start(tmp_path)
        try:
            _wait_for(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process, log.read_text()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)


def _slow_job(library: Path, subject: str, store: JobStore, data: Path) -> str:
    """A job of the day-1 state that would run for minutes."""
    reader, runner = LocalLibrary(library), LocalRunner(library, data)
    stem = "700001_day1_2025-06-02"
    state = read_state(reader.read_state(next(s.path for s in reader.saved_states() if s.name == stem)), stem=stem)
    rows = read_csv((library.parent / "manifests" / f"{stem}.csv").read_bytes()).rows
    now = datetime.now(UTC)
    plan = plan_conversion(
        rows,
        state=state,
        subject=gather_subject(reader, subject, now=now),
        platform=runner.name,
        converter=runner.converter,
        converter_version=runner.converter_version,
        parameters={"slow": "60"},
    )
    return submit(store, plan, rows=rows, problems=(), confirmed=(), user="ana", now=now).job_id


@pytest.mark.browser
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for left processes in /proc, Linux only")
def test_demo_answers_on_free_ports_and_ends_with_all_it_started(demo, tmp_path):
    process, text = demo
    urls = re.findall(r"http://127\.0\.0\.1:\d+/\w+", text)
    ports = {int(re.search(r":(\d+)/", url)[1]) for url in urls}
    assert len(urls) == len(ports) == 2, "two pages on two ports"
    assert 17006 not in ports
    for url in urls:
        with urllib.request.urlopen(url, timeout=60) as page:
            assert page.status == 200

    second, log = _start(tmp_path)
    assert second.wait(timeout=120) == 1
    assert "another demo" in log.read_text()

    library, data = tmp_path / "sample" / "library", tmp_path / "data"
    with JobStore(data) as store:
        job = _slow_job(library, "700001", store, data)
        _wait_for(lambda: store.get(job).state == "running")
        children = _children(process.pid)
        assert len(children) >= 2
        runs = LocalRunner(library, data).active_runs()
        assert len(runs) == 1

        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)  # impatience leaves nothing behind
        assert process.wait(timeout=90) == 0
        assert store.get(job).state == "cancelled"
        assert "end of the demo" in store.get(job).error
    assert LocalRunner(library, data).active_runs() == ()
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
