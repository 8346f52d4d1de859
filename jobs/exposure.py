"""Who can reach this process: a page that listens beyond this machine shows nothing without a log-in."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable

_OPEN_FILES = "/dev/fd"


def listening_addresses() -> tuple[str, ...]:
    """The addresses that this process's own sockets listen on, asked of the kernel; sockets of files are left out."""
    addresses = (_listens_on(int(name)) for name in os.listdir(_OPEN_FILES))
    return tuple(sorted({address for address in addresses if address}))


def _listens_on(number: int) -> str:
    """The address an open file listens on; "" when it is no listening socket of a network."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return ""
        # a duplicate, so that closing it leaves the server's socket alone
        copy = os.dup(number)
    except OSError:
        return ""  # closed meanwhile
    try:
        probe = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return ""
    with probe:
        if probe.family not in (socket.AF_INET, socket.AF_INET6):
            return ""
        return str(probe.getsockname()[0]) if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else ""


def is_loopback(address: str) -> bool:
    """True when only this machine can reach the address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def is_exposed(addresses: Iterable[str]) -> bool:
    """True when another machine can reach one of the addresses."""
    return any(not is_loopback(address) for address in addresses)


def may_show(addresses: Iterable[str]) -> bool:
    """True when this session may see the pages: the server is not exposed, or a person has logged in."""
    # Imported here: only served pages ask, and the rest of this package starts without Panel.
    import panel as pn

    if not is_exposed(addresses):
        return True
    configured = bool(pn.config.oauth_provider or pn.config.basic_auth)
    return configured and pn.state.user not in (None, "", "guest")


def refusal(addresses: Iterable[str]) -> tuple[str, ...]:
    """What is shown instead of every page: a title, then sentences."""
    listens = ", ".join(address for address in addresses if not is_loopback(address))
    return (
        "This page is open to the network without a log-in",
        f"It listens on {listens}, so anybody could use it. Nothing is shown.",
        "Start it for this machine only: trackmapper serve, trackmapper worker, or panel serve with "
        "--address 127.0.0.1.",
        "Or set up a log-in, for example --oauth-provider with its key and secret, and --cookie-secret.",
    )
