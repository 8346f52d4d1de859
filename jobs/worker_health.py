"""How the worker is, in words: who leads, since when, what it has in hand and what went wrong."""

from __future__ import annotations

import os
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from core.errors import StoreError
from jobs.clock import utc_now
from jobs.database import sqlite_note
from jobs.leadership import WorkerStatus, is_led
from jobs.records import ENDS
from jobs.store import JobStore

_open_store = lru_cache(maxsize=1)(JobStore)


def health_lines(data: Path, *, running: bool, trouble: str = "") -> tuple[tuple[str, str], ...]:
    """Names and words of the worker's health.

    Args:
        data: The data folder.
        running: Whether the loop of this process runs.
        trouble: The loop's own trouble, in words.
    """
    process = (("This process", _process(running)), ("Its trouble", trouble or "none"))
    try:
        store = _open_store(data)
        status, counts = store.worker_status(), store.counts()
        led = is_led(data)
    except StoreError as error:
        _open_store.cache_clear()
        return (*process, ("Queue", str(error)))
    now = utc_now()
    waiting = sum(count for state, count in counts.items() if state not in ENDS)
    queue = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items() if count)
    return (
        *process,
        ("Leader", _leader(status, led)),
        ("Alive since", _when(status.alive_since, now) if status and led else "-"),
        ("Last pass", _when(status.last_pass, now) if status and status.last_pass else "-"),
        ("Jobs in hand", str(waiting)),
        ("Queue", queue or "empty"),
        ("Platform", _platform(status)),
        ("Waiting for", (status.waiting if status else "") or "nothing"),
        ("Notices", (status.notices if status else "") or "no trouble"),
        ("Last errors", "; ".join(status.errors) if status and status.errors else "none"),
        ("Database", sqlite_note()),
    )


def _process(running: bool) -> str:
    return f"process {os.getpid()}, its loop {'runs' if running else 'has ended: restart it'}"


def _leader(status: WorkerStatus | None, led: bool) -> str:
    if not led:
        return "nobody holds the leader's lock"
    if status is None:
        return "somebody holds the leader's lock and has not reported yet"
    return "this process" if status.pid == os.getpid() else f"process {status.pid}; this one stands by"


def _platform(status: WorkerStatus | None) -> str:
    if status is None:
        return "-"
    since = f" since {status.health_since:%Y-%m-%d %H:%M}Z" if status.health_since else ""
    words = f": {status.health_words}" if status.health_words else ""
    return f"{status.platform}, {status.health}{since}{words}"


def _when(at: datetime, now: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z ({max(0, round((now - at).total_seconds()))} s ago)"
