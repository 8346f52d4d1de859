"""The command line's doors for a lab: probe, backups, launch options, questions of jobs, addresses. In this process."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from io import StringIO

import pytest

from core.errors import InputError
from core.platforms.base import ConverterOffer, Parameter
from core.settings import Settings
from dashboard import servers
from dashboard.cli import main
from dashboard.launch_command import chosen_parameters
from jobs.records import JobState, RemoteIds, Step
from jobs.store import JobStore
from tests.code_ocean_place import code_ocean, s3_server, sample_mouse
from tests.fake_code_ocean_state import FakeCapsule, Outcome
from tests.job_records import a_record


@pytest.fixture
def trackmapper(tmp_path, monkeypatch, capsys):
    """Runs `trackmapper ... --json`; returns (exit code, answer, messages)."""
    monkeypatch.setenv("TRACKMAPPER_LIBRARY", str(sample_mouse().library))
    monkeypatch.setenv("TRACKMAPPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TRACKMAPPER_USER", "ana")

    def run(*arguments: object, data: object = None):
        more = [] if data is None else ["--data", str(data)]
        capsys.readouterr()
        code = main([*map(str, arguments), *more, "--json"])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, json.loads(told.out) if told.out else None, told.err

    return run


@pytest.fixture
def fake(monkeypatch):
    """A Code Ocean with the sample mouse, as the environment names it."""
    with code_ocean() as running:
        monkeypatch.setenv("TRACKMAPPER_PLATFORM", "code_ocean")
        monkeypatch.setenv("CODE_OCEAN_DOMAIN", running.url)
        monkeypatch.setenv("CODE_OCEAN_API_TOKEN", running.token)
        monkeypatch.setenv("TRACKMAPPER_CODE_OCEAN_POLL_SECONDS", "0.2")
        monkeypatch.setenv("TRACKMAPPER_CODE_OCEAN_REQUESTS_PER_SECOND", "500")
        monkeypatch.setenv("TRACKMAPPER_ASSET_BUCKETS", "aind-open-data")
        for name, value in s3_server().environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def launch():
    """The options of a launch of the sample mouse's smallest mapping."""
    pair = min((s for s in sample_mouse().states if s.manifest), key=lambda s: len(s.manifest.read_text()))
    return ("launch", "--state", pair.path, "--manifest", pair.manifest)


# --- probe --------------------------------------------------------------------------------------


def test_probe_of_this_machine(trackmapper, tmp_path):
    code, answer, _ = trackmapper("probe")
    assert (code, answer["ok"]) == (0, True)
    assert {f["what"]: f["verdict"] for f in answer["findings"]} == {
        "library": "ok",
        "converter": "ok",
        "saved states": "ok",
        "data folder": "ok",
        "worker": "warning",
    }
    assert not (tmp_path / "data").exists()
    code, answer, _ = trackmapper("probe", "--library", tmp_path)
    assert (code, answer["ok"]) == (1, False)


def test_probe_of_code_ocean(trackmapper, fake, capsys):
    code, answer, _ = trackmapper("probe")
    assert (code, answer["ok"]) == (0, True)
    bad = {f["what"] for f in answer["findings"] if f["verdict"] != "ok"}
    assert bad == {"worker"}
    assert fake.ledger == []
    fake.scopes.discard("capsule:write")
    code, answer, messages = trackmapper("probe")
    assert (code, answer["ok"]) == (1, False)
    assert fake.token not in json.dumps(answer) + messages
    assert main(["probe"]) == 1
    text = capsys.readouterr().out
    assert "failed  scope: capsules, write" in text
    assert fake.token not in text


