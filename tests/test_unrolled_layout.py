"""What stands where in the picture of tracks against recordings: no word on another, however many columns."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from core.unrolled import UnrolledShank
from core.unrolled_target import TargetOnTrack
from dashboard.saved_unrolled import UnrolledPicture, draw_unrolled
from dashboard.text import in_lines, shortened
from dashboard.unrolled_columns import Column
from dashboard.unrolled_layout import LEAST_BESIDE_PX, LEAST_PX, Laid, lay_out

LONG = "717381_probeB_left_hemisphere_track_001"
NAMES = ("B_0312_shank1", "B_0312_shank2", f"{LONG}1", f"{LONG}2", "20250313_ProbeA_second_day", "641_MD")
AIMS = (
    TargetOnTrack("target MOs", 3050.0, 250.0),
    TargetOnTrack("target VISp2/3 or CA1", 2900.0, 900.0),
    TargetOnTrack("its target", 2500.0, 100.0),
    TargetOnTrack("target retrosplenial area, lateral part", 3000.0, 100.0),
    None,
    TargetOnTrack("target CP", 9000.0, 100.0),
)
PLANNED_UM = (-40.0, 100.0, -10.0, 0.0, -600.0, 30.0)
NOTHING = np.empty(0)


def laid(count: int, least_px: int) -> Laid:
    columns = []
    for at in range(count):
        points = np.array([[0.0, 0.0], [3000.0, 10.0]])
        contacts = np.column_stack([np.arange(-800.0, 2800.0, 200.0), np.full(18, 8.0)])
        shank = UnrolledShank(at, NAMES[at], 3000.0 - 40 * at, points, contacts, NOTHING, None)
        aim, planned = AIMS[at], PLANNED_UM[at]
        columns.append(Column(shank, NAMES[at], f"score · {9.5 - at}", at == 0, planned, aim, "no sorting"))
    return lay_out(columns, {}, least_px=least_px)


def boxes(made: Laid, least_px: int) -> dict[str, tuple[float, float, float, float]]:
    """Left, right, top and bottom of every word in pixels, on the narrowest page."""
    x_px, y_px = (least_px - 64) / made.x[1], 345 / (made.y[1] - made.y[0])
    words, found = made.tables["words"], {}
    for i, said in enumerate(words["words"]):
        wide = 6.5 * len(said)
        left = words["x"][i] * x_px - {"left": 0.0, "center": wide / 2, "right": wide}[words["align"][i]]
        bottom = (words["y"][i] - made.y[0]) * y_px + words["down_px"][i]
        found[f"{i} {said}"] = (left, left + wide, bottom - 12.0, bottom)
    return found


@pytest.mark.parametrize(("count", "least_px"), [(1, LEAST_PX), (2, LEAST_PX), (4, LEAST_PX), (6, LEAST_BESIDE_PX)])
def test_no_words_overlap_or_leave_the_picture(count, least_px):
    made = laid(count, least_px)
    placed = boxes(made, least_px)
    for (one, (left, right, top, bottom)), (other, (left2, right2, top2, bottom2)) in combinations(placed.items(), 2):
        apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
        assert apart, f"{one} lies on {other}"
    for word, (left, right, top, bottom) in placed.items():
        assert left >= 0.0, word
        assert right <= least_px - 64 + 8, word
        assert top >= -1.0, word
        assert bottom <= 346.0, word


def test_names_that_differ_at_their_ends_still_differ():
    words = laid(6, LEAST_BESIDE_PX).tables["words"]["words"]
    ends = [word for word in words if word.endswith(("0011", "0012"))]
    assert len(set(ends)) == 2
    assert "B_0312_shank2" in words, "it fits as it is"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("", ()),
        ("641_MD", ("641_MD",)),
        ("B_0312_shank1", ("B_0312_", "shank1")),
        ("abcdefghijklmn", ("abcdefghij", "klmn")),
        (f"{LONG}1", ("717381_pr…", "track_0011")),
    ],
)
def test_a_name_takes_two_lines_at_most(name, lines):
    assert in_lines(name, 10) == lines


def test_the_middle_is_what_goes():
    assert shortened("VISp2/3 or CA1", 9) == "VISp… CA1"
    assert shortened("CA1", 9) == "CA1"


def test_a_far_target_is_pointed_at_and_squeezes_nothing():
    made = laid(6, LEAST_BESIDE_PX)
    assert any(word.startswith("◈") and word.endswith("↓") for word in made.tables["words"]["words"])
    assert made.depths == (-0.8, 3.05)
    assert made.y[1] < 4.5


def test_lines_of_depth_go_through_no_words_in_the_file_too():
    svg = draw_unrolled(UnrolledPicture("six", laid(6, LEAST_BESIDE_PX)), "svg").decode()
    assert ">units<" in svg
    assert ">4<" not in svg
