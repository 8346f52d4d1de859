"""The Map page in chromium: open, choose, undo, select everywhere, launch once, come back after a reload."""

from __future__ import annotations

import re
import time

import pytest
from browser_pages import (
    HOVERED,
    SOLID,
    cell,
    choose,
    chromium,
    loopback_state,
    open_saved,
    paste,
    place_of,
    served,
    track_layer,
    visit,
)
from playwright.sync_api import expect

from core.sample import write_sample
from dashboard.opening import PASTE_LIMIT
from jobs.store import JobStore

pytestmark = pytest.mark.browser
DAY1 = "700001_day1_2025-06-02"
ALL = "700001_all_probes_2025-06-03"
WIDE = f"{SOLID}.data.filter((t) => t.line.width > 8).map((t) => t.name)"
"""Tracks that are drawn wide in the 3-D view: the selected one, and the one under the mouse."""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("map") / "sample").library


@pytest.fixture(scope="module")
def browser_here():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(library, tmp_path_factory):
    with served(library, tmp_path_factory.mktemp("map") / "data") as running:
        yield running


def test_from_a_saved_state_to_one_job(server, browser_here, library):
    seen = visit(browser_here, server.url)
    page = seen.page
    open_saved(page, DAY1)
    page.locator(".bk-Canvas").nth(2).wait_for()
    page.locator(".js-plotly-plot").wait_for()
    expect(page.get_by_text("No worker is running")).to_be_visible()
    expect(page.get_by_role("button", name="Review and launch")).to_be_disabled()

    page.get_by_role("button", name="Accept certain").click()
    expect(cell(page, "problems", 0)).to_contain_text("ok")
    stream = cell(page, "stream", 0).inner_text()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(cell(page, "stream", 0)).to_have_text("–")
    page.get_by_role("button", name="Redo", exact=True).click()
    expect(cell(page, "stream", 0)).to_have_text(stream)

    page.get_by_role("button", name="Review and launch").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Assets attached")).to_be_visible()
    for box in dialog.get_by_role("checkbox").all():
        box.check()
    dialog.get_by_role("button", name="Launch").dblclick()
    expect(page.get_by_text("queued").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]job=1\b"))
    assert seen.errors == []
    with JobStore(server.log.parent / "data") as store:
        assert len(store.newest(10)) == 1, "a double click is one job"
    page.close()


def test_choices_depend_on_what_stands_left_and_a_reload_keeps_the_draft(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, ALL)
    names = [name.inner_text() for name in page.locator('.tabulator-cell[tabulator-field="track"]:visible').all()]
    row = names.index("268")
    choose(page, "recording", row, "2025-03-12 10:14")
    expect(cell(page, "sorting", row)).to_contain_text("kilosort4")
    expect(cell(page, "problems", row)).to_contain_text("ephys_collection")
    choose(page, "stream", row, "ProbeB")
    # the server's answer to one edit closes an editor that was opened meanwhile
    expect(cell(page, "problems", row)).not_to_contain_text("ephys_collection")
    cell(page, "shank", row).click()
    expect(page.locator(".tabulator-edit-list-item")).to_have_text(["–", "1 of 4", "2 of 4", "3 of 4", "4 of 4"])
    page.locator(".tabulator-edit-list-item", has_text="3 of 4").click()
    expect(cell(page, "shank", row)).to_have_text("3 of 4")
    choose(page, "stream", row, "ProbeA")
    expect(cell(page, "shank", row)).to_have_text("–")
    expect(page.get_by_text("draft kept")).to_be_visible()
    page.reload()
    expect(cell(page, "stream", row)).to_have_text("ProbeA")
    page.close()


