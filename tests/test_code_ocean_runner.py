"""Conversions on a played Code Ocean: the contract of every platform, both routes to a counted result, no twin missed."""

from __future__ import annotations

import pytest
from platform_contract import Place, PlatformContract

from core import manifest
from core.platforms.base import Mount
from core.platforms.code_ocean.reader import CodeOceanReader
from core.platforms.code_ocean.runner import CodeOceanRunner
from jobs.records import JobState
from tests.code_ocean_jobs import ROWS, STATE, STITCHED, VERSION, add_mouse, bench, settings_of
from tests.code_ocean_place import code_ocean, s3_server
from tests.local_fixtures import STEM


@pytest.fixture(autouse=True)
def _storage(monkeypatch):
    for name, value in s3_server().environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place():
    with code_ocean(sample=False) as fake:
        settings = settings_of(fake)
        yield Place(
            CodeOceanReader.of(settings),
            CodeOceanRunner.of(settings),
            Mount(add_mouse(fake)[STITCHED], STITCHED),
            ROWS,
            manifest.write_csv(ROWS),
            STATE,
            STEM,
            {"slow": "600"},
            version=VERSION,
            token_form="tokenofjob{}",
        )


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data") as made:
        yield made


class TestContract(PlatformContract):
    """Code Ocean keeps the contract of all platforms."""


def test_the_direct_route_ends_in_a_counted_result(jobs):
    record = jobs.until(jobs.launch(), JobState.SUCCEEDED)
    assert (record.coverage.asked, record.coverage.delivered) == (2, 2)
    assert jobs.made("run") == [record.ids.run]
    assert jobs.made("capture") == [record.ids.result]
    assert jobs.made("asset") == [record.ids.manifest_asset, record.ids.state_asset]
