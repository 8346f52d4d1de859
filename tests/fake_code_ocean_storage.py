"""Where the files of the played Code Ocean lie: folders of this machine, and an S3 server as the client sees it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.fake_code_ocean_state import FakeAsset, Record, Refusal

INTERNAL_BUCKET = "codeocean-s3datasetsbucket-1u41qdg42ur9"
Put = Callable[[str, str, bytes], object]
"""Puts (bucket, key, bytes)."""


class Storage:
    """Files of assets and results.

    Args:
        folder: Scratch folder of the fake.
        s3: A boto3 client; None when there is no S3: then only assets with a folder have files.
        bucket: The internal bucket, made when it is not there.
        put: A faster way to put objects than the client's, where there is one.
    """

    def __init__(self, folder: Path, s3: Any = None, bucket: str = INTERNAL_BUCKET, put: Put | None = None) -> None:
        self.folder = folder
        self.bucket = bucket
        self._s3 = s3
        self._put = put or (lambda bucket, key, data: self._s3.put_object(Bucket=bucket, Key=key, Body=data))
        self._buckets: set[str] = set()

    def publish(self, folder: Path, bucket: str, prefix: str) -> None:
        """Put a folder's files under a prefix."""
        if self._s3 is None:
            return
        if bucket not in self._buckets:
            self._s3.create_bucket(Bucket=bucket)
            self._buckets.add(bucket)
        for path in files_of(folder):
            self._put(bucket, f"{prefix.strip('/')}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def fetch(self, bucket: str, prefix: str, folder: Path) -> str:
        """Copy everything under a prefix into a folder. Returns why it could not be, or ""."""
        if self._s3 is None:
            return "no object storage"
        start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
            keys = [item["Key"] for page in pages for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
            for key in keys:
                path = folder / key[len(start) :]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, BotoCoreError) as error:
            return f"failed to access bucket {bucket}: {error}"
        return "" if keys else f"no files found in s3://{bucket}/{start}"

    def is_there(self, bucket: str, prefix: str) -> str:
        """Why there is nothing under a prefix; "" when there is."""
        if self._s3 is None:
            return "no object storage"
        try:
            found = self._s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix.strip('/')}/", MaxKeys=1)
        except (ClientError, BotoCoreError) as error:
            return f"failed to access bucket {bucket}: {error}"
        return "" if found.get("KeyCount") else f"no files found in s3://{bucket}/{prefix}"

    def asset_folder(self, ident: str) -> Path:
        """Where the files of an internal asset are kept here."""
        return self.folder / "assets" / ident

    def keep(self, asset: FakeAsset, folder: Path) -> None:
        """Take a folder as the files of an internal asset, and show them in the internal bucket."""
        asset.folder = folder
        count(asset)
        self.publish(folder, self.bucket, asset.id)

    def files(self, asset: FakeAsset) -> Path:
        """A folder with the asset's files, fetched from S3 when it is external and not here."""
        if asset.folder is None:
            source = asset.source_bucket or {}
            target = self.folder / "fetched" / asset.id
            if not target.exists() and (why := self.fetch(source.get("bucket", ""), source.get("prefix", ""), target)):
                raise Refusal(400, why)
            asset.folder = target
        return asset.folder

    def mount(self, computation: str, mounts: list[tuple[FakeAsset, str]]) -> Path:
        """A data folder with every asset under its mount."""
        data = self.folder / "data" / computation
        data.mkdir(parents=True)
        for asset, mount in mounts:
            place = data / mount
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self.files(asset), target_is_directory=True)
        return data

    def results_folder(self, computation: str) -> Path:
        return self.folder / "results" / computation

    def drop(self, computation: str) -> None:
        """Forget a computation's files."""
        shutil.rmtree(self.folder / "data" / computation, ignore_errors=True)
        shutil.rmtree(self.results_folder(computation), ignore_errors=True)


def copy_files(source: Path, target: Path) -> None:
    """Copy by hard links: results are never changed in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, copy_function=os.link)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def count(asset: FakeAsset) -> None:
    """Tell in an asset's record how many files and bytes it has."""
    if asset.folder is not None:
        sizes = [path.stat().st_size for path in files_of(asset.folder)]
        asset.files, asset.size = len(sizes), sum(sizes)


def list_folder(root: Path, path: object) -> Record:
    """The answer to a listing request."""
    folder = inside(root, path)
    if not folder.is_dir():
        raise Refusal(404, "path not found")
    items = []
    for entry in sorted(folder.iterdir()):
        item: Record = {"name": entry.name, "path": entry.relative_to(root).as_posix()}
        item |= {"type": "folder"} if entry.is_dir() else {"type": "file", "size": entry.stat().st_size}
        items.append(item)
    return {"items": items}


def inside(root: Path, path: object) -> Path:
    """A path below a root, never outside."""
    if not isinstance(path, str) or path.startswith("/") or ".." in path.split("/"):
        raise Refusal(400, "invalid path")
    return root / path if path else root


def wait_for(happens: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so, for tests; fails when it never is."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.005)
