"""Counts over simulated jobs: what was doubled, lost or left behind."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

from jobs.records import JobState
from tests.protocol_simulation import CHILD, COSTLY, EFFECTS, World


@dataclass
class Tally:
    """Counts over jobs."""

    jobs: int = 0
    doubled: int = 0
    surplus: int = 0
    lost: int = 0
    orphans: int = 0
    asked: int = 0
    settled: int = 0
    crashes: int = 0
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in ("jobs", "doubled", "surplus", "lost", "orphans", "asked", "settled", "crashes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.ends.update(other.ends)
        self.wrong = [*self.wrong, *other.wrong][:10]

    def line(self) -> str:
        """The figures, for people."""
        return (
            f"{self.jobs} jobs, {self.doubled} doubled, {self.lost} lost, {self.orphans} orphans, "
            f"{self.crashes} crashes, {100 * self.settled / self.jobs:.1f}% settled a doubt, "
            f"{100 * self.asked / self.jobs:.3f}% asked a person, {self.surplus} surplus input assets"
        )

    def note(self, world: World, name: str) -> None:
        """Audit a world in which nothing happens any more, as if everything on its way had arrived."""
        record, words = world.record, []
        known = {*record.ids.__dict__.values(), *record.surplus, record.remote.child}
        self.jobs += 1
        self.crashes += world.workers
        self.ends[record.state] += 1
        self.settled += any(event.what == "in doubt" for event in record.events)
        self.asked += any(event.what == "needs you" for event in record.events)
        made = collections.Counter(thing.step for thing in world.things if not thing.failed)
        if any(made[step] > 1 for step in COSTLY):
            self.doubled += 1
            words.append(f"made {dict(made)}")
        self.surplus += sum(max(0, made[step] - 1) for step in EFFECTS if step not in COSTLY)
        asks = record.state is JobState.NEEDS_YOU
        succeeded = record.state is JobState.SUCCEEDED
        exists = {thing.id for thing in world.things}
        phantom = [i for i in record.ids.__dict__.values() if i is not None and i not in exists]
        if not (record.has_ended or asks) or phantom or (succeeded and any(made[step] < 1 for step in EFFECTS)):
            self.lost += 1
            words.append(f"ended as {record.state} with {dict(made)} {phantom}")
        unknown = [thing for thing in world.things if thing.step in (*COSTLY, CHILD) and thing.id not in known]
        orphans = [thing.id for thing in unknown if not thing.stopped] + world.going_on()
        if record.has_ended and orphans:
            self.orphans += 1
            words.append(f"nobody cares for {orphans}")
        if words:
            self.wrong.append(f"{name}: {'; '.join(words)}")