def test_selecting_anywhere_selects_everywhere(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, ALL)
    page.locator(".bk-Canvas").nth(2).wait_for()
    page.locator(".js-plotly-plot").wait_for()
    cell(page, "track", 2).click()
    name = cell(page, "track", 2).inner_text()
    expect(page.get_by_role("heading", name=f"Track {name}")).to_be_visible()
    page.wait_for_function(f"() => JSON.stringify({WIDE}) === JSON.stringify([{name!r}])")
    # a problem in the list selects its row
    problem = page.locator('.tabulator-cell[tabulator-field="message"]:visible').first
    problem.scroll_into_view_if_needed()
    problem.click()
    about = page.locator(".tabulator-row:visible", has=page.locator('.tabulator-cell[tabulator-field="message"]')).first
    track = about.locator('.tabulator-cell[tabulator-field="track"]').inner_text()
    expect(page.get_by_role("heading", name=f"Track {track}")).to_be_visible()
    # a line in a view does, too
    other = cell(page, "track", 0).inner_text()
    page.mouse.click(*place_of(page, other))
    expect(page.get_by_role("heading", name=f"Track {other}")).to_be_visible()
    page.close()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_scrolled_passes_unseen_under_the_frozen_columns(server, browser_here, mode):
    page = visit(browser_here, f"{server.url}?theme={mode}", width=1280).page
    open_saved(page, ALL)
    cell(page, "track", 3).click()
    expect(page.locator(".tabulator-row.tabulator-selected").first).to_be_visible()
    cell(page, "track", 5).hover()
    color = "(cell) => getComputedStyle(cell).backgroundColor"
    seen = [cell(page, column, row).evaluate(color) for column in ("color", "track") for row in (1, 3, 5)]
    seen += page.locator(".tabulator-col.tabulator-frozen").evaluate_all(f"(all) => all.map({color})")
    assert len(seen) >= 8
    assert all(each.startswith("rgb(") for each in seen), f"see-through: {seen}"
    lightness = [sum(map(int, each[4:-1].split(","))) for each in seen]
    assert (max(lightness) < 380) if mode == "dark" else (min(lightness) > 380)
    page.close()


def test_the_3d_view_fills_its_place_also_when_the_theme_changes_and_heads_scroll_with_their_columns(
    server, browser_here
):
    page = visit(browser_here, server.url, width=1280).page
    open_saved(page, ALL)
    solid = page.locator(".js-plotly-plot")
    margin = "(gd) => { const size = gd._fullLayout._size; return [size.l, size.r, size.t, size.b].join() }"
    solid.wait_for()
    for switched in (False, True):
        if switched:
            page.get_by_role("button", name=re.compile("theme|mode", re.IGNORECASE)).click()
        page.wait_for_function(f"() => ({margin})({SOLID}) === '0,0,0,0'")
    head = page.locator('.tabulator-col[tabulator-field="note"]').first
    cell(page, "note", 1).click()
    page.keyboard.press("Escape")
    left = "(part) => part.getBoundingClientRect().x"
    for _ in range(100):  # the heads follow in the next frame
        apart = abs(head.evaluate(left) - cell(page, "note", 1).evaluate(left))
        if apart <= 1:
            break
        page.wait_for_timeout(50)
    assert apart <= 1
    page.close()


def test_another_window_is_told_of_a_change_and_offers_both_mappings(server, browser_here):
    one, other = (visit(browser_here, server.url).page for _ in range(2))
    for page in (one, other):
        open_saved(page, DAY1)
    note = f"seen {time.monotonic_ns()}"
    cell(one, "note", 1).click()
    one.keyboard.type(note)
    one.keyboard.press("Enter")
    offered = other.get_by_role("button", name="Show that mapping")
    offered.click()
    expect(cell(other, "note", 1)).to_have_text(note)
    expect(offered).not_to_be_visible()
    other.get_by_role("button", name="Undo", exact=True).click()
    expect(cell(other, "note", 1)).not_to_have_text(note)
    expect(cell(one, "note", 1)).to_have_text(note)
    one.get_by_role("button", name="Keep this one").click()
    other.get_by_role("button", name="Show that mapping").click()
    expect(cell(other, "note", 1)).to_have_text(note)
    one.close()
    other.close()


