"""Two hundred kills, each with a job in flight: nothing is lost, nothing is made twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard import servers

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_kills_lose_and_double_nothing(tmp_path, tell):
    seed = int(os.environ.get("TRACKMAPPER_TEST_SEED", random.SystemRandom().randrange(10**6)))
    command = [sys.executable, "-m", "tests.kill_campaign", str(tmp_path), "--kills", "190"]
    command += ["--served", "10", "--runs", "4"]
    done = subprocess.run([*command, "--seed", str(seed)], cwd=ROOT, capture_output=True, text=True)
    tell(f"kill campaign: {done.stdout.strip()}")
    assert done.returncode == 0, f"seed {seed}: {done.stdout} {done.stderr[-2000:]}"
    ledger = json.loads(done.stdout)
    kills = ledger["kills"]
    assert kills.pop("launching", 0) > 0
    assert kills == {
        "loop": 190,
        f"panel serve {servers.WORKER}": 8,
        f"panel serve {servers.DASHBOARD}": 2,
        "converter": 2,
        "supervisor and converter": 2,
    }
    assert sum(ledger["broken"].values()) == 4
    assert ledger["made"]["runs"] == ledger["jobs"]
    assert ledger["jobs"] - 4 <= ledger["made"]["results"] <= ledger["jobs"]
    # A campaign that only ever hits idle moments proves nothing.
    assert ledger["in doubt"] > 0
