"""The browser's Back and Forward: the address says what is open, so the page is built anew from it."""

from __future__ import annotations

from panel.custom import JSComponent


class GoingBack(JSComponent):
    """Nothing to see; put once on each page. Panel writes the address and does not listen when a person goes back."""

    _esm = """
export function render() {
  const holder = document.createElement('span')
  if (window.__trackmapperGoesBack) return holder
  window.__trackmapperGoesBack = true
  window.addEventListener('popstate', () => { if (!window.location.hash) window.location.reload() })
  return holder
}
"""
