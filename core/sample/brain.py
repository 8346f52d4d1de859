"""The cleared brain: a raw and a stitched SmartSPIM asset with a pyramid of which only coarse levels hold voxels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.models import Points
from core.sample.files import random_for, write_array, write_group, write_json
from core.sample.metadata import data_description, procedures, subject
from core.sample.plan import SPIM, STITCHED, SUBJECT, Sizes
from core.sample.registration import IMPORT_VERSION, write_registration
from core.sample.tracks import BRAIN_CENTRE_UM, BRAIN_RADII_UM, SHAPE_LEVEL0_ZYX, VOXEL_UM_XYZ

TISSUE_CHANNEL = "Ex_639_Em_680"
DYE_CHANNEL = "Ex_561_Em_593"
LEVELS = 6
_CHUNK = 128
_DYE_RADIUS_UM = 45.0
_MODALITY = {"name": "Selective plane illumination microscopy", "abbreviation": "SPIM"}
_AXES = (("X", 2, "Left_to_right"), ("Y", 1, "Posterior_to_anterior"), ("Z", 0, "Superior_to_inferior"))
_DIRECTIONS = ("R", "A", "I")
_IMPORTED = "2025-05-08T11:20:00Z"
_REGISTERED = "2025-05-09T02:10:00Z"


def write_raw_spim(asset: Path) -> None:
    """Write the raw SmartSPIM asset: its metadata; the tiles are left away."""
    _write_metadata(asset)
    write_json(asset / "data_description.json", data_description(SPIM, 1, created=_IMPORTED, modality=_MODALITY))
    write_json(asset / "SPIM" / "derivatives" / "processing_manifest.json", {"channels": [DYE_CHANNEL, TISSUE_CHANNEL]})


def write_stitched(asset: Path, tracks_um: Sequence[Points], *, seed: int, sizes: Sizes) -> None:
    """Write the stitched asset: two fused channels, and the registration of one of them.

    Args:
        asset: Its folder.
        tracks_um: Every track as (n, 3) um in the image box; the dye channel shines along them.
        seed: Seed of the sample.
        sizes: Says which levels hold voxels.
    """
    _write_metadata(asset)
    description = data_description(
        STITCHED, 1, created=_REGISTERED, modality=_MODALITY, source=SPIM, process="stitched"
    )
    write_json(asset / "data_description.json", description)
    write_json(asset / "metadata.nd.json", {"name": STITCHED, "acquisition": _acquisition(), "subject": subject(1)})
    write_json(asset / "processing.json", _processing())
    images = asset / "image_tile_fusing" / "OMEZarr"
    _write_channel(images / f"{TISSUE_CHANNEL}.zarr", sizes.image_levels, (), seed=seed)
    # The dye is needed to see that a track follows it, and for that the coarsest voxels do.
    _write_channel(images / f"{DYE_CHANNEL}.zarr", [max(sizes.image_levels)], tracks_um, seed=seed)
    write_registration(asset / "image_atlas_alignment" / TISSUE_CHANNEL, _DIRECTIONS, level_shape_zyx(3))


def _write_metadata(asset: Path) -> None:
    write_json(asset / "acquisition.json", _acquisition())
    write_json(asset / "subject.json", subject(1))
    write_json(asset / "procedures.json", procedures(1))


def _acquisition() -> dict[str, Any]:
    return {
        "schema_version": "1.0.4",
        "subject_id": SUBJECT,
        "specimen_id": SUBJECT,
        "session_start_time": "2025-05-06T14:22:10",
        "session_end_time": "2025-05-06T19:48:31",
        "axes": [
            {"name": name, "dimension": dimension, "direction": direction, "unit": "micrometer"}
            for name, dimension, direction in _AXES
        ],
    }


def _processing() -> dict[str, Any]:
    registered = f"image_tile_fusing/OMEZarr/{TISSUE_CHANNEL}.zarr"
    processes = [
        {
            "name": "Image importing",
            "software_version": IMPORT_VERSION,
            "code_version": IMPORT_VERSION,
            "start_date_time": _IMPORTED,
            "end_date_time": _IMPORTED,
            "input_location": SPIM,
            "output_location": STITCHED,
            "parameters": {},
        },
        {
            "name": "Image atlas alignment",
            "software_version": "0.0.27",
            "code_version": "0.0.27",
            "start_date_time": _REGISTERED,
            "end_date_time": _REGISTERED,
            "input_location": f"/data/{registered}",
            "output_location": f"/results/image_atlas_alignment/{TISSUE_CHANNEL}",
            "parameters": {},
            "notes": "Template based registration: LS -> template -> Allen CCFv3 Atlas",
        },
    ]
    pipeline = {"data_processes": processes, "pipeline_version": "3.1.0", "processor_full_name": "Sample"}
    return {"schema_version": "1.1.4", "processing_pipeline": pipeline, "analyses": []}


# --- voxels -----------------------------------------------------------------------------------


def level_shape_zyx(level: int) -> tuple[int, int, int]:
    """Size of a pyramid level in voxels."""
    z, y, x = (size >> level for size in SHAPE_LEVEL0_ZYX)
    return z, y, x


def _write_channel(folder: Path, filled: Sequence[int], tracks_um: Sequence[Points], *, seed: int) -> None:
    scale_zyx = VOXEL_UM_XYZ[::-1]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 1.0, *(float(scale * 2**level) for scale in scale_zyx)]},
                {"type": "translation", "translation": [0.0, 0.0, *(_offset_um(scale, level) for scale in scale_zyx)]},
            ],
        }
        for level in range(LEVELS)
    ]
    axes = [{"name": "t", "type": "time", "unit": "millisecond"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    multiscale = {"axes": axes, "datasets": datasets, "name": f"/{folder.name}", "version": "0.4"}
    window = {"start": 0.0, "end": 1200.0, "min": 0.0, "max": 65535.0}
    display = {"channels": [{"label": folder.stem, "color": "ffffff", "active": True, "window": window}]}
    write_group(folder, {"multiscales": [multiscale], "omero": display})
    for level in range(LEVELS):
        shape = level_shape_zyx(level)
        write_array(
            folder / str(level),
            shape=(1, 1, *shape),
            chunks=(1, 1, _CHUNK, _CHUNK, _CHUNK),
            dtype="<u2",
            separator="/",
            data=_chunks(level, tracks_um, random_for(seed, folder.name, level)) if level in filled else (),
        )


def _offset_um(scale: float, level: int) -> float:
    """A coarse voxel is the mean of those beneath it, so its centre lies between theirs."""
    return float(scale * (2**level - 1) / 2.0)


def _chunks(
    level: int, tracks_um: Sequence[Points], rng: np.random.Generator
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    shape = level_shape_zyx(level)
    scales = VOXEL_UM_XYZ[::-1]
    axes_um = [
        (np.arange(size) * scale * 2**level + _offset_um(scale, level)).astype(np.float32)
        for size, scale in zip(shape, scales, strict=True)
    ]
    # One cube of noise for all chunks: drawing a fresh one for each costs more than everything else here.
    noise = rng.normal(0.0, 14.0, (_CHUNK, _CHUNK, _CHUNK)).astype(np.float32)
    dye = np.concatenate([_densely(track) for track in tracks_um]) if tracks_um else np.empty((0, 3))
    for index in np.ndindex(*(-(-size // _CHUNK) for size in shape)):
        z, y, x = (axis[i * _CHUNK : (i + 1) * _CHUNK] for axis, i in zip(axes_um, index, strict=True))
        tissue, edge = _tissue(z, y, x)
        if len(dye):
            tissue = 0.4 * tissue
            _add_dye(tissue, (z, y, x), dye)
        tissue += noise[: len(z), : len(y), : len(x)]
        tissue[~edge] = 0.0
        # Steps of 8 grey values keep the sample small; no one could see finer ones.
        yield (0, 0, *index), (np.clip(tissue, 0.0, 4000.0) // 8.0 * 8.0).astype("<u2")[None, None]


def _tissue(
    z: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Brightness of tissue at a grid of points (um), and where there is tissue at all."""
    (cx, cy, cz), (rx, ry, rz) = BRAIN_CENTRE_UM, BRAIN_RADII_UM
    u = ((x - np.float32(cx)) / np.float32(rx))[None, None, :]
    v = ((y - np.float32(cy)) / np.float32(ry))[None, :, None]
    w = ((z - np.float32(cz)) / np.float32(rz))[:, None, None]
    radius = u * u + v * v + w * w
    cortex = 220.0 * np.exp(-(((radius - np.float32(0.82)) / np.float32(0.09)) ** 2))
    midline = 1.0 - 0.45 * np.exp(-((u / np.float32(0.012)) ** 2)) * (w < 0.1)
    ventricles = 1.0 - 0.7 * np.exp(
        -(((np.abs(u) - 0.2) / 0.06) ** 2) - ((v - 0.12) / 0.3) ** 2 - ((w + 0.25) / 0.16) ** 2
    ).astype(np.float32)
    texture = 1.0 + 0.08 * np.sin(9.0 * v) * np.cos(7.0 * u) + 0.06 * np.sin(11.0 * w)
    brightness = (340.0 * (1.15 - 0.45 * radius) * texture + cortex) * midline * ventricles
    return brightness.astype(np.float32), radius <= 1.0