def test_probe_tells_of_settings_that_are_not_safe(trackmapper, fake, monkeypatch):
    monkeypatch.setenv("TRACKMAPPER_RUN_SETTLE_MINUTES", "5")
    code, answer, _ = trackmapper("probe")
    [warned] = [f for f in answer["findings"] if f["what"] == "settle window"]
    assert (code, warned["verdict"]) == (0, "warning")
    assert "TRACKMAPPER_RUN_SETTLE_MINUTES is 5" in warned["found"]
    monkeypatch.setenv("CODE_OCEAN_DOMAIN", "http://codeocean.example.org")
    code, answer, messages = trackmapper("probe")
    [refused] = [f for f in answer["findings"] if f["verdict"] == "failed" and f["what"] == "address"]
    assert (code, "not encrypted" in refused["found"]) == (1, True)
    assert fake.token not in json.dumps(answer) + messages


def test_measuring_asks_first(trackmapper, fake, monkeypatch):
    tiny = FakeCapsule("aaaaaaaa-0000-4000-8000-000000000001", "Tiny", "1", "converter", (1,), ())
    fake.add_capsule(replace(tiny, outcome=Outcome("empty")))
    measure = ("probe", "--measure", "aaaaaaaa-0000-4000-8000-000000000001", "--runs", 1)
    code, answer, messages = trackmapper(*measure)
    assert code == 2
    assert "--yes" in answer["error"]["cure"]
    assert "may cost money" in messages

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert trackmapper(*measure)[0] == 2
    assert fake.ledger == []
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    code, answer, _ = trackmapper(*measure)
    assert (code, answer["ok"], answer["left"]) == (0, True, [])
    assert answer["settings"] == {"TRACKMAPPER_ASSET_SETTLE_MINUTES": 10, "TRACKMAPPER_RUN_SETTLE_MINUTES": 35}
    assert (answer["asset"]["count"], answer["run"]["count"], answer["last_used_moved"]) == (1, 1, [1, 1])
    assert not fake.world.computations
    assert [effect.kind for effect in fake.ledger] == ["asset", "run", "delete_run", "delete_asset"]
    code, answer, _ = trackmapper(*measure[:3], "--runs", 0, "--yes")
    assert code == 2


def test_there_is_nothing_to_measure_here(trackmapper):
    assert trackmapper("probe", "--measure", "capsule", "--yes")[0] == 2


# --- launching ----------------------------------------------------------------------------------


def test_a_launch_on_code_ocean_takes_what_was_chosen(trackmapper, fake, launch):
    code, answer, messages = trackmapper(
        *launch, "--wait", "--converter-version", 2, "--parameter", "run-async=0", "--parameter", "skip-ephys=0",
        "--deadline", 2.5, "--route", "direct",
    )  # fmt: skip
    assert (code, answer["state"]) == (0, "succeeded"), messages
    assert "paid run" in messages
    assert answer["converter_version"] == "2"
    assert answer["parameters"] == {"run-async": "0", "skip-ephys": "0", "slow": "0"}, "defaults are said outright"
    assert (answer["deadline_h"], answer["route"]) == (2.5, "direct")
    (run,) = fake.effects("run")
    assert run.details["parameters"]["run-async"] == "0"
    assert fake.world.computations[run.id].version == 2
    assert answer["computation"] == run.id
    code, shown, _ = trackmapper("job", answer["id"])
    assert (code, shown["result"]) == (0, answer["result"])


@pytest.mark.parametrize(
    "options",
    [
        ("--parameter", "nope=1"),
        ("--parameter", "skip-ephys"),
        ("--route", "monitor", "--converter-version", "99"),
    ],
)
def test_what_the_converter_does_not_take_is_refused(trackmapper, fake, launch, options):
    code, answer, _ = trackmapper(*launch, *options)
    assert code in (1, 2)
    assert answer["error"]["message"]
    assert trackmapper("jobs")[1]["jobs"] == []


def test_without_a_token_nothing_is_launched(trackmapper, fake, launch, monkeypatch):
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    code, answer, _ = trackmapper(*launch)
    assert code == 1
    assert "CODE_OCEAN_API_TOKEN" in answer["error"]["message"] + answer["error"]["cure"]
    assert fake.count("POST", "computations") == 0


