"""What people do to jobs: launch, cancel, try again, decide, put away. Each act is checked, and kept with its name."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from core import models
from core.conversion import ConversionPlan, capture_request, input_assets, launch_rows, run_request
from core.errors import InputError, NotAllowedError, StaleRecordError
from core.manifest.rows import ManifestRow
from core.models import Problem, Severity
from jobs.launches import MANIFEST_ID, RUN_ID, STATE_ID, Launch, launch_to_json, plan_from_json, plan_to_json
from jobs.quotas import NO_QUOTAS, Quotas
from jobs.records import (
    STATE_OF_STEP,
    AskedRow,
    Cancellation,
    Confirmation,
    JobRecord,
    JobState,
    KeptProblem,
    MountedAsset,
    Phase,
    Step,
    new_token,
)
from jobs.store import Added, JobStore

_TRIES = 20
_LONGEST_H = 24 * 30.0
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
AT_ONCE = {"clean_looks": 0, "due": None, "pause_s": 0.0, "throttled": False, "tries": 0}
"""Of a record that the worker is to look at now."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a launch."""

    job_id: str
    duplicate_of: str | None = None
    """The job that the same mapping has already; then no new one was made, and it is also `job_id`."""


class Choice(StrEnum):
    """What a person may decide about an effect that was never found."""

    LOOK_AGAIN = "look_again"
    START_AGAIN = "start_again"
    """Send it once more, knowing that a lost one may still turn up."""
    GIVE_UP = "give_up"


def submit(
    store: JobStore,
    plan: ConversionPlan,
    *,
    rows: Sequence[ManifestRow],
    problems: Sequence[Problem],
    confirmed: Collection[str],
    user: str,
    now: datetime,
    relaunch: bool = False,
    mapping: models.Mapping | None = None,
    quotas: Quotas = NO_QUOTAS,
    report: bytes = b"",
    zone: tzinfo = UTC,
) -> Submitted:
    """Put a checked mapping into the queue, once.

    Args:
        store: The queue.
        plan: What would run.
        rows: The rows that were checked; must be the plan's.
        problems: Everything the checks found, kept in the job.
        confirmed: Rules that this person lets pass.
        user: Who launches.
        now: When, in UTC.
        relaunch: Make a new job although an earlier one of the same mapping has succeeded.
        mapping: What the rows were made from; keeps notes and what was left out on purpose, with reasons.
        quotas: How much may be launched.
        report: A page for people that says what was decided and on what evidence, kept with the job.
        zone: The lab's, of the time in the result's name.

    Raises:
        NotAllowedError: errors or unconfirmed problems are left, nobody is named, or a quota is used up; nothing was
            made.
        InputError: the checked rows are not the plan's.
        StoreError: nothing was made; it can be tried again.
    """
    if tuple(rows) != tuple(plan.rows):
        raise InputError("the rows that were checked are not those that would run", cure="Check the mapping again.")
    _refuse_unconfirmed(problems, confirmed, user)
    record = _new_record(plan, user, now).changed(
        problems=tuple(KeptProblem.of(problem) for problem in problems),
        confirmed=tuple(
            Confirmation(rule=problem.rule, message=problem.message, by=user, at=now)
            for problem in problems
            if problem.severity is Severity.CONFIRM
        ),
    )
    kept = None if mapping is None else dataclasses.asdict(mapping)
    if report:
        record = record.changed(report_sha256=hashlib.sha256(report).hexdigest())
    added = _add(store, plan, record, now, kept, quotas, relaunch=relaunch, report=report, zone=zone)
    return Submitted(added.job_id, added.duplicate_of)


def _refuse_unconfirmed(problems: Sequence[Problem], confirmed: Collection[str], user: str) -> None:
    if not user.strip():
        raise NotAllowedError("nobody is named as launching", cure="Set TRACKMAPPER_USER, or sign in.")
    errors = sorted({problem.rule for problem in problems if problem.severity is Severity.ERROR})
    if errors:
        raise NotAllowedError(
            f"the mapping has errors: {', '.join(errors)}", cure="Cure each of them, then launch again."
        )
    open_rules = sorted({p.rule for p in problems if p.severity is Severity.CONFIRM} - set(confirmed))
    if open_rules:
        raise NotAllowedError(
            f"not confirmed: {', '.join(open_rules)}",
            cure="Look at each of them and confirm it by name, or cure it.",
        )


def _new_record(plan: ConversionPlan, user: str, now: datetime) -> JobRecord:
    return JobRecord(
        token=new_token(),
        attempt=plan.attempt,
        created=now,
        created_by=user,
        subject=plan.subject,
        acquisition=plan.acquisition,
        platform=plan.platform,
        platform_id=plan.platform_id,
        converter=plan.converter,
        converter_version=plan.converter_version,
        trackmapper_version=own_version(),
        converter_label=plan.converter_label,
        route=plan.route,
        monitor=plan.monitor,
        deadline_h=plan.deadline_h,
        parameters=dict(plan.parameters),
        digest=plan.digest,
        manifest_sha256="",
        state_sha256=plan.state_sha256,
        state_stem=plan.state_stem,
        rows=tuple(
            AskedRow(track=r.histology_track_id, recording=r.recording, stream=r.ephys_collection, shank=r.ephys_shank)
            for r in plan.rows
        ),
        mounts=tuple(MountedAsset(asset_id=mount.asset_id, mount=mount.mount) for mount in plan.mounts),
    ).told(now, "launched", f"{len(plan.rows)} rows", by=user)


