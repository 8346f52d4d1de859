"""Raw assets and sortings become recordings: provenance first, names second, every disagreement said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from core.models import Asset, Problem, Recording, Role, Severity, SortingStatus
from core.slots import usable_sortings
from core.subjects.raw_assets import RawFacts, read_raw
from core.subjects.recordings import build_recordings
from core.subjects.sortings import read_sorting
from tests.fake_library import (
    FOUR_SHANKS,
    SINGLE_SHANK,
    FakeLibrary,
    as_json,
    np_probe,
    raw_files,
    settings_xml,
    sorted_files,
)

DAY = "ecephys_717381_2024-04-09"
MAIN, SECOND, THIRD = f"{DAY}_11-14-13", f"{DAY}_11-44-16", f"{DAY}_15-00-00"


class Mouse:
    """Collects assets and builds the recordings from them."""

    def __init__(self) -> None:
        self.library = FakeLibrary()
        self.raws: list[Asset] = []
        self.sorteds: list[Asset] = []

    def raw(self, name: str = MAIN, files: dict[str, bytes] | None = None, **fields: object) -> Asset:
        self.raws.append(self.library.add(name, raw_files() if files is None else files, **fields))
        return self.raws[-1]

    def sort(self, name: str, *made_from: Asset, files: dict[str, bytes] | None = None, **fields: object) -> Asset:
        given = {"provenance_data_assets": tuple(raw.id for raw in made_from)} | fields
        self.sorteds.append(self.library.add(name, sorted_files() if files is None else files, **given))
        return self.sorteds[-1]

    def recordings(self) -> tuple[Recording, ...]:
        raws = [read_raw(self.library, asset) for asset in self.raws]
        return build_recordings(raws, [read_sorting(self.library, asset) for asset in self.sorteds])

    def only(self) -> Recording:
        (recording,) = self.recordings()
        return recording


@pytest.fixture
def mouse() -> Mouse:
    return Mouse()


def told(problems: Iterable[Problem], rule: str) -> str:
    return " ".join(problem.message for problem in problems if problem.rule == rule)


def session(minutes: float | None = None, notes: str = "") -> dict[str, bytes]:
    document: dict[str, object] = {"notes": notes, "session_start_time": "2024-04-09T11:00:00"}
    if minutes is not None:
        document["session_end_time"] = f"2024-04-09T{11 + int(minutes // 60):02}:{int(minutes % 60):02}:00"
    return raw_files() | {"session.json": as_json(document)}


# --- one raw asset ----------------------------------------------------------------------------------


@pytest.mark.parametrize("old_layout", [False, True])
def test_a_raw_asset_has_probes_streams_and_targets_in_both_layouts(mouse: Mouse, old_layout: bool):
    module = {"assembly_name": "ProbeA", "primary_targeted_structure": "MD", "arc_angle": 3}
    files = raw_files(old_layout=old_layout) | {
        "session.json": as_json({"data_streams": [{"ephys_modules": [module]}]}),
    }
    raw = mouse.raw(files=files)
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw)
    recording = mouse.only()
    assert (recording.name, recording.start) == (MAIN, "2024-04-09 11:14:13")
    assert [(p.name, p.shank_count) for p in recording.probes] == [("ProbeA", 1), ("ProbeB", 4)]
    assert recording.streams == (
        "Record Node 104#Neuropix-PXI-100.ProbeA-AP",
        "Record Node 104#Neuropix-PXI-100.ProbeA-LFP",
        "Record Node 104#Neuropix-PXI-100.ProbeB",
    )
    assert recording.targets[0].structure == "MD"
    assert recording.problems == ()


def test_settings_xml_directly_in_the_root_is_found(mouse: Mouse):
    xml = settings_xml(["ProbeA-AP"], [np_probe("1", "NP1000", SINGLE_SHANK)])
    mouse.raw(files={"settings.xml": xml})
    assert [probe.name for probe in mouse.only().probes] == ["ProbeA"]


def test_a_second_record_node_is_read_when_the_first_ones_settings_are_broken(mouse: Mouse):
    files = raw_files(settings=b"<broken")
    files["ecephys/ecephys_clipped/Record Node 109/settings.xml"] = raw_files()[
        "ecephys/ecephys_clipped/Record Node 104/settings.xml"
    ]
    mouse.raw(files=files)
    recording = mouse.only()
    assert [probe.name for probe in recording.probes] == ["ProbeA", "ProbeB"]
    assert told(recording.problems, "A7") == ""


@pytest.mark.parametrize("xml", [None, b"<broken", b"<SETTINGS/>"])
def test_settings_that_are_missing_or_broken_cost_only_the_probes(mouse: Mouse, xml: bytes | None):
    raw = mouse.raw(files=raw_files(settings=xml))
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw)
    recording = mouse.only()
    assert recording.probes == ()
    assert len(recording.streams) == 3
    assert "settings.xml" in told(recording.problems, "A7")
    assert recording.sortings[0].status is SortingStatus.OK


def test_disabled_probes_recorded_nothing_and_are_not_listed(mouse: Mouse):
    probes = [np_probe("1", "NP1000", SINGLE_SHANK), np_probe("2", "NP2014", FOUR_SHANKS, isEnabled="0")]
    mouse.raw(files=raw_files(["ProbeA-AP"], settings_xml(["ProbeA-AP"], probes)))
    assert [probe.serial for probe in mouse.only().probes] == ["1"]


def test_streams_come_from_the_oebin_where_nothing_is_compressed(mouse: Mouse):
    stream = {
        "folder_name": "Neuropix-PXI-100.ProbeA-AP/",
        "sample_rate": 30000,
        "stream_name": "ProbeA-AP",
        "recorded_processor": "Record Node",
        "recorded_processor_id": 104,
    }
    files = {path: data for path, data in raw_files().items() if "compressed" not in path}
    files["ecephys/ecephys_clipped/Record Node 104/experiment1/recording1/structure.oebin"] = as_json(
        {"continuous": [stream, stream | {"folder_name": "NI-DAQmx-103.PXIe-6341/"}]}
    )
    mouse.raw(files=files)
    assert mouse.only().streams == ("Record Node 104#Neuropix-PXI-100.ProbeA-AP",)


def test_targets_are_named_by_stream_through_the_rigs_serial_numbers(mouse: Mouse):
    modules = [{"assembly_name": name, "primary_targeted_structure": name} for name in ("Assembly 1", "Assembly 2")]
    rig = {"ephys_assemblies": [{"name": "Assembly 2", "probes": [{"name": "x", "serial_number": "22420013872"}]}]}
    mouse.raw(
        files=raw_files()
        | {"session.json": as_json({"data_streams": [{"ephys_modules": modules}]}), "rig.json": as_json(rig)}
    )
    assert [(t.probe, t.structure) for t in mouse.only().targets] == [
        ("Assembly 1", "Assembly 1"),
        ("ProbeB", "Assembly 2"),
    ]


def test_a_broken_oebin_costs_only_the_streams(mouse: Mouse):
    files = {path: data for path, data in raw_files().items() if "compressed" not in path}
    mouse.raw(files=files)
    recording = mouse.only()
    assert recording.streams == ()
    assert len(recording.probes) == 2
    assert "structure.oebin" in told(recording.problems, "A14")


def test_a_recording_without_structure_oebin_is_named(mouse: Mouse):
    files = {path: data for path, data in raw_files().items() if not path.endswith(".oebin")}
    mouse.raw(files=files | {"ecephys/ecephys_clipped/Record Node 104/experiment1/recording1/x": b""})
    assert "structure.oebin" in told(mouse.only().problems, "A14")


def test_an_oebin_of_any_record_node_will_do(mouse: Mouse):
    files = raw_files()
    files["ecephys/ecephys_clipped/Record Node 101/settings.xml"] = b"<SETTINGS/>"
    mouse.raw(files=files)
    assert "structure.oebin" not in told(mouse.only().problems, "A14")


def test_a_recording_without_its_clipped_folder_is_named(mouse: Mouse):
    mouse.raw(files={path: data for path, data in raw_files().items() if "ecephys_clipped" not in path})
    problems = mouse.only().problems
    assert "no ecephys_clipped" in told(problems, "A7")
    assert [p.rule for p in problems].count("A7") == 1


@pytest.mark.parametrize("file", ["subject.json", "session.json"])
def test_metadata_of_another_mouse_must_be_confirmed(mouse: Mouse, file: str):
    mouse.raw(files=raw_files() | {file: as_json({"subject_id": "999999"})})
    found = [p for p in mouse.only().problems if p.rule == "A8"]
    assert [p.severity for p in found] == [Severity.CONFIRM]
    assert "999999" in found[0].message


def test_metadata_of_this_mouse_is_silent(mouse: Mouse):
    files = {"subject.json": as_json({"subject_id": "717381"}), "session.json": as_json({"subject_id": "717381"})}
    mouse.raw(files=raw_files() | files)
    assert mouse.only().problems[0].rule == "A2"


def test_a_broken_session_json_is_a_problem(mouse: Mouse):
    mouse.raw(files=raw_files() | {"session.json": b"{"})
    assert "session.json" in told(mouse.only().problems, "A14")


# --- which sorting belongs to which recording -------------------------------------------------------


def test_provenance_beats_names(mouse: Mouse):
    """The raw of a sort is what its provenance says: names drift, uploads are repeated."""
    first, second = mouse.raw(MAIN), mouse.raw(SECOND)
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", second)
    by_name = {recording.name: recording for recording in mouse.recordings()}
    assert by_name[first.name].sortings == ()
    assert len(by_name[second.name].sortings) == 1
    assert MAIN in told(by_name[second.name].problems, "A8")


def test_a_corrected_re_upload_of_type_result_is_the_raw_when_provenance_says_so(mouse: Mouse):
    """Mouse 750107: the wrong raw was taken because its name fitted better."""
    mouse.raw("ecephys_750107_2024-10-22_13-35-47")
    corrected = mouse.raw("ecephys_750107_2024-10-22_13-35-47_corrected", type="result")
    mouse.sort("ecephys_750107_2024-10-22_13-35-47_sorted_2024-11-01_00-00-00", corrected)
    recording = mouse.only()
    assert recording.raw is corrected
    assert len(recording.sortings) == 1
    assert "2 times" in told(recording.problems, "A9")
    assert told(recording.problems, "A8")


def test_two_raws_of_one_name_are_told_apart_by_provenance(mouse: Mouse):
    mouse.raw(MAIN, id="old", bucket="aind-open-data")
    new = mouse.raw(MAIN, id="new")
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", new)
    recording = mouse.only()
    assert recording.raw is new
    assert "a sorting was made from it" in told(recording.problems, "A9")


def test_two_raws_of_one_name_without_a_sorting_give_the_published_copy(mouse: Mouse):
    mouse.raw(MAIN, id="draft", state="draft")
    mouse.raw(MAIN, id="internal")
    published = mouse.raw(MAIN, id="published", bucket="aind-open-data")
    recording = mouse.only()
    assert recording.raw is published
    assert "3 times" in told(recording.problems, "A9")


def test_sortings_of_two_uploads_say_so(mouse: Mouse):
    old, new = mouse.raw(MAIN, id="old"), mouse.raw(MAIN, id="new")
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", old)
    mouse.sort(f"{MAIN}_sorted_2024-05-10_08-00-00", new)
    recording = mouse.only()
    assert recording.raw is new
    assert "another upload" in told(recording.problems, "A8")


def test_a_recording_time_that_a_sorted_name_leaves_out_is_found_by_date(mouse: Mouse):
    """Mouse 791094: `ecephys_791094_2025-10-09_sorted_...`; ten probes vanished from a green run."""
    raw = mouse.raw("ecephys_791094_2025-10-09_10-11-12")
    mouse.sort("ecephys_791094_2025-10-09_sorted_2026-04-23_14-11-00", provenance_data_assets=None)
    recording = mouse.only()
    assert recording.raw is raw
    assert len(recording.sortings) == 1
    assert "ecephys_791094_2025-10-09" in told(recording.problems, "A8")
    assert told(recording.problems, "A6")


def test_a_missing_time_is_never_guessed_when_two_recordings_fit(mouse: Mouse):
    mouse.raw(MAIN)
    mouse.raw(SECOND)
    mouse.sort(f"{DAY}_sorted_2024-04-10_08-00-00", provenance_data_assets=None)
    by_name = {recording.name: recording for recording in mouse.recordings()}
    assert by_name[DAY].raw is None
    assert by_name[MAIN].sortings == by_name[SECOND].sortings == ()
    assert "which one is not known" in told(by_name[DAY].problems, "A8")


def test_a_behavior_prefix_and_no_prefix_meet_by_their_tokens(mouse: Mouse):
    raw = mouse.raw("behavior_791691_2025-06-25_14-06-10")
    mouse.sort("791691_2025-06-25_14-06-10_sorted_2025-07-01_00-00-00", provenance_data_assets=None)
    recording = mouse.only()
    assert recording.raw is raw
    assert told(recording.problems, "A8")


def test_derived_metadata_names_the_raw_where_provenance_is_unknown(mouse: Mouse):
    mouse.raw(MAIN)
    second = mouse.raw(SECOND)
    files = sorted_files() | {"data_description.json": as_json({"input_data_name": SECOND})}
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", files=files, provenance_data_assets=None)
    by_name = {recording.name: recording for recording in mouse.recordings()}
    assert len(by_name[second.name].sortings) == 1
    assert "data_description.json" in told(by_name[SECOND].problems, "A8")


def test_a_sorting_without_its_raw_is_still_a_recording(mouse: Mouse):
    """A session without raw asset was an AttributeError in the launcher this replaces."""
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", provenance_data_assets=("gone",))
    recording = mouse.only()
    assert (recording.name, recording.start, recording.raw) == (MAIN, "2024-04-09 11:14:13", None)
    assert [stream.token for stream in recording.sortings[0].streams] == ["ProbeA", "ProbeB"]
    assert told(recording.problems, "A1")


def test_a_raw_without_sorting_is_listed(mouse: Mouse):
    mouse.raw()
    assert told(mouse.only().problems, "A2")


def test_a_second_capture_under_another_name_can_be_named_but_is_not_offered(mouse: Mouse):
    raw = mouse.raw()
    old, new = (f"{MAIN}_sorted_2024-04-10_{hour}-00-00" for hour in ("08", "09"))
    mouse.sort(old, raw, provenance_computation="run-1", created=datetime(2026, 1, 1, tzinfo=UTC))
    mouse.sort(new, raw, provenance_computation="run-1", created=datetime(2026, 1, 2, tzinfo=UTC))
    recording = mouse.only()
    assert {sorting.asset.name: sorting.copy_of for sorting in recording.sortings} == {old: new, new: ""}
    assert [sorting.asset.name for sorting in usable_sortings(recording)] == [new]
    assert "captured 2 times" in told(recording.problems, "A9")
    assert not told(recording.problems, "A5")


def test_one_computation_captured_twice_is_one_sorting_and_the_published_copy(mouse: Mouse):
    raw = mouse.raw()
    name = f"{MAIN}_sorted_2024-04-10_08-00-00"
    mouse.sort(name, raw, id="internal", provenance_computation="run-1", created=datetime(2026, 1, 1, tzinfo=UTC))
    mouse.sort(name, raw, id="external", provenance_computation="run-1", bucket="aind-open-data")
    recording = mouse.only()
    assert [sorting.asset.id for sorting in recording.sortings] == ["external"]
    assert "captured 2 times" in told(recording.problems, "A9")
    assert "internal" in told(recording.problems, "A9")


def test_different_sortings_of_one_name_are_both_kept_and_said(mouse: Mouse):
    """Same-named assets clash when they are mounted."""
    raw = mouse.raw()
    name = f"{MAIN}_sorted_2024-04-10_08-00-00"
    mouse.sort(name, raw, id="one", provenance_computation="run-1")
    mouse.sort(name, raw, id="two", provenance_computation="run-2")
    recording = mouse.only()
    assert {sorting.asset.id for sorting in recording.sortings} == {"one", "two"}
    assert "Several different sortings" in told(recording.problems, "A9")


def test_several_sortings_are_all_kept_newest_last_and_none_is_picked(mouse: Mouse):
    """The launcher this replaces took the first one that fitted."""
    raw = mouse.raw()
    mouse.sort(f"{MAIN}_sorted_2024-06-01_00-00-00", raw)
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw)
    mouse.sort(f"{MAIN}_sorted_curated", raw, created=datetime(2025, 1, 1, tzinfo=UTC))
    recording = mouse.only()
    assert [sorting.asset.name.removeprefix(MAIN) for sorting in recording.sortings] == [
        "_sorted_2024-04-10_08-00-00",
        "_sorted_2024-06-01_00-00-00",
        "_sorted_curated",
    ]
    assert "3 usable sortings" in told(recording.problems, "A5")


def test_an_errored_sorting_stays_listed_with_its_reason(mouse: Mouse):
    """Mouse 717381's errored main recording was left out with a log line only."""
    raw = mouse.raw()
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw, files={"output": b"Command error: CUDA"})
    recording = mouse.only()
    assert recording.sortings[0].status is SortingStatus.ERROR
    assert "a step failed" in told(recording.problems, "A3")
    assert [p.severity for p in recording.problems if p.rule == "A3"] == [Severity.WARNING]


