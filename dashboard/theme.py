"""Colours and styles. Colour is never the only sign, so every colour here goes with a word or an icon."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.models import Severity, State

PRIMARY = {"light": "#0b5d7a", "dark": "#6cc3e0"}
ERROR = {"light": "#b3261e", "dark": "#ff8a80"}
GREY = "#7d8a94"
"""Axes, frames and captions of plots: readable on the dark and on the light page alike."""

PLANNED = "#d64550"
"""What was planned: readable on the dark and on the light page alike."""

HEADER_SX = {"& .MuiAppBar-root": {"backgroundColor": "#0b4a61", "color": "#ffffff", "backgroundImage": "none"}}
"""The header looks the same on the light and on the dark page."""

STEPS = {"& button": {"color": "inherit"}}
"""The steps of a number field, which the component draws too dark for the dark page."""

THEME_CONFIG = {
    mode: {
        "palette": {"primary": {"main": PRIMARY[mode]}, "error": {"main": ERROR[mode]}},
        "typography": {"fontSize": 13, "button": {"textTransform": "none"}},
        "shape": {"borderRadius": 6},
    }
    for mode in ("light", "dark")
}

# fmt: off
_PALETTE = (
    "#1f83d1", "#e8710a", "#2a9d4a", "#d64550", "#9a6bd0", "#a8742f", "#dd5fae",
    "#8a9a1c", "#12a0ad", "#c9a000", "#5d6fe0", "#f0674c", "#49a678", "#b34a86",
    "#7f8894", "#c77f4f", "#4aa3df", "#a5527a", "#6f9a3f", "#ad63c9",
)
# fmt: on
_HEX = re.compile(r"#[0-9a-fA-F]{6}")

SEVERITY_WORDS = {
    Severity.ERROR: ("✕", "error"),
    Severity.CONFIRM: ("?", "to confirm"),
    Severity.WARNING: ("▲", "warning"),
    Severity.INFO: ("i", "note"),
}


def track_colors(state: State) -> dict[str, str]:
    """One colour per track, the same wherever the track is shown.

    A layer keeps its own colour when it can be read on light and dark pages and is not like that of another track.
    """
    chosen: dict[str, str] = {}
    for layer in state.tracks:
        if layer.color and _is_readable(layer.color) and _far_from(layer.color, chosen.values()):
            chosen[layer.name] = layer.color.lower()
    spare = [color for color in _PALETTE if _far_from(color, chosen.values())] or _PALETTE
    unset = [layer.name for layer in state.tracks if layer.name not in chosen]
    for i, name in enumerate(unset):
        chosen[name] = spare[i % len(spare)]
    return chosen


def _is_readable(color: str) -> bool:
    return bool(_HEX.fullmatch(color)) and 0.12 < _luminance(color) < 0.62


def _channels(color: str) -> tuple[float, float, float]:
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]


def _luminance(color: str) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _far_from(color: str, others: Iterable[str]) -> bool:
    # weighted RGB distance, near enough to perception for telling twenty lines apart
    red, green, blue = _channels(color)
    for other in others:
        r, g, b = _channels(other)
        if (2 * (red - r) ** 2 + 4 * (green - g) ** 2 + 3 * (blue - b) ** 2) ** 0.5 < 0.5:
            return False
    return True


CSS = """
:host {
  color: inherit; font-family: inherit; font-size: 13px; line-height: 1.45;
  --line: color-mix(in srgb, currentColor 16%, transparent);
  --soft: color-mix(in srgb, currentColor 5%, transparent);
  --dim: color-mix(in srgb, currentColor 66%, transparent);
  --bad: light-dark(#b3261e, #ff8a80); --warn: light-dark(#8a5300, #ffc46b);
  --good: light-dark(#1b6e3c, #7ddc9c); --info: light-dark(#0b5d7a, #6cc3e0);
}
* { box-sizing: border-box; }
h2 { font-size: 15px; font-weight: 600; margin: 0; } h3 { font-size: 13px; font-weight: 600; margin: 0; }
p { margin: 2px 0; } a { color: var(--info); } ul { margin: 4px 0; padding-left: 22px; }
.dim { color: var(--dim); } .num { font-variant-numeric: tabular-nums; }
.bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); } .info { color: var(--info); }
.mono { font-family: ui-monospace, SFMono-Regular, Menlo, monospace; font-size: 12px; overflow-wrap: anywhere; }
.row { display: flex; gap: 6px 12px; flex-wrap: wrap; align-items: baseline; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 50%; background: var(--c); flex: none;
  align-self: center; }
.pill { border: 1px solid var(--line); border-radius: 10px; padding: 0 8px; white-space: nowrap; font-size: 12px; }
.pill.bad, .pill.warn, .pill.good, .pill.info { border-color: currentColor; }
.empty { padding: 28px 16px; text-align: center; color: var(--dim); }
.empty h2 { margin-bottom: 6px; color: inherit; }
.copyable { display: inline-flex; align-items: baseline; gap: 4px; max-width: 100%; }
.copy { all: unset; cursor: pointer; flex: none; padding: 0 5px; border-radius: 4px; color: var(--dim);
  font-size: 11px; }
.copy:hover, .copy:focus-visible { color: var(--info); background: var(--soft); outline: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; color: var(--dim); }
td, th { padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
pre { margin: 0; padding: 8px; background: var(--soft); border-radius: 6px; overflow: auto; max-height: 320px;
  font-size: 12px; white-space: pre-wrap; }
"""
"""Shared by every HTML pane. `light-dark()` follows the page's own colour scheme."""
