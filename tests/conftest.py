"""What every test gets: no environment of ours, no socket but loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator

import pytest

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
