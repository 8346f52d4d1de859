"""What a look at a platform's set-up found, line by line, each with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a line counts."""

    OK = "ok"
    WARNING = "warning"
    """Something is off or cannot be told; launching works without it."""
    FAILED = "failed"
    """A launch needs it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    found: str
    cure: str = ""
    """What to do; "" when there is nothing to do."""


def ok(what: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(what, Verdict.OK, found)


def warning(what: str, found: str, cure: str) -> Finding:
    """It is off, and launching works without it."""
    return Finding(what, Verdict.WARNING, found, cure)


def failed(what: str, found: str, cure: str) -> Finding:
    """It is off, and a launch needs it."""
    return Finding(what, Verdict.FAILED, found, cure)
