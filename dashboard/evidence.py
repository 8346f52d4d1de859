"""What a mapping rests on, probe by probe, as pictures and sentences for its report."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from core.brain_images import BrainProjections
from core.errors import TrackmapperError, UnavailableError
from core.models import Assignment
from core.same_probe import place_of
from core.subjects.units import StreamUnits
from core.tissue import Tissue
from core.unrolled import drawn_scale
from core.unrolled_words import describe
from dashboard.edits import Row
from dashboard.saved_unrolled import UnrolledPicture
from dashboard.state import Opened
from dashboard.unrolled_columns import columns_of
from dashboard.unrolled_layout import lay_out, lay_out_plane
from dashboard.unrolled_source import Stream, UnitsByStream, key_of, source_of, unroll_row

_log = logging.getLogger(__name__)
PATIENCE_S = 60.0
"""A launch waits no longer than this for what only its report shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What had been read for a mapping's pictures when it was decided."""

    brain: BrainProjections | None = None
    """Behind the tracks."""
    tissue: Tissue | None = None
    units: UnitsByStream = field(default_factory=dict)

    @property
    def unseen(self) -> tuple[str, ...]:
        """What of the brain had not been read."""
        brain = () if self.brain is not None else ("the brain behind the tracks",)
        return brain if self.tissue is not None else (*brain, "where its image shows tissue")


ReadUnits = Callable[[Stream], StreamUnits]
"""Reads the units of one stream.

Raises:
    TrackmapperError: they cannot be read now.
"""


def units_of(opened: Opened, rows: Sequence[Row], read: ReadUnits, *, side_by_side: int = 8) -> UnitsByStream:
    """The units of every stream that the included rows map, as far as they can be read in a minute.

    Blocks. What is left out is told in the report. Where the platform cannot be reached, nothing more is asked.
    """
    sources = (source_of(opened, row.assignment) for row in rows if row.assignment.include)
    streams = {key_of(stream): stream for source in sources for stream in source.streams}
    end_s, gone = time.monotonic() + PATIENCE_S, threading.Event()

    def read_one(stream: Stream) -> StreamUnits | None:
        if gone.is_set() or time.monotonic() > end_s:
            return None
        try:
            return read(stream)
        except TrackmapperError as error:
            _log.warning("The units of %s of %s are not in the report: %s", stream[1], stream[0].asset.name, error)
            if isinstance(error, UnavailableError):
                gone.set()
            return None

    with ThreadPoolExecutor(side_by_side, thread_name_prefix="units") as threads:
        found = zip(streams, threads.map(read_one, streams.values()), strict=True)
        return {key: units for key, units in found if units is not None}


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
