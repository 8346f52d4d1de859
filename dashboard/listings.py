"""What the command line prints for people: short tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from core.errors import NoSuchJobError
from core.models import Probe, Problem, Severity, Sorting, State, Subject, Suggestion
from core.sample import SampleSummary
from dashboard.job_words import weaker_count
from jobs.backup import Backup, Restored
from jobs.records import JobRecord
from jobs.recovery import Recovered

_ORDER = list(Severity)


def short_id(job_id: str) -> str:
    """A job's id as people say it: without the leading zeros."""
    return str(int(job_id))


def long_id(given: str) -> str:
    """A job's id as the store has it.

    Raises:
        NoSuchJobError: it is not a number.
    """
    if not given.isascii() or not given.isdigit():
        raise NoSuchJobError(f"{given!r} is no job's id", cure="`trackmapper jobs` lists the ids.")
    return given.zfill(12)


def table(rows: Iterable[Sequence[object]], heading: Sequence[str]) -> str:
    """Left-aligned columns, as wide as they need to be; control characters are shown, not sent to the terminal."""
    cells = [[plain("" if cell is None else str(cell)) for cell in row] for row in (heading, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heading))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Text as one line of a terminal: control characters are shown, not sent."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def sample_text(summary: SampleSummary) -> str:
    """Where the sample mouse is."""
    rows = [(state.path, state.manifest or "-", state.note) for state in summary.states]
    heading = ("state", "true manifest", "note")
    return f"Mouse {summary.subject} in {summary.library}\n\n{table(rows, heading)}"


def state_text(state: State) -> str:
    """What a state holds."""
    rows = [
        (layer.name, layer.kind.value, len(layer.points), ",".join(d.name for d in layer.dimensions), layer.reason)
        for layer in state.layers
    ]
    head = (
        f"Mouse {state.subject or 'unknown'}, acquisition {state.acquisition or 'unknown'}, {len(state.tracks)} tracks"
    )
    problems = [*state.problems, *(p for layer in state.layers for p in layer.problems)]
    return "\n\n".join(
        (
            head,
            table(rows, ("layer", "kind", "points", "order", "why")),
            *([problems_text(problems)] if problems else []),
        )
    )


def subject_text(subject: Subject) -> str:
    """A mouse's recordings, sortings, brains and gaps."""
    rows = []
    for recording in subject.recordings:
        role = recording.role.value + (f", surface {recording.surface}" if recording.surface else "")
        rows.append((recording.start, recording.name, role, _probes(recording.probes), ""))
        for sorting in recording.sortings:
            streams = ", ".join(stream.token for stream in sorting.streams) or "no streams"
            rows.append(("", f"  {sorting.asset.name}", sorting.sorter or "?", streams, _status(sorting)))
    brains = ", ".join(stitched.asset.name for stitched in subject.stitched) or "none"
    parts = [f"Mouse {subject.id} on {subject.platform}. Stitched brains: {brains}."]
    if rows:
        parts.append(table(rows, ("start", "recording", "role / sorter", "probes / streams", "state")))
    if subject.problems:
        parts.append(problems_text(subject.problems))
    return "\n\n".join(parts)


def _probes(probes: Sequence[Probe]) -> str:
    return ", ".join(f"{p.name} ({p.description or p.part_number})" for p in probes) or "unknown"


def _status(sorting: Sorting) -> str:
    reason = f": {sorting.reason}" if sorting.reason else ""
    copy = f", second capture of {sorting.copy_of}" if sorting.copy_of else ""
    return f"{sorting.status.value}{reason}{copy}"


def suggest_text(suggestions: Sequence[Suggestion]) -> str:
    """A row a track, the reasons behind it."""
    rows = []
    for s in suggestions:
        a = s.assignment
        shank = "" if a is None or a.shank is None else f"shank {a.shank}"
        place = f"{a.recording} {a.stream} {shank}".strip() if a else "cannot tell"
        rows.append((s.track, place, f"{s.score:.2f}", "certain" if s.certain else "", "; ".join(s.reasons)))
    return table(rows, ("track", "suggestion", "score", "", "why"))


