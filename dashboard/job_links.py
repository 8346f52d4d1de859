"""Ids of a job, each with a button that copies it and, where the platform has a page for it, a link."""

from __future__ import annotations

from dataclasses import dataclass

from core.platforms.base import AssetReader
from core.settings import Settings
from dashboard.job_words import monitored
from dashboard.text import Markup, copyable, plain, tag
from jobs.doubts import TURNED_UP
from jobs.protocol import TWINS
from jobs.records import JobRecord

_RUN_TITLE = (
    "Opens the capsule's page: Code Ocean says no address of a single run; find this id in the capsule's list of runs"
)


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links of one platform. Ids of jobs of another platform are shown without.

    Args:
        reader: Knows the addresses.
        settings: Name the platform's own address, and the monitor's capsule.
    """

    reader: AssetReader
    settings: Settings

    def of(self, job: JobRecord, kind: str, ident: str, what: str, capsule: str = "") -> Markup:
        """An id as a link, with its copy button."""
        address = self.reader.web_link(kind, ident, capsule) if job.platform == self.reader.name else ""
        title = _RUN_TITLE if kind == "run" else ""
        origin = self.settings.code_ocean_domain
        link = tag("a", plain(ident, 200), href=address, origin=origin, title=title) if address else None
        return copyable(ident, what, link)

    def asset(self, job: JobRecord, ident: str, what: str) -> Markup:
        """An asset."""
        return self.of(job, "asset", ident, what)

    def run(self, job: JobRecord, ident: str, what: str = "run id") -> Markup:
        """A run of the converter, or of the monitor when the job's route is through it and it is its first."""
        by_monitor = monitored(job) and ident != job.remote.child
        return self.of(
            job, "run", ident, what, job.monitor or self.settings.monitor_capsule if by_monitor else job.converter
        )

    def ids(self, job: JobRecord) -> list[tuple[str, Markup]]:
        """What a job has on its platform: runs, result, inputs, capsule."""
        found: list[tuple[str, Markup]] = []
        if self.reader.web_link("capsule", job.converter) and job.platform == self.reader.name:
            found.append(("Capsule", self.of(job, "capsule", job.converter, "capsule id")))
        if job.ids.run:
            found.append(("Monitor run" if monitored(job) else "Run", self.run(job, job.ids.run)))
        if job.remote.child:
            found.append(("Conversion run", self.run(job, job.remote.child, "conversion run id")))
        for name, ident in (
            ("Result asset", job.ids.result),
            ("Manifest asset", job.ids.manifest_asset),
            ("State asset", job.ids.state_asset),
        ):
            if ident:
                found.append((name, self.asset(job, ident, f"{name.lower()} id")))
        return found

    def twins(self, job: JobRecord) -> list[Markup]:
        """What else carries the job's token, with links."""
        told = [event for event in job.events if event.what in (TWINS, TURNED_UP)]
        words = " ".join(event.detail for event in told if event.detail.startswith(("run", "conversion")))
        runs = set(words.replace(",", " ").split())
        return [self.run(job, ident) if ident in runs else self.asset(job, ident, "asset id") for ident in job.surplus]
