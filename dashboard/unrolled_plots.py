"""The pictures of a track against its recording: raw Bokeh, built once and fed anew with each selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from core.shank_geometry import side_of
from core.unrolled import DepthBins, ShankPlane, Unrolled, UnrolledShank, depth_bins
from core.unrolled_target import TargetOnTrack
from dashboard.edits import shank_label
from dashboard.plain_figures import quieten
from dashboard.text import label
from dashboard.theme import GREY
from dashboard.unrolled_columns import Column

HEIGHT = 400
PLANNED = "#d64550"
"""Readable on the dark and on the light page alike."""
WIDTH_OF_SHANKS = {1: 420, 2: 500, 3: 590}
LEAST_WIDTH, MOST_WIDTH = 340, 680
PLANE_WIDTH = 250
LETTERS = {"left": "L", "right": "R", "back": "P", "front": "A", "below": "V", "above": "D"}
"""Anatomical letters of the sides at both ends of the plane."""
_TRACK, _CONTACTS, _UNITS = (0.06, 0.18), (0.26, 0.40), (0.48, 0.97)
"""Where the three lanes of a shank stand, as shares of its width."""
_OFF_UM, _ACROSS_UM = 150.0, 70.0
"""Half the width of the track's lane, and the width of a shank."""

Columns = dict[str, Any]


class UnrolledPlot:
    """Every shank along its depth: the track with its clicked points, the contacts, the units."""

    def __init__(self) -> None:
        self.figure = _plain_figure("depth below the surface, mm")
        self._sources = {name: ColumnDataSource(columns) for name, columns in _empty().items()}
        source = self._sources
        draw = self.figure
        draw.quad("left", "right", "top", "bottom", source=source["sky"], color=GREY, alpha=0.13)
        draw.segment("x0", "y0", "x1", "y1", source=source["lines"], color=GREY, line_width=1, line_dash="dashed")
        draw.segment("x0", "y0", "x1", "y1", source=source["planned"], color=PLANNED, line_width=2, line_dash="dotted")
        draw.segment("x0", "y0", "x1", "y1", source=source["tracks"], color="color", line_width="width")
        draw.scatter("x", "y", source=source["points"], color="color", size=5, line_color=None)
        bars = draw.quad(
            "left", "right", "top", "bottom", source=source["bars"], fill_color="color", fill_alpha="fill",
            line_color="color", line_width=1,
        )  # fmt: skip
        contacts = draw.scatter(
            "x", "y", source=source["contacts"], marker="marker", size="size", line_color="color", fill_color="color",
            fill_alpha="fill",
        )  # fmt: skip
        target = draw.scatter(
            "x", "y", source=source["target"], marker="diamond_cross", size=13, line_color=PLANNED, fill_alpha=0,
            line_width=2,
        )  # fmt: skip
        draw.text(
            "x", "y", "words", source=source["words"], text_color=GREY, text_font_size="11px", text_font_style="style",
            text_align="align", x_offset="right_px", y_offset="down_px",
        )  # fmt: skip
        draw.add_tools(
            HoverTool(renderers=[contacts], tooltips=[("contact", "@where"), ("depth", "@y{0.00} mm")]),
            HoverTool(renderers=[target], tooltips=[("", "@where"), ("depth", "@y{0.00} mm")]),
            HoverTool(renderers=[bars], tooltips=[("units", "@units"), ("depth", "@depth")]),
        )
        draw.xgrid.visible = False
        draw.xaxis.major_tick_line_color = None

    def show(self, columns: Sequence[Column], colors: Mapping[str, str]) -> None:
        """Draw others."""
        deepest, top = depth_range_mm(columns)
        room = 0.1 * (deepest - top)
        high, low = top - 1.6 * room, deepest + 0.8 * room
        self.figure.y_range.update(start=low, end=high)
        self.figure.x_range.update(start=0.0, end=float(len(columns)))
        axis = self.figure.xaxis[0]
        lanes = ((_TRACK, "track"), (_CONTACTS, "contacts"), (_UNITS, "units"))
        named = {
            i + (start + end) / 2: words
            for i in range(len(columns))
            for (start, end), words in (lanes if len(columns) == 1 else lanes[1:])
        }
        axis.ticker = sorted(named)
        axis.major_label_overrides = named
        for name, drawn in _drawn(columns, colors, high).items():
            self._sources[name].data = drawn


