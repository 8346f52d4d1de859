"""What one look at a run says: of a run of our own, or of a monitor's run and the conversion that it started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.platforms.base import RunState, RunStatus, SettlePolicy
from jobs.call_answers import Followed
from jobs.records import JobRecord, Moment, RemoteRun

_DETAIL_CAP = 500


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a run, as the job sees it."""

    remote: RemoteRun
    has_ended: bool
    """Nothing of it goes on, and `remote` says how the conversion ended."""
    twins: tuple[str, ...] = ()
    """Ids of further conversions of one monitor."""
    monitor_words: str = ""
    """How the monitor ended."""
    clean_looks: int = 0
    """Looks in a row that missed what there should be."""
    lost: str = ""
    """Why the job cannot go on; "" when it can."""


def seen_alone(record: JobRecord, status: RunStatus, asked: Moment, settle: SettlePolicy) -> Look:
    """A look at a run that we started and that converts.

    Args:
        record: As it was when the look was made.
        status: What was seen.
        asked: When it was asked for.
        settle: How long a run that we know may not show.
    """
    if status.state is RunState.GONE:
        return _unseen(record, status, asked, settle)
    return Look(remote_of(status), not status.state.goes_on)


def followed(record: JobRecord, answer: Followed, asked: Moment, settle: SettlePolicy) -> Look:
    """A look at a monitor's run and the conversion that it started.

    The conversion's outcome counts. The job waits for both, because a monitor that goes on may still keep the
    result, and a conversion goes on without its monitor.

    Args:
        record: As it was when the look was made.
        answer: What was seen.
        asked: When it was asked for.
        settle: How long a conversion may take to show up after its monitor has ended, and a known one may not show.
    """
    monitor, child = answer.monitor, answer.child
    monitor_goes = monitor.state.goes_on
    if child is None:
        if monitor_goes:
            words = "the monitor has not started the conversion yet"
            return Look(RemoteRun(state=monitor.state.value, detail=words), has_ended=False)
        return _none_started(record, monitor, asked, settle)
    twins = tuple(other for other in answer.children if other != child.id)
    if not monitor_goes and child.state is RunState.GONE:
        look = _unseen(record, child, asked, settle, child.id)
        return replace(look, twins=twins, monitor_words=run_words(remote_of(monitor)) if look.has_ended else "")
    if not monitor_goes and not child.state.goes_on:
        ended = run_words(remote_of(monitor))
        return Look(remote_of(child, child.id), has_ended=True, twins=twins, monitor_words=ended)
    if not monitor_goes:
        words = "the monitor ended; the conversion goes on"
    elif child.state.goes_on:
        words = f"the conversion is {child.state.value}" + (f": {child.detail}" if child.detail else "")
    else:
        words = f"the conversion ended ({run_words(remote_of(child))}); the monitor goes on"
    going = RemoteRun(state=RunState.RUNNING.value, detail=words[:_DETAIL_CAP], child=child.id)
    return Look(going, has_ended=False, twins=twins)


def _none_started(record: JobRecord, monitor: RunStatus, asked: Moment, settle: SettlePolicy) -> Look:
    """The monitor has ended and no conversion of it is known: it may only not show yet."""
    since, looks, waited_s = _missed(record, "", asked, settle)
    ended = f"the monitor ended ({run_words(remote_of(monitor))})"
    lost = ""
    if looks >= settle.clean_looks and waited_s >= settle.run_window_s:
        lost = f"{ended} and no conversion of it was found in {waited_s:.0f} s; the log of the monitor's run says why"
    detail = f"{ended}; looking for the conversion that it started"
    seen = RemoteRun(state=RunState.RUNNING.value, detail=detail[:_DETAIL_CAP], since=since)
    return Look(seen, has_ended=False, clean_looks=looks, lost=lost)


def _unseen(record: JobRecord, status: RunStatus, asked: Moment, settle: SettlePolicy, child: str = "") -> Look:
    """A run that we know does not show. It may go on, and cost, while lists and its own record lag behind."""
    since, looks, waited_s = _missed(record, child, asked, settle)
    if settle.lost_window_s <= 0 or (looks >= settle.clean_looks and waited_s >= settle.lost_window_s):
        return Look(remote_of(status, child), has_ended=True)
    detail = f"the platform does not show the run ({status.detail or status.state}); looking for it"
    seen = RemoteRun(state=RunState.RUNNING.value, detail=detail[:_DETAIL_CAP], child=child, since=since)
    return Look(seen, has_ended=False, clean_looks=looks)


def _missed(record: JobRecord, child: str, asked: Moment, settle: SettlePolicy) -> tuple[Moment, int, float]:
    """Since when something is missed, how many looks have missed it in a row, and the seconds between them."""
    since = record.remote.since if record.remote.child == child else None
    waited_s = 0.0 if since is None else asked.seconds_since(since)
    looks = min((0 if since is None else record.clean_looks) + 1, max(settle.clean_looks, 1))
    if since is None or waited_s < 0:
        return asked, looks, 0.0  # also after the clock was turned back over a restart: the window begins anew
    return since, looks, waited_s


def first_new(record: JobRecord, found: Iterable[str]) -> str:
    """The first of these runs that was not put aside before; "" when there is none."""
    return next((run for run in found if run not in record.surplus), "")


def shown_conversion(record: JobRecord, conversions: tuple[str, ...], now: Moment) -> JobRecord:
    """A conversion that shows proves that its monitor was started, whether that one shows or not."""
    first = first_new(record, conversions)
    if record.remote.child or not first:
        return record
    after = record.changed(remote=RemoteRun(child=first))
    return after.told(now.at, "the conversion shows, its monitor does not", first)


def set_aside(record: JobRecord) -> JobRecord:
    """The job without the conversion that it knows of: that one was stopped, or is of an earlier start."""
    return record.changed(surplus=(*record.surplus, record.remote.child), remote=RemoteRun())


def run_words(remote: RemoteRun) -> str:
    """`failed, exit code 1: out of memory`."""
    code = "" if remote.exit_code is None else f", exit code {remote.exit_code}"
    return f"{remote.state}{code}" + (f": {remote.detail}" if remote.detail else "")


def remote_of(status: RunStatus, child: str = "") -> RemoteRun:
    """A run as the job keeps it."""
    detail = status.detail[:_DETAIL_CAP]
    return RemoteRun(state=status.state.value, exit_code=status.exit_code, detail=detail, child=child)
