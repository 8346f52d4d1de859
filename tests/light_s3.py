"""A light S3 server: listings, reads and writes out of a dictionary, with a delay, refusals and faults.

Moto knows more and takes eight milliseconds for each request; this takes a tenth of one, so that a gathering of
hundreds of requests can be timed. It checks signatures with its own arithmetic, which moto does not.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from core.platforms.code_ocean.s3_clients import Clients, make_clients

KEY_ID, SECRET = "AKIDTEST", "a secret that is never shown"
_SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_REASONS = {200: "OK", 301: "Moved", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Error", 503: "Busy"}


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw_path: str
    raw_query: str

    @property
    def bucket(self) -> str:
        return self.path.lstrip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return self.path.lstrip("/").partition("/")[2]

    @property
    def signed(self) -> bool:
        return "authorization" in self.headers


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    torn: bool = False
    """Break off in the middle of the body."""


Fault = Callable[[Request], Answer | None]


class LightS3:
    """The server, in a thread of this process.

    Args:
        objects: Bucket -> key -> bytes.
        delay_s: Before each answer.
        page: Entries of one page of a listing.
    """

    def __init__(self, objects: dict[str, dict[str, bytes]], *, delay_s: float = 0.0, page: int = 1000) -> None:
        self.reset(objects, delay_s=delay_s, page=page)
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def reset(self, objects: dict[str, dict[str, bytes]], *, delay_s: float = 0.0, page: int = 1000) -> None:
        """Begin anew, at the same address."""
        self.objects = objects
        self.delay_s, self.page = delay_s, page
        self.private: set[str] = set()
        """Buckets that nobody may read."""
        self.unsigned_only: set[str] = set()
        """Buckets that refuse whoever signs: those of others, to a role that may read its own alone."""
        self.regions: dict[str, str] = {}
        """Where buckets are, if not in us-east-1."""
        self.fault: Fault = lambda _: None
        """Asked first: an answer to give instead."""
        self.hold: Callable[[], Awaitable[object]] | None = None
        """Waited for before each answer."""
        self.log: list[Request] = []
        self.connections = 0
        self.most_at_once = 0

    def __enter__(self) -> LightS3:
        self._thread.start()
        served = asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
        self._server = asyncio.run_coroutine_threadsafe(served, self._loop).result()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def environment(self, *, keys: bool = True) -> dict[str, str]:
        """What boto3 needs to reach it."""
        told = {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere"}
        told["AWS_SHARED_CREDENTIALS_FILE"] = "/nowhere"
        return told | ({"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET} if keys else {})

    # --- one connection -------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request = _request(head)
                if request.headers.get("expect") == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(request.headers.get("content-length", "0")))
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if self.hold is not None:
                    await self.hold()
                answer = self._answer(request, body)
                self._at_once -= 1
                reason = _REASONS.get(answer.status, "Status")
                lines = [f"HTTP/1.1 {answer.status} {reason}", f"Content-Length: {len(answer.body)}"]
                lines += [f"{name}: {value}" for name, value in answer.headers.items()]
                sent = answer.body[: len(answer.body) // 2] if answer.torn else answer.body
                writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if request.method == "HEAD" else sent))
                if answer.torn:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, request: Request, body: bytes) -> Answer:
        self.log.append(request)
        told = self.fault(request)
        if told is not None:
            return told
        bucket = self.objects.get(request.bucket)
        if request.signed and (why := _refused(request, self.regions.get(request.bucket, "us-east-1"))):
            status, code = why
            return _error(status, code, {"x-amz-bucket-region": self.regions.get(request.bucket, "us-east-1")})
        if bucket is None:
            return _error(404, "NoSuchBucket")
        if request.bucket in self.private or (request.signed and request.bucket in self.unsigned_only):
            return _error(403, "AccessDenied")
        if request.method == "PUT":
            bucket[request.key] = body
            return Answer(headers={"ETag": '"x"'})
        if not request.key:
            return Answer(body=self._listing(bucket, request).encode(), headers={"Content-Type": "application/xml"})
        data = bucket.get(request.key)
        return _error(404, "NoSuchKey") if data is None else Answer(body=data, headers={"ETag": '"x"'})

    def _listing(self, bucket: dict[str, bytes], request: Request) -> str:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        found: dict[str, int | None] = {}
        for key in sorted(bucket):
            if key.startswith(prefix):
                cut = key.find(delimiter, len(prefix)) if delimiter else -1
                found.setdefault(key[: cut + 1] if cut >= 0 else key, None if cut >= 0 else len(bucket[key]))
        after = unquote(request.query.get("continuation-token", ""))
        rest = [(name, size) for name, size in found.items() if name > after]
        shown = rest[: self.page]
        parts = list(_entries(shown, encoded=request.query.get("encoding-type") == "url"))
        if len(rest) > len(shown):
            parts.append(f"<NextContinuationToken>{escape(quote(shown[-1][0]))}</NextContinuationToken>")
        more = str(len(rest) > len(shown)).lower()
        parts.append(f"<IsTruncated>{more}</IsTruncated><KeyCount>{len(shown)}</KeyCount>")
        return f'<?xml version="1.0"?><ListBucketResult xmlns="{_SPACE}">{"".join(parts)}</ListBucketResult>'


def _entries(shown: Iterable[tuple[str, int | None]], *, encoded: bool) -> Iterable[str]:
    for name, size in shown:
        told = quote(name) if encoded else escape(name)
        if size is None:
            yield f"<CommonPrefixes><Prefix>{told}</Prefix></CommonPrefixes>"
        else:
            when = "<LastModified>2025-01-01T00:00:00.000Z</LastModified>"
            yield f"<Contents><Key>{told}</Key>{when}<Size>{size}</Size></Contents>"


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told by a test</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **(headers or {})})


def error(status: int, code: str, **headers: str) -> Answer:
    """An answer for `LightS3.fault`."""
    return _error(status, code, headers)


@contextmanager
def served_with_clients() -> Iterator[tuple[LightS3, Clients]]:
    """A server with boto3's clients for it, which take a quarter of a second: for all tests of a module."""
    with LightS3({}) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server, make_clients()


def _request(head: bytes) -> Request:
    first, *rest = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    address = urlsplit(target)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    return Request(method, unquote(address.path), query, headers, address.path, address.query)


# --- signatures -----------------------------------------------------------------------------------


def _refused(request: Request, region: str) -> tuple[int, str] | None:
    """Why a signed request is refused, by AWS's published arithmetic of version 4."""
    told = dict(part.strip().split("=", 1) for part in request.headers["authorization"].partition(" ")[2].split(","))
    key_id, day, told_region, service, _ = told["Credential"].split("/")
    if key_id != KEY_ID:
        return 403, "InvalidAccessKeyId"
    if told_region != region:
        return 400, "AuthorizationHeaderMalformed"
    names = told["SignedHeaders"].split(";")
    query = "&".join(sorted(filter(None, request.raw_query.split("&"))))
    lines = [request.method, request.raw_path, query, *(f"{name}:{request.headers[name]}" for name in names)]
    canonical = "\n".join([*lines, "", told["SignedHeaders"], request.headers["x-amz-content-sha256"]])
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest])
    key = f"AWS4{SECRET}".encode()
    for part in itertools.chain(scope.split("/"), [text]):
        key = hmac.digest(key, part.encode(), "sha256")
    return None if key.hex() == told["Signature"] else (403, "SignatureDoesNotMatch")
