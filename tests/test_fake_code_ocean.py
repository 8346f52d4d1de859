"""The played Code Ocean is as strict as the real one is known to be: shown with the real SDK over HTTP."""

from __future__ import annotations

import pytest
import requests
from codeocean.computation import DataAssetsRunParam, NamedRunParam, RunParams
from codeocean.data_asset import AWSS3Source, DataAssetParams, DataAssetUpdateParams, Source
from codeocean.error import Error
from codeocean.models.components import EveryoneRole, Permissions, SortOrder
from codeocean.models.data_asset import DataAssetSortBy

from tests.code_ocean_place import SCRATCH_BUCKET, code_ocean, s3_server
from tests.code_ocean_requests import (
    Clock,
    capture_params,
    ended,
    log,
    names,
    picks,
    result_files,
    run_params,
    s3_asset,
    sdk,
    search,
    status,
)
from tests.fake_code_ocean_state import Outcome, Timing


@pytest.fixture
def fake():
    with code_ocean() as made:
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slow(clock):
    """Without the sample; nothing happens until the clock moves."""
    timing = Timing(asset_s=10, init_s=5, run_s=60, finalize_s=5, listing_lag_s=30, search_lag_s=40, poll_s=10)
    with code_ocean(sample=False, clock=clock, timing=timing) as made:
        yield made


# --- the journey --------------------------------------------------------------------------------


def test_from_inputs_in_s3_to_a_captured_result(fake):
    client = sdk(fake)
    params = run_params(fake, client, version=2)
    started = client.computations.run_capsule(params)
    assert started.state == "initializing"
    [listed] = client.capsules.list_computations(fake.converter.id)
    assert params.data_assets[0].id in {asset.id for asset in listed.data_assets}
    run = ended(client, started.id)
    assert (run.state, run.end_status, run.exit_code, run.has_results) == ("completed", "succeeded", 0, True)
    assert {p.param_name: p.value for p in run.parameters}["skip-ephys"] == "0"
    assert {"output", "manifest.csv", "coverage.json", "attached_data.txt"} <= set(result_files(client, run.id))
    assert picks(client, run.id) == 12
    assert "12 of 12 rows done" in log(client, run.id)

    client.computations.rename_computation(run.id, "job 1 700001")
    assert client.computations.get_computation(run.id).name == "job 1 700001"
    metadata = {"subject id": "700001", "data level": "derived"}
    made = client.data_assets.create_data_asset(capture_params(run.id, custom_metadata=metadata))
    kept = client.data_assets.get_data_asset(made.id)
    assert (kept.state, kept.type, kept.source_bucket, kept.custom_metadata) == ("ready", "result", None, metadata)
    assert kept.provenance.computation == run.id
    assert set(kept.provenance.data_assets) == {mount.id for mount in params.data_assets}
    assert kept.files == len(result_files(client, run.id))
    found = s3_server().client.list_objects_v2(Bucket=fake.storage.bucket, Prefix=f"{made.id}/")
    # Other tests' worlds may have had an asset of this id in the same bucket: theirs may lie there, ours must.
    assert {f"{made.id}/{name}" for name in result_files(client, run.id)} <= {one["Key"] for one in found["Contents"]}
    root = {item.name: item.type for item in client.data_assets.list_data_asset_files(made.id).items}
    assert root["coverage.json"] == "file"
    assert root["700001"] == "folder"
    urls = client.data_assets.get_data_asset_file_urls(made.id, "output")
    assert requests.get(urls.view_url, headers={"Range": "bytes=-5"}, timeout=5).text == "done\n"

    client.data_assets.update_permissions(made.id, Permissions(everyone=EveryoneRole.Viewer))
    assert client.data_assets.get_permissions(made.id).everyone == "viewer"
    client.data_assets.update_metadata(made.id, DataAssetUpdateParams(name="better name"))
    assert client.data_assets.get_data_asset(made.id).name == "better name"
    client.data_assets.archive_data_asset(made.id, archive=True)
    assert names(client, "tag:tokenc") == set()
    assert names(client, "tag:tokenc", archived=True) == {"better name"}
    client.computations.delete_computation(run.id)
    assert status(client.computations.get_computation, run.id) == 404
    assert client.data_assets.get_data_asset_file_urls(made.id, "output")
    client.data_assets.delete_data_asset(made.id)
    assert status(client.data_assets.get_data_asset, made.id) == 404
    kinds = ["asset", "asset", "run", "rename", "capture", "share", "update", "archive", "delete_run", "delete_asset"]
    assert [effect.kind for effect in fake.ledger] == kinds
    assert all(effect.answered for effect in fake.ledger)
    assert fake.counts()["POST data_assets"] == 3
    assert sum(fake.per_second().values()) == fake.count() == len(fake.requests)


