"""Every limit that a check of geometry or time compares with, in one record.

A lab with other tissue or other habits gives other numbers by the setting `thresholds`; a problem always shows both
the number measured and the limit.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace

from core.errors import SettingsError


def _limit(value: float, rule: str, why: str) -> float:
    made: float = field(default=value, metadata={"rule": rule, "why": why})
    return made


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits with their usual values. Names end in the unit; a share is a part of one."""

    fewest_points: float = _limit(2, "T1", "a line needs two points in different places")
    few_points: float = _limit(4, "T1", "fewer points bend with every click")
    many_points: float = _limit(200, "T1", "more points are rarely one track")
    off_line_um: float = _limit(150, "T2", "a probe in tissue bends by less than two of its widths")
    off_line_grave_um: float = _limit(500, "T2", "from here on it is hardly one track")
    backstep_um: float = _limit(50, "T3", "how far a hand jitters along the track")
    gap_um: float = _limit(1_500, "T4", "a straight line over more is a guess")
    same_point_um: float = _limit(5, "T4", "nearer than this nobody clicks on purpose: one point clicked twice")
    shortest_um: float = _limit(500, "T5", "shorter than any useful insertion")
    longest_um: float = _limit(10_000, "T5", "the length of a Neuropixels shank")
    length_share: float = _limit(0.2, "T6", "ends are drawn where dye is seen; the brain's scale is taken out first")
    length_um: float = _limit(500, "T6", "short insertions are judged by this instead of by a share")
    shank_row_um: float = _limit(
        60, "T6", "shanks that lie further off their row are not used to tell the brain's size"
    )
    span_um: float = _limit(300, "T7", "how well both ends of a track are seen")
    tissue_share: float = _limit(
        0.1, "T8", "brightness above the dark around the brain, of bright tissue's: even dim tissue has more"
    )
    outside_um: float = _limit(
        500, "T8", "the surface is blurred by some blocks of 100 um, and often drawn a little above"
    )
    outside_share: float = _limit(0.2, "T8", "long tracks are judged by this instead of by a length")
    tip_outside_um: float = _limit(300, "T8", "some probes pass the whole brain and end just below it")
    steepest_share: float = _limit(0.5, "T9", "the alignment sorts points by depth, which a flat track lacks")
    angle_deg: float = _limit(15, "T10", "drawn lines and manipulators agree within a few degrees")
    angle_tracks: float = _limit(3, "T10", "with fewer known angles the tilt of the image cannot be told from them")
    target_um: float = _limit(1_500, "T11", "several times the usual error of an insertion")
    midline_um: float = _limit(700, "T11", "nearer to the middle of the image the side is not sure")
    atlas_midline_um: float = _limit(300, "T11", "as near to the atlas's midline the affines do not tell the side")
    spacing_least: float = _limit(0.65, "S2", "shanks stand 250 um apart, tissue shrinks by 15 %, clicks err")
    spacing_most: float = _limit(1.4, "S2", "shanks stand 250 um apart, tissue swells by 15 %, clicks err")
    parallel_deg: float = _limit(5, "S3", "shanks are parallel; a line through clicked points errs by a degree or two")
    shank_order_um: float = _limit(50, "S4", "neighbours nearer than this have no order")
    tips_apart_um: float = _limit(400, "S5", "tips of one probe lie level, and dye ends a little off them")
    same_place_um: float = _limit(100, "R4", "two probes cannot be nearer all along")
    crossing_um: float = _limit(70, "R4", "the width of a shank: nearer, two probes would have touched")
    same_scale: float = _limit(0.001, "N10", "voxel sizes that differ by a smaller share are the same but for rounding")
    surface_seconds: float = _limit(600, "R5", "converters take what lasts longer for a main recording")


USUAL = Thresholds()


def read_thresholds(text: str) -> Thresholds:
    """The usual limits with those of a JSON object in place of their own, e.g. `{"angle_deg": 20}`; "" changes none.

    Raises:
        SettingsError: no JSON object, an unknown limit, or one that is no positive number; names it.
    """
    if not text.strip():
        return USUAL
    known = [each.name for each in fields(Thresholds)]
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"It is not JSON: {error}", where=_WHERE, cure=_CURE) from error
    if not isinstance(given, dict):
        raise SettingsError("It is no JSON object.", where=_WHERE, cure=_CURE)
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"There is no limit {name!r}.", where=_WHERE, cure=f"Use {', '.join(known)}.")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:
            raise SettingsError(f"{name} is {value!r}, not a positive number.", where=_WHERE, cure=_CURE)
    return replace(USUAL, **given)


_WHERE = "TRACKMAPPER_THRESHOLDS"
_CURE = 'Write the limits that differ as JSON, e.g. {"angle_deg": 20, "target_um": 2000}.'
