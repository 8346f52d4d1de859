"""Tells the server what was pressed inside HTML that `dashboard.text` made. Works offline, through shadow roots."""

from __future__ import annotations

import param
from panel.custom import JSComponent


class Picker(JSComponent):
    """Nothing to see; put once on each page. A press picks the innermost element with `data-pick` and `data-value`."""

    picked = param.List(default=[], doc="[kind, value, number of the press], all but the number from the element.")

    _esm = """
export function render({ model }) {
  let presses = 0
  const listen = (event) => {
    if (`${window.getSelection() ?? ''}`) return // somebody marks text to copy it
    const pressed = event.composedPath().find((e) => e.dataset && e.dataset.pick !== undefined)
    if (pressed) model.picked = [pressed.dataset.pick, pressed.dataset.value, ++presses]
  }
  document.addEventListener('click', listen)
  model.on('remove', () => document.removeEventListener('click', listen))
  return document.createElement('span')
}
"""