def test_what_a_capsule_says_of_itself(fake):
    client = sdk(fake)
    assert [v.major_version for v in client.capsules.get_capsule(fake.converter.id).versions] == [1, 2, 3]
    [stitched] = [a for a in search(client, "name:SmartSPIM_700001").results if "stitched" in a.name]
    fake.converter.baked_in = (stitched.id,)
    panel = client.capsules.get_capsule_app_panel(fake.converter.id, version=3)
    assert {p.param_name for p in panel.parameters if p.required} == {"manifest", "neuroglancer"}
    assert [(asset.id, asset.kind) for asset in panel.data_assets] == [(stitched.id, "external")]
    assert status(client.capsules.get_capsule_app_panel, fake.converter.id, version=9) == 404
    assert "subject id" in {field.name for field in client.custom_metadata.get_custom_metadata().fields}


# --- who is let in ------------------------------------------------------------------------------


def test_the_token_its_scopes_and_the_versions():
    with code_ocean(sample=False, version="4.8.0", scopes=("data_asset:read", "capsule:read")) as fake:
        client = sdk(fake)
        assert search(client).results == []
        assert status(client.computations.run_capsule, RunParams(capsule_id=fake.converter.id)) == 403
        assert status(sdk(fake, "cop_wrong").data_assets.get_data_asset, "x") == 401
        client.session.headers["Min-Server-Version"] = "4.8.1"
        with pytest.raises(Error, match=r"needs server version 4\.8\.1"):
            search(client)
        fake.converter.shared = False
        assert status(sdk(fake).capsules.get_capsule, fake.converter.id) == 403
        assert fake.ledger == []


# --- search -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a", "b", "c"}),
        ("name:ecephys_717381", {"a", "b"}),
        ("NAME:Ecephys_717381_2024", {"a", "b"}),
        ("name:ecephys_2024", {"a", "b"}),  # in order, with something between
        ('name:"ecephys 2024"', set()),
        ("name:717381_ecephys", set()),
        ("name:ecephys_717381_20", set()),  # no part of a word
        ("name:ecephys_717381_2024-0", set()),  # 22 characters
        ("name:ecephys_717381_2024-04-09_11-14-13", set()),
        ("tag:raw tag:sorted", {"a", "b"}),
        ("tag:raw name:ecephys_717381", {"a"}),
        ("tag:j0123456789abcde", {"b"}),
        ("717381", {"a", "b", "c"}),
        ("subject id:717381", {"a", "b"}),
        ('"subject id 717381"', {"a", "b"}),
        ("717382", set()),
        ("71738*", set()),
        ("needle", {"c"}),
    ],
)
def test_the_language_of_search(searched, query, found):
    short = {"ecephys_717381_2024-04-09_11-14-13": "a", "ecephys_717381_2024-04-09_11-14-13_sorted_x": "b"}
    assert {short.get(name, "c") for name in names(searched, query)} == found


@pytest.fixture(scope="module")
def searched():
    with code_ocean(sample=False) as fake:
        raw, subject = "ecephys_717381_2024-04-09_11-14-13", {"subject id": "717381"}
        fake.add_asset(raw, files={}, tags=("raw",), custom_metadata=subject)
        fake.add_asset(f"{raw}_sorted_x", files={}, tags=("sorted", "J0123456789ABCDE"), custom_metadata=subject)
        fake.add_asset("SmartSPIM_717381_2024", files={}, tags=("smartspim",), description="a needle")
        yield sdk(fake)


