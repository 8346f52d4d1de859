"""What else a track could be, and what else could be a probe's track: the nearest alternatives, with their scores.

The scores are those of `suggest`: sums of logarithms of odds over the name and every kind of geometry, against "none of
the probes" at 0. They compare two candidates of one list. That one track goes to one probe is not in them, so the best
candidate of a track need not be what is suggested for all tracks together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.models import Assignment
from core.slots import usable_sortings
from core.suggestions.door import WeighedMouse

MOST = 6


@dataclass(frozen=True, slots=True)
class Candidate:
    """One pair of a track and a place, to be seen beside others."""

    assignment: Assignment
    """The place as far as it is known: no sorting where several are usable, no shank where nothing tells it."""
    probe: str
    """`ProbeA of 2024-11-07`."""
    score: float
    reasons: tuple[str, ...]
    evidence: dict[str, float]
    """What the name and each kind of geometry says for (> 0) or against; {} when nothing is known."""
    is_own: bool
    """True for the pair that the row is mapped to."""


def other_probes(mouse: WeighedMouse, row: Assignment) -> tuple[Candidate, ...]:
    """The probes that a row's track could belong to, the best first; the row's own is always among them.

    Returns:
        At most `MOST`; () for a track that is not there.
    """
    if row.track not in mouse.tracks.names:
        return ()
    track, scores = mouse.tracks.names.index(row.track), mouse.judged.scores
    own = _place_of(mouse, row)
    best: dict[int, int] = {}
    for place, (slot, _) in enumerate(mouse.places):
        if slot not in best or place == own or (best[slot] != own and scores[track, place] > scores[track, best[slot]]):
            best[slot] = place
    ranked = sorted(best.values(), key=lambda place: -scores[track, place])
    return tuple(_candidate(mouse, track, place, row, own) for place in _most(ranked, own))


def other_tracks(mouse: WeighedMouse, row: Assignment) -> tuple[Candidate, ...]:
    """The tracks that could belong to the place a row is mapped to, the best first; the row's own is among them.

    Returns:
        At most `MOST`; () for a row without a place, or with one that is not there.
    """
    own = _place_of(mouse, row)
    if own is None:
        return ()
    names, scores = mouse.tracks.names, mouse.judged.scores
    ranked = sorted(range(len(names)), key=lambda track: -scores[track, own])
    mine = names.index(row.track) if row.track in names else None
    return tuple(
        replace(_candidate(mouse, track, own, row, own), is_own=track == mine) for track in _most(ranked, mine)
    )


def _most(ranked: list[int], own: int | None) -> list[int]:
    if own is None or own in ranked[:MOST]:
        return ranked[:MOST]
    return [*ranked[: MOST - 1], own]


def _place_of(mouse: WeighedMouse, row: Assignment) -> int | None:
    """The place that a row names; of a probe with several, the first when it names no shank."""
    of_probe = [
        place
        for place, (slot, position) in enumerate(mouse.places)
        if mouse.slots[slot].recording.name == row.recording and mouse.slots[slot].positions[position][0] == row.stream
    ]
    exact = (p for p in of_probe if mouse.slots[mouse.places[p][0]].positions[mouse.places[p][1]][1] == row.shank)
    return next(exact, of_probe[0] if of_probe else None)


def _candidate(mouse: WeighedMouse, track: int, place: int, row: Assignment, own: int | None) -> Candidate:
    slot, position = mouse.places[place]
    probe, name = mouse.slots[slot], float(mouse.by_name[track, place])
    unsure = place != own and len(probe.positions) > 1 and not _is_said(mouse, track, slot, position)
    kinds = {kind: round(float(table[track, slot]), 2) for kind, table in mouse.judged.evidence.kinds.items()}
    evidence = {kind: value for kind, value in {"name": round(name, 2), **kinds}.items() if value}
    said = ["its name says so"] if name > 0 else ["its name says otherwise"] if name < 0 else []
    reasons = [*said, *mouse.reasons(track, slot)] or ["nothing is known that this pair could be judged by"]
    reasons += ["which of its shanks, nothing tells"] if unsure else []
    doubt = probe.nameable(position)[2]
    reasons += [doubt] if doubt and not unsure else []
    assignment = _assignment(mouse, track, place, row, own)
    if not assignment.sorting:
        usable = len(usable_sortings(probe.recording, assignment.stream))
        reasons.append(f"{usable} usable sorting{'s' * (usable > 1)}: choose" if usable else "no usable sorting has it")
    return Candidate(
        assignment=assignment,
        probe=probe.words,
        score=round(float(mouse.judged.scores[track, place]), 2),
        reasons=tuple(reasons),
        evidence=evidence,
        is_own=place == own,
    )


def _assignment(mouse: WeighedMouse, track: int, place: int, row: Assignment, own: int | None) -> Assignment:
    slot, position = mouse.places[place]
    probe, name = mouse.slots[slot], mouse.tracks.names[track]
    if place == own:
        return replace(row, track=name, note="", include=True)
    stream, shank, _ = probe.nameable(position)
    if len(probe.positions) > 1 and not _is_said(mouse, track, slot, position):
        shank = None
    usable = usable_sortings(probe.recording, stream)
    return Assignment(
        track=name,
        recording=probe.recording.name,
        sorting=usable[0].asset.name if len(usable) == 1 else "",
        stream=stream,
        shank=shank,
        surface=probe.recording.surface or "",
    )


def _is_said(mouse: WeighedMouse, track: int, slot: int, position: int) -> bool:
    """Whether the track's name tells this shank of the probe."""
    return mouse.readings[track].shank == mouse.slots[slot].physical_shank(position)
