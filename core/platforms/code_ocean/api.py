"""Code Ocean's HTTP interface: one request each, every answer sorted into the error tree.

The official SDK makes the connection; its records are too strict to be used (a state it does not know is an exception),
so answers are read as plain JSON. Reads are repeated a few times; a call with an effect is sent once, on a connection
of its own: a pooled one may have been closed by the server, and the loss of such a call could not be told from the
loss of its answer.
"""

from __future__ import annotations

import json
import random
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any

import requests
from codeocean import CodeOcean
from codeocean.error import Error as CodeOceanError
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from core.errors import (
    AccessError,
    NotFoundError,
    PlatformError,
    RefusedError,
    ThrottledError,
    UnavailableError,
    UnclearError,
)
from core.platforms.code_ocean.connections import (
    is_certificate,
    is_insecure,
    refuse_open_address,
    tell_handshakes,
    was_never_sent,
)

CONNECT_S, READ_S = 5.0, 60.0
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of an answer; the listing of a busy capsule's runs is the largest."""
_READS = 3
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 20.0
BODY_S = 120.0
"""For a whole answer: the time-out of a read is only between two of its bytes."""
_WORDS = 500
_REFUSALS = frozenset({400, 404, 405, 410, 413, 414, 415, 422})


@dataclass(slots=True)
class Budget:
    """A bound on requests a second, with a small reserve; shared by all threads.

    Args:
        per_second: Requests a second, on average; 0: no bound.
        reserve: How many may be sent at once after a pause.
    """

    per_second: float = 0.0
    reserve: float = 10.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _left: float = field(default=-1.0)
    _at_s: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def spend(self) -> None:
        """Wait until one more request may be sent."""
        if self.per_second <= 0:
            return
        with self._lock:
            now = self.now()
            left = self.reserve if self._left < 0 else self._left + (now - self._at_s) * self.per_second
            self._left, self._at_s = min(left, self.reserve) - 1.0, now
            wait_s = -self._left / self.per_second
            if wait_s > 0:
                # Those who come later wait behind this one.
                self._left, self._at_s = 0.0, now + wait_s
        if wait_s > 0:
            self.sleep(wait_s)