# --- what a sorting lacks ---------------------------------------------------------------------------


def test_a_stream_that_was_not_sorted_makes_the_sorting_partial_and_is_named(mouse: Mouse):
    raw = mouse.raw()
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw, files=sorted_files(["ProbeA-AP"]))
    recording = mouse.only()
    assert (recording.sortings[0].status, recording.sortings[0].reason) == (
        SortingStatus.PARTIAL,
        "not sorted: ProbeB",
    )
    assert "ProbeB" in told(recording.problems, "A4")


def test_shanks_that_were_not_sorted_are_counted(mouse: Mouse):
    raw = mouse.raw()
    files = sorted_files(["ProbeA-AP", "ProbeB_group0", "ProbeB_group1"])
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw, files=files)
    assert mouse.only().sortings[0].reason == "ProbeB: 2 of 4 recorded shanks are sorted"


def test_a_stream_is_never_taken_for_another_whose_name_it_begins(mouse: Mouse):
    """Mouse 750107: `45883` matched `45883-1`."""
    raw = mouse.raw(files=raw_files(["45883", "46110"], None))
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw, files=sorted_files(["45883-1", "46110"]))
    recording = mouse.only()
    assert recording.sortings[0].reason == "not sorted: 45883"
    assert "45883-1" in told(recording.problems, "A8")


