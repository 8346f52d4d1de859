"""What campaigns of kills share: workers to kill, moments at which a kill hits a job, the queue afterwards."""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from core.settings import Settings
from jobs.leadership import is_led
from jobs.records import JobRecord, JobState, Phase
from jobs.store import JobStore

ROOT = Path(__file__).parents[1]
MOST_IN_FLIGHT, FEWEST_IN_FLIGHT = 12, 2
MOST_IDLE = 30
PATIENCE_S = 120.0
Worker = subprocess.Popen[bytes] | BaseProcess


class Kills:
    """Kills workers at random moments, each time with a job in flight.

    Most workers are forked from a process that has only imported their modules, so that a kill does not cost the second
    that importing takes; some are processes of their own from the start.

    Args:
        settings: Of the queue and its platform.
        seed: Of the moments.
        preload: The module of `work`.
        work: The worker's loop, in a forked process.
        args: Its arguments.
        command: The same worker as a command.
    """

    commands_every = 10
    """Of so many workers one is a command."""
    longest_s = 0.5
    """A worker lives so long at most, once it leads and a job is in flight."""

    def __init__(
        self,
        settings: Settings,
        seed: int,
        *,
        preload: str,
        work: Callable[..., None],
        args: tuple[Any, ...],
        command: Sequence[str],
    ) -> None:
        self.random = random.Random(seed)
        self.settings = settings
        self.fork = multiprocessing.get_context("forkserver")
        self.fork.set_forkserver_preload([preload])
        self.store = JobStore(settings.data)
        self.pressed = 0
        self.killed: collections.Counter[str] = collections.Counter()
        self.idle = 0
        self.at: collections.Counter[str] = collections.Counter()
        self._work, self._args, self._command = work, args, list(command)

    def launch(self) -> None:
        """Launch one more mapping."""
        raise NotImplementedError

    def may_launch(self) -> bool:
        """Whether there is one more mapping to launch just now."""
        return True

    def keep_in_flight(self) -> None:
        """At least two jobs that go on, so that every kill hits one; jobs in doubt may wait beside them."""
        # A job that waits for a person waits to the end of the campaign: it takes nobody's place.
        active = [record for record in self.store.active() if record.state is not JobState.NEEDS_YOU]
        going = sum(record.phase is Phase.READY for record in active)
        room = MOST_IN_FLIGHT - len(active)
        while room > 0 and self.may_launch() and (going < FEWEST_IN_FLIGHT or self.random.random() < 0.2):
            self.launch()
            going, room = going + 1, room - 1

    # --- killing --------------------------------------------------------------------------------

    def start_worker(self, *, as_command: bool = False) -> Worker:
        """A worker, which leads after a while."""
        if as_command:
            return subprocess.Popen(self._command, cwd=ROOT, stderr=subprocess.DEVNULL)
        worker = self.fork.Process(target=self._work, args=self._args)
        worker.start()
        return worker

    def wait_for_leader(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_led(self.settings.data):
            if time.monotonic() > deadline:
                raise SystemExit("no worker took the lead")
            time.sleep(0.002)

    def moment(self) -> None:
        """Wait for a random moment: often within the first steps of a pass, else anywhere."""
        time.sleep(self.random.uniform(0.0, 0.06 if self.random.random() < 0.5 else self.longest_s))
        self.keep_in_flight()
        deadline = time.monotonic() + PATIENCE_S
        while not self.in_flight() and time.monotonic() < deadline:
            time.sleep(0.05)
            self.keep_in_flight()

    def in_flight(self) -> list[JobRecord]:
        """Jobs that a kill hits: one in doubt only waits, and one that asks a person waits longer."""
        hit = (Phase.READY, Phase.INTENT)
        return [r for r in self.store.active() if r.phase in hit and r.state is not JobState.NEEDS_YOU]

    def note_kill(self, what: str) -> None:
        in_flight = self.in_flight()
        if not in_flight:  # the last one ended in this very moment: such a kill proves nothing and does not count
            self.idle += 1
            if self.idle > MOST_IDLE:
                raise SystemExit("kills that hit no job in flight")
            return
        for record in in_flight:
            self.at[f"{record.step}{'' if record.phase == 'ready' else '/' + record.phase}"] += 1
        self.killed[what] += 1

    def kill_loop(self) -> None:
        """Kill one worker's loop."""
        self.keep_in_flight()
        worker = self.start_worker(as_command=self.killed["loop"] % self.commands_every == self.commands_every - 1)
        self.wait_for_leader()
        self.moment()
        worker.kill()
        self.note_kill("loop")
        gone(worker)

    # --- afterwards -----------------------------------------------------------------------------

    def let_end(self, meanwhile: Callable[[], None] = lambda: None, patience_s: float = PATIENCE_S) -> None:
        """One worker that nobody kills carries what is left to its end."""
        worker = self.start_worker()
        deadline = time.monotonic() + patience_s
        while any(r.state is not JobState.NEEDS_YOU for r in self.store.active()) and time.monotonic() < deadline:
            meanwhile()
            time.sleep(0.1)
        worker.terminate()
        gone(worker, 30)

    def records(self) -> list[JobRecord]:
        """Every job of the queue, newest first."""
        records: list[JobRecord] = []
        while page := self.store.newest(100, before=records[-1].id if records else None):
            records += page
        return records


def ledger_of(module: str, folder: Path, seed: int, **options: object) -> tuple[int, dict[str, Any]]:
    """Run a campaign as a process of its own; its exit code and its ledger.

    Raises:
        AssertionError: it ended without a ledger.
    """
    command = [sys.executable, "-m", module, str(folder), "--seed", str(seed)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not done.stdout:
        raise AssertionError(f"seed {seed}: {done.stderr[-3000:]}")
    return done.returncode, json.loads(done.stdout)


def gone(worker: Worker, patience_s: float | None = None) -> None:
    """Wait until a worker is gone."""
    worker.wait(patience_s) if isinstance(worker, subprocess.Popen) else worker.join(patience_s)


def stopped(worker: Worker, seconds: float) -> None:
    """Stop a worker for a while, as a machine does that is suspended."""
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(worker.pid, signal.SIGCONT)


def worker_command(*options: object) -> list[str]:
    """The worker without a page."""
    return [sys.executable, "-m", "jobs.worker_loop", *map(str, options)]
