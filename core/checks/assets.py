"""Checks of the assets that the rows need: sortings, raw recordings, surface recordings, the stitched brain."""

from __future__ import annotations

from collections.abc import Iterator

from core.asset_names import parse_asset_name, parse_stream_name
from core.checks.brain import check_brain, ready
from core.checks.index import CheckIndex, RowPlace, nearest
from core.models import Problem, Recording, Role, Severity, Sorting, SortingStatus
from core.rules import problem
from core.slots import recording_day, sorted_stream_of, usable_sortings

PASSED_ON = frozenset({"A6", "A7", "A8", "A14"})
"""Rules of gathered problems that matter to a row; the others are judged here for the chosen assets alone."""


def check_assets(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of the assets that the manifest's rows name."""
    if index.subject is None:
        yield problem(
            "A13",
            f"No assets of mouse {index.state.subject or '(unknown)'} are known, so no recording could be checked.",
            cure="Open the mouse in a library that has its recordings.",
        )
        return
    yield from check_brain(index)
    for name, numbers in index.by_sorting.items():
        if name:
            yield from _sorting(index, name, numbers)
    for name, numbers in index.by_recording.items():
        if name:
            yield from _one_sorting(index, numbers)
            yield from _surface(index, numbers)


# --- sortings ---------------------------------------------------------------------------------


def _sorting(index: CheckIndex, name: str, numbers: list[int]) -> Iterator[Problem]:
    place = index.at(numbers[0])
    mouse = index.rows[numbers[0]].mouseid
    parsed = parse_asset_name(name)
    if parsed is not None and parsed.subject != mouse:
        yield problem(
            "R7",
            f"{name} is of mouse {parsed.subject}, the row of {mouse}.",
            column="sorted_recording",
            measured=parsed.subject,
            threshold=mouse,
            **place,
        )
    found = index.sortings.get(name, [])
    if not found:
        near = nearest(name, index.sortings)
        alike = f"; the nearest is {near}" if near else ""
        yield problem("A13", f"There is no sorted asset {name}{alike}.", column="sorted_recording", **place)
        return
    if len(found) > 1:
        yield problem(
            "A9",
            f"{len(found)} sorted assets are named {name}.",
            severity=Severity.ERROR,
            column="sorted_recording",
            measured=len(found),
            threshold=1,
            **place,
        )
    recording, sorting = found[0]
    yield from _status(recording, sorting, place)
    yield from _raw(index, recording, place)
    yield from (each for each in (*sorting.asset.problems, *recording.problems) if each.rule in PASSED_ON)
    for number in numbers:
        yield from _stream(index, sorting, number)


def _status(recording: Recording, sorting: Sorting, place: RowPlace) -> Iterator[Problem]:
    name = sorting.asset.name
    yield from ready(sorting.asset, place)
    if sorting.status is SortingStatus.ERROR:
        yield problem(
            "R6",
            f"The chosen sorting {name} failed: {sorting.reason or 'no reason is known'}",
            severity=Severity.ERROR,
            cure="Choose another sorting of this recording, or sort it again.",
            column="sorted_recording",
            measured=sorting.status.value,
            threshold=SortingStatus.OK.value,
            **place,
        )
        return
    if sorting.copy_of:
        yield problem(
            "A9",
            f"{name} and {sorting.copy_of} are two captures of one computation; the rows name {name}.",
            cure="Nothing to do: both hold the same. Name one and the same in all rows.",
            column="sorted_recording",
            **place,
        )
    if sorting.status is SortingStatus.PARTIAL:
        yield problem("A4", f"{name} is partial: {sorting.reason}", column="sorted_recording", **place)
    usable = len(usable_sortings(recording))
    if usable > 1:
        yield problem(
            "R6",
            f"{recording.name} has {usable} usable sortings; chosen is {name}.",
            column="sorted_recording",
            measured=usable,
            threshold=1,
            **place,
        )


def _raw(index: CheckIndex, recording: Recording, place: RowPlace) -> Iterator[Problem]:
    if recording.raw is None:
        yield problem("A1", f"The raw asset of {recording.name} is missing.", column="sorted_recording", **place)
        return
    yield from ready(recording.raw, place)
    if recording.role is Role.SURFACE:
        yield problem(
            "R5",
            f"{recording.name} looks like a surface recording itself ({recording.role_reason}).",
            severity=Severity.CONFIRM,
            cure="Map the main recording of that day, unless you mean this one.",
            column="sorted_recording",
            measured=Role.SURFACE.value,
            threshold=Role.MAIN.value,
            **place,
        )
    if recording.raw.name != place["recording"]:
        same = _same_session(recording.raw.name, place["recording"])
        yield problem(
            "A8" if same else "R6",
            f"The sorting was made from {recording.raw.name}, its name says {place['recording']}.",
            severity=None if same else Severity.CONFIRM,
            cure="The asset it was made from is used, under the name that the converter looks for."
            if same
            else "Confirm that this is the recording you mean, or choose a sorting of the named recording.",
            column="sorted_recording",
            measured=recording.raw.name,
            threshold=place["recording"],
            **place,
        )
    imaging = parse_asset_name(index.state.acquisition or "")
    day = recording_day(recording)
    if imaging is not None and day > imaging.date:
        yield problem(
            "R7",
            f"The recording is of {day}, after the brain was imaged on {imaging.date}.",
            severity=Severity.WARNING,
            cure="Check that the recording is of this mouse.",
            measured=day,
            threshold=imaging.date,
            **place,
        )


def _same_session(one: str, other: str) -> bool:
    """Whether two names speak of one session: same mouse and day, and the same time where both give it."""
    a, b = parse_asset_name(one), parse_asset_name(other)
    if a is None or b is None:
        return False
    return (a.subject, a.date) == (b.subject, b.date) and (a.time == b.time or None in (a.time, b.time))


def _stream(index: CheckIndex, sorting: Sorting, number: int) -> Iterator[Problem]:
    collection = index.rows[number].ephys_collection
    if not collection or sorted_stream_of(sorting, collection) is not None:
        return
    tokens = [stream.token for stream in sorting.streams]
    parsed = collection.removesuffix("-AP").removesuffix("-LFP")
    near = next((token for token in tokens if token.lower() == parsed.strip().lower()), None)
    if near is not None and collection.endswith(("-AP", "-LFP")):
        return  # named by the check of the row itself
    there = f"it is spelt {near}" if near else f"it has {', '.join(tokens) or 'no stream'}"
    yield problem(
        "M13" if near else "A15",
        f"{sorting.asset.name} has no stream {collection!r}; {there}.",
        column="ephys_collection",
        measured=collection,
        **index.at(number),
    )


def _one_sorting(index: CheckIndex, numbers: list[int]) -> Iterator[Problem]:
    """Rows of one recording from two sortings: their units would be mixed."""
    first = index.rows[numbers[0]].sorted_recording
    other = next((number for number in numbers if index.rows[number].sorted_recording != first), None)
    if other is not None:
        yield problem(
            "R6",
            f"Rows of one recording use two sortings, {first} and {index.rows[other].sorted_recording}.",
            severity=Severity.CONFIRM,
            cure="Use one sorting for all rows of the recording, or confirm that you mean both.",
            column="sorted_recording",
            measured=len({index.rows[number].sorted_recording for number in numbers}),
            threshold=1,
            **index.at(other),
        )


# --- surface recordings -----------------------------------------------------------------------


def _surface(index: CheckIndex, numbers: list[int]) -> Iterator[Problem]:
    row = index.rows[numbers[0]]
    chosen = index.chosen(row.sorted_recording)
    if chosen is None:
        return
    recording, place = chosen[0], index.at(numbers[0])
    name = row.surface_finding
    if not name:
        if recording.surface:
            told = f"{recording.surface} looks like its surface recording ({recording.surface_reason})."
            yield _misfit(told, place, Severity.WARNING, "none", recording.surface)
        return
    surface = index.recordings.get(name) or next(
        (each for each in index.recordings.values() if each.raw is not None and each.raw.name == name), None
    )
    if surface is None or surface.raw is None:
        told = f"There is no raw asset of the surface recording {name}."
        yield _misfit(told, place, Severity.ERROR, name, "a recording of this mouse")
        return
    if surface.name == recording.name:
        told = "The recording is named as its own surface recording."
        yield _misfit(told, place, Severity.ERROR, name, "another recording")
        return
    yield from ready(surface.raw, place)
    if not (surface.start and recording.start):
        told = f"It is not known when {name} and {recording.name} were recorded."
        yield _misfit(told, place, Severity.WARNING, surface.start or "unknown", recording.start or "unknown")
    elif recording_day(surface) != recording_day(recording):
        days = recording_day(surface), recording_day(recording)
        yield _misfit(f"{name} is of another day than {recording.name}.", place, Severity.WARNING, *days)
    elif surface.start < recording.start:
        times = surface.start, recording.start
        yield _misfit(f"{name} was recorded before {recording.name}.", place, Severity.WARNING, *times)
    if surface.role is Role.MAIN:
        told = f"{name} looks like a main recording ({surface.role_reason})."
        yield _misfit(told, place, Severity.WARNING, Role.MAIN.value, Role.SURFACE.value)
    longest = index.limits.surface_seconds
    if surface.duration_s is None:
        told = f"How long {name} lasted is not known; surface recordings are shorter than {longest:.0f} s."
        yield _misfit(told, place, Severity.INFO, "unknown", longest)
    elif surface.duration_s >= longest:
        yield _misfit(
            f"{name} lasts {surface.duration_s:.0f} s; surface recordings are shorter than {longest:.0f} s.",
            place,
            measured=surface.duration_s,
            threshold=longest,
        )
    # Blocks are merged by the full name; another record node or probe name does not merge.
    used = {index.rows[number].ephys_collection for number in numbers}
    lacking = [full for full in recording.streams if _token(full) in used and full not in surface.streams]
    if surface.streams and lacking:
        told = f"{name} does not hold the stream {', '.join(lacking)}."
        yield _misfit(told, place, Severity.WARNING, ", ".join(surface.streams), ", ".join(lacking))


def _token(full: str) -> str | None:
    parsed = parse_stream_name(full)
    return parsed.token if parsed is not None and parsed.is_spikes else None


def _misfit(
    message: str,
    place: RowPlace,
    severity: Severity = Severity.WARNING,
    measured: str | float | None = None,
    threshold: str | float | None = None,
) -> Problem:
    return problem(
        "R5",
        message,
        severity=severity,
        cure="Choose the surface recording of this day, or none.",
        column="surface_finding",
        measured=measured,
        threshold=threshold,
        **place,
    )