def test_a_failed_sorting_is_not_made_milder_by_what_it_left_behind(mouse: Mouse):
    raw = mouse.raw()
    files = sorted_files(["ProbeA-AP"], output=b"Command error:")
    mouse.sort(f"{MAIN}_sorted_2024-04-10_08-00-00", raw, files=files)
    assert mouse.only().sortings[0].status is SortingStatus.ERROR


# --- surface recordings -----------------------------------------------------------------------------


def roles(mouse: Mouse) -> dict[str, tuple[Role, str | None]]:
    return {recording.name: (recording.role, recording.surface) for recording in mouse.recordings()}


def test_a_short_later_recording_with_the_same_streams_is_the_surface_recording(mouse: Mouse):
    mouse.raw(MAIN, session(95))
    mouse.raw(SECOND, session(8))
    assert roles(mouse) == {MAIN: (Role.MAIN, SECOND), SECOND: (Role.SURFACE, None)}
    main, surface = mouse.recordings()
    assert "8 min against 95 min" in main.surface_reason
    assert "shorter than 10 min" in surface.role_reason
    assert [p.severity for p in surface.problems if p.rule == "A2"] == [Severity.INFO]


@pytest.mark.parametrize(
    "note", ["Surface finding", "surface recording, 5 min", "surface_channels", "Good. Surface block"]
)
def test_notes_make_one_of_unknown_length_the_surface_recording(mouse: Mouse, note: str):
    mouse.raw(MAIN)
    mouse.raw(SECOND, session(notes=note))
    assert roles(mouse)[MAIN] == (Role.MAIN, SECOND)