def test_pages_of_a_search(slow, clock):
    client = sdk(slow)
    for i in range(5):
        slow.add_asset(f"n{i}", created=float(i))
    first = search(client, limit=2)
    assert ([a.name for a in first.results], first.has_more) == (["n4", "n3"], True)
    rest = search(client, limit=3, next_token=first.next_token)
    assert ([a.name for a in rest.results], rest.has_more, rest.next_token) == (["n2", "n1", "n0"], False, None)
    assert [a.name for a in search(client, offset=4).results] == ["n0"]
    by_name = search(client, sort_field=DataAssetSortBy.Name, sort_order=SortOrder.Ascending, limit=1000)
    assert [a.name for a in by_name.results] == [f"n{i}" for i in range(5)]
    assert status(search, client, limit=1001) == 400
    assert status(search, client, sort_field=DataAssetSortBy.Name) == 400


# --- what is refused ----------------------------------------------------------------------------


def _refusals(fake, fine: RunParams) -> dict[str, tuple[int, str, dict]]:
    mounts, named = fine.data_assets, fine.named_parameters
    draft = fake.add_asset("draft", state="draft")
    failed = fake.add_asset("failed", state="failed")
    fake.converter.baked_in = (fake.add_asset("baked"),)

    def more(asset: str, mount: str | None) -> dict:
        return {"data_assets": [*mounts, DataAssetsRunParam(asset, mount)]}

    return {
        "no capsule": (404, "capsule", {"capsule_id": "unknown"}),
        "null mount": (400, "invalid request body", more(mounts[0].id, None)),
        "unknown asset": (400, "not found", more("unknown", "x")),
        "draft asset": (400, "draft", more(draft, "x")),
        "failed asset": (400, "failed", more(failed, "x")),
        "baked in": (400, "data asset already attached", more(fake.converter.baked_in[0], "x")),
        "same mount": (400, "twice", more(next(iter(fake.world.assets)), mounts[0].mount)),
        "mount outside": (400, "invalid mount", more(next(iter(fake.world.assets)), "../x")),
        "unknown version": (400, "version", {"version": 4}),
        "unknown parameter": (400, "unknown", {"named_parameters": [*named, NamedRunParam("validate-only", "1")]}),
        "missing parameter": (400, "required", {"named_parameters": named[:1]}),
        "long parameter": (400, "4096", {"named_parameters": [*named, NamedRunParam("slow", "0" * 4097)]}),
        "long listed parameter": (400, "4096", {"named_parameters": None, "parameters": ["m/m.csv", "x" * 4097]}),
    }


def test_what_a_run_may_not_be(fake):
    client = sdk(fake)
    fine = run_params(fake, client)
    cases = _refusals(fake, fine)
    for case, (code, words, changes) in cases.items():
        with pytest.raises(Error, match=words) as caught:
            client.computations.run_capsule(RunParams(**{**vars(fine), **changes}))
        assert caught.value.status_code == code, case
    assert fake.effects("run") == []
    nested = [*fine.data_assets[:-1], DataAssetsRunParam(fine.data_assets[-1].id, "test_data/SmartSPIM/brain")]
    client.computations.run_capsule(RunParams(**{**vars(fine), "data_assets": nested}))  # a mount in folders is fine


def test_an_asset_needs_a_name_tags_a_mount_and_one_source(fake):
    client, source = sdk(fake), Source(aws=AWSS3Source(bucket=SCRATCH_BUCKET, prefix="p"))
    fine = {"name": "n", "tags": ["t"], "mount": "m", "source": source}
    wrong = {"name": "", "tags": None, "mount": None, "source": None, "custom_metadata": {"unknown": "x"}}
    for key, value in wrong.items():
        assert status(client.data_assets.create_data_asset, DataAssetParams(**{**fine, key: value})) == 400
    assert fake.ledger == []


