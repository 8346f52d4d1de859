"""The guards in chromium: nothing executes, nothing leaves the machine, the second visitor sees the same."""

from __future__ import annotations

import re

import pytest
from browser_pages import cell, chromium, loopback_state, open_saved, paste, served, track_layer, visit
from job_records import a_record
from playwright.sync_api import expect
from test_text import PAYLOADS

from core.sample import write_sample
from jobs.records import JobState
from jobs.store import JobStore

pytestmark = pytest.mark.browser
HARMFUL = [payload.replace("\0", "") for payload in PAYLOADS if "__xss" in payload]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("guards")
    write_sample(made / "sample")
    return made


@pytest.fixture(scope="module")
def store(folder):
    with JobStore(folder / "data") as made:
        yield made


@pytest.fixture(scope="module")
def server(folder, store):
    with served(folder / "sample" / "library", folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def browser_here():
    with chromium() as browser:
        yield browser


def executed(page) -> object:
    return page.evaluate("window.__xss")


def test_names_from_outside_are_shown_and_never_run(server, browser_here, store):
    seen = visit(browser_here, server.url)
    page = seen.page
    page.evaluate("delete window.__xss")
    paste(page, loopback_state([track_layer(payload, at) for at, payload in enumerate(HARMFUL)]))
    cell(page, "track", 0).wait_for()
    expect(
        page.locator('.tabulator-cell[tabulator-field="track"]:visible', has_text="<img src=x").first
    ).to_be_visible()
    page.locator(".bk-Canvas").nth(2).wait_for()
    page.locator(".js-plotly-plot").wait_for()
    for row in range(len(HARMFUL)):
        cell(page, "track", row).click()
        page.get_by_role("button", name="Duplicate row").click()
    page.get_by_role("combobox", name="Add a row for").click()
    page.get_by_role("menuitem").nth(1).click()
    page.locator(".bk-Canvas").first.hover()
    for payload in HARMFUL[:3]:
        paste(page, payload)
        expect(page.get_by_role("alert").get_by_text("Not opened")).to_be_visible()
    assert executed(page) is None
    page.close()


def test_a_job_made_of_payloads_runs_nothing(server, browser_here, store):
    for number, payload in enumerate(HARMFUL):
        record = a_record(f"x{number}", subject=payload[:40], created_by=payload, error=payload, state=JobState.FAILED)
        store.add_job(record.told(record.created, payload, payload, by=payload), inputs={})
    for address in (
        "?page=jobs",
        *(f"?page=jobs&subject={payload}&who={payload}&job=1&show=x" for payload in HARMFUL[:2]),
    ):
        page = visit(browser_here, server.url + address.replace("#", "%23")).page
        page.wait_for_load_state("networkidle")
        rows = page.locator('.tabulator-cell[tabulator-field="state"]:visible')
        for row in range(min(rows.count(), 3)):
            rows.nth(row).click()
            expect(page.get_by_role("heading", name="What happened")).to_be_visible()
        assert executed(page) is None
        page.close()


def test_nothing_is_asked_of_any_other_host_and_the_second_visitor_sees_the_same_design(server, browser_here):
    looks = []
    for _ in range(2):
        seen = visit(browser_here, server.url)
        open_saved(seen.page, "700001_day1_2025-06-02")
        seen.page.locator(".bk-Canvas").nth(2).wait_for()
        seen.page.locator(".js-plotly-plot").wait_for()
        for name in ("Jobs", "Help"):
            seen.page.get_by_role("button", name=name, exact=True).click()
            seen.page.wait_for_url(f"**page={name.lower()}**")
        seen.page.get_by_role("button", name="Map", exact=True).click()
        assert seen.foreign == []
        assert len(seen.requests) > 5
        assert seen.errors == []
        header = seen.page.locator(".tabulator-col:visible").first
        looks.append(
            header.evaluate("e => { const s = getComputedStyle(e); return [s.fontFamily, s.backgroundColor] }")
        )
        looks.append(sorted({url.split("/")[-1].split("?")[0] for url in seen.requests if ".css" in url}))
        seen.page.close()
    assert looks[:2] == looks[2:]


def test_the_page_is_there_before_the_plots(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, "700001_day1_2025-06-02")
    expect(page.locator(".MuiSkeleton-root:visible, .bk-Canvas:visible").first).to_be_visible()
    page.locator(".bk-Canvas").nth(2).wait_for()
    expect(page.locator(".MuiSkeleton-root:visible")).to_have_count(0)
    page.close()


@pytest.mark.parametrize("query", ["", "?page=jobs", "?page=help&state=700001_day1_2025-06-02"])
def test_served_to_the_network_without_a_login_every_page_refuses(folder, browser_here, query):
    with served(folder / "sample" / "library", folder / "data", address=None) as running:
        page = browser_here.new_page()
        page.goto(running.url + query)
        expect(page.get_by_text("open to the network without a log-in")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("button", name="Jobs")).to_have_count(0)
        expect(page.get_by_text("700001")).to_have_count(0)
        page.close()


def test_visitors_who_leave_at_once_break_nothing(server, browser_here):
    for _ in range(3):
        page = browser_here.new_page()
        page.goto(server.url, wait_until="commit")
        page.close()
    page = visit(browser_here, server.url).page
    expect(page.get_by_text("Give a Neuroglancer state to begin")).to_be_visible()
    page.close()
    # The server itself may note that somebody left; no code of ours may stumble over it.
    assert not re.search(r'File "[^"]*/(core|jobs|dashboard)/', server.log.read_text())
