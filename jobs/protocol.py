"""The launch protocol as pure functions: which call a job needs next, and what a call's answer makes of the job.

Every effect goes the same way: the intent is written down, one call is made, its id is written down. An answer that
was lost, or a worker that died in between, leaves a doubt; a doubt is settled by looking for the effect by its token,
never by repeating the call. Nothing here reads a clock, draws a number or opens a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.platforms.base import MONITORED, SettlePolicy
from jobs.call_answers import (
    Accepted,
    Answer,
    Broken,
    Counted,
    Followed,
    Judged,
    Looked,
    Made,
    NotReached,
    Pending,
    Ready,
    Refused,
    Results,
    Seen,
    Stopped,
    Throttled,
    Unclear,
)
from jobs.moves import AFTER, ID_OF, WORDS, begin, cancelled_words, end, fail, reached
from jobs.patience import NO_WAIT, is_due, look_again_s, wait
from jobs.records import JobRecord, JobState, Moment, Phase, Step
from jobs.watched import Look, followed, remote_of, run_words, seen_alone, set_aside, shown_conversion

TWINS = "alarm: twins"
"""The event that says that more than one thing carries the token of one effect."""
OVERDUE = "overdue"
"""The event that says that a run has passed its deadline, or that an asset takes too long."""
DRAFT_S = 1800.0
"""How long an asset may be a draft before people are told."""


class Kind(StrEnum):
    """What a call asks of the platform, or (CLAIM) of ourselves."""

    CLAIM = "claim"
    MAKE = "make"
    """The one effect of the step: may only be sent after the intent has been written down."""
    LOOK = "look"
    """Is there anything that carries the token of the step's effect?"""
    BELONGS = "belongs"
    """Is the run that a person named this job's?"""
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


@dataclass(frozen=True, slots=True)
class Policy:
    """Patience, in seconds, and how often a lost effect may be sent again before a person is asked."""

    settle: SettlePolicy
    asset_reposts: int = 3
    run_reposts: int = 1
    deadline_h: float | None = 3.0
    """Hours until a run asks its people, for jobs that name none themselves; None: never."""


# --- which call -------------------------------------------------------------------------------


def next_call(record: JobRecord, now: Moment) -> Kind | None:
    """The call that the job needs now; None when it has ended, waits for a person, or is not due.

    An intent that is read back is a doubt, whoever wrote it: the answer is to look, never to send.
    """
    if record.has_ended or record.state is JobState.NEEDS_YOU or not is_due(record, now):
        return None
    if record.phase is not Phase.READY or (record.look_first and record.step in ID_OF):
        named = record.proposed_run and record.step is Step.RUN and record.cancel is None
        return Kind.BELONGS if named else Kind.LOOK
    # A restored job may have a run that it does not know of yet: it goes on to where that is looked for.
    knows_its_run = not (record.look_first and record.step in (Step.CLAIM, Step.INPUTS_READY))
    if record.cancel is not None and knows_its_run:
        return Kind.STOP
    return _READY_CALL[record.step]


def intend(record: JobRecord, now: Moment) -> JobRecord:
    """The record to write down before MAKE is sent."""
    if record.step is Step.RUN and (earlier := record.remote.child):
        # It is not what the run that is started now will bring forth.
        record = set_aside(record).told(now.at, TWINS, f"run: {earlier}, of an earlier start")
    # A pause asked for earlier says nothing about what is sent now.
    return record.changed(phase=Phase.INTENT, intent=now, clean_looks=0, due=None, pause_s=0.0, throttled=False)


def withdraw(record: JobRecord) -> JobRecord:
    """The record of an intent that was written down and then not acted on. Only for who wrote it, and has not sent."""
    return record.changed(phase=Phase.READY, intent=None)


def take(record: JobRecord, owner: str, now: Moment) -> JobRecord:
    """The record in the hands of a worker that reads it back: what was left unanswered is in doubt, looked for anew."""
    taken = record.changed(owner=owner, clean_looks=0)
    if record.phase is Phase.INTENT:
        words = f"the answer about the {WORDS[record.step]} was not written down"
        # It may have slept on the intent and sent only then: nobody knows when, but not after now.
        doubted = taken.changed(phase=Phase.SETTLING, intent=now, due=None)
        return doubted.told(now.at, "in doubt", f"{words}; looking for it")
    # A pause that the platform asked for holds for every worker.
    return taken.changed(due=None) if record.phase is Phase.SETTLING and not record.throttled else taken


# --- what an answer makes of it ---------------------------------------------------------------


