"""Which jobs the Jobs page lists: filters, pages, counts, and the line of each job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

import pandas as pd

from dashboard import text
from dashboard.job_words import FAILURES, asks, number, since, state_line, tracks_line, trouble
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
WIDTHS = {"job": 55, "state": 245, "subject": 85, "tracks": 85, "who": 120, "when": 145, "changed": 145}
"""What is wrong takes what is left."""


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
    failed: int = 0
    """Without those that a later job has made good."""
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
    states = FILTERS.get(wanted.show, FILTERS["all"])[1]
    made_good = False if wanted.show == "failed" else None
    return store.newest(
        PAGE_SIZE, before=before, states=states, subject=wanted.subject, by=wanted.who, superseded=made_good
    )


def _fits(job: JobRecord, wanted: Wanted) -> bool:
    mine = wanted.subject in ("", job.subject) and wanted.who in ("", job.created_by)
    return mine and (wanted.show == "active" or asks(job))


def count_jobs(store: JobStore) -> Counts:
    """How many jobs each filter holds. Blocks."""
    states, standing = store.counts(), store.counts(superseded=False)
    return Counts(
        active=sum(states.get(state, 0) for state in FILTERS["active"][1]),
        needs_you=sum(map(asks, store.active())),
        failed=sum(standing.get(state, 0) for state in FAILURES),
        everything=sum(states.values()),
    )
