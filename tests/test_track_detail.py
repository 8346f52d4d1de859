"""The words below the table: how sure a suggestion is, what comes next, what geometry says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_session_state import session

from core.models import Assignment, Suggestion
from dashboard.track_detail import detail, sure, times, weighed

BY_NAME = Suggestion("one", Assignment("one", "r", "s", "ProbeB"), 0.8, False, ("token B is ProbeB",))
BY_ALL = replace(
    BY_NAME,
    certain=True,
    margin=2.0,
    runner_up="ProbeA of 2024-11-07",
    evidence={"side": 0.5, "aim": 3.0, "angle": -1.0},
)


def test_a_name_alone_says_that_nothing_else_was_compared():
    assert sure(BY_NAME) == " · not certain, by its name alone"
    assert weighed(BY_NAME) == ""


def test_the_margin_names_the_runner_up_and_geometry_both_sides_strongest_first():
    assert sure(BY_ALL) == " · certain, 7.4 times as likely as the next best: ProbeA of 2024-11-07"
    assert weighed(BY_ALL) == (
        "Geometry makes it more likely by distance to the target 20 times, hemisphere 1.6 times; "
        "less likely by angles 2.7 times"
    )


def test_what_cannot_be_told_is_said_with_what_came_near():
    nothing = replace(BY_ALL, assignment=None, certain=False, evidence={})
    assert sure(nothing) == " · best by little, before ProbeA of 2024-11-07"
    view = session("one")
    view.select_row(view.rows[0].id)
    view.opened = replace(view.opened, suggestions=(replace(nothing, track="one"),))
    assert "Cannot tell" in detail(view)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "1.0 times"), (2.4, "11 times"), (7.0, "over 1000 times"), (800.0, "over 1000 times")]
)
def test_times(value, words):
    assert times(value) == words


def test_names_of_layers_are_text():
    view = session("<b>bold</b>")
    view.select_row(view.rows[0].id)
    view.opened = replace(view.opened, suggestions=(replace(BY_ALL, track="<b>bold</b>", runner_up="<i>x</i>"),))
    assert "<b>bold" not in detail(view)
    assert "<i>" not in detail(view)
