"""All tracks in three anatomical projections, linked with the rest of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import holoviews as hv
import numpy as np
import panel as pn
from bokeh.models import BoxZoomTool, ColumnDataSource, HoverTool, LinearColorMapper
from holoviews.plotting.bokeh.element import ElementPlot

from core.brain_images import BrainProjections, Projection
from dashboard import text
from dashboard.theme import CSS, GREY
from dashboard.track_lines import Scene, TrackLine

hv.extension("bokeh", logo=False)
hv.renderer("bokeh").webgl = False  # a few hundred segments draw as fast without it, also where there is no GPU

FRAMES_WIDTH, FRAMES_HEIGHT = 530, 480
"""Pixels for the coronal beside the sagittal frame, and for the coronal above the horizontal one."""
VIEWS = (("Coronal", 0, 2), ("Sagittal", 1, 2), ("Horizontal", 0, 1))
_BRAIN = "brain"
_VEIL = [f"{GREY}{round(0.75 * level):02x}" for level in range(256)]
_AXES = ("L ←  ML, mm  → R", "P ←  AP, mm  → A", "I ←  DV, mm  → S")


class TrackPlots:
    """The three projections, at one scale. `highlight` marks a track in all of them.

    Args:
        scene: What to draw.
        on_select: Called with the name of a track that was clicked.
    """

    def __init__(self, scene: Scene, on_select: Callable[[str], None]) -> None:
        self._scene = scene
        self._brain = {name: BrainBehind() for name, _, _ in VIEWS}
        self._marked = hv.streams.Stream.define("Marked", track="")()
        self._picks: list[hv.streams.Selection1D] = []
        ml, ap, dv = scene.limits_mm[1] - scene.limits_mm[0]
        self._pixels_per_mm = min(FRAMES_WIDTH / (ml + ap), FRAMES_HEIGHT / (dv + ap))
        self.coronal, self.sagittal, self.horizontal = (self._projection(*view, on_select) for view in VIEWS)

    def highlight(self, track: str) -> None:
        """Mark a track, or none."""
        if self._marked.track != track:
            self._marked.event(track=track)

    def show_brain(self, brain: BrainProjections | None, brightness: float) -> None:
        """Put a brain behind the tracks, or none; a brightness of 0 hides it, 1 shows it as it is."""
        pictures = (brain.coronal, brain.sagittal, brain.horizontal) if brain else (None, None, None)
        for behind, picture in zip(self._brain.values(), pictures, strict=True):
            behind.show(picture, brightness)

    def _projection(self, name: str, across: int, up: int, on_select: Callable[[str], None]) -> pn.Column:
        scene, axes = self._scene, [across, up]
        low, high = scene.limits_mm[:, axes]
        width, height = (round(self._pixels_per_mm * float(span)) for span in high - low)
        lines = hv.Contours(
            [_path(line, axes) for line in scene.lines], kdims=["across", "up"], vdims=["track", "color", "points"]
        ).opts(
            color="color",
            line_width=2.2,
            nonselection_alpha=1,
            selection_alpha=1,
            show_legend=False,
            tools=["tap", HoverTool(tooltips=[("track", "@track"), ("points", "@points")])],
        )
        pick = hv.streams.Selection1D(source=lines)
        pick.add_subscriber(lambda index: on_select(scene.lines[index[0]].track) if index else None)
        self._picks.append(pick)
        marked = hv.DynamicMap(lambda track: _marked(scene.line(track), axes), streams=[self._marked])
        drawn = (_outline(scene, axes) * lines * marked).opts(
            hv.opts.Overlay(
                frame_width=width,
                frame_height=height,
                xlim=(low[0], high[0]),
                ylim=(low[1], high[1]),
                xlabel=_AXES[across],
                ylabel=_AXES[up],
                show_legend=False,
                toolbar="disable",
                hooks=[_quiet, self._brain[name].draw],
                active_tools=["wheel_zoom"],
                default_tools=["pan", "wheel_zoom", "reset"],
            )
        )
        return pn.Column(
            text.pane(text.tag("h3", name), [CSS], margin=(0, 0, 0, 10)),
            pn.pane.HoloViews(drawn, linked_axes=False, sizing_mode="fixed", theme=None),
            margin=0,
            sizing_mode="fixed",
        )


class BrainBehind:
    """The picture of a brain under the lines of one view: grey that grows opaque, so that it suits every page."""

    def __init__(self) -> None:
        self._source = ColumnDataSource(_no_picture())
        self._colors = LinearColorMapper(palette=_VEIL, low=0, high=255)
        self._shown: Projection | None = None

    def draw(self, plot: ElementPlot, _element: hv.Element) -> None:
        """Add the picture to a figure, once; HoloViews calls this at every redrawing of its own."""
        if not plot.state.select({"name": _BRAIN}):
            plot.state.image(
                "image",
                "x",
                "y",
                "dw",
                "dh",
                source=self._source,
                color_mapper=self._colors,
                level="image",
                name=_BRAIN,
            )

    def show(self, picture: Projection | None, brightness: float) -> None:
        """Show another picture, or the same one brighter or darker."""
        if picture is not self._shown:
            self._shown = picture
            self._source.data = _no_picture() if picture is None else _picture(picture)
        # what is this bright is as opaque as it gets; above every grey value nothing is seen
        high = 255.0 / brightness if brightness > 0 else 1e9
        if self._colors.high != high:
            self._colors.high = high


def _no_picture() -> dict[str, Any]:
    return {"image": [], "x": [], "y": [], "dw": [], "dh": []}


def _picture(picture: Projection) -> dict[str, Any]:
    left, right, bottom, top = (edge / 1000.0 for edge in picture.extent_um)
    return {"image": [picture.pixels], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}


def _path(line: TrackLine, axes: list[int]) -> dict[str, Any]:
    across, up = line.points_image_ras_mm[:, axes].T
    return {"across": across, "up": up, "track": line.label, "color": line.color, "points": line.points}


def _marked(line: TrackLine | None, axes: list[int]) -> hv.Overlay:
    points = line.points_image_ras_mm[:, axes] if line else np.empty((0, 2))
    color = line.color if line else GREY
    path = hv.Path([points], kdims=["across", "up"]).opts(color=color, line_width=6, alpha=0.55)
    ends = hv.Points(points[[0, -1]] if len(points) else points, kdims=["across", "up"]).opts(
        color=color, size=8, line_color=GREY
    )
    return path * ends


def _outline(scene: Scene, axes: list[int]) -> hv.Path:
    box = scene.box_image_ras_mm
    corners = np.empty((0, 2))
    if box is not None:
        (x0, y0), (x1, y1) = box[:, axes]
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]])
    return hv.Path([corners], kdims=["across", "up"]).opts(color=GREY, line_width=1, line_dash="dotted")


def _quiet(plot: ElementPlot, _element: hv.Element) -> None:
    # colours that can be read on the light and on the dark page, so that the theme switch needs no redraw
    figure = plot.state
    figure.background_fill_alpha = figure.border_fill_alpha = 0
    figure.outline_line_color = None
    for axis in figure.axis:
        axis.axis_line_color = axis.major_tick_line_color = GREY
        axis.axis_label_text_color = axis.major_label_text_color = GREY
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
    for tool in figure.select({"type": BoxZoomTool}):
        tool.match_aspect = True
