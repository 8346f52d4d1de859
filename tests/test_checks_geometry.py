"""Tracks against plans, electrodes and neighbouring shanks: each rule with its number, silent about what is unknown."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import numpy as np
import pytest
import truth_mice as t

from core.atlas_frames import Affine, AffineAtlas, PipelineFrame
from core.checks import check_mapping
from core.checks.thresholds import Thresholds
from core.contacts import RecordedContact
from core.models import Problem, Severity

KNOWN = replace(
    t.RANGES, sessions=(2, 2), probes=(4, 4), four_shanks_share=0.25, split_share=0.0, aims_missing=0, angles_missing=0,
    depths_missing=0, contacts_missing=0, probe_missing=0, surface_share=0, names_swapped=0, recorded_in_part=0,
    habits=(0.0, 0.0, 0.0, 1.0),
)  # fmt: skip


def find(wanted: str, ranges: t.Ranges = KNOWN) -> tuple[t.Mouse, t.Insertion]:
    """A mouse with a probe of a kind, and that probe."""
    for seed in range(40):
        mouse = t.make_mouse(seed, ranges)
        for each in mouse.insertions:
            if each.kind == wanted:
                return mouse, each
    raise AssertionError(wanted)


@pytest.fixture(scope="module")
def single() -> tuple[t.Mouse, t.Insertion]:
    return find("one")


@pytest.fixture(scope="module")
def four() -> tuple[t.Mouse, t.Insertion]:
    return find("four")


def problems(mouse: t.Mouse, rule: str, **more: object) -> list[Problem]:
    found = check_mapping(mouse.rows, state=mouse.state(), subject=mouse.subject, **more)  # type: ignore[arg-type]
    return [each for each in found if each.rule == rule]


def with_target(mouse: t.Mouse, probe: t.Insertion, **values: object) -> t.Mouse:
    """The probe's target tells something else."""
    recordings = tuple(
        replace(
            r,
            targets=tuple(
                replace(target, **values)  # type: ignore[arg-type]
                if target.probe == probe.probe and r.start.startswith(f"2024-11-{4 + probe.session:02d}")
                else target
                for target in r.targets
            ),
        )
        for r in mouse.subject.recordings
    )
    return replace(mouse, subject=replace(mouse.subject, recordings=recordings))


def with_points(mouse: t.Mouse, name: str, change) -> t.Mouse:
    """(n, 3) z, y, x of one track changed."""
    points = np.array([each["point"][:3] for each in mouse.layers[name]["annotations"]])
    layer = b.layer_json(name, points=[[*map(float, point), 0.0] for point in change(points)])
    return replace(mouse, layers=mouse.layers | {name: layer})


GEOMETRY = ("T6", "T7", "T10", "T11", "S2", "S3", "S4", "S5")


@pytest.mark.parametrize("rule", GEOMETRY)
def test_right_mice_are_not_blamed(single, four, rule):
    for mouse, _ in (single, four):
        assert not [each for each in problems(mouse, rule) if each.severity is not Severity.INFO]


def test_a_track_shorter_than_its_insertion_is_warned_with_both_lengths(single):
    mouse, probe = single
    found = problems(with_target(mouse, probe, depth_um=2.0 * probe.depth_um), "T6")
    assert [each.where.row for each in found] == list(probe.rows)
    assert found[0].severity is Severity.WARNING
    assert isinstance(found[0].measured, int)
    assert "um" in str(found[0].threshold)


def test_a_brain_that_shrank_as_a_whole_blames_nobody(single):
    mouse, _ = single
    for size in (0.85, 1.15):
        smaller = mouse
        for each in mouse.insertions:
            smaller = with_target(smaller, each, depth_um=each.depth_um * size)
        assert not problems(smaller, "T6")


