"""AIND names become tokens, and tokens are compared exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.asset_names import (
    AssetName,
    is_of_subject,
    parse_asset_name,
    parse_stream_name,
    recording_id,
    sorted_stream,
    split_stream,
)

NAMES = {
    "ecephys_717381_2024-04-09_11-14-13": AssetName("ecephys", "717381", "2024-04-09", "11-14-13"),
    "717381_2024-04-09_11-14-13": AssetName(None, "717381", "2024-04-09", "11-14-13"),
    "behavior_791691_2025-06-25_14-06-10_sorted": AssetName(
        "behavior", "791691", "2025-06-25", "14-06-10", process="sorted"
    ),
    "behavior_791691_2025-06-25_14-06-10_sorted_curated": AssetName(
        "behavior", "791691", "2025-06-25", "14-06-10", process="sorted_curated"
    ),
    "ecephys_717381_2024-04-09_11-14-13_sorted-curation-sprint-1_2024-04-11_01-02-03": AssetName(
        "ecephys", "717381", "2024-04-09", "11-14-13", "sorted-curation-sprint-1", "2024-04-11", "01-02-03"
    ),
    "ecephys_791094_2025-10-09_sorted_2026-04-23_14-11-00": AssetName(
        "ecephys", "791094", "2025-10-09", None, "sorted", "2026-04-23", "14-11-00"
    ),
    "SmartSPIM_717381_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47": AssetName(
        "SmartSPIM", "717381", "2024-07-03", "10-49-01", "stitched", "2024-08-16", "23-15-47"
    ),
    "ecephys_750107_2024-10-22_13-35-47_corrected": AssetName(
        "ecephys", "750107", "2024-10-22", "13-35-47", "corrected"
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_real_form_is_read_to_its_tokens(name: str):
    assert parse_asset_name(name) == NAMES[name]
    assert str(NAMES[name]) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ecephys_717381",
        "ecephys_717381_2024-13-01_11-14-13",  # no such month
        "ecephys_717381_2023-02-29_11-14-13",  # no such day
        "ecephys_717381_2024-04-09_24-00-00",  # no such hour
        "ecephys_717381_2024-04-09_11-14-13_sorted_2024-04-31_00-00-00",  # no such day in the process date
        "ecephys_717381_2024-04-09_11-14-13_",
        "ecephys_717381_2024-04-09_11-14",
        "ecephys_717381_2024-04-09_11-14-13/sorted",
        "ecephys_717381_2024-04-09_11-14-13_sorted\n",
        " ecephys_717381_2024-04-09_11-14-13",
        "ecephys_717381_٢٠٢٤-04-09_11-14-13",  # digits of another script
        "717381_data_converter_manifest",
    ],
)
def test_another_form_or_an_impossible_date_is_not_parsed(name: str):
    assert parse_asset_name(name) is None


def test_a_subject_is_a_token_and_never_a_substring():
    assert is_of_subject("ecephys_717381_2024-04-09_11-14-13", "717381")
    assert not is_of_subject("ecephys_1717381_2024-04-09_11-14-13", "717381")
    assert not is_of_subject("ecephys_717381_2024-04-09_11-14-13", "71738")
    assert not is_of_subject("ecephys_45883-1_2024-04-09_11-14-13", "45883")
    assert not is_of_subject("ecephys_700000_2024-04-09_11-14-13_717381", "717381")


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_is_the_text_before_sorted(name: str):
    parsed = NAMES[name]
    if parsed.kind == "sorted":
        assert recording_id(name) == parsed.base


def test_kind_is_the_first_word_of_the_process():
    kinds = {name: parsed.kind for name, parsed in NAMES.items()}
    assert list(kinds.values()) == ["", "", "sorted", "sorted", "sorted", "sorted", "stitched", "corrected"]


def test_start_is_local_text_and_says_no_time_that_the_name_has_not():
    assert NAMES["717381_2024-04-09_11-14-13"].start == "2024-04-09 11:14:13"
    assert NAMES["ecephys_791094_2025-10-09_sorted_2026-04-23_14-11-00"].start == "2025-10-09"


dates = st.dates().map(lambda day: f"{day:%Y-%m-%d}".zfill(10))
times = st.times().map(lambda time: f"{time:%H-%M-%S}")
words = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
processes = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}([-_][A-Za-z]{1,8}){0,2}", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(
    platform=st.none() | words,
    subject=st.from_regex(r"[0-9]{5,7}(-[0-9])?", fullmatch=True),
    date=dates,
    time=st.none() | times,
    process=st.none() | processes,
    process_date=st.none() | dates,
    process_time=st.none() | times,
)
def test_round_trip(platform, subject, date, time, process, process_date, process_time):
    process_date = process_date if process else None
    name = AssetName(
        platform, subject, date, time, process, process_date, process_time if process_date is not None else None
    )
    assert parse_asset_name(str(name)) == name


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_no_text_raises_and_what_is_parsed_reads_back_the_same(text: str):
    parsed = parse_asset_name(text)
    assert parsed is None or str(parsed) == text
    parse_stream_name(text)


@pytest.mark.parametrize(
    ("name", "token", "group"),
    [
        ("experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP_recording1", "ProbeA", None),
        ("experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP_recording1.zarr", "ProbeA", None),
        ("experiment1_Record Node 104#Neuropix-PXI-100.ProbeB_recording1_group2", "ProbeB", 2),
        ("experiment1_Record Node 104#Neuropix-PXI-100.ProbeB_recording1_group0.zarr/", "ProbeB", 0),
        ("experiment1_Record Node 118#Neuropix-PXI-100.45883-1_recording1.zarr", "45883-1", None),
        ("experiment2_Record Node 118#Neuropix-PXI-100.45883_recording3_group10.zarr", "45883", 10),
        ("experiment1_Record Node 104#Neuropix-PXI-100.PFC_left_recording1.zarr", "PFC_left", None),
    ],
)
def test_a_sorted_stream_is_named_by_its_exact_token(name: str, token: str, group: int | None):
    stream = sorted_stream(name)
    assert stream is not None
    assert (stream.token, stream.group) == (token, group)


@pytest.mark.parametrize(
    "name",
    [
        "experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-LFP_recording1.zarr",
        "README",
        ".DS_Store",
        "nodotrecording1",
        "visualization_output.json",
        "experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr",
    ],
)
def test_other_entries_are_no_sorted_stream(name: str):
    """A file without a dot among the sorted folders ended the page of the launcher this replaces."""
    assert sorted_stream(name) is None


def test_a_raw_stream_has_its_full_name_and_knows_whether_a_probe_recorded_it():
    ap = parse_stream_name("experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr")
    assert ap is not None
    assert (ap.full, ap.token, ap.band) == ("Record Node 104#Neuropix-PXI-100.ProbeA-AP", "ProbeA", "AP")
    assert ap.is_spikes
    lfp = parse_stream_name("experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-LFP.zarr")
    daq = parse_stream_name("experiment1_Record Node 104#NI-DAQmx-103.PXIe-6341.zarr")
    adc = parse_stream_name("experiment1_Record Node 104#OneBox-100.OneBox-ADC.zarr")
    assert lfp is not None
    assert daq is not None
    assert adc is not None
    assert (lfp.is_probe, lfp.is_spikes) == (True, False)
    assert not daq.is_probe
    assert not adc.is_probe


def test_a_split_quad_base_needs_a_sibling():
    tokens = ["45883-1", "45883-2", "46110", "50213-3"]
    assert split_stream("45883-1", tokens) == ("45883", 1)
    assert split_stream("45883-2", tokens) == ("45883", 2)
    assert split_stream("50213-3", tokens) is None  # no sibling: a name with a dash
    assert split_stream("46110", tokens) is None
    assert split_stream("45883", ["45883", "45883-1"]) is None
    assert split_stream("X-0", ["X-0", "X-1"]) is None
