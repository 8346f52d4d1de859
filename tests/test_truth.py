"""A small form of `make truth`: mistakes are caught, right mappings are left alone, certain suggestions are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import truth_mice
from truth import TUNING, Figures, judge, page
from truth_mistakes import KINDS

MICE = 18


@pytest.fixture(scope="module")
def figures() -> Figures:
    return judge(range(TUNING, TUNING + MICE))


def test_few_right_mappings_are_blamed(figures):
    assert figures.mice >= MICE - 2
    assert figures.blamed <= 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shank order mirrored"])
def test_most_mistakes_that_metadata_reveals_are_caught(figures, kind):
    planted = figures.planted[kind, "revealed"]
    assert planted >= 3
    assert figures.caught[kind, "revealed"] >= 0.8 * planted


def test_a_mirrored_order_of_shanks_is_seen_by_names_alone(figures):
    assert figures.planted["shank order mirrored", "not revealed"] >= 2
    assert figures.caught["shank order mirrored", "not revealed"] == 0
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
