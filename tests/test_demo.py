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
from pathlib import Path

import pytest

from core.platforms.local import LocalLibrary
from jobs.store import JobStore

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


@pytest.fixture
def demo(tmp_path):
    log = (tmp_path / "log.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.cli", "demo", "--no-browser", "--data", str(tmp_path / "data")],
        cwd=ROOT,
        stderr=log,
        stdout=log,
        env={**os.environ, "TRACKMAPPER_PORT": "17006", "TRACKMAPPER_WORKER_PORT": "17006"},
    )
    try:
        text, deadline = "", time.monotonic() + 120
        while "Ctrl-C" not in text and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            text = Path(log.name).read_text()
        assert "Ctrl-C" in text, text
        yield process, text
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        log.close()


@pytest.mark.browser
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for left processes in /proc, Linux only")
def test_demo_answers_finds_free_ports_and_leaves_no_process(demo, tmp_path):
    process, text = demo
    assert LocalLibrary(tmp_path / "sample" / "library").saved_states()
    urls = re.findall(r"http://127\.0\.0\.1:\d+/\w+", text)
    assert len(urls) == len({re.search(r":(\d+)/", url)[1] for url in urls}) == 2, "two pages on two ports"
    for url in urls:
        with urllib.request.urlopen(url, timeout=60) as page:
            assert page.status == 200
    children = _children(process.pid)
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    for url in urls:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(re.search(r":(\d+)/", url)[1]))) != 0
    with JobStore(tmp_path / "data") as store:
        assert store.active() == ()
