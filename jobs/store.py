"""The one door to the queue's database: jobs, what they were launched with, drafts, notices, the worker's health.

Keys, all text, all values JSON:

    job/<id>                   the record; ids are 12 digits and count up, so keys sort by creation
    active/<id>                marks a job that has not ended
    dedupe/<digest>            id of the job that a second launch of the same mapping must show
    input/<id>, blob/<sha256>  what was launched; bytes are kept once
    name/<name>                id of the job that alone may give this name on the platform
    draft/<user>/<subject>     a mapping being edited
    notice/<number>            an end, or a question, to tell people about
    meta/...                   counters, the change version, the worker's health, the pause switch

Listings read a page, never the history. Every write of a record names the revision that was read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from pydantic import ValidationError

from core.errors import NoSuchJobError, NotAllowedError, StaleRecordError, StoreUnusableError
from jobs import data_folder
from jobs.blobs import blob_bytes, blob_value
from jobs.database import Database, Turn
from jobs.history import ROW_IS_OURS, Wanted, history_query
from jobs.leadership import WorkerStatus
from jobs.notices import Notice, add_notice, read_notices
from jobs.record_rows import BadRows, as_kept, read_record, read_records, row_text
from jobs.records import ID_DIGITS, JobRecord, JobState, full_id, may_follow, whole_text

_PAGE_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a launch."""

    job_id: str
    duplicate_of: str | None = None
    """The job that the same mapping has already; then it is also `job_id`."""


