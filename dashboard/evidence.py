"""What a mapping rests on, probe by probe, as pictures and sentences for its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.brain_images import BrainProjections
from core.models import Assignment
from core.same_probe import place_of, shank_places
from core.subjects.units import StreamUnits
from core.tissue import Tissue
from core.unrolled import drawn_scale, unroll
from core.unrolled_words import describe
from dashboard.edits import Row
from dashboard.saved_unrolled import UnrolledPicture
from dashboard.state import Opened
from dashboard.unrolled_columns import columns_of
from dashboard.unrolled_layout import lay_out, lay_out_plane


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What had been read for a mapping's pictures when it was decided."""

    brain: BrainProjections | None = None
    """Behind the tracks."""
    tissue: Tissue | None = None
    units: Mapping[tuple[str, str], StreamUnits] = field(default_factory=dict)
    """By (sorted asset's id, stream)."""


def probe_pictures(opened: Opened, rows: Sequence[Row], evidence: Evidence) -> Iterator[UnrolledPicture]:
    """One picture for each probe of each recording that has a track, in the order of the rows."""
    scale, done = drawn_scale(opened.state, opened.frame) or 1.0, set[tuple[str, str]]()
    assignments = [row.assignment for row in rows if row.assignment.include]
    for row in assignments:
        if (row.sorting or row.recording, row.stream) in done or not row.stream:
            continue
        picture, streams = _picture(opened, row, assignments, evidence, scale)
        done |= {(row.sorting or row.recording, stream) for stream in {row.stream, *streams}}
        if picture is not None:
            yield picture


def _picture(
    opened: Opened, row: Assignment, rows: Sequence[Assignment], evidence: Evidence, scale: float
) -> tuple[UnrolledPicture | None, set[str]]:
    subject = opened.subject
    recording = subject.recording(row.recording) if subject else None
    if subject is None or recording is None:
        return None, set()
    found = subject.sorting(row.sorting)
    sorting = found[1] if found is not None and found[0].name == recording.name else None
    places = shank_places(recording, sorting, row.stream)
    keys = {place.stream: (sorting.asset.id, place.stream) for place in places} if sorting is not None else {}
    unrolled = unroll(
        row,
        rows,
        opened.state,
        opened.frame,
        recording=recording,
        sorting=sorting,
        units={stream: evidence.units[key] for stream, key in keys.items() if key in evidence.units},
        scale=scale,
        atlas=opened.atlas,
        tissue=evidence.tissue,
    )
    streams = {place.stream for place in places}
    if unrolled is None or place_of(row, places) is None:
        return None, streams
    unread = [stream for stream, key in keys.items() if key not in evidence.units]
    words = describe(unrolled) + ((f"Not looked at: the units of {', '.join(unread)}.",) if unread else ())
    return UnrolledPicture(
        f"{row.stream} of {recording.start[:16] or recording.name}",
        lay_out(columns_of(unrolled), opened.colors),
        None if unrolled.plane is None else lay_out_plane(unrolled.plane, unrolled, opened.colors),
        words,
    ), streams
