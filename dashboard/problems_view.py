"""Every problem of the mapping in one list; a click goes to the row it is about."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import panel as pn

from core.models import Severity
from core.rules import RULES
from dashboard import text
from dashboard.state import Session
from dashboard.tables import COMPACT, DENSE, SIGNED, TITLED
from dashboard.text import Markup, tag
from dashboard.theme import CSS, SEVERITY_WORDS
from dashboard.turns import next_turn

_ORDER = list(Severity)


class ProblemsView:
    """The list of a session's problems, the worst first."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.counts = text.pane(Markup(""), [CSS])
        self.table = pn.widgets.Tabulator(
            frame(session),
            show_index=False,
            stylesheets=[COMPACT],
            height=190,
            sizing_mode="stretch_width",
            layout="fit_data_stretch",
            disabled=True,
            selectable=False,
            titles={"sign": "Kind", "rule": "Rule", "track": "Track", "message": "What", "cure": "Cure"},
            widths={"sign": 100, "rule": 60, "track": 175, "message": 540},
            formatters={"sign": SIGNED, "track": TITLED, "message": TITLED, "cure": TITLED},
            configuration=DENSE | {"placeholder": "No problems"},
        )
        # its line is kept free, so that nothing moves under the next press
        self.seen = text.pane(Markup(""), [CSS], min_height=22, margin=(0, 10))
        self.view = pn.Column(self.counts, self.table, self.seen, sizing_mode="stretch_width")
        self.table.on_click(lambda event: next_turn(lambda: self.jump(event.row)))
        session.param.watch(lambda *_: next_turn(self.refresh), ["opened", "checked"])
        self.refresh()

    def refresh(self) -> None:
        """Show the problems of the last check."""
        text.show(self.counts, counts(self._session))
        wanted = frame(self._session)
        if not wanted.equals(self.table.value):
            self.table.value = wanted

    def jump(self, position: int) -> None:
        """Select the row, or at least the track, that a problem in the list is about."""
        problems = ordered(self._session)
        if 0 <= position < len(problems):
            problem = problems[position]
            text.show(self.seen, seen_in(problem.rule))
            row_id = self._session.checked.row_id(problem)
            if row_id:
                self._session.select_row(row_id)
            elif problem.where.track:
                self._session.select_track(problem.where.track)


def seen_in(rule: str) -> Markup:
    """Which picture shows what a rule finds."""
    known = RULES.get(rule)
    picture = known.picture if known is not None else ""
    return tag("p", tag("strong", f"{rule} is seen in: "), picture, cls="dim") if picture else Markup("")


def ordered(session: Session) -> list[Any]:
    """The problems, the worst first, otherwise in the order of the check."""
    return sorted(session.checked.problems, key=lambda problem: _ORDER.index(problem.severity))


def frame(session: Session) -> pd.DataFrame:
    """One line per problem."""
    lines = []
    for problem in ordered(session):
        sign, word = SEVERITY_WORDS[problem.severity]
        row = session.find(session.checked.row_id(problem) or "")
        track = row.assignment.track if row else problem.where.track or ""
        cells = (f"{sign} {word}", problem.rule, track, problem.message, problem.cure)
        lines.append([text.plain(cell, 600) for cell in cells])
    return pd.DataFrame(lines, columns=["sign", "rule", "track", "message", "cure"], dtype="str")


def counts(session: Session) -> Markup:
    """`2 errors · 1 warning · 21 rows ok`."""
    if session.opened is None:
        return Markup("")
    if not session.opened.whole:
        return tag(
            "div", tag("h2", "Problems"), tag("span", "Checked when the whole mouse is read.", cls="dim"), cls="row"
        )
    found = Counter(problem.severity for problem in session.checked.problems)
    classes = {Severity.ERROR: "bad", Severity.CONFIRM: "warn", Severity.WARNING: "warn", Severity.INFO: "dim"}
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
    pills = []
    for severity in Severity:
        if number := found[severity]:
            noun = f"{number} to confirm" if severity is Severity.CONFIRM else text.count(number, words[severity])
            pills.append(tag("span", f"{SEVERITY_WORDS[severity][0]} {noun}", cls=f"pill {classes[severity]}"))
    touched = {
        session.checked.row_id(p)
        for p in session.checked.problems
        if p.severity in (Severity.ERROR, Severity.CONFIRM, Severity.WARNING)
    }
    fine = sum(row_id not in touched for row_id in session.checked.row_ids)
    pills.append(tag("span", f"✓ {text.count(fine, 'row')} ok", cls="pill good"))
    return tag("div", tag("h2", "Problems"), *pills, cls="row")
