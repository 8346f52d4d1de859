"""A mouse costs the time of its longest chain of requests, not of their sum: counted in rounds, not in seconds.

The played servers hold every request until nobody sends another, and then answer all of them: one round. What was asked
for in a later round was asked for because of an earlier answer, or because all connections were taken.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from core.platforms.code_ocean.reader import CodeOceanReader
from core.settings import Settings
from core.subjects import gather_subject
from tests.bench_gather import MOUSE, mouse, register, stored
from tests.fake_code_ocean import FakeCodeOcean
from tests.light_s3 import LightS3

SESSIONS = 30
_LOOK_S, _QUIET_LOOKS = 0.005, 12
"""A round is over when so many looks in a row have seen no request come: too few only count rounds that were one."""


@dataclass
class Rounds:
    """A logical clock: it moves when everybody waits."""

    sizes: list[int] = field(default_factory=list)
    """How many requests were answered in each round: that many were in flight together."""
    _waiting: list[threading.Event] = field(default_factory=list)
    _ends: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Of one request, until its round is over."""
        released = threading.Event()
        with self._lock:
            self._waiting.append(released)
        released.wait(60.0)

    async def hold(self) -> None:
        """As `wait`, on an event loop."""
        loop, released = asyncio.get_running_loop(), asyncio.Event()
        each = threading.Event()
        each.set = lambda: loop.call_soon_threadsafe(released.set)  # type: ignore[method-assign]
        with self._lock:
            self._waiting.append(each)
        await released.wait()

    def turn(self) -> None:
        """Let rounds pass until the end."""
        seen = quiet = 0
        while not self._ends.wait(_LOOK_S):
            quiet = quiet + 1 if len(self._waiting) == seen and seen else 0
            seen = len(self._waiting)
            if quiet >= _QUIET_LOOKS:
                with self._lock:
                    answered, self._waiting = self._waiting, []
                self.sizes.append(len(answered))
                for each in answered:
                    each.set()
                seen = quiet = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        turning = threading.Thread(target=self.turn)
        turning.start()
        try:
            yield
        finally:
            self._ends.set()
            turning.join()


@pytest.fixture
def gathered(monkeypatch):
    """Gathers a mouse of so many sessions; returns the rounds that it took."""

    def gather(sessions: int, connections: int | None = None) -> Rounds:
        assets, rounds = mouse(sessions), Rounds()
        with LightS3(stored(assets)) as s3, FakeCodeOcean() as fake:
            register(fake, assets)
            for name, value in s3.environment().items():
                monkeypatch.setenv(name, value)
            s3.hold, take = rounds.hold, fake.faults.take
            monkeypatch.setattr(fake.faults, "take", lambda *asked: (rounds.wait(), take(*asked))[1])
            reader = CodeOceanReader.of(Settings(code_ocean_domain=fake.url, code_ocean_token=SecretStr(fake.token)))
            if connections is not None:
                reader.connections = connections
            with rounds.passing():
                subject = gather_subject(reader, MOUSE, now=datetime.now(UTC))
            assert len(subject.recordings) == sessions
            assert sum(rounds.sizes) == len(s3.log) + fake.count()
        return rounds

    return gather


def test_a_mouse_of_thirty_sessions_takes_the_rounds_of_its_longest_chain(gathered, tell):
    one, many = gathered(1), gathered(SESSIONS)
    asked, chain, most = sum(many.sizes), len(one.sizes), max(many.sizes)
    tell(
        f"gathering {SESSIONS} sessions: {asked} requests in {len(many.sizes)} rounds, at most {most} in flight; "
        f"one session: {sum(one.sizes)} requests in {chain} rounds, which is the longest chain"
    )
    assert chain <= 4
    bears = CodeOceanReader.connections
    # Requests of the pool of assets, and of the one that asks ahead.
    assert SESSIONS < most <= 2 * bears
    # More rounds than one session's only where all connections are taken.
    assert len(many.sizes) <= chain + math.ceil(asked / bears) + 1
    assert asked > 20 * len(many.sizes)


def test_one_after_the_other_is_seen_as_such(gathered, tell):
    """The control."""
    rounds = gathered(2, connections=1)
    asked = sum(rounds.sizes)
    tell(f"control, two sessions with one connection: {asked} requests in {len(rounds.sizes)} rounds")
    assert len(rounds.sizes) > asked / 2
