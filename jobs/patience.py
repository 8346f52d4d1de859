"""How long a job waits before the next call: back-offs, looks, and pauses that the platform asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jobs.call_answers import NotReached, Throttled
from jobs.records import JobRecord, Moment

BACK_OFF_S, BACK_OFF_CAP_S = 5.0, 600.0
PAUSE_CAP_S = 3600.0
"""The longest pause that a platform is given, however long it asks for."""
_LOOK_S, _LOOK_CAP_S = 1.0, 120.0
NO_WAIT: dict[str, Any] = {"tries": 0, "due": None, "pause_s": 0.0, "throttled": False, "error": ""}
"""The fields of a job that waits for nothing."""


def is_due(record: JobRecord, now: Moment) -> bool:
    """True when the job waits for nothing, or has waited long enough."""
    if record.due is None:
        return True
    ahead_s = (record.due - now.at).total_seconds()
    # What lies further ahead than it was ever set was set before the clock was turned back.
    longest_s = back_off_s(record.tries) if record.tries else look_again_s(record.clean_looks)
    return ahead_s <= 0 or ahead_s > max(longest_s, record.pause_s)


def back_off_s(tries: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(BACK_OFF_CAP_S, BACK_OFF_S * 2.0 ** min(tries - 1, 10)))


def look_again_s(looks: int) -> float:
    """Seconds between two looks for a lost effect, after so many."""
    return float(min(_LOOK_CAP_S, _LOOK_S * 2.0 ** min(looks, 10)))


def wait(record: JobRecord, answer: NotReached | Throttled, now: Moment, jitter: float) -> JobRecord:
    """The job after a call that could not be made: longer with each failure in a row, or as long as it was asked."""
    tries, asked_s = record.tries + 1, answer.retry_after_s
    pause_s = 0.0 if asked_s is None else min(max(asked_s, _LOOK_S), PAUSE_CAP_S)
    wait_s = pause_s or back_off_s(tries) * (0.5 + 0.5 * jitter)
    return record.changed(tries=tries, due=now.at + timedelta(seconds=wait_s), pause_s=pause_s, error=answer.words)
