"""The one door to the queue's database: jobs, what they were launched with, drafts, notices, the worker's health.

Keys, all text, all values JSON:

    job/<id>                   the record; ids are 12 digits and count up, so keys sort by creation
    active/<id>                marks a job that has not ended
    dedupe/<digest>            id of the job that a second launch of the same mapping must show
    input/<id>, blob/<sha256>  what was launched; bytes are kept once
    name/<name>                id of the job that alone may give this name on the platform
    checkup/<id>               a look that is still to be made at a job
    draft/<user>/<subject>     a mapping being edited
    notice/<number>            an end, or a question, to tell people about
    meta/...                   counters, the change version, the worker's health, the pause switch

Listings read a page, never the history. Every write of a record names the revision that was read.
"""

from __future__ import annotations

import hashlib
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
from jobs.checkups import Checkup, end_checkup, read_checkups
from jobs.database import Database, Turn
from jobs.history import ROW_IS_OURS, Wanted, history_query
from jobs.leadership import WorkerStatus
from jobs.notices import Notice, read_notices
from jobs.quotas import NO_QUOTAS, Quotas, refuse_beyond
from jobs.record_rows import BadRows, read_record, read_records, row_text
from jobs.record_writes import COUNTS, SUPERSEDED, begin_counts, bound_job, numbers, record_in_turn, write_record
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
        begin_counts(self._db)
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
        quotas: Quotas = NO_QUOTAS,
    ) -> Added:
        """Keep a new job with its inputs, or find the one that the same mapping has already. All or nothing.

        Args:
            record: Without an id.
            inputs: What it was launched with, of a JSON form.
            blobs: Bytes that the inputs name by sha256.
            claims: Names on the platform that this job alone may give.
            relaunch: Also when an earlier job of the same mapping has succeeded; never while one lives.
            quotas: How much may be launched.

        Raises:
            NotAllowedError: a quota is used up; nothing was written.
            StaleRecordError: another job has claimed one of the names; nothing was written.
            StoreUnusableError: the counter of jobs does not hold; nothing was written.
        """
        with self._db.write() as turn:
            bound = bound_job(turn, record.digest, self.bad_rows)
            if bound is not None and (not relaunch or not bound.has_ended):
                return Added(bound.id, duplicate_of=bound.id)
            refuse_beyond(self._db, quotas, record.created_by, record.created)
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
            _keep_blobs(turn, blobs)
            turn.set(f"input/{job_id}", inputs)
            for name in claims:
                turn.set(f"name/{name}", job_id)
            write_record(turn, None, record, self.bad_rows)
            return Added(job_id)

    def put(self, record: JobRecord, blobs: Collection[bytes] = (), quotas: Quotas = NO_QUOTAS) -> JobRecord:
        """Write a record that was read at its `rev`; returns it with the new one. The end of a job makes a notice.

        Args:
            record: As it shall be.
            blobs: Bytes that it names by sha256.
            quotas: How much may be launched, when it starts a run again: its last event says who does, and when.

        Raises:
            StaleRecordError: somebody else wrote it first; nothing was written.
            NotAllowedError: its state may not follow the one it has, its mapping belongs to another job now, or a
                quota is used up.
            NoSuchJobError: there is no such job.
        """
        with self._db.write() as turn:
            before = record_in_turn(turn, record.id, self.bad_rows)
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
            if quotas is not NO_QUOTAS:
                refuse_beyond(self._db, quotas, record.events[-1].by, record.events[-1].at)
            _keep_blobs(turn, blobs)
            return write_record(turn, before, record.changed(rev=record.rev + 1), self.bad_rows)

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
        superseded: bool | None = None,
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
            superseded: Only those that a later job has taken the place of, or only others.
        """
        wanted = Wanted(states, whole_text(subject), whole_text(by), since, archived, superseded)
        sql, values = history_query(f"job/{full_id(before)}" if before else "job0", wanted)
        return read_records(self._db.rows(sql, (*values, max(0, min(limit, _PAGE_LIMIT)))), self.bad_rows)

    def counts(self, *, superseded: bool = True) -> dict[JobState, int]:
        """How many jobs are in each state, with or without those that a later job has taken the place of."""
        counts = numbers(self._small(COUNTS, dict))
        hidden = {} if superseded else numbers(self._small(SUPERSEDED, dict))
        return {state: max(counts.get(state, 0) - hidden.get(state, 0), 0) for state in JobState}

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

    def kept_log(self, record: JobRecord) -> bytes:
        """The end of the run's log as this queue kept it; b"" when it kept none.

        Raises:
            StoreUnusableError: it is missing or changed.
        """
        return self.blob(record.log_sha256) if record.log_sha256 else b""

    def kept_report(self, record: JobRecord) -> bytes:
        """The page that says what was decided and on what evidence; b"" when none was kept.

        Raises:
            StoreUnusableError: it is missing or changed.
        """
        return self.blob(record.report_sha256) if record.report_sha256 else b""

    def checkups(self) -> tuple[Checkup, ...]:
        """Every look that is still to be made at a job that needs no other, oldest job first."""
        return read_checkups(self._db, self.bad_rows)

    def end_checkup(self, checkup: Checkup, following: Checkup | None) -> None:
        """A look has been made; keep what is still to be made."""
        with self._db.write() as turn:
            end_checkup(turn, checkup, following)

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

    def replace_draft(
        self, user: str, subject: str, before: Mapping[str, Any] | None, draft: Mapping[str, Any]
    ) -> bool:
        """Keep a draft in place of `before`; False, and nothing is kept, when another one stands there by now."""
        with self._db.write() as turn:
            standing = turn.get(_draft_key(user, subject))
            if (standing if isinstance(standing, dict) else None) != before:
                return False
            turn.set(_draft_key(user, subject), dict(draft))
        return True

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
        """Who has paused everything that makes something; "" when nobody has."""
        return str(self._db.value("meta/paused") or "")

    def set_paused(self, by: str) -> None:
        """Pause all that makes something, in the name of somebody; "" goes on. Looks, stops and counts go on."""
        with self._db.write() as turn:
            turn.set("meta/paused", by)
            turn.tally("meta/version")

    def notices(self, since: int, limit: int = 100) -> tuple[Notice, ...]:
        """Notices with a number above `since`, oldest first."""
        return read_notices(self._db, since, limit, self.bad_rows)

    def last_notice(self) -> int:
        """Number of the newest notice; 0 when there is none."""
        return self._small("meta/last_notice", int) or 0

    def announced(self) -> int | None:
        """Number of the newest notice that people were told of outside the page; None when that never began."""
        return self._small("meta/announced", int)

    def set_announced(self, number: int) -> None:
        """Keep how far people were told."""
        with self._db.write() as turn:
            turn.set("meta/announced", number)

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


def _keep_blobs(turn: Turn, blobs: Collection[bytes]) -> None:
    for data in blobs:
        key = f"blob/{hashlib.sha256(data).hexdigest()}"
        if blob_bytes(turn.get(key)) != data:
            turn.set(key, blob_value(data))


def _draft_key(user: str, subject: str) -> str:
    return f"draft/{_quoted(user)}/{_quoted(subject)}"


def _quoted(name: str) -> str:
    return quote(whole_text(name), safe="")
