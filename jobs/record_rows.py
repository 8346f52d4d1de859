"""A job's record as the text of a row: kept only as it will be read back, and read without trust in the row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from core.errors import InputError, NoSuchJobError, StoreUnusableError
from jobs.records import SCHEMA_VERSION, JobRecord

BadRows = dict[str, str]
"""Rows that cannot be read, by key, and why."""


def as_kept(record: JobRecord) -> JobRecord:
    """The record as it will be read back.

    Names and messages of other programs may hold lone surrogates, which have no UTF-8 form and no reader takes.

    Raises:
        InputError: what is in it could not be read back.
    """
    text = json.dumps(record.model_dump(mode="json", warnings=False), ensure_ascii=False).encode("utf-8", "replace")
    try:
        return JobRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"the job was not written, it could not be read again: {_place(first)}",
            where=f"job {record.id}",
            cure="Report this; it is a fault.",
        ) from error


def read_record(job_id: str, text: str | None, bad_rows: BadRows) -> JobRecord:
    """The record in a row's text; what cannot be read is noted.

    Args:
        job_id: In full.
        text: None when there is no row, "" when the row is not ours.
        bad_rows: Where to note it.

    Raises:
        NoSuchJobError: there is no row.
        StoreUnusableError: it cannot be read.
    """
    if text is None:
        raise NoSuchJobError("there is no such job", where=f"job {job_id}", cure="The Jobs page lists them.")
    key = f"job/{job_id}"
    try:
        record = JobRecord.model_validate_json(text)
    except ValidationError as error:
        bad_rows[key] = _why_bad(text, error)
        raise StoreUnusableError(
            f"the job's record cannot be read: {bad_rows[key]}",
            where=f"job {job_id}",
            cure="The row is left as it is; restore it from a backup.",
        ) from error
    bad_rows.pop(key, None)
    return record


def read_records(rows: Iterable[tuple[Any, ...]], bad_rows: BadRows) -> tuple[JobRecord, ...]:
    """The readable ones of rows (key, mode, value); the others are noted and must not hide them."""
    found = []
    for key, mode, value in rows:
        try:
            found.append(read_record(key.removeprefix("job/"), row_text(mode, value), bad_rows))
        except StoreUnusableError:
            continue
    return tuple(found)


def row_text(mode: object, value: object) -> str:
    """The text of a row; "" when it is not a row of ours."""
    return value if mode == 1 and isinstance(value, str) else ""


def _why_bad(text: str, error: ValidationError) -> str:
    try:
        version = json.loads(text).get("v")
    except (ValueError, AttributeError, RecursionError):
        return "it is not JSON text of this program"
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"it was written by a newer program (schema {version}, this one knows {SCHEMA_VERSION})"
    return _place(error.errors()[0])


def _place(first: Any) -> str:  # noqa: ANN401 - pydantic's own shape
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
