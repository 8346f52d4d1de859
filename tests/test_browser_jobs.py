"""The Jobs page in chromium: filters in the address, a detail that stays, news without a reload."""

from __future__ import annotations

import re

import pytest
from browser_pages import chromium, served, visit
from job_records import a_record
from playwright.sync_api import expect

from jobs.records import JobState, RemoteIds, Step
from jobs.store import JobStore

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "library" / "assets").mkdir(parents=True)
    with JobStore(folder / "data") as made:
        made.add_job(a_record("1", subject="700001", created_by="ana"), inputs={})
        made.add_job(
            a_record("2", subject="702135", created_by="ben", state=JobState.FAILED, error="exit code 1"), inputs={}
        )
        yield made


@pytest.fixture(scope="module")
def server(store):
    folder = store.folder.root.parent
    with served(folder / "library", folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def browser_here():
    with chromium() as browser:
        yield browser


def states(page):
    return page.locator('.tabulator-cell[tabulator-field="state"]:visible')


def test_filters_live_in_the_address_and_ids_that_look_like_numbers_stay_text(server, browser_here):
    page = visit(browser_here, f"{server.url}?page=jobs&subject=702135&show=failed").page
    expect(states(page)).to_have_text(["✕ failed"])
    expect(page.get_by_label("Mouse")).to_have_value("702135")
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Mouse").fill("")
    page.get_by_label("Mouse").press("Enter")
    expect(states(page)).to_have_count(2)
    assert "subject" not in page.url
    page.get_by_label("Who").fill("ana")
    page.get_by_label("Who").press("Enter")
    expect(states(page)).to_have_count(1)
    page.wait_for_url("**who=ana**")
    page.reload()
    expect(states(page)).to_have_count(1)
    page.close()


def test_news_arrives_without_losing_the_selected_job(server, browser_here, store):
    page = visit(browser_here, f"{server.url}?page=jobs").page
    expect(states(page)).to_have_count(2)
    states(page).nth(1).click()
    expect(page.get_by_role("heading", name="Job 1 · mouse 700001")).to_be_visible()
    store.put(store.get("1").changed(state=JobState.PREPARING, step=Step.MANIFEST_ASSET))
    expect(states(page).nth(1)).to_contain_text("preparing")
    added = store.add_job(a_record("3"), inputs={})
    expect(states(page)).to_have_count(3)
    expect(page.get_by_role("heading", name="Job 1 · mouse 700001")).to_be_visible()
    expect(page.locator(".tabulator-row.tabulator-selected:visible")).to_contain_text("preparing")
    assert added.job_id.endswith("3")
    page.close()


def test_filters_that_hide_a_job_close_it_and_back_leads_to_the_page_before(server, browser_here):
    page = visit(browser_here, server.url).page
    page.get_by_role("button", name="Jobs").click()
    page.wait_for_url("**page=jobs**")
    heading = page.get_by_role("heading", name="Job 2 · mouse 702135")
    for job in ("1", "2"):
        page.locator('.tabulator-cell[tabulator-field="job"]:visible', has_text=re.compile(rf"^{job}$")).click()
        page.wait_for_url(f"**job={job}**")
    expect(heading).to_be_visible()
    page.get_by_label("Mouse").fill("700001")
    page.get_by_label("Mouse").press("Enter")
    expect(heading).not_to_be_visible()
    page.wait_for_url("**subject=700001**")
    assert "job=" not in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="Give a Neuroglancer state to begin")).to_be_visible()
    assert "page=" not in page.url
    page.close()


def test_cancelling_asks_first(server, browser_here, store):
    page = visit(browser_here, f"{server.url}?page=jobs&job=1").page
    page.get_by_role("button", name="Cancel job").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it running").click()
    assert store.get("1").cancel is None
    page.get_by_role("button", name="Cancel job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_text("Cancelling. The worker stops the conversion.")).to_be_visible()
    assert store.get("1").cancel is not None or store.get("1").state is JobState.CANCELLED
    page.close()


def test_a_new_run_is_asked_about_first_and_a_count_is_made_at_once(server, browser_here, store):
    refused = store.add_job(a_record("new run", state=JobState.FAILED, step=Step.RUN, error="no"), inputs={}).job_id
    ids = RemoteIds(run="run-1", result="asset-1")
    lacking = store.add_job(a_record("lacking", state=JobState.INCOMPLETE, step=Step.DONE, ids=ids), inputs={}).job_id
    page = visit(browser_here, f"{server.url}?page=jobs&job={int(refused)}").page
    page.get_by_role("button", name="Retry").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("starts the run of its 2 tracks")
    question.get_by_role("button", name="Back").click()
    expect(question).to_be_hidden()
    assert store.get(refused).state is JobState.FAILED
    page.get_by_role("button", name="Retry").click()
    question.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Queued again.")).to_be_visible()
    assert store.get(refused).state is JobState.LAUNCHING
    page.close()
    page = visit(browser_here, f"{server.url}?page=jobs&job={int(lacking)}").page
    page.get_by_role("button", name="Count again").click()
    expect(page.get_by_text("The worker counts the kept result again.")).to_be_visible()
    assert store.get(lacking).step is Step.COUNT
    page.close()