def problems_text(problems: Sequence[Problem]) -> str:
    """Errors first; each with its place and its cure."""
    if not problems:
        return "No problem found."
    lines = []
    for problem in sorted(problems, key=lambda p: _ORDER.index(p.severity)):
        where = problem.where
        places = [f"row {where.row + 1}" if where.row is not None else "", where.track or "", where.recording or ""]
        place = " / ".join(filter(None, [*places, where.column or ""]))
        lines.append(f"{problem.severity.value:8}{problem.rule:4} {place + ': ' if place else ''}{problem.message}")
        lines.append(f"             {problem.cure}")
    counts = {severity: sum(p.severity is severity for p in problems) for severity in Severity}
    lines.append(", ".join(f"{count} {severity.value}" for severity, count in counts.items() if count))
    return "\n".join(plain(line) for line in lines)


def launched_text(record: JobRecord) -> str:
    """One line about a job just made."""
    return f"Job {short_id(record.id)} is {record.state}. See it with: trackmapper job {short_id(record.id)}"


def jobs_text(records: Sequence[JobRecord]) -> str:
    """Newest first."""
    if not records:
        return "No jobs."
    rows = []
    for r in records:
        count = f"{r.coverage.delivered} of {r.coverage.asked}" if r.coverage else f"{len(r.rows)} asked"
        rows.append((short_id(r.id), r.subject, r.state, count, r.created_by, f"{r.created:%Y-%m-%d %H:%M}Z", r.error))
    return table(rows, ("job", "mouse", "state", "tracks", "by", "launched", "error"))


def job_text(record: JobRecord, links: Mapping[str, str] | None = None) -> str:
    """A job: state, ids with their pages, coverage, events."""
    head = f"Job {short_id(record.id)}, mouse {record.subject}: {record.state}"
    parts = [head + (f" - {plain(record.error)}" if record.error else "")]
    if ids := _ids_text(record, links or {}):
        parts.append(ids)
    if weaker := weaker_count(record):
        parts.append(weaker)
    if record.coverage:
        c = record.coverage
        rows = [(r.track, r.recording, r.stream, r.shank, r.status, r.why) for r in c.rows]
        parts.append(f"{c.delivered} of {c.asked} tracks delivered")
        parts.append(table(rows, ("track", "recording", "stream", "shank", "status", "why")))
    events = [(f"{e.at:%Y-%m-%d %H:%M:%S}Z", e.what, e.by, e.detail) for e in record.events]
    parts.append(table(events, ("when", "what", "by", "detail")))
    return "\n\n".join(parts)


def _ids_text(record: JobRecord, links: Mapping[str, str]) -> str:
    ids = {
        "run": record.ids.run,
        "conversion": record.remote.child,
        "result": record.ids.result,
        "manifest": record.ids.manifest_asset,
        "state": record.ids.state_asset,
    }
    rows = [(what, ident, links.get(what, "")) for what, ident in ids.items() if ident]
    return table(rows, ("", "id", "page")) if rows else ""


def backup_text(made: Backup) -> str:
    """What was written."""
    lines = [f"{made.file}: {made.jobs} jobs, {made.active} of them active, written and read back."]
    lines += [f"  wrong in the queue already: {words}" for words in made.wrong]
    return "\n".join(plain(line) for line in lines)


def recover_text(found: Recovered) -> str:
    """What was found on the platform, and what becomes of it."""
    lines = [f"Launches on the platform: {found.launches}; known to this queue: {found.known}."]
    if found.jobs:
        ids = ", ".join(short_id(job_id) for job_id in found.jobs)
        lines.append(f"Jobs made again, so that their mappings are not launched twice unknowingly: {ids}")
    if found.asks:
        lines.append(f"These ask you on the Jobs page: {', '.join(short_id(job_id) for job_id in found.asks)}")
    if found.unread:
        lines.append(f"These assets say nothing of their launch that can be read: {', '.join(found.unread)}")
    return "\n".join(plain(line) for line in lines)


def restore_text(restored: Restored) -> str:
    """What was put in place, and what to expect of it."""
    backup = restored.backup
    lines = [f"{restored.data}: {backup.jobs} jobs as they were at {backup.created}."]
    if restored.replaced:
        lines.append(f"The queue that was there is kept: {restored.replaced}")
    if restored.in_doubt:
        ids = ", ".join(short_id(job_id) for job_id in restored.in_doubt)
        lines.append(f"These may have gone on since; the worker looks for what they made before it makes it: {ids}")
    lines.append(
        f"What was launched after {backup.created} is not in it: trackmapper recover finds it on the platform."
    )
    lines.append("Restart the dashboard, then start the worker.")
    return "\n".join(plain(line) for line in lines)
