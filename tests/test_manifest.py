"""The manifest: what is written, what is read back, and what the converter's reader would make of it."""

from __future__ import annotations

import io
from dataclasses import replace

import builders as b
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ManifestError
from core.manifest import (
    COLUMNS,
    ManifestRow,
    diff,
    mapping_from_rows,
    read_csv,
    round_trip_problems,
    rows_from_mapping,
    write_csv,
)
from core.manifest.reading import MAX_BYTES, MAX_ROWS
from core.models import Assignment, Mapping, Severity

ROW = ManifestRow("700001", b.SORT1, "tracks", "268", "ProbeA", "ProbeA", surface_finding=b.SURFACE1)
HEADER = "mouseid,sorted_recording,probe_file,histology_track_id,ephys_collection"


def rule_set(problems):
    return {each.rule for each in problems}


# --- writing ------------------------------------------------------------------------------------


def test_columns_stand_in_the_canonical_order_then_the_older_ones():
    header, line = write_csv([ROW]).decode().splitlines()
    assert header == (
        "mouseid,sorted_recording,surface_finding,probe_file,histology_track_id,logical_probe,ephys_collection,"
        "histology_shank,ephys_shank,probe_id,probe_name,probe_shank,annotation_format"
    )
    assert line == f"700001,{b.SORT1},{b.SURFACE1},tracks,268,ProbeA,ProbeA,,,268,ProbeA,,json"


def test_registration_columns_stand_there_only_when_set():
    row = replace(ROW, registration_asset="reg/ccf_Ex", template_to_ccf_asset="t2c")
    header = write_csv([ROW, row]).decode().splitlines()[0]
    assert header.index("ephys_shank") < header.index("registration_asset") < header.index("template_to_ccf_asset")
    assert header.index("template_to_ccf_asset") < header.index("probe_id")


@pytest.mark.parametrize(
    ("histology", "ephys", "probe_shank"), [(None, None, ""), (0, 0, "0"), (3, 3, "3"), (2, 0, ""), (None, 1, "")]
)
def test_shanks_are_whole_numbers_and_the_older_column_only_says_what_it_can(histology, ephys, probe_shank):
    line = write_csv([replace(ROW, histology_shank=histology, ephys_shank=ephys)]).decode().splitlines()[1].split(",")
    assert line[7:9] == ["" if histology is None else str(histology), "" if ephys is None else str(ephys)]
    assert line[11] == probe_shank


def test_annotation_format_is_never_blank():
    data = write_csv([replace(ROW, annotation_format=""), replace(ROW, annotation_format="swc")])
    assert [line.rsplit(",", 1)[1] for line in data.decode().splitlines()[1:]] == ["json", "json"]


def test_a_broken_character_is_refused_in_words():
    with pytest.raises(ManifestError, match="broken character"):
        write_csv([replace(ROW, histology_track_id="a\ud800b")])


# --- reading ------------------------------------------------------------------------------------

shanks = st.one_of(st.none(), st.integers(0, 3))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
written = st.builds(
    ManifestRow,
    mouseid=texts,
    sorted_recording=texts,
    probe_file=texts,
    histology_track_id=texts,
    ephys_collection=texts,
    logical_probe=texts,
    surface_finding=st.one_of(st.just(""), texts),
    histology_shank=shanks,
)


