"""Bad days for the launch protocol: every path of one trouble and two deaths, and random days of many troubles.

`python -m tests.simulated_days --jobs 100000 --seed 1` prints one line; `--only N` tells the story of that job.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

from core.platforms.base import SettlePolicy
from jobs import submission
from jobs.protocol import Kind, Policy
from jobs.records import JobRecord, JobState, Moment, Phase, Step
from jobs.submission import Choice
from tests.protocol_simulation import EFFECTS, HOUR_S, MINUTE_S, RULES, Rules, Script, World
from tests.side_by_side import side_by_side
from tests.simulated_monitor import HABITS, KEEPS, MONITORED_RECORD, WE_KEEP, Habit, MonitoredWorld
from tests.simulated_replies import CLEAN, REPLIES, Fate
from tests.simulated_tally import Tally

# --- random days --------------------------------------------------------------------------------

CRASH, CRASH_ELSEWHERE, FAULTY, LATE, LOOK_FAILS = 0.05, 0.01, 0.14, 0.01, 0.10
_AT_EFFECTS = {"before claim", "after claim", "before intent", "after intent", "sent", "answered", "written"}
LATE_S, LAG_S = (1 * MINUTE_S, 30 * MINUTE_S), 5 * MINUTE_S
_UNCLEAR = tuple(name for name, reply in REPLIES.items() if len(reply.effects) > 1)
_FAULTS = (*(name for name in REPLIES if name != "made"), *_UNCLEAR, *_UNCLEAR)
_BATCH = 2_000


class RandomScript(Script):
    """A day of many troubles, the same for the same number."""

    def __init__(self, number: int) -> None:
        self.random = draw = random.Random(number)
        self._draw = draw.random
        self.run_s = draw.uniform(2 * MINUTE_S, 30 * MINUTE_S)
        self.refused = draw.random() < 0.002
        self.has_results = draw.random() > 0.005
        self.broken_asset = draw.random() < 0.005
        self.cancel_s = draw.uniform(0, 2 * HOUR_S) if draw.random() < 0.05 else inf
        self.decisions = 0
        self.lags_s = draw.uniform(0, LAG_S) if draw.random() < 0.05 else 0.0

    def crash(self, world: World, point: str) -> bool:
        return self._draw() < (CRASH if point in _AT_EFFECTS else CRASH_ELSEWHERE)

    def away_s(self) -> float:
        """Mostly a restart, sometimes a night."""
        return self.random.expovariate(1 / 5.0) if self._draw() < 0.97 else self.random.uniform(0, 8 * HOUR_S)

    def stall_s(self) -> float:
        return self.random.uniform(0, 2 * HOUR_S) if self._draw() < 0.002 else 0.0

    def fate(self, step: Step) -> Fate:
        lag_s = self._draw() * LAG_S
        if self._draw() < LATE:
            return Fate(self.random.choice(_UNCLEAR), True, self.random.uniform(*LATE_S), lag_s)
        if self._draw() >= FAULTY:
            return Fate(lag_s=lag_s)
        reply = self.random.choice(_FAULTS)
        return Fate(reply, self.random.choice(REPLIES[reply].effects), 0.0, lag_s)

    def write_fails(self) -> bool:
        return self._draw() < 0.002

    def look_fails(self) -> bool:
        return self._draw() < LOOK_FAILS

    def look_takes_s(self) -> float:
        return self.random.uniform(1.0, 2 * MINUTE_S) if self._draw() < 0.05 else 0.2

    def results_lag_s(self) -> float:
        return self.lags_s

    def jitter(self) -> float:
        return self._draw()

    def called(self, world: World) -> None:
        world.person_s = min(world.person_s, world.s + self.random.uniform(MINUTE_S, 8 * HOUR_S))

    def person(self, world: World) -> None:
        record, now = world.record, world.now().at
        if world.s >= self.cancel_s:
            self.cancel_s = inf
            if not record.has_ended:
                submission.cancel(world, record.id, "ana", now)
        elif record.state is JobState.NEEDS_YOU:
            submission.resolve(world, record.id, self.random.choice(tuple(Choice)), "ana", now)
        elif record.state is JobState.FAILED and record.step is not Step.DONE and self.decisions < 5:
            self.decisions += 1
            submission.retry(world, record.id, "ana", now)
        world.person_s = min(world.person_s, self.cancel_s)


def random_world(seed: int, number: int, rules: Rules) -> World:
    """Job `number` of a seed, lived to its end."""
    script = RandomScript(seed * 10**9 + number)
    world = World(script, rules, person_s=script.cancel_s)
    world.run()
    return world


def _batch(seed: int, first: int, jobs: int, rules: Rules) -> Tally:
    tally = Tally()
    gc.disable()  # nothing of a job refers back to it
    for number in range(first, first + jobs):
        tally.note(random_world(seed, number, rules), f"seed {seed} job {number}")
    gc.enable()
    return tally


def random_days(jobs: int, seed: int, rules: Rules = RULES, say: Callable[[Tally], object] = lambda _: None) -> Tally:
    """Simulate many jobs; `say` is told how far it is."""
    tally = Tally()
    tasks = [(seed, first, min(_BATCH, jobs - first), rules) for first in range(0, jobs, _BATCH)]
    for part in side_by_side(_batch, tasks):
        tally.add(part)
        say(tally)
    return tally


# --- wrong rules: a simulation that does not see these sees nothing -------------------------------


def _send_again(record: JobRecord, now: Moment) -> Kind | None:
    """Takes a doubt for a no."""
    return RULES.next_call(record if record.phase is Phase.READY else record.changed(phase=Phase.READY, due=None), now)


WRONG = {
    "without settling": dataclasses.replace(RULES, next_call=_send_again),
    "with HTTP retries on POST": dataclasses.replace(RULES, posts=6),
    "with W = 1 min": dataclasses.replace(RULES, policy=Policy(SettlePolicy(60.0, 60.0, 3))),
}


# --- every path ---------------------------------------------------------------------------------

SHOWN = {
    "at once": (0.0, 0.0),
    "lagging": (0.0, 4.5 * MINUTE_S),
    "late": (29 * MINUTE_S, 0.0),
    "late and lagging": (29 * MINUTE_S, 4.5 * MINUTE_S),
}
"""When listings show an effect: seconds from giving up to the effect, and from there to the listing."""
KINDS_OF_REPLY = ("made", "HTTP 400", "no address", "HTTP 429", "time-out")
"""One of each kind that the protocol can tell apart; with all others one death is tried, with these two."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A day on which one effect meets its fates."""

    target: Step
    fates: tuple[Fate, ...]
    stall_s: float = 0.0
    """How long the worker sleeps before it first sends it."""
    habit: Habit | None = None
    """What the monitor does; None on the direct route."""

    def world(self, script: Script, rules: Rules, **more: float) -> World:
        """Where the day is lived."""
        if self.habit is None:
            return World(script, rules, **more)
        return MonitoredWorld(script, rules, MONITORED_RECORD, habit=self.habit, **more)


