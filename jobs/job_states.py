"""The states of a job, the steps of its work, and which state may follow which."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """What a job is doing, in the words people see."""

    QUEUED = "queued"
    PREPARING = "preparing"
    LAUNCHING = "launching"
    RUNNING = "running"
    VERIFYING = "verifying"
    CAPTURING = "capturing"
    NEEDS_YOU = "needs_you"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


ENDS = frozenset(
    {JobState.SUCCEEDED, JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED},
)


class Step(StrEnum):
    """The piece of work in hand. Each step has at most one effect on the platform."""

    CLAIM = "claim"
    MANIFEST_ASSET = "manifest_asset"
    STATE_ASSET = "state_asset"
    INPUTS_READY = "inputs_ready"
    RUN = "run"
    WATCH = "watch"
    VERIFY = "verify"
    CAPTURE = "capture"
    CAPTURE_READY = "capture_ready"
    COUNT = "count"
    DONE = "done"


STATE_OF_STEP = {
    Step.CLAIM: JobState.QUEUED,
    Step.MANIFEST_ASSET: JobState.PREPARING,
    Step.STATE_ASSET: JobState.PREPARING,
    Step.INPUTS_READY: JobState.PREPARING,
    Step.RUN: JobState.LAUNCHING,
    Step.WATCH: JobState.RUNNING,
    Step.VERIFY: JobState.VERIFYING,
    Step.CAPTURE: JobState.CAPTURING,
    Step.CAPTURE_READY: JobState.CAPTURING,
    Step.COUNT: JobState.CAPTURING,
}

_WORKING = {
    JobState.QUEUED: {JobState.PREPARING, JobState.REFUSED},
    JobState.PREPARING: {JobState.LAUNCHING},
    JobState.LAUNCHING: {JobState.RUNNING},
    JobState.RUNNING: {JobState.VERIFYING},
    JobState.VERIFYING: {JobState.CAPTURING},
    JobState.CAPTURING: {JobState.SUCCEEDED, JobState.INCOMPLETE},
}
_ANY_WORK = set(_WORKING) - {JobState.QUEUED}
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    **{
        state: frozenset({*after, JobState.CANCELLED, JobState.CANCELLING, JobState.FAILED, JobState.NEEDS_YOU})
        for state, after in _WORKING.items()
    },
    JobState.NEEDS_YOU: frozenset({*_ANY_WORK, JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.NEEDS_YOU}),
    JobState.SUCCEEDED: frozenset(),
    # Counting its result again.
    JobState.INCOMPLETE: frozenset({JobState.CAPTURING}),
    # Retrying the step that was refused, of the same job.
    JobState.FAILED: frozenset(_ANY_WORK),
    JobState.CANCELLED: frozenset(),
    JobState.REFUSED: frozenset(),
}
"""The states that may follow a state. A state may always follow itself."""


class Phase(StrEnum):
    """How far the effect of the present step is."""

    READY = "ready"
    """Nothing has been sent."""
    INTENT = "intent"
    """It is about to be sent, or was sent and the answer is not written down yet."""
    SETTLING = "settling"
    """It may or may not have been made: it is looked for, and nothing is sent."""


def may_follow(before: JobState, after: JobState) -> bool:
    """True when a job in state `before` may be written in state `after`."""
    return before is after or after in TRANSITIONS[before]
