"""The Jobs page: what runs and what became of what ran, newest first, and everything kept of one job."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import pandas as pd
import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.errors import TrackmapperError
from dashboard import job_detail, text, url_state
from dashboard.context import Context
from dashboard.job_words import since, state_line, tracks_line, trouble
from dashboard.tables import COMPACT, SIGNED, TITLED, sync
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS
from jobs.records import ENDS, JobRecord, JobState
from jobs.store import JobStore
from jobs.submission import Choice, cancel, resolve, retry

PAGE_SIZE = 50
LOG_BYTES = 20_000
FILTERS: dict[str, tuple[str, frozenset[JobState]]] = {
    "active": ("Active", frozenset(JobState) - ENDS),
    "needs-you": ("Needs you", frozenset({JobState.NEEDS_YOU})),
    "failed": ("Failed", frozenset({JobState.FAILED, JobState.INCOMPLETE, JobState.REFUSED})),
    "done": ("Done", frozenset({JobState.SUCCEEDED, JobState.CANCELLED})),
    "all": ("All", frozenset()),
}
TITLES = {
    "state": "State",
    "subject": "Mouse",
    "tracks": "Tracks",
    "error": "What is wrong",
    "who": "Who",
    "when": "Launched",
    "changed": "Last change",
    "job": "Job",
}
WIDTHS = {"state": 230, "subject": 90, "tracks": 85, "error": 420, "who": 110, "when": 150, "changed": 150, "job": 60}
CHOICES = {
    Choice.LOOK_AGAIN: "Look again",
    Choice.START_AGAIN: "Send it once more",
    Choice.GIVE_UP: "Give up",
}
"""What a person may decide when a job needs them."""
RETRIABLE = frozenset({JobState.FAILED, JobState.INCOMPLETE, JobState.CANCELLED, JobState.REFUSED})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the list shows."""

    show: str = "all"
    subject: str = ""
    who: str = ""


def frame(jobs: tuple[JobRecord, ...], now: datetime, zone: tzinfo | None) -> pd.DataFrame:
    """One line per job, indexed by job id."""
    lines = [
        [
            state_line(job, now),
            text.plain(job.subject, 40),
            tracks_line(job),
            text.plain(trouble(job), 300),
            text.plain(job.created_by, 60),
            text.moment(job.created, now, zone),
            text.moment(since(job), now, zone),
            job.id.lstrip("0"),
        ]
        for job in jobs
    ]
    return pd.DataFrame(lines, columns=list(TITLES), index=[job.id for job in jobs], dtype="str")


def list_jobs(context: Context, wanted: Wanted, before: str | None) -> tuple[JobRecord, ...]:
    """A page of jobs, newest first."""
    states = FILTERS.get(wanted.show, FILTERS["all"])[1]
    if wanted.show in ("active", "needs-you") and not (wanted.subject or wanted.who) and before is None:
        return tuple(job for job in reversed(context.store.active()) if job.state in states)[:PAGE_SIZE]
    return context.store.newest(PAGE_SIZE, before=before, states=states, subject=wanted.subject, by=wanted.who)


