"""Writes the sample mouse into a folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.manifest import write_csv
from core.sample.brain import LEVELS, write_raw_spim, write_stitched
from core.sample.files import named_id, write_bytes, write_json
from core.sample.metadata import raw_documents
from core.sample.open_ephys import write_open_ephys
from core.sample.plan import (
    SPIM,
    STITCHED,
    SUBJECT,
    TEMPLATE,
    RecordingPlan,
    SampleState,
    SampleSummary,
    Sizes,
    SortingPlan,
    recordings,
)
from core.sample.registration import write_template
from core.sample.sortings import write_sorting
from core.sample.states import PlannedState, planned_states
from core.sample.tracks import track_um

_VERSION = 2
"""Raised when the content for a given seed changes, so that an older sample is replaced."""
_MARKER = ".trackmapper-sample.json"


def write_sample(folder: Path, *, seed: int = 1, sizes: Sizes | None = None) -> SampleSummary:
    """Write the sample mouse, or keep the one that is there when it is the same and whole.

    A sample is written beside the folder and moved in when it is whole. In a folder that already holds a sample
    (another seed or size, or one that was interrupted) the sample's own files are replaced; anything else in it,
    such as captured results, stays.

    Args:
        folder: Will hold `library` (assets and saved states) and `manifests` (the true mappings).
        seed: The same seed and sizes give the same bytes.
        sizes: How large it is; the defaults give a library of some 20 MB.

    Raises:
        InputError: a size makes no sense, or the folder holds something that is not a sample.
    """
    sizes = sizes or Sizes()
    _check_sizes(sizes)
    folder = folder.expanduser().absolute()
    recorded = recordings(sizes)
    states = planned_states(recorded, seed=seed, sizes=sizes)
    wanted = {"version": _VERSION, "seed": seed, "sizes": json.loads(json.dumps(asdict(sizes)))}
    found = _read_marker(folder)
    if not (found and _is_whole(folder, found) and found.items() >= wanted.items()):
        _replace(folder, found, wanted, recorded, states, seed=seed, sizes=sizes)
    return SampleSummary(
        library=folder / "library",
        subject=SUBJECT,
        states=tuple(
            SampleState(
                path=folder / _state_path(state),
                manifest=None if state.rows is None else folder / _manifest_path(state),
                note=state.note,
            )
            for state in states
        ),
    )


def _check_sizes(sizes: Sizes) -> None:
    few, many = sizes.points_per_track
    rules = {
        "units_per_stream": sizes.units_per_stream >= 1,
        "points_per_track": 4 <= few <= many,
        "image_levels": bool(sizes.image_levels) and set(sizes.image_levels) <= set(range(LEVELS)),
        "extra_recordings": 0 <= sizes.extra_recordings <= 5000,
    }
    for name, fine in rules.items():
        if not fine:
            raise InputError(
                f"{getattr(sizes, name)} is no size for a sample.",
                where=name,
                cure="Take 1 unit or more, 4 points or more (fewest, most), levels of 0 to 5, 0 to 5000 recordings.",
            )


# --- the folder -------------------------------------------------------------------------------


def _read_marker(folder: Path) -> dict[str, Any] | None:
    """The marker of the sample in the folder; None when there is no folder, or an empty one."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        marker = json.loads((folder / _MARKER).read_bytes())
        items = [str(item) for item in marker["items"]]
        # The items may be removed, so none may lead out of the sample's own folders.
        if not all(item.startswith(("library/", "manifests/")) and ".." not in item.split("/") for item in items):
            raise ValueError(items)
        return {**marker, "items": items}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "The folder is not empty and holds no sample.", where=str(folder), cure="Choose a new folder."
        ) from error


def _is_whole(folder: Path, marker: dict[str, Any]) -> bool:
    return bool(marker.get("complete")) and all((folder / item).exists() for item in marker["items"])


def _replace(
    folder: Path,
    found: dict[str, Any] | None,
    wanted: dict[str, Any],
    recorded: tuple[RecordingPlan, ...],
    states: tuple[PlannedState, ...],
    *,
    seed: int,
    sizes: Sizes,
) -> None:
    """Write the sample beside the folder, then move it in."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        items = _write_content(partial, recorded, states, seed=seed, sizes=sizes)
        marker = {**wanted, "complete": True, "items": items}
        if found is None:
            write_json(partial / _MARKER, marker)
            _move_in_whole(partial, folder)
        else:
            _move_in_items(partial, folder, found, marker)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move_in_whole(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        # Somebody else was faster; theirs is as good when it is whole.
        marker = _read_marker(folder)
        if marker is None or not _is_whole(folder, marker):
            raise


def _move_in_items(partial: Path, folder: Path, found: dict[str, Any], marker: dict[str, Any]) -> None:
    """Replace the sample's own items one by one; the marker says so until it is done."""
    both = sorted({*found["items"], *marker["items"]})
    write_json(folder / _MARKER, {**marker, "complete": False, "items": both})
    for item in both:
        target = folder / item
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    for item in marker["items"]:
        (folder / item).parent.mkdir(parents=True, exist_ok=True)
        (partial / item).rename(folder / item)
    write_json(folder / _MARKER, marker)


