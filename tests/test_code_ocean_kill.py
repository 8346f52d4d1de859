"""Two hundred kills on a Code Ocean that loses answers: nothing is lost, nothing is made twice; and two controls."""

from __future__ import annotations

import json
import os
import random

import pytest

from tests.code_ocean_campaign import CONTROLS
from tests.kills import ledger_of

SEED = int(os.environ.get("TRACKMAPPER_TEST_SEED", random.SystemRandom().randrange(10**6)))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def campaign(tmp_path, tell):
    """Runs a campaign and tells its line; gives its exit code and its ledger."""

    def run(**options):
        code, ledger = ledger_of("tests.code_ocean_campaign", tmp_path, SEED, **options)
        control = f", control, {options['control']}" if "control" in options else ""
        tell(f"Code Ocean campaign{control}: {json.dumps(ledger)}")
        return code, ledger

    return run


def test_a_hundred_jobs_and_two_hundred_kills_lose_and_double_nothing(campaign):
    code, ledger = campaign(jobs=100, kills=200, stops=10)
    assert code == 0, ledger
    assert (ledger["jobs"], ledger["succeeded"]) == (100, 100)
    assert (ledger["doubled"], ledger["lost"], ledger["doubled inputs"]) == (0, 0, 0)
    assert sum(ledger["kills"].values()) >= 200
    assert ledger["kills"]["launching"] > 0
    # A campaign that only ever meets idle moments and clear answers proves nothing.
    assert ledger["SIGSTOPs"] >= 10
    assert ledger["settled"] >= 30
    assert 0.15 < ledger["fault share"] < 0.3


@pytest.mark.parametrize("control", CONTROLS)
def test_without_the_protocol_the_same_campaign_makes_things_twice(campaign, control):
    code, ledger = campaign(jobs=30, kills=10, stops=0, control=control)
    assert code == 1, ledger
    assert ledger["doubled"] + ledger["doubled inputs"] > 0
    assert ledger["lost"] == 0
