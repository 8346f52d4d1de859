"""Lists that open by keyboard: the components open theirs by a press of the mouse alone."""

from __future__ import annotations

from panel.custom import JSComponent


class OpenByKey(JSComponent):
    """Nothing to see; put once on each page. Enter, Space and the arrow down open the list that has the focus."""

    _esm = """
const KEYS = ['Enter', ' ', 'ArrowDown']
export function render() {
  const holder = document.createElement('span')
  if (window.__trackmapperOpensByKey) return holder
  window.__trackmapperOpensByKey = true
  window.addEventListener('keydown', (event) => {
    const focused = event.composedPath()[0]
    const isList = focused?.getAttribute?.('role') === 'combobox' && focused.getAttribute('aria-haspopup') === 'listbox'
    if (!isList || !KEYS.includes(event.key) || focused.getAttribute('aria-expanded') === 'true') return
    event.preventDefault()
    focused.click()
  }, true)
  return holder
}
"""
