"""Makes one call on a platform and sorts its answer: made, refused, not reached, or unclear."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import assert_never

from core import image_space_converter
from core.channel_files import skips_ephys
from core.coverage import Launched, count_coverage, what_was_launched
from core.errors import (
    AccessError,
    NotFoundError,
    RefusedError,
    StoreBusyError,
    ThrottledError,
    TrackmapperError,
    UnavailableError,
)
from core.models import Asset
from core.platforms.base import MONITORED, CaptureRequest, InputAsset, RunKey, Runner, RunRequest
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
from jobs.launches import Launch
from jobs.protocol import Kind
from jobs.records import CountedCoverage, CountedRow, JobRecord, Step
from jobs.watched import first_new

_log = logging.getLogger(__name__)
_LOGS = frozenset({"output"})
"""Results that every run leaves, also one that did nothing."""
_GONE = "the platform has no such asset any more"
_READY, _FAILED = "ready", frozenset({"failed", "error"})
_SHARE_TRIES = 5
_NAME_TRIES = 20
_OLDEST = datetime.min.replace(tzinfo=UTC)
Effect = InputAsset | RunRequest | CaptureRequest


def perform(kind: Kind, record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    """Make the call that `protocol.next_call` asked for.

    Args:
        kind: The call; MAKE only with the intent written down.
        record: The job.
        runner: The platform.
        open_launch: Reads back what the job was launched with.
    """
    if kind is not Kind.CLAIM and (elsewhere := misplaced(record, runner)):
        return NotReached(elsewhere)
    if kind is Kind.MAKE:
        return _make(record, runner, open_launch)
    try:
        return _ask(kind, record, runner, open_launch)
    except TrackmapperError as error:
        return _not_reached(error)
    except Exception as error:  # noqa: BLE001 - whatever a platform's client throws while reading, nothing was changed
        return NotReached(f"{type(error).__name__}: {error}")


def misplaced(record: JobRecord, runner: Runner) -> str:
    """Why this worker can say nothing of a job, for people; "" when it can: it looks at another platform."""
    if not record.platform_id or not runner.platform_id or record.platform_id == runner.platform_id:
        return ""
    return (
        f"the job was launched on {record.platform_id}, and this worker is set to {runner.platform_id}; "
        "it waits for a worker that is set to the same"
    )


def _not_for(record: JobRecord, runner: Runner) -> str:
    return runner.refusal(record.converter, record.converter_version, record.route, record.monitor)


def _make(record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    # The settings may name another converter than when the job was claimed.
    refusal = _not_for(record, runner)
    if refusal and record.step is Step.RUN:
        return Refused(f"{refusal}; launch it again")
    try:
        request = _effect(record, open_launch(record))
    except StoreBusyError as error:
        return _not_reached(error)
    except TrackmapperError as error:
        return Refused(str(error))
    if isinstance(request, RunRequest) and not request.mounts:
        return Refused("what its run needs attached is not known any more; launch the mapping again")
    try:
        if isinstance(request, InputAsset):
            made = runner.create_input_asset(request).id
        elif isinstance(request, RunRequest):
            made = runner.start_run(request)
        else:
            made = runner.capture(request).id
    except (RefusedError, NotFoundError) as error:
        return Refused(str(error))
    except ThrottledError as error:
        return Throttled(str(error), error.retry_after_s)
    except UnavailableError as error:
        return _not_reached(error)
    except TrackmapperError as error:
        return Unclear(str(error))
    except Exception as error:  # noqa: BLE001 - the contract of Runner: anything else leaves the effect in doubt
        return Unclear(f"{type(error).__name__}: {error}")
    return Made(made) if made else Unclear("the answer holds no id")


def run_key(record: JobRecord) -> RunKey:
    """What tells the runs of this job from all others."""
    return RunKey(record.token, record.ids.manifest_asset or "", record.route, record.converter, record.monitor)


def _not_reached(error: TrackmapperError) -> NotReached:
    return NotReached(
        str(error),
        is_outage=isinstance(error, UnavailableError),
        is_refusal=isinstance(error, AccessError),
        retry_after_s=error.retry_after_s if isinstance(error, ThrottledError) else None,
    )


def _effect(record: JobRecord, launch: Launch) -> Effect:
    match record.step:
        case Step.MANIFEST_ASSET:
            return launch.manifest_asset()
        case Step.STATE_ASSET:
            return launch.state_asset()
        case Step.RUN:
            return launch.run(record.ids)
        case Step.CAPTURE:
            return _capture(record, launch)
        case _:
            raise ValueError(f"the step {record.step} has no effect")


def _capture(record: JobRecord, launch: Launch) -> CaptureRequest:
    """Keeps the results of the run that converts, which on the monitored route is not the one we started."""
    return launch.capture(record.ids.model_copy(update={"run": record.conversion_run or record.ids.run}))


def _ask(kind: Kind, record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    ids = record.ids
    match kind:
        case Kind.CLAIM:
            return _claim(record, runner, open_launch)
        case Kind.LOOK:
            if record.step is Step.RUN:
                if record.cancel is not None:
                    runner.forbid_run(record.token)  # so that "there is none" also holds later
                # Also when the inputs are lost: a run that goes on must be found, to be stopped.
                runs = runner.find_runs(run_key(record))
                # A monitor may be hidden, or deleted by hand, and what it has started goes on.
                return Seen(runs, () if runs else runner.find_children(run_key(record)))
            return Seen(_made_by(_effect(record, open_launch(record)), runner))
        case Kind.INPUTS:
            steps = {Step.MANIFEST_ASSET: ids.manifest_asset, Step.STATE_ASSET: ids.state_asset}
            return _readiness(steps, runner)
        case Kind.WATCH:
            return _watch(record, runner)
        case Kind.BELONGS:
            # A conversion whose monitor does not show stands for it: nothing else is left to follow.
            is_its_conversion = record.proposed_run == record.remote.child
            return Judged(is_its_conversion or runner.belongs(record.proposed_run, run_key(record)))
        case Kind.VERIFY:
            return _verify(record, runner, open_launch)
        case Kind.RESULT:
            answer = _readiness({Step.CAPTURE: ids.result}, runner)
            return Ready(_share(record, runner)) if isinstance(answer, Ready) else answer
        case Kind.COUNT:
            return _count(record, runner, open_launch(record))
        case Kind.STOP:
            return _stop(record, runner)
        case Kind.MAKE:
            raise ValueError("an effect is never made while asking")
        case _:
            assert_never(kind)


def _claim(record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    if refusal := _not_for(record, runner):
        return Refused(f"{refusal}; launch it again")
    try:
        launch = open_launch(record)
    except StoreBusyError:
        raise
    except TrackmapperError as error:
        return Refused(str(error))
    if launch.platform_id and runner.platform_id and launch.platform_id != runner.platform_id:
        # Names are the same in a copy, what they name may not be.
        return Refused("the mapping was checked in another library than this worker's; launch it again from this one")
    return Accepted()


def _watch(record: JobRecord, runner: Runner) -> Answer:
    run, known = record.ids.run or "", record.remote.child
    monitor_or_run = runner.run_status(run)
    if record.route != MONITORED:
        return Looked(monitor_or_run, *_name(record, runner))
    # Asked for after the monitor: what one that has ended could still start is then in this list, or on its way.
    children = runner.find_children(run_key(record))
    child = known or first_new(record, children)
    if not child:
        return Followed(monitor_or_run, children, None, *_name(record, runner))
    return Followed(monitor_or_run, children, runner.run_status(child), *_name(record, runner, child))


def run_name(record: JobRecord) -> str:
    """What a job's run is called on the platform: people know its number and mouse, programs its token."""
    return f"job {int(record.id or 0)} {record.subject} {record.token}"


