"""What a client asks of the played Code Ocean, in few words, through the real SDK."""

from __future__ import annotations

import pytest
import requests
from codeocean import CodeOcean
from codeocean.computation import Computation, DataAssetsRunParam, NamedRunParam, RunParams
from codeocean.data_asset import (
    AWSS3Source,
    ComputationSource,
    DataAsset,
    DataAssetParams,
    DataAssetSearchParams,
    DataAssetSearchResults,
    Source,
)
from codeocean.error import Error

from tests.code_ocean_place import SCRATCH_BUCKET, s3_server, sample_mouse
from tests.fake_code_ocean import FakeCodeOcean
from tests.fake_code_ocean_storage import wait_for


class Clock:
    """Moved by the test."""

    def __init__(self) -> None:
        self.s = 1_750_000_000.0

    def __call__(self) -> float:
        return self.s


def sdk(fake: FakeCodeOcean, token: str | None = None) -> CodeOcean:
    return CodeOcean(fake.url, token or fake.token)


def status(call, *args, **more) -> int:
    """The status of a refusal."""
    with pytest.raises(Error) as caught:
        call(*args, **more)
    return caught.value.status_code


def s3_asset(client: CodeOcean, name: str, files: dict[str, bytes], **source) -> DataAsset:
    """An asset of these files, put into the scratch bucket; tagged with its name."""
    for path, data in files.items():
        s3_server().client.put_object(Bucket=SCRATCH_BUCKET, Key=f"tests/{name}/{path}", Body=data)
    source = AWSS3Source(bucket=SCRATCH_BUCKET, prefix=f"tests/{name}", **source)
    return client.data_assets.create_data_asset(
        DataAssetParams(name=name, tags=["700001", f"token{name}"], mount=name, source=Source(aws=source))
    )


def search(client: CodeOcean, query: str = "", **more) -> DataAssetSearchResults:
    return client.data_assets.search_data_assets(DataAssetSearchParams(query=query, **more))


def names(client: CodeOcean, query: str, **more) -> set[str]:
    return {asset.name for asset in search(client, query, **more).results}


def run_params(fake: FakeCodeOcean, client: CodeOcean, *, job: str = "j1", **changes) -> RunParams:
    """A conversion of the sample mouse's first state."""
    state = next(s for s in sample_mouse().states if s.manifest)
    manifest = s3_asset(client, f"m-{job}", {"m.csv": state.manifest.read_bytes()})
    drawn = s3_asset(client, f"s-{job}", {state.path.name: state.path.read_bytes()})
    [stitched] = [a for a in search(client, "name:SmartSPIM_700001").results if "stitched" in a.name]
    mounts = [(manifest.id, manifest.name), (drawn.id, drawn.name), (stitched.id, stitched.name)]
    named = {"manifest": f"m-{job}/m.csv", "neuroglancer": f"s-{job}/{state.path.name}"}
    given = {
        "capsule_id": fake.converter.id,
        "data_assets": [DataAssetsRunParam(*mount) for mount in mounts],
        "named_parameters": [NamedRunParam(*item) for item in named.items()],
    }
    return RunParams(**{**given, **changes})


def ended(client: CodeOcean, run: str) -> Computation:
    wait_for(lambda: client.computations.get_computation(run).end_status is not None)
    return client.computations.get_computation(run)


def result_files(client: CodeOcean, run: str, path: str = "") -> list[str]:
    found = []
    for item in client.computations.list_computation_results(run, path).items:
        found += result_files(client, run, item.path) if item.type == "folder" else [item.path]
    return found


def picks(client: CodeOcean, run: str) -> int:
    """How many pick files a run delivered."""
    return sum("xyz_picks" in path for path in result_files(client, run))


def log(client: CodeOcean, run: str) -> str:
    return requests.get(client.computations.get_result_file_urls(run, "output").download_url, timeout=5).text


def capture_params(run: str, name: str = "result", **more) -> DataAssetParams:
    source = Source(computation=ComputationSource(id=run))
    return DataAssetParams(name=name, tags=["700001", "tokenc"], mount=name, source=source, **more)
