"""Everything that is kept of one job: history, the mapping as launched, what was delivered, log, ids."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

from dashboard.job_words import STATE_WORDS, state_line, trouble
from dashboard.text import Markup, join, moment, preformatted, tag
from jobs.records import AskedRow, JobRecord

DETAIL_CSS = """
.grid { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr); gap: 6px 28px; }
h3 { margin: 10px 0 4px; }
@media (max-width: 1000px) { .grid { grid-template-columns: minmax(0, 1fr); } }
.timeline td:first-child { white-space: nowrap; }
"""


def head(job: JobRecord, now: datetime, zone: tzinfo | None) -> Markup:
    """Which job, what became of it, who launched it."""
    cls = STATE_WORDS[job.state][1]
    parts = [
        tag("h2", f"Job {job.id.lstrip('0') or '0'} · mouse {job.subject}"),
        tag("strong", state_line(job, now), cls=cls),
        tag("span", f"by {job.created_by}, {moment(job.created, now, zone)}", cls="dim"),
        tag("span", f"attempt {job.attempt}", cls="dim") if job.attempt > 1 else "",
    ]
    words = trouble(job)
    error = tag("p", words, cls=cls if job.error else "bad", role="alert") if words else ""
    return tag("div", tag("div", *parts, cls="row"), error)


def body(job: JobRecord, log: str, now: datetime, zone: tzinfo | None) -> Markup:
    """The two columns of the detail."""
    left = join([tag("h3", "What happened"), timeline(job, now, zone), tag("h3", "Numbers and names"), ids(job)])
    right = join(
        [
            tag("h3", "Asked and delivered"),
            coverage(job),
            *_problems(job, now, zone),
            tag("h3", "End of the log"),
            _log(log),
        ]
    )
    return tag("div", tag("div", left), tag("div", right), cls="grid")


def timeline(job: JobRecord, now: datetime, zone: tzinfo | None) -> Markup:
    """Every event, the newest last."""
    lines = [
        (
            moment(event.at, now, zone),
            join([event.what, tag("div", event.detail, cls="dim") if event.detail else ""]),
            event.by,
        )
        for event in job.events
    ]
    return _table(("When", "What", "Who"), lines, cls="timeline") if lines else tag("p", "Nothing yet.", cls="dim")


def coverage(job: JobRecord) -> Markup:
    """The mapping as launched, and of every row whether its files are in the captured result."""
    counted = job.coverage
    rows: Iterable[AskedRow] = counted.rows if counted and counted.rows else job.rows
    lines = []
    for row in rows:
        status = getattr(row, "status", "")
        sign = {"delivered": tag("span", "✓ delivered", cls="good"), "missing": tag("span", "✕ missing", cls="bad")}
        why = getattr(row, "why", "")
        told = join(
            [sign.get(status, tag("span", "not counted yet", cls="dim")), tag("div", why, cls="dim") if why else ""]
        )
        shank = "" if row.shank is None else f"shank {row.shank + 1}"
        lines.append((row.track, row.recording, row.stream, shank, told))
    summary = tag("p", tag("strong", f"{counted.delivered} of {counted.asked} rows delivered")) if counted else ""
    return join([summary, _table(("Track", "Recording", "Stream", "Shank", "Result"), lines)])


def ids(job: JobRecord) -> Markup:
    """Ids and digests, for looking things up on the platform."""
    facts = {
        "Conversion": f"{job.converter} {job.converter_version} on {job.platform}",
        "Parameters": ", ".join(f"{name} {value}" for name, value in job.parameters.items()),
        "State": f"{job.state_stem} ({job.state_sha256[:12]})",
        "Manifest": job.manifest_sha256[:12],
        "Token": job.token,
        "Run": job.ids.run or "",
        "Result asset": job.ids.result or "",
        "Retry of": job.relaunch_of or "",
        "Continued by": job.superseded_by or "",
        "Platform says": " ".join(filter(None, (job.remote.state, job.remote.detail))),
    }
    return _table(
        (), [(tag("span", name, cls="dim"), tag("span", value, cls="mono")) for name, value in facts.items() if value]
    )


def _problems(job: JobRecord, now: datetime, zone: tzinfo | None) -> list[Markup]:
    parts = []
    if job.confirmed:
        said = [
            tag("li", f"{c.rule} {c.message}", tag("span", f" {c.by}, {moment(c.at, now, zone)}", cls="dim"))
            for c in job.confirmed
        ]
        parts += [tag("h3", "Confirmed at launch"), tag("ul", *said)]
    if job.problems:
        parts += [
            tag("h3", "Known at launch"),
            tag("ul", *(tag("li", f"{p.severity} {p.rule}: {p.message}") for p in job.problems)),
        ]
    return parts


def _log(log: str) -> Markup:
    return preformatted(log) if log.strip() else tag("p", "No log yet.", cls="dim")


def _table(titles: tuple[str, ...], lines: Iterable[tuple[object, ...]], cls: str = "") -> Markup:
    header = tag("thead", tag("tr", *(tag("th", title) for title in titles))) if titles else ""
    rows = (tag("tr", *(tag("td", cell) for cell in line)) for line in lines)
    return tag("table", header, tag("tbody", *rows), cls=cls)
