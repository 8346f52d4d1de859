"""Converts tracks to image space: `python -m core.image_space_converter --data DIR --results DIR ...`.

For every manifest row it writes `<mouse>/<recording>/<stream>/xyz_picks[_shankN]_image_space.json` with the track's
points in RAS micrometres, and beside them the tracks, a copy of the manifest and `coverage.json`. A row that cannot be
converted is named there with its reason; the command fails only when no row at all was done.
"""

from __future__ import annotations

import argparse
import glob
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import atomic_files, geometry, manifest
from core.coverage import MANIFEST, REPORT
from core.errors import InputError, TrackmapperError
from core.manifest.rows import ManifestRow
from core.models import AnnotationLayer, ImageFrame, ImageLayer, Points, Severity, State
from core.neuroglancer import read_state
from core.pick_files import is_file_name, pick_path

NAME = "image-space"
VERSION = "1"
REQUIRED = ("manifest", "neuroglancer")
PARAMETERS = (*REQUIRED, "slow")
"""Options a run may set. `slow` waits that many seconds before each row: it makes a conversion last, for trials."""
_MAX_BYTES = 64 * 1024 * 1024
_IMAGES = "image_tile_fusing/OMEZarr"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row; `reason` is "" when it was done."""

    row: ManifestRow
    reason: str = ""
    file: str = ""
    points: int = 0


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 0 when at least one row was done, else 1."""
    parser = argparse.ArgumentParser(prog="python -m core.image_space_converter", description="Tracks to image space.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the mounted assets")
    parser.add_argument("--results", type=Path, required=True, help="folder to write to")
    parser.add_argument("--manifest", required=True, help="manifest CSV, relative to the data folder")
    parser.add_argument(
        "--neuroglancer", required=True, help="state with the image layers, relative to the data folder"
    )
    parser.add_argument("--slow", type=float, default=0.0, help="seconds to wait before each row")
    told = parser.parse_args(arguments)
    try:
        done = convert(told.data, told.results, told.manifest, told.neuroglancer, slow_s=told.slow, say=_say)
    except TrackmapperError as error:
        _say(f"Failed: {error}")
        return 1
    except OSError as error:
        _say(f"Failed: {error}")
        return 1
    return 0 if done else 1


def convert(data: Path, results: Path, manifest_path: str, state_path: str, *, slow_s: float = 0.0, say: Say) -> int:
    """Convert every row of a manifest.

    Args:
        data: Folder with the mounted assets.
        results: Folder to write to.
        manifest_path: The manifest CSV, relative to `data`.
        state_path: The state whose image layers name the stitched asset, relative to `data`.
        slow_s: Seconds to wait before each row.
        say: Takes each line of the log.

    Returns:
        How many rows were done.

    Raises:
        InputError: manifest or state cannot be read.
        OSError: the report could not be written.
    """
    say(f"{NAME} converter {VERSION}")
    manifest_bytes = _read(data / manifest_path)
    table = manifest.read_csv(manifest_bytes)
    faults = {
        p.where.row: p.message for p in table.problems if p.severity is Severity.ERROR and p.where.row is not None
    }
    general = [p.message for p in table.problems if p.severity is Severity.ERROR and p.where.row is None]
    if general:
        raise InputError("; ".join(general), where=manifest_path, cure="Write the manifest again.")
    state = _state(data / state_path)
    frame, no_frame = _frame(data, state, say)
    states: dict[str, State | str] = {state.stem: state}
    results.mkdir(parents=True, exist_ok=True)
    atomic_files.write_file(results / MANIFEST, manifest_bytes)

    outcomes: list[Outcome] = []
    taken: dict[str, str] = {}
    for number, row in enumerate(table.rows):
        time.sleep(slow_s)
        reason = faults.get(number, "") or no_frame
        try:
            if reason or frame is None:
                raise InputError(reason)
            outcome = _convert_row(row, _state_of_row(row, data, states), frame, results, taken)
            taken[outcome.file] = row.histology_track_id
        except InputError as error:
            outcome = Outcome(row, reason=error.message)
        except OSError as error:
            outcome = Outcome(row, reason=f"could not be written: {error.strerror}")
        outcomes.append(outcome)
        told = f"failed: {outcome.reason}" if outcome.reason else f"{outcome.points} points -> {outcome.file}"
        say(f"row {number + 1} of {len(table.rows)}: track {row.histology_track_id}: {told}")

    atomic_files.write_file(results / REPORT, _json(_report(outcomes)))
    done = sum(not outcome.reason for outcome in outcomes)
    say(f"{done} of {len(outcomes)} rows done")
    return done


def _convert_row(row: ManifestRow, state: State, frame: ImageFrame, results: Path, taken: dict[str, str]) -> Outcome:
    path = pick_path(row)
    if not path or not is_file_name(row.histology_track_id):
        raise InputError("its mouse, recording, stream or track cannot be the name of a file")
    if path in taken:
        raise InputError(f"the row of track {taken[path]} writes the same file")
    if row.annotation_format.lower() != "json":
        raise InputError("its annotation_format is not json")
    layer = _layer(state, row.histology_track_id)
    points_level0_zyx = layer.points_level0_zyx
    if not len(points_level0_zyx):
        raise InputError("its layer has no points")
    points_image_ras_um = geometry.level0_to_image_ras_um(points_level0_zyx, frame)
    track = _track(layer, points_level0_zyx, points_image_ras_um, frame)
    shank = "" if row.histology_shank is None else f"_shank{row.histology_shank + 1}"
    _write(results / row.mouseid / "track_data" / "spim" / f"{row.histology_track_id}{shank}.json", track)
    # The pick file comes last: it is what counts as delivered.
    _write(results / path, {"xyz_picks": points_image_ras_um.tolist()})
    return Outcome(row, file=path, points=len(points_image_ras_um))


