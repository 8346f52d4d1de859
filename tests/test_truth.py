"""A small form of `make truth`: mistakes are caught, right mappings are left alone, certain suggestions are right."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import truth
import truth_mice
from truth import EVERY, TUNING, Figures, judge, judge_batch, page
from truth_mistakes import BY_AIM, KINDS, ONLY_TOLD
from truth_ranges import RANGES, ranges_with

MICE = 18


@pytest.fixture(scope="module")
def figures() -> Figures:
    return judge(range(TUNING, TUNING + MICE))


def test_few_right_mappings_are_blamed(figures):
    assert figures.mice >= MICE - 2
    assert figures.blamed <= 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shank order mirrored" and kind not in ONLY_TOLD])
def test_most_mistakes_that_metadata_reveals_are_caught(figures, kind):
    planted = figures.planted[kind, "revealed"]
    assert planted >= 3
    assert figures.caught[kind, "revealed"] >= 0.8 * planted


def test_a_mirrored_order_of_shanks_is_seen_by_names_alone(figures):
    assert figures.planted["shank order mirrored", "no metadata"] >= 2
    assert figures.caught["shank order mirrored", "no metadata"] == 0
    assert figures.caught["shank order mirrored", "revealed"] == figures.planted["shank order mirrored", "revealed"]


def test_certain_suggestions_are_many_and_right(figures):
    certain = sum(figures.suggested[names, "certain"] for names in ("telling", "silent", "swapped"))
    right = sum(figures.suggested[names, "certain and right"] for names in ("telling", "silent", "swapped"))
    assert certain > 0.5 * figures.suggested["telling", "tracks"]
    assert right >= 0.99 * certain
    assert figures.suggested["silent", "certain"] == 0


def test_most_suggestions_without_names_are_right(figures):
    likely = figures.suggested["silent", "likely"]
    assert likely > 20
    assert figures.suggested["silent", "likely and right"] >= 0.9 * likely


def test_the_page_gives_a_row_for_every_kind(figures):
    written = page(figures, "make truth")
    assert all(f"| {kind} |" in written for kind in KINDS)
    assert f"{figures.mice} mice" in written


def test_a_mouse_is_the_same_for_the_same_seed():
    one, again = truth_mice.make_mouse(7), truth_mice.make_mouse(7)
    assert one.rows == again.rows
    assert one.layers == again.layers
    assert truth_mice.make_mouse(8).layers != one.layers


def test_probes_recorded_in_part_name_their_own_shanks_and_the_sorter_counts():
    mice = list(map(truth_mice.make_mouse, range(20)))
    partial = [
        (mouse, each) for mouse in mice for each in mouse.insertions if each.kind == "four" and len(each.rows) < 4
    ]
    assert len(partial) > 3
    for mouse, each in partial:
        assert tuple(mouse.rows[row].histology_shank for row in each.rows) == each.shanks
        assert len(each.tracks) == len(each.shanks)
        recording = next(r for r in mouse.subject.recordings if mouse.rows[each.rows[0]].recording == r.name)
        (stream,) = (s for s in recording.sortings[0].streams if s.token == each.probe)
        if len(each.shanks) > 1:
            assert stream.shanks == each.shanks
            assert [stream.group_of(shank) for shank in each.shanks] == list(range(len(each.shanks)))


def test_a_mouse_is_otherwise_the_same_whatever_its_probes_recorded():
    all_four = replace(truth_mice.RANGES, four_shanks_share=1.0)
    whole, partial = (truth_mice.make_mouse(3, replace(all_four, recorded_in_part=share)) for share in (0.0, 1.0))
    assert partial.layers.keys() < whole.layers.keys()
    assert all(partial.layers[name] == whole.layers[name] for name in partial.layers)


def test_a_planted_mistake_changes_the_mapping_or_what_it_names():
    mouse = next(m for m in map(truth_mice.make_mouse, range(50)) if m.subject.recordings and len(m.rows) > 10)
    for number, (kind, plant) in enumerate(KINDS.items()):
        planted = plant(mouse, np.random.default_rng([1, number]))
        if planted is not None:
            changed = planted.mouse
            assert planted.rows, kind
            assert (changed.rows, changed.layers, changed.subject) != (mouse.rows, mouse.layers, mouse.subject), kind


def test_a_mouse_with_its_registration_and_image_is_hardly_blamed(figures):
    assert figures.placed_blamed <= 2
    assert figures.seen == sum(seed % EVERY == 0 for seed in range(TUNING, TUNING + MICE))
    assert figures.seen_blamed <= 1
    assert figures.tissue["in", "tracks"] > 20
    assert figures.tissue["in", "warned"] <= 1


@pytest.mark.parametrize("kind", BY_AIM)
def test_the_registration_hides_no_mistake(figures, kind):
    planted = figures.planted[kind, "in the atlas"]
    assert planted >= 3
    assert figures.caught[kind, "in the atlas"] >= 0.9 * planted


@pytest.mark.parametrize("kind", ONLY_TOLD)
def test_what_is_no_reason_to_stop_is_told(figures, kind):
    assert figures.planted[kind, "told"] >= MICE - 3
    assert figures.caught[kind, "told"] == figures.planted[kind, "told"]
    assert figures.caught[kind, "revealed"] == 0


def test_a_mistake_that_is_not_revealed_lacks_metadata_or_differs_by_too_little(figures):
    for kind in KINDS:
        groups = [figures.planted[kind, group] for group in ("revealed", "below the limit", "no metadata")]
        assert sum(groups) <= figures.mice
        assert sum(groups) >= 3, kind
    assert figures.planted["tip not drawn", "no metadata"] > 0
    assert figures.planted["wrong hemisphere", "below the limit"] > 0


def test_parts_of_a_cohort_make_the_whole():
    parts = [judge_batch(first, 2, RANGES) for first in (0, 2)]
    whole = judge_batch(0, 4, RANGES)
    assert {**vars(parts[0] + parts[1])} == vars(whole)


# --- ranges -----------------------------------------------------------------------------------------


def test_every_range_can_be_set():
    texts = [
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in vars(RANGES).items()
    ]
    assert ranges_with(texts) == RANGES
    changed = ranges_with(["tilt_deg=25", "sessions=2,3", "scale = 0.8,1.2", "habits=0,0,0,1"])
    assert (changed.tilt_deg, changed.sessions, changed.scale) == (25.0, (2, 3), (0.8, 1.2))
    assert changed.habits == (0.0, 0.0, 0.0, 1.0)
    mouse = truth_mice.make_mouse(3, changed)
    assert mouse.habit == "numbers"
    assert len({insertion.session for insertion in mouse.insertions}) in (2, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tilt=25", "there is no range 'tilt'; there are sessions"),
        ("tilt_deg", "'tilt_deg' is not name=value"),
        ("tilt_deg=steep", "tilt_deg is 1 number, not 'steep'"),
        ("tilt_deg=nan", "tilt_deg is 1 number, not 'nan'"),
        ("tilt_deg=-3", "tilt_deg is at least 0"),
        ("sessions=2", "sessions is 2 whole numbers with commas, not '2'"),
        ("sessions=1.5,2", "sessions is 2 whole numbers with commas"),
        ("sessions=0,2", "sessions is at least 1"),
        ("sessions=1,40", "sessions are 20 at most"),
        ("probes=1,9", "probes are 6 at most"),
        ("scale=1.2,0.8", "scale is lowest and highest"),
        ("aims_missing=1.5", "aims_missing is a share of 0 to 1"),
        ("split_share=0.8", "together more than 1"),
        ("habits=0.5,0.5,0.5,0.5", "habits are shares"),
    ],
)
def test_a_range_that_cannot_be_is_refused_with_what_is_expected(text, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        ranges_with([text])


def test_the_command_refuses_a_wrong_range(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["truth.py", "--set", "tilt_deg=steep"])
    with pytest.raises(SystemExit):
        truth.main()
    assert "--set: tilt_deg is 1 number, not 'steep'" in capsys.readouterr().err


def test_the_page_tells_the_ranges_that_were_set(figures):
    written = page(figures, "make truth TRUTH='--set tilt_deg=25'", ranges_with(["tilt_deg=25"]))
    assert "| `tilt_deg` | 25.0 |" in written
    assert "--set tilt_deg=25" in written
