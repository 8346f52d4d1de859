"""Looks at the buckets of a Code Ocean: which can be listed, and whether launches can write their inputs.

One tiny object is written to the scratch bucket and deleted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from core.loose_json import object_of, text_of
from core.platforms.code_ocean.files import Clients
from core.platforms.findings import Finding, failed, ok, warning
from core.settings import Settings

TINY = b"A probe; it may be deleted.\n"


def probe_storage(clients: Clients, settings: Settings, *, credentials: str, token: str) -> Iterator[Finding]:
    """Look at the buckets.

    Args:
        clients: Of S3.
        settings: Names the buckets.
        credentials: How credentials were found, e.g. "env"; "" when none were.
        token: Makes the key of the tiny object unique.
    """
    if clients.signed is None:
        yield failed(
            "S3 credentials",
            "none: only public buckets are read, and no inputs can be written",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a machine with a role.",
        )
    else:
        yield ok("S3 credentials", f"found ({credentials})")
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield from pool.map(lambda bucket: _asset_bucket(clients, bucket), settings.asset_bucket_names)
    yield from _scratch(clients, settings, token)


def _asset_bucket(clients: Clients, bucket: str) -> Finding:
    what = f"bucket {bucket}"
    refused = [
        _trouble(partial(client.list_objects_v2, Bucket=bucket, MaxKeys=1))
        for client in (clients.signed, clients.unsigned)
        if client is not None
    ]
    if not refused[0]:
        return ok(what, "can be listed" + ("" if clients.signed is not None else "; it is public"))
    if not refused[-1]:
        return ok(what, "can be listed without credentials; ours are refused")
    return warning(
        what,
        f"cannot be listed: {refused[0]}",
        "Have s3:ListBucket and s3:GetObject allowed, or take it out of TRACKMAPPER_ASSET_BUCKETS; assets that only it "
        "holds are shown without their files.",
    )


def _scratch(clients: Clients, settings: Settings, token: str) -> Iterator[Finding]:
    what, bucket, folder = "scratch bucket", settings.scratch_bucket, settings.scratch_prefix.strip("/")
    key, place = f"{probe_prefix(settings, token)}/probe.txt", f"s3://{bucket}/{folder}"
    client = clients.signed or clients.unsigned
    if why := _trouble(partial(client.list_objects_v2, Bucket=bucket, Prefix=f"{folder}/", MaxKeys=1)):
        yield failed(
            what, f"{place} cannot be listed: {why}", "Have s3:ListBucket allowed, or set TRACKMAPPER_SCRATCH_BUCKET."
        )
    else:
        yield ok(what, f"{place} can be listed")
    if clients.signed is None:
        yield failed(what, "nothing can be written without credentials", "See the line about S3 credentials.")
    elif why := _trouble(partial(client.put_object, Bucket=bucket, Key=key, Body=TINY)):
        yield failed(
            what,
            f"a tiny object could not be written ({key}): {why}",
            "Have s3:PutObject allowed there: the inputs of every launch are written to it.",
        )
    elif why := _trouble(partial(client.delete_object, Bucket=bucket, Key=key)):
        yield warning(
            what,
            f"a tiny object was written and could not be deleted: {why}",
            f"Delete s3://{bucket}/{key}; launches delete nothing there.",
        )
    else:
        yield ok(
            what,
            f"s3://{bucket}/{key} was written and deleted again; not to be told: whether Code Ocean may read it",
        )


def probe_prefix(settings: Settings, token: str) -> str:
    """The folder of the scratch bucket for what a probe writes."""
    return "/".join(filter(None, (settings.scratch_prefix.strip("/"), "trackmapper", "probe", token)))


def _trouble(call: Callable[[], object]) -> str:
    """Why a call to S3 does not work; "" when it does."""
    try:
        call()
    except ClientError as error:
        told = object_of(error.response.get("Error"))
        return f"{text_of(told.get('Code'))} {text_of(told.get('Message'))}".strip()
    except BotoCoreError as error:
        return str(error)
    return ""
