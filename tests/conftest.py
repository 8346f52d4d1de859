"""What every test gets: no environment of ours, no socket but loopback; and the counts that close a run."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COUNTS = "counts"
_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _refuse_outside(sock: socket.socket, address: object) -> None:
    if sock.family == socket.AF_UNIX:
        return
    host = str(address[0]) if isinstance(address, tuple) else str(address)
    if host == "localhost" or ipaddress.ip_address(host.split("%")[0]).is_loopback:
        return
    raise AssertionError(f"a test tried to reach {address}: tests talk to loopback only")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    def connect(self, address):
        _refuse_outside(self, address)
        return _connect(self, address)

    def connect_ex(self, address):
        _refuse_outside(self, address)
        return _connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CODE_OCEAN", "CODEOCEAN", "AWS_")) and name != "AWS_CA_BUNDLE":
            monkeypatch.delenv(name)
        if name.startswith("TRACKMAPPER_") and name != "TRACKMAPPER_TEST_CHROMIUM":
            monkeypatch.delenv(name)


# --- counts ---------------------------------------------------------------------------------------


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a line of figures (with its seed) for the section that closes the run, whether the test passes or not.

    What a test writes is captured, and lost in a worker of pytest-xdist; what it keeps with its report is not.
    """
    return lambda words: record_property(COUNTS, words)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show every line that tests have told, in the order of the tests; added to TRACKMAPPER_TEST_COUNTS, too."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    told = [
        (report.nodeid, str(words))
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, words in report.user_properties
        if name == COUNTS
    ]
    if not told or hasattr(terminalreporter.config, "workerinput"):
        return  # workers of pytest-xdist have a summary, too, which nobody sees
    lines = [words for _, words in sorted(told, key=lambda pair: pair[0])]
    terminalreporter.section(COUNTS)
    for line in lines:
        terminalreporter.write_line(line)
    if file := os.environ.get("TRACKMAPPER_TEST_COUNTS"):
        with Path(file).open("a") as kept:
            kept.write("".join(f"{line}\n" for line in lines))
