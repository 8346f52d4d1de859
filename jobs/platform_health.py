"""How the platform answers the worker, and when nothing is sent to it for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.platforms.base import HealthKind
from jobs.call_answers import Answer, NotReached, Throttled
from jobs.records import Moment

FAILURES_TO_BREAK, BREAK_S = 5, 60.0
_PAUSE_CAP_S = 600.0


class PlatformHealth:
    """Hears every answer of one platform.

    After several outages in a row, or when the platform refuses us or asks for a pause, nothing is sent for any job
    for a while; then one call finds out. A refusal beside answers to others is one job's own, which waits by itself.

    Args:
        name: The platform's name, for people.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.kind = HealthKind.OK
        self.words = ""
        """What the platform says, or what went wrong; "" when all is well."""
        self.since: datetime | None = None
        """When the present trouble began."""
        self._failures, self._closed_until_s = 0, 0.0
        self._first_at: datetime | None = None
        self._answered_s: float | None = None

    def heard(self, answer: Answer, now: Moment) -> None:
        """Take account of the platform's answer to a call."""
        if isinstance(answer, NotReached) and not answer.is_outage:
            return  # it answers, though not well
        if not isinstance(answer, NotReached | Throttled):
            self.kind, self.words, self.since, self._first_at = HealthKind.OK, "", None, None
            self._failures, self._closed_until_s, self._answered_s = 0, 0.0, now.boot_s
            return
        is_refusal = isinstance(answer, NotReached) and answer.is_refusal
        if is_refusal and self._answered_s is not None and now.boot_s - self._answered_s < BREAK_S:
            return
        self._failures += 1
        self._first_at = self._first_at or now.at
        if is_refusal:
            self._close(HealthKind.REFUSING, answer.words, now, BREAK_S)
        elif answer.retry_after_s is not None:
            self._close(HealthKind.SLOW, answer.words, now, min(answer.retry_after_s, _PAUSE_CAP_S))
        elif self._failures >= FAILURES_TO_BREAK:
            kind = HealthKind.SLOW if isinstance(answer, Throttled) else HealthKind.AWAY
            self._close(kind, answer.words, now, BREAK_S)

    def _close(self, kind: HealthKind, words: str, now: Moment, seconds: float) -> None:
        self.since = self.since if self.kind is kind else self._first_at
        self.kind, self.words, self._closed_until_s = kind, words, now.boot_s + seconds
        self._opens_at = now.at + timedelta(seconds=seconds)

    def is_closed(self, now: Moment) -> bool:
        """True while nothing is to be sent."""
        return now.boot_s < self._closed_until_s

    def banner(self, now: Moment) -> str:
        """What holds all jobs up, in words; "" when nothing does."""
        since = f"since {self.since:%Y-%m-%d %H:%M}Z" if self.since else ""
        match self.kind:
            case HealthKind.REFUSING:
                return f"{self._name} refuses us {since}: {self.words}; no job fails by that, all wait"
            case HealthKind.AWAY:
                return f"{self._name} cannot be reached {since}; trying again every minute"
            case HealthKind.SLOW if self.is_closed(now):
                return f"{self._name} asks for a pause until {self._opens_at:%H:%M:%S}Z"
            case _:
                return ""
