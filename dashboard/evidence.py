"""What a mapping rests on, probe by probe, as pictures and sentences for its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from core.brain_images import BrainProjections
from core.models import Assignment
from core.same_probe import place_of
from core.tissue import Tissue
from core.unrolled import drawn_scale
from core.unrolled_words import describe
from dashboard.edits import Row
from dashboard.saved_unrolled import UnrolledPicture
from dashboard.state import Opened
from dashboard.unrolled_columns import columns_of
from dashboard.unrolled_layout import lay_out, lay_out_plane
from dashboard.unrolled_source import UnitsByStream, key_of, source_of, unroll_row


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What had been read for a mapping's pictures when it was decided."""

    brain: BrainProjections | None = None
    """Behind the tracks."""
    tissue: Tissue | None = None
    units: UnitsByStream = field(default_factory=dict)


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
    source = source_of(opened, row)
    recording = source.recording
    if recording is None:
        return None, set()
    unrolled = unroll_row(opened, row, rows, source, evidence.units, tissue=evidence.tissue, scale=scale)
    streams = {place.stream for place in source.places}
    if unrolled is None or place_of(row, source.places) is None:
        return None, streams
    unread = dict.fromkeys(each[1] for each in source.streams if key_of(each) not in evidence.units)
    words = describe(unrolled) + ((f"Not looked at: the units of {', '.join(unread)}.",) if unread else ())
    return UnrolledPicture(
        f"{row.stream} of {recording.start[:16] or recording.name}",
        lay_out(columns_of(unrolled), opened.colors),
        None if unrolled.plane is None else lay_out_plane(unrolled.plane, unrolled, opened.colors),
        words,
    ), streams
