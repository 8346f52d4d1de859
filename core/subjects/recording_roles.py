"""Which recording of a day is the surface recording of which: with reasons, and only when something says so.

A surface recording is a short one made after the main recording, with the probes' contacts across the brain's surface.
Its blocks are merged into the main recording's by the full stream name, so it must have the same streams. Being the
second recording of the day alone says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.models import Recording, Role

SHORT_S = 600.0
"""The converter takes blocks below this length for surface blocks."""
_SURFACE = re.compile(r"\bsurface[ _-]?(recordings?|findings?|channels?|blocks?)\b|^\W*surface\W*$", re.IGNORECASE)
"""Words for a surface recording; the brain's surface alone is none, but a tag that is just this word."""
_DENIED = re.compile(
    r"\b(no|not|non|none|never|without|skip\w*|missing|missed|cancel\w*|forgot\w*|fail\w*|instead|cannot)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;!?\n]+")


def assign_roles(recordings: Sequence[Recording], notes: Mapping[str, Sequence[str]]) -> tuple[Recording, ...]:
    """Give each recording its role and each main recording its surface recording, with the reasons.

    Args:
        recordings: Oldest first.
        notes: Recording name -> whatever was noted about it (session notes, description, tags).
    """
    done: list[Recording] = []
    for recording in recordings:
        day = recording.start[:10]
        earlier = [r for r in done if day and r.start[:10] == day and r.role is not Role.SURFACE]
        role, reason, main = _role(recording, earlier, _speaks_of_surface(notes.get(recording.name, ())))
        if main is not None:
            _tell_main(done, main, recording, role, reason)
        done.append(replace(recording, role=role, role_reason=reason))
    return tuple(done)


def _speaks_of_surface(notes: Iterable[str]) -> bool:
    """Whether a note calls it a surface recording, in a sentence that denies nothing."""
    sentences = (sentence for note in notes for sentence in _SENTENCE.split(note))
    return any(_SURFACE.search(sentence) and not _DENIED.search(sentence) for sentence in sentences)


def _role(recording: Recording, earlier: Sequence[Recording], noted: bool) -> tuple[Role, str, Recording | None]:
    """The role, why, and the earlier recording it is or may be the surface recording of."""
    if not earlier:
        return (Role.MAIN, "the first recording of its day", None) if recording.start else (
            Role.UNKNOWN, "its name gives no date", None)  # fmt: skip
    if len(recording.start) == 10 or any(len(other.start) == 10 for other in earlier):
        return Role.UNKNOWN, "a recording of its day has no time in its name, so their order is not known", None
    if not recording.streams or not all(other.streams for other in earlier):
        return Role.UNKNOWN, "its streams, or those of an earlier recording of the day, are not known", None
    same = [other for other in earlier if set(other.streams) == set(recording.streams)]
    if not same:
        return Role.MAIN, "it has other streams than the earlier recordings of its day", None
    main = same[-1]
    told = f"made after {main.name} with the same streams"
    length, main_length = recording.duration_s, main.duration_s
    if length is not None and main_length is not None:
        told += f", {_minutes(length)} against {_minutes(main_length)}"
        if length >= main_length:
            return Role.MAIN, f"{told}: not shorter, so no surface recording", None
    elif length is not None:
        told += f", {_minutes(length)} long"
    if not recording.sortings and main.sortings:
        told += ", not sorted"
    if noted:
        long = "" if length is None or length < SHORT_S else f", though it is not shorter than {_minutes(SHORT_S)}"
        return Role.SURFACE, f"{told}; its notes call it a surface recording{long}", main
    if length is not None and length < SHORT_S:
        return Role.SURFACE, f"{told}; shorter than {_minutes(SHORT_S)}", main
    return Role.UNKNOWN, f"{told}; nothing says whether it is a surface recording", main


def _tell_main(done: list[Recording], main: Recording, surface: Recording, role: Role, reason: str) -> None:
    """Write into the main recording what was found; the first surface recording after it counts."""
    at = next(i for i, recording in enumerate(done) if recording.name == main.name)
    known = done[at]
    if role is Role.SURFACE and known.surface is None:
        done[at] = replace(known, surface=surface.name, surface_reason=reason)
    else:
        also = f"{surface.name} may be one too" if known.surface else f"{surface.name} may be its surface recording"
        told = f"{also}: {reason}"
        done[at] = replace(known, surface_reason=f"{known.surface_reason}; {told}" if known.surface_reason else told)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"
