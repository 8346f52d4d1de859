"""The pictures of all tracks: three projections with the brain behind them, and the 3-D view."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from functools import partial

import panel as pn
import panel.ui as pmui
from bokeh.document import Document

from core.brain_images import BrainImage, BrainProjections
from core.errors import TrackmapperError
from core.models import Asset, ImageChannel, ImageFrame, Points
from core.subjects.shown_image import shown_brain
from dashboard import text
from dashboard.picture_buttons import picture_buttons
from dashboard.saved_pictures import Kind, draw_views, heading
from dashboard.state import Opened, Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.track_lines import Scene, scene
from dashboard.track_plot_3d import SOLID_HEIGHT, TrackPlot3D
from dashboard.track_plots import TrackPlots
from dashboard.turns import beside, in_turns, next_turn, on_page, soon

PLOTS_HEIGHT = 720
BRIGHTEST = 300
"""Percent of the slider."""

_DASHED = "Dashed: the selected track by its manipulator's angles."

ReadBrain = Callable[[Asset, ImageChannel, Callable[[float], None], Callable[[], bool]], Awaitable[BrainImage]]
"""(stitched asset, its channel, told the share that is read, asked whether to end) -> the brain.

Raises:
    TrackmapperError: it cannot be shown.
    CancelledError: reading was ended.
