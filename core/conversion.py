"""A checked mapping becomes what a platform needs: assets to attach, inputs to make, the run and its capture.

Nothing here reaches a platform. A plan is the same for the same mapping; a launch's token makes the
names of its inputs unique, so that no two launches read each other's manifest or state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.checks.rows import is_safe_asset_name
from core.errors import InputError, ManifestError
from core.launch_digest import drawn_digest, launch_digest
from core.launch_notes import COMMON_TAG, described
from core.manifest import write_csv
from core.manifest.rows import ManifestRow
from core.models import Asset, ImageFrame, State, Subject
from core.platforms.base import DIRECT, MONITORED, CaptureRequest, InputAsset, Mount, Parameter, RunRequest

RESULT_TAGS = ("smartSPIM", "ecephys", "IBL", "annotation")
_PARAMETER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_VALUE = re.compile(r"(?!-)[A-Za-z0-9._/:@+-]{0,200}", re.ASCII)
_TAKEN = frozenset({"manifest", "neuroglancer"})


@dataclass(frozen=True, slots=True)
class NeededAsset:
    """An asset that the rows need, attached under a folder name."""

    asset_id: str
    name: str
    mount: str
    why: str
    """"brain", "sorting", "recording" or "surface recording"."""


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """What would run, before it has a token."""

    subject: str
    acquisition: str | None
    """The SmartSPIM acquisition that the tracks were drawn in."""
    platform: str
    converter: str
    converter_version: str
    parameters: Mapping[str, str]
    rows: tuple[ManifestRow, ...]
    """The rows as checked; `probe_file` is the state's name as given."""
    state: bytes  # as given
    state_stem: str
    state_sha256: str
    assets: tuple[NeededAsset, ...]
    digest: str  # sha256 of what makes two launches the same
    attempt: int = 1
    recordings: tuple[str, ...] = field(default=())  # names of those that are converted, in the rows' order
    platform_id: str = ""  # which platform of that name the mapping was checked on
    frame: ImageFrame | None = None  # the image's geometry when checked; None when not known, or only assumed
    route: str = DIRECT  # who keeps the result: our worker, or ...
    monitor: str = ""  # ... the monitor of this id
    deadline_h: float | None = None  # hours after which the run asks its people; None: as the worker is set
    converter_label: str = ""  # the converter's name as people read it; "" when it is `converter`

    @property
    def converter_words(self) -> str:
        """The converter and its version as people read them."""
        return f"{self.converter_label or self.converter} {self.converter_version}".strip()

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The assets to attach, each once."""
        return tuple(Mount(asset_id=each.asset_id, mount=each.mount) for each in self.assets)

    @property
    def manifest(self) -> bytes:
        """The manifest as CSV, with the state's name as given."""
        return write_csv(self.rows)


def plan_conversion(
    rows: Sequence[ManifestRow],
    *,
    state: State,
    subject: Subject,
    platform: str,
    converter: str,
    converter_version: str,
    parameters: Mapping[str, str] | None = None,
    attempt: int = 1,
    route: str = DIRECT,
    monitor: str = "",
    deadline_h: float | None = None,
    converter_label: str = "",
) -> ConversionPlan:
    """What a mapping needs in order to be converted.

    Args:
        rows: A manifest without errors.
        state: The state that its tracks are drawn in; its bytes are sent as they are.
        subject: What the library has of the mouse.
        platform: Name of the platform.
        converter: Name of the conversion.
        converter_version: Its version.
        parameters: Options of the converter, by name.
        attempt: How often this mapping has been launched, from 1.
        route: Who keeps the result.
        monitor: Who does so on the monitored route.
        deadline_h: Hours after which the run asks its people; None: as the worker is set.
        converter_label: The converter's name as people read it.

    Raises:
        ManifestError: a row needs an asset that is not there exactly once, or a name is not safe.
        InputError: a parameter cannot be passed on.
    """
    if not rows:
        raise ManifestError("There are no rows to convert.", cure="Assign at least one track.")
    options = _checked(parameters or {})
    mouse = rows[0].mouseid
    _safe(mouse, "mouseid")
    assets, frame = _needed(rows, state, subject), _checked_frame(state, subject)
    return ConversionPlan(
        subject=mouse,
        acquisition=state.acquisition,
        platform=platform,
        converter=converter,
        converter_version=converter_version,
        parameters=options,
        rows=tuple(rows),
        state=state.data,
        state_stem=state.stem,
        state_sha256=state.sha256,
        assets=assets,
        digest=launch_digest(
            rows,
            drawn=drawn_digest(state, {row.histology_track_id for row in rows}),
            platform=platform,
            converter=converter,
            converter_version=converter_version,
            parameters=options,
            platform_id=subject.platform_id,
            assets=[asset.asset_id for asset in assets],
            frame=frame,
        ),
        attempt=attempt,
        recordings=tuple(dict.fromkeys(row.recording for row in rows)),
        platform_id=subject.platform_id,
        frame=frame,
        route=route,
        monitor=monitor if route == MONITORED else "",
        deadline_h=deadline_h,
        converter_label=converter_label,
    )


