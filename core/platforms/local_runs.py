"""The folder of one conversion on this machine, and who runs it. Standard library only: the supervisor starts fast.

<data>/runs/<token>/
    request.json     what to run, written before anything is started
    identity.json    the supervisor's process: whoever creates this file owns the run, for ever
    converter.json   the converter's process
    data/ results/ log.txt
    stop.json        somebody asked to stop it
    exit.json        how it ended
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that no other process can be mistaken for. A bare pid is given to another one sooner or later."""

    pid: int
    started: str
    """Start time in the kernel's own words: ticks since boot, or a date where there is no /proc."""
    boot: str
    """Which boot of the machine."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of a run lie."""

    path: Path

    @property
    def request(self) -> Path:
        """What to run."""
        return self.path / "request.json"

    @property
    def identity(self) -> Path:
        """The supervisor's process."""
        return self.path / "identity.json"

    @property
    def converter(self) -> Path:
        """The converter's process."""
        return self.path / "converter.json"

    @property
    def data(self) -> Path:
        """The mounted assets."""
        return self.path / "data"

    @property
    def results(self) -> Path:
        """What the converter wrote."""
        return self.path / "results"

    @property
    def log(self) -> Path:
        """The converter's words, and the supervisor's when it fails."""
        return self.path / "log.txt"

    @property
    def stop(self) -> Path:
        """The wish to stop."""
        return self.path / "stop.json"

    @property
    def exit(self) -> Path:
        """How it ended."""
        return self.path / "exit.json"


def run_folder(runs: Path, run_id: str) -> RunFolder | None:
    """The folder of the run of this id; None when there is none."""
    token = run_id.removeprefix("run-")
    if token == run_id or not TOKEN.fullmatch(token):
        return None
    run = RunFolder(runs / token)
    return run if run.path.is_dir() else None


def tail(path: Path, limit: int) -> bytes:
    """The last `limit` bytes of a file; b"" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            return file.read(limit)
    except FileNotFoundError:
        return b""


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in one of a run's files; None when there is none."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def to_json(value: dict[str, Any]) -> bytes:
    """An object as the bytes of one of a run's files."""
    return json.dumps(value, indent=1).encode() + b"\n"


# --- processes ----------------------------------------------------------------------------------


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of the process that has this pid now; None when there is none or it is only a corpse."""
    status = _status_linux(pid) if Path("/proc/self/stat").exists() else _status_ps(pid)
    if status is None or status[0] in "ZX":
        return None
    return ProcessIdentity(pid, status[1], _boot())


def read_identity(path: Path) -> ProcessIdentity | None:
    """A recorded identity; None when there is none."""
    told = read_json(path)
    try:
        return None if told is None else ProcessIdentity(int(told["pid"]), str(told["started"]), str(told["boot"]))
    except (KeyError, TypeError, ValueError):
        return None


def identity_json(identity: ProcessIdentity) -> bytes:
    """An identity as the bytes of its file."""
    return to_json(asdict(identity))


def is_alive(identity: ProcessIdentity | None) -> bool:
    """Whether exactly this process still runs."""
    return identity is not None and identity.pid > 0 and identify(identity.pid) == identity


def _status_linux(pid: int) -> tuple[str, str] | None:
    """State letter and start time in ticks since boot."""
    try:
        # The name, in parentheses, may hold anything; what follows its last parenthesis is fields 3 and up.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]


def _status_ps(pid: int) -> tuple[str, str] | None:
    told = _ask("ps", "-o", "stat=,lstart=", "-p", str(pid)).split(maxsplit=1)
    return (told[0], told[1]) if len(told) == 2 else None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _ask("sysctl", "-n", "kern.bootsessionuuid")


def _ask(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=10, check=False)
    return answer.stdout.strip()
