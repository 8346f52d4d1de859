"""Sidecars: both ways, in the forms a platform's API writes them, and broken ones."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import Asset
from core.platforms.sidecar import asset_without_sidecar, read_sidecar, write_sidecar

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = texts.filter(bool)
assets = st.builds(
    Asset,
    id=names,
    name=names,
    type=texts,
    state=texts,
    tags=st.lists(texts, max_size=4).map(tuple),
    created=st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    description=texts,
    custom_metadata=st.dictionaries(texts, texts | st.integers(-9, 9), max_size=3),
    provenance_data_assets=st.none() | st.lists(texts, max_size=3).map(tuple),
    provenance_computation=st.none() | texts,
    bucket=st.none() | texts,
    prefix=st.none() | texts,
    failure_reason=texts,
)


@settings(max_examples=100, deadline=None)
@given(asset=assets)
def test_what_is_written_is_read_back_the_same(asset):
    assert read_sidecar(write_sidecar(asset), asset.name) == asset


def test_the_forms_of_an_api_are_understood():
    told = {
        "id": "1", "name": "a", "created": 1700000000, "tags": None, "custom_metadata": None, "description": None,
        "type": "result", "state": "draft", "files": 3, "failure_reason": "no",
        "provenance": {"data_assets": None, "computation": "c", "commit": "x"},
        "source_bucket": {"bucket": "b", "prefix": "p", "external": True},
    }  # fmt: skip
    asset = read_sidecar(json.dumps(told).encode(), "a")
    assert asset.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (asset.tags, asset.custom_metadata, asset.description) == ((), {}, "")
    assert (asset.provenance_data_assets, asset.provenance_computation) == (None, "c")
    assert (asset.bucket, asset.prefix, asset.state, asset.failure_reason) == ("b", "p", "draft", "no")
    assert asset.problems == ()


@pytest.mark.parametrize("created", ["2024-05-06T07:08:09", "2024-05-06T07:08:09Z", "2024-05-06T09:08:09+02:00"])
def test_times_are_utc(created):
    asset = read_sidecar(json.dumps({"id": "1", "name": "a", "created": created}).encode(), "a")
    assert asset.created == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b'{"id": "", "name": "a"}', b'{"id": 3, "name": "a"}',
        b'{"id": "1", "name": "a", "tags": "x"}', b'{"id": "1", "name": "a", "created": 1e999}',
        b'{"id": "1", "name": "a", "created": 1e30}', b'{"id": "1", "name": "a", "provenance": 3}',
        b'{"id":' * 5000, b"[" * 200_000, b'{"id": "\\ud800", "name": "a"}',
    ],
)  # fmt: skip
def test_a_broken_sidecar_is_an_asset_with_a_problem(data):
    asset = read_sidecar(data, "folder")
    assert (asset.id, asset.name) == ("folder", "folder")
    assert [p.rule for p in asset.problems] == ["A14"]
    assert asset.provenance_data_assets is None


def test_another_name_in_the_sidecar_is_told_and_the_folder_counts():
    asset = read_sidecar(b'{"id": "1", "name": "other"}', "folder")
    assert (asset.id, asset.name, [p.rule for p in asset.problems]) == ("1", "folder", ["A14"])


def test_without_a_sidecar_provenance_is_a_listed_gap():
    asset = asset_without_sidecar("folder")
    assert (asset.id, asset.provenance_data_assets, [p.rule for p in asset.problems]) == ("folder", None, ["A6"])
