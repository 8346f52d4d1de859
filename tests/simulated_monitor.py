"""The route through a monitor on simulated days: two runs, of which the second and its result are not our calls.

Besides the protocol this world has the looks that are made after a job's end, by the program's own `check_up`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

from core.models import Asset
from core.platforms.base import MONITORED, RunKey, RunState, RunStatus
from jobs.aftercare import check_up
from jobs.call_answers import Answer, Counted, Followed, NotReached, Results, Seen, Stopped
from jobs.checkups import Checkup, end_checkup, mark_checkup
from jobs.protocol import Kind
from jobs.records import CountedCoverage, JobRecord, JobState, Step
from tests.protocol_simulation import CHILD, MINUTE_S, POLICY, Script, Thing, World
from tests.simulated_replies import fresh_record

STARTS_S, KEEPS_S = 60.0, 20.0
"""How long after its start a monitor starts the conversion, and after that one's end keeps its result."""
_LOOKED_AFTER_S = (1.0, 5.0, 15.0, 30.0, 40.0, 80.0, 150.0)
"""Minutes after a job's end at which its looks are made."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What a monitor does."""

    starts: int = 1
    """Conversions."""
    keeps: bool = True
    """The result."""
    dies_s: float = inf
    """After its start, whatever it was about to do."""
    child_lag_s: float = 0.0
    """How long its conversion shows nowhere."""
    result_lag_s: float = 0.0
    """How long no search shows its result."""


KEEPS = Habit()
HABITS = (
    KEEPS,
    Habit(child_lag_s=4.5 * MINUTE_S, result_lag_s=4.5 * MINUTE_S),
    Habit(keeps=False),
    Habit(dies_s=STARTS_S + 5.0, child_lag_s=4.5 * MINUTE_S),
    Habit(starts=0),
    Habit(starts=2, child_lag_s=4.5 * MINUTE_S),
)
WE_KEEP = tuple(habit for habit in HABITS if habit.starts and (not habit.keeps or habit.dies_s < inf))
"""Habits that leave the result to us."""
MONITORED_RECORD = fresh_record().changed(route=MONITORED)


