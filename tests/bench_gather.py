"""How long a mouse of many sessions takes on Code Ocean and S3, both played in a process of their own with a delay.

`python -m tests.bench_gather` alone, or as a part of `make bench`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

from pydantic import SecretStr

from core.models import Subject
from core.platforms.code_ocean.reader import CodeOceanReader
from core.settings import Settings
from core.subjects import gather_subject
from tests.fake_code_ocean import FakeCodeOcean
from tests.fake_library import as_json, raw_files, sorted_files, stitched_files

MOUSE = "717381"
BUCKET = "aind-open-data"
DELAY_S = 0.05
SESSION = as_json({"subject_id": MOUSE, "session_start_time": "2024-04-01T10:00:00+00:00", "data_streams": []})


def say(what: str, figure: str, target: str = "") -> None:
    """One line of the report."""
    sys.stdout.write(f"{what:58} {figure:>14}{'   target ' + target if target else ''}\n")
    sys.stdout.flush()


def mouse(sessions: int) -> dict[str, dict[str, bytes]]:
    """Assets and their files: for each session a raw and a sorted one, and two stitched brains."""
    assets: dict[str, dict[str, bytes]] = {}
    for number in range(sessions):
        raw = f"ecephys_{MOUSE}_2024-04-{number % 30 + 1:02d}_{9 + number // 30:02d}-00-00"
        assets[raw] = raw_files() | {"session.json": SESSION, "subject.json": as_json({"subject_id": MOUSE})}
        units = {"ProbeA-AP": (540, 312)}
        assets[f"{raw}_sorted_2024-05-{number % 30 + 1:02d}_01-00-00"] = sorted_files(units=units)
    for day in ("20", "21"):
        channels = ("Ex_445_Em_469.zarr", "Ex_561_Em_593.zarr", "Ex_639_Em_667.zarr")
        assets[f"SmartSPIM_{MOUSE}_2024-06-{day}_10-00-00_stitched_2024-07-{day}_10-00-00"] = stitched_files(channels)
    return assets


@dataclass(frozen=True)
class Place:
    """Where the played platform is."""

    url: str
    token: str
    s3: dict[str, str]


@contextmanager
def played(sessions: int, delay_s: float) -> Iterator[tuple[Place, Connection]]:
    """The platform in a process of its own; what is sent on the connection is answered with its requests so far."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_play, args=(sessions, delay_s, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()


def stored(assets: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """The buckets that hold a mouse."""
    objects = {f"{name}/{path}": data for name, files in assets.items() for path, data in files.items()}
    return {BUCKET: objects, "aind-scratch-data": {}}


def register(fake: FakeCodeOcean, assets: dict[str, dict[str, bytes]]) -> None:
    """Tell Code Ocean of a mouse."""
    ids: dict[str, str] = {}
    for name in assets:  # raw ones come before their sortings
        made_from = ids.get(name.partition("_sorted")[0])
        provenance = {"data_assets": [made_from], "computation": f"run of {name}"} if made_from else None
        ids[name] = fake.add_asset(name, bucket=BUCKET, publish=False, provenance=provenance, tags=(MOUSE,))


def _play(sessions: int, delay_s: float, pipe: Connection) -> None:
    from tests.light_s3 import LightS3

    assets = mouse(sessions)
    with LightS3(stored(assets), delay_s=delay_s) as s3, FakeCodeOcean() as fake:
        register(fake, assets)
        fake.faults.add("latency", seconds=delay_s, times=None)
        pipe.send(Place(fake.url, fake.token, s3.environment()))
        while True:
            pipe.recv()
            pipe.send((fake.count(), len(s3.log), s3.most_at_once))


def gather(place: Place, **told: Any) -> tuple[Subject, float, float]:
    """The mouse, the seconds, and the seconds of this process's own work, from a fresh start."""
    os.environ |= place.s3
    settings = Settings(code_ocean_domain=place.url, code_ocean_token=SecretStr(place.token))
    reader = CodeOceanReader.of(settings)
    began_s, worked_s = time.perf_counter(), time.process_time()
    subject = gather_subject(reader, MOUSE, now=datetime.now(UTC), **told)
    return subject, time.perf_counter() - began_s, time.process_time() - worked_s


def bench_gather(sessions: int = 30, delay_s: float = DELAY_S, times: int = 7) -> None:
    """Print the figures of one mouse."""
    with played(sessions, delay_s) as (place, counts):
        told: list[float] = []
        runs: list[tuple[float, float]] = []
        for _ in range(times):
            counts.send(None)
            before = counts.recv()
            moments = [time.perf_counter()]
            subject, took_s, worked_s = gather(place, partial=lambda _: moments.append(time.perf_counter()))  # noqa: B023
            told.append(moments[1] - moments[0])
            counts.send(None)
            asked = [after - was for was, after in zip(before[:2], counts.recv()[:2], strict=True)]
            runs.append((took_s, worked_s))
            assert len(subject.recordings) == sessions
            assert len(subject.stitched) == 2
            assert all(recording.sortings and recording.probes for recording in subject.recordings)
            assert not subject.problems[1:], subject.problems
        took_s = statistics.median(one for one, _ in runs)
        in_turn_s = sum(asked) * delay_s
        say(f"gather {sessions} sessions at {delay_s * 1e3:.0f} ms a request", f"{took_s:.2f} s", "1.5 s")
        say("  its slowest of " + str(times), f"{max(one for one, _ in runs):.2f} s")
        say("  requests to Code Ocean and to S3", f"{asked[0]} + {asked[1]}", "4 +")
        say("  one after the other they would take", f"{in_turn_s:.1f} s", f"(ratio {in_turn_s / took_s:.0f})")
        say("  its recordings are on the page after", f"{statistics.median(told):.2f} s")
        say("  this process's own work", f"{statistics.median(one for _, one in runs):.2f} s")


def main() -> None:
    """Run it alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--delay", type=float, default=DELAY_S)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    bench_gather(options.sessions, options.delay, options.times)


if __name__ == "__main__":
    main()
