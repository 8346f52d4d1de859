"""Rewrites the tables of README and docs that the code owns: settings, check rules, manifest columns.

Run by `make docs`; a test holds the files to what this would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pydantic import AliasChoices, SecretStr

from core.checks.thresholds import Thresholds
from core.manifest import COLUMNS
from core.rules import RULES
from core.settings import Settings


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings() -> str:
    """Every setting with its environment name, default and meaning."""
    return _table(
        ("environment", "default", "meaning"),
        (
            (
                " / ".join(f"`{each}`" for each in environment_names(name)),
                _default(field.default),
                field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ),
    )


def environment_names(setting: str) -> list[str]:
    """The variables that a setting is read from."""
    alias = Settings.model_fields[setting].validation_alias
    if isinstance(alias, AliasChoices):
        # The field's own name is among them for the command line.
        return [str(choice) for choice in alias.choices if choice != setting]
    return [f"TRACKMAPPER_{setting.upper()}"]


def _default(value: object) -> str:
    return "" if value == "" or isinstance(value, SecretStr) else f"`{value}`"


def rules() -> str:
    """Every check rule."""
    return "\n\n".join(
        f"### {rule.id}: {rule.title}\n\n*{rule.severity.value}*. {rule.why}\n\nCure: {rule.cure}"
        + (f"\n\nSeen in: {rule.picture}" if rule.picture else "")
        for rule in RULES.values()
    )


def thresholds() -> str:
    """Every limit of the checks."""
    return _table(
        ("limit", "default", "rule", "why"),
        ((f"`{f.name}`", f"{f.default:g}", f.metadata["rule"], f.metadata["why"]) for f in fields(Thresholds)),
    )


def columns() -> str:
    """Every manifest column."""
    return _table(
        ("column", "required", "also read as", "meaning"),
        ((f"`{c.name}`", "yes" if c.required else "", f"`{c.alias}`" if c.alias else "", c.help) for c in COLUMNS),
    )


OWNED: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"settings": settings},
    "docs/rules.md": {"rules": rules, "limits": thresholds},
    "docs/command-line.md": {"columns": columns},
}


def rewritten(name: str) -> str:
    """A file's text with its owned tables as the code has them."""
    text = (ROOT / name).read_text()
    for key, write in OWNED[name].items():
        begin, end = f"<!-- {key}: written by make docs -->", f"<!-- end of {key} -->"
        pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
        body = f"{begin}\n{write()}\n{end}"
        text = pattern.sub(lambda _, body=body: body, text)
    return text


if __name__ == "__main__":
    for file in OWNED:
        (ROOT / file).write_text(rewritten(file))
