"""Everything the checks look up, indexed once per check run."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypedDict

from core.checks.thresholds import Thresholds
from core.manifest.rows import ManifestRow
from core.models import AnnotationLayer, ImageFrame, Mapping, Recording, Sorting, State, Stitched, Subject
from core.subjects.shown_image import image_frame_of

MOST_COMPARED = 100
"""Names that are compared for a hint."""


class RowPlace(TypedDict):
    """Where a row's problem is; keyword arguments of `core.rules.problem`."""

    row: int
    track: str
    recording: str


@dataclass(frozen=True, slots=True, eq=False)
class CheckIndex:
    """A manifest, its state and its subject, with look-ups by exact name."""

    rows: tuple[ManifestRow, ...]
    state: State
    subject: Subject | None
    mapping: Mapping | None
    layers: dict[str, list[AnnotationLayer]]
    recordings: dict[str, Recording]
    sortings: dict[str, list[tuple[Recording, Sorting]]]
    by_sorting: dict[str, list[int]]
    """Row numbers by sorted asset."""
    by_recording: dict[str, list[int]]
    """Row numbers by the recording's name as the converter derives it."""
    by_track: dict[str, list[int]]
    """Row numbers by layer name."""
    stitched: tuple[Stitched, ...]
    """Stitched assets that the state's images name."""
    limits: Thresholds
    frame: ImageFrame | None
    """What the conversion is placed by: the geometry of the state's first image, when it is known."""

    def at(self, number: int) -> RowPlace:
        """Where the row is, for a problem."""
        row = self.rows[number]
        return {"row": number, "track": row.histology_track_id, "recording": row.recording}

    def chosen(self, name: str) -> tuple[Recording, Sorting] | None:
        """The recording and sorting of a sorted asset's name, when there is exactly one."""
        found = self.sortings.get(name, ())
        return found[0] if len(found) == 1 else None


def build_index(
    rows: Sequence[ManifestRow],
    state: State,
    subject: Subject | None,
    mapping: Mapping | None,
    limits: Thresholds,
) -> CheckIndex:
    """Index a check's inputs."""
    layers: dict[str, list[AnnotationLayer]] = {}
    for layer in state.layers:
        layers.setdefault(layer.name, []).append(layer)
    recordings = {recording.name: recording for recording in subject.recordings} if subject else {}
    sortings: dict[str, list[tuple[Recording, Sorting]]] = {}
    for recording in recordings.values():
        for sorting in recording.sortings:
            sortings.setdefault(sorting.asset.name, []).append((recording, sorting))
    by_sorting: dict[str, list[int]] = {}
    by_recording: dict[str, list[int]] = {}
    by_track: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        by_sorting.setdefault(row.sorted_recording, []).append(number)
        by_recording.setdefault(row.recording, []).append(number)
        by_track.setdefault(row.histology_track_id, []).append(number)
    assets = {image.asset for image in state.images if image.asset}
    stitched = tuple(each for each in subject.stitched if each.asset.name in assets) if subject else ()
    return CheckIndex(
        rows=tuple(rows),
        state=state,
        subject=subject,
        mapping=mapping,
        layers=layers,
        recordings=recordings,
        sortings=sortings,
        by_sorting=by_sorting,
        by_recording=by_recording,
        by_track=by_track,
        stitched=stitched,
        limits=limits,
        frame=image_frame_of(state, subject),
    )


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name most like `name`, for a hint; None when none is, or when there are too many to compare."""
    if len(known) > MOST_COMPARED:
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None)
