"""Assets by one of their tags, all of them or an error: that there is none may be the reason to make one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.errors import UnavailableError
from core.loose_json import object_of, text_of
from core.models import Asset
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.records import asset_of

_PAGE = 1000


def tagged_assets(api: CodeOceanApi, tag: str) -> tuple[Asset, ...]:
    """Every asset that has exactly this tag, archived ones too.

    Args:
        api: Sends the requests.
        tag: Small letters and digits, at most 20: the search is not known to find others.

    Raises:
        PlatformError: not all that was found can be read.
    """
    found = [asset for archived in (False, True) for asset in _search(api, tag, archived)]
    return tuple(asset for asset in found if tag in asset.tags)


def _search(api: CodeOceanApi, tag: str, archived: bool) -> Iterator[Asset]:
    asked: dict[str, Any] = {"query": f'tag:"{tag}"', "archived": archived, "limit": _PAGE}
    while True:
        told = object_of(api.read("POST", "data_assets/search", body=asked))
        results, next_token = told.get("results"), text_of(told.get("next_token"))
        if not isinstance(results, list) or (told.get("has_more") is True and not next_token):
            raise _unreadable(tag)
        for one in results:
            asset = asset_of(one)
            # For what is missing here the asset could be overlooked, and be made again.
            if asset is None or not asset.name or not isinstance(one.get("tags"), list):
                raise _unreadable(tag)
            yield asset
        if told.get("has_more") is not True:
            return
        asked = {**asked, "next_token": next_token}


def _unreadable(tag: str) -> UnavailableError:
    return UnavailableError("Code Ocean's list of assets cannot be read", where=f"tag {tag}", cure="It is asked again.")
