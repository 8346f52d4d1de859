"""All tracks in three anatomical projections, linked with each other in the browser and with the rest of the page.

The three figures show one table of lines, so that a selection or a hover in one of them is in all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    GlyphRenderer,
    HoverTool,
    LinearColorMapper,
    MultiLine,
    Range1d,
    TapTool,
    WheelZoomTool,
)
from bokeh.plotting import figure

from core.brain_images import BrainProjections, Projection
from core.models import Points
from dashboard import hover_link, text
from dashboard.plain_figures import quieten
from dashboard.theme import CSS, GREY, PLANNED
from dashboard.track_lines import AXES, VIEWS, Scene
from dashboard.turns import next_turn

FRAMES_WIDTH, UPPER_HEIGHT, LOWER_HEIGHT = 530, 230, 310
"""Pixels for the coronal beside the sagittal frame, for these two upwards, and for the horizontal one below."""
_COLUMNS = ("ml", "ap", "dv")
_VEIL = [f"{GREY}{round(0.75 * level):02x}" for level in range(256)]
_LINE_WIDTH, _HOVERED_WIDTH, _MARKED_WIDTH = 2.2, 4.0, 6.0


class TrackPlots:
    """The three projections, at one scale. `highlight` marks a track in all of them.

    Args:
        scene: What to draw.
        on_select: Called with the name of a track that was clicked.
    """

    def __init__(self, scene: Scene, on_select: Callable[[str], None]) -> None:
        self._scene, self._on_select = scene, on_select
        self.marked = ""
        self.lines = ColumnDataSource(_lines(scene), name=hover_link.LINES)
        self.ends, self._box = ColumnDataSource(_ends(scene, "")), ColumnDataSource(_box(scene))
        self.planned = ColumnDataSource(_way(None))
        self.brain = {name: BrainBehind() for name, _, _ in VIEWS}
        self._figures: dict[str, figure] = {}
        self.coronal, self.sagittal, self.horizontal = (self._projection(*view) for view in VIEWS)
        self._fit()
        self.lines.selected.on_change("indices", self._picked)

    def show(self, scene: Scene) -> None:
        """Draw other tracks, or the same ones in another frame."""
        self._scene = scene
        self.lines.data, self._box.data = _lines(scene), _box(scene)
        self._fit()
        self._show_marked()

    def clear(self) -> None:
        """Draw nothing, until other tracks are laid out."""
        self.lines.data = {name: [] for name in self.lines.data}
        self.ends.data, self.planned.data = _ends(self._scene, ""), _way(None)

    def _fit(self) -> None:
        """All three views at one scale."""
        ml, ap, dv = self._scene.limits_mm[1] - self._scene.limits_mm[0]
        pixels_per_mm = min(FRAMES_WIDTH / (ml + ap), UPPER_HEIGHT / dv, LOWER_HEIGHT / ap)
        for name, across, up in VIEWS:
            made, (low, high) = self._figures[name], self._scene.limits_mm[:, [across, up]]
            width, height = (round(pixels_per_mm * float(span)) for span in high - low)
            made.update(frame_width=width, frame_height=height)
            made.x_range.update(start=low[0], end=high[0], reset_start=low[0], reset_end=high[0])
            made.y_range.update(start=low[1], end=high[1], reset_start=low[1], reset_end=high[1])

    def highlight(self, track: str) -> None:
        """Mark a track, or none."""
        if self.marked != track:
            self.marked = track
            self._show_marked()

    def show_planned(self, way_um: Points | None) -> None:
        """Draw where the marked track would go as planned, (2, 3) um in the image, or nothing."""
        if way_um is not None or len(self.planned.data["ml"]):
            self.planned.data = _way(way_um)

    def show_brain(self, brain: BrainProjections | None, brightness: float) -> None:
        """Put a brain behind the tracks, or none; a brightness of 0 hides it, 1 shows it as it is."""
        pictures = (brain.coronal, brain.sagittal, brain.horizontal) if brain else (None, None, None)

        def show() -> None:
            for behind, picture in zip(self.brain.values(), pictures, strict=True):
                behind.show(picture, brightness)

        next_turn(show)

    def _show_marked(self) -> None:
        wanted = [i for i, line in enumerate(self._scene.lines) if line.track == self.marked]
        if list(self.lines.selected.indices) != wanted:
            self.lines.selected.indices = wanted
        self.ends.data = _ends(self._scene, self.marked)

    def _picked(self, _name: str, _old: object, new: list[int]) -> None:
        """A line was clicked, or the background beside all of them, which leaves the marked one as it is."""
        tracks = [self._scene.lines[i].track for i in new if i < len(self._scene.lines)]
        if not tracks:
            self._show_marked()
        elif tracks[0] != self.marked:
            self._on_select(tracks[0])

    def _projection(self, name: str, across: int, up: int) -> pn.Column:
        wheel, tap = WheelZoomTool(), TapTool()
        made = self._figures[name] = figure(
            toolbar_location=None, tools=["pan", "reset", wheel, tap], x_range=Range1d(), y_range=Range1d(),
            x_axis_label=AXES[across], y_axis_label=AXES[up],
        )  # fmt: skip
        made.toolbar.active_scroll = wheel
        made.js_on_event("doubletap", CustomJS(code="cb_obj.origin.reset.emit()"))
        quieten(made)
        self.brain[name].draw(made)
        made.line(f"{name} across", f"{name} up", source=self._box, line_color=GREY, line_dash="dotted")
        lines = self._draw_lines(made, _COLUMNS[across], _COLUMNS[up])
        tap.renderers = [lines]
        tooltips = [("track", "@track"), ("points", "@points")]
        made.add_tools(HoverTool(renderers=[lines], tooltips=tooltips, callback=hover_link.in_3d(self.lines)))
        return pn.Column(
            text.pane(text.tag("h3", name), [CSS], margin=(0, 0, 0, 10)),
            pn.pane.Bokeh(made, sizing_mode="fixed"),
            margin=0,
            sizing_mode="fixed",
        )

    def _draw_lines(self, made: figure, across: str, up: str) -> GlyphRenderer[MultiLine]:
        def glyph(width: float, alpha: float = 1.0) -> MultiLine:
            return MultiLine(
                xs=across, ys=up, line_color="color", line_width=width, line_alpha=alpha, line_join="round"
            )

        lines = made.add_glyph(
            self.lines,
            glyph(_LINE_WIDTH),
            selection_glyph=glyph(_MARKED_WIDTH, 0.75),
            nonselection_glyph=glyph(_LINE_WIDTH),
            hover_glyph=glyph(_HOVERED_WIDTH),
        )
        made.line(across, up, source=self.planned, line_color=PLANNED, line_width=2, line_dash="dashed")
        made.scatter(across, up, source=self.ends, marker="marker", size=9, color="color", line_color=GREY)
        return lines


class BrainBehind:
    """The picture of a brain under the lines of one view: grey that grows opaque, so that it suits every page."""

    def __init__(self) -> None:
        self.source = ColumnDataSource(_no_picture())
        self.colors = LinearColorMapper(palette=_VEIL, low=0, high=255)
        self._shown: Projection | None = None

    def draw(self, made: figure) -> None:
        """Add the picture to a figure."""
        made.image("image", "x", "y", "dw", "dh", source=self.source, color_mapper=self.colors, level="image")

    def show(self, picture: Projection | None, brightness: float) -> None:
        """Show another picture, or the same one brighter or darker."""
        if picture is not self._shown:
            self._shown = picture
            self.source.data = _no_picture() if picture is None else _picture(picture)
        # what is this bright is as opaque as it gets; above every grey value nothing is seen
        high = 255.0 / brightness if brightness > 0 else 1e9
        if self.colors.high != high:
            self.colors.high = high


def _no_picture() -> dict[str, Any]:
    return {"image": [], "x": [], "y": [], "dw": [], "dh": []}


def _picture(picture: Projection) -> dict[str, Any]:
    left, right, bottom, top = (edge / 1000.0 for edge in picture.extent_um)
    return {"image": [picture.pixels], "x": [left], "y": [bottom], "dw": [right - left], "dh": [top - bottom]}


def _lines(scene: Scene) -> dict[str, Any]:
    points: list[Points] = [line.points_image_ras_mm for line in scene.lines]
    return {
        **{column: [each[:, axis] for each in points] for axis, column in enumerate(_COLUMNS)},
        "track": [line.label for line in scene.lines],
        "color": [line.color for line in scene.lines],
        "points": [line.points for line in scene.lines],
    }


def _way(way_um: Points | None) -> dict[str, Any]:
    """A straight line; nothing where it is not known."""
    return {column: [] if way_um is None else way_um[:, axis] / 1000.0 for axis, column in enumerate(_COLUMNS)}


def _box(scene: Scene) -> dict[str, Any]:
    """The corners of the image as each view goes round them; nothing where they are not known."""
    made: dict[str, Any] = {}
    for name, across, up in VIEWS:
        corners: tuple[list[float], list[float]] = ([], [])
        if scene.box_image_ras_mm is not None:
            (x0, y0), (x1, y1) = scene.box_image_ras_mm[:, [across, up]]
            corners = [x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0]
        made |= {f"{name} across": corners[0], f"{name} up": corners[1]}
    return made


def _ends(scene: Scene, track: str) -> dict[str, Any]:
    """First and last point of a track as its layer has them: a circle, and a triangle where the tip should be."""
    line = scene.line(track)
    points = line.points_image_ras_mm[[0, -1]] if line is not None and len(line.points_image_ras_mm) else None
    shown = {column: [] if points is None else points[:, axis] for axis, column in enumerate(_COLUMNS)}
    if line is None or points is None:
        return {**shown, "color": [], "marker": []}
    return {**shown, "color": [line.color] * 2, "marker": ["circle", "inverted_triangle"]}