def test_notes_that_call_a_long_one_a_surface_recording_are_believed_and_its_length_is_told(mouse: Mouse):
    mouse.raw(MAIN, session(95))
    mouse.raw(SECOND, session(18, "Surface finding"))
    assert roles(mouse) == {MAIN: (Role.MAIN, SECOND), SECOND: (Role.SURFACE, None)}
    _, second = mouse.recordings()
    assert "not shorter than 10 min" in second.role_reason


@pytest.mark.parametrize(
    "note",
    [
        "no surface recording today",
        "No separate surface recording",
        "Surface recording was not made",
        "Surface recording skipped today",
        "didn't do the surface recording",
        "Brain surface looked healthy, bled a bit",
    ],
)
@pytest.mark.parametrize("minutes", [50, None])
def test_notes_that_deny_it_or_speak_of_the_brain_do_not(mouse: Mouse, note: str, minutes: int | None):
    mouse.raw(MAIN, session(95))
    mouse.raw(SECOND, session(minutes, note))
    assert roles(mouse) == {MAIN: (Role.MAIN, None), SECOND: (Role.UNKNOWN, None)}


def test_the_second_recording_of_a_day_is_not_a_surface_recording_by_that_alone(mouse: Mouse):
    """The launcher this replaces took the second recording of each day for it, whatever it was."""
    mouse.raw(MAIN)
    mouse.raw(SECOND)
    main, second = mouse.recordings()
    assert (main.surface, second.role) == (None, Role.UNKNOWN)
    assert "may be its surface recording" in main.surface_reason
    assert "nothing says" in second.role_reason


