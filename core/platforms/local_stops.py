"""Ends conversions of this machine: one that runs, and one that may still be about to start."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import datetime

from core import atomic_files
from core.errors import PlatformError
from core.platforms.local_library import cannot_write
from core.platforms.local_runs import ProcessIdentity, RunFolder, identity_json, is_alive, read_identity, to_json

STOP_S = 5.0
"""How long processes may take to end when asked, and when killed."""
_LOOK_S = 0.02
_NOBODY = ProcessIdentity(0, "", "")
"""Owns a run that must never start."""


def stop(run: RunFolder, asked: datetime) -> None:
    """End a run's processes and wait for it; a run that has none is left as it is.

    Raises:
        PlatformError: they do not end.
    """
    if run.exit.exists() or not _alive_pids(run):
        return
    told = _record_wish(run, asked)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _alive_pids(run):
            # The supervisor leads a group of its own that the converter and its children belong to.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(pid), number)
        if _wait_for_end(run):
            if not told:
                _record_wish(run, asked)
            return
    raise PlatformError(
        "its processes do not end", where=run.path.name, cure="End them by hand, or restart the machine."
    )


def forbid(run: RunFolder, asked: datetime) -> None:
    """Take a run that nobody owns yet, so that a supervisor that comes late finds it taken.

    Raises:
        RefusedError: nothing could be written, so it may still start.
    """
    if run.identity.exists():
        return  # also with a full disk: what runs must be found and stopped next
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        if atomic_files.create_file(run.identity, identity_json(_NOBODY)):
            _record_wish(run, asked)
    except OSError as error:
        raise cannot_write(run.path, error) from error


def is_forbidden(run: RunFolder) -> bool:
    """Whether the run never started and never will."""
    return read_identity(run.identity) == _NOBODY


def _record_wish(run: RunFolder, asked: datetime) -> bool:
    """Write down that the end was wished; a full disk must not keep a conversion alive."""
    try:
        atomic_files.write_file(run.stop, to_json({"asked": asked.isoformat()}))
    except OSError:
        return False
    return True


def _alive_pids(run: RunFolder) -> list[int]:
    told = (read_identity(run.identity), read_identity(run.converter))
    return [identity.pid for identity in told if identity is not None and is_alive(identity)]


def _wait_for_end(run: RunFolder) -> bool:
    deadline = time.monotonic() + STOP_S
    while _alive_pids(run):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True
