"""What a person chooses at a launch: the converter's version and options, the route, when to be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import panel as pn
import panel.ui as pmui
from param.parameterized import Event

from core.conversion import sent_options
from core.errors import InputError, TrackmapperError
from core.platforms.base import DIRECT, MONITORED, ConverterOffer, Parameter
from dashboard import text
from dashboard.context import Context
from dashboard.edits import EMPTY, unique_labels
from dashboard.text import Markup, join, tag
from dashboard.theme import CSS, STEPS
from dashboard.turns import on_page

ROUTES = {
    DIRECT: "Our worker keeps the result",
    MONITORED: "Through the pipeline monitor: finishes and is kept although our worker is down",
}
_FIELD_WIDTH = 300


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the form holds."""

    offer: ConverterOffer
    parameters: dict[str, str]
    """As they are sent: the same choice is the same launch, however it was made."""
    route: str
    deadline_h: float | None


class LaunchForm:
    """The fields of the launch dialog. What is offered is asked of the platform in a thread.

    Args:
        context: Whom to ask, and the deadline that is proposed.
        on_change: Called when anything that would run is another.
    """

    def __init__(self, context: Context, on_change: Callable[[], None]) -> None:
        self._context, self._on_change = context, on_change
        self._turn = 0
        self._fields: dict[str, tuple[Parameter, pmui.Select | pmui.TextInput]] = {}
        self.offer: ConverterOffer | None = None
        self.trouble = ""
        self.busy = False
        self.version = pmui.Select(label="Converter version", options={}, size="small", width=220, disabled=True)
        self.deadline = pmui.FloatInput(
            label="Ask us after (hours)",
            value=context.settings.long_run_hours,
            start=0.1,
            step=0.5,
            sx=STEPS,
            size="small",
            width=150,
        )
        self.route = pmui.RadioBoxGroup(label="Who keeps the result", options={}, visible=False)
        self.fields = pn.FlexBox(margin=0, sizing_mode="stretch_width")
        self.words = text.pane(Markup(""), [CSS], margin=(0, 10))
        late = tag("p", "A run that takes longer warns and asks; it is never stopped.", cls="dim")
        self.view = pn.Column(
            pn.Row(self.version, self.deadline, text.pane(late, [CSS], margin=(16, 5)), sizing_mode="stretch_width"),
            self.route,
            self.fields,
            self.words,
            sizing_mode="stretch_width",
            margin=(8, 0, 0, 0),  # or the dialog cuts the first labels off
        )
        self.version.param.watch(self._other_version, "value")
        self.route.param.watch(lambda _: self._on_change(), "value")
        self.deadline.param.watch(lambda _: self._on_change(), "value")

    async def load(self, version: str = "") -> None:
        """Ask what can be launched; a later call wins. What cannot be read is said in words."""
        self._turn += 1
        turn, self.busy = self._turn, True
        await on_page(self._tell)
        try:
            offer = await self._context.ask(self._context.offers.get, version)
        except TrackmapperError as error:
            offer, trouble = None, str(error)
        else:
            trouble = ""
        if turn != self._turn:
            return
        self.busy, self.trouble = False, trouble
        await on_page(lambda: self._tell(offer))

    def _tell(self, offer: ConverterOffer | None = None) -> None:
        if offer is not None and offer != self.offer:
            self._show(offer)
        self._say()
        self._on_change()

    async def _other_version(self, event: Event) -> None:
        if event.new and (self.offer is None or event.new != self.offer.version):
            await self.load(str(event.new))

    def _show(self, offer: ConverterOffer) -> None:
        before = self.values() if self.offer is not None and self.offer.converter == offer.converter else {}
        self.offer = offer
        versions = {text.label(version, 60): version for version in offer.versions or (offer.version,)}
        self.version.param.update(options=versions, value=offer.version, disabled=len(versions) < 2)
        routes = {ROUTES.get(route, text.label(route)): route for route in offer.routes}
        route = self.route.value if self.route.value in offer.routes else offer.route
        self.route.param.update(options=routes, value=route, visible=len(routes) > 1)
        self._fields = {each.name: (each, _field(each, before.get(each.name))) for each in offer.parameters}
        for _, field in self._fields.values():
            field.param.watch(self._changed, "value")
        self.fields[:] = [
            pn.Column(
                field, text.pane(tag("p", each.help, cls="dim"), [CSS], margin=(0, 12)), width=_FIELD_WIDTH, margin=0
            )
            for each, field in self._fields.values()
        ]

    def _changed(self, _event: Event) -> None:
        self._tell()

    def _say(self) -> None:
        """Below the fields: what is waited for, what is missing, what could not be read."""
        if self.busy:
            words = tag("p", f"Asking {self._context.reader.name} what can be launched …", cls="dim", role="status")
        elif self.trouble:
            words = tag("p", f"✕ What can be launched is not known. {self.trouble}", cls="bad", role="alert")
        elif missing := self.missing():
            words = tag("p", f"✕ Needed, and not set: {', '.join(missing)}.", cls="bad", role="alert")
        elif any(each.required for each, _ in self._fields.values()):
            words = tag("p", "* needed", cls="dim")
        else:
            words = join([""])
        text.show(self.words, words)

    def values(self) -> dict[str, str]:
        """Every option as it stands."""
        return {name: str(field.value or "").strip() for name, (_, field) in self._fields.items()}

    def missing(self) -> tuple[str, ...]:
        """Options that are needed and have no value."""
        values = self.values()
        return tuple(name for name, (each, _) in self._fields.items() if each.required and not values[name])

    @property
    def usable(self) -> bool:
        """True when what would run is known and whole."""
        return self.offer is not None and not self.busy and not self.trouble and not self.missing()

    def chosen(self) -> Chosen:
        """What the form holds.

        Raises:
            InputError: It is not known what can be launched, or an option is missing.
        """
        if self.offer is None:
            raise InputError(self.trouble or "It is not known yet what can be launched.", cure="Try again in a moment.")
        if missing := self.missing():
            raise InputError(f"The converter needs {', '.join(missing)}.", cure="Set it in the dialog.")
        sent = sent_options(self.values(), self.offer.parameters)
        hours = self.deadline.value or self._context.settings.long_run_hours  # an emptied field is no wish
        return Chosen(self.offer, sent, self.route.value or self.offer.route, hours)


def _field(each: Parameter, before: str | None) -> pmui.Select | pmui.TextInput:
    """A list where the values are known, else a line of text; `before` is what another version's field held."""
    label = text.label(each.name, 60) + (" *" if each.required else "")
    value = each.default if before is None or (each.choices and before not in each.choices) else before
    if each.choices:
        offered = dict.fromkeys([each.default, *each.choices])
        shown = unique_labels({choice: text.label(choice, 80) for choice in offered if choice})
        options = {shown.get(choice, EMPTY): choice for choice in offered}
        return pmui.Select(label=label, options=options, value=value, size="small", width=_FIELD_WIDTH - 20)
    return pmui.TextInput(label=label, value=value, max_length=200, size="small", width=_FIELD_WIDTH - 20)
