"""The brain behind the three views: read beside the page, never an error, never that of another state."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import CancelledError
from dataclasses import replace
from xml.etree import ElementTree

import builders as b
import numpy as np
import pytest
from bokeh.document import Document
from panel.io.state import set_curdoc
from test_session_state import opened, session

from core.atlas_frames import Affine, AffineAtlas, pipeline_frame
from core.brain_images import BrainImage, BrainProjections, Projection
from core.errors import UnavailableError
from core.tissue import Tissue
from dashboard import text
from dashboard.plots_view import PlotsView
from dashboard.source_view import source_line
from dashboard.state import Session


def a_brain() -> BrainImage:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    view = Projection(pixels, (0.0, 4000.0, -3000.0, 0.0))
    frame = b.make_subject().stitched[0].channels[0].frame
    tissue = Tissue(np.ones((2, 2, 2), np.bool_), frame, (8.0, 8.0, 8.0))
    return BrainImage(BrainProjections(view, view, view, (0.0, 255.0)), tissue, 3, "asset/image.zarr, level 3")


class Page:
    """A page without a server: what it plans for the next turn is done when a test says so."""

    def __init__(self, view: Session, read_brain) -> None:
        self.doc, self.session = Document(), view
        with set_curdoc(self.doc):
            self.plots = PlotsView(view, read_brain)
            self.plots.view.get_root(self.doc)
            self.plots.plan_drawing()

    def turn(self) -> None:
        for planned in list(self.doc.session_callbacks):
            self.doc.remove_next_tick_callback(planned)
            with set_curdoc(self.doc):
                done = planned.callback()
                if inspect.isawaitable(done):
                    asyncio.run(done)

    def turns(self) -> None:
        while self.doc.session_callbacks:
            self.turn()

    def pictures(self) -> list[dict]:
        return [dict(behind.source.data) for behind in self.plots._plots.brain.values()]

    @property
    def words(self) -> str:
        return str(self.plots.caption.object)


@pytest.fixture
def view() -> Session:
    made = session("one", "two")
    assert made.opened.subject is not None
    return made


def test_the_brain_lies_where_its_extent_says_and_is_named(view):
    asked = []

    async def read(asset, channel, progress, cancelled):
        asked.append((asset, channel))
        progress(0.5)
        return a_brain()

    page = Page(view, read)
    page.turns()
    for picture in page.pictures():
        assert (picture["x"], picture["y"], picture["dw"], picture["dh"]) == ([0.0], [-3.0], [4.0], [3.0])
        assert (picture["image"][0] == np.arange(12).reshape(3, 4)).all()
    assert page.plots.brightness.visible
    assert "level 3" in page.words
    page.plots.plan_drawing()
    page.turns()
    assert len(asked) == 1, "read once"


def test_the_slider_moves_only_the_scale_of_grey(view):
    async def read(asset, channel, progress, cancelled):
        return a_brain()

    page = Page(view, read)
    page.turns()
    before = page.pictures()
    highs = []
    for percent in (200, 100, 0):
        page.plots.brightness.value = percent
        highs.append({behind.colors.high for behind in page.plots._plots.brain.values()})
    assert highs[:2] == [{127.5}, {255.0}]
    assert min(highs[2]) > 1e6, "nothing is seen"
    assert all(new["image"][0] is old["image"][0] for new, old in zip(page.pictures(), before, strict=True))


def test_what_cannot_be_read_leaves_the_outline_and_a_sentence(view):
    async def read(asset, channel, progress, cancelled):
        raise UnavailableError("The bucket <b>sleeps</b>.", where="there")

    page = Page(view, read)
    page.turns()
    assert page.pictures() == [{"image": [], "x": [], "y": [], "dw": [], "dh": []}] * 3
    assert "The brain is not drawn." in page.words
    assert "<b>sleeps" not in page.words
    assert not page.plots.brightness.visible


def test_how_far_the_reading_is(view):
    told = []

    async def read(asset, channel, progress, cancelled):
        for step in range(101):
            progress(step / 100)
        told.extend(page.doc.session_callbacks)
        return a_brain()

    page = Page(view, read)
    page.turn()
    page.turn()
    assert 9 <= len(told) <= 11, "in tenths"


def test_a_reading_for_an_earlier_state_ends_and_is_not_shown(view):
    ended = []

    async def read(asset, channel, progress, cancelled):
        with set_curdoc(page.doc):
            view.opened = replace(view.opened, subject=None)
        ended.append(cancelled())
        if cancelled():
            raise CancelledError
        return a_brain()

    page = Page(view, read)
    page.turns()
    assert ended == [True]
    assert page.pictures()[0]["image"] == []
    assert "no brain is drawn" in page.words


@pytest.mark.parametrize("name", ["one", "$x_", "<script>alert(1)</script>", "_hidden", "▲" * 90])
def test_the_pictures_as_files_hold_every_name_as_text_and_are_the_same_twice(name):
    view = session(name, "two")
    page = Page(view, None)
    page.turns()
    first, second = (asyncio.run(page.plots.picture("svg")) for _ in range(2))
    assert first == second
    root = ElementTree.fromstring(first)
    words = [" ".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.plain(name, 28) in each for each in words)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_the_saved_picture_has_the_brain_that_is_shown(view):
    async def read(asset, channel, progress, cancelled):
        return a_brain()

    page = Page(view, read)
    page.turns()
    with_brain = asyncio.run(page.plots.picture("svg"))
    assert b"<image" in with_brain
    page.plots.brightness.value = 0
    assert b"<image" not in asyncio.run(page.plots.picture("svg"))
    assert asyncio.run(page.plots.picture("png")).startswith(b"\x89PNG")


# --- what the brain tells the checks --------------------------------------------------------------


def test_the_checks_are_told_of_the_tissue_when_the_brain_is_there_and_again_by_another_state_of_it(view):
    told = []
    view.see = told.append  # type: ignore[method-assign]
    brain = a_brain()

    async def read(asset, channel, progress, cancelled):
        return brain

    page = Page(view, read)
    assert told == [None]
    page.turns()
    assert told == [None, brain.tissue]
    page.plots.plan_drawing()
    assert told == [None, brain.tissue, brain.tissue]
    with set_curdoc(page.doc):
        view.open(replace(view.opened, subject=None))
    assert told[-1] is None


def test_a_brain_without_tissue_is_said_and_nothing_is_checked(view):
    async def read(asset, channel, progress, cancelled):
        return replace(a_brain(), tissue=None)

    page = Page(view, read)
    page.turns()
    assert "No brain is told apart" in page.words
    assert view.tissue is None


def test_the_line_below_says_by_what_targets_are_judged(view):
    page = Page(view, None)
    page.turns()
    assert "Targets" not in page.words
    view.renew(replace(view.opened, no_atlas="The <b>affine</b> is not there."))
    assert "without the atlas" in page.words
    assert "without the atlas. The &lt;b&gt;affine" in source_line(view)
    lies = view.opened.frame
    atlas = AffineAtlas(pipeline_frame(lies, "0.0.1"), *[Affine(np.eye(3), np.zeros(3))] * 2)
    view.renew(replace(view.opened, atlas=atlas, no_atlas=""))
    assert "judged in the atlas, affine only" in page.words
    assert "atlas" not in source_line(view)


def test_the_3d_view_comes_though_the_mouse_is_known_while_the_views_are_being_put_together(view):
    plots = PlotsView(view)
    steps = plots.drawing()
    next(steps)
    view.renew(view.opened)
    plots.plan_drawing()
    assert plots._solid is None
    for _ in steps:
        pass
    assert plots._solid is not None
    assert plots._lower[0] is plots._plots.horizontal
    assert plots._lower[1].objects == [plots._solid.view]


def test_the_3d_view_of_an_earlier_state_is_hidden_until_that_of_this_one_is_drawn(view):
    page = Page(view, None)
    page.turns()
    assert page.plots._solid.view.visible
    other = opened("three")
    with set_curdoc(page.doc):
        view.open(replace(other, state=replace(other.state, sha256="f" * 64), whole=False))
    assert not page.plots._solid.view.visible
    with set_curdoc(page.doc):
        view.renew(replace(view.opened, whole=True))
    page.turns()
    assert page.plots._solid.view.visible
    assert page.plots._solid._tracks == ["three"]
