"""Kills workers and launching people on a played Code Ocean that loses answers, and keeps the ledger of what was made.

`python -m tests.code_ocean_campaign FOLDER --jobs 100 --kills 200 --seed 1` prints one line, and exits 1 when a job was
lost, a run or a result was made twice, or an id in the queue is not the remote one. Code Ocean and S3 are processes of
their own behind real HTTP; of all requests to Code Ocean one in five is answered wrongly, late, or not at all. Every
mapping is launched by two people at once. Time is scaled down: the windows in which a lost effect is looked for are
seconds, and still longer than the longest delay of an effect and of a list together.

`--control no-settle` takes the windows away, `--control retried-posts` gives the worker a client that repeats POSTs.
Both must make things twice, or the campaign could not see it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from core.conversion import ConversionPlan
from core.errors import NotFoundError
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.runner import CodeOceanRunner
from core.settings import Settings
from jobs.records import JobRecord, JobState
from jobs.store import JobStore
from jobs.submission import Choice, resolve, submit
from jobs.worker_loop import run_worker
from tests.code_ocean_jobs import ROWS, a_plan, mouse_files
from tests.code_ocean_place import SCRATCH_BUCKET, SCRATCH_PREFIX, S3Place, s3_at
from tests.fake_code_ocean_state import CONVERTER
from tests.fake_code_ocean_storage import INTERNAL_BUCKET
from tests.full_results import FRAME
from tests.kills import ROOT, Kills, Worker, gone, stopped, worker_command

LATEST_S, LAG_S = 1.0, 0.4
"""The longest delay of an effect after its answer, and of what lists and searches show."""
WINDOW_S = 5.0
"""Much longer than both: a busy machine adds its own delays."""
SLEEPS = 0.04
"""A forked worker sleeps this part of the pauses between two tries of a read."""
POLL_S = 0.2
EFFECTS = ("POST data_assets", "POST computations", "PATCH computations/{id}", "POST data_assets/{id}/permissions")
READS = ("GET *", "POST */search", "POST */results", "POST */files")
ON_EFFECTS = {
    "reset_after": 0.03, "500_after": 0.02, "502_after": 0.02, "504_after": 0.02, "409_after": 0.01, "html": 0.02,
    "truncated": 0.02, "empty": 0.01, "cut": 0.01, "late_504": 0.02, "late_reset": 0.02, "reset_before": 0.01,
    "500": 0.01, "503": 0.01, "429": 0.01,
}  # fmt: skip
ON_READS = {
    "reset_after": 0.04, "500": 0.03, "503": 0.03, "502_html": 0.03, "html": 0.02, "truncated": 0.03, "cut": 0.02,
    "empty": 0.01, "429": 0.01, "wrong_types": 0.01,
}  # fmt: skip
"""Share of the requests that each fault spoils: about 21 of 100 together."""
CONTROLS = {"no-settle": "no settling", "retried-posts": "POSTs repeated by the client"}


# --- processes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """The played Code Ocean, as another process."""

    url: str
    token: str

    def control(self, what: str, told: object = None) -> Any:
        """Ask, or tell it something."""
        body = None if told is None else json.dumps(told).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{what}", data=body, timeout=60) as answer:
            return json.load(answer)


@contextlib.contextmanager
def s3_process() -> Iterator[S3Place]:
    """moto's S3 server as a process, with the scratch bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        place = s3_at(f"http://127.0.0.1:{port}")
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        place.client.create_bucket(Bucket=SCRATCH_BUCKET)
        yield place
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def code_ocean_process(place: S3Place, seed: int, **timing: float) -> Iterator[Server]:
    """The played Code Ocean as a process."""
    command = [sys.executable, "-m", "tests.fake_code_ocean", "--s3", place.endpoint, "--seed", str(seed)]
    for name, seconds in timing.items():
        command += [f"--{name.replace('_', '-')}", str(seconds)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Server(told["url"], told["token"])
    finally:
        process.kill()
        process.wait()


def work(settings: Settings, control: str = "") -> None:
    """The worker's loop in a forked process."""

    def sleep(seconds: float) -> None:
        time.sleep(seconds * SLEEPS)

    make = RetryingApi if control == "retried-posts" else CodeOceanApi
    api = make(settings.code_ocean_domain, settings.code_ocean_token, min_version="4.0.0", sleep=sleep)
    s3 = S3Files()
    # Making boto3's client takes longer than most workers live: here that is done before the worker leads.
    with contextlib.suppress(NotFoundError):
        s3.list_folder(settings.scratch_bucket, "")
    runner = CodeOceanRunner(settings, api, s3, AssetFiles(api, s3, settings, by_name=False))
    run_worker(settings, threading.Event(), runner=runner)


class RetryingApi(CodeOceanApi):
    """What must never be: a client that repeats every request by itself."""

    def _new_session(self) -> requests.Session:
        session = super()._new_session()
        repeat = Retry(total=5, backoff_factor=0.02, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
        session.mount(self.domain, HTTPAdapter(max_retries=repeat))
        return session


def press(settings: Settings, plan: ConversionPlan, user: str, now: datetime) -> None:
    """Launch, as one press of the button in a process of its own."""
    with JobStore(settings.data) as store:
        submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user=user, now=now)


# --- the campaign -----------------------------------------------------------------------------------


class Campaign(Kills):
    """The state of one campaign.

    Args:
        folder: Of the queue.
        server: The played Code Ocean.
        place: Its S3.
        seed: Of moments, kills and faults.
        jobs: How many mappings are launched, each twice.
        kills: How many kills are to hit a job.
        control: One of CONTROLS, or "".
    """

    commands_every = 20
    longest_s = 0.3

    def __init__(
        self, folder: Path, server: Server, place: S3Place, seed: int, *, jobs: int, kills: int, control: str = ""
    ) -> None:
        window_min = 0.0 if control == "no-settle" else WINDOW_S / 60
        environment = {
            "CODE_OCEAN_DOMAIN": server.url,
            "CODE_OCEAN_API_TOKEN": server.token,
            "TRACKMAPPER_PLATFORM": "code_ocean",
            "TRACKMAPPER_POLL_SECONDS": str(POLL_S),
            "TRACKMAPPER_CODE_OCEAN_POLL_SECONDS": str(POLL_S),
            "TRACKMAPPER_CODE_OCEAN_REQUESTS_PER_SECOND": "10000",
            "TRACKMAPPER_RUN_SETTLE_MINUTES": str(window_min),
            "TRACKMAPPER_ASSET_SETTLE_MINUTES": str(window_min),
            "TRACKMAPPER_CONVERTER_CAPSULE": CONVERTER,
            "TRACKMAPPER_ASSET_BUCKETS": INTERNAL_BUCKET,
            "TRACKMAPPER_SCRATCH_BUCKET": SCRATCH_BUCKET,
            "TRACKMAPPER_SCRATCH_PREFIX": SCRATCH_PREFIX,
            **place.environment(),
        }
        os.environ.update(environment)
        settings = Settings(data=folder / "data")
        command = worker_command("--data", settings.data)
        super().__init__(
            settings, seed, preload="tests.code_ocean_campaign", work=work, args=(settings, control), command=command
        )
        self.server, self.jobs, self.kills, self.control = server, jobs, kills, control
        told = mouse_files()
        self.assets = {
            name: server.control("assets", {"name": name, "files": files})["id"] for name, files in told.items()
        }
        self.stops = 0
        self.asked: set[str] = set()
        server.control("faults", list(faults()))

    def plan(self, number: int) -> ConversionPlan:
        """The mapping of a number; conversions take their own times, and every fifth writes channels, too."""
        plan = a_plan(f"mapping {number}", self.assets, self.server.url)
        options = {"slow": f"{(number % 5) / 20:.2f}", "skip-ephys": str(int(number % 5 > 0))}
        return replace(plan, rows=ROWS[:1], frame=FRAME, parameters=options)

    # --- launching ------------------------------------------------------------------------------

    def may_launch(self) -> bool:
        """Mappings last as long as the kills do: each kill must hit a job."""
        hits = sum(self.killed.values())
        return self.pressed < min(self.jobs, 4 + self.jobs * hits / max(self.kills, 1))

    def launch(self) -> None:
        """Two people launch one more mapping at once; who is killed meanwhile presses again."""
        self.pressed += 1
        # Names of results hold a time to the second, and one second has room for few launches.
        now = datetime.now(UTC) + timedelta(seconds=self.pressed)
        presses = {user: (self.settings, self.plan(self.pressed), user, now) for user in ("ana", "ben")}
        people = {user: self.fork.Process(target=press, args=told) for user, told in presses.items()}
        for process in people.values():
            process.start()
        if sum(self.killed.values()) < self.kills and self.random.random() < 0.4:
            victim = people[self.random.choice(sorted(people))]
            victim.join(self.random.uniform(0.0, 0.1))
            if victim.is_alive():
                victim.kill()
                self.killed["launching"] += 1
        for user, process in people.items():
            process.join()
            if process.exitcode:
                press(*presses[user])

    # --- killing --------------------------------------------------------------------------------

    def moment(self) -> None:
        """Wait for a random moment, mostly after the worker has begun: its first act is to take the jobs over."""
        seen, deadline = self.store.version(), time.monotonic() + 2.0
        if self.random.random() < 0.8:
            while self.store.version() == seen and time.monotonic() < deadline:
                time.sleep(0.005)
        super().moment()

    def run(self, stops: int = 0) -> None:
        """All kills and stops, then everything to its end."""
        while (hits := sum(self.killed.values())) < self.kills:
            if self.stops < stops * hits / self.kills:
                self.stop_loop()
            self.kill_loop()
            self.decide()
        while self.pressed < self.jobs:
            self.launch()
        self.let_end(self.decide, patience_s=60.0 + 2.0 * self.jobs)

    def stop_loop(self) -> None:
        """Stop a worker in the middle, now and then for longer than the windows; it goes on afterwards."""
        self.keep_in_flight()
        worker: Worker = self.start_worker()
        self.wait_for_leader()
        self.moment()
        stopped(worker, WINDOW_S + 1 if self.random.random() < 0.05 else self.random.uniform(0.05, 0.5))
        self.stops += 1
        time.sleep(self.random.uniform(0.0, 0.3))
        worker.kill()
        self.note_kill("loop, stopped before")
        gone(worker)

    def decide(self) -> None:
        """Who is asked about an effect that was never found says: start it again."""
        for record in self.store.active():
            if record.state is JobState.NEEDS_YOU:
                self.asked.add(record.id)
                resolve(self.store, record.id, Choice.START_AGAIN, "ana", datetime.now(UTC))

    # --- the ledger -----------------------------------------------------------------------------

    def ledger(self) -> dict[str, object]:
        """What was launched, what became of it, and everything that exists once too often or not at all."""
        records = self.records()
        effects = self.server.control("ledger")
        told = [(effect, json.dumps(effect["details"])) for effect in effects]
        by_digest = collections.Counter(record.digest for record in records)
        wanted = {self.plan(number).digest for number in range(1, self.pressed + 1)}
        lost = [f"lost: {digest}" for digest in wanted - by_digest.keys()]
        lost += [
            f"job {r.id} has not ended: {r.state} {r.step} {r.phase} {r.error}" for r in records if not r.has_ended
        ]
        doubled = [f"launched {count} times: {digest}" for digest, count in by_digest.items() if count > 1]
        wrong: list[str] = []
        inputs: list[str] = []
        known = 0
        for record in records:
            made = _made([effect for effect, text in told if record.token in text], record)
            known += sum(map(len, made.values()))
            for kind, ids in made.items():
                if len(ids) > 1:
                    twice = doubled if kind in ("run", "result") else inputs
                    twice.append(f"job {record.id} has {len(ids)} {kind}s")
            wrong += _wrong(record, made)
        nobodys = sum(effect["kind"] in ("asset", "run", "capture") for effect in effects) - known
        if nobodys:
            wrong.append(f"{nobodys} remote objects belong to no job")
        requests_made = self.server.control("requests")
        spoiled = self.server.control("faults")["spoiled"]
        return {
            "jobs": len(records),
            "succeeded": sum(record.state is JobState.SUCCEEDED for record in records),
            "kills": dict(self.killed),
            "SIGSTOPs": self.stops,
            "requests": requests_made["total"],
            "faults": sum(spoiled.values()),
            "fault share": round(sum(spoiled.values()) / max(1, requests_made["total"]), 3),
            "settled": sum(any(event.what == "in doubt" for event in record.events) for record in records),
            "sent again": sum(event.what == "settled" for record in records for event in record.events),
            "doubled": len(doubled),
            "doubled inputs": len(inputs),
            "lost": len(lost),
            "asked a person": len(self.asked),
            "in flight at kills": dict(self.at),
            "store": self.store.check(),
            "wrong": [*lost, *doubled, *inputs, *wrong][:20],
        }


def faults() -> Iterator[dict[str, object]]:
    """What goes wrong, and how often."""
    for names, endpoints in ((ON_EFFECTS, EFFECTS), (ON_READS, READS)):
        for name, share in names.items():
            for number, place in enumerate(endpoints):
                method, _, endpoint = place.partition(" ")
                fault = {"fault": name, "method": method, "endpoint": endpoint, "probability": share, "times": None}
                if name.startswith("late_"):
                    fault["late_s"] = LATEST_S * (number + 1) / len(endpoints)
                yield fault


def _made(effects: list[dict[str, Any]], record: JobRecord) -> Mapping[str, list[str]]:
    """Ids of what carries a job's token, by what it is."""
    made: dict[str, list[str]] = {"manifest": [], "state": [], "run": [], "result": []}
    for effect in effects:
        if effect["kind"] == "asset":
            made["manifest" if "manifest" in effect["details"]["name"] else "state"].append(effect["id"])
        elif effect["kind"] in ("run", "capture"):
            made["run" if effect["kind"] == "run" else "result"].append(effect["id"])
    return made


def _wrong(record: JobRecord, made: Mapping[str, list[str]]) -> Iterator[str]:
    """What the queue says of a job and is not so."""
    ids = record.ids
    kept = {"manifest": ids.manifest_asset, "state": ids.state_asset, "run": ids.run, "result": ids.result}
    for kind, ident in kept.items():
        if ident not in made[kind]:
            yield f"job {record.id} knows the {kind} {ident}, made were {made[kind]}"
    if record.state is not JobState.SUCCEEDED:
        yield f"job {record.id} is {record.state}: {record.error}"
    elif record.coverage is None or (record.coverage.asked, record.coverage.delivered) != (len(record.rows),) * 2:
        yield f"job {record.id} is green without its count: {record.coverage}"


def main() -> int:
    """Run a campaign; prints its ledger as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--control", choices=CONTROLS, default="")
    told = parser.parse_args()
    began = time.monotonic()
    lags = {"listing_lag_s": LAG_S, "search_lag_s": LAG_S, "asset_s": 0.05, "init_s": 0.05, "run_s": 0.1}
    with s3_process() as place, code_ocean_process(place, told.seed, **lags) as server:
        campaign = Campaign(
            told.folder, server, place, told.seed, jobs=told.jobs, kills=told.kills, control=told.control
        )
        campaign.run(told.stops)
        ledger = campaign.ledger()
        campaign.store.close()
    line = {"control": CONTROLS[told.control]} if told.control else {}
    seconds = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps({**line, "seed": told.seed, "seconds": seconds, **ledger}) + "\n")
    return 1 if ledger["wrong"] or ledger["store"] else 0


if __name__ == "__main__":
    sys.exit(main())
