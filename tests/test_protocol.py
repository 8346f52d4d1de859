"""The launch protocol: whatever is lost, late or killed, an effect is made once, or a person is asked."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator

import pytest

from core.platforms.base import RunState, SettlePolicy
from jobs import protocol
from jobs.call_answers import Seen
from jobs.protocol import Kind
from jobs.records import JobRecord, JobState, Moment, Phase, Step
from tests.fake_runner import Clock, CrashError
from tests.job_records import a_record
from tests.trial import KINDS, Trial

OUTCOMES = ("made", "lost", "never", "late", "rubbish", "refused", "down", "crash_before", "crash_after")


def once(kind: str, outcome: str) -> Callable[[str], str]:
    """The outcome for the first effect of a kind, then all is well."""
    first = [outcome]
    return lambda asked: first.pop() if asked == kind and first else "made"


def test_a_job_goes_to_its_counted_end():
    trial = Trial()
    trial.run()
    job = trial.job
    assert job.state is JobState.SUCCEEDED
    assert (job.coverage.asked, job.coverage.delivered) == (2, 2)
    assert trial.made(job) == dict.fromkeys(KINDS, 1)
    assert [job.ids.manifest_asset, job.ids.state_asset, job.ids.run, job.ids.result] == [
        thing.id for thing in trial.runner.things
    ]


@pytest.mark.parametrize("lag_s", [0.0, 40.0])
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_outcome_of_each_effect_alone(kind, outcome, lag_s):
    trial = Trial(outcome=once(kind, outcome), lag_s=lag_s, late_s=15.0)
    trial.run()
    assert trial.doubled() == []
    expected = JobState.FAILED if outcome == "refused" else JobState.SUCCEEDED
    assert trial.job.state is expected, trial.job.error


def crash_points() -> int:
    trial = Trial()
    trial.run()
    return 2 * trial.store.writes


@pytest.mark.parametrize("outcome", ["made", "lost", "late", "never"])
def test_every_two_crashes_with_every_outcome_of_every_effect(outcome):
    """The worker dies at each write (before or after it), and once more at each later one."""
    points = crash_points()
    assert points > 20
    ends: dict[JobState, int] = {}
    for kind, first, gap in itertools.product(KINDS, range(points), (1, 2, 3, 5, 8, points)):
        trial = Trial(outcome=once(kind, outcome), late_s=15.0, run_s=4.0)
        at = {first, first + gap}
        count = itertools.count()

        def spoil(_: str, at: set[int] = at, count: Iterator[int] = count) -> None:
            if next(count) in at:
                raise CrashError

        trial.store.spoil = spoil
        trial.run()
        assert trial.crashes >= 1
        assert trial.doubled() == [], (kind, outcome, first, gap)
        ends[trial.job.state] = ends.get(trial.job.state, 0) + 1
    # With nothing sent again but once, only two deaths at a run that never was may need a person.
    assert set(ends) <= {JobState.SUCCEEDED, JobState.NEEDS_YOU}
    assert ends[JobState.SUCCEEDED] > 10 * ends.get(JobState.NEEDS_YOU, 0)


def simulate(jobs: int, seed: int) -> Trial:
    """Many jobs on a bad day: outcomes at random, crashes at writes, outages, late and lagging effects."""
    draw = random.Random(seed)
    weights = {
        "made": 70,
        "lost": 6,
        "never": 4,
        "late": 6,
        "rubbish": 3,
        "down": 5,
        "crash_before": 3,
        "crash_after": 3,
    }
    trial = Trial(
        jobs,
        seed,
        outcome=lambda _: draw.choices(list(weights), list(weights.values()))[0],
        lag_s=20.0,
        late_s=30.0,
        down=lambda: draw.random() < 0.02,
    )

    def spoil(_: str) -> None:
        if draw.random() < 0.002:
            raise CrashError

    trial.store.spoil = spoil
    trial.run()
    return trial


def test_many_jobs_on_a_bad_day(tell):
    jobs = int(os.environ.get("TRACKMAPPER_TEST_JOBS", "400"))
    seed = int(os.environ.get("TRACKMAPPER_TEST_SEED", random.SystemRandom().randrange(10**6)))
    done, crashes, asked = 0, 0, 0
    while done < jobs:
        batch = min(100, jobs - done)
        trial = simulate(batch, seed + done)
        done, crashes = done + batch, crashes + trial.crashes
        assert trial.doubled() == [], f"seed {seed + done - batch}"
        asked += sum(r.state is JobState.NEEDS_YOU for r in trial.store.records.values())
        lost = [r for r in trial.store.records.values() if r.state not in (JobState.SUCCEEDED, JobState.NEEDS_YOU)]
        assert not lost, f"seed {seed + done - batch}: {lost[0].state} {lost[0].error}"
    assert crashes > jobs / 100
    assert asked < jobs / 20
    tell(f"bad day: {jobs} jobs, {crashes} crashes, 0 doubled, 0 lost, {asked} ask a person, seed {seed}")


def test_the_same_day_without_settling_doubles(monkeypatch, tell):
    """The control: if this does not double, the test above sees nothing."""
    right = protocol.next_call

    def send_again(record: JobRecord, now: Moment) -> Kind | None:
        if record.phase is not Phase.READY:
            record = record.changed(phase=Phase.READY, due=None)
        return right(record, now)

    monkeypatch.setattr(protocol, "next_call", send_again)
    doubled = len(simulate(100, 7).doubled())
    tell(f"control, bad day without settling: 100 jobs, {doubled} doubled, seed 7")
    assert doubled > 10


# --- ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delivered", "end", "state", "words"),
    [
        (2, (RunState.FINISHED, 0), JobState.SUCCEEDED, ""),
        (1, (RunState.FINISHED, 0), JobState.INCOMPLETE, "1 of 2"),
        (0, (RunState.FINISHED, 0), JobState.INCOMPLETE, "0 of 2"),
        (1, (RunState.GONE, None), JobState.INCOMPLETE, "1 of 2"),
        (2, (RunState.FAILED, 137), JobState.INCOMPLETE, "exit code 137"),
        (-1, (RunState.FAILED, 1), JobState.FAILED, "no results"),
        (-1, (RunState.FINISHED, 0), JobState.FAILED, "no results"),
        (-1, (RunState.GONE, None), JobState.FAILED, "gone"),
    ],
)
def test_green_means_counted(delivered, end, state, words):
    trial = Trial(delivered=delivered, end=end)
    trial.run()
    assert trial.job.state is state
    assert words in trial.job.error
    assert trial.made(trial.job)["capture"] == (0 if delivered < 0 else 1)


def test_another_converter_is_refused_before_anything_is_made():
    trial = Trial(converter_version="2")
    trial.run()
    assert trial.job.state is JobState.REFUSED
    assert trial.runner.things == []


def test_an_asset_that_fails_is_named_and_kept_apart():
    trial = Trial(asset_state="failed")
    trial.run()
    assert (trial.job.state, trial.job.step) == (JobState.FAILED, Step.MANIFEST_ASSET)
    assert trial.job.surplus == ("manifest-0",)
    assert "manifest asset failed" in trial.job.error


def test_twins_are_an_alarm_and_the_oldest_is_ours():
    trial = Trial(outcome=iter_outcome({"run": ["made", "lost"]}))
    real = trial.runner.start_run

    def twice(request):
        real(request)
        return real(request)

    trial.runner.start_run = twice
    trial.run()
    assert (trial.job.ids.run, trial.job.surplus) == ("run-2", ("run-3",))
    assert any(event.what.startswith("alarm") for event in trial.job.events)
    assert trial.job.state is JobState.SUCCEEDED


def iter_outcome(planned: dict[str, list[str]]):
    return lambda kind: planned[kind].pop(0) if planned.get(kind) else "made"


def test_a_run_that_is_never_found_asks_a_person_after_one_more_try():
    trial = Trial(outcome=iter_outcome({"run": ["never", "never", "never"]}))
    trial.run()
    assert trial.job.state is JobState.NEEDS_YOU
    assert "a person must decide" in trial.job.error
    assert trial.made(trial.job)["run"] == 0


def test_an_outage_fails_no_job():
    trial = Trial()
    trial.runner.down = lambda: trial.clock.s < 3600
    trial.runner.outcome = lambda _: "down" if trial.clock.s < 3600 else "made"
    trial.run()
    assert trial.job.state is JobState.SUCCEEDED
    assert trial.clock.s < 3600 + 1500
    assert trial.runner.calls < 100


# --- clocks -----------------------------------------------------------------------------------


def test_the_wall_clock_cannot_cut_the_window_short():
    clock = Clock()
    early = clock()
    jumped = early.model_copy(update={"at": early.at.replace(year=2030)})
    assert jumped.seconds_since(early) == 0.0
    rebooted = jumped.model_copy(update={"boot_id": "other", "boot_s": 1.0})
    assert rebooted.seconds_since(early) > 1e8


def test_a_clock_turned_back_does_not_hold_a_job_for_ever():
    now = Clock()()
    for record in (a_record(tries=1), a_record(phase=Phase.SETTLING, clean_looks=2)):
        for ahead_s, due in ((1e9, True), (60.0, True), (3.0, False)):
            assert protocol.is_due(record.changed(due=Clock(ahead_s)().at), now) is due


def test_a_clock_turned_back_over_a_restart_begins_the_window_anew():
    policy = protocol.Policy(SettlePolicy(0.0, 30.0, 2))
    later = Moment(at=Clock(86400.0)().at, boot_id="before", boot_s=5.0)
    record = a_record(state=JobState.LAUNCHING, step=Step.RUN, phase=Phase.SETTLING, intent=later)
    for s in range(0, 90, 10):
        if record.phase is Phase.SETTLING:
            record = protocol.step(record, Seen(()), Clock(float(s))(), policy)
            assert record.phase is Phase.SETTLING or s >= 30
    assert record.phase is Phase.READY


def test_an_intent_that_is_read_back_is_never_sent():
    now = Clock()()
    for step in (Step.MANIFEST_ASSET, Step.STATE_ASSET, Step.RUN, Step.CAPTURE):
        record = a_record(step=step, phase=Phase.INTENT, state=JobState.PREPARING, intent=now)
        assert protocol.next_call(record, now) is Kind.LOOK
        assert protocol.take(record, "new", now).phase is Phase.SETTLING


def test_a_start_that_cannot_double_is_sent_again_instead_of_asking_a_person():
    def after_two_losses(settle: SettlePolicy):
        record = a_record(state=JobState.LAUNCHING, step=Step.RUN, phase=Phase.SETTLING, intent=Clock(0.0)(), reposts=1)
        for s in (10.0, 50.0):
            record = protocol.step(record, Seen(()), Clock(s)(), protocol.Policy(settle))
        return record.state, record.phase

    assert after_two_losses(SettlePolicy(0.0, 30.0, 2)) == (JobState.NEEDS_YOU, Phase.SETTLING)
    assert after_two_losses(SettlePolicy(0.0, 30.0, 2, starts_once=True)) == (JobState.LAUNCHING, Phase.READY)
