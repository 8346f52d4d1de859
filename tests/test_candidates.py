"""Candidates side by side: judged as the suggestions are, ranked, the row's own pair always among them."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import pytest
import truth_mice as t
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checks_geometry import KNOWN

from core.models import Assignment
from core.suggestions import suggest
from core.suggestions.candidates import MOST, other_probes, other_tracks
from core.suggestions.door import weigh_mouse


@pytest.fixture(scope="module")
def mouse():
    made = t.make_mouse(3, KNOWN)
    return made, weigh_mouse(made.state(), made.subject), suggest(made.state(), made.subject)


def row_of(suggestion) -> Assignment:
    return suggestion.assignment or Assignment(suggestion.track)


def test_what_is_suggested_without_a_rival_is_the_best_candidate(mouse):
    _, weighed, suggestions = mouse
    clear = [each for each in suggestions if each.assignment and each.margin and each.margin > 4.0]
    assert clear
    for each in clear:
        found = other_probes(weighed, each.assignment)
        assert found[0].is_own
        assert found[0].assignment == each.assignment
        assert {kind: value for kind, value in found[0].evidence.items() if kind != "name"} == each.evidence
        assert set(found[0].reasons) & set(each.reasons)
        tracks = other_tracks(weighed, each.assignment)
        own = next(track for track in tracks if track.is_own)
        assert own.score > tracks[0].score - 1.0, "but for the shanks of one probe, which nothing tells apart"


def test_candidates_are_ranked_and_the_rows_own_pair_is_among_them_however_bad(mouse):
    made, weighed, suggestions = mouse
    right = next(row_of(each) for each in suggestions if each.margin and each.margin > 4.0)
    for other in (each.assignment for each in suggestions if each.assignment and each.track != right.track):
        wrong = replace(other, track=right.track)
        for found in (other_probes(weighed, wrong), other_tracks(weighed, wrong)):
            assert 1 <= len(found) <= MOST
            assert [each.is_own for each in found].count(True) == 1
            ranked = [each.score for each in found if not each.is_own]
            assert ranked == sorted(ranked, reverse=True)
            own = next(each for each in found if each.is_own)
            assert (own.assignment.track, own.assignment.stream) == (right.track, other.stream)
    assert len(made.state().tracks) > 2


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 40))
def test_whatever_the_mouse_each_list_names_everything_once_and_tells_why(seed):
    made = t.make_mouse(seed)
    weighed = weigh_mouse(made.state(), made.subject)
    assert weighed is not None
    for name in made.layers:
        found = other_probes(weighed, Assignment(name))
        assert len({each.probe for each in found}) == len(found) == min(MOST, len(weighed.slots))
        assert found == other_probes(weighed, Assignment(name))
        for each in found:
            assert each.reasons
            assert each.score == pytest.approx(sum(each.evidence.values()), abs=0.06)
        tracks = [each.assignment.track for each in other_tracks(weighed, found[0].assignment)]
        assert len(set(tracks)) == len(tracks) == min(MOST, len(made.layers))


def test_the_shank_is_filled_in_only_where_something_tells_it():
    subject = b.make_subject()
    state = b.make_state("B1_shank2", "268")
    weighed = weigh_mouse(state, subject)
    assert weighed is not None
    told = next(each for each in other_probes(weighed, Assignment("B1_shank2")) if "ProbeB" in each.probe)
    assert (told.assignment.stream, told.assignment.shank) == ("ProbeB", 1)
    assert "its name says so" in told.reasons
    silent = next(each for each in other_probes(weighed, Assignment("268")) if "ProbeB" in each.probe)
    assert silent.assignment.shank is None
    assert "which of its shanks, nothing tells" in silent.reasons


def test_a_row_without_a_place_has_no_other_tracks_and_a_track_that_is_gone_no_probes():
    weighed = weigh_mouse(b.make_state("one"), b.make_subject())
    assert weighed is not None
    assert other_tracks(weighed, Assignment("one")) == ()
    assert other_tracks(weighed, Assignment("one", recording="gone", stream="ProbeA")) == ()
    assert other_probes(weighed, Assignment("gone")) == ()
    found = other_probes(weighed, Assignment("one"))
    assert not any(each.is_own for each in found)
    assert all(each.reasons for each in found)
