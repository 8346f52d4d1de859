"""The main job as a person does it: paste, map, fix the wrong track, launch, lose the worker, find the count."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack

import pytest
from browser_pages import cell, choose, chromium, free_port, paste, served, visit
from playwright.sync_api import expect

from core.manifest import read_csv
from core.platforms.local import LocalLibrary
from core.sample import write_sample
from core.settings import load_settings
from dashboard import servers
from dashboard.edits import EMPTY
from jobs.store import JobStore

pytestmark = pytest.mark.browser


def _rows(page) -> dict[str, int]:
    """Where each track stands in the mapping table."""
    table = page.locator(".tabulator").first
    names = table.locator('.tabulator-cell[tabulator-field="track"]').all_inner_texts()
    return {name: number for number, name in enumerate(names)}


def _wait_for(check, patience_s=120.0):
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def _set_truth(page, row: int, true) -> None:
    """Map one row as the true manifest has it."""
    day = f"{true.recording[-19:-9]} {true.recording[-8:-6]}:{true.recording[-5:-3]}"
    choose(page, "recording", row, day)
    choose(page, "sorting", row, true.sorted_recording[-19:-9])
    choose(page, "stream", row, true.ephys_collection)
    expect(cell(page, "stream", row)).to_have_text(true.ephys_collection)


def test_from_a_pasted_state_to_a_counted_result_though_the_worker_is_killed(tmp_path):
    sample = write_sample(tmp_path / "sample")
    state = sample.states[0]
    truth = {row.histology_track_id: row for row in read_csv(state.manifest.read_bytes()).rows}
    data = tmp_path / "data"
    port = free_port()
    settings = load_settings(library=sample.library, data=data, worker_port=port, poll_seconds=0.2, user="ana")
    env = servers.environment(settings)

    with ExitStack() as stack:
        server = stack.enter_context(served(sample.library, data))
        worker = stack.enter_context(servers.started(servers.WORKER, port, env))
        page = visit(stack.enter_context(chromium()), server.url, height=2000).page
        servers.wait_until_serving(worker, port)

        paste(page, state.path.read_text())
        cell(page, "track", 0).wait_for()
        page.locator(".bk-Canvas").nth(2).wait_for()
        page.get_by_role("button", name="Accept certain").click()
        rows = _rows(page)
        assert truth.keys() < rows.keys()
        expect(cell(page, "stream", rows["B_0312_shank1"])).to_have_text("ProbeB")
        # Two tracks carry each other's name: their geometry contradicts it, so nothing is filled in for them.
        assert cell(page, "recording", rows["A_0312"]).inner_text() == EMPTY

        for name in ("20250313_ProbeA", "A_0312", "268", "641_MD"):
            _set_truth(page, rows[name], truth[name])
        for name in rows.keys() - truth.keys():
            cell(page, "include", rows[name]).click()

        launch = page.get_by_role("button", name="Review and launch")
        expect(launch).to_be_enabled()
        launch.click()
        dialog = page.get_by_role("dialog")
        for box in dialog.get_by_role("checkbox").all():
            box.check()
        dialog.get_by_role("button", name="Launch").click()

        store = stack.enter_context(JobStore(data))
        job = _wait_for(lambda: next(iter(store.newest(1)), None))
        _wait_for(lambda: store.get(job.id).ids.run)
        assert store.get(job.id).ended is None
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        stack.enter_context(servers.started(servers.WORKER, port, env))

        count = f"succeeded: {len(truth)} of {len(truth)} delivered"
        expect(page.get_by_text(count).first).to_be_visible(timeout=180_000)
        done = store.get(job.id)

    assert done.created_by == "ana"
    library = LocalLibrary(sample.library)
    result = library.get_asset(done.ids.result)
    sent = {row.histology_track_id: row for row in read_csv(library.read_file(result, "manifest.csv", 10**6)).rows}
    keys = (
        "sorted_recording",
        "ephys_collection",
        "logical_probe",
        "histology_shank",
        "ephys_shank",
        "surface_finding",
    )
    assert {name: [getattr(row, key) for key in keys] for name, row in sent.items()} == {
        name: [getattr(row, key) for key in keys] for name, row in truth.items()
    }
    assert len([asset for asset in library.find_subject_assets(sample.subject) if done.token in asset.tags]) == 3
