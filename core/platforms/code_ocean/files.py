"""S3 through boto3: folders listed, small files read and written, every answer sorted into the error tree.

Signed with whatever boto3 finds (environment, profile, role). Public buckets are read without a signature when there is
none, or when ours is refused.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from core.errors import (
    AccessError,
    NotFoundError,
    PlatformError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from core.platforms.base import Entry
from core.settings import Settings

CONNECTIONS = 64
"""Requests at the same time, of all threads; each has a connection of the pool."""
CONNECT_S, READ_S = 5.0, 30.0
_TRIES = 3
_BODY_S = 120.0
"""For a whole file: the time-out of a read is only between two of its bytes."""
_CHUNK = 256 * 1024
MAX_ENTRIES = 100_000
"""Of one folder. No folder that is listed here has a hundredth of it."""
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "NotFound", "404"})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"})
_STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnauthorizedAccess",
    }
)
_BUSY = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "429"})
_GIVE_KEYS = "Give this machine AWS credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE or a role), and restart."


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's S3 clients, safe in several threads."""

    signed: Any
    """None when boto3 finds no credentials."""
    unsigned: Any


class S3Files:
    """Lists, reads and writes objects of any bucket.

    Args:
        make: Makes the clients, at the first request: boto3 takes a noticeable part of a second.
    """

    def __init__(self, make: Callable[[], Clients] | None = None) -> None:
        self.requests = 0
        """How many calls were made."""
        self._make = make or make_clients
        self._clients: Clients | None = None
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._open: set[str] = set()
        """Buckets that refuse our signature and can be read without one."""

    @classmethod
    def of(cls, settings: Settings) -> S3Files:
        """S3 as boto3's own variables and files say; `settings` name only buckets. Opens no connection yet."""
        del settings
        return cls()

    # --- reading --------------------------------------------------------------------------------

    def list_folder(self, bucket: str, prefix: str) -> tuple[Entry, ...]:
        """Files and folders directly under a prefix (a folder, with or without its last slash), by name.

        Raises:
            NotFoundError: there is nothing under it, or no such bucket.
            AccessError: we may not list it.
            UnavailableError: S3 cannot be reached or is busy.
            PlatformError: it has more than `MAX_ENTRIES` entries.
        """
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        where = f"s3://{bucket}/{folder}"
        entries: list[Entry] = []
        there = False
        for page in self._pages(bucket, folder, where, Delimiter="/"):
            files, folders = page.get("Contents", ()), page.get("CommonPrefixes", ())
            there = there or bool(files or folders)
            for one in folders:
                if name := one["Prefix"][len(folder) :].rstrip("/"):
                    entries.append(Entry(name, is_folder=True))
            for one in files:
                if name := one["Key"][len(folder) :]:
                    entries.append(Entry(name, is_folder=False, size=int(one["Size"])))
        if not there:
            raise NotFoundError("S3 has no such folder", where=where, cure="Check the asset's contents.")
        return tuple(sorted(entries, key=lambda entry: entry.name))

    def list_names(self, bucket: str, prefix: str) -> tuple[str, ...]:
        """Names of the folders that begin with a text: `ecephys_1_` gives `ecephys_1_2024-...`, without its parent.

        Raises as `list_folder`, but finding none is no error.
        """
        where = f"s3://{bucket}/{prefix}*"
        found = [
            one["Prefix"].rstrip("/").rpartition("/")[2]
            for page in self._pages(bucket, prefix, where, Delimiter="/")
            for one in page.get("CommonPrefixes", ())
        ]
        return tuple(sorted(filter(None, found)))

    def list_tree(self, bucket: str, prefix: str) -> tuple[Entry, ...]:
        """Every file in a folder and the folders below it, named by its path from there.

        Raises as `list_folder`, but finding none is no error.
        """
        folder = f"{prefix.strip('/')}/"
        found = [
            Entry(name, is_folder=False, size=int(one["Size"]))
            for page in self._pages(bucket, folder, f"s3://{bucket}/{folder}")
            for one in page.get("Contents", ())
            if (name := one["Key"][len(folder) :])
        ]
        return tuple(sorted(found, key=lambda entry: entry.name))

    def read(self, bucket: str, key: str, limit: int) -> bytes:
        """A file's bytes.

        Raises:
            NotFoundError: there is no such file.
            AccessError: we may not read it.
            UnavailableError: S3 cannot be reached or is busy.
            PlatformError: it has more than `limit` bytes; none of them is read.
        """
        where = f"s3://{bucket}/{key}"
        return self._reading(bucket, where, lambda client: _read(client, bucket, key, limit, where))

    def _pages(self, bucket: str, prefix: str, where: str, **more: str) -> list[Mapping[str, Any]]:
        pages: list[Mapping[str, Any]] = []
        asked = {"Bucket": bucket, "Prefix": prefix, **more}
        seen = 0
        while True:
            page = self._reading(bucket, where, lambda client: client.list_objects_v2(**asked))
            pages.append(page)
            seen += len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ()))
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not token:
                return pages
            if seen >= MAX_ENTRIES:
                told = f"it has more than {MAX_ENTRIES} entries"
                raise PlatformError(told, where=where, cure="It is larger than such a folder can be.")
            asked["ContinuationToken"] = token

    def _reading[T](self, bucket: str, where: str, call: Callable[[Any], T]) -> T:
        clients = self._made(where)
        if clients.signed is None or bucket in self._open:
            return self._asked(call, clients.unsigned, where)
        try:
            return self._asked(call, clients.signed, where)
        except AccessError as refused:
            try:
                answer = self._asked(call, clients.unsigned, where)
            except PlatformError:
                raise refused from None
            self._open.add(bucket)
            return answer

    # --- writing --------------------------------------------------------------------------------

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write a file whole, over one of the same key. Repeating it does no harm.

        Raises:
            RefusedError: there is no such bucket, or we may not write to it.
            UnavailableError: S3 cannot be reached, is busy, or does not know us. It may be there; write it again.
        """
        where = f"s3://{bucket}/{key}"
        client = self._made(where).signed
        if client is None:
            raise AccessError(
                "this machine has no AWS credentials, so nothing can be written to S3", where=where, cure=_GIVE_KEYS
            )
        try:
            self._asked(lambda signed: signed.put_object(Bucket=bucket, Key=key, Body=data), client, where)
        except NotFoundError as error:
            cure = "Set TRACKMAPPER_SCRATCH_BUCKET to a bucket that is there."
            raise RefusedError(error.message, where=where, cure=cure) from None
        except _DeniedError as error:
            raise RefusedError(
                error.message, where=where, cure="Have this machine's AWS role allowed to write there, or set another."
            ) from None

    # --- one request ----------------------------------------------------------------------------

    def _made(self, where: str) -> Clients:
        with self._lock:
            if self._clients is None:
                try:
                    self._clients = self._make()
                except (BotoCoreError, ValueError) as error:
                    # Only the kind: such words may quote a file of credentials.
                    told = f"S3 cannot be used: boto3's settings are wrong ({type(error).__name__})"
                    raise AccessError(told, where=where, cure="Check the AWS_ variables and ~/.aws.") from None
            return self._clients

    def _asked[T](self, call: Callable[[Any], T], client: Any, where: str) -> T:  # noqa: ANN401 - boto3 has no types
        """A call's answer, its errors sorted."""
        with self._lock:
            self.requests += 1
        with self._free:
            try:
                return call(client)
            except ClientError as error:
                raise _sorted_error(error.response, where) from None
            except ParamValidationError:
                raise NotFoundError("S3 can have no such name", where=where, cure="Check the name.") from None
            except (*_BROKEN, ResponseParserError) as error:
                # Only the kind: the words of such an error may hold an address with a signature.
                told = f"S3 does not answer ({type(error).__name__})"
                raise UnavailableError(told, where=where, cure="Check the network and AWS_ENDPOINT_URL.") from None
            except BotoCoreError as error:
                told = f"S3 cannot be asked ({type(error).__name__})"
                raise AccessError(told, where=where, cure=_GIVE_KEYS) from None


