"""Checks of the manifest by itself: cells, names, uniqueness, one mouse, and what survives the converter's reading."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from functools import lru_cache

from core.checks.index import CheckIndex
from core.manifest import format_problem, round_trip_problems
from core.manifest.rows import PER_BRAIN, REQUIRED, SHANKS, ManifestRow
from core.models import Problem, Severity
from core.rules import problem

MAX_SHANK = 3
"""0-based number of the last shank that a Neuropixels probe can have."""
MAX_NAME_BYTES = 200
"""A name becomes part of a file name, which has at most 255 bytes."""
ASSET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
"""Names that are safe as asset name, mount and folder; `..` is refused besides."""
BLANK = {
    "mouseid": ("No mouse is named", "Write the mouse's id."),
    "sorted_recording": ("No sorting is chosen", "Choose a sorting of the recording."),
    "probe_file": ("No state is named", "Write the state's file name without .json."),
    "histology_track_id": ("No track is chosen", "Choose a track."),
    "ephys_collection": ("No stream is chosen", "Choose a stream of the sorting."),
}
"""Words and cure for each required cell that is blank."""


def check_rows(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of the manifest's cells."""
    if not index.rows:
        yield problem("M1", "The manifest has no rows.")
        return
    for number, row in enumerate(index.rows):
        yield from _cells(index, number, row)
    yield from _mice(index)
    yield from _one_state(index)
    yield from _repeats(index)
    yield from _agreement(index)
    yield from round_trip_problems(index.rows)


def is_safe_asset_name(name: str) -> bool:
    """Whether a name can be an asset's name, a mount and a folder on every platform."""
    return ".." not in name and ASSET_NAME.fullmatch(name) is not None


def _cells(index: CheckIndex, number: int, row: ManifestRow) -> Iterator[Problem]:
    for column in REQUIRED:
        if not getattr(row, column).strip():
            what, cure = BLANK[column]
            yield problem("M3", f"{what} ({column} is blank).", cure=cure, column=column, **index.at(number))
    wrong_format = format_problem(number, row)
    if wrong_format:
        yield wrong_format
    for column in SHANKS:
        shank = getattr(row, column)
        if shank is not None and not 0 <= shank <= MAX_SHANK:
            yield problem(
                "M4",
                f"{column} is {shank}; shanks are numbered 0 to {MAX_SHANK}.",
                column=column,
                measured=shank,
                threshold=MAX_SHANK,
                **index.at(number),
            )
    if (row.histology_shank is None) != (row.ephys_shank is None):
        blank = SHANKS[0] if row.histology_shank is None else SHANKS[1]
        yield problem(
            "M16",
            f"{blank} is blank, the other shank column is not.",
            severity=Severity.ERROR,
            column=blank,
            **index.at(number),
        )
    if row.ephys_collection.endswith(("-AP", "-LFP")):
        yield problem(
            "M13",
            f"{row.ephys_collection} is the name of a band; the stream is {row.ephys_collection.rpartition('-')[0]}.",
            column="ephys_collection",
            measured=row.ephys_collection,
            **index.at(number),
        )
    for column in ("histology_track_id", "ephys_collection", "logical_probe"):
        text = getattr(row, column)
        fault = _text_fault(text)
        if fault:
            yield problem("M9", f"{column} {text!r} {fault}.", column=column, **index.at(number))
    for column in ("mouseid", "sorted_recording", "surface_finding"):
        name = getattr(row, column)
        if name.strip() and not is_safe_asset_name(name):
            yield problem(
                "M9",
                f"{column} {name!r} is not a name that every platform takes.",
                cure="Names begin with a letter or digit and hold at most 100 letters, digits, dots, - and _.",
                column=column,
                **index.at(number),
            )


