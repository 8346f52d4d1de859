"""Results of the full converter: whole ones are delivered, damaged ones are not, its own words count against a row."""

import contextlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.channel_files import array_shape, skips_ephys
from core.coverage import count_coverage
from core.errors import InputError
from core.manifest import read_csv
from tests.full_results import LAUNCHED, ROWS, KeptResult, full_result, needed, npy, path_of
from tests.local_fixtures import RECORDING

MOUSE = "700001"
PROBE_A = f"{MOUSE}/{RECORDING}/ProbeA"


def count(files, rows=ROWS, launched=LAUNCHED):
    return count_coverage(rows, KeptResult(files), None, launched)


def missing(files, **more):
    return {one.track: one.why for one in count(files, **more).rows if one.status == "missing"}


@pytest.mark.parametrize("old", [False, True])
def test_a_whole_result_is_delivered_under_the_names_of_either_version(old):
    assert missing(full_result(old=old)) == {}
    assert missing(full_result(old=old), launched=replace(LAUNCHED, converter_version="0.1.3")) == {}
    # A version that is known to name it anew does not get the old name.
    told = missing(full_result(old=old), launched=replace(LAUNCHED, converter_version="0.8.2"))
    assert set(told) == ({"split"} if old else set())


def test_only_the_folders_on_the_way_are_listed_once_each():
    files = {**full_result(), **{f"{MOUSE}/image_space_histology/{n}.nrrd": b"x" for n in range(2000)}}
    result = KeptResult({**files, **{f"{MOUSE}/{RECORDING}/ProbeZ/{n}.npy": b"x" for n in range(2000)}})
    assert count_coverage(ROWS, result, None, LAUNCHED).delivered == len(ROWS)
    assert sorted(result.listed) == sorted(
        ["", MOUSE, f"{MOUSE}/{RECORDING}", *{path_of(one).rpartition("/")[0] for one in ROWS}]
    )
    assert set(result.read) == set(needed())


@settings(max_examples=100, deadline=None)
@given(st.data(), st.booleans())
def test_no_damage_to_a_file_leaves_its_rows_delivered(data, old):
    files, rows_of = full_result(old=old), needed(old=old)
    path = data.draw(st.sampled_from(sorted(rows_of)))
    hurt = set(rows_of[path])
    match data.draw(st.sampled_from(["drop", "rename", "truncate", "swap", "empty", "lengthen"])):
        case "drop":
            del files[path]
        case "rename":
            folder, _, name = path.rpartition("/")
            new = data.draw(st.sampled_from([f"{name}.bak", name.upper(), f"x{name}", name.replace(".", "..", 1)]))
            files[f"{folder}/{new}" if folder else new] = files.pop(path)
        case "truncate":
            files[path] = files[path][: data.draw(st.integers(0, len(files[path]) - 1))]
        case "swap":
            other = data.draw(st.sampled_from(sorted(rows_of.keys() - {path})))
            files[path], files[other] = files[other], files[path]
            hurt |= rows_of[other]
        case "empty":
            files[path] = b""
        case "lengthen":
            files[path] += files[path]
    if path == "manifest.csv" and path in files and _says_the_same(files[path]):
        hurt = set()  # without its last line break it says the same
    assert set(missing(files)) == hurt


def _says_the_same(manifest):
    try:
        return read_csv(manifest).rows == read_csv(full_result()["manifest.csv"]).rows
    except InputError:
        return False


# --- channels -------------------------------------------------------------------------------------


def test_channels_count_only_where_they_were_asked_for():
    files = {path: data for path, data in full_result().items() if "channels." not in path}
    told = missing(files)
    assert set(told) == {one.histology_track_id for one in ROWS}
    assert "channels.localCoordinates.npy is not in the result" in told["single"]
    assert missing(files, launched=replace(LAUNCHED, wants_channels=False)) == {}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("localCoordinates", npy(np.zeros((31, 2))), "31 and 33 channels"),
        ("localCoordinates", npy(np.zeros(33)), r"shape \(33,\)"),
        ("localCoordinates", npy(np.zeros((0, 2))), r"shape \(0, 2\)"),
        ("rawInd", npy(np.zeros((33, 2))), r"shape \(33, 2\)"),
        ("rawInd", npy(np.array(["a"] * 33)), "no numbers"),
        ("rawInd", npy(np.array([{}] * 33, dtype=object)), "no numbers"),
        ("rawInd", b"PK\x03\x04", "no array"),
        ("rawInd", b" " * (16 * 1024 * 1024 + 1), "too large"),
    ],
)
def test_channel_files_that_hold_something_else_deliver_nothing(name, data, why):
    told = missing({**full_result(), f"{PROBE_A}/channels.{name}.npy": data})
    assert set(told) == {"single"}
    assert re.search(why, told["single"])


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_a_refusal(data):
    for given_bytes in (data, b"\x93NUMPY" + data, npy([1, 2])[:10] + data):
        with contextlib.suppress(InputError):
            assert isinstance(array_shape(given_bytes), tuple)


