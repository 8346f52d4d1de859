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
    """0-based shanks of a stream that need a track each; () when the stream is one shank and its shank stays blank.

    Args:
        recording: Its probes say how many shanks there are where the sorting does not.
        stream: The stream's exact token.
        sorting: The chosen sorting; without it any usable one counts.
    """
    if split_stream(stream, stream_names(recording) if sorting is None else [s.token for s in sorting.streams]):
        return ()
    probe = probe_of(recording, stream)
    for each in (sorting,) if sorting is not None else usable_sortings(recording, stream):
        found = sorted_stream_of(each, stream)
        if found is not None and found.shanks:
            single = found.shanks == (0,) and (probe is None or probe.shank_count == 1)
            return () if single else tuple(sorted(found.shanks))
    return tuple(sorted(probe.shanks)) if probe is not None and probe.shank_count > 1 else ()


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
