"""A track against its recording as a file: the picture of the page, drawn without a browser, on white.

Blocking, a third of a second: call it from a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboard.saved_pictures import Kind, saved
from dashboard.text import plain
from dashboard.theme import GREY, PLANNED
from dashboard.unrolled_layout import Laid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHANK_IN, _NARROW_IN, _LEAST_IN, _PLANE_IN, _HEIGHT_IN, _DPI = 1.9, 1.4, 3.8, 2.6, 4.6, 130
_WIDE = 4
"""So many columns are as wide as one is for itself; more are narrow, as on the page."""
_LEFT_IN, _TOP_IN, _BOTTOM_IN, _GAP_IN = 0.7, 0.55, 0.6, 0.75
_MARKERS = {"circle": "o", "triangle": "^"}
_PX = 0.75
"""Points of a pixel."""
_INK = {GREY: "#444b50"}
"""What is grey on the page is darker on paper."""


@dataclass(frozen=True, slots=True, eq=False)
class UnrolledPicture:
    """What one picture shows."""

    heading: str
    along: Laid
    plane: Laid | None = None
    words: tuple[str, ...] = ()
    """The same in sentences."""


def draw_unrolled(picture: UnrolledPicture, kind: Kind) -> bytes:
    """The shanks along their depth, and the probe's plane where there is one: the same bytes for the same input."""
    from matplotlib.figure import Figure  # here, since every page would wait for it at the server's start

    columns = picture.along.x[1]
    along_in = max(_LEAST_IN, (_SHANK_IN if columns <= _WIDE else _NARROW_IN) * columns)
    wide = _LEFT_IN + along_in + (0.2 if picture.plane is None else _GAP_IN + _PLANE_IN + 0.2)
    made = Figure(figsize=(wide, _HEIGHT_IN), facecolor="white")
    up_in = _HEIGHT_IN - _TOP_IN - _BOTTOM_IN

    def axes_of(laid: Laid, left_in: float, across_in: float) -> Axes:
        place = (left_in / wide, _BOTTOM_IN / _HEIGHT_IN, across_in / wide, up_in / _HEIGHT_IN)
        axes = made.add_axes(place)
        axes.set(xlim=laid.x, ylim=(laid.y[1], laid.y[0]))
        axes.set_yticks([depth for depth in axes.get_yticks() if laid.depths[0] <= depth <= laid.depths[1]])
        axes.set_ylabel(laid.y_label, fontsize=8)
        axes.set_xlabel(laid.x_label, fontsize=8)
        axes.tick_params(labelsize=7, color=GREY)
        axes.spines[:].set_visible(False)
        axes.grid(visible=True, axis="y", color=GREY, alpha=0.2, linewidth=0.6)
        return axes

    _draw_along(axes_of(picture.along, _LEFT_IN, along_in), picture.along)
    if picture.plane is not None:
        _draw_plane(axes_of(picture.plane, _LEFT_IN + along_in + _GAP_IN, _PLANE_IN), picture.plane)
    made.text(
        _LEFT_IN / wide, 1 - 0.25 / _HEIGHT_IN, plain(picture.heading, 100), size=10, weight="bold", parse_math=False
    )
    return saved(made, kind, dpi=_DPI)


def _draw_along(axes: Axes, laid: Laid) -> None:
    tables = laid.tables
    # the page moves every other one down where they have no room beside each other; here they have
    axes.set_xticks(sorted(laid.ticks), [laid.ticks[at].strip() for at in sorted(laid.ticks)])
    axes.tick_params(axis="x", length=0)
    _boxes(axes, tables["sky"], facecolor=GREY, alpha=0.13)
    _lines(axes, tables["lines"], color=GREY, linewidth=0.8, linestyle="--")
    _lines(axes, tables["planned"], color=PLANNED, linewidth=1.5, linestyle=":")
    _tracks(axes, tables["tracks"])
    axes.scatter(tables["points"]["x"], tables["points"]["y"], c=tables["points"]["color"] or None, s=7, zorder=3)
    bars = tables["bars"]
    for row in zip(*(bars[name] for name in ("left", "right", "top", "bottom", "color", "fill")), strict=True):
        left, right, top, bottom, color, fill = row
        axes.fill_between([left, right], top, bottom, facecolor=(color, fill), edgecolor=color, linewidth=0.6)
    _contacts(axes, tables["contacts"])
    target = tables["target"]
    axes.scatter(target["x"], target["y"], marker="D", s=45, facecolors="none", edgecolors=PLANNED, zorder=4)
    _words(axes, tables["words"])


def _draw_plane(axes: Axes, laid: Laid) -> None:
    tracks = laid.tables["tracks"]
    _tracks(axes, tracks)
    axes.scatter(tracks["x1"], tracks["y1"], c=tracks["color"], marker="v", s=28, zorder=3)
    _words(axes, laid.tables["words"], align="center")


def _boxes(axes: Axes, table: dict[str, Any], **style: Any) -> None:  # noqa: ANN401 - matplotlib's own
    for left, right, top, bottom in zip(*(table[name] for name in ("left", "right", "top", "bottom")), strict=True):
        axes.fill_between([left, right], top, bottom, linewidth=0, **style)


def _lines(axes: Axes, table: dict[str, Any], **style: Any) -> None:  # noqa: ANN401 - matplotlib's own
    for x0, y0, x1, y1 in zip(*(table[name] for name in ("x0", "y0", "x1", "y1")), strict=True):
        axes.plot([x0, x1], [y0, y1], **style)


def _tracks(axes: Axes, table: dict[str, Any]) -> None:
    names = ("x0", "y0", "x1", "y1", "color", "width")
    for x0, y0, x1, y1, color, width in zip(*(table[name] for name in names), strict=True):
        axes.plot([x0, x1], [y0, y1], color=color, linewidth=_PX * width, zorder=2)


def _contacts(axes: Axes, table: dict[str, Any]) -> None:
    x, y, size = (np.array(table[name], dtype=float) for name in ("x", "y", "size"))
    markers, colors, fills = (np.array(table[name]) for name in ("marker", "color", "fill"))
    for marker, shape in _MARKERS.items():
        here = markers == marker
        if here.any():
            faces = [(color, float(fill)) for color, fill in zip(colors[here], fills[here], strict=True)]
            axes.scatter(
                x[here], y[here], marker=shape, s=(_PX * size[here]) ** 2, facecolors=faces, edgecolors=colors[here],
                linewidths=0.5, rasterized=True,
            )  # fmt: skip


def _words(axes: Axes, table: dict[str, Any], align: str = "") -> None:
    count = len(table["x"])
    aligns = table.get("align", [align] * count)
    down, colors = table.get("down_px", [0] * count), table.get("color", [GREY] * count)
    for i in range(count):
        axes.annotate(
            str(table["words"][i]), (table["x"][i], table["y"][i]), (0, -_PX * down[i]),
            textcoords="offset points", ha=aligns[i], va="bottom", size=7, weight=table["style"][i],
            color=_INK.get(colors[i], colors[i]),
            parse_math=False, annotation_clip=False,
        )  # fmt: skip
