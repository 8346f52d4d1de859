"""Everything that is kept of one job: history, the mapping as launched, what was delivered, ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from urllib.parse import quote

from core.models import Severity
from dashboard.job_links import Links
from dashboard.job_log import KeptLog
from dashboard.job_words import (
    Windows,
    asks,
    monitored,
    number,
    stages,
    state_line,
    style,
    trouble,
    waiting_words,
    weaker_count,
)
from dashboard.text import Markup, copyable, join, moment, plain, preformatted, tag
from dashboard.theme import SEVERITY_WORDS
from jobs.records import AskedRow, JobRecord, JobState

DETAIL_CSS = """
.grid { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.5fr); gap: 6px 28px; }
h3 { margin: 10px 0 4px; }
@media (max-width: 1000px) { .grid { grid-template-columns: minmax(0, 1fr); } }
td:first-child { white-space: nowrap; }
td { overflow-wrap: anywhere; } .asked td:first-child { white-space: normal; min-width: 90px; }
.stages { display: flex; flex-wrap: wrap; gap: 4px 0; margin: 6px 0; list-style: none; padding: 0; }
.stages li { padding-right: 26px; position: relative; }
.stages li:not(:last-child)::after { content: "→"; position: absolute; right: 7px; top: 0; color: var(--dim); }
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """By whom, when and where a job is looked at."""

    links: Links
    windows: Windows | None
    now: datetime
    zone: tzinfo | None

    def moment(self, when: datetime) -> str:
        """A time as the viewer reads it."""
        return moment(when, self.now, self.zone)


def head(job: JobRecord, seen: Seen) -> Markup:
    """Which job, what became of it, who launched it, what it waits for, and what is wrong."""
    parts = [
        tag("h2", f"Job {number(job.id)} · mouse {job.subject}"),
        tag("strong", state_line(job, seen.now), cls=style(job)),
        tag("span", f"by {job.created_by}, {seen.moment(job.created)}", cls="dim"),
        tag("span", f"attempt {job.attempt}", cls="dim") if job.attempt > 1 else "",
    ]
    return tag("div", tag("div", *parts, cls="row"), _stages(job, seen), *_alerts(job, seen))


def _stages(job: JobRecord, seen: Seen) -> Markup:
    signs = []
    for stage in stages(job):
        when = tag("span", f" {seen.moment(stage.at)}", cls="dim num") if stage.at else ""
        sign = "●" if stage.reached else "○"
        signs.append(tag("li", f"{sign} {stage.words}", when, cls="" if stage.reached else "dim"))
    return tag("ol", *signs, cls="stages")


def _alerts(job: JobRecord, seen: Seen) -> list[Markup]:
    found = []
    if job.superseded_by:
        found.append(tag("p", "Superseded by ", _job_link(job.superseded_by), ".", cls="dim"))
    if words := trouble(job):
        found.append(tag("p", words, cls=style(job) if job.error else "bad", role="alert"))
    if job.surplus:
        twins = seen.links.twins(job)
        told = "▲ These carry this launch’s token and are not used:" if not job.error else "▲ Also made, not used:"
        found.append(tag("div", tag("p", told, cls="warn"), tag("ul", *(tag("li", twin) for twin in twins))))
    if job.overdue and job.state is JobState.RUNNING:
        late = (
            f"The deadline{f' ({seen.moment(job.deadline)})' if job.deadline else ''} has passed. It is not stopped: "
        )
        found.append(tag("p", late, "wait longer, or cancel.", cls="warn", role="alert"))
    if proposed := getattr(job, "proposed_run", ""):
        found.append(tag("p", f"The worker is asked to look whether run {proposed} is this job’s.", cls="dim"))
    if words := waiting_words(job, seen.windows, seen.now, seen.zone):
        found.append(tag("p", words, cls="warn" if job.error or asks(job) else "dim", role="status"))
    return found


def body(job: JobRecord, seen: Seen) -> Markup:
    """The two columns of the detail."""
    left = join([tag("h3", "What happened"), timeline(job, seen), tag("h3", "Numbers and names"), ids(job, seen)])
    right = join([tag("h3", "Asked and delivered"), coverage(job), *_problems(job, seen)])
    return tag("div", tag("div", left), tag("div", right), cls="grid")


