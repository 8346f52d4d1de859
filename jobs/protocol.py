"""The launch protocol as pure functions: which call a job needs next, and what a call's answer makes of the job.

Every effect goes the same way: the intent is written down, one call is made, its id is written down. An answer that
was lost, or a worker that died in between, leaves a doubt; a doubt is settled by looking for the effect by its token,
never by repeating the call. Nothing here reads a clock, draws a number or opens a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from core.platforms.base import RunState, RunStatus, SettlePolicy
from jobs.call_answers import (
    Accepted,
    Answer,
    Broken,
    Counted,
    Looked,
    Made,
    NotReached,
    Pending,
    Ready,
    Refused,
    Results,
    Seen,
    Stopped,
    Unclear,
)
from jobs.records import (
    STATE_OF_STEP,
    JobRecord,
    JobState,
    Moment,
    Phase,
    RemoteRun,
    Step,
)

TWINS = "alarm: twins"
"""The event that says that more than one thing carries the token of one effect."""
BACK_OFF_S, BACK_OFF_CAP_S = 5.0, 600.0
_LOOK_S, _LOOK_CAP_S = 1.0, 120.0


class Kind(StrEnum):
    """What a call asks of the platform, or (CLAIM) of ourselves."""

    CLAIM = "claim"
    MAKE = "make"
    """The one effect of the step: may only be sent after the intent has been written down."""
    LOOK = "look"
    """Is there anything that carries the token of the step's effect?"""
    INPUTS = "inputs"
    WATCH = "watch"
    VERIFY = "verify"
    RESULT = "result"
    COUNT = "count"
    STOP = "stop"


