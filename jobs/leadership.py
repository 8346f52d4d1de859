"""Which worker leads: told by a kernel lock that no clock can take away and that any death gives free."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime

from core.platforms.base import HealthKind
from jobs.data_folder import DataFolder
from jobs.database import store_error
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
    health: HealthKind = HealthKind.OK
    """How the platform answers."""
    health_words: str = ""
    """What it says, or what went wrong; "" when all is well."""
    health_since: AwareDatetime | None = None
    """When the present trouble began."""
    notices: str = ""
    """Why people outside were not told of ends and questions; "" when they were."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The leader's lock, held."""

    handle: int
    path: Path

    def holds(self) -> bool:
        """False when the file of the lock was removed or replaced: another process could then lead beside us."""
        try:
            return os.path.samestat(os.fstat(self.handle), self.path.stat())
        except OSError:
            return False


@contextlib.contextmanager
def leading(data: Path) -> Iterator[Lead | None]:
    """Hold the leader's lock for the time of the block; gives None when somebody else holds it.

    The lock belongs to the open file: never fork inside, a child would keep it.

    Raises:
        StoreError: the lock's file cannot be opened.
    """
    path = DataFolder.at(data).locks / _LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        lead = Lead(handle, path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield lead if lead.holds() else None
    finally:
        os.close(handle)


def is_led(data: Path) -> bool:
    """True while a living process leads the jobs of this data folder.

    Raises:
        StoreError: it cannot be asked.
    """
    path = DataFolder.at(data).locks / _LOCK
    try:
        handle = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise store_error(error, path) from error
    try:
        # Shared, so that two that ask at once do not take each other for a leader.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
