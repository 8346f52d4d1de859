"""The top row of the Map page: give a state, see what was read from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.errors import TrackmapperError
from core.models import LayerKind, Severity
from dashboard import text
from dashboard.context import Context
from dashboard.edits import Row
from dashboard.opening import PASTE_LIMIT, UPLOAD_LIMIT, Given, gather_anew, open_state, opened_words
from dashboard.state import Opened, Session
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS
from dashboard.turns import on_page
from jobs.clock import utc_now

NO_CHOICE = "Choose …"
LOOK_EVERY_S = 0.15
"""How often the page looks for what has come of a gathering under way."""
_AGE_CSS = "p { text-align: right; white-space: nowrap; }"


class SourceView:
    """The paste box, the upload, the saved states, and the line that says what became of them.

    Args:
        context: Where states come from.
        session: Gets the opened state.
        restore: Called with a freshly opened state; returns the rows of its draft, or None.
    """

    def __init__(
        self,
        context: Context,
        session: Session,
        restore: Callable[[Opened], tuple[Row, ...] | None],
        opened_from: Callable[[Given], None],
    ) -> None:
        self._context, self._session, self._restore, self._opened_from = context, session, restore, opened_from
        self._turn = 0
        self._open_saved = ""
        """Path of the saved state that is open; "" when none is."""
        self._shown_from: Given | None = None
        """What the state that is shown was given as."""
        self.paste = pmui.TextInput(
            label="Neuroglancer link or state",
            placeholder="Paste a link (…#!{…}, …#!s3://…) or the state’s JSON",
            max_length=PASTE_LIMIT + 1,  # the browser cuts what is longer: it must still be seen to be too long
            size="small",
            sizing_mode="stretch_width",
            min_width=280,
        )
        self.open_button = pmui.Button(label="Open", variant="contained", size="small", margin=(11, 5, 5, 5))
        self.upload = pmui.FileInput(
            label="Upload a file",
            uploaded_label="Upload a file",
            accept=".json",
            size="small",
            variant="outlined",
            margin=(11, 5, 5, 5),
            max_file_size=3 * UPLOAD_LIMIT,  # what is too large is told in our words, not by a sign on the button
            width=150,
        )
        self.saved = pmui.Select(label="Saved states", options={NO_CHOICE: ""}, disabled=True, size="small", width=260)
        self.line = text.pane(Markup(""), [CSS])
        self.age = text.pane(Markup(""), [CSS, _AGE_CSS], sizing_mode="fixed", width=240, margin=(7, 0))
        self.refresh = pmui.Button(label="Refresh", variant="text", size="small", margin=(2, 5), disabled=True)
        self.bar = pmui.LinearProgress(variant="indeterminate", sizing_mode="stretch_width", visible=False, margin=0)
        self.view = pn.Column(
            pn.Row(self.paste, self.open_button, self.upload, self.saved, sizing_mode="stretch_width"),
            self.bar,
            pn.Row(self.line, self.age, self.refresh, sizing_mode="stretch_width", margin=0),
            sizing_mode="stretch_width",
        )
        self.refresh.on_click(self._gather_anew)
        self.open_button.on_click(self._pasted)
        self.paste.param.watch(self._entered, "enter_pressed")
        self.upload.param.watch(self._uploaded, "value")
        self.saved.param.watch(self._chosen, "value")
        session.param.watch(lambda *_: self._refresh(), ["phase", "progress", "opened", "refusal"])
        self._refresh()

    async def load_saved(self) -> None:
        """Fill the list of the platform's saved states."""
        try:
            states = await asyncio.to_thread(self._context.reader.saved_states)
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("warning", trouble))
            return
        options = {NO_CHOICE: ""}
        for state in states:
            options[text.label(state.name) if text.label(state.name) not in options else text.label(state.path)] = (
                state.path
            )
        await on_page(lambda: self.saved.param.update(options=options, disabled=not states))
        await on_page(self._show_choice)

    def _show_choice(self) -> None:
        """The box of saved states shows the one that is open, or none."""
        is_listed = self._open_saved in self.saved.options.values()
        self.saved.value = self._open_saved if is_listed else ""

    async def open(self, given: Given, *, goes_on: TrackmapperError | None = None) -> None:
        """Open what was given, showing it as it comes; a later call wins over this one.

        Args:
            given: The state.
            goes_on: Why another one was refused while the mouse of this one, which is shown, was still being read.
        """
        self._turn += 1
        turn, restored = self._turn, goes_on is not None
        words, known = ["Reading the state"], list[Opened]()
        before = self._session.phase if self._session.opened is None else "open"
        await on_page(lambda: self._session.param.update(phase="working", progress=words[-1], refusal=goes_on))
        task = asyncio.create_task(self._context.ask(open_state, self._context, given, words.append, known.append))
        shown: Opened | None = None
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_EVERY_S)
            if turn != self._turn:
                return
            await self._say(words[-1])
            if known and known[-1] is not shown and not task.done():
                shown = known[-1]
                self._shown_from = given
                restored = await self._show(shown, renew=restored, turn=turn)
        try:
            opened = task.result()
        except TrackmapperError as error:
            ended = {"phase": "open" if before == "open" or shown else "refused", "refusal": error, "progress": ""}
            await on_page(lambda: (self._session.param.update(**ended), self._show_choice()))
            held: Opened | None = self._session.opened
            if turn == self._turn and held is not None and not held.whole and self._shown_from and goes_on is None:
                await self.open(self._shown_from, goes_on=error)  # what was being read for it ended with this call
            return
        await self._show(opened, renew=restored, turn=turn)
        if turn == self._turn:
            self._open_saved = given.saved
            await on_page(lambda: (self._opened_from(given), self._show_choice()))
            if goes_on is not None:
                await on_page(lambda: self._session.param.update(refusal=goes_on))

    async def _say(self, words: str) -> None:
        if words != self._session.progress:
            await on_page(lambda: self._session.param.update(progress=words))

    async def _show(self, opened: Opened, *, renew: bool, turn: int) -> bool:
        if renew:
            await on_page(lambda: self._session.renew(opened))
            return True
        rows = await asyncio.to_thread(self._restore, opened)
        if turn == self._turn:
            await on_page(lambda: self._session.open(opened, rows))
        return turn == self._turn

    async def _gather_anew(self, _event: Event) -> None:
        """Gather the open mouse anew; the rows stay, also those that are edited meanwhile."""
        opened = self._session.opened
        if opened is None or not opened.whole:
            return
        self._turn += 1
        turn, words = self._turn, ["Looking again"]
        await on_page(lambda: self._session.param.update(phase="working", progress=words[-1]))
        task = asyncio.create_task(self._context.ask(gather_anew, self._context, opened, words.append))
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_EVERY_S)
            if turn != self._turn:
                return
            await self._say(words[-1])
        try:
            found = task.result()
        except TrackmapperError as error:
            words.append(f"Not gathered anew; what was known is still shown. {error}")
            await on_page(lambda: self._session.param.update(phase="open", progress=""))
            await on_page(lambda: text.notify("error", words[-1]))
            return
        await on_page(lambda: self._session.renew(found))

    def tick(self, now: datetime | None = None) -> None:
        """Bring the age of what is known up to date."""
        text.show(self.age, age_line(self._session, now or utc_now()))

    async def _pasted(self, _event: Event) -> None:
        if pasted := (self.paste.value_input or self.paste.value or "").strip():
            await self.open(Given(paste=pasted))

    async def _entered(self, _event: Event) -> None:
        await self._pasted(None)

    async def _uploaded(self, event: Event) -> None:
        if event.new is None:
            return
        data, stem = bytes(event.new), PurePosixPath(str(self.upload.filename)).stem
        await on_page(self.upload.clear)  # else the same file, given once more, is no news
        await self.open(Given(data=data, stem=stem, is_file=True))

    async def _chosen(self, event: Event) -> None:
        if event.new and event.new != self._open_saved:
            await self.open(Given(saved=str(event.new)))

    def _refresh(self) -> None:
        opened, working = self._session.opened, self._session.phase == "working"
        self.bar.visible = working
        usable = bool(opened and opened.whole and opened.state.subject and not working)
        if self.refresh.disabled == usable:
            self.refresh.disabled = not usable
        text.show(self.line, source_line(self._session))
        self.tick()


