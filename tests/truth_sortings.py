"""How the shanks of a synthetic mouse's probe may be sorted and counted otherwise than they stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from truth_mice import Insertion, Mouse

from core.models import SortedStream


def with_stream(mouse: Mouse, probe: Insertion, stream: SortedStream, *, settings: bool) -> Mouse:
    """The probe's stream as another sorting has it; without settings.xml nothing is known of the recording's probes."""
    recordings = []
    for each in mouse.subject.recordings:
        if mouse.rows[probe.rows[0]].sorted_recording in {sorting.asset.name for sorting in each.sortings}:
            sortings = tuple(
                replace(one, streams=tuple(stream if s.token == stream.token else s for s in one.streams))
                for one in each.sortings
            )
            each = replace(each, sortings=sortings, probes=each.probes if settings else ())
        recordings.append(each)
    return replace(mouse, subject=replace(mouse.subject, recordings=tuple(recordings)))


def counted(mouse: Mouse, rng: np.random.Generator) -> tuple[Mouse, Insertion] | None:
    """A probe recorded in part whose rows name the sorter's count of its shanks."""
    found = [
        e for e in mouse.insertions if e.kind == "four" and len(e.rows) > 1 and e.shanks != tuple(range(len(e.rows)))
    ]
    if not found:
        return None
    probe, rows = found[int(rng.integers(len(found)))], list(mouse.rows)
    for count, row in enumerate(probe.rows):
        rows[row] = replace(rows[row], histology_shank=count, ephys_shank=count)
    return replace(mouse, rows=tuple(rows)), probe
