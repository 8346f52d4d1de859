"""The nouns of Trackmapper as frozen records: subject, recording, track, assignment, problem.

Frames and units stand in the names. Shanks are 0-based here and in files; pages show "1 of 4".
Times are UTC. The times inside AIND asset names are the lab's local time and are kept as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contacts import RecordedContact
from core.sorted_streams import SortedStream as SortedStream
from core.targets import Target as Target

Points = NDArray[np.float64]
"""An (n, 3) or (n, rank) float64 array; the variable's name says frame and unit."""


# --- problems ---------------------------------------------------------------------------------


class Severity(StrEnum):
    """How a problem bears on a launch."""

    ERROR = "error"
    """Never launches."""
    CONFIRM = "confirm"
    """Launches only when a named person confirms this rule; the confirmation is kept in the job."""
    WARNING = "warning"
    """Shown; launches."""
    INFO = "info"
    """Worth knowing; launches."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a problem is about. `row` is the 0-based manifest row."""

    row: int | None = None
    track: str | None = None
    recording: str | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it is, and how to cure it."""

    rule: str
    """Rule id: T, S, R geometry and consistency, M manifest, N state, A assets."""
    severity: Severity
    message: str
    cure: str
    where: Where = field(default_factory=Where)
    measured: str | float | None = None
    threshold: str | float | None = None


# --- the Neuroglancer state -------------------------------------------------------------------


class LayerKind(StrEnum):
    """What an annotation layer is to a mapping."""

    TRACK = "track"
    LANDMARKS = "landmarks"
    EMPTY = "empty"
    NOT_POINTS = "not_points"
    SERVER_SIDE = "server_side"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of a coordinate space: `scale` in SI base units of `unit` ("m", "s" or "")."""

    name: str
    scale: float
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationLayer:
    """An annotation layer as the state has it. Layers that are not tracks are kept, with the reason."""

    name: str
    kind: LayerKind
    reason: str
    """Why it has this kind, in words a person understands."""
    dimensions: tuple[Dimension, ...]
    """The order of the numbers of one point: the layer's own, else the state's, else assumed z,y,x,t."""
    dimensions_from: str
    """"layer", "state" or "assumed"."""
    points: Points
    """(n, rank), the numbers of the file, untouched. Rank 0 rows when there are none."""
    descriptions: tuple[str, ...] = ()
    """One per point; "" where there is none."""
    color: str | None = None
    visible: bool = True
    problems: tuple[Problem, ...] = ()
    """What the converter would stumble over: lines, matrix, wrong rank, odd source (N rules)."""

    @property
    def points_level0_zyx(self) -> Points:
        """(n, 3) points as level-0 voxel indices in z, y, x: what the converter takes the numbers for."""
        order = {dimension.name: i for i, dimension in enumerate(self.dimensions)}
        if len(self.points) == 0 or not {"z", "y", "x"} <= order.keys():
            return np.empty((0, 3))
        return self.points[:, [order["z"], order["y"], order["x"]]]

    def scale_um(self, axis: str) -> float | None:
        """The layer's own scale along `axis` in um, or None when it has no such axis in metres."""
        for dimension in self.dimensions:
            if dimension.name == axis and dimension.unit == "m":
                return float(f"{dimension.scale * 1e6:.12g}")  # 1.8e-6 m is 1.8 um, not 1.7999999999999998
        return None


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """An image layer and the asset its source names."""

    name: str
    urls: tuple[str, ...]
    source_is_list: bool = False
    asset: str | None = None
    """The folder name of the stitched asset, e.g. `SmartSPIM_717381_..._stitched_...`."""
    channel: str | None = None
    """The image's file name without `.ome.zarr` / `.zarr`."""
    image_file: str | None = None
    """The image's file name as the source has it, e.g. `Ex_639_Em_667.ome.zarr`."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A Neuroglancer state: the bytes given and what was read from them."""

    stem: str
    """File name without `.json`: the manifest's `probe_file` on one machine."""
    data: bytes
    """The bytes as given. What is uploaded is exactly this."""
    sha256: str
    dimensions: tuple[Dimension, ...]
    images: tuple[ImageLayer, ...]
    layers: tuple[AnnotationLayer, ...]
    subject: str | None
    """Subject id from the stitched asset's name."""
    acquisition: str | None
    """The SmartSPIM acquisition the images come from, e.g. `SmartSPIM_717381_2024-07-03_10-49-01`."""
    problems: tuple[Problem, ...] = ()

    @property
    def tracks(self) -> tuple[AnnotationLayer, ...]:
        """The layers that are tracks, in file order."""
        return tuple(layer for layer in self.layers if layer.kind is LayerKind.TRACK)


# --- assets and recordings --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asset:
    """A data asset, with the names of Code Ocean's API so that one set of readers serves both platforms."""

    id: str
    name: str
    type: str = "dataset"
    state: str = "ready"
    tags: tuple[str, ...] = ()
    created: datetime | None = None
    description: str = ""
    custom_metadata: dict[str, Any] = field(default_factory=dict)
    provenance_data_assets: tuple[str, ...] | None = None
    """Ids of the assets it was made from; None when unknown."""
    provenance_computation: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    failure_reason: str = ""
    problems: tuple[Problem, ...] = ()
    """A rules: what is wrong with the asset's own record (no sidecar, unreadable ...)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe as the recording's settings.xml knows it."""

    name: str
    """Its stream token: `ProbeA`, `45883`, or `45883-1` for one shank of a quad-base probe."""
    serial: str
    part_number: str
    shanks: tuple[int, ...]
    """0-based shanks with recorded channels."""
    shank_count: int
    """Shanks that the probe has, by part number; 1 when unknown."""
    description: str = ""
    """Words for the part number, e.g. "Neuropixels 2.0 4-shank"."""
    enabled: bool = True
    contacts: tuple[RecordedContact, ...] = ()  # the electrodes recorded from; () when unknown


