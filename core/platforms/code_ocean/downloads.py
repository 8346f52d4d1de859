"""A file behind an address that Code Ocean gave out: bounded in bytes and time, without our token.

Such an address opens the file for whoever holds it: it is not logged, not kept, not part of any error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import requests

from core.errors import AccessError, NotFoundError, PlatformError, UnavailableError

CONNECT_S, READ_S, WHOLE_S = 5.0, 30.0, 120.0
_REDIRECTS = 3
_CHUNK = 256 * 1024
_ASK_AGAIN = "Try again: the address is made anew each time."


class _Addresses(logging.Filter):
    """Cuts the queries off the addresses that urllib3 writes at DEBUG: in them are the signatures."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(one.partition("?")[0] if isinstance(one, str) else one for one in record.args)
        return True


_ADDRESSES = _Addresses()


def download(url: str, limit: int, where: str, *, secure: bool = True) -> bytes:
    """The bytes behind an address.

    Args:
        url: From Code Ocean's answer.
        limit: Most bytes that are read.
        where: What it is, for errors.
        secure: Only https, at every redirect, too.

    Raises:
        NotFoundError: there is no such file.
        AccessError: the address opens nothing (any more).
        UnavailableError: it cannot be reached, or breaks off.
        PlatformError: it has more than `limit` bytes.
    """
    with _get(url, where, secure) as answer:
        parts, size = [], 0
        for part in _parts(answer, where):
            size += len(part)
            if size > limit:
                told = f"it has more than {limit} bytes"
                raise PlatformError(told, where=where, cure="It is larger than such a file can be.")
            parts.append(part)
        return b"".join(parts)


def download_end(url: str, limit: int, where: str, *, secure: bool = True) -> bytes:
    """The last `limit` bytes behind an address. Raises as `download`, but a longer file is no error."""
    with _get(url, where, secure, {"Range": f"bytes=-{limit}"}) as answer:
        end = b""
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # an empty file has no last bytes
            for part in _parts(answer, where):
                end = (end + part)[-limit:]  # a server may send all of it
        return end


def _get(url: str, where: str, secure: bool, headers: dict[str, str] | None = None) -> requests.Response:
    logger = logging.getLogger("urllib3.connectionpool")
    if _ADDRESSES not in logger.filters:
        logger.addFilter(_ADDRESSES)
    for _ in range(_REDIRECTS + 1):
        if urlsplit(url).scheme not in ({"https"} if secure else {"https", "http"}):
            raise PlatformError("its address is not an https one", where=where, cure="Tell who runs Code Ocean.")
        try:
            answer = requests.get(
                url,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                timeout=(CONNECT_S, READ_S),
                stream=True,
                allow_redirects=False,
                auth=_as_it_is,
            )
        except (requests.exceptions.RequestException, ValueError) as error:
            raise _broken(error, where) from None
        if not answer.is_redirect:
            break
        url = urljoin(url, answer.headers["Location"])
        answer.close()
    else:
        raise UnavailableError("its address leads round in circles", where=where, cure=_ASK_AGAIN)
    status = answer.status_code
    if status < 300 or (headers and status == requests.codes.requested_range_not_satisfiable):
        return answer
    answer.close()
    if status in (404, 410):
        raise NotFoundError("there is no such file", where=where, cure="Check the asset's contents.")
    if status in (401, 403):
        raise AccessError(f"its address opens nothing (HTTP {status})", where=where, cure=_ASK_AGAIN)
    raise UnavailableError(f"its server answers HTTP {status}", where=where, cure=_ASK_AGAIN)


def _parts(answer: requests.Response, where: str) -> Iterator[bytes]:
    began_s = time.monotonic()
    try:
        for part in answer.iter_content(_CHUNK):
            yield part
            if time.monotonic() - began_s > WHOLE_S:
                raise UnavailableError(f"it did not come whole within {WHOLE_S:g} s", where=where, cure=_ASK_AGAIN)
    except requests.exceptions.RequestException as error:
        raise _broken(error, where) from None


def _broken(error: Exception, where: str) -> UnavailableError:
    # Only the kind: the words of such an error quote the address.
    return UnavailableError(f"it does not come ({type(error).__name__})", where=where, cure=_ASK_AGAIN)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from adding a password that it may find in a ~/.netrc."""
    return request