def test_a_second_main_recording_is_one(mouse: Mouse):
    mouse.raw(MAIN, session(60))
    mouse.raw(SECOND, session(61, "surface looked good"))
    mouse.raw(THIRD, raw_files(["ProbeC-AP"]))
    assert roles(mouse) == {
        MAIN: (Role.MAIN, None),
        SECOND: (Role.MAIN, None),
        THIRD: (Role.MAIN, None),
    }


def test_a_third_recording_of_the_day_is_not_ignored(mouse: Mouse):
    mouse.raw(MAIN, session(95))
    mouse.raw(SECOND, session(8))
    mouse.raw(THIRD, session(7))
    assert roles(mouse)[THIRD] == (Role.SURFACE, None)
    main = mouse.recordings()[0]
    assert main.surface == SECOND
    assert THIRD in main.surface_reason


def test_each_main_recording_gets_the_surface_recording_after_it(mouse: Mouse):
    evening = f"{DAY}_17-00-00"
    mouse.raw(MAIN, session(95))
    mouse.raw(SECOND, session(8))
    mouse.raw(THIRD, session(120))
    mouse.raw(evening, session(5))
    assert roles(mouse) == {
        MAIN: (Role.MAIN, SECOND),
        SECOND: (Role.SURFACE, None),
        THIRD: (Role.MAIN, evening),
        evening: (Role.SURFACE, None),
    }


