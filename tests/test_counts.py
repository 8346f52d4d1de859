"""What tests count closes the run, also of tests that pass, in other processes, or fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
COUNTING = """
def test_b(tell):
    print("not this")
    tell("120 paths: 0 doubled, seed 7")
    tell("30 jobs: 0 lost, seed 8")

def test_a(tell):
    tell("control: 4 doubled, seed 7")

def test_c(tell):
    tell("9 cuts: 1 lost, seed 9")
    assert not "told although it fails"
"""
LINES = [
    "control: 4 doubled, seed 7",
    "120 paths: 0 doubled, seed 7",
    "30 jobs: 0 lost, seed 8",
    "9 cuts: 1 lost, seed 9",
]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_counts_close_a_run_however_many_processes_it_has(tmp_path, processes):
    shutil.copy(TESTS / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_counting.py").write_text(COUNTING)
    kept = tmp_path / "counts.log"
    kept.write_text("of another run\n")
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", processes, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**outside, "TRACKMAPPER_TEST_COUNTS": str(kept)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    [section] = re.findall(r"^=+ counts =+\n(.*?)^=", done.stdout, re.MULTILINE | re.DOTALL)
    assert section.splitlines() == LINES
    assert kept.read_text().splitlines() == ["of another run", *LINES]


def test_no_test_writes_its_counts_where_they_are_captured():
    writes = re.compile(r"os\.write\(1|capsys\.disabled|sys\.__stdout__")
    files = (file for file in TESTS.glob("test_*.py") if file != Path(__file__))
    assert [file.name for file in files if writes.search(file.read_text())] == []


def test_the_run_of_every_test_ends_with_its_counts():
    """The campaigns' output goes to files that are shown afterwards; their counts are shown last, with all others."""
    recipe = re.search(r"^test:.*?\n((?:\t.*\n)+)", (TESTS.parent / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    shown = recipe[1].rindex("cat .build/counts.log")
    assert shown > recipe[1].rindex("$(BIN)/pytest")
    assert shown > recipe[1].index("cat .build/near.log")
