"""The Map page: source, plots beside recordings, the mapping with its tools, problems, launch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.errors import TrackmapperError
from core.manifest import read_csv, rows_from_mapping, write_csv
from core.models import Problem, Severity
from dashboard import edits, text
from dashboard.assignment_table import AssignmentTable
from dashboard.cards_view import CardsView, ReadFacts
from dashboard.csv_upload import Taken, take_csv
from dashboard.downloads import download_button
from dashboard.evidence import Evidence
from dashboard.mapping_report import Origin, mapping_report
from dashboard.plots_view import PLOTS_HEIGHT, PlotsView, ReadBrain
from dashboard.problems_view import ProblemsView
from dashboard.recording_cards import tracks_without_row
from dashboard.state import Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.track_detail import detail
from dashboard.turns import in_turns, next_turn, on_page
from dashboard.unrolled_view import ReadUnits, UnrolledView
from dashboard.viewer_view import NeuroglancerView, viewers_here
from jobs.submission import own_version

_TWO_COLUMNS = """
:host { display: grid !important; grid-template-columns: minmax(0, 700px) minmax(0, 1fr); gap: 16px; }
@media (max-width: 1100px) { :host { grid-template-columns: minmax(0, 1fr); } }
"""


class MappingView:
    """Everything below the source row, shown when a state is open."""

    def __init__(
        self,
        session: Session,
        launch: Callable[[], pn.viewable.Viewable],
        read_units: ReadUnits | None = None,
        read_brain: ReadBrain | None = None,
        read_facts: ReadFacts | None = None,
        viewer_addresses: Sequence[str] = (),
        user: str = "",
    ) -> None:
        self._session, self._user = session, user
        self._read_units, self._viewer_addresses = read_units, viewer_addresses
        self.table = AssignmentTable(session)
        self.plots = PlotsView(session, read_brain)
        self.cards = CardsView(session, read_facts)
        self.detail = text.pane(Markup(""), [CSS])
        self._make_tools()
        self.view = pn.Column(sizing_mode="stretch_width", margin=0)
        in_turns(self._put_together(launch))
        # the table and the views answer first; what a selection changes comes in one turn: a browser paints between two
        session.param.watch(
            lambda *_: next_turn(self.refresh), ["opened", "rows", "checked", "undoable", "redoable", "saved"]
        )
        session.param.watch(lambda *_: self.refresh(), ["track", "row"])
        self.refresh()

    def _put_together(self, launch: Callable[[], pn.viewable.Viewable]) -> Iterator[None]:
        """What is seen first comes first. Each part has a place of its own: the browser draws all of a column anew."""
        side = pn.Column(
            text.pane(tag("h2", "Recordings, oldest first"), [CSS]),
            pn.Column(
                self.cards.pane, height=PLOTS_HEIGHT - 30, scroll="y-auto", sizing_mode="stretch_width", margin=0
            ),
            sizing_mode="stretch_width",
            margin=0,
        )
        upper = pn.Column(self.plots.view, side, stylesheets=[_TWO_COLUMNS], sizing_mode="stretch_width", margin=0)
        parts: list[Callable[[], pn.viewable.Viewable]] = [
            lambda: upper,
            lambda: self.tools,
            lambda: self.table.view,
            lambda: self.detail,
            lambda: self.neuroglancer.view,
            lambda: self.unrolled.view,
            lambda: self.problems.view,
            launch,
        ]
        places = [pn.Column(sizing_mode="stretch_width", margin=0) for _ in parts]
        self.view[:] = [*places, self.cards.picker]
        for place, part in zip(places, parts, strict=True):
            yield
            place.append(part())
            if place is places[0]:
                yield
                yield from self.plots.drawing()
        self.plots.plan_drawing()

    @cached_property
    def problems(self) -> ProblemsView:
        """The list of problems."""
        return ProblemsView(self._session)

    @cached_property
    def unrolled(self) -> UnrolledView:
        """The selected row's track against its recording."""
        return UnrolledView(self._session, self._read_units)

    @cached_property
    def neuroglancer(self) -> NeuroglancerView:
        """The link into Neuroglancer, and its viewer."""
        return NeuroglancerView(self._session, self._viewer_addresses, viewers_here())

    def _make_tools(self) -> None:
        def button(words: str, action: Callable[[Event], object]) -> pmui.Button:
            # no description: the component would make it the button's accessible name
            made = pmui.Button(label=words, size="small", variant="outlined", margin=(4, 3))
            made.on_click(lambda event: next_turn(partial(action, event)))
            return made

        session = self._session
        self.accept = button("Accept certain", lambda _: self.accept_certain())
        self.use = button("Use suggestion", lambda _: session.accept(session.row))
        self.undo = button("Undo", lambda _: session.undo())
        self.redo = button("Redo", lambda _: session.redo())
        self.copy = button("Duplicate row", lambda _: session.select_row(session.duplicate(session.row)))
        self.drop = button("Remove row", lambda _: session.remove(session.row))
        self.add_track = pmui.Select(label="Add a row for", options={"–": ""}, size="small", width=170, margin=(0, 3))
        self.add_track.param.watch(self._add, "value")
        self.download = download_button("CSV", "manifest.csv", self._csv, margin=(4, 3))
        self.report = download_button("Report", "mapping-report.html", self._report, margin=(4, 3))
        self.upload = pmui.FileInput(
            label="Upload CSV",
            uploaded_label="Upload CSV",
            accept=".csv",
            size="small",
            variant="outlined",
            max_file_size=4 * 1024 * 1024,
            width=130,
            margin=(4, 3),
        )
        self.upload.param.watch(self._uploaded, "value")
        self.title = text.pane(tag("h2", "Mapping"), [CSS], sizing_mode=None, width=210, margin=(10, 10, 0, 10))
        self.tools = pn.FlexBox(
            self.title,
            self.accept,
            self.use,
            self.undo,
            self.redo,
            self.copy,
            self.drop,
            self.add_track,
            self.download,
            self.report,
            self.upload,
            align_items="center",
            sizing_mode="stretch_width",
            margin=(10, 0, 0, 0),
        )

    def refresh(self) -> None:
        """Bring detail and buttons to what the session holds."""
        session = self._session
        opened = session.opened
        if opened is None:
            return
        names = [layer.name for layer in opened.state.tracks]
        missing = tracks_without_row(names, (row.assignment for row in session.rows))
        options = {"–": ""} | {
            shown: name
            for name, shown in edits.unique_labels(
                {name: text.label(name) + (" (no row)" if name in missing else "") for name in names}
            ).items()
        }
        if options != self.add_track.options:
            self.add_track.param.update(options=options, value="")
        selected = session.find(session.row)
        proposal = session.suggestion(session.track)
        proposed = edits.take(selected, proposal) if selected and proposal and proposal.assignment else None
        certain = edits.accept_certain(session.rows, {s.track: s for s in opened.suggestions}) != session.rows
        states = {
            self.accept: certain,
            self.use: proposed is not None and proposed != selected,
            self.undo: bool(session.undoable),
            self.redo: bool(session.redoable),
            self.copy: bool(selected),
            self.drop: bool(selected),
        }
        for button, usable in states.items():
            if button.disabled == usable:
                button.disabled = not usable
        text.show(self.title, tag("div", tag("h2", "Mapping"), tag("span", session.saved, cls="dim"), cls="row"))
        text.show(self.detail, detail(session))

    def accept_certain(self) -> None:
        """Take every certain suggestion, as one change."""
        taken = self._session.accept_certain()
        text.notify("success", f"{text.count(taken, 'suggestion')} accepted. Undo takes all of them back.")

    def _add(self, event: Event) -> None:
        if event.new:
            self._session.select_row(self._session.add(str(event.new)))
            self.add_track.value = ""

    def evidence(self) -> Evidence:
        """What has been read for the pictures until now."""
        return Evidence(self.plots.brain, self._session.tissue, self.unrolled.units.known)

    async def _csv(self) -> bytes:
        session = self._session
        if session.opened is None:
            return b""
        return write_csv(rows_from_mapping(session.mapping, session.opened.subject, session.opened.state))

    async def _report(self) -> bytes:
        session = self._session
        if session.opened is None:
            return b""
        origin = Origin(self._user, datetime.now(UTC), own_version())
        return await asyncio.to_thread(
            mapping_report, session.opened, session.rows, session.checked, origin, self.evidence()
        )

    async def _uploaded(self, event: Event) -> None:
        if event.new is None or self._session.opened is None:
            return
        opened = self._session.opened
        try:
            table = await asyncio.to_thread(read_csv, bytes(event.new))
            taken = take_csv(table, opened, [row.assignment for row in self._session.rows])
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
            return
        finally:
            await on_page(self.upload.clear)
        await on_page(lambda: self._take(taken, table.problems))

    def _take(self, taken: Taken, problems: Sequence[Problem]) -> None:
        self._session.replace_all(taken.assignments, "upload of a CSV")
        text.notify("warning" if taken.warns else "success", taken.words, 20 if taken.warns else 8)
        for problem in problems[:5]:
            if problem.severity is not Severity.INFO:
                text.notify("warning", f"{problem.rule} {problem.message} {problem.cure}")