_BROKEN = (BotoConnectionError, HTTPClientError, HTTPError, OSError)


def make_clients() -> Clients:
    """boto3's clients as its own variables and files say, made to cost little for each request."""
    if logging.getLogger("botocore").level == logging.NOTSET:
        # At DEBUG it writes the headers of every request, with the session's token.
        logging.getLogger("botocore").setLevel(logging.INFO)
    core = botocore.session.get_session()
    # Nobody reads the times of a listing here, and reading them is a third of its cost.
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    session = boto3.session.Session(botocore_session=core)
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    unsigned = config.merge(Config(signature_version=UNSIGNED))
    client = session.client("s3", config=unsigned)
    if not (urlsplit(client.meta.endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
        # Another server than Amazon's has no name for each bucket.
        path_style = Config(s3={"addressing_style": "path"})
        config, unsigned = config.merge(path_style), unsigned.merge(path_style)
        client = session.client("s3", config=unsigned)
    signed = None if session.get_credentials() is None else session.client("s3", config=config)
    return Clients(signed, client)


def _read(client: Any, bucket: str, key: str, limit: int, where: str) -> bytes:  # noqa: ANN401 - boto3 has no types
    for tried in range(1, _TRIES + 1):
        body = client.get_object(Bucket=bucket, Key=key)
        try:
            if body["ContentLength"] > limit:
                told = f"it has {body['ContentLength']} bytes, more than {limit}"
                raise PlatformError(told, where=where, cure="It is larger than such a file can be.")
            return _whole(body["Body"], where)
        except (*_BROKEN, IncompleteReadError):
            # boto3 repeats requests, but not a body that is torn in the middle.
            if tried == _TRIES:
                raise
        finally:
            body["Body"].close()
    raise AssertionError("unreachable")


def _whole(body: Any, where: str) -> bytes:  # noqa: ANN401 - boto3 has no types
    began_s, parts = time.monotonic(), []
    while part := body.read(_CHUNK):
        parts.append(part)
        if time.monotonic() - began_s > _BODY_S:
            raise UnavailableError(f"it did not come whole within {_BODY_S:g} s", where=where, cure="Try again later.")
    return b"".join(parts)


class _DeniedError(AccessError):
    """We are known, and may not do this; what credentials cannot cure."""


def _sorted_error(answer: Mapping[str, Any], where: str) -> PlatformError:
    """The error that S3's answer stands for."""
    told = answer.get("Error", {})
    code = str(told.get("Code", "")) or "nothing"
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _GONE:
        what = "bucket" if code == "NoSuchBucket" else "file"
        return NotFoundError(f"S3 has no such {what}", where=where, cure="Check the asset's contents.")
    if code in _STALE:
        return AccessError(f"S3 does not accept our AWS credentials ({code})", where=where, cure=_GIVE_KEYS)
    if code in _DENIED:
        return _DeniedError(
            f"S3 does not let us do this ({code})", where=where, cure="Have this machine's AWS role allowed to read it."
        )
    if code in _BUSY or status in (429, 503):
        return ThrottledError(f"S3 asks for a pause ({code})", where=where, cure="Try again in a minute.")
    if status >= 500:
        return UnavailableError(f"S3 is broken (HTTP {status}, {code})", where=where, cure="Try again later.")
    return RefusedError(f"S3 refuses it ({code})", where=where, cure="Check the bucket's name and region.")
