"""What the command line answers with `--json`: plain dictionaries with stable keys, documented in docs/command-line.md.

Shanks are 0-based or null; times are ISO 8601 in UTC; `where` is `{row, track, recording, column}` with nulls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.models import (
    AnnotationLayer,
    Problem,
    Recording,
    Severity,
    Sorting,
    State,
    Subject,
    Suggestion,
)
from core.platforms.base import DIRECT, AssetReader
from core.sample import SampleSummary
from jobs.backup import Backup, Restored
from jobs.records import JobRecord
from jobs.recovery import Recovered

Answer = dict[str, Any]
SCHEMA = 1
"""Raised when a key changes its meaning or goes away; new keys do not raise it."""


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def problem_answer(problem: Problem) -> Answer:
    """One problem: `{rule, severity, where, message, cure, measured, threshold}`."""
    return {**asdict(problem), "severity": problem.severity.value}


def _problems(problems: Iterable[Problem]) -> list[Answer]:
    return [problem_answer(problem) for problem in problems]


def sample_answer(summary: SampleSummary) -> Answer:
    """Where the sample mouse's library, states and true manifests are."""
    return {
        "schema": SCHEMA,
        "library": str(summary.library),
        "subject": summary.subject,
        "states": [
            {"path": str(s.path), "manifest": str(s.manifest) if s.manifest else None, "note": s.note}
            for s in summary.states
        ],
    }


def _layer(layer: AnnotationLayer) -> Answer:
    return {
        "name": layer.name,
        "kind": layer.kind.value,
        "reason": layer.reason,
        "points": len(layer.points),
        "dimensions": [dimension.name for dimension in layer.dimensions],
        "dimensions_from": layer.dimensions_from,
        "scale_um": {axis: layer.scale_um(axis) for axis in "xyz"},
        "color": layer.color,
        "visible": layer.visible,
        "problems": _problems(layer.problems),
    }


def state_answer(state: State) -> Answer:
    """What a Neuroglancer state holds."""
    return {
        "schema": SCHEMA,
        "stem": state.stem,
        "sha256": state.sha256,
        "subject": state.subject,
        "acquisition": state.acquisition,
        "images": [
            {"name": i.name, "url": i.urls[0] if i.urls else None, "asset": i.asset, "channel": i.channel}
            for i in state.images
        ],
        "layers": [_layer(layer) for layer in state.layers],
        "problems": _problems([*state.problems, *(p for layer in state.layers for p in layer.problems)]),
    }


def _sorting(sorting: Sorting) -> Answer:
    return {
        "name": sorting.asset.name,
        "id": sorting.asset.id,
        "created": _time(sorting.asset.created),
        "sorter": sorting.sorter,
        "status": sorting.status.value,
        "reason": sorting.reason,
        "copy_of": sorting.copy_of or None,
        "streams": [
            {
                "token": s.token,
                "shanks": list(s.shanks),
                "groups": list(s.groups or s.shanks),
                "doubt": s.doubt,
                "units": s.units,
                "passing": s.passing,
            }
            for s in sorting.streams
        ],
    }


def _recording(recording: Recording) -> Answer:
    return {
        "name": recording.name,
        "start": recording.start,
        "raw": recording.raw.name if recording.raw else None,
        "role": recording.role.value,
        "role_reason": recording.role_reason,
        "surface": recording.surface,
        "surface_reason": recording.surface_reason,
        "duration_s": recording.duration_s,
        "probes": [
            {
                "name": p.name,
                "serial": p.serial,
                "part_number": p.part_number,
                "shanks": list(p.shanks),
                "shank_count": p.shank_count,
                "description": p.description,
            }
            for p in recording.probes
        ],
        "targets": [asdict(target) for target in recording.targets],
        "sortings": [_sorting(sorting) for sorting in recording.sortings],
        "problems": _problems(recording.problems),
    }


def subject_problems(subject: Subject) -> tuple[Problem, ...]:
    """Every problem of a subject: its own, its recordings' and its stitched brains'."""
    return (
        *subject.problems,
        *(p for recording in subject.recordings for p in recording.problems),
        *(p for stitched in subject.stitched for p in stitched.problems),
    )


def subject_answer(subject: Subject) -> Answer:
    """Everything a platform has of a mouse."""
    return {
        "schema": SCHEMA,
        "subject": subject.id,
        "platform": subject.platform,
        "requests": subject.requests,
        "stitched": [
            {
                "name": s.asset.name,
                "id": s.asset.id,
                "channels": [channel.name for channel in s.channels],
                "problems": _problems(s.problems),
            }
            for s in subject.stitched
        ],
        "states": [asdict(saved) for saved in subject.states],
        "recordings": [_recording(recording) for recording in subject.recordings],
        "problems": _problems(subject_problems(subject)),
    }


