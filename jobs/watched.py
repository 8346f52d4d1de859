"""What one look at a run says: of a run of our own, or of a monitor's run and the conversion that it started."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Looks that found an ended monitor and no conversion of it."""
    lost: str = ""
    """Why the job cannot go on; "" when it can."""


def seen_alone(status: RunStatus) -> Look:
    """A look at a run that we started and that converts."""
    return Look(_remote(status), not status.state.goes_on)


def followed(record: JobRecord, answer: Followed, now: Moment, settle: SettlePolicy) -> Look:
    """A look at a monitor's run and the conversion that it started.

    The conversion's outcome counts. The job waits for both, because a monitor that goes on may still keep the
    result, and a conversion goes on without its monitor.

    Args:
        record: As it was when the look was made.
        answer: What was seen.
        now: When.
        settle: How long a conversion may take to show up after its monitor has ended.
    """
    monitor, child = answer.monitor, answer.child
    monitor_goes = monitor.state.goes_on
    if child is None:
        if monitor_goes:
            words = "the monitor has not started the conversion yet"
            return Look(RemoteRun(state=monitor.state.value, detail=words), has_ended=False)
        return _none_started(record, monitor, now, settle)
    twins = tuple(other for other in answer.children if other != child.id)
    if not monitor_goes and not child.state.goes_on:
        return Look(_remote(child, child.id), has_ended=True, twins=twins, monitor_words=run_words(_remote(monitor)))
    if not monitor_goes:
        words = "the monitor ended; the conversion goes on"
    elif child.state.goes_on:
        words = f"the conversion is {child.state.value}" + (f": {child.detail}" if child.detail else "")
    else:
        words = f"the conversion ended ({run_words(_remote(child))}); the monitor goes on"
    going = RemoteRun(state=RunState.RUNNING.value, detail=words[:_DETAIL_CAP], child=child.id)
    return Look(going, has_ended=False, twins=twins)


def _none_started(record: JobRecord, monitor: RunStatus, now: Moment, settle: SettlePolicy) -> Look:
    """The monitor has ended and no conversion of it is known: it may only not show yet."""
    since = record.remote.since
    waited_s = 0.0 if since is None else now.seconds_since(since)
    if since is None or waited_s < 0:
        since, waited_s = now, 0.0  # also after the clock was turned back over a restart: the window begins anew
    looks = min(record.clean_looks + 1, max(settle.clean_looks, 1))
    ended = f"the monitor ended ({run_words(_remote(monitor))})"
    lost = ""
    if looks >= settle.clean_looks and waited_s >= settle.run_window_s:
        lost = f"{ended} and no conversion of it was found in {waited_s:.0f} s; the log of the monitor's run says why"
    detail = f"{ended}; looking for the conversion that it started"
    seen = RemoteRun(state=RunState.RUNNING.value, detail=detail[:_DETAIL_CAP], since=since)
    return Look(seen, has_ended=False, clean_looks=looks, lost=lost)


def run_words(remote: RemoteRun) -> str:
    """`failed, exit code 1: out of memory`."""
    code = "" if remote.exit_code is None else f", exit code {remote.exit_code}"
    return f"{remote.state}{code}" + (f": {remote.detail}" if remote.detail else "")


def _remote(status: RunStatus, child: str = "") -> RemoteRun:
    detail = status.detail[:_DETAIL_CAP]
    return RemoteRun(state=status.state.value, exit_code=status.exit_code, detail=detail, child=child)