class JobsView:
    """List and detail. `tick` is called by the page's clock and asks only for a number when nothing has changed.

    Args:
        context: The store.
        user: Who presses the buttons.
        zone: The viewer's time zone; None when unknown.
    """

    def __init__(self, context: Context, user: str, zone: Callable[[], tzinfo | None]) -> None:
        self._context, self._user, self._zone = context, user, zone
        self._jobs: tuple[JobRecord, ...] = ()
        self._log: dict[str, str] = {}
        self._off_page: JobRecord | None = None
        self._version = -1
        self._before: list[str] = []
        address = url_state.read()
        show = address.get("show", "all")
        self.chosen = address.get("job", "").zfill(12) if address.get("job") else ""
        self.show = pmui.RadioButtonGroup(
            options={words: key for key, (words, _) in FILTERS.items()},
            value=show if show in FILTERS else "all",
            label="",
            sx={"& .MuiToggleButton-root": {"whiteSpace": "nowrap"}},
            width=430,
            size="small",
            margin=(8, 10),
        )
        self.subject = pmui.TextInput(label="Mouse", value=address.get("subject", ""), size="small", width=120)
        self.who = pmui.TextInput(label="Who", value=address.get("who", ""), size="small", width=140)
        self.newer = self._button("Newer", self._go_newer)
        self.older = self._button("Older", self._go_older)
        self.table = pn.widgets.Tabulator(
            frame((), datetime.now(UTC), None),
            show_index=False,
            stylesheets=[COMPACT],
            titles=TITLES,
            widths=WIDTHS,
            height=320,
            sizing_mode="stretch_width",
            layout="fit_data_stretch",
            disabled=True,
            selectable=1,
            formatters={"state": SIGNED, "error": TITLED},
            configuration={"rowHeight": 30, "columnDefaults": {"headerSort": False}, "placeholder": "No jobs match"},
        )
        self.head = text.pane(Markup(""), [CSS])
        self.body = text.pane(Markup(""), [CSS, job_detail.DETAIL_CSS])
        self.empty = text.pane(Markup(""), [CSS])
        self.cancel = self._button("Cancel job", lambda _: self._ask(), color="error")
        self.retry = self._button("Retry", self._retry)
        self.choices = {choice: self._button(words, self._decide(choice)) for choice, words in CHOICES.items()}
        self._make_dialog()
        self.actions = pn.Row(self.cancel, self.retry, *self.choices.values(), visible=False)
        self.view = pn.Column(
            pn.FlexBox(self.show, self.subject, self.who, self.newer, self.older, align_items="center"),
            self.table,
            self.empty,
            self.head,
            self.actions,
            self.body,
            self.dialog,
            sizing_mode="stretch_width",
            margin=0,
        )
        for widget in (self.show, self.subject, self.who):
            widget.param.watch(self._filtered, "value")
        self.table.param.watch(self._selected, "selection")

    def _button(self, words: str, action: Callable[..., object], **more: str) -> pmui.Button:
        made = pmui.Button(label=words, size="small", variant="outlined", margin=(8, 4), **more)
        made.on_click(action)
        return made

    @property
    def wanted(self) -> Wanted:
        """The filters as they stand."""
        return Wanted(self.show.value, self.subject.value.strip(), self.who.value.strip())

    # --- showing -----------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Read again when a job has changed; always bring the running times up to date."""
        version = await asyncio.to_thread(self._context.store.version)
        if version != self._version:
            self._version = version
            await self.load()
        else:
            self._draw()

    async def load(self) -> None:
        """Read the page of jobs that is wanted, and the chosen job."""
        before = self._before[-1] if self._before else None
        try:
            self._jobs = await asyncio.to_thread(list_jobs, self._context, self.wanted, before)
            await self._load_chosen()
        except TrackmapperError as error:
            text.notify("error", str(error))
        self._draw()

    async def _load_chosen(self) -> None:
        if not self.chosen:
            return
        if all(job.id != self.chosen for job in self._jobs):
            found = await asyncio.to_thread(self._context.store.get, self.chosen)
            self._off_page = found
        else:
            self._off_page = None
        job = self.job
        if job is not None:
            self._log[job.id] = await asyncio.to_thread(self._context.job_log, job, LOG_BYTES)

    @property
    def job(self) -> JobRecord | None:
        """The chosen job."""
        return next((job for job in self._jobs if job.id == self.chosen), None) or (
            self._off_page if self._off_page and self._off_page.id == self.chosen else None
        )

    def _draw(self) -> None:
        now, zone = datetime.now(UTC), self._zone()
        counts = self._context.store.counts()
        labels = {_with_count(key, counts): key for key in FILTERS}
        if labels != self.show.options:
            self.show.options = labels
        sync(self.table, frame(self._jobs, now, zone))
        ids = list(self.table.value.index)
        wanted = [ids.index(self.chosen)] if self.chosen in ids else []
        if list(self.table.selection) != wanted:
            self.table.selection = wanted
        self.newer.disabled, self.older.disabled = not self._before, len(self._jobs) < PAGE_SIZE
        text.show(self.empty, Markup("") if self._jobs else _nothing(sum(counts.values())))
        self._draw_job(now, zone)

    def _draw_job(self, now: datetime, zone: tzinfo | None) -> None:
        job = self.job
        if job is None:
            text.show(
                self.head,
                tag("p", "Select a job to see all that is kept of it.", cls="dim") if self._jobs else Markup(""),
            )
            text.show(self.body, Markup(""))
            self.actions.visible = False
            return
        text.show(self.head, job_detail.head(job, now, zone))
        text.show(self.body, job_detail.body(job, self._log.get(job.id, ""), now, zone))
        can_cancel = not job.has_ended and job.state is not JobState.CANCELLING
        can_retry = job.state in RETRIABLE and job.superseded_by is None
        asks = job.state is JobState.NEEDS_YOU
        self.cancel.visible, self.retry.visible = can_cancel, can_retry
        for button in self.choices.values():
            button.visible = asks
        self.actions.visible = can_cancel or can_retry

    # --- choosing ----------------------------------------------------------------------------------

    async def choose(self, job_id: str) -> None:
        """Show the detail of a job."""
        self.chosen = job_id
        url_state.write(job=job_id.lstrip("0"))
        await self.load()

    async def _selected(self, _event: Event) -> None:
        ids = list(self.table.value.index)
        chosen = [ids[i] for i in self.table.selection if i < len(ids)]
        if chosen and chosen[0] != self.chosen:
            await self.choose(chosen[0])

    async def _filtered(self, _event: Event) -> None:
        self._before.clear()
        url_state.write(
            show=self.wanted.show if self.wanted.show != "all" else "", subject=self.wanted.subject, who=self.wanted.who
        )
        await self.load()

    async def _go_older(self, _event: Event) -> None:
        if self._jobs:
            self._before.append(self._jobs[-1].id)
            await self.load()

    async def _go_newer(self, _event: Event) -> None:
        if self._before:
            self._before.pop()
            await self.load()

    # --- acting ------------------------------------------------------------------------------------

    def _make_dialog(self) -> None:
        self._question = text.pane(Markup(""), [CSS])
        keep = self._button("Keep it running", lambda _: self.dialog.param.update(open=False))
        stop = self._button("Cancel this job", self._cancel, color="error")
        self.dialog = pmui.Dialog(
            self._question,
            pn.Row(stop, keep),
            title="Cancel this job?",
            title_variant="h6",
            close_on_click=True,
            width_option="xs",
        )

    def _ask(self) -> None:
        job = self.job
        if job is not None:
            what = f"{tracks_line(job)} of mouse {job.subject}."
            text.show(self._question, tag("p", what, " Its conversion is stopped; what it made is not captured."))
            self.dialog.open = True

    async def _cancel(self, _event: Event) -> None:
        self.dialog.open = False
        await self._act(cancel, "Cancelling. The worker stops the conversion.")

    async def _retry(self, _event: Event) -> None:
        await self._act(retry, "Queued again.")

    def _decide(self, choice: Choice) -> Callable[[Event], Awaitable[None]]:
        async def decide(_event: Event) -> None:
            def action(store: JobStore, job_id: str, *, user: str, now: datetime) -> JobRecord:
                return resolve(store, job_id, choice, user=user, now=now)

            await self._act(action, "Decided. The worker goes on from there.")

        return decide

    async def _act(self, action: Callable[..., JobRecord], words: str) -> None:
        job = self.job
        if job is None:
            return
        try:
            now = datetime.now(UTC)
            result = await asyncio.to_thread(action, self._context.store, job.id, user=self._user, now=now)
        except TrackmapperError as error:
            text.notify("error", str(error))
        else:
            text.notify("success", words)
            self.chosen = result.id
        await self.load()


def _with_count(key: str, counts: dict[JobState, int]) -> str:
    words, states = FILTERS[key]
    if key not in ("active", "needs-you", "failed"):
        return words
    return f"{words} {sum(counts.get(state, 0) for state in states)}"


def _nothing(all_jobs: int) -> Markup:
    if all_jobs:
        return Markup("")  # the table says that none match
    words = "Launch a mapping on the Map page; the job appears here and is watched to its counted result."
    return tag("div", join([tag("h2", "No jobs yet"), tag("p", words)]), cls="empty")