class PathScript(Script):
    """Such a day, on which every moment at which the worker may die is kept, and results show late."""

    run_s = 30.0

    def results_lag_s(self) -> float:
        return 4.5 * MINUTE_S

    def __init__(self, plan: Plan, posts: int = 0, everywhere: bool = False, keeps: bool = True) -> None:
        self.plan, self.posts, self.everywhere, self.keeps = plan, posts, everywhere, keeps
        self.moments: dict[tuple[Step, str, str], World] = {}
        self.times: set[float] = set()

    def crash(self, world: World, point: str) -> bool:
        step = world.record.step
        if self.keeps and (self.everywhere or step is self.plan.target):
            # Of many looks the first, and the last, which comes to a conclusion and so leaves the step.
            place = step, point, "last" if (step, point, "first") in self.moments else "first"
            self.moments[place] = self.dead(world)
            self.times.add(world.s)
        return False

    def dead(self, world: World) -> World:
        """What is left when the worker dies now."""
        things = [dataclasses.replace(thing) for thing in world.things]
        script = PathScript(self.plan, self.posts, everywhere=True, keeps=not self.everywhere)
        return world.left(script, things)

    def stall_s(self) -> float:
        return 0.0 if self.posts else self.plan.stall_s

    def fate(self, step: Step) -> Fate:
        if step is not self.plan.target:
            return CLEAN
        self.posts += 1
        return self.plan.fates[self.posts - 1] if self.posts <= len(self.plan.fates) else CLEAN


class CancelScript(PathScript):
    """The same day, on which a person cancels."""

    def person(self, world: World) -> None:
        if not world.record.has_ended:
            submission.cancel(world, world.record.id, "ana", world.now().at)


def fates() -> Iterator[Fate]:
    """Every answer with every effect that may stand behind it, shown in every way."""
    for name, reply in REPLIES.items():
        for made in reply.effects:
            for late_s, lag_s in SHOWN.values() if made else [(0.0, 0.0)]:
                if not (late_s and reply.error is None):  # what is confirmed has been made
                    yield Fate(name, made, late_s, lag_s)


