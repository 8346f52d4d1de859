"""The header's words: which mouse, how the platform and the worker are, who you are; and the banner below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from core.platforms.base import HealthKind
from dashboard.health import SeenHealth, WorkerSeen
from dashboard.text import Markup, join, moment, tag

HEADER_CSS = """
.row { gap: 2px 16px; justify-content: flex-end; flex-wrap: nowrap; white-space: nowrap; }
.row > * { flex: 0 1 auto; overflow: hidden; text-overflow: ellipsis; }
.row > .pill, .row > .whole { flex: none; }
.pill { border-color: currentColor; }
.row > .waits { flex: 0 1 auto; max-width: 320px; }
"""
BANNER_CSS = """
.banner { padding: 6px 12px; border-radius: 6px; margin: 0 0 6px; }
.banner { border: 1px solid var(--line); background: var(--soft); }
.banner.trouble { border-color: var(--warn); }
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of platform and worker, and for whom it is put into words."""

    place: str
    """The platform's name."""
    launch_refusal: str
    """Why nothing can be launched from here; "" when it can."""
    seen: SeenHealth | None
    worker: WorkerSeen
    now: datetime
    zone: tzinfo | None

    @property
    def since(self) -> str:
        """Since when the platform answers as it does; "" before its first answer."""
        return moment(self.seen.since, self.now, self.zone) if self.seen else ""


def status(shown: Shown, mouse: str, user: str, *, signed_in: bool) -> Markup:
    """One line: mouse, platform, worker, user."""
    hint = "" if signed_in else tag("span", " (not signed in)", title="Set TRACKMAPPER_USER to be named.")
    parts = [
        tag("strong", mouse, cls="whole") if mouse else "",
        _platform(shown),
        _worker(shown),
        tag("span", join([user, hint]), title=user),
    ]
    return tag("div", *parts, cls="row")


def _platform(shown: Shown) -> Markup:
    if shown.seen is None:
        return tag("span", f"… {shown.place}", cls="whole", title="Asking how it is.")
    words = shown.seen.health.words
    if shown.launch_refusal:
        return tag("span", f"○ {shown.place}, public only", cls="whole", title=shown.launch_refusal)
    match shown.seen.health.kind:
        case HealthKind.OK:
            return tag("span", f"✓ {shown.place}", cls="whole", title=f"{words or 'It answers.'} Since {shown.since}.")
        case HealthKind.SLOW:
            return tag("span", f"▲ {shown.place} slow", cls="pill", title=f"Since {shown.since}. {words}")
        case HealthKind.REFUSING:
            return tag("span", f"✕ {shown.place} refuses, since {shown.since}", cls="pill", title=words)
    return tag("span", f"✕ {shown.place} away, since {shown.since}", cls="pill", title=words)


def _worker(shown: Shown) -> Markup:
    if not shown.worker.alive:
        hint = "Launched jobs wait until one is started: trackmapper worker"
        return tag("span", "▲ No worker is running", cls="pill", title=hint)
    if shown.worker.waiting:
        return tag("span", f"▲ worker waits: {shown.worker.waiting}", cls="pill waits", title=shown.worker.waiting)
    return tag("span", "✓ worker alive", cls="whole")


def banner(shown: Shown) -> Markup:
    """What is off and why, below the header; empty when all is well."""
    if shown.launch_refusal:
        told = f"Only what is public is read from {shown.place}. "
        return tag("div", tag("strong", told), shown.launch_refusal, cls="banner", role="note")
    if shown.seen is None or shown.seen.health.kind not in (HealthKind.REFUSING, HealthKind.AWAY):
        return Markup("")
    told = "refuses" if shown.seen.health.kind is HealthKind.REFUSING else "is away"
    kept = " What was gathered can still be edited; jobs that were launched wait, and go on by themselves."
    head = tag("strong", f"✕ {shown.place} {told}, since {shown.since}. ")
    return tag("div", head, shown.seen.health.words, kept, cls="banner trouble", role="alert")
