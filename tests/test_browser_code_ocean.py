"""The main job on Code Ocean as a person does it: real pages and a real worker, the played Code Ocean, moto's S3."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import pytest
from browser_pages import ROOT, cell, chromium, free_port, paste, served, visit
from playwright.sync_api import expect

from core.manifest import read_csv
from dashboard import servers
from jobs.records import JobState
from jobs.store import JobStore
from tests.code_ocean_place import code_ocean, s3_server, sample_mouse

pytestmark = pytest.mark.browser
SHORT = {"TRACKMAPPER_CODE_OCEAN_POLL_SECONDS": "0.3", "TRACKMAPPER_CODE_OCEAN_REQUESTS_PER_SECOND": "50"}


def environment(fake, data, sample) -> dict[str, str]:
    """What dashboard and worker need to work on a played Code Ocean."""
    return {
        **s3_server().environment(),
        **SHORT,
        "CODE_OCEAN_DOMAIN": fake.url,
        "CODE_OCEAN_API_TOKEN": fake.token,
        "TRACKMAPPER_PLATFORM": "code_ocean",
        "TRACKMAPPER_DATA": str(data),
        "TRACKMAPPER_USER": "ana",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A played Code Ocean with the sample mouse, a dashboard, a worker and a browser."""
    folder = tmp_path_factory.mktemp("code-ocean")
    data, sample = folder / "data", sample_mouse()
    with ExitStack() as stack:
        fake = stack.enter_context(code_ocean())
        more = environment(fake, data, sample)
        port = free_port()
        server = stack.enter_context(served(sample.library, data, more=more))
        worker = stack.enter_context(servers.started(servers.WORKER, port, {**os.environ, **more}))
        servers.wait_until_serving(worker, port)
        store = stack.enter_context(JobStore(data))
        yield fake, server, store, stack.enter_context(chromium())


def happens(check, patience_s=90.0):
    """Wait for something outside the browser."""
    deadline = time.monotonic() + patience_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def open_sample(page, number: int) -> int:
    """Paste a state of the sample and take its true mapping; returns how many rows it has."""
    state = sample_mouse().states[number]
    paste(page, state.path.read_text())
    expect(cell(page, "track", 0)).to_be_visible()
    expect(page.get_by_text("requests", exact=False).first).to_be_visible()
    page.locator('input[type="file"][accept=".csv"]').set_input_files(state.manifest)
    return len(read_csv(state.manifest.read_bytes()).rows)


def review(page):
    """Open the launch dialog, wait for what is offered, and confirm all there is to confirm."""
    launch = page.get_by_role("button", name="Review and launch")
    expect(launch).to_be_enabled()
    launch.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Assets attached")).to_be_visible()
    for box in dialog.get_by_role("checkbox").all():
        box.check()
    return dialog


def test_from_a_pasted_state_to_a_counted_result_on_code_ocean(place):
    fake, server, store, browser = place
    page = visit(browser, server.url, height=1600).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("✓ Code Ocean")).to_be_visible()
    rows = open_sample(page, 0)
    before = fake.count()
    cell(page, "include", 0).click()
    cell(page, "include", 0).click()
    expect(page.get_by_text("gathered just now, ")).to_be_visible()

    dialog = review(page)
    expect(dialog.get_by_text("starts a paid run on Code Ocean")).to_be_visible()
    dialog.get_by_role("combobox", name="Converter version").click()
    page.get_by_role("menuitem", name="2", exact=True).click()
    expect(dialog.get_by_text("converter Data converter 2 on Code Ocean")).to_be_visible()
    dialog.get_by_label("slow").fill("0.1")
    dialog.get_by_label("slow").press("Tab")
    expect(dialog.get_by_text("slow 0.1")).to_be_visible()
    assert [seen.endpoint for seen in fake.requests[before:] if "search" in seen.endpoint and seen.method == "PUT"] == []
    dialog.get_by_role("button", name="Launch", exact=False).first.click()

    expect(page.get_by_text(f"succeeded: {rows} of {rows} delivered").first).to_be_visible(timeout=180_000)
    done = store.newest(1)[0]
    assert (done.converter_version, done.parameters, done.route) == ("2", {"slow": "0.1"}, "direct")
    assert len(fake.effects("run")) == 1
    run = page.locator(".copyable", has_text=done.ids.run)
    expect(run).to_be_visible()
    run.get_by_role("button", name="Copy run id").click()
    assert page.evaluate("navigator.clipboard.readText()") == done.ids.run
    expect(page.get_by_role("heading", name="End of the log")).to_be_visible()
    page.close()
