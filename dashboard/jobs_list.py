"""Which jobs the Jobs page lists: filters, pages, counts, and the line of each job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

import pandas as pd

from dashboard import text
from dashboard.job_words import FAILURES, asks, is_open_failure, number, since, state_line, tracks_line, trouble
from jobs.records import ENDS, JobRecord, JobState
from jobs.store import JobStore

PAGE_SIZE = 50
FILTERS: dict[str, tuple[str, frozenset[JobState]]] = {
    "active": ("Active", frozenset(JobState) - ENDS),
    "needs-you": ("Needs you", frozenset({JobState.NEEDS_YOU})),
    "failed": ("Failed, open", FAILURES),
    "done": ("Done", frozenset({JobState.SUCCEEDED, JobState.CANCELLED})),
    "all": ("All", frozenset()),
}
"""Words and states; "needs-you" also holds jobs past their deadline, "failed" only those no later job has made good."""
TITLES = {
    "job": "Job",
    "state": "State",
    "subject": "Mouse",
    "tracks": "Tracks",
    "error": "What is wrong",
    "who": "Who",
    "when": "Launched",
    "changed": "Last change",
}
WIDTHS = {"job": 55, "state": 245, "subject": 85, "tracks": 85, "error": 330, "who": 120, "when": 145, "changed": 145}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the list shows."""

    show: str = "all"
    subject: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs each filter holds."""

    active: int = 0
    needs_you: int = 0
    failed: str = "0"
    """`50+` beyond a page."""
    everything: int = 0

    def label(self, key: str) -> str:
        """The words of a filter's button."""
        told = {"active": self.active, "needs-you": self.needs_you, "failed": self.failed}
        return f"{FILTERS[key][0]} {told[key]}" if key in told else FILTERS[key][0]


def frame(jobs: tuple[JobRecord, ...], now: datetime, zone: tzinfo | None) -> pd.DataFrame:
    """One line per job, indexed by job id."""
    lines = [
        [
            number(job.id),
            text.plain(state_line(job, now), 200),
            text.plain(job.subject, 40),
            tracks_line(job),
            text.plain(trouble(job), 300),
            text.plain(job.created_by, 60),
            text.moment(job.created, now, zone),
            text.moment(since(job), now, zone),
        ]
        for job in jobs
    ]
    return pd.DataFrame(lines, columns=list(TITLES), index=[job.id for job in jobs], dtype="str")


def list_jobs(store: JobStore, wanted: Wanted, before: str | None) -> tuple[JobRecord, ...]:
    """A page of jobs, newest first. Blocks."""
    if wanted.show in ("active", "needs-you"):
        found = (job for job in reversed(store.active()) if before is None or job.id < before)
        return tuple(job for job in found if _fits(job, wanted))[:PAGE_SIZE]
    if wanted.show == "failed":
        return open_failures(store, wanted, before, PAGE_SIZE)
    states = FILTERS.get(wanted.show, FILTERS["all"])[1]
    return store.newest(PAGE_SIZE, before=before, states=states, subject=wanted.subject, by=wanted.who)


def _fits(job: JobRecord, wanted: Wanted) -> bool:
    mine = wanted.subject in ("", job.subject) and wanted.who in ("", job.created_by)
    return mine and (wanted.show == "active" or asks(job))


def open_failures(store: JobStore, wanted: Wanted, before: str | None, limit: int) -> tuple[JobRecord, ...]:
    """Failed jobs that no later job has made good, newest first."""
    found: list[JobRecord] = []
    while len(found) < limit:
        page = store.newest(PAGE_SIZE, before=before, states=FAILURES, subject=wanted.subject, by=wanted.who)
        found += filter(is_open_failure, page)
        if len(page) < PAGE_SIZE:
            break
        before = page[-1].id
    return tuple(found[:limit])


def count_jobs(store: JobStore) -> Counts:
    """How many jobs each filter holds. Blocks."""
    states = store.counts()
    failed = len(open_failures(store, Wanted(), None, PAGE_SIZE + 1))
    waits = sum(map(asks, store.active()))
    return Counts(
        active=sum(states.get(state, 0) for state in FILTERS["active"][1]),
        needs_you=waits,
        failed=f"{PAGE_SIZE}+" if failed > PAGE_SIZE else str(failed),
        everything=sum(states.values()),
    )
