"""What pages read while somebody looks: beside the page, once, and shown when it is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable

import panel as pn

from core.errors import TrackmapperError
from dashboard.turns import beside, on_page


class Reading[Thing, Key: Hashable, Found]:
    """Things that are read when they are wanted, and what became of each.

    Args:
        read: Reads one of them; without it nothing is read. It raises TrackmapperError for what cannot be read.
        key: What tells one thing from another, and one state of it from the next.
        arrived: Called on the page when something was read, or could not be.
    """

    def __init__(
        self,
        read: Callable[[Thing], Awaitable[Found]] | None,
        key: Callable[[Thing], Key],
        arrived: Callable[[], object],
    ) -> None:
        self._read, self._key, self._arrived = read, key, arrived
        self._asked: set[Key] = set()
        self.known: dict[Key, Found] = {}
        self.failed: dict[Key, TrackmapperError] = {}
        """What could not be read; it is not asked for again until it is taken out of here."""

    def want(self, things: Iterable[Thing]) -> bool:
        """Read what is not known yet; True while any of it is on its way."""
        if self._read is None or pn.state.curdoc is None:
            return False
        done = self.known.keys() | self.failed.keys()
        missing = {key: thing for thing in things if (key := self._key(thing)) not in done}
        new = [thing for key, thing in missing.items() if key not in self._asked]
        self._asked |= missing.keys()
        if new:
            beside(lambda: self._go(new))
        return bool(missing)

    async def read(self, things: Iterable[Thing]) -> None:
        """Read each, one after the other."""
        assert self._read is not None
        for thing in things:
            try:
                self.known[self._key(thing)] = await self._read(thing)
                self.failed.pop(self._key(thing), None)
            except TrackmapperError as error:
                self.failed[self._key(thing)] = error

    async def _go(self, things: list[Thing]) -> None:
        try:
            await self.read(things)
        finally:
            self._asked -= {self._key(thing) for thing in things}
        await on_page(self._arrived)
