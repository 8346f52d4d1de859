"""The picture of a track against its recording in chromium: select a row, turn the shanks round, take it back."""

from __future__ import annotations

import pytest
from browser_pages import cell, chromium, open_saved, served, visit
from playwright.sync_api import expect

from core.sample import write_sample

pytestmark = pytest.mark.browser


def test_a_row_shows_its_contacts_and_the_shanks_turn_round_and_back(tmp_path):
    library = write_sample(tmp_path / "sample").library
    with served(library, tmp_path / "data") as server, chromium() as browser:
        seen = visit(browser, server.url)
        page = seen.page
        open_saved(page, "700001_all_probes_2025-06-03")
        page.locator(".js-plotly-plot").wait_for()
        panel = page.get_by_role("heading", name="Track against recording")
        expect(panel).to_have_count(0)
        page.get_by_role("button", name="Accept certain").click()
        names = page.locator('.tabulator-cell[tabulator-field="track"]:visible').all_inner_texts()
        first, last = names.index("B_0312_shank1"), names.index("B_0312_shank4")
        expect(cell(page, "shank", first)).to_have_text("1 of 4")

        cell(page, "track", first).click()
        expect(panel).to_be_visible()
        expect(page.get_by_text("All 96 contacts lie below the surface")).to_be_visible()
        expect(page.get_by_text("which pass quality control, at depths")).to_be_visible()
        page.locator(".bk-Canvas").nth(4).wait_for()

        page.get_by_role("button", name="Reverse the shank order").click()
        expect(cell(page, "shank", first)).to_have_text("4 of 4")
        expect(cell(page, "shank", last)).to_have_text("1 of 4")
        page.get_by_role("button", name="Undo", exact=True).click()
        expect(cell(page, "shank", first)).to_have_text("1 of 4")
        expect(cell(page, "shank", last)).to_have_text("4 of 4")

        # what else it could be, one press to take it, one to take that back
        page.get_by_role("button", name="Other tracks for this probe").click()
        expect(page.get_by_text("Scores are logarithms of odds")).to_be_visible()
        expect(page.get_by_text("one of 4 parallel tracks").first).to_be_visible()
        scores = page.get_by_text("Scores are logarithms of odds").bounding_box()
        shown = [box for each in page.locator(".bk-Canvas").all() if (box := each.bounding_box())]
        beside = max(box["x"] + box["width"] for box in shown if abs(box["y"] - scores["y"]) < 60)
        assert 0 <= scores["x"] - beside < 60, "the picture takes the room up to the cards"
        page.get_by_role("button", name="Use this").first.click()
        expect(cell(page, "shank", first)).not_to_have_text("1 of 4")
        page.get_by_role("button", name="Undo", exact=True).click()
        expect(cell(page, "shank", first)).to_have_text("1 of 4")
        page.get_by_role("button", name="Other probes for this track").click()
        expect(page.get_by_role("heading", name="Probes for one track")).to_be_visible()
        expect(page.get_by_text("less likely than the best").first).to_be_visible()
        page.get_by_role("button", name="This assignment").click()

        # likely, not certain: nothing was filled in for it
        cell(page, "track", names.index("641_MD")).click()
        expect(page.get_by_text("641_MD on no stream")).to_be_visible()
        page.get_by_role("button", name="Use suggestion").click()
        expect(page.get_by_text("18 of 384 contacts lie above the surface")).to_be_visible()
        expect(page.get_by_role("button", name="Reverse the shank order")).to_be_disabled()
        assert seen.errors == []
