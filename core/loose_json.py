"""Values of JSON from outside, looked up with care: what is of another kind than expected counts as not there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def objects(value: object) -> Sequence[dict[str, Any]]:
    """The JSON objects of a list; a lone object counts as a list of one; anything else as none."""
    if isinstance(value, dict):
        return (value,)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def object_of(value: object) -> dict[str, Any]:
    """The value when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str:
    """The value when it is text, else ""."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float | None:
    """A finite number, also when it is written as text (schemas write decimals so); else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def count_of(value: object) -> int | None:
    """A whole number that is not negative, else None."""
    number = number_of(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None
