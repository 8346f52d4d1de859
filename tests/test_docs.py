"""Tests that keep the documents true."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from dashboard.cli import build_parser

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)


@pytest.mark.parametrize("name", tables.OWNED)
def test_tables_are_what_the_code_says(name):
    """When this fails, run `make docs`."""
    assert (ROOT / name).read_text() == tables.rewritten(name)


def test_every_setting_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    assert not [name for name in Settings.model_fields if f"`TRACKMAPPER_{name.upper()}`" not in text]


def test_every_setting_documents_itself():
    assert all(field.description for field in Settings.model_fields.values())


def test_every_command_is_documented():
    text = (ROOT / "docs" / "command-line.md").read_text()
    (parsers,) = (action for action in build_parser()._actions if hasattr(action, "choices") and action.choices)
    assert not [name for name in parsers.choices if f"`trackmapper {name}" not in text]


def test_every_make_command_named_in_the_documents_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for path in DOCS for t in re.findall(r"`make ([a-z-]+)", path.read_text())}
    assert named
    assert named <= targets


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_links_between_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_files_named_in_the_architecture_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:core|jobs|dashboard|tests)/[\w/]+\.py)`", text))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_readmes_command_line_works_as_written(tmp_path):
    text = (ROOT / "README.md").read_text()
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "trackmapper sample" in block)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-euc", block], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "5 of 5 tracks delivered" in done.stdout
