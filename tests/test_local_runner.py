"""Conversions as processes of this machine: found again, never doubled, never mistaken, whoever is killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from local_fixtures import (
    STEM,
    STITCHED,
    layer,
    manifest_bytes,
    row,
    state,
    track_points,
    write_asset,
    write_library,
)
from platform_contract import Place, PlatformContract

from core import atomic_files
from core.errors import RefusedError, UnclearError
from core.platforms import local_runner, local_runs, local_stops, run_supervisor
from core.platforms.base import InputAsset, Mount, RunKey, RunState
from core.platforms.local import LocalLibrary, LocalRunner
from core.platforms.local_runs import RunFolder, identify, is_alive, read_identity

ROOT = Path(__file__).parents[1]
LAYERS = (layer("268", track_points(1000)), layer("269", track_points(1100)))
ROWS = (row("268"), row("269", "ProbeB", 0))


@pytest.fixture
def place(tmp_path):
    library, data = tmp_path / "library", tmp_path / "data"
    write_library(library, *LAYERS)
    runner = LocalRunner(library, data)
    yield Place(
        LocalLibrary(library),
        runner,
        Mount(f"id-{STITCHED}", STITCHED),
        ROWS,
        manifest_bytes(*ROWS),
        json.dumps(state(*LAYERS)).encode(),
        STEM,
        {"slow": "600"},
    )
    for run in runner.active_runs():
        runner.stop_run(run)


def folder(tmp_path, job="j1"):
    return RunFolder(tmp_path / "data" / "runs" / f"{job}r")


def supervise(run, *command):
    """Run any command as the converter of a run."""
    run.path.mkdir(parents=True)
    run.request.write_text(json.dumps({"mounts": [], "command": command}))
    subprocess.run([sys.executable, "-m", "core.platforms.run_supervisor", str(run.path)], cwd=ROOT, check=True)


def finished_run(place, tmp_path):
    """A run that ended at once."""
    supervise(folder(tmp_path), "/bin/sh", "-c", "echo done")
    assert place.until_ended("run-j1r") is RunState.FINISHED
    return "run-j1r"


def until(condition):
    while not condition():
        time.sleep(0.01)


class TestContract(PlatformContract):
    """The local platform keeps the contract of all platforms."""


# --- nothing twice --------------------------------------------------------------------------------


def test_making_an_input_asset_twice_makes_one(place):
    manifest, _ = place.inputs("j1")
    first = place.runner.create_input_asset(manifest)
    assert place.runner.create_input_asset(manifest) == first
    assert place.runner.find_assets(manifest.token) == (first,)


def test_capturing_twice_makes_one(place, tmp_path):
    request = place.capture_request("j1", finished_run(place, tmp_path))
    result = place.runner.capture(request)
    assert place.runner.read_file(result, "output", 100) == b"done\n"
    again = LocalRunner(tmp_path / "library", tmp_path / "data")
    assert again.capture(request) == result
    assert again.find_assets("j1c") == (result,)


def test_starting_with_a_used_token_starts_nothing(place, tmp_path):
    request = place.request("j1", **place.slow)
    run = place.runner.start_run(request)
    until(folder(tmp_path).converter.exists)
    before = [path.read_bytes() for path in (folder(tmp_path).identity, folder(tmp_path).converter)]
    assert place.runner.start_run(request) == run
    assert place.runner.active_runs() == (run,)
    place.runner.stop_run(run)
    assert LocalRunner(tmp_path / "library", tmp_path / "data").start_run(request) == run
    assert place.runner.run_status(run).state is RunState.STOPPED
    assert [path.read_bytes() for path in (folder(tmp_path).identity, folder(tmp_path).converter)] == before


def test_parameters_the_converter_does_not_know_or_lacks_are_refused(place):
    request = place.request("j1")
    for parameters in (
        {**request.parameters, "odd": "1"},
        {"manifest": "m"},
        {**request.parameters, "neuroglancer": ""},
    ):
        with pytest.raises(RefusedError, match="the converter"):
            place.runner.start_run(replace(request, parameters=parameters))
    assert place.runner.active_runs() == ()


@pytest.mark.parametrize("mounts", [("a", "a"), ("a", "a/b"), ("a/b", "./a"), ("a", ""), ("../a", "b"), ("/a", "b")])
def test_assets_cannot_be_mounted_over_each_other_or_outside(place, tmp_path, mounts):
    request = place.request("j1")
    ids = [mount.asset_id for mount in request.mounts]
    bad = tuple(Mount(asset_id, mount) for asset_id, mount in zip(ids, mounts, strict=False))
    with pytest.raises(RefusedError):
        place.runner.start_run(replace(request, mounts=bad))
    assert not folder(tmp_path).path.exists()


def test_an_asset_that_is_not_ready_is_not_converted(place):
    request = place.request("j1")
    write_asset(place.reader.library, "later", {}, state="draft")
    with pytest.raises(RefusedError, match="draft"):
        place.runner.start_run(replace(request, mounts=(*request.mounts, Mount("id-later", "later"))))


# --- who is killed when ---------------------------------------------------------------------------


STARTER = """
import json, sys, time
from pathlib import Path
from core.platforms.base import Mount, RunRequest
from core.platforms.local import LocalRunner
library, data, token, name, mounts, parameters = json.loads(sys.argv[1])
request = RunRequest(token, name, tuple(Mount(*mount) for mount in mounts), parameters)
print(LocalRunner(Path(library), Path(data)).start_run(request), flush=True)
time.sleep(600)
"""


def test_a_run_survives_the_death_of_who_started_it(place, tmp_path):
    request = place.request("j1", slow="0.2")
    mounts = [(mount.asset_id, mount.mount) for mount in request.mounts]
    told = [str(tmp_path / "library"), str(tmp_path / "data"), request.token, request.name, mounts, request.parameters]
    command = [sys.executable, "-c", STARTER, json.dumps(told)]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    run = parent.stdout.readline().strip()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert run == "run-j1r"
    again = LocalRunner(tmp_path / "library", tmp_path / "data")
    assert again.find_runs(RunKey("j1r")) == (run,)
    assert again.run_status(run).state is RunState.RUNNING
    assert place.until_ended(run) is RunState.FINISHED
    assert again.run_status(run).exit_code == 0


def test_many_starters_of_one_token_make_one_run(place, tmp_path):
    request = place.request("j1", slow="600")
    runners = [LocalRunner(tmp_path / "library", tmp_path / "data") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda runner: runner.start_run(request), runners))
    assert set(ids) == {"run-j1r"}
    run = folder(tmp_path)
    until(run.converter.exists)
    session = os.getsid(read_identity(run.identity).pid)
    ours = [pid for pid in os.listdir("/proc") if pid.isdigit() and str(run.path).encode() in _command(pid)]
    assert {os.getsid(int(pid)) for pid in ours} == {session}
    assert len(ours) == 2  # the supervisor and its converter


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_second_supervisor_ends_at_once_and_touches_nothing(place, tmp_path):
    finished_run(place, tmp_path)
    run = folder(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    command = [sys.executable, "-m", "core.platforms.run_supervisor", str(run.path)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == run_supervisor.TAKEN
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_killed_supervisor_without_converter_is_gone(place, tmp_path):
    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    os.killpg(read_identity(run.identity).pid, signal.SIGKILL)
    until(lambda: place.runner.run_status(run_id).state is not RunState.RUNNING)
    status = place.runner.run_status(run_id)
    assert status.state is RunState.GONE
    assert "vanished" in status.detail
    assert place.runner.active_runs() == ()
    assert place.runner.find_runs(RunKey("j1r")) == (run_id,)
    assert place.runner.capture(place.capture_request("j1", run_id)).state == "ready"


def test_a_converter_whose_supervisor_was_killed_is_still_seen_and_stopped(place, tmp_path):
    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    os.kill(read_identity(run.identity).pid, signal.SIGKILL)
    until(lambda: not is_alive(read_identity(run.identity)))
    status = place.runner.run_status(run_id)
    assert status.state is RunState.RUNNING
    assert "watched it has died" in status.detail
    assert place.runner.active_runs() == (run_id,)
    place.runner.stop_run(run_id)
    assert not is_alive(read_identity(run.converter))
    assert place.runner.run_status(run_id).state is RunState.STOPPED


def test_a_converter_killed_by_the_machine_is_no_success(place, tmp_path):
    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    os.kill(read_identity(run.converter).pid, signal.SIGKILL)
    assert place.until_ended(run_id) is RunState.FINISHED
    status = place.runner.run_status(run_id)
    assert status.exit_code == -signal.SIGKILL
    assert "signal 9" in status.detail


def test_a_converter_that_ignores_the_wish_is_stopped_all_the_same(place, tmp_path, monkeypatch):
    monkeypatch.setattr(local_stops, "STOP_S", 0.3)
    run = folder(tmp_path)
    stubborn = (
        "import signal, time, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path('{}').touch(); time.sleep(600)"
    )
    ready = tmp_path / "ready"
    supervise(run, sys.executable, "-c", stubborn.format(ready))
    until(ready.exists)
    place.runner.stop_run("run-j1r")
    assert not is_alive(read_identity(run.converter))
    assert place.runner.run_status("run-j1r").state is RunState.STOPPED


def test_a_full_disk_keeps_no_conversion_alive(place, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "write_file", full)
        place.runner.stop_run(run_id)
    assert not is_alive(read_identity(run.converter))
    assert place.runner.active_runs() == ()


def test_a_wish_that_could_be_written_only_after_the_end_is_written_then(place, tmp_path, monkeypatch):
    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    write, calls = atomic_files.write_file, []

    def full_at_first(path, data):
        calls.append(path)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "write_file", full_at_first)
        place.runner.stop_run(run_id)
    assert place.runner.run_status(run_id).state is RunState.STOPPED


def test_a_forbidden_run_does_not_start_however_late_its_supervisor_comes(place, tmp_path):
    run = folder(tmp_path)
    request = place.request("j1")
    run.path.mkdir(parents=True)
    run.request.write_text(json.dumps({"mounts": [], "command": ["/bin/sh", "-c", "echo converted"]}))
    for _ in range(2):
        place.runner.forbid_run("j1r")
    command = [sys.executable, "-m", "core.platforms.run_supervisor", str(run.path)]
    assert subprocess.run(command, cwd=ROOT, timeout=60, check=False).returncode == run_supervisor.TAKEN
    assert not run.log.exists()
    with pytest.raises(RefusedError, match="stopped before it started"):
        place.runner.start_run(request)
    assert place.runner.find_runs(RunKey("j1r")) == place.runner.active_runs() == ()
    assert place.runner.run_status("run-j1r").state is RunState.STOPPED


def test_forbidding_before_anything_was_asked_for_is_enough_and_a_full_disk_is_told(place, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "create_file", full)
        with pytest.raises(RefusedError, match="No space left"):
            place.runner.forbid_run("j1r")
    place.runner.forbid_run("j1r")
    with pytest.raises(RefusedError):
        place.start("j1")


def test_forbidding_does_not_touch_a_run_that_has_started_and_needs_no_room_for_it(place, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    run = place.start("j1", **place.slow)
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "create_file", full)
        place.runner.forbid_run("j1r")
    assert place.runner.find_runs(RunKey("j1r")) == place.runner.active_runs() == (run,)


DYING = """
import os, signal, sys, time
from core import atomic_files
from core.platforms import run_supervisor
write, me = atomic_files.write_file, os.getpid()
def recorded_too_late(path, data):
    if path.name == "converter.json":
        supervisor = os.getppid()
        os.kill(supervisor, signal.SIGKILL)
        while os.getppid() == supervisor:
            time.sleep(0.01)
    write(path, data)
