"""`trackmapper demo`: the sample mouse, the dashboard and a worker, ended together by Ctrl-C.

Unlike a lab's worker, whose death spares its conversions, the end of the demo stops them and records that.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from core.errors import TrackmapperError
from core.platforms.local import LocalRunner
from core.sample import write_sample
from core.settings import Settings
from dashboard import servers
from jobs import leadership, submission
from jobs.store import JobStore

DEMO_FOLDER = servers.ROOT / ".trackmapper" / "demo"
STOP_PATIENCE_S = 20.0


def run(options: argparse.Namespace, settings: Settings, *, say: Callable[[str], None]) -> int:
    """Write the sample mouse, serve both processes, wait for Ctrl-C, end everything."""
    folder = options.data.resolve().parent if options.data else DEMO_FOLDER
    data = options.data.resolve() if options.data else folder / "data"
    with servers.signals_raise(), only_demo(folder, data):
        say("Writing the sample mouse ...")
        summary = write_sample(options.library.resolve().parent if options.library else folder / "sample")
        port = servers.free_port(settings.port)
        settings = settings.model_copy(
            update={
                "platform": "local",
                "library": summary.library,
                "data": data,
                "port": port,
                "worker_port": servers.free_port(settings.worker_port, taken=frozenset({port})),
                "poll_seconds": min(settings.poll_seconds, 1.0),
            }
        )
        return _serve(options, settings, summary.states[0].path, say)


@contextmanager
def only_demo(folder: Path, data: Path) -> Iterator[None]:
    """Nobody else works on this data for the time of the block: a demo ends by cancelling every job in it.

    Raises:
        TrackmapperError: another demo or a worker does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The lock belongs to the open file, which no child inherits; any death of ours gives it free.
    with (folder / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = data.exists() and leadership.is_led(data)
        except BlockingIOError:
            taken = True
        if taken:
            raise TrackmapperError(
                "another demo or a worker is running on this data",
                where=str(data),
                cure="End it first, or give this demo a folder of its own: trackmapper demo --data DIR",
            )
        yield


def _serve(options: argparse.Namespace, settings: Settings, state: Path, say: Callable[[str], None]) -> int:
    env = servers.environment(settings)
    with (
        servers.started(servers.WORKER, settings.worker_port, env) as worker,
        servers.started(servers.DASHBOARD, settings.port, env) as dashboard,
    ):
        try:
            servers.wait_until_serving(dashboard, settings.port)
            servers.wait_until_serving(worker, settings.worker_port)
            _welcome(state, settings, say)
            if not options.no_browser and _has_display():
                webbrowser.open(servers.page_url(servers.DASHBOARD, settings.port))
            while dashboard.poll() is None and worker.poll() is None:
                time.sleep(0.3)
            raise TrackmapperError("the dashboard or the worker ended by itself", cure="Its messages stand above.")
        except KeyboardInterrupt:
            return 0
        finally:
            with servers.signals_held():
                _stop_conversions(settings, say)


def _welcome(state: Path, settings: Settings, say: Callable[[str], None]) -> None:
    say("")
    say(f"  Dashboard: {servers.page_url(servers.DASHBOARD, settings.port)}")
    say(f"  Worker:    {servers.page_url(servers.WORKER, settings.worker_port)}")
    say("")
    say(f"On the Map page choose the saved state {state.stem!r}, or paste a Neuroglancer link of your own.")
    say("Ctrl-C ends both.")


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _stop_conversions(settings: Settings, say: Callable[[str], None]) -> None:
    """Cancel what runs while the worker still lives, so that the records say so; then stop what is left."""
    say("\nEnding the demo ...")
    runner = LocalRunner(settings.library, settings.data)
    try:
        with JobStore(settings.data) as store:
            for record in store.active():
                say(f"Stopping job {int(record.id)} ...")
                # A job that ended in this moment needs no stopping.
                with suppress(TrackmapperError):
                    submission.cancel(store, record.id, user="the end of the demo", now=datetime.now(UTC))
            deadline = time.monotonic() + STOP_PATIENCE_S
            while store.active() and time.monotonic() < deadline:
                time.sleep(0.2)
    finally:
        for run_id in runner.active_runs():
            runner.stop_run(run_id)
