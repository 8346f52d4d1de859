"""What a count costs: how many requests Code Ocean gets for each row of a captured result."""

from __future__ import annotations

import numpy as np
import pytest

from core.coverage import Launched, count_coverage
from core.platforms.code_ocean.runner import CodeOceanRunner
from tests.code_ocean_jobs import settings_of
from tests.code_ocean_place import code_ocean, s3_server
from tests.full_results import FRAME, TRACKS, full_result
from tests.local_fixtures import row, track_points

SEVERAL = 24
LISTS, LINKS, FILES = "POST data_assets/{id}/files", "GET data_assets/{id}/files/urls", "GET _download"


@pytest.fixture
def fake(monkeypatch):
    for name, value in s3_server().environment().items():
        monkeypatch.setenv(name, value)
    with code_ocean(sample=False) as running:
        yield running


@pytest.mark.parametrize(("wants_channels", "files_a_row"), [(True, 3), (False, 1)])
def test_a_row_costs_one_listing_and_two_requests_for_each_of_its_files(
    fake, tell, monkeypatch, wants_channels, files_a_row
):
    """The dearest case: the result lies in no bucket that can be read, so that Code Ocean hands out every file."""
    rows = tuple(row(f"track {number}", f"Probe{number}") for number in range(SEVERAL))
    for number, one in enumerate(rows):
        monkeypatch.setitem(TRACKS, one.histology_track_id, track_points(1000.0 + 50 * number, 4))
    points = {name: np.array(track)[:, :3] for name, track in TRACKS.items()}
    runner = CodeOceanRunner.of(settings_of(fake, asset_buckets="", code_ocean_requests_per_second=1000.0))
    asset = runner.get_asset(fake.add_asset("result", files=full_result(rows), publish=False))
    before = fake.counts()
    coverage = count_coverage(rows, runner, asset, Launched(points, FRAME, wants_channels=wants_channels))
    made = {what: number - before.get(what, 0) for what, number in fake.counts().items()}
    assert (coverage.asked, coverage.delivered) == (SEVERAL, SEVERAL)
    listed, links = made.pop(LISTS), made.pop(LINKS)
    told = f"{listed} listings, {links} files, {(listed + links) / SEVERAL:.1f} requests a row"
    tell(f"a count of {SEVERAL} rows {'with' if wants_channels else 'without'} channel files: {told}")
    # The folders above the rows', the manifest, and reports where there are any.
    assert listed <= SEVERAL + 4
    assert links <= files_a_row * SEVERAL + 4
    assert {what for what, number in made.items() if number} <= {FILES, "GET data_assets/{id}"}