def test_an_array_of_an_absurd_shape_costs_no_memory():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 2), }"
    data = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    with pytest.raises(InputError, match="cut short"):
        array_shape(data)


@pytest.mark.parametrize(
    ("parameters", "skips"),
    [({}, False), ({"skip-ephys": "0"}, False), ({"skip-ephys": ""}, False), ({"skip-ephys": "false"}, False),
     ({"skip-ephys": "1"}, True), ({"skip-ephys": " TRUE "}, True), ({"run-async": "1"}, False)],
)  # fmt: skip
def test_what_skip_ephys_means(parameters, skips):
    assert skips_ephys(parameters) is skips


# --- the converter's own words --------------------------------------------------------------------


def report(**row):
    told = {"recording_id": RECORDING, "ephys_collection": "ProbeB", "ephys_shank": 0, "histology_shank": 0}
    return json.dumps({"coverage_version": "1.0.0", "rows": ["odd", {**told, **row}]}).encode()


def test_a_row_that_its_coverage_names_as_dropped_is_missing_with_its_reason():
    said = report(histology_track_id="first", viable=False, reason="no spike-sorting output (bad sorting)")
    told = missing({**full_result(), "coverage.json": said})
    assert told == {"first": "the converter says: no spike-sorting output (bad sorting)"}
    # It drops such rows from its manifest, too: the reason is told, not only the difference.
    filtered = full_result(ROWS[:1] + ROWS[2:])
    told = missing({**full_result(), "manifest.csv": filtered["manifest.csv"], "coverage.json": said})
    assert set(told) == {"first"}
    assert told["first"].endswith("has no such row; the converter says: no spike-sorting output (bad sorting)")
    assert missing({**full_result(), "coverage.json": report(histology_track_id="first", viable=True)}) == {}


def test_a_stream_without_sorting_is_missing():
    note = {f"{MOUSE}/{RECORDING}/ProbeB/sorting_error.txt": b"No postprocessed sorting output\nfound for ProbeB"}
    told = missing({**full_result(), **note})
    assert told == dict.fromkeys(
        ("first", "second"), "the converter says: No postprocessed sorting output found for ProbeB"
    )


def package(form, *, leave_out=(), rename=()):
    """A mouse's datapackage in the forms that versions of the converter write."""
    probes = {}
    for one in ROWS:
        if one.histology_track_id in leave_out:
            continue
        old = form == "flat"
        path = path_of(one, old=old).removeprefix(f"{MOUSE}/")
        if form == "references":
            name = dict(rename).get(one.histology_track_id, one.histology_track_id)
            picks = {"image_space": {"asset": None, "path": path}, "histology_track_id": name, "ephys_shank": None}
        else:
            picks = {"ccf": "x.json", "image_space": path}
        folder = probes if form == "flat" else probes.setdefault(RECORDING, {})
        entry = folder.setdefault(one.ephys_collection, {"probe_id": one.histology_track_id, "xyz_picks": []})
        entry["xyz_picks"].append(picks)
    images = {"image_space": {"registration": "a.nrrd"}}
    return {
        f"{MOUSE}/datapackage.json": json.dumps({"mouse_id": MOUSE, "histology": images, "probes": probes}).encode()
    }


@pytest.mark.parametrize("form", ["flat", "nested", "references"])
def test_a_row_that_the_datapackage_leaves_out_is_missing(form):
    files = full_result(old=form == "flat")
    assert missing({**files, **package(form)}) == {}
    told = missing({**files, **package(form, leave_out=("split", "second"))})
    assert set(told) == {"split", "second"}
    assert "datapackage.json leaves" in told["split"]
    everything = package(form, leave_out=tuple(one.histology_track_id for one in ROWS))
    assert len(missing({**files, **everything})) == len(ROWS)


def test_a_datapackage_that_names_another_track_speaks_against_the_row():
    told = missing({**full_result(), **package("references", rename=(("first", "second"), ("second", "first")))})
    assert set(told) == {"first", "second"}
    assert "holds track second, the result's datapackage.json says" in told["first"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"probes": []}', b"[" * 100_000, b'{"histology": {}}'])
def test_a_datapackage_of_an_unknown_form_says_nothing(content):
    assert missing({**full_result(), f"{MOUSE}/datapackage.json": content}) == {}
