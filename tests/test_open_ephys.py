"""settings.xml and structure.oebin: which probes, which streams, which shanks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probeinterface import neuropixels_tools

from core.errors import InputError
from core.open_ephys import MAX_BYTES, read_settings_xml, read_structure_oebin
from tests.fake_library import FOUR_SHANKS, SINGLE_SHANK, as_json, np_probe, settings_xml

SHARED = Path(__file__).parents[2] / "shared" / "data" / "open_ephys"


def names(data: bytes) -> list[str]:
    return [probe.name for probe in read_settings_xml(data) if probe.enabled]


def test_stream_names_come_in_file_order_and_not_by_the_alphabet():
    """A real file lists ProbeB, A, F, D."""
    streams = ["ProbeB-AP", "ProbeB-LFP", "ProbeA-AP", "ProbeA-LFP", "ProbeF", "ProbeD"]
    serials = ["11", "22", "33", "44"]
    data = settings_xml(streams, [np_probe(serial, "NP1000", SINGLE_SHANK) for serial in serials])
    assert [(p.name, p.serial) for p in read_settings_xml(data)] == [
        ("ProbeB", "11"),
        ("ProbeA", "22"),
        ("ProbeF", "33"),
        ("ProbeD", "44"),
    ]


@pytest.mark.parametrize("version", ["0.6.7", "1.0.0"])
def test_a_disabled_probe_takes_no_stream_and_comes_last(version: str):
    probes = [
        np_probe("11", "NP1000", SINGLE_SHANK, isEnabled="0"),
        np_probe("22", "NP2014", FOUR_SHANKS, isEnabled="1"),
    ]
    read = read_settings_xml(settings_xml(["ProbeA"], probes, version))
    assert [(p.name, p.serial, p.enabled) for p in read] == [("ProbeA", "22", True), ("11", "11", False)]


def test_a_custom_name_wins_over_the_order_unless_it_is_just_the_serial():
    probes = [
        np_probe("23176523191", "NP2004", SINGLE_SHANK, custom_probe_name="50210"),
        np_probe("23176523281", "NP2004", SINGLE_SHANK),
    ]
    assert names(settings_xml(["50210", "ProbeB"], probes)) == ["50210", "ProbeB"]
    assert names(settings_xml(["ProbeB", "50210"], probes[::-1])) == ["ProbeB", "50210"]


def test_a_custom_name_that_no_stream_has_gives_way_to_the_stream_that_was_recorded():
    probe = np_probe("23176523191", "NP2004", SINGLE_SHANK, custom_probe_name="renamed later")
    assert names(settings_xml(["ProbeA-AP", "ProbeA-LFP"], [probe])) == ["ProbeA"]


def test_a_quad_base_probe_is_one_probe_per_shank_and_stream():
    def quad(shank: int, **more: str) -> str:
        channels = {f"CH{i}_{shank}": "2" for i in range(4)}
        return np_probe("22053112121", "NP2020", channels, shank=str(shank), **more)

    unnamed = settings_xml([f"ProbeA-{n}" for n in (1, 2, 3, 4)], [quad(shank) for shank in range(4)], "1.0.0")
    assert [(p.name, p.shanks, p.shank_count) for p in read_settings_xml(unnamed)] == [
        ("ProbeA-1", (0,), 4),
        ("ProbeA-2", (1,), 4),
        ("ProbeA-3", (2,), 4),
        ("ProbeA-4", (3,), 4),
    ]
    named = settings_xml(
        ["45883-1", "45883-2", "46110"],
        [
            quad(0, custom_probe_name="45883"),
            quad(1, custom_probe_name="45883"),
            np_probe("9", "NP2004", SINGLE_SHANK, custom_probe_name="46110"),
        ],
        "1.0.0",
    )
    assert names(named) == ["45883-1", "45883-2", "46110"]


def test_open_ephys_05_has_no_streams_and_names_probes_by_node_and_index():
    probes = [np_probe("11", "NP1000", SINGLE_SHANK), np_probe("22", "NP1000", SINGLE_SHANK)]
    assert names(settings_xml([], probes, "0.5.5")) == ["100.0", "100.1"]


def test_shanks_in_use_are_those_with_channels_and_not_those_the_probe_has():
    two = {"CH0": "0:2", "CH1": "1:3", "CH2": "0:2"}
    (probe,) = read_settings_xml(settings_xml(["ProbeA"], [np_probe("11", "NP2014", two)]))
    assert (probe.shanks, probe.shank_count, probe.description) == (
        (2, 3),
        4,
        "Neuropixels 2.0 multishank probe with cap",
    )


def test_selected_electrodes_say_the_shanks_where_channels_are_missing():
    electrodes = {f"E{i}": str(electrode) for i, electrode in enumerate((0, 1279, 1280, 5119))}
    probe = np_probe("11", "NP2014", electrodes).replace("CHANNELS", "SELECTED_ELECTRODES")
    assert read_settings_xml(settings_xml(["ProbeA"], [probe]))[0].shanks == (0, 1, 3)


def test_an_unknown_part_number_has_at_least_the_shanks_in_use():
    (probe,) = read_settings_xml(settings_xml(["ProbeA"], [np_probe("11", "NP9999", FOUR_SHANKS)]))
    assert (probe.shanks, probe.shank_count, probe.description) == ((0, 1, 2, 3), 4, "")


ENTITIES = (
    b'<!DOCTYPE SETTINGS [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><SETTINGS>&b;</SETTINGS>'
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no XML"),
        (b"<SETTINGS>", "no XML"),
        (b"\x00\xff\xfe", "no XML"),
        (b'<?xml version="1.0" encoding="no-such"?><SETTINGS/>', "no XML"),
        (ENTITIES, "DOCTYPE"),
        (ENTITIES.decode().encode("utf-16"), "DOCTYPE"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "DOCTYPE"),
        (b"<a>" * 65 + b"</a>" * 65, "nests deeper"),
        (b"<a>" + b"<b/>" * 100_001 + b"</a>", "more than 100000 elements"),
        (b" " * (MAX_BYTES + 1), "bytes"),
        (b"<SETTINGS/>", "no Neuropixels probe"),
        (settings_xml(["ProbeA"], []), "no Neuropixels probe"),
        (settings_xml([], ["<NP_PROBE/>"]), "neither serial number nor part number"),
        (settings_xml([], [np_probe("1", "NP1000", SINGLE_SHANK)]).replace(b' nodeId="100"', b""), "cannot be named"),
        (settings_xml(["ProbeA"], [np_probe("1", "NP2014", {"CH0": "0:x"})]), "no bank and shank"),
        (settings_xml(["ProbeA"], [np_probe("1", "NP2014", {"CH0": "0:99999999999999"})]), "no bank and shank"),
        (settings_xml(["ProbeA"], [np_probe("1", "NP2020", {"CH0_9": "0"}, shank="9")]), "Shanks are 0 to 3"),
        (settings_xml(["ProbeA"], [np_probe("1", "NP1000", SINGLE_SHANK)] * 2), "cannot be told"),
        (settings_xml(["A", "B"], [np_probe("1", "NP1000", SINGLE_SHANK)]), "cannot be told"),
        (
            settings_xml(["A", "B"], [np_probe(s, "NP1000", SINGLE_SHANK, custom_probe_name="A") for s in "12"]),
            "same stream name",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_place_and_cure(data: bytes, words: str):
    with pytest.raises(InputError, match=words) as caught:
        read_settings_xml(data, where="ecephys/settings.xml")
    assert caught.value.where == "ecephys/settings.xml"
    assert caught.value.cure


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 900))
def test_damaged_bytes_are_read_or_refused(noise: bytes, at: int):
    good = settings_xml(["ProbeA", "ProbeB"], [np_probe(s, "NP2014", FOUR_SHANKS) for s in "12"])
    for data in (noise, good[:at] + noise + good[at + len(noise) :], good[:at]):
        try:
            probes = read_settings_xml(data)
        except InputError:
            continue
        assert probes


SETTINGS_FILES = sorted(SHARED.glob("*.xml"))


@pytest.mark.parametrize("file", SETTINGS_FILES, ids=lambda file: file.stem)
def test_real_files_agree_with_probeinterface(file: Path):
    ours = [p for p in read_settings_xml(file.read_bytes()) if p.enabled]
    theirs = neuropixels_tools._parse_openephys_settings(file)
    assert [(p.name, p.serial, p.part_number) for p in ours] == [
        (info["name"], info["serial_number"], info["probe_part_number"]) for info in theirs
    ]
    for probe in ours:
        built = neuropixels_tools.read_openephys_neuropixels(file, probe_name=probe.name)
        heights = built.contact_positions[:, 1].tolist()
        shanks = [0] * len(heights) if built.shank_ids is None else [int(shank) for shank in built.shank_ids]
        assert probe.shanks == tuple(sorted(set(shanks)))
        placed = [(contact.shank, contact.y_um) for contact in probe.contacts]
        assert placed == sorted(zip(shanks, heights, strict=True))


OEBIN = {
    "GUI version": "0.6.6",
    "continuous": [
        {
            "folder_name": "Neuropix-PXI-100.ProbeA-AP/",
            "sample_rate": 30000.0,
            "stream_name": "ProbeA-AP",
            "recorded_processor": "Record Node",
            "recorded_processor_id": 104,
        },
        {
            "folder_name": "NI-DAQmx-103.PXIe-6341/",
            "sample_rate": 40000,
            "stream_name": "PXIe-6341",
            "recorded_processor": "Record Node",
            "recorded_processor_id": 104,
        },
    ],
}


def test_an_oebin_gives_streams_with_their_full_names():
    probe, daq = read_structure_oebin(as_json(OEBIN))
    assert (probe.name, probe.folder, probe.sample_rate_hz, probe.node) == (
        "ProbeA-AP",
        "Neuropix-PXI-100.ProbeA-AP",
        30000.0,
        "Record Node 104",
    )
    assert probe.full == "Record Node 104#Neuropix-PXI-100.ProbeA-AP"
    assert daq.full == "Record Node 104#NI-DAQmx-103.PXIe-6341"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"continuous": 3}',
        b'{"continuous": [3]}',
        b'{"continuous": [{"folder_name": "x"}]}',
        as_json({"continuous": [OEBIN["continuous"][0] | {"sample_rate": "fast"}]}),
        as_json({"continuous": [OEBIN["continuous"][0] | {"sample_rate": float("nan")}]}),
        b"[" * 200_000,
        b"\xff\xfe\x00",
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_oebin_is_refused(data: bytes):
    with pytest.raises(InputError):
        read_structure_oebin(data)


@pytest.mark.parametrize("file", sorted(SHARED.glob("*.oebin")), ids=lambda file: file.stem)
def test_the_real_oebin_is_read(file: Path):
    assert [stream.full for stream in read_structure_oebin(file.read_bytes())] == [
        "Record Node 104#Neuropix-PXI-100.ProbeA-AP",
        "Record Node 104#Neuropix-PXI-100.ProbeA-LFP",
        "Record Node 104#NI-DAQmx-103.PXIe-6341",
    ]
