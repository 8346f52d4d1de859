"""The runs that the queue knows of, for a worker that has just begun and has seen none of them."""

from __future__ import annotations

from core.platforms.base import MONITORED, KnownRun, Runner, RunState
from jobs.calls import misplaced, run_key
from jobs.records import JobRecord
from jobs.store import JobStore

_NEWEST = 200
"""Jobs looked at: more than any capsule has runs that may not show yet."""


def known_runs(store: JobStore, runner: Runner) -> tuple[KnownRun, ...]:
    """Runs of the newest jobs and of all that go on, on the runner's platform."""
    records = {record.id: record for record in (*store.newest(_NEWEST), *store.active())}
    return tuple(run for record in records.values() if not misplaced(record, runner) for run in _runs_of(record))


def _runs_of(record: JobRecord) -> tuple[KnownRun, ...]:
    if record.ids.run is None or record.started is None:
        return ()
    key, child = run_key(record), record.remote.child
    # What is being stopped, or is gone, is expected in no list.
    shows = record.cancel is None and record.remote.state != RunState.GONE
    ours = KnownRun(record.ids.run, key, record.started, should_show=shows)
    if record.route != MONITORED or not child:
        return (ours,)
    return (ours, KnownRun(child, key, record.started, is_child=True, should_show=shows))
