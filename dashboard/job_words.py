"""A job in words: what it is doing, since when, what came of it."""

from __future__ import annotations

from datetime import datetime

from dashboard.text import count, duration
from jobs.protocol import TWINS
from jobs.records import JobRecord, JobState

STATE_WORDS: dict[JobState, tuple[str, str, str]] = {
    JobState.QUEUED: ("○", "info", "queued"),
    JobState.PREPARING: ("◔", "info", "preparing the inputs"),
    JobState.LAUNCHING: ("◑", "info", "launching"),
    JobState.RUNNING: ("◑", "info", "running"),
    JobState.VERIFYING: ("◕", "info", "verifying the results"),
    JobState.CAPTURING: ("◕", "info", "capturing and counting"),
    JobState.NEEDS_YOU: ("?", "warn", "needs you"),
    JobState.CANCELLING: ("◌", "warn", "cancelling"),
    JobState.SUCCEEDED: ("✓", "good", "succeeded"),
    JobState.INCOMPLETE: ("✕", "bad", "incomplete"),
    JobState.FAILED: ("✕", "bad", "failed"),
    JobState.CANCELLED: ("–", "dim", "cancelled"),
    JobState.REFUSED: ("✕", "bad", "refused"),
}
"""Sign, style and words of each state."""


def state_line(job: JobRecord, now: datetime) -> str:
    """`running 1 h 12 min`, `incomplete: 22 of 24 delivered`."""
    sign, _, words = STATE_WORDS[job.state]
    if job.coverage is not None and job.has_ended:
        return f"{sign} {words}: {job.coverage.delivered} of {job.coverage.asked} delivered"
    if job.state is JobState.RUNNING and job.started:
        words += f" {duration((now - job.started).total_seconds())}"
    elif not job.has_ended:
        words += f", {duration((now - since(job)).total_seconds())}"
    return f"{sign} {words}"


def trouble(job: JobRecord) -> str:
    """What is wrong, in words; "" when nothing is. A twin of the launch is trouble also when the job succeeded."""
    twins = [event.detail for event in job.events if event.what == TWINS]
    words = f"More than one was made of this launch; look at the others before you use the result: {'; '.join(twins)}"
    return " ".join(filter(None, (job.error, words if twins else "")))


def since(job: JobRecord) -> datetime:
    """When the job last changed: its newest event, else its creation."""
    return job.ended or (job.events[-1].at if job.events else job.created)


def tracks_line(job: JobRecord) -> str:
    """`6 tracks`; a track with several rows counts once."""
    return count(len({row.track for row in job.rows}), "track")
