"""Bytes as a JSON value: text as it is, so that any SQLite tool can read it; anything else in base64."""

from __future__ import annotations

import base64


def blob_value(data: bytes) -> dict[str, str]:
    """The form in which bytes are kept."""
    try:
        return {"utf8": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def blob_bytes(value: object) -> bytes | None:
    """The bytes of a kept value; None when it is not one."""
    if not isinstance(value, dict):
        return None
    try:
        if isinstance(value.get("utf8"), str):
            return str(value["utf8"]).encode("utf-8")
        if isinstance(value.get("base64"), str):
            return base64.b64decode(value["base64"], validate=True)
    except ValueError:
        return None
    return None