def _densely(track_um: Points) -> Points:
    """Points every 40 um or so along a track."""
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(track_um, axis=0), axis=1))]
    steps = np.linspace(0.0, along[-1], int(along[-1] // 40.0) + 2)
    return np.column_stack([np.interp(steps, along, track_um[:, axis]) for axis in range(3)])


def _add_dye(tissue: NDArray[np.float32], axes_um: Sequence[NDArray[np.float32]], dye_um_xyz: Points) -> None:
    """Brighten the voxels around each point of dye that lies in or beside this chunk."""
    reach = 3.0 * _DYE_RADIUS_UM
    low = np.array([axis[0] for axis in axes_um[::-1]]) - reach
    high = np.array([axis[-1] for axis in axes_um[::-1]]) + reach
    for point in dye_um_xyz[((dye_um_xyz >= low) & (dye_um_xyz <= high)).all(axis=1)]:
        near = [np.abs(axis - centre) <= reach for axis, centre in zip(axes_um, point[::-1], strict=True)]
        z, y, x = (
            np.exp(-0.5 * ((axis[close] - centre) / _DYE_RADIUS_UM) ** 2)
            for axis, centre, close in zip(axes_um, point[::-1], near, strict=True)
        )
        tissue[np.ix_(*near)] += (420.0 * z[:, None, None] * y[None, :, None] * x[None, None, :]).astype(np.float32)