LYING = tuple(Fate(name, True) for name in ("HTTP 429", "HTTP 429, Retry-After"))
"""A request for a pause, although the effect was made; the one look that it costs finds what listings show at once."""
_FEW = (Fate(), Fate("time-out", True, *SHOWN["late and lagging"]), Fate("time-out", made=False), LYING[0])
"""One fate of each kind."""


def _paths_of(target: Step, fate: Fate, rules: Rules, habit: Habit | None = None) -> tuple[Tally, float]:
    """Every path of one effect with one fate: once or twice, with none, one and two deaths, or a cancellation."""
    tally, longest_s = Tally(), 0.0

    def live(world: World, name: str) -> PathScript:
        nonlocal longest_s
        world.run()
        tally.note(world, f"{target} {fate} {name}{f' {habit}' if habit else ''}")
        longest_s = max(longest_s, world.s)
        assert isinstance(world.script, PathScript)
        return world.script

    is_kind = fate.reply in KINDS_OF_REPLY
    for again, stall_s in itertools.product((1, 2), (0.0, HOUR_S) if is_kind else (0.0,)):
        plan = Plan(target, (fate,) * again, stall_s, habit)
        script = live(plan.world(PathScript(plan), rules), f"x{again} stall {stall_s}")
        for at_s in script.times:
            cancelling = CancelScript(plan, keeps=False)
            live(plan.world(cancelling, rules, person_s=at_s + 0.1), f"x{again} cancelled at {at_s}")
        for first, dead in script.moments.items():
            # Whatever the monitor does, a second death is like one of the direct route.
            dead.script.keeps = is_kind and not stall_s and (habit is None or (habit == KEEPS and fate in _FEW))
            after = live(dead, f"x{again} death at {first}")
            for second, dead_again in after.moments.items():
                live(dead_again, f"x{again} deaths at {first} and {second}")
    return tally, longest_s


def _every_path(target: Step, some: list[Fate], rules: Rules, habit: Habit | None = None) -> tuple[Tally, float]:
    tally, longest_s = Tally(), 0.0
    for fate in some:
        part, part_s = _paths_of(target, fate, rules, habit)
        tally.add(part)
        longest_s = max(longest_s, part_s)
    return tally, longest_s


def every_path(rules: Rules = RULES) -> tuple[Tally, float]:
    """All paths, and the longest time that one took, in seconds of its own."""
    tally, longest_s, every = Tally(), 0.0, [*fates(), *LYING]
    tasks = [(target, every[part::8], rules) for target in EFFECTS for part in range(8)]
    for part, part_s in side_by_side(_every_path, tasks):
        tally.add(part)
        longest_s = max(longest_s, part_s)
    return tally, longest_s


def every_monitored_path(rules: Rules = RULES, *, whole: bool = False) -> tuple[Tally, float]:
    """All paths through a monitor: its habits, with the fates of its start and of a result that it leaves to us.

    Args:
        rules: The functions under test.
        whole: Each habit with every fate; else with one of each kind, and the usual habit with more of them.
    """
    tally, longest_s, every = Tally(), 0.0, [*fates(), *LYING]
    kinds = every if whole else [fate for fate in every if fate.reply in KINDS_OF_REPLY]
    starts = [(Step.RUN, kinds if whole or habit is KEEPS else list(_FEW), habit) for habit in HABITS]
    captures = [(Step.CAPTURE, kinds if whole else list(_FEW), habit) for habit in WE_KEEP]
    tasks = [(step, some[part::4], rules, habit) for step, some, habit in (*starts, *captures) for part in range(4)]
    for part, part_s in side_by_side(_every_path, tasks):
        tally.add(part)
        longest_s = max(longest_s, part_s)
    return tally, longest_s


def main() -> int:
    """Run random days; prints one line, and exits 1 when one of them was wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="tell the story of this job")
    options = parser.parse_args()
    if options.only is not None:
        script = RandomScript(options.seed * 10**9 + options.only)
        world = World(script, person_s=script.cancel_s, story=[])
        world.run()
        events = (f"{event.at} {event.what}: {event.detail}" for event in world.record.events)
        sys.stdout.write("\n".join([*(world.story or ()), *events]) + "\n")
        return 0
    began = time.monotonic()
    tally = random_days(options.jobs, options.seed)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{tally.line()}, seed {options.seed}, {seconds:.0f} s\n" + "".join(f"{w}\n" for w in tally.wrong))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
