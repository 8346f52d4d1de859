"""Sends notices to people outside, by Apprise's many services, in a thread of its own: nothing waits for it."""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading
from collections.abc import Callable

from pydantic import SecretStr

from jobs.notices import Notice

Send = Callable[[str, str], bool]
"""Sends a title and a text; False when it could not be sent to everybody."""
_WAITING_CAP = 100
_MISSING = "notices are not sent: the package apprise is not installed (pip install 'trackmapper[notify]')"


class Announcer:
    """Tells people of notices. An address may hold a secret: it is in no word, log or record of ours.

    Args:
        urls: Apprise URLs, separated by spaces.
        send: Another way to send.
    """

    def __init__(self, urls: SecretStr, send: Send | None = None) -> None:
        self._urls, self._send = urls, send
        self._waiting: queue.Queue[Notice | None] = queue.Queue(_WAITING_CAP)
        self._thread: threading.Thread | None = None
        self.trouble = _MISSING if send is None and importlib.util.find_spec("apprise") is None else ""
        """Why people were not told, in words; "" when they were."""

    def announce(self, notice: Notice) -> None:
        """Tell people of a notice, soon. Returns at once, whatever becomes of it."""
        if self.trouble == _MISSING:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trackmapper-notices", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            self.trouble = f"{_WAITING_CAP} notices wait to be sent; later ones are left out"

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, for so long at most."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return  # the thread hangs in a sending; it ends with the process
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (notice := self._waiting.get()) is not None:
            try:
                self._send = self._send or _apprise(self._urls)
                sent = self._send(*message(notice))
                self.trouble = "" if sent else f"the notice of job {int(notice.job_id)} was not sent to everybody"
            except _AddressError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 - whatever a service's client throws; its words may hold the URL
                self.trouble = f"the notice of job {int(notice.job_id)} was not sent ({type(error).__name__})"


class _AddressError(Exception):
    """An address that cannot be used; the words do not hold it."""


def message(notice: Notice) -> tuple[str, str]:
    """Title and text of a notice."""
    what = notice.state.replace("_", " ")
    title = f"Trackmapper: job {int(notice.job_id)} (mouse {notice.subject}) {what}"
    return title, f"{notice.words or what}\nLaunched by {notice.to}; {notice.at:%Y-%m-%d %H:%M}Z."


def _apprise(urls: SecretStr) -> Send:
    import apprise  # an optional package, and slow to import

    # Its own log names addresses.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    people = apprise.Apprise()
    addresses = urls.get_secret_value().split()
    bad = [number for number, url in enumerate(addresses, start=1) if not people.add(url)]
    if bad:
        which = ", ".join(map(str, bad))
        raise _AddressError(f"notices are not sent: address {which} of TRACKMAPPER_NOTICE_URL is not understood")

    def send(title: str, text: str) -> bool:
        return bool(people.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT))

    return send
