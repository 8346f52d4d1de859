"""Sends notices to people outside, by Apprise's many services, in a thread of its own: nothing waits for it."""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import SecretStr

from jobs.notices import Notice

if TYPE_CHECKING:
    from jobs.store import JobStore

Send = Callable[[str, str], bool]
"""Sends a title and a text; False when it could not be sent to everybody."""
_WAITING_CAP = 100
_OLD_NEWS = timedelta(days=7)
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
        self._open: deque[int] = deque()
        self._settled = threading.Condition()
        self._thread: threading.Thread | None = None
        self.trouble = _MISSING if send is None and importlib.util.find_spec("apprise") is None else ""
        """Why people were not told, in words; "" when they were."""

    def announce(self, notice: Notice) -> bool:
        """Tell people of a notice, soon. Returns at once: True when it was taken, False when it must be given again."""
        if self.trouble == _MISSING:
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trackmapper-notices", daemon=True)
            self._thread.start()
        with self._settled:
            try:
                self._waiting.put_nowait(notice)
            except queue.Full:
                self.trouble = f"{_WAITING_CAP} notices wait to be sent; later ones wait in the queue"
                return False
            self._open.append(notice.number)
        return True

    def last_taken(self) -> int | None:
        """Number of the newest notice that was taken and not dealt with yet; None when there is none."""
        with self._settled:
            return self._open[-1] if self._open else None

    def first_open(self) -> int | None:
        """Number of the oldest notice that was taken and not dealt with yet; None when there is none."""
        with self._settled:
            return self._open[0] if self._open else None

    def wait(self, timeout_s: float = 5.0) -> None:
        """Return when all that was taken is dealt with, or after so long."""
        with self._settled:
            self._settled.wait_for(lambda: not self._open, timeout_s)

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
            with self._settled:
                self._open.popleft()
                self._settled.notify_all()


class Announcements:
    """Hands a queue's notices to an announcer, and keeps in the queue how far that has got.

    A notice is sent at least once: one that was sent just before the worker was killed is sent again by the next. One
    that a service refused is not: the worker's row says so. What is older than a week is no news.

    Args:
        store: The queue.
        announcer: Sends the notices. It may outlive this object, and have some of them in hand.

    Raises:
        StoreError: the queue cannot be read or written.
    """

    def __init__(self, store: JobStore, announcer: Announcer) -> None:
        self._store, self.announcer = store, announcer
        last, kept = store.last_notice(), store.announced()
        if kept is None:
            # A new address is not told the whole history; from now on it misses nothing.
            store.set_announced(last)
            kept = last
        self._kept = min(kept, last)
        in_hand = announcer.last_taken() or 0
        self._taken = max(self._kept, in_hand if in_hand <= last else 0)

    def turn(self, now: datetime) -> None:
        """Hand over what is new, and write down what has been sent.

        Raises:
            StoreError: the queue cannot be read or written.
        """
        for notice in self._store.notices(self._taken):
            if notice.at > now - _OLD_NEWS and not self.announcer.announce(notice):
                break
            self._taken = notice.number
        self._keep()

    def end(self) -> None:
        """Let what was taken be sent, for a while, and write that down."""
        self.announcer.wait()
        self._keep()

    def _keep(self) -> None:
        first_open = self.announcer.first_open()
        sent = self._taken if first_open is None else min(self._taken, first_open - 1)
        if sent > self._kept:
            self._store.set_announced(sent)
            self._kept = sent


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
