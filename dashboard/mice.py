"""Gathered mice of this process: one gathering serves every session that asks, and is used again while it is fresh."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from core.models import Subject
from core.platforms.base import AssetReader
from core.subjects import gather_subject
from jobs.clock import utc_now

FRESH = timedelta(minutes=10)
"""An older mouse is gathered anew when a state of it is opened."""
MOST = 32
"""Mice kept; the one that was used longest ago goes first."""
Tell = Callable[[str], None]
Show = Callable[[Subject], None]


class Gather(Protocol):
    """As `core.subjects.gather_subject`."""

    def __call__(
        self, reader: AssetReader, subject: str, *, now: datetime, progress: Tell | None, partial: Show | None
    ) -> Subject:
        """Gather a mouse."""


@dataclass(slots=True)
class _Gathering:
    """A gathering under way, and who wants to hear of it."""

    done: Future[Subject] = field(default_factory=Future)
    tells: list[Tell] = field(default_factory=list)
    shows: list[Show] = field(default_factory=list)
    so_far: Subject | None = None


class Mice:
    """The mice that were gathered, by place and subject. Used from many threads.

    Args:
        reader: Where they are gathered from.
        now: The present time, UTC.
        gather: What gathers one.
    """

    def __init__(
        self, reader: AssetReader, *, now: Callable[[], datetime] = utc_now, gather: Gather = gather_subject
    ) -> None:
        self._reader, self._now, self._gather = reader, now, gather
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Subject] = OrderedDict()
        self._under_way: dict[tuple[str, str], _Gathering] = {}

    def get(self, subject: str, *, anew: bool = False, progress: Tell, partial: Show) -> Subject:
        """A mouse: the kept one while it is fresh, else gathered now. Blocks.

        Who asks while the mouse is being gathered waits for that gathering and hears of it from there on.

        Args:
            subject: Its id.
            anew: Gather it although a fresh one is kept.
            progress: Told what is waited for.
            partial: Given the mouse as far as it is known, again and again; may be called from another thread.

        Raises:
            PlatformError: the platform could not be searched.
            InputError: the id cannot be searched for.
        """
        key = (self._reader.platform_id, subject)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not anew and self._is_fresh(kept):
                self._kept.move_to_end(key)
                return kept
            under_way = self._under_way.get(key)
            mine = under_way is None
            gathering = under_way or self._under_way.setdefault(key, _Gathering())
            gathering.tells.append(progress)
            gathering.shows.append(partial)
            so_far = gathering.so_far
        if mine:
            self._run(key, subject, gathering)
        elif so_far is not None:
            partial(so_far)
        return gathering.done.result()

    def _is_fresh(self, kept: Subject) -> bool:
        return kept.gathered is not None and timedelta() <= self._now() - kept.gathered <= FRESH

    def _run(self, key: tuple[str, str], subject: str, gathering: _Gathering) -> None:
        def tell(words: str) -> None:
            for each in list(gathering.tells):
                each(words)

        def show(so_far: Subject) -> None:
            gathering.so_far = so_far
            for each in list(gathering.shows):
                each(so_far)

        try:
            found = self._gather(self._reader, subject, now=self._now(), progress=tell, partial=show)
        except BaseException as error:  # noqa: BLE001 - whoever waits must not wait for ever; it is raised to all of them
            self._end(key)
            gathering.done.set_exception(error)
            return
        self._end(key, found)
        gathering.done.set_result(found)

    def _end(self, key: tuple[str, str], found: Subject | None = None) -> None:
        with self._lock:
            del self._under_way[key]
            # A mouse of which nothing was found is looked for again: somebody may be adding it just now.
            if found is not None and (found.recordings or found.stitched):
                self._kept[key] = found
                self._kept.move_to_end(key)
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