atomic_files.write_file = recorded_too_late
run_supervisor.main(sys.argv[1:])
"""


def test_a_converter_that_was_not_recorded_before_its_supervisor_died_does_nothing(place, tmp_path):
    run = folder(tmp_path)
    run.path.mkdir(parents=True)
    run.request.write_text(json.dumps({"mounts": [], "command": ["/bin/sh", "-c", "echo converted; sleep 600"]}))
    subprocess.run([sys.executable, "-c", DYING, str(run.path)], cwd=ROOT, check=True, timeout=60)
    until(run.converter.exists)
    until(lambda: not is_alive(read_identity(run.converter)))
    assert b"converted" not in run.log.read_bytes()
    assert place.runner.run_status("run-j1r").state is RunState.GONE


@pytest.mark.parametrize("change", [{"started": "1"}, {"boot": "another"}])
def test_a_process_with_a_recycled_pid_is_not_taken_for_ours(place, tmp_path, change):
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        run = folder(tmp_path)
        run.path.mkdir(parents=True)
        theirs = identify(bystander.pid)
        told = {"pid": theirs.pid, "started": theirs.started, "boot": theirs.boot}
        run.identity.write_text(json.dumps(told))
        assert place.runner.run_status("run-j1r").state is RunState.RUNNING
        run.identity.write_text(json.dumps({**told, **change}))
        assert place.runner.run_status("run-j1r").state is RunState.GONE
        place.runner.stop_run("run-j1r")
        assert bystander.poll() is None
        assert not run.stop.exists()
    finally:
        bystander.kill()
        bystander.wait()


def test_a_corpse_is_not_alive():
    child = subprocess.Popen([sys.executable, "-c", ""])
    identity = identify(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identify(child.pid) is None
    assert not is_alive(identity)
    child.wait()
    assert not is_alive(identity)
    assert not is_alive(None)


def test_ps_gives_an_identity_where_there_is_no_proc():
    told = local_runs._status_ps(os.getpid())
    assert told == local_runs._status_ps(os.getpid())
    assert str(time.localtime().tm_year) in told[1]
    assert local_runs._status_ps(2**22 + 1) is None


def test_starting_leaves_no_child_and_no_warning(place):
    before = children()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        place.runner.stop_run(place.start("j1", **place.slow))
        gc.collect()
    assert children() <= before


def children() -> set[str]:
    """Pids of this process's children; corpses too."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


