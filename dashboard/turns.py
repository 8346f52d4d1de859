"""Work in turns of the event loop: what one page builds must not hold up every other visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import panel as pn

_SHOWN_MS = 120


def next_turn(change: Callable[[], object]) -> None:
    """Do something to Bokeh's own models: where Panel runs a callback, the document may not be ours to write to."""
    doc = pn.state.curdoc
    if doc is not None and doc.session_context is not None:
        doc.add_next_tick_callback(change)
    else:
        change()


def soon(change: Callable[[], object]) -> None:
    """Do something that costs the browser much when it has shown what it was given until now."""
    doc = pn.state.curdoc
    if doc is not None and doc.session_context is not None:
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
