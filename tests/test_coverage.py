"""Counting: only a whole pick file with points, in the captured asset, is a delivered row."""

import json
from dataclasses import replace

import pytest
from local_fixtures import RECORDING, expected_ras_um, layer, manifest_bytes, row, state, track_points, write_asset

from core.coverage import Launched, RowCoverage, count_coverage, what_was_launched
from core.errors import NotFoundError, PlatformError, RefusedError, UnavailableError, UnclearError
from core.models import ImageFrame
from core.pick_files import pick_path
from core.platforms.base import Entry
from core.platforms.local import LocalLibrary

FOLDER = f"700001/{RECORDING}"
PICKS = {"xyz_picks": [[1.0, 2, -3.5]]}
A, B = (f"{FOLDER}/Probe{letter}/xyz_picks_image_space.json" for letter in "AB")


def picks(number):
    """Picks of their own for each track."""
    return {"xyz_picks": [[number, 2, -3.5]]}


@pytest.fixture
def captured(tmp_path):
    folder = write_asset(tmp_path, "result", {})
    library = LocalLibrary(tmp_path)

    def count(rows, files, launched=None, links=()):
        for path, value in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        for path, target in links:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(target)
        return count_coverage(rows, library, library.get_asset("id-result"), launched)

    return count


def test_rows_are_found_under_the_names_that_converters_give(captured):
    rows = [row("a"), row("b", "ProbeB", 0), row("c", "ProbeB", 3),
            row("d", "45883-3", histology_shank=2, ephys_shank=0),
            row("e", "45883-4", histology_shank=3, ephys_shank=0)]  # fmt: skip
    coverage = captured(
        rows,
        {
            f"{FOLDER}/ProbeA/xyz_picks_image_space.json": picks(1),
            f"{FOLDER}/ProbeB/xyz_picks_shank1_image_space.json": picks(2),
            f"{FOLDER}/ProbeB/xyz_picks_shank4_image_space.json": picks(3),
            f"{FOLDER}/45883-3/xyz_picks_shank3_image_space.json": picks(4),
            f"{FOLDER}/45883-4/xyz_picks_shank4_image_space.json": picks(5),
        },
    )
    assert (coverage.asked, coverage.delivered) == (5, 5)
    assert coverage.rows[3] == RowCoverage("d", RECORDING, "45883-3", 0, "delivered")
    assert [r.shank for r in coverage.rows] == [None, 0, 3, 0, 0]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty, cut short"),
        (b'{"xyz_picks": [[1, 2', "cut short"),
        (b"[]", "no pick file"),
        (b'{"picks": [[1,2,3]]}', "no pick file"),
        (b"[" * 100_000, "cut short"),
        ({"xyz_picks": []}, "no points"),
        ({"xyz_picks": {}}, "no points"),
        ({"xyz_picks": [[1, 2]]}, "no place"),
        ({"xyz_picks": [[1, 2, 3], [1, 2, "3"]]}, "no place"),
        ({"xyz_picks": [[1, 2, True]]}, "no place"),
        (b'{"xyz_picks": [[1, 2, NaN]]}', "no place"),
        (b'{"xyz_picks": [[1, 2, 1' + b"0" * 400 + b"]]}", "no place"),
        (b" " * (16 * 1024 * 1024 + 1), "too large"),
    ],
)
def test_a_pick_file_without_whole_points_is_missing(captured, content, why):
    coverage = captured([row("a")], {f"{FOLDER}/ProbeA/xyz_picks_image_space.json": content})
    assert (coverage.asked, coverage.delivered) == (1, 0)
    assert coverage.rows[0].status == "missing"
    assert why in coverage.rows[0].why


def test_a_file_of_another_shank_or_probe_does_not_count(captured):
    coverage = captured(
        [row("a", "ProbeB", 0), row("b")],
        {
            f"{FOLDER}/ProbeB/xyz_picks_image_space.json": PICKS,
            f"{FOLDER}/ProbeB/xyz_picks_shank2_image_space.json": PICKS,
            f"{FOLDER}/ProbeA/xyz_picks_shank1_image_space.json": PICKS,
            f"{FOLDER}/ProbeA/xyz_picks_image_space.json/inside": PICKS,
        },
    )
    assert coverage.delivered == 0
    assert "xyz_picks_shank1_image_space.json is not in the result" in coverage.rows[0].why


def test_two_rows_of_one_file_are_one_delivery(captured):
    coverage = captured([row("a"), row("b")], {f"{FOLDER}/ProbeA/xyz_picks_image_space.json": PICKS})
    assert (coverage.asked, coverage.delivered) == (2, 1)
    assert "counted for a" in coverage.rows[1].why


@pytest.mark.parametrize("name", ["../ProbeA", "a/b", "", "..", "x\0", "y" * 300])
def test_a_name_that_is_no_folder_is_missing_not_an_error(captured, name):
    assert pick_path(row("a", name)) == ""
    coverage = captured([row("a", name)], {})
    assert coverage.delivered == 0
    assert "cannot be the name of a folder" in coverage.rows[0].why