def _name(record: JobRecord, runner: Runner, child: str = "") -> tuple[tuple[str, ...], bool]:
    """Name the runs that have no name of ours yet: which were named, and whether one could not be."""
    named, failed, child = [], False, child or record.remote.child
    names = {record.ids.run or "": run_name(record), child: f"{run_name(record)} conversion"}
    for run_id, name in names.items():
        if not run_id or run_id in record.named or record.name_tries >= _NAME_TRIES:
            continue
        try:
            runner.name_run(run_id, name)
            named.append(run_id)
        except Exception as error:  # noqa: BLE001 - a name is a help for people; no job fails or waits for it
            _log.info("run %s was not named: %s", run_id, type(error).__name__)
            failed = True
    return tuple(named), failed


def _verify(record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    try:
        entries = runner.list_results(record.conversion_run or "")
    except NotFoundError:
        # The monitor, or we after the backup, may have kept the result of a conversion that was deleted since.
        kept = (record.route == MONITORED or record.look_first) and _made_by(
            _capture(record, open_launch(record)), runner
        )
        return Results(bool(kept), *_name(record, runner))
    return Results(any(entry.name not in _LOGS for entry in entries), *_name(record, runner))


def _share(record: JobRecord, runner: Runner) -> str:
    """Let others see the result; returns why they cannot. Only an outage is waited for, and not for ever."""
    try:
        runner.share(runner.get_asset(record.ids.result or ""))
    except Exception as error:  # the result is whole whether others see it or not
        can_wait = isinstance(error, UnavailableError) and not isinstance(error, AccessError)
        if can_wait and record.tries < _SHARE_TRIES:
            raise
        return str(error) if isinstance(error, TrackmapperError) else f"{type(error).__name__}: {error}"
    return ""


def _made_by(request: Effect, runner: Runner) -> tuple[str, ...]:
    """Ids of the assets that were made by this request, oldest first."""
    found = [asset for asset in runner.find_assets(request.token) if asset.name == request.name]
    return tuple(asset.id for asset in sorted(found, key=lambda asset: asset.created or _OLDEST))


def _readiness(assets: dict[Step, str | None], runner: Runner) -> Answer:
    pending: Pending | None = None
    for step, asset_id in assets.items():
        try:
            asset = runner.get_asset(asset_id or "")
        except NotFoundError:
            return Broken(step, _GONE)
        if asset.state in _FAILED:
            return Broken(step, asset.failure_reason or f"the platform calls it {asset.state}")
        if asset.state != _READY:
            pending = pending or Pending(step, asset.id)
    return pending or Ready()


def _count(record: JobRecord, runner: Runner, launch: Launch) -> Answer:
    try:
        result: Asset = runner.get_asset(record.ids.result or "")
    except NotFoundError:
        return Broken(Step.CAPTURE, _GONE)
    counted = count_coverage(launch.rows, runner, result, _launched(record, launch))
    rows = tuple(
        CountedRow(track=r.track, recording=r.recording, stream=r.stream, shank=r.shank, status=r.status, why=r.why)
        for r in counted.rows
    )
    runs = (*runner.find_runs(run_key(record)), *runner.find_children(run_key(record)))
    results = _made_by(_capture(record, launch), runner)
    ours = (record.ids.run, record.remote.child, record.ids.result)
    twins = tuple(dict.fromkeys(i for i in (*runs, *results) if i not in ours))
    # A monitor may have kept the result of another conversion than the one that was watched.
    source = result.provenance_computation or ""
    other = runner.run_status(source) if source in runs and source not in ours else None
    delivered = CountedCoverage(asked=counted.asked, delivered=counted.delivered, rows=rows)
    return Counted(delivered, twins, other, *_name(record, runner))


def _launched(record: JobRecord, launch: Launch) -> Launched:
    """What the result is held against. The full converter's release says nothing of its library's version."""
    [state] = launch.state.files.values()
    if record.converter == image_space_converter.NAME:
        return what_was_launched(state, launch.frame, record.converter_version)
    return what_was_launched(state, launch.frame, "", wants_channels=not skips_ephys(record.parameters))


def _stop(record: JobRecord, runner: Runner) -> Answer:
    # Later steps have no run that goes on, and stopping an ended one may take its results away.
    if record.step in (Step.RUN, Step.WATCH):
        key, ours = run_key(record), record.ids.run
        if ours:
            runner.stop_run(ours)
        # A start may still be on its way: with that ruled out, the runs that are found now are all.
        runner.forbid_run(record.token)
        for run in runner.find_runs(key):
            if run != ours:
                runner.stop_run(run)
        # Only now, with no monitor left that could start one more.
        for child in dict.fromkeys((record.remote.child, *runner.find_children(key))):
            if child:
                runner.stop_run(child)
    return Stopped()
