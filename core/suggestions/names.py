"""What a layer's name alone suggests: the stream and shank it speaks of, with reasons, and how it fits any other."""

from __future__ import annotations

from dataclasses import dataclass

from core.asset_names import split_stream
from core.models import Assignment, Recording, Role, Sorting, SortingStatus, Subject, Suggestion
from core.slots import (
    probe_of,
    recorded_shanks,
    recording_day,
    shank_doubt,
    sorted_shanks,
    stream_letter,
    stream_names,
    usable_sortings,
)
from core.track_names import NameReading, read_name

# Shares of the score: a name that says stream, recording and shank exactly scores 1.
STREAM_SHARE = 0.5
RECORDING_SHARE = 0.35
SHANK_SHARE = 0.15
DOUBT = 0.5
"""The score is multiplied by this for every doubt."""


@dataclass(frozen=True, slots=True)
class StreamSlot:
    """A stream of a recording that a track could belong to."""

    recording: Recording
    stream: str
    probe: str | None
    """The quad-base probe that the stream is one shank of."""
    position: int | None
    """Which of its shanks, from 1."""


def name_words(subject: Subject) -> dict[str, frozenset[str]]:
    """The exact words a name may hold, and the streams each means: stream names, quad-base probes, serial numbers."""
    words: dict[str, set[str]] = {}
    for recording in subject.recordings:
        streams = stream_names(recording)
        for stream in streams:
            words.setdefault(stream, set()).add(stream)
            split = split_stream(stream, streams)
            if split is not None:
                words.setdefault(split[0], set()).add(stream)
        for probe in recording.probes:
            if probe.serial and probe.name in streams:
                words.setdefault(probe.serial, set()).add(probe.name)
    # One letter is not a word: it is read together with what follows it.
    return {word: frozenset(streams) for word, streams in words.items() if len(word) > 1}


def stream_slots(subject: Subject) -> tuple[StreamSlot, ...]:
    """Every stream that a track could belong to, in the order of the recordings."""
    slots = []
    for recording in subject.recordings:
        if recording.role is Role.SURFACE:
            continue
        streams = stream_names(recording)
        for stream in streams:
            probe, position = split_stream(stream, streams) or (None, None)
            slots.append(StreamSlot(recording, stream, probe, position))
    return tuple(slots)


def suggest_by_name(
    track: str, slots: tuple[StreamSlot, ...], words: dict[str, frozenset[str]], days: tuple[str, ...]
) -> Suggestion:
    """What the name of a track says; certain only when it says all that is needed and one stream fits."""
    reading = read_name(track, words)
    reasons = [f"the name says {reading.words()}" if reading.says_something else "the name says nothing known"]
    reasons += reading.notes
    if reading.tag is None and reading.probe is None:
        if reading.says_something:
            reasons.append("it does not say which probe")
        return cannot_tell(track, reasons)

    fitting = [slot for slot in slots if _is_stream(slot, reading, words)]
    if not fitting:
        return cannot_tell(track, [*reasons, f"no recording has a {reading.tag or 'probe ' + str(reading.probe)}"])
    on_day, why = _on_day(fitting, reading, days)
    reasons += why
    if len(on_day) != 1:
        if on_day:
            reasons.append("several fit: " + _listed(on_day))
        return cannot_tell(track, reasons)
    return _fill(track, on_day[0], reading, reasons)


def _is_stream(slot: StreamSlot, reading: NameReading, words: dict[str, frozenset[str]]) -> bool:
    if reading.tag == slot.stream:
        return True
    if reading.tag is not None and slot.stream not in words[reading.tag]:
        return False
    if reading.tag is None and reading.probe not in (stream_letter(slot.stream), stream_letter(slot.probe or "")):
        return False
    # A quad-base probe's own name means one of its streams only together with the shank.
    return slot.position is None or reading.shank is None or slot.position == reading.shank + 1


