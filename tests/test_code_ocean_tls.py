"""Code Ocean over https: what breaks a secure connection, before and after a request was sent over it."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from core.errors import AccessError, SettingsError, UnavailableError, UnclearError
from core.platforms.choice import make_reader, make_runner
from core.platforms.code_ocean.api import CodeOceanApi
from core.settings import Settings
from jobs.records import JobState
from tests.certificates import Authority
from tests.code_ocean_jobs import bench
from tests.fake_code_ocean import TOKEN, FakeCodeOcean
from tests.fake_code_ocean_faults import TLS_FAULTS

EFFECT = {"name": "an asset", "tags": ["x"], "mount": "an asset", "source": {"aws": {"bucket": "b", "prefix": "p"}}}


@pytest.fixture
def authority(tmp_path, monkeypatch):
    made = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.trusted))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return made


def api_at(url: str, read_s: float = 5.0) -> CodeOceanApi:
    return CodeOceanApi(url, SecretStr(TOKEN), min_version="4.0.0", sleep=lambda _: None, read_s=read_s)


# --- after the request was sent ---------------------------------------------------------------------


@pytest.mark.parametrize("fault", TLS_FAULTS)
def test_an_effect_whose_secure_connection_breaks_after_it_was_sent_is_in_doubt(authority, fault):
    with FakeCodeOcean(tls=authority.server()) as fake:
        fake.faults.add(fault, method="POST", endpoint="data_assets")
        with pytest.raises(UnclearError):
            api_at(fake.url).effect("POST", "data_assets", body=EFFECT)
        assert len(fake.effects("asset")) == fake.count("POST", "data_assets") == 1


def test_a_refusal_whose_words_break_off_is_one_still(authority):
    with FakeCodeOcean(tls=authority.server(), scopes=()) as fake:
        fake.faults.add("tls_record", method="POST", endpoint="data_assets")
        with pytest.raises(AccessError):
            api_at(fake.url).effect("POST", "data_assets", body=EFFECT)
        assert fake.ledger == []


@pytest.mark.parametrize("fault", TLS_FAULTS)
def test_a_read_over_a_secure_connection_that_breaks_is_made_again(authority, fault):
    with FakeCodeOcean(tls=authority.server()) as fake:
        fake.faults.add(fault, times=2)
        told = api_at(fake.url).read("POST", "data_assets/search", body={"limit": 1})
        assert told == {"has_more": False, "results": []}
        assert fake.count() == 3


@pytest.mark.parametrize("endpoint", ["computations", "data_assets"])
@pytest.mark.parametrize("fault", TLS_FAULTS)
def test_a_job_whose_secure_connection_breaks_after_an_effect_makes_it_once(authority, tmp_path, fault, endpoint):
    with bench(tmp_path / "data", tls=authority.server()) as jobs:
        jobs.fake.faults.add(fault, method="POST", endpoint=endpoint)
        record = jobs.until(jobs.launch(), JobState.SUCCEEDED)
        assert (len(jobs.made("run")), len(jobs.made("asset")), len(jobs.made("capture"))) == (1, 2, 1)
        assert "in doubt" in [event.what for event in record.events]


# --- before it was sent -----------------------------------------------------------------------------


class _Broken(socketserver.BaseRequestHandler):
    """Answers a handshake wrongly."""

    def handle(self) -> None:
        self.request.recv(4096)
        how = self.server.how
        if how == "plain":
            self.request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        elif how == "alert":
            self.request.sendall(b"\x15\x03\x03\x00\x02\x02\x28")
        elif how == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()


@contextmanager
def broken_server(how: str) -> Iterator[str]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Broken)
    server.daemon_threads, server.how = True, how
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("how", ["plain", "alert", "reset", "closed"])
def test_an_effect_whose_handshake_fails_was_not_sent(authority, how):
    with broken_server(how) as url, pytest.raises(UnavailableError, match="no secure connection"):
        api_at(url).effect("POST", "data_assets", body=EFFECT)


@pytest.mark.parametrize("wrong", ["unknown authority", "other address", "expired"])
def test_an_effect_to_a_server_with_a_wrong_certificate_was_not_sent(authority, monkeypatch, wrong):
    served = authority.server(
        "127.0.0.2" if wrong == "other address" else "127.0.0.1", days=-5 if wrong == "expired" else 1
    )
    if wrong == "unknown authority":
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with FakeCodeOcean(tls=served) as fake:
        with pytest.raises(UnavailableError, match="certificate is not accepted"):
            api_at(fake.url).effect("POST", "data_assets", body=EFFECT)
        assert fake.count() == 0
        assert fake.ledger == []


# --- where the token may go -------------------------------------------------------------------------

OPEN = [
    "http://codeocean.example.org",
    "http://10.0.0.7:8080",
    "codeocean.example.org",
    "ftp://localhost",
    "http://",
    "",
]


@pytest.mark.parametrize("address", OPEN)
def test_a_token_never_travels_unencrypted_to_another_machine(address):
    settings = Settings(platform="code_ocean", code_ocean_domain=address, code_ocean_token=SecretStr(TOKEN))
    for make in (make_runner, make_reader, lambda told: api_at(told.code_ocean_domain)):
        with pytest.raises(SettingsError, match="https://") as caught:
            make(settings)
        assert caught.value.where == "CODE_OCEAN_DOMAIN"
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://codeocean.example.org", "http://127.0.0.1:1", "http://localhost", "http://[::1]:2"]
)
def test_an_encrypted_address_and_this_machine_are_fine(address):
    assert api_at(address).domain == address


def test_without_a_token_an_address_is_only_a_name():
    settings = Settings(platform="code_ocean", code_ocean_domain="http://codeocean.example.org")
    assert make_reader(settings).launch_refusal