def age_line(session: Session, now: datetime) -> Markup:
    """`gathered 4 min ago, 3 requests`."""
    opened: Opened | None = session.opened
    subject = opened.subject if opened and opened.whole else None
    if subject is None or subject.gathered is None:
        return Markup("")
    seconds = (now - subject.gathered).total_seconds()
    ago = "just now" if seconds < 60 else f"{text.rough_duration(seconds)} ago"
    words = f"gathered {ago}, {text.count(subject.requests, 'request')}"
    return tag("p", words, cls="dim num", title="What the platform has of this mouse. Editing asks it nothing.")


def source_line(session: Session) -> Markup:
    """What became of what was given: counts, the layers that are no tracks and why, the state's problems."""
    parts: list[Markup] = []
    if session.phase == "working":
        parts.append(tag("p", f"{session.progress} …", cls="dim", role="status"))
    if session.refusal is not None:
        error = session.refusal
        where = f" ({error.where})" if error.where else ""
        parts.append(
            tag("p", tag("strong", f"✕ Not opened: {error.message}{where}"), f" {error.cure}", cls="bad", role="alert")
        )
    opened: Opened | None = session.opened
    if opened is not None:
        state = opened.state
        mouse = f"mouse {state.subject}" if state.subject else "mouse unknown"
        good = tag("span", f"✓ {opened_words(opened)}", cls="good")
        parts.append(
            tag(
                "div",
                good,
                tag("strong", mouse),
                tag("span", state.acquisition or "", cls="dim"),
                *_others(opened),
                cls="row",
            )
        )
        if opened.note:
            parts.append(tag("p", tag("strong", f"▲ {opened.note}"), cls="warn", role="status"))
        if opened.no_atlas:
            parts.append(tag("p", f"Targets are judged without the atlas. {opened.no_atlas}", cls="dim"))
        signs = {Severity.ERROR: ("✕", "bad"), Severity.CONFIRM: ("?", "warn"), Severity.WARNING: ("▲", "warn")}
        for problem in state.problems:
            if problem.severity in signs:
                sign, cls = signs[problem.severity]
                parts.append(tag("p", f"{sign} {problem.rule} {problem.message}", cls=cls, title=problem.cure))
    return join(parts)


def _others(opened: Opened) -> list[Markup]:
    words = {kind: kind.value.replace("_", " ") for kind in LayerKind}
    return [
        tag("span", f"{layer.name}: {words[layer.kind]}", cls="pill", title=layer.reason)
        for layer in opened.state.layers
        if layer.kind is not LayerKind.TRACK
    ]
