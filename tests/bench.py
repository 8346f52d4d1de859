"""`make bench`: the figures of docs/architecture.md, printed one a line with their targets.

Speed is measured here and nowhere in the tests: a busy machine must not fail them.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.checks import check_mapping
from core.conversion import plan_conversion
from core.manifest import ManifestRow, read_csv
from core.models import Recording, State, Subject
from core.neuroglancer import read_state
from core.platforms.local import LocalLibrary, LocalRunner
from core.sample import SampleSummary, write_sample
from core.settings import load_settings
from core.subjects import gather_subject
from dashboard import servers
from jobs.store import JobStore
from jobs.submission import submit
from tests.bench_gather import bench_gather, say
from tests.bench_page import bench_map_page
from tests.browser_pages import chromium, open_saved, visit

NOW = datetime(2025, 7, 1, tzinfo=UTC)
ACTIVE = 20
COPY = "INSERT INTO Cache (raw, store_time, access_time, access_count, size, key, mode, value) SELECT 1, 0, 0, 0, 0,"
"""The beginning of a statement that adds rows of the store's own form."""


def median_ms(call: Callable[[], object], times: int = 21) -> float:
    """Median milliseconds of a call, the first one not counted."""
    call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e3


def many_rows(rows: tuple[ManifestRow, ...], subject: Subject, wanted: int) -> tuple[tuple[ManifestRow, ...], Subject]:
    """The rows and recordings of the mouse, repeated under other dates until there are `wanted` rows."""
    out: list[ManifestRow] = []
    recordings: list[Recording] = list(subject.recordings)
    for number in range(wanted // len(rows)):
        again = {
            r.name: f"{r.name.rsplit('_', 1)[0]}_{number // 60:02d}-{number % 60:02d}-59" for r in subject.recordings
        }
        for row in rows:
            _, sorting = subject.sorting(row.sorted_recording) or (None, None)
            name = (
                row.sorted_recording.replace(row.recording, again[row.recording]) if sorting else row.sorted_recording
            )
            out.append(dataclasses.replace(row, sorted_recording=name))
        for recording in subject.recordings:
            sortings = tuple(
                dataclasses.replace(
                    s,
                    asset=dataclasses.replace(
                        s.asset, name=s.asset.name.replace(recording.name, again[recording.name])
                    ),
                )
                for s in recording.sortings
            )
            recordings.append(dataclasses.replace(recording, name=again[recording.name], sortings=sortings))
    return tuple(out), dataclasses.replace(subject, recordings=tuple(recordings))


def bench_core(sample: SampleSummary) -> tuple[State, Subject, tuple[ManifestRow, ...]]:
    """Reading, gathering and checking."""
    first = sample.states[0]
    state = read_state(first.path.read_bytes(), stem=first.path.stem)
    rows = read_csv(first.manifest.read_bytes()).rows
    library = LocalLibrary(sample.library)
    subject = gather_subject(library, sample.subject, now=NOW)
    say("read the sample mouse's state", f"{median_ms(lambda: read_state(first.path.read_bytes())):.1f} ms")
    gather = median_ms(lambda: gather_subject(library, sample.subject, now=NOW), 5)
    say(f"gather the mouse ({len(subject.recordings)} recordings, {subject.requests} requests)", f"{gather:.0f} ms")
    many, larger = many_rows(rows, subject, 1000)
    say(
        f"checks over {len(many)} rows",
        f"{median_ms(lambda: check_mapping(many, state=state, subject=larger), 7):.0f} ms",
        "100 ms",
    )
    return state, subject, rows


def bench_store(sample: SampleSummary, core: tuple[State, Subject, tuple[ManifestRow, ...]], jobs: int) -> None:
    """Listings with a long history, against a scan of the same records."""
    state, subject, rows = core
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        runner = LocalRunner(sample.library, data)
        plan = plan_conversion(
            rows,
            state=state,
            subject=subject,
            platform=runner.name,
            converter=runner.converter,
            converter_version=runner.converter_version,
        )
        with JobStore(data) as store:
            submit(store, plan, rows=rows, problems=(), confirmed=(), user="bench", now=NOW)
            database = store.folder.database
        # The history is copied in by plain SQL: 100,000 launches at full synchronisation would take minutes.
        with sqlite3.connect(database) as connection:
            connection.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i <= ?) {COPY}"
                " 'job/' || printf('%012d', i), c.mode, json_set(c.value, '$.id', printf('%012d', i),"
                " '$.state', CASE WHEN i <= ? THEN 'running' ELSE 'succeeded' END)"
                " FROM n, Cache AS c WHERE c.key = 'job/000000000001'",
                (jobs, ACTIVE),
            )
            connection.execute(
                f"{COPY} 'active/' || substr(j.key, 5), a.mode, a.value FROM Cache AS j, Cache AS a"
                " WHERE j.key > 'job/000000000001' AND j.key <= ? AND a.key = 'active/000000000001'",
                (f"job/{ACTIVE:012d}",),
            )
        connection.close()
        with JobStore(data) as store:
            active, newest = len(store.active()), store.newest(50)
            assert active == ACTIVE
            assert len(newest) == 50
            began = time.perf_counter()
            before, total = None, 0
            while page := store.newest(1000, before=before):
                before, total = page[-1].id, total + len(page)
            scan = (time.perf_counter() - began) * 1e3
            listed, recent = median_ms(store.active), median_ms(lambda: store.newest(50))
            say(f"active list ({active}) of {total} jobs", f"{listed:.2f} ms", "5 ms")
            say(f"newest 50 of {total} jobs", f"{recent:.2f} ms", "10 ms")
            say("the same by reading every record", f"{scan:.0f} ms", f"(ratio {scan / recent:.0f})")


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB, from the kernel."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bench_page(sample: SampleSummary) -> None:
    """From the choice of a state to the drawn page, and what the two processes weigh."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(library=sample.library, data=Path(folder) / "data", port=servers.free_port(18006))
        settings = settings.model_copy(update={"worker_port": servers.free_port(18007, frozenset({settings.port}))})
        env = servers.environment(settings)
        with (
            servers.started(servers.DASHBOARD, settings.port, env) as dashboard,
            servers.started(servers.WORKER, settings.worker_port, env) as worker,
            chromium() as browser,
        ):
            servers.wait_until_serving(dashboard, settings.port)
            servers.wait_until_serving(worker, settings.worker_port)
            seconds = []
            for _ in range(4):
                page = visit(browser, servers.page_url(servers.DASHBOARD, settings.port)).page
                page.wait_for_timeout(1_000)
                began = time.perf_counter()
                open_saved(page, sample.states[0].path.stem)
                page.locator(".bk-Canvas").nth(2).wait_for()
                page.locator(".js-plotly-plot").wait_for()
                seconds.append(time.perf_counter() - began)
                page.close()
            say("from state to drawn page (3 views and 3-D), first visit", f"{seconds[0]:.1f} s")
            say("from state to drawn page, later visits", f"{statistics.median(seconds[1:]):.1f} s")
            say("memory of the dashboard after 4 visits", f"{resident_mb(dashboard.pid):.0f} MB")
            say("memory of the worker", f"{resident_mb(worker.pid):.0f} MB")


def main() -> None:
    """Run all, or the parts named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000, help="length of the history (100,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        sample = write_sample(Path(folder) / "mouse")
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        say("write the sample mouse", f"{time.perf_counter() - began:.1f} s", "10 s")
        say("size of the sample mouse", f"{size / 1e6:.0f} MB", "60 MB")
        bench_store(sample, bench_core(sample), options.jobs)
        bench_gather()
        bench_page(sample)
        bench_map_page(sample)


if __name__ == "__main__":
    main()