@given(st.lists(written.map(lambda row: replace(row, ephys_shank=row.histology_shank)), min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back_exactly(rows):
    table = read_csv(write_csv(rows))
    assert table.rows == tuple(rows)
    assert not table.problems


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise_anything_but_a_manifest_error(data):
    for given_bytes in (data, HEADER.encode() + b"\n" + data):
        try:
            table = read_csv(given_bytes)
        except ManifestError:
            continue
        assert table.rows or table.problems


@given(st.lists(written, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_a_value_is_reported_exactly_when_the_converters_reader_changes_it(rows):
    reported = {
        (each.where.row, each.where.column) for each in round_trip_problems(rows) if each.severity is Severity.ERROR
    }
    seen = pd.read_csv(io.BytesIO(write_csv(rows)))
    if len(seen) != len(rows):
        assert reported
        return
    for number, row in enumerate(rows):
        value = seen["histology_track_id"][number]
        survives = not pd.isna(value) and str(value) == row.histology_track_id
        assert survives == ((number, "histology_track_id") not in reported)


@pytest.mark.parametrize("name", ["0268", "NA", "null", "None", "nan", "1e5", "+5", "7.10", "00", "NULL", "TRUE"])
def test_a_name_that_the_reader_takes_for_something_else_is_an_error(name):
    found = round_trip_problems([replace(ROW, histology_track_id=name)])
    assert {(each.rule, each.severity, each.where.column) for each in found} == {
        ("M7", Severity.ERROR, "histology_track_id")
    }


def test_plain_numbers_survive_and_a_blank_cell_beside_them_does_not():
    rows = [ROW, replace(ROW, histology_track_id="269")]
    assert not round_trip_problems(rows)
    blank = [*rows, replace(ROW, histology_track_id="")]
    assert {each.measured for each in round_trip_problems(blank)} == {"268.0", "269.0"}


def test_shanks_beside_blanks_survive():
    rows = [ROW, replace(ROW, histology_track_id="269", histology_shank=2, ephys_shank=0)]
    assert not round_trip_problems(rows)


def test_older_columns_alone_are_enough():
    data = (
        "mouseid,sorted_recording,probe_file,probe_id,probe_name,probe_shank,annotation_format,index\n"
        f"700001,{b.SORT1},tracks,268,ProbeA,,json,0\n700001,{b.SORT1},tracks,269,ProbeB,1,JSON,1\n"
    ).encode()
    table = read_csv(data)
    first, second = table.rows
    assert (first.histology_track_id, first.ephys_collection, first.histology_shank) == ("268", "ProbeA", None)
    assert (second.histology_shank, second.ephys_shank, second.annotation_format) == (1, 1, "json")
    assert [(each.rule, each.severity, each.where.column) for each in table.problems] == [
        ("M19", Severity.INFO, "index")
    ]


def test_texts_are_kept_exactly():
    table = read_csv(f'{HEADER}\n007,{b.SORT1},NA," 0268 ","a,""b"\n'.encode())
    row = table.rows[0]
    assert (row.mouseid, row.probe_file, row.histology_track_id, row.ephys_collection) == (
        "007", "NA", " 0268 ", 'a,"b',
    )  # fmt: skip


@pytest.mark.parametrize("data", [write_csv([ROW]).replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + write_csv([ROW])])
def test_spreadsheet_line_ends_and_byte_order_mark_are_fine(data):
    assert read_csv(data) == read_csv(write_csv([ROW]))


@pytest.mark.parametrize(("text", "shank"), [("0", 0), ("0.0", 0), (" 3 ", 3), ("2.00", 2), ("", None)])
def test_shank_texts_that_are_read(text, shank):
    table = read_csv(f"{HEADER},histology_shank,ephys_shank\n7,S,f,t,c,{text},{text}\n".encode())
    assert (table.rows[0].histology_shank, table.rows[0].ephys_shank) == (shank, shank)
    assert not table.problems


@pytest.mark.parametrize("text", ["1/4", "-1", "0.5", "one", "1e0", "٣", "nan"])
def test_shank_texts_that_are_refused_keep_their_row(text):
    table = read_csv(f"{HEADER},histology_shank,ephys_shank\n7,S,f,t,c,0,{text}\n".encode())
    assert table.rows[0].histology_track_id == "t"
    assert table.rows[0].ephys_shank is None
    assert [(each.rule, each.where.row, each.where.column) for each in table.problems] == [("M4", 0, "ephys_shank")]


def test_a_blank_ephys_shank_is_filled_as_the_converter_fills_it():
    table = read_csv(f"{HEADER},histology_shank\n7,S,f,t,c,2\n".encode())
    assert table.rows[0].ephys_shank == 2
    assert [(each.rule, each.severity) for each in table.problems] == [("M16", Severity.INFO)]


SPELLINGS = {
    "canonical": "mouseid,sorted_recording,probe_file,histology_track_id,logical_probe,ephys_collection,"
    "histology_shank,ephys_shank\n1,x_sorted,s,t,ProbeB,ProbeB,1,1\n",
    "no probe": "mouseid,sorted_recording,probe_file,histology_track_id,ephys_collection,histology_shank,ephys_shank\n"
    "1,x_sorted,s,t,ProbeB,1,1\n",
    "blank probe": "mouseid,sorted_recording,probe_file,histology_track_id,logical_probe,ephys_collection,"
    "histology_shank\n1,x_sorted,s,t,,ProbeB,1.0\n",
    "older columns": "mouseid,sorted_recording,probe_file,probe_id,probe_name,probe_shank,annotation_format\n"
    "1,x_sorted,s,t,ProbeB,1,JSON\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_mapping_reads_the_same_in_every_spelling(spelling):
    assert read_csv(SPELLINGS[spelling].encode()).rows == read_csv(SPELLINGS["canonical"].encode()).rows


def test_a_blank_probe_of_a_numbered_stream_is_left_to_whoever_knows_its_siblings():
    (row,) = read_csv(SPELLINGS["blank probe"].replace("ProbeB", "45883-3").encode()).rows
    assert row.logical_probe == ""


def test_columns_that_disagree_are_named():
    table = read_csv(f"{HEADER},probe_id,histology_shank,ephys_shank,probe_shank\n7,S,f,t,c,other,1,1,2\n".encode())
    assert table.rows[0].histology_track_id == "t"
    assert [(each.rule, each.where.column) for each in table.problems] == [
        ("M5", "histology_shank"),
        ("M5", "ephys_shank"),
        ("M5", "histology_track_id"),
    ]


def test_missing_columns_and_short_rows_are_problems_and_lose_no_row():
    table = read_csv(b"mouseid,histology_track_id\n7,t\n7\n7,u,extra\n")
    assert [row.histology_track_id for row in table.rows] == ["t", "", "u"]
    missing = [each.where.column for each in table.problems if each.rule == "M2"]
    assert missing == ["sorted_recording", "probe_file", "ephys_collection"]
    assert [each.where.row for each in table.problems if each.rule == "M18"] == [1, 2]


def test_header_only_is_a_problem():
    assert rule_set(read_csv(HEADER.encode()).problems) == {"M1"}


@pytest.mark.parametrize("cell", ["", "swc"])
def test_annotation_format_must_be_json(cell):
    table = read_csv(f"{HEADER},annotation_format\n7,S,f,t,c,{cell}\n".encode())
    assert [(each.rule, each.where.row) for each in table.problems] == [("M6", 0)]


NOT_A_MANIFEST = {
    "empty": b"",
    "blank": b"\n\n",
    "binary": b"PK\x03\x04\x00\x00",
    "latin 1": "mouseid,probe\n7,é".encode("latin-1"),
    "other table": b"a,b\n1,2\n",
    "json": b'{"layers": []}',
    "open quote": HEADER.encode() + b'\n7,"S',
    "too large": HEADER.encode() + b"\n" + b"x" * MAX_BYTES,
    "too many rows": HEADER.encode() + b"\n7" * (MAX_ROWS + 1),
}


@pytest.mark.parametrize("what", NOT_A_MANIFEST)
def test_what_is_no_manifest_is_refused_with_a_cure(what):
    with pytest.raises(ManifestError) as caught:
        read_csv(NOT_A_MANIFEST[what])
    assert caught.value.cure


def test_required_columns_are_those_of_the_contract():
    assert [column.name for column in COLUMNS if column.required] == HEADER.split(",")


# --- mappings -----------------------------------------------------------------------------------


def assigned(track: str, stream: str, shank: int | None = None, **more: object) -> Assignment:
    made = Assignment(track, recording=b.DAY1, sorting=b.SORT1, stream=stream, shank=shank, surface=b.SURFACE1)
    return replace(made, **more)  # type: ignore[arg-type]


MAPPING = Mapping(
    b.MOUSE,
    (
        assigned("one", "ProbeA"),
        assigned("b1", "ProbeB", 0),
        assigned("b4", "ProbeB", 3),
        assigned("t1", "45883-1"),
        assigned("t3", "45883-3", surface=""),
    ),
)


@pytest.mark.parametrize("subject", [b.make_subject(), None])
def test_rows_of_a_mapping_follow_the_shank_rules_and_read_back(subject):
    state = b.make_state("one", stem="my state")
    rows = rows_from_mapping(MAPPING, subject, state)
    assert [(row.ephys_collection, row.logical_probe, row.histology_shank, row.ephys_shank) for row in rows] == [
        ("ProbeA", "ProbeA", None, None),
        ("ProbeB", "ProbeB", 0, 0),
        ("ProbeB", "ProbeB", 3, 3),
        ("45883-1", "45883", 0, 0),
        ("45883-3", "45883", 2, 0),
    ]
    assert {row.probe_file for row in rows} == {"my state"}
    assert mapping_from_rows(read_csv(write_csv(rows)).rows, subject, state) == MAPPING


def test_a_lone_stream_with_a_number_is_just_a_name():
    mapping = Mapping(b.MOUSE, (assigned("t", "45883-3"),))
    row = rows_from_mapping(mapping, None, b.make_state())[0]
    assert (row.logical_probe, row.histology_shank, row.ephys_shank) == ("45883-3", None, None)


def test_rows_left_out_are_not_written():
    mapping = replace(MAPPING, assignments=(assigned("one", "ProbeA", include=False), assigned("b1", "ProbeB", 0)))
    assert [row.histology_track_id for row in rows_from_mapping(mapping, None, b.make_state())] == ["b1"]


def test_the_recording_of_a_row_comes_from_the_subject_before_the_name():
    renamed = b.recording(b.DAY2, b.sorting(b.SORT1, b.stream("ProbeA")))
    mapping = mapping_from_rows([ROW], b.make_subject(renamed), None)
    assert (mapping.subject, mapping.assignments[0].recording) == ("700001", b.DAY2)
    assert mapping_from_rows([ROW], None, None).assignments[0].recording == b.DAY1


def test_diff_names_what_changed_by_track():
    other = replace(ROW, histology_track_id="269", ephys_collection="ProbeB")
    new = replace(ROW, histology_track_id="270")
    changes = diff([ROW, other], [new, replace(ROW, ephys_collection="ProbeC", histology_shank=1)])
    assert [(change.kind, change.track) for change in changes] == [
        ("added", "270"),
        ("changed", "268"),
        ("removed", "269"),
    ]
    assert changes[1].columns == (("ephys_collection", "ProbeA", "ProbeC"), ("histology_shank", "", "1"))
    assert diff([ROW, other], [other, ROW]) == ()
