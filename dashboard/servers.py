"""Starts the served processes: the dashboard, the worker, and both for the demo.

Every server listens on loopback, unless a person says otherwise and people must log in, and names the origins a
browser may use: a bare `panel serve` listens everywhere, and a page opened as 127.0.0.1 stays blank when only
localhost is allowed.
"""

from __future__ import annotations

import http
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import SettingsError, TrackmapperError
from core.platforms.choice import is_code_ocean
from core.settings import Settings
from jobs import exposure

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
DASHBOARD = "dashboard/app.py"
WORKER = "jobs/worker.py"
LOG_INS = ("PANEL_OAUTH_PROVIDER", "PANEL_BASIC_AUTH")
"""Variables by which Panel asks people to log in; their secrets are read from the environment, too."""
MAX_MESSAGE_BYTES = 24 * 1024 * 1024
"""A 16 MiB upload grows by a third on its way through the websocket."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server listens, and by which names browsers may reach it."""

    address: str = LOOPBACK
    origins: tuple[str, ...] = ()
    """Further `host[:port]` that people type, e.g. of a reverse proxy."""


THIS_MACHINE = Door()


def panel_command(script: str, port: int, door: Door = THIS_MACHINE) -> list[str]:
    """The `panel serve` command line of a script; the README shows it without log level and health check."""
    command = [sys.executable, "-m", "panel", "serve", str(ROOT / script)]
    command += ["--address", door.address, "--port", str(port)]
    for origin in (f"{LOOPBACK}:{port}", f"localhost:{port}", *door.origins):
        command += ["--allow-websocket-origin", origin]
    command += ["--websocket-max-message-size", str(MAX_MESSAGE_BYTES), "--log-level", "warning", "--liveness"]
    # The worker must run before anybody opens its page, and the first visitor must not wait seconds for imports.
    command += ["--warm"]
    return [*command, "--plugins", "dashboard.viewer_routes"] if script == DASHBOARD else command


def refuse_open_door(door: Door) -> None:
    """Refuse to listen beyond this machine without a log-in; the pages themselves refuse, too.

    Raises:
        SettingsError: nobody would have to log in.
    """
    if exposure.is_exposed([door.address]) and not any(os.environ.get(name) for name in LOG_INS):
        raise SettingsError(
            f"anybody could use the page at {door.address} without a log-in",
            where="--address",
            cure=f"Set {' or '.join(LOG_INS)} in the environment (docs/lab.md), or leave --address out.",
        )


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a served process: ours, with the settings made explicit and absolute."""
    return {
        **os.environ,
        # Explicit, because a library that is named would else decide it.
        "TRACKMAPPER_PLATFORM": "code_ocean" if is_code_ocean(settings) else "local",
        "TRACKMAPPER_LIBRARY": str(settings.library.resolve()),
        "TRACKMAPPER_DATA": str(settings.data.resolve()),
        "TRACKMAPPER_USER": settings.user,
        "TRACKMAPPER_PORT": str(settings.port),
        "TRACKMAPPER_WORKER_PORT": str(settings.worker_port),
        "TRACKMAPPER_POLL_SECONDS": str(settings.poll_seconds),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }


def page_url(script: str, port: int) -> str:
    """The address of a served script's page."""
    return f"http://{LOOPBACK}:{port}/{Path(script).stem}"


def free_port(preferred: int, taken: frozenset[int] = frozenset()) -> int:
    """`preferred` when nothing listens there, else the next free one above it."""
    for port in range(preferred, min(preferred + 200, 65536)):
        if port in taken:
            continue
        with socket.socket() as probe:
            # Without it a port that was left a minute ago would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise TrackmapperError(
        "no free port was found", where=f"ports {preferred} to {preferred + 199}", cure="Set TRACKMAPPER_PORT."
    )


def run_in_foreground(script: str, port: int, settings: Settings, door: Door = THIS_MACHINE) -> int:
    """Serve a script until Ctrl-C; returns the exit code of `panel serve`."""
    with started(script, port, environment(settings), door) as process, signals_raise():
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0


@contextmanager
def started(
    script: str, port: int, env: Mapping[str, str], door: Door = THIS_MACHINE
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in its own process group, so that Ctrl-C reaches it only through us, in order; ended at the end."""
    process = None
    try:
        with signals_held():
            command = panel_command(script, port, door)
            process = subprocess.Popen(command, cwd=ROOT, env=dict(env), start_new_session=True)
        yield process
    finally:
        if process is not None:
            with signals_held():
                end(process)


def end(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """Ask a server and its children to end, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            continue


def wait_until_serving(process: subprocess.Popen[bytes], port: int, patience_s: float = 90.0) -> None:
    """Return when the server answers its liveness address.

    Raises:
        TrackmapperError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrackmapperError(
                f"the server on port {port} ended with code {process.returncode}", cure="Its messages stand above."
            )
        try:
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
            connection.request("GET", "/liveness")
            answered = connection.getresponse().status == http.HTTPStatus.OK
            connection.close()
        except OSError:
            answered = False
        if answered and process.poll() is None:  # else somebody else's server answered on this port
            return
        time.sleep(0.1)
    raise TrackmapperError(f"the server on port {port} did not answer within {patience_s:.0f} s", cure="Try again.")


_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does, so that what was started is ended too; nohup is respected."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # SIGINT also where it was ignored: a shell does that to what it starts in the background.
    ours = [n for n in _ENDS if n is signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
    with _handled(ours, interrupt):
        yield


@contextmanager
def signals_held() -> Iterator[None]:
    """What is done in the block is done to its end, however often somebody presses Ctrl-C.

    A handler of ours and not SIG_IGN, which children would inherit.
    """
    with _handled(_ENDS, lambda number, frame: None):
        yield


@contextmanager
def _handled(numbers: Iterable[int], handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
