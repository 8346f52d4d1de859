"""Candidates beside each other: the score and reasons of each, and one press to take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import panel as pn
import panel.ui as pmui

from core.same_probe import place_of
from core.suggestions.candidates import MOST, Candidate
from dashboard import text
from dashboard.text import Markup, tag
from dashboard.theme import CSS, GREY
from dashboard.track_detail import times
from dashboard.turns import next_turn
from dashboard.unrolled_source import Source


@dataclass(frozen=True, slots=True)
class Drawable:
    """A candidate with what its picture needs."""

    candidate: Candidate
    source: Source

    @property
    def undrawn(self) -> str:
        """What stands where contacts and units cannot be drawn; "" where they can."""
        mine = self.candidate.assignment
        if self.source.recording is None or not mine.stream:
            return ""
        shank_open = place_of(mine, self.source.places) is None
        return "shank open" if shank_open else "" if self.source.sorting else "no sorting"


def name_of(candidate: Candidate, *, tracks: bool) -> str:
    """What a candidate is called: its track, or its probe with the shank where one is told."""
    shank = candidate.assignment.shank
    return candidate.assignment.track if tracks else candidate.probe + ("" if shank is None else f", shank {shank + 1}")


def score_words(candidate: Candidate, best: float) -> str:
    """`score 8.4`, and how much less likely it is than the best."""
    behind = best - candidate.score
    return f"score {candidate.score:.1f}" + (f", {times(behind)} less likely than the best" if behind >= 0.05 else "")


class CandidateCards:
    """As many cards as there are candidates, each with its button.

    Args:
        use: Takes a candidate.
    """

    def __init__(self, use: Callable[[Candidate], None]) -> None:
        self._use = use
        self._shown: tuple[Candidate, ...] = ()
        self._words = [text.pane(Markup(""), [CSS], margin=(0, 6)) for _ in range(MOST)]
        self.buttons = [
            pmui.Button(label="Use this", size="small", variant="outlined", margin=(2, 6), align="center")
            for _ in range(MOST)
        ]
        for at, button in enumerate(self.buttons):
            button.on_click(lambda _, at=at: next_turn(partial(self._press, at)))
        self._cards = [
            pn.Row(button, words, margin=(0, 0, 6, 0), sizing_mode="stretch_width", visible=False)
            for button, words in zip(self.buttons, self._words, strict=True)
        ]
        self.note = text.pane(Markup(""), [CSS], margin=(0, 10))
        self.view = pn.Column(self.note, *self._cards, min_width=240, sizing_mode="stretch_width", margin=0)

    def show(self, candidates: Sequence[Candidate], colors: Mapping[str, str], *, tracks: bool) -> None:
        """Show these, in their order, each called by its track or by its probe."""
        self._shown = tuple(candidates)
        best = max((each.score for each in candidates), default=0.0)
        for at, card in enumerate(self._cards):
            card.visible = at < len(candidates)
            if at >= len(candidates):
                continue
            each = candidates[at]
            color, name = colors.get(each.assignment.track, GREY), name_of(each, tracks=tracks)
            text.show(self._words[at], _card(each, color, name, best))
            button = self.buttons[at]
            button.param.update(disabled=each.is_own, label="Mapped" if each.is_own else "Use this")

    def say(self, words: str) -> None:
        """One sentence above the cards; "" for none."""
        text.show(self.note, tag("p", words, cls="dim", role="status") if words else Markup(""))

    def _press(self, at: int) -> None:
        if at < len(self._shown):
            self._use(self._shown[at])


def _card(candidate: Candidate, color: str, head: str, best: float) -> Markup:
    swatch = tag("span", cls="swatch", style=f"--c:{color}")
    title = tag("div", swatch, tag("strong", head), tag("span", score_words(candidate, best), cls="dim num"), cls="row")
    return tag("div", title, tag("div", "; ".join(candidate.reasons), cls="dim"))
