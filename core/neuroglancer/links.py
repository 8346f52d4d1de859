"""What people paste for a state, and fetching the states that links point at.

A paste is text, never a path or an address that the server opens by itself: it holds the state, or it is a link to
one on S3 or https, which is fetched only from the buckets and hosts of the settings. Of an https host the address is
checked and the connection is made to the checked address, so that no name can lead into the server's own network.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from core.errors import StateError
from core.neuroglancer.transport import Answer, NetworkTransport, Transport
from core.strict_json import LIMIT_BYTES, MIB, shown

if TYPE_CHECKING:  # a converter reads states and has no settings: they would double the time it starts in
    from core.settings import Settings

__all__ = ["Answer", "NetworkTransport", "StateLink", "Transport", "fetch_state_link", "interpret_paste", "viewer_of"]

MAX_REDIRECTS = 3
ACCEPTED = (
    "Paste the state's JSON, a Neuroglancer link (https://…/#!…), or a link to a state on S3 "
    "(…#!s3://bucket/key.json or s3://bucket/key.json)."
)

_VIEWER = re.compile(r"https?://[^\s#]*#!", re.IGNORECASE)
_JSON_START = re.compile(r"""\{\s*["'}]""")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# A last label with a letter first keeps out every way to write an IP address: decimal, hexadecimal, dotted, v6.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
# Closing quotes are optional: a string that never ends is read once, not once per quote in it.
_SAFE_TOKEN = re.compile(r"""'(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)'?|"[^"\\]*+(?:\\.[^"\\]*+)*+"?|_""", re.DOTALL)
_SAFE_INNER = re.compile(r"""\\(.)|\"""", re.DOTALL)
_REDIRECTS = (301, 302, 303, 307, 308)
# v6 addresses that carry a v4 one, which the router at the other end would unpack.
_CARRIERS = tuple(ipaddress.IPv6Network(net) for net in ("64:ff9b::/96", "2002::/16", "2001::/32", "::/96"))


@dataclass(frozen=True, slots=True)
class StateLink:
    """A link to a state that lies elsewhere. Nothing has been fetched or checked against the settings yet."""

    scheme: str
    """`s3` or `https`."""
    host_or_bucket: str
    key: str
    """The object's key, or the path without its leading slash."""
    url: str


# --- reading a paste ----------------------------------------------------------------------------


def interpret_paste(text: str) -> bytes | StateLink:
    """Tell what a pasted text is: the state itself, or a link to one. Opens nothing.

    Accepts JSON; a viewer link `https://…/#!{…}`, percent-encoded once or twice or in the old form with single
    quotes and `_`; `#!{…}` alone; `…#!s3://bucket/key.json`, `…#!https://host/path.json`, `s3://bucket/key.json`.

    Returns:
        The bytes of the JSON (not yet checked: see `read_state`), or the link.

    Raises:
        StateError: it is none of these; says which forms are accepted.
    """
    if len(text) > 3 * LIMIT_BYTES:
        raise StateError(
            f"The pasted text is larger than {3 * LIMIT_BYTES / MIB:g} MiB.", cure="Give the file instead."
        )
    text = text.strip().removeprefix("\ufeff").strip()
    if not text:
        raise StateError("The pasted text is empty.", cure=ACCEPTED)
    if text.startswith("{"):
        return _encoded(text)
    if text.lower().startswith("s3://"):
        return _s3_link(text)
    viewer = _VIEWER.match(text)
    if viewer or text.startswith("#!"):
        return _fragment(text[viewer.end() if viewer else 2 :])
    if re.match(r"https?://", text, re.IGNORECASE):
        raise StateError("The link has no state after #!.", where=shown(text), cure=ACCEPTED)
    raise StateError("This is neither a state nor a link to one.", where=shown(text), cure=ACCEPTED)


def viewer_of(text: str) -> str:
    """The address of the viewer that a pasted link names, `https://…/`; "" when it names none."""
    viewer = _VIEWER.match(text.strip().removeprefix("\ufeff").strip())
    return viewer[0].removesuffix("#!") if viewer else ""


def _fragment(fragment: str) -> bytes | StateLink:
    """What stands after `#!`. The viewer decodes it once; links that went through other tools are encoded twice."""
    for _ in range(2):
        try:
            fragment = unquote(fragment, errors="strict").strip()
        except UnicodeDecodeError:
            raise StateError("The link is not percent-encoded UTF-8.", cure="Copy the link again.") from None
        if _JSON_START.match(fragment):
            return _encoded(_from_url_safe(fragment) if fragment.startswith("{'") else fragment)
        if scheme := _SCHEME.match(fragment):
            return _s3_link(fragment) if scheme[1].lower() == "s3" else _https_link(fragment)
    raise StateError("What follows #! is neither a state nor a link to one.", where=shown(fragment), cure=ACCEPTED)


def _from_url_safe(text: str) -> str:
    """The old form of links: `{'layers':['a'_'b']}` -> `{"layers":["a","b"]}`."""

    def inner(match: re.Match[str]) -> str:
        if match[1] is None:
            return '\\"'
        return "'" if match[1] == "'" else match[0]

    def token(match: re.Match[str]) -> str:
        if match[0] == "_":
            return ","
        return match[0] if match["single"] is None else f'"{_SAFE_INNER.sub(inner, match["single"])}"'

    return _SAFE_TOKEN.sub(token, text)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise StateError(
            "The text holds half of a surrogate pair, which is no character.",
            where=f"character {error.start + 1}",
            cure="Copy the state again.",
        ) from None


def _s3_link(url: str) -> StateLink:
    bucket, _, key = url[len("s3://") :].partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise StateError("This is no name of a bucket.", where=shown(bucket), cure="Use s3://bucket/path/state.json.")
    _check_path(key, url)
    return StateLink("s3", bucket, key, f"s3://{bucket}/{key}")


def _https_link(url: str) -> StateLink:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise StateError("This is no web address.", where=shown(url), cure=ACCEPTED) from None
    host = (parts.hostname or "").lower()
    # Without user, password and query: an error may be logged.
    where = f"{parts.scheme}://{host}{parts.path}"
    if parts.scheme.lower() != "https":
        raise StateError(
            f"States are not fetched by {shown(parts.scheme, 20)}.", where=shown(where), cure="Use an https or s3 link."
        )
    if "@" in parts.netloc or port not in (None, 443) or not _HOST.fullmatch(host):
        raise StateError(
            "The link must name a host, without user, password, port or number address.",
            where=shown(where),
            cure="Use https://host/path.json.",
        )
    if parts.query or parts.fragment:
        raise StateError(
            "The link has a query or fragment; signed or shortened links are not fetched.",
            where=shown(where),
            cure="Download the file and give it here.",
        )
    _check_path(unquote(parts.path.removeprefix("/")), where)
    key = quote(parts.path.removeprefix("/"), safe="/%:@!$&'()*+,;=~")
    return StateLink("https", host, key, f"https://{host}/{key}")


def _check_path(key: str, url: str) -> None:
    broken = not key.isprintable() or any(character in key for character in '\\|"<>')
    if not key or broken or len(key) > 1024 or any(part in (".", "..") for part in key.split("/")):
        raise StateError(
            "The link names no single file.", where=shown(url), cure="Use a link such as s3://bucket/a.json."
        )


# --- fetching -----------------------------------------------------------------------------------


def fetch_state_link(
    link: StateLink, settings: Settings, *, transport: Transport | None = None, limit_bytes: int = LIMIT_BYTES
) -> bytes:
    """Fetch the state that a link points at, from the buckets and hosts that the settings allow.

    Args:
        link: From `interpret_paste`.
        settings: `state_hosts` and `state_buckets` are what is allowed.
        transport: Makes the requests; the network when None.
        limit_bytes: The most bytes that are read.

    Raises:
        StateError: not allowed, not found, too large, or leading to a place that is not public.
        UnavailableError: the host or S3 does not answer.
    """
    transport = transport or NetworkTransport()
    if link.scheme == "s3":
        _check_allowed(link, settings.state_buckets, "bucket", "TRACKMAPPER_STATE_BUCKETS")
        return _bounded(transport.read_object(link.host_or_bucket, link.key, limit_bytes + 1), limit_bytes, link)
    for _ in range(MAX_REDIRECTS + 1):
        _check_allowed(link, settings.state_hosts, "host", "TRACKMAPPER_STATE_HOSTS")
        address = _public_address(link, transport)
        answer = transport.get(link.host_or_bucket, address, f"/{link.key}", limit_bytes + 1)
        if answer.status not in _REDIRECTS:
            return _body(answer, link, limit_bytes)
        link = _https_link(_next_url(link, answer))
    raise StateError(
        f"The link leads on more than {MAX_REDIRECTS} times.", where=shown(link.url), cure="Use the last address."
    )


def _check_allowed(link: StateLink, allowed: str, what: str, setting: str) -> None:
    if link.host_or_bucket not in {name.strip().lower() for name in allowed.split(",")}:
        raise StateError(
            f"States are not fetched from the {what} {shown(link.host_or_bucket)}.",
            where=shown(link.url),
            cure=f"Download the file and give it here, or have the {what} added to {setting}.",
        )


def _public_address(link: StateLink, transport: Transport) -> str:
    """The address to connect to; all of the host's addresses must be public, or the name is not trusted at all."""
    addresses = transport.addresses(link.host_or_bucket)
    if not addresses or not all(map(is_public, addresses)):
        raise StateError(
            f"The host {link.host_or_bucket} is not on the public internet.",
            where=shown(link.url),
            cure="Download the file and give it here.",
        )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, whichever way it is written or wrapped."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.scope_id is not None or any(ip in carrier for carrier in _CARRIERS):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _next_url(link: StateLink, answer: Answer) -> str:
    try:
        return urljoin(link.url, answer.location)
    except ValueError:
        return answer.location


def _body(answer: Answer, link: StateLink, limit_bytes: int) -> bytes:
    if answer.status != 200:
        raise StateError(
            f"The host answered {answer.status}.",
            where=shown(link.url),
            cure="Check the link, and that the file can be read without signing in.",
        )
    return _bounded(answer.body, limit_bytes, link)


def _bounded(data: bytes, limit_bytes: int, link: StateLink) -> bytes:
    if len(data) > limit_bytes:
        raise StateError(
            f"The file is larger than {limit_bytes / MIB:g} MiB.",
            where=shown(link.url),
            cure="Save a state with fewer layers.",
        )
    return data
