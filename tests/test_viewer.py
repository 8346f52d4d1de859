"""The viewer inside the page: what is passed on to the package's port, what is not, and that it is freed."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import builders as b
import pytest
from bokeh.server.auth_provider import NullAuth
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from core.errors import InputError
from core.neuroglancer import read_state
from dashboard.viewer_routes import ViewerProxy
from dashboard.viewer_server import Viewers, own_layers
from dashboard.viewer_view import viewer_for

DEMO = "https://neuroglancer-demo.appspot.com"


def document() -> dict:
    return {"dimensions": b.space(), "layers": [b.image_json(), b.layer_json("a"), b.layer_json("b", 1)]}


@pytest.fixture
def viewers():
    made = Viewers(most=2)
    yield made
    for token in list(made._open):
        made.close(token)


def ask(viewers: Viewers, *requests: tuple[str, str, bytes | None]) -> list[tuple[int, bytes, dict]]:
    """(method, path, body) of each request -> status, body, headers, through the proxy on a port of its own."""

    def one(url: str, method: str, body: bytes | None) -> tuple[int, bytes, dict]:
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, b"", dict(error.headers)

    async def run() -> list[tuple[int, bytes, dict]]:
        application = Application([(r"/viewer/(.*)", ViewerProxy, {"viewers": viewers})])
        application.auth_provider = NullAuth()
        (socket,) = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(application)
        server.add_sockets([socket])
        url = f"http://127.0.0.1:{socket.getsockname()[1]}/"
        found = [await asyncio.to_thread(one, url + path, method, body) for method, path, body in requests]
        server.stop()
        return found

    return asyncio.run(run())


def test_the_client_and_its_files_come_through_and_forbid_other_hosts(viewers):
    token = viewers.open(document())
    (page,) = ask(viewers, ("GET", f"viewer/v/{token}/", None))
    assert page[0] == 200
    assert page[2]["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page[2]["Content-Security-Policy"]
    script = page[1].decode().split('src="')[-1].split('"')[0]
    (code,) = ask(viewers, ("GET", f"viewer/v/{token}/{script}", None))
    assert code[0] == 200
    assert len(code[1]) > 100_000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "viewer/v/{other}/"),
        ("GET", "viewer/v/../v/{token}/"),
        ("GET", "viewer/v/{token}/../../../etc/passwd"),
        ("GET", "viewer/v/{token}/main.py"),
        ("GET", "viewer/http://127.0.0.1:1/v/{token}/"),
        ("GET", "viewer//127.0.0.1:1/v/{token}/"),
        ("GET", "viewer/v/{token}/?x=%0d%0aHost:<evil>"),
        ("GET", "viewer/"),
        ("GET", "viewer/state/{token}"),
        ("POST", "viewer/credentials/{token}"),
        ("POST", "viewer/action/{token}"),
        ("POST", "viewer/state/{other}"),
        ("POST", "viewer/volume_response/{token}/1/info"),
    ],
)
def test_all_else_is_refused(viewers, method, path):
    token = viewers.open(document())
    body = b"{}" if method == "POST" else None
    ((status, _, _),) = ask(viewers, (method, path.format(token=token, other="0" * 40), body))
    assert status == 404


def test_a_person_moves_the_viewer_and_then_the_page_does(viewers):
    state = read_state(json.dumps(document()))
    token = viewers.open(own_layers(document())[0])
    generation = viewers._open[token].shared_state.state_generation
    shown = {**viewers.state(token), "crossSectionScale": 7}
    message = json.dumps({"pg": generation, "g": "1", "s": shown, "c": "me"}).encode()
    ((status, _, _),) = ask(viewers, ("POST", f"viewer/state/{token}", message))
    assert status == 200
    viewers.look_at(token, state.layers[1])
    after = viewers.state(token)
    assert after["crossSectionScale"] == 7
    assert after["position"] in [list(point) for point in b.line_points(1)]
    assert after["selectedLayer"] == {"layer": "b", "visible": False}


def test_viewers_are_bounded_and_a_closed_one_is_gone(viewers):
    first, second = viewers.open(document()), viewers.open(document())
    with pytest.raises(InputError, match="2 pages"):
        viewers.open(document())
    viewers.close(first)
    viewers.close(first)
    assert (len(viewers), viewers.port_of(first), viewers.state(first)) == (1, None, None)
    gone, there = ask(viewers, ("GET", f"viewer/v/{first}/", None), ("GET", f"viewer/v/{second}/", None))
    assert (gone[0], there[0]) == (404, 200)
    assert viewers.open(document()) not in (first, second)


def test_only_layers_that_lie_in_the_state_are_shown():
    kept, left_out = own_layers(document())
    assert [layer["name"] for layer in kept["layers"]] == ["a", "b"]
    assert left_out == [b.CHANNEL]


@pytest.mark.parametrize(
    ("named", "chosen"),
    [("", DEMO), (DEMO + "/v/1/", DEMO + "/v/1/"), ("https://lab.example.org/ng/", "https://lab.example.org/ng/"),
     ("http://lab.example.org/", DEMO), ("https://evil.example.org/", DEMO)],
)  # fmt: skip
def test_a_state_opens_where_its_link_pointed_when_that_is_known(named, chosen):
    assert viewer_for(named, (DEMO, "https://lab.example.org")) == chosen
    assert viewer_for(named, ()) == ""
