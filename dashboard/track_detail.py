"""What is known of the selected track: its suggestion, how sure it is, and what speaks for and against it."""

from __future__ import annotations

from math import exp

from core.models import Suggestion
from dashboard import text
from dashboard.assignment_table import suggested_place
from dashboard.state import Session
from dashboard.text import Markup, tag

KINDS = {
    "aim": "distance to the target",
    "angle": "angles",
    "length": "length against depth",
    "span": "recorded span",
    "side": "hemisphere",
    "group": "shanks side by side",
}


def detail(session: Session) -> Markup:
    """The selected track: its points, and why its suggestion is what it is."""
    opened = session.opened
    layer = next((layer for layer in opened.state.tracks if layer.name == session.track), None) if opened else None
    if opened is None or layer is None:
        return tag("p", "Select a track in the table, in a plot or by a problem: it is marked everywhere.", cls="dim")
    swatch = tag("span", cls="swatch", style=f"--c:{opened.colors[layer.name]}")
    head = tag(
        "div",
        swatch,
        tag("h3", f"Track {layer.name}"),
        tag("span", text.count(len(layer.points), "point"), cls="dim num"),
        cls="row",
    )
    proposal = session.suggestion(layer.name)
    if proposal is None:
        return tag("div", head, tag("p", "No suggestion.", cls="dim"))
    place = suggested_place(opened.subject, proposal) or "Cannot tell"
    told = tag("p", tag("strong", place), tag("span", sure(proposal), cls="dim"))
    listed = [*proposal.reasons, *filter(None, [weighed(proposal)])]
    return tag("div", head, told, tag("ul", *(tag("li", words) for words in listed)) if listed else "")


def sure(proposal: Suggestion) -> str:
    """How sure a suggestion is, and what would be next; "" where there is nothing to say."""
    if proposal.assignment is None:
        return f" · best by little, before {proposal.runner_up}" if proposal.runner_up else ""
    certain = " · certain" if proposal.certain else " · not certain"
    if proposal.margin is None:
        return f"{certain}, by its name alone"
    following = proposal.runner_up or "none of the probes"
    return f"{certain}, {times(proposal.margin)} as likely as the next best: {following}"


def weighed(proposal: Suggestion) -> str:
    """How much each kind of geometry says, the strongest first; "" where geometry says nothing."""
    strongest = sorted(proposal.evidence.items(), key=lambda item: -abs(item[1]))
    for_it = [f"{KINDS.get(kind, kind)} {times(value)}" for kind, value in strongest if value > 0]
    against = [f"{KINDS.get(kind, kind)} {times(-value)}" for kind, value in strongest if value < 0]
    sides = (("more", for_it), ("less", against))
    told = [f"{side} likely by {', '.join(words)}" for side, words in sides if words]
    return f"Geometry makes it {'; '.join(told)}" if told else ""


def times(log_odds: float) -> str:
    """A logarithm of odds of 0 or more, as people say it: `20 times`."""
    if log_odds > 6.9:
        return "over 1000 times"
    return f"{exp(log_odds):.0f} times" if log_odds > 2.3 else f"{exp(log_odds):.1f} times"
