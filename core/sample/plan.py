"""What the sample mouse went through: which probes were put where, on which day, and what became of the sortings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

SUBJECT = "700001"
STITCHED = f"SmartSPIM_{SUBJECT}_2025-05-06_14-22-10_stitched_2025-05-09_03-41-55"
SPIM = f"SmartSPIM_{SUBJECT}_2025-05-06_14-22-10"
TEMPLATE = "SmartSPIM-template_2024-05-16_11-26-14"
"""The asset that leads from the template of every SmartSPIM registration to the atlas."""
RECORD_NODE = "Record Node 104"
SHANK_PITCH_UM = 250.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the sample is.

    Args:
        units_per_stream: Sorted units per stream or sorted shank.
        points_per_track: Fewest and most points clicked along a track.
        image_levels: Pyramid levels (0 to 5) of the brain that hold voxels; all six are declared. The coarsest
            level, 5, has 57.6 um voxels; each finer one has eight times as many.
        extra_recordings: Generic recordings before the first day, two probes each, with tracks in the main state.
    """

    units_per_stream: int = 120
    points_per_track: tuple[int, int] = (22, 38)
    image_levels: tuple[int, ...] = (4, 5)
    extra_recordings: int = 0


@dataclass(frozen=True, slots=True)
class SampleState:
    """A saved state of the sample, its true mapping, and what is special about it."""

    path: Path
    manifest: Path | None
    """The true manifest CSV; None when the state cannot be converted."""
    note: str


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """Where the sample was written."""

    library: Path
    subject: str
    states: tuple[SampleState, ...]


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """A model of probe, in the words of Open Ephys."""

    part_number: str
    device: str
    headstage: str
    adcs: int
    shanks: int = 1
    lfp: bool = False
    """Records two streams, AP and LFP."""
    split: bool = False
    """Records one stream per shank."""


NP1 = ProbeKind("PRB_1_4_0480_1", "Neuropixels 1.0", "NP2_HS_30", 32, lfp=True)
NP2_SINGLE = ProbeKind("NP2003", "Neuropixels 2.0 - Single Shank", "NPM_HS_31", 24)
NP2_FOUR = ProbeKind("NP2014", "Neuropixels 2.0 - Multishank", "NPM_HS_31", 24, shanks=4)
NP2_QUAD = ProbeKind("NP2020", "Neuropixels 2.0 Quad Base", "NPM_HS_32", 24, shanks=4, split=True)


@dataclass(frozen=True, slots=True)
class Insertion:
    """A probe in the brain. Positions are um in the image box: x to the right, y to the front, z downwards."""

    probe: str
    serial: str
    kind: ProbeKind
    acronym: str
    structure: str
    entry_um_xy: tuple[float, float]
    """Where shank 0 meets the brain's surface."""
    arc_deg: float
    """Tilt towards the front, tip forward of the entry."""
    module_deg: float
    """Tilt to the right, tip right of the entry."""
    length_um: float
    """Surface to tip of shank 0."""
    shanks_along: str = "x"
    """Axis of the image box that the shanks are spread along."""
    bend_um: float = 40.0

    @property
    def tokens(self) -> tuple[str, ...]:
        """The stream tokens under which its sortings are listed."""
        if self.kind.split:
            return tuple(f"{self.probe}-{shank + 1}" for shank in range(self.kind.shanks))
        return (self.probe,)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of its Open Ephys streams."""
        return (f"{self.probe}-AP", f"{self.probe}-LFP") if self.kind.lfp else self.tokens


@dataclass(frozen=True, slots=True)
class SortingPlan:
    """A sorting of a recording."""

    name: str
    sorter: str
    version: str
    created: str
    """ISO time, UTC."""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """One recording."""

    name: str
    start: datetime
    """The lab's local time."""
    seconds: int
    insertions: tuple[Insertion, ...]
    """In the order of the recording's settings file, which need not be that of the letters."""
    sortings: tuple[SortingPlan, ...] = ()
    schema: int = 1
    """Major version of its metadata files."""
    open_ephys: str = "0.6.6"
    notes: str = ""
    surface: str = ""
    """Name of its surface recording."""
    idle_serials: tuple[str, ...] = ()
    """Probes that were plugged in and switched off."""
    first_row: int = 0
    """Lowest recorded row of electrodes; higher in surface recordings."""


