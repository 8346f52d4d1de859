"""A place to work in: an S3 server of moto, and a played Code Ocean that holds the sample mouse.

`s3_server()` is one server for the whole test session. `code_ocean()` is a fresh fake over it.
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from core.sample import SampleSummary, Sizes, write_sample
from tests.fake_code_ocean import FakeCodeOcean
from tests.fake_code_ocean_storage import Put

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
SCRATCH_BUCKET, SCRATCH_PREFIX = "aind-scratch-data", "aind-session"
ASSET_BUCKET = "aind-open-data"
SMALL = Sizes(units_per_stream=4, image_levels=(5,))


@dataclass(frozen=True)
class S3Place:
    """An S3 server on loopback."""

    endpoint: str
    client: Any
    put: Put | None = None
    """Puts objects past the network, where the server runs in this process."""

    def environment(self) -> dict[str, str]:
        """What a process needs to reach it."""
        names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        return {**names, "AWS_ENDPOINT_URL": self.endpoint}


def s3_at(endpoint: str, put: Put | None = None) -> S3Place:
    """A server that runs somewhere else."""
    config = Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=30, max_pool_connections=32)
    return S3Place(endpoint, boto3.client("s3", endpoint_url=endpoint, config=config, **KEYS), put)


@contextmanager
def moto_server() -> Iterator[S3Place]:
    """An S3 server in a thread of this process."""
    # Imported here: it takes a second, and most tests need none of it.
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        # An object takes 8 ms over HTTP and 0.04 ms this way, and a mouse has hundreds.
        yield s3_at(f"http://{host}:{port}", s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object)
    finally:
        server.stop()


@functools.cache
def s3_server() -> S3Place:
    """The server of this test session; it ends with the process."""
    manager = moto_server()
    place = manager.__enter__()
    atexit.register(manager.__exit__, None, None, None)
    place.client.create_bucket(Bucket=SCRATCH_BUCKET)
    return place


@functools.cache
def sample_mouse() -> SampleSummary:
    """A small sample mouse, written once for the session. Read it only."""
    folder = tempfile.TemporaryDirectory(prefix="sample-mouse-")
    atexit.register(folder.cleanup)
    return write_sample(Path(folder.name) / "mouse", sizes=SMALL)


def load_sample(fake: FakeCodeOcean, place: S3Place | None, sample: SampleSummary | None = None) -> SampleSummary:
    """Give a fake the sample mouse: its assets as external ones, its states in the scratch bucket."""
    sample = sample or sample_mouse()
    for sidecar in sorted((sample.library / "assets").glob("*.json")):
        told = json.loads(sidecar.read_bytes())
        computed = told["provenance"]["computation"]
        fake.add_asset(
            told["name"],
            sidecar.with_suffix(""),
            bucket=ASSET_BUCKET,
            id=told["id"],
            type=told["type"],
            tags=tuple(told["tags"]),
            created=datetime.fromisoformat(told["created"]).timestamp(),
            description=told["description"],
            custom_metadata=told["custom_metadata"],
            provenance=told["provenance"] if computed else None,
            owned=False,
        )
    if place is not None:
        fake.storage.publish(sample.library / "states", SCRATCH_BUCKET, f"{SCRATCH_PREFIX}/neuroglancer_states")
    return sample


@contextmanager
def code_ocean(*, sample: bool = True, **options: Any) -> Iterator[FakeCodeOcean]:
    """A running fake over the session's S3 server; with the sample mouse, unless told otherwise.

    Args:
        sample: Load the sample mouse (`sample_mouse()`).
        options: Of FakeCodeOcean: timing, clock, version, scopes, seed ...
    """
    place = s3_server()
    with FakeCodeOcean(s3=place.client, put=place.put, **options) as fake:
        if sample:
            load_sample(fake, place)
        yield fake
