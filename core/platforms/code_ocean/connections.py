"""Connections of which it is known whether a request can have been sent over them.

What breaks before a secure connection stands, or while it is used, looks the same to `requests`: an SSLError. For a
call with an effect that is the difference between "nothing was made" and "it must be looked for".
"""

from __future__ import annotations

import ipaddress
import ssl
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError
from urllib3.util.ssl_match_hostname import CertificateError

from core.errors import SettingsError


class NotSecureError(NewConnectionError):
    """No secure connection came about: nothing was sent over it."""


class _Connection(HTTPSConnection):
    """Tells what breaks until its handshake is done from what breaks later."""

    def connect(self) -> None:
        try:
            super().connect()
        except (OSError, SSLError, CertificateError) as error:  # an ssl.SSLError is an OSError
            raise NotSecureError(self, type(error).__name__) from error


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


_POOLS = {"http": HTTPConnectionPool, "https": _Pool}


def tell_handshakes(session: requests.Session, address: str) -> None:
    """Have a session's connections to an address say whether their handshake was done when they broke."""
    adapter: Any = session.get_adapter(address)
    adapter.poolmanager.pool_classes_by_scheme = _POOLS
    through_proxy = adapter.proxy_manager_for

    def proxy_manager_for(*of: Any, **more: Any) -> Any:  # noqa: ANN401 - as requests' own
        manager = through_proxy(*of, **more)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    adapter.proxy_manager_for = proxy_manager_for


def was_never_sent(error: requests.exceptions.ConnectionError) -> bool:
    """True when the request cannot have been sent: no address, no connection, no secure one."""
    if isinstance(error, requests.exceptions.ProxyError):
        return True
    return isinstance(_reason(error), NewConnectionError)


def is_certificate(error: requests.exceptions.ConnectionError) -> bool:
    """True when the connection failed because the server's certificate is not accepted."""
    reason = _reason(error)
    return isinstance(reason, NotSecureError) and isinstance(
        reason.__cause__, ssl.SSLCertVerificationError | CertificateError
    )


def is_insecure(error: requests.exceptions.ConnectionError) -> bool:
    """True when the server was reached and no secure connection came about."""
    return isinstance(_reason(error), NotSecureError)


def _reason(error: requests.exceptions.ConnectionError) -> object:
    cause = error.args[0] if error.args else None
    return cause.reason if isinstance(cause, MaxRetryError) else cause


# --- addresses --------------------------------------------------------------------------------------


def may_carry_a_token(address: str) -> bool:
    """Whether what is sent there cannot be read on the way: https, or this machine itself."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host)))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open_address(address: str) -> None:
    """Raise SettingsError for an address to which the token would travel unencrypted."""
    if not may_carry_a_token(address):
        raise SettingsError(
            f"{address[:200]!r} is not encrypted, and the access token travels with every request; nothing was sent",
            where="CODE_OCEAN_DOMAIN",
            cure="Set it to an address with https://.",
        )
