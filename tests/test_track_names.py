"""Layer names as people write them, read as whole tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.track_names import NameDate, NameReading, read_name

WORDS = ["ProbeA", "ProbeB", "46100", "46100-1", "45883-1", "19011111111"]
NOV7, NOV7_24 = NameDate(11, 7), NameDate(11, 7, 2024)

READ = {
    "A_1107": NameReading(probe="A", date=NOV7),
    "A1107": NameReading(probe="A", date=NOV7),
    "a_1107": NameReading(probe="A", date=NOV7),
    "B-1107-tip": NameReading(probe="B", date=NOV7),
    "A 1107_shank2": NameReading(probe="A", date=NOV7, shank=1),
    "ProbeA_1107": NameReading(tag="ProbeA", date=NOV7),
    "ProbeC_1107": NameReading(probe="C", date=NOV7),
    "Probe B 11-07": NameReading(probe="B", date=NOV7),
    "A-11-07": NameReading(probe="A", date=NOV7),
    "A_11_07_shank2": NameReading(probe="A", date=NOV7, shank=1),
    "ProbeA 11.07": NameReading(tag="ProbeA", date=NOV7),
    "A_110724": NameReading(probe="A", date=NOV7_24),
    "A_241107": NameReading(probe="A", date=NOV7_24),
    "A20241107": NameReading(probe="A", date=NOV7_24),
    "2024-11-07 probe a": NameReading(probe="A", date=NOV7_24),
    "A_0229": NameReading(probe="A", date=NameDate(2, 29)),
    "A1": NameReading(probe="A", day=1),
    "B-2": NameReading(probe="B", day=2),
    "C_3": NameReading(probe="C", day=3),
    "F 4": NameReading(probe="F", day=4),
    "probeC1": NameReading(probe="C", day=1),
    "probea1": NameReading(probe="A", day=1),
    "A10": NameReading(probe="A", day=10),
    "E12": NameReading(probe="E", day=12),
    "G1": NameReading(probe="G", day=1),
    "Probe C day 2": NameReading(probe="C", day=2),
    "day1_probeC": NameReading(probe="C", day=1),
    "day1_probeA": NameReading(tag="ProbeA", day=1),
    "A1_shank2": NameReading(probe="A", day=1, shank=1),
    "A1S2": NameReading(probe="A", day=1, shank=1),
    "20241107_46100_Shank1": NameReading(tag="46100", date=NOV7_24, shank=0),
    "20241107_46100": NameReading(tag="46100", date=NOV7_24),
    "20241107_46100-1_Shank4": NameReading(tag="46100-1", date=NOV7_24, shank=3),
    "20241107_A1_Shank1": NameReading(probe="A", date=NOV7_24, day=1, shank=0),
    "20241107_Probe_C_Shank2": NameReading(probe="C", date=NOV7_24, shank=1),
    "2024-11-07_46100_Shank1": NameReading(tag="46100", date=NOV7_24, shank=0),
    "45883-1": NameReading(tag="45883-1"),
    "sn19011111111": NameReading(),
    "sn 19011111111": NameReading(tag="19011111111"),
}


@pytest.mark.parametrize("name", READ)
def test_a_convention_is_read(name):
    assert read_name(name, WORDS) == READ[name]


SILENT = [
    "PFC_1107", "AB1107", "CA1", "CA3_probe", "PFC2", "REF_1", "SmartSPIM_C2", "DG1", "LFP2", "PFC_A1", "268",
    "668_1_MD", "640-1", "732_MD_1", "733_BLA", "45883", "45883-12", "145883-1", "45883-1b", "targets", "1107",
    "new track", "a track of mine", "", "-", "probe_1", "trace 1107", "46100-12",
]  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_name_that_says_nothing_is_not_made_to_speak(name):
    reading = read_name(name, ["45883-1", "46100-1"])
    assert reading == NameReading()
    assert not reading.says_something


UNREADABLE = ["A_1332", "A0001", "A0", "A01", "A_01", "A_00", "A_13_40", "A12345", "B_0230"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_number_that_is_no_date_and_no_day_leaves_the_probe_unread(name):
    reading = read_name(name, WORDS)
    assert not reading.says_something
    assert reading.notes


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("20241107_46100_Shank0", "shank 0"),
        ("20241107_46100_Shank5", "shank 5"),
        ("20241107_46100_Shank", "without a number"),
        ("20241107_A_20241108", "2 dates"),
        ("A_1107 2024-11-08", "2 dates"),
        ("A1 day 2", "2 days"),
        ("46100 ProbeB", "several streams"),
        ("20241307_46100", "not a date"),
    ],
)
def test_what_looks_like_a_token_and_is_none_is_noted(name, note):
    reading = read_name(name, WORDS)
    assert any(note in each for each in reading.notes), reading
    assert reading.shank is None


CONTRADICTORY = {
    "A_1107_1108": NameReading(probe="A"),
    "20241108_A_1107": NameReading(probe="A"),
    "A_20241108_1107": NameReading(probe="A"),
    "A_1107_V1_0312": NameReading(probe="A"),
    "ProbeA 1107 1108": NameReading(tag="ProbeA"),
    "B_1107_shank1_shank2": NameReading(probe="B", date=NOV7),
    "B1107s3_shank1": NameReading(probe="B", date=NOV7),
    "day1 day2 ProbeA": NameReading(tag="ProbeA"),
    "B_1107_shank1_probeA": NameReading(date=NOV7, shank=0),
    "ProbeA_ProbeC_1107": NameReading(date=NOV7),
    "Probe C probe D 1107": NameReading(date=NOV7),
    "A 46100 ProbeB": NameReading(),
}
"""What is left of names that hold two tokens of a kind: neither of them."""


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_of_two_tokens_that_contradict_each_other_none_is_read(name):
    reading = read_name(name, WORDS)
    assert replace(reading, notes=()) == CONTRADICTORY[name]
    assert "the name holds" in " ".join(reading.notes)


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("B_1107 shank 1 or 2", "or, 2"),
        ("B_1107_shank1-4", "4"),
        ("B_1107_s3_shank1", "s3"),
        ("A1-A4", "A4"),
        ("F1-F4", "F4"),
        ("A1_2", "2"),
        ("A_1_13", "13"),
        ("A1107(wrong)", "wrong"),
        ("46100 not", "not"),
        ("A 1107 B", "B"),
        ("A 1107 ?", "?"),
        ("A_19011111111_1107", "A"),
        ("A_1107_écran", "écran"),
    ],
)
def test_whatever_is_left_over_beside_tokens_is_noted(name, unread):
    reading = read_name(name, WORDS)
    assert reading.says_something
    assert f"not understood in the name: {unread}" in reading.notes


@pytest.mark.parametrize("name", ["A_1107_2023", "A_11-07-23", "ProbeA 11/07/2023", "A_11072023"])
def test_a_year_behind_the_day_is_read(name):
    assert read_name(name, WORDS).date == NameDate(11, 7, 2023)


@pytest.mark.parametrize("name", ["ProbeA_A_1107", "A_1107 2024-11-07", "Left probe A 1107 track tip", "shank1 A1S1"])
def test_repeated_tokens_and_harmless_words_are_no_doubt(name):
    assert not read_name(name, WORDS).notes


def test_a_date_without_a_year_fits_any_year():
    assert NOV7.fits("2024-11-07")
    assert NOV7.fits("2023-11-07")
    assert not NOV7.fits("2024-11-08")
    assert not NOV7_24.fits("2023-11-07")
    assert not NOV7_24.fits("")


@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_text_raises_and_only_known_words_are_tags(name, words):
    reading = read_name(name, words)
    assert reading.tag is None or reading.tag in words
    assert reading.shank is None or 0 <= reading.shank <= 3
    assert bool(reading.words()) == reading.says_something


@given(st.sampled_from(WORDS), st.sampled_from(["A", "x", "7", "-2", "Z9"]))
def test_a_word_inside_a_longer_one_is_not_read(word, more):
    assert read_name(word + more, [word]).tag is None
