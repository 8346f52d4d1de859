"""`trackmapper demo`: the sample mouse, the dashboard and a worker, ended together by Ctrl-C.

Unlike a lab's worker, whose death spares its conversions, the end of the demo stops them and records that.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.errors import TrackmapperError
from core.platforms.local import LocalRunner
from core.sample import write_sample
from core.settings import Settings
from dashboard import servers
from jobs import submission
from jobs.store import JobStore

DEMO_FOLDER = servers.ROOT / ".trackmapper" / "demo"
STOP_PATIENCE_S = 20.0


def run(options: argparse.Namespace, settings: Settings, *, say: Callable[[str], None]) -> int:
    """Write the sample mouse, serve both processes, wait for Ctrl-C, end everything."""
    with servers.signals_raise():
        say("Writing the sample mouse ...")
        folder = DEMO_FOLDER if options.data is None else options.data.resolve().parent
        summary = write_sample(options.library.resolve().parent if options.library else folder / "sample")
        port = servers.free_port(settings.port)
        settings = settings.model_copy(
            update={
                "library": summary.library,
                "data": settings.data.resolve() if options.data else folder / "data",
                "port": port,
                "worker_port": servers.free_port(settings.worker_port, taken=frozenset({port})),
                "poll_seconds": min(settings.poll_seconds, 1.0),
            }
        )
        env = servers.environment(settings)
        with (
            servers.started(servers.WORKER, settings.worker_port, env) as worker,
            servers.started(servers.DASHBOARD, port, env) as dashboard,
        ):
            try:
                servers.wait_until_serving(dashboard, port)
                servers.wait_until_serving(worker, settings.worker_port)
                _welcome(summary.states[0].path, settings, say)
                if not options.no_browser and _has_display():
                    webbrowser.open(servers.page_url(servers.DASHBOARD, port))
                while dashboard.poll() is None and worker.poll() is None:
                    time.sleep(0.3)
                raise TrackmapperError("the dashboard or the worker ended by itself", cure="Its messages stand above.")
            except KeyboardInterrupt:
                say("\nEnding the demo ...")
                return 0
            finally:
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
    runner = LocalRunner(settings.library, settings.data)
    with JobStore(settings.data) as store:
        for record in store.active():
            say(f"Stopping job {int(record.id)} ...")
            submission.cancel(store, record.id, user="the end of the demo", now=datetime.now(UTC))
        deadline = time.monotonic() + STOP_PATIENCE_S
        while store.active() and time.monotonic() < deadline:
            time.sleep(0.2)
    for run_id in runner.active_runs():
        runner.stop_run(run_id)
