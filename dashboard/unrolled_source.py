"""From what a row's picture is drawn: recording, sorting and shanks as far as they are chosen, and what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.models import Assignment, Recording, Sorting
from core.same_probe import ShankPlace, shank_places
from core.subjects.units import StreamUnits
from core.tissue import Tissue
from core.unrolled import Unrolled, unroll
from dashboard.state import Opened

Stream = tuple[Sorting, str]
"""A stream of a sorting by its token."""
UnitsByStream = Mapping[tuple[str, str], StreamUnits]
"""By `key_of` a stream."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a row is mapped to, as far as that exists; without a sorting its probe is known by settings.xml."""

    recording: Recording | None = None
    sorting: Sorting | None = None
    places: tuple[ShankPlace, ...] = ()
    """The shanks of its probe."""

    @property
    def streams(self) -> list[Stream]:
        """Whose units belong into the picture."""
        return [] if self.sorting is None else [(self.sorting, place.stream) for place in self.places]


def source_of(opened: Opened, row: Assignment) -> Source:
    """Where a row's contacts and units are taken from. What it leaves open is not chosen for it."""
    recording = opened.subject.recording(row.recording) if opened.subject else None
    if recording is None:
        return Source()
    sorting = next((each for each in recording.sortings if each.asset.name == row.sorting), None)
    return Source(recording, sorting, shank_places(recording, sorting, row.stream) if row.stream else ())


def key_of(stream: Stream) -> tuple[str, str]:
    """(sorted asset's id, stream), by which units are kept."""
    return stream[0].asset.id, stream[1]


def unroll_row(
    opened: Opened,
    row: Assignment,
    rows: Sequence[Assignment],
    source: Source,
    units: UnitsByStream,
    *,
    tissue: Tissue | None,
    scale: float,
) -> Unrolled | None:
    """A row's track and those of its probe's other shanks against what was recorded; None when it is no line."""
    return unroll(
        row,
        rows,
        opened.state,
        opened.frame,
        recording=source.recording,
        sorting=source.sorting,
        units={each[1]: units[key_of(each)] for each in source.streams if key_of(each) in units},
        scale=scale,
        atlas=opened.atlas,
        tissue=tissue,
    )
