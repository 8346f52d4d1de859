"""What a person may do to the chosen job: cancel, retry, count again, decide, name its run, wait longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.errors import TrackmapperError
from core.platforms.choice import is_code_ocean
from dashboard import text
from dashboard.context import Context
from dashboard.job_words import FOLLOW, monitored, number, tracks_line
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS, STEPS
from dashboard.turns import on_page
from jobs import second_tries, submission
from jobs.quotas import Quotas
from jobs.records import JobRecord, JobState, Step
from jobs.submission import Choice

CHOICES = {
    Choice.LOOK_AGAIN: "Look again",
    Choice.START_AGAIN: "Send it once more",
    Choice.GIVE_UP: "Give up",
}
"""What a person may decide when a job needs them."""
RETRIABLE = frozenset({JobState.FAILED, JobState.INCOMPLETE, JobState.CANCELLED, JobState.REFUSED})
ID_LENGTH = 64
_WARNED = tag(
    "p",
    "A start whose answer was lost may still turn up. Look on the platform first: what is sent once more can run, and "
    "cost, twice.",
    cls="dim",
)


class JobActions:
    """The row of buttons below a job's head, and the questions before a cancellation and before a new run.

    Args:
        context: The store, and which platform it is.
        user: Who presses.
        done: Called with the id of the job that goes on, "" when nothing came of it.
    """

    def __init__(self, context: Context, user: str, done: Callable[[str], Awaitable[None]]) -> None:
        self._context, self._user, self._done = context, user, done
        self._job: JobRecord | None = None
        self._asked_of = ""
        """Job that an open question is about."""
        self.cancel = _button("Cancel job", lambda _: self.ask(), color="error")
        self.retry = _button("Retry", self._ask_retry)
        self.recount = _button("Count again", self._recount)
        self.choices = {choice: _button(words, self._decide(choice)) for choice, words in CHOICES.items()}
        self.run_id = pmui.TextInput(
            label="Id of the run", placeholder="It is this run", max_length=ID_LENGTH, size="small", width=330
        )
        self.attach = _button("It is this run", self._attach)
        self.hours = pmui.FloatInput(label="Hours", value=3.0, start=0.5, step=0.5, size="small", width=100, sx=STEPS)
        self.extend = _button("Wait 3 h more", self._extend)
        self.hours.param.watch(lambda _: self._name_extend(), "value")
        self._warning = text.pane(_WARNED, [CSS])
        self._decisions = pn.FlexBox(
            *self.choices.values(), self.run_id, self.attach, align_items="center", visible=False
        )
        self._waits = pn.Row(self.hours, self.extend, margin=0, visible=False)
        self._make_dialog()
        self._make_retry_dialog()
        self.view = pn.Column(
            pn.FlexBox(self.cancel, self.recount, self.retry, self._waits, align_items="center", margin=(0, 6)),
            self._decisions,
            self._warning,
            self.dialog,
            self.retry_dialog,
            sizing_mode="stretch_width",
            margin=0,
            visible=False,
        )

    def show(self, job: JobRecord | None) -> None:
        """Offer what the job's state allows."""
        if job is None or self._job is None or job.id != self._job.id:
            self.run_id.value = ""
        self._job = job
        can_cancel = job is not None and not job.has_ended and job.state is not JobState.CANCELLING
        can_retry = job is not None and job.state in RETRIABLE and job.superseded_by is None
        is_asked = job is not None and job.id == self._asked_of
        for dialog, holds in ((self.dialog, can_cancel), (self.retry_dialog, can_retry)):
            if dialog.open and not (holds and is_asked):
                dialog.open = False  # it was about another job, or about what cannot be done any more
        if self.dialog.open:
            self._say()  # the job goes on while the question stands
        label = FOLLOW if job is not None and second_tries.follows_run(job) else "Retry"
        if self.retry.label != label:
            self.retry.label = label
        asks = job is not None and job.state is JobState.NEEDS_YOU
        names_run = job is not None and asks and job.step is Step.RUN
        waits = job is not None and job.overdue and can_cancel and job.state is JobState.RUNNING
        for shown, wanted in (
            (self.cancel, can_cancel),
            (self.retry, can_retry),
            (self.recount, job is not None and second_tries.can_recount(job)),
            (self._decisions, asks),
            (self._warning, names_run),
            (self.run_id, names_run),
            (self.attach, names_run),
            (self._waits, waits),
            (self.view, can_cancel or can_retry),
        ):
            if shown.visible is not wanted:
                shown.visible = wanted

    # --- cancelling --------------------------------------------------------------------------------

    def _make_dialog(self) -> None:
        self.question = text.pane(Markup(""), [CSS])
        keep = _button("Keep it running", lambda _: self.dialog.param.update(open=False))
        stop = _button("Cancel this job", self._cancel, color="error")
        self.dialog = pmui.Dialog(
            self.question,
            pn.Row(stop, keep),
            title="Cancel this job?",
            title_variant="h6",
            close_on_click=True,
            width_option="sm",
        )

    def ask(self) -> None:
        """Say what cancelling does, and ask."""
        self._say()
        self._asked_of = self._job.id if self._job is not None else ""
        self.dialog.open = self._job is not None

    def _say(self) -> None:
        if self._job is not None:
            words = cancel_words(self._job, self._context)
            text.show(
                self.question,
                tag("p", f"Job {number(self._job.id)}: {tracks_line(self._job)} of mouse {self._job.subject}. {words}"),
            )

    async def _cancel(self, _event: Event) -> None:
        await on_page(lambda: self.dialog.param.update(open=False))
        await self._act(submission.cancel, "Cancelling. The worker stops the conversion.")

    # --- trying again ------------------------------------------------------------------------------

    def _make_retry_dialog(self) -> None:
        self.retry_question = text.pane(Markup(""), [CSS])
        back = _button("Back", lambda _: self.retry_dialog.param.update(open=False))
        self.run_again = _button("Run again", self._retry)
        self.retry_dialog = pmui.Dialog(
            self.retry_question,
            pn.Row(self.run_again, back),
            title="Start a new run?",
            title_variant="h6",
            close_on_click=True,
            width_option="sm",
        )

    async def _ask_retry(self, event: Event) -> None:
        """Say what trying again makes and costs, and ask; without a new run there is nothing to ask."""
        job = self._job
        if job is None:
            return
        if not second_tries.starts_run(job):
            await self._retry(event)
            return
        await on_page(lambda: self._ask_for(job))

    def _ask_for(self, job: JobRecord) -> None:
        self._asked_of = job.id
        text.show(self.retry_question, retry_words(job, self._context.costs))
        self.retry_dialog.open = True

    async def _retry(self, _event: Event) -> None:
        await on_page(lambda: self.retry_dialog.param.update(open=False))
        settings = self._context.settings
        again = partial(submission.retry, quotas=Quotas.of(settings), zone=settings.lab_tz)
        follows = self._job is not None and second_tries.follows_run(self._job)
        await self._act(again, "The worker follows the run to its counted result." if follows else "Queued again.")

    async def _recount(self, _event: Event) -> None:
        await self._act(second_tries.recount, "The worker counts the kept result again.")

    # --- the others --------------------------------------------------------------------------------

    def _decide(self, choice: Choice) -> Callable[[Event], Awaitable[None]]:
        async def decide(_event: Event) -> None:
            await self._act(submission.resolve, "Decided. The worker goes on from there.", choice)

        return decide

    async def _attach(self, _event: Event) -> None:
        run_id = (self.run_id.value_input or self.run_id.value or "").strip()
        if not run_id:
            await on_page(lambda: text.notify("warning", "Paste the id of the run first."))
            return
        await self._act(submission.attach, "The worker looks whether that run is this job’s.", run_id)

    async def _extend(self, _event: Event) -> None:
        if self.hours.value:
            await self._act(submission.extend, f"Asked again in {self.hours.value:g} h.", float(self.hours.value))

    def _name_extend(self) -> None:
        self.extend.label = f"Wait {self.hours.value:g} h more" if self.hours.value else "Wait longer"

    async def _act(self, action: Callable[..., JobRecord], words: str, *details: object) -> None:
        job = self._job
        if job is None:
            return
        try:
            result = await asyncio.to_thread(
                action, self._context.store, job.id, *details, user=self._user, now=datetime.now(UTC)
            )
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
            await self._done("")
        else:
            await on_page(lambda: text.notify("success", words))
            await self._done(result.id)