class PlanePlot:
    """The shanks of one probe in its plane as they stand in the brain, with the distances of neighbours."""

    def __init__(self) -> None:
        self.figure = _plain_figure("depth along the probe, mm")
        self.figure.xaxis.axis_label = "across the probe, um"
        self.figure.xaxis.ticker.desired_num_ticks = 4
        empty = {"x0": [], "y0": [], "x1": [], "y1": [], "color": [], "width": []}
        self._tracks = ColumnDataSource(empty)
        self._words = ColumnDataSource({"x": [], "y": [], "words": [], "style": []})
        self.figure.segment("x0", "y0", "x1", "y1", source=self._tracks, color="color", line_width="width")
        self.figure.scatter("x1", "y1", source=self._tracks, color="color", marker="inverted_triangle", size=8)
        self.figure.text(
            "x", "y", "words", source=self._words, text_color=GREY, text_font_size="11px", text_align="center",
            text_font_style="style",
        )  # fmt: skip

    def show(self, plane: ShankPlane, unrolled: Unrolled, colors: Mapping[str, str]) -> None:
        """Draw another one."""
        (x0, y0), (x1, y1) = plane.entry_um.T, plane.tip_um.T
        deepest, widest = float(max(y0.max(), y1.max())) / 1000.0, float(np.abs([x0, x1]).max()) + 120.0
        self.figure.y_range.update(start=1.08 * deepest, end=-0.16 * deepest)
        self.figure.x_range.update(start=-widest, end=widest)
        chosen = unrolled.shanks[unrolled.chosen].number
        sides = side_of(plane.layout.across)
        self.figure.xaxis.axis_label = f"across the probe, um, from {sides[0]} to {sides[1]}"
        self._tracks.data = {
            "x0": x0, "y0": y0 / 1000.0, "x1": x1, "y1": y1 / 1000.0,
            "color": [colors[track] for track in plane.tracks],
            "width": [5 if number == chosen else 2 for number in plane.numbers],
        }  # fmt: skip
        middle = (x0 + x1) / 2.0
        order = plane.layout.order
        between = [float(middle[one] + middle[other]) / 2.0 for one, other in pairwise(order)]
        self._words.data = {
            "x": [*x0, *between, -0.94 * widest, 0.94 * widest],
            "y": [-0.05 * deepest] * len(x0) + [0.5 * deepest] * len(between) + [1.05 * deepest] * 2,
            "words": [
                *(shank_label(number, unrolled.shank_count) for number in plane.numbers),
                *(f"{apart:.0f}" for _, _, apart in plane.spacings),
                *(LETTERS[side] for side in sides),
            ],
            "style": [
                *("bold" if number == chosen else "normal" for number in plane.numbers),
                *["normal"] * len(between),
                *["bold"] * 2,
            ],
        }


def _plain_figure(depth: str) -> figure:
    made = figure(
        height=HEIGHT, sizing_mode="stretch_width", toolbar_location=None, tools="", x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=1, end=0), y_axis_label=depth,
    )  # fmt: skip
    quieten(made)
    return made


def _empty() -> dict[str, Columns]:
    segments = ("x0", "y0", "x1", "y1")
    names = {
        "sky": ("left", "right", "top", "bottom"),
        "lines": segments,
        "planned": segments,
        "tracks": (*segments, "color", "width"),
        "points": ("x", "y", "color"),
        "bars": ("left", "right", "top", "bottom", "color", "fill", "units", "depth"),
        "target": ("x", "y", "where"),
        "contacts": ("x", "y", "marker", "size", "color", "fill", "where"),
        "words": ("x", "y", "words", "style", "align", "right_px", "down_px"),
    }
    return {name: {column: [] for column in columns} for name, columns in names.items()}


def depth_range_mm(columns: Sequence[Column]) -> tuple[float, float]:
    """The deepest tip, and the highest of all that is shown."""
    deepest = max(column.shank.length_um for column in columns) / 1000.0
    depths = [float(each.min()) for column in columns for each in _depths(column.shank) if len(each)]
    told = [column.planned_um for column in columns] + [column.target.depth_um for column in columns if column.target]
    return deepest, min([0.0, *depths, *(each for each in told if each is not None)]) / 1000.0


def _depths(shank: UnrolledShank) -> tuple[Any, ...]:
    return shank.points_um[:, 0], shank.contacts_um[:, 0], shank.units_um