def timeline(job: JobRecord, seen: Seen) -> Markup:
    """Every event, the newest last."""
    lines = [
        (
            seen.moment(event.at),
            join([event.what, tag("div", event.detail, cls="dim") if event.detail else ""]),
            event.by,
        )
        for event in job.events
    ]
    return _table(("When", "What", "Who"), lines) if lines else tag("p", "Nothing yet.", cls="dim")


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
    weaker = tag("p", f"▲ {weaker_count(job)}", cls="warn") if weaker_count(job) else ""
    return join([summary, weaker, _table(("Track", "Recording", "Stream", "Shank", "Result"), lines, cls="asked")])


def ids(job: JobRecord, seen: Seen) -> Markup:
    """Ids, links and digests, for looking things up on the platform."""
    route = "through the pipeline monitor, which keeps the result" if monitored(job) else ""
    facts: dict[str, object] = {
        "Conversion": f"{job.converter_label or job.converter} {job.converter_version} on {job.platform}",
        "Route": route,
        "Parameters": ", ".join(f"{name} {value}" for name, value in job.parameters.items()),
        "Asks after": f"{job.deadline_h:g} h" if job.deadline_h else "",
        **dict(seen.links.ids(job)),
        "Token": copyable(job.token, "token"),
        "State": f"{job.state_stem} ({job.state_sha256[:12]})",
        "Manifest": job.manifest_sha256[:12],
        "Retry of": _job_link(job.relaunch_of),
        "Platform says": " ".join(filter(None, (job.remote.state, job.remote.detail))),
        "Tries of this step": str(job.tries) if job.tries > 1 else "",
        "Sent again": f"{job.reposts} ×" if job.reposts else "",
    }
    return _table((), [(tag("span", name, cls="dim"), value) for name, value in facts.items() if value])


def _job_link(job_id: str | None) -> Markup | str:
    if not job_id:
        return ""
    return tag("a", f"job {number(job_id)}", href=f"?page=jobs&job={quote(plain(number(job_id), 40), safe='')}")


def _problems(job: JobRecord, seen: Seen) -> list[Markup]:
    parts = []
    if job.confirmed:
        said = [
            tag("li", f"{c.rule} {c.message}", tag("span", f" {c.by}, {seen.moment(c.at)}", cls="dim"))
            for c in job.confirmed
        ]
        parts += [tag("h3", "Confirmed at launch"), tag("ul", *said)]
    others = [p for p in job.problems if p.severity != Severity.CONFIRM or not job.confirmed]
    if others:
        lines = (f"{' '.join(SEVERITY_WORDS[Severity(p.severity)])} {p.rule}: {p.message}" for p in others)
        parts += [tag("h3", "Known at launch"), tag("ul", *(tag("li", line) for line in lines))]
    return parts


def log(kept: KeptLog | None) -> Markup:
    """The end of a log; None while it is being read."""
    if kept is None:
        return tag("p", "Reading the log …", cls="dim", role="status")
    if kept.trouble:
        return tag("p", f"The log cannot be read. {kept.trouble}", cls="warn")
    return preformatted(kept.text) if kept.text.strip() else tag("p", "No log yet.", cls="dim")


def log_title(kept: KeptLog | None) -> Markup:
    """`End of the log, kept here`."""
    source = (
        f"as {kept.source}"
        if kept and kept.source == "kept here"
        else f"from {kept.source}"
        if kept and kept.source
        else ""
    )
    return tag("div", tag("h3", "End of the log"), tag("span", source, cls="dim"), cls="row")


def _table(titles: tuple[str, ...], lines: Iterable[tuple[object, ...]], cls: str = "") -> Markup:
    header = tag("thead", tag("tr", *(tag("th", title) for title in titles))) if titles else ""
    rows = (tag("tr", *(tag("td", cell) for cell in line)) for line in lines)
    return tag("table", header, tag("tbody", *rows), cls=cls)
