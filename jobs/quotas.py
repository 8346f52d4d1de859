"""How much may be launched: conversions cost money, and a press of a button must not spend a lab's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from core.errors import NotAllowedError
from core.settings import Settings
from jobs.database import Database
from jobs.history import launched_query

_PAGE = 500
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of launches; 0: none."""

    user_day: int = 0
    """Of one person in 24 hours."""
    active: int = 0
    """Jobs under way at once."""
    hour: int = 0
    """Of all people in one hour."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the settings name."""
        return cls(settings.jobs_per_user_day, settings.jobs_active, settings.jobs_per_hour)


NO_QUOTAS = Quotas()


def refuse_beyond(database: Database, quotas: Quotas, user: str, now: datetime) -> None:
    """Refuse a launch beyond a limit. Reads the active jobs' marks and the last day's launches, never the history.

    Args:
        database: Read only; inside a turn nobody else can launch meanwhile.
        quotas: The limits.
        user: Who launches.
        now: When.

    Raises:
        NotAllowedError: a limit is reached; says when it will be possible.
    """
    if quotas.active:
        active = "SELECT count(*) FROM Cache WHERE key > 'active/' AND key < 'active0' AND raw = 1"
        [(under_way,)] = database.rows(active)
        if under_way >= quotas.active:
            raise NotAllowedError(
                f"{under_way} jobs are under way, and no more than {quotas.active} may be at once",
                cure="Launch again when one of them has ended.",
            )
    if not (quotas.hour or quotas.user_day):
        return
    launched = _launched_since(database, now - (_DAY if quotas.user_day else _HOUR))
    in_hour = [at for at, _ in launched if at > now - _HOUR]
    _refuse_full(in_hour, quotas.hour, _HOUR, "everybody together may launch", "an hour")
    by_user = [at for at, by in launched if by == user]
    _refuse_full(by_user, quotas.user_day, _DAY, f"{user} may launch", "24 hours")


def _refuse_full(newest_first: list[datetime], limit: int, window: timedelta, who: str, how_long: str) -> None:
    if limit and len(newest_first) >= limit:
        free_at = newest_first[limit - 1] + window
        raise NotAllowedError(
            f"{who} no more than {limit} jobs in {how_long}", cure=f"Launch again after {free_at:%Y-%m-%d %H:%M:%S}Z."
        )


def _launched_since(database: Database, start: datetime) -> list[tuple[datetime, str]]:
    """When and by whom jobs were launched after `start`, newest first."""
    launched: list[tuple[datetime, str]] = []
    top = "job0"
    while page := database.rows(launched_query(), (top, _PAGE)):
        top = page[-1][0]
        for _, at, by in page:
            if at is None:
                continue  # not a record of this program
            if (launched_at := datetime.fromisoformat(at)) <= start:
                return launched
            launched.append((launched_at, str(by)))
    return launched