def _remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted writer left; the files of one that is still writing stay."""
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        number = leftover.name.rpartition("-")[2]
        if number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


# --- the content ------------------------------------------------------------------------------


def _write_content(
    folder: Path,
    recorded: tuple[RecordingPlan, ...],
    states: tuple[PlannedState, ...],
    *,
    seed: int,
    sizes: Sizes,
) -> list[str]:
    """Write everything; returns the paths that the sample owns, relative to the folder."""
    items = []
    assets = folder / "library" / "assets"

    def add(name: str, sidecar: dict[str, Any]) -> Path:
        write_json(assets / f"{name}.json", sidecar)
        items.extend([f"library/assets/{name}", f"library/assets/{name}.json"])
        return assets / name

    for recording in recorded:
        asset = add(recording.name, _raw_sidecar(recording, seed))
        for file_name, document in raw_documents(recording).items():
            write_json(asset / file_name, document)
        write_open_ephys(asset, recording, seed=seed)
        for sorting in recording.sortings:
            asset = add(sorting.name, _sorted_sidecar(recording, sorting, seed))
            write_sorting(asset, recording, sorting, seed=seed, sizes=sizes)
    write_raw_spim(add(SPIM, _sidecar(SPIM, seed, created="2025-05-07T08:12:00Z", tags=["smartspim", "raw"])))
    tracks = [
        track_um(insertion, shank, recording, seed=seed, sizes=sizes)
        for recording in recorded
        if not recording.first_row
        for insertion in recording.insertions
        for shank in range(insertion.kind.shanks)
    ]
    stitched = _sidecar(STITCHED, seed, created="2025-05-09T03:41:55Z", tags=["smartspim", "processed"], made_from=SPIM)
    write_stitched(add(STITCHED, stitched), tracks, seed=seed, sizes=sizes)
    write_template(add(TEMPLATE, _sidecar(TEMPLATE, seed, created="2024-05-16T18:26:14Z", tags=["smartspim", "atlas"])))
    for state in states:
        write_json(folder / _state_path(state), state.document)
        items.append(_state_path(state).rpartition("/")[0])
        if state.rows is not None:
            write_bytes(folder / _manifest_path(state), write_csv(state.rows))
            items.append(_manifest_path(state))
    return items


def _state_path(state: PlannedState) -> str:
    return f"library/states/{state.stem}/{state.stem}.json"


def _manifest_path(state: PlannedState) -> str:
    return f"manifests/{state.stem}.csv"


def _raw_sidecar(recording: RecordingPlan, seed: int) -> dict[str, Any]:
    return _sidecar(
        recording.name,
        seed,
        # Uploads start in the evening of the day of the recording.
        created=f"{recording.start:%Y-%m-%d}T23:{recording.start:%M:%S}Z",
        tags=[SUBJECT, "ecephys", "raw"],
        custom_metadata={"data level": "raw data", "experiment type": "ecephys", "subject id": SUBJECT},
    )


def _sorted_sidecar(recording: RecordingPlan, sorting: SortingPlan, seed: int) -> dict[str, Any]:
    return _sidecar(
        sorting.name,
        seed,
        created=sorting.created,
        tags=[SUBJECT, "ecephys", "derived", "sorted"],
        custom_metadata={"data level": "derived data", "experiment type": "ecephys", "subject id": SUBJECT},
        made_from=recording.name,
    )


def _sidecar(
    name: str,
    seed: int,
    *,
    created: str,
    tags: list[str],
    custom_metadata: dict[str, str] | None = None,
    made_from: str = "",
) -> dict[str, Any]:
    """The record beside an asset, in the words of Code Ocean's API; `made_from` names its only input."""
    return {
        "id": named_id(seed, name),
        "name": name,
        "type": "result" if made_from else "dataset",
        "tags": tags,
        "created": created,
        "state": "ready",
        "description": "Invented data of an invented mouse.",
        "custom_metadata": custom_metadata or {},
        "provenance": {
            "data_assets": [named_id(seed, made_from)] if made_from else [],
            "computation": named_id(seed, f"computation of {name}") if made_from else None,
        },
        "source": None if made_from else {"bucket": "aind-open-data", "prefix": name},
    }
