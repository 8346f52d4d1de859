"""Keeps the end of a run's log in the queue: the platform may take it away with the run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from core.platforms.base import MONITORED, Runner
from jobs.records import JobRecord, Moment
from jobs.store import JobStore

_log = logging.getLogger(__name__)
LOG_CAP = 256 * 1024
TRIES = 3
"""How often a log is asked for before its run is stopped without."""
NO_LOG = "no log could be kept"
"""The event that says so."""


class LogKeeper:
    """Keeps logs, each once. A log is a help for people: no job fails by it, and none waits long for it.

    Args:
        store: The queue.
        runner: The platform.
        calling: Entered round every call on the platform.
    """

    def __init__(self, store: JobStore, runner: Runner, calling: Callable[[], AbstractContextManager[object]]) -> None:
        self._store, self._runner, self._calling = store, runner, calling
        self._tries: dict[str, int] = {}

    def keep(self, record: JobRecord, now: Moment, *, before_stop: bool = False) -> JobRecord | None:
        """The job with its log; the same one when there is none.

        Args:
            record: The job.
            now: The time.
            before_stop: The log may be taken away next. Then None means: stop nothing yet, ask again a little later.
        """
        runs = _runs_of(record)
        if record.log_sha256 or not runs:
            return record
        logs, trouble = {}, ""
        for run, what in runs.items():
            try:
                with self._calling():
                    if log := self._runner.read_log(run, LOG_CAP):
                        logs[what] = log
            except Exception as error:  # noqa: BLE001 - whatever it is, the job goes on
                _log.info("job %s: a log was not read: %s", record.id, type(error).__name__)
                trouble = "it could not be read"
        if before_stop and trouble:
            tried = self._tries[record.id] = self._tries.get(record.id, 0) + 1
            if tried < TRIES:
                return None
        if before_stop and len(logs) < len(runs) and all(event.what != NO_LOG for event in record.events):
            missing = ", ".join(what for what in runs.values() if what not in logs)
            record = record.told(now.at, NO_LOG, f"{missing}: {trouble or 'the platform has none yet'}")
        elif not logs:
            return record
        kept = _joined(logs, len(runs))
        if not kept:
            return self._store.put(record)
        return self._store.put(record.changed(log_sha256=hashlib.sha256(kept).hexdigest()), blobs=(kept,))

    def forget(self, job_id: str) -> None:
        """A job has ended."""
        self._tries.pop(job_id, None)


def _runs_of(record: JobRecord) -> dict[str, str]:
    """The runs whose logs say what happened, and what each is; the one that converts comes last."""
    ours, converts = record.ids.run, record.conversion_run
    runs = {ours: "the monitor's run" if record.route == MONITORED else "the run"} if ours else {}
    if converts and converts != ours:
        runs[converts] = "the conversion"
    return {run: f"{what} {run}" for run, what in runs.items()}


def _joined(logs: dict[str, bytes], runs: int) -> bytes:
    """The ends of the logs, within what is kept; where there are several runs each under its name."""
    if runs == 1:
        return b"".join(logs.values())[-LOG_CAP:]
    share = LOG_CAP // runs
    return b"\n".join(b"--- log of %s ---\n%s" % (what.encode(), log[-share:]) for what, log in logs.items())
