"""Suggestions from layer names and geometry: what is certain, what is not, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations

import builders as b
import numpy as np
import pytest
import truth_mice
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import Role, SortingStatus, Subject, Suggestion
from core.suggestions import suggest
from core.suggestions.matching import margins, match


def one(name: str, subject: Subject | None = None) -> Suggestion:
    return suggest(b.make_state(name), subject or b.make_subject())[0]


CERTAIN = {
    "A_1107": (b.DAY1, "ProbeA", None),
    "a_1108": (b.DAY2, "ProbeA", None),
    "A1107": (b.DAY1, "ProbeA", None),
    "A20241107": (b.DAY1, "ProbeA", None),
    "A_110724": (b.DAY1, "ProbeA", None),
    "A1": (b.DAY1, "ProbeA", None),
    "Probe A day 2": (b.DAY2, "ProbeA", None),
    "day1_probeA": (b.DAY1, "ProbeA", None),
    "A 1107_shank1": (b.DAY1, "ProbeA", None),
    "B1_shank2": (b.DAY1, "ProbeB", 1),
    "B2S4": (b.DAY2, "ProbeB", 3),
    "20241108_Probe_B_Shank3": (b.DAY2, "ProbeB", 2),
    "45883-1": (b.DAY1, "45883-1", None),
    "20241107_45883-3_Shank3": (b.DAY1, "45883-3", None),
    "20241107_45883_Shank3": (b.DAY1, "45883-3", None),
    "19022222222 11-08 shank 1": (b.DAY2, "ProbeB", 0),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_a_name_that_says_all_is_certain(name):
    found = one(name)
    assert found.assignment is not None, found.reasons
    recording, stream, shank = CERTAIN[name]
    assert (found.assignment.recording, found.assignment.stream, found.assignment.shank) == (recording, stream, shank)
    assert found.assignment.sorting == {b.DAY1: b.SORT1, b.DAY2: b.SORT2}[recording]
    assert found.assignment.surface == {b.DAY1: b.SURFACE1, b.DAY2: ""}[recording]
    assert found.certain, found.reasons
    assert found.score == 1.0
    assert found.reasons[0].startswith("the name says ")


SILENT = [
    "268", "668_1_MD", "640-1", "PFC_1107", "CA1", "CA3_probe", "PFC2", "REF_1", "F1", "SmartSPIM_C2", "AB1107",
    "A_1332", "A0001", "A_01", "targets 2", "45883", "G1", "V1", "20241107", "Shank1", "ProbeA", "B_shank2",
    "A_1209", "A3", "A10", "20241107_45883",
]  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_name_that_does_not_say_enough_suggests_nothing_and_says_why(name):
    found = one(name)
    assert found.assignment is None
    assert (found.score, found.certain) == (0.0, False)
    assert found.reasons[0] == "cannot tell"
    assert len(found.reasons) > 1


DOUBTFUL = {
    "B_1107": "does not say which of the shanks 1, 2, 3, 4",
    "B_1107_shank0": "count shanks from 1",
    "A_1107_shank3": "ProbeA has one shank",
    "20241107_45883-1_Shank4": "45883-1 is shank 1 of its probe",
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubt_makes_a_suggestion_uncertain_and_is_said(name):
    found = one(name)
    assert found.assignment is not None
    assert not found.certain
    assert 0 < found.score < 1
    assert found.assignment.shank is None
    assert any(DOUBTFUL[name] in reason for reason in found.reasons), found.reasons


NEVER_CERTAIN = [
    "B_1107_shank1_probeA", "A_1107_1108", "A_1107_2023", "A_11-07-23", "B_1107_shank1_shank2", "B_1107 shank 1 or 2",
    "B_1107_shank1-4", "B_1107_s3_shank1", "day1 day2 ProbeA", "A1-A4", "A1_2", "A_1_13", "A1107(wrong)",
    "45883-1 not", "A 1107 B", "F1-F4", "A_1107 ?", "ProbeA_1107_ProbeC",
]  # fmt: skip


@pytest.mark.parametrize("name", NEVER_CERTAIN)
def test_a_name_that_contradicts_itself_or_holds_more_than_was_read_is_never_certain(name):
    found = one(name)
    assert not found.certain
    assert found.score <= 0.5


def test_days_count_days_with_main_recordings_not_surface_recordings():
    early = b.recording(f"ecephys_{b.MOUSE}_2024-11-06_09-00-00", probes=b.PROBES1, role=Role.SURFACE)
    again = b.recording(f"ecephys_{b.MOUSE}_2024-11-07_15-00-00", probes=(b.probe("ProbeZ"),))
    base = b.make_subject()
    subject = replace(base, recordings=(early, *base.recordings[:2], again, base.recordings[2]))
    found = one("A2", subject)
    assert found.assignment is not None
    assert found.assignment.recording == b.DAY2
    assert found.certain


def test_a_date_that_fits_two_years_fits_nothing_for_sure():
    last_year = b.recording(
        f"ecephys_{b.MOUSE}_2023-11-07_10-00-00",
        b.sorting(f"ecephys_{b.MOUSE}_2023-11-07_10-00-00_sorted_2023-11-09_01-00-00", b.stream("ProbeA")),
    )
    base = b.make_subject()
    subject = replace(base, recordings=(last_year, *base.recordings))
    found = one("A_1107", subject)
    assert found.assignment is None
    assert any("2023-11-07" in reason and "2024-11-07" in reason for reason in found.reasons)
    assert one("A_20231107", subject).certain


def test_several_usable_sortings_are_left_to_the_person():
    base = b.make_subject()
    second = b.sorting(f"{b.DAY2}_sorted_2024-11-20_01-00-00", b.stream("ProbeA"))
    failed = b.sorting(f"{b.DAY2}_sorted_2024-11-21_01-00-00", status=SortingStatus.ERROR, reason="CUDA error")
    day2 = base.recordings[2]
    two = replace(base, recordings=(*base.recordings[:2], replace(day2, sortings=(*day2.sortings, second, failed))))
    found = one("A_1108", two)
    assert found.assignment is not None
    assert (found.assignment.sorting, found.certain) == ("", False)
    assert "2 usable sortings: choose" in found.reasons

    one_left = replace(base, recordings=(*base.recordings[:2], replace(day2, sortings=(*day2.sortings, failed))))
    assert one("A_1108", one_left).certain


def test_a_failed_sorting_is_never_filled_in():
    base = b.make_subject()
    failed = b.sorting(b.SORT2, status=SortingStatus.ERROR, reason="CUDA error")
    subject = replace(base, recordings=(*base.recordings[:2], replace(base.recordings[2], sortings=(failed,))))
    found = one("A_1108", subject)
    assert found.assignment is not None
    assert (found.assignment.recording, found.assignment.sorting, found.certain) == (b.DAY2, "", False)
    assert any("CUDA error" in reason for reason in found.reasons)


def test_two_tracks_that_claim_one_shank_are_both_uncertain_and_name_each_other():
    found = suggest(b.make_state("A_1107", "A1", "B_1107_shank1"), b.make_subject())
    assert [each.certain for each in found] == [False, False, True]
    assert "also claimed by A1" in found[0].reasons
    assert "also claimed by A_1107" in found[1].reasons


def test_there_is_one_suggestion_per_track_in_order_and_none_for_landmarks():
    landmarks = [[500.0, 1000.0, 900.0, 0.0], [1500.0, 3000.0, 2900.0, 0.0], [800.0, 2500.0, 300.0, 0.0]]
    marks = b.layer_json("A_1107 targets", 0, points=landmarks)
    for at, name in enumerate(("CCant", "AntComMid", "LGN")):
        marks["annotations"][at]["description"] = name  # type: ignore[index]
    state = b.make_state("B_1108_shank1", marks, b.layer_json("old", 5, archived=True), "268")
    assert [each.track for each in suggest(state, b.make_subject())] == ["B_1108_shank1", "268"]


def test_reasons_say_why_other_recordings_were_left():
    assert any("another day: ProbeA of 2024-11-08" in reason for reason in one("A_1107").reasons)


def test_a_mouse_without_recordings_suggests_nothing():
    assert one("A_1107", Subject(b.MOUSE, "test")).assignment is None


# --- geometry -----------------------------------------------------------------------------------


KNOWN = replace(
    truth_mice.RANGES, sessions=(3, 3), probes=(4, 4), aims_missing=0, angles_missing=0, depths_missing=0,
    contacts_missing=0, probe_missing=0, names_swapped=0, four_shanks_share=0.2, split_share=0,
    habits=(0.0, 1.0, 0.0, 0.0),
)  # fmt: skip
NUMBERED = replace(KNOWN, habits=(0.0, 0.0, 0.0, 1.0))


def truth(mouse: truth_mice.Mouse) -> dict[str, tuple[str, str]]:
    return {row.histology_track_id: (row.sorted_recording, row.ephys_collection) for row in mouse.rows}


def said(found: Suggestion) -> tuple[str, str] | None:
    return None if found.assignment is None else (found.assignment.sorting, found.assignment.stream)


def test_names_and_geometry_that_agree_are_certain_with_numbers():
    mouse = truth_mice.make_mouse(2, KNOWN)
    found = suggest(mouse.state(), mouse.subject)
    assert all(each.certain and said(each) == truth(mouse)[each.track] for each in found)
    assert all(each.margin is not None and each.margin >= 3 for each in found)
    assert all(re.search(r"[\d.]+ mm from target T\d+; next best [\d.]+ mm", " ".join(e.reasons)) for e in found)
    assert all(each.evidence["aim"] > 0 for each in found)


@pytest.mark.parametrize("seed", range(4))
def test_numbered_tracks_are_proposed_by_geometry_but_never_certain(seed):
    mouse = truth_mice.make_mouse(seed, NUMBERED)
    found = suggest(mouse.state(), mouse.subject)
    proposed = [each for each in found if each.assignment is not None]
    assert len(proposed) > len(found) // 2
    assert [each.track for each in proposed if said(each) != truth(mouse)[each.track]] == []
    assert not any(each.certain for each in found)


def test_which_shank_a_numbered_track_is_geometry_does_not_say():
    mouse = truth_mice.make_mouse(1, replace(NUMBERED, four_shanks_share=1.0, recorded_in_part=0.0))
    proposed = [each for each in suggest(mouse.state(), mouse.subject) if each.assignment is not None]
    assert proposed
    assert {each.assignment.shank for each in proposed if each.assignment} == {None}
    assert all("which of its shanks, geometry cannot tell" in each.reasons for each in proposed)


@pytest.mark.parametrize("seed", range(4))
def test_two_tracks_that_carry_each_others_name_are_not_certain(seed):
    mouse = truth_mice.make_mouse(seed, replace(KNOWN, names_swapped=1.0, four_shanks_share=0))
    found = suggest(mouse.state(), mouse.subject)
    assert mouse.names_wrong
    assert [each.track for each in found if each.certain and said(each) != truth(mouse)[each.track]] == []


def test_without_plans_only_names_are_read():
    plain = replace(NUMBERED, aims_missing=1, angles_missing=1, depths_missing=1, contacts_missing=1)
    mouse = truth_mice.make_mouse(1, plain)
    assert all(each.assignment is None and each.reasons[0] == "cannot tell" for each in
               suggest(mouse.state(), mouse.subject))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_a_matching_is_one_to_one_and_no_exchange_of_two_is_better(tracks, places, rng):
    scores = np.array([[rng.uniform(-3, 3) for _ in range(places)] for _ in range(tracks)])
    found = match(scores)
    taken = [place for place in found.place.tolist() if place >= 0]
    assert len(taken) == len(set(taken))
    every = permutations(range(places + tracks), tracks) if tracks <= 3 else [tuple(range(places, places + tracks))]
    best = max(sum(scores[i, j] for i, j in enumerate(choice) if j < places) for choice in every)
    assert found.total >= best - 1e-9
    assert tracks > 3 or found.total == pytest.approx(best)


def test_a_margin_is_what_it_costs_to_go_elsewhere():
    scores = np.array([[5.0, 1.0], [4.0, 3.5]])
    first, second = margins(scores, np.array([0, 1]), match(scores))
    assert (first.loss, first.runner_up) == (pytest.approx(8.5 - 5.0), 1)
    assert (second.loss, second.runner_up) == (pytest.approx(3.5), None) or second.runner_up == 0
