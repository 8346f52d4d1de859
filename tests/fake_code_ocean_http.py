"""The HTTP of the played Code Ocean: lets requests in, spoils answers, notes who was told what."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests import fake_code_ocean_control
from tests.fake_code_ocean_api import Answer, Call, route
from tests.fake_code_ocean_faults import BROKEN_TLS, HTML, MESSAGES, Fault, spoil_body
from tests.fake_code_ocean_state import Effect, Refusal

if TYPE_CHECKING:
    from tests.fake_code_ocean import FakeCodeOcean

API, DOWNLOAD, CONTROL = "/api/v1/", "/_download/", "/_control/"
JSON, PAGE = "application/json", "text/html; charset=utf-8"
Headers = Mapping[str, str]
NONE: Headers = {}


@dataclass(frozen=True)
class Seen:
    """One request, for budgets. `status` 0: no answer was given."""

    at: float
    method: str
    endpoint: str
    status: int
    fault: str = ""


class Server(ThreadingHTTPServer):
    """Listens on loopback for one fake."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], fake: FakeCodeOcean) -> None:
        self.fake = fake
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up the host's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.fake.tls is not None:  # the handshake is made by the connection's own thread
            connection = self.fake.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if self.fake.faults.refuses():
            reset(request)
            return False
        with self._guard:
            self._open.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is gone already

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away in the middle; what goes wrong in the world itself is kept there."""


def reset(connection: socket.socket) -> None:
    """Close a connection with a reset, at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(connection.detach())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the requests are counted."""

    def _serve(self) -> None:
        fake, method = self.server.fake, self.command
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if address.path.startswith(CONTROL):
            answer = fake_code_ocean_control.serve(fake, method, address.path.removeprefix(CONTROL), query, body)
            self._send(answer.status, _json(answer.value))
        elif address.path.startswith(DOWNLOAD):
            self._download(query)
        elif address.path.startswith(API):
            self._api(address.path.removeprefix(API).rstrip("/"), query, body)
        else:
            self._send(404, HTML, PAGE)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    # --- the endpoints ---

    def _api(self, path: str, query: dict[str, str], body: bytes) -> None:
        fake, method = self.server.fake, self.command
        found = route(method, path)
        if found is None:
            self._answer(path, None, 404, _json({"message": f"no endpoint {method} {path}"}))
            return
        endpoint, ids, handler, scope = found
        wait_s, fault = fake.faults.take(method, endpoint)
        fake.closing.wait(wait_s)
        refusal = fake.refusal(self.headers, scope)
        answer, effects = Answer(200, {}), []
        try:
            if refusal is not None:
                raise refusal
            call = Call(ids, query, _parsed(body))
            if fault is None or fault.effect == "made":
                answer, effects = fake.perform(handler, call)
            elif fault.effect == "late":
                fake.perform_late(handler, call, fault.late_s)
        except Refusal as no:
            answer = Answer(no.status, {"message": no.message})
        # Noted before the bytes go: who has them may look at once.
        _note(effects, answered=fault is None or fault.answer == "drip")
        try:
            self._answer(endpoint, fault, answer.status, b"" if answer.value is None else _json(answer.value))
        except OSError:
            _note(effects, answered=False)
            raise

    def _answer(
        self, endpoint: str, fault: Fault | None, status: int, body: bytes, kind: str = JSON, more: Headers = NONE
    ) -> None:
        """Send an answer, or what a fault makes of it."""
        fake, spoiled = self.server.fake, fault.answer if fault else "normal"
        if fault and spoiled == "status":
            status, more = fault.status, {"Retry-After": fault.retry_after} if fault.retry_after else NONE
            body = HTML if fault.html else _json({"message": MESSAGES.get(status, "error")})
            kind = PAGE if fault.html else JSON
        seen = 0 if spoiled in ("reset", "cut") else status
        fake.requests.append(Seen(fake.world.clock(), self.command, endpoint, seen, fault.name if fault else ""))
        if spoiled == "reset":
            self.close_connection = True
            reset(self.connection)
        elif spoiled == "cut":
            self.close_connection = True
            self._head(status, len(body) + 1, kind, more)
            self.wfile.write(body[: len(body) // 2])
        elif spoiled in BROKEN_TLS:
            self.close_connection = True
            self._break_tls(spoiled, status, body)
        elif fault and spoiled == "drip":
            self._head(status, len(body), kind, more)
            pieces = max(1, min(20, len(body)))
            for i in range(pieces):
                fake.closing.wait(fault.seconds / pieces)
                self.wfile.write(body[i * len(body) // pieces : (i + 1) * len(body) // pieces])
        else:
            self._send(
                status, spoil_body(spoiled, body, is_json=kind == JSON), PAGE if spoiled == "html" else kind, more
            )

    def _break_tls(self, how: str, status: int, body: bytes) -> None:
        """Spoil the secure connection itself, beneath what it carries."""
        beneath = socket.socket(fileno=os.dup(self.connection.fileno()))
        with beneath:
            if how == "tls_record":
                self._head(status, len(body), JSON, NONE)
                self.wfile.write(body[: len(body) // 2])
            beneath.sendall(BROKEN_TLS[how])
            beneath.shutdown(socket.SHUT_WR)

    def _download(self, query: dict[str, str]) -> None:
        """A file by its signed address, whole or a range of it, without the token."""
        fake = self.server.fake
        wait_s, fault = fake.faults.take(self.command, "_download")
        fake.closing.wait(wait_s)
        file = fake.api.downloads.get(query.get("signature", ""))
        if file is None or not file.is_file():
            status, body, more = 403, b"<Error><Code>AccessDenied</Code></Error>", NONE
        else:
            status, body, more = _range(file.read_bytes(), self.headers.get("Range", ""))
        self._answer("_download", fault, status, body, "application/octet-stream", more)

    # --- bytes ---

    def _head(self, status: int, length: int, kind: str, more: Headers) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str = JSON, more: Headers = NONE) -> None:
        self._head(status, len(body), kind, more)
        self.wfile.write(body)


def _note(effects: Sequence[Effect], *, answered: bool) -> None:
    for effect in effects:
        effect.answered = answered


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _parsed(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refusal(400, "invalid request body") from error


def _range(data: bytes, asked: str) -> tuple[int, bytes, Headers]:
    """The part that a Range header asks for."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if not match or not (match[1] or match[2]):
        return 200, data, NONE
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) if match[2] else len(data), len(data) - 1)
    else:
        start, end = max(0, len(data) - int(match[2])), len(data) - 1
    if start > end:
        return 416, b"", {"Content-Range": f"bytes */{len(data)}"}
    return 206, data[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