# --- what the converter gets ----------------------------------------------------------------------


def test_secrets_of_the_worker_do_not_reach_the_converter(place, tmp_path, monkeypatch):
    monkeypatch.setenv("CODEOCEAN_TOKEN", "cop_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    run_id = place.start("j1", **place.slow)
    run = folder(tmp_path)
    until(run.converter.exists)
    environment = Path(f"/proc/{read_identity(run.converter).pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"secret" not in environment
    place.runner.stop_run(run_id)


def test_a_conversion_that_cannot_be_laid_out_fails_with_words(place, tmp_path):
    run = folder(tmp_path)
    run.results.mkdir(parents=True)
    place.start("j1")
    assert place.until_ended("run-j1r") is RunState.FAILED
    assert "could not be started" in place.runner.run_status("run-j1r").detail


def test_a_converter_that_is_not_there_fails_with_words(place, tmp_path):
    supervise(folder(tmp_path), str(tmp_path / "none"))
    assert place.until_ended("run-j1r") is RunState.FINISHED
    assert place.runner.run_status("run-j1r").exit_code == 127
    assert b"could not be started" in place.runner.read_log("run-j1r", 1000)


# --- what cannot be written -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["../out", "/abs", "a/../../b", "nul\0"])
def test_an_input_file_outside_its_asset_is_refused(place, path):
    with pytest.raises(RefusedError):
        place.runner.create_input_asset(InputAsset("t1", "name", {path: b""}, (), ""))
    assert place.runner.find_assets("t1") == ()
    assert not (place.reader.assets_folder / "name").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "x.json", "y" * 250])
