"""Builds one page of everything before the first visitor comes: Bokeh's and Panel's classes make themselves when used.

That takes most of a second, in which nobody else would be served.
"""

from __future__ import annotations

import gc
import importlib
import json
import threading

import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc

from core.geometry import assumed_frame
from core.neuroglancer import read_state
from dashboard.mapping_view import MappingView
from dashboard.state import Checked, Opened, Session
from dashboard.theme import track_colors

_done = threading.Event()


def warm_up() -> None:
    """Build and forget the mapping of a made-up state, once per process."""
    if _done.is_set():
        return
    _done.set()
    space = {axis: [1e-6, "m"] for axis in "zyx"} | {"t": [0.001, "s"]}
    points = [{"type": "point", "id": str(i), "point": [100.0 * i, 10.0 * i, 10.0 * i, 0]} for i in range(4)]
    layer = {"type": "annotation", "name": "track", "annotations": points}
    layer["source"] = {"url": "local://annotations", "transform": {"outputDimensions": space}}
    state = read_state(json.dumps({"dimensions": space, "layers": [layer]}).encode())
    for name in ("scipy.io", "scipy.ndimage", "scipy.optimize", "scipy.spatial"):
        importlib.import_module(name)
    with set_curdoc(Document()):  # of no session: what is built in turns is built at once
        session = Session(lambda *_: Checked((), ()))
        session.open(Opened(state, None, assumed_frame(state), (), track_colors(state)))
        view = MappingView(session, pn.Column)
        view.view.get_root()
        view.plots.draw()
        session.select_row(session.rows[0].id)
        view.unrolled.draw()
    # Bokeh collects all garbage at the end of each session: what stays for ever need not be looked through
    gc.collect()
    gc.freeze()