def own_version() -> str:
    """This program's version; "" when it runs from a checkout that was not installed."""
    try:
        return importlib.metadata.version("trackmapper")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _add(
    store: JobStore,
    plan: ConversionPlan,
    record: JobRecord,
    now: datetime,
    mapping: object,
    quotas: Quotas,
    *,
    relaunch: bool,
    zone: tzinfo,
    report: bytes = b"",
) -> Added:
    token = record.token
    manifest, state = input_assets(plan, token)
    csv = next(iter(manifest.files.values()))
    record = record.changed(manifest_sha256=hashlib.sha256(csv).hexdigest())
    for later_s in range(_TRIES):
        # Names of results hold a time to the second; of jobs launched in the same one, each takes its own.
        launched = (now + timedelta(seconds=later_s)).astimezone(zone).strftime("%Y-%m-%d_%H-%M-%S")
        launch = Launch(
            rows=launch_rows(plan, token),
            manifest=manifest,
            state=state,
            run_request=run_request(plan, token, MANIFEST_ID, STATE_ID),
            capture_request=capture_request(plan, token, RUN_ID, launched, (MANIFEST_ID, STATE_ID)),
        )
        value, blobs = launch_to_json(launch)
        inputs = {**value, "plan": plan_to_json(plan), "mapping": mapping}
        try:
            return store.add_job(
                record,
                inputs=inputs,
                blobs=(*blobs, report) if report else blobs,
                claims=(launch.capture_request.name,),
                relaunch=relaunch,
                quotas=quotas,
            )
        except StaleRecordError:
            continue
    raise NotAllowedError("too many launches in one moment", cure="Launch again in a few seconds.")


# --- later ------------------------------------------------------------------------------------


def cancel(store: JobStore, job_id: str, user: str, now: datetime) -> JobRecord:
    """Stop a job: at once while it is queued, else as soon as the worker has stopped its run.

    Raises:
        NotAllowedError: it has ended.
        NoSuchJobError: there is no such job.
    """

    def change(record: JobRecord) -> JobRecord:
        if record.has_ended:
            raise NotAllowedError(
                f"the job is {record.state}", where=f"job {record.id}", cure="Nothing is left to stop."
            )
        if record.cancel is not None:
            return record
        asked = record.changed(cancel=Cancellation(by=user, at=now), due=None, proposed_run="")
        if record.state is JobState.QUEUED and not record.look_first:
            words = f"cancelled by {user}"
            ended = asked.changed(state=JobState.CANCELLED, step=Step.DONE, ended=now, error=words)
            return ended.told(now, "cancelled", by=user)
        if record.state is JobState.NEEDS_YOU:
            asked = asked.changed(clean_looks=0)
        return asked.changed(state=JobState.CANCELLING).told(now, "cancellation asked for", by=user)

    return change_record(store, job_id, change)


def retry(
    store: JobStore, job_id: str, user: str, now: datetime, quotas: Quotas = NO_QUOTAS, zone: tzinfo = UTC
) -> JobRecord:
    """Try again: the refused step of the same job where that is safe, else the whole mapping as a new job.

    A failed job of which a run turned up follows that one: no other is started.

    Returns:
        The record of the job that goes on: the same one, or the new one.

    Raises:
        NotAllowedError: it has not ended, has succeeded, the mapping belongs to a later job, or a quota is used up.
        NoSuchJobError: there is no such job.
    """
    record = store.get(job_id)
    if not record.has_ended or record.state is JobState.SUCCEEDED:
        raise NotAllowedError(
            f"the job is {record.state}", where=f"job {record.id}", cure="Only an end without success is tried again."
        )
    if record.superseded_by is not None:
        raise NotAllowedError(
            f"job {record.superseded_by} has taken its place", where=f"job {record.id}", cure="Look at that one."
        )
    if record.state is JobState.FAILED and record.step is not Step.DONE:
        again = record.changed(
            state=STATE_OF_STEP[record.step], phase=Phase.READY, ended=None, error="", reposts=0, **AT_ONCE
        )
        if names_conversion(record):
            again = again.changed(phase=Phase.SETTLING, proposed_run=record.remote.child)
        # What follows a run, or only keeps and counts, starts none.
        starts = again.step is Step.RUN and again.phase is Phase.READY
        return store.put(again.told(now, "tried again", record.step, by=user), quotas=quotas if starts else NO_QUOTAS)
    kept = store.inputs(record.id)
    plan = dataclasses.replace(plan_from_json(store, kept["plan"]), attempt=record.attempt + 1)
    fresh = _new_record(plan, user, now).changed(
        problems=record.problems,
        confirmed=record.confirmed,
        relaunch_of=record.id,
        report_sha256=record.report_sha256,
    )
    added = _add(store, plan, fresh, now, kept.get("mapping"), quotas, relaunch=False, zone=zone)
    if added.duplicate_of is not None:
        raise NotAllowedError(
            f"the same mapping is job {added.duplicate_of} by now",
            where=f"job {record.id}",
            cure="Look at that one; when it has succeeded, the mapping can be launched again on purpose.",
        )
    return store.get(added.job_id)


