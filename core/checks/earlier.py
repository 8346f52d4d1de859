"""What earlier jobs made of the same recordings: converting one again with another mapping must be confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.checks.index import CheckIndex
from core.manifest.rows import ManifestRow
from core.models import Problem, Severity
from core.rules import problem


@dataclass(frozen=True, slots=True)
class Converted:
    """One recording as an earlier job converted it."""

    recording: str
    job: str
    rows: frozenset[tuple[str, str, int | None]]
    """(track, stream, 0-based shank within the stream)."""
    goes_on: bool = False
    """The job is still under way."""


def converted_by(
    job: str, rows: Iterable[tuple[str, str, str, int | None]], *, goes_on: bool = False
) -> tuple[Converted, ...]:
    """The recordings that a job converted; `rows` are (recording, track, stream, 0-based shank within the stream)."""
    by_recording: dict[str, set[tuple[str, str, int | None]]] = {}
    for recording, track, stream, shank in rows:
        by_recording.setdefault(recording, set()).add((track, stream, shank))
    return tuple(Converted(recording, job, frozenset(keys), goes_on) for recording, keys in by_recording.items())


def check_earlier(index: CheckIndex, converted: Sequence[Converted]) -> Iterator[Problem]:
    """A recording of the rows that was converted before, once per job: to be confirmed where its rows were others."""
    for earlier in converted:
        numbers = index.by_recording.get(earlier.recording, ())
        differ = earlier.rows ^ {_key(index.rows[number]) for number in numbers}
        if not numbers:
            continue
        verb = "is converting" if earlier.goes_on else "converted"
        how, severity, cure = "these very rows", Severity.WARNING, "Launch it only if a second result is wanted."
        if differ:
            tracks = sorted({track for track, _, _ in differ})
            more = f" and {len(tracks) - 3} more" if len(tracks) > 3 else ""
            how, severity, cure = f"another mapping; different are {', '.join(tracks[:3])}{more}", Severity.CONFIRM, ""
        yield problem(
            "R8",
            f"Job {earlier.job} {verb} {earlier.recording} with {how}.",
            severity=severity,
            cure=cure,
            measured=earlier.job,
            row=numbers[0],
            recording=earlier.recording,
        )


def _key(row: ManifestRow) -> tuple[str, str, int | None]:
    return row.histology_track_id, row.ephys_collection, row.ephys_shank
