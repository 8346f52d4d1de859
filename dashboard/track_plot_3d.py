"""All tracks in three dimensions, linked with the rest of the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import panel as pn
import plotly.graph_objects as go
from param.parameterized import Event

from dashboard import hover_link
from dashboard.theme import GREY
from dashboard.track_lines import Scene
from dashboard.turns import next_turn

SOLID_HEIGHT = 360
_LONGEST = 1.2
"""Length of the longest side, in the units of the camera: all of the box is then in sight, whatever its form."""
# the page's theme gives every plot wide margins, in the browser and at each switch
_TO_THE_EDGE = "if (cb_obj.layout.margin?.l) cb_obj.layout = {...cb_obj.layout, margin: {l: 0, r: 0, t: 0, b: 0}}"


class TrackPlot3D:
    """The three-dimensional view. One trace per track: only what changes is sent again.

    Args:
        scene: What to draw.
        on_select: Called with the name of a track that was clicked.
    """

    def __init__(self, scene: Scene, on_select: Callable[[str], None]) -> None:
        self._take(scene)
        self._on_select = on_select
        self.view = pn.pane.Plotly(
            self._figure,
            name=hover_link.SOLID,
            link_figure=False,
            height=SOLID_HEIGHT,
            min_width=240,
            margin=0,
            sizing_mode="stretch_width",
            config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["toImage"]},
        )
        self.view.param.watch(lambda event: next_turn(partial(self._clicked, event)), "click_data")
        self.view.jscallback(**hover_link.in_projections())
        self.view.jscallback(layout=_TO_THE_EDGE)  # by itself: of several in one call Panel takes the last

    def _take(self, scene: Scene) -> None:
        self._tracks = [line.track for line in scene.lines]
        self._marked = ""
        self._figure = figure(scene)

    def redraw(self, scene: Scene) -> None:
        """Draw the same tracks in another frame. A new pane beside a half-built old one would break both."""
        self._take(scene)
        self.view.object = self._figure

    def highlight(self, track: str) -> None:
        """Mark a track, or none."""
        if track == self._marked:
            return
        self._marked = track
        for name, trace in zip(self._tracks, self._figure.data, strict=False):
            trace.line.width = 11 if name == track else 5
            trace.opacity = 1.0 if name == track or not track else 0.55
        self.view.param.trigger("object")

    def _clicked(self, event: Event) -> None:
        points = (event.new or {}).get("points") or [{}]
        number = points[0].get("curveNumber", -1)
        if isinstance(number, int) and 0 <= number < len(self._tracks):
            self._on_select(self._tracks[number])


def figure(scene: Scene) -> go.Figure:
    """One trace per track, in the scene's order, then the box of the image."""
    traces: list[dict[str, Any]] = []
    for line in scene.lines:
        x, y, z = line.points_image_ras_mm.T
        traces.append(
            {
                "type": "scatter3d",
                "x": x,
                "y": y,
                "z": z,
                "mode": "lines",
                "name": line.label,
                "showlegend": False,
                "hovertemplate": "%{text}<extra></extra>",
                "text": line.label,
                "line": {"color": line.color, "width": 5},
            }
        )
    if scene.box_image_ras_mm is not None:
        x, y, z = _edges(scene.box_image_ras_mm).T
        box = {"type": "scatter3d", "x": x, "y": y, "z": z, "mode": "lines", "hoverinfo": "skip", "showlegend": False}
        traces.append(box | {"line": {"color": GREY, "width": 1}})
    low, high = scene.limits_mm
    spans = (high - low) * (_LONGEST / float((high - low).max()))
    axis = {
        "color": GREY,
        "showgrid": scene.box_image_ras_mm is None,
        "gridcolor": GREY,
        "zeroline": False,
        "showbackground": False,
        "tickfont": {"size": 10},
    }
    # unchecked: to check each property of each trace takes ten times as long as all else
    return go.Figure(
        traces,
        _validate=False,
        layout={
            "uirevision": "keep",
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": GREY, "size": 11},
            "scene": {
                "aspectmode": "manual",
                "aspectratio": dict(zip("xyz", spans.tolist(), strict=True)),
                "camera": {"eye": {"x": 1.35, "y": 1.85, "z": 0.8}, "center": {"x": 0, "y": 0, "z": -0.1}},
                "xaxis": axis | {"title": {"text": "ML, mm (R+)"}, "range": [low[0], high[0]]},
                "yaxis": axis | {"title": {"text": "AP, mm (A+)"}, "range": [low[1], high[1]]},
                "zaxis": axis | {"title": {"text": "DV, mm (S+)"}, "range": [low[2], high[2]]},
            },
        },
    )


def _edges(box: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # the twelve edges, with a gap after each
    corners = list(product((0, 1), repeat=3))
    pieces = []
    for a, b in product(corners, corners):
        if a < b and sum(i != j for i, j in zip(a, b, strict=True)) == 1:
            ends = [[box[i][axis] for axis, i in enumerate(corner)] for corner in (a, b)]
            pieces += [*ends, [np.nan] * 3]
    return np.array(pieces)
