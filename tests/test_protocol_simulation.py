"""The launch protocol on simulated days: no day doubles a run or a result, loses a job or leaves anything behind."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace

import pytest

from core.errors import StoreBusyError
from jobs import protocol
from jobs.records import JobState, Phase, Step
from tests.protocol_simulation import COSTLY, HOUR_S, MINUTE_S, RULES, World
from tests.simulated_days import WRONG, PathScript, Plan, every_monitored_path, every_path, random_days
from tests.simulated_monitor import KEEPS
from tests.simulated_replies import Fate
from tests.trial import Trial

SEED = int(os.environ.get("TRACKMAPPER_TEST_SEED", random.SystemRandom().randrange(10**6)))


def lived(*plan) -> World:
    world = World(PathScript(Plan(*plan)))
    world.run()
    return world


def made(world: World, step: Step) -> int:
    return sum(thing.step is step for thing in world.things)


# --- what the simulation has found, each alone ----------------------------------------------------


def test_a_result_is_looked_for_as_long_as_a_run():
    """It is kept once, however late the first request for it takes effect."""
    late = Fate("time-out", True, late_s=29 * MINUTE_S, lag_s=4 * MINUTE_S)
    for step in COSTLY:
        world = lived(step, (late,))
        assert made(world, step) == 1
        assert world.record.state is JobState.SUCCEEDED


@pytest.mark.parametrize("step", COSTLY)
def test_a_machine_that_slept_before_it_sent_has_not_waited_yet(step):
    lagging = Fate("reset", True, lag_s=4 * MINUTE_S)
    world = lived(step, (lagging,), 2 * HOUR_S)
    assert made(world, step) == 1
    assert world.record.state is JobState.SUCCEEDED


@pytest.mark.parametrize("step", COSTLY)
def test_a_worker_that_slept_sent_and_died_is_followed_by_one_that_waits(step):
    lagging = Fate("reset", True, lag_s=4 * MINUTE_S)
    script = PathScript(Plan(step, (lagging,), 2 * HOUR_S))
    World(script).run()
    world = script.moments[step, "sent", "first"]
    world.run()
    assert made(world, step) == 1
    assert world.record.state is JobState.SUCCEEDED


@pytest.mark.parametrize("step", COSTLY)
def test_a_list_that_is_long_on_its_way_says_nothing_of_that_time(step):
    """The effect shows while the answer is on its way that would be the last look of the window."""

    plan = Plan(step, (Fate("time-out", True, late_s=34.9 * MINUTE_S),))

    def doubled(rules):
        number = 0
        for seconds in range(60, 120, 6):
            script = PathScript(plan, keeps=False)
            script.look_takes_s = lambda seconds=seconds: float(seconds)
            world = World(script, rules)
            world.run()
            assert world.record.state is JobState.SUCCEEDED
            number += made(world, step) > 1
        return number

    assert doubled(RULES) == 0
    measured_at_the_answer = replace(RULES, step=lambda *given: protocol.step(*given[:-1]))
    assert doubled(measured_at_the_answer) > 0, "the control"


def test_a_run_whose_own_record_lags_is_not_given_up_whoever_dies():
    """Confirmed, and then it shows nowhere for minutes; the worker dies at each look."""
    script = PathScript(Plan(Step.RUN, (Fate(lag_s=30 * MINUTE_S),)), everywhere=True)
    World(script).run()
    dead = [world for (step, _, _), world in script.moments.items() if step is Step.WATCH]
    assert dead
    for world in dead:
        world.run()
        assert world.record.state is JobState.SUCCEEDED
        assert made(world, Step.RUN) == 1


def test_a_full_disk_and_a_failed_look_do_not_send_twice():
    """The answer cannot be written down, and then the platform cannot be asked."""
    trial = Trial()
    full = [True]

    def spoil(when: str) -> None:
        record = trial.job
        if when == "before" and record.step is Step.RUN and record.phase is Phase.INTENT and full.pop():
            raise StoreBusyError("the disk is full")

    trial.store.spoil = spoil
    worker = trial.start()
    while full:
        try:
            worker.run_pass()
        except StoreBusyError:
            full.clear()
        trial.clock.s += 5.0
    assert trial.job.phase is Phase.INTENT
    trial.store.spoil = lambda _: None
    outage_s = trial.clock.s + 60.0
    trial.runner.down = lambda: trial.clock.s < outage_s
    while not trial.job.has_ended:
        worker.run_pass()
        trial.clock.s += 5.0
    assert trial.job.state is JobState.SUCCEEDED
    assert trial.made(trial.job)["run"] == 1


# --- all of it ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_path_of_one_trouble_and_two_deaths(tell):
    """Each effect, with each answer, shown in each way, the worker dying at each point and at each later one."""
    began = time.monotonic()
    tally, longest_s = every_path()
    tell(f"every path: {tally.line()}; the longest took {longest_s / HOUR_S:.1f} h, {time.monotonic() - began:.0f} s")
    assert tally.jobs > 40_000
    assert (tally.doubled, tally.lost, tally.orphans) == (0, 0, 0), tally.wrong
    assert set(tally.ends) == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.NEEDS_YOU}
    assert longest_s < 12 * HOUR_S
    # The window of inputs is shorter than the latest effects: a second one is made, and hurts nobody.
    assert tally.surplus > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_path_through_a_monitor(tell):
    """Two runs and a result, of which one call is ours: whatever the monitor does, and whoever dies."""
    began = time.monotonic()
    tally, longest_s = every_monitored_path()
    took_s = time.monotonic() - began
    tell(f"every monitored path: {tally.line()}; the longest took {longest_s / HOUR_S:.1f} h, {took_s:.0f} s")
    assert tally.jobs > 3_000
    assert (tally.doubled, tally.lost, tally.orphans) == (0, 0, 0), tally.wrong
    assert set(tally.ends) == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.NEEDS_YOU}


def test_without_settling_a_monitor_is_started_twice(tell):
    """The control."""
    plan = Plan(Step.RUN, (Fate("time-out", True, lag_s=4 * MINUTE_S),), habit=KEEPS)
    world = plan.world(PathScript(plan, keeps=False), WRONG["without settling"])
    world.run()
    tell(f"control, a monitor without settling: {made(world, Step.RUN)} started")
    assert made(world, Step.RUN) > 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_jobs_on_bad_days(tell):
    began = time.monotonic()
    tally = random_days(100_000, SEED)
    tell(f"random days: {tally.line()}, seed {SEED}, {time.monotonic() - began:.0f} s")
    assert tally.jobs == 100_000
    assert (tally.doubled, tally.lost, tally.orphans) == (0, 0, 0), tally.wrong
    assert tally.asked < tally.jobs / 20
    assert tally.settled > tally.jobs / 10
    assert tally.crashes > tally.jobs / 2
    assert {JobState.SUCCEEDED, JobState.CANCELLED, JobState.REFUSED} <= set(tally.ends)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_double_on_the_same_days(name, tell):
    """The controls: a simulation that does not see these sees nothing."""
    tally = random_days(2_000, SEED, WRONG[name])
    tell(f"control, {name}: {tally.line()}, seed {SEED}")
    assert tally.doubled >= 3
