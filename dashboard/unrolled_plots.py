"""The pictures of a track against its recording: raw Bokeh, built once and fed anew with each selection."""

from __future__ import annotations

from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from dashboard.plain_figures import quieten
from dashboard.theme import GREY, PLANNED
from dashboard.unrolled_layout import LEAST_PX, Laid, empty_plane, empty_tables

HEIGHT = 400
MOST_WIDTH, MOST_BESIDE_WIDTH = 680, 900
"""Of a probe's shanks, and of candidates beside each other."""
PLANE_WIDTH = 250


class UnrolledPlot:
    """Every shank along its depth: the track with its clicked points, the contacts, the units."""

    def __init__(self) -> None:
        self.figure = _plain_figure(
            "depth below the surface, mm", sizing_mode="stretch_width", min_width=LEAST_PX, max_width=MOST_WIDTH
        )
        self._sources = {name: ColumnDataSource(columns) for name, columns in empty_tables().items()}
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
            "x", "y", "words", source=source["words"], text_color="color", text_font_size="11px",
            text_font_style="style", text_align="align", y_offset="down_px",
        )  # fmt: skip
        draw.add_tools(
            HoverTool(renderers=[contacts], tooltips=[("contact", "@where"), ("depth", "@y{0.00} mm")]),
            HoverTool(renderers=[target], tooltips=[("", "@where"), ("depth", "@y{0.00} mm")]),
            HoverTool(renderers=[bars], tooltips=[("units", "@units"), ("depth", "@depth")]),
        )
        draw.xgrid.visible = False
        draw.xaxis.major_tick_line_color = None

    def show(self, laid: Laid) -> None:
        """Draw others."""
        _show(self.figure, laid)
        axis = self.figure.xaxis[0]
        axis.ticker = sorted(laid.ticks)
        axis.major_label_overrides = laid.ticks
        for name, drawn in laid.tables.items():
            self._sources[name].data = drawn


class PlanePlot:
    """The shanks of one probe in its plane as they stand in the brain, with the distances of neighbours."""

    def __init__(self) -> None:
        self.figure = _plain_figure("depth along the probe, mm", sizing_mode="fixed", width=PLANE_WIDTH)
        self.figure.xaxis.ticker.desired_num_ticks = 4
        self._tracks, self._words = (ColumnDataSource(columns) for columns in empty_plane().values())
        self.figure.segment("x0", "y0", "x1", "y1", source=self._tracks, color="color", line_width="width")
        self.figure.scatter("x1", "y1", source=self._tracks, color="color", marker="inverted_triangle", size=8)
        self.figure.text(
            "x", "y", "words", source=self._words, text_color=GREY, text_font_size="11px", text_align="center",
            text_font_style="style",
        )  # fmt: skip

    def show(self, laid: Laid) -> None:
        """Draw another one."""
        _show(self.figure, laid)
        self.figure.xaxis.axis_label = laid.x_label
        # axes of nothing would tell numbers of nothing
        self.figure.axis.visible = self.figure.grid.visible = bool(len(laid.tables["tracks"]["x0"]))
        self._tracks.data, self._words.data = laid.tables["tracks"], laid.tables["words"]


def _show(made: figure, laid: Laid) -> None:
    made.x_range.update(start=laid.x[0], end=laid.x[1])
    made.y_range.update(start=laid.y[1], end=laid.y[0])
    made.yaxis.bounds = made.ygrid.bounds = laid.depths


def _plain_figure(depth: str, **layout: object) -> figure:
    made = figure(
        height=HEIGHT, **layout, toolbar_location=None, tools="", x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=1, end=0), y_axis_label=depth,
    )  # fmt: skip
    quieten(made)
    return made