# --- the requests of one launch -----------------------------------------------------------------


def manifest_name(plan: ConversionPlan, token: str) -> str:
    """Name of the asset, folder and file of a launch's manifest."""
    return _safe(f"{plan.subject}_manifest_{token}", "token")


def state_name(plan: ConversionPlan, token: str) -> str:
    """Name of the asset, folder and file of a launch's state; no other mounted asset has it."""
    return _safe(f"{plan.subject}_neuroglancer-state_{token}", "token")


def launch_rows(plan: ConversionPlan, token: str) -> tuple[ManifestRow, ...]:
    """The manifest's rows as sent: `probe_file` is the launch's own name of the state."""
    return tuple(replace(row, probe_file=state_name(plan, token)) for row in plan.rows)


def input_assets(plan: ConversionPlan, token: str) -> tuple[InputAsset, InputAsset]:
    """The manifest and the state as assets to make.

    Args:
        plan: The plan.
        token: Unique for the job and its attempt; letters, digits, `-` and `_`.

    Raises:
        ManifestError: the token cannot be part of a name.
    """
    manifest, state = manifest_name(plan, token), state_name(plan, token)
    tags = (plan.subject, "IBL", "annotation", COMMON_TAG, token)
    return (
        InputAsset(
            token=token,
            name=manifest,
            files={f"{manifest}.csv": write_csv(launch_rows(plan, token))},
            tags=(*tags, "manifest"),
            description=described(f"Which track of mouse {plan.subject} is which probe.", plan, token),
        ),
        InputAsset(
            token=token,
            name=state,
            files={f"{state}.json": plan.state},
            tags=(*tags, "neuroglancer"),
            description=described(f"Neuroglancer state with the tracks of mouse {plan.subject}.", plan, token),
        ),
    )


def run_request(plan: ConversionPlan, token: str, manifest_asset: str, state_asset: str) -> RunRequest:
    """The conversion to start.

    Args:
        plan: The plan.
        token: As for `input_assets`.
        manifest_asset: Id of the manifest's asset, or what stands for it until it is known.
        state_asset: Id of the state's asset, likewise.
    """
    manifest, state = manifest_name(plan, token), state_name(plan, token)
    return RunRequest(
        token=token,
        name=_safe(f"{plan.subject}_ibl-conversion_{token}", "token"),
        mounts=(*plan.mounts, Mount(manifest_asset, manifest), Mount(state_asset, state)),
        parameters={
            "manifest": f"{manifest}/{manifest}.csv",
            "neuroglancer": f"{state}/{state}.json",
            **plan.parameters,
        },
        version=plan.converter_version,
        route=plan.route,
    )


def capture_request(
    plan: ConversionPlan, token: str, run_id: str, launched: str, input_ids: Sequence[str] = ()
) -> CaptureRequest:
    """How the results are kept.

    Args:
        plan: The plan.
        token: As for `input_assets`; it goes into the tags, so that the asset can be found again.
        run_id: Id of the run, or what stands for it until it is known.
        launched: `YYYY-MM-DD_HH-MM-SS`, local time of the lab.
        input_ids: Ids of the manifest's and the state's assets, for the provenance.

    Raises:
        ManifestError: the name would not be safe.
    """
    return CaptureRequest(
        token=token,
        run_id=run_id,
        name=_safe(f"{plan.acquisition or plan.subject}_ibl-converted_{launched}", "launch time"),
        tags=(plan.subject, *RESULT_TAGS, token),
        description=(
            f"{len(plan.rows)} probe tracks of mouse {plan.subject}, converted by {plan.converter} "
            f"{plan.converter_version} for alignment."
        ),
        custom_metadata={"data level": "derived", "experiment type": "ecephys", "subject id": plan.subject},
        provenance_data_assets=tuple(dict.fromkeys([*(each.asset_id for each in plan.assets), *input_ids])),
    )


