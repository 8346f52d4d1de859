"""The launch protocol against a simulated clock, a simulated platform and a queue that forgets what was not written.

The rules under test are the program's own functions. What is simulated is the rest: one worker's turns in the order of
`jobs.monitor`, people, and a platform on which an answer may be lost while its effect is made, at once or half an hour
later. A job has a platform of its own, so that a million of them need no more memory than one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from core.errors import NotFoundError, RefusedError, StaleRecordError
from core.platforms.base import RunState, RunStatus, SettlePolicy
from jobs import protocol
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
)
from jobs.protocol import Kind, Policy
from jobs.records import CountedCoverage, JobRecord, JobState, Moment, Phase, Step, may_follow
from tests.job_records import START
from tests.simulated_replies import CLEAN, REPLIES, Fate, fresh_record, quick, sorted_answer

EFFECTS = (Step.MANIFEST_ASSET, Step.STATE_ASSET, Step.RUN, Step.CAPTURE)
COSTLY = (Step.RUN, Step.CAPTURE)
"""Effects that must not exist twice. A second input asset holds the same bytes and no run uses it: only surplus."""
CHILD = Step.WATCH
"""Stands for the conversion that a monitor starts, which is no effect of ours."""
POLICY = Policy(SettlePolicy(600.0, 2100.0, 3, lost_window_s=2100.0, results_window_s=600.0))
MINUTE_S, HOUR_S = 60.0, 3600.0
PATIENCE_S = 30 * 24 * HOUR_S
_CALLS_A_PASS = 20
_POLL_S = 300.0


_POINTS = {Kind.MAKE: ("answered", "written"), Kind.LOOK: ("look answered", "look written")}
_OTHER_POINTS = ("call answered", "call written")


class CrashError(BaseException):
    """The worker dies here."""


@dataclass(slots=True)
class Thing:
    """Something that was made on the platform, or is on its way."""

    id: str
    step: Step
    made_s: float
    shown_s: float
    stopped: bool = False
    failed: bool = False


# --- the world of one job -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rules:
    """The functions under test; the controls put a wrong one in."""

    next_call: Callable[[JobRecord, Moment], Kind | None] = protocol.next_call
    intend: Callable[[JobRecord, Moment], JobRecord] = protocol.intend
    take: Callable[[JobRecord, str, Moment], JobRecord] = protocol.take
    step: Callable[[JobRecord, Answer, Moment, Policy, float, Moment], JobRecord] = protocol.step
    policy: Policy = POLICY
    posts: int = 1
    """How often the client sends one POST until it is confirmed; 1: no retries."""


RULES = Rules()


class Script:
    """What happens to a job. This one is a good day; a bad one says more."""

    run_s, refused, has_results, broken_asset = 600.0, False, True, False

    def crash(self, world: World, point: str) -> bool:
        """Whether the worker dies at this point."""
        return False

    def away_s(self) -> float:
        """How long nobody works after a death."""
        return 5.0

    def stall_s(self) -> float:
        """How long the worker, or its machine, sleeps between writing an intent and sending."""
        return 0.0

    def fate(self, step: Step) -> Fate:
        """Of the next POST."""
        return CLEAN

    def write_fails(self) -> bool:
        """Whether the answer to the next effect cannot be written down."""
        return False

    def look_fails(self) -> bool:
        """Whether the next look cannot be read."""
        return False

    def look_takes_s(self) -> float:
        """How long the answer to a look is on its way: it shows what there was when it was asked for."""
        return 0.2

    def results_lag_s(self) -> float:
        """How long the results of a run that has ended do not show."""
        return 0.0

    def jitter(self) -> float:
        return 0.5

    def called(self, world: World) -> None:
        """The job has failed, or asks."""

    def person(self, world: World) -> None:
        """What people do now; they set `world.person_s` to when they look again."""


@dataclass(slots=True)
class World:
    """One job: its record as it is on disk, its platform, the clock, and the one worker."""

    script: Script
    rules: Rules = RULES
    record: JobRecord = field(default_factory=fresh_record)
    things: list[Thing] = field(default_factory=list)
    s: float = 0.0
    person_s: float = inf
    workers: int = 0
    looks_again_s: float = 0.0
    looked_rev: int = -1
    story: list[str] | None = None
    moment: Moment | None = None

    def left(self, script: Script, things: list[Thing]) -> World:
        """What is left when the worker dies now."""
        return World(script, self.rules, self.record, things, self.s + 5.0, workers=self.workers + 1)

    # --- clock and queue ------------------------------------------------------------------------

    def now(self) -> Moment:
        if self.moment is None or self.moment.boot_s != self.s:
            at = START + timedelta(seconds=self.s)
            self.moment = quick(Moment, {"at": at, "boot_id": "boot", "boot_s": self.s})
        return self.moment

    def get(self, _: str) -> JobRecord:
        """As the queue's."""
        return self.record

    def put(self, record: JobRecord, quotas: object = None) -> JobRecord:
        """As the queue's."""
        before = self.record
        if before.rev != record.rev:
            raise StaleRecordError("changed meanwhile")
        assert may_follow(before.state, record.state), (before.state, record.state)
        self.record = record.changed(rev=record.rev + 1)
        if record.state is not before.state and record.state in (JobState.NEEDS_YOU, JobState.FAILED):
            self.script.called(self)
        if self.story is not None:
            self.tell(f"written {record.state} {record.step} {record.phase}")
        return self.record

    def tell(self, words: str) -> None:
        if self.story is not None:
            self.story.append(f"{self.s:9.1f} s  {words}")

    def pass_time(self, seconds: float) -> None:
        """Let people act while something takes its time."""
        until_s = self.s + seconds
        while self.person_s <= until_s:
            self.s = max(self.s, self.person_s)
            self.person_s = inf
            self.script.person(self)
        self.s = until_s

    # --- the worker, in the order of jobs.monitor -------------------------------------------------

    def run(self) -> None:
        """Let time pass until the job has ended, or asks and nobody answers."""
        while (next_s := self.next_s()) < PATIENCE_S:
            self.pass_time(max(0.1, next_s - self.s))
            try:
                self.advance()
            except CrashError:
                self.tell("the worker dies")
                self.workers += 1
                self.looked_rev = -1
                self.pass_time(self.script.away_s())
            except StaleRecordError:
                pass  # the next turn reads it anew

    def next_s(self) -> float:
        """When there is something to do again."""
        record, at_s = self.record, self.person_s
        if record.has_ended or record.state is JobState.NEEDS_YOU:
            return at_s
        due_s = 0.0 if record.due is None else (record.due - START).total_seconds()
        return min(at_s, max(due_s, self.looks_again_s if self.looked_rev == record.rev else 0.0))

    def crash_at(self, point: str) -> None:
        if self.script.crash(self, point):
            raise CrashError

    def advance(self) -> None:
        """One job's share of a pass."""
        rules, owner = self.rules, f"worker {self.workers}"
        record = self.record
        for _ in range(_CALLS_A_PASS):
            now = self.now()
            if self.looked_rev == record.rev and self.s < self.looks_again_s:
                return
            if not record.has_ended and (record.owner != owner or record.phase is Phase.INTENT):
                self.crash_at("before claim")
                record = self.put(rules.take(record, owner, now))
                self.crash_at("after claim")
            kind = rules.next_call(record, now)
            if kind is None:
                return
            asked = now
            if kind is Kind.MAKE:
                self.crash_at("before intent")
                record = self.put(rules.intend(record, now))
                self.crash_at("after intent")
                self.pass_time(self.script.stall_s())
                answer = self.post(record)
            else:
                answer = self.ask(kind, record)
            before, after_it = _POINTS.get(kind, _OTHER_POINTS)
            self.crash_at(before)
            if kind is Kind.MAKE and self.script.write_fails():
                return  # a full disk: the worker lives on, and meets its own intent
            after = self.write(record, answer, asked)
            self.crash_at(after_it)
            if kind in (Kind.INPUTS, Kind.WATCH, Kind.RESULT) and after.step is record.step:
                self.looked_rev, self.looks_again_s = after.rev, self.s + _POLL_S
            record = after
        raise AssertionError("the job does not come to rest")

    def write(self, record: JobRecord, answer: Answer, asked: Moment) -> JobRecord:
        """Write down what an answer makes of the job; an effect's answer belongs to whoever has its intent."""
        jitter = self.script.jitter()
        while True:
            after = self.rules.step(record, answer, self.now(), self.rules.policy, jitter, asked)
            if after is record:
                return record
            try:
                return self.put(after)
            except StaleRecordError:
                newer = self.record
                same = (newer.owner, newer.step, newer.phase) == (record.owner, record.step, record.phase)
                if not same or record.phase is not Phase.INTENT:
                    raise
                record = newer

    # --- the platform ---------------------------------------------------------------------------

    def post(self, record: JobRecord) -> Answer:
        """Send the effect of the record's step, once or as often as a retrying client does."""
        for _ in range(self.rules.posts):
            fate = self.script.fate(record.step)
            reply = REPLIES[fate.reply]
            thing = Thing(f"{record.step.value}-{len(self.things)}", record.step, inf, inf)
            if fate.made:
                self.things.append(thing)
                thing.made_s = self.s + (reply.takes_s + fate.late_s if fate.late_s else 0.0)
                thing.shown_s = thing.made_s + fate.lag_s
            if self.story is not None:
                self.tell(f"POST {record.step}: {fate}")
            self.crash_at("sent")
            self.pass_time(reply.takes_s)
            if reply.error is None:
                return Made(thing.id)
            if isinstance(reply.error, RefusedError | NotFoundError):
                break
        return sorted_answer(fate.reply)

    def ask(self, kind: Kind, record: JobRecord) -> Answer:
        """A call without a lasting effect."""
        if kind is Kind.CLAIM:
            return Refused("another converter") if self.script.refused else Accepted()
        self.crash_at("before look" if kind is Kind.LOOK else "before call")
        answer = NotReached("no answer", is_outage=True) if self.script.look_fails() else self.answer(kind, record)
        self.pass_time(self.script.look_takes_s() if kind in (Kind.LOOK, Kind.WATCH) else 0.2)
        return answer

    def answer(self, kind: Kind, record: JobRecord) -> Answer:
        """What there is when it is asked for."""
        match kind:
            case Kind.LOOK:
                return Seen(self.seen(record.step))
            case Kind.INPUTS:
                return self.inputs(record)
            case Kind.WATCH:
                return Looked(self.run_status(record.ids.run))
            case Kind.VERIFY:
                return Results(self.script.has_results and self.s >= self.ended_s(record) + self.script.results_lag_s())
            case Kind.RESULT:
                return Ready()
            case Kind.COUNT:
                known = (record.ids.run, record.ids.result)
                twins = tuple(i for step in COSTLY for i in self.seen(step) if i not in known)
                return Counted(CountedCoverage(asked=2, delivered=2), twins)
            case Kind.STOP:
                return self.stop(record)
            case _:
                raise AssertionError(f"no simulation of {kind}")

    def seen(self, step: Step) -> tuple[str, ...]:
        """What a listing shows, oldest first."""
        shown = [thing for thing in self.things if thing.step is step and thing.shown_s <= self.s]
        return tuple(thing.id for thing in sorted(shown, key=lambda thing: thing.made_s))

    def inputs(self, record: JobRecord) -> Answer:
        made = {thing.id: thing for thing in self.things}
        manifest, state = (made[i or ""] for i in (record.ids.manifest_asset, record.ids.state_asset))
        if self.script.broken_asset:
            self.script.broken_asset, state.failed = False, True
        if state.failed:
            return Broken(Step.STATE_ASSET, "it failed")
        return Ready() if self.s >= max(manifest.made_s, state.made_s) + 20.0 else Pending(Step.STATE_ASSET, state.id)

    def run_status(self, run_id: str | None) -> RunStatus:
        [run] = [thing for thing in self.things if thing.id == run_id]
        if self.s < run.shown_s:  # its own record lags as its list does
            return RunStatus(run.id, RunState.GONE)
        if run.stopped:
            return RunStatus(run.id, RunState.STOPPED)
        return _RUNNING if self.s < run.made_s + self.script.run_s else _FINISHED

    def ended_s(self, record: JobRecord) -> float:
        """When the job's run ended."""
        return next(thing.made_s for thing in self.things if thing.id == record.ids.run) + self.script.run_s

    def going_on(self) -> list[str]:
        """Runs that go on although their job was cancelled before they ended."""
        ended = self.record.ended
        if self.record.state is not JobState.CANCELLED or ended is None:
            return []
        ended_s = (ended - START).total_seconds()
        runs = [thing for thing in self.things if thing.step is Step.RUN and not thing.stopped]
        return [run.id for run in runs if run.made_s + self.script.run_s > ended_s]

    def stop(self, record: JobRecord) -> Answer:
        if record.step in (Step.RUN, Step.WATCH):
            found = {record.ids.run, *self.seen(Step.RUN)}
            if any(thing.id in found and thing.shown_s > self.s for thing in self.things):
                return NotReached("the run does not show yet")
            for thing in self.things:
                thing.stopped = thing.stopped or thing.id in found
        return Stopped()


_RUNNING = RunStatus("run", RunState.RUNNING)
_FINISHED = RunStatus("run", RunState.FINISHED, 0)
