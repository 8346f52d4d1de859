"""The requests that fetch a linked state: one name look-up, one https GET, one S3 read, each within bounds."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.errors import StateError, UnavailableError

TIMEOUT_S = 10.0
TOTAL_S = 60.0
"""A host that sends a byte now and then never runs into the timeout of a single read."""
_CHUNK = 64 * 1024
_TRY_AGAIN = "Try again, or download the file and give it here."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host answered."""

    status: int
    location: str
    """Where a redirect leads; "" when there is none."""
    body: bytes
    """At most as many bytes as asked for."""


class Transport(Protocol):
    """Makes the requests. It decides nothing: allow-lists, redirects and addresses are checked by its caller."""

    def addresses(self, host: str) -> Sequence[str]:
        """The IP addresses of a host. Raises UnavailableError."""

    def get(self, host: str, address: str, path: str, max_bytes: int) -> Answer:
        """One https GET on port 443 of `address` in the name of `host`, without redirects. Raises UnavailableError."""

    def read_object(self, bucket: str, key: str, max_bytes: int) -> bytes:
        """The first bytes of an S3 object. Raises StateError when it cannot be had, UnavailableError."""


@dataclass(frozen=True, slots=True)
class NetworkTransport:
    """The real thing. What it is made of can be replaced: a port, TLS and a boto3 S3 client."""

    port: int = 443
    tls: ssl.SSLContext | None = None
    s3_client: Any = None

    def addresses(self, host: str) -> tuple[str, ...]:
        """The IP addresses of a host, in the resolver's order."""
        try:
            found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnavailableError("The host's name cannot be resolved.", where=host, cure=_TRY_AGAIN) from error
        return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))

    def get(self, host: str, address: str, path: str, max_bytes: int) -> Answer:
        """GET from a checked address; certificate and Host header are those of `host`."""
        deadline = time.monotonic() + TOTAL_S
        connection = _PinnedConnection(host, address, self.port, self.tls or ssl.create_default_context())
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "identity", "Connection": "close"})
            response = connection.getresponse()
            body = bytearray()
            while len(body) < max_bytes and (chunk := response.read(min(_CHUNK, max_bytes - len(body)))):
                body += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not complete after {TOTAL_S:g} s")
            if response.length and len(body) < max_bytes:
                raise http.client.IncompleteRead(bytes(body), response.length)
            return Answer(response.status, response.getheader("Location", ""), bytes(body))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnavailableError(
                f"The host did not answer ({type(error).__name__}).", where=host, cure=_TRY_AGAIN
            ) from error
        finally:
            connection.close()

    def read_object(self, bucket: str, key: str, max_bytes: int) -> bytes:
        """Read an object; unsigned when this machine has no AWS credentials, as public buckets allow."""
        # Imported late: boto3 takes a noticeable part of a second that only links to S3 need.
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        where = f"s3://{bucket}/{key}"
        try:
            client = self.s3_client or _s3_client()
            body = client.get_object(Bucket=bucket, Key=key)["Body"]
            try:
                return bytes(body.read(max_bytes))
            finally:
                body.close()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in ("NoSuchKey", "NoSuchBucket", "404"):
                raise StateError("S3 has no such file.", where=where, cure="Check the link.") from error
            if code in ("AccessDenied", "403"):
                raise StateError(
                    "S3 does not let this machine read the file.", where=where, cure="Download it and give it here."
                ) from error
            raise UnavailableError(f"S3 answered {code}.", where=where, cure=_TRY_AGAIN) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise UnavailableError(
                f"S3 did not answer ({type(error).__name__}).", where=where, cure=_TRY_AGAIN
            ) from error


class _PinnedConnection(http.client.HTTPSConnection):
    """https to an address that was checked, in the name of the host: a second look-up could give another address."""

    def __init__(self, host: str, address: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S, context=tls)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), TIMEOUT_S)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _s3_client() -> Any:  # noqa: ANN401 (boto3 makes its clients at run time; they have no type)
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.session.Session()
    config = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 2})
    if session.get_credentials() is None:
        config = config.merge(Config(signature_version=UNSIGNED))
    return session.client("s3", config=config)
