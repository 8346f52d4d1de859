"""Kills workers, dashboards, launching processes and conversions at random moments, and keeps the ledger of the jobs.

`python -m tests.kill_campaign FOLDER --kills 190 --served 10 --runs 4 --seed 1` prints one line, and exits 1 when a job
was lost, anything was made twice, or a job whose conversion was killed is called a success. The workers are real
processes on real conversions.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import http
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from core.conversion import ConversionPlan, plan_conversion
from core.manifest import read_csv
from core.neuroglancer import read_state
from core.platforms.local import LocalLibrary, LocalRunner
from core.platforms.local_runs import RunFolder, is_alive, read_identity
from core.sample import SampleSummary, write_sample
from core.settings import Settings, load_settings
from core.subjects import gather_subject
from dashboard import servers
from jobs import worker_loop
from jobs.calls import run_key
from jobs.records import JobRecord, JobState
from jobs.store import JobStore
from jobs.submission import submit
from tests.kills import PATIENCE_S, ROOT, Kills, gone, worker_command

SERVED = (servers.WORKER, servers.DASHBOARD)
LONG_S = 600
"""How long a conversion goes on that is to be killed."""
BROKEN_ENDS = {JobState.INCOMPLETE, JobState.FAILED}


def a_plan(summary: SampleSummary, runner: LocalRunner) -> ConversionPlan:
    """One row of the state whose mapping has no error."""
    chosen = next(state for state in summary.states if state.manifest is not None and "rightly" in state.note)
    state = read_state(chosen.path.read_bytes(), stem=chosen.path.stem)
    subject = gather_subject(LocalLibrary(summary.library), summary.subject, now=datetime.now(UTC))
    return plan_conversion(
        read_csv(chosen.manifest.read_bytes()).rows[:1],
        state=state,
        subject=subject,
        platform=runner.name,
        converter=runner.converter,
        converter_version=runner.converter_version,
    )


def numbered(plan: ConversionPlan, number: int) -> ConversionPlan:
    """The same plan as another mapping: its own digest, and a conversion that takes its own time."""
    slow = f"{0.1 + (number % 7) / 10:.1f}"
    return dataclasses.replace(plan, digest=f"{number:064d}", parameters={"slow": slow})


def press(settings: Settings, plan: ConversionPlan) -> None:
    """Launch, as one press of the button in a process of its own."""
    with JobStore(settings.data) as store:
        submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=datetime.now(UTC))


def work(library: Path, data: Path) -> None:
    """The worker's loop in a forked process."""
    worker_loop.main(["--library", str(library), "--data", str(data)])