def cancel_words(job: JobRecord, context: Context) -> str:
    """What cancelling does to the run and its results."""
    if job.state is JobState.QUEUED:
        return "Nothing has been started yet."
    here = job.platform == context.reader.name and is_code_ocean(context.settings)
    if not here:
        return "Its conversion is stopped; what it made is not captured."
    what = "the run" if job.ids.run else "a run that has been started"
    both = " The monitor’s run and its conversion are both deleted." if monitored(job) else ""
    return (
        f"{context.reader.name} deletes {what} and its results; Trackmapper first keeps a copy of the end of its "
        f"log, when there is one to read, and everything you see here.{both}"
    )


def retry_words(job: JobRecord, costs: str) -> Markup:
    """What trying again makes, and what it costs."""
    if job.state is JobState.FAILED and job.step is not Step.DONE:
        what = f"The job goes on where it was refused, and starts the run of its {tracks_line(job)}."
    else:
        what = f"A new job converts all {tracks_line(job)} of mouse {job.subject} anew."
    paid = [tag("p", tag("strong", f"▲ Pressing Run again {costs}."), cls="warn")] if costs else []
    free = "Count again looks at the kept result once more, and starts nothing."
    hint = [tag("p", free, cls="dim")] if second_tries.can_recount(job) else []
    return join([*paid, tag("p", what), *hint])


def _button(words: str, action: Callable[..., object], **more: str) -> pmui.Button:
    made = pmui.Button(label=words, size="small", variant="outlined", margin=(8, 4), **more)
    made.on_click(action)
    return made
