"""Checks of completeness: every recorded shank and stream, every drawn track, and what the layers' names say."""

from __future__ import annotations

from collections.abc import Iterator

from core.asset_names import split_stream
from core.checks.index import CheckIndex
from core.manifest.rows import shank_columns
from core.models import Problem, Recording, Role, Severity, Sorting
from core.rules import problem
from core.slots import (
    main_days,
    probe_of,
    recorded_shanks,
    recording_day,
    shank_doubt,
    sorted_stream_of,
    stream_letter,
    usable_sortings,
)
from core.suggestions.names import name_words
from core.track_names import NameReading, read_name


def check_usage(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of shanks, streams and tracks that are mapped oddly or not at all."""
    yield from _unused_tracks(index)
    if index.subject is None:
        return
    for name, numbers in index.by_sorting.items():
        chosen = index.chosen(name)
        if chosen is None:
            continue
        recording, sorting = chosen
        by_stream: dict[str, list[int]] = {}
        for number in numbers:
            by_stream.setdefault(index.rows[number].ephys_collection, []).append(number)
        for stream, mapped in by_stream.items():
            if sorted_stream_of(sorting, stream) is not None:
                yield from _shanks(index, recording, sorting, stream, mapped)
        yield from _unmapped_streams(index, recording, sorting, set(by_stream))
    yield from _unmapped_recordings(index)
    yield from _names(index)


# --- shanks -----------------------------------------------------------------------------------


def _shanks(
    index: CheckIndex, recording: Recording, sorting: Sorting, stream: str, numbers: list[int]
) -> Iterator[Problem]:
    tokens = [each.token for each in sorting.streams]
    if split_stream(stream, tokens) is not None:
        yield from (found for number in numbers for found in _split_row(index, number, tokens))
        return
    yield from _logical_probe(index, stream, tokens, numbers[0])
    for number in numbers:
        row = index.rows[number]
        if None not in (row.histology_shank, row.ephys_shank) and row.histology_shank != row.ephys_shank:
            yield problem(
                "M21",
                f"histology_shank is {row.histology_shank} and ephys_shank {row.ephys_shank}, but {stream} is not "
                "a stream of a split probe.",
                severity=Severity.CONFIRM,
                cure="Write the same shank in both columns.",
                measured=row.histology_shank,
                threshold=row.ephys_shank,
                column="histology_shank",
                **index.at(number),
            )
    recorded = set(recorded_shanks(recording, stream, sorting))
    mapped = {index.rows[number].ephys_shank for number in numbers}
    place = index.at(numbers[0])
    if not recorded:
        if mapped == {0}:
            yield problem(
                "M21",
                f"{stream} has one shank; its shank columns are filled.",
                severity=Severity.WARNING,
                cure="Leave both shank columns blank: older readers look for a file without a shank in its name.",
                column="histology_shank",
                **place,
            )
        elif mapped != {None}:
            told = f"{stream} was sorted as one shank; mapped are {_labels(mapped)}."
            yield _shanks_differ(told, index, numbers, _labels(mapped), "one shank")
        return
    found = sorted_stream_of(sorting, stream)
    sorted_apart = set(found.shanks) if found is not None else set()
    doubt = shank_doubt(recording, stream, sorting)
    if doubt:
        yield problem("S6", f"{stream}: {doubt}.", column="ephys_shank", measured=_labels(sorted_apart), **place)
    if mapped == {None} and len(recorded) == 1:
        return
    for number in numbers:
        shank = index.rows[number].ephys_shank
        if sorted_apart and shank is not None and shank not in sorted_apart:
            yield problem(
                "A15",
                f"{sorting.asset.name} has no shank {shank + 1} of {stream}; it has {_labels(sorted_apart)} "
                "(counted from 1).",
                column="ephys_shank",
                measured=_labels({shank}),
                threshold=_labels(sorted_apart),
                **index.at(number),
            )
    if mapped != recorded:
        yield _shanks_differ(
            _sets(recording, stream, sorted_apart, mapped, recorded),
            index,
            numbers,
            _labels(mapped),
            _labels(recorded),
            cure=_LOST if sorted_apart and not recorded - mapped <= sorted_apart else "",
        )


_LOST = "Sort the recording again, with every shank, or confirm that the lost shank is to be left out."


def _sets(
    recording: Recording, stream: str, sorted_apart: set[int], mapped: set[int | None], recorded: set[int]
) -> str:
    """The shanks by settings.xml, by the sorting and by the rows, as far as they differ."""
    probe = probe_of(recording, stream)
    by_settings = set(probe.shanks) if probe is not None and probe.shank_count > 1 else set()
    words = [f"recorded on {_labels(by_settings or recorded)}"]
    if sorted_apart and by_settings and sorted_apart != by_settings:
        words = [f"recorded on {_labels(by_settings)} by settings.xml, but sorted are {_labels(sorted_apart)}"]
    missing = recorded - mapped
    lacking = [f"without a track: {_labels(missing)}"] if missing else []
    return f"{stream} {'; '.join([*words, f'mapped are {_labels(mapped)}', *lacking])}."


def _logical_probe(index: CheckIndex, stream: str, tokens: list[str], number: int) -> Iterator[Problem]:
    """A probe's name that is not this stream's: of a lone `<probe>-N`, the probe's own name is right, too."""
    given = index.rows[number].logical_probe
    base, _, number_in_name = stream.rpartition("-")
    fitting = {"", stream} | ({base} - set(tokens) if number_in_name.isdecimal() else set())
    if given not in fitting:
        another = ", which is another stream of this sorting" if given in tokens else ""
        yield problem(
            "M24",
            f"logical_probe of {stream} is {given!r}{another}.",
            column="logical_probe",
            measured=given,
            threshold=stream,
            **index.at(number),
        )


def _shanks_differ(
    message: str, index: CheckIndex, numbers: list[int], mapped: str, recorded: str, *, cure: str = ""
) -> Problem:
    place = index.at(numbers[0])
    return problem("S1", message, cure=cure, column="ephys_shank", measured=mapped, threshold=recorded, **place)


def _split_row(index: CheckIndex, number: int, tokens: list[str]) -> Iterator[Problem]:
    row = index.rows[number]
    wanted = shank_columns(row.ephys_collection, None, tokens)
    given = (row.logical_probe, row.histology_shank, row.ephys_shank)
    if given != wanted:
        columns = ("logical_probe", "histology_shank", "ephys_shank")
        differ = [name for name, a, b in zip(columns, given, wanted, strict=True) if a != b]
        yield problem(
            "M21",
            f"{row.ephys_collection} is one shank of the split probe {wanted[0]}: expected are logical_probe "
            f"{wanted[0]}, histology_shank {wanted[1]}, ephys_shank {wanted[2]}.",
            severity=Severity.CONFIRM,
            column=differ[0],
            measured=str(given),
            threshold=str(wanted),
            **index.at(number),
        )


def _labels(shanks: set[int | None] | set[int]) -> str:
    """Shanks for people, counted from 1: "shanks 1, 2"."""
    known = sorted(shank + 1 for shank in shanks if shank is not None)
    labels = [str(label) for label in known] + (["blank"] if None in shanks else [])
    return f"shank{'s' if len(labels) != 1 else ''} {', '.join(labels)}"


# --- what has no track --------------------------------------------------------------------------


def _unmapped_streams(index: CheckIndex, recording: Recording, sorting: Sorting, mapped: set[str]) -> Iterator[Problem]:
    skipped = {each.name for each in index.mapping.skipped_streams} if index.mapping else set()
    for stream in sorting.streams:
        if stream.token not in mapped and f"{sorting.asset.name}/{stream.token}" not in skipped:
            yield problem(
                "R1",
                f"The stream {stream.token} of {sorting.asset.name} has no track.",
                recording=recording.name,
                column="ephys_collection",
                measured=stream.token,
                threshold="a track, or skipped with a reason",
            )


def _unmapped_recordings(index: CheckIndex) -> Iterator[Problem]:
    for recording in index.recordings.values():
        names = {sorting.asset.name for sorting in recording.sortings}
        if recording.role is not Role.SURFACE and usable_sortings(recording) and not names & index.by_sorting.keys():
            yield problem(
                "R1",
                f"{recording.name} is not mapped at all.",
                severity=Severity.INFO,
                cure="Nothing to do, unless its tracks are in this brain.",
                recording=recording.name,
                measured=0,
                threshold=1,
            )


def _unused_tracks(index: CheckIndex) -> Iterator[Problem]:
    ignored = {each.name for each in index.mapping.ignored_layers} if index.mapping else set()
    for layer in index.state.tracks:
        if layer.name not in index.by_track and layer.name not in ignored:
            yield problem("R2", f"The track {layer.name!r} is not mapped.", track=layer.name, measured=0, threshold=1)


# --- what names say -----------------------------------------------------------------------------


def _names(index: CheckIndex) -> Iterator[Problem]:
    if index.subject is None:
        return
    words = name_words(index.subject)
    days = main_days(index.subject)
    letters = {stream_letter(stream) for streams in words.values() for stream in streams} - {None}
    for number, row in enumerate(index.rows):
        chosen = index.chosen(row.sorted_recording)
        if chosen is None:
            continue
        reading = read_name(row.histology_track_id, words)
        if reading.tag is None and reading.probe not in letters:
            continue  # a letter that no probe of this mouse has is part of a word, e.g. a brain area
        said = list(_contradictions(reading, row.ephys_collection, row.histology_shank, chosen[0], words, days))
        if said:
            name_says = ", ".join(pair[0] for pair in said)
            row_says = ", ".join(pair[1] for pair in said)
            yield problem(
                "R3",
                f"The name says {name_says}, the row says {row_says}.",
                measured=name_says,
                threshold=row_says,
                **index.at(number),
            )


def _contradictions(
    reading: NameReading,
    stream: str,
    shank: int | None,
    recording: Recording,
    words: dict[str, frozenset[str]],
    days: tuple[str, ...],
) -> Iterator[tuple[str, str]]:
    """Pairs of what the name and what the row says, where both say something and differ."""
    letter = stream_letter(stream) or stream_letter(stream.rpartition("-")[0])
    if reading.tag is not None and stream not in words[reading.tag]:
        yield reading.tag, stream
    elif reading.tag is None and reading.probe is not None and reading.probe != letter:
        yield f"probe {reading.probe}", stream
    day = recording_day(recording)
    if reading.date is not None and day and not reading.date.fits(day):
        yield str(reading.date), day if reading.date.year else day[5:]
    if reading.day is not None and day in days and days.index(day) + 1 != reading.day:
        yield f"recording day {reading.day}", f"day {days.index(day) + 1} ({day})"
    if reading.shank is not None and (shank or 0) != reading.shank:
        yield f"shank {reading.shank + 1}", f"shank {(shank or 0) + 1}" if shank is not None else "no shank"
