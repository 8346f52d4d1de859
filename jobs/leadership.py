"""Which worker leads: told by a kernel lock that no clock can take away and that any death gives free."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import AwareDatetime

from jobs.data_folder import DataFolder
from jobs.records import Frozen

_LOCK = "leader.lock"


class WorkerStatus(Frozen):
    """A leading worker's report of itself."""

    owner: str
    pid: int
    alive_since: AwareDatetime
    last_pass: AwareDatetime | None = None
    in_hand: int = 0
    """Jobs that have not ended."""
    platform: str = ""
    waiting: str = ""
    """What holds all jobs up: a pause, a platform that cannot be reached; "" when nothing does."""
    errors: tuple[str, ...] = ()
    """The last few, newest last."""


@contextlib.contextmanager
def leading(data: Path) -> Iterator[bool]:
    """Hold the leader's lock for the time of the block, when nobody else does; gives whether we hold it.

    The lock belongs to the open file: never fork inside, a child would keep it.
    """
    handle = os.open(DataFolder.at(data).locks / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def is_led(data: Path) -> bool:
    """True while a living process leads the jobs of this data folder."""
    try:
        handle = os.open(DataFolder.at(data).locks / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two that ask at once do not take each other for a leader.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
