"""What the pictures of a track against its recording hold, laid out once for the page and for files alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.shank_geometry import side_of
from core.unrolled import DepthBins, ShankPlane, Unrolled, UnrolledShank, depth_bins
from core.unrolled_target import TargetOnTrack
from dashboard.edits import shank_label
from dashboard.text import in_lines, label, shortened
from dashboard.theme import GREY, PLANNED
from dashboard.unrolled_columns import Column

LETTERS = {"left": "L", "right": "R", "back": "P", "front": "A", "below": "V", "above": "D"}
"""Anatomical letters of the sides at both ends of the plane."""
_TRACK, _CONTACTS, _UNITS = (0.06, 0.18), (0.26, 0.40), (0.48, 0.97)
"""Where the three lanes of a shank stand, as shares of its width."""
_OFF_UM, _ACROSS_UM = 150.0, 70.0
"""Half the width of the track's lane, and the width of a shank."""
LEAST_PX, LEAST_BESIDE_PX = 540, 640
"""The narrowest that a picture is shown: a probe's shanks, and candidates beside each other. Words fit into that."""
_AXIS_PX, _INNER_PX = 64, 345
"""Beside the columns, and the height that is theirs."""
_LETTER_PX, _LINE_PX, _TICKS_PX = 6.5, 14, 108
"""A letter, a line, and the narrowest column whose ticks fit beside each other."""
_BEYOND = 0.3
"""How far from a track its target is still drawn, as a share of the longest track."""

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """A picture as tables of what is drawn."""

    tables: dict[str, Columns]
    """By kind of mark; what each has is told by `empty_tables` or `empty_plane`."""
    x: tuple[float, float]
    """From left to right."""
    y: tuple[float, float]
    """From top to bottom, mm of depth."""
    ticks: dict[float, str]
    """Words under the picture; {} for numbers."""
    depths: tuple[float, float]
    """Between which depths are told: beyond them stand words, through which no line should go."""
    x_label: str = ""
    y_label: str = "depth below the surface, mm"


def lay_out(columns: Sequence[Column], colors: Mapping[str, str], *, least_px: int = LEAST_PX) -> Laid:
    """Every shank along its depth: the track with its clicked points, the contacts, the units.

    Args:
        columns: From left to right.
        colors: By track.
        least_px: The narrowest that the picture is shown, by which names are broken and shortened.
    """
    count, (deepest, top) = len(columns), depth_range_mm(columns)
    wide_px = (least_px - _AXIS_PX) / count
    letters = int(wide_px / _LETTER_PX)
    aimed = any(column.target is not None and column.target.depth_um is not None for column in columns)
    # names stand above all that is drawn, targets below it, each with a line of air
    above_px = _LINE_PX * (max(len(_head(column, letters)) for column in columns) + 1) + 4
    below_px = _LINE_PX * (3 if aimed else 1) + 4
    mm_per_px = (deepest - top) / (_INNER_PX - above_px - below_px)
    y = (top - above_px * mm_per_px, deepest + below_px * mm_per_px)
    lanes = ((_TRACK, "track"), (_CONTACTS, "contacts"), (_UNITS, "units" if wide_px >= _TICKS_PX else "\nunits"))
    ticks = {
        i + (start + end) / 2: words
        for i in range(count)
        for (start, end), words in (lanes if count == 1 else lanes[1:])
    }
    return Laid(_drawn(columns, colors, letters, y), (0.0, float(count)), y, ticks, (top, deepest))


def _head(column: Column, letters: int) -> list[str]:
    return [words for told in (column.head, column.line) for words in in_lines(told, letters)]


def lay_out_plane(plane: ShankPlane, unrolled: Unrolled, colors: Mapping[str, str]) -> Laid:
    """The shanks of one probe in its plane as they stand in the brain, with the distances of neighbours."""
    (x0, y0), (x1, y1) = plane.entry_um.T, plane.tip_um.T
    deepest, widest = float(max(y0.max(), y1.max())) / 1000.0, float(np.abs([x0, x1]).max()) + 120.0
    chosen = unrolled.shanks[unrolled.chosen].number
    sides = side_of(plane.layout.across)
    tracks = {
        "x0": x0, "y0": y0 / 1000.0, "x1": x1, "y1": y1 / 1000.0,
        "color": [colors[track] for track in plane.tracks],
        "width": [5 if number == chosen else 2 for number in plane.numbers],
    }  # fmt: skip
    middle = (x0 + x1) / 2.0
    between = [float(middle[one] + middle[other]) / 2.0 for one, other in pairwise(plane.layout.order)]
    words = {
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
    return Laid(
        {"tracks": tracks, "words": words},
        (-widest, widest),
        (-0.16 * deepest, 1.08 * deepest),
        {},
        (0.0, deepest),
        f"um, from {sides[0]} to {sides[1]}",
        "depth along the probe, mm",
    )


def empty_plane() -> dict[str, Columns]:
    """The tables of a plane with nothing in them."""
    names = {"tracks": ("x0", "y0", "x1", "y1", "color", "width"), "words": ("x", "y", "words", "style")}
    return {name: {column: [] for column in columns} for name, columns in names.items()}


def empty_tables() -> dict[str, Columns]:
    """The tables of unrolled shanks with nothing in them."""
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
        "words": ("x", "y", "words", "style", "align", "down_px", "color"),
    }
    return {name: {column: [] for column in columns} for name, columns in names.items()}