def test_the_converters_own_reason_is_told_but_never_believed(captured):
    report = {
        "rows": [
            {"track": "a", "recording": RECORDING, "collection": "ProbeA", "shank": None, "done": True, "reason": ""},
            {"track": "b", "recording": RECORDING, "collection": "ProbeB", "shank": 1, "reason": "no such layer"},
        ]
    }
    coverage = captured([row("a"), row("b", "ProbeB", 1)], {"coverage.json": report})
    assert coverage.delivered == 0
    assert "no such layer" in coverage.rows[1].why


@pytest.mark.parametrize(
    "report", [b"", b"{", b"[1]", b'{"rows": 3}', b'{"rows": [3]}', b'{"rows": [{"reason": "x"}]}']
)
def test_a_broken_report_hides_nothing(captured, report):
    files = {"coverage.json": report, f"{FOLDER}/ProbeA/xyz_picks_image_space.json": PICKS}
    assert captured([row("a")], files).delivered == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"track": "b", "file": A}, "holds track b, the converter says"),
        ({"track": "a", "file": A, "done": False, "reason": "no such layer"}, "no such layer"),
        ({"track": "a", "file": "", "done": False, "reason": "half \ud800"}, "half ?"),
        ({"track": "a", "file": "", "done": False, "reason": ""}, "not done"),
    ],
)
def test_what_the_converter_says_against_a_row_counts(captured, said, why):
    report = {"rows": [{"recording": RECORDING, "collection": "ProbeA", "shank": None, "done": True, **said}]}
    [counted] = captured([row("a")], {A: PICKS, "coverage.json": report}).rows
    assert counted.status == "missing"
    assert why in counted.why
    counted.why.encode()


def test_a_report_too_large_to_read_is_no_report(captured):
    files = {A: PICKS, "coverage.json": b" " * (16 * 1024 * 1024 + 1)}
    assert captured([row("a")], files).delivered == 1
    assert captured([row("a")], files, LAUNCHED).delivered == 0


def test_the_same_picks_for_two_tracks_are_one_delivery(captured):
    coverage = captured([row("a"), row("b", "ProbeB")], {A: PICKS, B: PICKS})
    assert (coverage.asked, coverage.delivered) == (2, 1)
    assert "the same points as the file counted for a" in coverage.rows[1].why
    assert captured([row("a"), row("a", "ProbeB")], {A: PICKS, B: PICKS}).delivered == 2


def test_links_deliver_nothing(captured):
    rows = [row("a"), row("b", "ProbeB"), row("c", "ProbeC"), row("d", "ProbeD")]
    links = [
        (B, "../ProbeA/xyz_picks_image_space.json"),
        (f"{FOLDER}/ProbeC", "ProbeA"),
        (f"{FOLDER}/ProbeD/xyz_picks_image_space.json", "/etc/hostname"),
    ]
    coverage = captured(rows, {A: PICKS}, links=links)
    assert [counted.status for counted in coverage.rows] == ["delivered", "missing", "missing", "missing"]
    assert "a file of its own" in coverage.rows[1].why


def test_an_older_name_counts_only_for_versions_that_give_it_and_is_no_other_rows_file(captured):
    split = row("q", "P-3", histology_shank=2, ephys_shank=0)
    files = {f"{FOLDER}/P-3/xyz_picks_image_space.json": PICKS}
    versions = ("0.1.3", "", "0.8.2", "1")
    of_version = [Launched({"q": POINT, "s": POINT}, converter_version=version) for version in versions]
    files["manifest.csv"] = manifest_bytes(split)
    assert [captured([split], files, launched).delivered for launched in of_version] == [1, 1, 0, 0]
    both = [split, row("s", "P-3")]
    files["manifest.csv"] = manifest_bytes(*both)
    for launched in of_version:
        counted = captured(both, files, launched).rows
        assert [one.status for one in counted] == ["missing", "delivered"]


# --- against what was launched --------------------------------------------------------------------

FRAME = ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (0, 0, 0), 1)
TRACKS = {"a": track_points(1000), "b": track_points(1100), "c": track_points(1100)}
ROWS = (row("a"), row("b", "ProbeB"), row("c", "ProbeC", 0))
LAUNCHED = what_was_launched(json.dumps(state(*(layer(*each) for each in TRACKS.items()))).encode(), FRAME, "1")
POINT = LAUNCHED.tracks_level0_zyx["a"][:1]


def result(rows=ROWS, **changed):
    """What a conversion without a fault leaves."""
    tracks = {**TRACKS, **changed}
    files = {pick_path(one): {"xyz_picks": expected_ras_um(tracks[one.histology_track_id])} for one in ROWS}
    return {**files, "manifest.csv": manifest_bytes(*rows)}


def reasons(coverage):
    return {counted.track: counted.why for counted in coverage.rows if counted.status == "missing"}


def test_a_result_that_is_what_was_launched_is_delivered_though_two_tracks_are_drawn_alike(captured):
    assert reasons(captured(ROWS, result(), LAUNCHED)) == {}


