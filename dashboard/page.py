"""One session's page: header, the three views, the clock that keeps them fresh, and the guards round Panel."""

from __future__ import annotations

import asyncio
from datetime import tzinfo
from functools import cached_property, partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.checks import read_thresholds
from core.errors import NotFoundError, TrackmapperError
from dashboard import text, url_state
from dashboard.context import Context, get_context
from dashboard.copying import Copier
from dashboard.drafts import Drafts
from dashboard.edits import Row
from dashboard.going_back import GoingBack
from dashboard.header import BANNER_CSS, HEADER_CSS, Shown, banner, status
from dashboard.help_view import help_page
from dashboard.jobs_view import JobsView
from dashboard.keyboard import OpenByKey
from dashboard.launch_view import LaunchView
from dashboard.mapping_view import MappingView
from dashboard.news import News
from dashboard.opening import Given, check_rows
from dashboard.other_window import OtherWindow
from dashboard.source_view import SourceView
from dashboard.state import Opened, Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS, HEADER_SX, THEME_CONFIG
from dashboard.turns import beside, every, on_page
from dashboard.warming import warm_up
from jobs import exposure
from jobs.clock import utc_now
from jobs.notices import Notice

TICK_MS = 1000
PAGES = {"Map": "map", "Jobs": "jobs", "Help": "help"}


def make_page(title: str, header: list[pn.viewable.Viewable], main: list[pn.viewable.Viewable]) -> pmui.Page:
    """A page that neither outlives its session nor slows down the others."""
    page = pmui.Page(
        title=title,
        header=header,
        main=main,
        theme_config=THEME_CONFIG,
        sx=HEADER_SX,
        busy_indicator=None,
        sidebar_variant="temporary",
        sidebar_open=False,
    )
    detach_busy_watcher(page)
    # the clean-up of the busy counter must start on the event loop: from a worker thread it would spin for ever
    if hasattr(pn.state, "_schedule_busy_cleanup") and pn.state.curdoc:
        pn.state._schedule_busy_cleanup()
    return page


def detach_busy_watcher(page: pmui.Page) -> None:
    """Take the page off the process-wide busy flag: it keeps the page alive and updates it for everybody's events."""
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", [])):
        if getattr(getattr(watcher.fn, "__self__", None), "self", None) is page:
            pn.state.param.unwatch(watcher)


def viewer_zone() -> tzinfo | None:
    """The viewer's time zone, None until the browser has said it."""
    info = pn.state.browser_info
    try:
        return ZoneInfo(info.timezone) if info and info.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def serve() -> None:
    """Build this session's page. Called by the served script, once per session."""
    addresses = exposure.listening_addresses()
    if not exposure.may_show(addresses):
        title, *lines = exposure.refusal(addresses)
        refused = tag("div", tag("h2", title), *(tag("p", line) for line in lines), cls="empty", role="alert")
        make_page("Trackmapper", [], [text.pane(refused, [CSS])]).servable()
        return
    try:
        context = get_context()
    except TrackmapperError as error:
        trouble = tag("div", tag("h2", "Trackmapper cannot start"), tag("p", str(error)), cls="empty", role="alert")
        make_page("Trackmapper", [], [text.pane(trouble, [CSS])]).servable()
        return
    warm_up()
    Dashboard(context).page.servable()


