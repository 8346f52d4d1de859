"""What of a subject can be mapped: its streams and shanks, and the days on which it was recorded."""

from __future__ import annotations

import re

from core.asset_names import split_stream
from core.models import Probe, Recording, Role, SortedStream, Sorting, SortingStatus, Subject

_LETTERED = re.compile(r"(?:probe[-_ ]?)?([a-z])", re.ASCII | re.IGNORECASE)


def usable_sortings(recording: Recording, stream: str | None = None) -> tuple[Sorting, ...]:
    """Sortings that did not fail, are ready, no second copy and, when `stream` is given, hold that stream."""
    return tuple(
        sorting
        for sorting in recording.sortings
        if sorting.status is not SortingStatus.ERROR
        and sorting.asset.state == "ready"
        and not sorting.copy_of
        and (stream is None or sorted_stream_of(sorting, stream) is not None)
    )


def sorted_stream_of(sorting: Sorting, stream: str) -> SortedStream | None:
    """The sorting's stream of this exact token."""
    return next((each for each in sorting.streams if each.token == stream), None)


def probe_of(recording: Recording, stream: str) -> Probe | None:
    """The recording's probe of this exact token."""
    return next((probe for probe in recording.probes if probe.name == stream), None)


def stream_names(recording: Recording) -> tuple[str, ...]:
    """Tokens of all streams that the recording can be mapped to, from its usable sortings, else from its probes."""
    names = [stream.token for sorting in usable_sortings(recording) for stream in sorting.streams]
    names = names or [probe.name for probe in recording.probes if probe.enabled]
    return tuple(dict.fromkeys(names))


def recorded_shanks(recording: Recording, stream: str, sorting: Sorting | None = None) -> tuple[int, ...]:
    """0-based physical shanks of a stream that need a track each; () when the stream is one shank and stays blank.

    Those with recorded channels by settings.xml, and those that were sorted: a shank that the sorting lost still stands
    in the brain, and the alignment counts it.

    Args:
        recording: Its probes tell the recorded shanks.
        stream: The stream's exact token.
        sorting: The chosen sorting; without it any usable one counts.
    """
    if _is_split(recording, stream, sorting):
        return ()
    own = _sorted(recording, stream, sorting)
    probe = probe_of(recording, stream)
    by_settings = probe.shanks if probe is not None and probe.shank_count > 1 else ()
    if not by_settings and own == (0,) and not shank_doubt(recording, stream, sorting):
        return ()
    return tuple(sorted({*by_settings, *own}))


def sorted_shanks(recording: Recording, stream: str, sorting: Sorting | None = None) -> tuple[int, ...]:
    """Those of `recorded_shanks` that a row can name: all of them, unless a sorting holds some only."""
    recorded = recorded_shanks(recording, stream, sorting)
    return (_sorted(recording, stream, sorting) or recorded) if recorded else ()


def shank_doubt(recording: Recording, stream: str, sorting: Sorting | None = None) -> str:
    """Why the shanks of a stream may be others than they are said to be; "" when they are known."""
    chosen = (sorting,) if sorting is not None else usable_sortings(recording, stream)
    found = [each for one in chosen if (each := sorted_stream_of(one, stream)) is not None]
    probe = probe_of(recording, stream)
    for each in found:
        if each.doubt:
            return each.doubt
        if probe is not None and probe.shank_count > 1 and not {*each.shanks} <= {*probe.shanks}:
            return "the sorting has shanks that settings.xml does not have as recorded"
    return ""


def _is_split(recording: Recording, stream: str, sorting: Sorting | None) -> bool:
    tokens = stream_names(recording) if sorting is None else [each.token for each in sorting.streams]
    return split_stream(stream, tokens) is not None


def _sorted(recording: Recording, stream: str, sorting: Sorting | None) -> tuple[int, ...]:
    """The shanks that were sorted apart, by the chosen sorting, else by the first usable one that tells any."""
    chosen = (sorting,) if sorting is not None else usable_sortings(recording, stream)
    found = (sorted_stream_of(each, stream) for each in chosen)
    return next((tuple(sorted(each.shanks)) for each in found if each is not None and each.shanks), ())


def stream_letter(stream: str) -> str | None:
    """The letter of a stream called after one: `A` for `ProbeA`, `probe_a` or `A`."""
    found = _LETTERED.fullmatch(stream)
    return found[1].upper() if found else None


def recording_day(recording: Recording) -> str:
    """`YYYY-MM-DD` of the recording's start, local date of the lab; "" when unknown."""
    return recording.start[:10]


def main_days(subject: Subject) -> tuple[str, ...]:
    """The days, in order, with a recording that is not only a surface recording: "day 1" is the first of them."""
    days = {recording_day(recording) for recording in subject.recordings if recording.role is not Role.SURFACE}
    return tuple(sorted(days - {""}))
