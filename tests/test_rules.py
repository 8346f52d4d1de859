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


def test_a_rule_that_no_code_names_says_that_it_is_not_checked_yet():
    named = {
        node.value
        for path in CORE.rglob("*.py")
        if path.parent.name != "rule_tables"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in RULES
    }
    unchecked = {rule.id for rule in RULES.values() if "not checked yet" in rule.title}
    assert unchecked == RULES.keys() - named


def raised_severities() -> dict[str, set[str]]:
    """Severities that code gives the problems of each rule, where every place is a plain name; the rule's own is ""."""
    found: dict[str, set[str]] = {}
    for path in sorted(CORE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            if not isinstance(node, ast.Call) or name.strip("_") not in MAKERS or not node.args:
                continue
            given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "severity")]
            words = [
                each.attr for each in given if isinstance(each, ast.Attribute) and each.attr in Severity.__members__
            ]
            plain = not [keyword for keyword in node.keywords if keyword.arg == "severity"] or bool(words)
            for rule in (each for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)):
                found.setdefault(str(rule.value), set()).add(words[0].lower() if words else "" if plain else "*")
    return found


def test_the_published_severity_is_one_that_is_raised():
    raised = raised_severities()
    assert raised["A11"]
    wrong = {
        rule: given
        for rule, given in raised.items()
        if rule in RULES and not given & {"", "*", RULES[rule].severity.value}
    }
    assert not wrong


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


def test_every_rule_of_a_track_a_shank_and_a_recording_says_which_picture_shows_it():
    geometry = [rule for rule in RULES.values() if rule.id[0] in "TSR" and rule.id != "R8"]
    assert len(geometry) == 11 + 6 + 7
    unseen = [rule.id for rule in geometry if not rule.picture.endswith(".")]
    assert not unseen
