"""A page is changed in turns that hold its lock; what works beside it waits for one."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from bokeh.document import Document
from bokeh.server.session import ServerSession
from builders import make_subject
from lock_watch import watched
from panel.io.state import set_curdoc

from core.errors import UnavailableError
from dashboard.reading import Reading
from dashboard.turns import on_page


class Served:
    """A page that a browser could look at, without one."""

    def __init__(self) -> None:
        self.doc = Document()
        self.session = ServerSession("one", self.doc)
        self.doc._session_context = lambda: SimpleNamespace(session=self.session)

    def run[T](self, work) -> T:
        async def run():
            with set_curdoc(self.doc):
                return await work()

        return asyncio.run(run())


@pytest.fixture
def page() -> Served:
    return Served()


def test_a_change_from_a_coroutine_holds_the_lock_and_no_two_come_at_once(page):
    inside, most, threads = 0, 0, set()

    def change():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threads.add(threading.current_thread())
        assert page.session._lock.locked()
        inside -= 1
        return "changed"

    async def work():
        return await asyncio.gather(*(on_page(change) for _ in range(20)))

    assert page.run(work) == ["changed"] * 20
    assert most == 1
    assert threading.main_thread() not in threads
    assert not page.session._lock.locked()


def test_what_a_change_raises_reaches_the_coroutine_and_frees_the_page(page):
    def change():
        raise UnavailableError("It is being repaired.")

    async def work():
        with pytest.raises(UnavailableError):
            await on_page(change)
        return await on_page(lambda: "next")

    assert page.run(work) == "next"


def test_nothing_goes_on_when_the_visitor_has_left(page):
    changed = []

    async def work():
        page.session._destroyed = True
        with pytest.raises(asyncio.CancelledError):
            await on_page(lambda: changed.append(1))

    page.run(work)
    assert changed == []


def test_without_a_served_page_a_change_is_made_at_once():
    assert asyncio.run(on_page(lambda: threading.current_thread())) is threading.main_thread()


def test_the_watch_of_the_browser_tests_sees_a_change_outside_of_a_turn(page, tmp_path):
    told, counted = tmp_path / "told", []
    look = watched(counted.append, told)

    async def work():
        await on_page(lambda: look(page.doc.models))
        assert not told.exists()
        look(page.doc.models)
        async with page.session._lock:  # another's turn is not ours
            look(page.doc.models)

    page.run(work)
    assert len(told.read_text().splitlines()) == 2
    assert "work" in told.read_text()
    assert len(counted) == 3


def test_a_thing_is_read_once_and_asked_for_again_only_when_its_failure_is_forgotten():
    asked, arrived = [], []
    things = make_subject().recordings

    async def read(thing):
        asked.append(thing.name)
        if len(asked) == 1:
            raise UnavailableError("It is being repaired.")
        return len(asked)

    reading = Reading(read, lambda thing: thing.name, lambda: arrived.append(len(reading.known)))
    doc = Document()

    def turn():
        with set_curdoc(doc):
            for planned in list(doc.session_callbacks):
                doc.remove_next_tick_callback(planned)
                asyncio.run(planned.callback())

    with set_curdoc(doc):
        assert reading.want(things[:1])
        assert reading.want(things[:1]), "it is on its way"
    turn()
    assert (list(reading.failed), reading.known, arrived) == ([things[0].name], {}, [0])
    with set_curdoc(doc):
        assert not reading.want(things[:1])
        reading.failed.clear()
        assert reading.want(things[:1])
    turn()
    assert (reading.failed, reading.known, arrived) == ({}, {things[0].name: 2}, [0, 1])
    with set_curdoc(doc):
        assert not reading.want(things[:1])
    assert asked == [things[0].name] * 2
