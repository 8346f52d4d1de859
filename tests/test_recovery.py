"""A queue that was lost: the platform's own words about each launch bind its mapping again, and start nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.conversion import input_assets
from core.launch_notes import COMMON_TAG, NOTE_LIMIT, described, read_note
from core.models import ImageFrame
from core.platforms.local import LocalRunner
from core.settings import Settings
from dashboard import job_detail
from dashboard.cli import main
from dashboard.listings import job_text
from jobs import submission
from jobs.monitor import Monitor
from jobs.records import JobState, Step
from jobs.store import JobStore
from jobs.submission import Choice
from tests.code_ocean_place import code_ocean, s3_server, sample_mouse
from tests.fake_runner import Clock
from tests.job_records import a_plan

# --- what an asset says --------------------------------------------------------------------------


def test_both_inputs_say_which_launch_they_are_of_to_people_and_to_programs():
    plan = replace(a_plan("d" * 64), attempt=2, route="monitor", monitor="capsule-2", platform_id="https://co.example")
    for asset in input_assets(plan, "j0123456789abcde"):
        sentence, line = asset.description.split("\n")
        assert "mouse 700001" in sentence
        assert len(line) < 600
        note = read_note(asset.description)
        assert (note.token, note.digest, note.subject) == ("j0123456789abcde", "d" * 64, "700001")
        assert (note.rows, note.attempt, note.route, note.monitor) == (2, 2, "monitor", "capsule-2")
        assert (note.platform_id, note.acquisition) == ("https://co.example", plan.acquisition)
        assert {COMMON_TAG, note.token} <= set(asset.tags)
    # A search by tag is only known to find plain words of at most 20.
    assert COMMON_TAG.isalnum()
    assert COMMON_TAG.islower()
    assert 12 <= len(COMMON_TAG) <= 20


def test_a_name_that_is_not_plain_is_left_out_and_the_note_stays_short():
    plan = replace(a_plan(), state_stem="x" * 5_000, acquisition="<b>", monitor="é")
    text = described("A sentence.", plan, "j0123456789abcde")
    note = read_note(text)
    assert (note.state_stem, note.acquisition, note.monitor, note.digest) == ("", "", "", "d1")
    assert len(text) < NOTE_LIMIT


FRAME = ImageFrame((16.0, 16.0, 25.0), ("L", "P", "S"), (500, 800, 1000), 5)


def test_a_note_says_the_parameters_and_the_geometry_that_was_checked():
    plan = replace(a_plan(), parameters={"skip_ephys": "1", "note": "a b"}, frame=FRAME)
    note = read_note(described("A sentence.", plan, "j0123456789abcde"))
    assert (note.parameters, note.frame) == ({"skip_ephys": "1", "note": "a b"}, FRAME)
    none = read_note(described("A sentence.", replace(a_plan(), parameters={}), "j0123456789abcde"))
    assert (none.parameters, none.frame) == ({}, None)


def test_what_does_not_fit_into_a_note_or_could_not_be_read_back_is_not_said():
    long = {f"name{number}": "x" * 150 for number in range(12)}
    text = described("A sentence.", replace(a_plan(), parameters=long, frame=FRAME), "j0123456789abcde")
    note = read_note(text)
    assert (note.parameters, note.frame) == (None, FRAME)
    assert len(text) <= NOTE_LIMIT
    odd = replace(a_plan(), parameters={"a": "\u202e"}, frame=replace(FRAME, directions_xyz=("L", "L", "S")))
    note = read_note(described("A sentence.", odd, "j0123456789abcde"))
    assert (note.parameters, note.frame, note.digest) == (None, None, "d1")


@pytest.mark.parametrize(
    "frame", ["x", [1, 2], [0, 1, 1, "L", "P", "S", 1, 1, 1, 1], [1, 1, 1, "L", "P", 3, 1, 1, 1, 1]]
)
def test_a_geometry_that_cannot_be_read_is_not_known_and_the_note_still_holds(frame):
    note = read_note(WHOLE.partition("{")[0] + json.dumps({**TOLD, "frame": frame, "parameters": ["x"]}))
    assert (note.frame, note.parameters, note.digest) == (None, None, "d1")


WHOLE = described("A sentence.", a_plan(), "j0123456789abcde")
TOLD = json.loads(WHOLE.rpartition("launch: ")[2])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "somebody's words",
        WHOLE[:-1],
        WHOLE + " and more",
        WHOLE.replace('"rows":2', '"rows":"many"'),
        WHOLE.replace('"attempt":1', '"attempt":-1'),
        WHOLE.replace('"digest":"d1"', '"digest":"<script>"'),
        WHOLE.replace('"digest":"d1"', '"digest":7'),
        WHOLE.partition("{")[0] + json.dumps({k: v for k, v in TOLD.items() if k != "token"}),
        WHOLE.partition("{")[0] + "[" * 1_400,
        "x" * NOTE_LIMIT + WHOLE,
    ],
)
def test_what_is_no_note_is_not_read_as_one(text):
    assert read_note(text) is None


# --- on this machine and on Code Ocean -----------------------------------------------------------


@pytest.fixture
def trackmapper(tmp_path, monkeypatch, capsys):
    """Runs `trackmapper ... --json`; returns (exit code, answer)."""
    monkeypatch.setenv("TRACKMAPPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRACKMAPPER_USER", "ana")

    def run(*arguments: object):
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, json.loads(told.out)

    return run


@pytest.fixture(params=["this machine", "Code Ocean"])
def place(request, tmp_path, monkeypatch):
    """A platform with the sample mouse; says what was made there, by token of the launch."""
    if request.param == "this machine":
        library = tmp_path / "library"
        shutil.copytree(sample_mouse().library, library)
        monkeypatch.setenv("TRACKMAPPER_LIBRARY", str(library))
        yield lambda: sorted(path.name for path in (library / "assets").iterdir())
        return
    with code_ocean() as fake:
        for name, value in {
            "TRACKMAPPER_PLATFORM": "code_ocean",
            "CODE_OCEAN_DOMAIN": fake.url,
            "CODE_OCEAN_API_TOKEN": fake.token,
            "TRACKMAPPER_CODE_OCEAN_POLL_SECONDS": "0.2",
            "TRACKMAPPER_CODE_OCEAN_REQUESTS_PER_SECOND": "500",
            "TRACKMAPPER_ASSET_BUCKETS": "aind-open-data",
            **s3_server().environment(),
        }.items():
            monkeypatch.setenv(name, value)
        yield lambda: sorted({effect.id for effect in fake.ledger})


@pytest.fixture
def launch():
    pair = min((s for s in sample_mouse().states if s.manifest), key=lambda s: len(s.manifest.read_text()))
    return ("launch", "--state", pair.path, "--manifest", pair.manifest)


def test_a_launch_of_a_lost_queue_is_known_again_and_followed_to_its_end(trackmapper, place, launch, tmp_path):
    code, done = trackmapper(*launch, "--wait")
    assert (code, done["state"]) == (0, "succeeded")
    made = place()
    shutil.rmtree(tmp_path / "data" / "store")
    code, found = trackmapper("recover", "--follow", "--user", "ben")
    assert (code, found["launches"], found["known"], len(found["jobs"]), found["asks"]) == (0, 1, 0, 1, [])
    again = trackmapper("recover")[1]
    assert (again["launches"], again["known"], again["jobs"]) == (1, 1, [])
    code, pressed = trackmapper(*launch)
    assert (code, pressed["duplicate_of"]) == (0, found["jobs"][0])
    code, ended = trackmapper(*launch, "--wait")
    assert (code, ended["state"], ended["ids"]) == (0, "succeeded", done["ids"])
    assert (ended["coverage"]["delivered"], ended["by"]) == (done["coverage"]["delivered"], "ben")
    assert place() == made, "nothing was made a second time"


def test_unless_told_to_follow_a_found_run_waits_for_a_person(trackmapper, place, launch, tmp_path):
    """It may be of another queue, whose worker keeps the result."""
    done = trackmapper(*launch, "--wait")[1]
    made = place()
    shutil.rmtree(tmp_path / "data" / "store")
    found = trackmapper("recover")[1]
    assert found["asks"] == found["jobs"]
    [job_id] = found["jobs"]
    pressed = trackmapper(*launch)[1]
    assert (pressed["duplicate_of"], pressed["state"]) == (job_id, "needs_you")
    with JobStore(tmp_path / "data") as store:
        assert "may belong to another queue" in store.get(job_id).error
        submission.resolve(store, job_id, Choice.LOOK_AGAIN, "ben", datetime.now(UTC))
    ended = trackmapper(*launch, "--wait")[1]
    assert (ended["state"], ended["ids"]) == ("succeeded", done["ids"])
    assert place() == made


def older(description: str) -> str:
    """As a version wrote it that did not say parameters and geometry."""
    words, mark, told = description.rpartition("launch: ")
    return words + mark + json.dumps({k: v for k, v in json.loads(told).items() if k not in ("parameters", "frame")})


def test_a_count_that_cannot_compare_places_says_so_and_that_of_a_newer_note_does_not(
    trackmapper, tmp_path, launch, monkeypatch
):
    library = tmp_path / "library"
    shutil.copytree(sample_mouse().library, library)
    monkeypatch.setenv("TRACKMAPPER_LIBRARY", str(library))
    trackmapper(*launch, "--wait")
    shutil.rmtree(tmp_path / "data" / "store")
    trackmapper("recover", "--follow")
    whole = trackmapper(*launch, "--wait")[1]
    assert (whole["state"], whole["not_known"]) == ("succeeded", [])
    for path in (library / "assets").glob("*.json"):
        told = json.loads(path.read_text())
        if COMMON_TAG in told.get("tags", ()):
            path.write_text(json.dumps(told | {"description": older(told["description"])}))
    shutil.rmtree(tmp_path / "data" / "store")
    trackmapper("recover", "--follow")
    weaker = trackmapper(*launch, "--wait")[1]
    assert (weaker["state"], weaker["not_known"]) == ("succeeded", ["geometry"])
    with JobStore(tmp_path / "data") as store:
        [record] = store.newest(9)
    assert "places are not compared" in job_detail.coverage(record)
    assert "picks' places are not compared" in job_text(record)


def test_launches_that_are_known_are_left_as_they_are(trackmapper, place, launch):
    trackmapper(*launch, "--wait")
    assert trackmapper("recover")[1]["known"] == 1
    assert len(trackmapper("jobs")[1]["jobs"]) == 1


def test_a_launch_without_a_run_asks_and_cannot_be_started_again(trackmapper, tmp_path, launch, monkeypatch):
    library = tmp_path / "library"
    shutil.copytree(sample_mouse().library, library)
    monkeypatch.setenv("TRACKMAPPER_LIBRARY", str(library))
    trackmapper(*launch, "--wait")
    data = tmp_path / "data"
    for lost in (data / "store", data / "runs"):
        shutil.rmtree(lost)
    found = trackmapper("recover")[1]
    assert found["asks"] == found["jobs"]
    [job_id] = found["asks"]
    assert trackmapper(*launch)[1]["duplicate_of"] == job_id
    job = trackmapper("job", job_id)[1]
    assert job["state"] == "needs_you"
    assert "cannot be started from here" in json.dumps(job["events"])
    clock = Clock((datetime.now(UTC) - Clock()().at) / timedelta(seconds=1))
    runner = LocalRunner(library, data)
    with JobStore(data) as store:
        monitor = Monitor(store, runner, Settings(library=library, data=data), now=clock)
        for _ in range(3):
            monitor.run_pass()
            clock.s += 3600.0
        assert store.get(job_id).state is JobState.NEEDS_YOU, "it waits for a person, however long"
        submission.resolve(store, job_id, Choice.START_AGAIN, "ben", clock().at)
        for _ in range(20):
            monitor.run_pass()
            clock.s += 60.0
        record = store.get(job_id)
    assert (record.state, record.step) == (JobState.FAILED, Step.RUN)
    assert "needs attached is not known any more" in record.error
    assert runner.active_runs() == ()
    assert not (data / "runs").exists() or not list((data / "runs").glob("*/identity*"))
    assert trackmapper(*launch)[1]["duplicate_of"] is None, "given up by then, so that it can be launched anew"


def test_what_says_nothing_of_a_launch_is_named_and_no_job(trackmapper, tmp_path, monkeypatch):
    library = tmp_path / "library"
    (library / "assets" / "odd").mkdir(parents=True)
    told = {"id": "1", "name": "odd", "type": "dataset", "tags": [COMMON_TAG], "state": "ready", "description": "mine"}
    (library / "assets" / "odd.json").write_text(json.dumps(told))
    monkeypatch.setenv("TRACKMAPPER_LIBRARY", str(library))
    code, found = trackmapper("recover")
    assert (code, found["launches"], found["jobs"], found["unread"]) == (0, 0, [], ["odd"])
