"""How every figure of ours looks: colours that can be read on the light and on the dark page alike."""

from __future__ import annotations

from bokeh.plotting import figure

from dashboard.theme import GREY


def quieten(made: figure) -> None:
    """Take away what a figure need not say, so that a switch of the theme needs no redrawing."""
    made.background_fill_alpha = made.border_fill_alpha = 0
    made.outline_line_color = None
    made.grid.grid_line_color = GREY
    made.grid.grid_line_alpha = 0.2
    for axis in made.axis:
        axis.axis_line_color = axis.major_tick_line_color = GREY
        axis.axis_label_text_color = axis.major_label_text_color = GREY
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
