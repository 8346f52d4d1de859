"""The door to the manifest CSV: written in canonical and older columns, read, checked by reading it back, compared."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ManifestError
from core.manifest.rows import (
    COLUMNS,
    PER_BRAIN,
    SHANKS,
    ManifestRow,
)
from core.models import Problem, Severity
from core.rules import problem

_CANONICAL = tuple(column.name for column in COLUMNS if column.name not in (*PER_BRAIN, "annotation_format"))
_LEGACY = ("probe_id", "probe_name", "probe_shank", "annotation_format")
_ODD_NUMBER = re.compile(r"(?!(?:0|[1-9]\d{0,17})$)[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)
"""A number in another form than the plain one that a reader of numbers gives back."""


# --- writing ----------------------------------------------------------------------------------


def write_csv(rows: Sequence[ManifestRow]) -> bytes:
    """The manifest as the converter reads it: canonical columns, then the older ones. UTF-8, LF line ends.

    Raises:
        ManifestError: a value cannot be written as UTF-8.
    """
    optional = [name for name in PER_BRAIN if any(row.cell(name) for row in rows)]
    names = [*_CANONICAL, *optional]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *_LEGACY])
    for row in rows:
        shank = row.cell("histology_shank") if row.histology_shank == row.ephys_shank else ""
        writer.writerow(
            [*(row.cell(name) for name in names), row.histology_track_id, row.ephys_collection, shank, "json"]
        )
    try:
        return text.getvalue().encode("utf-8")
    except UnicodeEncodeError as error:
        raise ManifestError(
            "A name holds a broken character that no file can keep.",
            where=repr(error.object[max(0, error.start - 20) : error.end + 20]),
            cure="Rename it in its source.",
        ) from error


# --- reading back as the converter does ---------------------------------------------------------


def round_trip_problems(rows: Sequence[ManifestRow]) -> tuple[Problem, ...]:
    """Every value that the converter would see differently, found by reading the written CSV as it does."""
    if not rows:
        return ()
    import pandas as pd  # here, since the worker and every conversion would wait a second for it at their start

    try:
        table = pd.read_csv(io.BytesIO(write_csv(rows)))
    except (ManifestError, ValueError) as error:  # pandas raises subclasses of ValueError for text it cannot read
        return (problem("M7", f"The converter could not read the manifest: {error}"),)
    if len(table) != len(rows):
        return (
            problem(
                "M7",
                f"The converter would read {len(table)} rows of {len(rows)}.",
                measured=len(table),
                threshold=len(rows),
            ),
        )
    problems = []
    for column in COLUMNS:
        if column.name not in table.columns or column.name == "annotation_format":
            continue
        texts = [row.cell(column.name) for row in rows]
        values = table[column.name].tolist()
        problems += _fragile(rows, column.name, texts, values)
        if values == texts:  # the common case, without a look at every cell
            continue
        for number, (row, wanted, value) in enumerate(zip(rows, texts, values, strict=True)):
            if column.name in SHANKS and isinstance(value, float) and value.is_integer():
                value = int(value)
            seen = "" if pd.isna(value) else str(value)
            if seen != wanted:
                problems.append(
                    problem(
                        "M7",
                        f"The converter would read {column.name} {wanted!r} as {seen!r}.",
                        row=number,
                        track=row.histology_track_id,
                        recording=row.recording,
                        column=column.name,
                        measured=seen,
                        threshold=wanted,
                    )
                )
    return tuple(problems)


def _fragile(rows: Sequence[ManifestRow], column: str, texts: Sequence[str], values: Sequence[object]) -> list[Problem]:
    """Numbers written in an unusual way that survive only because another row of their column holds a letter."""
    return [
        problem(
            "M7",
            f"{column} {text!r} stays as it is only while other rows hold letters there.",
            severity=Severity.WARNING,
            row=number,
            track=rows[number].histology_track_id,
            recording=rows[number].recording,
            column=column,
            measured=text,
        )
        for number, (text, value) in enumerate(zip(texts, values, strict=True))
        if value == text and _ODD_NUMBER.fullmatch(text) is not None
    ]


# --- comparing two manifests ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RowChange:
    """What changed for one track between two manifests."""

    kind: str
    """"added", "removed" or "changed"."""
    track: str
    recording: str
    columns: tuple[tuple[str, str, str], ...] = ()
    """(column, before, after) of each changed cell."""


def diff(before: Sequence[ManifestRow], after: Sequence[ManifestRow]) -> tuple[RowChange, ...]:
    """What changed from one manifest to another, by track, in the order of `after`; removed tracks last."""
    old, new = _by_track(before), _by_track(after)
    changes = []
    for key, row in new.items():
        was = old.get(key)
        if was is None:
            changes.append(RowChange("added", row.histology_track_id, row.recording))
        elif was != row:
            cells = tuple(
                (column.name, was.cell(column.name), row.cell(column.name))
                for column in COLUMNS
                if was.cell(column.name) != row.cell(column.name)
            )
            changes.append(RowChange("changed", row.histology_track_id, row.recording, cells))
    changes += [
        RowChange("removed", row.histology_track_id, row.recording) for key, row in old.items() if key not in new
    ]
    return tuple(changes)


def _by_track(rows: Sequence[ManifestRow]) -> dict[tuple[str, int], ManifestRow]:
    """Rows by track and how often the track has occurred before: a track may wrongly have several rows."""
    seen: dict[str, int] = {}
    keyed = {}
    for row in rows:
        count = seen.get(row.histology_track_id, 0)
        seen[row.histology_track_id] = count + 1
        keyed[row.histology_track_id, count] = row
    return keyed