class JobStore:
    """The queue in a data folder. Threads may share one; every process opens its own.

    Raises:
        StoreUnusableError: the folder or the database in it cannot be used; says why.
        StoreBusyError: a writer outside our turn holds the database, or the disk is full.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data_folder.prepare(data)
        self._db = Database(self.folder)
        self.bad_rows: BadRows = {}
        """Rows met so far that cannot be read, and why. They are left as they are and never decoded."""

    def close(self) -> None:
        """Close this process's connections."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- jobs, written ------------------------------------------------------------------------

    def add_job(
        self,
        record: JobRecord,
        *,
        inputs: object,
        blobs: Collection[bytes] = (),
        claims: Collection[str] = (),
        relaunch: bool = False,
    ) -> Added:
        """Keep a new job with its inputs, or find the one that the same mapping has already. All or nothing.

        Args:
            record: Without an id.
            inputs: What it was launched with, of a JSON form.
            blobs: Bytes that the inputs name by sha256.
            claims: Names on the platform that this job alone may give.
            relaunch: Also when an earlier job of the same mapping has succeeded; never while one lives.

        Raises:
            StaleRecordError: another job has claimed one of the names; nothing was written.
            StoreUnusableError: the counter of jobs does not hold; nothing was written.
        """
        with self._db.write() as turn:
            bound = self._bound(turn, record.digest)
            if bound is not None and (not relaunch or not bound.has_ended):
                return Added(bound.id, duplicate_of=bound.id)
            if bound is not None:
                record = record.changed(relaunch_of=bound.id, attempt=bound.attempt + 1)
            if any(turn.get(f"name/{name}") is not None for name in claims):
                raise StaleRecordError("the name is taken", where=", ".join(claims), cure="Choose another.")
            job_id = f"{turn.count('meta/last_id'):0{ID_DIGITS}d}"
            if turn.get(f"job/{job_id}") is not None:
                raise StoreUnusableError(
                    "the counter of jobs was lost or set back", where="meta/last_id", cure="Restore a backup."
                )
            record = record.changed(id=job_id, rev=1)
            for data in blobs:
                key = f"blob/{hashlib.sha256(data).hexdigest()}"
                if blob_bytes(turn.get(key)) != data:
                    turn.set(key, blob_value(data))
            turn.set(f"input/{job_id}", inputs)
            for name in claims:
                turn.set(f"name/{name}", job_id)
            self._write_record(turn, None, record)
            return Added(job_id)

    def put(self, record: JobRecord) -> JobRecord:
        """Write a record that was read at its `rev`; returns it with the new one. The end of a job makes a notice.

        Raises:
            StaleRecordError: somebody else wrote it first; nothing was written.
            NotAllowedError: its state may not follow the one it has, or its mapping belongs to another job now.
            NoSuchJobError: there is no such job.
        """
        with self._db.write() as turn:
            before = self._in_turn(turn, record.id)
            if before.rev != record.rev:
                raise StaleRecordError(
                    f"the job was changed meanwhile (revision {before.rev}, not {record.rev})",
                    where=f"job {record.id}",
                    cure="Read it again.",
                )
            if not may_follow(before.state, record.state):
                raise NotAllowedError(
                    f"a job that is {before.state} cannot become {record.state}",
                    where=f"job {record.id}",
                    cure="Launch it again as a new job.",
                )
            return self._write_record(turn, before, record.changed(rev=record.rev + 1))

    def _write_record(self, turn: Turn, before: JobRecord | None, record: JobRecord) -> JobRecord:
        record = as_kept(record)
        begins = not record.has_ended and (before is None or before.has_ended)
        binds = record.binds_digest and record.superseded_by is None
        dedupe, active = f"dedupe/{record.digest}", f"active/{record.id}"
        holder = turn.get(dedupe)
        if binds and holder not in (None, record.id):
            bound = self._bound(turn, record.digest)
            if bound is not None and before is not None and begins and bound.id != record.relaunch_of:
                raise NotAllowedError(
                    f"the same mapping is job {bound.id} by now", where=f"job {record.id}", cure="Look at that one."
                )
        if binds and (before is None or not before.binds_digest or holder is None):
            turn.set(dedupe, record.id)
        elif not binds and holder == record.id:
            turn.delete(dedupe)
        if record.has_ended:
            turn.delete(active)
        elif begins:
            turn.set(active, 1)
        if before is None or before.state is not record.state:
            self._count_states(turn, before, record)
            if record.has_ended or record.state is JobState.NEEDS_YOU:
                add_notice(turn, record)
        turn.set(f"job/{record.id}", record.model_dump(mode="json"))
        turn.tally("meta/version")
        if record.relaunch_of is not None and (begins or not record.binds_digest):
            self._mark_earlier(turn, record, begins)
        return record

    def _mark_earlier(self, turn: Turn, record: JobRecord, begins: bool) -> None:
        """Put a relaunch in the place of the earlier job, or give that place back to a success it could not repeat."""
        try:
            earlier = self._in_turn(turn, record.relaunch_of or "")
        except (NoSuchJobError, StoreUnusableError):
            return  # noted in bad_rows; it must not keep its follower from being written
        stands_again = earlier.state is JobState.SUCCEEDED and earlier.superseded_by == record.id and record.has_ended
        if begins or stands_again:
            changed = earlier.changed(rev=earlier.rev + 1, superseded_by=record.id if begins else None)
            self._write_record(turn, earlier, changed)

    def _count_states(self, turn: Turn, before: JobRecord | None, after: JobRecord) -> None:
        held = turn.get("meta/counts")
        counts = _numbers(held)
        if before is not None:
            counts[before.state] = counts.get(before.state, 0) - 1
        counts[after.state] = counts.get(after.state, 0) + 1
        turn.set("meta/counts", {state: count for state, count in counts.items() if count > 0})

    def _bound(self, turn: Turn, digest: str) -> JobRecord | None:
        holder = turn.get(f"dedupe/{digest}")
        return self._in_turn(turn, holder) if isinstance(holder, str) else None

    def _in_turn(self, turn: Turn, job_id: str) -> JobRecord:
        value = turn.get(f"job/{job_id}")
        text = None if value is None else json.dumps(value) if isinstance(value, dict) else ""
        return read_record(job_id, text, self.bad_rows)

    # --- jobs, read ---------------------------------------------------------------------------

    def get(self, job_id: str) -> JobRecord:
        """One job, by its id with or without leading zeros.

        Raises:
            NoSuchJobError: there is none.
            StoreUnusableError: its row cannot be read.
        """
        key = full_id(job_id)
        rows = self._db.rows("SELECT mode, value FROM Cache WHERE key = ? AND raw = 1", (f"job/{key}",))
        return read_record(key, row_text(*rows[0]) if rows else None, self.bad_rows)

    def active(self) -> tuple[JobRecord, ...]:
        """Every job that has not ended, oldest first."""
        rows = self._db.rows(
            "SELECT j.key, j.mode, j.value FROM Cache AS a JOIN Cache AS j"
            " ON j.key = 'job/' || substr(a.key, 8) AND j.raw = 1"
            " WHERE a.key > 'active/' AND a.key < 'active0' AND a.raw = 1 ORDER BY a.key"
        )
        return read_records(rows, self.bad_rows)

    def newest(
        self,
        limit: int,
        *,
        before: str | None = None,
        states: Collection[JobState] = (),
        subject: str = "",
        by: str = "",
        since: datetime | None = None,
        archived: bool | None = None,
    ) -> tuple[JobRecord, ...]:
        """A page of the history, newest first. Without filters its cost does not depend on how many jobs there are.

        Args:
            limit: At most this many, and at most 1,000.
            before: Only jobs older than this id: the last id of the page before.
            states: Only these, when any are given.
            subject: Only this mouse.
            by: Only this person's.
            since: Only jobs launched at or after this time.
            archived: Only archived ones, or only others.
        """
        wanted = Wanted(states=states, subject=whole_text(subject), by=whole_text(by), since=since, archived=archived)
        sql, values = history_query(f"job/{full_id(before)}" if before else "job0", wanted)
        return read_records(self._db.rows(sql, (*values, max(0, min(limit, _PAGE_LIMIT)))), self.bad_rows)

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        counts = _numbers(self._small("meta/counts", dict))
        return {state: counts.get(state.value, 0) for state in JobState}

    def inputs(self, job_id: str) -> Any:  # noqa: ANN401 - JSON
        """What a job was launched with.

        Raises:
            NoSuchJobError: there is nothing, or nothing readable.
        """
        value = self._db.value(f"input/{full_id(job_id)}")
        if value is None:
            raise NoSuchJobError("the inputs of the job are missing", where=f"job {job_id}", cure="Restore a backup.")
        return value

    def blob(self, sha256: str) -> bytes:
        """Kept bytes, compared with their digest.

        Raises:
            StoreUnusableError: they are missing or changed.
        """
        data = blob_bytes(self._db.value(f"blob/{sha256}"))
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            raise StoreUnusableError(
                "kept bytes are missing or changed", where=f"blob/{sha256}", cure="Restore a backup."
            )
        return data

    def version(self) -> int:
        """Grows with every change to a job: cheap to ask, so that pages read only when there is something new."""
        return self._small("meta/version", int) or 0

    def _small[T](self, key: str, kind: type[T]) -> T | None:
        """The value of a small row that a page can do without; one that is not ours is noted and passed over."""
        value = self._db.value(key)
        if value is not None and type(value) is not kind:
            self.bad_rows[key] = "it is not a value of this program"
            return None
        self.bad_rows.pop(key, None)
        return value

    # --- drafts -------------------------------------------------------------------------------

    def set_draft(self, user: str, subject: str, draft: Mapping[str, Any]) -> None:
        """Keep a person's draft for a mouse, in place of the one before."""
        with self._db.write() as turn:
            turn.set(_draft_key(user, subject), dict(draft))

    def get_draft(self, user: str, subject: str) -> dict[str, Any] | None:
        """A person's draft for a mouse."""
        value = self._db.value(_draft_key(user, subject))
        return value if isinstance(value, dict) else None

    def delete_draft(self, user: str, subject: str) -> None:
        """Forget a draft; a missing one is fine."""
        with self._db.write() as turn:
            turn.delete(_draft_key(user, subject))

    def drafts(self, user: str | None = None) -> tuple[tuple[str, str], ...]:
        """(user, subject) of every draft, of one person or of all."""
        start = "draft/" if user is None else f"draft/{_quoted(user)}/"
        rows = self._db.rows(
            f"SELECT key FROM Cache WHERE key > ? AND key < ? AND {ROW_IS_OURS} ORDER BY key", (start, start[:-1] + "0")
        )
        pairs = [row[0].removeprefix("draft/").split("/") for row in rows]
        return tuple((unquote(pair[0]), unquote(pair[1])) for pair in pairs if len(pair) == 2)

    # --- the worker, notices, upkeep ----------------------------------------------------------

    def worker_status(self) -> WorkerStatus | None:
        """The worker's last report; whether one is alive is told by its lock, not by this."""
        text = self._db.text("meta/worker")
        try:
            return WorkerStatus.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def set_worker_status(self, status: WorkerStatus) -> None:
        """Keep the worker's report."""
        with self._db.write() as turn:
            turn.set("meta/worker", status.model_dump(mode="json"))

    def paused_by(self) -> str:
        """Who has paused everything that has an effect; "" when nobody has."""
        return str(self._db.value("meta/paused") or "")

    def set_paused(self, by: str) -> None:
        """Pause every effect in the name of somebody; "" goes on."""
        with self._db.write() as turn:
            turn.set("meta/paused", by)
            turn.tally("meta/version")

    def notices(self, since: int, limit: int = 100) -> tuple[Notice, ...]:
        """Notices with a number above `since`, oldest first."""
        return read_notices(self._db, since, limit, self.bad_rows)

    def last_notice(self) -> int:
        """Number of the newest notice; 0 when there is none."""
        return self._small("meta/last_notice", int) or 0

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the database while others go on writing.

        Raises:
            StoreError: it could not be written.
        """
        self._db.backup(target)

    def check(self) -> tuple[str, ...]:
        """Everything that is wrong with the database, in words; () when it is sound. Reads all of it."""
        self._db.assert_settings()
        wrong = [f"SQLite: {row[0]}" for row in self._db.rows("PRAGMA integrity_check") if row[0] != "ok"]
        foreign = self._db.rows(f"SELECT count(*) FROM Cache WHERE NOT ({ROW_IS_OURS})")[0][0]
        if foreign:
            wrong.append(f"{foreign} rows were not written by this program; they are never decoded")
        before = None
        while page := self._db.rows(
            "SELECT key, mode, value FROM Cache WHERE key > ? AND key < 'job0' AND raw = 1 ORDER BY key LIMIT 1000",
            (before or "job/",),
        ):
            read_records(page, self.bad_rows)
            before = page[-1][0]
        return (*wrong, *(f"{key}: {why}" for key, why in sorted(self.bad_rows.items())))


def _draft_key(user: str, subject: str) -> str:
    return f"draft/{_quoted(user)}/{_quoted(subject)}"


def _quoted(name: str) -> str:
    return quote(whole_text(name), safe="")


def _numbers(held: object) -> dict[str, int]:
    items = held.items() if isinstance(held, dict) else ()
    return {str(key): value for key, value in items if type(value) is int}
