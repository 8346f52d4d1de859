"""Which rows of a job are delivered, as identities that jobs can be compared by."""

from __future__ import annotations

from jobs.records import AskedRow, JobRecord

RowKey = tuple[str, str, str, int | None]
"""Track, recording, stream, shank."""
_DELIVERED = "delivered"


def delivered_rows(record: JobRecord) -> frozenset[RowKey]:
    """Rows that the job has delivered; none of a run that did not end well, whose files may be cut short."""
    if not record.has_ended or record.coverage is None or not record.remote.ended_well:
        return frozenset()
    return frozenset(_key(row) for row in record.coverage.rows if row.status == _DELIVERED)


def undelivered_rows(record: JobRecord) -> frozenset[RowKey]:
    """Rows that the job was asked for and has not delivered."""
    return frozenset(_key(row) for row in record.rows) - delivered_rows(record)


def _key(row: AskedRow) -> RowKey:
    return row.track, row.recording, row.stream, row.shank