class Dashboard:
    """Everything one person sees, wired together."""

    def __init__(self, context: Context) -> None:
        self.context = context
        signed_in = pn.state.user not in (None, "", "guest")
        self.user = str(pn.state.user) if signed_in else context.settings.user_name
        self._signed_in = signed_in
        self.session = Session(partial(check_rows, limits=read_thresholds(context.settings.thresholds)))
        self.drafts = Drafts(context.store, self.user)
        self.news = News(context.store)
        self._asking: asyncio.Task[object] | None = None
        self._mapping: MappingView | None = None
        self._hello = text.pane(_welcome(), [CSS])
        self._below = pn.Column(self._hello, sizing_mode="stretch_width", margin=0)
        self._status = text.pane(Markup(""), [CSS, HEADER_CSS], align="center", margin=(0, 10))
        self._banner = text.pane(Markup(""), [CSS, BANNER_CSS], margin=0)
        asked = url_state.read().get("page", "map")
        self.nav = pmui.RadioButtonGroup(
            options=PAGES,
            value=asked if asked in PAGES.values() else "map",
            label="",
            size="small",
            align="center",
            margin=(4, 10),
            sx={
                "& .MuiToggleButton-root": {"color": "inherit", "borderColor": "currentColor"},
                "& .MuiToggleButton-root.Mui-selected": {
                    "color": "inherit",
                    "backgroundColor": "rgba(255,255,255,0.22)",
                },
            },
        )
        self._views = {
            "map": pn.Column(sizing_mode="stretch_width", margin=0),
            "jobs": pn.Column(sizing_mode="stretch_width", margin=0),
            "help": pn.Column(sizing_mode="stretch_width", margin=0),
        }
        self.page = make_page(
            "Trackmapper",
            [self.nav, self._status],
            [
                pn.Column(
                    self._banner,
                    *self._views.values(),
                    *(unseen(width=0, height=0, margin=0) for unseen in (Copier, GoingBack, OpenByKey)),
                    sizing_mode="stretch_width",
                    margin=(6, 12),
                )
            ],
        )
        self.nav.param.watch(self._turn_to, "value")
        self.session.param.watch(self._show_mapping, "opened")
        self._show_page()
        pn.state.onload(self._loaded)

    # What a visit may never come to is built when it does, and the rest in turns: a page must hold up nobody else's.

    @cached_property
    def source(self) -> SourceView:
        """Where a state is given."""
        return SourceView(self.context, self.session, self._restore, self._opened_from)

    @cached_property
    def other_window(self) -> OtherWindow:
        """What is said when another window changed the same mapping."""
        return OtherWindow(self.session, self.drafts, viewer_zone)

    @cached_property
    def launch(self) -> LaunchView:
        """The launch bar and its dialog."""
        return LaunchView(self.context, self.session, self.user, self._launched)

    @cached_property
    def jobs(self) -> JobsView:
        """The Jobs page."""
        return JobsView(self.context, self.user, viewer_zone)

    # --- life ----------------------------------------------------------------------------------------

    def _loaded(self) -> None:
        self._views["map"][:] = [self.source.view, self.other_window.view, self._below]
        if pn.state.curdoc:
            pn.state.on_session_destroyed(lambda _: self.drafts.save(self.session.held()))
        beside(self._begin)
        every(TICK_MS, self.tick)

    async def _begin(self) -> None:
        await asyncio.to_thread(self.news.look)
        await asyncio.gather(self._refresh_status(), self.source.load_saved(), self._reopen())

    async def tick(self) -> None:
        """Once a second: keep the draft, look at the worker and the notices, and at the jobs when they are shown."""
        try:
            kept = await asyncio.to_thread(self.drafts.save, await on_page(self.session.held))
            notices = await asyncio.to_thread(self.news.look)
            await self._refresh_status()
            await on_page(lambda: self._tell(notices, draft_kept=kept))
            if self.nav.value == "jobs":
                await self.jobs.tick()
        except TrackmapperError as error:
            trouble = tag("span", f"✕ {error.message}", cls="pill")
            await on_page(lambda: text.show(self._status, trouble))

    def _tell(self, notices: tuple[Notice, ...], *, draft_kept: bool) -> None:
        if draft_kept:
            self.session.saved = "draft kept"
        self.other_window.look()
        self.source.tick()
        self.news.tell(notices, looking=self.nav.value == "jobs")
        self._name_pages()

    async def _reopen(self) -> None:
        address = url_state.read()
        given = Given(saved=address["state"]) if address.get("state") else None
        if given is None and address.get("draft"):
            given = await asyncio.to_thread(self.drafts.kept_state, address["draft"])
            if given is None:
                await on_page(lambda: self.session.param.update(phase="refused", refusal=_not_kept()))
        if given is not None:
            await self.source.open(given)

    def _restore(self, opened: Opened) -> tuple[Row, ...] | None:
        self.drafts.save(self.session.held())  # what was edited since the last tick, of the state that goes
        return self.drafts.restore(opened)

    def _opened_from(self, given: Given) -> None:
        opened: Opened = self.session.opened
        if given.saved:
            url_state.write(state=given.saved, draft="")
        else:
            self.drafts.keep_state(opened)
            url_state.write(state="", draft=opened.state.sha256[:16])

    # --- pages ---------------------------------------------------------------------------------------

    def _turn_to(self, event: Event) -> None:
        url_state.write(page=event.new if event.new != "map" else "")
        self._show_page()
        if event.new == "jobs":
            self.news.unseen = 0
            self._name_pages()
            beside(self.jobs.tick)

    def _name_pages(self) -> None:
        """On the button of the Jobs page, how much has happened there unseen."""
        jobs = f"Jobs ({self.news.unseen} new)" if self.news.unseen else "Jobs"
        options = {jobs if page == "jobs" else words: page for words, page in PAGES.items()}
        if options != self.nav.options:
            self.nav.options = options

    def _show_page(self) -> None:
        for name, view in self._views.items():
            view.visible = name == self.nav.value
        if self.nav.value == "help" and not self._views["help"].objects:
            self._views["help"].append(help_page())
        if self.nav.value == "jobs" and not self._views["jobs"].objects:
            self._views["jobs"].append(self.jobs.view)

    def _show_mapping(self, _event: Event) -> None:
        if self._mapping is None:
            context = self.context
            self._mapping = MappingView(
                self.session,
                self._launch_view,
                context.units_of,
                context.brain_of,
                context.facts_of,
                context.settings.viewer_addresses,
                self.user,
            )
            self._hello.visible = False
            self._below.append(self._mapping.view)

    def _launch_view(self) -> pn.viewable.Viewable:
        if self._mapping is not None:
            self.launch.evidence = self._mapping.evidence
        if pn.state.curdoc:
            beside(self.launch.load_offer)
        return self.launch.view

    async def _launched(self, job_id: str) -> None:
        await on_page(lambda: self.nav.param.update(value="jobs"))
        await self.jobs.choose(job_id)

    # --- header --------------------------------------------------------------------------------------

    async def _refresh_status(self) -> None:
        # The platform is asked beside the page's clock, which must not wait for it.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.context.ask(self.context.health.look))
        worker = await asyncio.to_thread(self.context.worker)
        opened: Opened | None = self.session.opened
        mouse = "" if opened is None else f"mouse {opened.state.subject or 'unknown'}"
        reader, seen = self.context.reader, self.context.health.last
        shown = Shown(reader.name, reader.launch_refusal, seen, worker, utc_now(), viewer_zone())
        line = status(shown, mouse, self.user, signed_in=self._signed_in)
        await on_page(lambda: self._say_status(line, banner(shown)))

    def _say_status(self, line: Markup, warning: Markup) -> None:
        text.show(self._status, line)
        text.show(self._banner, warning)


def _not_kept() -> NotFoundError:
    return NotFoundError(
        "the state that this address names was pasted, and is not kept any more",
        cure="Paste it again: what was mapped of it is still there. The last ones that a person pasted are kept.",
    )


def _welcome() -> Markup:
    steps = (
        "Paste a Neuroglancer link or a state’s JSON above, upload its file, or pick one of the saved states.",
        "You will see every drawn track beside what is known of each recording.",
        "Decide which track belongs to which probe and shank, launch, and see the result counted on the Jobs page.",
    )
    return tag("div", tag("h2", "Give a Neuroglancer state to begin"), *(tag("p", step) for step in steps), cls="empty")