# --- what the rows need -------------------------------------------------------------------------


def _needed(rows: Sequence[ManifestRow], state: State, subject: Subject) -> tuple[NeededAsset, ...]:
    """Every asset that the rows need, each once: the brain, then sortings with their recordings."""
    needed: dict[str, NeededAsset] = {}

    def attach(asset: Asset, mount: str, why: str) -> None:
        known = needed.setdefault(mount, NeededAsset(asset.id, asset.name, _safe(mount, why), why))
        if known.asset_id != asset.id:
            raise ManifestError(
                f"Two assets would be attached as {mount}: {known.name} and {asset.name}.",
                where=mount,
                cure="Choose sortings of one and the same recording.",
            )

    brains = dict.fromkeys(image.asset for image in state.images if image.asset)
    if not brains:
        raise ManifestError(
            "The state names no stitched brain.", where=state.stem, cure="Add an image layer of the stitched asset."
        )
    for name in brains:
        attach(_only([each.asset for each in subject.stitched if each.asset.name == name], name), name, "brain")
    sortings: dict[str, list[tuple[Asset, Asset | None]]] = {}
    for recording in subject.recordings:
        for sorting in recording.sortings:
            sortings.setdefault(sorting.asset.name, []).append((sorting.asset, recording.raw))
    raws: dict[str, list[Asset]] = {}
    for recording in subject.recordings:
        if recording.raw is not None:
            for name in {recording.name, recording.raw.name}:
                raws.setdefault(name, []).append(recording.raw)
    for row in rows:
        name = row.sorted_recording
        found = sortings.get(name, [])
        attach(_only([sorted_asset for sorted_asset, _ in found], name), name, "sorting")
        # The converter looks for the recording under the name that the sorting's name begins with.
        attach(_only([raw for _, raw in found if raw is not None], row.recording), row.recording, "recording")
        if row.surface_finding:
            surface = _only(raws.get(row.surface_finding, []), row.surface_finding)
            attach(surface, row.surface_finding, "surface recording")
    return tuple(needed.values())


def _checked_frame(state: State, subject: Subject) -> ImageFrame | None:
    """The geometry, read and not assumed, of the image that a converter takes for the state's."""
    image = next((image for image in state.images if image.asset), None)
    if image is None:
        return None
    channels = {
        channel.path.rpartition("/")[2]: channel
        for stitched in subject.stitched
        if stitched.asset.name == image.asset
        for channel in stitched.channels
    }
    names = (image.image_file or "", f"{image.channel}.zarr", f"{image.channel}.ome.zarr")
    frame = next((channels[name].frame for name in names if name in channels), None)
    return None if frame is None or frame.assumed else frame


def _only(assets: Sequence[Asset], name: str) -> Asset:
    ids = {asset.id for asset in assets}
    if len(ids) != 1:
        raise ManifestError(
            f"There {'is no asset' if not ids else f'are {len(ids)} assets'} {name}.",
            where=name,
            cure="Run the checks: every asset of a row must be in the library exactly once.",
        )
    return assets[0]


def _safe(name: str, what: str) -> str:
    if not is_safe_asset_name(name):
        raise ManifestError(
            f"{name!r} cannot be the name of an asset or a folder.",
            where=what,
            cure="Names begin with a letter or digit and hold at most 100 letters, digits, dots, - and _.",
        )
    return name


def sent_options(given: Mapping[str, str], offered: Sequence[Parameter]) -> dict[str, str]:
    """The options that a launch sends: those given, and the converter's own defaults of all others.

    What was shown and confirmed is said outright, so that it holds although the converter's defaults change before the
    run, and however the launch was made. A default that is no plain value stays the converter's own.
    """
    values = {each.name: given.get(each.name, each.default) for each in offered}
    return {
        each.name: values[each.name]
        for each in offered
        if values[each.name] and (values[each.name] != each.default or _VALUE.fullmatch(each.default))
    }


def _checked(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters that reach a command line as they are: plain names and plain values."""
    for name, value in parameters.items():
        if name in _TAKEN or _PARAMETER.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise InputError(
                f"The converter's parameter {name!r} cannot be {value!r}.",
                where="parameters",
                cure="Use letters, digits and . _ / : @ + -; a value does not begin with a dash.",
            )
    return dict(sorted(parameters.items()))
