"""What a sorted asset holds, and whether it can be trusted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import PlatformError
from core.models import SortedStream, SortingStatus
from core.subjects.sortings import SortingFacts, read_sorting, sorter_name
from tests.fake_library import FakeLibrary, as_json, processing_json, recording_name, sorted_files

NAME = "ecephys_717381_2024-04-09_11-14-13_sorted_2024-04-10_08-00-00"


def read(files: dict[str, bytes], **fields: object) -> SortingFacts:
    library = FakeLibrary()
    asset = library.add(NAME, files, **({"provenance_data_assets": ("raw",)} | fields))
    return read_sorting(library, asset)


def rules(facts: SortingFacts) -> list[str]:
    return [problem.rule for problem in facts.problems]


def test_streams_and_shanks_come_from_one_listing():
    library = FakeLibrary()
    asset = library.add(NAME, sorted_files(), provenance_data_assets=("raw",))
    facts = read_sorting(library, asset)
    assert facts.sorting.streams == (SortedStream("ProbeA", ()), SortedStream("ProbeB", (0, 1, 2, 3)))
    assert (facts.sorting.status, facts.sorting.reason) == (SortingStatus.OK, "")
    assert library.requests == 4


def test_a_quad_base_stream_keeps_its_own_token():
    facts = read(sorted_files(["45883-1", "45883-2", "46110"]))
    assert [stream.token for stream in facts.sorting.streams] == ["45883-1", "45883-2", "46110"]


@pytest.mark.parametrize("folder", ["curated", "sorting_precurated"])
def test_older_layouts_are_read(folder: str):
    files = {f"{folder}/{recording_name('ProbeA-AP')}/x": b"", "output": b"fine"}
    assert [stream.token for stream in read(files).sorting.streams] == ["ProbeA"]


def test_an_odd_file_beside_the_sorted_streams_does_not_end_the_page():
    """A file without a dot in `curated/` was an IndexError in the launcher this replaces."""
    files = {"curated/README": b"", "curated/x.y": b"", f"curated/{recording_name('ProbeA-AP')}/x": b"", "output": b""}
    assert [stream.token for stream in read(files).sorting.streams] == ["ProbeA"]


@pytest.mark.parametrize("schema", [1, 2])
def test_sorter_and_units_are_read_from_both_schemas(schema: int):
    units = {"ProbeA-AP": (540, 312), "ProbeB_group0": (10, 4), "ProbeB_group2": (20, 5)}
    facts = read(sorted_files(sorter="kilosort4", units=units, schema=schema))
    assert facts.sorting.sorter == "kilosort4"
    assert {s.token: (s.units, s.passing) for s in facts.sorting.streams} == {"ProbeA": (540, 312), "ProbeB": (30, 9)}


def test_a_curation_done_twice_counts_once():
    document = json.loads(processing_json("kilosort4", {recording_name("ProbeA-AP"): (5, 2)}))
    again = json.loads(processing_json("kilosort4", {recording_name("ProbeA-AP"): (7, 3)}))
    document["processing_pipeline"]["data_processes"] += again["processing_pipeline"]["data_processes"]
    facts = read(sorted_files(["ProbeA-AP"]) | {"processing.json": as_json(document)})
    assert facts.sorting.streams == (SortedStream("ProbeA", (), 7, 3),)


def test_a_process_without_a_name_says_its_type():
    """Schema 2 with `process_type` but no `name` was an AssertionError in the launcher this replaces."""
    document = {
        "data_processes": [{"process_type": "Spike sorting", "code": {"parameters": {"sorter_name": "spykingcircus2"}}}]
    }
    assert sorter_name(document) == "spykingcircus2"


def test_an_unknown_sorter_is_no_error():
    """No sorter name was a ValueError that ended the page of the launcher this replaces."""
    files = sorted_files()
    del files["processing.json"]
    assert read(files).sorting.sorter is None
    assert read(files).sorting.status is SortingStatus.OK
    assert sorter_name({"processing_pipeline": {"data_processes": [{"name": "Spike sorting"}]}}) is None


def test_a_sorting_without_output_is_shown_with_a_problem():
    """It was a FileNotFoundError that ended the page of the launcher this replaces."""
    facts = read(sorted_files(output=None))
    assert facts.sorting.status is SortingStatus.OK
    assert rules(facts) == ["A14"]
    assert "no `output` file" in facts.problems[0].message


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b"Essential container in task exited", "container died"),
        (b"error: Out of memory.", "out of memory"),
        (b"Task failed to start - DockerTimeoutError: x", "Docker"),
        (b"x\nTraceback (most recent call last):\n  File", "exception"),
        (b"Command error:\n  boom", "step failed"),
        (b"WARN: Killing running tasks (3)", "killed"),
    ],
)
def test_the_pipelines_words_for_failure_make_the_sorting_an_error(output: bytes, words: str):
    facts = read(sorted_files(output=b"start\n" * 1000 + output + b"\n" * 100_000))
    assert facts.sorting.status is SortingStatus.ERROR
    assert words in facts.sorting.reason
    assert "2 sorted stream(s)" in facts.sorting.reason


def test_a_cuda_error_leaves_what_was_sorted_usable():
    output = b"The CUDA error was: an illegal memory access"
    facts = read(sorted_files(output=output))
    assert facts.sorting.status is SortingStatus.PARTIAL
    assert "CUDA" in facts.sorting.reason
    nothing = read(sorted_files([], output=output))
    assert nothing.sorting.status is SortingStatus.ERROR
    assert "CUDA" in nothing.sorting.reason


def test_a_sorting_that_holds_nothing_is_an_error_even_without_a_word_of_failure():
    """Day 2 of mouse 717381: 15 files, 4.2 MB."""
    facts = read({"output": b"N E X T F L O W", "nextflow/x": b""})
    assert facts.sorting.status is SortingStatus.ERROR
    assert facts.sorting.reason == "it holds no sorted stream"


@pytest.mark.parametrize(("state", "why"), [("failed", "no room left"), ("draft", "")])
def test_an_asset_that_is_not_ready_is_an_error_and_its_files_are_not_asked_for(state: str, why: str):
    """Not looked at in the launcher this replaces, which went on to a refused run."""
    library = FakeLibrary()
    facts = read_sorting(library, library.add(NAME, {}, state=state, failure_reason=why))
    assert facts.sorting.status is SortingStatus.ERROR
    assert state in facts.sorting.reason
    assert why in facts.sorting.reason
    assert rules(facts) == ["A10"]
    assert library.requests == 0


@pytest.mark.parametrize("path", [NAME, f"{NAME}/postprocessed", f"{NAME}/output", f"{NAME}/processing.json"])
def test_files_that_cannot_be_read_never_raise(path: str):
    library = FakeLibrary()
    asset = library.add(NAME, sorted_files(), provenance_data_assets=("raw",))
    library.fail(path, PlatformError("The disk is on fire."))
    facts = read_sorting(library, asset)
    assert "on fire" in facts.sorting.reason + " ".join(problem.message for problem in facts.problems)


def test_streams_that_only_an_older_folder_holds_make_the_sorting_partial():
    files = {path: data for path, data in sorted_files().items() if not path.startswith("postprocessed/")}
    sorting = read(files | {"postprocessed/README": b""}).sorting
    assert [stream.token for stream in sorting.streams] == ["ProbeA", "ProbeB"]
    assert sorting.status is SortingStatus.PARTIAL
    assert "postprocessed" in sorting.reason
    assert "curated" in sorting.reason


def test_a_broken_postprocessed_folder_falls_back_to_curated():
    library = FakeLibrary()
    asset = library.add(NAME, sorted_files(), provenance_data_assets=("raw",))
    library.fail(f"{NAME}/postprocessed", PlatformError("The disk is on fire."))
    assert [stream.token for stream in read_sorting(library, asset).sorting.streams] == ["ProbeA", "ProbeB"]


@pytest.mark.parametrize("processing", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 100_000])
def test_a_broken_processing_json_is_a_problem(processing: bytes):
    facts = read(sorted_files() | {"processing.json": processing})
    assert facts.sorting.status is SortingStatus.OK
    assert rules(facts) == ["A14"]


def test_what_it_was_made_from_is_read_only_when_provenance_is_unknown():
    """Derived metadata: schema 1 has `input_data_name`, schema 2 a `source_data` list."""
    one = {"data_description.json": as_json({"input_data_name": "ecephys_1_2024-01-01_00-00-00"})}
    two = {"data_description.json": as_json({"source_data": ["ecephys_2_2024-01-01_00-00-00"]})}
    assert read(sorted_files() | one, provenance_data_assets=None).inputs == ("ecephys_1_2024-01-01_00-00-00",)
    assert read(sorted_files() | two, provenance_data_assets=None).inputs == ("ecephys_2_2024-01-01_00-00-00",)
    assert read(sorted_files() | one, provenance_data_assets=("x",)).inputs == ()


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "data_processes", "processing_pipeline", "parameters", "outputs", "total_units"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(values)
def test_any_json_in_processing_is_survived(document: object):
    facts = read(sorted_files(["ProbeA-AP"]) | {"processing.json": as_json(document)})
    assert [stream.token for stream in facts.sorting.streams] == ["ProbeA"]
