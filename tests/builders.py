"""Small states and subjects for the tests of mapping, manifest and checks."""

from __future__ import annotations

import json
from dataclasses import replace

from core.models import (
    Asset,
    ImageChannel,
    ImageFrame,
    Probe,
    Recording,
    Role,
    SortedStream,
    Sorting,
    SortingStatus,
    State,
    Stitched,
    Subject,
)
from core.neuroglancer import read_state

MOUSE = "700001"
BRAIN = f"SmartSPIM_{MOUSE}_2024-12-01_10-00-00_stitched_2024-12-03_11-00-00"
DAY1 = f"ecephys_{MOUSE}_2024-11-07_10-00-00"
SURFACE1 = f"ecephys_{MOUSE}_2024-11-07_11-00-00"
DAY2 = f"ecephys_{MOUSE}_2024-11-08_10-00-00"
SORT1 = f"{DAY1}_sorted_2024-11-09_01-00-00"
SORT2 = f"{DAY2}_sorted_2024-11-10_01-00-00"
STEM = "tracks"
VOXEL_UM = {"x": 1.8, "y": 1.8, "z": 2.0}
SHAPE_ZYX = (4000, 5000, 4500)
CHANNEL = "Ex_639_Em_667"


def space(order: str = "zyx", *, um: dict[str, float] | None = None, time: bool = True) -> dict[str, list[object]]:
    """`outputDimensions` of a state."""
    voxel = um or VOXEL_UM
    axes: dict[str, list[object]] = {axis: [voxel[axis] * 1e-6, "m"] for axis in order}
    return {**axes, "t": [0.001, "s"]} if time else axes


def line_points(at: int = 0, *, count: int = 12, order: str = "zyx", time: bool = True) -> list[list[float]]:
    """Points of a straight, nearly vertical track of about 3.6 mm; `at` moves it sideways by 500 um."""
    points = []
    for i in range(count):
        down = i / max(count - 1, 1)
        voxel = {"x": 600.0 + at * 275.0 + 40 * down, "y": 1500.0 + 30 * down, "z": 500.0 + 1800 * down}
        points.append([voxel[axis] for axis in order] + ([0.0] if time else []))
    return points


def layer_json(name: str, at: int = 0, *, points: list[list[float]] | None = None, **more: object) -> dict[str, object]:
    """An annotation layer in the form that AIND's states have."""
    numbers = line_points(at) if points is None else points
    return {
        "type": "annotation",
        "name": name,
        "source": {"url": "local://annotations", "transform": {"outputDimensions": space()}},
        "annotations": [{"type": "point", "id": f"{name}{i}", "point": point} for i, point in enumerate(numbers)],
        **more,
    }


def image_json(asset: str = BRAIN, channel: str = CHANNEL, *, as_list: bool = False) -> dict[str, object]:
    """An image layer of a stitched brain."""
    url = f"zarr://s3://aind-open-data/{asset}/image_tile_fusing/OMEZarr/{channel}.zarr"
    return {"type": "image", "name": channel, "source": [url] if as_list else url}


def make_state(
    *layers: dict[str, object] | str,
    images: list[dict[str, object]] | None = None,
    stem: str = STEM,
    dimensions: dict[str, list[object]] | None = None,
) -> State:
    """A state of these layers; a text is the name of a plain track, each beside the last."""
    made = [layer_json(layer, at) if isinstance(layer, str) else layer for at, layer in enumerate(layers)]
    document = {"dimensions": dimensions or space(), "layers": [*(images or [image_json()]), *made]}
    return read_state(json.dumps(document), stem=stem)


def asset(name: str, **more: object) -> Asset:
    return replace(Asset(id=f"id-{name}", name=name), **more)  # type: ignore[arg-type]


def stream(token: str, *shanks: int) -> SortedStream:
    return SortedStream(token=token, shanks=shanks, units=100, passing=60)


def sorting(name: str, *streams: SortedStream, status: SortingStatus = SortingStatus.OK, reason: str = "") -> Sorting:
    return Sorting(asset=asset(name), sorter="kilosort4", status=status, reason=reason, streams=streams)


def probe(name: str, *shanks: int, count: int = 1, serial: str = "") -> Probe:
    return Probe(name=name, serial=serial or f"1{name}", part_number="NP", shanks=shanks or (0,), shank_count=count)


def recording(
    name: str, *sortings: Sorting, probes: tuple[Probe, ...] = (), role: Role = Role.MAIN, **more: object
) -> Recording:
    tokens = name.split("_")
    made = Recording(
        name=name,
        start=f"{tokens[2]} {tokens[3].replace('-', ':')}",
        raw=asset(name),
        role=role,
        role_reason="",
        surface=None,
        surface_reason="",
        probes=probes,
        sortings=sortings,
        streams=tuple(f"Record Node 104#Neuropix-PXI-100.{each.name}-AP" for each in probes),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def frame(**more: object) -> ImageFrame:
    made = ImageFrame(
        scale_level0_um_xyz=(VOXEL_UM["x"], VOXEL_UM["y"], VOXEL_UM["z"]),
        directions_xyz=("R", "P", "I"),
        shape_level0_zyx=SHAPE_ZYX,
        levels=5,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def brain(name: str = BRAIN, **more: object) -> Stitched:
    channel = ImageChannel(name=CHANNEL, path=f"image_tile_fusing/OMEZarr/{CHANNEL}.zarr", frame=frame(**more))
    return Stitched(asset=asset(name), channels=(channel,))


PROBES1 = (
    probe("ProbeA", serial="19011111111"),
    probe("ProbeB", 0, 1, 2, 3, count=4, serial="19022222222"),
    probe("45883-1", serial="45883"),
    probe("45883-3", serial="45883"),
)
PROBES2 = (probe("ProbeA", serial="19011111111"), probe("ProbeB", 0, 1, 2, 3, count=4, serial="19022222222"))


def make_subject(*recordings: Recording, stitched: tuple[Stitched, ...] | None = None) -> Subject:
    """A mouse: day 1 with a single-shank, a four-shank and a split probe and a surface recording; day 2 without."""
    day1 = recording(
        DAY1,
        sorting(SORT1, stream("ProbeA"), stream("ProbeB", 0, 1, 2, 3), stream("45883-1"), stream("45883-3")),
        probes=PROBES1,
        surface=SURFACE1,
        surface_reason="same day, later, short",
        duration_s=3600.0,
    )
    surface = recording(SURFACE1, probes=PROBES1, role=Role.SURFACE, duration_s=300.0)
    day2 = recording(DAY2, sorting(SORT2, stream("ProbeA"), stream("ProbeB", 0, 1, 2, 3)), probes=PROBES2)
    return Subject(
        id=MOUSE,
        platform="test",
        recordings=recordings or (day1, surface, day2),
        stitched=(brain(),) if stitched is None else stitched,
    )
