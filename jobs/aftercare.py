"""One more look at a job: did something of it turn up late, and which earlier failures has it made good?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from core.platforms.base import MONITORED, Runner
from core.subjects.gather import CONVERTED_NAME
from jobs.calls import misplaced, run_key
from jobs.checkups import Checkup
from jobs.coverage_rows import RowKey, delivered_rows, undelivered_rows
from jobs.doubts import TURNED_UP, given_up_runs, made_followable, status_words, turned_up
from jobs.job_states import JobState, Phase, Step
from jobs.protocol import TWINS
from jobs.records import JobRecord, Moment
from jobs.store import JobStore
from jobs.watched import first_new, remote_of

_FAILURES = (JobState.FAILED, JobState.INCOMPLETE, JobState.REFUSED)
_WITH_RESULTS = (JobState.SUCCEEDED, JobState.INCOMPLETE)
_LOOK_BACK = 200
_LOOK_AGAIN_S, _LOOK_AGAIN_CAP_S = 15.0, 6 * 3600.0
_LOOKS_IN_DOUBT = 64
"""Two weeks of them: what is longer away than all that was ever seen is not looked for any more."""


def check_up(
    store: JobStore, runner: Runner, checkup: Checkup, now: Moment, *, stop_twins: bool, find_again_s: float
) -> bool:
    """Look once more at a job when that is due; returns whether the platform was asked.

    Args:
        store: The queue.
        runner: The platform.
        checkup: What is to be looked at.
        now: The time.
        stop_twins: Stop further runs of one launch. Those of a cancelled job are stopped in any case.
        find_again_s: How long after a start was sent nothing of it can still turn up.

    Raises:
        PlatformError: it could not be asked; the look stays due.
        JobError: somebody else wrote a record first; the look stays due.
    """
    record = store.get(checkup.job_id)
    # Of a time that lies ahead the clock was turned back: it is as good as past.
    last = checkup.intent
    if last and record.ended and record.cancel is not None and record.route == MONITORED:
        last = max(last, record.ended)  # a monitor may have started its conversion until it was stopped
    late = last is None or abs((now.at - last).total_seconds()) >= find_again_s
    again = checkup.again is not None and now.at >= checkup.again
    if not (checkup.soon or again or (late and not checkup.late_made)) or misplaced(record, runner):
        return False
    if record.has_ended:
        supersede_failures(store, record, now)
    asks = record.state is JobState.NEEDS_YOU and record.step is Step.RUN
    if record.ids.run is None and not (asks or record.has_ended):
        return False  # what there is of it is looked for before it is started
    # Of a job that names no run, what turns up may be the only one it has.
    stops = record.cancel is not None or (stop_twins and record.ids.run is not None)
    _look_for_twins(store, runner, record, now, stop_twins=stops)
    store.end_checkup(checkup, _following(checkup, record, now, late=late, is_told=runner.settle.starts_once))
    return True


def _following(checkup: Checkup, record: JobRecord, now: Moment, *, late: bool, is_told: bool) -> Checkup | None:
    """What is still to be looked at after a look; None when nothing is.

    Args:
        checkup: The look that was made.
        record: The job.
        now: When.
        late: Nothing of the job's last start should turn up any more.
        is_told: The platform's word that there is no run holds at once and for ever.
    """
    in_doubt = checkup.in_doubt and checkup.looks < _LOOKS_IN_DOUBT and not is_told
    if late and not in_doubt:
        return None
    following = checkup.model_copy(update={"soon": False, "again": None, "late_made": late})
    # What was on its way when a person said stop must not run for long; most of it shows within minutes. So it is
    # with what was given up: each pause is as long as all before it, and what was hidden for a day is told on the next.
    if in_doubt or (record.cancel is not None and record.has_ended):
        pause = timedelta(seconds=min(_LOOK_AGAIN_S * 2.0 ** min(checkup.looks, 20), _LOOK_AGAIN_CAP_S))
        following = following.model_copy(update={"again": now.at + pause, "looks": checkup.looks + 1})
    return following


def _look_for_twins(store: JobStore, runner: Runner, record: JobRecord, now: Moment, *, stop_twins: bool) -> None:
    key = run_key(record)
    runs = runner.find_runs(key)
    if runs and record.state is JobState.NEEDS_YOU and record.step is Step.RUN:
        back = record.changed(state=JobState.LAUNCHING, phase=Phase.SETTLING, clean_looks=0, error="")
        store.put(back.told(now.at, "a run turned up", ", ".join(runs)))
        return
    record = _first_run(store, runner, record, runs, now)
    record = _told(store, runner, record, runs, now)
    if stop_twins:
        record = _stopped(store, runner, record, runs, now)
    # After the monitors, of which none that was stopped can start one more. While its conversion is waited for, the
    # next look at the run takes it up.
    waits_for_it = record.step is Step.WATCH and not record.has_ended and not record.remote.child
    children = () if waits_for_it else runner.find_children(key)
    record = _first_conversion(store, runner, record, children, now)
    record = _told(store, runner, record, children, now)
    if stop_twins:
        record = _stopped(store, runner, record, children, now)
    if not runner.settle.starts_once:
        record = _look_for_given_up(store, runner, record, now)
    if record.has_ended and record.route == MONITORED and record.ids.result is None:
        _look_for_result(store, runner, record, now)


def _look_for_result(store: JobStore, runner: Runner, record: JobRecord, now: Moment) -> None:
    """Tell of a result that a monitor has kept of a job which ended without one: it looks like any other."""
    found = [asset.id for asset in runner.find_assets(record.token) if CONVERTED_NAME in asset.name]
    told = " ".join(event.detail for event in record.events if event.what == TURNED_UP)
    if news := [asset_id for asset_id in found if asset_id not in record.surplus and asset_id not in told]:
        words = f"result asset: {', '.join(news)}, kept by the monitor and not counted"
        after = made_followable(record).told(now.at, TURNED_UP, words)
        if after.step is not Step.WATCH:  # else it is no surplus: the job may go on, and count it
            after = after.changed(surplus=(*record.surplus, *news))
        store.put(after)


def _look_for_given_up(store: JobStore, runner: Runner, record: JobRecord, now: Moment) -> JobRecord:
    """Tell when a run shows that the job had given up; that of a cancelled job is stopped."""
    for run in given_up_runs(record):
        status = runner.run_status(run)
        after, words = turned_up(record, run, status)
        if not words:
            continue
        after = made_followable(after).told(now.at, TURNED_UP, words)
        if record.cancel is not None and status.state.goes_on:
            runner.stop_run(run)
            after = after.told(now.at, "stopped", run)
        record = store.put(after)
    return record


def _twins(record: JobRecord, found: Iterable[str]) -> tuple[str, ...]:
    return tuple(run for run in dict.fromkeys(found) if run not in (record.ids.run, record.remote.child))


def _told(store: JobStore, runner: Runner, record: JobRecord, found: Iterable[str], now: Moment) -> JobRecord:
    """An ended job stays as it ended; only its history tells more."""
    news = tuple(run for run in _twins(record, found) if run not in record.surplus)
    if not news:
        return record
    # Of a job that names no run it is no twin: it is the one that was given up.
    what = TWINS if record.ids.run else TURNED_UP
    words = "; ".join(f"run: {run}, {status_words(runner.run_status(run))}" for run in news)
    return store.put(record.changed(surplus=(*record.surplus, *news)).told(now.at, what, words))


def _first_run(store: JobStore, runner: Runner, record: JobRecord, found: Iterable[str], now: Moment) -> JobRecord:
    """The first run of a failed job that names none is its own: a person may let the job go on from it."""
    first = first_new(record, found)
    if record.state is not JobState.FAILED or record.ids.run is not None or not first:
        return record
    status = runner.run_status(first)
    after = record.changed(ids=record.ids.model_copy(update={"run": first}), started=record.started or now.at)
    if record.route != MONITORED:
        after = after.changed(remote=remote_of(status))
    return store.put(made_followable(after).told(now.at, TURNED_UP, f"run: {first}, {status_words(status)}"))


def _first_conversion(
    store: JobStore, runner: Runner, record: JobRecord, found: Iterable[str], now: Moment
) -> JobRecord:
    """The first conversion of a job that knew of none is its own, and no twin; that of a cancelled job is stopped."""
    first = first_new(record, found)
    if record.remote.child or not first:
        return record
    status = runner.run_status(first)
    after = made_followable(record.changed(remote=remote_of(status, first)))
    after = after.told(now.at, TURNED_UP, f"run: {first}, {status_words(status)}")
    if record.cancel is not None and status.state.goes_on:
        runner.stop_run(first)
        after = after.told(now.at, "stopped", first)
    return store.put(after)


def _stopped(store: JobStore, runner: Runner, record: JobRecord, found: Iterable[str], now: Moment) -> JobRecord:
    going = [run for run in _twins(record, found) if runner.run_status(run).state.goes_on]
    for run in going:
        runner.stop_run(run)
    return store.put(record.told(now.at, "twin stopped", ", ".join(going))) if going else record


def supersede_failures(store: JobStore, record: JobRecord, now: Moment) -> None:
    """Mark the earlier failures of a mouse whose missing rows are delivered by now. Repeating it is fine.

    A mapping may have been launched anew as several jobs, one for each recording: what counts is what all jobs after
    the failure have delivered together, whichever of them ended last.
    """
    if not delivered_rows(record):
        return
    failures = store.newest(
        _LOOK_BACK, before=record.id, states=_FAILURES, subject=record.subject, superseded=False, archived=False
    )
    if not failures:
        return
    with_results = store.newest(_LOOK_BACK, states=_WITH_RESULTS, subject=record.subject)
    for earlier in failures:
        later = [job for job in with_results if job.id > earlier.id and job.platform == earlier.platform]
        makers = _makers(undelivered_rows(earlier), later)
        if makers:
            numbers = " and ".join(str(int(job.id)) for job in reversed(makers))
            words = f"job{'s' * (len(makers) > 1)} {numbers} delivered what this one did not"
            store.put(earlier.changed(superseded_by=makers[0].id).told(now.at, "superseded", words))


def _makers(missing: frozenset[RowKey], jobs: Sequence[JobRecord]) -> list[JobRecord]:
    """The first of these jobs that have delivered all missing rows together; none when some row is still missing."""
    makers = []
    for job in jobs:
        found = delivered_rows(job) & missing
        if found:
            makers.append(job)
            missing -= found
    return [] if missing else makers
