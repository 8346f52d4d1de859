"""The moves that a job makes, as pure functions: to the beginning of a step, to an end, to a failure."""

from __future__ import annotations

from jobs.patience import NO_WAIT
from jobs.records import STATE_OF_STEP, JobRecord, JobState, Moment, Phase, Step

AFTER = {
    Step.MANIFEST_ASSET: Step.STATE_ASSET,
    Step.STATE_ASSET: Step.INPUTS_READY,
    Step.RUN: Step.WATCH,
    Step.CAPTURE: Step.CAPTURE_READY,
}
ID_OF = {
    Step.MANIFEST_ASSET: "manifest_asset",
    Step.STATE_ASSET: "state_asset",
    Step.RUN: "run",
    Step.CAPTURE: "result",
}
WORDS = {
    Step.MANIFEST_ASSET: "manifest asset",
    Step.STATE_ASSET: "state asset",
    Step.RUN: "run",
    Step.CAPTURE: "result asset",
}


def begin(record: JobRecord, step: Step) -> JobRecord:
    """The job at the beginning of a step."""
    state = JobState.CANCELLING if record.cancel else STATE_OF_STEP[step]
    return record.changed(
        **{"step": step, "state": state, "phase": Phase.READY, "intent": None, "clean_looks": 0, "reposts": 0},
        waits_since=None,
        overdue=False,
        **NO_WAIT,
    )


def reached(record: JobRecord) -> JobRecord:
    """The same job; the words of an outage are taken away when the platform answers again."""
    return record if not record.tries else record.changed(**NO_WAIT)


def end(record: JobRecord, state: JobState, words: str, now: Moment) -> JobRecord:
    """A last end: nothing of the job may be tried again."""
    ended = record.changed(state=state, phase=Phase.READY, ended=now.at, due=None, error=words)
    return ended.changed(step=Step.DONE).told(now.at, state.value, words)


def cancelled_words(record: JobRecord) -> str:
    """Who cancelled it, and what is left of it."""
    words = f"cancelled by {record.cancel.by}" if record.cancel else "cancelled"
    # Nobody has counted it, and it looks like any other result.
    return f"{words}; the result asset {record.ids.result} is left, not counted" if record.ids.result else words


def fail(record: JobRecord, words: str, now: Moment) -> JobRecord:
    """An end in which `step` still says what may be tried again; DONE when nothing may."""
    if record.cancel is not None:
        return end(record, JobState.CANCELLED, cancelled_words(record), now)
    failed = record.changed(
        state=JobState.FAILED, phase=Phase.READY, ended=now.at, due=None, tries=0, intent=None, error=words
    ).changed(waits_since=None, overdue=False)
    return failed.told(now.at, "failed", words)