_DAY_1_A = Insertion(
    "ProbeA", "19051016562", NP1, "VISp", "Primary visual area", (3050.0, 4150.0), 9.0, 7.0, 4450.0, bend_um=55.0
)
_DAY_1_B = Insertion(
    "ProbeB", "22420013411", NP2_FOUR, "MOs", "Secondary motor area", (6700.0, 9300.0), -6.0, -4.0, 2950.0
)
_DAY_2_A = Insertion(
    "ProbeA", "19051016562", NP1, "VISp", "Primary visual area", (8050.0, 4350.0), 11.0, -8.0, 3550.0, bend_um=50.0
)
_DAY_2_C = Insertion("ProbeC", "23176523191", NP2_SINGLE, "CP", "Caudoputamen", (3600.0, 7900.0), -3.0, 6.0, 2900.0)
_DAY_3_QUAD = Insertion(
    "45883", "23207205117", NP2_QUAD, "CA1", "Field CA1", (7500.0, 5900.0), 5.0, -5.0, 2800.0, "y", 30.0
)
_DAY_3_SINGLE = Insertion(
    "46110", "23176516340", NP2_SINGLE, "MD", "Mediodorsal nucleus of thalamus", (4750.0, 6300.0), 4.0, 2.0, 2950.0
)
_DAY_4_A = Insertion("ProbeA", "19051016562", NP1, "RSP", "Retrosplenial area", (6150.0, 3300.0), 12.0, -3.0, 3000.0)


def recordings(sizes: Sizes) -> tuple[RecordingPlan, ...]:
    """Every recording of the sample mouse, oldest first."""
    surface = f"ecephys_{SUBJECT}_2025-03-12_11-52-31"
    day_1 = f"ecephys_{SUBJECT}_2025-03-12_10-14-07"
    day_2 = f"ecephys_{SUBJECT}_2025-03-13_13-05-44"
    day_3 = f"{SUBJECT}_2025-03-14_09-33-20"
    day_4 = f"ecephys_{SUBJECT}_2025-03-15_10-48-02"
    shown = (
        RecordingPlan(
            day_1,
            datetime(2025, 3, 12, 10, 14, 7),
            4512,
            (_DAY_1_B, _DAY_1_A),
            (_sorting(day_1, "2025-03-13_02-41-15"),),
            surface=surface,
        ),
        RecordingPlan(
            surface,
            datetime(2025, 3, 12, 11, 52, 31),
            266,
            (_DAY_1_B, _DAY_1_A),
            notes="Surface finding: same probes, upper contacts, agar on top",
            first_row=192,
        ),
        RecordingPlan(
            day_2,
            datetime(2025, 3, 13, 13, 5, 44),
            4388,
            (_DAY_2_A, _DAY_2_C),
            (
                _sorting(day_2, "2025-03-14_01-12-38", sorter="kilosort2_5", version="2.5"),
                _sorting(day_2, "2025-04-02_17-30-09"),
            ),
            open_ephys="1.0.0",
            idle_serials=("19051016817",),
        ),
        RecordingPlan(
            day_3,
            datetime(2025, 3, 14, 9, 33, 20),
            5027,
            (_DAY_3_SINGLE, _DAY_3_QUAD),
            (_sorting(day_3, "2025-03-15_00-26-51"),),
            schema=2,
            open_ephys="1.0.0",
        ),
        RecordingPlan(
            day_4,
            datetime(2025, 3, 15, 10, 48, 2),
            3954,
            (_DAY_4_A,),
            (_sorting(day_4, "2025-03-16_00-03-27", failed=True),),
        ),
    )
    extra = tuple(_extra_recording(number) for number in range(sizes.extra_recordings, 0, -1))
    return extra + shown


def _sorting(
    recording: str, ended: str, *, sorter: str = "kilosort4", version: str = "4.0.30", failed: bool = False
) -> SortingPlan:
    created = datetime.strptime(ended, "%Y-%m-%d_%H-%M-%S").isoformat() + "Z"
    return SortingPlan(f"{recording}_sorted_{ended}", sorter, version, created, failed)


def _extra_recording(number: int) -> RecordingPlan:
    """The `number`-th day before the first; its entries walk over the upper surface, 8 by 11 places."""
    day = date(2025, 3, 12) - timedelta(days=number)
    start = datetime(day.year, day.month, day.day, 10, 5, number % 60)
    name = f"ecephys_{SUBJECT}_{start:%Y-%m-%d_%H-%M-%S}"
    column, row = number % 8, number // 8 % 11
    left = (2900.0 + 250.0 * column, 3600.0 + 530.0 * row)
    right = (11000.0 - left[0], left[1])
    probe_a = Insertion("ProbeA", "19051016562", NP1, "VISp", "Primary visual area", left, 4.0, 3.0, 3300.0)
    probe_c = Insertion("ProbeC", "23176523191", NP2_SINGLE, "CP", "Caudoputamen", right, -2.0, -3.0, 2800.0)
    return RecordingPlan(name, start, 3600, (probe_a, probe_c), (_sorting(name, f"{day}_23-15-00"),))
