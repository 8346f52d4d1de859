"""Probes by part number, and which stretch of a shank was recorded, from the ways in which Open Ephys tells it."""

from __future__ import annotations

import numpy as np
import pytest
from probeinterface import neuropixels_tools

from core.contacts import RecordedContact, contacts_by_bank, contacts_by_electrode
from core.models import Probe
from core.open_ephys import read_settings_xml
from core.probe_geometry import (
    GUI_TIP_UM,
    ProbeModel,
    RecordedSpan,
    model_contacts,
    probe_model,
    recorded_spans,
)
from tests.fake_library import np_probe, settings_xml


def element(part_number: str, tables: dict[str, dict[str, str]], **attributes: str) -> str:
    """An NP_PROBE with further tables beside its CHANNELS, which may be left away."""
    start, _, end = np_probe("11", part_number, {"CH": "x"}, **attributes).partition('<CHANNELS CH="x"/>')
    assert end
    inside = "".join(
        f"<{tag} {' '.join(f'{key}="{value}"' for key, value in values.items())}/>" for tag, values in tables.items()
    )
    return start + inside + end


def read(part_number: str, tables: dict[str, dict[str, str]], version: str = "0.6.6", **attributes: str) -> Probe:
    (probe,) = read_settings_xml(settings_xml(["ProbeA"], [element(part_number, tables, **attributes)], version))
    return probe


# --- by part number -----------------------------------------------------------------------------


def test_a_four_shank_probe_has_the_numbers_of_its_datasheet():
    assert probe_model("NP2014") == ProbeModel(
        "NP2014", "Neuropixels 2.0 multishank probe with cap", 4, 250.0, 206.0, 640, 15.0, 1280
    )
    assert probe_model("NP2014").span_um == 9_585.0
    one = probe_model("NP1000")
    assert (one.shanks, one.tip_um, one.span_um, one.electrodes_per_shank) == (1, 209.0, 9_580.0, 960)


def test_an_unknown_part_number_stays_unknown():
    assert probe_model("NP9999") is None
    assert model_contacts("NP9999") == ()
    assert contacts_by_electrode("NP9999", [0]) == ()


@pytest.mark.parametrize("part_number", ["NP1000", "NP1110", "NP1300", "NP2003", "NP2014", "NP2020", "PRB_1_4_0480_1"])
def test_electrodes_lie_where_probeinterface_puts_them(part_number: str):
    theirs = neuropixels_tools.build_neuropixels_probe(part_number)
    ours = model_contacts(part_number)
    shanks = np.zeros(len(ours)) if theirs.shank_ids is None else theirs.shank_ids.astype(float)
    pitch = probe_model(part_number).shank_pitch_um
    placed = np.array([(contact.x_um + pitch * contact.shank, contact.y_um) for contact in ours])
    # Theirs counts x from the first electrode of an odd row.
    origin = model_contacts(part_number)[0].x_um - theirs.contact_positions[0, 0]
    expected = theirs.contact_positions + np.array([origin, 0.0])
    keys = np.lexsort((expected[:, 0], expected[:, 1], shanks))
    np.testing.assert_allclose(placed, expected[keys], atol=1e-9)


def test_electrodes_of_one_shank():
    third = model_contacts("NP2020", 2)
    assert len(third) == 1280
    assert {contact.shank for contact in third} == {2}
    assert third[-1] == RecordedContact(2, 59.0, 9_585.0)


# --- as recorded --------------------------------------------------------------------------------


def test_positions_of_channels_say_where_on_each_shank_was_recorded():
    probe = read(
        "NP2014",
        {
            "CHANNELS": {"CH0": "0:0", "CH1": "3:2", "CH2": "0:0"},
            "ELECTRODE_XPOS": {"CH0": "8", "CH1": "540", "CH2": "40"},
            "ELECTRODE_YPOS": {"CH0": "15", "CH1": "9000", "CH2": "0"},
        },
    )
    assert probe.contacts == (
        RecordedContact(0, 40.0, 0.0), RecordedContact(0, 8.0, 15.0), RecordedContact(2, 40.0, 9000.0)
    )  # fmt: skip
    assert recorded_spans(probe) == (RecordedSpan(0, 2, 200.0, 215.0), RecordedSpan(2, 1, 9200.0, 9200.0))
    assert recorded_spans(probe, tip_um=206.0)[0].lowest_um == 206.0
    assert recorded_spans(probe)[0].length_um == 15.0
    assert GUI_TIP_UM == 200.0


