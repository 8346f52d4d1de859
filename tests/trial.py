"""Jobs, a platform and a worker in memory, with a clock that runs as fast as it can."""

from __future__ import annotations

import random

from core.platforms.base import DIRECT
from core.settings import Settings
from jobs.monitor import Monitor
from jobs.records import JobRecord, JobState
from tests.fake_runner import Clock, CrashError, FakeRunner, a_launch
from tests.job_records import a_record
from tests.memory_store import MemoryStore

KINDS = ("manifest", "state", "run", "capture")
SETTINGS = Settings(poll_seconds=2.0)
PATIENCE_S = 100_000.0


class Trial:
    """One or more jobs, a platform and a worker that is started again whenever it dies."""

    def __init__(self, jobs: int = 1, seed: int = 0, route: str = DIRECT, **runner: object) -> None:
        self.clock = Clock()
        self.runner = FakeRunner(self.clock, **runner)
        self.store = MemoryStore()
        self.random = random.Random(seed)
        for number in range(1, jobs + 1):
            token = f"j{number:015d}"
            record = a_record(f"d{number}", token=token, id=f"{number:012d}", rev=1, route=route)
            self.store.add(record, a_launch(token, route=route))
        self.crashes, self.tick_s = 0, 5.0

    def start(self) -> Monitor:
        return Monitor(self.store, self.runner, SETTINGS, now=self.clock, draw=self.random.random, sleep=lambda _: None)

    def run(self) -> None:
        """Let time pass until every job has ended or asks."""
        worker = self.start()
        while self.clock.s < PATIENCE_S:
            try:
                worker.run_pass()
            except CrashError:
                self.crashes += 1
                worker = self.start()
                continue
            open_jobs = [r for r in self.store.active() if r.state is not JobState.NEEDS_YOU]
            if not open_jobs:
                return
            self.clock.s += self.tick_s
        raise AssertionError(f"jobs did not come to rest: {[(r.step, r.phase, r.error) for r in open_jobs]}")

    @property
    def job(self) -> JobRecord:
        return next(iter(self.store.records.values()))

    def made(self, record: JobRecord) -> dict[str, int]:
        return {kind: self.runner.count(kind, record.token) for kind in KINDS}

    def doubled(self) -> list[str]:
        """Every effect that was made more than once, and every record that does not know its effect."""
        wrong = []
        for record in self.store.records.values():
            made = self.made(record)
            wrong += [f"{record.token}: {count} x {kind}" for kind, count in made.items() if count > 1]
            if record.state is JobState.SUCCEEDED and set(made.values()) != {1}:
                wrong.append(f"{record.token}: succeeded with {made}")
        return wrong
