"""What happened to jobs, anybody's, while a page is open: a notification each, and a count until it was looked at."""

from __future__ import annotations

from typing import Literal

from dashboard import text
from dashboard.job_words import STATE_WORDS, number
from jobs.notices import Notice
from jobs.records import JobState
from jobs.store import JobStore

MOST_AT_ONCE = 3
"""More than so many are told in one notification."""
_KINDS: dict[str, Literal["success", "info", "warning", "error"]] = {
    JobState.SUCCEEDED: "success",
    JobState.CANCELLED: "info",
    JobState.NEEDS_YOU: "warning",
    "overdue": "warning",
}
_WORDS = {
    "overdue": "takes longer than expected",
    "twins": "was started more than once",
    "turned up": "has something that turned up late",
}


class News:
    """The notices of one session. `look` blocks for one read of the store.

    Args:
        store: Where notices are.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._last: int | None = None
        self.unseen = 0

    def look(self) -> tuple[Notice, ...]:
        """What has happened since the last look; nothing at the first, which only notes where the page began."""
        last = self._store.last_notice()
        if self._last is None or last <= self._last:
            self._last = last
            return ()
        found = self._store.notices(self._last)
        self._last = max((notice.number for notice in found), default=last)
        return found

    def tell(self, notices: tuple[Notice, ...], *, looking: bool) -> None:
        """Tell of notices; those that come while a person looks at the jobs are not counted as unseen."""
        self.unseen = 0 if looking else self.unseen + len(notices)
        if len(notices) > MOST_AT_ONCE:
            text.notify("info", f"{len(notices)} jobs have ended or ask for somebody. The Jobs page lists them.")
            return
        for notice in notices:
            text.notify(_KINDS.get(notice.state, "error"), notice_words(notice))


def notice_words(notice: Notice) -> str:
    """`Job 12 (mouse 717381) succeeded`."""
    known = notice.state in {state.value for state in JobState}
    state = STATE_WORDS[JobState(notice.state)][2] if known else _WORDS.get(notice.state, notice.state)
    why = f": {notice.words}" if notice.words else ""
    return f"Job {number(notice.job_id)} (mouse {notice.subject}) {state}{why}"
