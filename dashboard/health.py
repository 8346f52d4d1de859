"""How the platform and the worker are, and since when: asked once for all sessions of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from core.platforms.base import AssetReader, Health
from jobs.clock import utc_now

ASK_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class SeenHealth:
    """The last answer, and when answers of this kind began."""

    health: Health
    since: datetime


class HealthWatch:
    """Asks the platform how it is, at most every 20 s, one question at a time.

    Args:
        reader: Whom to ask.
        now: The present time, UTC.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        reader: AssetReader,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._now, self._clock = reader, now, clock
        self._asking = threading.Lock()
        self._asked = float("-inf")
        self._seen: SeenHealth | None = None

    @property
    def last(self) -> SeenHealth | None:
        """The last answer; None before the first. Never waits."""
        return self._seen

    def look(self) -> SeenHealth | None:
        """The last answer; None before the first. Only the caller whose turn it is to ask waits for the platform."""
        if self._clock() - self._asked > ASK_EVERY_S and self._asking.acquire(blocking=False):
            try:
                health = self._reader.health()
                before = self._seen
                same = before is not None and before.health.kind is health.kind
                self._seen = SeenHealth(health, before.since if same and before is not None else self._now())
                self._asked = self._clock()
            finally:
                self._asking.release()
        return self._seen


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """Whether a worker is alive, and what holds all of its jobs up."""

    alive: bool
    waiting: str = ""
