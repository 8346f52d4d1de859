"""Targets, angles, manipulators and length from session.json 1.x and acquisition.json 2.x."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import Probe, Target
from core.subjects.session_metadata import SessionFacts, on_streams, read_rig_serials, read_session_facts

SESSION = {
    "schema_version": "0.3.4",
    "subject_id": "717381",
    "session_start_time": "2024-04-09T11:14:13-07:00",
    "session_end_time": "2024-04-09T12:50:00-07:00",
    "notes": "quiet mouse",
    "data_streams": [
        {
            "stream_start_time": "2024-04-09T11:20:00-07:00",
            "stream_end_time": "2024-04-09T12:20:00-07:00",
            "stream_modalities": [{"name": "Extracellular electrophysiology", "abbreviation": "ecephys"}],
            "notes": None,
            "ephys_modules": [
                {
                    "assembly_name": "45883",
                    "arc_angle": "5.3",
                    "module_angle": -27.1,
                    "rotation_angle": None,
                    "angle_unit": "degrees",
                    "primary_targeted_structure": {"name": "Medial dorsal nucleus", "acronym": "MD"},
                    "manipulator_coordinates": {"x": "8422.0", "y": "4205", "z": 11087.5, "unit": "micrometer"},
                    "notes": "bent tip",
                },
                {
                    "assembly_name": "46110",
                    "arc_angle": math.pi / 2,
                    "angle_unit": "radians",
                    "primary_targeted_structure": "VISp",
                    "manipulator_coordinates": {"x": 1.5, "unit": "millimeter"},
                },
            ],
        },
        {
            "stream_start_time": "2024-04-09T11:00:00-07:00",
            "stream_end_time": "2024-04-09T13:00:00-07:00",
            "stream_modalities": [{"abbreviation": "behavior-videos"}],
        },
    ],
}

ACQUISITION = {
    "schema_version": "2.0.30",
    "subject_id": "790111",
    "acquisition_start_time": "2025-06-25T14:06:10Z",
    "acquisition_end_time": "2025-06-25T14:10:10Z",
    "data_streams": [
        {
            "modalities": [{"abbreviation": "ecephys"}],
            "notes": "surface finding",
            "configurations": [
                {"object_type": "Detector config", "device_name": "Camera 1"},
                {
                    "object_type": "Ephys assembly config",
                    "device_name": "Ephys_assemblyA",
                    "manipulator": {
                        "coordinate_system": {
                            "axis_unit": "micrometer",
                            "axes": [{"name": "X"}, {"name": "Y"}, {"name": "Z"}],
                        },
                        "local_axis_positions": {"object_type": "Translation", "translation": [8422, 4205, 11087]},
                    },
                    "probes": [
                        {
                            "device_name": "ProbeA",
                            "primary_targeted_structure": {"name": "Lateral geniculate", "acronym": "LGd"},
                            "notes": "deep",
                        }
                    ],
                    "modules": [{"arc_angle": 5.2, "module_angle": 8, "rotation_angle": 3}],
                },
            ],
        }
    ],
}


def test_session_1():
    facts = read_session_facts(SESSION)
    assert facts.subject == "717381"
    assert facts.targets[0] == Target(
        "45883",
        "MD",
        {"arc": 5.3, "module": -27.1},
        {"x": 8422.0, "y": 4205.0, "z": 11087.5},
        "bent tip",
    )
    assert facts.targets[1] == Target("46110", "VISp", {"arc": 90.0}, {"x": 1500.0}, "")
    assert facts.duration_s == 3600
    assert facts.notes == ("quiet mouse", "bent tip")


def test_session_1_names_probes_where_the_module_does():
    module = {"assembly_name": "A", "ephys_probes": [{"name": "ProbeA"}, {"name": "ProbeB"}]}
    facts = read_session_facts({"data_streams": [{"ephys_modules": [module]}]})
    assert [target.probe for target in facts.targets] == ["ProbeA", "ProbeB"]


def test_acquisition_2():
    facts = read_session_facts(ACQUISITION)
    assert facts.targets == (
        Target(
            "ProbeA",
            "LGd",
            {"arc": 5.2, "module": 8.0, "rotation": 3.0},
            {"x": 8422.0, "y": 4205.0, "z": 11087.0},
            "deep",
        ),
    )
    assert facts.duration_s == 240
    assert facts.notes == ("surface finding", "deep")


@pytest.mark.parametrize("key", ["ephys_assemblies", "components"])
def test_an_assembly_is_brought_to_its_stream_by_serial_number_alone(key: str):
    rig = {
        key: [
            {"name": "Assembly A", "probes": [{"name": "46116", "serial_number": "111"}]},
            {"name": "ProbeA", "probes": [{"name": "spare", "serial_number": "222"}]},
            {"name": "Camera"},
        ]
    }
    probes = (Probe("ProbeA", "111", "NP1000", (0,), 1), Probe("ProbeB", "333", "NP1000", (0,), 1))
    named = [Target(name, "MD") for name in ("Assembly A", "46116", "ProbeA", "ProbeB", "Assembly Z")]
    found = on_streams(named, probes, read_rig_serials(rig))
    assert [target.probe for target in found] == ["ProbeA", "ProbeA", "ProbeA", "ProbeB", "Assembly Z"]


def test_a_quad_base_target_holds_for_each_of_its_streams():
    probes = [Probe(f"45883-{n}", "9", "NP2020", (n - 1,), 4) for n in (1, 2)]
    rig = {"components": [{"name": "A", "probes": [{"name": "45883", "serial_number": "9"}]}]}
    found = on_streams([Target("45883", "CA1")], probes, read_rig_serials(rig))
    assert found == (Target("45883-1", "CA1"), Target("45883-2", "CA1"))


@pytest.mark.parametrize("angle", [10**400, "nan", "1e999", True, None, [3], "steep"])
def test_an_angle_that_is_no_number_is_left_out(angle: object):
    module = {"assembly_name": "A", "arc_angle": angle, "module_angle": "2.5"}
    assert read_session_facts({"data_streams": [{"ephys_modules": [module]}]}).targets[0].angles_deg == {"module": 2.5}


def test_a_unit_that_is_not_known_gives_no_number_rather_than_a_wrong_one():
    module = {"assembly_name": "A", "manipulator_coordinates": {"x": 1, "unit": "inch"}}
    assert read_session_facts({"data_streams": [{"ephys_modules": [module]}]}).targets[0].manipulator_um == {}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data_streams": None},
        {"data_streams": [{"ephys_modules": "x"}, 3, None]},
        {"session_start_time": "2024-04-09T11:14:13", "session_end_time": "2024-04-09T12:14:13Z"},  # zone on one only
        {"session_start_time": "2024-04-09T11:14:13Z", "session_end_time": "2024-04-09T11:14:13Z"},
        {"session_start_time": 3, "session_end_time": "soon"},
    ],
)
def test_what_is_not_there_is_not_made_up(document: dict):
    assert read_session_facts(document) == SessionFacts()


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data_streams",
                    "ephys_modules",
                    "configurations",
                    "probes",
                    "manipulator",
                    "arc_angle",
                    "notes",
                    "name",
                    "unit",
                    "translation",
                    "manipulator_coordinates",
                    "local_axis_positions",
                    "coordinate_system",
                    "axes",
                    "x",
                    "modules",
                    "stream_modalities",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["data_streams", "notes", "session_start_time"]), values))
def test_any_json_is_survived(document: dict):
    facts = read_session_facts(document)
    assert all(math.isfinite(angle) for target in facts.targets for angle in target.angles_deg.values())