def test_a_bad_name_is_refused(place, name):
    with pytest.raises(RefusedError):
        place.runner.create_input_asset(InputAsset("t1", name, {"f": b""}, (), ""))


@pytest.mark.parametrize("token", ["", "a/b", "..", "x" * 65, "é"])
def test_a_bad_token_is_refused(place, token):
    with pytest.raises(RefusedError):
        place.runner.create_input_asset(InputAsset(token, "name", {"f": b""}, (), ""))
    with pytest.raises(RefusedError):
        place.runner.start_run(replace(place.request("j1"), token=token))
    assert place.runner.find_runs(RunKey(token)) == ()


def test_a_taken_name_is_refused_and_left_alone(place):
    place.runner.create_input_asset(InputAsset("t1", "name", {"f": b"first"}, (), ""))
    with pytest.raises(RefusedError, match="another asset of this name"):
        place.runner.create_input_asset(InputAsset("t2", "name", {"f": b"second"}, (), ""))
    [asset] = place.runner.find_assets("t1")
    assert place.runner.read_file(asset, "f", 10) == b"first"


def test_a_full_disk_is_told_and_leaves_the_library_as_it_was(place, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    run = finished_run(place, tmp_path)
    request = place.request("j9")
    before = sorted(path.name for path in place.reader.assets_folder.iterdir())
    for target in ("core.atomic_files.write_file", "core.atomic_files.sync_tree", "pathlib.Path.rename"):
        with monkeypatch.context() as patch:
            patch.setattr(target, full)
            with pytest.raises(RefusedError, match="No space left"):
                place.runner.create_input_asset(InputAsset("t1", "name", {"f": b""}, (), ""))
            with pytest.raises(RefusedError, match="No space left"):
                place.runner.capture(place.capture_request("j1", run))
    with monkeypatch.context() as patch:
        patch.setattr("core.atomic_files.write_file", full)
        with pytest.raises(RefusedError, match="No space left"):
            place.runner.start_run(request)
    assert sorted(path.name for path in place.reader.assets_folder.iterdir()) == before
    assert place.runner.find_runs(RunKey("j9r")) == ()
    assert place.runner.capture(place.capture_request("j1", run)).state == "ready"


def test_what_a_killed_worker_left_half_made_is_no_asset_and_in_nobodys_way(place):
    asset = InputAsset("t1", "name", {"f": b"whole"}, (), "")
    half = place.reader.assets_folder / ".name.part"
    half.mkdir()
    (half / "old").write_bytes(b"half")
    (place.reader.assets_folder / "name.json").write_text('{"id": "x", "name": "name", "tags": ["t1"]}')
    assert place.runner.find_assets("t1") == ()
    made = place.runner.create_input_asset(asset)
    assert [entry.name for entry in place.runner.list_folder(made)] == ["f"]
    assert place.runner.find_assets("t1") == (made,)


def test_an_asset_that_is_there_but_not_confirmed_by_the_disk_is_unclear_and_found(place, monkeypatch):
    sync = atomic_files.sync_folder

    def failing(path):
        if (place.reader.assets_folder / "name").exists():
            raise OSError(5, "Input/output error")
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "sync_folder", failing)
        with pytest.raises(UnclearError):
            place.runner.create_input_asset(InputAsset("t1", "name", {"f": b"whole"}, (), ""))
    [asset] = place.runner.find_assets("t1")
    assert place.runner.read_file(asset, "f", 10) == b"whole"