def step(
    record: JobRecord, answer: Answer, now: Moment, policy: Policy, jitter: float = 0.5, asked: Moment | None = None
) -> JobRecord:
    """The job after an answer; the same object when nothing is to be written.

    Args:
        record: As it was when the call was made; for MAKE, with the intent written down.
        answer: What the call gave.
        now: When the answer came.
        policy: Patience.
        jitter: 0 to 1, spreads the back-off of many jobs.
        asked: When the call was made; `now` when None. A list says nothing of the time that it was on its way.
    """
    asked = asked or now
    if isinstance(answer, Looked | Followed | Results | Counted):
        record = _named(record, answer)
    match answer:
        case NotReached():
            return _hold(record, answer, now, jitter)
        case Throttled():
            return _throttled(record, answer, now, jitter)
        case Stopped() if record.step is Step.RUN and (child := record.remote.child):
            # The monitor that started it may still show, and go on.
            return set_aside(record).changed(phase=Phase.SETTLING).told(now.at, "stopped", child)
        case Stopped():
            return end(record, JobState.CANCELLED, cancelled_words(record), now)
        case Accepted():
            return begin(record, Step.MANIFEST_ASSET).told(now.at, "taken in hand by a worker")
        case Refused(words) if record.step is Step.CLAIM:
            return end(record, JobState.REFUSED, words, now)
        case Refused(words):
            return fail(record, words, now)
        case Made(made):
            return _adopt(record, (made,), now, policy)
        case Unclear(words):
            # The window begins when we gave up: the machine may have slept since the intent, and sent then.
            doubted = record.changed(phase=Phase.SETTLING, intent=now, clean_looks=0, tries=0, due=None)
            told = f"the platform did not confirm the {WORDS[record.step]} ({words}); looking for it"
            return doubted.told(now.at, "in doubt", told)
        case Seen(ids, conversions):
            record = shown_conversion(record, conversions, now)
            return _settle(record, tuple(i for i in ids if i not in record.surplus), now, asked, policy)
        case Pending():
            return _pending(record, answer, now)
        case Ready(words):
            following = Step.RUN if record.step is Step.INPUTS_READY else Step.COUNT
            return begin(record, following).told(now.at, "not shared", words) if words else begin(record, following)
        case Broken(broken_step, words):
            return _broken(record, broken_step, words, now)
        case Looked(status):
            return _watched(record, seen_alone(record, status, asked, policy.settle), now, policy)
        case Followed():
            return _watched(record, followed(record, answer, asked, policy.settle), now, policy)
        case Judged(is_ours):
            return _judged(record, is_ours, now, policy)
        case Results(exist):
            return _capturing(record, now) if exist else _without_results(record, now, asked, policy)
        case Counted():
            return _counted(record, answer, now)


def _capturing(record: JobRecord, now: Moment) -> JobRecord:
    """Before the result is kept. Where a monitor may have kept it, or be about to, it is looked for as if we had."""
    at = begin(record, Step.CAPTURE)
    return at.changed(phase=Phase.SETTLING, intent=now) if record.route == MONITORED else at


def _pending(record: JobRecord, answer: Pending, now: Moment) -> JobRecord:
    """An asset is not ready yet. After a while people are told; it is neither made anew nor given up by itself."""
    after, since = reached(record), record.waits_since
    if since is None or now.seconds_since(since) < 0:  # also after the clock was turned back over a restart
        return after.changed(waits_since=now)
    waited_s = now.seconds_since(since)
    if record.overdue or waited_s < DRAFT_S:
        return after
    words = (
        f"the {WORDS[answer.step]} {answer.id} is not ready after {waited_s / 60:.0f} min; a person must look at it on "
        "the platform: wait, or cancel and launch again"
    )
    return after.changed(overdue=True, error=words).told(now.at, OVERDUE, words)


def _without_results(record: JobRecord, now: Moment, asked: Moment, policy: Policy) -> JobRecord:
    """The run shows nothing worth keeping. Of one that ended well that may be only a listing that lags behind."""
    looks, since = record.clean_looks + 1, record.waits_since
    waited_s = 0.0 if since is None else asked.seconds_since(since)
    if since is None or waited_s < 0:
        since, waited_s = asked, 0.0
    needed, window_s = policy.settle.clean_looks, policy.settle.results_window_s
    if record.remote.ended_well and window_s > 0 and (looks < needed or waited_s < window_s):
        due = now.at + timedelta(seconds=look_again_s(looks))
        return record.changed(**{**NO_WAIT, "due": due}, clean_looks=looks, waits_since=since)
    told = f" in {looks} looks over {waited_s:.0f} s" if looks > 1 else ""
    words = f"the conversion left no results{told}: {run_words(record.remote)}"
    return fail(record.changed(step=Step.DONE), words, now)


