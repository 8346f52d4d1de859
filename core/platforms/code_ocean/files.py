"""S3 through boto3: folders listed, small files read and written, every answer sorted into the error tree.

Signed with whatever boto3 finds (environment, profile, role). Public buckets are read without a signature when there is
none, or when ours is refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

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
from core.platforms.code_ocean.s3_clients import CONNECTIONS, TRIES, Clients, make_clients
from core.platforms.code_ocean.s3_reads import Answer, Page, QuickReads

_BODY_S = 120.0
"""For a whole file: the time-out of a read is only between two of its bytes."""
__all__ = ["Clients", "S3Files", "make_clients"]

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
        for page in self._pages(bucket, folder, "/", where):
            there = there or bool(page.files or page.folders)
            names = (prefix[len(folder) :].rstrip("/") for prefix in page.folders)
            entries += [Entry(name, is_folder=True) for name in names if name]
            entries += [Entry(key[len(folder) :], False, size) for key, size in page.files if key != folder]
        if not there:
            raise NotFoundError("S3 has no such folder", where=where, cure="Check the asset's contents.")
        return tuple(sorted(entries, key=lambda entry: entry.name))

    def list_names(self, bucket: str, prefix: str) -> tuple[str, ...]:
        """Names of the folders that begin with a text: `ecephys_1_` gives `ecephys_1_2024-...`, without its parent.

        Raises as `list_folder`, but finding none is no error.
        """
        where = f"s3://{bucket}/{prefix}*"
        found = [
            folder.rstrip("/").rpartition("/")[2]
            for page in self._pages(bucket, prefix, "/", where)
            for folder in page.folders
        ]
        return tuple(sorted(filter(None, found)))

    def list_tree(self, bucket: str, prefix: str) -> tuple[Entry, ...]:
        """Every file in a folder and the folders below it, named by its path from there.

        Raises as `list_folder`, but finding none is no error.
        """
        folder = f"{prefix.strip('/')}/"
        found = [
            Entry(key[len(folder) :], False, size)
            for page in self._pages(bucket, folder, "", f"s3://{bucket}/{folder}")
            for key, size in page.files
            if key != folder
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
        return self._reading(bucket, where, lambda door: _read(door, bucket, key, limit, where))

    def _pages(self, bucket: str, prefix: str, delimiter: str, where: str) -> list[Page]:
        pages: list[Page] = []
        token = ""
        while True:
            ask = partial(_list_page, bucket=bucket, prefix=prefix, delimiter=delimiter, token=token, where=where)
            pages.append(self._reading(bucket, where, ask))
            token = pages[-1].next_token
            if not token:
                return pages
            if sum(len(page.files) + len(page.folders) for page in pages) >= MAX_ENTRIES:
                told = f"it has more than {MAX_ENTRIES} entries"
                raise PlatformError(told, where=where, cure="It is larger than such a folder can be.")

    def _reading[T](self, bucket: str, where: str, call: Callable[[_Door], T]) -> T:
        clients = self._made(where)
        signed = _Door(clients.signed, clients.quick, signed=True)
        unsigned = _Door(clients.unsigned, clients.quick, signed=False)
        if clients.signed is None or bucket in self._open:
            return self._asked(lambda: call(unsigned), where)
        try:
            return self._asked(lambda: call(signed), where)
        except AccessError as refused:
            try:
                answer = self._asked(lambda: call(unsigned), where)
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
            self._asked(lambda: client.put_object(Bucket=bucket, Key=key, Body=data), where)
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

    def _asked[T](self, call: Callable[[], T], where: str) -> T:
        """A call's answer, its errors sorted."""
        with self._lock:
            self.requests += 1
        with self._free:
            try:
                return call()
            except ClientError as error:
                told, code = error.response, str(error.response.get("Error", {}).get("Code", ""))
                status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                raise _sorted_error(code or "nothing", status, where) from None
            except ParamValidationError:
                raise NotFoundError("S3 can have no such name", where=where, cure="Check the name.") from None
            except (*_BROKEN, ResponseParserError) as error:
                # Only the kind: the words of such an error may hold an address with a signature.
                told = f"S3 does not answer ({type(error).__name__})"
                raise UnavailableError(told, where=where, cure="Check the network and AWS_ENDPOINT_URL.") from None
            except BotoCoreError as error:
                told = f"S3 cannot be asked ({type(error).__name__})"
                raise AccessError(told, where=where, cure=_GIVE_KEYS) from None


_BROKEN = (BotoConnectionError, HTTPClientError, IncompleteReadError, HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class _Door:
    """A way to read: boto3's client, and the quick way before it."""

    client: Any
    quick: QuickReads | None
    signed: bool


def _list_page(door: _Door, bucket: str, prefix: str, delimiter: str, token: str, where: str) -> Page:
    quick = door.quick
    found = None if quick is None else quick.list_page(bucket, prefix, delimiter, token, signed=door.signed)
    if isinstance(found, Answer):
        raise _sorted_error(found.code, found.status, where)
    if found is not None:
        return found
    asked = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "ContinuationToken": token}
    told = door.client.list_objects_v2(**{name: text for name, text in asked.items() if text})
    return Page(
        tuple((one["Key"], int(one["Size"])) for one in told.get("Contents", ())),
        tuple(one["Prefix"] for one in told.get("CommonPrefixes", ())),
        told.get("NextContinuationToken", "") if told.get("IsTruncated") else "",
    )


def _read(door: _Door, bucket: str, key: str, limit: int, where: str) -> bytes:
    answer = None if door.quick is None else door.quick.get(bucket, key, signed=door.signed)
    if answer is not None and answer.status != 200:
        raise _sorted_error(answer.code, answer.status, where)
    if answer is not None:
        try:
            return _bounded(answer.raw, answer.size, limit, where)
        except _BROKEN:
            pass  # boto3's turn
    for tried in range(1, TRIES + 1):
        told = door.client.get_object(Bucket=bucket, Key=key)
        try:
            return _bounded(told["Body"], told.get("ContentLength"), limit, where)
        except _BROKEN:
            # boto3 repeats requests, but not a body that is torn in the middle.
            if tried == TRIES:
                raise
    raise AssertionError("unreachable")


def _bounded(body: Any, size: int | None, limit: int, where: str) -> bytes:  # noqa: ANN401 - boto3 has no types
    """A body of at most so many bytes, whole; closed in any case."""
    began_s, data = time.monotonic(), bytearray()
    try:
        while (size or len(data)) <= limit and (part := body.read(_CHUNK)):
            data += part
            if time.monotonic() - began_s > _BODY_S:
                told = f"it did not come whole within {_BODY_S:g} s"
                raise UnavailableError(told, where=where, cure="Try again later.")
    finally:
        body.close()
    if max(size or 0, len(data)) > limit:
        told = f"it has {size or 'many'} bytes, more than {limit}"
        raise PlatformError(told, where=where, cure="It is larger than such a file can be.")
    if size is not None and len(data) != size:
        raise ConnectionResetError("the body ends early")  # urllib3 does not always say so
    return bytes(data)


class _DeniedError(AccessError):
    """We are known, and may not do this; what credentials cannot cure."""


def _sorted_error(code: str, status: int, where: str) -> PlatformError:
    """The error that S3's answer stands for."""
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