def test_an_angle_that_no_common_tilt_explains_is_warned(single):
    mouse, probe = single
    arc, module = probe.target.angles_deg["arc"], probe.target.angles_deg["module"]
    turned = {"arc": arc + (45.0 if arc < 0 else -45.0), "module": module}
    found = problems(with_target(mouse, probe, angles_deg=turned), "T10")
    assert probe.rows[0] in [each.where.row for each in found]
    assert float(found[0].measured) > Thresholds().angle_deg


def test_angles_are_not_compared_where_fewer_than_three_are_known(single):
    mouse, _ = single
    for each in mouse.insertions[2:]:
        mouse = with_target(mouse, each, angles_deg={})
    for each in mouse.insertions[:2]:
        mouse = with_target(mouse, each, angles_deg={"arc": 80.0, "module": -80.0})
    assert not problems(mouse, "T10")


def test_an_aim_that_lies_elsewhere_is_warned_by_the_places_of_the_others(single):
    mouse, probe = single
    ml, ap, dv = probe.target.ccf_um_mlapdv
    found = problems(with_target(mouse, probe, ccf_um_mlapdv=(ml, ap + 4_000.0, dv)), "T11")
    assert [each.where.row for each in found] == [probe.rows[0]]
    assert found[0].measured > 2_000
    assert "as the" in found[0].message


def test_with_one_aim_only_its_side_is_checked(single):
    mouse, probe = single
    ml, ap, dv = probe.target.ccf_um_mlapdv
    for each in mouse.insertions:
        if each is not probe:
            mouse = with_target(mouse, each, ccf_um_mlapdv=None)
    assert not problems(with_target(mouse, probe, ccf_um_mlapdv=(ml, ap + 3_000.0, dv)), "T11")
    mirrored = with_target(mouse, probe, ccf_um_mlapdv=(2 * t.MIDLINE_ML_UM - ml, ap, dv))
    found = problems(mirrored, "T11")
    assert [each.where.row for each in found] == [probe.rows[0]]
    assert "of the midline" in found[0].message


