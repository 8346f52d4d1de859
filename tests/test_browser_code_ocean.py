"""The main job on Code Ocean as a person does it: real pages and a real worker, the played Code Ocean, moto's S3."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import ExitStack

import pytest
from browser_pages import ROOT, cell, chromium, free_port, paste, served, visit
from job_records import a_record
from playwright.sync_api import expect
from test_text import PAYLOADS

from core.manifest import read_csv
from dashboard import servers
from jobs.records import JobState, RemoteIds
from jobs.store import JobStore
from tests.code_ocean_place import code_ocean, s3_server, sample_mouse
from tests.fake_code_ocean_state import Outcome

pytestmark = pytest.mark.browser
HARMFUL = [payload for payload in PAYLOADS if "__xss" in payload]
SHORT = {"TRACKMAPPER_CODE_OCEAN_POLL_SECONDS": "0.3", "TRACKMAPPER_CODE_OCEAN_REQUESTS_PER_SECOND": "50"}


def environment(fake, data) -> dict[str, str]:
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
        more = environment(fake, data)
        port = free_port()
        server = stack.enter_context(served(sample.library, data, more=more))
        worker = stack.enter_context(servers.started(servers.WORKER, port, {**os.environ, **more}))
        servers.wait_until_serving(worker, port)
        store = stack.enter_context(JobStore(data))
        yield fake, server, store, stack.enter_context(chromium())


def digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()


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
    press = dialog.get_by_role("button", name="Launch").first
    for _ in range(60):  # the boxes come a moment after the dialog
        for box in dialog.get_by_role("checkbox").all():
            box.check()
        if press.is_enabled():
            return dialog
        page.wait_for_timeout(500)
    raise AssertionError(f"it cannot be launched: {dialog.inner_text()}")


def test_from_a_pasted_state_to_a_counted_result_on_code_ocean(place):
    fake, server, store, browser = place
    page = visit(browser, server.url, height=1600).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("✓ Code Ocean")).to_be_visible()
    rows = open_sample(page, 0)
    expect(page.get_by_text("gathered just now, ")).to_be_visible()

    dialog = review(page)
    expect(dialog.get_by_text("starts a paid run on Code Ocean")).to_be_visible()
    dialog.get_by_role("combobox", name="Converter version").click()
    page.get_by_role("menuitem", name="2", exact=True).click()
    expect(dialog.get_by_text("converter Data converter 2 on Code Ocean")).to_be_visible()
    dialog.get_by_label("slow").fill("0.1")
    dialog.get_by_label("slow").press("Tab")
    expect(dialog.get_by_text("slow 0.1")).to_be_visible()
    dialog.get_by_role("button", name="Launch", exact=False).first.click()

    expect(page.get_by_text(f"succeeded: {rows} of {rows} delivered").first).to_be_visible(timeout=180_000)
    done = store.newest(1)[0]
    sent = {"skip-ephys": "0", "run-async": "1", "slow": "0.1"}
    assert (done.converter_version, done.parameters, done.route) == ("2", sent, "direct")
    assert len(fake.effects("run")) == 1
    run = page.locator(".copyable", has_text=done.ids.run)
    expect(run).to_be_visible()
    run.get_by_role("button", name="Copy run id").click()
    assert page.evaluate("navigator.clipboard.readText()") == done.ids.run
    expect(page.get_by_role("heading", name="End of the log")).to_be_visible()
    page.close()


def executed(page) -> object:
    return page.evaluate("window.__xss")


def test_cancelling_says_what_code_ocean_does_and_the_header_when_it_refuses(place):
    fake, server, store, browser = place
    fake.set_outcome(Outcome(kind="hang"))
    page = visit(browser, server.url, height=1600).page
    open_sample(page, 1)
    review(page).get_by_role("button", name="Launch").first.click()
    job = happens(lambda: next((each for each in store.newest(1) if each.state is JobState.RUNNING), None))
    page.get_by_role("button", name="Cancel job").click()
    asked = page.get_by_role("dialog").filter(has_text="Cancel this job?")
    expect(asked).to_contain_text(
        "Code Ocean deletes the run and its results; Trackmapper first keeps a copy of the end of its log"
    )
    asked.get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_text("cancelled by ana").first).to_be_visible()
    assert store.get(job.id).state is JobState.CANCELLED

    good, fake.token = fake.token, "another"
    try:
        expect(page.get_by_role("alert").get_by_text("Code Ocean refuses, since today")).to_be_visible()
    finally:
        fake.token = good
    expect(page.get_by_text("✓ Code Ocean")).to_be_visible()
    page.close()


def test_names_ids_and_words_from_code_ocean_run_nothing(place):
    fake, server, store, browser = place
    for at, payload in enumerate(HARMFUL):
        name = f"ecephys_700001_2025-03-12_10-14-07_sorted_2025-03-1{at}_00-00-00"
        fake.add_asset(f"{name}", files={"output": payload.encode()}, tags=(payload,), description=payload)
        record = a_record(
            f"x{at}", platform="Code Ocean", converter=payload, converter_label=payload, state=JobState.FAILED,
            error=payload, ids=RemoteIds(run=payload, result=payload), surplus=(payload,), log_sha256=digest(payload),
        )  # fmt: skip
        store.add_job(record.told(record.created, payload, payload), inputs={}, blobs=(payload.encode(),))
    page = visit(browser, f"{server.url}?page=jobs&show=failed").page
    page.evaluate("delete window.__xss")
    states = page.locator('.tabulator-cell[tabulator-field="state"]:visible')
    expect(states).to_have_count(len(HARMFUL))
    for row in range(len(HARMFUL)):
        states.nth(row).click()
        expect(page.locator("pre")).to_contain_text("__xss")
        page.locator(".copy:visible").first.click()
    page.get_by_role("button", name="Map", exact=True).click()
    open_sample(page, 0)
    page.get_by_role("button", name="Refresh", exact=True).click()
    expect(page.get_by_role("button", name="Refresh", exact=True)).to_be_enabled()
    page.locator(".bk-Canvas").first.hover()
    assert executed(page) is None
    page.close()