def suggest_answer(suggestions: Sequence[Suggestion]) -> Answer:
    """One row a track; empty words and a null shank where nothing can be said."""
    return {
        "schema": SCHEMA,
        "rows": [
            {
                "track": s.track,
                "recording": s.assignment.recording if s.assignment else "",
                "sorting": s.assignment.sorting if s.assignment else "",
                "stream": s.assignment.stream if s.assignment else "",
                "shank": s.assignment.shank if s.assignment else None,
                "surface": s.assignment.surface if s.assignment else "",
                "score": s.score,
                "certain": s.certain,
                "reasons": list(s.reasons),
                "margin": s.margin,
                "runner_up": s.runner_up,
                "evidence": dict(s.evidence),
            }
            for s in suggestions
        ],
    }


def check_answer(problems: Sequence[Problem]) -> Answer:
    """Every problem of a mapping; `ok` when none is an error."""
    return {
        "schema": SCHEMA,
        "ok": all(problem.severity is not Severity.ERROR for problem in problems),
        "problems": _problems(problems),
    }


def launch_answer(job: str, state: str, duplicate_of: str | None) -> Answer:
    """The job that was made, or the one that a second press found."""
    return {"schema": SCHEMA, "job": job, "state": state, "duplicate_of": duplicate_of}


def job_answer(record: JobRecord, links: Mapping[str, str] | None = None) -> Answer:
    """One job, whole; `links` are the addresses of its pages on the platform, by what they show."""
    data = record.model_dump(mode="json")
    coverage = data["coverage"] or {"asked": len(record.rows), "delivered": None, "rows": []}
    return {
        **{key: value for key, value in data.items() if key not in {"token"}},
        "schema": SCHEMA,
        "by": record.created_by,
        "computation": record.ids.run,
        "result": record.ids.result,
        "links": dict(links or {}),
        "coverage": coverage,
    }


def job_links(record: JobRecord, reader: AssetReader, monitor_capsule: str) -> dict[str, str]:
    """Addresses of a job's pages on the platform, by what they show; {} when it ran elsewhere or has no pages."""
    if record.platform != reader.name:
        return {}
    ids, started = record.ids, record.converter if record.route == DIRECT else record.monitor or monitor_capsule
    pages = {
        "run": ("run", ids.run, started),
        "conversion": ("run", record.remote.child, record.converter),
        "result": ("asset", ids.result, ""),
        "manifest": ("asset", ids.manifest_asset, ""),
        "state": ("asset", ids.state_asset, ""),
        "capsule": ("capsule", record.converter, ""),
    }
    links = {what: reader.web_link(kind, ident, of) for what, (kind, ident, of) in pages.items() if ident}
    return {what: link for what, link in links.items() if link}


def jobs_answer(records: Sequence[JobRecord], following: str | None) -> Answer:
    """Newest first; `next` is the id to pass as `--before` for the page after, or null."""
    keys = ("id", "state", "step", "subject", "created", "ended", "error")
    rows = []
    for record in records:
        data = record.model_dump(mode="json", include=set(keys) | {"coverage"})
        rows.append(
            {
                **{key: data.get(key) for key in keys},
                "by": record.created_by,
                "superseded_by": record.superseded_by,
                "tracks": len(record.rows),
                "delivered": record.coverage.delivered if record.coverage else None,
            }
        )
    return {"schema": SCHEMA, "jobs": rows, "next": following}


def pause_answer(by: str) -> Answer:
    """Who has paused everything that makes something; "" when nobody has."""
    return {"schema": SCHEMA, "paused_by": by}


def backup_answer(made: Backup) -> Answer:
    """A backup that was written and read back."""
    return {
        "schema": SCHEMA,
        "file": str(made.file),
        "created": made.created,
        "jobs": made.jobs,
        "active": made.active,
        "sha256": made.sha256,
        "wrong": list(made.wrong),
    }


def recover_answer(found: Recovered) -> Answer:
    """Launches found on the platform; `jobs` were made again, `asks` of them ask a person."""
    return {
        "schema": SCHEMA,
        "launches": found.launches,
        "known": found.known,
        "jobs": list(found.jobs),
        "asks": list(found.asks),
        "unread": list(found.unread),
    }


def restore_answer(restored: Restored) -> Answer:
    """A backup that was put in place; `in_doubt` are jobs whose next step is looked for before it is made."""
    return {
        **backup_answer(restored.backup),
        "data": str(restored.data),
        "replaced": str(restored.replaced) if restored.replaced else None,
        "in_doubt": list(restored.in_doubt),
    }
