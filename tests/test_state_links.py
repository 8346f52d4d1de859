"""Pastes and links: what is accepted, what is refused, and that a fetch never reaches where it must not."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StateError, UnavailableError
from core.neuroglancer import read_state
from core.neuroglancer import transport as state_transport
from core.neuroglancer.links import (
    Answer,
    NetworkTransport,
    StateLink,
    fetch_state_link,
    interpret_paste,
    is_public,
)
from core.settings import Settings, load_settings

STATE = {"layers": [{"name": 'it\'s 100% "a", b_c é', "type": "annotation", "visible": True}], "position": [1.5, -2]}
TEXT = json.dumps(STATE)
VIEWER = "https://viewer.example.org/v/1/"
URL_SAFE = "{'layers':[{'name':'it\\'s_100% \"a\", b_c'_'visible':true}]_'position':[1.5_-2]}"


# --- pastes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "\ufeff \n" + TEXT + "\n",
        VIEWER + "#!" + quote(TEXT),
        VIEWER + "#!" + quote(TEXT, safe='{}[]":,'),
        VIEWER + "#!" + quote(quote(TEXT)),
        "http://localhost:8080/#!" + quote(TEXT),
        "#!" + quote(TEXT),
        "  #!" + quote(TEXT) + "  ",
    ],
)
def test_states_are_taken_from_every_form_of_link(text):
    found = interpret_paste(text)
    assert isinstance(found, bytes)
    assert json.loads(found) == STATE


@pytest.mark.parametrize("encode", [str, quote])
def test_the_old_url_safe_form_is_read(encode):
    found = interpret_paste(VIEWER + "#!" + encode(URL_SAFE))
    assert json.loads(found) == {
        "layers": [{"name": 'it\'s_100% "a", b_c', "visible": True}],
        "position": [1.5, -2],
    }


def test_raw_json_after_the_hash_is_read():
    assert json.loads(interpret_paste('#!{"layers": []}')) == {"layers": []}
    assert json.loads(interpret_paste("#!{}")) == {}


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (VIEWER + "#!s3://aind-open-data/a/state.json",
         StateLink("s3", "aind-open-data", "a/state.json", "s3://aind-open-data/a/state.json")),
        ("https://viewer.example.org/new#!s3%3A%2F%2Faind-open-data%2Fmy%20state.json",
         StateLink("s3", "aind-open-data", "my state.json", "s3://aind-open-data/my state.json")),
        ("s3://aind-open-data/a.json", StateLink("s3", "aind-open-data", "a.json", "s3://aind-open-data/a.json")),
        ("#!https://States.example.org/x/a.json",
         StateLink("https", "states.example.org", "x/a.json", "https://states.example.org/x/a.json")),
        (VIEWER + "#!https://states.example.org:443/a%20b.json",
         StateLink("https", "states.example.org", "a%20b.json", "https://states.example.org/a%20b.json")),
    ],
)  # fmt: skip
def test_links_to_states_are_recognised(text, link):
    assert interpret_paste(text) == link


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "/etc/passwd", "../state.json", "..\\state.json", "C:\\state.json", "~/state.json", "state.json",
        "file:///etc/passwd", "#!file:///etc/passwd", VIEWER, VIEWER + "#", VIEWER + "#!", VIEWER + "#!state.json",
        VIEWER + "#!/etc/passwd", VIEWER + "#!+", "https://states.example.org/a.json", "http://169.254.169.254/latest",
        "#!http://states.example.org/a.json", "#!gs://bucket/a.json", "gs://bucket/a.json", "#!ftp://h.org/a.json",
        "#!https://169.254.169.254/latest/meta-data", "#!https://2852039166/a.json", "#!https://0xa9fea9fe/a.json",
        "#!https://0251.0376.0251.0376/a", "#!https://[::1]/a.json", "#!https://[::ffff:127.0.0.1]/a.json",
        "#!https://localhost/a.json", "#!https://user@states.example.org/a.json", "#!https://h.org:8443/a.json",
        "#!https://u:p@h.org/a.json", "#!https://h.org/", "#!https://h.org", "#!https://h.org/../a.json",
        "#!https://h.org/%2e%2e/a.json", "#!https://h.org/a.json?X-Amz-Signature=1", "#!https://h.org/a.json#b",
        "#!https://h.org\\@evil.org/a.json", "#!https://[", "#!https://h.org:99999/a", "s3://", "s3://bucket",
        "s3://bucket/", "s3://Bucket_/a.json", "s3://bucket/../a.json", "s3://../a.json", "s3://bucket/a\nb.json",
        "s3://127.0.0.1:9000/a.json/../b", "#!middleauth+https://h.org/a", "<img src=x>", "[1]", "17", "#!%ff%7B",
        "#!" + "%25" * 10 + "7B", '{"a": "\ud800"}',
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_the_accepted_forms(text):
    with pytest.raises(StateError) as caught:
        interpret_paste(text)
    assert caught.value.message
    assert caught.value.cure


@pytest.mark.parametrize("text", ["#!https://ana:canary@h.org/a.json", "#!https://h.org/a.json?Signature=canary"])
def test_secrets_in_a_link_are_not_repeated(text):
    with pytest.raises(StateError) as caught:
        interpret_paste(text)
    assert "canary" not in str(caught.value)


@given(
    st.text(max_size=80) | st.from_regex(r"(https?://h/)?#!([{'\"_}%2s:/]|s3://|https://|%7B){0,20}", fullmatch=True)
)
@settings(max_examples=100, deadline=None)
def test_any_text_gives_a_state_a_link_or_a_refusal(text):
    try:
        found = interpret_paste(text)
    except StateError:
        return
    assert found.startswith(b"{") if isinstance(found, bytes) else found.scheme in ("s3", "https")


def test_a_huge_paste_is_refused_unread():
    with pytest.raises(StateError, match="larger than"):
        interpret_paste("#!" + "%7B" * 17_000_000)


@pytest.mark.parametrize("endless", ["{'" + "\\'" * 2_000_000, "{'a':\"" + '\\"' * 2_000_000], ids=["single", "double"])
def test_an_endless_string_in_the_old_form_costs_one_reading(endless):
    with pytest.raises(StateError):
        read_state(interpret_paste("#!" + endless))


# --- fetching -----------------------------------------------------------------------------------


class FakeTransport:
    """Answers from tables and keeps what was asked."""

    def __init__(self, answers=None, hosts=None, objects=None):
        self.answers, self.hosts, self.objects = answers or {}, hosts or {}, objects or {}
        self.asked: list[tuple[str, ...]] = []

    def addresses(self, host):
        return self.hosts.get(host, ("93.184.215.14",))

    def get(self, host, address, path, max_bytes):
        self.asked.append((host, address, path))
        answer = self.answers[host + path]
        return Answer(answer.status, answer.location, answer.body[:max_bytes])

    def read_object(self, bucket, key, max_bytes):
        self.asked.append((bucket, key))
        return self.objects[bucket, key][:max_bytes]


@pytest.fixture
def allowed() -> Settings:
    return load_settings(
        state_hosts="states.example.org, Other.example.org,odd.example.org", state_buckets="open-a,open-b"
    )


def link_to(url: str) -> StateLink:
    link = interpret_paste("#!" + url)
    assert isinstance(link, StateLink)
    return link


def ok(body: bytes = b"{}") -> Answer:
    return Answer(200, "", body)


def to(location: str, status: int = 302) -> Answer:
    return Answer(status, location, b"")


def test_an_allowed_host_is_fetched_at_its_checked_address(allowed):
    transport = FakeTransport({"states.example.org/a/b.json": ok(b'{"layers": []}')})
    assert fetch_state_link(link_to("https://states.example.org/a/b.json"), allowed, transport=transport) == (
        b'{"layers": []}'
    )
    assert transport.asked == [("states.example.org", "93.184.215.14", "/a/b.json")]


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("https://evil.example.org/a.json", "TRACKMAPPER_STATE_HOSTS"),
        ("https://sub.states.example.org/a.json", "TRACKMAPPER_STATE_HOSTS"),
        ("https://example.org/a.json", "TRACKMAPPER_STATE_HOSTS"),
        ("s3://open-c/a.json", "TRACKMAPPER_STATE_BUCKETS"),
        ("s3://open/a.json", "TRACKMAPPER_STATE_BUCKETS"),
    ],
)
def test_what_is_not_allowed_is_never_asked(allowed, url, setting):
    transport = FakeTransport()
    with pytest.raises(StateError) as caught:
        fetch_state_link(link_to(url), allowed, transport=transport)
    assert setting in caught.value.cure
    assert transport.asked == []


def test_without_hosts_in_the_settings_nothing_is_fetched_by_https():
    with pytest.raises(StateError, match="not fetched from the host"):
        fetch_state_link(link_to("https://states.example.org/a"), load_settings(), transport=FakeTransport())


@pytest.mark.parametrize(
    "addresses",
    [
        (), ("127.0.0.1",), ("10.1.2.3",), ("172.16.0.1",), ("192.168.1.1",), ("169.254.169.254",), ("100.64.0.1",),
        ("0.0.0.0",), ("224.0.0.1",), ("255.255.255.255",), ("::1",), ("fe80::1",), ("fd00::1",), ("::ffff:10.0.0.1",),
        ("::ffff:7f00:1",), ("64:ff9b::a9fe:a9fe",), ("2002:7f00:1::",), ("::127.0.0.1",), ("fe80::1%eth0",),
        ("ff02::1",), ("93.184.215.14", "127.0.0.1"), ("not an address",),
    ],
)  # fmt: skip
def test_a_host_that_leads_inside_is_refused(allowed, addresses):
    transport = FakeTransport(hosts={"states.example.org": addresses})
    with pytest.raises(StateError, match="not on the public internet"):
        fetch_state_link(link_to("https://states.example.org/a"), allowed, transport=transport)
    assert transport.asked == []


def test_public_addresses_are_public():
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert is_public("::ffff:93.184.215.14")


def test_redirects_are_followed_and_checked_at_each_hop(allowed):
    transport = FakeTransport(
        {
            "states.example.org/a": to("/b", 301),
            "states.example.org/b": to("https://other.example.org/c/d", 307),
            "other.example.org/c/d": to("e", 308),
            "other.example.org/c/e": ok(b"found"),
        },
        {"other.example.org": ("1.1.1.1",)},
    )
    assert fetch_state_link(link_to("https://states.example.org/a"), allowed, transport=transport) == b"found"
    assert transport.asked[-1] == ("other.example.org", "1.1.1.1", "/c/e")


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example.org/a", "http://states.example.org/a", "https://127.0.0.1/a", "file:///etc/passwd",
        "//169.254.169.254/latest", "https://u@states.example.org/a", "https://[", "https://odd.example.org/a",
        "https://states.example.org:8443/a",
    ],
)  # fmt: skip
def test_a_redirect_to_a_forbidden_place_is_not_followed(allowed, location):
    transport = FakeTransport({"states.example.org/a": to(location)}, {"odd.example.org": ("10.0.0.1",)})
    with pytest.raises(StateError):
        fetch_state_link(link_to("https://states.example.org/a"), allowed, transport=transport)
    assert len(transport.asked) == 1


@pytest.mark.parametrize("location", ["/a", ""])
def test_redirects_end(allowed, location):
    transport = FakeTransport({"states.example.org/a": to(location)})
    with pytest.raises(StateError, match="more than 3 times"):
        fetch_state_link(link_to("https://states.example.org/a"), allowed, transport=transport)
    assert len(transport.asked) == 4


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 404, 500])
def test_other_answers_are_refused(allowed, status):
    transport = FakeTransport({"states.example.org/a": Answer(status, "", b"{}")})
    with pytest.raises(StateError, match=f"answered {status}"):
        fetch_state_link(link_to("https://states.example.org/a"), allowed, transport=transport)


def test_size_is_bounded_at_both_doors(allowed):
    transport = FakeTransport({"states.example.org/a": ok(b"x" * 50)}, objects={("open-a", "k"): b"x" * 50})
    for url in ("https://states.example.org/a", "s3://open-a/k"):
        assert len(fetch_state_link(link_to(url), allowed, transport=transport, limit_bytes=50)) == 50
        with pytest.raises(StateError, match="larger than"):
            fetch_state_link(link_to(url), allowed, transport=transport, limit_bytes=49)


# --- the network transport, against loopback ----------------------------------------------------


class NoTls:
    """Stands where TLS stands, and keeps the name that the certificate would be checked for."""

    def __init__(self):
        self.names: list[str] = []

    def wrap_socket(self, plain, server_hostname):
        self.names.append(server_hostname)
        return plain


@pytest.fixture
def one_answer() -> Iterator:
    """Serves raw bytes to one visitor on loopback; gives the port and what the visitor asked."""
    asked: list[bytes] = []
    threads = []

    def serve(raw: bytes) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(10)

        def answer():
            with closing(server), server.accept()[0] as visitor:
                visitor.settimeout(10)
                asked.append(visitor.recv(65536))
                visitor.sendall(raw)

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        return server.getsockname()[1]

    serve.asked = asked
    yield serve
    for thread in threads:
        thread.join(10)


def test_get_connects_to_the_address_in_the_name_of_the_host(one_answer):
    tls = NoTls()
    port = one_answer(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nbody")
    answer = NetworkTransport(port=port, tls=tls).get("states.example.org", "127.0.0.1", "/a.json", 100)
    assert answer == Answer(302, "/b", b"body")
    assert tls.names == ["states.example.org"]
    assert one_answer.asked[0].startswith(b"GET /a.json HTTP/1.1\r\nHost: states.example.org")


def test_get_reads_no_more_than_asked(one_answer):
    port = one_answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000)
    assert NetworkTransport(port=port, tls=NoTls()).get("h.example.org", "127.0.0.1", "/", 1000).body == b"x" * 1000


@pytest.mark.parametrize(
    "raw",
    [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"],
    ids=["none", "rubbish", "cut"],
)
def test_a_broken_answer_is_no_answer(one_answer, raw):
    with pytest.raises(UnavailableError) as caught:
        NetworkTransport(port=one_answer(raw), tls=NoTls()).get("h.example.org", "127.0.0.1", "/", 1000)
    assert caught.value.cure


def test_a_host_without_tls_is_refused(one_answer):
    with pytest.raises(UnavailableError):
        NetworkTransport(port=one_answer(b"HTTP/1.1 200 OK\r\n\r\n")).get("h.example.org", "127.0.0.1", "/", 10)


def test_names_are_resolved():
    assert "127.0.0.1" in NetworkTransport().addresses("localhost")
    with pytest.raises(UnavailableError):
        NetworkTransport().addresses("a" * 70 + ".example.org")


class FakeS3:
    def __init__(self, outcome):
        self.outcome = outcome

    def get_object(self, **_):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return {"Body": io.BytesIO(self.outcome)}


def s3_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")


def test_an_object_is_read_bounded():
    assert NetworkTransport(s3_client=FakeS3(b"abcdef")).read_object("b", "k", 4) == b"abcd"


@pytest.mark.parametrize(
    ("outcome", "error", "says"),
    [
        (s3_error("NoSuchKey"), StateError, "no such file"),
        (s3_error("NoSuchBucket"), StateError, "no such file"),
        (s3_error("AccessDenied"), StateError, "does not let"),
        (s3_error("SlowDown"), UnavailableError, "SlowDown"),
        (EndpointConnectionError(endpoint_url="https://s3"), UnavailableError, "did not answer"),
        (ConnectTimeoutError(endpoint_url="https://s3"), UnavailableError, "did not answer"),
    ],
)
def test_what_s3_refuses_is_said_in_words(outcome, error, says):
    with pytest.raises(error, match=says) as caught:
        NetworkTransport(s3_client=FakeS3(outcome)).read_object("b", "k", 4)
    assert caught.value.where == "s3://b/k"
    assert caught.value.cure


def test_a_public_object_is_read_unsigned_without_credentials(one_answer, monkeypatch, tmp_path):
    port = one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabcdef")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert NetworkTransport().read_object("open-a", "a b.json", 4) == b"abcd"
    request = one_answer.asked[0].decode()
    assert request.startswith("GET /open-a/a%20b.json HTTP/1.1\r\n")
    assert "authorization" not in request.lower()


@pytest.mark.parametrize("sends", [b"x" * 10, b""], ids=["slowly", "never"])
def test_a_slow_host_is_given_up(one_answer, monkeypatch, sends):
    monkeypatch.setattr(state_transport, "TOTAL_S", -1.0)
    port = one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + sends)
    with pytest.raises(UnavailableError):
        NetworkTransport(port=port, tls=NoTls()).get("h.example.org", "127.0.0.1", "/", 1000)