def test_a_stream_of_one_shank_keeps_its_physical_shank():
    probe = read(
        "NP2020",
        {"CHANNELS": {"CH0_2": "0"}, "ELECTRODE_XPOS": {"CH0_2": "508"}, "ELECTRODE_YPOS": {"CH0_2": "30"}},
        "1.0.0",
        shank="2",
    )
    assert probe.contacts == (RecordedContact(2, 8.0, 30.0),)


def test_old_files_add_the_place_of_the_shank_to_the_height_too():
    tables = {"CHANNELS": {"CH0": "0:3"}, "ELECTRODE_XPOS": {"CH0": "758"}, "ELECTRODE_YPOS": {"CH0": "795"}}
    old = settings_xml([], [element("NP2014", tables)], "0.5.5")
    assert read_settings_xml(old)[0].contacts == (RecordedContact(3, 8.0, 45.0),)
    assert read("NP2014", tables).contacts == (RecordedContact(3, 8.0, 795.0),)


def test_numbers_of_electrodes_count_through_the_shanks():
    """Electrode 1283 is the fourth of the second shank: second row, right column."""
    probe = read("NP2014", {"SELECTED_ELECTRODES": {"E0": "1283", "E1": "2"}})
    assert probe.contacts == (RecordedContact(0, 27.0, 15.0), RecordedContact(1, 59.0, 15.0))
    assert read("NP2014", {"SELECTED_ELECTRODES": {"E0": "5120"}}).contacts == ()


def test_banks_say_it_where_channels_follow_each_other_along_the_shank():
    """Channel 5 of bank 1 is electrode 389: row 194, which is even, right column."""
    assert read("NP1000", {"CHANNELS": {"CH5": "1"}}).contacts == (RecordedContact(0, 59.0, 3880.0),)
    assert read("NP2020", {"CHANNELS": {"CH0_1": "3"}}, "1.0.0", shank="1").contacts == (
        RecordedContact(1, 27.0, 8640.0),
    )
    assert contacts_by_bank("NP1000", [(0, 2, 383)]) == ()


@pytest.mark.parametrize(
    ("part_number", "tables"),
    [
        ("NP2003", {"CHANNELS": {"CH5": "1"}}),
        ("NP9999", {"CHANNELS": {"CH5": "1"}}),
        ("NP1000", {"CHANNELS": {"CH5": "9999"}}),
        ("NP1000", {"CHANNELS": {"odd": "1"}}),
        ("NP1000", {"CHANNELS": {"CH5": "first"}}),
        ("NP1000", {}),
        ("NP2014", {"CHANNELS": {"CH0": "0:1"}, "ELECTRODE_XPOS": {"CH0": "8"}, "ELECTRODE_YPOS": {"CH1": "0"}}),
        ("NP2014", {"CHANNELS": {"CH0": "0:1"}, "ELECTRODE_XPOS": {"CH0": "8"}, "ELECTRODE_YPOS": {"CH0": "nan"}}),
        ("NP9999", {"CHANNELS": {"CH0": "0:1"}, "ELECTRODE_XPOS": {"CH0": "8"}, "ELECTRODE_YPOS": {"CH0": "0"}}),
    ],
)
def test_what_is_not_told_stays_unknown(part_number: str, tables: dict[str, dict[str, str]]):
    probe = read(part_number, tables)
    assert probe.contacts == ()
    assert recorded_spans(probe) == ()


def test_a_probe_without_contacts_is_still_a_probe():
    assert recorded_spans(Probe("ProbeA", "11", "NP1000", (0,), 1)) == ()
