"""What makes two launches the same: a digest of what would be converted, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from core.manifest.rows import ManifestRow
from core.models import ImageFrame, State


def launch_digest(
    rows: Sequence[ManifestRow],
    *,
    drawn: str,
    platform: str,
    converter: str,
    converter_version: str,
    parameters: Mapping[str, str],
    platform_id: str = "",
    assets: Collection[str] = (),
    frame: ImageFrame | None = None,
) -> str:
    """What makes two launches the same: not who, when, notes, the order of rows, or the state's file name and bytes.

    The same rows are another launch in another library, with other assets of the same names, or when the image's
    geometry was corrected since.

    Args:
        rows: The manifest.
        drawn: What the state holds for it, as `drawn_digest` tells it.
        platform: Name of the platform.
        converter: Name of the conversion.
        converter_version: Its version.
        parameters: Its options.
        platform_id: Which platform of that name.
        assets: Ids of what the rows need.
        frame: The image's geometry.
    """
    cells = []
    for row in rows:
        values = asdict(row)
        del values["probe_file"]  # the name of a file, not what is in it: that is what was drawn
        cells.append(values)
    document = {
        "platform": [platform, platform_id],
        "assets": sorted(assets),
        "frame": None if frame is None else [*frame.scale_level0_um_xyz, *frame.directions_xyz],
        "converter": converter,
        "converter_version": converter_version,
        "parameters": dict(parameters),
        "drawn": drawn,
        "rows": sorted(cells, key=lambda values: json.dumps(values, sort_keys=True)),
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def drawn_digest(state: State, tracks: Collection[str] | None = None) -> str:
    """What a state holds for a mapping: its tracks' points and axes, and the brain they are drawn in.

    The same state copied once more from the viewer, with another view or other spaces between its words, has the same.

    Args:
        state: The state.
        tracks: Names of the tracks that count; None: all of them.
    """
    found = hashlib.sha256(json.dumps(sorted({image.asset or "" for image in state.images})).encode())
    for layer in sorted(state.tracks, key=lambda layer: layer.name):
        if tracks is None or layer.name in tracks:
            axes = [[axis.name, axis.scale, axis.unit] for axis in layer.dimensions]
            found.update(json.dumps([layer.name, axes, layer.points.shape]).encode())
            found.update(layer.points.astype("<f8").tobytes())
    return found.hexdigest()
