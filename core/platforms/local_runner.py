"""Conversions on one machine: inputs and results are assets of the library, runs are processes that outlive the worker.

A run is owned by its own supervisor process, which claims the run's folder with one atomic file. However often a run
is started with one token, and whoever is killed meanwhile, one converter at most ever runs for it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from core import atomic_files, image_space_converter
from core.errors import NotFoundError, RefusedError, UnclearError
from core.models import Asset
from core.platforms import local_stops
from core.platforms.base import (
    CaptureRequest,
    Entry,
    InputAsset,
    KnownRun,
    RunKey,
    RunRequest,
    RunState,
    RunStatus,
    SettlePolicy,
)
from core.platforms.local_library import LocalLibrary, cannot_write, is_inside, list_entries, relative_parts
from core.platforms.local_requests import arguments, check_token, laid_out
from core.platforms.local_runs import (
    TOKEN,
    RunFolder,
    is_alive,
    read_identity,
    read_json,
    run_folder,
    tail,
    to_json,
)

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 30.0
_TAIL_BYTES, _WORDS = 2000, 300
# The converter needs no account: whatever secrets the worker's environment holds stay with the worker.
_ENVIRONMENT = re.compile(r"PATH|HOME|USER|LOGNAME|LANG|TZ|TMPDIR|VIRTUAL_ENV|(LC_|PYTHON|OMP_|OPENBLAS_).*")


class LocalRunner:
    """Makes input assets, runs conversions and captures results in a library folder. Implements `Runner`."""

    name = "this machine"
    converter = image_space_converter.NAME
    converter_version = image_space_converter.VERSION
    # An asset is made by the worker's own hands: when the worker is gone, none can appear any more. A run may still be
    # claimed by a supervisor that was just being started: that takes seconds, 30 of them on a very busy machine.
    # A run is claimed by an exclusive file named by the token: a second start of it ends at once.
    settle = SettlePolicy(asset_window_s=0, run_window_s=_START_S, clean_looks=2, starts_once=True, capture_window_s=0)

    def __init__(self, library: Path, data: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._library = LocalLibrary(library)
        self._runs = data.absolute() / "runs"
        self._now = now
        self._ended: set[str] = set()

    @property
    def platform_id(self) -> str:
        """Which library it works in."""
        return self._library.platform_id

    def recall(self, runs: Sequence[KnownRun], now: datetime) -> None:
        """Does nothing: every run has its folder."""

    def refusal(self, converter: str, version: str, route: str, monitor: str = "") -> str:
        """Why a job is not for this worker; "" when it is."""
        if (converter, version) == (self.converter, self.converter_version):
            return ""
        return f"the job asks for {converter} {version}, this worker runs {self.converter} {self.converter_version}"

    # --- assets ---------------------------------------------------------------------------------

    def create_input_asset(self, request: InputAsset) -> Asset:
        """Make an asset of the request's files, or return the one that was made with this token and name.

        Raises:
            RefusedError: nothing was made: a bad name or path, no room, no right.
        """
        made = self._made(request.token, request.name)
        if made is not None:
            return made
        asset = self._new_asset(request)
        files = {relative_parts(path, request.name): data for path, data in request.files.items()}
        part = self._library.part_folder(asset)
        try:
            for parts, data in files.items():
                file = part.joinpath(*parts)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise cannot_write(part.parent, error) from error
        self._library.add_asset(asset, part)
        return asset

    def capture(self, request: CaptureRequest) -> Asset:
        """Copy an ended run's results and log into a new asset, or return the one made with this token and name.

        Raises:
            NotFoundError: there is no such run, or it left no results folder.
            RefusedError: nothing was made: the run still goes on, no room, no right.
        """
        made = self._made(request.token, request.name)
        if made is not None:
            return made
        if self.run_status(request.run_id).state.goes_on:
            raise RefusedError("the conversion still runs", where=request.run_id, cure="Wait for its end, or stop it.")
        run = self._run(request.run_id)
        if run is None or not run.results.is_dir():
            raise NotFoundError("there are no results of this run", where=request.run_id, cure="Launch it again.")
        asset = replace(
            self._new_asset(request),
            type="result",
            custom_metadata=dict(request.custom_metadata),
            provenance_data_assets=tuple(request.provenance_data_assets),
            provenance_computation=request.run_id,
        )
        part = self._library.part_folder(asset)
        try:
            shutil.copytree(run.results, part, symlinks=True, dirs_exist_ok=True, ignore=_what_is_no_content)
            if run.log.exists() and not (part / "output").exists():
                shutil.copyfile(run.log, part / "output")
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise cannot_write(part.parent, error) from error
        self._library.add_asset(asset, part)
        return asset

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        """Every asset made with this token."""
        return self._library.find_tagged_assets(token)

    def get_asset(self, asset_id: str) -> Asset:
        """An asset's present state. Raises NotFoundError."""
        return self._library.get_asset(asset_id)

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset. Raises NotFoundError."""
        return self._library.list_folder(asset, path)

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of an asset. Raises NotFoundError, or PlatformError when it is larger than `limit` bytes."""
        return self._library.read_file(asset, path, limit)

    def _made(self, token: str, name: str) -> Asset | None:
        check_token(token)
        return next((asset for asset in self.find_assets(token) if asset.name == name), None)

    def _new_asset(self, request: InputAsset | CaptureRequest) -> Asset:
        return Asset(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{request.token}/{request.name}")),
            name=request.name,
            tags=tuple(dict.fromkeys((*request.tags, request.token))),
            created=self._now(),
            description=request.description,
        )

    # --- starting -------------------------------------------------------------------------------

    def start_run(self, request: RunRequest) -> str:
        """Start a conversion; returns the run's id. With a token that was used before, it starts nothing.

        Raises:
            RefusedError: nothing was started: an unknown asset or parameter, no room, no right, or it was forbidden.
            UnclearError: the supervisor did not answer; the run may still start.
        """
        check_token(request.token)
        run = RunFolder(self._runs / request.token)
        if not run.identity.exists():
            self._write_request(run, request)
            self._start_supervisor(run)
        if local_stops.is_forbidden(run):
            raise RefusedError("it was stopped before it started", where=request.token, cure="Launch it again.")
        return f"run-{request.token}"

    def _write_request(self, run: RunFolder, request: RunRequest) -> None:
        mounts = [{"mount": path, "folder": str(self._mountable(asset))} for path, asset in laid_out(request)]
        command = [
            sys.executable,
            "-m",
            image_space_converter.__name__,
            f"--data={run.data}",
            f"--results={run.results}",
        ]
        command += arguments(request.parameters)
        told = {"token": request.token, "name": request.name, "mounts": mounts, "command": command}
        self._make_runs_folder()
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            atomic_files.write_file(run.request, to_json(told))
        except OSError as error:
            raise cannot_write(run.path, error) from error

    def _mountable(self, asset_id: str) -> Path:
        try:
            asset = self._library.get_asset(asset_id)
            folder = self._library.asset_folder(asset)
        except NotFoundError as error:
            raise RefusedError(error.message, where=error.where, cure=error.cure) from error
        if asset.state != "ready":
            raise RefusedError(f"the asset is {asset.state}", where=asset.name, cure="Wait until it is ready.")
        return folder

    def _start_supervisor(self, run: RunFolder) -> None:
        command = [sys.executable, "-m", "core.platforms.run_supervisor", str(run.path)]
        environment = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
        try:
            with run.log.open("ab") as log:
                subprocess.run(
                    command,
                    cwd=_ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    start_new_session=True,
                    timeout=_START_S,
                    check=False,
                )
        except OSError as error:
            raise RefusedError(
                f"the conversion's process could not be started ({error.strerror})",
                where=str(run.path),
                cure="Check the machine's memory, disk and process limits.",
            ) from error
        except subprocess.TimeoutExpired:
            # Killing the starter does not stop what it may have forked: the claim decides.
            pass
        if not run.identity.exists():
            raise UnclearError(
                f"the conversion's process did not report: {_last_line(run.log) or 'no word of it'}",
                where=str(run.path),
                cure="Look for it before starting it again.",
            )

    # --- watching -------------------------------------------------------------------------------

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        """The id of the run started with this key's token, when there is one."""
        run = RunFolder(self._runs / key.token) if TOKEN.fullmatch(key.token) else None
        if run is None or not run.identity.exists() or local_stops.is_forbidden(run):
            return ()
        return (f"run-{key.token}",)

    def find_children(self, key: RunKey) -> tuple[str, ...]:
        """None: a run starts no other."""
        return ()

    def belongs(self, run_id: str, key: RunKey) -> bool:
        """Whether it is the run of this key's token."""
        return run_id in self.find_runs(key)

    def name_run(self, run_id: str, name: str) -> None:
        """Does nothing: a run's folder has its token's name."""

    def share(self, asset: Asset) -> None:
        """Does nothing: who may read the library may read its results."""

    def active_runs(self) -> tuple[str, ...]:
        """Ids of runs that are still going."""
        if not self._runs.is_dir():
            return ()
        active: list[str] = []
        for entry in list_entries(self._runs, self._runs, "runs"):
            if entry.name in self._ended:
                continue
            found = self.find_runs(RunKey(entry.name))
            if found and self.run_status(found[0]).state.goes_on:
                active += found
            elif found:
                self._ended.add(entry.name)  # for good: an ended run never goes on
        return tuple(active)

    def run_status(self, run_id: str) -> RunStatus:
        """One look at a run; `GONE` when there is none, or when its processes died without recording an end."""
        run = self._run(run_id)
        if run is None:
            return RunStatus(run_id, RunState.GONE, detail="this machine has no such run")
        end = _end(run_id, run)
        if end is not None:
            return end
        if not run.identity.exists():
            return RunStatus(run_id, RunState.STARTING)
        if is_alive(read_identity(run.identity)):
            return RunStatus(run_id, RunState.RUNNING, detail=_last_line(run.log))
        if is_alive(read_identity(run.converter)):
            told = "the process that watched it has died, the conversion goes on"
            return RunStatus(run_id, RunState.RUNNING, detail=told)
        # It may have ended between the first look and the second.
        end = _end(run_id, run)
        if end is not None:
            return end
        if run.stop.exists():
            return RunStatus(run_id, RunState.STOPPED, detail="it was stopped")
        told = "its process vanished without a word: killed, or the machine was restarted"
        return RunStatus(run_id, RunState.GONE, detail=told)

    def list_results(self, run_id: str, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder of a run's results. Raises NotFoundError."""
        run = self._run(run_id)
        if run is None:
            raise NotFoundError("this machine has no such run", where=run_id, cure="Check the id.")
        folder = run.results.joinpath(*relative_parts(path, run_id))
        root = Path(os.path.realpath(run.results))
        if not is_inside(folder, root):
            raise NotFoundError("there is no such folder", where=f"{run_id}/{path}", cure="Check the path.")
        return list_entries(folder, root, f"{run_id}/{path}")

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of a run's log; b"" when there is none yet."""
        run = self._run(run_id)
        return b"" if run is None else tail(run.log, limit)

    def _run(self, run_id: str) -> RunFolder | None:
        return run_folder(self._runs, run_id)

    # --- stopping -------------------------------------------------------------------------------

    def stop_run(self, run_id: str) -> None:
        """Stop a run and wait for its end. Stopping an ended or unknown run does nothing.

        Raises:
            PlatformError: its processes could not be stopped.
        """
        run = self._run(run_id)
        if run is not None:
            local_stops.stop(run, self._now())

    def forbid_run(self, token: str) -> None:
        """From now on no run of this token starts; one that has started is not touched.

        Raises:
            RefusedError: it could not be ruled out: no token, no room, no right.
        """
        check_token(token)
        self._make_runs_folder()
        local_stops.forbid(RunFolder(self._runs / token), self._now())

    def _make_runs_folder(self) -> None:
        """The folder of all runs, this user's alone: their logs and requests name people's data."""
        try:
            self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(self._runs.stat().st_mode) != 0o700:
                self._runs.chmod(0o700)
        except OSError as error:
            raise cannot_write(self._runs, error) from error


def _end(run_id: str, run: RunFolder) -> RunStatus | None:
    told = read_json(run.exit)
    if told is None:
        return None
    code = told.get("exit_code")
    if not isinstance(code, int):
        return RunStatus(run_id, RunState.FAILED, detail=str(told.get("error", "")))
    if code >= 0:
        return RunStatus(run_id, RunState.FINISHED, code, _last_line(run.log))
    if run.stop.exists():
        return RunStatus(run_id, RunState.STOPPED, code, "it was stopped")
    return RunStatus(run_id, RunState.FINISHED, code, f"it was ended by signal {-code}")


def _what_is_no_content(folder: str, names: list[str]) -> list[str]:
    """Links, pipes and the like: a result holds what was written, not names for what lies elsewhere."""
    modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
    return [name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))]


def _last_line(path: Path) -> str:
    lines = tail(path, _TAIL_BYTES).decode(errors="replace").split("\n")
    return next((line.strip()[-_WORDS:] for line in reversed(lines) if line.strip()), "")