class SortingStatus(StrEnum):
    """What became of a sorting."""

    OK = "ok"
    PARTIAL = "partial"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Sorting:
    """One sorted asset of a recording."""

    asset: Asset
    sorter: str | None
    status: SortingStatus
    reason: str
    """Why it is not ok, or ""."""
    streams: tuple[SortedStream, ...]
    copy_of: str = ""
    """Name of the sorting that is to be used instead: a better capture of the same computation."""


class Role(StrEnum):
    """What a recording is for."""

    MAIN = "main"
    SURFACE = "surface"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Recording:
    """One ephys recording with its raw asset and every sorting."""

    name: str
    """The raw asset's name; the manifest's recording id."""
    start: str
    """`YYYY-MM-DD HH:MM:SS` local time of the lab, "" when unknown."""
    raw: Asset | None
    role: Role
    role_reason: str
    surface: str | None
    """Name of the recording that looks like this one's surface recording."""
    surface_reason: str
    probes: tuple[Probe, ...]
    sortings: tuple[Sorting, ...]
    """Newest last. Never picked silently when there are several usable ones."""
    duration_s: float | None = None
    streams: tuple[str, ...] = ()
    """Full raw stream names: `Record Node 104#Neuropix-PXI-100.ProbeA-AP`."""
    targets: tuple[Target, ...] = ()
    problems: tuple[Problem, ...] = ()
    blocks: int | None = None
    """Experiments of Open Ephys in it: each start of the acquisition makes one. None when unknown."""
    session_file: str = ""
    """The file that targets, length and notes were read from; "" when there is none."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """The geometry of an OME-Zarr image: what turns voxels into anatomical micrometres."""

    scale_level0_um_xyz: tuple[float, float, float]
    directions_xyz: tuple[str, str, str]
    """Letter that the index of x, y, z increases towards, one of L R P A S I."""
    shape_level0_zyx: tuple[int, int, int]
    levels: int
    assumed: str = ""
    """What was assumed because no metadata said so; "" when all was read."""


@dataclass(frozen=True, slots=True)
class ImageChannel:
    """One fused channel of a stitched brain."""

    name: str
    path: str
    """Path of the zarr inside the asset."""
    frame: ImageFrame | None


@dataclass(frozen=True, slots=True)
class Stitched:
    """A stitched SmartSPIM asset and what of it the converter needs."""

    asset: Asset
    channels: tuple[ImageChannel, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedState:
    """A state file kept on the platform."""

    name: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything a platform has of a mouse, recordings oldest first. Each gap is a problem, never an exception."""

    id: str
    platform: str
    recordings: tuple[Recording, ...] = ()
    stitched: tuple[Stitched, ...] = ()
    states: tuple[SavedState, ...] = ()
    problems: tuple[Problem, ...] = ()
    requests: int = 0
    gathered: datetime | None = None
    platform_id: str = ""
    """Which platform of that name, e.g. which library of this machine; "" when that is not known."""
    converted: tuple[Asset, ...] = ()
    """Results of earlier conversions that were found among its assets, oldest first."""

    def recording(self, name: str) -> Recording | None:
        """The recording of this exact name."""
        return next((r for r in self.recordings if r.name == name), None)

    def sorting(self, name: str) -> tuple[Recording, Sorting] | None:
        """The recording and sorting of this exact sorted asset name."""
        every = ((recording, sorting) for recording in self.recordings for sorting in recording.sortings)
        return next((pair for pair in every if pair[1].asset.name == name), None)


# --- the mapping ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    """One row of a mapping: this track belongs to this shank of this stream of this sorting."""

    track: str
    recording: str = ""
    sorting: str = ""
    stream: str = ""
    shank: int | None = None
    """0-based physical shank of the stream's probe; None for a stream of one shank."""
    surface: str = ""
    include: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stream or a layer that a person left out on purpose."""

    name: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """The rows of one mouse and what was left out on purpose."""

    subject: str
    assignments: tuple[Assignment, ...] = ()
    skipped_streams: tuple[LeftOut, ...] = ()
    """`name` is `<sorting>/<stream>` or `<sorting>/<stream>/<shank>`."""
    ignored_layers: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposal for one track, with reasons; no assignment when nothing can be said. It never decides."""

    track: str
    assignment: Assignment | None
    score: float
    """0 to 1."""
    certain: bool
    """True only when every token agrees, geometry does not contradict, and nothing else fits as well."""
    reasons: tuple[str, ...]
    margin: float | None = None
    """How much worse all fit if the track goes elsewhere, as logarithm of odds; None when only its name was read."""
    runner_up: str = ""  # the probe it would go to then, in words; "" for none of them
    evidence: dict[str, float] = field(default_factory=dict)  # what each kind of geometry says for (> 0) or against
