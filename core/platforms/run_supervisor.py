"""The process that owns one conversion: `python -m core.platforms.run_supervisor RUN_FOLDER`.

It outlives whoever started it, claims the run's folder for good, runs the converter and writes down how it ended.
The command itself returns as soon as that is known: 0 the run is ours, 3 another supervisor has it, 1 it failed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from core import atomic_files
from core.platforms.local_runs import RunFolder, identify, identity_json, read_json, to_json

STARTED, TAKEN, FAILED = 0, 3, 1
_RETRIES, _RETRY_S = 360, 5.0


def main(arguments: list[str]) -> int:
    """Fork into the background and tell, by the exit code, whether the run is ours."""
    run = RunFolder(Path(arguments[0]))
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        told = os.read(reading, 1)
        return told[0] if told else FAILED
    os.close(reading)
    os.setsid()

    def report(code: int) -> None:
        os.write(writing, bytes([code]))
        os.close(writing)

    supervise(run, report)
    return STARTED


def supervise(run: RunFolder, report: Callable[[int], None]) -> None:
    """Claim the run, convert, and record the end.

    Args:
        run: A folder with a request.
        report: Called once with STARTED or TAKEN, as soon as it is known.
    """
    me = identify(os.getpid())
    if me is None or not atomic_files.create_file(run.identity, identity_json(me)):
        report(TAKEN)
        return
    report(STARTED)
    try:
        command = _prepare(run)
        code = _run(run, command)
    except (OSError, KeyError, TypeError) as error:
        _record_end(run, {"exit_code": None, "error": f"the conversion could not be started: {error}"})
    else:
        _record_end(run, {"exit_code": code})


def _prepare(run: RunFolder) -> list[str]:
    """Lay out data/ and results/; returns the converter's command."""
    request = read_json(run.request)
    if request is None:
        raise OSError("its request cannot be read")
    run.results.mkdir()
    run.data.mkdir()
    for mount in request["mounts"]:
        link = run.data / mount["mount"]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(mount["folder"], target_is_directory=True)
    return [str(part) for part in request["command"]]


def _run(run: RunFolder, command: list[str]) -> int:
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_converter(run, command, supervisor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become_converter(run: RunFolder, command: list[str], supervisor: int) -> NoReturn:
    try:
        log = os.open(run.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # Written by the process itself before it becomes the converter, so that no converter ever runs unrecorded.
        me = identify(os.getpid())
        if me is None:
            raise OSError("the process cannot be identified")
        atomic_files.write_file(run.converter, identity_json(me))
        if os.getppid() != supervisor:
            # It died before this process was recorded: the run may have been taken for gone by now.
            raise OSError("the process that watched it has died")
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"The converter could not be started: {error}\n".encode())
    os._exit(127)


def _record_end(run: RunFolder, end: dict[str, object]) -> None:
    told = to_json({**end, "ended": datetime.now(UTC).isoformat()})
    for _ in range(_RETRIES):
        try:
            atomic_files.write_file(run.exit, told)
        except OSError:
            # A full disk must not turn a finished conversion into a lost one: the room may come back.
            time.sleep(_RETRY_S)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