def test_the_same_file_is_downloaded_and_uploaded_as_often_as_it_is_asked_for(server, browser_here, library):
    page = visit(browser_here, server.url).page
    state = next(library.rglob(f"{DAY1}.json"))
    for opened in (DAY1, ALL, DAY1):
        if opened == ALL:
            open_saved(page, ALL)
            expect(page.get_by_text("15 layers, 13 tracks")).to_be_visible()
        else:
            page.locator("input[type=file][accept='.json']").set_input_files(state)
            expect(page.get_by_text("5 layers, 5 tracks")).to_be_visible()
            page.locator(".js-plotly-plot").wait_for()
            expect(page.get_by_text(re.compile("gathered (just now|.* ago)"))).to_be_visible()
    files = []
    for name in ("CSV", "CSV", "PNG", "PNG"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).first.click()
        files.append(download.value.path().read_bytes())
    assert files[0] == files[1]
    assert files[2] == files[3]
    assert files[2].startswith(b"\x89PNG")
    page.close()


def test_a_saved_state_is_opened_by_keyboard(server, browser_here):
    page = visit(browser_here, server.url).page
    box = page.get_by_role("combobox", name="Saved states")
    expect(box).not_to_be_disabled()
    box.focus()
    page.keyboard.press("Enter")
    entries = page.get_by_role("menuitem")
    expect(entries.first).to_be_visible()
    names = [entry.inner_text() for entry in entries.all()]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    cell(page, "track", 0).wait_for()
    assert box.inner_text() in names
    page.close()


def test_a_paste_that_is_too_large_says_so(server, browser_here):
    page = visit(browser_here, server.url).page
    page.get_by_label("Neuroglancer link or state").fill("x" * (PASTE_LIMIT + 100))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_text("larger than 4 MiB")).to_be_visible()
    page.close()


def test_back_opens_what_was_open_before_and_the_box_shows_it(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, DAY1)
    box = page.get_by_role("combobox", name="Saved states")
    expect(box).to_contain_text(DAY1)
    expect(page).to_have_url(re.compile(re.escape(DAY1)))  # written once all of it is there
    rows = page.locator(".tabulator-row")
    few = rows.count()
    open_saved(page, ALL)
    expect(rows).not_to_have_count(few)
    expect(page).to_have_url(re.compile(re.escape(ALL)))
    page.go_back()
    expect(rows).to_have_count(few)
    expect(box).to_contain_text(DAY1)
    page.goto(f"{server.url}?draft={'0' * 16}")
    expect(page.get_by_text("is not kept any more")).to_be_visible()
    page.close()


def test_any_letter_may_be_written_in_a_note_and_tab_goes_on(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, ALL)
    note = cell(page, "note", 2)
    note.click()
    written = 'it\'s (a) & #1 "$5" 30 % so!'  # each typed without Shift on some keyboard; ' on all of them
    page.keyboard.type(written)
    expect(note.locator("input")).to_have_value(written)
    page.keyboard.press("Enter")
    expect(note).to_have_text(written)
    expect(note.locator("input")).to_have_count(0)
    note.click()
    page.keyboard.type("more")
    page.keyboard.press("Escape")
    expect(note).to_have_text(written)
    note.click()
    page.keyboard.press("Tab")
    expect(cell(page, "recording", 3)).to_have_class(re.compile("tabulator-editing"))
    page.locator(".tabulator-edit-list-item").first.wait_for()
    page.keyboard.press("Shift+Tab")
    expect(note).to_have_class(re.compile("tabulator-editing"))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(note).to_have_text("")
    page.close()


