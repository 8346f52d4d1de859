"""What the streams of a session tell of one probe: structures joined, numbers that differ taken by nobody and named."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import pytest

from core.checks import check_mapping
from core.manifest import ManifestRow
from core.models import Problem, Severity, Target
from core.plans import plan_of

ONE = Target(
    "ProbeA", "VISp", angles_deg={"arc": 5.0, "module": -27.0}, ccf_um_mlapdv=(5739.0, 8000.0, 2000.0), depth_um=3_600.0
)


def plan(*targets: Target):
    return plan_of(replace(b.make_subject().recordings[0], targets=targets), {"ProbeA"})


def problems(*targets: Target) -> list[Problem]:
    subject = b.make_subject()
    first = replace(subject.recordings[0], targets=targets)
    rows = [ManifestRow(b.MOUSE, b.SORT1, b.STEM, "one", "ProbeA", "ProbeA", None, None, b.SURFACE1)]
    found = check_mapping(
        rows, state=b.make_state("one"), subject=replace(subject, recordings=(first, *subject.recordings[1:]))
    )
    return [each for each in found if each.rule in ("T6", "T10", "T11")]


def test_two_streams_that_tell_the_same_are_one_plan():
    found = plan(ONE, ONE, replace(ONE, probe="ProbeB", structure="MD"))
    assert (found.structure, found.depth_um, found.angles_deg) == ("VISp", 3_600.0, (5.0, -27.0))
    assert found.differing == ()


def test_structures_of_two_streams_are_joined():
    found = plan(ONE, replace(ONE, structure="VISl"), replace(ONE, structure=""))
    assert found.words == "target VISp or VISl"
    assert found.point_um is not None


def test_what_one_stream_tells_and_the_other_leaves_out_holds():
    found = plan(ONE, Target("ProbeA", "VISp"))
    assert (found.depth_um, found.angles_deg, found.differing) == (3_600.0, (5.0, -27.0), ())
    assert found.point_um is not None


@pytest.mark.parametrize(
    ("changed", "rule", "told"),
    [
        ({"depth_um": 900.0}, "T6", "3,600 um as insertion depth and 900 um as insertion depth"),
        ({"angles_deg": {"arc": 5.0, "module": 30.0}}, "T10", "arc 5, module -27 as angles and arc 5, module 30"),
        ({"ccf_um_mlapdv": (5800.0, 8000.0, 2000.0)}, "T11", "ML 5,739, AP 8,000, DV 2,000 um as aim and ML 5,800"),
    ],
)
def test_numbers_of_two_streams_that_differ_are_told_and_nothing_is_held_against_them(changed, rule, told):
    (found,) = problems(ONE, replace(ONE, **changed))
    assert (found.rule, found.severity) == (rule, Severity.INFO)
    assert told in found.message
    assert found.measured
    assert found.threshold
    assert found.where.track == "one"


def test_one_depth_is_held_against_the_track_again():
    (found,) = problems(replace(ONE, depth_um=900.0))
    assert (found.rule, found.severity) == ("T6", Severity.WARNING)
