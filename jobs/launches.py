"""What a job was launched with, kept as the very requests that its worker will send.

The requests are made once, when a person presses Launch, and kept as JSON beside the job; a worker of a later
version sends what that person saw, not what it would make of the same mapping today.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import models
from core.conversion import ConversionPlan, NeededAsset
from core.errors import StoreUnusableError
from core.manifest.rows import ManifestRow
from core.models import ImageFrame
from core.platforms.base import DIRECT, MONITORED, CaptureRequest, InputAsset, Mount, RunRequest
from jobs.records import JobRecord, RemoteIds
from jobs.store import JobStore

MANIFEST_ID, STATE_ID, RUN_ID = "@manifest", "@state", "@run"
"""Stand for ids that are not known before the job runs."""


@dataclass(frozen=True, slots=True)
class Launch:
    """The four requests of a job, and the rows it is counted by."""

    rows: tuple[ManifestRow, ...]
    manifest: InputAsset
    state: InputAsset
    run_request: RunRequest
    """Its mounts may name MANIFEST_ID and STATE_ID."""
    capture_request: CaptureRequest
    """Its run and provenance may name RUN_ID, MANIFEST_ID and STATE_ID."""
    platform_id: str = ""
    """Which platform the mapping was checked on; kept with the plan."""
    frame: ImageFrame | None = None
    """The image's geometry when the mapping was checked; kept with the plan."""

    def manifest_asset(self) -> InputAsset:
        """The request for the asset that holds the manifest."""
        return self.manifest

    def state_asset(self) -> InputAsset:
        """The request for the asset that holds the Neuroglancer state."""
        return self.state

    def run(self, ids: RemoteIds) -> RunRequest:
        """The request for the conversion."""
        known = _known(ids)
        mounts = tuple(Mount(known.get(m.asset_id, m.asset_id), m.mount) for m in self.run_request.mounts)
        capture = self.capture_request if self.run_request.route == MONITORED else None
        return dataclasses.replace(self.run_request, mounts=mounts, capture=capture)

    def capture(self, ids: RemoteIds) -> CaptureRequest:
        """The request that keeps the results."""
        known = _known(ids)
        request = self.capture_request
        return dataclasses.replace(
            request,
            run_id=known.get(request.run_id, request.run_id),
            custom_metadata={key: known.get(value, value) for key, value in request.custom_metadata.items()},
            provenance_data_assets=tuple(known.get(i, i) for i in request.provenance_data_assets),
        )


def _known(ids: RemoteIds) -> dict[str, str]:
    known = {MANIFEST_ID: ids.manifest_asset, STATE_ID: ids.state_asset, RUN_ID: ids.run}
    return {placeholder: value for placeholder, value in known.items() if value is not None}


