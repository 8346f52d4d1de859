"""What the address of the page says: which page, which state, which job, which filters. Everything in it is text."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import panel as pn

WITHIN = ("show", "subject", "who", "job")
"""Keys that only narrow what a page shows: no step that Back goes through."""
KEYS = ("theme", "page", "state", "draft", *WITHIN)
LIMIT = 300


def read() -> dict[str, str]:
    """The known keys of the address, cut to a length that a filter can have."""
    # Panel's own parsing makes numbers of ids and drops all keys for one wrong value
    location = pn.state.location
    pairs = parse_qsl((location.search or "").lstrip("?"), max_num_fields=50) if location else []
    return {key: value[:LIMIT] for key, value in pairs if key in KEYS}


def write(**values: str) -> None:
    """Change keys of the address; "" removes one. Foreign keys are dropped."""
    location = pn.state.location
    if location is None:
        return
    kept = {key: value for key, value in (read() | values).items() if value and key in KEYS}
    search = f"?{urlencode(kept)}" if kept else ""
    if search != (location.search or ""):
        location.search = search