def test_another_record_node_or_day_is_no_surface_recording(mouse: Mouse):
    """Blocks are merged by the full stream name, so another record node does not merge."""
    mouse.raw(MAIN, session(95))
    other = raw_files(node="Record Node 109") | {"session.json": session(8)["session.json"]}
    mouse.raw(SECOND, other)
    mouse.raw("ecephys_717381_2024-04-10_09-00-00", session(8))
    assert roles(mouse) == {
        MAIN: (Role.MAIN, None),
        SECOND: (Role.MAIN, None),
        "ecephys_717381_2024-04-10_09-00-00": (Role.MAIN, None),
    }


def test_without_streams_or_time_the_role_is_unknown_with_the_reason(mouse: Mouse):
    mouse.raw(MAIN, session(95))
    mouse.sort(f"{SECOND}_sorted_2024-04-10_08-00-00", provenance_data_assets=("gone",))
    assert roles(mouse)[SECOND] == (Role.UNKNOWN, None)


def test_a_name_without_a_time_cannot_be_put_in_order(mouse: Mouse):
    mouse.raw(DAY, session(95))
    mouse.raw(SECOND, session(8))
    assert roles(mouse) == {DAY: (Role.MAIN, None), SECOND: (Role.UNKNOWN, None)}


def test_recordings_come_oldest_first_whatever_their_prefix(mouse: Mouse):
    """Names sorted as text put `behavior_` before `ecephys_`."""
    mouse.raw("ecephys_717381_2024-04-09_11-14-13")
    mouse.raw("behavior_717381_2024-04-11_11-14-13")
    mouse.raw("717381_2024-04-10_11-14-13")
    assert [recording.start[:10] for recording in mouse.recordings()] == ["2024-04-09", "2024-04-10", "2024-04-11"]


def test_a_behavior_session_without_ephys_is_no_recording_and_an_ecephys_one_is_a_gap(mouse: Mouse):
    mouse.raw("behavior_717381_2024-04-11_11-14-13", {"behavior/x.csv": b""})
    mouse.raw(MAIN, {"subject.json": b"{}"})
    recording = mouse.only()
    assert recording.name == MAIN
    assert "no ephys data" in told(recording.problems, "A7")


def test_an_asset_that_is_not_ready_is_said(mouse: Mouse):
    mouse.raw(MAIN, {}, state="failed", failure_reason="bucket denied")
    assert "bucket denied" in told(mouse.only().problems, "A10")


def test_raw_facts_fall_back_to_probes_for_the_streams_that_get_sorted(mouse: Mouse):
    facts = read_raw(mouse.library, mouse.raw())
    assert facts.tokens == ("ProbeA", "ProbeB")
    assert RawFacts(facts.asset, True, probes=facts.probes).tokens == ("ProbeA", "ProbeB")
