"""The runs of a capsule: one listing serves many jobs, and nothing is concluded from one that cannot be whole.

Code Ocean lists all runs of a capsule at once, without filter or paging. Two questions are asked of such a list.

*What is this run doing?* A list of a few seconds ago is good enough. A run that it does not show is asked for singly.

*Did our start arrive?* That "there is none" may be the reason to start again, so more is asked of the list:

- It was asked for after the last start that was sent to its capsule from here. The worker is the only sender, and one
  that has just begun asks for its own first list, after the death of the last worker: so the list is younger than the
  intent of every start in doubt.
- Several jobs that look within the same moments share it, but no job is shown one list twice: three looks are three
  lists. It is at most two seconds old then, against a window of many minutes.
- It is whole: a JSON list of records that each have an id and a time.
- It shows the newest run that we know of this capsule; a stale or truncated list would not. When that run is gone by
  a single look, because somebody deleted it, the one before it is asked after. A worker that has just begun is told of
  the runs that the queue knows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from core.errors import NotFoundError, PlatformError, UnavailableError
from core.platforms.base import KnownRun, RunKey
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.records import Computation, computation_of

TOKEN = re.compile(r"[a-z][a-z0-9]{11,19}", re.ASCII)
"""Long enough not to be part of another word, short and plain enough for the search of tags."""
_SHARED_S = 2.0
_NEWEST_KEPT = 5
_FUTURE = datetime.max.replace(tzinfo=UTC)
_PAST = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Listing:
    """One answer. `asked_s` is from before the request was sent."""

    asked_s: float
    runs: Mapping[str, Computation]
    is_whole: bool
    is_believed: bool = False
    shown_to: set[str] = field(default_factory=set)


class RunListings:
    """Lists of the runs of a few capsules, kept for a while.

    Args:
        api: Sends the requests.
        max_age_s: How old a list may be for looking at a run.
        young_s: How long a run that was started from here may not show, not even when it is asked for singly.
        now: Seconds of a clock that is never set.
    """

    def __init__(
        self,
        api: CodeOceanApi,
        *,
        max_age_s: float,
        young_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._max_age_s, self._young_s, self._now = api, max_age_s, young_s, now
        self._kept: dict[str, _Listing] = {}
        self._last_start_s: dict[str, float] = {}
        self._started_s: dict[str, float] = {}
        self._newest: dict[str, tuple[Computation, ...]] = {}
        self._deleted: set[str] = set()
        self._capsule_of: dict[str, str] = {}

    # --- asking ---------------------------------------------------------------------------------

    def whole(self, capsule: str, token: str) -> tuple[Computation, ...]:
        """Every run of a capsule, oldest first, from a list that something may be concluded from.

        Args:
            capsule: Its id.
            token: Of the job that asks; it is not shown the same list again.

        Raises:
            PlatformError: the list could not be read, is not whole, or is stale.
        """
        kept = self._kept.get(capsule)
        if kept is None or token in kept.shown_to or not self._may_conclude(kept, capsule):
            kept = self._fetch(capsule)
        if not kept.is_believed:
            self._check(kept, capsule)
            kept.is_believed = True
        kept.shown_to.add(token)
        return tuple(sorted(kept.runs.values(), key=lambda run: (run.created or _PAST, run.id)))

    def recent(self, capsule: str) -> Mapping[str, Computation]:
        """Runs of a capsule by their ids, as they were a short while ago. Raises PlatformError."""
        kept = self._kept.get(capsule)
        if kept is None or self._now() - kept.asked_s > self._max_age_s:
            kept = self._fetch(capsule)
        return kept.runs

    def find(self, run_id: str, capsules: tuple[str, ...]) -> Computation | None:
        """A run as a recent list shows it; None when none does.

        Args:
            run_id: Its id.
            capsules: Where to look for a run that was never seen before.

        Raises:
            PlatformError: a list could not be read.
        """
        if run_id in self._deleted:
            return None
        known = self._capsule_of.get(run_id)
        for capsule in (known,) if known else capsules:
            found = self.recent(capsule).get(run_id)
            if found is not None:
                return found
        return None

    # --- what we did ----------------------------------------------------------------------------

    def note_start(self, capsule: str, run: Computation | None) -> None:
        """A start was sent to a capsule; `run` is what it made, None when that is not known."""
        self._last_start_s[capsule] = self._now()
        if run is not None:
            self._started_s[run.id] = self._now()
            self._note(capsule, run if run.created else replace(run, created=_FUTURE))

    def recall(self, capsule: str, run: KnownRun, age_s: float) -> None:
        """A run of a capsule was known before this began, and was started so many seconds ago."""
        self._started_s.setdefault(run.id, self._now() - max(age_s, 0.0))
        if run.should_show:
            self._note(capsule, Computation(run.id, "", run.started, "unknown"))

    def note_deleted(self, run_id: str) -> None:
        """A run is gone: no list is expected to show it, and none is believed that does."""
        self._deleted.add(run_id)
        self._started_s.pop(run_id, None)
        for capsule, runs in self._newest.items():
            self._newest[capsule] = tuple(run for run in runs if run.id != run_id)

    def is_young(self, run_id: str) -> bool:
        """Whether a run was started from here so lately that it may not show yet, and not deleted since."""
        started_s = self._started_s.get(run_id)
        return started_s is not None and self._now() - started_s <= self._young_s

    # --- one list -------------------------------------------------------------------------------

    def _may_conclude(self, kept: _Listing, capsule: str) -> bool:
        is_new = self._now() - kept.asked_s <= _SHARED_S
        return is_new and kept.asked_s > self._last_start_s.get(capsule, float("-inf"))

    def _fetch(self, capsule: str) -> _Listing:
        asked_s = self._now()
        told = self._api.read("GET", f"capsules/{capsule}/computations")
        if not isinstance(told, list):
            raise UnavailableError(
                "Code Ocean's list of runs cannot be read", where=f"capsule {capsule}", cure="It is asked again."
            )
        read = [computation_of(one) for one in told]
        runs = {run.id: run for run in read if run is not None}
        is_whole = all(run is not None and run.created is not None for run in read)
        kept = self._kept[capsule] = _Listing(asked_s, runs, is_whole)
        for run_id in runs:
            self._capsule_of[run_id] = capsule
        return kept

    def _check(self, kept: _Listing, capsule: str) -> None:
        """Raise unless the list is whole and not stale."""
        if not kept.is_whole:
            raise PlatformError(
                "Code Ocean's list of runs is not whole: it holds records without id or time",
                where=f"capsule {capsule}",
                cure="It is asked again; nothing is concluded from it.",
            )
        for known in self._newest.get(capsule, ()):
            if known.id in kept.runs:
                break
            if not self._is_gone(known.id):
                raise PlatformError(
                    f"Code Ocean's list of runs is out of date: it lacks the run {known.id}",
                    where=f"capsule {capsule}",
                    cure="It is asked again; nothing is concluded from it.",
                )
            self.note_deleted(known.id)
        self._note(capsule, *kept.runs.values())

    def _is_gone(self, run_id: str) -> bool:
        if self.is_young(run_id):
            return False
        try:
            self._api.read("GET", f"computations/{run_id}")
        except NotFoundError:
            return True
        return False

    def _note(self, capsule: str, *runs: Computation) -> None:
        """Keep the newest few of the runs that are known to exist."""
        known = {run.id: run for run in (*self._newest.get(capsule, ()), *runs) if run.id not in self._deleted}
        newest = sorted(known.values(), key=lambda run: run.created or _PAST, reverse=True)
        self._newest[capsule] = tuple(newest[:_NEWEST_KEPT])
        for run in runs:
            self._capsule_of[run.id] = capsule


def is_of_job(run: Computation, key: RunKey) -> bool:
    """A run to which the job's own asset is attached, or that has its token in a mount, a parameter or its name."""
    if key.manifest_asset and any(mount.asset_id == key.manifest_asset for mount in run.mounts):
        return True
    if not TOKEN.fullmatch(key.token):
        return False
    texts = (run.name, *(mount.mount for mount in run.mounts), *(value for _, value in run.parameters))
    return any(key.token in text for text in texts)
