"""The manifest CSV: written in canonical and older columns, read with every fault named, checked by reading it back.

The converter reads the CSV with plain `pandas.read_csv`, which guesses types. This module reads the
text itself and keeps it exactly; `round_trip_problems` says what the converter would see differently.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.errors import ManifestError
from core.manifest_rows import (
    COLUMNS,
    PER_BRAIN,
    REQUIRED,
    SHANKS,
    Column,
    ManifestRow,
    mapping_from_rows,
    rows_from_mapping,
)
from core.models import Problem, Severity
from core.rules import problem

__all__ = [
    "COLUMNS",
    "Column",
    "ManifestRow",
    "ManifestTable",
    "RowChange",
    "diff",
    "format_problem",
    "mapping_from_rows",
    "read_csv",
    "round_trip_problems",
    "rows_from_mapping",
    "write_csv",
]

MAX_BYTES = 4 * 1024 * 1024
MAX_ROWS = 10_000
_CANONICAL = tuple(column.name for column in COLUMNS if column.name not in (*PER_BRAIN, "annotation_format"))
_LEGACY = ("probe_id", "probe_name", "probe_shank", "annotation_format")
_ODD_NUMBER = re.compile(r"(?!(?:0|[1-9]\d{0,17})$)[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)
"""A number in another form than the plain one that a reader of numbers gives back."""
_WHOLE = re.compile(r"(\d{1,4})(?:\.0+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManifestTable:
    """What was read from a CSV. Every line of data is a row, also when some of its cells could not be read."""

    rows: tuple[ManifestRow, ...]
    problems: tuple[Problem, ...]


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


# --- reading ----------------------------------------------------------------------------------


def read_csv(data: bytes) -> ManifestTable:
    """Read a manifest with canonical or older columns, keeping every text exactly as it stands.

    Args:
        data: The file's bytes; at most 4 MiB and 10,000 rows of UTF-8, with or without a byte-order mark.

    Returns:
        All rows, and a problem for everything that could not be read. A cell that could not be read is
        None or "" in its row.

    Raises:
        ManifestError: it is not a manifest CSV at all.
    """
    lines = _parse(data)
    header, body = lines[0], lines[1:]
    problems = _header_problems(header)
    if not body:
        problems.append(problem("M1", "The manifest has a header and no rows."))
    place = {name: header.index(name) for name in dict.fromkeys(header)}
    rows = []
    for number, cells in enumerate(body):
        row, found = _read_row(number, cells, place, len(header))
        rows.append(row)
        problems += found
    return ManifestTable(rows=tuple(rows), problems=tuple(problems))


def format_problem(number: int, row: ManifestRow) -> Problem | None:
    """The problem of a row whose annotation_format the converter does not take; None when it is fine."""
    if row.annotation_format.lower() == "json":
        return None
    said = repr(row.annotation_format) if row.annotation_format else "blank"
    return problem(
        "M6",
        f"annotation_format is {said}; only json is converted.",
        row=number,
        track=row.histology_track_id,
        recording=row.recording,
        column="annotation_format",
        measured=row.annotation_format,
        threshold="json",
    )


def _parse(data: bytes) -> list[list[str]]:
    """Non-blank lines of cells, the header first and stripped."""
    if len(data) > MAX_BYTES:
        raise ManifestError(f"The manifest has {len(data)} bytes.", cure="A manifest has at most 4 MiB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            "The manifest is not UTF-8 text.", where=f"byte {error.start}", cure="Save it as CSV with UTF-8."
        ) from error
    if "\0" in text:
        raise ManifestError("The manifest holds a NUL character.", cure="Give a CSV file, not a spreadsheet.")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = []
    try:
        for cells in reader:
            if cells:
                lines.append(cells)
            if len(lines) > MAX_ROWS + 1:
                raise ManifestError("The manifest has too many rows.", cure=f"At most {MAX_ROWS} rows are taken.")
    except csv.Error as error:
        raise ManifestError(
            f"The manifest is not a CSV: {error}.", where=f"line {reader.line_num}", cure="Check its quotes."
        ) from error
    if not lines:
        raise ManifestError("The manifest is empty.", cure="Give a CSV with a header and one row per track.")
    lines[0] = [name.strip() for name in lines[0]]
    named = {name for column in COLUMNS for name in (column.name, column.alias) if name}
    if not named & set(lines[0]):
        raise ManifestError(
            "The first line names no column of a manifest.",
            where="line 1",
            cure=f"It must name at least {', '.join(REQUIRED)}.",
        )
    return lines


def _header_problems(header: list[str]) -> list[Problem]:
    problems = []
    known = {name for column in COLUMNS for name in (column.name, column.alias) if name}
    for column in COLUMNS:
        if column.required and column.name not in header and column.alias not in header:
            problems.append(problem("M2", f"The column {column.name} is missing.", column=column.name))
    for name in dict.fromkeys(header):
        if name and name not in known:
            problems.append(problem("M19", f"The column {name!r} is ignored.", column=name))
        if name in known and header.count(name) > 1:
            problems.append(
                problem("M5", f"The column {name} stands twice.", column=name, cure="Keep only one of them.")
            )
    return problems


def _read_row(number: int, cells: list[str], place: dict[str, int], width: int) -> tuple[ManifestRow, list[Problem]]:
    problems: list[Problem] = []

    def cell(name: str) -> str | None:
        """The text under a header name, None when there is no such column."""
        at = place.get(name)
        return None if at is None else cells[at] if at < len(cells) else ""

    def text(column: Column) -> str:
        own, old = cell(column.name), cell(column.alias) if column.alias else None
        if own is not None and old is not None and own != old:
            problems.append(_disagree(number, column, own, old))
        return own if own is not None else old or ""

    def shank(column: Column) -> int | None:
        own, old = cell(column.name), cell(column.alias)
        value = _whole(own)
        legacy = _whole(old)
        for given, read, name in ((own, value, column.name), (old, legacy, column.alias)):
            if given and given.strip() and read is None:
                problems.append(
                    problem(
                        "M4",
                        f"{name} is {given!r}, not a whole number from 0.",
                        row=number,
                        column=name,
                        measured=given,
                    )
                )
        if own is None:
            return legacy
        if legacy is not None and value != legacy and not (own.strip() and value is None):
            problems.append(_disagree(number, column, own, old or ""))
        return value

    if len(cells) != width:
        problems.append(
            problem(
                "M18",
                f"The row has {len(cells)} cells, the header {width}.",
                row=number,
                measured=len(cells),
                threshold=width,
            )
        )
    columns = {column.name: column for column in COLUMNS}
    histology, ephys = (shank(columns[name]) for name in SHANKS)
    texts = {name: text(columns[name]) for name in columns if name not in (*SHANKS, "annotation_format")}
    if histology is not None and ephys is None and not (cell("ephys_shank") or "").strip():
        ephys = histology
        problems.append(
            problem(
                "M16",
                f"ephys_shank is blank; it is taken as {histology}, like histology_shank.",
                severity=Severity.INFO,
                row=number,
                column="ephys_shank",
            )
        )
    given = cell("annotation_format")
    row = ManifestRow(
        **texts,
        histology_shank=histology,
        ephys_shank=ephys,
        annotation_format="json" if given is None else given.strip().lower() or "",
    )
    wrong_format = format_problem(number, row)
    if wrong_format:
        problems.append(wrong_format)
    # The same legacy cell feeds both shank columns: name its fault once.
    return row, list(dict.fromkeys(problems))


def _whole(text: str | None) -> int | None:
    found = _WHOLE.fullmatch(text.strip()) if text else None
    return int(found[1]) if found else None


def _disagree(number: int, column: Column, own: str, old: str) -> Problem:
    return problem(
        "M5",
        f"{column.name} says {own!r}, its older name {column.alias} says {old!r}.",
        row=number,
        column=column.name,
        measured=own,
        threshold=old,
    )


# --- reading back as the converter does ---------------------------------------------------------


def round_trip_problems(rows: Sequence[ManifestRow]) -> tuple[Problem, ...]:
    """Every value that the converter would see differently, found by reading the written CSV as it does."""
    if not rows:
        return ()
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
