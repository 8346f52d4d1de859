"""The selected row's track against what was recorded with it, in a picture and in sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import panel as pn
import panel.ui as pmui
from bokeh.plotting import figure

from core.models import Assignment, ImageFrame, Recording, Sorting
from core.same_probe import ShankPlace, of_one_sorting, place_of, reverse_shanks
from core.slots import recording_day
from core.subjects.units import StreamUnits
from core.suggestions.candidates import Candidate, other_probes, other_tracks
from core.suggestions.door import WeighedMouse, weigh_mouse
from core.unrolled import Unrolled, drawn_scale
from core.unrolled_words import describe
from dashboard import text
from dashboard.candidates_view import CandidateCards, Drawable
from dashboard.edits import Row
from dashboard.picture_buttons import picture_buttons
from dashboard.reading import Reading
from dashboard.saved_pictures import Kind
from dashboard.saved_unrolled import UnrolledPicture, draw_unrolled
from dashboard.state import Opened, Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.turns import beside, next_turn, on_page, soon
from dashboard.unrolled_columns import Column, column_of, columns_of
from dashboard.unrolled_layout import LEAST_BESIDE_PX, LEAST_PX, NO_PLANE, lay_out, lay_out_plane
from dashboard.unrolled_plots import HEIGHT, MOST_BESIDE_WIDTH, MOST_WIDTH, PlanePlot, UnrolledPlot
from dashboard.unrolled_source import Source, Stream, key_of, source_of, unroll_row

ReadUnits = Callable[[Sorting, str], Awaitable[StreamUnits]]
"""Reads the units of one stream of a sorting.

Raises:
    PlatformError: they cannot be read now.
