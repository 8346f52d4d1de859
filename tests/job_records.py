"""Job records for tests: plain, made from a few words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobs.records import AskedRow, JobRecord, new_token

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def a_record(digest: str = "d1", **values: Any) -> JobRecord:
    """A queued job of mouse 700001 with two rows."""
    plain = {
        "token": new_token(),
        "created": START,
        "created_by": "ana",
        "subject": "700001",
        "platform": "this machine",
        "converter": "image-space",
        "converter_version": "1",
        "digest": digest,
        "manifest_sha256": "0" * 64,
        "state_sha256": "1" * 64,
        "state_stem": "state",
        "rows": (AskedRow(track="a", recording="r", stream="ProbeA"), AskedRow(track="b", recording="r", stream="B")),
    }
    return JobRecord(**{**plain, **values})