def test_platform_can_be_chosen(trackmapper, fake):
    code, answer, _ = trackmapper("subject", "700001", "--platform", "local")
    assert (code, answer["platform"]) == (0, "this machine")
    assert fake.count() == 0
    assert trackmapper("subject", "700001")[1]["platform"] == "Code Ocean"


def test_options_of_a_converter():
    offer = ConverterOffer(
        "c", "C", ("1",), "1",
        (Parameter("mode", "fast", choices=("fast", "slow")), Parameter("atlas", required=True), Parameter("n", "1")),
    )  # fmt: skip
    assert chosen_parameters(["atlas=ccf", "mode=slow", "n=1"], offer) == {"atlas": "ccf", "mode": "slow", "n": "1"}
    assert chosen_parameters(["atlas=a=b"], offer) == {"atlas": "a=b", "mode": "fast", "n": "1"}
    for given in ([], ["atlas="], ["atlas=x", "mode=odd"], ["atlas=x", "other=1"], ["atlas"]):
        with pytest.raises(InputError):
            chosen_parameters(given, offer)


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "soon", "1e9"])
def test_hours_are_hours(trackmapper, launch, hours):
    with pytest.raises(SystemExit) as ended:
        trackmapper(*launch, "--deadline", hours)
    assert ended.value.code == 2


# --- jobs that ask ------------------------------------------------------------------------------


def a_job(data, *states: JobState, **values) -> str:
    with JobStore(data) as store:
        job_id = store.add_job(a_record(), inputs={}).job_id
        for state in states:
            store.put(store.get(job_id).changed(state=state))
        store.put(store.get(job_id).changed(**values))
    return job_id


def test_more_time_for_a_run(trackmapper, tmp_path):
    data = tmp_path / "data"
    running = (JobState.PREPARING, JobState.LAUNCHING, JobState.RUNNING)
    job_id = a_job(data, *running, step=Step.WATCH, overdue=True)
    code, answer, _ = trackmapper("extend", job_id, "--hours", 5, "--user", "ben")
    assert (code, answer["overdue"], answer["events"][-1]["by"]) == (0, False, "ben")
    assert answer["deadline"]
    assert trackmapper("attach", job_id, "run-1")[0] == 1


def test_a_run_named_by_a_person(trackmapper, tmp_path):
    data = tmp_path / "data"
    job_id = a_job(data, JobState.PREPARING, JobState.NEEDS_YOU, step=Step.RUN)
    code, answer, _ = trackmapper("attach", int(job_id), "8d723104-f773-43c1-b458-a748e9bb17bc")
    assert (code, answer["state"]) == (0, "launching")
    assert trackmapper("attach", job_id, "../else")[0] == 2
    assert trackmapper("extend", job_id, "--hours", 1)[0] == 1


def test_a_result_is_counted_again(trackmapper, tmp_path):
    data = tmp_path / "data"
    states = (JobState.PREPARING, JobState.LAUNCHING, JobState.RUNNING, JobState.VERIFYING, JobState.CAPTURING)
    ids = RemoteIds(run="run-1", result="asset-1")
    job_id = a_job(data, *states, JobState.INCOMPLETE, step=Step.DONE, ids=ids)
    code, answer, _ = trackmapper("recount", job_id, "--user", "ben")
    assert (code, answer["state"], answer["step"]) == (0, "capturing", "count")
    assert (answer["events"][-1]["what"], answer["events"][-1]["by"]) == ("counted again", "ben")
    assert trackmapper("recount", job_id)[0] == 1


# --- backups ------------------------------------------------------------------------------------


