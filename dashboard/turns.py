"""Work in turns of the event loop: what one page builds must not hold up every other visitor.

A page is changed in turns only. Each holds the page's lock, and none is left half done for another. What runs outside
of them, as coroutines and some of Panel's own events do, may come while a turn on another thread counts what the
browser has been given, and the browser is then told of parts that it never got.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import panel as pn
from bokeh.document import Document, without_document_lock
from bokeh.document.callbacks import invoke_with_curdoc
from panel.io.state import set_curdoc

_SHOWN_MS = 120


def next_turn(change: Callable[[], object]) -> None:
    """Do something to the page when it is our turn."""
    if (doc := _served_page()) is not None:
        doc.add_next_tick_callback(change)
    else:
        change()


def soon(change: Callable[[], object]) -> None:
    """Do something that costs the browser much when it has shown what it was given until now."""
    if (doc := _served_page()) is not None:
        doc.add_timeout_callback(change, _SHOWN_MS)
    else:
        change()


def in_turns(steps: Iterator[object]) -> None:
    """Run a generator up to each of its `yield`s in a turn of its own, the first one now.

    Without a page in a browser there is nobody to wait for, and all of it runs at once.
    """

    def turn() -> None:
        for _ in steps:
            return next_turn(turn)
        return None

    turn()


async def on_page[T](change: Callable[[], T]) -> T:
    """Change the page from a coroutine, in a turn of its own.

    Raises:
        CancelledError: The visitor has left, so there is nothing to go on with.
    """
    doc = _served_page()
    session = doc.session_context.session if doc is not None and doc.session_context is not None else None
    if doc is None or session is None:
        return change()
    done: list[T] = []
    if not session.destroyed:
        await session.with_document_locked(lambda: invoke_with_curdoc(doc, lambda: done.append(change())))
    if not done:
        raise asyncio.CancelledError
    return done[0]


def beside(work: Callable[[], Awaitable[object]]) -> None:
    """Do what takes long beside the page, which answers meanwhile; what it changes there, it changes `on_page`."""
    if (doc := pn.state.curdoc) is not None:
        doc.add_next_tick_callback(_unlocked(doc, work))
    else:
        pn.state.execute(work)


def every(period_ms: int, work: Callable[[], Awaitable[object]]) -> None:
    """Do something beside the page again and again as long as it is open; the next waits for the one before."""
    if (doc := _served_page()) is not None:
        doc.add_periodic_callback(_unlocked(doc, work), period_ms)


def _served_page() -> Document | None:
    doc = pn.state.curdoc
    return doc if doc is not None and doc.session_context is not None else None


def _unlocked(doc: Document, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    @without_document_lock
    async def run() -> None:
        with set_curdoc(doc):
            await work()

    return run
