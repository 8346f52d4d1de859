"""Every rule a problem can name, in one published table: what it is about, why it matters, how to cure it."""

from __future__ import annotations

from core.models import Problem, Severity, Where
from core.rule_tables.evidence import EVIDENCE
from core.rule_tables.manifest_and_state import MANIFEST_AND_STATE
from core.rule_tables.rule import Rule

__all__ = ["RULES", "Rule", "problem"]

RULES: dict[str, Rule] = {rule.id: rule for rule in (*MANIFEST_AND_STATE, *EVIDENCE)}


def problem(
    rule: str,
    message: str,
    *,
    severity: Severity | None = None,
    cure: str = "",
    row: int | None = None,
    track: str | None = None,
    recording: str | None = None,
    column: str | None = None,
    measured: str | float | None = None,
    threshold: str | float | None = None,
) -> Problem:
    """A problem of a rule, with the rule's usual severity and cure where none is given.

    Raises:
        KeyError: there is no such rule.
    """
    known = RULES[rule]
    return Problem(
        rule=rule,
        severity=severity or known.severity,
        message=message,
        cure=cure or known.cure,
        where=Where(row=row, track=track, recording=recording, column=column),
        measured=measured,
        threshold=threshold,
    )
