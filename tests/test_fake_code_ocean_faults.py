"""The played Code Ocean spoils what it is told to spoil, and keeps count: shown with the real SDK over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from codeocean import CodeOcean
from codeocean.computation import DataAssetsRunParam, RunParams
from codeocean.error import Error
from urllib3.util import Retry

from tests.code_ocean_place import code_ocean, s3_at
from tests.code_ocean_requests import (
    Clock,
    capture_params,
    ended,
    log,
    names,
    picks,
    run_params,
    s3_asset,
    sdk,
    search,
    status,
)
from tests.fake_code_ocean_faults import FAULTS, UNKNOWN_WORD
from tests.fake_code_ocean_state import MONITOR, MonitorHabits, Outcome, Timing
from tests.fake_code_ocean_storage import wait_for

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fake():
    with code_ocean() as made:
        yield made


@pytest.fixture
def plain():
    with code_ocean(sample=False) as made:
        yield made


# --- every kind of fault ------------------------------------------------------------------------

REFUSED = {name: fault.status for name, fault in FAULTS.items() if fault.answer == "status"}
EFFECTS = {name: {"made": 1, "late": 1, "none": 0}[fault.effect] for name, fault in FAULTS.items()}
WORDS = {
    "refuse": "ConnectionError", "reset_before": "ConnectionError", "reset_after": "ConnectionError",
    "late_reset": "ConnectionError", "cut": "ChunkedEncodingError", "truncated": "JSONDecodeError",
    "html": "JSONDecodeError", "empty": "JSONDecodeError", "wrong_types": "TypeError", "unknown_words": "ValueError",
    "missing_fields": "KeyError", "latency": "fine", "drip": "fine",
}  # fmt: skip


def told(call, *args) -> int | str:
    """What a client meets: fine, the status of a refusal, or the name of what is raised."""
    try:
        call(*args)
    except Error as error:
        return error.status_code
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        return type(error).__name__
    return "fine"


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoiled_effect(plain, name):
    client = sdk(plain)
    search(client)  # a connection is open
    plain.faults.add(name, method="POST", endpoint="data_assets")
    assert told(s3_asset, client, "spoiled", {"a": b"a"}) == {**REFUSED, **WORDS}[name]
    wait_for(lambda: len(plain.effects("asset")) == EFFECTS[name])
    assert [effect.answered for effect in plain.effects("asset")] == [name in ("latency", "drip")] * EFFECTS[name]
    assert plain.faults.spoiled == {name: 1}
    assert told(s3_asset, client, "fine", {"a": b"a"}) == "fine"  # once only
    assert len(plain.effects("asset")) == EFFECTS[name] + 1


def test_what_the_answers_look_like(plain):
    get = requests.Session()
    get.auth = (plain.token, "")
    url = f"{plain.url}/api/v1/data_assets/{plain.add_asset('a', files={'f': b'x'})}"
    asks = {"429": None, "429_retry_after": "1", "503_retry_after": "1"}
    for name, pause in asks.items():
        plain.faults.add(name)
        assert get.get(url).headers.get("Retry-After") == pause
    plain.faults.add("502_html")
    assert get.get(url).headers["Content-Type"].startswith("text/html")
    plain.faults.add("unknown_words")
    assert get.get(url).json()["state"] == UNKNOWN_WORD
    plain.faults.add("missing_fields")
    assert get.get(url).json().keys() == {"id"}
    plain.faults.add("drip", seconds=8.0)
    with pytest.raises((requests.ConnectionError, requests.ReadTimeout), match="Read timed out"):
        get.get(url, timeout=(5, 0.1), stream=True).content  # noqa: B018 - reading is what takes long
    assert get.get(url).json()["name"] == "a"


def test_faults_are_meant_for_endpoints_pass_some_requests_and_repeat(plain):
    client = sdk(plain)
    asset = plain.add_asset("a", files={"f": b"x"})
    plain.faults.add("500", endpoint="data_assets/{id}", skip=1, times=2)
    gets = [told(client.data_assets.get_data_asset, asset) for _ in range(4)]
    assert gets == ["fine", 500, 500, "fine"]
    plain.faults.add("404", endpoint="data_assets/{id}/*", times=None)
    assert [told(client.data_assets.list_data_asset_files, asset) for _ in range(2)] == [404, 404]
    assert told(client.data_assets.get_data_asset, asset) == "fine"
    plain.faults.clear()
    assert told(client.data_assets.list_data_asset_files, asset) == "fine"


def test_random_faults_repeat_with_their_seed():
    def run(seed: int) -> list[int | str]:
        with code_ocean(sample=False, seed=seed) as fake:
            fake.faults.add("503", probability=0.3, times=None)
            fake.faults.add("404", probability=0.2, times=None)
            return [told(search, sdk(fake)) for _ in range(40)]

    first = run(1)
    assert {"fine", 503, 404} == set(first)
    assert first == run(1) != run(2)


def test_a_retried_post_makes_two(plain):
    """Why a client must not repeat what has an effect."""
    retry = Retry(total=3, status_forcelist=[504], allowed_methods=["POST"], backoff_factor=0)
    client = CodeOcean(plain.url, plain.token, retries=retry)
    plain.faults.add("504_after")
    s3_asset(client, "twice", {"a": b"a"})
    assert [effect.answered for effect in plain.effects("asset")] == [False, True]


def test_nobody_listens_for_a_while(plain):
    client = sdk(plain)
    search(client)
    with plain.down(), pytest.raises(requests.ConnectionError, match="refused"):
        search(client)
    assert search(client).results == []


def test_lists_lag_and_effects_come_late():
    clock = Clock()
    with code_ocean(clock=clock, timing=Timing(listing_lag_s=30, search_lag_s=40)) as fake:
        client = sdk(fake)
        params = run_params(fake, client)
        fake.faults.add("late_504", endpoint="computations", late_s=100)
        assert status(client.computations.run_capsule, params) == 504
        clock.s += 99
        assert (fake.effects("run"), client.capsules.list_computations(fake.converter.id)) == ([], [])
        clock.s += 1
        search(client)
        [run] = fake.effects("run")
        assert (run.answered, run.details["data_assets"][params.data_assets[0].id]) == (False, "m-j1")
        assert client.computations.get_computation(run.id).state == "completed"
        assert client.capsules.list_computations(fake.converter.id) == []
        clock.s += 30
        assert [c.id for c in client.capsules.list_computations(fake.converter.id)] == [run.id]
        assert names(client, "tag:tokenmj1") == set()
        made = s3_asset(client, "mj1", {"a": b"a"})
        assert (names(client, "tag:tokenmj1"), client.data_assets.get_data_asset(made.id).name) == (set(), "mj1")
        clock.s += 40
        assert names(client, "tag:tokenmj1") == {"mj1"}


def test_files_come_broken_and_lags_by_chance(plain):
    client = sdk(plain)
    asset = plain.add_asset("a", files={"f": b"12345678"})
    url = client.data_assets.get_data_asset_file_urls(asset, "f").download_url
    for fault in ("truncated", "403", "drip", "wrong_types"):
        plain.faults.add(fault, endpoint="_download", seconds=0.0)
    answers = [requests.get(url, timeout=5) for _ in range(5)]
    assert [(a.status_code, a.content[:4]) for a in answers] == [
        (200, b"1234"), (403, b'{"me'), (200, b"1234"), (200, b"1234"), (200, b"1234"),
    ]  # fmt: skip
    assert [len(a.content) for a in answers if a.ok] == [4, 8, 4, 8]
    assert requests.get(url.replace("signature=", "signature=0"), timeout=5).status_code == 403
    plain.timing.search_lag_s, plain.timing.jitter = 100.0, 1.0
    lags = [plain.world.lag(100.0) for _ in range(200)]
    assert 0 <= min(lags) < 10 < 90 < max(lags) <= 100


def test_a_busy_capsule(plain):
    plain.add_computations(10_000)
    answer = requests.get(
        f"{plain.url}/api/v1/capsules/{plain.converter.id}/computations", auth=(plain.token, ""), timeout=30
    ).json()
    created = [run["created"] for run in answer]
    assert len(answer) == 10_000
    assert created == sorted(created, reverse=True)


def test_words_and_gaps_of_a_run(fake):
    client = sdk(fake)
    fake.set_outcome(Outcome("hang", state_word=UNKNOWN_WORD, missing=("parameters", "run_time")))
    fake.faults.add("missing_fields", endpoint="computations")  # the SDK cannot read the answer
    assert told(client.computations.run_capsule, run_params(fake, client)) == "KeyError"
    [run] = fake.effects("run")
    answer = client.session.get(f"computations/{run.id}").json()
    assert answer["state"] == UNKNOWN_WORD
    assert answer.keys().isdisjoint({"parameters", "run_time", "end_status"})
    client.computations.delete_computation(run.id)
    assert client.capsules.list_computations(fake.converter.id) == []


# --- the pipeline monitor -----------------------------------------------------------------------


def monitored(fake, client) -> str:
    """Start the monitor for a conversion; returns its run."""
    params = run_params(fake, client)
    settings = {
        "computation_polling_interval": 60,
        "run_params": json.loads(RunParams.to_json(params)),
        "capture_settings": {"name": "kept", "tags": ["700001", "tokenk"], "custom_metadata": {"subject id": "700001"}},
    }
    run = RunParams(capsule_id=MONITOR, data_assets=params.data_assets, parameters=[json.dumps(settings)])
    return client.computations.run_capsule(run).id


def test_a_monitor_runs_and_captures_although_nobody_looks():
    clock = Clock()
    with code_ocean(clock=clock, timing=Timing(asset_s=10, init_s=5, run_s=60, poll_s=20)) as fake:
        client = sdk(fake)
        fake.timing.asset_s = 0
        run = monitored(fake, client)
        fake.timing.asset_s = 10
        clock.s += 3600
        fake.advance()
        assert [(e.kind, e.by == run) for e in fake.ledger[2:]] == [
            ("run", False), ("run", True), ("capture", True), ("share", True),
        ]  # fmt: skip
        end = client.computations.get_computation(run)
        assert (end.end_status, 75 <= end.run_time <= 120) == ("succeeded", True)
        [child] = client.capsules.list_computations(fake.converter.id)
        assert child.id in log(client, run)
        [kept] = search(client, "tag:tokenk").results
        assert (kept.name, kept.state, kept.provenance.computation) == ("kept", "ready", child.id)
        assert client.data_assets.get_permissions(kept.id).everyone == "viewer"
        assert picks(client, child.id) == 12


@pytest.mark.parametrize(
    ("habits", "outcome", "end", "children", "captures"),
    [
        (MonitorHabits(dies="before_child"), "ok", "failed", 0, 0),
        (MonitorHabits(dies="after_child"), "ok", "failed", 1, 0),
        (MonitorHabits(dies="after_capture"), "ok", "failed", 1, 1),
        (MonitorHabits(twice=True), "ok", "succeeded", 2, 1),
        (MonitorHabits(), "crash", "failed", 1, 0),
        (MonitorHabits(captures_crashes=True), "crash", "succeeded", 1, 1),
    ],
)
def test_habits_of_monitors(fake, habits, outcome, end, children, captures):
    client = sdk(fake)
    fake.monitor.habits = habits
    fake.set_outcome(Outcome(outcome))
    run = ended(client, monitored(fake, client))
    runs = client.capsules.list_computations(fake.converter.id)
    assert (run.end_status, len(runs), len(fake.effects("capture"))) == (end, children, captures)
    assert all(ended(client, child.id) for child in runs)  # the child outlives its monitor


def test_a_monitor_whose_settings_are_refused(fake):
    client = sdk(fake)
    for settings, words in {"{": "settings", '{"run_params": {"capsule_id": "none"}}': "404 capsule not found"}.items():
        run = client.computations.run_capsule(RunParams(capsule_id=MONITOR, parameters=[settings])).id
        assert ended(client, run).end_status == "failed"
        assert words in log(client, run)
    assert status(client.computations.run_capsule, RunParams(capsule_id=MONITOR, parameters=["x" * 4097])) == 400
    assert status(client.computations.run_capsule, RunParams(capsule_id=MONITOR)) == 400


def test_a_monitor_that_is_stopped_leaves_its_child(fake):
    client = sdk(fake)
    fake.set_outcome(Outcome("hang"))
    run = monitored(fake, client)
    wait_for(lambda: client.capsules.list_computations(fake.converter.id) != [])
    client.computations.delete_computation(run)
    [child] = client.capsules.list_computations(fake.converter.id)
    assert child.state == "running"
    assert status(client.data_assets.create_data_asset, capture_params(child.id)) == 400


# --- a process of its own -----------------------------------------------------------------------


@contextmanager
def process(*options: str):
    """The fake as a process; gives its address and a function that controls it."""
    command = [sys.executable, "-m", "tests.fake_code_ocean", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            address = json.loads(running.stdout.readline())

            def control(method: str, what: str, value=None):
                answer = requests.request(method, f"{address['url']}/_control/{what}", json=value, timeout=20)
                assert answer.status_code == 200, answer.text
                return answer.json()

            yield address, control
        finally:
            running.terminate()


def test_as_a_process_driven_from_outside(tmp_path):
    (tmp_path / "f.txt").write_text("from a folder")
    with process("--s3", "moto", "--sample", "--token", "cop_other") as (address, control):
        client = CodeOcean(address["url"], "cop_other")
        assert len(search(client, "subject id:700001").results) == 10
        assert s3_at(address["s3"]).client.list_objects_v2(Bucket="aind-open-data", MaxKeys=1)["KeyCount"] == 1
        text = control("POST", "assets", {"name": "inside", "files": {"a.txt": "text"}})["id"]
        folder = control("POST", "assets", {"name": "folder", "folder": str(tmp_path), "bucket": "lab-bucket"})["id"]
        assert [item.name for item in client.data_assets.list_data_asset_files(text).items] == ["a.txt"]
        assert client.data_assets.get_data_asset(folder).source_bucket.bucket == "lab-bucket"
        assert s3_at(address["s3"]).client.head_object(Bucket="lab-bucket", Key="folder/f.txt")

        control("POST", "faults", [{"fault": "reset_after", "method": "POST", "endpoint": "computations"}])
        control("POST", "computations", {"number": 3})
        control("POST", "outcome", {"kind": "hang", "times": 1})
        control("POST", "timing", {"listing_lag_s": 0.0, "init_s": 0.0})
        control("POST", "habits", {"twice": True})
        capsule = control("GET", "world")["computations"][0]["capsule"]
        params = {"manifest": "inside/a.txt", "neuroglancer": "inside/a.txt"}
        request = RunParams(
            capsule_id=capsule, data_assets=[DataAssetsRunParam(text, "inside")], parameters=list(params.values())
        )
        assert told(client.computations.run_capsule, request) == "ConnectionError"
        [run] = control("GET", "ledger?kind=run")
        assert (run["answered"], run["details"]["data_assets"]) == (False, {text: "inside"})
        assert len(client.capsules.list_computations(capsule)) == 4
        requests_seen = control("GET", "requests")
        assert requests_seen["by_endpoint"]["POST computations"] == 1
        assert sum(requests_seen["per_second"].values()) == requests_seen["total"]
        assert control("GET", "faults")["spoiled"] == {"reset_after": 1}
        assert control("DELETE", "faults")["set"] == []
        assert control("GET", "world")["failures"] == []

        control("POST", "down", {"seconds": 1.0})
        wait_for(lambda: told(search, client) == "ConnectionError")
        wait_for(lambda: told(search, client) == "fine")