def test_a_backup_goes_round(trackmapper, tmp_path):
    file = tmp_path / "b.zip"
    assert trackmapper("backup", file)[0] == 2
    assert not (tmp_path / "data").exists()
    job_id = a_job(tmp_path / "data")
    code, answer, _ = trackmapper("backup", file)
    assert (code, answer["jobs"], answer["active"]) == (0, 1, 1)
    code, answer, _ = trackmapper("restore", file)
    assert code == 2
    assert "--replace" in answer["error"]["cure"]
    code, answer, _ = trackmapper("restore", file, data=tmp_path / "new")
    assert (code, answer["in_doubt"], answer["replaced"]) == (0, [job_id], None)
    code, answer, _ = trackmapper("restore", file, "--replace")
    assert code == 0
    assert answer["replaced"]
    assert trackmapper("job", job_id)[1]["look_first"] is True


def test_a_restored_job_finds_its_run_on_code_ocean_and_starts_none(trackmapper, fake, launch, tmp_path):
    """The backup is from before anything was sent; the job has long succeeded when it is restored."""
    _, queued, _ = trackmapper(*launch)
    assert queued["state"] == "queued"
    assert trackmapper("backup", tmp_path / "b.zip")[0] == 0
    code, done, _ = trackmapper(*launch, "--wait")
    assert (code, done["duplicate_of"]) == (0, queued["job"])
    before = [effect.id for effect in fake.ledger]
    assert trackmapper("restore", tmp_path / "b.zip", "--replace")[0] == 0
    code, again, _ = trackmapper(*launch, "--wait")
    assert (code, again["state"], again["ids"]) == (0, "succeeded", done["ids"])
    made = [effect.kind for effect in fake.ledger if effect.id not in before]
    assert made == []
    assert len(fake.effects("run")) == 1


# --- servers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7"])
@pytest.mark.parametrize("what", ["serve", "worker"])
def test_no_server_starts_open_to_the_network(trackmapper, what, address):
    code, answer, _ = trackmapper(what, "--address", address)
    assert code == 2
    assert "log-in" in answer["error"]["message"]


def test_a_log_in_opens_the_door_and_origins_are_passed_on(monkeypatch):
    door = servers.Door("0.0.0.0", ("lab.example.org",))
    command = servers.panel_command(servers.DASHBOARD, 5006, door)
    assert command[command.index("--address") + 1] == "0.0.0.0"
    assert [command[i + 1] for i, word in enumerate(command) if word == "--allow-websocket-origin"] == [
        "127.0.0.1:5006", "localhost:5006", "lab.example.org",
    ]  # fmt: skip
    monkeypatch.setenv("PANEL_OAUTH_PROVIDER", "github")
    servers.refuse_open_door(door)


def test_served_processes_are_told_the_platform():
    """A library's folder is always named to them, which alone would mean this machine."""
    told = servers.environment(Settings(code_ocean_token="t"))
    assert told["TRACKMAPPER_PLATFORM"] == "code_ocean"
    assert servers.environment(Settings())["TRACKMAPPER_PLATFORM"] == "local"


def test_a_pause_is_told_and_ends(trackmapper, tmp_path):
    with JobStore(tmp_path / "data") as store:
        assert trackmapper("pause", "--user", "ben")[:2] == (0, {"schema": 1, "paused_by": "ben"})
        assert store.paused_by() == "ben"
        assert trackmapper("resume")[1]["paused_by"] == ""
        assert store.paused_by() == ""


def test_a_list_longer_than_a_page_of_the_store_goes_on(trackmapper, tmp_path, monkeypatch):
    with JobStore(tmp_path / "data") as store:
        for number in range(5):
            store.add_job(a_record(f"d{number}"), inputs={})
    monkeypatch.setattr("jobs.store._PAGE_LIMIT", 2)
    listed = trackmapper("jobs", "--limit", 4)[1]
    assert [int(job["id"]) for job in listed["jobs"]] == [5, 4, 3, 2]
    rest = trackmapper("jobs", "--limit", 4, "--before", listed["next"])[1]
    assert ([int(job["id"]) for job in rest["jobs"]], rest["next"]) == ([1], None)