@lru_cache(maxsize=4096)
def _text_fault(text: str) -> str:
    """What makes a text unfit for a file name; "" when nothing does."""
    if text != text.strip():
        return "begins or ends with a space"
    if "/" in text or "\\" in text or text in {".", ".."}:
        return "cannot be part of a file name"
    if text and not text.isprintable():
        return "holds characters that cannot be seen"
    if len(text) * 4 > MAX_NAME_BYTES and len(text.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""


def _mice(index: CheckIndex) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, row in enumerate(index.rows):
        if row.mouseid.strip():
            first.setdefault(row.mouseid, number)
    if len(first) > 1:
        yield problem("M8", f"The manifest names the mice {', '.join(sorted(first))}.", column="mouseid")
    owners = {"Neuroglancer state": index.state.subject, "looked-up mouse": index.subject.id if index.subject else None}
    for what, owner in owners.items():
        for mouse, number in first.items():
            if owner and mouse != owner:
                yield problem(
                    "M22",
                    f"The {what} is {owner}, the manifest says {mouse}.",
                    column="mouseid",
                    measured=mouse,
                    threshold=owner,
                    **index.at(number),
                )


def _one_state(index: CheckIndex) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, row in enumerate(index.rows):
        if row.probe_file.strip():
            first.setdefault(row.probe_file, number)
    for stem, number in first.items():
        if len(first) > 1:
            yield problem(
                "M17",
                f"The manifest names {len(first)} states, here {stem!r}; one state is sent.",
                severity=Severity.ERROR,
                column="probe_file",
                **index.at(number),
            )
        elif stem != index.state.stem:
            yield problem(
                "M17",
                f"probe_file is {stem!r}, the state given is {index.state.stem!r}.",
                severity=Severity.CONFIRM,
                cure="Confirm that the manifest was made for this state, or give the state it names.",
                column="probe_file",
                measured=stem,
                threshold=index.state.stem,
                **index.at(number),
            )


def _repeats(index: CheckIndex) -> Iterator[Problem]:
    """Keys that must be unique: one file of the result each."""
    seen: dict[tuple[str, Hashable], int] = {}

    def repeats(rule: str, key: Hashable, number: int) -> int | None:
        """The number of an earlier row with this key."""
        earlier = seen.setdefault((rule, key), number)
        return earlier if earlier != number else None

    for number, row in enumerate(index.rows):
        if not row.histology_track_id or not row.ephys_collection:
            continue  # a blank cell is its own problem
        stream = f"{row.ephys_collection} of {row.recording}"
        keys = (
            ("M10", (row.mouseid, row.histology_track_id, row.histology_shank), "The track"),
            ("M11", (row.recording, row.ephys_collection, row.histology_shank), f"The same physical shank of {stream}"),
            ("M12", (row.recording, row.ephys_collection, row.ephys_shank), f"The same recorded shank of {stream}"),
        )
        found = set()
        for rule, key, what in keys:
            earlier = repeats(rule, key, number)
            if earlier is None or (rule == "M12" and "M11" in found):
                continue
            found.add(rule)
            column = {"M10": "histology_track_id", "M11": "histology_shank", "M12": "ephys_shank"}[rule]
            yield problem(rule, f"{what} is also in row {earlier + 1}.", column=column, **index.at(number))
        earlier = repeats("R2", row.histology_track_id, number)
        if earlier is not None and "M10" not in found:
            yield problem(
                "R2",
                f"The track is also in row {earlier + 1}, for another shank.",
                severity=Severity.ERROR,
                cure="One track is one shank of one recording; draw or choose another track for this row.",
                column="histology_track_id",
                **index.at(number),
            )


def _agreement(index: CheckIndex) -> Iterator[Problem]:
    """Columns that must be equal within a stream, a recording or the whole manifest."""
    logical: dict[Hashable, str] = {}
    surface: dict[Hashable, str] = {}
    for number, row in enumerate(index.rows):
        probe = row.logical_probe or row.ephys_collection
        first = logical.setdefault((row.recording, row.ephys_collection), probe)
        if first != probe:
            yield problem(
                "M14",
                f"logical_probe is {probe!r} here and {first!r} in another row of {row.ephys_collection}.",
                column="logical_probe",
                **index.at(number),
            )
        first = surface.setdefault(row.recording, row.surface_finding)
        if first != row.surface_finding:
            yield problem(
                "M15",
                f"surface_finding is {row.surface_finding or 'blank'} here and {first or 'blank'} in another row.",
                column="surface_finding",
                **index.at(number),
            )
    for column in PER_BRAIN:
        values = {row.cell(column) for row in index.rows}
        if len(values) > 1:
            yield problem("M20", f"{column} differs between rows: {sorted(values)}.", column=column)
        for value in sorted(values - {""}):
            if all(map(is_safe_asset_name, value.split("/"))):
                told = f"{column} is {value}; a conversion in image space does not use it, and it was not looked up."
                yield problem("M23", told, column=column, measured=value)
            else:
                told = f"{column} {value!r} is no path of plain names, such as asset/folder."
                yield problem("M9", told, cure="Write the asset's name, a slash and the folder in it.", column=column)
    if any(row.template_to_ccf_asset and not row.registration_asset for row in index.rows):
        yield problem("M20", "template_to_ccf_asset is set without registration_asset.", column=PER_BRAIN[1])
