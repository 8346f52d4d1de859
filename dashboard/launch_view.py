"""The last row of the Map page: how much will run, what exactly, what must be confirmed, and the launch itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.conversion import ConversionPlan, plan_conversion
from core.errors import NotAllowedError, TrackmapperError
from core.manifest import ManifestRow, rows_from_mapping
from core.models import Mapping as TrackMapping
from core.models import Problem, Severity
from core.platforms.base import DIRECT
from dashboard import text
from dashboard.context import Context
from dashboard.edits import EMPTY, Row
from dashboard.evidence import Evidence
from dashboard.launch_form import ROUTES, LaunchForm
from dashboard.mapping_report import Origin, launched_words, mapping_report
from dashboard.state import Checked, Opened, Session
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS
from dashboard.turns import on_page
from jobs.earlier import converted_before
from jobs.quotas import Quotas
from jobs.submission import own_version, submit


@dataclass(frozen=True, slots=True)
class _Pressed:
    """What stood on the page when a launch was pressed."""

    plan: ConversionPlan
    rows: tuple[ManifestRow, ...]
    mapping: TrackMapping
    opened: Opened
    lines: tuple[Row, ...]
    checked: Checked
    confirmed: tuple[str, ...]


class LaunchView:
    """The launch bar and its dialog.

    Args:
        context: Converter and store.
        session: What would be launched.
        user: Who launches.
        on_launched: Called with the job's id.
    """

    def __init__(
        self, context: Context, session: Session, user: str, on_launched: Callable[[str], Awaitable[None]]
    ) -> None:
        self._context, self._session, self._user, self._on_launched = context, session, user, on_launched
        self._lock = threading.Lock()
        self._confirms: list[tuple[str, pmui.Checkbox]] = []
        self._asked: dict[str, tuple[str, ...]] = {}
        self._planned = False
        self.evidence: Callable[[], Evidence] = Evidence
        self.words = text.pane(Markup(""), [CSS])
        self.form = LaunchForm(context, self._changed)
        self.open_button = pmui.Button(
            label="Review and launch", variant="contained", size="medium", margin=(6, 10), disabled=True
        )
        self.open_button.on_click(self._open)
        self.summary = text.pane(Markup(""), [CSS])
        self.checks = pn.Column(sizing_mode="stretch_width", margin=0)
        self.launch = pmui.Button(label="Launch", variant="contained", margin=(10, 6), disabled=True)
        self.launch.on_click(self._launch)
        self.again = pmui.Button(label="Launch again", variant="outlined", margin=(10, 6), visible=False)
        self.again.on_click(self._launch_again)
        close = pmui.Button(label="Back to the mapping", variant="text", margin=(10, 6))
        close.on_click(lambda _: self.dialog.param.update(open=False))
        self.dialog = pmui.Dialog(
            self.form.view,
            self.summary,
            self.checks,
            pn.Row(self.launch, self.again, close),
            title="What will run",
            title_variant="h6",
            close_on_click=True,
            width_option="lg",
        )
        self.view = pn.Column(
            pn.Row(self.words, self.open_button, sizing_mode="stretch_width", margin=(8, 0)),
            self.dialog,
            margin=0,
            sizing_mode="stretch_width",
        )
        session.param.watch(lambda *_: self._news(), ["opened", "checked", "contested"])
        self.refresh()

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The manifest rows that would run."""
        opened = self._session.opened
        if opened is None or not opened.whole:
            return ()
        return rows_from_mapping(self._session.mapping, opened.subject, opened.state)

    def _of(self, severity: Severity) -> tuple[Problem, ...]:
        return tuple(problem for problem in self._session.checked.problems if problem.severity is severity)

    def refresh(self) -> None:
        """Say how much would run, or what keeps it from running."""
        opened, rows, errors = self._session.opened, self.rows, self._of(Severity.ERROR)
        refusal, offer = self._context.reader.launch_refusal, self.form.offer
        converter = f"{offer.label} {offer.version}".strip() if offer else "not known" if self.form.trouble else "…"
        mice = len({row.mouseid for row in rows})
        amount = f"{text.count(len(rows), 'row')} of {text.count(mice, 'mouse', 'mice')} → converter {converter}"
        if refusal:
            why = tag("span", f"✕ {refusal}", cls="warn")
        elif opened is not None and not opened.whole:
            why = tag("span", "The mouse is being read", cls="dim")
        elif errors:
            why = tag("span", f"✕ {text.count(len(errors), 'error')} left", cls="bad")
        elif self._session.contested:
            why = tag("span", "✕ changed in another window: choose above which mapping it is to be", cls="bad")
        elif not rows:
            why = tag("span", "No row is included", cls="dim")
        else:
            number = len(self._of(Severity.CONFIRM))
            why = tag("span", f"? {number} to confirm" if number else "✓ ready", cls="warn" if number else "good")
        usable = bool(rows) and not errors and not refusal and not self._session.contested
        text.show(
            self.words,
            tag("div", tag("h2", "Launch"), tag("span", amount, cls="num", title=self.form.trouble), why, cls="row"),
        )
        if self.open_button.disabled == usable:
            self.open_button.disabled = not usable

    async def load_offer(self) -> None:
        """Ask what can be launched, so that it is known when the dialog is opened."""
        if not self._context.reader.launch_refusal:
            await self.form.load()

    def _changed(self) -> None:
        """Something in the form is another: the plan is, too."""
        self.refresh()
        if self.dialog.open:
            self._summarize()
        self._enable()

    def plan(self) -> ConversionPlan:
        """What exactly would run."""
        opened = self._session.opened
        if opened is None or opened.subject is None or not opened.whole:
            raise NotAllowedError("No mouse is open.", cure="Open a state of a mouse that has recordings.")
        chosen = self.form.chosen()
        return plan_conversion(
            self.rows,
            state=opened.state,
            subject=opened.subject,
            platform=self._context.reader.name,
            converter=chosen.offer.converter,
            converter_version=chosen.offer.version,
            parameters=chosen.parameters,
            route=chosen.route,
            monitor=chosen.offer.monitor,
            deadline_h=chosen.deadline_h,
            converter_label=chosen.offer.label,
        )

    def _summarize(self) -> None:
        try:
            plan, chosen = self.plan(), self.form.chosen()
        except TrackmapperError as error:
            text.show(self.summary, tag("p", f"✕ {error}", cls="bad", role="alert"))
            self._planned = False
            return
        self._planned = True
        options = self.form.values() | chosen.parameters
        words = summary(plan, self.rows, self._of(Severity.WARNING), options, self._user, self._context.costs)
        unseen = "The brain's image has not been read, so no track is held against its tissue (T8)."
        seen = self._session.tissue is not None
        text.show(self.summary, words if seen else join([words, tag("p", unseen, cls="dim")]))

    async def _open(self, _event: Event) -> None:
        opened = self._session.opened
        try:
            if opened is not None and opened.subject is not None:
                # Somebody may have converted a recording of this mouse since the state was opened.
                converted = await asyncio.to_thread(converted_before, self._context.store, opened.subject.id)
                await on_page(lambda: self._session.remember(converted))
        except TrackmapperError as error:
            trouble = str(error)
            await on_page(lambda: text.notify("error", trouble))
            return
        await on_page(self._open_dialog)
        await self.form.load(self.form.version.value or "")

    def _open_dialog(self) -> None:
        self._list_confirms()
        self.again.visible = False
        self.dialog.open = True

    def _news(self) -> None:
        """The mapping, or what is known of the mouse, is another: an open dialog must not show the old one."""
        self.refresh()
        if self.dialog.open:
            self._list_confirms()
            self._summarize()
            self._enable()

    def _list_confirms(self) -> None:
        """One box for each rule to confirm; one that says the same as before stays ticked."""
        ticked = {(rule, self._asked[rule]) for rule, box in self._confirms if box.value and self.dialog.open}
        shown: list[pn.viewable.Viewable] = []
        self._asked, self._confirms = {}, []
        for rule, problems in _by_rule(self._of(Severity.CONFIRM)).items():
            told = self._asked[rule] = tuple(dict.fromkeys(_told(problem) for problem in problems))
            words = told[0] if len(told) == 1 else f"all {len(told)} below"
            label = text.label(f"I confirm {rule}: {words}", 400)
            box = pmui.Checkbox(label=label, value=(rule, told) in ticked, sizing_mode="stretch_width")
            box.param.watch(lambda _: self._enable(), "value")
            self._confirms.append((rule, box))
            shown.append(box)
            if len(told) > 1:
                shown.append(text.pane(tag("ul", *(tag("li", each) for each in told)), [CSS], margin=(0, 10, 8, 42)))
        self.checks[:] = shown
        self.launch.label = f"Launch {text.count(len(self.rows), 'row')}"

    def _enable(self) -> None:
        ready = self.form.usable and self._planned and not self._of(Severity.ERROR)
        self.launch.disabled = self._session.contested or not ready or not all(box.value for _, box in self._confirms)

    async def _launch(self, _event: Event) -> None:
        if not self._lock.acquire(blocking=False):
            return  # pressed twice: the first press is on its way
        try:
            await self._submit(self.launch, relaunch=False)
        finally:
            self._lock.release()

    async def _launch_again(self, _event: Event) -> None:
        if self.again.visible and self._lock.acquire(blocking=False):
            try:
                await self._submit(self.again, relaunch=True)
            finally:
                self._lock.release()

    def _press(self, button: pmui.Button) -> _Pressed | None:
        """All of it as it stands at the press, in one turn: another table may edit while the report is drawn."""
        if self.launch.disabled and button is self.launch:
            return None
        button.param.update(**({"disabled": True} if button is self.launch else {"visible": False}))
        session = self._session
        confirmed = tuple(rule for rule, box in self._confirms if box.value)
        opened, lines, checked = session.opened, session.rows, session.checked
        return _Pressed(self.plan(), self.rows, session.mapping, opened, lines, checked, confirmed)

    async def _submit(self, button: pmui.Button, *, relaunch: bool) -> None:
        now = datetime.now(UTC)
        try:
            pressed = await on_page(lambda: self._press(button))
            if pressed is None:
                return
            origin = Origin(self._user, now, own_version(), launched_words(pressed.plan))
            shown = pressed.opened, pressed.lines, pressed.checked
            report = await asyncio.to_thread(mapping_report, *shown, origin, self.evidence())
            done = await asyncio.to_thread(
                submit,
                self._context.store,
                pressed.plan,
                rows=pressed.rows,
                problems=pressed.checked.problems,
                confirmed=pressed.confirmed,
                mapping=pressed.mapping,
                user=self._user,
                now=now,
                relaunch=relaunch,
                quotas=Quotas.of(self._context.settings),
                report=report,
                zone=self._context.settings.lab_tz,
            )
        except TrackmapperError as error:
            refused = f"Not launched. {error}"
            await on_page(lambda: self._say_refused(refused))
            return
        twice = bool(done.duplicate_of)
        ended = twice and (await asyncio.to_thread(self._context.store.get, done.job_id)).has_ended
        await on_page(lambda: self._say_launched(done.job_id.lstrip("0"), twice=twice, ended=ended))
        if not ended:
            await self._on_launched(done.job_id)

    def _say_refused(self, words: str) -> None:
        text.notify("error", words)
        self._enable()

    def _say_launched(self, number: str, *, twice: bool, ended: bool) -> None:
        if ended:
            text.notify("info", f"Job {number} has delivered this mapping already. Launch again makes a second result.")
            self.again.visible = True
            return
        self.dialog.open = False
        if twice:
            text.notify("info", f"This mapping is already job {number}; no second one was made.")
        else:
            text.notify("success", f"Job {number} is queued.")