def names_conversion(record: JobRecord) -> bool:
    """Whether all that is known of a job's start is the conversion that a monitor started, which can be followed."""
    return record.step is Step.RUN and record.ids.run is None and bool(record.remote.child)


def resolve(store: JobStore, job_id: str, choice: Choice, user: str, now: datetime) -> JobRecord:
    """A person's decision about an effect that was never found.

    Raises:
        NotAllowedError: the job asks for nothing.
        NoSuchJobError: there is no such job.
    """

    def change(record: JobRecord) -> JobRecord:
        if record.state is not JobState.NEEDS_YOU:
            raise NotAllowedError(f"the job is {record.state} and asks for nothing", where=f"job {record.id}")
        told = record.told(now, "decided", choice.value.replace("_", " "), by=user)
        if choice is Choice.GIVE_UP:
            # The worker ends it: only the platform can rule out that what was lost still starts.
            asked = told.changed(cancel=Cancellation(by=user, at=now), clean_looks=0, due=None, error="")
            return asked.changed(state=JobState.CANCELLING)
        phase = Phase.SETTLING if choice is Choice.LOOK_AGAIN else Phase.READY
        return told.changed(state=STATE_OF_STEP[record.step], phase=phase, error="", **AT_ONCE)

    return change_record(store, job_id, change)


def attach(store: JobStore, job_id: str, run_id: str, user: str, now: datetime) -> JobRecord:
    """Name the run of a job whose start was never found. The worker asks the platform whether it is this job's.

    It is adopted when it is; else the job asks again, and says so.

    Raises:
        NotAllowedError: the job does not ask for its run.
        InputError: that cannot be a run's id.
        NoSuchJobError: there is no such job.
    """
    run_id = run_id.strip()
    if _RUN_ID.fullmatch(run_id) is None:
        raise InputError(f"{run_id[:40]!r} is no run's id", cure="Copy it from the run's page on the platform.")

    def change(record: JobRecord) -> JobRecord:
        if record.state is not JobState.NEEDS_YOU or record.step is not Step.RUN:
            raise NotAllowedError(f"the job is {record.state} and asks for no run", where=f"job {record.id}")
        told = record.told(now, "a run was named", run_id, by=user)
        return told.changed(
            state=STATE_OF_STEP[Step.RUN], phase=Phase.SETTLING, proposed_run=run_id, error="", **AT_ONCE
        )

    return change_record(store, job_id, change)


def extend(store: JobStore, job_id: str, hours: float, user: str, now: datetime) -> JobRecord:
    """Give a run so many hours more, from now on.

    Raises:
        NotAllowedError: the job has no run that goes on.
        InputError: that is no number of hours.
        NoSuchJobError: there is no such job.
    """
    if not 0 < hours <= _LONGEST_H:
        raise InputError(f"{hours:g} is no number of hours", cure=f"Give more than 0, and at most {_LONGEST_H:g}.")

    def change(record: JobRecord) -> JobRecord:
        if record.state is not JobState.RUNNING:
            raise NotAllowedError(f"the job is {record.state}", where=f"job {record.id}", cure="Only a run has time.")
        deadline = now + timedelta(hours=hours)
        told = record.told(now, "deadline moved", f"{deadline:%Y-%m-%d %H:%M}Z", by=user)
        return told.changed(deadline=deadline, overdue=False)

    return change_record(store, job_id, change)


def archive(store: JobStore, job_id: str, user: str, now: datetime, *, archived: bool = True) -> JobRecord:
    """Put an ended job away, or take it back; nothing is deleted.

    Raises:
        NotAllowedError: it has not ended.
        NoSuchJobError: there is no such job.
    """

    def change(record: JobRecord) -> JobRecord:
        if not record.has_ended:
            raise NotAllowedError(f"the job is {record.state}", where=f"job {record.id}", cure="Cancel it first.")
        if record.archived is archived:
            return record
        return record.changed(archived=archived).told(now, "put away" if archived else "taken back", by=user)

    return change_record(store, job_id, change)


def change_record(store: JobStore, job_id: str, change: Callable[[JobRecord], JobRecord]) -> JobRecord:
    """Apply a change to the newest record; the worker may write in between."""
    for attempt in range(_TRIES):
        record = store.get(job_id)
        changed = change(record)
        if changed is record:
            return record
        try:
            return store.put(changed)
        except StaleRecordError:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")
