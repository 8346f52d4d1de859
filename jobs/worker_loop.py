"""The worker: leads when nobody else does, stands by otherwise. `python -m jobs.worker_loop` runs it without a page."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import StoreBusyError, StoreUnusableError, TrackmapperError
from core.platforms.base import Runner
from core.settings import Settings, load_settings
from jobs import data_folder
from jobs.leadership import leading
from jobs.monitor import Monitor
from jobs.store import JobStore

_log = logging.getLogger(__name__)
_TICK_S, _STAND_BY_S, _TROUBLE_S = 0.1, 0.5, 5.0
_HANG_S = 600.0
_EXIT_HUNG = 70
_THREAD = "trackmapper-worker"
_starting = threading.Lock()


def make_runner(settings: Settings) -> Runner:
    """The platform that the settings name."""
    # Imported here: whoever only asks whether a worker lives should not wait for the converter's libraries.
    from core.platforms.local import LocalRunner

    return LocalRunner(settings.library, settings.data)


def run_worker(
    settings: Settings,
    stop: threading.Event,
    *,
    runner: Runner | None = None,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Carry jobs to their end until `stop` is set; stand by while another process leads.

    Troubles of the store are waited out and logged: the queue may be put right while we run.

    Args:
        settings: Where the queue and the platform are.
        stop: Ends the loop after the call in hand.
        runner: Another platform than the settings name.
        alive: Called with every turn of the loop.
    """
    led = False
    while not stop.is_set():
        alive()
        pause_s = _STAND_BY_S
        try:
            folder = data_folder.prepare(settings.data)
            if led and not folder.database.exists():
                # Opening it would begin an empty queue in the place of the one that vanished.
                raise StoreUnusableError("the database has vanished", where=str(folder.database), cure="Put it back.")
            with leading(settings.data) as lead:
                if lead:
                    with JobStore(settings.data) as store:
                        led = True
                        _lead(Monitor(store, runner or make_runner(settings), settings), stop, alive)
        except TrackmapperError as error:
            _log.error("the worker waits: %s", error)
            pause_s = _TROUBLE_S
        stop.wait(pause_s)


def _lead(monitor: Monitor, stop: threading.Event, alive: Callable[[], None]) -> None:
    _log.info("worker %s leads", monitor.owner)
    seen, next_pass_s = -1, 0.0

    def go_on() -> bool:
        alive()
        return not stop.is_set()

    while go_on():
        if monitor.store.version() != seen or time.monotonic() >= next_pass_s:
            try:
                monitor.run_pass(go_on)
            except StoreBusyError as error:
                _log.warning("%s", error)
            # Our own writes are no news.
            seen = monitor.store.version()
            next_pass_s = time.monotonic() + min(monitor.settings.poll_seconds, 1.0)
        stop.wait(_TICK_S)


class Watchdog:
    """Ends the process when the worker's loop hangs, so that another one can lead."""

    def __init__(self, patience_s: float = _HANG_S, end: Callable[[int], object] = os._exit) -> None:
        self._patience_s, self._end = patience_s, end
        self._last_s = time.monotonic()

    def alive(self) -> None:
        """Tell that the loop has turned."""
        self._last_s = time.monotonic()

    def watch(self, stop: threading.Event) -> None:
        """Wait until the loop hangs or `stop` is set."""
        while not stop.wait(min(self._patience_s / 10, 10.0)):
            if time.monotonic() - self._last_s > self._patience_s:
                _log.critical("the worker's loop has not turned for %.0f s; ending the process", self._patience_s)
                self._end(_EXIT_HUNG)
                return


def start_worker_thread(settings: Settings) -> threading.Thread:
    """The worker's thread of this process, started when there is none yet. It ends with the process."""
    with _starting:
        for thread in threading.enumerate():
            if thread.name == _THREAD:
                return thread
        stop, watchdog = threading.Event(), Watchdog()
        threading.Thread(target=watchdog.watch, args=(stop,), name=f"{_THREAD}-watchdog", daemon=True).start()
        worker = threading.Thread(
            target=run_worker, args=(settings, stop), kwargs={"alive": watchdog.alive}, name=_THREAD, daemon=True
        )
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
    stop, watchdog = threading.Event(), Watchdog()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=watchdog.watch, args=(stop,), daemon=True).start()
    run_worker(settings, stop, alive=watchdog.alive)
    return 0


if __name__ == "__main__":
    sys.exit(main())
