"""The command line; a launch also as people run it, in a process of its own."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from core.sample import write_sample
from dashboard.cli import main
from jobs.launches import open_launch
from jobs.store import JobStore

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "mouse")


@pytest.fixture
def environment(sample, tmp_path):
    """What a person has set."""
    return {
        "TRACKMAPPER_LIBRARY": str(sample.library),
        "TRACKMAPPER_DATA": str(tmp_path / "data"),
        "TRACKMAPPER_USER": "ana",
        "TRACKMAPPER_POLL_SECONDS": "0.2",
    }


@pytest.fixture
def trackmapper(environment, monkeypatch, capsys):
    """Runs `trackmapper ...` in this process; returns (exit code, answer or text, messages)."""

    def run(*arguments, stdin="", **more):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in {**environment, **more}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            try:
                code = main([*map(str, arguments)])
            except SystemExit as bad_use:
                code = bad_use.code
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, json.loads(told.out) if "--json" in arguments and told.out else told.out, told.err

    return run


@pytest.fixture
def in_a_process(environment):
    """The same in a process of its own, as people run it."""

    def run(*arguments):
        command = [sys.executable, "-m", "dashboard.cli", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=180, env={**os.environ, **environment}
        )
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    return run


@pytest.fixture
def true_pairs(sample):
    return [state for state in sample.states if state.manifest]


def test_sample_says_where_everything_is(trackmapper, tmp_path):
    code, answer, _ = trackmapper("sample", tmp_path / "mouse", "--json")
    assert code == 0
    assert Path(answer["library"]).is_dir()
    assert all(Path(state["path"]).is_file() for state in answer["states"])
    assert any(state["manifest"] for state in answer["states"])


def test_state_reads_a_file_and_standard_input_alike(trackmapper, sample):
    path = sample.states[0].path
    _, from_file, _ = trackmapper("state", path, "--json")
    code, from_input, _ = trackmapper("state", "-", "--json", stdin=path.read_text())
    assert code == 0
    assert from_file["layers"] == from_input["layers"]
    kinds = {layer["kind"] for layer in from_file["layers"]}
    assert {"track", "landmarks", "archived"} <= kinds
    track = next(layer for layer in from_file["layers"] if layer["kind"] == "track")
    assert track["dimensions"] == ["z", "y", "x", "t"]
    assert track["scale_um"] == {"x": 1.8, "y": 1.8, "z": 2.0}


@pytest.mark.parametrize("text", ["", "[]", "{", "not a state", "../secret.json", '{"layers": NaN}'])
def test_a_bad_state_is_refused_in_words(trackmapper, text):
    code, answer, messages = trackmapper("state", "-", "--json", stdin=text)
    assert code == 2
    assert answer["error"]["message"]
    assert answer["error"]["cure"]
    assert answer["error"]["message"] in messages


@pytest.mark.parametrize(
    "source", ["nowhere.json", "http://127.0.0.1:1/#!http://127.0.0.1/x.json", "s3://other-bucket/x.json"]
)
def test_a_source_that_cannot_be_used_is_bad_use(trackmapper, source):
    code, _, messages = trackmapper("state", source)
    assert code == 2
    assert messages.startswith("trackmapper: ")


def test_subject_lists_recordings_in_time_order(trackmapper, sample):
    code, answer, _ = trackmapper("subject", sample.subject, "--json")
    assert code == 0
    starts = [recording["start"] for recording in answer["recordings"]]
    assert starts == sorted(starts)
    assert {"ok", "error"} <= {s["status"] for r in answer["recordings"] for s in r["sortings"]}
    assert {"main", "surface"} <= {recording["role"] for recording in answer["recordings"]}
    assert max(len(recording["sortings"]) for recording in answer["recordings"]) >= 2
    assert answer["stitched"]


def test_a_mouse_the_library_does_not_have_is_a_gap_not_a_crash(trackmapper):
    code, answer, _ = trackmapper("subject", "999999", "--json")
    assert code == 1
    assert answer["recordings"] == []
    assert any(problem["rule"] == "A13" for problem in answer["problems"])


def test_suggestions_have_reasons(trackmapper, sample):
    code, answer, _ = trackmapper("suggest", "--state", sample.states[0].path, "--json")
    assert code == 0
    assert answer["rows"]
    assert all(row["reasons"] for row in answer["rows"])
    assert {row["certain"] for row in answer["rows"]} == {True, False}


def test_the_true_manifests_have_no_error(trackmapper, true_pairs):
    for pair in true_pairs:
        code, answer, _ = trackmapper("check", "--state", pair.path, "--manifest", pair.manifest, "--json")
        assert (code, answer["ok"]) == (0, True), answer["problems"]


def test_a_track_used_twice_is_refused_before_launch(trackmapper, true_pairs, tmp_path):
    rows = list(csv.reader(io.StringIO(true_pairs[0].manifest.read_text())))
    column = rows[0].index("histology_track_id")
    rows[2][column] = rows[1][column]
    rows[2][rows[0].index("probe_id")] = rows[1][column]
    bad = tmp_path / "bad.csv"
    with bad.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    code, answer, _ = trackmapper("check", "--state", true_pairs[0].path, "--manifest", bad, "--json")
    assert code == 1
    assert not answer["ok"]
    code, refused, messages = trackmapper("launch", "--state", true_pairs[0].path, "--manifest", bad, "--json")
    assert code == 1
    assert "nothing was launched" in messages
    assert refused["job"] is None
    assert refused["problems"] == answer["problems"]
    code, answer, _ = trackmapper("jobs", "--json")
    assert answer["jobs"] == []


def test_a_launch_ends_counted_and_a_second_press_finds_it(trackmapper, in_a_process, true_pairs):
    pair = min(true_pairs, key=lambda p: len(p.manifest.read_text()))
    launch = ("launch", "--state", pair.path, "--manifest", pair.manifest, "--json")
    code, done, messages = in_a_process(*launch, "--wait")
    assert code == 0, messages
    assert done["state"] == "succeeded"
    assert done["coverage"]["asked"] == done["coverage"]["delivered"] == len(done["coverage"]["rows"]) > 0
    assert done["result"]
    assert done["by"] == "ana"

    code, again, messages = trackmapper(*launch)
    assert code == 0
    assert again["duplicate_of"] == done["id"]
    assert "no second one was made" in messages
    _, listed, _ = trackmapper("jobs", "--json")
    assert [job["id"] for job in listed["jobs"]] == [done["id"]]

    code, shown, _ = trackmapper("job", str(int(done["id"])), "--json")
    assert code == 0
    assert shown["events"]


def test_the_report_of_a_job_is_written_to_a_new_file_only(trackmapper, true_pairs, tmp_path):
    pair = min(true_pairs, key=lambda p: len(p.manifest.read_text()))
    code, done, messages = trackmapper("launch", "--state", pair.path, "--manifest", pair.manifest, "--json")
    assert code == 0, messages
    path = tmp_path / "report.html"
    assert trackmapper("job", done["job"], "--report", path, "--json")[0] == 0
    report = path.read_text()
    _, shown, _ = trackmapper("job", done["job"], "--json")
    assert shown["report_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(row["track"] in report for row in shown["rows"])
    assert "as suggested" in report
    assert "pass quality control" in report, "the units were read for it"
    assert "Target " in report
    assert "registration of this brain is not at hand" not in report
    assert "Not looked at" not in report
    assert report.count("data:image/png") >= 2, "one picture for each probe"
    svg = base64.b64decode(report.split("data:image/svg+xml;base64,")[1].split('"')[0]).decode()
    assert svg.count("<image") == 3, "the brain lies behind the tracks"
    code, _, messages = trackmapper("job", done["job"], "--report", path)
    assert code == 2
    assert "cannot be written" in messages
    assert path.read_text() == report


def test_a_brain_that_cannot_be_read_is_said_in_the_report_and_keeps_nothing_from_its_launch(
    trackmapper, sample, true_pairs, tmp_path
):
    library = shutil.copytree(sample.library, tmp_path / "library")
    for told in library.rglob("*.zarr/[1-9]/.zarray"):
        told.write_text("{}")
    pair = min(true_pairs, key=lambda p: len(p.manifest.read_text()))
    arguments = ("launch", "--state", pair.path, "--manifest", pair.manifest, "--json")
    code, done, messages = trackmapper(*arguments, TRACKMAPPER_LIBRARY=str(library))
    assert code == 0, messages
    path = tmp_path / "report.html"
    assert trackmapper("job", done["job"], "--report", path, "--json")[0] == 0
    report = path.read_text()
    assert "Not looked at: the brain behind the tracks, where its image shows tissue." in report
    assert "pass quality control" in report


def test_another_mapping_of_a_converted_recording_is_asked_about(trackmapper, true_pairs, tmp_path):
    pair = min(true_pairs, key=lambda p: len(p.manifest.read_text()))
    code, first, _ = trackmapper("launch", "--state", pair.path, "--manifest", pair.manifest, "--wait", "--json")
    assert code == 0
    swapped = tmp_path / "swapped.csv"
    names = ("20250312_ProbeB_Shank1", "20250312_ProbeB_Shank2")
    text = pair.manifest.read_text().replace(names[0], "?").replace(names[1], names[0]).replace("?", names[1])
    swapped.write_text(text)
    _, same, _ = trackmapper("check", "--state", pair.path, "--manifest", pair.manifest, "--json")
    (told,) = [p for p in same["problems"] if p["rule"] == "R8"]
    assert (told["severity"], same["ok"]) == ("warning", True), "the same mapping is no other one"
    code, refused, messages = trackmapper("launch", "--state", pair.path, "--manifest", swapped, "--json")
    assert code == 1
    assert "--confirm R8" in messages
    (asked,) = [p for p in refused["problems"] if p["rule"] == "R8"]
    assert asked["severity"] == "confirm"
    assert asked["measured"] == str(int(first["id"]))
    code, made, _ = trackmapper("launch", "--state", pair.path, "--manifest", swapped, "--confirm", "R8", "--json")
    assert code == 0
    assert made["job"] != first["id"]


def test_a_queued_job_can_be_cancelled(trackmapper, true_pairs):
    pair = true_pairs[0]
    _, made, _ = trackmapper("launch", "--state", pair.path, "--manifest", pair.manifest, "--json")
    assert made["state"] == "queued"
    code, ended, _ = trackmapper("cancel", made["job"], "--json")
    assert code == 0
    assert ended["state"] == "cancelled"


@pytest.mark.parametrize("job", ["77", "abc", "-1"])
def test_an_unknown_job_is_bad_use(trackmapper, job):
    code, _, messages = trackmapper("job", "--", job)
    assert code == 2
    assert "trackmapper:" in messages


def result_time(data: Path, job_id: str) -> tuple[datetime, str]:
    """When a job was made, and the time in the name that its result will have."""
    with JobStore(data) as store:
        record = store.get(job_id)
        return record.created, open_launch(store, record).capture_request.name.rpartition("_ibl-converted_")[2]


def test_names_of_results_hold_the_labs_time(trackmapper, true_pairs, tmp_path):
    pair = true_pairs[0]
    launch = ("launch", "--state", pair.path, "--manifest", pair.manifest, "--json")
    code, queued, _ = trackmapper(*launch, TRACKMAPPER_LAB_ZONE="Asia/Kathmandu")
    assert code == 0
    assert trackmapper("cancel", queued["job"], "--json")[0] == 0
    code, again, _ = trackmapper("retry", queued["job"], "--json")
    assert code == 0
    for job_id, zone in ((queued["job"], "Asia/Kathmandu"), (again["id"], "America/Los_Angeles")):
        made, told = result_time(tmp_path / "data", job_id)
        assert told == f"{made.astimezone(ZoneInfo(zone)):%Y-%m-%d_%H-%M-%S}"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "US/Pacific/", "x" * 5000])
def test_a_zone_that_does_not_exist_is_bad_use_and_named(trackmapper, zone):
    code, _, messages = trackmapper("jobs", TRACKMAPPER_LAB_ZONE=zone)
    assert code == 2
    assert "TRACKMAPPER_LAB_ZONE" in messages
    assert len(messages) < 400


def test_a_machine_without_time_zones_says_what_to_install(trackmapper, true_pairs, monkeypatch):
    """The zone that is set by default is looked up when a result is named, so that all else works there."""

    def unknown(name):
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr("core.settings.ZoneInfo", unknown)
    assert trackmapper("jobs")[0] == 0
    pair = true_pairs[0]
    code, _, messages = trackmapper("launch", "--state", pair.path, "--manifest", pair.manifest)
    assert code != 0
    assert "tzdata" in messages
    assert trackmapper("jobs", "--json")[1]["jobs"] == []


def test_bad_options_and_settings_are_bad_use(trackmapper):
    assert trackmapper("launch")[0] == 2
    assert trackmapper("jobs", "--limit", "0")[0] == 2
    code, _, messages = trackmapper("jobs", TRACKMAPPER_PORT="none")
    assert code == 2
    assert "TRACKMAPPER_PORT" in messages


def test_a_confirm_launches_only_by_name(trackmapper, true_pairs, tmp_path):
    """A four-shank probe with one track missing converts only when somebody says that it is meant."""
    lines = true_pairs[1].manifest.read_text().splitlines(keepends=True)
    partial = tmp_path / "partial.csv"
    partial.write_text("".join(lines[:1] + lines[2:]))
    launch = ("launch", "--state", true_pairs[1].path, "--manifest", partial, "--json")
    code, refused, messages = trackmapper(*launch)
    assert code == 1
    assert "--confirm S1" in messages
    assert {p["rule"] for p in refused["problems"] if p["severity"] == "confirm"} == {"S1"}
    assert trackmapper(*launch, "--confirm", "S1", "--user", "")[0] == 2
    code, made, _ = trackmapper(*launch, "--confirm", "S1", "--user", "ben")
    assert code == 0
    _, job, _ = trackmapper("job", made["job"], "--json")
    assert [(c["rule"], c["by"]) for c in job["confirmed"]] == [("S1", "ben")]


def test_a_library_that_is_not_there_is_bad_use(trackmapper, tmp_path):
    code, _, messages = trackmapper("subject", "700001", "--library", tmp_path / "nowhere")
    assert code == 2
    assert "--library" in messages


@pytest.mark.parametrize(("arguments", "words"), [(("jobs",), "No jobs."), (("subject", "999999"), "A13")])
def test_text_for_people(trackmapper, arguments, words):
    assert words in trackmapper(*arguments)[1]
