"""What an input asset says of its launch: enough to know it again when the queue that made it is lost.

The description begins with a sentence for people; its last line is JSON. The tag is common to all input assets of all
launches, and of the form that a platform's search by tag takes whole: small letters, at most 20.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from core.loose_json import count_of, number_of, object_of, text_of
from core.models import ImageFrame

if TYPE_CHECKING:
    from core.conversion import ConversionPlan

COMMON_TAG = "trackmapperinput"
NOTE_LIMIT = 1_500
"""Characters of a description; a longer one is not read."""
_MARK = "Trackmapper launch: "
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", re.ASCII)
_VALUE = re.compile(r"[ -~]{0,200}", re.ASCII)
_AXES = frozenset({"LR", "PA", "SI"})


@dataclass(frozen=True, slots=True)
class LaunchNote:
    """The essentials of a launch."""

    token: str
    digest: str
    """What makes two launches the same launch."""
    subject: str
    rows: int
    attempt: int
    converter: str
    converter_version: str = ""
    route: str = ""
    monitor: str = ""
    platform_id: str = ""
    acquisition: str = ""
    state_stem: str = ""
    parameters: Mapping[str, str] | None = None
    """The converter's; None when the note does not say, as those of earlier versions do not."""
    frame: ImageFrame | None = None
    """The image's geometry when the mapping was checked; None when it was not known, or the note does not say."""


def described(words: str, plan: ConversionPlan, token: str) -> str:
    """A description for people, with the essentials of the launch behind it."""
    note = LaunchNote(
        token=token,
        digest=plan.digest,
        subject=plan.subject,
        rows=len(plan.rows),
        attempt=plan.attempt,
        converter=plan.converter,
        converter_version=plan.converter_version,
        route=plan.route,
        monitor=plan.monitor,
        platform_id=plan.platform_id,
        acquisition=plan.acquisition or "",
        state_stem=plan.state_stem,
    )
    # What is not said takes no room, and what could not be read back is not said.
    told: dict[str, object] = {
        key: value
        for key, value in asdict(note).items()
        if isinstance(value, int) or (isinstance(value, str) and _PLAIN.fullmatch(value))
    }
    frame = plan.frame
    for key, value, back in (
        ("parameters", dict(plan.parameters), _parameters),
        (
            "frame",
            frame and [*frame.scale_level0_um_xyz, *frame.directions_xyz, *frame.shape_level0_zyx, frame.levels],
            _frame,
        ),
    ):
        if value is not None and back(value) is not None and len(_text(words, {**told, key: value})) <= NOTE_LIMIT:
            told[key] = value
    return _text(words, told)


def _text(words: str, told: Mapping[str, object]) -> str:
    return f"{words}\n{_MARK}{json.dumps(told, separators=(',', ':'))}"


def _parameters(value: object) -> dict[str, str] | None:
    """Parameters as a note says them; None when it says none, or something else."""
    if not isinstance(value, dict):
        return None
    sound = all(
        _PLAIN.fullmatch(name) and isinstance(told, str) and _VALUE.fullmatch(told) for name, told in value.items()
    )
    return dict(value) if sound else None


def _frame(value: object) -> ImageFrame | None:
    """The geometry as a note says it; None when it says none, or something else."""
    if not isinstance(value, list) or len(value) != 10:
        return None
    scale, counts = [number_of(told) for told in value[:3]], [count_of(told) for told in value[6:]]
    x, y, z = (text_of(told) for told in value[3:6])
    axes = {pair for pair in _AXES for told in (x, y, z) if len(told) == 1 and told in pair}
    if axes != _AXES or not all(scale) or not all(counts) or min(told or 0 for told in scale) <= 0:
        return None
    a, b, c = (told or 0.0 for told in scale)
    k, j, i, levels = (told or 0 for told in counts)
    return ImageFrame((a, b, c), (x, y, z), (k, j, i), levels)


def read_note(description: str) -> LaunchNote | None:
    """The essentials that a description ends with; None when it holds none that can be read."""
    _, mark, text = description[: NOTE_LIMIT + 1].rpartition(_MARK)
    if not mark or len(description) > NOTE_LIMIT:
        return None
    try:
        told = object_of(json.loads(text))
    except (ValueError, RecursionError):
        return None
    rows, attempt = count_of(told.get("rows")), count_of(told.get("attempt"))
    texts = {each.name: text_of(told.get(each.name)) for each in fields(LaunchNote) if each.type == "str"}
    sound = all(not value or _PLAIN.fullmatch(value) for value in texts.values())
    if not sound or rows is None or not attempt or not all(texts[k] for k in ("token", "digest", "subject")):
        return None
    parameters, frame = _parameters(told.get("parameters")), _frame(told.get("frame"))
    return LaunchNote(rows=rows, attempt=attempt, parameters=parameters, frame=frame, **texts)
