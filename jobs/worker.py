"""The worker as a served page: `panel serve jobs/worker.py --warm` carries jobs on, and shows how it is."""

from __future__ import annotations

from html import escape

import panel as pn

from core.settings import load_settings
from jobs.exposure import listening_addresses, may_show, refusal
from jobs.worker_health import health_lines
from jobs.worker_loop import start_worker_thread

_REFRESH_MS = 1000


def _page() -> pn.Column:
    settings = load_settings()
    # Whoever may see it, the jobs are carried on.
    worker = start_worker_thread(settings)
    addresses = listening_addresses()
    if not may_show(addresses):
        lines = "".join(f"<p>{escape(line)}</p>" for line in refusal(addresses))
        return pn.Column(pn.pane.HTML(lines, sizing_mode="stretch_width"))  # type: ignore[no-untyped-call]
    # escape: the words come from jobs and platforms, and the pane shows HTML.
    body = pn.pane.HTML("", sizing_mode="stretch_width", min_height=240)  # type: ignore[no-untyped-call]

    def refresh() -> None:
        rows = "".join(
            f"<tr><th style='text-align:left;padding-right:2em'>{escape(name)}</th><td>{escape(words)}</td></tr>"
            for name, words in health_lines(settings.data, running=worker.is_alive(), trouble=worker.trouble)
        )
        text = f"<table>{rows}</table>"
        if text != body.object:
            body.object = text

    refresh()
    if pn.state.curdoc is not None and pn.state.curdoc.session_context is not None:
        pn.state.add_periodic_callback(refresh, period=_REFRESH_MS)
    title = pn.pane.HTML("<h1>Trackmapper worker</h1>")  # type: ignore[no-untyped-call]
    return pn.Column(title, body, sizing_mode="stretch_width")


pn.extension(design="material-ui")
pn.config.lazy_resources = False
_page().servable(title="Trackmapper worker")
