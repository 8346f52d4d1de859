"""The browser's Back and Forward: the address says what is open, so the page is built anew from it."""

from __future__ import annotations

import json

from panel.custom import JSComponent

from dashboard.url_state import WITHIN


class GoingBack(JSComponent):
    """Nothing to see; put once on each page.

    Panel writes the address, each time as a new step, and does not listen when a person goes back. Which job is looked
    at and what a list is narrowed to are no steps: Back leads to the page and the state before.
    """

    _esm = (
        f"const NO_STEPS = {json.dumps(WITHIN)}"
        + """
function step(href) {
  const url = new URL(href, window.location.href)
  NO_STEPS.forEach((key) => url.searchParams.delete(key))
  url.searchParams.sort()
  return url.href
}
export function render() {
  const holder = document.createElement('span')
  if (window.__trackmapperGoesBack) return holder
  window.__trackmapperGoesBack = true
  window.addEventListener('popstate', () => { if (!window.location.hash) window.location.reload() })
  const push = window.history.pushState.bind(window.history)
  window.history.pushState = (state, unused, href) => {
    if (href != null && step(href) === step(window.location.href)) window.history.replaceState(state, unused, href)
    else push(state, unused, href)
  }
  return holder
}
"""
    )
