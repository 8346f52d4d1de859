"""What the tables of the pages share: formatters that only ever set text, and bringing a table up to date in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import panel as pn
from panel.io import JSCode

BUILT_AFTER_S = 30.0
"""By then a table stands in every browser."""

SWATCH = JSCode(
    "(cell) => { const dot = document.createElement('span'); dot.style.cssText = "
    "'display:inline-block;width:11px;height:11px;border-radius:50%'; "
    "dot.style.background = cell.getValue(); return dot }"
)
"""A dot in the colour that the cell holds."""

TITLED = JSCode(
    "(cell) => { const words = document.createElement('span'); const value = String(cell.getValue() ?? ''); "
    "words.textContent = value; words.title = value; return words }"
)
"""Text that is shown whole when the pointer rests on it."""

SIGNED = JSCode(
    "(cell) => { const words = document.createElement('span'); const value = String(cell.getValue() ?? ''); "
    "words.textContent = value; words.title = value; "
    "const bad = 'light-dark(#b3261e, #ff8a80)', warn = 'light-dark(#8a5300, #ffc46b)', "
    "good = 'light-dark(#1b6e3c, #7ddc9c)', info = 'light-dark(#0b5d7a, #6cc3e0)'; "
    "const colors = {'✕': bad, '▲': warn, '?': warn, '✓': good, '○': info, '◔': info, '◑': info, '◕': info, "
    "'◌': warn}; "
    "words.style.color = colors[value[0]] || 'inherit'; return words }"
)
"""Text that begins with a sign, in the sign's colour."""

ROW_PX = 31
"""Height of a row with its line, as `COMPACT` draws it."""

_CLASHING_KEYS = (
    "navUp", "navDown", "navLeft", "navRight", "scrollPageUp", "scrollPageDown", "scrollToStart", "scrollToEnd",
)  # fmt: skip
"""Tabulator takes `'`, and where they are typed without Shift `( & " ! # $ %`, for the keys that move about: they would
leave the cell that is being written in. Tab goes on from cell to cell."""

DENSE: dict[str, Any] = {
    "rowHeight": ROW_PX - 1,
    "columnDefaults": {"headerSort": False, "resizable": "header"},  # a handle in every cell doubles what is drawn
    "keybindings": dict.fromkeys(_CLASHING_KEYS, False),
}
"""The configuration that goes with `COMPACT`."""

COMPACT = """
.tabulator .tabulator-row .tabulator-cell {
  padding: 4px 8px !important; height: 30px !important; min-height: 0 !important; font-size: 13px; }
.tabulator .tabulator-row .tabulator-cell:not([tabulator-field]) { padding: 0 !important; }
.tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 6px 8px !important; }
.tabulator .tabulator-header .tabulator-col .tabulator-col-title {
  text-transform: none !important; letter-spacing: 0 !important; font-size: 12px !important; font-weight: 600; }
.tabulator .tabulator-row { min-height: 30px !important; cursor: pointer; }
.tabulator .tabulator-row.tabulator-selected { outline: 2px solid light-dark(#0b5d7a, #6cc3e0); outline-offset: -2px; }
.tabulator .tabulator-header, .tabulator .tabulator-row { --tint: transparent; }
.tabulator .tabulator-header, .tabulator .tabulator-row.tabulator-selectable:hover {
  --tint: var(--mui-palette-action-hover); }
.tabulator .tabulator-row.tabulator-row.tabulator-selected {
  --tint: rgba(var(--mui-palette-primary-mainChannel) / var(--mui-palette-action-selectedOpacity)); }
.tabulator .tabulator-header .tabulator-col.tabulator-frozen,
.tabulator .tabulator-row .tabulator-cell.tabulator-frozen {
  background: linear-gradient(var(--tint), var(--tint)), var(--mui-palette-background-default, Canvas) !important; }
.tabulator .tabulator-row.tabulator-selected .tabulator-cell.tabulator-frozen {
  box-shadow: inset 0 2px light-dark(#0b5d7a, #6cc3e0), inset 0 -1px light-dark(#0b5d7a, #6cc3e0); }
"""
"""Dense rows; a selection that is not told by its colour alone; frozen columns that nothing shines through: the theme
makes them see-through like all others, and what is scrolled passes under them; and Panel's own last column, which holds
nothing, no wider than its head, which else scrolls less far than the rows."""


class LiveTable:
    """Keeps a table on a page up to date, touching only the cells that differ: selection and scroll stay.

    While a table is being built in the browser it loses such changes, without a word, and shows for ever what was. So
    until it surely stands there, which a press in it or half a minute tells, it is always given the whole of its data.

    Args:
        table: The table.
        clock: Seconds, from any start.
    """

    def __init__(self, table: pn.widgets.Tabulator, clock: Callable[[], float] = time.monotonic) -> None:
        self._table, self._clock, self._began = table, clock, clock()
        self._stands = False
        table.on_click(lambda _: self.seen())

    def seen(self) -> None:
        """A person did something in it, so it stands."""
        self._stands = True

    def show(self, wanted: pd.DataFrame) -> bool:
        """Bring the table to `wanted`.

        Returns:
            True when the whole value was replaced.
        """
        current = self._table.value
        if list(wanted.index) != list(current.index) or list(wanted.columns) != list(current.columns):
            self._table.value = wanted
            return True
        patch: dict[str, list[tuple[int, Any]]] = {}
        for name in wanted.columns:
            pairs = enumerate(zip(wanted[name], current[name], strict=True))
            if changed := [(i, native(new)) for i, (new, old) in pairs if new != old]:
                patch[name] = changed
        if not patch:
            return False
        self._stands = self._stands or self._clock() - self._began > BUILT_AFTER_S
        if self._stands:
            self._table.patch(patch, as_index=False)
        else:
            self._table.value = wanted
        return not self._stands


def native(value: object) -> Any:  # noqa: ANN401 - what it was before numpy
    """A plain Python value: Tabulator's events and frames hold numpy scalars."""
    return value.item() if hasattr(value, "item") else value