def launch_to_json(launch: Launch) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The JSON form of a launch, and the bytes that it names by sha256."""
    value = {
        "rows": [dataclasses.asdict(row) for row in launch.rows],
        "manifest": _asset_to_json(launch.manifest),
        "state": _asset_to_json(launch.state),
        "run": {
            "token": launch.run_request.token,
            "name": launch.run_request.name,
            "mounts": [dataclasses.asdict(mount) for mount in launch.run_request.mounts],
            "parameters": dict(launch.run_request.parameters),
            "version": launch.run_request.version,
            "route": launch.run_request.route,
        },
        "capture": {
            **{f.name: getattr(launch.capture_request, f.name) for f in dataclasses.fields(CaptureRequest)},
            "tags": list(launch.capture_request.tags),
            "custom_metadata": dict(launch.capture_request.custom_metadata),
            "provenance_data_assets": list(launch.capture_request.provenance_data_assets),
        },
    }
    return value, (*launch.manifest.files.values(), *launch.state.files.values())


def open_launch(store: JobStore, record: JobRecord) -> Launch:
    """Read back what a job was launched with, every byte compared with its digest.

    Raises:
        StoreUnusableError: something of it is missing or was changed.
        NoSuchJobError: nothing of it is there.
    """
    value = store.inputs(record.id)
    try:
        run, capture, plan = value["run"], value["capture"], value.get("plan", {})
        launch = Launch(
            rows=tuple(ManifestRow(**row) for row in value["rows"]),
            manifest=_asset_from_json(store, value["manifest"]),
            state=_asset_from_json(store, value["state"]),
            run_request=RunRequest(
                token=run["token"],
                name=run["name"],
                mounts=tuple(Mount(**mount) for mount in run["mounts"]),
                parameters=run["parameters"],
                version=run.get("version", ""),
                route=run.get("route", DIRECT),
            ),
            capture_request=CaptureRequest(**{**capture, "tags": tuple(capture["tags"])}),
            platform_id=plan.get("platform_id", ""),
            frame=_frame_from_json(plan.get("frame")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreUnusableError(
            f"what the job was launched with cannot be read ({type(error).__name__}: {error})",
            where=f"job {record.id}",
            cure="Restore a backup, or launch the mapping again.",
        ) from error
    for what, sha256, files in (
        ("manifest", record.manifest_sha256, launch.manifest.files),
        ("state", record.state_sha256, launch.state.files),
    ):
        if sha256 not in {hashlib.sha256(data).hexdigest() for data in files.values()}:
            raise StoreUnusableError(
                f"the {what} that is kept is not the one that was launched",
                where=f"job {record.id}",
                cure="Launch the mapping again.",
            )
    return launch


def plan_to_json(plan: ConversionPlan) -> dict[str, Any]:
    """The JSON form of a plan; its state is kept as bytes, by sha256."""
    value = dataclasses.asdict(plan)
    del value["state"]
    return {**value, "parameters": dict(plan.parameters)}


def plan_from_json(store: JobStore, value: Mapping[str, Any]) -> ConversionPlan:
    """A kept plan, with its state's bytes.

    Raises:
        StoreUnusableError: it cannot be read.
    """
    try:
        return ConversionPlan(
            **{
                **value,
                "state": store.blob(value["state_sha256"]),
                "rows": tuple(ManifestRow(**row) for row in value["rows"]),
                "assets": tuple(NeededAsset(**asset) for asset in value["assets"]),
                "recordings": tuple(value["recordings"]),
                "frame": _frame_from_json(value.get("frame")),
            }
        )
    except (KeyError, TypeError) as error:
        raise StoreUnusableError(
            f"the plan of the job cannot be read ({type(error).__name__}: {error})", cure="Launch the mapping anew."
        ) from error


def kept_mapping(store: JobStore, job_id: str) -> models.Mapping | None:
    """The mapping that a job was launched from: notes, rows and streams and layers left out, with reasons.

    None when it was launched from a bare manifest, or when what is kept cannot be read.

    Raises:
        NoSuchJobError: nothing is kept of this job.
    """
    value = store.inputs(job_id).get("mapping")
    if value is None:
        return None
    try:
        return models.Mapping(
            subject=value["subject"],
            assignments=tuple(models.Assignment(**row) for row in value["assignments"]),
            skipped_streams=tuple(models.LeftOut(**left) for left in value["skipped_streams"]),
            ignored_layers=tuple(models.LeftOut(**left) for left in value["ignored_layers"]),
        )
    except (KeyError, TypeError):
        return None


def _asset_to_json(asset: InputAsset) -> dict[str, Any]:
    return {
        "token": asset.token,
        "name": asset.name,
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in asset.files.items()},
        "tags": list(asset.tags),
        "description": asset.description,
    }


def _frame_from_json(value: Mapping[str, Any] | None) -> ImageFrame | None:
    if value is None:
        return None
    fields: dict[str, Any] = {name: tuple(told) if isinstance(told, list) else told for name, told in value.items()}
    return ImageFrame(**fields)


def _asset_from_json(store: JobStore, value: Mapping[str, Any]) -> InputAsset:
    tags: Sequence[str] = value["tags"]
    files = {path: store.blob(sha256) for path, sha256 in value["files"].items()}
    return InputAsset(value["token"], value["name"], files, tuple(tags), value["description"])