_READY_CALL = {
    Step.CLAIM: Kind.CLAIM,
    Step.MANIFEST_ASSET: Kind.MAKE,
    Step.STATE_ASSET: Kind.MAKE,
    Step.INPUTS_READY: Kind.INPUTS,
    Step.RUN: Kind.MAKE,
    Step.WATCH: Kind.WATCH,
    Step.VERIFY: Kind.VERIFY,
    Step.CAPTURE: Kind.MAKE,
    Step.CAPTURE_READY: Kind.RESULT,
    Step.COUNT: Kind.COUNT,
}
_AFTER = {
    Step.MANIFEST_ASSET: Step.STATE_ASSET,
    Step.STATE_ASSET: Step.INPUTS_READY,
    Step.RUN: Step.WATCH,
    Step.CAPTURE: Step.CAPTURE_READY,
}
_ID_OF = {
    Step.MANIFEST_ASSET: "manifest_asset",
    Step.STATE_ASSET: "state_asset",
    Step.RUN: "run",
    Step.CAPTURE: "result",
}
_WORDS = {
    Step.MANIFEST_ASSET: "manifest asset",
    Step.STATE_ASSET: "state asset",
    Step.RUN: "run",
    Step.CAPTURE: "result asset",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience, in seconds, and how often a lost effect may be sent again before a person is asked."""

    settle: SettlePolicy
    asset_reposts: int = 3
    run_reposts: int = 1
    long_run_s: float = 3 * 3600.0


# --- which call -------------------------------------------------------------------------------


def next_call(record: JobRecord, now: Moment) -> Kind | None:
    """The call that the job needs now; None when it has ended, waits for a person, or is not due.

    An intent that is read back is a doubt, whoever wrote it: the answer is to look, never to send.
    """
    if record.has_ended or record.state is JobState.NEEDS_YOU or not is_due(record, now):
        return None
    if record.phase is not Phase.READY:
        return Kind.LOOK
    if record.cancel is not None:
        return Kind.STOP
    return _READY_CALL[record.step]


def is_due(record: JobRecord, now: Moment) -> bool:
    """True when the job waits for nothing, or has waited long enough."""
    if record.due is None:
        return True
    ahead_s = (record.due - now.at).total_seconds()
    # What lies further ahead than it was ever set was set before the clock was turned back.
    longest_s = _back_off_s(record.tries) if record.tries else _look_again_s(record.clean_looks)
    return ahead_s <= 0 or ahead_s > longest_s


def _back_off_s(tries: int) -> float:
    return float(min(BACK_OFF_CAP_S, BACK_OFF_S * 2.0 ** min(tries - 1, 10)))


def _look_again_s(looks: int) -> float:
    return float(min(_LOOK_CAP_S, _LOOK_S * 2.0 ** min(looks, 10)))


def intend(record: JobRecord, now: Moment) -> JobRecord:
    """The record to write down before MAKE is sent."""
    return record.changed(phase=Phase.INTENT, intent=now, clean_looks=0, due=None)


def take(record: JobRecord, owner: str, now: Moment) -> JobRecord:
    """The record in the hands of another worker: what the last one left unanswered is in doubt, and looked for anew."""
    taken = record.changed(owner=owner, clean_looks=0)
    if record.phase is Phase.INTENT:
        words = f"the worker ended before the answer about the {_WORDS[record.step]} was written down"
        return taken.changed(phase=Phase.SETTLING, due=None).told(now.at, "in doubt", f"{words}; looking for it")
    return taken.changed(due=None) if record.phase is Phase.SETTLING else taken


# --- what an answer makes of it ---------------------------------------------------------------


def step(record: JobRecord, answer: Answer, now: Moment, policy: Policy, jitter: float = 0.5) -> JobRecord:
    """The job after an answer; the same object when nothing is to be written.

    Args:
        record: As it was when the call was made; for MAKE, with the intent written down.
        answer: What the call gave.
        now: When the answer came.
        policy: Patience.
        jitter: 0 to 1, spreads the back-off of many jobs.
    """
    match answer:
        case NotReached():
            return _hold(record, answer, now, jitter)
        case Stopped():
            return _end(record, JobState.CANCELLED, _cancelled_words(record), now)
        case Accepted():
            return _at(record, Step.MANIFEST_ASSET).told(now.at, "taken in hand by a worker")
        case Refused(words) if record.step is Step.CLAIM:
            return _end(record, JobState.REFUSED, words, now)
        case Refused(words):
            return _fail(record, words, now)
        case Made(made):
            return _adopt(record, (made,), now)
        case Unclear(words):
            doubted = record.changed(phase=Phase.SETTLING, clean_looks=0, tries=0, due=None)
            told = f"the platform did not confirm the {_WORDS[record.step]} ({words}); looking for it"
            return doubted.told(now.at, "in doubt", told)
        case Seen(ids):
            return _settle(record, tuple(i for i in ids if i not in record.surplus), now, policy)
        case Pending():
            return _reached(record)
        case Ready():
            following = Step.RUN if record.step is Step.INPUTS_READY else Step.COUNT
            return _at(record, following)
        case Broken(broken_step, words):
            return _broken(record, broken_step, words, now)
        case Looked(status):
            return _watched(record, status, now, policy)
        case Results(exist):
            if exist:
                return _at(record, Step.CAPTURE)
            return _fail(record.changed(step=Step.DONE), f"the conversion left no results: {_run_words(record)}", now)
        case Counted():
            return _counted(record, answer, now)


def _at(record: JobRecord, step: Step) -> JobRecord:
    """The job at the beginning of a step."""
    state = JobState.CANCELLING if record.cancel else STATE_OF_STEP[step]
    return record.changed(
        step=step, state=state, phase=Phase.READY, intent=None, clean_looks=0, reposts=0, tries=0, due=None, error=""
    )


def _reached(record: JobRecord) -> JobRecord:
    """The same job; the words of an outage are taken away when the platform answers again."""
    return record if not record.tries else record.changed(tries=0, due=None, error="")


def _hold(record: JobRecord, answer: NotReached, now: Moment, jitter: float) -> JobRecord:
    """The platform cannot be reached or read: no job fails by that."""
    tries, words = record.tries + 1, answer.words
    wait_s = _back_off_s(tries) * (0.5 + 0.5 * jitter)
    # Nothing was sent, so a written intent is taken back; a doubt stays a doubt.
    phase = Phase.READY if record.phase is Phase.INTENT else record.phase
    held = record.changed(phase=phase, tries=tries, due=now.at + timedelta(seconds=wait_s), error=words)
    what = "waiting for the platform" if answer.is_outage else "it did not work; trying again"
    return held.told(now.at, what, words) if tries == 1 else held


def _end(record: JobRecord, state: JobState, words: str, now: Moment) -> JobRecord:
    ended = record.changed(state=state, phase=Phase.READY, ended=now.at, due=None, error=words)
    return ended.changed(step=Step.DONE).told(now.at, state.value, words)


def _cancelled_words(record: JobRecord) -> str:
    words = f"cancelled by {record.cancel.by}" if record.cancel else "cancelled"
    # Nobody has counted it, and it looks like any other result.
    return f"{words}; the result asset {record.ids.result} is left, not counted" if record.ids.result else words


def _fail(record: JobRecord, words: str, now: Moment) -> JobRecord:
    """An end in which `step` still says what may be tried again; DONE when nothing may."""
    if record.cancel is not None:
        return _end(record, JobState.CANCELLED, _cancelled_words(record), now)
    failed = record.changed(
        state=JobState.FAILED, phase=Phase.READY, ended=now.at, due=None, tries=0, intent=None, error=words
    )
    return failed.told(now.at, "failed", words)


def _adopt(record: JobRecord, ids: tuple[str, ...], now: Moment) -> JobRecord:
    """The effect exists. Of several, the oldest is ours and the others are an alarm."""
    adopted, *twins = ids
    name, words = _ID_OF[record.step], _WORDS[record.step]
    found = record.phase is Phase.SETTLING
    after = _at(record, _AFTER[record.step]).changed(
        ids=record.ids.model_copy(update={name: adopted}), surplus=(*record.surplus, *twins)
    )
    if record.step is Step.RUN:
        after = after.changed(started=now.at)
    after = after.told(now.at, f"{words} {'found' if found else 'made'}", adopted)
    return after if not twins else after.told(now.at, TWINS, f"{words}: {', '.join(twins)}")


def _settle(record: JobRecord, ids: tuple[str, ...], now: Moment, policy: Policy) -> JobRecord:
    """One look for a lost effect has been made."""
    if ids:
        return _adopt(record.changed(phase=Phase.SETTLING), ids, now)
    looks, words = record.clean_looks + 1, _WORDS[record.step]
    is_run = record.step is Step.RUN
    window_s = policy.settle.run_window_s if is_run else policy.settle.asset_window_s
    waited_s = now.seconds_since(record.intent) if record.intent else 0.0
    if waited_s < 0 or record.intent is None:
        # The clock was turned back over a restart of the machine: the window begins anew, or it would never end.
        record, waited_s = record.changed(intent=now), 0.0
    wait_s = min(_look_again_s(looks), window_s / max(policy.settle.clean_looks, 1))
    looked = record.changed(
        phase=Phase.SETTLING, clean_looks=looks, tries=0, error="", due=now.at + timedelta(seconds=wait_s)
    )
    if looks < policy.settle.clean_looks or waited_s < window_s:
        return looked
    if record.cancel is not None:
        return _end(record, JobState.CANCELLED, f"cancelled by {record.cancel.by}; the {words} was never made", now)
    told = f"no {words} was found in {looks} looks over {waited_s:.0f} s"
    limit = policy.run_reposts if is_run else policy.asset_reposts
    if record.reposts < limit or (is_run and policy.settle.starts_once):
        again = looked.changed(phase=Phase.READY, reposts=record.reposts + 1, clean_looks=0, intent=None, due=None)
        return again.told(now.at, "settled", f"{told}; it is sent again")
    words = f"{told}, {record.reposts + 1} times over; a person must decide"
    return looked.changed(state=JobState.NEEDS_YOU, due=None, error=words).told(now.at, "needs you", words)


def _broken(record: JobRecord, broken: Step, words: str, now: Moment) -> JobRecord:
    name = _ID_OF[broken]
    lost = getattr(record.ids, name)
    back = record.changed(
        step=broken,
        ids=record.ids.model_copy(update={name: None}),
        surplus=(*record.surplus, lost) if lost else record.surplus,
    )
    return _fail(back, f"the {_WORDS[broken]} failed: {words}", now)


def _watched(record: JobRecord, status: RunStatus, now: Moment, policy: Policy) -> JobRecord:
    seen = RemoteRun(state=status.state.value, exit_code=status.exit_code, detail=status.detail[:500])
    reached = _reached(record)
    after = reached if seen == record.remote else reached.changed(remote=seen)
    if status.state not in (RunState.STARTING, RunState.RUNNING):
        return _at(after, Step.VERIFY).told(now.at, "run ended", _run_words(after))
    is_long = record.started is not None and (now.at - record.started).total_seconds() > policy.long_run_s
    if is_long and not any(event.what == _LONG for event in record.events):
        return after.told(now.at, _LONG, f"it runs for more than {policy.long_run_s / 3600:g} h; it is not stopped")
    return after


_LONG = "long run"


def _run_words(record: JobRecord) -> str:
    remote = record.remote
    code = "" if remote.exit_code is None else f", exit code {remote.exit_code}"
    return f"{remote.state}{code}" + (f": {remote.detail}" if remote.detail else "")


def _counted(record: JobRecord, answer: Counted, now: Moment) -> JobRecord:
    coverage = answer.coverage
    counted = record.changed(coverage=coverage)
    twins = tuple(twin for twin in answer.twins if twin not in record.surplus)
    if twins:
        counted = counted.changed(surplus=(*record.surplus, *twins)).told(now.at, TWINS, ", ".join(twins))
    share = f"{coverage.delivered} of {coverage.asked} tracks delivered"
    if coverage.asked != len(record.rows):
        words = f"the count is of {coverage.asked} rows, the launch was of {len(record.rows)}"
        return _end(counted, JobState.INCOMPLETE, words, now)
    if coverage.delivered < coverage.asked:
        return _end(counted, JobState.INCOMPLETE, share, now)
    # Files of a run that broke off may be cut short, so a full count alone does not make it green.
    if record.remote.state != RunState.FINISHED or record.remote.exit_code not in (0, None):
        return _end(counted, JobState.INCOMPLETE, f"{share}, but the run did not end well: {_run_words(record)}", now)
    return _end(counted.told(now.at, "counted", share), JobState.SUCCEEDED, "", now)
