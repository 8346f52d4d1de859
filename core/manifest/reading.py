"""Reading a manifest CSV: every text kept exactly, every fault named, no row lost.

The converter reads with plain `pandas.read_csv`, which guesses types. This reads the text itself.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from core.errors import ManifestError
from core.manifest.rows import COLUMNS, REQUIRED, SHANKS, Column, ManifestRow
from core.models import Problem, Severity
from core.rules import problem

MAX_BYTES = 4 * 1024 * 1024
MAX_ROWS = 10_000
_NUMBERED = re.compile(r".+-[1-9]\d*", re.ASCII)
_WHOLE = re.compile(r"(\d{1,4})(?:\.0+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManifestTable:
    """What was read from a CSV. Every line of data is a row, also when some of its cells could not be read."""

    rows: tuple[ManifestRow, ...]
    problems: tuple[Problem, ...]


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
    # Blank means the stream itself, written out so that two spellings of one mapping are one. Of `<probe>-N` only the
    # sorting's other streams can say what blank means.
    if not texts["logical_probe"] and _NUMBERED.fullmatch(texts["ephys_collection"]) is None:
        texts["logical_probe"] = texts["ephys_collection"]
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