def _layer(state: State, name: str) -> AnnotationLayer:
    layers = [layer for layer in state.layers if layer.name == name]
    if len(layers) != 1:
        raise InputError("the state has no layer of its name" if not layers else "the state has its layer twice")
    fault = next((p.message for p in layers[0].problems if p.severity is Severity.ERROR), "")
    if fault:
        raise InputError(f"its layer cannot be used: {fault}")
    return layers[0]


def _track(
    layer: AnnotationLayer, points_level0_zyx: Points, points_image_ras_um: Points, frame: ImageFrame
) -> dict[str, Any]:
    return {
        "track": layer.name,
        "points_level0_zyx": points_level0_zyx.tolist(),
        "points_image_ras_um": points_image_ras_um.tolist(),
        "scale_level0_um_xyz": frame.scale_level0_um_xyz,
        "directions_xyz": frame.directions_xyz,
    }


def _report(outcomes: list[Outcome]) -> dict[str, Any]:
    rows = [
        {
            "track": outcome.row.histology_track_id,
            "recording": outcome.row.recording,
            "collection": outcome.row.ephys_collection,
            "shank": outcome.row.histology_shank,
            "requested": True,
            "done": not outcome.reason,
            "reason": outcome.reason,
            "file": outcome.file,
        }
        for outcome in outcomes
    ]
    return {"converter": NAME, "version": VERSION, "rows": rows}


# --- reading ------------------------------------------------------------------------------------


def _state_of_row(row: ManifestRow, data: Path, states: dict[str, State | str]) -> State:
    """The state a row names; read once, and its fault kept for the other rows."""
    stem = row.probe_file
    if stem not in states:
        found = [
            file for folder in data.iterdir() if is_file_name(stem) and (file := folder / f"{stem}.json").is_file()
        ]
        try:
            states[stem] = _state(found[0]) if len(found) == 1 else f"{len(found)} mounted files are named {stem}.json"
        except InputError as error:
            states[stem] = error.message
    state = states[stem]
    if isinstance(state, str):
        raise InputError(state)
    return state


def _state(path: Path) -> State:
    return read_state(_read(path), stem=path.stem, limit_bytes=_MAX_BYTES)


def _frame(data: Path, state: State, say: Say) -> tuple[ImageFrame | None, str]:
    """The geometry of the state's image, or the reason why there is none."""
    images = [image for image in state.images if image.asset]
    assets = {image.asset for image in images}
    if len(assets) != 1:
        return None, "the state's image layers name no stitched asset" if not assets else "they name several assets"
    try:
        return _read_frame(_mounted(data, images[0].asset or ""), images[0], say), ""
    except InputError as error:
        return None, f"the image's geometry is not known: {error}"


def _mounted(data: Path, asset: str) -> Path:
    # A mount may stand in folders of its own, as the prefix in the state's address does.
    patterns = ("", "*/", "*/*/") if is_file_name(asset) else ()
    named = (path for pattern in patterns for path in data.glob(pattern + glob.escape(asset)))
    found = next((path for path in named if path.is_dir()), None)
    if found is None:
        raise InputError("the stitched asset is not mounted", where=asset, cure="Attach it.")
    return found


def _read_frame(asset: Path, image: ImageLayer, say: Say) -> ImageFrame:
    names = [image.image_file or "", f"{image.channel}.zarr", f"{image.channel}.ome.zarr"]
    folders = [asset / _IMAGES / name for name in names if is_file_name(name)]
    folder = next((folder for folder in folders if (folder / ".zattrs").is_file()), None)
    if folder is None:
        raise InputError("the asset has no such image", where=f"{asset.name}: {image.image_file}", cure="Check it.")
    acquisition = _acquisition(asset)
    if not acquisition.get("axes"):
        # A person may look at a drawing whose directions are assumed; a result must not be.
        raise InputError(
            "the directions of the image's axes are not told", where=asset.name, cure="Check its metadata."
        )
    frame = geometry.image_frame(_read_object(folder / ".zattrs"), (0, 0, 0), acquisition)
    say(f"image {folder.name}: voxel {frame.scale_level0_um_xyz} um along x, y, z, towards {frame.directions_xyz}")
    return frame


def _acquisition(asset: Path) -> dict[str, Any]:
    if (asset / "metadata.nd.json").is_file():
        told = _read_object(asset / "metadata.nd.json").get("acquisition")
        if isinstance(told, dict) and told.get("axes"):
            return told
    return _read_object(asset / "acquisition.json") if (asset / "acquisition.json").is_file() else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise InputError("it is not JSON", where=path.name, cure="Check the asset.") from error
    if not isinstance(told, dict):
        raise InputError("it is not a JSON object", where=path.name, cure="Check the asset.")
    return told


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror})", where=path.name, cure="Check the mounts.") from error
    if len(data) > _MAX_BYTES:
        raise InputError("it has more than 64 MiB", where=path.name, cure="Check the file.")
    return data


# --- writing ------------------------------------------------------------------------------------


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_file(path, _json(value))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
