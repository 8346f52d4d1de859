"""A request for a pause: nothing was made by its word, one look makes sure, and everybody waits as long as asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AccessError
from core.platforms.base import HealthKind, SettlePolicy
from jobs.call_answers import Made, NotReached, Pending, Seen, Throttled, Unclear
from jobs.patience import PAUSE_CAP_S, is_due
from jobs.platform_health import PlatformHealth
from jobs.protocol import Kind, Policy, intend, next_call, step, take
from jobs.records import JobState, Phase, Step
from tests.fake_runner import Clock
from tests.job_records import a_record
from tests.trial import KINDS, Trial

POLICY = Policy(SettlePolicy(60.0, 120.0, 3))
EFFECTS = (Step.MANIFEST_ASSET, Step.STATE_ASSET, Step.RUN, Step.CAPTURE)


def once(kind: str, *outcomes: str):
    planned = list(outcomes)
    return lambda asked: planned.pop(0) if asked == kind and planned else "made"


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("outcome", ["throttled", "throttled_made"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_effect_is_made_once_though_the_platform_asks_for_pauses(kind, outcome, times):
    trial = Trial(outcome=once(kind, *[outcome] * times), retry_after_s=30.0)
    trial.run()
    assert trial.job.state is JobState.SUCCEEDED
    assert trial.doubled() == []
    assert [event.what for event in trial.job.events].count("the platform asks for a pause") == 1
    # As long as was asked, and never the window in which a lost effect is looked for.
    pauses = 1 if outcome == "throttled_made" else times
    assert 30.0 * pauses <= trial.clock.s < 30.0 * pauses + 60.0


@given(
    step_=st.sampled_from(EFFECTS),
    retry_after_s=st.none() | st.floats(0.0, 1e6),
    tries=st.integers(0, 20),
    reposts=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_one_look_that_finds_nothing_settles_it_without_counting_a_repost(step_, retry_after_s, tries, reposts):
    now = Clock(100.0)()
    record = intend(a_record(state=JobState.LAUNCHING, step=step_, tries=tries, reposts=reposts), now)
    held = step(record, Throttled("slow down", retry_after_s), now, POLICY)
    assert (held.phase, held.throttled, held.reposts) == (Phase.SETTLING, True, reposts)
    wait_s = (held.due - now.at).total_seconds()
    assert 1.0 <= wait_s <= PAUSE_CAP_S
    if retry_after_s is not None:
        assert wait_s == pytest.approx(min(max(retry_after_s, 1.0), PAUSE_CAP_S))
    assert next_call(held, Clock(100.0 + wait_s / 2)()) is None
    taken = take(held, "another worker", now)
    assert next_call(taken, Clock(100.0 + wait_s / 2)()) is None
    after_pause = Clock(100.1 + wait_s)()
    assert next_call(held, after_pause) is next_call(taken, after_pause) is Kind.LOOK
    ready = step(held, Seen(()), after_pause, POLICY)
    assert (ready.phase, ready.throttled, ready.reposts, ready.due) == (Phase.READY, False, reposts, None)
    assert step(held, Seen(("x",)), after_pause, POLICY).step is not step_
    # What was believed of one call is not believed of the next.
    doubted = step(intend(ready, after_pause), Unclear("reset"), after_pause, POLICY)
    assert step(doubted, Seen(()), after_pause, POLICY).phase is Phase.SETTLING


def test_pauses_grow_while_the_platform_names_none_and_end_with_the_first_success():
    now, waits = Clock()(), []
    record = a_record(state=JobState.LAUNCHING, step=Step.RUN)
    for _ in range(5):
        held = step(intend(record, now), Throttled("slow down"), now, POLICY, jitter=1.0)
        waits.append((held.due - now.at).total_seconds())
        record = step(held, Seen(()), now, POLICY)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0]
    assert step(intend(record, now), Made("r"), now, POLICY).tries == 0


@pytest.mark.parametrize("pause_s", [20.0, 3000.0])
def test_a_read_waits_as_long_as_it_was_asked_to(pause_s):
    now = Clock()()
    held = step(
        a_record(state=JobState.PREPARING, step=Step.INPUTS_READY), NotReached("429", True, False, pause_s), now, POLICY
    )
    assert not is_due(held, Clock(pause_s - 1)())
    assert is_due(held, Clock(pause_s)())
    # Further ahead than was asked: the clock was turned back.
    assert is_due(held, Clock(-60.0)())
    assert step(held, Pending(Step.STATE_ASSET, "a"), Clock(pause_s)(), POLICY).pause_s == 0.0


def test_a_refusal_holds_every_job_behind_one_banner_and_fails_none():
    trial = Trial(jobs=5, outcome=lambda _: "no_access" if trial.clock.s < 600 else "made")
    worker, worked = trial.start(), 0
    while trial.clock.s < 590:
        worker.run_pass()
        trial.clock.s += 5.0
    assert trial.runner.calls <= 12
    status = trial.store.status
    assert (status.health, status.health_since) == (HealthKind.REFUSING, Clock(0.0)().at)
    assert status.waiting.startswith("fake refuses us since 2026-03-01 09:00Z: the token is not valid any more")
    assert {record.state for record in trial.store.records.values()} <= {JobState.QUEUED, JobState.PREPARING}
    trial.run()
    worked = sum(record.state is JobState.SUCCEEDED for record in trial.store.records.values())
    assert worked == 5


def test_the_health_says_since_when_and_gets_well():
    health, clock = PlatformHealth("Code Ocean"), Clock()
    for clock.s in (0.0, 10.0, 20.0, 30.0):
        health.heard(NotReached("no route", is_outage=True), clock())
    assert (health.kind, health.banner(clock())) == (HealthKind.OK, "")
    clock.s = 40.0
    health.heard(NotReached("no route", is_outage=True), clock())
    assert (health.kind, health.since) == (HealthKind.AWAY, Clock(0.0)().at)
    assert "cannot be reached since 2026-03-01 09:00Z" in health.banner(clock())
    assert health.is_closed(clock())
    health.heard(NotReached("429", is_outage=True, retry_after_s=20.0), clock())
    assert "asks for a pause until 09:01:00Z" in health.banner(clock())
    clock.s = 61.0
    assert not health.is_closed(clock())
    assert health.banner(clock()) == ""
    health.heard(Pending(Step.STATE_ASSET, "a"), clock())
    assert (health.kind, health.since, health.words) == (HealthKind.OK, None, "")
    health.heard(NotReached("rubbish"), clock())
    assert health.kind is HealthKind.OK


def test_a_refusal_beside_answers_to_others_is_one_jobs_own():
    trial = Trial(jobs=3)
    first = trial.store.active()[0]
    start_run = trial.runner.start_run

    def refuse_one(request):
        if request.token == first.token:
            raise AccessError("you may not attach this asset")
        return start_run(request)

    trial.runner.start_run = refuse_one
    worker, seen = trial.start(), set()
    while len(trial.store.active()) > 1:
        worker.run_pass()
        seen.add(trial.store.status.health)
        trial.clock.s += 5.0
        assert trial.clock.s < 400.0
    assert seen == {HealthKind.OK}
    refused = trial.store.records[first.id]
    assert refused.state is JobState.LAUNCHING
    assert refused.tries > 1
    assert "you may not attach this asset" in refused.error
