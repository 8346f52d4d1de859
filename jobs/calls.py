"""Makes one call on a platform and sorts its answer: made, refused, not reached, or unclear."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import assert_never

from core.coverage import count_coverage, what_was_launched
from core.errors import NotFoundError, RefusedError, StoreBusyError, TrackmapperError, UnavailableError
from core.models import Asset
from core.platforms.base import CaptureRequest, InputAsset, RunKey, Runner, RunRequest
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
from jobs.launches import Launch
from jobs.protocol import Kind
from jobs.records import CountedCoverage, CountedRow, JobRecord, Step

_LOGS = frozenset({"output"})
"""Results that every run leaves, also one that did nothing."""
_GONE = "the platform has no such asset any more"
_READY, _FAILED = "ready", frozenset({"failed", "error"})
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
    if kind is Kind.MAKE:
        return _make(record, runner, open_launch)
    try:
        return _ask(kind, record, runner, open_launch)
    except TrackmapperError as error:
        return _not_reached(error)
    except Exception as error:  # noqa: BLE001 - whatever a platform's client throws while reading, nothing was changed
        return NotReached(f"{type(error).__name__}: {error}")


def _make(record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    try:
        request = _effect(record, open_launch(record))
    except StoreBusyError as error:
        return _not_reached(error)
    except TrackmapperError as error:
        return Refused(str(error))
    try:
        if isinstance(request, InputAsset):
            made = runner.create_input_asset(request).id
        elif isinstance(request, RunRequest):
            made = runner.start_run(request)
        else:
            made = runner.capture(request).id
    except (RefusedError, NotFoundError) as error:
        return Refused(str(error))
    except UnavailableError as error:
        return _not_reached(error)
    except Exception as error:  # noqa: BLE001 - the contract of Runner: anything else leaves the effect in doubt
        return Unclear(f"{type(error).__name__}: {error}")
    return Made(made) if made else Unclear("the answer holds no id")


def run_key(record: JobRecord) -> RunKey:
    """What tells the runs of this job from all others."""
    return RunKey(record.token, record.ids.manifest_asset or "", record.route)


def _not_reached(error: TrackmapperError) -> NotReached:
    return NotReached(str(error), is_outage=isinstance(error, UnavailableError))


def _effect(record: JobRecord, launch: Launch) -> Effect:
    match record.step:
        case Step.MANIFEST_ASSET:
            return launch.manifest_asset()
        case Step.STATE_ASSET:
            return launch.state_asset()
        case Step.RUN:
            return launch.run(record.ids)
        case Step.CAPTURE:
            return launch.capture(record.ids)
        case _:
            raise ValueError(f"the step {record.step} has no effect")


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
                return Seen(runner.find_runs(run_key(record)))
            return Seen(_made_by(_effect(record, open_launch(record)), runner))
        case Kind.INPUTS:
            steps = {Step.MANIFEST_ASSET: ids.manifest_asset, Step.STATE_ASSET: ids.state_asset}
            return _readiness(steps, runner)
        case Kind.WATCH:
            return Looked(runner.run_status(ids.run or ""))
        case Kind.VERIFY:
            try:
                entries = runner.list_results(ids.run or "")
            except NotFoundError:
                entries = ()
            return Results(any(entry.name not in _LOGS for entry in entries))
        case Kind.RESULT:
            return _readiness({Step.CAPTURE: ids.result}, runner)
        case Kind.COUNT:
            return _count(record, runner, open_launch(record))
        case Kind.STOP:
            return _stop(record, runner)
        case Kind.MAKE:
            raise ValueError("an effect is never made while asking")
        case _:
            assert_never(kind)


def _claim(record: JobRecord, runner: Runner, open_launch: Callable[[JobRecord], Launch]) -> Answer:
    if refusal := runner.refusal(record.converter, record.converter_version, record.route):
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


def _made_by(request: Effect, runner: Runner) -> tuple[str, ...]:
    """Ids of the assets that were made by this request, oldest first."""
    found = [asset for asset in runner.find_assets(request.token) if asset.name == request.name]
    return tuple(asset.id for asset in sorted(found, key=lambda asset: asset.created or _OLDEST))


def _readiness(assets: dict[Step, str | None], runner: Runner) -> Answer:
    pending = False
    for step, asset_id in assets.items():
        try:
            asset = runner.get_asset(asset_id or "")
        except NotFoundError:
            return Broken(step, _GONE)
        if asset.state in _FAILED:
            return Broken(step, asset.failure_reason or f"the platform calls it {asset.state}")
        pending = pending or asset.state != _READY
    return Pending() if pending else Ready()


def _count(record: JobRecord, runner: Runner, launch: Launch) -> Answer:
    try:
        result: Asset = runner.get_asset(record.ids.result or "")
    except NotFoundError:
        return Broken(Step.CAPTURE, _GONE)
    [state] = launch.state.files.values()
    launched = what_was_launched(state, launch.frame, record.converter_version)
    counted = count_coverage(launch.rows, runner, result, launched)
    rows = tuple(
        CountedRow(track=r.track, recording=r.recording, stream=r.stream, shank=r.shank, status=r.status, why=r.why)
        for r in counted.rows
    )
    runs = runner.find_runs(run_key(record))
    results = _made_by(launch.capture(record.ids), runner)
    twins = tuple(i for i in (*runs, *results) if i not in (record.ids.run, record.ids.result))
    return Counted(CountedCoverage(asked=counted.asked, delivered=counted.delivered, rows=rows), twins)


def _stop(record: JobRecord, runner: Runner) -> Answer:
    # Later steps have no run that goes on, and stopping an ended one may take its results away.
    if record.step in (Step.RUN, Step.WATCH):
        if record.ids.run:
            runner.stop_run(record.ids.run)
        # A start may still be on its way: with that ruled out, the runs that are found now are all.
        runner.forbid_run(record.token)
        for twin in runner.find_runs(run_key(record)):
            if twin != record.ids.run:
                runner.stop_run(twin)
    return Stopped()