def atlas_of(mouse: t.Mouse) -> AffineAtlas:
    """An atlas in which the image of an upright brain lies where it was planned."""
    middle_mm = np.array([7_200 * 1.8, 8_400 * 1.8, 5_200 * 2.0]) / 2e3
    directions = np.array([[-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    centre_lps_mm = t.CENTRE_UM * [-1, -1, 1] / 1e3
    frame = PipelineFrame(centre_lps_mm - directions @ middle_mm, np.array([0.0018, 0.0018, 0.002]), directions)
    still = Affine(np.eye(3), np.zeros(3))
    return AffineAtlas(frame, still, still)


def test_in_the_atlas_one_aim_is_enough():
    upright = replace(KNOWN, scale=(1.0, 1.0), tilt_deg=0.0, off_centre_error_um=0.0, warp_um=0.0)
    mouse, probe = find("one", upright)
    assert not problems(mouse, "T11", atlas=atlas_of(mouse))
    ml, ap, dv = probe.target.ccf_um_mlapdv
    for each in mouse.insertions:
        if each is not probe:
            mouse = with_target(mouse, each, ccf_um_mlapdv=None)
    found = problems(with_target(mouse, probe, ccf_um_mlapdv=(ml, ap + 3_500.0, dv)), "T11", atlas=atlas_of(mouse))
    assert [each.where.row for each in found] == [probe.rows[0]]
    assert "affine only" in found[0].message


def with_contacts(mouse: t.Mouse, probe: t.Insertion, low_um: float, high_um: float) -> t.Mouse:
    def changed(each):
        own = tuple(RecordedContact(s, 27.0, y) for s in each.shanks for y in (low_um, high_um))
        return replace(each, contacts=own) if each.name == probe.probe else each

    recordings = tuple(replace(r, probes=tuple(map(changed, r.probes))) for r in mouse.subject.recordings)
    return replace(mouse, subject=replace(mouse.subject, recordings=recordings))


def test_a_track_below_all_recorded_electrodes_is_warned(single):
    mouse, probe = single
    found = [p for p in problems(with_contacts(mouse, probe, 8_000.0, 9_000.0), "T7") if p.where.row in probe.rows]
    assert [each.severity for each in found] == [Severity.WARNING]
    assert found[0].measured < found[0].threshold


def test_electrodes_that_end_below_the_surface_are_worth_knowing_only(single):
    mouse, probe = single
    found = [p for p in problems(with_contacts(mouse, probe, 0.0, 500.0), "T7") if p.where.row in probe.rows]
    assert [each.severity for each in found] == [Severity.INFO]


def test_swapped_shanks_are_warned_and_mirrored_ones_are_not(four):
    mouse, probe = four

    def mapped(order: list[int]) -> t.Mouse:
        rows = list(mouse.rows)
        for row, shank in zip(probe.rows, order, strict=True):
            rows[row] = replace(rows[row], histology_track_id=probe.tracks[shank])
        return replace(mouse, rows=tuple(rows))

    found = problems(mapped([0, 2, 1, 3]), "S4")
    assert len(found) == 1
    assert found[0].where.row in probe.rows
    assert found[0].threshold == "1, 2, 3, 4"
    assert not problems(mapped([3, 2, 1, 0]), "S4")


def test_a_shank_that_stands_far_off_is_warned(four):
    mouse, probe = four
    moved = with_points(mouse, probe.tracks[3], lambda points: points + np.array([0, 0, 900.0]))
    assert problems(moved, "S2")


def test_shanks_stand_as_far_apart_as_the_type_of_the_probe_has_them(four):
    mouse, insertion = four

    def of_type(part: str) -> t.Mouse:
        recordings = tuple(
            replace(r, probes=tuple(replace(p, part_number=part) if p.name == insertion.probe else p for p in r.probes))
            for r in mouse.subject.recordings
        )
        return replace(mouse, subject=replace(mouse.subject, recordings=recordings))

    assert not problems(mouse, "S2")
    assert not problems(of_type("unheard of"), "S2")
    assert "on the probe it is 2141 um" in problems(of_type("NP2022"), "S2")[0].message


def test_a_shank_that_leans_is_warned_by_its_angle(four):
    mouse, probe = four
    leaning = with_points(mouse, probe.tracks[1], lambda p: p + np.linspace(0, 300.0, len(p))[:, None] * [0, 1.0, 0])
    found = problems(leaning, "S3")
    assert [each.where.track for each in found] == [probe.tracks[1]]
    assert found[0].measured > found[0].threshold


def test_a_shank_whose_tip_was_not_drawn_is_warned(four):
    mouse, probe = four
    cut = with_points(mouse, probe.tracks[2], lambda points: points[: len(points) * 2 // 3])
    found = problems(cut, "S5")
    assert [each.where.track for each in found] == [probe.tracks[2]]


def test_tracks_of_two_probes_that_cross_are_warned():
    state = b.make_state("one", b.layer_json("two", points=crossing()))
    subject = b.make_subject()
    rows = [t.ManifestRow(b.MOUSE, b.SORT1, b.STEM, name, stream, stream, None, None, b.SURFACE1)
            for name, stream in (("one", "ProbeA"), ("two", "45883-1"))]  # fmt: skip
    found = [p for p in check_mapping(rows, state=state, subject=subject) if p.rule == "R4"]
    assert [each.threshold for each in found] == [Thresholds().crossing_um]
    assert float(found[0].measured) < 70


def crossing() -> list[list[float]]:
    """A track that meets the builders' first one half-way, at an angle."""
    along = np.linspace(0.0, 1.0, 12)
    return [[500.0 + 1800 * s, 1515.0, 620.0 + 600 * (s - 0.5), 0.0] for s in along]


def test_nothing_known_is_nothing_checked():
    mouse, _ = find("one", replace(KNOWN, aims_missing=1, angles_missing=1, depths_missing=1, contacts_missing=1))
    for rule in ("T6", "T7", "T10", "T11"):
        assert not problems(mouse, rule)
