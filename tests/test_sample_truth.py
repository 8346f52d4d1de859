"""What is true of the sample mouse: what its library tells, and that its manifests are right where names are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from core.checks import check_mapping
from core.manifest import read_csv, round_trip_problems
from core.models import Role, Severity, SortingStatus
from core.neuroglancer import read_state
from core.platforms.local_library import LocalLibrary
from core.sample import Sizes, write_sample
from core.subjects import gather_subject
from core.suggestions import suggest

NOW = datetime(2025, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "mouse", sizes=Sizes(image_levels=(5,)))


@pytest.fixture(scope="module")
def subject(sample):
    return gather_subject(LocalLibrary(sample.library), sample.subject, now=NOW)


@pytest.fixture(scope="module")
def states(sample):
    return [read_state(state.path.read_bytes(), stem=state.path.stem) for state in sample.states]


def true_rows(state):
    table = read_csv(state.manifest.read_bytes())
    assert table.problems == ()
    return table.rows


# --- what the library tells -------------------------------------------------------------------


def test_the_subject_is_gathered_with_its_recordings_and_sortings(subject):
    main = [recording for recording in subject.recordings if recording.role is not Role.SURFACE]
    assert len(subject.recordings) == 5
    assert len(main) == 4
    day_1, day_2, day_3, day_4 = main
    assert day_1.surface is not None
    assert [sorting.sorter for sorting in day_2.sortings] == ["kilosort2_5", "kilosort4"]
    assert {stream.token for stream in day_3.sortings[0].streams} == {"46110", *(f"45883-{n}" for n in (1, 2, 3, 4))}
    four = next(stream for stream in day_1.sortings[0].streams if stream.token == "ProbeB")
    assert four.shanks == (0, 1, 2, 3)
    assert [sorting.status for sorting in day_4.sortings] == [SortingStatus.ERROR]
    assert len(subject.stitched) == 1
    assert {channel.name for channel in subject.stitched[0].channels} == {"Ex_639_Em_680", "Ex_561_Em_593"}
    assert len(subject.states) == 3


def test_targets_are_known_in_both_generations_of_metadata(subject):
    main = [recording for recording in subject.recordings if recording.role is not Role.SURFACE]
    for recording, structures in zip(main, ({"VISp", "MOs"}, {"VISp", "CP"}, {"CA1", "MD"}, {"RSP"}), strict=True):
        assert {target.structure for target in recording.targets} == structures
        assert all({"arc", "module"} <= target.angles_deg.keys() for target in recording.targets)
        assert all(target.manipulator_um for target in recording.targets)


def test_assemblies_lead_to_probes_through_the_rig(sample):
    for path in (sample.library / "assets").glob("ecephys_*/session.json"):
        rig = json.loads((path.parent / "rig.json").read_bytes())
        probes = {a["name"]: [probe["name"] for probe in a["probes"]] for a in rig["ephys_assemblies"]}
        modules = json.loads(path.read_bytes())["data_streams"][0]["ephys_modules"]
        assert all(probes[module["assembly_name"]][0].startswith("Probe") for module in modules)
        assert {module["assembly_name"] for module in modules} == probes.keys()


def test_extra_recordings_are_in_the_library_and_in_the_main_state(tmp_path):
    summary = write_sample(tmp_path / "mouse", sizes=Sizes(4, (4, 6), (5,), extra_recordings=3))
    larger = gather_subject(LocalLibrary(summary.library), summary.subject, now=NOW)
    assert len(larger.recordings) == 8
    rows = true_rows(summary.states[0])
    assert len(rows) == 12 + 2 * 3
    state = read_state(summary.states[0].path.read_bytes(), stem=summary.states[0].path.stem)
    assert {row.histology_track_id for row in rows} <= {layer.name for layer in state.tracks}


# --- true mappings ----------------------------------------------------------------------------


def test_the_true_manifests_name_what_exists(sample, states, subject):
    for summary, state in zip(sample.states[:2], states[:2], strict=True):
        rows = true_rows(summary)
        assert round_trip_problems(rows) == ()
        for row in rows:
            assert row.probe_file == state.stem
            assert row.histology_track_id in {layer.name for layer in state.tracks}
            recording, sorting = subject.sorting(row.sorted_recording)
            assert row.ephys_collection in {stream.token for stream in sorting.streams}
            assert row.surface_finding == (recording.surface or "")
    assert sample.states[2].manifest is None
    assert len(true_rows(sample.states[0])) == 12


def test_the_true_manifests_pass_the_checks(sample, states, subject):
    for summary, state in zip(sample.states[:2], states[:2], strict=True):
        problems = check_mapping(true_rows(summary), state=state, subject=subject)
        stopping = [problem for problem in problems if problem.severity in (Severity.ERROR, Severity.CONFIRM)]
        assert stopping == []


def test_the_clean_day_is_certain_and_tracks_that_carry_each_others_name_are_not(sample, states, subject):
    clean = {one.track: one for one in suggest(states[1], subject)}
    for row in true_rows(sample.states[1]):
        assert clean[row.histology_track_id].certain
        assignment = clean[row.histology_track_id].assignment
        assert (assignment.sorting, assignment.stream) == (row.sorted_recording, row.ephys_collection)
        assert assignment.shank == row.ephys_shank
    whole = {one.track: one for one in suggest(states[0], subject)}
    assert "2025-03-13" in whole["A_0312"].assignment.recording
    assert "2025-03-12" in whole["20250313_ProbeA"].assignment.recording
    for track in ("A_0312", "20250313_ProbeA"):
        assert not whole[track].certain
        assert any("mm from target VISp; next best" in reason for reason in whole[track].reasons)
    assert not whole["268"].certain


def test_mapping_the_swapped_tracks_by_their_names_is_warned(sample, states, subject):
    rows = list(true_rows(sample.states[0]))
    at = {row.histology_track_id: number for number, row in enumerate(rows)}
    one, other = at["A_0312"], at["20250313_ProbeA"]
    rows[one] = replace(rows[one], histology_track_id="20250313_ProbeA")
    rows[other] = replace(rows[other], histology_track_id="A_0312")
    warned = [p for p in check_mapping(rows, state=states[0], subject=subject) if p.severity is Severity.WARNING]
    assert {p.where.row for p in warned if p.rule == "T11"} == {one, other}
    assert "R3" not in {p.rule for p in warned if p.where.row in (one, other)}


def test_the_swapped_names_are_told_by_the_hemisphere(states, sample):
    whole, one_day, _ = states
    swapped = {layer.name: layer for layer in whole.tracks}
    right = next(layer for layer in one_day.tracks if layer.name == "20250312_ProbeA")
    assert np.array_equal(swapped["20250313_ProbeA"].points, right.points)
    rows = {row.histology_track_id: row for row in true_rows(sample.states[0])}
    assert "2025-03-12" in rows["20250313_ProbeA"].recording
    assert "2025-03-13" in rows["A_0312"].recording
    midline_x = 5500.0 / 1.8
    assert (swapped["20250313_ProbeA"].points_level0_zyx[:, 2] < midline_x).all()
    assert (swapped["A_0312"].points_level0_zyx[:, 2] > midline_x).all()
