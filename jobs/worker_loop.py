"""The worker: leads when nobody else does, stands by otherwise. `python -m jobs.worker_loop` runs it without a page."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SettingsError, StoreBusyError, StoreUnusableError, TrackmapperError
from core.platforms.base import HealthKind, Runner
from core.platforms.choice import make_runner, poll_seconds
from core.settings import Settings, load_settings
from jobs import data_folder
from jobs.announce import Announcer
from jobs.clock import utc_now
from jobs.leadership import Lead, WorkerStatus, leading
from jobs.monitor import Monitor
from jobs.store import JobStore

_log = logging.getLogger(__name__)
_TICK_S, _STAND_BY_S, _TROUBLE_S = 0.1, 0.5, 5.0
_HANG_S, _LONG_CALL_S = 600.0, 6 * 3600.0
_EXIT_HUNG = 70
_starting = threading.Lock()


class Watchdog:
    """Ends the process when the worker's loop hangs, so that another one can lead."""

    def __init__(
        self, patience_s: float = _HANG_S, call_s: float = _LONG_CALL_S, end: Callable[[int], object] = os._exit
    ) -> None:
        self._patience_s, self._call_s, self._end = patience_s, call_s, end
        self._limit_s, self._last_s = patience_s, time.monotonic()

    def alive(self) -> None:
        """Tell that the loop has turned."""
        self._last_s = time.monotonic()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """More patience for one call on the platform: a large result is copied for longer than a loop may hang."""
        self.alive()
        self._limit_s = self._call_s
        try:
            yield
        finally:
            self.alive()
            self._limit_s = self._patience_s

    def watch(self, stop: threading.Event) -> None:
        """Wait until the loop hangs or `stop` is set."""
        while not stop.wait(min(self._patience_s / 10, 10.0)):
            if time.monotonic() - self._last_s > self._limit_s:
                _log.critical("the worker's loop has not turned for %.0f s; ending the process", self._limit_s)
                self._end(_EXIT_HUNG)
                return


def run_worker(
    settings: Settings,
    stop: threading.Event,
    *,
    runner: Runner | None = None,
    watchdog: Watchdog | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> None:
    """Carry jobs to their end until `stop` is set; stand by while another process leads.

    Troubles of the store are waited out, logged and told: the queue may be put right while we run.

    Args:
        settings: Where the queue and the platform are.
        stop: Ends the loop after the call in hand.
        runner: Another platform than the settings name.
        watchdog: Told with every turn of the loop.
        tell: Given the words of the loop's own trouble, "" when it is over.
    """
    loop = _Loop(settings, stop, runner, watchdog or Watchdog(), tell)
    while not stop.is_set():
        pause_s = _STAND_BY_S
        try:
            loop.turn()
        except TrackmapperError as error:
            _log.error("the worker waits: %s", error)
            tell(str(error))
            pause_s = _TROUBLE_S
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: its end would stop every job unseen
            _log.exception("the worker waits")
            tell(f"{type(error).__name__}: {error}")
            pause_s = _TROUBLE_S
        stop.wait(pause_s)


class _Loop:
    """The loop of one worker: what it holds from turn to turn."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        runner: Runner | None,
        watchdog: Watchdog,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.stop, self.runner, self.watchdog, self.tell = settings, stop, runner, watchdog, tell
        self.has_led = False
        self.announcer = Announcer(settings.notice_url) if settings.notice_url.get_secret_value().strip() else None

    def turn(self) -> None:
        """Lead for as long as that goes; return at once when another process leads."""
        self.watchdog.alive()
        database = data_folder.DataFolder.at(self.settings.data).database
        if self.has_led and not database.exists():
            # Preparing the folder would begin an empty queue in the place of the one that vanished.
            raise StoreUnusableError("the database has vanished", where=str(database), cure="Put it back.")
        data_folder.prepare(self.settings.data)
        with leading(self.settings.data) as lead:
            if lead is None:
                self.tell("")
                return
            with JobStore(self.settings.data) as store:
                self.has_led = True
                runner = self.runner or self._make_runner(store)
                if runner is None:
                    return
                monitor = Monitor(
                    store,
                    runner,
                    self.settings,
                    poll_s=poll_seconds(self.settings),
                    announcer=self.announcer,
                    calling=self.watchdog.calling,
                )
                self._lead(monitor, lead)

    def _make_runner(self, store: JobStore) -> Runner | None:
        """What makes the effects; None, after a while in which the pages can say why, when these settings name none."""
        try:
            return make_runner(self.settings)
        except SettingsError as error:
            _log.error("the worker waits: %s", error)
            self.tell(str(error))
            status = WorkerStatus(
                owner="", pid=os.getpid(), alive_since=utc_now(), waiting=str(error), health=HealthKind.REFUSING
            )
            store.set_worker_status(status)
            # Led meanwhile, so that the page shows these words; then another worker may have better settings.
            self.stop.wait(_TROUBLE_S)
            return None

    def _lead(self, monitor: Monitor, lead: Lead) -> None:
        _log.info("worker %s leads", monitor.owner)
        seen, next_pass_s = -1, 0.0

        def go_on() -> bool:
            self.watchdog.alive()
            return not self.stop.is_set() and lead.holds()

        while go_on():
            if monitor.store.version() != seen or time.monotonic() >= next_pass_s:
                try:
                    monitor.run_pass(go_on)
                    self.tell("")
                except StoreBusyError as error:
                    _log.warning("%s", error)
                    self.tell(str(error))
                # Our own writes are no news.
                seen = monitor.store.version()
                next_pass_s = time.monotonic() + min(monitor.poll_s, 1.0)
            self.stop.wait(_TICK_S)
        monitor.end()


class WorkerThread(threading.Thread):
    """The worker's loop in a thread of this process, with its watchdog. It ends with the process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="trackmapper-worker", daemon=True)
        self._settings = settings
        self.trouble = ""
        """The loop's own trouble in words; "" when there is none."""

    def run(self) -> None:
        """Carry jobs on."""
        _run_watched(self._settings, threading.Event(), self._tell)

    def _tell(self, words: str) -> None:
        self.trouble = words


def _run_watched(settings: Settings, stop: threading.Event, tell: Callable[[str], None] = lambda words: None) -> None:
    watchdog, ended = Watchdog(), threading.Event()
    threading.Thread(target=watchdog.watch, args=(ended,), name="trackmapper-watchdog", daemon=True).start()
    try:
        run_worker(settings, stop, watchdog=watchdog, tell=tell)
    finally:
        # A loop that has ended turns no more, and must not end the process of the one that follows it.
        ended.set()


def start_worker_thread(settings: Settings) -> WorkerThread:
    """The worker's thread of this process, started when none lives."""
    with _starting:
        for thread in threading.enumerate():
            if isinstance(thread, WorkerThread):
                return thread
        worker = WorkerThread(settings)
        worker.start()
        return worker


def main(arguments: list[str] | None = None) -> int:
    """Run the worker until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m jobs.worker_loop", description="The worker without a page.")
    parser.add_argument("--library", type=Path, help="folder of the local library")
    parser.add_argument("--data", type=Path, help="folder of the queue")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings(library=options.library, data=options.data)
    except TrackmapperError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _run_watched(settings, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
