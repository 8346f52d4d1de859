"""What varies between synthetic mice, and by how much.

`RANGES` was written before any limit was tuned; what changed later stands in docs/truth.md. Every field can be given
another value at the command line: `make truth TRUTH="--set tilt_deg=25 --set sessions=1,2"`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

HABITS = ("date and probe in full", "letter and date", "letter and day", "numbers")


@dataclass(frozen=True)
class Ranges:
    """What varies between mice: lowest and highest, or the standard deviation where the name says error."""

    sessions: tuple[int, int] = (1, 4)
    probes: tuple[int, int] = (1, 5)
    four_shanks_share: float = 0.3
    split_share: float = 0.1
    recorded_in_part: float = 0.25
    """Share of four-shank probes that recorded on one, two or three of their shanks; only these were drawn."""
    depth_um: tuple[float, float] = (2_000.0, 5_000.0)
    angle_deg: float = 22.0
    aim_above_tip_um: tuple[float, float] = (0.0, 600.0)
    aim_error_um: float = 200.0
    registration_error_um: float = 150.0
    angle_error_deg: float = 1.5
    atlas_pitch_deg: float = 5.0
    depth_error_share: float = 0.02
    depth_error_um: float = 50.0
    scale: tuple[float, float] = (0.85, 1.15)
    tilt_deg: float = 15.0
    off_centre_error_um: float = 250.0
    warp_um: float = 100.0
    points: tuple[int, int] = (8, 50)
    click_um: tuple[float, float] = (5.0, 25.0)
    bend_um: float = 80.0
    entry_error_um: float = 100.0
    tip_error_um: float = 60.0
    apart_um: float = 500.0
    aims_missing: float = 0.3
    angles_missing: float = 0.3
    depths_missing: float = 0.4
    contacts_missing: float = 0.3
    probe_missing: float = 0.1
    surface_share: float = 0.4
    names_swapped: float = 0.05
    habits: tuple[float, ...] = (0.25, 0.25, 0.2, 0.3)


RANGES = Ranges()

_SHARES = ("four_shanks_share", "split_share", "recorded_in_part", "surface_share", "names_swapped")
_PAIRS = ("sessions", "probes", "depth_um", "aim_above_tip_um", "scale", "points", "click_um")
_MOST = {"sessions": 20, "probes": 6}
"""The days before the brain is imaged, the letters of probes."""
_LEAST = {"sessions": 1, "probes": 1, "points": 3, "scale": 0.1, "depth_um": 500}


def ranges_with(texts: Iterable[str], ranges: Ranges = RANGES) -> Ranges:
    """The ranges with some of other values, each written `name=value` or `name=lowest,highest`.

    Raises:
        ValueError: an unknown name, or a value that its field cannot have; says which and what is expected.
    """
    given: dict[str, object] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ValueError(f"{text!r} is not name=value")
        if name not in {field.name for field in fields(Ranges)}:
            raise ValueError(
                f"there is no range {name!r}; there are {', '.join(field.name for field in fields(Ranges))}"
            )
        given[name] = _read(name, value, getattr(ranges, name))
    made = replace(ranges, **given)  # type: ignore[arg-type]
    if made.four_shanks_share + made.split_share > 1.0:
        raise ValueError("four_shanks_share and split_share are together more than 1")
    return made


def _read(name: str, text: str, usual: object) -> object:
    several = usual if isinstance(usual, tuple) else (usual,)
    whole = isinstance(several[0], int)
    wanted = f"{len(several)} {'whole ' if whole else ''}number{'s' if len(several) > 1 else ''}"
    try:
        numbers = [(int if whole else float)(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(several) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} is {wanted}{' with commas' if len(several) > 1 else ''}, not {text!r}")
    least = _LEAST.get(name, 0)
    if min(numbers) < least:
        raise ValueError(f"{name} is at least {least}, not {text}")
    if name in _PAIRS and numbers[0] > numbers[1]:
        raise ValueError(f"{name} is lowest and highest, not {text}")
    if (name in _SHARES or name.endswith("_missing")) and numbers[0] > 1:
        raise ValueError(f"{name} is a share of 0 to 1, not {text}")
    if numbers[-1] > _MOST.get(name, math.inf):
        raise ValueError(f"{name} are {_MOST[name]} at most, not {numbers[-1]}")
    if name == "habits" and not math.isclose(sum(numbers), 1.0, abs_tol=1e-6):
        raise ValueError(f"habits are shares of {', '.join(HABITS)} that make 1, not {text}")
    return tuple(numbers) if isinstance(usual, tuple) else numbers[0]
