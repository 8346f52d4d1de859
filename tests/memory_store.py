"""A queue in memory that can crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any, cast

from core.errors import NoSuchJobError, StaleRecordError
from jobs.checkups import Checkup, end_checkup, mark_checkup
from jobs.launches import Launch, launch_to_json
from jobs.records import JobRecord, may_follow


class MemoryStore:
    """The part of `JobStore` that the worker uses, in memory; `spoil` is told each write, before and after."""

    def __init__(self, spoil: Callable[[str], None] = lambda _: None) -> None:
        self.records: dict[str, JobRecord] = {}
        self.launches: dict[str, tuple[Any, dict[str, bytes]]] = {}
        self.spoil = spoil
        self.paused = ""
        self.bad_rows: dict[str, str] = {}
        self.writes = 0
        self.logs: dict[str, bytes] = {}
        self.rows: dict[str, Any] = {}
        """Of checkups, as the queue keeps them."""

    def set(self, key: str, value: object) -> None:
        self.rows[key] = value

    def delete(self, key: str) -> None:
        self.rows.pop(key, None)

    def add(self, record: JobRecord, launch: Launch) -> None:
        value, blobs = launch_to_json(launch)
        digests = {hashlib.sha256(data).hexdigest(): data for data in blobs}
        manifest, state = (
            hashlib.sha256(next(iter(asset.files.values()))).hexdigest() for asset in (launch.manifest, launch.state)
        )
        self.records[record.id] = record.changed(manifest_sha256=manifest, state_sha256=state)
        self.launches[record.id] = (value, digests)

    def active(self) -> tuple[JobRecord, ...]:
        return tuple(r for r in self.records.values() if not r.has_ended)

    def get(self, job_id: str) -> Any:
        """A job's record; as the turn that keeps checkups, one of its rows."""
        return self.rows.get(job_id) if "/" in job_id else self.records[job_id]

    def put(self, record: JobRecord, blobs: Collection[bytes] = (), quotas: object = None) -> JobRecord:
        self.spoil("before")
        before = self.records[record.id]
        if before.rev != record.rev:
            raise StaleRecordError("changed meanwhile")
        assert may_follow(before.state, record.state), (before.state, record.state)
        written = record.changed(rev=record.rev + 1)
        mark_checkup(cast(Any, self), before, written)
        self.records[record.id] = written
        self.logs |= {hashlib.sha256(data).hexdigest(): data for data in blobs}
        self.writes += 1
        self.spoil("after")
        return written

    def inputs(self, job_id: str) -> Any:
        return self.launches[job_id][0]

    def blob(self, sha256: str) -> bytes:
        for _, blobs in self.launches.values():
            if sha256 in blobs:
                return blobs[sha256]
        raise NoSuchJobError("no such bytes")

    def checkups(self) -> tuple[Checkup, ...]:
        return tuple(Checkup.model_validate(value) for value in self.rows.values())

    def end_checkup(self, checkup: Checkup, following: Checkup | None) -> None:
        end_checkup(cast(Any, self), checkup, following)

    def newest(self, limit: int, **wanted: object) -> tuple[JobRecord, ...]:
        return ()

    def paused_by(self) -> str:
        return self.paused

    def set_worker_status(self, status: object) -> None:
        self.status = status
