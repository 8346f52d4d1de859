"""What a capsule takes, and a run's request held against it before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import RefusedError, UnavailableError
from core.loose_json import object_of, text_of
from core.platforms.base import Parameter, RunRequest
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.records import baked_in, objects_of, parameters_of, versions_of

LONGEST_VALUE = 4096
"""Characters of one parameter of a run."""
_KEPT_S = 300.0
OURS = ("manifest", "neuroglancer")
"""Parameters whose default is somebody's example, never this job's."""


@dataclass(frozen=True, slots=True)
class CapsuleTerms:
    """What a version of a capsule takes."""

    versions: tuple[str, ...]
    """Released ones, newest first; () when none is."""
    parameters: tuple[Parameter, ...]
    baked_in: Mapping[str, str]
    """Assets that it brings itself: id -> folder."""
    name: str = ""
    slug: str = ""
    """Its number in the addresses of pages."""


class Capsules:
    """Terms of capsules, each kept for some minutes.

    Args:
        api: Sends the requests.
        now: Seconds of a clock that is never set.
    """

    def __init__(self, api: CodeOceanApi, *, now: Callable[[], float] = time.monotonic) -> None:
        self._api, self._now = api, now
        self._kept: dict[tuple[str, str], tuple[float, CapsuleTerms]] = {}

    def terms(self, capsule: str, version: str = "") -> CapsuleTerms:
        """What a version of a capsule takes; the newest one when "".

        Raises:
            RefusedError: it has no such version.
            PlatformError: it cannot be read.
        """
        kept = self._kept.get((capsule, version))
        if kept is None or self._now() - kept[0] > _KEPT_S:
            kept = self._kept[capsule, version] = (self._now(), self._read(capsule, version))
        return kept[1]

    def _read(self, capsule: str, version: str) -> CapsuleTerms:
        told = object_of(self._api.read("GET", f"capsules/{capsule}"))
        versions = versions_of(told)
        if not versions and text_of(told.get("status")) != "non_release":
            raise _unreadable("record", capsule)
        if version and version not in versions:
            raise RefusedError(
                f"the capsule has no released version {version}; it has {', '.join(versions) or 'none'}",
                where=f"capsule {capsule}",
                cure="Choose one of these and launch it again.",
            )
        panel = object_of(
            self._api.read("GET", f"capsules/{capsule}/app_panel" + (f"?version={version}" if version else ""))
        )
        parameters = parameters_of(panel)
        # What is left out silently here would be refused, or attached twice, as if it were not there.
        whole = _all_read(panel.get("parameters"), len(parameters))
        if not panel or not whole or not _all_read(panel.get("data_assets"), len(baked_in(panel))):
            raise _unreadable("app panel", capsule)
        return CapsuleTerms(versions, parameters, baked_in(panel), text_of(told.get("name")), text_of(told.get("slug")))


def _all_read(told: object, read: int) -> bool:
    return told is None or (isinstance(told, list) and len(objects_of(told)) == len(told) == read)


def _unreadable(what: str, capsule: str) -> UnavailableError:
    return UnavailableError(
        f"the {what} of the capsule cannot be read", where=f"capsule {capsule}", cure="It is read again."
    )


def run_params(request: RunRequest, capsule: str, terms: CapsuleTerms) -> dict[str, Any]:
    """The JSON that starts a run of a capsule.

    Raises:
        RefusedError: the capsule does not take it; each reason is named.
    """
    faults = [*_version_faults(request, terms), *_parameter_faults(request.parameters, terms.parameters)]
    mounts, mount_faults = mounts_to_send(request, terms.baked_in)
    if faults or mount_faults:
        raise RefusedError(
            "; ".join((*faults, *mount_faults)),
            where=f"capsule {capsule}",
            cure="Compare with the capsule's app panel, and launch it again.",
        )
    return {
        "capsule_id": capsule,
        **({"version": int(request.version)} if request.version else {}),
        "data_assets": mounts,
        "named_parameters": [{"param_name": name, "value": value} for name, value in request.parameters.items()],
    }


def mounts_to_send(request: RunRequest, brought: Mapping[str, str]) -> tuple[list[dict[str, str]], list[str]]:
    """The assets to attach, in JSON's form, and why some cannot be.

    Args:
        request: The run.
        brought: What the capsule brings itself, id -> folder: attaching it again is refused by Code Ocean.
    """
    mounts, faults = [], []
    for mount in request.mounts:
        if mount.asset_id not in brought:
            mounts.append({"id": mount.asset_id, "mount": mount.mount})
        elif brought[mount.asset_id] != mount.mount:
            lies = brought[mount.asset_id] or "an unknown folder"
            faults.append(
                f"the asset {mount.asset_id} lies in the capsule as {lies}, the job needs it as {mount.mount}"
            )
        if any(folder == mount.mount and asset_id != mount.asset_id for asset_id, folder in brought.items()):
            faults.append(f"the capsule brings another asset as {mount.mount}, the job needs {mount.asset_id} there")
    return mounts, faults


def _version_faults(request: RunRequest, terms: CapsuleTerms) -> list[str]:
    if request.version in terms.versions or (not request.version and not terms.versions):
        return []
    return [f"a version must be chosen: {', '.join(terms.versions)}" if terms.versions else "no version is released"]


def _parameter_faults(given: Mapping[str, str], taken: tuple[Parameter, ...]) -> list[str]:
    known = {parameter.name: parameter for parameter in taken}
    faults = [f"the capsule knows no parameter {name}" for name in given if name not in known]
    for name, parameter in known.items():
        value = given.get(name, "")
        if not value and (name in OURS or (parameter.required and not parameter.default)):
            faults.append(f"the parameter {name} is missing")
        elif value and parameter.choices and value not in parameter.choices:
            faults.append(f"the parameter {name} cannot be {value[:80]}, only {', '.join(parameter.choices)}")
    faults += [
        f"the parameter {name} has {len(value)} characters, {LONGEST_VALUE} are possible"
        for name, value in given.items()
        if len(value) > LONGEST_VALUE
    ]
    return faults
