"""What a check measured and what it was held against stand in every problem, and its limits are settings."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import numpy as np
import pytest
from test_checks import BROKEN, SURFACES, World, on_recording, on_sorting, on_subject, points, put, world
from test_checks_geometry import find, problems, with_contacts, with_target

from core.checks import check_mapping
from core.checks.thresholds import Thresholds
from core.models import Problem, Role, Severity, SortingStatus

BRAIN_DAY = "2024-12-01"


def of(changed: World, rule: str, limits: Thresholds | None = None) -> list[Problem]:
    state = b.make_state(*changed.layers.values(), images=changed.images, stem=changed.stem)
    found = check_mapping(changed.rows, state=state, subject=changed.subject, limits=limits or Thresholds())
    return [each for each in found if each.rule == rule]


def two_sortings(w: World) -> None:
    """Rows of one recording from two sortings."""
    second = b.sorting(f"{b.DAY1}_sorted_2024-11-20_01-00-00", b.stream("ProbeA"))
    on_subject(
        lambda s: replace(
            s, recordings=(replace(s.recordings[0], sortings=(*s.recordings[0].sortings, second)), *s.recordings[1:])
        )
    )(w)
    w.rows[0] = replace(w.rows[0], sorted_recording=second.asset.name)


CASES = {
    **{f"R5 {name}": (change, "R5") for name, change in SURFACES.items()},
    "R5 missing": (BROKEN["48 surface recording missing"][0], "R5"),
    "R5 its own": (lambda w: put(rows=[replace(r, surface_finding=b.DAY1) for r in w.rows])(w), "R5"),
    "R5 mapped": (on_recording(b.DAY1, role=Role.SURFACE), "R5"),
    "R5 no time": (on_recording(b.SURFACE1, start=""), "R5"),
    "R6 failed": (on_sorting(status=SortingStatus.ERROR, reason="CUDA"), "R6"),
    "R6 another session": (on_recording(b.DAY1, raw=b.asset(b.DAY2)), "R6"),
    "R6 two sortings": (two_sortings, "R6"),
    "R1 a stream": (lambda w: put(rows=w.rows[1:])(w), "R1"),
    "R1 a recording": (lambda w: None, "R1"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_problem_of_a_recording_says_what_was_found_and_what_should_be(case):
    change, rule = CASES[case]
    odd = world()
    change(odd)
    found = of(odd, rule)
    assert found
    assert all(each.measured is not None and each.threshold is not None for each in found), found


def test_two_sortings_of_one_recording_are_counted():
    odd = world()
    two_sortings(odd)
    confirms = [each for each in of(odd, "R6") if each.severity is Severity.CONFIRM]
    assert [(each.measured, each.threshold) for each in confirms] == [(2, 1)]


# --- limits that are settings ---------------------------------------------------------------------


def test_how_many_points_a_line_needs_is_a_setting():
    odd = world()
    points("probeA", b.line_points(count=3))(odd)
    assert [each.severity for each in of(odd, "T1")] == [Severity.WARNING]
    (found,) = of(odd, "T1", Thresholds(fewest_points=4))
    assert (found.severity, found.threshold) == (Severity.ERROR, 4)


def test_how_alike_two_scales_must_be_is_a_setting():
    odd = world()
    space = b.space(um={"x": 1.81, "y": 1.8, "z": 2.0})
    source = {"url": "local://annotations", "transform": {"outputDimensions": space}}
    odd.layers["probeA"] |= {"source": source}
    assert of(odd, "N10")
    assert not of(odd, "N10", Thresholds(same_scale=0.01))


def test_how_well_shanks_must_stand_in_a_row_to_tell_the_brains_size_is_a_setting():
    mouse, probe = find("four")
    too_deep = with_target(mouse, probe, depth_um=3.0 * probe.depth_um)
    alone = replace(too_deep, rows=tuple(mouse.rows[row] for row in probe.rows))

    def told(**limits: float) -> str:
        return problems(alone, "T6", limits=Thresholds(**limits))[0].message

    assert "size 1.00" in told(shank_row_um=0.001), "nothing tells the size"
    assert "size 1.00" not in told()


# --- one track ------------------------------------------------------------------------------------


def test_points_clicked_twice_are_worth_knowing():
    odd = world()
    twice = b.line_points()
    twice.insert(4, [twice[3][0] + 1.0, *twice[3][1:]])
    points("probeA", twice)(odd)
    (found,) = of(odd, "T4")
    assert (found.severity, found.measured, found.threshold) == (Severity.INFO, "2 points", "5 um apart")
    assert not of(odd, "T4", Thresholds(same_point_um=1.5))
    assert not of(world(), "T4")


def test_a_bent_track_is_told_by_its_farthest_point_its_rms_and_the_variance_along_it():
    odd = world()
    bent = b.line_points(count=20)
    bent[10][1] += 600.0
    points("probeA", bent)(odd)
    (found,) = of(odd, "T2")
    um = np.array(bent)[:, :3] * [2.0, 1.8, 1.8]
    spread = np.linalg.svd(um - um.mean(axis=0), compute_uv=False) ** 2
    rms, explained = np.sqrt(spread[1:].sum() / len(um)), spread[0] / spread.sum()
    assert f"{rms:.1f} um RMS, {explained:.1%} explained" in str(found.measured)
    assert f"{rms:.0f} um (RMS)" in found.message
    assert found.threshold in (150, 500)


def test_the_cure_of_a_track_in_no_order_says_by_what_to_sort():
    odd = world()
    points("probeA", b.line_points()[::-1])(odd)
    (found,) = of(odd, "T3")
    assert "by rising z" in found.cure, "the z of this image goes down"
    odd.subject = None
    points("probeA", [b.line_points()[i] for i in (0, 5, 2, 8, 1, 11)])(odd)
    (found,) = of(odd, "T3")
    assert "from the surface to the tip" in found.cure


def test_contacts_out_of_the_brain_are_worth_knowing():
    mouse, probe = find("one")
    above = problems(with_contacts(mouse, probe, 0.0, 9_000.0), "T7")
    (found,) = [each for each in above if each.where.row in probe.rows]
    assert found.severity is Severity.INFO
    assert "out of the brain" in found.message
    assert float(found.measured) > float(found.threshold)
    as_deep = problems(with_contacts(mouse, probe, 0.0, probe.depth_um - 500.0), "T7")
    assert not [each for each in as_deep if each.where.row in probe.rows]


# --- a recording ----------------------------------------------------------------------------------


def test_a_recording_after_the_brain_was_imaged_is_warned_with_both_days():
    odd = world()
    on_recording(b.DAY1, start="2024-12-05 10:00:00")(odd)
    (found,) = of(odd, "R7")
    assert found.severity is Severity.WARNING
    assert (found.measured, found.threshold) == ("2024-12-05", BRAIN_DAY)
    assert not of(world(), "R7")
