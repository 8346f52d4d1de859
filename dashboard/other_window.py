"""What is said and offered when the mapping that is open here was changed in another window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo

import panel as pn
import panel.ui as pmui

from core.models import Assignment
from dashboard import text
from dashboard.drafts import Drafts, Elsewhere
from dashboard.edits import Row
from dashboard.header import BANNER_CSS
from dashboard.state import Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.turns import next_turn
from jobs.clock import utc_now


class OtherWindow:
    """A banner with the choice between two windows' mappings; hidden while there is none.

    Args:
        session: Whose mapping is shown here.
        drafts: Where it is kept, and where the other one was found.
        zone: The viewer's time zone; None when unknown.
    """

    def __init__(self, session: Session, drafts: Drafts, zone: Callable[[], tzinfo | None]) -> None:
        self._session, self._drafts, self._zone = session, drafts, zone
        self.words = text.pane(Markup(""), [CSS, BANNER_CSS], margin=0)
        self.take = pmui.Button(label="Show that mapping", size="small", variant="contained", margin=(4, 5))
        self.keep = pmui.Button(label="Keep this one", size="small", variant="outlined", margin=(4, 5))
        self.take.on_click(lambda _: next_turn(self.take_theirs))
        self.keep.on_click(lambda _: next_turn(self.keep_mine))
        self.view = pn.Column(
            self.words, pn.Row(self.take, self.keep, margin=0), visible=False, sizing_mode="stretch_width", margin=0
        )

    def look(self) -> None:
        """Bring the banner to what the last look at the store found."""
        found = self._drafts.elsewhere
        if found is not None:
            self._session.saved = "draft not kept"
            text.show(self.words, said(found, self._session.rows, utc_now(), self._zone()))
        elif self._session.saved == "draft not kept":
            self._session.saved = "draft kept"
        self._session.contested = found is not None
        self.view.visible = found is not None

    def take_theirs(self) -> None:
        """Put the other window's rows here, as one change; undo brings this window's back."""
        found, opened = self._drafts.elsewhere, self._session.opened
        if found is not None and opened is not None:
            self._drafts.settle(opened)
            self._session.change(found.rows, "the mapping of another window")
        self.look()

    def keep_mine(self) -> None:
        """Go on with the rows shown here: the next look keeps them in place of the other window's."""
        if (opened := self._session.opened) is not None:
            self._drafts.settle(opened)
        self.look()


def said(found: Elsewhere, rows: Iterable[Row], now: datetime, zone: tzinfo | None) -> Markup:
    """When it was changed, and which tracks are mapped in another way there."""
    names = differing(found.rows, rows)
    tracks = f"{text.count(len(names), 'track')} mapped in another way there: {text.some(names)}. " if names else ""
    when = f" ({text.moment(found.saved, now, zone)})" if found.saved else ""
    return tag(
        "div",
        tag("strong", f"▲ This mapping was changed in another window{when}. "),
        f"{tracks}Nothing that is changed here is kept until you choose. What you choose can be undone here.",
        cls="banner",
        role="alert",
    )


def differing(these: Iterable[Row], those: Iterable[Row]) -> tuple[str, ...]:
    """Tracks whose rows are not the same in both, in the order they come in."""
    mapped: list[dict[str, list[Assignment]]] = []
    for rows in (these, those):
        by_track: dict[str, list[Assignment]] = {}
        for row in rows:
            by_track.setdefault(row.assignment.track, []).append(row.assignment)
        mapped.append(by_track)
    one, other = mapped
    return tuple(track for track in {**one, **other} if one.get(track) != other.get(track))
