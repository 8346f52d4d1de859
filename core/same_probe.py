"""The rows of a mapping that are shanks of one probe in one recording, and how to turn their order round.

A four-shank probe is one stream with shanks 0 to 3; a quad-base probe is one stream per shank, without a shank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.asset_names import split_stream
from core.models import Assignment, Recording, Sorting
from core.slots import probe_of, recorded_shanks, stream_names


@dataclass(frozen=True, slots=True)
class ShankPlace:
    """One shank of a probe, and how a row names it."""

    number: int
    """0-based physical shank."""
    stream: str
    shank: int | None
    """As a row has it: None where the stream is one shank."""


def shank_places(recording: Recording, sorting: Sorting | None, stream: str) -> tuple[ShankPlace, ...]:
    """The shanks of the probe that a stream belongs to, first shank first; one place for a probe of one shank.

    Args:
        recording: Its probes tell the recorded shanks.
        sorting: The chosen sorting; without one its usable sortings count, else its probes.
        stream: The stream's exact token.
    """
    tokens = stream_names(recording) if sorting is None else [each.token for each in sorting.streams]
    split = split_stream(stream, tokens)
    if split is not None:
        found = [(other, token) for token in tokens if (other := split_stream(token, tokens)) is not None]
        siblings = sorted((position, token) for (base, position), token in found if base == split[0])
        return tuple(ShankPlace(position - 1, token, None) for position, token in siblings)
    shanks = recorded_shanks(recording, stream, sorting)
    if shanks:
        return tuple(ShankPlace(shank, stream, shank) for shank in shanks)
    probe = probe_of(recording, stream)
    return (ShankPlace(probe.shanks[0] if probe is not None and len(probe.shanks) == 1 else 0, stream, None),)


def of_one_sorting(row: Assignment, other: Assignment) -> bool:
    """Whether two rows are of one recording, and of one sorting of it as far as both have chosen one."""
    sortings = {row.sorting, other.sorting} - {""}
    return row.recording == other.recording and len(sortings) <= 1


def place_of(assignment: Assignment, places: Sequence[ShankPlace]) -> ShankPlace | None:
    """The shank that a row gives its track; None while it names none of them, which a stream of one need not."""
    own = [place for place in places if place.stream == assignment.stream]
    if len(own) == 1 and assignment.shank is None:
        return own[0]
    return next((place for place in own if place.shank is None or place.shank == assignment.shank), None)


def reverse_shanks(rows: Sequence[Assignment], places: Sequence[ShankPlace]) -> tuple[Assignment, ...]:
    """The rows of one probe with the order of their shanks turned round; a second turn brings the first order back.

    Args:
        rows: Rows of one probe in one recording.
        places: All its shanks.

    Returns:
        One per row. A track goes as far from the other end as it stood from this one, so that a gap in the row stays
        where it was drawn; where that would name a shank that was not recorded, the first goes for the last and so on.
    """
    held = [place_of(row, places) for row in rows]
    by_number = {place.number: place for place in places}
    used = sorted({place.number for place in held if place is not None})
    mirrored = {number: used[0] + used[-1] - number for number in used}
    if not set(mirrored.values()) <= by_number.keys():
        mirrored = dict(zip(used, reversed(used), strict=True))
    turned = []
    for row, place in zip(rows, held, strict=True):
        if place is not None:
            new = by_number[mirrored[place.number]]
            row = replace(row, stream=new.stream, shank=new.shank)
        turned.append(row)
    return tuple(turned)
