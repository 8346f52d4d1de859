"""Copies ids: one listener for every copy button that `text.copyable` makes. Works offline and without https."""

from __future__ import annotations

from panel.custom import JSComponent


class Copier(JSComponent):
    """Nothing to see; put once on each page."""

    _esm = """
export function render() {
  const holder = document.createElement('span')
  if (window.__trackmapperCopies) return holder
  window.__trackmapperCopies = true

  function byHand(words) {
    const area = document.createElement('textarea')
    area.value = words
    area.style.cssText = 'position:fixed;top:0;opacity:0'
    document.body.appendChild(area)
    area.select()
    try { return document.execCommand('copy') } finally { area.remove() }
  }

  async function copy(words) {
    // The clipboard is there only on https and loopback.
    if (navigator.clipboard && window.isSecureContext) {
      try { await navigator.clipboard.writeText(words); return true } catch (refused) { /* the older way */ }
    }
    return byHand(words)
  }

  document.addEventListener('click', async (event) => {
    const button = event.composedPath().find((e) => e.dataset && e.dataset.copy !== undefined)
    if (!button) return
    const done = await copy(button.dataset.copy)
    button.textContent = done ? 'copied' : 'select it and press Ctrl+C'
    setTimeout(() => { button.textContent = 'copy' }, 1500)
  })
  return holder
}
"""
