"""Shanks are those of the probe, never the sorter's count of them: from the files of a mouse to what a person sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import builders as b
import numpy as np
import pytest
from test_units import stream_files
from test_unrolled import straight

from core.checks import check_mapping
from core.manifest import read_csv, rows_from_mapping, write_csv
from core.manifest.rows import mapping_from_rows
from core.models import Assignment, Mapping, Problem, Severity, SortedStream, State, Subject, Suggestion
from core.pick_files import pick_path
from core.shank_units import NO_SHANK, units_by_shank
from core.sorted_streams import with_physical_shanks
from core.subjects import gather_subject
from core.subjects.units import WHOLE, StreamUnits, read_units
from core.suggestions import suggest
from core.suggestions.candidates import other_probes
from core.suggestions.door import weigh_mouse
from core.unrolled import Unrolled, unroll
from core.unrolled_words import describe
from dashboard import edits
from dashboard.answers import subject_answer
from dashboard.recording_cards import Marks, cards
from tests.fake_library import FakeLibrary, np_probe, raw_files, settings_xml, sorted_files

NAMES = tuple(f"20241107_ProbeB_shank{shank}" for shank in (1, 2, 3, 4))


def settings_of(*shanks: int) -> bytes:
    """A four-shank probe that recorded on some of its shanks: eight channels, 100 um and more above the lowest row."""
    channels = {f"CH{i}": f"0:{shanks[i % len(shanks)]}" for i in range(8)}
    x_um = {name: str(27 + 250 * int(value[-1])) for name, value in channels.items()}
    y_um = {name: str(100 + 15 * i) for i, name in enumerate(channels)}
    places = "".join(
        f"<{tag} {' '.join(f'{name}="{value}"' for name, value in values.items())}/>"
        for tag, values in (("ELECTRODE_XPOS", x_um), ("ELECTRODE_YPOS", y_um))
    )
    return settings_xml(["ProbeB"], [np_probe("22", "NP2014", channels).replace("</NP_PROBE>", f"{places}</NP_PROBE>")])


class Mouse:
    """A mouse with one recording of a four-shank probe, gathered from its files."""

    def __init__(
        self, recorded: tuple[int, ...] | None, groups: tuple[int, ...] | None, *, settings: bytes | None = None
    ) -> None:
        self.library = FakeLibrary()
        told = settings_of(*recorded) if recorded is not None and settings is None else settings
        self.library.add(b.DAY1, raw_files(["ProbeB"], told))
        files = sorted_files(["ProbeB"] if groups is None else [f"ProbeB_group{group}" for group in groups])
        for group in groups or ():
            files |= stream_files(f"ProbeB_group{group}", np.array([[20.0, 1000.0 + 10.0 * group, 5.0]] * (group + 1)))
        self.library.add(b.SORT1, files, provenance_data_assets=(b.DAY1,))
        gathered = gather_subject(self.library, b.MOUSE, now=datetime(2025, 1, 1, tzinfo=UTC))
        self.subject: Subject = replace(gathered, stitched=(b.brain(shape_level0_zyx=(5200, 8400, 7200)),))
        self.state: State = b.make_state(*(straight(name, right_um=250.0 * at) for at, name in enumerate(NAMES)))

    @property
    def stream(self) -> SortedStream:
        return self.subject.recordings[0].sortings[0].streams[0]

    def suggestions(self) -> dict[str, Suggestion]:
        return {each.track: each for each in suggest(self.state, self.subject)}

    def mapping(self, *shanks: int | None, names: tuple[str, ...] = ()) -> Mapping:
        """Every shank with the track that carries its number, or with the names given."""
        tracks = names or tuple(NAMES[shank or 0] for shank in shanks)
        pairs = zip(tracks, shanks, strict=True)
        return Mapping(b.MOUSE, tuple(Assignment(track, b.DAY1, b.SORT1, "ProbeB", shank) for track, shank in pairs))

    def problems(self, mapping: Mapping, *rules: str) -> list[Problem]:
        rows = rows_from_mapping(mapping, self.subject, self.state)
        found = check_mapping(rows, state=self.state, subject=self.subject, mapping=mapping)
        return [each for each in found if each.rule in rules]

    def unrolled(self, row: Assignment, rows: tuple[Assignment, ...] = (), *, with_sorting: bool = True) -> Unrolled:
        recording = self.subject.recordings[0]
        sorting = recording.sortings[0] if with_sorting else None
        units = {} if sorting is None else {"ProbeB": read_units(self.library, sorting, "ProbeB")}
        found = unroll(row, rows, self.state, b.frame(), recording=recording, sorting=sorting, units=units)
        assert found is not None
        return found


# --- what a sorter's numbers mean -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "recorded", "shanks", "sure"),
    [
        ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), True),
        ((0, 1), (2, 3), (2, 3), True),
        ((0, 1, 2), (0, 2, 3), (0, 2, 3), True),
        ((0, 2), (0, 1, 2, 3), (0, 2), True),  # the gap shows that they were counted before one was lost
        ((0, 1, 3), (0, 1, 2, 3), (0, 1, 3), True),
        ((0, 1, 2), (0, 1, 2, 3), (0, 1, 2), False),  # counted before or after one was lost?
        ((0,), (2, 3), (2,), False),
        ((1,), (1, 3), (3,), False),  # the second recorded shank, or shank 2 by its own number?
        ((1, 2), (1, 2, 3), (2, 3), False),
        ((2, 3), (2, 3), (2, 3), True),  # no count goes so far: the shanks themselves
        ((0, 1, 2), (0, 1), (0, 1, 2), False),  # fits neither way
        ((0, 1), None, (0, 1), False),
        ((0, 3), None, (0, 3), True),  # the fourth of four
        ((), (2, 3), (), True),
    ],
)
def test_a_sorters_number_is_the_rank_of_a_recorded_shank_and_doubted_where_it_may_be_another(
    groups, recorded, shanks, sure
):
    found = with_physical_shanks(SortedStream("ProbeB", groups), recorded)
    assert found.shanks == shanks
    assert (found.doubt == "") is sure
    assert [found.group_of(shank) for shank in shanks] == list(groups)


def test_the_shanks_of_a_recording_on_shanks_3_and_4_are_these_everywhere():
    mouse = Mouse((2, 3), (0, 1))
    assert (mouse.stream.shanks, mouse.stream.groups, mouse.stream.doubt) == ((2, 3), (0, 1), "")
    answer = subject_answer(mouse.subject)["recordings"][0]
    assert answer["sortings"][0]["streams"][0]["shanks"] == [2, 3]
    assert answer["probes"][0]["shanks"] == [2, 3]
    found = mouse.suggestions()
    assert [found[name].certain for name in NAMES] == [False, False, True, True]
    assert [found[name].assignment.shank for name in NAMES[2:]] == [2, 3]
    assert "the name says shank 1, but recorded are 3, 4" in found[NAMES[0]].reasons
    row = replace(found[NAMES[2]].assignment, shank=None)
    assert edits.choices(mouse.subject, row, "shank") == {"3 of 4": 2, "4 of 4": 3}


def test_the_manifest_names_physical_shanks_and_its_picks_are_called_so():
    mouse = Mouse((2, 3), (0, 1))
    mapping = mouse.mapping(2, 3)
    rows = rows_from_mapping(mapping, mouse.subject, mouse.state)
    assert [(row.histology_shank, row.ephys_shank) for row in rows] == [(2, 2), (3, 3)]
    assert [pick_path(row).rpartition("/")[2] for row in rows] == [
        "xyz_picks_shank3_image_space.json",
        "xyz_picks_shank4_image_space.json",
    ]
    again = mapping_from_rows(read_csv(write_csv(rows)).rows, mouse.subject, mouse.state)
    assert again.assignments == mapping.assignments
    assert not mouse.problems(mapping, "S1", "S6", "A15", "R3", "M21")


def test_the_picture_shows_the_contacts_and_units_of_the_physical_shank():
    mouse = Mouse((2, 3), (0, 1))
    rows = mouse.mapping(2, 3).assignments
    found = mouse.unrolled(rows[1], rows)
    assert [(shank.number, shank.track) for shank in found.shanks] == [(2, NAMES[2]), (3, NAMES[3])]
    lowest = [float(shank.contacts_um[:, 0].max()) for shank in found.shanks]
    assert lowest == pytest.approx([2700.0, 2685.0]), "300 and 315 um above the tips of tracks of 3,000 um"
    assert [len(shank.units_um) for shank in found.shanks] == [1, 2], "those of groups 0 and 1"
    assert found.shank_count == 4


@pytest.mark.parametrize("names", [NAMES[:2], NAMES[2:]])
def test_ranks_in_an_older_mapping_are_refused(names):
    mouse = Mouse((2, 3), (0, 1))
    found = mouse.problems(mouse.mapping(0, 1, names=names), "A15", "S1")
    assert {each.rule for each in found} == {"A15", "S1"}
    assert next(each for each in found if each.rule == "A15").severity is Severity.ERROR


def test_a_name_that_says_another_shank_is_seen_on_a_probe_recorded_in_part():
    mouse = Mouse((2, 3), (0, 1))
    found = mouse.problems(mouse.mapping(2, 3, names=NAMES[:2]), "R3")
    assert [each.message for each in found] == [
        "The name says shank 1, the row says shank 3.",
        "The name says shank 2, the row says shank 4.",
    ]


# --- what is in doubt -------------------------------------------------------------------------------


def test_without_settings_no_shank_is_certain_and_the_check_asks_for_a_confirmation():
    mouse = Mouse(None, (0, 1))
    found = mouse.suggestions()
    assert not any(each.certain for each in found.values())
    assert any("without settings.xml" in reason for reason in found[NAMES[0]].reasons)
    (asked,) = mouse.problems(mouse.mapping(0, 1), "S6")
    assert (asked.severity, asked.where.column) == (Severity.CONFIRM, "ephys_shank")
    assert "not which of the probe's shanks they mean" in asked.message
    row = Assignment(NAMES[0], b.DAY1, b.SORT1, "ProbeB")
    assert edits.choices(mouse.subject, row, "shank") == {"1 of 2 (?)": 0, "2 of 2 (?)": 1}
    rows = tuple(edits.Row(str(at), each) for at, each in enumerate(mouse.mapping(0, 1).assignments))
    card = str(cards(mouse.subject, Marks(rows, {}, "", {})))
    assert ["1 of 1 (?)" in card, "2 of 2 (?)" in card] == [True, True]
    said = describe(mouse.unrolled(mouse.mapping(0).assignments[0]))
    assert any(words.startswith("The units may be another shank's") for words in said)


def test_without_settings_all_four_shanks_are_known_by_their_number():
    mouse = Mouse(None, (0, 1, 2, 3))
    assert all(each.certain for each in mouse.suggestions().values())
    assert not mouse.problems(mouse.mapping(0, 1, 2, 3), "S6", "S1")


def test_without_settings_a_name_with_a_shank_is_not_certain_for_a_stream_sorted_as_a_whole():
    found = Mouse(None, None).suggestions()[NAMES[0]]
    assert not found.certain
    assert "the name says shank 1, but how many shanks ProbeB has is not known" in found.reasons


@pytest.mark.parametrize(("groups", "unsure"), [((0, 2), False), ((0, 1, 3), False), ((0, 1, 2), True)])
def test_a_sorting_that_lost_a_shank_must_be_confirmed_though_every_sorted_one_is_mapped(groups, unsure):
    mouse = Mouse((0, 1, 2, 3), groups)
    mapping = mouse.mapping(*groups)
    (found,) = mouse.problems(mapping, "S1")
    sorted_ones = ", ".join(str(group + 1) for group in groups)
    lost = ", ".join(str(shank + 1) for shank in range(4) if shank not in groups)
    assert found.severity is Severity.CONFIRM
    assert f"recorded on shanks 1, 2, 3, 4 by settings.xml, but sorted are shanks {sorted_ones}" in found.message
    assert found.message.endswith(f" {lost}.")
    assert "Sort the recording again" in found.cure
    assert bool(mouse.problems(mapping, "S6")) is unsure
    suggested = mouse.suggestions()
    assert [suggested[NAMES[group]].certain for group in groups] == [not unsure] * len(groups)
    said = mouse.subject.recordings[0].sortings[0].reason
    assert said == f"ProbeB: {len(groups)} of 4 recorded shanks are sorted" + ("" if unsure else f", not {lost}")


def test_the_track_of_a_lost_shank_keeps_its_place_on_the_probe_but_no_row_can_name_it():
    mouse = Mouse((0, 1, 2, 3), (0, 1, 3))
    found = mouse.suggestions()[NAMES[2]]
    assert not found.certain
    assert found.assignment is None or found.assignment.shank is None
    assert any("shank 3" in reason for reason in found.reasons)
    rows = mouse.mapping(0, 1, 3).assignments
    drawn = mouse.unrolled(rows[0], rows)
    assert [(shank.number, shank.track) for shank in drawn.shanks if not shank.track] == [(2, "")]
    assert "No row gives a track to shank 3 of 4." in describe(drawn)
    lost = mouse.unrolled(replace(rows[0], track=NAMES[2], shank=2))
    assert "The sorting holds nothing of shank 3." in describe(lost)
    assert len(lost.shanks[2].units_um) == 0


def test_sorted_shanks_that_were_not_recorded_are_never_certain():
    mouse = Mouse((0, 1), (0, 1))
    recording = mouse.subject.recordings[0]
    probes = (replace(recording.probes[0], shanks=(1, 2)),)
    mouse.subject = replace(mouse.subject, recordings=(replace(recording, probes=probes),))
    assert not any(each.certain for each in mouse.suggestions().values())
    assert {each.rule for each in mouse.problems(mouse.mapping(0, 1), "S1", "S6")} == {"S1", "S6"}


# --- a stream sorted as a whole ---------------------------------------------------------------------


def whole(*x_um: float) -> StreamUnits:
    return StreamUnits(np.full(len(x_um), 100.0), np.array(x_um), np.full(len(x_um), WHOLE), None, "here")


def four_shanks(*shanks: int, part: str = "NP2014"):
    return replace(b.probe("ProbeB", *shanks, count=4), part_number=part)


def test_units_sorted_together_are_told_apart_by_their_place_across_the_probe():
    found = units_by_shank(whole(20.0, 270.0, 520.0, 770.0), b.stream("ProbeB"), four_shanks(0, 1, 2, 3), range(4))
    assert found.shanks.tolist() == [0, 1, 2, 3]
    assert "told apart by their places" in found.words
    found = units_by_shank(whole(*[20.0] * 30, 150.0), b.stream("ProbeB"), four_shanks(0, 1), (0, 1))
    assert found.shanks.tolist() == [0] * 30 + [NO_SHANK]
    assert "1 lie between the shanks and are drawn on none" in found.words


@pytest.mark.parametrize(
    ("probe", "recorded", "why"),
    [
        (four_shanks(0, 1, 2, 3, part="NP"), (0, 1, 2, 3), "how far apart the shanks stand is not known"),
        (None, (0, 1), "how far apart the shanks stand is not known"),
        (four_shanks(1, 2), (1, 2), "1 of them lie where no shank was recorded"),
    ],
)
def test_units_whose_shank_cannot_be_told_are_drawn_on_none_and_it_is_said(probe, recorded, why):
    found = units_by_shank(whole(20.0, 270.0), b.stream("ProbeB"), probe, recorded)
    assert found.shanks.tolist() == [NO_SHANK, NO_SHANK]
    assert why in found.words


def test_all_units_of_a_probe_recorded_on_one_shank_are_of_that_shank():
    found = units_by_shank(whole(20.0, 270.0), b.stream("ProbeB"), four_shanks(2), (2,))
    assert found.shanks.tolist() == [2, 2]
    assert found.words == ""


def test_no_shank_shows_the_units_of_all_when_they_were_sorted_together():
    mouse = Mouse((0, 1), None)
    row, other = mouse.mapping(0, 1).assignments
    recording = mouse.subject.recordings[0]
    known = {"ProbeB": whole(20.0, 25.0, 270.0)}
    found = unroll(
        row, (row, other), mouse.state, b.frame(), recording=recording, sorting=recording.sortings[0], units=known
    )
    assert found is not None
    assert [len(shank.units_um) for shank in found.shanks] == [2, 1]
    assert edits.choices(mouse.subject, row, "shank") == {"1 of 4": 0, "2 of 4": 1}


# --- without a sorting ------------------------------------------------------------------------------


def test_places_and_contacts_are_drawn_before_a_sorting_is_chosen():
    mouse = Mouse((2, 3), (0, 1))
    rows = tuple(replace(each, sorting="") for each in mouse.mapping(2, 3).assignments)
    found = mouse.unrolled(rows[0], rows, with_sorting=False)
    assert [(shank.number, shank.track) for shank in found.shanks] == [(2, NAMES[2]), (3, NAMES[3])]
    assert all(len(shank.contacts_um) for shank in found.shanks)
    assert found.plane is not None
    assert "No sorting is chosen for this row: its units are not known." in describe(found)
    elsewhere = replace(rows[0], sorting="gone")
    assert any(
        "not one of this recording" in words for words in describe(mouse.unrolled(elsewhere, with_sorting=False))
    )


def test_a_shank_that_was_not_recorded_is_told_apart_from_none():
    mouse = Mouse((2, 3), (0, 1))
    row = mouse.mapping(2).assignments[0]
    assert any(
        words.startswith("Shank 1 was not recorded") for words in describe(mouse.unrolled(replace(row, shank=0)))
    )
    assert any(words.startswith("No shank is chosen") for words in describe(mouse.unrolled(replace(row, shank=None))))


def test_a_candidate_for_a_shank_that_was_lost_names_no_shank():
    mouse = Mouse((0, 1, 2, 3), (0, 1, 3))
    weighed = weigh_mouse(mouse.state, mouse.subject)
    assert weighed is not None
    (found,) = other_probes(weighed, Assignment(NAMES[2]))
    assert found.assignment.shank is None
    assert "shank 3 was recorded, but no usable sorting holds it" in found.reasons
