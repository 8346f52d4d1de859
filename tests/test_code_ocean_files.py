"""Files of S3, and of assets wherever they lie: read without much ado, refused clearly, never another asset's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from core.errors import (
    AccessError,
    NotFoundError,
    PlatformError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from core.models import Asset
from core.platforms.base import Entry
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.s3_clients import CONNECTIONS, Clients
from core.settings import Settings
from tests.fake_code_ocean import FakeCodeOcean
from tests.light_s3 import SECRET, Answer, LightS3, Request, error, served_with_clients

ODD = "a b+c#d%é&'?.txt"
SESSION_TOKEN = "a session token that nobody may see"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[LightS3, Clients]]:
    with served_with_clients() as served:
        yield served


@pytest.fixture
def server(served: tuple[LightS3, Clients], monkeypatch: pytest.MonkeyPatch) -> LightS3:
    objects = {
        "public": {"asset/output": b"said", "asset/empty": b"", f"asset/{ODD}": b"odd", "asset/sub/deep/file": b"x"},
        "scratch": {},
        "west": {"asset/output": b"far"},
    }
    server = served[0]
    server.reset(objects)
    server.regions["west"] = "us-west-2"
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def s3(server: LightS3, served: tuple[LightS3, Clients]) -> S3Files:
    return S3Files(lambda: served[1])


# --- reading --------------------------------------------------------------------------------------


def test_a_folder_is_listed_with_its_files_and_folders(s3: S3Files):
    expected = (Entry(ODD, False, 3), Entry("empty", False, 0), Entry("output", False, 4), Entry("sub", True))
    assert s3.list_folder("public", "asset") == s3.list_folder("public", "asset/") == expected
    assert s3.list_folder("public", "") == (Entry("asset", True),)


def test_files_are_read_whatever_their_names(s3: S3Files):
    assert s3.read("public", f"asset/{ODD}", 3) == b"odd"
    assert s3.read("public", "asset/empty", 0) == b""


def test_every_page_of_a_listing_is_read(s3: S3Files, server: LightS3):
    server.page = 7
    server.objects["public"] |= {f"many/{number:03}/file": b"" for number in range(50)}
    assert [entry.name for entry in s3.list_folder("public", "many")] == [f"{number:03}" for number in range(50)]
    assert len(s3.list_tree("public", "many")) == 50
    assert s3.list_names("public", "many/01") == tuple(f"{number:03}" for number in range(10, 20))
    assert s3.list_names("public", "many/x") == ()


@pytest.mark.parametrize(("bucket", "key"), [("public", "asset/none"), ("nobody", "asset/output"), ("Not a name", "x")])
def test_what_is_not_there_is_not_found(s3: S3Files, bucket: str, key: str):
    with pytest.raises(NotFoundError):
        s3.read(bucket, key, 10)
    with pytest.raises(NotFoundError):
        s3.list_folder(bucket, key)


def test_a_file_that_is_too_large_is_not_read(s3: S3Files, server: LightS3):
    server.objects["public"]["large"] = bytes(50_000_000)
    with pytest.raises(PlatformError, match="50000000 bytes, more than 1000"):
        s3.read("public", "large", 1000)
    assert s3.read("public", "asset/output", 1000) == b"said"


def test_a_bucket_elsewhere_is_found_and_remembered(server: LightS3):
    s3 = S3Files()
    assert s3.read("west", "asset/output", 10) == b"far"
    assert len(server.log) == 2
    assert s3.list_folder("west", "asset") == (Entry("output", False, 3),)
    assert len(server.log) == 3


def test_without_credentials_public_buckets_are_read_unsigned(server: LightS3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3 = S3Files()
    assert s3.read("public", "asset/output", 10) == b"said"
    assert [request.signed for request in server.log] == [False]
    with pytest.raises(AccessError, match="AWS_ACCESS_KEY_ID"):
        s3.put("scratch", "key", b"")


def test_a_public_bucket_that_refuses_our_signature_is_read_without_it(s3: S3Files, server: LightS3):
    server.unsigned_only.add("public")
    assert s3.read("public", "asset/output", 10) == b"said"
    assert s3.read("public", "asset/empty", 10) == b""
    assert [request.signed for request in server.log] == [True, False, False]


def test_a_private_bucket_is_refused_with_a_cure(s3: S3Files, server: LightS3):
    server.private.add("public")
    with pytest.raises(AccessError, match="AWS role"):
        s3.list_folder("public", "asset")


def test_credentials_that_are_not_accepted_are_told(server: LightS3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    server.private.add("public")
    with pytest.raises(AccessError, match="SignatureDoesNotMatch"):
        S3Files().read("public", "asset/output", 10)


@pytest.mark.parametrize("spoiled", [Answer(500, b"broken"), error(503, "SlowDown"), Answer(200, b"<html>no listing")])
def test_a_listing_survives_a_bad_answer(s3: S3Files, server: LightS3, spoiled: Answer):
    server.fault = lambda _: spoiled if len(server.log) == 1 else None
    assert len(s3.list_folder("public", "asset")) == 4


def test_a_server_that_stays_busy_is_told(s3: S3Files, server: LightS3):
    server.fault = lambda _: error(503, "SlowDown")
    with pytest.raises(ThrottledError):
        s3.read("public", "asset/output", 10)
    assert len(server.log) == 1 + 3


def test_a_body_torn_in_the_middle_is_read_again(s3: S3Files, server: LightS3):
    server.fault = lambda _: Answer(200, b"said", torn=True) if len(server.log) < 3 else None
    assert s3.read("public", "asset/output", 10) == b"said"


def test_a_body_that_is_always_torn_is_never_taken_for_whole(s3: S3Files, server: LightS3):
    server.fault = lambda _: Answer(200, b"said", torn=True)
    with pytest.raises(UnavailableError):
        s3.read("public", "asset/output", 10)


def test_a_server_that_is_away_is_unavailable(server: LightS3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        S3Files().read("public", "asset/output", 10)


def test_settings_of_boto3_that_are_wrong_are_told(server: LightS3, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(AccessError, match="AWS_"):
        S3Files().read("public", "asset/output", 10)


def test_side_by_side_requests_are_bounded(s3: S3Files, server: LightS3):
    server.delay_s = 0.01
    with ThreadPoolExecutor(2 * CONNECTIONS) as pool:
        read = [pool.submit(s3.read, "public", "asset/output", 10) for _ in range(4 * CONNECTIONS)]
    assert {one.result() for one in read} == {b"said"}
    assert CONNECTIONS // 4 < server.most_at_once <= CONNECTIONS
    assert s3.requests == len(server.log) == 4 * CONNECTIONS


# --- writing --------------------------------------------------------------------------------------


def test_a_file_is_written_and_written_again(s3: S3Files, server: LightS3):
    for data in (b"first", b"second"):
        s3.put("scratch", "folder/file.json", data)
        assert s3.read("scratch", "folder/file.json", 100) == data


def test_a_refused_write_made_nothing(s3: S3Files, server: LightS3):
    server.private.add("public")
    for bucket in ("public", "nobody"):
        with pytest.raises(RefusedError):
            s3.put(bucket, "key", b"data")


def test_a_write_that_was_not_answered_may_be_repeated(s3: S3Files, server: LightS3):
    server.fault = lambda request: Answer(500) if request.method == "PUT" else None
    with pytest.raises(UnavailableError):
        s3.put("scratch", "key", b"data")


def test_credentials_are_never_shown(
    server: LightS3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    caplog.set_level(logging.DEBUG)
    s3, told = S3Files(), []
    s3.put("scratch", "key", b"data")
    server.private |= {"scratch", "public"}
    for call in (lambda: s3.put("scratch", "key", b""), lambda: s3.read("public", "key", 1)):
        with pytest.raises(PlatformError) as caught:
            call()
        told.append(repr(caught.value) + str(caught.value))
    text = "\n".join([*told, caplog.text, repr(s3)])
    assert "127.0.0.1" in text, "nothing was logged, so nothing was tried"
    assert SECRET not in text
    assert SESSION_TOKEN not in text
    assert "Signature=" not in text


# --- the files of an asset ------------------------------------------------------------------------

FILES = {"output": b"hello", "folder/inner.json": b"{}"}


@dataclass
class Assets:
    """A Code Ocean and an S3, with one bucket that is private and two that are searched."""

    fake: FakeCodeOcean
    server: LightS3
    s3: S3Files

    def files(self, *, token: bool = True, by_name: bool = True) -> AssetFiles:
        settings = Settings(asset_buckets="ours,theirs,public")
        api = CodeOceanApi(self.fake.url, SecretStr(self.fake.token), min_version="4.0.0", sleep=lambda _: None)
        return AssetFiles(api if token else None, self.s3, settings, by_name=by_name)

    def internal(self, name: str = "an asset", files: dict[str, bytes] | None = None) -> Asset:
        """Kept by Code Ocean; in no bucket that we see."""
        return Asset(self.fake.add_asset(name, files=FILES if files is None else files, publish=False), name)

    def put(self, bucket: str, prefix: str) -> None:
        self.server.objects.setdefault(bucket, {}).update({f"{prefix}/{path}": data for path, data in FILES.items()})


@pytest.fixture
def assets(server: LightS3, s3: S3Files) -> Iterator[Assets]:
    server.objects |= {"ours": {}, "theirs": {}}
    with FakeCodeOcean() as fake:
        yield Assets(fake, server, s3)


def check(files: AssetFiles, asset: Asset) -> None:
    assert [entry.name for entry in files.list_folder(asset)] == ["folder", "output"]
    assert files.list_folder(asset, "folder") == files.list_folder(asset, "folder/") == (Entry("inner.json", False, 2),)
    assert files.read_file(asset, "output", 5) == b"hello"
    for call in (lambda: files.read_file(asset, "none", 5), lambda: files.list_folder(asset, "none")):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(PlatformError, match="more than 4"):
        files.read_file(asset, "output", 4)


def test_an_external_asset_is_read_where_its_record_says(assets: Assets):
    assets.put("elsewhere", "a/long/prefix")
    check(assets.files(), Asset("i", "n", bucket="elsewhere", prefix="a/long/prefix"))
    assert assets.fake.count() == 0


@pytest.mark.parametrize("place", [("ours", "id"), ("theirs", "id"), ("public", "name")])
def test_an_internal_asset_is_looked_for_once_by_id_then_by_name(assets: Assets, place: tuple[str, str]):
    asset, files = assets.internal(), assets.files()
    assets.put(place[0], asset.id if place[1] == "id" else asset.name)
    check(files, asset)
    assert assets.fake.count() == 0
    asked = len(assets.server.log)
    files.read_file(asset, "output", 5)
    assert len(assets.server.log) == asked + 1


def test_what_was_learnt_of_one_asset_serves_the_next(assets: Assets):
    files, many = assets.files(), [assets.internal(f"asset {number}") for number in range(20)]
    for asset in many:
        assets.put("theirs", asset.id)
    with ThreadPoolExecutor(20) as pool:
        assert {len(found) for found in pool.map(files.list_folder, many)} == {2}
    # Each looks once into the first bucket; the first of them looks everywhere; the others know then.
    assert len(assets.server.log) <= 20 + 5 + 19


def test_the_folder_of_another_asset_is_never_taken_for_ones_own(assets: Assets):
    """Two assets may have one name: only one of them is what lies under it."""
    asset, files = assets.internal("raw", {"other": b"mine"}), assets.files()
    assets.put("public", "raw")
    files.note([Asset("another", "raw", bucket="public", prefix="raw")])
    assert [entry.name for entry in files.list_folder(asset)] == ["other"]
    assert files.read_file(asset, "other", 10) == b"mine"


def test_code_ocean_itself_lists_and_reads_what_no_bucket_shows(assets: Assets):
    assets.server.private |= {"ours", "theirs", "public"}
    asset, files = assets.internal(), assets.files()
    check(files, asset)
    assert assets.fake.counts() == {
        "POST data_assets/{id}/files": 4,
        "GET data_assets/{id}/files/urls": 3,
        "GET _download": 2,
    }
    asked = len(assets.server.log)
    check(files, assets.internal("a second one"))
    assert len(assets.server.log) == asked, "buckets that refused us are asked again and again"


def test_a_record_whose_bucket_is_gone_is_read_from_code_ocean(assets: Assets):
    told = assets.internal()
    check(assets.files(), Asset(told.id, told.name, bucket="moved-away", prefix="x"))


def test_an_external_asset_that_nobody_shows_keeps_s3s_reason(assets: Assets):
    ident = assets.fake.add_asset("n", files=FILES, bucket="theirs", publish=False)
    assets.server.private.add("theirs")
    for call in (assets.files().list_folder, lambda asset: assets.files().read_file(asset, "output", 5)):
        with pytest.raises(AccessError, match="S3 does not let us"):
            call(Asset(ident, "n", bucket="theirs", prefix="n"))


def test_s3_that_does_not_answer_is_not_remembered(assets: Assets):
    asset, files = assets.internal(), assets.files()
    assets.put("ours", asset.id)
    assets.server.fault = lambda _: Answer(400, b"")
    with pytest.raises(PlatformError):
        assets.files(token=False).list_folder(asset)
    assert len(files.list_folder(asset)) == 2
    asked = assets.fake.count()
    assert asked > 0
    assets.server.fault = lambda _: None
    assert len(files.list_folder(asset)) == 2
    assert assets.fake.count() == asked


def test_without_a_token_only_buckets_are_read(assets: Assets):
    public, hidden, files = assets.internal("public one"), assets.internal("hidden"), assets.files(token=False)
    assets.put("public", public.name)
    check(files, public)
    with pytest.raises(NotFoundError, match="TRACKMAPPER_ASSET_BUCKETS"):
        files.list_folder(hidden)


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", "folder/../../x", "a\0b", "a\nb", "\ud800"])
def test_paths_that_lead_out_are_refused(assets: Assets, path: str):
    files, asset = assets.files(), assets.internal()
    with pytest.raises(RefusedError):
        files.read_file(asset, path, 10)
    with pytest.raises(RefusedError):
        files.list_folder(asset, path)
    assert assets.server.log == []


@pytest.mark.parametrize("fault", ["500", "cut", "reset_before", "403", "404"])
def test_a_download_that_fails_is_told_without_its_address(
    assets: Assets, fault: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    asset = assets.internal()
    assets.fake.faults.add(fault, endpoint="_download", times=None)
    with pytest.raises(PlatformError) as caught:
        assets.files().read_file(asset, "output", 10)
    text = repr(caught.value) + str(caught.value) + caplog.text
    assert "_download" in caplog.text or fault == "reset_before"
    assert not any(signature in text for signature in assets.fake.api.downloads)
    assert assets.fake.token not in text


@pytest.mark.parametrize("way", ["round in circles", "https"])
def test_a_redirect_is_followed_only_so_far(assets: Assets, way: str):
    """An address may be any: a redirect to a file of this machine, or around, ends."""
    asset = assets.internal()
    target = "file:///etc/passwd" if way == "https" else f"{assets.server.url}/again"
    assets.server.fault = lambda _: Answer(301, headers={"Location": target})
    api = CodeOceanApi(assets.fake.url, SecretStr(assets.fake.token), min_version="4.0.0")

    class Led(CodeOceanApi):
        def read(self, method: str, path: str, **more: object) -> object:
            return {"download_url": f"{assets.server.url}/first"} if "urls" in path else api.read(method, path, **more)

    led = Led(assets.fake.url, SecretStr(assets.fake.token), min_version="4.0.0")
    with pytest.raises(PlatformError, match=way):
        AssetFiles(led, assets.s3, Settings(asset_buckets="")).read_file(asset, "output", 10)


def test_no_bucket_is_asked_with_our_token(assets: Assets):
    asset = assets.internal()
    assets.files().read_file(asset, "output", 5)
    sent: list[Request] = assets.server.log
    assert sent
    assert not any("Basic" in request.headers.get("authorization", "") for request in sent)


def test_a_folder_that_is_only_called_like_a_result_is_not_counted(assets: Assets):
    asset, files = assets.internal("result", {"other": b"mine"}), assets.files(by_name=False)
    for bucket in ("ours", "theirs", "public"):
        assets.put(bucket, "result")
    assert [entry.name for entry in files.list_folder(asset)] == ["other"]
    assert files.read_file(asset, "other", 10) == b"mine"
    assert [entry.name for entry in assets.files().list_folder(asset)] == ["folder", "output"], "the readers' way"