def test_tracks_swapped_on_the_way_are_missing_and_told(captured):
    swapped = (replace(ROWS[0], histology_track_id="b"), replace(ROWS[1], histology_track_id="a"), ROWS[2])
    told = reasons(captured(ROWS, result(swapped, a=TRACKS["b"], b=TRACKS["a"]), LAUNCHED))
    assert set(told) >= {"a", "b"}
    assert "the manifest was changed" in told["a"]
    told = reasons(captured(ROWS, result(a=TRACKS["b"], b=TRACKS["a"]), LAUNCHED))
    assert set(told) == {"a", "b"}
    assert "holds the points of track b" in told["a"]


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (manifest_bytes(*ROWS, row("d", "ProbeD")), "1 of its rows were never launched"),
        (manifest_bytes(replace(ROWS[0], surface_finding="x"), *ROWS[1:]), "the manifest was changed"),
        (manifest_bytes(replace(ROWS[0], probe_file="other"), *ROWS[1:]), "the manifest was changed"),
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b" " * (16 * 1024 * 1024 + 1), "cannot be read"),
    ],
)
def test_another_manifest_than_the_one_sent_makes_rows_missing(captured, manifest, why):
    told = reasons(captured(ROWS, {**result(), "manifest.csv": manifest}, LAUNCHED))
    assert why in told["a"]


def test_rows_in_another_order_are_the_same_manifest(captured):
    assert reasons(captured(ROWS, result(ROWS[::-1]), LAUNCHED)) == {}


def test_a_result_without_its_manifest_delivers_nothing(captured):
    files = result()
    del files["manifest.csv"]
    told = reasons(captured(ROWS, files, LAUNCHED))
    assert set(told) == {"a", "b", "c"}
    assert "has no manifest.csv" in told["a"]


def test_points_that_are_not_the_tracks_are_missing(captured):
    told = reasons(captured(ROWS, result(a=TRACKS["a"][:-1]), LAUNCHED))
    assert set(told) == {"a"}
    assert "holds 4 points; the track has 5" in told["a"]
    without = Launched({name: LAUNCHED.tracks_level0_zyx[name] for name in "ac"}, FRAME)
    assert "no such track" in reasons(captured(ROWS, result(), without))["b"]
    assert set(reasons(captured(ROWS, result(), what_was_launched(b"{", FRAME, "1")))) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "frame", [replace(FRAME, scale_level0_um_xyz=(3.6, 3.6, 4.0)), replace(FRAME, directions_xyz=("L", "A", "I"))]
)
def test_a_geometry_that_changed_after_the_check_is_seen(captured, frame):
    told = reasons(captured(ROWS, result(), replace(LAUNCHED, frame=frame)))
    assert set(told) == {"a", "b", "c"}
    assert "geometry" in told["a"]
    assert reasons(captured(ROWS, result(), replace(LAUNCHED, frame=None))) == {}


def test_half_a_voxel_is_seen_and_rounding_is_not(captured):
    def moved(by):
        files = result()
        files[pick_path(ROWS[0])] = {"xyz_picks": [[x + by, y, z] for x, y, z in expected_ras_um(TRACKS["a"])]}
        return reasons(captured(ROWS, files, LAUNCHED))

    assert set(moved(0.9)) == {"a"}
    assert moved(0.01) == {}


# --- a platform that fails ------------------------------------------------------------------------


class Failing:
    """A platform on which one path cannot be looked at."""

    def __init__(self, path, error):
        self.path, self.error = path, error
        self.files = {A: json.dumps(PICKS).encode(), B: json.dumps(picks(2)).encode(), "coverage.json": b"{}"}

    def _fail(self, path):
        if path == self.path:
            raise self.error

    def list_folder(self, asset, path=""):
        self._fail(path)
        inside = [name.removeprefix(f"{path}/") for name in self.files if not path or name.startswith(f"{path}/")]
        return tuple(Entry(name.split("/")[0], "/" in name) for name in inside)

    def read_file(self, asset, path, limit):
        self._fail(path)
        return self.files[path]


def test_a_file_that_cannot_be_read_costs_only_its_row():
    coverage = count_coverage([row("a"), row("b", "ProbeB")], Failing(A, PlatformError("Permission denied")), None)
    assert [counted.status for counted in coverage.rows] == ["missing", "delivered"]
    assert "Permission denied" in coverage.rows[0].why


@pytest.mark.parametrize(
    ("path", "error"),
    [("", NotFoundError("no such asset")), ("", RefusedError("no")), (A.rpartition("/")[0], PlatformError("denied"))],
)
def test_a_folder_that_cannot_be_listed_is_not_a_missing_row(path, error):
    with pytest.raises(UnavailableError, match="cannot be listed"):
        count_coverage([row("a")], Failing(path, error), None)


def test_a_report_that_cannot_be_read_costs_nothing():
    assert count_coverage([row("a")], Failing("coverage.json", PlatformError("no")), None).delivered == 1


@pytest.mark.parametrize("error", [UnavailableError("no answer"), UnclearError("cut off")])
@pytest.mark.parametrize("path", ["", "coverage.json", A])
def test_a_platform_that_cannot_be_reached_is_not_a_missing_row(error, path):
    with pytest.raises(type(error)):
        count_coverage([row("a")], Failing(path, error), None)