def _told(problem: Problem) -> str:
    """What is to be confirmed, and of which track."""
    track = problem.where.track
    return f"{problem.message} ({track})" if track and track not in problem.message else problem.message


def _by_rule(problems: tuple[Problem, ...]) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(problem.rule, []).append(problem)
    return found


def summary(
    plan: ConversionPlan,
    rows: tuple[ManifestRow, ...],
    warnings: tuple[Problem, ...],
    options: Mapping[str, str],
    user: str,
    costs: str,
) -> Markup:
    """Rows, inputs and options of a launch, what it costs, and what is known to be odd about it."""
    lines = [
        tag(
            "tr",
            *(
                tag("td", cell)
                for cell in (
                    row.histology_track_id,
                    row.sorted_recording,
                    row.ephys_collection,
                    EMPTY if row.ephys_shank is None else f"shank {row.ephys_shank + 1}",
                    row.surface_finding or EMPTY,
                )
            ),
        )
        for row in rows
    ]
    titles = tag("tr", *(tag("th", title) for title in ("Track", "Sorting", "Stream", "Shank", "Surface recording")))
    known = (
        [tag("h3", "Known warnings"), tag("ul", *(tag("li", f"{p.rule} {p.message}") for p in warnings))]
        if warnings
        else []
    )
    paid = tag("p", tag("strong", f"▲ Pressing Launch {costs}."), cls="warn") if costs else ""
    return join(
        [
            paid,
            tag(
                "p",
                f"{text.count(len(rows), 'row')}, converter {plan.converter_words} on {plan.platform}, "
                f"{text.count(len(plan.assets), 'asset')} attached, launched by {user}.",
            ),
            _options(plan, options),
            tag("table", tag("thead", titles), tag("tbody", *lines)),
            tag("h3", "Assets attached"),
            tag("ul", *(tag("li", asset.name, tag("span", f" {asset.why}", cls="dim")) for asset in plan.assets)),
            *known,
        ]
    )


def _options(plan: ConversionPlan, options: Mapping[str, str]) -> Markup:
    """`skip-ephys 0`, the route, when people are asked; what is not sent is said to be the converter's own."""
    told = []
    for name, value in options.items():
        own = "" if name in plan.parameters else " (the converter’s default)"
        told.append(f"{name} {value or 'not set'}{own}")
    if plan.deadline_h is not None:
        told.append(f"asks after {plan.deadline_h:g} h")
    if plan.route != DIRECT:
        told.append(ROUTES.get(plan.route, plan.route))
    return tag("p", " · ".join(told), cls="dim") if told else Markup("")