class Campaign(Kills):
    """The state of one campaign."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.summary = write_sample(folder / "sample", seed=1)
        settings = load_settings(library=self.summary.library, data=folder / "data", poll_seconds=0.2)
        os.environ["TRACKMAPPER_POLL_SECONDS"] = "0.2"
        places = (settings.library, settings.data)
        command = worker_command("--library", settings.library, "--data", settings.data)
        super().__init__(settings, seed, preload="tests.kill_campaign", work=work, args=places, command=command)
        self.runner = LocalRunner(*places)
        self.plan = a_plan(self.summary, self.runner)
        self.broken: set[str] = set()
        """Digests of the jobs whose conversion was killed."""

    # --- launching ------------------------------------------------------------------------------

    def launch(self) -> None:
        """Launch one more mapping; sometimes the launching process is killed, and the person presses again."""
        self.pressed += 1
        plan = numbered(self.plan, self.pressed)
        if self.random.random() < 0.3:
            process = self.fork.Process(target=press, args=(self.settings, plan))
            process.start()
            process.join(self.random.uniform(0.0, 0.12))
            if process.is_alive():
                process.kill()
                self.killed["launching"] += 1
            process.join()
        press(self.settings, plan)

    # --- killing --------------------------------------------------------------------------------

    def kill_loops(self, kills: int) -> None:
        while self.killed["loop"] < kills:
            self.kill_loop()

    def kill_served(self, kills: int) -> None:
        """Kill the real `panel serve` commands: four times the worker, then once the dashboard, seen serving."""
        running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        env = servers.environment(self.settings)
        try:
            while (number := sum(self.killed[f"panel serve {script}"] for script in SERVED)) < kills:
                for script in SERVED:
                    if script not in running:
                        port = servers.free_port(self.random.randrange(20000, 60000))
                        command = servers.panel_command(script, port)
                        process = subprocess.Popen(
                            command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, start_new_session=True
                        )
                        running[script] = process, port
                self.wait_for_leader()
                script = servers.DASHBOARD if number % 5 == 4 else servers.WORKER
                victim, port = running[script]
                if script == servers.DASHBOARD:
                    self.use_dashboard(victim, port)
                self.moment()
                del running[script]
                victim.kill()
                self.note_kill(f"panel serve {script}")
                victim.wait()
        finally:
            for process, _ in running.values():
                process.kill()
                process.wait()

    def use_dashboard(self, process: subprocess.Popen[bytes], port: int) -> None:
        """A session on the dashboard, and a launch beside it: its kill must cost neither the queue nor the job."""
        servers.wait_until_serving(process, port)
        with urllib.request.urlopen(servers.page_url(servers.DASHBOARD, port), timeout=60) as page:
            if page.status != http.HTTPStatus.OK:
                raise SystemExit(f"the dashboard answered {page.status}")
        self.launch()

    def kill_runs(self, kills: int) -> None:
        """Kill what a conversion consists of, its converter or its supervisor with it, while no worker is hurt."""
        worker = self.start_worker()
        self.wait_for_leader()
        for number in range(kills):
            self.pressed += 1
            plan = dataclasses.replace(numbered(self.plan, self.pressed), parameters={"slow": str(LONG_S)})
            self.broken.add(plan.digest)
            press(self.settings, plan)
            record = self._running(plan.digest)
            run = RunFolder(self.settings.data / "runs" / record.token)
            # The supervisor first: it would otherwise write down how the converter ended.
            victims = [run.identity, run.converter] if number % 2 else [run.converter]
            for victim in victims:
                os.kill(self._alive(victim), signal.SIGKILL)
            self.killed["supervisor and converter" if number % 2 else "converter"] += 1
        worker.terminate()
        gone(worker, 30)

    def _running(self, digest: str) -> JobRecord:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for record in self.store.active():
                if record.digest == digest and record.state is JobState.RUNNING:
                    return record
            time.sleep(0.05)
        raise SystemExit("a job to be killed never ran")

    def _alive(self, identity: Path) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while not is_alive(found := read_identity(identity)) or found is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"no living process stands in {identity.name}")
            time.sleep(0.02)
        return found.pid

    # --- the ledger -----------------------------------------------------------------------------

    def ledger(self) -> dict[str, object]:
        """What was launched, what became of it, and everything that exists once too often or not at all."""
        records = self.records()
        by_digest = collections.Counter(record.digest for record in records)
        wanted = {numbered(self.plan, n).digest for n in range(1, self.pressed + 1)}
        wrong = [f"launched {count} times: {digest}" for digest, count in by_digest.items() if count > 1]
        wrong += [f"lost: {digest}" for digest in wanted - by_digest.keys()]
        wrong += [f"nobody launched {digest}" for digest in by_digest.keys() - wanted]
        made: collections.Counter[str] = collections.Counter()
        for record in records:
            counts = self._made(record)
            made.update(counts)
            broken = record.digest in self.broken
            few = (0, 1) if broken else (1,)
            wrong += [f"job {record.id} has {n} {what}" for what, n in counts.items() if n not in few]
            ends = BROKEN_ENDS if broken else {JobState.SUCCEEDED}
            if record.state not in ends or bool(record.error) is not broken:
                wrong.append(f"job {record.id} is {record.state}: {record.error}")
        return {
            "kills": dict(self.killed),
            "jobs": len(records),
            "broken": dict(collections.Counter(r.state.value for r in records if r.digest in self.broken)),
            "in doubt": sum(any(e.what == "in doubt" for e in r.events) for r in records),
            "made": dict(made),
            "in flight at kills": dict(self.at),
            "store": self.store.check(),
            "wrong": wrong,
        }

    def _made(self, record: JobRecord) -> dict[str, int]:
        assets = self.runner.find_assets(record.token)
        kinds = collections.Counter(
            "results" if asset.provenance_computation else "manifests" if "manifest" in asset.name else "states"
            for asset in assets
        )
        runs = len(self.runner.find_runs(run_key(record)))
        return {**{kind: kinds.get(kind, 0) for kind in ("manifests", "states", "results")}, "runs": runs}


def main() -> int:
    """Run a campaign; prints the ledger as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=190)
    parser.add_argument("--served", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    campaign = Campaign(options.folder, options.seed)
    began = time.monotonic()
    campaign.kill_loops(options.kills)
    campaign.kill_served(options.served)
    campaign.kill_runs(options.runs)
    campaign.let_end()
    ledger = {"seed": options.seed, "seconds": round(time.monotonic() - began), **campaign.ledger()}
    campaign.store.close()
    sys.stdout.write(json.dumps(ledger) + "\n")
    return 1 if ledger["wrong"] or ledger["store"] else 0


if __name__ == "__main__":
    sys.exit(main())
