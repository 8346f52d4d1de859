"""The Help page: what to do, in the order in which it is done, and what every rule means."""

from __future__ import annotations

import panel as pn

from core.rules import RULES
from dashboard import text
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS, SEVERITY_WORDS

_STEPS = (
    (
        "Give a state",
        "Paste a Neuroglancer link or a state’s JSON, upload its file, or pick one of the saved states. "
        "Layers that are no tracks are kept and named with the reason.",
    ),
    (
        "Look",
        "Tracks are drawn in image space in three projections and in 3-D, beside a card for every recording. "
        "Click a track in a plot, a row of the table or a problem: it is marked everywhere.",
    ),
    (
        "Decide",
        "For each track choose recording, sorting, stream and shank; a click opens a cell. "
        "“Accept certain” fills the rows whose names leave no doubt; Undo takes all of that back at once. "
        "A suggestion never decides by itself.",
    ),
    (
        "Read the problems",
        "Errors stop a launch. What is to be confirmed is asked for when you launch, and kept in the job. "
        "A click on a problem goes to its row.",
    ),
    ("Launch", "“What will run” shows the rows and inputs first. Pressing twice makes one job."),
    (
        "See it counted",
        "A job has succeeded when every row of the manifest has its files in the captured result. "
        "Anything less is called incomplete and says which rows are missing and why.",
    ),
)


def help_page() -> pn.Column:
    """The whole page."""
    steps = tag("ol", *(tag("li", tag("strong", title), tag("p", words)) for title, words in _STEPS))
    shanks = tag("p", "Shanks are shown from 1 (“1 of 4”); in CSV files they count from 0.", cls="dim")
    return pn.Column(
        text.pane(join([tag("h2", "How to map a mouse"), steps, shanks, tag("h2", "Rules"), rules_table()]), [CSS]),
        sizing_mode="stretch_width",
        max_width=1100,
    )


def _seen(picture: str) -> tuple[Markup, ...]:
    return (tag("div", f"Seen in: {picture.replace('*', '')}", cls="dim"),) if picture else ()


def rules_table() -> Markup:
    """Every rule with its severity, reason and cure."""
    lines = [
        tag(
            "tr",
            tag("td", rule.id),
            tag("td", f"{SEVERITY_WORDS[rule.severity][0]} {SEVERITY_WORDS[rule.severity][1]}"),
            tag("td", tag("strong", rule.title), tag("div", rule.why, cls="dim"), *_seen(rule.picture)),
            tag("td", rule.cure),
        )
        for rule in RULES.values()
    ]
    titles = tag("thead", tag("tr", *(tag("th", title) for title in ("Rule", "Kind", "What", "Cure"))))
    return tag("table", titles, tag("tbody", *lines))
