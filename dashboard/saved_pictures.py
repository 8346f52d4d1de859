"""The three projections as a file: the same tracks, colours, scale and brain as on the page, on white.

Drawn without a browser, so that a picture can also be made where a mapping is launched. Blocking, half a second: call
it from a thread.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.brain_images import BrainProjections, Projection
from core.models import Points
from dashboard.state import Opened
from dashboard.text import plain
from dashboard.theme import GREY, PLANNED
from dashboard.track_lines import AXES, VIEWS, Scene, TrackLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["png", "svg"]
_WIDTH_IN, _HEIGHT_IN, _DPI = 10.0, 8.4, 200
_MARGIN_IN, _GAP_IN, _HEAD_IN = 0.75, 0.85, 1.0
_NAMES = 48
"""Tracks that are named beside the pictures."""
_PALEST = 600
"""Grey value that would be black: above every one there is, so that tissue stays paler than the tracks."""
_setting = threading.Lock()


def heading(opened: Opened) -> str:
    """The first line of a picture: the state and its mouse."""
    mouse = opened.state.subject and f"mouse {opened.state.subject}"
    return plain(" · ".join(filter(None, [opened.state.stem, mouse])), 90)


def draw_views(
    drawn: Scene,
    title: str,
    kind: Kind,
    *,
    brain: BrainProjections | None = None,
    brightness: float = 1.0,
    planned: Mapping[str, Points] | None = None,
    marked: str = "",
) -> bytes:
    """The three projections at one scale, with the tracks' names.

    Args:
        drawn: What to draw.
        title: First line of the picture.
        kind: Format of the file.
        brain: Behind the tracks.
        brightness: Of the brain; 1 as it is.
        planned: By track, (2, 3) um from where to where it would go as planned.
        marked: Track that is drawn wide, with its first point a circle and its last a triangle, as on the page.

    Returns:
        The same bytes for the same input.
    """
    from matplotlib.figure import Figure  # here, since every page would wait for it at the server's start

    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), facecolor="white")
    ml, ap, dv = (float(span) for span in drawn.limits_mm[1] - drawn.limits_mm[0])
    across_in, up_in = _WIDTH_IN - 2 * _MARGIN_IN - _GAP_IN, _HEIGHT_IN - _HEAD_IN - _MARGIN_IN - _GAP_IN
    scale = min(across_in / (ml + ap), up_in / (dv + ap))  # inches per mm, the same in all three
    lower, upper = _MARGIN_IN, _MARGIN_IN + ap * scale + _GAP_IN
    right = _MARGIN_IN + ml * scale + _GAP_IN
    pictures = (brain.coronal, brain.sagittal, brain.horizontal) if brain else (None, None, None)
    corners = ((_MARGIN_IN, upper), (right, upper), (_MARGIN_IN, lower))
    for view, corner, picture in zip(VIEWS, corners, pictures, strict=True):
        axes = _draw_view(figure, drawn, view, corner, scale, picture, _PALEST / max(brightness, 0.01))
        _mark(axes, drawn.line(marked), view)
        for way_um in (planned or {}).values():
            axes.plot(*way_um[:, view[1:]].T / 1000.0, color=PLANNED, linewidth=1.2, linestyle="--")
    _text(figure, _MARGIN_IN, _HEIGHT_IN - 0.35, title, size=11, weight="bold")
    told = "Image space, RAS" + (f"; assumed: {drawn.assumed}" if drawn.assumed else "")
    if planned:
        told += f"; dashed: {', '.join(plain(track, 28) for track in planned)} by the manipulator's angles"
    _text(figure, _MARGIN_IN, _HEIGHT_IN - 0.58, told, size=8, color=GREY)
    _name_tracks(figure, drawn, right, upper - _GAP_IN)
    return saved(figure, kind)


def _draw_view(
    figure: Figure,
    drawn: Scene,
    view: tuple[str, int, int],
    corner_in: tuple[float, float],
    scale: float,
    picture: Projection | None,
    darkest: float,
) -> Axes:
    name, across, up = view
    (left, bottom), (end, top) = drawn.limits_mm[:, [across, up]]
    place = (*corner_in, (end - left) * scale, (top - bottom) * scale)
    axes: Axes = figure.add_axes(tuple(np.array(place) / np.array([_WIDTH_IN, _HEIGHT_IN] * 2)))  # type: ignore[arg-type]
    axes.set(xlim=(left, end), ylim=(bottom, top), xlabel=AXES[across], ylabel=AXES[up])
    axes.set_title(name, fontsize=9, fontweight="bold", loc="left")
    axes.tick_params(labelsize=7, color=GREY)
    axes.xaxis.label.set_size(8)
    axes.yaxis.label.set_size(8)
    axes.spines[:].set_visible(False)
    if picture is not None:
        extent = tuple(edge / 1000.0 for edge in picture.extent_um)
        axes.imshow(
            picture.pixels, cmap="Greys", vmin=0, vmax=darkest, origin="lower", extent=extent, aspect="auto", zorder=0
        )
        axes.set(xlim=(left, end), ylim=(bottom, top))
    if drawn.box_image_ras_mm is not None:
        (x0, y0), (x1, y1) = drawn.box_image_ras_mm[:, [across, up]]
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=GREY, linewidth=0.7, linestyle=":")
    for line in drawn.lines:
        axes.plot(*line.points_image_ras_mm[:, [across, up]].T, color=line.color, linewidth=1.6)
    return axes


def _mark(axes: Axes, line: TrackLine | None, view: tuple[str, int, int]) -> None:
    if line is not None and len(line.points_image_ras_mm):
        across, up = line.points_image_ras_mm[:, view[1:]].T
        axes.plot(across, up, color=line.color, linewidth=4.5, alpha=0.75)
        for at, marker in ((0, "o"), (-1, "v")):
            axes.plot(across[at], up[at], marker, color=line.color, markersize=6, markeredgecolor=GREY)


def _name_tracks(figure: Figure, drawn: Scene, left_in: float, top_in: float) -> None:
    step_in = min(0.17, (top_in - 0.3) / max(1, min(len(drawn.lines), _NAMES) / 2 + 1))
    for i, line in enumerate(drawn.lines[:_NAMES]):
        x, y = left_in + (i % 2) * 2.2, top_in - (i // 2 + 1) * step_in
        _text(figure, x, y, "●", size=8, color=line.color)
        _text(figure, x + 0.16, y, f"{plain(line.track, 28)} ({line.points})", size=7)
    if len(drawn.lines) > _NAMES:
        rest = f"and {len(drawn.lines) - _NAMES} more"
        _text(figure, left_in, top_in - (_NAMES // 2 + 1) * step_in, rest, size=7, color=GREY)


def _text(
    figure: Figure, x_in: float, y_in: float, words: str, *, size: int, color: str = "black", weight: str = "normal"
) -> None:
    # names come from outside: a dollar sign in them is no formula
    place = x_in / _WIDTH_IN, y_in / _HEIGHT_IN
    figure.text(*place, words, size=size, color=color, weight=weight, parse_math=False)


def saved(figure: Figure, kind: Kind, *, dpi: int = _DPI) -> bytes:
    """A figure as a file: the same bytes for the same figure."""
    import matplotlib as mpl

    out = io.BytesIO()  # identifiers from a fixed salt, and no date: the same picture is the same file
    with _setting, warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "trackmapper", "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font lacks shows boxes
        figure.savefig(out, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()
