"""The converter as a command: what it writes, and what becomes of each row that it cannot convert."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from local_fixtures import (
    IMAGE,
    RECORDING,
    STEM,
    STITCHED,
    acquisition,
    expected_ras_um,
    layer,
    manifest_bytes,
    row,
    state,
    track_points,
    write_json,
    zattrs,
)

from core.image_space_converter import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    image = folder / STITCHED / "image_tile_fusing" / "OMEZarr" / IMAGE
    write_json(image / ".zattrs", zattrs())
    write_json(folder / STITCHED / "metadata.nd.json", {"acquisition": acquisition()})
    return folder


def give(data, rows, layers, *, stem=STEM, **state_options):
    write_json(data / stem / f"{stem}.json", state(*layers, **state_options))
    (data / "manifest").mkdir(exist_ok=True)
    (data / "manifest" / "m.csv").write_bytes(manifest_bytes(*rows))


def run(data, *more):
    results = data.parent / "results"
    code = main([f"--data={data}", f"--results={results}", "--manifest=manifest/m.csv",
                 f"--neuroglancer={STEM}/{STEM}.json", *more])  # fmt: skip
    report = results / "coverage.json"
    return code, results, json.loads(report.read_text())["rows"] if report.exists() else None


def test_every_row_gets_its_points_in_ras_micrometres(data):
    rows = [row("268"), row("b1", "ProbeB", 0), row("b2", "ProbeB", 1),
            row("q3", "45883-3", histology_shank=2, ephys_shank=0)]  # fmt: skip
    points = {"268": track_points(1000), "b1": track_points(1200), "b2": track_points(1340), "q3": track_points(900)}
    give(data, rows, [layer(name, numbers) for name, numbers in points.items()])
    code, results, report = run(data)
    assert code == 0
    files = {
        "268": "ProbeA/xyz_picks_image_space.json",
        "b1": "ProbeB/xyz_picks_shank1_image_space.json",
        "b2": "ProbeB/xyz_picks_shank2_image_space.json",
        "q3": "45883-3/xyz_picks_shank3_image_space.json",
    }
    for track, file in files.items():
        picks = json.loads((results / "700001" / RECORDING / file).read_text())
        assert list(picks) == ["xyz_picks"]
        for got, expected in zip(picks["xyz_picks"], expected_ras_um(points[track]), strict=True):
            assert got == pytest.approx(expected, abs=1e-6)
    assert (results / "manifest.csv").read_bytes() == (data / "manifest" / "m.csv").read_bytes()
    assert [(r["track"], r["done"], r["reason"]) for r in report] == [(t, True, "") for t in files]
    spim = results / "700001" / "track_data" / "spim"
    assert sorted(path.name for path in spim.iterdir()) == [
        "268.json", "b1_shank1.json", "b2_shank2.json", "q3_shank3.json"
    ]  # fmt: skip
    assert json.loads((spim / "268.json").read_text())["points_level0_zyx"][0] == [100, 2000, 1000]


def test_points_are_read_in_the_order_of_their_own_layer(data):
    xyz = {"x": [1.8e-6, "m"], "y": [1.8e-6, "m"], "z": [2e-6, "m"]}
    give(data, [row("268")], [layer("268", [[1000, 2000, 100], [1000, 2000, 300]], dimensions=xyz)])
    _, results, _ = run(data)
    picks = json.loads((results / "700001" / RECORDING / "ProbeA" / "xyz_picks_image_space.json").read_text())
    assert picks["xyz_picks"][0] == pytest.approx([1800, 3600, -200])


@pytest.mark.parametrize(
    ("bad", "layers", "reason"),
    [
        (row("999", "ProbeB"), [], "no layer of its name"),
        (row("none", "ProbeB"), [layer("none", [])], "no points"),
        (row("line", "ProbeB"), [layer("line", track_points(5), "line")], "cannot be used|no points"),
        (row("268", "ProbeA"), [], "writes the same file"),
        (row("x", "../ProbeB"), [layer("x", track_points(5))], "name of a file"),
        (row("a/b", "ProbeB"), [layer("a/b", track_points(5))], "name of a file"),
        (row("x", "ProbeB", probe_file="other"), [layer("x", track_points(5))], "0 mounted files are named other.json"),
        (row("x", "ProbeB", probe_file="../m"), [layer("x", track_points(5))], "0 mounted files"),
    ],
)
def test_a_row_that_cannot_be_converted_is_named_and_spares_the_others(data, bad, layers, reason):
    give(data, [row("268"), bad], [layer("268", track_points(1000)), *layers])
    code, results, report = run(data)
    assert code == 0
    assert [r["done"] for r in report] == [True, False]
    assert re.search(reason, report[1]["reason"]), report[1]["reason"]
    assert len(list(results.rglob("xyz_picks*"))) == 1
    assert not list(results.rglob("*.part"))


def test_a_row_may_name_a_state_of_its_own(data):
    write_json(data / "second" / "second.json", state(layer("x", track_points(700))))
    give(data, [row("268"), row("x", "ProbeB", probe_file="second")], [layer("268", track_points(1000))])
    assert [r["done"] for r in run(data)[2]] == [True, True]


@pytest.mark.parametrize("missing", ["asset", "image", "directions", "unit", "no image layer"])
def test_without_the_images_geometry_no_row_is_done_and_each_says_why(data, missing):
    give(data, [row("268"), row("b", "ProbeB")], [layer("268", track_points(1)), layer("b", track_points(2))])
    image = data / STITCHED / "image_tile_fusing" / "OMEZarr" / IMAGE
    if missing == "asset":
        (data / STITCHED).rename(data / "Another")
    elif missing == "image":
        image.rename(image.with_name("Ex_1_Em_2.zarr"))
    elif missing == "directions":
        (data / STITCHED / "metadata.nd.json").unlink()
    elif missing == "unit":
        write_json(image / ".zattrs", json.loads(json.dumps(zattrs()).replace("micrometer", "inch")))
    else:
        write_json(data / STEM / f"{STEM}.json", {"layers": [layer("268", track_points(1))]})
    code, results, report = run(data)
    assert code == 1
    assert [r["done"] for r in report] == [False, False]
    assert all("geometry" in r["reason"] or "stitched asset" in r["reason"] for r in report)
    assert not list(results.rglob("xyz_picks*"))


def test_an_older_image_name_and_a_nested_mount_are_found(data):
    nested = data / "test_data" / "SmartSPIM" / STITCHED
    nested.parent.mkdir(parents=True)
    (data / STITCHED).rename(nested)
    (nested / "metadata.nd.json").unlink()
    write_json(nested / "acquisition.json", acquisition())
    image = nested / "image_tile_fusing" / "OMEZarr" / IMAGE
    image.rename(image.with_name("Ex_561_Em_593.ome.zarr"))
    give(data, [row("268")], [layer("268", track_points(1000))])
    assert run(data)[0] == 0


def test_input_that_is_no_manifest_or_no_state_fails_with_words(data, capsys):
    give(data, [row("268")], [layer("268", track_points(1000))])
    (data / "manifest" / "m.csv").write_text("nothing,of,it\n1,2,3\n")
    assert run(data)[0] == 1
    assert "Failed:" in capsys.readouterr().out
    give(data, [row("268")], [layer("268", track_points(1000))])
    (data / STEM / f"{STEM}.json").write_text("{")
    assert run(data)[0] == 1
    (data / STEM / f"{STEM}.json").unlink()
    assert run(data)[0] == 1
    assert "cannot be read" in capsys.readouterr().out


def test_an_unreadable_shank_is_never_taken_for_no_shank(data):
    give(data, [row("268", "ProbeB", 1)], [layer("268", track_points(1000))])
    csv = (data / "manifest" / "m.csv").read_bytes()
    (data / "manifest" / "m.csv").write_bytes(csv.replace(b",1,1,", b",one,one,"))
    code, results, report = run(data)
    assert (code, report[0]["done"]) == (1, False)
    assert not list(results.rglob("xyz_picks*"))


def test_as_a_command_it_logs_progress_line_by_line(data):
    give(data, [row("268"), row("999", "ProbeB")], [layer("268", track_points(1000))])
    results = data.parent / "results"
    command = [sys.executable, "-m", "core.image_space_converter", f"--data={data}", f"--results={results}",
               "--manifest=manifest/m.csv", f"--neuroglancer={STEM}/{STEM}.json"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert "row 1 of 2: track 268: 5 points" in done.stdout
    assert "row 2 of 2: track 999: failed: the state has no layer of its name" in done.stdout
    assert done.stdout.rstrip().endswith("1 of 2 rows done")