def _hold(record: JobRecord, answer: NotReached, now: Moment, jitter: float) -> JobRecord:
    """The platform cannot be reached or read: no job fails by that."""
    # Nothing was sent, so a written intent is taken back; a doubt stays a doubt.
    phase = Phase.READY if record.phase is Phase.INTENT else record.phase
    held = wait(record.changed(phase=phase), answer, now, jitter)
    what = "waiting for the platform" if answer.is_outage else "it did not work; trying again"
    return held.told(now.at, what, answer.words) if held.tries == 1 else held


def _throttled(record: JobRecord, answer: Throttled, now: Moment, jitter: float) -> JobRecord:
    """The platform asks for a pause. What it says of the effect is believed once a look has found nothing."""
    held = wait(record.changed(phase=Phase.SETTLING, throttled=True, clean_looks=0), answer, now, jitter)
    return held.told(now.at, "the platform asks for a pause", answer.words) if held.tries == 1 else held


def _adopt(record: JobRecord, ids: tuple[str, ...], now: Moment, policy: Policy) -> JobRecord:
    """The effect exists. Of several, the oldest is ours and the others are an alarm."""
    adopted, *twins = ids
    name, words = ID_OF[record.step], WORDS[record.step]
    found = record.phase is Phase.SETTLING
    after = begin(record, AFTER[record.step]).changed(
        ids=record.ids.model_copy(update={name: adopted}), surplus=(*record.surplus, *twins)
    )
    if record.step is Step.RUN:
        after = after.changed(started=now.at, deadline=_deadline(record, now.at, policy), proposed_run="")
    after = after.told(now.at, f"{words} {'found' if found else 'made'}", adopted)
    return after if not twins else after.told(now.at, TWINS, f"{words}: {', '.join(twins)}")


def _deadline(record: JobRecord, started: datetime, policy: Policy) -> datetime | None:
    hours = policy.deadline_h if record.deadline_h is None else record.deadline_h
    return None if hours is None else started + timedelta(hours=hours)


def _judged(record: JobRecord, is_ours: bool, now: Moment, policy: Policy) -> JobRecord:
    """The platform has said whether the run that a person named is this job's."""
    if is_ours:
        return _adopt(record, (record.proposed_run,), now, policy)
    words = f"{record.proposed_run} was not started for this job; a person must decide"
    back = record.changed(**NO_WAIT).changed(state=JobState.NEEDS_YOU, proposed_run="", clean_looks=0, error=words)
    return back.told(now.at, "needs you", words)


def _settle(record: JobRecord, ids: tuple[str, ...], now: Moment, asked: Moment, policy: Policy) -> JobRecord:
    """One look for a lost effect has been made: it shows what there was when it was asked for."""
    if ids:
        return _adopt(record.changed(phase=Phase.SETTLING), ids, now, policy)
    if record.throttled:
        # The failures in a row are kept, so that pauses grow while the platform goes on asking for them.
        return record.changed(phase=Phase.READY, throttled=False, intent=None, due=None, pause_s=0.0, error="")
    looks, words = record.clean_looks + 1, WORDS[record.step]
    is_run, window_s = record.step is Step.RUN, settle_window_s(record.step, policy.settle)
    waited_s = asked.seconds_since(record.intent) if record.intent else 0.0
    if waited_s < 0 or record.intent is None or record.phase is Phase.INTENT:
        # The clock was turned back over a restart of the machine: the window begins anew, or it would never end.
        # So it does where the answer could not be written down: between intent and sending we may have slept.
        record, waited_s = record.changed(intent=now), 0.0
    wait_s = min(look_again_s(looks), window_s / max(policy.settle.clean_looks, 1))
    looked = record.changed(
        **{**NO_WAIT, "due": now.at + timedelta(seconds=wait_s)}, phase=Phase.SETTLING, clean_looks=looks
    )
    if is_run and record.remote.child and record.cancel is not None:
        return looked.changed(phase=Phase.READY, look_first=False, due=None)  # it can be stopped
    if looks < policy.settle.clean_looks or waited_s < window_s:
        return looked
    if record.cancel is not None:
        found = "found" if record.surplus else "made"
        return end(record, JobState.CANCELLED, f"cancelled by {record.cancel.by}; the {words} was never {found}", now)
    told = f"no {words} was found in {looks} looks over {waited_s:.0f} s"
    limit = policy.run_reposts if is_run else policy.asset_reposts
    if is_run and record.remote.child:
        words = (
            f"the conversion {record.remote.child} shows, and the monitor that started it does not ({told}); a person "
            "must decide: name that conversion to go on with it"
        )
        asks = looked.changed(state=JobState.NEEDS_YOU, look_first=False, reposts=limit, due=None, error=words)
        return asks.told(now.at, "needs you", words)
    if record.look_first and is_run and not policy.settle.starts_once:
        # Its inputs are there, so it went on after the backup: a run may have been started since, and taken away.
        words = f"{told}; it may have been started after the backup, and deleted since; a person must decide"
        asks = looked.changed(state=JobState.NEEDS_YOU, look_first=False, reposts=limit, due=None, error=words)
        return asks.told(now.at, "needs you", words)
    if record.look_first or record.reposts < limit or (is_run and policy.settle.starts_once):
        # What was never made has no successors either: nothing more is looked for beforehand.
        reposts = record.reposts + (not record.look_first)
        again = looked.changed(
            phase=Phase.READY, look_first=False, reposts=reposts, clean_looks=0, intent=None, due=None
        )
        by_us = record.route == MONITORED and record.step is Step.CAPTURE and not record.reposts
        return again.told(now.at, "settled", f"{told}; {'we keep the result' if by_us else 'it is sent'}")
    words = f"{told}, {record.reposts + 1} times over; a person must decide"
    return looked.changed(state=JobState.NEEDS_YOU, due=None, error=words).told(now.at, "needs you", words)


