"""Job records for tests: plain, made from a few words."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from core.conversion import ConversionPlan, NeededAsset
from core.manifest.rows import ManifestRow
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


def a_state(rows: int) -> bytes:
    """A state in which track i is the one point i, 2, 3."""
    axes = {axis: [1e-6, "m"] for axis in "zyx"}
    layers = [
        {
            "type": "annotation",
            "name": f"track {i}",
            "source": {"url": "local://annotations", "transform": {"outputDimensions": axes}},
            "annotations": [{"type": "point", "id": "1", "point": [i, 2, 3]}],
        }
        for i in range(rows)
    ]
    return json.dumps({"dimensions": axes, "layers": layers}).encode()


def a_plan(digest: str = "d1", attempt: int = 1) -> ConversionPlan:
    """A plan of two rows of mouse 700001."""
    recording = "ecephys_700001_2026-01-01_10-00-00"
    rows = tuple(
        ManifestRow(
            "700001", f"{recording}_sorted_2026-01-02_00-00-00", "drawn", f"track {i}", f"Probe{i}", f"Probe{i}"
        )
        for i in range(2)
    )
    state = a_state(2)
    return ConversionPlan(
        subject="700001",
        acquisition="SmartSPIM_700001_2026-02-01_09-00-00",
        platform="fake",
        converter="image-space",
        converter_version="1",
        parameters={"slow": "1"},
        rows=rows,
        state=state,
        state_stem="drawn",
        state_sha256=hashlib.sha256(state).hexdigest(),
        assets=(NeededAsset("id-1", "brain", "brain", "brain"), NeededAsset("id-2", recording, recording, "recording")),
        digest=digest,
        attempt=attempt,
        recordings=(recording,),
    )
