"""What a manifest row is: its columns as one table, and how the rows of a mapping become manifest rows and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from core.asset_names import recording_id, split_stream
from core.models import Assignment, Mapping, State, Subject


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the manifest. `alias` is its older name, still written and read ("" when there is none)."""

    name: str
    required: bool
    alias: str
    help: str


COLUMNS: tuple[Column, ...] = (
    Column("mouseid", True, "", "The mouse; one per manifest, and the name of the result's folder."),
    Column("sorted_recording", True, "", "Name of the sorted asset; the text before `_sorted` is the recording."),
    Column("surface_finding", False, "", "Name of the raw asset of a separate surface recording, or blank."),
    Column("probe_file", True, "", "File name of the Neuroglancer state without `.json`."),
    Column("histology_track_id", True, "probe_id", "Exact name of the annotation layer."),
    Column("logical_probe", False, "", "The probe; equals the stream, except for one stream of a split probe."),
    Column("ephys_collection", True, "probe_name", "Exact name of the stream in the sorting."),
    Column("histology_shank", False, "probe_shank", "0-based shank of the probe, or blank with one shank."),
    Column(
        "ephys_shank",
        False,
        "probe_shank",
        "The same shank; 0 for one stream of a split probe, or blank with one shank.",
    ),
    Column("registration_asset", False, "", "Per brain: folder of a replacement registration, or blank."),
    Column("template_to_ccf_asset", False, "", "Per brain: folder of a replacement template transform, or blank."),
    Column("annotation_format", False, "", "Always `json`."),
)
"""All columns, in the order in which the canonical ones are written."""

REQUIRED: tuple[str, ...] = tuple(column.name for column in COLUMNS if column.required)
SHANKS: tuple[str, ...] = ("histology_shank", "ephys_shank")
PER_BRAIN: tuple[str, ...] = ("registration_asset", "template_to_ccf_asset")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One row: this track is this shank of this stream. Blank text is "", a blank shank is None."""

    mouseid: str
    sorted_recording: str
    probe_file: str
    histology_track_id: str
    ephys_collection: str
    logical_probe: str = ""
    histology_shank: int | None = None
    """0-based shank of the physical probe."""
    ephys_shank: int | None = None
    """The same shank, whatever number a sorter gives it; 0 for a stream of a split probe."""
    surface_finding: str = ""
    annotation_format: str = "json"
    registration_asset: str = ""
    template_to_ccf_asset: str = ""

    @property
    def recording(self) -> str:
        """Name of the recording as the converter derives it from the sorted asset's name."""
        return recording_id(self.sorted_recording)

    def cell(self, column: str) -> str:
        """The row's text in a column of `COLUMNS`; shanks as plain whole numbers."""
        value = getattr(self, column)
        return "" if value is None else str(value)


def sorting_streams(subject: Subject | None) -> dict[str, tuple[str, ...]]:
    """Streams of every sorting of the subject, by the sorted asset's name."""
    if subject is None:
        return {}
    return {
        sorting.asset.name: tuple(stream.token for stream in sorting.streams)
        for recording in subject.recordings
        for sorting in recording.sortings
    }


def rows_from_mapping(mapping: Mapping, subject: Subject | None, state: State) -> tuple[ManifestRow, ...]:
    """The manifest rows of a mapping's included assignments, in order.

    Args:
        mapping: What a person decided.
        subject: Says which streams are shanks of a split probe; without it only the mapping's own streams do.
        state: Its stem becomes `probe_file`.
    """
    known = sorting_streams(subject)
    used: dict[str, list[str]] = {}
    included = [assignment for assignment in mapping.assignments if assignment.include]
    for assignment in included:
        used.setdefault(assignment.sorting, []).append(assignment.stream)
    return tuple(
        _row(mapping.subject, assignment, known.get(assignment.sorting) or used[assignment.sorting], state.stem)
        for assignment in included
    )


def _row(mouse: str, assignment: Assignment, streams: Collection[str], stem: str) -> ManifestRow:
    logical_probe, histology_shank, ephys_shank = shank_columns(assignment.stream, assignment.shank, streams)
    return ManifestRow(
        mouseid=mouse,
        sorted_recording=assignment.sorting,
        probe_file=stem,
        histology_track_id=assignment.track,
        ephys_collection=assignment.stream,
        logical_probe=logical_probe,
        histology_shank=histology_shank,
        ephys_shank=ephys_shank,
        surface_finding=assignment.surface,
    )


def mapping_from_rows(rows: Sequence[ManifestRow], subject: Subject | None, state: State | None) -> Mapping:
    """The mapping that a manifest says: one assignment per row, in order.

    What a manifest cannot hold (notes, skipped streams, ignored layers, rows left out) is empty.

    Args:
        rows: The manifest.
        subject: Says which recording a sorted asset belongs to; without it the asset's name does.
        state: Says the mouse when no row does.
    """
    known = sorting_streams(subject)
    recordings = {
        sorting.asset.name: recording.name
        for recording in (subject.recordings if subject else ())
        for sorting in recording.sortings
    }
    mouse = _first(row.mouseid for row in rows) or (state.subject if state else None) or ""
    return Mapping(
        subject=mouse,
        assignments=tuple(
            Assignment(
                track=row.histology_track_id,
                recording=recordings.get(row.sorted_recording, row.recording),
                sorting=row.sorted_recording,
                stream=row.ephys_collection,
                shank=None if _is_split(row, known.get(row.sorted_recording, ())) else row.ephys_shank,
                surface=row.surface_finding,
            )
            for row in rows
        ),
    )


def shank_columns(stream: str, shank: int | None, streams: Collection[str]) -> tuple[str, int | None, int | None]:
    """`logical_probe`, `histology_shank` and `ephys_shank` of a stream's shank.

    A stream of a split quad-base probe (`45883-3` beside `45883-1`) records one shank, its own number 0; which shank
    of the probe it is stands in its name.

    Args:
        stream: The stream's exact name.
        shank: 0-based physical shank, None for a stream of one shank.
        streams: All streams of the same sorting.
    """
    split = split_stream(stream, streams)
    if split is None:
        return stream, shank, shank
    probe, position = split
    return probe, position - 1, shank or 0


def _is_split(row: ManifestRow, streams: Collection[str]) -> bool:
    if row.ephys_shank != 0:
        return False
    if split_stream(row.ephys_collection, streams) is not None:
        return True
    shank = row.histology_shank
    return shank is not None and row.ephys_collection == f"{row.logical_probe}-{shank + 1}"


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
