"""The published table of rules and the problems that code can make."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from core.models import Severity
from core.rules import RULES, problem

CORE = Path(__file__).parents[1] / "core"
MAKERS = {"problem", "Problem"}
"""Names that make a problem; their first argument is the rule's id."""


def used_rules() -> dict[str, set[str]]:
    """Rule ids that code names when it makes a problem, with the files that do."""
    found: dict[str, set[str]] = {}
    for path in sorted(CORE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name.strip("_") not in MAKERS:
                continue
            rules = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "rule")]
            for literal in (each for rule in rules for each in ast.walk(rule)):
                if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                    found.setdefault(literal.value, set()).add(path.name)
    return found


def test_every_rule_that_code_names_is_published():
    used = used_rules()
    assert {"M1", "T8", "S1", "R4", "A13", "N8"} <= used.keys()
    unknown = {rule: files for rule, files in used.items() if rule not in RULES}
    assert not unknown


def test_every_rule_says_what_why_and_how():
    for rule in RULES.values():
        assert rule.id[0] in "TSRMNA"
        assert rule.id[1:].isdigit()
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.cure.endswith(".")


def test_a_problem_takes_severity_and_cure_from_its_rule_unless_given():
    plain = problem("M1", "no rows")
    assert (plain.severity, plain.cure) == (RULES["M1"].severity, RULES["M1"].cure)
    milder = problem("M1", "no rows", severity=Severity.INFO, cure="wait", row=3, column="x")
    assert (milder.severity, milder.cure, milder.where.row, milder.where.column) == (Severity.INFO, "wait", 3, "x")


def test_an_unknown_rule_is_refused():
    with pytest.raises(KeyError):
        problem("Z9", "never")
