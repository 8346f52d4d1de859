"""Gathered mice: one gathering for all who ask, used again while fresh, bounded; and offers, kept per version."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import builders as b
import pytest
from fake_library import FakeLibrary

from core.errors import PlatformError
from core.models import Subject
from core.platforms.base import ConverterOffer, Health, HealthKind
from dashboard.health import ASK_EVERY_S, HealthWatch
from dashboard.mice import FRESH, MOST, Mice
from dashboard.offers import FRESH_S, Offers

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Kennel:
    """Gathers made-up mice and notes which; a test may hold a gathering up, or let it fail."""

    def __init__(self) -> None:
        self.now, self.gathered, self.error = NOON, list[str](), None
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.nothing = False

    def gather(self, reader, subject, *, now, progress, partial) -> Subject:
        self.gathered.append(subject)
        made = replace(b.make_subject(), id=subject, gathered=now)
        progress("half way")
        partial(replace(made, recordings=made.recordings[:1]))
        self.started.set()
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        return replace(made, recordings=(), stitched=()) if self.nothing else made


@pytest.fixture
def kennel():
    return Kennel()


@pytest.fixture
def mice(kennel):
    return Mice(FakeLibrary(), now=lambda: kennel.now, gather=kennel.gather)


def get(mice, subject="700001", *, anew=False, shown=None, told=None):
    words, parts = told if told is not None else [], shown if shown is not None else []
    return mice.get(subject, anew=anew, progress=words.append, partial=parts.append)


def test_a_fresh_mouse_is_gathered_once_an_old_one_anew_and_a_refresh_always(mice, kennel):
    first = get(mice)
    kennel.now += FRESH
    assert get(mice) is first
    kennel.now += timedelta(seconds=1)
    second = get(mice)
    assert second is not first
    assert second.gathered == kennel.now
    assert get(mice, anew=True) is not second
    assert kennel.gathered == ["700001"] * 3


def test_a_clock_that_was_set_back_keeps_no_mouse_for_ever(mice, kennel):
    get(mice)
    kennel.now -= timedelta(days=1)
    get(mice)
    assert len(kennel.gathered) == 2


def test_who_comes_while_a_mouse_is_gathered_waits_for_it_and_sees_what_is_known(mice, kennel):
    kennel.gate.clear()
    found, early, late = [], [], []
    first = threading.Thread(target=lambda: found.append(get(mice, shown=early)))
    first.start()
    assert kennel.started.wait(20)
    second = threading.Thread(target=lambda: found.append(get(mice, shown=late, anew=True)))
    second.start()
    while not late:
        assert second.is_alive()
    kennel.gate.set()
    first.join(20)
    second.join(20)
    assert found[0] is found[1]
    assert [len(part.recordings) for part in (*early, *late)] == [1, 1]
    assert kennel.gathered == ["700001"]


def test_a_gathering_that_fails_fails_for_all_who_wait_and_is_tried_again(mice, kennel):
    kennel.error = PlatformError("it cannot be searched")
    with pytest.raises(PlatformError):
        get(mice)
    kennel.error = None
    assert get(mice).id == "700001"


def test_a_mouse_of_which_nothing_is_there_is_looked_for_again(mice, kennel):
    kennel.nothing = True
    get(mice)
    kennel.nothing = False
    assert get(mice).recordings


def test_as_many_mice_are_kept_as_fit_the_newest_used_last_to_go(mice, kennel):
    for number in range(MOST):
        get(mice, str(number))
    get(mice, "0")
    get(mice, "another")
    kennel.gathered.clear()
    get(mice, "0")
    assert kennel.gathered == []
    get(mice, "1")
    assert kennel.gathered == ["1"]


def test_an_offer_is_asked_for_once_per_version():
    asked = []

    class Reader(FakeLibrary):
        def converter_offer(self, version=""):
            asked.append(version)
            return ConverterOffer("c", "Converter", ("2", "1"), version or "2")

    seconds = [0.0]
    offers = Offers(Reader(), clock=lambda: seconds[0])
    assert offers.get().version == "2"
    assert offers.get("2") is offers.get()
    assert offers.get("1").version == "1"
    assert asked == ["", "1"]
    seconds[0] = FRESH_S
    offers.get()
    assert asked == ["", "1", ""]


def test_health_is_asked_for_now_and_then_and_its_kind_has_a_beginning():
    class Reader(FakeLibrary):
        answer = Health()
        asked = 0

        def health(self):
            self.asked += 1
            return self.answer

    reader, seconds = Reader(), [0.0]
    watch = HealthWatch(reader, now=lambda: NOON + timedelta(seconds=seconds[0]), clock=lambda: seconds[0])
    assert watch.last is None
    assert watch.look().since == NOON
    watch.look()
    assert reader.asked == 1
    for step, (kind, since) in enumerate(
        [(HealthKind.AWAY, 1), (HealthKind.AWAY, 1), (HealthKind.OK, 3), (HealthKind.REFUSING, 4)], 1
    ):
        seconds[0] = step * (ASK_EVERY_S + 1)
        reader.answer = Health(kind, f"words {step}")
        seen = watch.look()
        assert seen.health.words == f"words {step}"
        assert seen.since == NOON + timedelta(seconds=since * (ASK_EVERY_S + 1))