def settle_window_s(step: Step, settle: SettlePolicy) -> float:
    """How long a lost effect of this step is looked for. Two equal inputs hurt nobody; all else must be one."""
    if step in (Step.MANIFEST_ASSET, Step.STATE_ASSET):
        return settle.asset_window_s
    if step is Step.CAPTURE and settle.capture_window_s is not None:
        return settle.capture_window_s
    return settle.run_window_s


def _broken(record: JobRecord, broken: Step, words: str, now: Moment) -> JobRecord:
    name = ID_OF[broken]
    lost = getattr(record.ids, name)
    back = record.changed(
        step=broken,
        ids=record.ids.model_copy(update={name: None}),
        surplus=(*record.surplus, lost) if lost else record.surplus,
    )
    return fail(back, f"the {WORDS[broken]} failed: {words}", now)


def _named(record: JobRecord, answer: Looked | Followed | Results | Counted) -> JobRecord:
    """Which runs have got the job's name by now, and how often that did not work."""
    if not (answer.named or answer.name_failed):
        return record
    return record.changed(named=(*record.named, *answer.named), name_tries=record.name_tries + int(answer.name_failed))


def _watched(record: JobRecord, look: Look, now: Moment, policy: Policy) -> JobRecord:
    after = reached(record)
    twins = tuple(twin for twin in look.twins if twin not in record.surplus)
    if twins:
        after = after.changed(surplus=(*record.surplus, *twins)).told(now.at, TWINS, f"run: {', '.join(twins)}")
    if (look.remote, look.clean_looks) != (record.remote, record.clean_looks):
        after = after.changed(remote=look.remote, clean_looks=look.clean_looks)
    if look.remote.child != record.remote.child:
        after = after.told(now.at, "the monitor started the conversion", look.remote.child)
    if look.lost:
        return fail(after.changed(step=Step.DONE), look.lost, now)
    if look.has_ended:
        words = "; the monitor: ".join(filter(None, (run_words(look.remote), look.monitor_words)))
        return begin(after, Step.VERIFY).told(now.at, "run ended", words)
    deadline = record.deadline or (_deadline(record, record.started, policy) if record.started else None)
    if deadline is None or record.overdue or now.at <= deadline:
        return after
    words = f"it runs on past its deadline, {deadline:%Y-%m-%d %H:%M}Z; it is not stopped"
    return after.changed(overdue=True, deadline=deadline).told(now.at, OVERDUE, words)


def _counted(record: JobRecord, answer: Counted, now: Moment) -> JobRecord:
    coverage = answer.coverage
    counted = record.changed(coverage=coverage)
    twins = tuple(twin for twin in answer.twins if twin not in record.surplus)
    if twins:
        counted = counted.changed(surplus=(*record.surplus, *twins)).told(now.at, TWINS, ", ".join(twins))
    share = f"{coverage.delivered} of {coverage.asked} tracks delivered"
    if coverage.asked != len(record.rows):
        words = f"the count is of {coverage.asked} rows, the launch was of {len(record.rows)}"
        return end(counted, JobState.INCOMPLETE, words, now)
    if coverage.delivered < coverage.asked:
        return end(counted, JobState.INCOMPLETE, share, now)
    # Files of a run that broke off may be cut short, so a full count alone does not make it green.
    remote = record.remote if answer.other is None else remote_of(answer.other)
    if not remote.ended_well:
        words = f"{share}, but the run did not end well: {run_words(remote)}"
        return end(counted, JobState.INCOMPLETE, words, now)
    return end(counted.told(now.at, "counted", share), JobState.SUCCEEDED, "", now)