NO_PLANE = Laid(
    empty_plane() | {"words": {"x": [0.0], "y": [0.5], "words": ["one track, no plane"], "style": ["normal"]}},
    (-1.0, 1.0),
    (0.0, 1.0),
    {},
    (0.0, 0.0),
)
"""Where a probe has fewer than two tracks."""


def depth_range_mm(columns: Sequence[Column]) -> tuple[float, float]:
    """The deepest and the highest of all that is shown, but of a target far from the others."""
    tips = max(column.shank.length_um for column in columns)
    depths = [float(each.min()) for column in columns for each in _depths(column.shank) if len(each)]
    depths += [column.planned_um for column in columns if column.planned_um is not None]
    aims = [column.target.depth_um for column in columns if column.target and column.target.depth_um is not None]
    near = [aim for aim in aims if -_BEYOND * tips <= aim <= (1.0 + _BEYOND) * tips]
    return max([tips, *near]) / 1000.0, min([0.0, *depths, *near]) / 1000.0


def _depths(shank: UnrolledShank) -> tuple[Any, ...]:
    return shank.points_um[:, 0], shank.contacts_um[:, 0], shank.units_um


def _drawn(
    columns: Sequence[Column], colors: Mapping[str, str], letters: int, y: tuple[float, float]
) -> dict[str, Columns]:
    """What each source holds; depths in mm."""
    made = empty_tables()
    count, (deepest, top), (high, low) = len(columns), depth_range_mm(columns), y
    bins = [depth_bins(column.shank) for column in columns]
    most = max([int(each.units.max(initial=0)) for each in bins] + [1])
    _add(made["sky"], left=[0.0], right=[count], top=[high], bottom=[0.0])
    _add(made["lines"], x0=[0.0], y0=[0.0], x1=[count], y1=[0.0])
    for i, (column, each) in enumerate(zip(columns, bins, strict=True)):
        shank = column.shank
        for line, words in enumerate(_head(column, letters), 1):
            _say(made, i + 0.02, high, words, down=line * _LINE_PX, style="bold" if column.chosen else "normal")
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
        _say(made, i + _UNITS[1], length, "tip", align="right", down=_LINE_PX)
        _contacts(made["contacts"], shank, i, color)
        for line, words in enumerate(column.undrawn.split()):  # a word a line: the lane of the units is narrow
            _say(made, i + _UNITS[1], 0.5 * deepest, words, align="right", down=line * _LINE_PX)
        _bars(made["bars"], shank, each, i, color, most)
        if column.planned_um is not None:
            _planned(made, i, column.planned_um / 1000.0, "planned surface" if count <= 2 else "planned")
        if column.target is not None and column.target.depth_um is not None:
            at = column.target.depth_um / 1000.0
            _add(made["target"], x=[along], y=[at], where=[_target_words(column.target)])
            beyond = " ↓" if at > deepest else " ↑" if at < top else ""
            _say(made, i + 0.02, low, _aim(column.target, letters - len(beyond)) + beyond, down=-3, color=PLANNED)
    return made


def _planned(made: dict[str, Columns], at: int, depth: float, words: str) -> None:
    """The planned surface, with its words on that side of it on which the surface as drawn does not lie."""
    _add(made["planned"], x0=[at + 0.03], y0=[depth], x1=[at + 0.97], y1=[depth])
    _say(made, at + 0.97, depth, words, align="right", down=-3 if depth <= 0 else _LINE_PX, color=PLANNED)


def _aim(target: TargetOnTrack, letters: int) -> str:
    """The name of a target below its column, where nothing is drawn."""
    words = label(target.words)
    fits = len(words) + 2 <= letters
    return f"◈ {words if fits else shortened(words.removeprefix('target '), letters - 2)}"


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
    align: str = "left",
    style: str = "normal",
    color: str = GREY,
) -> None:
    _add(made["words"], x=[x], y=[y], words=[words], style=[style], align=[align], down_px=[down], color=[color])


def _add(columns: Columns, **more: list[Any] | NDArray[Any]) -> None:
    for name, values in more.items():
        columns[name].extend(values.tolist() if isinstance(values, np.ndarray) else values)
