"""What an input asset says of its launch: enough to know it again when the queue that made it is lost.

The description begins with a sentence for people; its last line is JSON. The tag is common to all input assets of all
launches, and of the form that a platform's search by tag takes whole: small letters, at most 20.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from core.loose_json import count_of, object_of, text_of

if TYPE_CHECKING:
    from core.conversion import ConversionPlan

COMMON_TAG = "trackmapperinput"
NOTE_LIMIT = 1_500
"""Characters of a description; a longer one is not read."""
_MARK = "Trackmapper launch: "
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}", re.ASCII)


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
    told = {key: value for key, value in asdict(note).items() if isinstance(value, int) or _PLAIN.fullmatch(value)}
    return f"{words}\n{_MARK}{json.dumps(told, separators=(',', ':'))}"


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
    return LaunchNote(rows=rows, attempt=attempt, **texts)
