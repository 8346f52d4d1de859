"""The recordings beside the pictures: one card each, whose tracks can be picked and whose facts unfold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from param.parameterized import Event

from core.models import Recording
from core.subjects.facts import Fact
from dashboard import text
from dashboard.picker import Picker
from dashboard.reading import Reading
from dashboard.recording_cards import CARD_CSS, FACTS, ROWS, Marks, cards
from dashboard.state import Opened, Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.turns import next_turn

ReadFacts = Callable[[Recording], Awaitable[tuple[Fact, ...]]]
"""Reads what a recording's files tell beyond what its gathering asked for.

Raises:
    PlatformError: they cannot be read now.
"""
_WAITS = tag("p", "Each appears here as soon as it is read.")


class CardsView:
    """A card for each recording of the opened mouse.

    Args:
        session: Whose mouse is shown.
        read_facts: Asked for a recording when its facts are unfolded; without it only what was gathered is told.
    """

    def __init__(self, session: Session, read_facts: ReadFacts | None = None) -> None:
        self._session = session
        self._unfolded: set[str] = set()
        self.facts = Reading(read_facts, _key, self.refresh)
        self.pane = text.pane(Markup(""), [CSS, CARD_CSS])
        self.picker = Picker(width=0, height=0, margin=0)
        self.picker.param.watch(self._picked, "picked")
        session.param.watch(lambda *_: next_turn(self.refresh), ["opened", "rows"])
        session.param.watch(lambda *_: self.refresh(), "track")
        self.refresh()

    def refresh(self) -> None:
        """Bring the cards to what the session holds."""
        opened: Opened | None = self._session.opened
        if opened is None:
            return
        if opened.subject and (opened.whole or opened.subject.recordings):
            unfolded = [each for each in opened.subject.recordings if each.name in self._unfolded]
            for recording in [each for each in unfolded if _key(each) in self.facts.failed]:
                trouble = self.facts.failed.pop(_key(recording))  # asked for again when it is unfolded again
                self._unfolded.discard(recording.name)
                unfolded.remove(recording)
                text.notify("warning", f"The facts of {recording.name} could not be read. {trouble}")
            facts = {each.name: self.facts.known.get(_key(each), ()) for each in unfolded}
            waits = frozenset(each.name for each in unfolded if self.facts.want([each]))
            marks = Marks(self._session.rows, opened.colors, self._session.track, facts, waits)
            text.show(self.pane, cards(opened.subject, marks))
        elif not opened.whole:
            text.show(self.pane, tag("div", tag("h2", "Reading the recordings"), _WAITS, cls="empty", role="status"))
        else:
            text.show(self.pane, tag("div", tag("h2", "No recordings to show"), tag("p", opened.note), cls="empty"))

    def _picked(self, event: Event) -> None:
        if len(event.new) == 3:
            self.pick(str(event.new[0]), str(event.new[1]))

    def pick(self, kind: str, value: str) -> None:
        """Do what a press on a card asks for; what is not on the cards any more is passed over.

        Args:
            kind: `ROWS` or `FACTS`.
            value: Ids of rows, of which one press after the other selects the next; or the number of a recording.
        """
        opened: Opened | None = self._session.opened
        if kind == ROWS:
            ids = [row.id for row in self._session.rows if row.id in value.split()]
            at = ids.index(self._session.row) + 1 if self._session.row in ids else 0
            if ids:
                self._session.select_row(ids[at % len(ids)])
        elif kind == FACTS and opened and opened.subject and value.isdecimal():
            for recording in opened.subject.recordings[int(value) : int(value) + 1]:
                self._unfolded ^= {recording.name}
            self.refresh()


def _key(recording: Recording) -> tuple[str, ...]:
    """A recording and what its facts are read from: while these are the same, so are the facts."""
    raw = [recording.raw.id] if recording.raw else []
    return (recording.name, *raw, *(sorting.asset.id for sorting in recording.sortings))
