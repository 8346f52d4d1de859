"""Counting: only a whole pick file with points, in the captured asset, is a delivered row."""

import json

import pytest
from local_fixtures import RECORDING, row, write_asset

from core.coverage import RowCoverage, count_coverage, pick_paths
from core.errors import UnavailableError
from core.platforms.local import LocalLibrary

FOLDER = f"700001/{RECORDING}"
PICKS = {"xyz_picks": [[1.0, 2, -3.5]]}


@pytest.fixture
def captured(tmp_path):
    folder = write_asset(tmp_path, "result", {})
    library = LocalLibrary(tmp_path)

    def count(rows, files):
        for path, value in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        return count_coverage(rows, library, library.get_asset("id-result"))

    return count


def test_rows_are_found_under_the_names_that_converters_give(captured):
    rows = [row("a"), row("b", "ProbeB", 0), row("c", "ProbeB", 3),
            row("d", "45883-3", histology_shank=2, ephys_shank=0),
            row("e", "45883-4", histology_shank=3, ephys_shank=0)]  # fmt: skip
    coverage = captured(
        rows,
        {
            f"{FOLDER}/ProbeA/xyz_picks_image_space.json": PICKS,
            f"{FOLDER}/ProbeB/xyz_picks_shank1_image_space.json": PICKS,
            f"{FOLDER}/ProbeB/xyz_picks_shank4_image_space.json": PICKS,
            f"{FOLDER}/45883-3/xyz_picks_shank3_image_space.json": PICKS,
            f"{FOLDER}/45883-4/xyz_picks_image_space.json": PICKS,  # an older converter's name for it
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
    assert pick_paths(row("a", name)) == ()
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


def test_a_platform_that_cannot_be_reached_is_not_a_missing_row(captured):
    class Away:
        def list_folder(self, asset, path=""):
            raise UnavailableError("no answer")

    with pytest.raises(UnavailableError):
        count_coverage([row("a")], Away(), None)
