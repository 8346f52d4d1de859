"""What holds the repository together: dependencies, direction of import, module sizes, no stray paths."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "jobs", "dashboard")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")[
    :-1
]


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", text, re.MULTILINE))


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0].lower()


def test_the_lock_holds_every_dependency():
    missing = {_name(r) for r in PYPROJECT["project"]["dependencies"]} - _pins("requirements.lock").keys()
    assert not missing


def test_the_test_lock_agrees_with_the_lock_and_holds_the_test_tools():
    runtime, tests = _pins("requirements.lock"), _pins("tests/requirements.lock")
    assert {name: tests.get(name) for name in runtime} == runtime
    assert {_name(r) for r in PYPROJECT["dependency-groups"]["test"]} <= tests.keys()


@pytest.mark.parametrize("lock", ["requirements.lock", "tests/requirements.lock"])
def test_locks_have_hashes_and_name_no_index(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    unhashed = [block.split("\n")[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
    assert not unhashed


def test_the_environment_runs_what_the_lock_says():
    installed = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}
    wrong = {
        n: (installed[n], v) for n, v in _pins("requirements.lock").items() if n in installed and installed[n] != v
    }
    assert not wrong


def test_conda_users_get_the_same_environment(tmp_path):
    """The pip section of environment.yml installs, in an empty environment, what the lock names."""
    text = (ROOT / "environment.yml").read_text()
    pip_section = re.findall(r"^      - (.+)$", text, re.MULTILINE)
    assert pip_section == ["-r requirements.lock"]
    assert "pip install --no-deps -e ." in text
    assert re.search(r"- python=3\.(1[2-9])", text)
    requirements = tmp_path / "conda-pip.txt"
    requirements.write_text(f"-r {ROOT / 'requirements.lock'}\n")
    uv = subprocess.run(
        [ROOT / ".ci" / "find-uv", sys.executable], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    uv = str((ROOT / uv) if uv.startswith(".") else uv)
    venv = tmp_path / "venv"
    # Offline: what set-up fetched is in the cache, and no test may need the network.
    python = str(venv / "bin/python")
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--require-hashes", "--python", python]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(venv)],
        [*install, "-r", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    complete = subprocess.run([uv, "pip", "check", "--python", python], capture_output=True, text=True)
    assert complete.returncode == 0, complete.stderr
    listed = subprocess.run(
        [uv, "pip", "freeze", "--python", str(venv / "bin/python")], capture_output=True, text=True, check=True
    )
    here = dict(line.lower().split("==") for line in listed.stdout.split() if "==" in line)
    pins = _pins("requirements.lock")
    assert here
    assert all(pins[name] == version for name, version in here.items())
    assert {_name(r) for r in PYPROJECT["project"]["dependencies"]} <= here.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_small(path):
    assert len(path.read_text().split("\n")) <= 400


def test_no_module_hides_another():
    """A served script's folder comes first on the path, so its files must not be named like a library."""
    taken = set(sys.stdlib_module_names) | set(importlib.metadata.packages_distributions())
    stems = {path.stem for package in ("jobs", "dashboard") for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert not stems & (taken | set(PACKAGES))


def test_packages_are_all_listed():
    found = {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in MODULES if p.name == "__init__.py"}
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_core_and_jobs_start_without_panel():
    """Core and jobs, but for the worker's page, import no user interface."""
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in MODULES if p.parts[-2] != "dashboard"]
    names = [n.removesuffix(".__init__") for n in names if n != "jobs.worker"]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "sys.exit(', '.join({'panel', 'bokeh', 'plotly'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", TRACKED)
def test_no_file_names_a_machine(name):
    """No path of a machine, no registry host, no credential in any file."""
    path = ROOT / name
    if not path.is_file() or path.suffix in {".png"}:
        return
    text = path.read_text()
    patterns = (
        r"/" + r"(?:work|root|farm)/[A-Za-z.]",
        r"files\.python" + r"hosted",
        r"pypi\." + r"org/simple",
        "cop" + r"_[A-Za-z0-9]{20}",
    )
    assert not [p for p in patterns if re.search(p, text)]
