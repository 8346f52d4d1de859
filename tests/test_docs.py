"""Tests that keep the documents true."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import panel
import pytest
import yaml

from core.settings import Settings
from dashboard import servers
from dashboard.cli import build_parser

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").iterdir())
UNITS = [path for path in EXAMPLES if path.suffix in (".service", ".timer")]

_spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)


@pytest.mark.parametrize("name", tables.OWNED)
def test_tables_are_what_the_code_says(name):
    """When this fails, run `make docs`."""
    assert (ROOT / name).read_text() == tables.rewritten(name)


def test_every_setting_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    names = [name for setting in Settings.model_fields for name in tables.environment_names(setting)]
    assert {"TRACKMAPPER_DATA", "CODE_OCEAN_DOMAIN", "CODEOCEAN_TOKEN"} <= set(names)
    assert not [name for name in names if f"`{name}`" not in text]


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_variable_of_the_readme_is_read(setting, monkeypatch):
    value = {"bool": "true", "float": "7", "int": "7"}.get(str(Settings.model_fields[setting].annotation.__name__), "")
    words = {"platform": "local", "route": "monitor", "share_results": "none", "thresholds": "{}", "lab_zone": "UTC"}
    given = value or words.get(setting, "given")
    for name in tables.environment_names(setting):
        with monkeypatch.context() as patch:
            patch.setenv(name, given)
            assert setting in Settings().model_fields_set, name


def test_documents_name_only_variables_that_are_read():
    known = {name for setting in Settings.model_fields for name in tables.environment_names(setting)}
    for path in (*DOCS, *EXAMPLES):
        named = set(re.findall(r"\b(?:TRACKMAPPER|CODE_?OCEAN)_[A-Z_]+[A-Z]", path.read_text()))
        assert named <= known, path.name


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


# --- examples for a lab -------------------------------------------------------------------------


def parses(command: list[str]) -> object:
    """What our own command line makes of a command; fails when it takes no such one."""
    assert Path(command[0]).name == "trackmapper"
    return build_parser().parse_args(command[1:])


def unit(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=True)
    parsed.optionxform = str
    parsed.read_string(path.read_text())
    return parsed


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_units_are_units(path, tmp_path):
    parsed = unit(path)
    assert parsed["Unit"]["Description"]
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # systemd's own opinion, where it can be asked, on top of ours in the other tests
    for each in UNITS:  # a timer names its service
        text = each.read_text().replace("/opt/trackmapper/.venv/bin/trackmapper", sys.executable)
        (tmp_path / each.name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / path.name)], capture_output=True, text=True, timeout=60
    )
    told = [line for line in done.stderr.splitlines() if "trackmapper" in line]
    assert not told, done.stderr


def test_the_services_run_our_commands_and_hold_no_secret():
    commands = {}
    for path in UNITS:
        if path.suffix == ".service":
            service = unit(path)["Service"]
            commands[path.stem] = parses(shlex.split(service["ExecStart"])).run
            assert service["EnvironmentFile"]
            assert "Environment" not in service
            assert service["User"] == "trackmapper"
            assert (service["StateDirectoryMode"], service["UMask"]) == ("0700", "0077")
    assert commands == {
        "trackmapper-dashboard": "serve",
        "trackmapper-worker": "worker",
        "trackmapper-backup": "backup",
    }
    worker = unit(ROOT / "docs" / "examples" / "trackmapper-worker.service")["Service"]
    assert worker["KillMode"] == "process"


def test_secrets_of_the_example_environment_are_left_empty():
    text = (ROOT / "docs" / "examples" / "trackmapper.env").read_text()
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    secrets = [name for name in values if re.search("TOKEN|SECRET|KEY|ENCRYPTION", name)]
    assert len(secrets) >= 7
    assert not [name for name in secrets if values[name]]


def test_the_compose_file_runs_our_commands_on_one_volume():
    composed = yaml.safe_load((ROOT / "docs" / "examples" / "compose.yaml").read_text())
    services = composed["services"]
    options = {name: parses(service["command"]) for name, service in services.items()}
    assert {name: each.run for name, each in options.items()} == {"dashboard": "serve", "worker": "worker"}
    assert options["worker"].address == "127.0.0.1"
    (volume,) = composed["volumes"]
    for service in services.values():
        (mounted,) = service["volumes"]
        assert mounted == f"{volume}:{service['environment']['TRACKMAPPER_DATA']}"
        assert set(service["environment"]) == {"TRACKMAPPER_DATA"}
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert (ROOT / "docs" / "examples" / service["env_file"]).is_file()
    build = services["dashboard"]["build"]
    root = (ROOT / "docs" / "examples" / build["context"]).resolve()
    assert root == ROOT
    dockerfile = (root / build["dockerfile"]).read_text()
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for name in line.split()]
    assert {"core", "jobs", "dashboard", "requirements.lock", "pyproject.toml"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_commands_in_documents_are_ours(path):
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("trackmapper ")]
    for line in lines:
        parses(shlex.split(line.removesuffix("&"), comments=True))
    assert lines or path.name in {"architecture.md", "command-line.md", "mapping.md", "rules.md", "truth.md"}


def test_panels_variables_and_options_are_panels():
    text = (ROOT / "docs" / "lab.md").read_text()
    source = (Path(panel.__file__).parent / "config.py").read_text()
    told = subprocess.run(
        [sys.executable, "-m", "panel", "serve", "--help"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    variables = {*re.findall(r"`(PANEL_[A-Z_]+)`", text), *servers.LOG_INS}
    options = set(re.findall(r"`(--[a-z-]+)`", text)) - {"--follow", "--origin", "--replace"}
    assert len(variables) >= 7
    assert not [name for name in variables if f"'{name}'" not in source]
    assert len(options) >= 7
    assert not [name for name in options if name not in told]
