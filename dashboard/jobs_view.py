"""The Jobs page: what runs and what became of what ran, newest first, and everything kept of one job."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.errors import TrackmapperError
from core.platforms.choice import is_code_ocean
from dashboard import job_detail, text, url_state
from dashboard.context import Context
from dashboard.downloads import download_button
from dashboard.job_actions import JobActions
from dashboard.job_detail import Seen
from dashboard.job_links import Links
from dashboard.job_log import KeptLog, log_key
from dashboard.job_words import Windows, number
from dashboard.jobs_list import FILTERS, PAGE_SIZE, TITLES, WIDTHS, Counts, Wanted, count_jobs, frame, list_jobs
from dashboard.tables import COMPACT, DENSE, SIGNED, TITLED, LiveTable
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS
from dashboard.turns import on_page
from jobs.records import JobRecord

LOG_BYTES = 20_000
LOGS_KEPT = 12
_PAUSE = "Pause launches"


class JobsView:
    """List and detail. `tick` is called by the page's clock and asks only for a number when nothing has changed.

    Args:
        context: Store and platform.
        user: Who presses the buttons.
        zone: The viewer's time zone; None when unknown.
    """

    def __init__(self, context: Context, user: str, zone: Callable[[], tzinfo | None]) -> None:
        self._context, self._user, self._zone = context, user, zone
        self._jobs: tuple[JobRecord, ...] = ()
        self._counts = Counts()
        self._off_page: JobRecord | None = None
        self._paused_by = ""
        self._version = -1
        self._before: list[str] = []
        self._loads = 0
        self._logs: OrderedDict[tuple[str, ...], KeptLog] = OrderedDict()
        self._reading: set[tuple[str, ...]] = set()
        self._links = Links(context.reader, context.settings)
        minutes = context.settings
        self._windows = (
            Windows(minutes.asset_settle_minutes * 60, minutes.run_settle_minutes * 60)
            if is_code_ocean(context.settings)
            else None
        )
        address = url_state.read()
        show = address.get("show", "all")
        self._shown = show if show in FILTERS else "all"
        self.chosen = address.get("job", "").zfill(12) if address.get("job") else ""
        self.show = pmui.RadioButtonGroup(
            options={words: key for key, (words, _) in FILTERS.items()},
            value=self._shown,
            label="",
            sx={"& .MuiToggleButton-root": {"whiteSpace": "nowrap"}},
            width=480,
            size="small",
            margin=(8, 10),
        )
        self.subject = pmui.TextInput(label="Mouse", value=address.get("subject", ""), size="small", width=120)
        self.who = pmui.TextInput(label="Who", value=address.get("who", ""), size="small", width=140)
        self.newer = _button("Newer", self._go_newer)
        self.older = _button("Older", self._go_older)
        self.pause = _button(_PAUSE, self._turn_pause)
        self.table = pn.widgets.Tabulator(
            frame((), datetime.now(UTC), None),
            show_index=False,
            stylesheets=[COMPACT],
            titles=TITLES,
            widths=WIDTHS,
            height=320,
            sizing_mode="stretch_width",
            layout="fit_columns",
            disabled=True,
            selectable=1,
            formatters={"state": SIGNED, "error": TITLED, "who": TITLED},
            configuration=DENSE | {"placeholder": "No jobs match"},
        )
        self._live = LiveTable(self.table)
        styles = [CSS, job_detail.DETAIL_CSS]
        self.head, self.body = text.pane(Markup(""), styles), text.pane(Markup(""), styles)
        self.empty = text.pane(Markup(""), [CSS])
        self.actions = JobActions(context, user, self._acted)
        self.report = download_button(
            "Mapping report", "mapping-report.html", self._report, margin=(8, 4), visible=False
        )
        self.log_title = text.pane(Markup(""), styles, sizing_mode=None)
        self.log = text.pane(Markup(""), styles)
        self.refresh_log = _button("Refresh log", self._refresh_log)
        self._log_view = pn.Column(
            pn.Row(self.log_title, self.refresh_log, margin=0), self.log, sizing_mode="stretch_width", visible=False
        )
        self.view = pn.Column(
            pn.FlexBox(self.show, self.subject, self.who, self.newer, self.older, self.pause, align_items="center"),
            self.table,
            self.empty,
            self.head,
            pn.Row(self.actions.view, self.report, sizing_mode="stretch_width", margin=0),
            self.body,
            self._log_view,
            sizing_mode="stretch_width",
            margin=0,
        )
        for widget in (self.show, self.subject, self.who):
            widget.param.watch(self._filtered, "value")
        self.table.param.watch(self._selected, "selection")

    @property
    def wanted(self) -> Wanted:
        """The filters as they stand."""
        return Wanted(self._shown, self.subject.value.strip(), self.who.value.strip())

    # --- showing -----------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Read again when a job has changed; always bring the running times up to date."""
        version = await asyncio.to_thread(self._context.store.version)
        if version != self._version:
            self._version = version
            await self.load()
        else:
            await on_page(self._draw)

    async def load(self) -> bool:
        """Read the page of jobs that is wanted, and the chosen job; its log follows. False: it was not read."""
        self._loads += 1
        is_read = False
        mine, wanted = self._loads, self.wanted
        before = self._before[-1] if self._before else None
        store = self._context.store
        try:
            jobs = await asyncio.to_thread(list_jobs, store, wanted, before)
            counts = await asyncio.to_thread(count_jobs, store)
            paused_by = await asyncio.to_thread(store.paused_by)
            off_page = self._off_page
            if self.chosen and all(job.id != self.chosen for job in jobs):
                off_page = await asyncio.to_thread(store.get, self.chosen)
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
        else:
            if mine != self._loads:
                return False  # what was read is older than a filter that was set meanwhile; the newer reading draws
            self._jobs, self._counts, self._off_page, self._paused_by = jobs, counts, off_page, paused_by
            is_read = True
        await on_page(self._draw)
        job = self.job
        if job is not None and log_key(job) not in self._logs:
            await self._read_log(job)
        return is_read

    @property
    def job(self) -> JobRecord | None:
        """The chosen job."""
        return next((job for job in self._jobs if job.id == self.chosen), None) or (
            self._off_page if self._off_page and self._off_page.id == self.chosen else None
        )

    def _draw(self) -> None:
        now, zone = datetime.now(UTC), self._zone()
        labels = {self._counts.label(key): key for key in FILTERS}
        if labels != self.show.options:
            self.show.options = labels
        self._live.show(frame(self._jobs, now, zone))
        ids = list(self.table.value.index)
        wanted = [ids.index(self.chosen)] if self.chosen in ids else []
        if list(self.table.selection) != wanted:
            self.table.selection = wanted
        label = f"Go on: paused by {text.plain(self._paused_by, 40)}" if self._paused_by else _PAUSE
        if self.pause.label != label:
            self.pause.label = label
        self.newer.disabled, self.older.disabled = not self._before, len(self._jobs) < PAGE_SIZE
        text.show(self.empty, Markup("") if self._jobs or self._counts.everything else _NOTHING)
        self._draw_job(now, zone)

    def _draw_job(self, now: datetime, zone: tzinfo | None) -> None:
        job = self.job
        self.actions.show(job)
        if self._log_view.visible is (job is None):
            self._log_view.visible = job is not None
        kept_report = bool(job and job.report_sha256)
        if self.report.visible is not kept_report:
            self.report.visible = kept_report
        if job is None:
            select = tag("p", "Select a job to see all that is kept of it.", cls="dim")
            text.show(self.head, select if self._jobs else Markup(""))
            text.show(self.body, Markup(""))
            return
        seen = Seen(self._links, self._windows, now, zone)
        text.show(self.head, job_detail.head(job, seen))
        text.show(self.body, job_detail.body(job, seen))
        kept = self._logs.get(log_key(job))
        if kept is None:  # the log of an earlier state stays until the new one is there
            kept = next((self._logs[key] for key in reversed(self._logs) if key[0] == job.id), None)
        text.show(self.log_title, job_detail.log_title(kept))
        text.show(self.log, job_detail.log(kept))

    async def _report(self) -> bytes:
        """The chosen job's report; its file is named by the job."""
        job = self.job
        if job is None:
            return b""
        name = f"job-{number(job.id)}-mapping-report.html"
        await on_page(lambda: self.report.param.update(filename=name))
        try:
            return await asyncio.to_thread(self._context.store.kept_report, job)
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
            return b""

    # --- the log: asked for when a job is chosen, when its state changes, and on demand ---------------

    async def _read_log(self, job: JobRecord) -> None:
        key = log_key(job)
        if key in self._reading:
            return
        self._reading.add(key)
        try:
            self._logs[key] = await self._context.ask(self._context.job_log, job, LOG_BYTES)
        except TrackmapperError as error:
            self._logs[key] = KeptLog(trouble=str(error))
        finally:
            self._reading.discard(key)
        self._logs.move_to_end(key)
        while len(self._logs) > LOGS_KEPT:
            self._logs.popitem(last=False)
        await on_page(self._draw)

    async def _refresh_log(self, _event: Event) -> None:
        job = self.job
        if job is None:
            return
        await on_page(lambda: self.refresh_log.param.update(disabled=True))
        try:
            await self._read_log(job)
        finally:
            await on_page(lambda: self.refresh_log.param.update(disabled=False))

    # --- choosing ----------------------------------------------------------------------------------

    async def choose(self, job_id: str) -> None:
        """Show the detail of a job, or of none."""
        self.chosen = job_id
        await on_page(lambda: url_state.write(job=number(job_id) if job_id else ""))
        await self.load()

    async def _selected(self, _event: Event) -> None:
        ids = list(self.table.value.index)
        chosen = [ids[i] for i in self.table.selection if i < len(ids)]
        if chosen and chosen[0] != self.chosen:
            await self.choose(chosen[0])

    async def _filtered(self, _event: Event) -> None:
        if self.show.value not in FILTERS:  # the browser loses it when the words of the buttons change while it draws
            await on_page(lambda: self.show.param.update(value=self._shown))
            return
        self._shown = self.show.value
        self._before.clear()
        wanted = self.wanted
        show = wanted.show if wanted.show != "all" else ""
        await on_page(lambda: url_state.write(show=show, subject=wanted.subject, who=wanted.who))
        hidden = self.chosen
        if await self.load() and hidden == self.chosen != "" and all(job.id != hidden for job in self._jobs):
            await self.choose("")

    async def _turn_pause(self, _event: Event) -> None:
        """Hold back all that makes something, for every job, or go on: what the label said when it was pressed."""
        by = "" if self._paused_by else self._user
        try:
            await asyncio.to_thread(self._context.store.set_paused, by)
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
            return
        words = (
            "Paused. Runs that go on are watched and counted; nothing new is made." if by else "Not paused any more."
        )
        await on_page(lambda: text.notify("success", words))
        await self.load()

    async def _go_older(self, _event: Event) -> None:
        if self._jobs:
            self._before.append(self._jobs[-1].id)
            await self.load()

    async def _go_newer(self, _event: Event) -> None:
        if self._before:
            self._before.pop()
            await self.load()

    async def _acted(self, job_id: str) -> None:
        if job_id:
            self.chosen = job_id
        await self.load()


def _button(words: str, action: Callable[..., object]) -> pmui.Button:
    made = pmui.Button(label=words, size="small", variant="outlined", margin=(8, 4))
    made.on_click(action)
    return made


_NOTHING = tag(
    "div",
    join(
        [
            tag("h2", "No jobs yet"),
            tag("p", "Launch a mapping on the Map page; the job appears here and is watched to its counted result."),
        ]
    ),
    cls="empty",
)
