"""The door to suggestions: one per track, from names and from all that geometry says. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

import numpy as np

from core.atlas_frames import AffineAtlas
from core.models import Assignment, Points, State, Subject, Suggestion
from core.slots import main_days, stream_letter, usable_sortings
from core.subjects.shown_image import image_frame_of
from core.suggestions import evidence as e
from core.suggestions.brain import Judged, judge_brain
from core.suggestions.matching import Margin
from core.suggestions.names import DOUBT, cannot_tell, name_words, stream_slots, suggest_by_name
from core.suggestions.probe_slots import ProbeSlot, probe_slots
from core.track_names import NameReading, read_name

CERTAIN_MARGIN = 3.0
"""Least margin of a certain suggestion, in logarithms of odds."""
LIKELY_MARGIN = 2.0
LIKELY_SCORE = 1.0
"""Least margin, and least word of geometry, for a suggestion that the name does not make."""
MOST_BY_GEOMETRY = 0.9
"""Highest score without a name."""


def suggest(state: State, subject: Subject, *, atlas: AffineAtlas | None = None) -> tuple[Suggestion, ...]:
    """One suggestion per track layer, in the state's order.

    Certain is only what the name says in full, what geometry does not contradict, and what nothing else comes near;
    tracks that claim the same stream and shank are none of them certain. Geometry alone is never certain.

    Args:
        state: The tracks.
        subject: Recordings, targets and probes of the mouse.
        atlas: The way from the image into the atlas, when its affines are at hand.
    """
    mouse = weigh_mouse(state, subject, atlas=atlas)
    if mouse is None:
        return _without_collisions(_by_name(state, subject))
    return _without_collisions([mouse.weigh(i) for i in range(len(mouse.named))])


def _by_name(state: State, subject: Subject) -> list[Suggestion]:
    words, days, slots = name_words(subject), main_days(subject), stream_slots(subject)
    return [suggest_by_name(layer.name, slots, words, days) for layer in state.tracks]


def weigh_mouse(state: State, subject: Subject, *, atlas: AffineAtlas | None = None) -> WeighedMouse | None:
    """Every track held against every probe; None where the mouse has no probe, or no image of it is shown.

    Args:
        state: The tracks.
        subject: Recordings, targets and probes of the mouse.
        atlas: The way from the image into the atlas, when its affines are at hand.
    """
    words, days = name_words(subject), main_days(subject)
    slots, frame = probe_slots(subject), image_frame_of(state, subject)
    if not slots or not state.tracks or frame is None:
        return None
    readings = [read_name(layer.name, words) for layer in state.tracks]
    letters = {letter for slot in slots if (letter := stream_letter(slot.base)) is not None}
    places = [(j, position) for j, slot in enumerate(slots) for position in range(len(slot.positions))]
    of_probe = np.array([[e.by_name(reading, slot, words, days, letters) for slot in slots] for reading in readings])
    of_shank = np.array([[e.by_shank(reading, slots[j], position) for j, position in places] for reading in readings])
    probe_of_place = np.array([j for j, _ in places], dtype=np.intp)
    named = of_probe[:, probe_of_place] + of_shank
    tracks, judged = judge_brain(state.tracks, slots, named, probe_of_place, frame, atlas)
    by_name = tuple(_by_name(state, subject))
    return WeighedMouse(slots, tuple(places), tracks, judged, by_name, tuple(readings), named)


@dataclass(frozen=True, slots=True, eq=False)
class WeighedMouse:
    """Every track of a mouse held against every probe: what the names say and what geometry says."""

    slots: tuple[ProbeSlot, ...]
    places: tuple[tuple[int, int], ...]
    """(probe, its position)."""
    tracks: e.Tracks
    judged: Judged
    named: tuple[Suggestion, ...]
    """What the name of each track says by itself."""
    readings: tuple[NameReading, ...]
    by_name: Points
    """(n tracks, p places) what names add to the scores."""

    def weigh(self, track: int) -> Suggestion:
        """The suggestion of one track."""
        named, reading, kinds = self.named[track], self.readings[track], self.judged.evidence.kinds
        if not self.is_held(track):
            return named  # nothing is known of any probe that this track could be held against
        place = int(self.judged.matching.place[track])
        best = self.places[place][0] if place >= 0 else None
        margin = self.judged.margins[track] or Margin(0.0, None)
        own = self._slot_of(named.assignment)
        if own is None:
            return self._by_geometry(track, named, reading, best, margin)
        against = [words for kind, words in self._words(track, own) if kinds[kind][track, own] <= e.AGAINST]
        if own == best and not against:
            return self._agreed(track, named, own, margin)
        if best is not None and best != own and margin.loss >= CERTAIN_MARGIN and self._geometry(track, best) > 0:
            told = (
                f"the name says {self.slots[own].words}, the geometry does not: {'; '.join(against) or 'it fits less'}"
            )
            return self._proposal(track, best, reading, margin, (told,), score=DOUBT)
        if against:
            return replace(
                cannot_tell(named.track, [*named.reasons, f"against {self.slots[own].words}: {'; '.join(against)}"]),
                margin=round(margin.loss, 2),
                runner_up=self._runner_up(margin),
            )
        return replace(
            named,
            certain=False,
            score=round(named.score * DOUBT, 3),
            reasons=(*named.reasons, *self.reasons(track, own), "another track or probe fits as well"),
            evidence=self._evidence(track, own),
        )

    def is_held(self, track: int) -> bool:
        """Whether anything is known of any probe that the track can be held against, its name left aside."""
        kinds = self.judged.evidence.kinds
        return any(kinds[kind][track].any() for kind in ("aim", "angle", "length", "span", "side"))

    def _slot_of(self, assignment: Assignment | None) -> int | None:
        if assignment is None:
            return None
        return next(
            (
                j
                for j, slot in enumerate(self.slots)
                if slot.recording.name == assignment.recording
                and assignment.stream in {stream for stream, _ in slot.positions}
            ),
            None,
        )

    def _geometry(self, track: int, slot: int) -> float:
        return float(self.judged.evidence.geometry[track, slot])

    def _agreed(self, track: int, named: Suggestion, slot: int, margin: Margin) -> Suggestion:
        wide = margin.loss >= CERTAIN_MARGIN
        near = [] if wide else [f"{self._runner_up(margin) or 'none of the probes'} fits nearly as well"]
        return replace(
            named,
            certain=named.certain and wide,
            score=named.score if wide else round(named.score * DOUBT, 3),
            reasons=(*named.reasons, *self.reasons(track, slot), *near),
            margin=round(margin.loss, 2),
            runner_up=self._runner_up(margin),
            evidence=self._evidence(track, slot),
        )

    def _by_geometry(
        self, track: int, named: Suggestion, reading: NameReading, best: int | None, margin: Margin
    ) -> Suggestion:
        reasons = tuple(reason for reason in named.reasons if reason != "cannot tell")
        weak = best is None or margin.loss < LIKELY_MARGIN or self._geometry(track, best) < LIKELY_SCORE
        if best is None or weak:
            near = []
            if best is not None:
                other = self._runner_up(margin) or "none of the probes"
                near = [f"{self.slots[best].words} fits best, but {other} nearly as well"]
            return cannot_tell(named.track, [*reasons, *near])
        return self._proposal(track, best, reading, margin, reasons)

    def _proposal(
        self,
        track: int,
        slot: int,
        reading: NameReading,
        margin: Margin,
        reasons: tuple[str, ...],
        score: float | None = None,
    ) -> Suggestion:
        """A suggestion of a probe by geometry. Which of its shanks, only a name can say."""
        chosen, name = self.slots[slot], self.tracks.names[track]
        stream, shank, doubt = chosen.nameable(0)
        doubts: tuple[str, ...] = (doubt,) if doubt else ()
        if len(chosen.positions) > 1:
            said = [
                position
                for position in range(len(chosen.positions))
                if reading.shank is not None and chosen.physical_shank(position) == reading.shank
            ]
            if said:
                stream, shank, doubt = chosen.nameable(said[0])
                doubts = (doubt,) if doubt else ()
            elif stream != chosen.base:
                told = f"it is a shank of {chosen.words}; which one geometry cannot tell"
                return cannot_tell(name, [*reasons, told, *self.reasons(track, slot)])
            else:
                shank, doubts = None, ("which of its shanks, geometry cannot tell",)
        usable = usable_sortings(chosen.recording, stream)
        if len(usable) != 1:
            doubts = (*doubts, f"{len(usable)} usable sortings: choose" if usable else "no usable sorting has it")
        found = score if score is not None else MOST_BY_GEOMETRY * (1.0 - exp(-margin.loss / 2.0))
        return Suggestion(
            track=name,
            assignment=Assignment(
                track=name,
                recording=chosen.recording.name,
                sorting=usable[0].asset.name if len(usable) == 1 else "",
                stream=stream,
                shank=shank,
                surface=chosen.recording.surface or "",
            ),
            score=round(found * DOUBT ** len(doubts), 3),
            certain=False,
            reasons=(*reasons, *self.reasons(track, slot), *doubts),
            margin=round(margin.loss, 2),
            runner_up=self._runner_up(margin),
            evidence=self._evidence(track, slot),
        )

    # --- words ------------------------------------------------------------------------------------

    def _runner_up(self, margin: Margin) -> str:
        return self.slots[margin.runner_up].words if margin.runner_up is not None else ""

    def _evidence(self, track: int, slot: int) -> dict[str, float]:
        kinds = self.judged.evidence.kinds
        return {kind: round(float(table[track, slot]), 2) for kind, table in kinds.items() if table[track, slot]}

    def reasons(self, track: int, slot: int) -> list[str]:
        """What geometry says of a pair, in words and numbers."""
        return [words for _, words in self._words(track, slot)]

    def _words(self, track: int, slot: int) -> list[tuple[str, str]]:
        """What every kind says of a pair, in words and numbers."""
        found, chosen, told = [], self.slots[slot], self.judged.evidence
        away = told.away_um[track]
        if np.isfinite(away[slot]):
            others = np.delete(away, slot)
            others = others[np.isfinite(others)]
            beside = f"; next best {others.min() / 1e3:.1f} mm" if len(others) else ""
            found.append(("aim", f"{away[slot] / 1e3:.1f} mm from {chosen.plan.words}{beside}"))
        if np.isfinite(told.turned_deg[track, slot]):
            found.append(("angle", f"turned by {told.turned_deg[track, slot]:.0f} degrees from its manipulator"))
        if np.isfinite(told.ratio[track, slot]):
            share = told.ratio[track, slot] / told.scale.scale
            found.append(("length", f"{share:.2f} times as long as its insertion, the brain's size taken out"))
        if told.kinds["span"][track, slot]:
            found.append(("span", "all its electrodes would lie above the track"))
        side = told.kinds["side"][track, slot]
        if side:
            found.append(("side", f"on {'the' if side > 0 else 'the other'} side of its target"))
        group = self.tracks.group[track]
        if group is not None and len(self.tracks.groups[group].tracks) >= 3:
            size, shanks = len(self.tracks.groups[group].tracks), len(chosen.positions)
            have = f"the probe has {shanks} shank{'s' if shanks > 1 else ''}"
            found.append(("group", f"one of {size} parallel tracks a shank's distance apart; {have}"))
        return found


def _without_collisions(found: list[Suggestion]) -> tuple[Suggestion, ...]:
    """Make suggestions for the same stream and shank uncertain, each naming the others."""
    claims: dict[tuple[str, str, int | None], list[str]] = {}
    for suggestion in found:
        if suggestion.assignment is not None:
            claims.setdefault(_claim(suggestion.assignment), []).append(suggestion.track)
    checked = []
    for at, suggestion in enumerate(found):
        rivals = claims[_claim(suggestion.assignment)] if suggestion.assignment is not None else []
        if len(rivals) > 1:
            others = ", ".join(other.track for i, other in enumerate(found) if i != at and other.track in rivals)
            suggestion = replace(
                suggestion,
                certain=False,
                score=round(suggestion.score * DOUBT, 3),
                reasons=(*suggestion.reasons, f"also claimed by {others}"),
            )
        checked.append(suggestion)
    return tuple(checked)


def _claim(assignment: Assignment) -> tuple[str, str, int | None]:
    return assignment.recording, assignment.stream, assignment.shank
