"""Neuroglancer in chromium: the link beside the selected track, and the viewer inside the page, offline."""

from __future__ import annotations

import json
import re

import pytest
from browser_pages import cell, chromium, open_saved, served, visit
from playwright.sync_api import expect

from core.neuroglancer import interpret_paste
from core.sample import write_sample

pytestmark = pytest.mark.browser
STATE = "700001_day1_2025-06-02"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    write_sample(folder / "sample")
    with served(folder / "sample" / "library", folder / "data") as running:
        yield running


@pytest.fixture(scope="module")
def browser_here():
    with chromium() as browser:
        yield browser


def linked(page) -> dict:
    link = page.get_by_role("link", name="Open in Neuroglancer")
    assert link.get_attribute("target") == "_blank"
    assert "noopener" in link.get_attribute("rel")
    href = link.get_attribute("href")
    assert href.startswith("https://neuroglancer-demo.appspot.com/#!")
    return json.loads(interpret_paste(href))


def test_the_viewer_shows_the_tracks_asks_nobody_else_and_follows_the_selection(server, browser_here):
    seen = visit(browser_here, server.url)
    page = seen.page
    told = []
    page.on("request", lambda request: told.append(request.post_data) if "/viewer/state/" in request.url else None)
    open_saved(page, STATE)
    cell(page, "track", 0).click()
    expect(page.get_by_role("link", name="Open in Neuroglancer")).to_be_visible()
    first = linked(page)
    page.get_by_role("button", name="Neuroglancer", exact=True).click()
    frame = page.frame_locator('iframe[title="Neuroglancer"]')
    expect(frame.locator("canvas").first).to_be_visible()
    name = first["selectedLayer"]["layer"]
    expect(frame.get_by_text(name, exact=True).first).to_be_visible()
    for row in (2, 3):
        cell(page, "track", row).click()
        name = cell(page, "track", row).inner_text().strip()
        expect(page.get_by_role("link", name="Open in Neuroglancer")).to_have_attribute("title", re.compile(name))
        wanted = linked(page)["position"]
        # Neuroglancer writes what it shows into the positions of its axes: x 1234 …
        for number in wanted[:3]:
            page.wait_for_function(
                """number => {
                  const find = (root) => [...root.querySelectorAll('*')].flatMap(
                    (e) => [...(e.tagName === 'IFRAME' ? [e] : []), ...(e.shadowRoot ? find(e.shadowRoot) : [])])
                  const frame = find(document).find((e) => e.title === 'Neuroglancer')
                  const boxes = frame.contentDocument.querySelectorAll('.neuroglancer-position-dimension-coordinate')
                  return [...boxes].some((e) => Number(e.value) === Math.floor(number))
                }""",
                arg=number,
            )
    assert linked(page)["position"] != first["position"]
    assert seen.foreign == []
    assert any("/viewer/v/" in url for url in seen.requests)
    assert seen.errors == []
    page.close()
