"""A small library of one mouse, written by hand: stitched brain, one sorted asset, a state and its manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from core import manifest
from core.manifest import ManifestRow

STITCHED = "SmartSPIM_700001_2024-07-03_10-49-01_stitched_2024-07-05_01-02-03"
RECORDING = "ecephys_700001_2024-04-09_11-14-13"
SORTED = f"{RECORDING}_sorted_2024-04-10_05-06-07"
IMAGE = "Ex_561_Em_593.zarr"
STEM = "tracks-700001"
DIMENSIONS = {"z": [2e-6, "m"], "y": [1.8e-6, "m"], "x": [1.8e-6, "m"], "t": [0.001, "s"]}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def zattrs() -> dict:
    levels = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 2.0 * 2**level, 1.8 * 2**level, 1.8 * 2**level]}
            ],
        }
        for level in range(4)
    ]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]}


def acquisition() -> dict:
    return {
        "axes": [
            {"name": "Z", "dimension": 0, "direction": "Superior_to_inferior"},
            {"name": "Y", "dimension": 1, "direction": "Posterior_to_anterior"},
            {"name": "X", "dimension": 2, "direction": "Left_to_right"},
        ]
    }


def layer(name: str, points, kind: str = "point", dimensions=DIMENSIONS) -> dict:
    if kind == "point":
        annotations = [{"type": "point", "id": str(i), "point": list(point)} for i, point in enumerate(points)]
    else:
        annotations = [{"type": "line", "id": "0", "pointA": list(points[0]), "pointB": list(points[-1])}]
    return {
        "type": "annotation",
        "name": name,
        "source": {"url": "local://annotations", "transform": {"outputDimensions": dimensions}},
        "annotations": annotations,
    }


def track_points(x: float, count: int = 5) -> list[list[float]]:
    """z, y, x, t points straight down at x."""
    return [[100.0 + 50 * i, 2000.0, x, 0.0] for i in range(count)]


def state(*layers: dict, asset: str = STITCHED, image: str = IMAGE) -> dict:
    url = f"zarr://s3://aind-open-data/{asset}/image_tile_fusing/OMEZarr/{image}"
    return {"dimensions": DIMENSIONS, "layers": [{"type": "image", "name": "dye", "source": url}, *layers]}


def row(track: str, collection: str = "ProbeA", shank: int | None = None, **more) -> ManifestRow:
    given = {"probe_file": STEM, "histology_shank": shank, "ephys_shank": shank, **more}
    return ManifestRow("700001", SORTED, histology_track_id=track, ephys_collection=collection, **given)


def write_asset(library: Path, name: str, files: dict[str, object], **sidecar) -> Path:
    folder = library / "assets" / name
    for path, value in files.items():
        write_json(folder / path, value)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(library / "assets" / f"{name}.json", {"id": f"id-{name}", "name": name, **sidecar})
    return folder


def write_library(library: Path, *layers: dict) -> None:
    """The stitched brain and a sorted asset; the state of `layers` as a saved state."""
    write_asset(
        library,
        STITCHED,
        {f"image_tile_fusing/OMEZarr/{IMAGE}/.zattrs": zattrs(), "acquisition.json": acquisition()},
        tags=["smartspim"],
    )
    write_asset(library, SORTED, {"processing.json": {}}, tags=["ecephys", "700001"])
    write_json(library / "states" / STEM / f"{STEM}.json", state(*layers))


def manifest_bytes(*rows: ManifestRow) -> bytes:
    return manifest.write_csv(rows)


def expected_ras_um(points: list[list[float]]) -> list[list[float]]:
    """By hand for this brain: x to the right, y to the front, z down."""
    return [[1.8 * x, 1.8 * y, -2.0 * z] for z, y, x, _ in np.asarray(points).tolist()]
