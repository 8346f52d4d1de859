"""Finding a mouse's assets: a fixed number of Code Ocean's searches side by side, or the names in public buckets.

No single search finds all: processed brains are tagged without the mouse, re-uploads have any name, long names are not
found as a whole. What several find counts once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

from core.errors import AccessError, NotFoundError, PlatformError, UnclearError
from core.loose_json import object_of, text_of
from core.models import Asset
from core.platforms.base import PartlyFoundError
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.records import asset_of

_LIMIT = 1000
"""Results of one answer; the most that Code Ocean gives."""
_PAGES = 10
_SUBJECT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_KINDS = ("ecephys", "behavior", "SmartSPIM")
_SIDE_BY_SIDE = 16
_S3 = "s3://"


def find_assets(api: CodeOceanApi, subject: str) -> tuple[Asset, ...]:
    """Every asset that may be of a mouse, by name; four searches, and one more for each further 1,000 results of one.

    Raises:
        PartlyFoundError: a search failed, or gave records that cannot be read; it holds what was found.
        PlatformError: all searches failed.
    """
    if not _SUBJECT.fullmatch(subject):
        return ()
    names = " ".join(f"name:{kind}_{subject}" for kind in _KINDS)
    queries = (names, f"tag:{subject}", f"subject id:{subject}", subject)
    found, errors = _side_by_side(lambda query: _searched(api, query), queries)
    records = [record for each, _ in found for record in each]
    errors += [error for _, more in found for error in more]
    # One search's poor record must not stand for the whole one that another search gave of the same asset.
    assets = [asset for asset in map(asset_of, records) if asset is not None and asset.name]
    if len(assets) < len(records):
        told = f"{len(records) - len(assets)} of the records found have no id or no name"
        errors.append(UnclearError(told, where="search", cure="Tell who runs Code Ocean."))
    return _all_found(assets, errors, failed=len(found) == 0)


def find_public_assets(s3: S3Files, buckets: Sequence[str], subject: str) -> tuple[Asset, ...]:
    """Every asset in the buckets whose name is one of the mouse, as far as anybody, or our AWS role, may list them.

    Their ids are their addresses, and what they were made from is not known. Raises as `find_assets`.
    """
    if not _SUBJECT.fullmatch(subject):
        return ()
    places = [(bucket, f"{kind}{subject}_") for bucket in buckets for kind in (*(f"{k}_" for k in _KINDS), "")]
    found, errors = _side_by_side(lambda place: [(place[0], n) for n in s3.list_names(*place)], places)
    # Most of the buckets are private, and that is no failure of a search in the public ones.
    errors = [error for error in errors if not isinstance(error, AccessError | NotFoundError)]
    assets = [public_asset(f"{_S3}{bucket}/{name}") for each in found for bucket, name in each]
    return _all_found(assets, errors, failed=len(found) == 0)


def is_public_id(asset_id: str) -> bool:
    """Whether an id is an asset's address in a bucket, as `find_public_assets` gives it."""
    return asset_id.startswith(_S3)


def public_asset(asset_id: str) -> Asset:
    """The asset at an address `s3://bucket/prefix`; whether anything is there is not looked at."""
    bucket, _, prefix = asset_id.removeprefix(_S3).partition("/")
    return Asset(id=asset_id, name=prefix.rpartition("/")[2], bucket=bucket, prefix=prefix)


def _searched(api: CodeOceanApi, query: str) -> tuple[list[object], list[PlatformError]]:
    """The records of one search, all pages of it, and why there may be more. Raises when there is not one page."""
    body: dict[str, object] = {"query": query, "limit": _LIMIT, "archived": False}
    records: list[object] = []
    for page in range(_PAGES):
        try:
            told = object_of(api.read("POST", "data_assets/search", body=body))
        except PlatformError as error:
            if page == 0:
                raise
            return records, [error]
        results = told.get("results")
        if not isinstance(results, list):
            raise UnclearError("the answer holds no list of assets", where="search", cure="Search again.")
        records += results
        token = text_of(told.get("next_token"))
        if told.get("has_more") is False:
            return records, []
        if not token:
            break
        body["next_token"] = token
    return records, [UnclearError(f"a search shows only the first {len(records)} assets", where="search")]


def _side_by_side[Q, R](call: Callable[[Q], R], questions: Sequence[Q]) -> tuple[list[R], list[PlatformError]]:
    """The answers that came, in the order of the questions, and the errors of the others."""
    answers: list[R] = []
    errors: list[PlatformError] = []
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="search") as pool:
        asked = [pool.submit(call, question) for question in questions]
    for one in asked:
        try:
            answers.append(one.result())
        except PlatformError as error:
            errors.append(error)
    return answers, errors


def _said(asset: Asset) -> int:
    """How many of an asset's fields say something."""
    values = (getattr(asset, field.name) for field in fields(asset))
    return sum(value not in (None, "", (), {}, "unknown") for value in values)


def _all_found(assets: Iterable[Asset], errors: Sequence[PlatformError], *, failed: bool) -> tuple[Asset, ...]:
    # What several searches found counts once, by the record that says most: one may lack what another has.
    by_id = {asset.id: asset for asset in sorted(assets, key=_said)}
    found = tuple(sorted(by_id.values(), key=lambda asset: (asset.name, asset.id)))
    if errors and failed:
        raise errors[0]
    if errors:
        reasons = "; ".join(dict.fromkeys(error.message for error in errors))
        raise PartlyFoundError(f"assets may be missing: {reasons}", found, where="search", cure="Refresh the mouse.")
    return found