"""


ROW, PROBES, TRACKS = "row", "probes", "tracks"
MODES = {"This assignment": ROW, "Other probes for this track": PROBES, "Other tracks for this probe": TRACKS}


class UnrolledView:
    """Drawn for the selected row, and hidden while there is none.

    Args:
        session: Whose row is shown.
        read_units: Asked for the units of the streams that are looked at; without it there are none.
    """

    def __init__(self, session: Session, read_units: ReadUnits | None = None) -> None:
        self._session = session
        read = None if read_units is None else lambda stream: read_units(*stream)
        self.units: Reading[Stream, tuple[str, str], StreamUnits] = Reading(read, key_of, self.draw)
        self._scale: tuple[str, ImageFrame, float] | None = None
        self._shown = ""
        self._picture: UnrolledPicture | None = None
        self._planned = False
        self.title = text.pane(Markup(""), [CSS], margin=(6, 10))
        self.facts = text.pane(Markup(""), [CSS], min_width=240, margin=(0, 10))
        self.reverse = pmui.Button(label="Reverse the shank order", size="small", variant="outlined", margin=(4, 3))
        self.reverse.on_click(lambda _: next_turn(self.reverse_order))
        self.compare = pmui.RadioButtonGroup(
            options=MODES,
            value=ROW,
            label="",
            size="small",
            margin=(4, 10),
            sx={"& .MuiToggleButton-root": {"textTransform": "none", "whiteSpace": "nowrap"}},
        )
        self.compare.param.watch(lambda _: next_turn(self.draw), "value")
        self.cards = CandidateCards(self.use)
        self.downloads = picture_buttons("track-against-recording", self.picture, margin=(4, 3))
        self._weighed: tuple[Opened, WeighedMouse | None] | None = None
        self._weighing: Opened | None = None
        # built before it is wanted: a browser takes a second for it, in which it answers no other press
        self._plots = UnrolledPlot(), PlanePlot()
        self._along, self._plane = (_pane(plot.figure) for plot in self._plots)
        self._told = pn.Column(self.facts, height=HEIGHT, scroll="y-auto", sizing_mode="stretch_width", margin=0)
        self.view = pn.Column(
            pn.FlexBox(
                self.title,
                self.compare,
                self.reverse,
                *self.downloads,
                align_items="center",
                sizing_mode="stretch_width",
            ),
            pn.Row(self._along, self._plane, self._told, self.cards.view, sizing_mode="stretch_width", margin=0),
            text.pane(_KEY, [CSS], margin=(0, 10)),
            visible=False,
            sizing_mode="stretch_width",
            margin=0,
        )
        session.param.watch(lambda *_: self.plan_drawing(), ["opened", "rows", "row", "tissue"])

    def plan_drawing(self) -> None:
        """Draw in a moment: table, views and cards answer a selection first."""
        if self._session.find(self._session.row) is None:
            self.view.visible = False
        elif pn.state.curdoc and not self._planned:
            self._planned = True
            soon(self.draw)

    def draw(self) -> None:
        """Show the selected row, and read the units of its streams when they are not known yet."""
        self._planned = False
        opened: Opened | None = self._session.opened
        row = self._session.find(self._session.row)
        if opened is None or row is None:
            self.view.visible = False
            return
        if row.id != self._shown:
            self.units.failed.clear()
            self._shown = row.id
        self.view.visible = True
        if self.compare.value != ROW:
            self._draw_candidates(opened, row)
            return
        source = source_of(opened, row.assignment)
        unrolled = self._unroll(opened, row.assignment, [each.assignment for each in self._session.rows], source)
        self._show(row.assignment, source.recording, unrolled, waits=self.units.want(source.streams))
        self.reverse.disabled = len(_held(self._members(row), source.places)) < 2

    def _unroll(self, opened: Opened, row: Assignment, rows: Sequence[Assignment], source: Source) -> Unrolled | None:
        known, tissue = self.units.known, self._session.tissue
        return unroll_row(opened, row, rows, source, known, tissue=tissue, scale=self._drawn_scale(opened))

    def _draw_candidates(self, opened: Opened, row: Row) -> None:
        """Show what else the row's track, or its probe's, could be."""
        tracks = self.compare.value == TRACKS
        name = (row.assignment.stream or "no stream") if tracks else row.assignment.track
        heading_words = "Tracks for one probe" if tracks else "Probes for one track"
        text.show(self.title, tag("div", tag("h2", heading_words), tag("span", name, cls="dim"), cls="row"))
        self._arrange(beside=True)
        mouse = self._weighed_mouse(opened)
        found = () if mouse is None else (other_tracks if tracks else other_probes)(mouse, row.assignment)
        shown = [Drawable(each, source_of(opened, each.assignment)) for each in found]
        wanted = [stream for each in shown for stream in each.source.streams]
        columns = [self._column(opened, each, tracks=tracks) for each in shown]
        drawn = [column for column in columns if column is not None]
        if drawn:
            laid = lay_out(drawn, opened.colors, least_px=LEAST_BESIDE_PX)
            self._plots[0].show(laid)
            self._picture = UnrolledPicture(f"{heading_words}: {name}", laid)
        self._along.visible = bool(drawn)
        waits = self.units.want(wanted)
        self.cards.show(found, opened.colors, tracks=tracks)
        self.cards.say(self._comparison(opened, shown, waits=waits))

    def _column(self, opened: Opened, shown: Drawable, *, tracks: bool) -> Column | None:
        each, recording = shown.candidate, shown.source.recording
        unrolled = self._unroll(opened, each.assignment, [each.assignment], shown.source)
        day = "score" if tracks or recording is None else recording_day(recording)[5:]
        head = each.assignment.track if tracks else each.assignment.stream
        line = f"{day} · {each.score:.1f}"
        return unrolled and column_of(unrolled, head, line, chosen=each.is_own, undrawn=shown.undrawn)

    def _comparison(self, opened: Opened, found: Sequence[Drawable], *, waits: bool) -> str:
        if self._weighed is None or self._weighed[0] is not opened:
            return "Every track is being held against every probe."
        if not found and self.compare.value == TRACKS:
            return "The row names no probe yet: choose its recording and stream, or look at other probes."
        if not found:
            return "No probe of this mouse is known."
        told = ["Scores are logarithms of odds; 0 stands for none of the probes.", *self._troubles()]
        if any(each.undrawn for each in found):
            told.append("Where a candidate leaves its shank or sorting open, nothing is drawn that depends on it.")
        return " ".join([*told, "Units are being read."] if waits else told)

    def _weighed_mouse(self, opened: Opened) -> WeighedMouse | None:
        """Every track held against every probe; None until that is done, beside the page."""
        if self._weighed is not None and self._weighed[0] is opened:
            return self._weighed[1]
        if opened.subject is None or not opened.whole:
            self._weighed = (opened, None)
        elif pn.state.curdoc is not None and self._weighing is not opened:
            self._weighing = opened

            async def weigh() -> None:
                await self.weigh(opened)
                await on_page(self.draw)

            beside(weigh)
        return None

    async def weigh(self, opened: Opened) -> None:
        """Hold every track of a state against every probe of its mouse."""
        if opened.subject is not None:
            mouse = await asyncio.to_thread(weigh_mouse, opened.state, opened.subject, atlas=opened.atlas)
            self._weighed = (opened, mouse)

    def use(self, candidate: Candidate) -> None:
        """Map as a candidate says: one change, and the row that had the place gets the other's."""
        mine = candidate.assignment
        rows = [row for row in self._session.rows if row.assignment.track == mine.track]
        shown = self._session.find(self._session.row)
        row = shown if shown in rows else next(iter(rows), None)
        if row is None:
            text.notify("warning", f"No row has the track {mine.track}. Add a row for it first.")
            return
        self._session.give_place(row.id, mine)
        self._session.select_row(row.id)

    def _show(self, row: Assignment, recording: Recording | None, unrolled: Unrolled | None, *, waits: bool) -> None:
        opened = self._session.opened
        place = f"{row.stream}, {recording.start[:16] or recording.name}" if recording and row.stream else "no stream"
        text.show(
            self.title,
            tag(
                "div",
                tag("h2", "Track against recording"),
                tag("span", f"{row.track} on {place}", cls="dim"),
                cls="row",
            ),
        )
        if unrolled is None or opened is None:
            self._along.visible = self._plane.visible = self.reverse.visible = self.cards.view.visible = False
            self._told.visible = True
            text.show(self.facts, tag("p", "The points of this track make no line, so nothing can be placed along it."))
            return
        laid = lay_out(columns_of(unrolled), opened.colors)
        flat = None if unrolled.plane is None else lay_out_plane(unrolled.plane, unrolled, opened.colors)
        self._picture = UnrolledPicture(f"{row.track} on {place}", laid, flat)
        self._plots[0].show(laid)
        self._plots[1].show(flat or NO_PLANE)
        # The parts keep their places whatever is selected: to arrange a page anew takes a browser seconds.
        self._arrange(beside=False)
        self._along.visible = True
        told = [tag("li", words) for words in (*describe(unrolled), *self._troubles())]
        if waits:
            told.append(tag("li", "The units are being read.", cls="dim"))
        text.show(self.facts, tag("ul", *told))

    def _arrange(self, *, beside: bool) -> None:
        """Give room to candidates beside each other, or to the probe of one row: a change of mode alone moves parts."""
        least, most = (LEAST_BESIDE_PX, MOST_BESIDE_WIDTH) if beside else (LEAST_PX, MOST_WIDTH)
        self._along.param.update(min_width=least, max_width=most)
        self._plane.visible = self.reverse.visible = self._told.visible = not beside
        self.cards.view.visible = beside

    async def picture(self, kind: Kind) -> bytes:
        """What is shown, as a file; b"" when nothing is."""
        return b"" if self._picture is None else await asyncio.to_thread(draw_unrolled, self._picture, kind)

    # --- units ------------------------------------------------------------------------------------

    def _troubles(self) -> list[str]:
        return [f"The units of {key[1]} could not be read. {error}" for key, error in self.units.failed.items()]

    # --- shanks -----------------------------------------------------------------------------------

    def reverse_order(self) -> None:
        """Turn the order of the probe's shanks round in all its rows, as one change."""
        row = self._session.find(self._session.row)
        opened = self._session.opened
        if row is None or opened is None:
            return
        members = self._members(row)
        turned = reverse_shanks([each.assignment for each in members], source_of(opened, row.assignment).places)
        after = {each.id: replace(each, assignment=new) for each, new in zip(members, turned, strict=True)}
        self._session.change(
            tuple(after.get(each.id, each) for each in self._session.rows),
            f"reversed shank order of {row.assignment.stream}",
        )

    def _members(self, row: Row) -> list[Row]:
        """The rows of the same probe in the same recording."""
        if self._session.opened is None:
            return []
        places = source_of(self._session.opened, row.assignment).places
        return [
            each
            for each in self._session.rows
            if (each.assignment.include or each.id == row.id)
            and of_one_sorting(each.assignment, row.assignment)
            and place_of(each.assignment, places) is not None
        ]

    def _drawn_scale(self, opened: Opened) -> float:
        key = (opened.state.sha256, opened.frame)
        if self._scale is None or self._scale[:2] != key:
            self._scale = (*key, drawn_scale(opened.state, opened.frame) or 1.0)
        return self._scale[2]


def _pane(made: figure) -> pn.pane.Bokeh:
    """A figure's pane with the figure's own layout: a pane takes that with a new figure, not with its first."""
    pane = pn.pane.Bokeh()
    pane.object = made
    return pane


_KEY = tag(
    "p",
    "● contact in the brain, △ contact above the surface or outside the tissue · ▮ units that pass quality control "
    "▯ other units, by 0.1 mm · shaded: above the surface (the upper end of the track) · ┅ the surface as "
    "planned, by how far the probe was moved in · ◈ nearest to the target. "
    "Contacts and units are placed from the tip, with the lowest row of electrodes 200 um above it. "
    "The probe's plane is drawn as it stands in the brain: L left, R right, P back, A front. Shank 1 is the left-most "
    "one seen from the side of the contacts with the tips down; which way they looked is a question for you, and "
    "Reverse the shank order turns the mapping round.",
    cls="dim",
)


def _held(rows: list[Row], places: tuple[ShankPlace, ...]) -> set[int]:
    return {place.number for row in rows if (place := place_of(row.assignment, places)) is not None}
