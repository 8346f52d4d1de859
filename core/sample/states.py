"""The sample's saved Neuroglancer states and the true mapping of each.

Layer names are what people write: some tell day and probe, some tell nothing, and two of them were given to each
other's track. So a mapping that trusts names is wrong here, as it would be on a real mouse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.manifest import ManifestRow
from core.models import Points
from core.sample.brain import DYE_CHANNEL, TISSUE_CHANNEL
from core.sample.files import random_for
from core.sample.plan import STITCHED, SUBJECT, Insertion, RecordingPlan, Sizes
from core.sample.tracks import VOXEL_UM_XYZ, surface_z_um, to_level0_zyx, track_um

Layer = dict[str, Any]
_COLORS = ("#00ff2a", "#ff00ff", "#ffae00", "#ff1900", "#0084ff", "#c800ff", "#00e5ff", "#fff200", "#ff7f9e", "#9eff7f")
_ZYXT = {"z": [2e-6, "m"], "y": [1.8e-6, "m"], "x": [1.8e-6, "m"], "t": [0.001, "s"]}
_TIP_FIRST = ("641_MD",)
"""Tracks that were clicked from the tip upwards."""


@dataclass(frozen=True, slots=True)
class DrawnTrack:
    """A track as somebody drew and named it, and what it truly is."""

    layer: str
    recording: RecordingPlan
    insertion: Insertion
    shank: int
    """0-based on the physical probe."""


@dataclass(frozen=True, slots=True)
class PlannedState:
    """A saved state before it is written."""

    stem: str
    document: dict[str, Any]
    rows: tuple[ManifestRow, ...] | None
    """The true mapping; None when the state cannot be converted."""
    note: str


def planned_states(recordings: Sequence[RecordingPlan], *, seed: int, sizes: Sizes) -> tuple[PlannedState, ...]:
    """The saved states: the whole mouse, one clean day, and one that people get wrong."""
    day_1, _surface, day_2, day_3, day_4 = recordings[-5:]
    everything = [
        *_drawn(day_1, {"ProbeB": "B_0312_shank{shank}", "ProbeA": "20250313_ProbeA"}),
        *_drawn(day_2, {"ProbeA": "A_0312", "ProbeC": "268"}),
        *_drawn(day_3, {"46110": "641_MD", "45883": "45883-{shank}"}),
    ]
    for recording in recordings[:-5]:
        stamp = f"{recording.start:%Y%m%d}"
        everything += _drawn(recording, {i.probe: f"{stamp}_{i.probe}" for i in recording.insertions})
    lost = _drawn(day_4, {"ProbeA": "A_0315"})
    one_day = _drawn(day_1, {"ProbeB": "20250312_ProbeB_Shank{shank}", "ProbeA": "20250312_ProbeA"})
    return (
        PlannedState(
            f"{SUBJECT}_all_probes_2025-06-03",
            _whole_mouse([*everything, *lost], seed=seed, sizes=sizes),
            _true_rows(everything, f"{SUBJECT}_all_probes_2025-06-03"),
            "Every probe of every day; the layers A_0312 and 20250313_ProbeA carry each other's name, "
            "and A_0315 belongs to a recording whose sorting failed.",
        ),
        PlannedState(
            f"{SUBJECT}_day1_2025-06-02",
            _state([*_images(), *(_track_layer(track, n, seed, sizes) for n, track in enumerate(one_day))]),
            _true_rows(one_day, f"{SUBJECT}_day1_2025-06-02"),
            "One recording with a single-shank and a four-shank probe; every name says day, probe and shank, rightly.",
        ),
        PlannedState(
            f"{SUBJECT}_draft_with_problems",
            _with_problems(one_day, seed=seed, sizes=sizes),
            None,
            "Cannot be converted as it is: an image with a list of sources, points in x, y, z order in a layer that "
            "does not say so, a line among points, an empty layer, a layer in micrometres, a layer of one point.",
        ),
    )


def _drawn(recording: RecordingPlan, names: dict[str, str]) -> list[DrawnTrack]:
    """One track per shank; `{shank}` in a name becomes the 1-based shank."""
    return [
        DrawnTrack(name.format(shank=shank + 1), recording, insertion, shank)
        for insertion in recording.insertions
        for name in [names[insertion.probe]]
        for shank in range(insertion.kind.shanks)
    ]


def _true_rows(tracks: Sequence[DrawnTrack], stem: str) -> tuple[ManifestRow, ...]:
    return tuple(_true_row(track, stem) for track in tracks)


def _true_row(track: DrawnTrack, stem: str) -> ManifestRow:
    insertion, split = track.insertion, track.insertion.kind.split
    single = insertion.kind.shanks == 1
    return ManifestRow(
        mouseid=SUBJECT,
        # Of several sortings the newest was chosen.
        sorted_recording=track.recording.sortings[-1].name,
        probe_file=stem,
        histology_track_id=track.layer,
        ephys_collection=insertion.tokens[track.shank] if split else insertion.probe,
        logical_probe=insertion.probe,
        histology_shank=None if single else track.shank,
        ephys_shank=None if single else 0 if split else track.shank,
        surface_finding=track.recording.surface,
    )


# --- documents --------------------------------------------------------------------------------


def _whole_mouse(tracks: Sequence[DrawnTrack], *, seed: int, sizes: Sizes) -> dict[str, Any]:
    layers = [*_images(), *(_track_layer(track, number, seed, sizes) for number, track in enumerate(tracks))]
    first_try = tracks[0]
    points = track_um(first_try.insertion, 0, first_try.recording, seed=seed, sizes=sizes)[::4]
    points = points + random_for(seed, "first try").normal(0.0, 90.0, points.shape)
    layers.append(_layer("B_0312_old", to_level0_zyx(points), color="#808080", archived=True))
    layers.append(_landmarks())
    return _state(layers)


def _with_problems(tracks: Sequence[DrawnTrack], *, seed: int, sizes: Sizes) -> dict[str, Any]:
    shanks = {track.layer: _track_layer(track, number, seed, sizes) for number, track in enumerate(tracks)}
    plain = shanks["20250312_ProbeA"]
    plain["source"] = "local://annotations"
    for annotation in plain["annotations"]:
        z, y, x, t = annotation["point"]
        annotation["point"] = [x, y, z, t]
    with_line = shanks["20250312_ProbeB_Shank1"]["annotations"]
    ends = {"pointA": with_line[0]["point"], "pointB": with_line[-1]["point"]}
    with_line.append({"type": "line", "id": _annotation_id("20250312_ProbeB_Shank1", "line"), **ends})
    shanks["20250312_ProbeB_Shank2"]["annotations"] = []
    in_um = shanks["20250312_ProbeB_Shank3"]
    in_um["source"]["transform"]["outputDimensions"] = {axis: [1e-6, "m"] for axis in "zyx"} | {"t": [0.001, "s"]}
    for annotation in in_um["annotations"]:
        scaled = np.array(annotation["point"][:3]) * VOXEL_UM_XYZ[::-1]
        annotation["point"] = [*scaled.round(3).tolist(), 0]
    del shanks["20250312_ProbeB_Shank4"]["annotations"][1:]
    image = _images()[0]
    image["source"] = [image["source"]]
    axes = {"x": _ZYXT["x"], "y": _ZYXT["y"], "z": _ZYXT["z"], "t": _ZYXT["t"]}
    return _state([image, *shanks.values()], dimensions=axes)


def _state(layers: list[Layer], dimensions: dict[str, Any] | None = None) -> dict[str, Any]:
    axes = dimensions or _ZYXT
    centre = {"z": 2000.0, "y": 3611.0, "x": 3055.0, "t": 0.0}
    return {
        "dimensions": axes,
        "position": [centre[axis] for axis in axes],
        "crossSectionScale": 8.0,
        "projectionOrientation": [0.0, 0.0, 0.0, 1.0],
        "projectionScale": 9000.0,
        "layers": layers,
        "selectedLayer": {"visible": True, "layer": layers[-1]["name"]},
        "layout": "4panel",
    }


def _images() -> list[Layer]:
    folder = f"zarr://s3://aind-open-data/{STITCHED}/image_tile_fusing/OMEZarr"
    return [
        {
            "type": "image",
            "source": f"{folder}/{channel}.zarr",
            "localDimensions": {"c'": [1, ""]},
            "localPosition": [0],
            "tab": "rendering",
            "shader": "#uicontrol vec3 color color\n#uicontrol invlerp normalized\n"
            "void main() { emitRGB(color * normalized()); }\n",
            "shaderControls": {"color": color, "normalized": {"range": [0, high], "window": [0, 2000]}},
            "name": f"{channel}.zarr",
        }
        for channel, color, high in ((TISSUE_CHANNEL, "#f2f2f2", 700), (DYE_CHANNEL, "#f15f22", 500))
    ]


def _track_layer(track: DrawnTrack, number: int, seed: int, sizes: Sizes) -> Layer:
    points = track_um(track.insertion, track.shank, track.recording, seed=seed, sizes=sizes)
    if track.layer in _TIP_FIRST:
        points = points[::-1]
    return _layer(track.layer, to_level0_zyx(points), color=_COLORS[number % len(_COLORS)])


def _landmarks() -> Layer:
    """Places on the skull's seams and in the brain, one description each, as an image registration asks for."""
    places = {
        "bregma": (5500.0, 7400.0, surface_z_um(5500.0, 7400.0)),
        "lambda": (5510.0, 3250.0, surface_z_um(5510.0, 3250.0)),
        "anterior commissure": (5495.0, 7720.0, 5280.0),
        "genu of corpus callosum": (5505.0, 8620.0, 3240.0),
        "left geniculate": (3240.0, 5060.0, 3950.0),
    }
    points = to_level0_zyx(np.array(list(places.values())))
    return _layer("landmarks", points, color="#ffffff", descriptions=tuple(places))


def _layer(
    name: str,
    points_level0_zyx: Points,
    *,
    color: str,
    archived: bool = False,
    descriptions: Sequence[str] = (),
) -> Layer:
    annotations = []
    for number, point in enumerate(points_level0_zyx.round(3).tolist()):
        words = {"description": descriptions[number]} if descriptions else {}
        annotations.append({"point": [*point, 0], "type": "point", "id": _annotation_id(name, number), **words})
    return {
        "type": "annotation",
        "source": {"url": "local://annotations", "transform": {"outputDimensions": dict(_ZYXT)}},
        "tool": "annotatePoint",
        "tab": "annotations",
        "annotationColor": color,
        "annotations": annotations,
        "name": name,
        **({"archived": True} if archived else {}),
    }


def _annotation_id(layer: str, number: object) -> str:
    return hashlib.sha1(f"{layer}/{number}".encode(), usedforsecurity=False).hexdigest()
