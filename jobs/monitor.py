"""Carries every active job as far as it goes without waiting, one pass after the other."""

from __future__ import annotations

import itertools
import logging
import os
import random
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from core.errors import JobError, StaleRecordError, StoreError
from core.platforms.base import Runner
from core.settings import Settings
from jobs import calls, protocol
from jobs.call_answers import Answer, NotReached
from jobs.clock import moment
from jobs.launches import Launch, open_launch
from jobs.leadership import WorkerStatus
from jobs.protocol import Kind, Policy
from jobs.records import JobRecord, Moment, Phase, Step
from jobs.store import JobStore

_log = logging.getLogger(__name__)
_CALLS_A_PASS = 20
"""More than a whole job needs: a job that never comes to rest must not keep the others waiting."""
_FAILURES_TO_BREAK, _BREAK_S = 5, 60.0
_STATUS_S, _ERRORS_KEPT, _WRITES_TRIED = 15.0, 5, 5
_FAULT_WAIT_S = 60.0
_LOOKS_ON = frozenset({Kind.INPUTS, Kind.WATCH, Kind.RESULT})
# A young run is looked at often, an old one seldom: (age in seconds, times the settled pause).
_LOOKS = ((120.0, 1.0), (600.0, 4.0), (float("inf"), 8.0))


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
        settings: How often to look, and from when a run is long.
        owner: Identifies this worker; a new one each time, unless given.
        now: The clocks.
        draw: Gives numbers from 0 to 1, to spread looks and back-offs.
        policy: Patience; the platform's own when None.
        calling: Entered round every call on the platform, which may take long.
    """

    def __init__(
        self,
        store: JobStore,
        runner: Runner,
        settings: Settings,
        *,
        owner: str | None = None,
        now: Callable[[], Moment] = moment,
        draw: Callable[[], float] = random.random,
        policy: Policy | None = None,
        calling: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.store, self.runner, self.settings = store, runner, settings
        self.owner = owner or uuid.uuid4().hex
        self.policy = policy or Policy(runner.settle, deadline_h=settings.long_run_hours)
        self._now, self._draw, self._calling = now, draw, calling
        self._next_look: dict[str, tuple[int, float]] = {}
        self._set_aside: dict[str, float] = {}
        self._failures, self._closed_until_s = 0, 0.0
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
            if record.owner != self.owner and not record.has_ended:
                record = self.store.put(protocol.take(record, self.owner, now))
            kind = protocol.next_call(record, now)
            if kind is None or (kind is not Kind.CLAIM and now.boot_s < self._closed_until_s):
                return made
            if kind is Kind.MAKE:
                if self.store.paused_by():
                    return made
                record = self.store.put(protocol.intend(record, now))
            with self._calling():
                answer = calls.perform(kind, record, self.runner, self._open_launch)
            self._count_failures(kind, answer)
            after = self._write(record, answer)
            if kind in _LOOKS_ON and after.step is record.step:
                self._next_look[record.id] = (after.rev, self._now().boot_s + self._pause_s(record, now))
            record = after
        raise AssertionError("unreachable")

    def _write(self, record: JobRecord, answer: Answer) -> JobRecord:
        """Write down what an answer makes of a job.

        Somebody may have asked for a cancellation while the call was under way. The answer to an effect then
        still belongs to the newer record, as long as that one has the same intent.
        """
        jitter = self._draw()
        for _ in range(_WRITES_TRIED):
            after = protocol.step(record, answer, self._now(), self.policy, jitter)
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
        raise StaleRecordError("the job keeps changing", where=f"job {record.id}", cure="It is looked at again.")

    def _open_launch(self, record: JobRecord) -> Launch:
        return open_launch(self.store, record)

    def _is_waiting(self, record: JobRecord, now: Moment) -> bool:
        """True until the next look is due; a record that somebody else has changed is looked at now."""
        rev, until_s = self._next_look.get(record.id, (record.rev, 0.0))
        return now.boot_s < self._set_aside.get(record.id, 0.0) or (rev == record.rev and now.boot_s < until_s)

    def _pause_s(self, record: JobRecord, now: Moment) -> float:
        age_s = (now.at - record.started).total_seconds() if record.started and record.step is Step.WATCH else 0.0
        factor = next(factor for age, factor in _LOOKS if age_s <= age)
        return self.settings.poll_seconds * factor * (0.8 + 0.4 * self._draw())

    def _count_failures(self, kind: Kind, answer: Answer) -> None:
        """After several outages in a row nothing is sent for a while; then one call finds out."""
        if not isinstance(answer, NotReached):
            if kind is not Kind.CLAIM:  # which asks nothing of the platform
                self._failures, self._closed_until_s = 0, 0.0
            return
        self._note_error(answer.words)
        if not answer.is_outage:
            return
        self._failures += 1
        if self._failures >= _FAILURES_TO_BREAK:
            self._closed_until_s = self._now().boot_s + _BREAK_S

    def _note_error(self, words: str) -> None:
        self._errors = [*self._errors, f"{self._now().at:%H:%M:%S}Z {words[:300]}"][-_ERRORS_KEPT:]

    def _report(self, in_hand: int) -> None:
        """The worker's own row: written when it says something new, else seldom."""
        now = self._now()
        paused = self.store.paused_by()
        waiting = f"paused by {paused}" if paused else ""
        if now.boot_s < self._closed_until_s:
            waiting = f"{self.runner.name} cannot be reached; trying again every minute"
        errors = (*self._errors, *(f"{key}: {why}" for key, why in sorted(self.store.bad_rows.items())[:3]))
        status = WorkerStatus(
            owner=self.owner,
            pid=os.getpid(),
            alive_since=self._alive_since.at,
            in_hand=in_hand,
            platform=self.runner.name,
            waiting=waiting,
            errors=errors,
        )
        if status != self._status or now.boot_s - self._status_s >= _STATUS_S:
            self.store.set_worker_status(status.model_copy(update={"last_pass": now.at}))
            self._status, self._status_s = status, now.boot_s
