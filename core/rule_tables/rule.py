"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass

from core.models import Severity

E, C, W, I = Severity.ERROR, Severity.CONFIRM, Severity.WARNING, Severity.INFO  # noqa: E741 - one letter keeps the tables readable


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `severity` is its usual severity; a problem may be milder or graver and then says why."""

    id: str
    title: str
    severity: Severity
    why: str
    cure: str
    picture: str = ""
    """Where on the Map page it is seen; "" where no picture shows it."""
