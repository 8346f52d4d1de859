"""What is chosen at a launch: versions, options with their defaults and choices, route, deadline, errors in words."""

from __future__ import annotations

import asyncio

import pytest
from fake_library import FakeLibrary
from test_text import PAYLOADS

from core.errors import InputError, UnavailableError
from core.platforms.base import DIRECT, MONITORED, ConverterOffer, Parameter
from core.settings import Settings
from dashboard.context import Context
from dashboard.launch_form import LaunchForm
from jobs.store import JobStore

V2 = ConverterOffer(
    "c1", "Data converter", ("2", "1"), "2",
    (Parameter("skip-ephys", "0", False, "Leave the recordings out.", ("0", "1")), Parameter("who", required=True)),
    (DIRECT, MONITORED), DIRECT,
)  # fmt: skip
V1 = ConverterOffer("c1", "Data converter", ("2", "1"), "1", (Parameter("slow", "0"), Parameter("who", required=True)))


class Place(FakeLibrary):
    name = "Code Ocean"
    launch_refusal = ""

    def __init__(self) -> None:
        super().__init__()
        self.offers = {"": V2, "2": V2, "1": V1}
        self.error: Exception | None = None

    def converter_offer(self, version: str = "") -> ConverterOffer:
        if self.error is not None:
            raise self.error
        return self.offers[version]


@pytest.fixture
def made(tmp_path):
    chosen = Settings(platform="code_ocean", data=tmp_path / "data", long_run_hours=2.5)
    with JobStore(chosen.data) as store:
        yield LaunchForm(Context(chosen, Place(), store), lambda: None)


def fields(form: LaunchForm) -> dict[str, object]:
    return {name: field for name, (_, field) in form._fields.items()}


def test_options_come_with_their_defaults_choices_and_help(made):
    asyncio.run(made.load())
    assert list(made.version.options.values()) == ["2", "1"]
    assert made.version.value == "2"
    assert made.deadline.value == 2.5
    found = fields(made)
    assert list(found["skip-ephys"].options.values()) == ["0", "1"]
    assert found["skip-ephys"].value == "0"
    assert found["who"].label == "who *"
    assert "Leave the recordings out." in str(made.fields[0][1].object)
    assert not made.usable
    assert "who" in str(made.words.object)
    with pytest.raises(InputError):
        made.chosen()


def test_what_was_shown_is_sent_the_converters_own_defaults_too(made):
    asyncio.run(made.load())
    fields(made)["who"].value = "ana"
    chosen = made.chosen()
    assert (chosen.parameters, chosen.route, chosen.deadline_h) == ({"skip-ephys": "0", "who": "ana"}, DIRECT, 2.5)
    fields(made)["skip-ephys"].value = "1"
    made.route.value = MONITORED
    made.deadline.value = None
    chosen = made.chosen()
    assert (chosen.parameters, chosen.route, chosen.deadline_h) == (
        {"skip-ephys": "1", "who": "ana"},
        MONITORED,
        2.5,
    ), "as proposed"


def test_another_version_brings_its_own_options_and_keeps_what_was_set(made):
    asyncio.run(made.load())
    fields(made)["who"].value = "ana"

    async def turn() -> None:
        made.version.value = "1"
        while made.offer is not V1:
            await asyncio.sleep(0.01)

    asyncio.run(turn())
    assert list(fields(made)) == ["slow", "who"]
    assert made.values() == {"slow": "0", "who": "ana"}
    assert made.chosen().offer.version == "1"
    assert not made.route.visible


def test_what_cannot_be_asked_is_said_and_nothing_can_be_launched(made):
    made._context.reader.error = UnavailableError("Code Ocean does not answer", cure="Try again later.")
    asyncio.run(made.load())
    assert not made.usable
    assert "does not answer" in str(made.words.object)
    with pytest.raises(InputError):
        made.chosen()


def test_names_choices_and_help_of_an_app_panel_are_text(made):
    options = tuple(
        Parameter(payload, default=payload, help=payload, choices=(payload,) if at % 2 else ())
        for at, payload in enumerate(PAYLOADS)
    )
    offer = ConverterOffer("c1", PAYLOADS[0], (PAYLOADS[0],), PAYLOADS[0], options)
    made._context.reader.offers = {"": offer}
    asyncio.run(made.load())
    shown = [str(column[1].object) for column in made.fields]
    for _, field in made._fields.values():
        shown += [field.label, *getattr(field, "options", {})]
    assert len(made.fields) == len(dict.fromkeys(PAYLOADS))
    assert not any(sign in words for words in shown for sign in ("<img", "<script", "<svg", "<iframe"))