def _drawn(columns: Sequence[Column], colors: Mapping[str, str], high_mm: float) -> dict[str, Columns]:
    """What each source holds; depths in mm."""
    made = _empty()
    count, deepest = len(columns), depth_range_mm(columns)[0]
    bins = [depth_bins(column.shank) for column in columns]
    most = max([int(each.units.max(initial=0)) for each in bins] + [1])
    _add(made["sky"], left=[0.0], right=[count], top=[high_mm], bottom=[0.0])
    _add(made["lines"], x0=[0.0], y0=[0.0], x1=[count], y1=[0.0])
    for i, (column, each) in enumerate(zip(columns, bins, strict=True)):
        shank, style = column.shank, "bold" if column.chosen else "normal"
        letters = 24 if count <= 2 else 16
        if column.head:
            _say(made, i + 0.02, high_mm, label(column.head, letters), down=15, style=style)
        _say(made, i + 0.02, high_mm, label(column.line, letters), down=29, style=style)
        if not shank.track:
            _say(made, i + 0.5, 0.5 * deepest, "no track", align="center")
            continue
        color, length = colors.get(shank.track, GREY), shank.length_um / 1000.0
        along = i + sum(_TRACK) / 2
        half = (_TRACK[1] - _TRACK[0]) / 2
        wide = 4 if column.chosen else 2
        _add(made["tracks"], x0=[along], y0=[0.0], x1=[along], y1=[length], color=[color], width=[wide])
        off = np.clip(shank.points_um[:, 1] / _OFF_UM, -1.0, 1.0)
        _add(made["points"], x=along + half * off, y=shank.points_um[:, 0] / 1000.0, color=[color] * len(off))
        _add(made["lines"], x0=[i + _TRACK[0]], y0=[length], x1=[i + _UNITS[1]], y1=[length])
        _say(made, i + _UNITS[1], length, "tip", align="right", down=13)
        _contacts(made["contacts"], shank, i, color)
        if column.undrawn:
            _say(made, i + _UNITS[1], 0.5 * deepest, column.undrawn, align="right")
        _bars(made["bars"], shank, each, i, color, most)
        if column.planned_um is not None:
            at = column.planned_um / 1000.0
            _add(made["planned"], x0=[i], y0=[at], x1=[i + 1.0], y1=[at])
            _say(made, i + 0.99, at, "planned surface" if count <= 4 else "planned", align="right", down=-3)
        if column.target is not None and column.target.depth_um is not None:
            at = column.target.depth_um / 1000.0
            _add(made["target"], x=[along], y=[at], where=[_target_words(column.target)])
            _say(made, i + _TRACK[1], at, label(column.target.words, 18), down=4, right=4)
    return made


def _target_words(target: TargetOnTrack) -> str:
    beside = "" if target.distance_um is None else f", {target.distance_um / 1000.0:.2f} mm beside the line"
    return label(f"{target.words}{beside}")


def _bars(made: Columns, shank: UnrolledShank, bins: DepthBins, at: int, color: str, most: int) -> None:
    wide = (_UNITS[1] - _UNITS[0]) / most
    for what, start, end, fill in (("pass", bins.units * 0, bins.passing, 0.8),
                                   ("do not pass", bins.passing, bins.units, 0.0)):  # fmt: skip
        there = end > start
        _add(
            made,
            left=at + _UNITS[0] + wide * start[there], right=at + _UNITS[0] + wide * end[there],
            top=bins.edges_um[:-1][there] / 1000.0, bottom=bins.edges_um[1:][there] / 1000.0,
            color=[color] * int(there.sum()), fill=[fill] * int(there.sum()),
            units=[f"{n} {what}" if shank.passing is not None else str(n) for n in (end - start)[there]],
            depth=[f"{low / 1000.0:.1f} to {low / 1000.0 + 0.1:.1f} mm" for low in bins.edges_um[:-1][there]],
        )  # fmt: skip


def _contacts(columns: Columns, shank: UnrolledShank, at: int, color: str) -> None:
    outside = shank.outside
    start, end = _CONTACTS
    across = np.clip(shank.contacts_um[:, 1] / _ACROSS_UM, 0.0, 1.0)
    _add(
        columns,
        x=at + start + (end - start) * across,
        y=shank.contacts_um[:, 0] / 1000.0,
        marker=np.where(outside, "triangle", "circle"),
        size=np.where(outside, 7, 4),
        color=np.where(outside, GREY, color),
        fill=np.where(outside, 0.0, 0.8),
        where=np.where(shank.above, "above the surface", np.where(outside, "outside the tissue", "in the brain")),
    )


def _say(
    made: dict[str, Columns],
    x: float,
    y: float,
    words: str,
    *,
    down: int = 0,
    right: int = 0,
    align: str = "left",
    style: str = "normal",
) -> None:
    _add(made["words"], x=[x], y=[y], words=[words], style=[style], align=[align], right_px=[right], down_px=[down])


def _add(columns: Columns, **more: list[Any] | NDArray[Any]) -> None:
    for name, values in more.items():
        columns[name].extend(values.tolist() if isinstance(values, np.ndarray) else values)
