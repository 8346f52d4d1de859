"""The settings with which the pipeline monitor capsule runs the converter and keeps its result."""

from __future__ import annotations

import json
from typing import Any

from core.errors import RefusedError
from core.platforms.base import CaptureRequest
from core.platforms.code_ocean.launch_checks import LONGEST_VALUE

POLL_S = 60
"""Between two looks of the monitor at the conversion."""
_MONITORS_OWN_SHARE = "viewer"


def monitor_settings(run_params: dict[str, Any], capture: CaptureRequest, share: str) -> str:
    """The settings as one line of JSON, the monitor's only parameter.

    No time-out is set: the monitor would delete a run that passes it.

    Args:
        run_params: What starts the converter.
        capture: How the result is kept; its token is among the tags, by which the result is found.
        share: What everybody may do with the result: "viewer", "discoverable" or "none".

    Raises:
        RefusedError: they are longer than a parameter can be.
    """
    kept: dict[str, Any] = {
        "name": capture.name,
        "tags": tags_with_token(capture.tags, capture.token),
        "description": capture.description,
        "custom_metadata": dict(capture.custom_metadata),
        # Left out when it is what the monitor does by itself: every character counts.
        "permissions": None if share == _MONITORS_OWN_SHARE else {"everyone": share},
    }
    settings = {
        "computation_polling_interval": POLL_S,
        "run_params": run_params,
        "capture_settings": {name: value for name, value in kept.items() if value},
    }
    text = json.dumps(settings, separators=(",", ":"))
    if len(text) > LONGEST_VALUE:
        raise RefusedError(
            f"the monitor's settings have {len(text)} characters, Code Ocean takes {LONGEST_VALUE}; "
            f"the run needs {len(run_params['data_assets'])} assets",
            where="the route through the monitor",
            cure="Launch it on the direct route, which has no such limit, or launch fewer recordings at once.",
        )
    return text


def tags_with_token(tags: tuple[str, ...], token: str) -> list[str]:
    """Tags by which an asset is found again, each once."""
    return list(dict.fromkeys((*tags, token)))