def _on_day(
    fitting: list[StreamSlot], reading: NameReading, days: tuple[str, ...]
) -> tuple[list[StreamSlot], list[str]]:
    """The slots of the day that the name gives, and why others were left."""
    slots, reasons = fitting, []
    if reading.date is not None:
        slots = [slot for slot in slots if reading.date.fits(recording_day(slot.recording))]
        if not slots:
            return [], [f"on {reading.date} no main recording has it; there are {_listed(fitting)}"]
    if reading.day is not None:
        if reading.day > len(days):
            return [], [f"there are only {len(days)} days with a main recording"]
        day = days[reading.day - 1]
        slots = [slot for slot in slots if recording_day(slot.recording) == day]
        reasons.append(f"recording day {reading.day} is {day}")
        if not slots:
            return [], [*reasons, f"no recording of that day fits; there are {_listed(fitting)}"]
    left = [slot for slot in fitting if slot not in slots]
    if left:
        reasons.append(f"another day: {_listed(left)}")
    return slots, reasons


def _fill(track: str, slot: StreamSlot, reading: NameReading, reasons: list[str]) -> Suggestion:
    """The suggestion for the one slot that fits, with every doubt named."""
    recording = slot.recording
    doubts = list(reading.notes)
    score = STREAM_SHARE + (RECORDING_SHARE if reading.date or reading.day else 0.0)
    if reading.date is None and reading.day is None:
        # An exact stream name that only one recording has needs no date; a bare letter does.
        if reading.tag is not None:
            score += RECORDING_SHARE
            reasons.append(f"only {recording.name} has it")
        else:
            doubts.append("the name does not say the day")
            reasons.append(f"the name does not say the day; only {recording.name} has such a probe")

    usable = usable_sortings(recording, slot.stream)
    sorting = usable[0].asset.name if len(usable) == 1 else ""
    if len(usable) > 1:
        doubts.append(f"{len(usable)} usable sortings: choose")
        reasons.append(doubts[-1])
    elif not usable:
        failed = [each.reason or "failed" for each in recording.sortings if each.status is SortingStatus.ERROR]
        doubts.append(f"no usable sorting has it ({'; '.join(failed) or 'none is there'})")
        reasons.append(doubts[-1])

    shank, shank_doubt = _shank(slot, reading, usable[0] if len(usable) == 1 else None)
    if shank_doubt:
        doubts.append(shank_doubt)
        reasons.append(shank_doubt)
    else:
        score += SHANK_SHARE
    return Suggestion(
        track=track,
        assignment=Assignment(
            track=track,
            recording=recording.name,
            sorting=sorting,
            stream=slot.stream,
            shank=shank,
            surface=recording.surface or "",
        ),
        score=round(score * DOUBT ** len(doubts), 3),
        certain=not doubts,
        reasons=tuple(reasons),
    )


def _shank(slot: StreamSlot, reading: NameReading, sorting: Sorting | None) -> tuple[int | None, str]:
    """The 0-based physical shank, None for a stream of one, and the doubt about it."""
    said = reading.shank
    if slot.position is not None:
        if said is not None and said + 1 != slot.position:
            return None, f"the name says shank {said + 1}, but {slot.stream} is shank {slot.position} of its probe"
        return None, ""
    shanks = sorted_shanks(slot.recording, slot.stream, sorting)
    if not shanks:
        if said is not None and probe_of(slot.recording, slot.stream) is None:
            return None, f"the name says shank {said + 1}, but how many shanks {slot.stream} has is not known"
        return None, f"the name says shank {said + 1}, but {slot.stream} has one shank" if said else ""
    labels = ", ".join(str(shank + 1) for shank in shanks)
    doubt = shank_doubt(slot.recording, slot.stream, sorting)
    if said is None:
        if len(shanks) == 1:
            return shanks[0], doubt
        return None, f"the name does not say which of the shanks {labels}"
    if said not in shanks:
        lost = said in recorded_shanks(slot.recording, slot.stream, sorting)
        return None, f"the name says shank {said + 1}, but {'sorted' if lost else 'recorded'} are {labels}"
    return said, doubt


def cannot_tell(track: str, reasons: list[str]) -> Suggestion:
    """A suggestion of nothing, and why."""
    return Suggestion(
        track=track, assignment=None, score=0.0, certain=False, reasons=("cannot tell", *dict.fromkeys(reasons))
    )


def _listed(slots: list[StreamSlot]) -> str:
    """Slots in words, at most four."""
    named = [f"{slot.stream} of {slot.recording.start[:16] or slot.recording.name}" for slot in slots]
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
