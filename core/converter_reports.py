"""What a converter says of its own work. It can speak against a row, never for one.

Three kinds of files are read where they are: `coverage.json` (rows that were dropped, and why), `datapackage.json` of
the mouse (the picks that the alignment GUI is told of) and `sorting_error.txt` beside the picks (a stream without
sorting). One that is missing, odd or not readable says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import InputError, PlatformError, UnavailableError, UnclearError
from core.manifest.rows import ManifestRow
from core.result_folder import ResultFolder

REPORT = "coverage.json"
DATAPACKAGE = "datapackage.json"
SORTING_ERROR = "sorting_error.txt"
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class _Said:
    """What the converter says of one row."""

    track: str
    place: tuple[str, str, str]
    """Recording, stream and shank."""
    done: bool
    reason: str
    file: str


@dataclass(slots=True)
class ConverterReports:
    """The reports of one result, each read once and only when it is needed."""

    result: ResultFolder
    _rows: tuple[_Said, ...] | None = None
    _packages: dict[str, Mapping[str, str] | None] = field(default_factory=dict)

    def against(self, row: ManifestRow, path: str) -> str:
        """What is said against a row whose picks are at `path`; "" when nothing is.

        Raises:
            UnavailableError, UnclearError: the platform does not answer.
        """
        for said in self._said():
            if said.file == path and said.track != row.histology_track_id:
                return f"{path} holds track {said.track[:_MAX_WORDS]}, the converter says"
            if _is_of(said, row) and not said.done:
                return f"the converter says: {said.reason or 'it was not done'}"
        return self._sorting_error(path) or self._package_fault(row, path)

    def with_reason(self, why: str, row: ManifestRow) -> str:
        """The words with the converter's own reason added, if it gives one for the row."""
        reason = next((said.reason for said in self._said() if _is_of(said, row) and said.reason), "")
        return f"{why}; the converter says: {reason}" if reason else why

    def _said(self) -> tuple[_Said, ...]:
        if self._rows is None:
            told = self._json(REPORT)
            rows = told.get("rows") if isinstance(told, dict) else None
            self._rows = (
                tuple(_read_row(row) for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
            )
        return self._rows

    def _sorting_error(self, path: str) -> str:
        note = f"{path.rpartition('/')[0]}/{SORTING_ERROR}"
        if self.result.file(note) is None:
            return ""
        try:
            words = " ".join(self.result.read(note).decode(errors="replace").split())
        except (UnavailableError, UnclearError):
            raise
        except (PlatformError, InputError):
            words = ""
        return f"the converter says: {words[:_MAX_WORDS] or 'the stream has no sorting'}"

    def _package_fault(self, row: ManifestRow, path: str) -> str:
        if row.mouseid not in self._packages:
            self._packages[row.mouseid] = _named_picks(self._json(f"{row.mouseid}/{DATAPACKAGE}"))
        named = self._packages[row.mouseid]
        if named is None:
            return ""
        track = named.get(path.removeprefix(f"{row.mouseid}/"))
        if track is None:
            return f"the result's {DATAPACKAGE} leaves {path} out: the alignment GUI will not show it"
        if track and track != row.histology_track_id:
            return f"{path} holds track {track[:_MAX_WORDS]}, the result's {DATAPACKAGE} says"
        return ""

    def _json(self, path: str) -> Any:  # noqa: ANN401 - JSON
        try:
            return None if self.result.file(path) is None else json.loads(self.result.read(path))
        except (UnavailableError, UnclearError):
            raise
        except (PlatformError, InputError, ValueError, RecursionError):
            return None


def _read_row(row: Mapping[str, Any]) -> _Said:
    """One row of `coverage.json`, as the image-space converter or the full one writes it."""

    def first(*names: str) -> object:
        return next((row[name] for name in names if row.get(name) is not None), None)

    reason = str(row.get("reason") or "")[:_MAX_WORDS]
    done = first("done", "viable")
    return _Said(
        str(first("track", "histology_track_id")),
        _place(first("recording", "recording_id"), first("collection", "ephys_collection"),
               first("shank", "histology_shank")),
        not reason if done is None else bool(done),
        reason,
        str(row.get("file") or ""),
    )  # fmt: skip


def _named_picks(package: object) -> Mapping[str, str] | None:
    """Pick files that a datapackage names, within the mouse's folder -> the track it says is in it, or "".

    None when this is no datapackage, or one of a form that is not known.
    """
    if not isinstance(package, dict) or not isinstance(package.get("probes"), dict):
        return None
    named: dict[str, str] = {}
    left: list[object] = [package["probes"]]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            picks = value.get("image_space")
            path = picks.get("path") if isinstance(picks, dict) else picks
            if isinstance(path, str):
                named[path] = str(value.get("histology_track_id") or "")
            left += value.values()
        elif isinstance(value, list):
            left += value
    return named


def _is_of(said: _Said, row: ManifestRow) -> bool:
    place = _place(row.recording, row.ephys_collection, row.histology_shank)
    return (said.track, said.place) == (row.histology_track_id, place)


def _place(recording: object, stream: object, shank: object) -> tuple[str, str, str]:
    return str(recording), str(stream), "" if shank is None else str(shank)