def test_links_and_pipes_are_not_kept_as_results(place, tmp_path):
    run = finished_run(place, tmp_path)
    results = folder(tmp_path).results
    (results / "real").mkdir()
    (results / "real" / "file").write_bytes(b"1")
    (results / "link").symlink_to(results / "real" / "file")
    (results / "real" / "folder").symlink_to(results)
    os.mkfifo(results / "real" / "pipe")
    result = place.runner.capture(place.capture_request("j1", run))
    kept = place.reader.asset_folder(result)
    assert sorted(path.name for path in kept.rglob("*")) == ["file", "output", "real"]


def test_what_runs_is_this_users_alone_whatever_the_umask(place, tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "data" / "runs").mkdir(parents=True)
        place.runner.forbid_run("j1r")
    finally:
        os.umask(before)
    assert (tmp_path / "data" / "runs").stat().st_mode & 0o777 == 0o700


def test_runner_and_reader_of_one_library_say_the_same_id(place):
    assert place.runner.platform_id == place.reader.platform_id


def test_a_supervisor_that_does_not_report_is_unclear(place, monkeypatch):
    monkeypatch.setattr(local_runner, "_ROOT", Path("/"))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UnclearError):
        place.start("j1")
    assert place.runner.find_runs(RunKey("j1r")) == ()


def test_a_supervisor_that_cannot_be_spawned_is_refused(place, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(RefusedError, match="could not be started"):
        place.start("j1")


def test_results_that_lead_out_are_not_listed(place, tmp_path):
    run = finished_run(place, tmp_path)
    (folder(tmp_path).results / "out").symlink_to(tmp_path)
    assert "out" not in [entry.name for entry in place.runner.list_results(run)]
    with pytest.raises(Exception, match="no such folder"):
        place.runner.list_results(run, "out")
    result = place.runner.capture(place.capture_request("j1", run))
    assert "out" not in [entry.name for entry in place.runner.list_folder(result)]