class CodeOceanApi:
    """Sends requests to one Code Ocean as one user.

    Args:
        domain: Address, `https://...`.
        token: Access token; never shown.
        min_version: Oldest server version that we accept.
        budget: Bound on requests a second.
        sleep: Waits between two tries of a read.
        draw: Numbers from 0 to 1, to spread the tries of many.
        connect_s: Seconds for a connection.
        read_s: Seconds between two bytes of an answer.
        body_s: Seconds for a whole one.

    Raises:
        SettingsError: the token would travel unencrypted to another machine.
    """

    def __init__(
        self,
        domain: str,
        token: SecretStr,
        *,
        min_version: str,
        budget: Budget | None = None,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
        connect_s: float = CONNECT_S,
        read_s: float = READ_S,
        body_s: float = BODY_S,
    ) -> None:
        refuse_open_address(domain)
        self.domain = domain.rstrip("/")
        self.requests = 0
        self._token, self._min_version = token, min_version
        self._budget, self._sleep, self._draw = budget or Budget(), sleep, draw
        self._timeouts, self._body_s = (connect_s, read_s), body_s
        self._count = Lock()
        self._idle: list[requests.Session] = []

    def __repr__(self) -> str:
        return f"CodeOceanApi({self.domain!r})"

    # --- requests -------------------------------------------------------------------------------

    def read(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, tries: int = _READS) -> Any:  # noqa: ANN401 - JSON
        """The JSON of a call without an effect. Repeated a few times when the server is busy or broken.

        Args:
            method: GET, or POST for searches and listings.
            path: Below `/api/v1/`, with its query.
            body: JSON to send.
            tries: How often it is sent at most.

        Raises:
            NotFoundError: there is no such thing.
            AccessError: the token, or its scopes, are refused.
            UnavailableError: it cannot be reached, or does not answer with JSON.
            PlatformError: it refuses the request.
        """
        for tried in range(1, tries + 1):
            try:
                with self._reading() as session:
                    return self._send(session, method, path, body)
            except ThrottledError as error:
                pause_s = error.retry_after_s if error.retry_after_s is not None else self._pause_s(tried)
                if tried == tries or pause_s > _LONGEST_PAUSE_S:
                    raise
            except UnclearError as error:
                if tried == tries:
                    raise UnavailableError(error.message, where=error.where, cure="It is asked again.") from None
                pause_s = self._pause_s(tried)
            except AccessError:
                raise
            except UnavailableError:
                if tried == tries:
                    raise
                pause_s = self._pause_s(tried)
            self._sleep(pause_s)
        raise AssertionError("unreachable")

    def effect(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """The JSON of a call that changes something. Sent once.

        Raises:
            RefusedError, NotFoundError: it said no; nothing was made.
            UnavailableError: nothing was sent, or nothing may be made with this token.
            UnclearError: anything else: it may or may not have been made.
        """
        with closing(self._new_session()) as session:
            session.headers["Connection"] = "close"
            return self._send(session, method, path, body)

    def _pause_s(self, tried: int) -> float:
        return float(_PAUSE_S * 2.0**tried * (0.5 + 0.5 * self._draw()))

    # --- one request ----------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[requests.Session]:
        """A session with its open connections, for one thread at a time: requests' are not made for several."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._new_session()
        try:
            yield session
        finally:
            self._idle.append(session)

    def _new_session(self) -> requests.Session:
        client = CodeOcean(domain=self.domain, token=self._token.get_secret_value(), retries=0)
        session: requests.Session = client.session
        tell_handshakes(session, self.domain)
        session.headers["Min-Server-Version"] = self._min_version
        return session

    def _send(self, session: requests.Session, method: str, path: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401
        self._budget.spend()
        with self._count:
            self.requests += 1
        where = f"{method} {path.partition('?')[0]}"
        try:
            with session.request(
                method, path, json=body, timeout=self._timeouts, stream=True, allow_redirects=False
            ) as answer:
                return _json(_body(answer, where, self._body_s), answer.status_code, where)
        except CodeOceanError as error:
            raise _refusal(error.http_err.response, where, self._token) from None
        except requests.exceptions.ConnectTimeout:
            raise _away(where, "it does not take the connection") from None
        except requests.exceptions.ConnectionError as error:  # also what broke a secure one, at whatever time
            if is_certificate(error):
                raise UnavailableError(
                    "its certificate is not accepted",
                    where=where,
                    cure="Check CODE_OCEAN_DOMAIN and the machine's clock.",
                ) from None
            if is_insecure(error):
                raise _away(where, "no secure connection can be made") from None
            if was_never_sent(error):
                raise _away(where, "it cannot be reached") from None
            raise UnclearError("the connection broke before the answer was whole", where=where) from None
        except requests.exceptions.Timeout:
            raise UnclearError(f"no answer within {self._timeouts[1]:g} s", where=where) from None
        except HTTPError:
            raise UnclearError("the connection broke before the answer was whole", where=where) from None
        except requests.exceptions.RequestException as error:
            # Only the kind: the words of such an error may hold headers or addresses.
            raise UnclearError(f"the answer cannot be read ({type(error).__name__})", where=where) from None


def _body(answer: requests.Response, where: str, body_s: float) -> bytes:
    """The whole body, bounded in bytes and in time."""
    began_s, size, parts = time.monotonic(), 0, []
    # As it comes: a read of so many bytes would wait for all of them, however slowly they drip.
    while part := answer.raw.read1(65536, decode_content=True):
        size += len(part)
        if size > MAX_BODY_BYTES or time.monotonic() - began_s > body_s:
            raise UnclearError("the answer is too long or too slow", where=where)
        parts.append(part)
    return b"".join(parts)


def _json(data: bytes, status: int, where: str) -> Any:  # noqa: ANN401 - JSON
    if status == requests.codes.no_content or (not data and status < 300):
        return {}
    if status >= 300:
        raise UnclearError(f"it sends us elsewhere (HTTP {status})", where=where)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UnclearError("the answer is no JSON", where=where) from None


def _refusal(answer: requests.Response, where: str, token: SecretStr) -> PlatformError:
    """The error that an HTTP status of 400 or more stands for."""
    status, told = answer.status_code, _told(answer, token)
    words = f"HTTP {status}" + (f": {told}" if told else "")
    if status == 401:
        told = f"Code Ocean does not accept the token ({words})"
        return AccessError(told, where=where, cure="Set CODE_OCEAN_API_TOKEN to a valid one, and restart.")
    if status == 403:
        return AccessError(
            f"the token may not do this ({words})",
            where=where,
            cure="Give the token the scopes that `trackmapper probe` names; have what it needs shared with its owner.",
        )
    if status == 429:
        return ThrottledError(
            f"Code Ocean asks for a pause ({words})", where=where, retry_after_s=_retry_after_s(answer.headers)
        )
    if status == 404:
        return NotFoundError(f"Code Ocean has no such thing ({words})", where=where, cure="Check the id.")
    if status in _REFUSALS:
        return RefusedError(f"Code Ocean refuses it ({words})", where=where, cure="See what it says, and launch anew.")
    return UnclearError(f"Code Ocean {'is broken' if status >= 500 else 'says'} ({words})", where=where)


def _told(answer: requests.Response, token: SecretStr) -> str:
    """What an error's body says, on one line; a page of HTML says nothing. It may repeat what was sent."""
    try:
        told = answer.json()
        text = str(told.get("message", "")) if isinstance(told, dict) else ""
    except (ValueError, RecursionError, requests.exceptions.RequestException):
        text = "" if "html" in answer.headers.get("Content-Type", "") else answer.text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if secret := token.get_secret_value():
        basic = b64encode(f"{secret}:".encode()).decode()
        line = line.replace(secret, "(token)").replace(basic, "(token)")
    return "" if "<html" in line.lower() else line[:_WORDS]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return None
    return max(0.0, at.timestamp() - time.time())


def _away(where: str, words: str) -> UnavailableError:
    return UnavailableError(
        f"Code Ocean does not answer: {words}", where=where, cure="Check the network and CODE_OCEAN_DOMAIN."
    )
