"""Carries every active job as far as it goes without waiting, one pass after the other."""

from __future__ import annotations

import itertools
import logging
import os
import random
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from core.errors import JobError, StaleRecordError, StoreError
from core.platforms.base import Runner
from core.platforms.choice import settings_warnings
from core.settings import Settings
from jobs import calls, protocol
from jobs.aftercare import check_up
from jobs.announce import Announcements, Announcer
from jobs.call_answers import Answer, Made, NotReached, Throttled
from jobs.clock import moment
from jobs.known_runs import known_runs
from jobs.launches import Launch, open_launch
from jobs.leadership import WorkerStatus
from jobs.log_keeper import LogKeeper
from jobs.platform_health import BREAK_S, PlatformHealth
from jobs.protocol import Kind, Policy
from jobs.records import JobRecord, Moment, Phase
from jobs.store import JobStore

_log = logging.getLogger(__name__)
_CALLS_A_PASS = 20
"""More than a whole job needs: a job that never comes to rest must not keep the others waiting."""
_STATUS_S, _ERRORS_KEPT, _WRITES_TRIED = 15.0, 5, 5
_WRITE_PAUSE_S = 0.5
_FAULT_WAIT_S = 60.0
_LOOKS_ON = frozenset({Kind.INPUTS, Kind.WATCH, Kind.RESULT})
_YOUNG_S = 10.0
"""Assets are ready within seconds, runs within hours."""
_LOG_BEFORE = frozenset({Kind.STOP, Kind.VERIFY})
"""Stopping may take a run away with its log; by its end a log is whole."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    in_hand: int
    """Jobs that have not ended."""
    calls: int


class Monitor:
    """The worker's hands. Only the process that holds the leader's lock may run one.

    Args:
        store: The queue.
        runner: The platform.
        settings: What becomes of twins, and the deadline of jobs that name none.
        poll_s: Seconds between two looks at a run; the settings' when None.
        announcer: Tells people outside of ends and questions.
        owner: Identifies this worker; a new one each time, unless given.
        now: The clocks.
        draw: Gives numbers from 0 to 1, to spread looks and back-offs.
        policy: Patience; the platform's own when None.
        calling: Entered round every call on the platform, which may take long.
        sleep: Waits before an effect that could not be written down is written down again.
    """

    def __init__(
        self,
        store: JobStore,
        runner: Runner,
        settings: Settings,
        *,
        poll_s: float | None = None,
        announcer: Announcer | None = None,
        owner: str | None = None,
        now: Callable[[], Moment] = moment,
        draw: Callable[[], float] = random.random,
        policy: Policy | None = None,
        calling: Callable[[], AbstractContextManager[object]] = nullcontext,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store, self.runner, self.settings = store, runner, settings
        self.owner = owner or uuid.uuid4().hex
        self.policy = policy or Policy(runner.settle, deadline_h=settings.long_run_hours)
        self._now, self._draw, self._calling, self._sleep = now, draw, calling, sleep
        runner.recall(known_runs(store, runner), now().at)
        self._logs = LogKeeper(store, runner, calling)
        self._next_look: dict[str, tuple[int, float]] = {}
        self._set_aside: dict[str, float] = {}
        self.poll_s = settings.poll_seconds if poll_s is None else poll_s
        self._announcements = Announcements(store, announcer) if announcer else None
        self._health = PlatformHealth(runner.name)
        self._checkups_s = 0.0
        self._errors: list[str] = []
        self._status: WorkerStatus | None = None
        self._status_s = 0.0
        self._alive_since = now()

    def run_pass(self, go_on: Callable[[], bool] = lambda: True) -> Pass:
        """Advance every active job; one that cannot go on does not hold the others up.

        Args:
            go_on: Asked before each job; False ends the pass early.

        Raises:
            StoreError: the queue itself cannot be read or written.
        """
        active = self.store.active()
        made = sum(self._advance_safely(record) for record in active if go_on())
        alive = {record.id for record in active}
        for job_id in (self._next_look.keys() | self._set_aside.keys()) - alive:
            self._next_look.pop(job_id, None)
            self._set_aside.pop(job_id, None)
            self._logs.forget(job_id)
        self._check_up(go_on)
        if self._announcements is not None:
            self._announcements.turn(self._now().at)
        self._report(len(active))
        return Pass(len(active), made)

    def _advance_safely(self, record: JobRecord) -> int:
        try:
            return self._advance(record)
        except StoreError:
            raise
        except JobError as error:
            # Somebody else wrote the record: the next pass reads it anew.
            _log.info("job %s: %s", record.id, error)
        except Exception as error:  # noqa: BLE001 - the boundary of one job: its fault must not stop the others
            _log.exception("job %s", record.id)
            self._note_error(f"job {int(record.id)}: {type(error).__name__}: {error}")
            self._set_aside[record.id] = self._now().boot_s + _FAULT_WAIT_S
        return 0

    def _advance(self, record: JobRecord) -> int:
        """Make the calls that a job needs now; returns how many."""
        for made in itertools.count():
            now = self._now()
            if made == _CALLS_A_PASS or self._is_waiting(record, now):
                return made
            # Our own intent, too, when it is read back: its answer could not be written, and a look that fails must
            # not be taken for a call that was never sent.
            if not record.has_ended and (record.owner != self.owner or record.phase is Phase.INTENT):
                record = self.store.put(protocol.take(record, self.owner, now))
            kind = protocol.next_call(record, now)
            if kind is None or (kind is not Kind.CLAIM and self._health.is_closed(now)):
                return made
            if kind is Kind.MAKE:
                if self.store.paused_by():
                    return made
                record = self.store.put(protocol.intend(record, now))
                if self.store.paused_by():
                    self.store.put(protocol.withdraw(record))
                    return made
            if kind in _LOG_BEFORE:
                kept = self._logs.keep(record, now, before_stop=kind is Kind.STOP)
                if kept is None:
                    self._next_look[record.id] = (record.rev, now.boot_s + _YOUNG_S)
                    return made
                record = kept
            asked = self._now()
            with self._calling():
                answer = calls.perform(kind, record, self.runner, self._open_launch)
            self._hear(kind, answer)
            after = self._write(record, answer, asked)
            if kind is Kind.WATCH and after.has_ended:
                after = self._logs.keep(after, self._now()) or after
            if kind in _LOOKS_ON and after.step is record.step:
                self._next_look[record.id] = (after.rev, self._now().boot_s + self._pause_s(kind))
            record = after
        raise AssertionError("unreachable")

    def _write(self, record: JobRecord, answer: Answer, asked: Moment) -> JobRecord:
        """Write down what an answer makes of a job.

        Somebody may have asked for a cancellation while the call was under way. The answer to an effect then
        still belongs to the newer record, as long as that one has the same intent. An effect that was made and cannot
        be written down is told on stderr, too: it costs money, and the queue does not know of it.
        """
        jitter = self._draw()
        for tried in range(1, _WRITES_TRIED + 1):
            after = protocol.step(record, answer, self._now(), self.policy, jitter, asked)
            if after is record:
                return record
            try:
                return self.store.put(after)
            except StaleRecordError:
                newer = self.store.get(record.id)
                same = (newer.owner, newer.step, newer.phase) == (record.owner, record.step, record.phase)
                if not same or record.phase is not Phase.INTENT:
                    raise
                record = newer
            except StoreError as error:
                if not isinstance(answer, Made):
                    raise
                told = "it is looked for later" if tried == _WRITES_TRIED else "trying again"
                place = (int(record.id), record.step.value, answer.id)
                words = "job %d: the step %s made %s, and that could not be written down (%s); %s"
                _log.error(words, *place, error, told)
                if tried == _WRITES_TRIED:
                    raise
                self._sleep(_WRITE_PAUSE_S)
        raise StaleRecordError("the job keeps changing", where=f"job {record.id}", cure="It is looked at again.")

    def _open_launch(self, record: JobRecord) -> Launch:
        return open_launch(self.store, record)

    def _is_waiting(self, record: JobRecord, now: Moment) -> bool:
        """True until the next look is due; a record that somebody else has changed is looked at now."""
        rev, until_s = self._next_look.get(record.id, (record.rev, 0.0))
        return now.boot_s < self._set_aside.get(record.id, 0.0) or (rev == record.rev and now.boot_s < until_s)

    def _pause_s(self, kind: Kind) -> float:
        # The same for old runs as for young ones: one listing of a platform serves all jobs.
        pause_s = self.poll_s if kind is Kind.WATCH else min(self.poll_s, _YOUNG_S)
        return pause_s * (0.8 + 0.4 * self._draw())

    def _hear(self, kind: Kind, answer: Answer) -> None:
        if isinstance(answer, NotReached | Throttled):
            self._note_error(answer.words)
        if kind is not Kind.CLAIM or isinstance(answer, NotReached):
            self._health.heard(answer, self._now())  # a claim that is granted asks nothing of the platform

    def _check_up(self, go_on: Callable[[], bool]) -> None:
        """Make the looks that are due at jobs which need no other call."""
        now = self._now()
        if now.boot_s < self._checkups_s or self._health.is_closed(now):
            return
        self._checkups_s = now.boot_s + self.poll_s
        find_again_s = 2 * self.policy.settle.run_window_s
        for checkup in self.store.checkups():
            if not go_on():
                return
            try:
                with self._calling():
                    check_up(
                        self.store,
                        self.runner,
                        checkup,
                        now,
                        stop_twins=self.settings.stop_twins,
                        find_again_s=find_again_s,
                    )
            except StoreError:
                if f"job/{checkup.job_id}" in self.store.bad_rows:
                    continue  # a record that this program cannot read stays as it is, and so does what it waits for
                raise
            except JobError as error:
                _log.info("checkup of job %s: %s", checkup.job_id, error)  # the next one reads it anew
            except Exception as error:  # noqa: BLE001 - the boundary of the looks: they are made later
                self._note_error(f"checkup of job {int(checkup.job_id)}: {type(error).__name__}: {error}")
                self._checkups_s = now.boot_s + BREAK_S
                return

    def end(self) -> None:
        """Let notices that are being sent be sent, for a while."""
        if self._announcements is not None:
            self._announcements.end()

    def _note_error(self, words: str) -> None:
        self._errors = [*self._errors, f"{self._now().at:%H:%M:%S}Z {words[:300]}"][-_ERRORS_KEPT:]

    def _report(self, in_hand: int) -> None:
        """The worker's own row: written when it says something new, else seldom."""
        now = self._now()
        paused = self.store.paused_by()
        waiting = f"paused by {paused}" if paused else ""
        waiting = self._health.banner(now) or waiting
        errors = (
            *settings_warnings(self.settings),
            *self._errors,
            *(f"{key}: {why}" for key, why in sorted(self.store.bad_rows.items())[:3]),
        )
        status = WorkerStatus(
            owner=self.owner,
            pid=os.getpid(),
            alive_since=self._alive_since.at,
            in_hand=in_hand,
            platform=self.runner.name,
            waiting=waiting,
            errors=errors,
            health=self._health.kind,
            health_words=self._health.words[:300],
            health_since=self._health.since,
            notices=self._announcements.announcer.trouble if self._announcements else "",
        )
        if status != self._status or now.boot_s - self._status_s >= _STATUS_S:
            self.store.set_worker_status(status.model_copy(update={"last_pass": now.at}))
            self._status, self._status_s = status, now.boot_s