@dataclass(slots=True)
class MonitoredWorld(World):
    """One job whose run is a monitor's. Also the store and the runner of the looks after its end."""

    habit: Habit = KEEPS
    rows: dict[str, Any] = field(default_factory=dict)
    """Looks that are still to be made, as the queue keeps them."""
    settle = POLICY.settle
    platform_id = ""

    def left(self, script: Script, things: list[Thing]) -> World:
        """As in the direct world, with what the queue keeps of looks."""
        place = (script, self.rules, self.record, things, self.s + 5.0)
        return MonitoredWorld(*place, workers=self.workers + 1, habit=self.habit, rows=dict(self.rows))

    # --- the queue ------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """A record; as a turn, a row."""
        return self.rows.get(key) if "/" in key else self.record

    def put(self, record: JobRecord, quotas: object = None) -> JobRecord:
        """With the looks that the record makes necessary, as the queue does."""
        before = self.record
        written = World.put(self, record)
        mark_checkup(cast(Any, self), before, written)
        return written

    def set(self, key: str, value: object) -> None:
        self.rows[key] = value

    def delete(self, key: str) -> None:
        self.rows.pop(key, None)

    def end_checkup(self, checkup: Checkup, following: Checkup | None) -> None:
        end_checkup(cast(Any, self), checkup, following)

    # --- time -----------------------------------------------------------------------------------

    def run(self) -> None:
        """To the job's end, and on through the looks that are made after it."""
        World.run(self)
        ended_s = self.s
        for minutes in _LOOKED_AFTER_S:
            self.s = ended_s + minutes * MINUTE_S
            for value in list(self.rows.values()):
                place = (cast(Any, self), cast(Any, self), Checkup.model_validate(value), self.now())
                check_up(*place, stop_twins=False, find_again_s=2 * self.settle.run_window_s)
        self.s = ended_s

    def live(self) -> None:
        """Let every monitor do by now what it does; one that was stopped does nothing more."""
        for monitor in [thing for thing in self.things if thing.step is Step.RUN and thing.made_s <= self.s]:
            own = f"child of {monitor.id} "
            begun = [thing for thing in self.things if thing.id.startswith(own)]
            starts_s, dies_s = monitor.made_s + STARTS_S, monitor.made_s + self.habit.dies_s
            if not (begun or monitor.stopped) and starts_s <= min(self.s, dies_s):
                for number in range(self.habit.starts):
                    made_s = starts_s + number
                    begun.append(Thing(f"{own}{number}", CHILD, made_s, made_s + self.habit.child_lag_s))
                self.things += begun
            if not begun or monitor.stopped or begun[-1].stopped or not self.habit.keeps:
                continue
            kept_s, kept = self.keeps_at_s(begun), f"result of {monitor.id}"
            if kept_s <= min(self.s, dies_s) and not any(thing.id == kept for thing in self.things):
                self.things.append(Thing(kept, Step.CAPTURE, kept_s, kept_s + self.habit.result_lag_s))

    def keeps_at_s(self, begun: list[Thing]) -> float:
        return begun[-1].made_s + self.script.run_s + KEEPS_S

    # --- the platform ---------------------------------------------------------------------------

    def seen(self, step: Step) -> tuple[str, ...]:
        self.live()
        return World.seen(self, step)

    def answer(self, kind: Kind, record: JobRecord) -> Answer:
        match kind:
            case Kind.LOOK if record.step is Step.RUN:
                runs = self.seen(Step.RUN)
                return Seen(runs, () if runs else self.seen(CHILD))
            case Kind.WATCH:
                monitor, children = self.run_status(record.ids.run), self.seen(CHILD)
                child = record.remote.child or next((c for c in children if c not in record.surplus), "")
                return Followed(monitor, children, self.run_status(child) if child else None)
            case Kind.VERIFY:
                [child] = [thing for thing in self.things if thing.id == record.conversion_run]
                ended_s = child.made_s + self.script.run_s
                return Results(self.s >= ended_s + self.script.results_lag_s())
            case Kind.COUNT:
                ours = (record.ids.run, record.remote.child, record.ids.result)
                found = (i for step in (Step.RUN, CHILD, Step.CAPTURE) for i in self.seen(step))
                return Counted(CountedCoverage(asked=2, delivered=2), tuple(i for i in found if i not in ours))
            case _:
                return World.answer(self, kind, record)

    def run_status(self, run_id: str | None) -> RunStatus:
        self.live()
        [run] = [thing for thing in self.things if thing.id == run_id]
        if self.s < run.shown_s:
            return RunStatus(run.id, RunState.GONE)
        if run.stopped:
            return RunStatus(run.id, RunState.STOPPED)
        return RunStatus(run.id, RunState.RUNNING if self.goes_on(run, self.s) else RunState.FINISHED, 0)

    def goes_on(self, run: Thing, at_s: float) -> bool:
        if run.step is CHILD:
            return at_s < run.made_s + self.script.run_s
        begun = [thing for thing in self.things if thing.id.startswith(f"child of {run.id} ")]
        ends_s = self.keeps_at_s(begun) + 1.0 if begun else run.made_s + STARTS_S + 1.0
        return at_s < min(ends_s, run.made_s + self.habit.dies_s)

    def stop(self, record: JobRecord) -> Answer:
        """As the worker does: monitors first, and then every conversion that shows."""
        if record.step in (Step.RUN, Step.WATCH):
            found = {record.ids.run, *self.seen(Step.RUN)}
            if any(thing.id in found and thing.shown_s > self.s for thing in self.things):
                return NotReached("the run does not show yet")
            for run in (*found, record.remote.child, *self.seen(CHILD)):
                self.stop_run(run or "")
        return Stopped()

    def going_on(self) -> list[str]:
        ended = self.record.ended
        if self.record.state is not JobState.CANCELLED or ended is None:
            return []
        runs = [thing for thing in self.things if thing.step in (Step.RUN, CHILD) and not thing.stopped]
        looks_s = [self.s, *(self.s + minutes * MINUTE_S for minutes in _LOOKED_AFTER_S)]
        # What had ended before a look could see it could not be stopped; it is told.
        first_s = {run.id: next((at_s for at_s in looks_s if at_s >= run.shown_s), inf) for run in runs}
        return [run.id for run in runs if self.goes_on(run, first_s[run.id])]

    # --- the runner of the looks ----------------------------------------------------------------

    def find_runs(self, _: RunKey) -> tuple[str, ...]:
        return self.seen(Step.RUN)

    def find_children(self, _: RunKey) -> tuple[str, ...]:
        return self.seen(CHILD)

    def find_assets(self, _: str) -> tuple[Asset, ...]:
        return tuple(Asset(found, "a_ibl-converted_b") for found in self.seen(Step.CAPTURE))

    def stop_run(self, run_id: str) -> None:
        for thing in self.things:
            thing.stopped = thing.stopped or thing.id == run_id