def test_a_hover_in_one_view_is_a_hover_in_all_four(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, DAY1)
    page.locator(".js-plotly-plot").wait_for()
    page.wait_for_function(f"() => {SOLID}._fullLayout._size.l === 0")  # drawn anew with its margins
    track = "20250312_ProbeA"
    x, y = place_of(page, track)
    page.mouse.move(x - 2, y - 30)
    page.mouse.move(x, y, steps=5)
    page.wait_for_function(f"() => JSON.stringify(({HOVERED})()) === JSON.stringify([{track!r}])")
    page.wait_for_function(f"() => JSON.stringify({WIDE}) === JSON.stringify([{track!r}])")
    page.mouse.move(5, 5)
    page.wait_for_function(f"() => ({HOVERED})().length + {WIDE}.length === 0")
    # and the other way: the 3-D view's own event, since its pixels depend on the graphics
    number = page.evaluate(f"() => {SOLID}.data.findIndex((t) => t.name === '20250312_ProbeB_Shank2')")
    page.evaluate(f"() => {SOLID}.emit('plotly_hover', {{ points: [{{ curveNumber: {number}, pointNumber: 0 }}] }})")
    page.wait_for_function(f"() => ({HOVERED})()[0] === '20250312_ProbeB_Shank2'")
    page.evaluate(f"() => {SOLID}.emit('plotly_unhover', {{}})")
    page.wait_for_function(f"() => ({HOVERED})().length === 0")
    page.close()


def test_a_card_s_tracks_are_picked_and_its_facts_unfold(server, browser_here):
    page = visit(browser_here, server.url).page
    open_saved(page, DAY1)
    if cell(page, "stream", 0).inner_text() == "–":  # no draft of an earlier visit
        page.get_by_role("button", name="Accept certain").click()
    picked = page.get_by_role("button", name="20250312_ProbeB_Shank3")
    picked.click()
    expect(page.get_by_role("heading", name="Track 20250312_ProbeB_Shank3")).to_be_visible()
    expect(picked).to_have_attribute("aria-pressed", "true")
    # a press beside the tracks goes through the probe's shanks
    page.get_by_text("266 of 448 units").first.click()
    expect(page.get_by_role("heading", name="Track 20250312_ProbeB_Shank4")).to_be_visible()
    facts = page.get_by_role("button", name="Facts of 2025-03-12 10:14")
    facts.click()
    expect(page.get_by_role("row", name="length of blocks 75 min")).to_be_visible()
    expect(page.get_by_role("row", name="aligned before unknown")).to_contain_text("quality_control.json of 2 assets")
    expect(page.get_by_role("row", name="manipulator").first).to_contain_text("um")
    cell(page, "track", 0).click()
    expect(facts).to_have_attribute("aria-expanded", "true")
    facts.click()
    expect(page.get_by_role("row", name="length of blocks")).to_have_count(0)
    page.close()


def test_an_unknown_mouse_is_drawn_and_said_to_be_unknown(server, browser_here):
    page = visit(browser_here, server.url).page
    scattered = [[500, 100, 900, 0], [600, 1900, 200, 0], [1500, 700, 1400, 0], [90, 90, 90, 0]]
    targets = track_layer("targets") | {
        "annotations": [{"type": "point", "id": str(i), "point": point} for i, point in enumerate(scattered)]
    }
    paste(page, loopback_state([track_layer("one"), track_layer("two", 1), targets]))
    expect(page.get_by_text("This library holds no asset of mouse 799999.").first).to_be_visible()
    expect(page.get_by_text("3 layers, 2 tracks")).to_be_visible()
    expect(page.get_by_text("targets: landmarks")).to_be_visible()
    expect(page.get_by_text("Assumed:")).to_be_visible()
    page.locator(".bk-Canvas").nth(2).wait_for()
    page.reload()
    expect(cell(page, "track", 1)).to_have_text("two")
    page.close()


@pytest.mark.parametrize("given", ["/etc/passwd", "http://169.254.169.254/#!http://169.254.169.254/x", "{", "[1,2]"])
def test_what_is_no_state_is_refused_in_words(server, browser_here, given):
    page = visit(browser_here, server.url).page
    paste(page, given)
    expect(page.get_by_role("alert").get_by_text("Not opened")).to_be_visible()
    page.close()