def test_assets_of_s3_prefixes(slow, clock):
    client, s3 = sdk(slow), s3_server().client
    made = s3_asset(client, "copied", {"a/b.csv": b"first"})
    kept = s3_asset(client, "external", {"c.json": b"{}"}, keep_on_external_storage=True)
    none = s3_asset(client, "nothing", {})
    elsewhere = Source(aws=AWSS3Source(bucket="no-such-bucket", prefix="p"))
    lost = client.data_assets.create_data_asset(DataAssetParams("lost", ["t"], "lost", source=elsewhere))
    assert client.data_assets.get_data_asset(made.id).state == "draft"
    assert status(client.data_assets.list_data_asset_files, made.id) == 400
    s3.put_object(Bucket=SCRATCH_BUCKET, Key="tests/copied/a/b.csv", Body=b"second")
    assert names(client, "tag:tokencopied") == set()
    clock.s += 40
    assert names(client, "tag:tokencopied") == {"copied"}
    states = {a.name: client.data_assets.get_data_asset(a.id) for a in (made, kept, none, lost)}
    assert {name: asset.state.value for name, asset in states.items()} == {
        "copied": "ready", "external": "ready", "nothing": "failed", "lost": "failed",
    }  # fmt: skip
    assert "no files found" in states["nothing"].failure_reason
    assert "no-such-bucket" in states["lost"].failure_reason
    assert s3.get_object(Bucket=slow.storage.bucket, Key=f"{made.id}/a/b.csv")["Body"].read() == b"second"
    assert states["external"].source_bucket.external
    assert status(client.data_assets.list_data_asset_files, kept.id) == 400
    assert status(client.data_assets.get_data_asset_file_urls, kept.id, "c.json") == 400


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_goes_its_way_by_the_clock(clock):
    with code_ocean(clock=clock, timing=Timing(init_s=5, run_s=60, finalize_s=5, listing_lag_s=30)) as fake:
        client = sdk(fake)
        fine = run_params(fake, client)
        named = [*fine.named_parameters, NamedRunParam("slow", "2")]
        run = client.computations.run_capsule(RunParams(**{**vars(fine), "named_parameters": named})).id
        assert client.capsules.list_computations(fake.converter.id) == []
        assert client.computations.get_computation(run).state == "initializing"
        assert status(client.data_assets.create_data_asset, capture_params(run)) == 400
        assert status(client.computations.list_computation_results, run) == 404
        clock.s += 64  # 12 rows of 2 s come on top
        assert client.computations.get_computation(run).state == "running"
        assert [c.id for c in client.capsules.list_computations(fake.converter.id)] == [run]
        clock.s += 25
        assert client.computations.get_computation(run).state == "finalizing"
        clock.s += 5
        assert client.computations.get_computation(run).state == "completed"
        assert client.computations.get_computation(run).run_time == 89
        assert status(client.data_assets.create_data_asset, capture_params("unknown")) == 404


def test_a_run_is_unknown_by_its_id_and_its_results_are_hidden_as_long_as_the_timing_says(clock):
    with code_ocean(clock=clock, timing=Timing(run_s=60, get_lag_s=20, results_lag_s=30)) as fake:
        client = sdk(fake)
        run = client.computations.run_capsule(run_params(fake, client)).id
        clock.s += 19
        assert [c.id for c in client.capsules.list_computations(fake.converter.id)] == [run]
        for call in (client.computations.get_computation, client.computations.delete_computation):
            assert status(call, run) == 404
        clock.s += 1
        assert client.computations.get_computation(run).state == "running"
        assert result_files(client, run) == ["output"]
        assert log(client, run) == "Data converter has started\n"
        clock.s += 40
        assert client.computations.get_computation(run).state == "completed"
        assert result_files(client, run) == ["output"]
        clock.s += 30
        assert picks(client, run) == 12


@pytest.mark.parametrize(
    ("outcome", "end", "files"),
    [
        (Outcome("crash"), ("completed", "failed", 1), 12),
        (Outcome("failed"), ("failed", "failed", None), 0),
        (Outcome("stopped"), ("failed", "stopped", None), 0),
        (Outcome("empty"), ("completed", "succeeded", 0), 0),
        (Outcome("partial", rows=2), ("completed", "succeeded", 0), 10),
        (Outcome("partial", rows=3, told=False), ("completed", "succeeded", 0), 9),
    ],
)
def test_ends_of_runs(fake, outcome, end, files):
    client = sdk(fake)
    fake.set_outcome(outcome)
    run = ended(client, client.computations.run_capsule(run_params(fake, client)).id)
    assert (run.state, run.end_status, run.exit_code) == end
    assert picks(client, run.id) == files
    assert ("Traceback" in log(client, run.id)) == (outcome.kind == "crash")
    if outcome.kind == "partial":
        assert ("coverage.json" in result_files(client, run.id)) == outcome.told
    if outcome.kind == "partial" and outcome.told:
        urls = client.computations.get_result_file_urls(run.id, "coverage.json")
        rows = requests.get(urls.download_url, timeout=5).json()["rows"]
        assert [row["done"] for row in rows] == [True] * 10 + [False] * 2
