"""The query language of the asset search, as strict as the real one is known to be."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tests.fake_code_ocean_state import FakeAsset, Record, Refusal

FIELDS = ("name", "tag", "run_script", "commit_id", "contained_data_id")
LONGEST_NAME = 20
"""Queries for longer names find nothing."""
_TERM = re.compile(r'(?:(?P<field>[a-z_]+):)?(?:"(?P<quoted>[^"]*)"|(?P<word>\S+))', re.IGNORECASE)
_SORTS = {
    "created": lambda asset: asset.created,
    "name": lambda asset: asset.name.lower(),
    "type": lambda asset: asset.type,
    "size": lambda asset: asset.size or 0,
}


def search(assets: Iterable[FakeAsset], told: Record) -> Record:
    """The answer to a search request; `assets` are those that search knows by now."""
    limit, offset = _number(told, "limit", 100), _number(told, "offset", 0)
    if not 1 <= limit <= 1000:
        raise Refusal(400, "limit must be between 1 and 1000")
    if told.get("next_token"):
        offset = _offset(told["next_token"])
    field, order = told.get("sort_field"), told.get("sort_order")
    if (field is None) != (order is None) or (field is not None and (field not in _SORTS or order not in _ORDERS)):
        raise Refusal(400, "invalid sort")
    found = [asset for asset in assets if _kept(asset, told) and _matches(asset, told.get("query") or "")]
    found.sort(key=_SORTS[field or "created"], reverse=(order or "desc") == "desc")
    end = offset + limit
    answer: Record = {"has_more": end < len(found), "results": [asset.record() for asset in found[offset:end]]}
    if answer["has_more"]:
        answer["next_token"] = base64.urlsafe_b64encode(f"after {end}".encode()).decode()
    return answer


_ORDERS = ("asc", "desc")


def _number(told: Record, key: str, default: int) -> int:
    value = told.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refusal(400, f"invalid {key}")
    return value


def _offset(token: object) -> int:
    try:
        word, number = base64.urlsafe_b64decode(str(token)).decode().split()
        if word == "after":
            return int(number)
    except ValueError:
        pass
    raise Refusal(400, "invalid next_token")


# --- filters ------------------------------------------------------------------------------------


def _kept(asset: FakeAsset, told: Record) -> bool:
    if asset.archived != bool(told.get("archived")) or told.get("favorite"):
        return False
    if told.get("type") not in (None, asset.type):
        return False
    if told.get("origin") not in (None, "external" if asset.is_external else "internal"):
        return False
    ownership = told.get("ownership")
    if ownership is not None and asset.owned != (ownership in ("created", "private")):
        return False
    return all(_passes(asset, condition) for condition in told.get("filters") or ())


def _passes(asset: FakeAsset, condition: Record) -> bool:
    key = condition.get("key")
    if not isinstance(key, str):
        raise Refusal(400, "invalid filter")
    known: dict[str, Any] = {"name": [asset.name], "description": [asset.description], "tags": list(asset.tags)}
    values = known.get(key, [asset.custom_metadata[key]] if key in asset.custom_metadata else [])
    if bounds := condition.get("range"):
        fits = any(isinstance(v, int | float) and bounds["min"] <= v <= bounds["max"] for v in values)
    else:
        wanted = condition.get("values") or [condition.get("value")]
        fits = bool({str(v).lower() for v in values} & {str(v).lower() for v in wanted})
    return fits != bool(condition.get("exclude"))


# --- the query ----------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def words_of(text: str) -> tuple[str, ...]:
    """Lower-case words, split at everything that is no letter or digit."""
    return tuple(word for word in re.split(r"[\W_]+", text.lower()) if word)


@lru_cache(maxsize=1024)
def _terms(query: str) -> tuple[tuple[str, str, bool], ...]:
    """(field or "", text, was quoted) of each term."""
    terms = []
    for match in _TERM.finditer(query):
        field, quoted = (match["field"] or "").lower(), match["quoted"] is not None
        text = match["quoted"] if quoted else match["word"]
        # A word with a colon that names no field is free text.
        terms.append((field, text, quoted) if field in FIELDS else ("", f"{field} {text}", quoted))
    return tuple(terms)


def _matches(asset: FakeAsset, query: str) -> bool:
    """The same field twice means or; different fields, and each free term, mean and."""
    by_field: dict[str, list[bool]] = {}
    for number, (field, text, quoted) in enumerate(_terms(query)):
        fits = _field_fits(asset, field, text, quoted) if field else _text_fits(asset, text, quoted)
        by_field.setdefault(field or f"free {number}", []).append(fits)
    return all(any(fits) for fits in by_field.values())


def _field_fits(asset: FakeAsset, field: str, text: str, quoted: bool) -> bool:
    provenance = asset.provenance or {}
    if field == "name":
        return len(text) <= LONGEST_NAME and _in_order(words_of(text), words_of(asset.name), quoted)
    if field == "tag":
        return any(_in_order(words_of(text), words_of(tag), quoted) for tag in asset.tags)
    return text == provenance.get({"run_script": "run_script", "commit_id": "commit"}.get(field, ""))


def _text_fits(asset: FakeAsset, text: str, quoted: bool) -> bool:
    told = [asset.name, *asset.tags, asset.description, *(f"{k} {v}" for k, v in asset.custom_metadata.items())]
    if quoted:
        return any(_in_order(words_of(text), words_of(part), quoted) for part in told)
    return all(any(word in words_of(part) for part in told) for word in words_of(text))


def _in_order(wanted: tuple[str, ...], words: tuple[str, ...], together: bool) -> bool:
    """Whether the wanted words stand in this order; `together`: with nothing between them."""
    if not wanted:
        return False
    if together:
        return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))
    rest = iter(words)
    return all(word in rest for word in wanted)
