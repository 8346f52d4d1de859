"""What pages need of Neuroglancer's viewers, through our own port: `panel serve --plugins dashboard.viewer_routes`.

No open proxy: the other end is always the package's own port on loopback, a request names an open viewer by its
secret token, and of the package's addresses only those that a page needs are passed on. Where people log in, they
must have done so. The answers forbid the browser to ask any other host.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from typing import ClassVar

from bokeh.server.views.auth_request_handler import AuthRequestHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from core.strict_json import LIMIT_BYTES
from dashboard.viewer_server import VIEWERS, Viewers

PREFIX = "viewer"
MOST_AT_ONCE = 24
"""Requests of one viewer that are under way at once, its event stream among them."""
CHUNK_BYTES = 64 * 1024
PATIENCE_S = 30
_TOKEN = r"(?P<token>[0-9a-f]{20,128})"
_GET = tuple(
    re.compile(pattern)
    for pattern in (
        rf"v/{_TOKEN}/(?:[a-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\.(?:js|css|wasm|html))?",
        rf"events/{_TOKEN}",
        rf"neuroglancer/info/{_TOKEN}\.[0-9a-f]{{1,128}}",
        rf"neuroglancer/[a-z]{{1,20}}/{_TOKEN}\.[0-9a-f]{{1,128}}/[0-9,_]{{1,80}}/[0-9,]{{1,80}}/[0-9,]{{1,80}}",
    )
)
_POST = (re.compile(rf"state/{_TOKEN}"),)
_QUERY = re.compile(r"[A-Za-z0-9_=&%./-]{0,1000}")
_HEADER = re.compile(rb"content-type: *([a-z0-9.+-]+/[a-z0-9.+-]+(?:; *charset=[a-z0-9-]+)?)", re.IGNORECASE)
_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; form-action 'none'; frame-ancestors 'self'"
)


class ViewerProxy(AuthRequestHandler):
    """Passes one request on to the package's port, and its answer back piece by piece."""

    _under_way: ClassVar[Counter[str]] = Counter()

    def initialize(self, viewers: Viewers = VIEWERS) -> None:
        """The viewers that may be asked for."""
        self._viewers = viewers
        self._upstream: asyncio.StreamWriter | None = None

    def set_default_headers(self) -> None:
        """Nothing of a viewer is framed or fetched elsewhere, and its token goes into no referrer."""
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    def check_xsrf_cookie(self) -> None:
        """The client knows no such cookie; the token in the address is what another site cannot know."""

    @authenticated
    async def get(self, path: str) -> None:
        """The client's files, the events of its state, pieces of volumes."""
        await self._pass_on("GET", path, _GET)

    @authenticated
    async def post(self, path: str) -> None:
        """The state as the person has moved it."""
        if len(self.request.body) > LIMIT_BYTES:
            raise HTTPError(413)
        await self._pass_on("POST", path, _POST)

    async def _pass_on(self, method: str, path: str, known: tuple[re.Pattern[str], ...]) -> None:
        found = next((match for pattern in known if (match := pattern.fullmatch(path))), None)
        port = self._viewers.port_of(found["token"]) if found else None
        if found is None or port is None or not _QUERY.fullmatch(self.request.query):
            raise HTTPError(404)
        token = found["token"]
        if self._under_way[token] >= MOST_AT_ONCE:
            raise HTTPError(429)
        self._under_way[token] += 1
        try:
            await self._exchange(method, path, port)
        finally:
            self._under_way[token] -= 1
            if not self._under_way[token]:
                del self._under_way[token]
            if self._upstream is not None:
                self._upstream.close()

    async def _exchange(self, method: str, path: str, port: int) -> None:
        target = f"/{path}?{self.request.query}" if self.request.query else f"/{path}"
        body = self.request.body
        # HTTP/1.0: the answer comes in one piece and ends with the connection, whatever its length.
        head = f"{method} {target} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, self._upstream = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK_BYTES)
                self._upstream.write(head.encode("ascii") + body)
                await self._upstream.drain()
                answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise HTTPError(502) from None
        first, *lines = answer.split(b"\r\n")
        self.set_status(int(first.split()[1]))
        for line in lines:
            if kind := _HEADER.fullmatch(line):
                self.set_header("Content-Type", kind[1])
        # The page that went away ends it; what it has not taken yet is not read on.
        with contextlib.suppress(StreamClosedError):
            await self.flush()
            while piece := await reader.read(CHUNK_BYTES):
                self.write(piece)
                await self.flush()

    def on_connection_close(self) -> None:
        """The page went away: an event stream would else be held open for ever."""
        super().on_connection_close()
        if self._upstream is not None:
            self._upstream.close()


ROUTES = [(rf"/{PREFIX}/(.*)", ViewerProxy)]