"""


class PlotsView:
    """The three projections and the 3-D view; a skeleton keeps their place until they are drawn.

    Args:
        session: Whose tracks are shown.
        read_brain: Asked once for each brain that is opened; without it none is shown.
    """

    def __init__(self, session: Session, read_brain: ReadBrain | None = None) -> None:
        self._session, self._read_brain = session, read_brain
        self._plots: TrackPlots | None = None
        self._solid: TrackPlot3D | None = None
        self._lower = pn.Row(sizing_mode="stretch_width", margin=0)
        self._scene: Scene | None = None
        self._drawn_solid: Scene | None = None
        self._planned: tuple[str, ImageFrame] | None = None
        self._note = ""
        self._asked: tuple[Asset, ImageChannel] | None = None
        self._reading = 0
        self._brain: BrainImage | None = None
        self._brain_note = Markup("")
        self.caption = text.pane(Markup(""), [CSS], margin=(0, 10))
        self.brightness = pmui.IntSlider(
            label="Brightness of the brain, %", start=0, end=BRIGHTEST, step=10, value=100, size="small", width=200,
            margin=(0, 20), visible=False,
        )  # fmt: skip
        self.brightness.param.watch(lambda _: self._show_brain(), "value")
        self.downloads = picture_buttons("tracks", self.picture, margin=(10, 3))
        self.view = pn.Column(height=PLOTS_HEIGHT, sizing_mode="stretch_width", margin=0)
        session.param.watch(lambda *_: self.plan_drawing(), "opened")
        session.param.watch(lambda event: self._highlight(event.new), "track")
        session.param.watch(lambda *_: self._show_planned(), ["track", "checked"])
        # what stands here first is hidden later, not taken away: browsers forget what others may still refer to
        self._skeleton = pmui.Skeleton(height=PLOTS_HEIGHT - 20, sizing_mode="stretch_width", variant="rectangular")
        self.view[:] = [self._skeleton]

    def plan_drawing(self) -> None:
        """Draw when the page has answered: what was opened is shown before its plots.

        The pictures of a state stay until its image says that they must be others.
        """
        opened = self._session.opened
        if opened is None:
            return
        if self._planned != (opened.state.sha256, opened.frame) and pn.state.curdoc:
            if self._plots is not None and self._planned and self._planned[0] != opened.state.sha256:
                next_turn(self._plots.clear)  # another state's tracks say nothing of this one
                if self._solid is not None:
                    self._solid.view.visible = False
            next_turn(lambda: in_turns(self.drawing()))
        if opened.whole:
            soon(self._draw_solid)
        self._plan_brain(opened)
        self._say(opened)

    def drawing(self) -> Iterator[None]:
        """Draw the tracks of the opened state, view by view; once there, the views only get other data."""
        opened = self._session.opened
        if opened is None:
            return
        self._planned = (opened.state.sha256, opened.frame)
        self._scene = scene(opened.state, opened.frame, opened.colors)
        if self._plots is None:
            self._plots = TrackPlots(self._scene, self._session.select_track)
            upper = pn.Row(margin=0)
            told = pn.Row(self.brightness, *self.downloads, self.caption, sizing_mode="stretch_width", margin=0)
            self._skeleton.visible = False
            self.view.extend([upper, self._lower, told])
            yield
            upper[:] = [self._plots.coronal, self._plots.sagittal]
            yield
            place = pn.Column(sizing_mode="stretch_width", height=SOLID_HEIGHT, margin=0)
            self._lower[:] = [self._plots.horizontal, place]
            yield
        else:
            self._plots.show(self._scene)
        box = self._scene.box_image_ras_mm is not None
        self._note = f"Image space, RAS. {'Dotted: the image. ' if box else ''}{_DASHED}"
        self._show_brain()
        self._plots.highlight(self._session.track)
        self._show_planned()
        self._say(self._session.opened)
        soon(self._draw_solid)

    def draw(self) -> None:
        """Draw the tracks of the opened state now."""
        for _ in self.drawing():
            pass

    def _draw_solid(self) -> None:
        """The 3-D view comes after the others and when all is known of the image: it holds the browser up longest."""
        opened, drawn = self._session.opened, self._scene
        if opened is None or not opened.whole or drawn is None or self._drawn_solid is drawn or not self._lower.objects:
            return  # while the others are being built, they are followed by this one
        self._drawn_solid = drawn
        if self._solid is None:
            self._solid = TrackPlot3D(drawn, self._session.select_track)
            self._lower[1].append(self._solid.view)
        else:
            self._solid.redraw(drawn)
            self._solid.view.visible = True
        self._solid.highlight(self._session.track)

    async def picture(self, kind: Kind) -> bytes:
        """The three projections as they are drawn here, as a file."""
        opened = self._session.opened
        if opened is None:
            return b""
        drawn = await asyncio.to_thread(scene, opened.state, opened.frame, opened.colors)
        track, way = self._session.track, self._planned_way
        planned = {} if way is None else {track: way}
        shown = {"brain": self.brain, "brightness": self.brightness.value / 100.0, "planned": planned, "marked": track}
        return await asyncio.to_thread(partial(draw_views, drawn, heading(opened), kind, **shown))

    @property
    def brain(self) -> BrainProjections | None:
        """What is to be seen behind the tracks."""
        return self._brain.projections if self._brain and self.brightness.value else None

    def _say(self, opened: Opened) -> None:
        """What the pictures are drawn by, and whether that is final."""
        assumed = opened.frame.assumed
        words = f" ▲ Assumed: {assumed}." if opened.whole else f" Until the image is read, assumed: {assumed}."
        told = tag("span", words, cls="warn" if opened.whole else "dim") if assumed else ""
        note = tag("span", self._note, cls="dim")
        text.show(self.caption, tag("p", note, told, " ", _judged(opened), self._brain_note))

    def _highlight(self, track: str) -> None:
        if self._plots:
            self._plots.highlight(track)
        if self._solid:
            soon(self._highlight_solid)  # half a second of the browser, where it draws without a graphics card

    @property
    def _planned_way(self) -> Points | None:
        return self._session.checked.planned.get(self._session.track)

    def _show_planned(self) -> None:
        if self._plots is not None:
            self._plots.show_planned(self._planned_way)

    def _highlight_solid(self) -> None:
        if self._solid:
            self._solid.highlight(self._session.track)

    # --- the brain ----------------------------------------------------------------------------------

    def _plan_brain(self, opened: Opened) -> None:
        """Read the brain of what was opened, beside the page, unless it is there or on its way."""
        shown = shown_brain(opened.state, opened.subject)
        if shown is None or shown == self._asked:
            if shown is None and opened.whole:
                self._forget_brain(
                    tag("span", "The state shows no image that is here, so no brain is drawn.", cls="dim")
                )
            elif shown is not None and self._brain is not None:
                self._session.see(self._brain.tissue)  # of another state of the same brain
            return
        doc = pn.state.curdoc
        if self._read_brain is None or doc is None:
            return
        self._forget_brain(tag("span", "The brain is being read.", cls="dim"))
        self._asked = shown
        self._read_beside(doc, *shown)

    def _forget_brain(self, note: Markup) -> None:
        self._asked, self._brain, self._brain_note = None, None, note
        self._session.see(None)
        self._reading += 1  # what is read for an earlier state ends
        self._show_brain()

    def _read_beside(self, doc: Document, asset: Asset, channel: ImageChannel) -> None:
        mine, told = self._reading, 0

        def progress(share: float) -> None:
            nonlocal told
            if share * 10 >= told + 1:
                told = int(share * 10)
                doc.add_next_tick_callback(lambda: self._tell(mine, tag("span", _percent(share), cls="dim")))

        def cancelled() -> bool:
            context = doc.session_context
            return mine != self._reading or (context is not None and context.destroyed)

        async def read() -> None:
            assert self._read_brain is not None
            try:
                brain = await self._read_brain(asset, channel, progress, cancelled)
            except CancelledError:
                return
            except TrackmapperError as error:
                words = tag("span", f"The brain is not drawn. {error}", cls="warn")
                await on_page(lambda: self._tell(mine, words))
                return
            words = f"Behind: brightest voxels of {channel.path.rpartition('/')[2]}, level {brain.level}."
            words += "" if brain.tissue else " No brain is told apart in it, so no track is held against its tissue."
            source = tag("span", words, cls="dim", title=brain.source)
            await on_page(lambda: self._tell(mine, source, brain))

        beside(read)

    def _tell(self, reading: int, note: Markup, brain: BrainImage | None = None) -> None:
        late = brain is None and self._brain is not None  # how far it was, told after it is there
        if reading != self._reading or self._session.opened is None or late:
            return
        self._brain, self._brain_note = brain, note
        self._say(self._session.opened)
        if brain is not None:
            self._show_brain()
            self._session.see(brain.tissue)

    def _show_brain(self) -> None:
        self.brightness.visible = self._brain is not None
        if self._plots is not None:
            self._plots.show_brain(self._brain.projections if self._brain else None, self.brightness.value / 100.0)


def _judged(opened: Opened) -> Markup:
    """By what targets are judged; nothing until that is known, and where there is no brain."""
    if opened.atlas is not None:
        return tag("span", "Targets: judged in the atlas, affine only. ", cls="dim", title=opened.atlas.note)
    if opened.no_atlas:
        return tag("span", "Targets: judged without the atlas. ", cls="dim", title=opened.no_atlas)
    return Markup("")


def _percent(share: float) -> str:
    return f"The brain is being read: {share:.0%}."
