"""Code Ocean's JSON as our records. Lenient: a field that is missing or odd costs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.errors import UnclearError
from core.loose_json import object_of, text_of
from core.models import Asset
from core.platforms.base import Entry, Mount, Parameter, RunState, RunStatus

_STATES = {
    "initializing": RunState.STARTING,
    "running": RunState.RUNNING,
    "finalizing": RunState.RUNNING,
    "completed": RunState.FINISHED,
    "failed": RunState.FAILED,
}
_GOOD_ENDS = frozenset({"", "succeeded"})
"""No word is one: older servers say none, and the exit code and the results count."""


@dataclass(frozen=True, slots=True)
class Computation:
    """A run as Code Ocean keeps it."""

    id: str
    name: str
    created: datetime | None
    state: str
    end_status: str = ""
    exit_code: int | None = None
    mounts: tuple[Mount, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """Names ("" of a positional one) and values."""
    capsule: str = ""
    ran_s: int | None = None

    @property
    def status(self) -> RunStatus:
        """What it is doing. `completed` alone is no success: a crash has this state too."""
        state = _STATES.get(self.state, RunState.RUNNING)  # a word of tomorrow must not end a run that goes on
        if state is RunState.FINISHED and self.end_status not in _GOOD_ENDS:
            state = RunState.STOPPED if self.end_status == "stopped" else RunState.FAILED
        words = " ".join(filter(None, (self.state, self.end_status)))
        return RunStatus(self.id, state, self.exit_code, words, self.ran_s)


def computation_of(told: object) -> Computation | None:
    """A run from its JSON; None when it is no record of a run at all."""
    record = object_of(told)
    if not text_of(record.get("id")):
        return None
    return Computation(
        id=text_of(record["id"]),
        name=text_of(record.get("name")),
        created=time_of(record.get("created")),
        state=text_of(record.get("state")) or "unknown",
        end_status=_end(record),
        exit_code=_whole(record.get("exit_code")),
        mounts=tuple(
            Mount(text_of(one.get("id")), text_of(one.get("mount"))) for one in objects_of(record.get("data_assets"))
        ),
        parameters=tuple(
            (text_of(one.get("param_name") or one.get("name")), text_of(one.get("value")))
            for one in objects_of(record.get("parameters"))
        ),
        capsule=text_of(record.get("capsule_id")),
        ran_s=_whole(record.get("run_time")),
    )


def _end(record: dict[str, Any]) -> str:
    """How it ended; an exit code that is there and cannot be read is no good end."""
    code = record.get("exit_code")
    if code is not None and _whole(code) is None:
        return f"exit code {str(code)[:20]!r}"
    return text_of(record.get("end_status"))


def asset_of(told: object) -> Asset | None:
    """An asset from its JSON; None when it is no record of an asset at all."""
    record = object_of(told)
    if not text_of(record.get("id")):
        return None
    source, provenance = object_of(record.get("source_bucket")), record.get("provenance")
    made_from = object_of(provenance).get("data_assets")
    computation = text_of(object_of(provenance).get("computation"))
    return Asset(
        id=text_of(record["id"]),
        name=text_of(record.get("name")),
        type=text_of(record.get("type")) or "dataset",
        # What is not said to be ready is not used.
        state=text_of(record.get("state")) or "unknown",
        tags=tuple(tag for tag in _list(record.get("tags")) if isinstance(tag, str)),
        created=time_of(record.get("created")),
        description=text_of(record.get("description")),
        custom_metadata=object_of(record.get("custom_metadata")),
        provenance_data_assets=(
            tuple(one for one in made_from if isinstance(one, str)) if isinstance(made_from, list) else None
        ),
        provenance_computation=computation or None,
        bucket=text_of(source.get("bucket")) or None,
        prefix=text_of(source.get("prefix")).strip("/") or None,
        failure_reason=text_of(record.get("failure_reason")) or text_of(record.get("transfer_error")),
    )


def parameters_of(panel: object) -> tuple[Parameter, ...]:
    """The options of a capsule's app panel."""
    found = []
    for one in objects_of(object_of(panel).get("parameters")):
        name = text_of(one.get("param_name")) or text_of(one.get("name"))
        if name:
            found.append(
                Parameter(
                    name=name,
                    default=_as_text(one.get("default_value")),
                    required=one.get("required") is True,
                    help=text_of(one.get("help_text")) or text_of(one.get("description")),
                    choices=tuple(_as_text(choice) for choice in _list(one.get("value_options"))),
                )
            )
    return tuple(found)


def baked_in(panel: object) -> dict[str, str]:
    """The assets that a capsule brings itself, id -> folder; attaching one again is refused."""
    told = objects_of(object_of(panel).get("data_assets"))
    return {text_of(one["id"]): text_of(one.get("mount")) for one in told if text_of(one.get("id"))}


def versions_of(capsule: object) -> tuple[str, ...]:
    """A capsule's released versions, newest first, as their major numbers: what a run is asked for by."""
    majors = {_whole(one.get("major_version")) for one in objects_of(object_of(capsule).get("versions"))}
    return tuple(str(major) for major in sorted((m for m in majors if m is not None), reverse=True))


def entries_of(told: object, where: str) -> tuple[Entry, ...]:
    """The files and folders of a listing, by name. Raises UnclearError when it is no listing, or not all of it is."""
    items = object_of(told).get("items")
    names = [text_of(one.get("name")).strip("/") for one in objects_of(items)]
    if not isinstance(items, list) or len(names) != len(items) or not all(names):
        raise UnclearError("the answer holds no list of files", where=where)
    found = []
    for one, name in zip(items, names, strict=True):
        kind, size = one.get("type"), _whole(one.get("size"))
        if kind not in ("file", "folder") and size is None:
            raise UnclearError(f"the answer does not say what {name[:80]} is", where=where)
        if "/" not in name:
            found.append(Entry(name, kind == "folder", size))
    return tuple(sorted(found, key=lambda entry: entry.name))


def objects_of(value: object) -> Sequence[dict[str, Any]]:
    """The JSON objects of a list; none when it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else ()


def time_of(value: object) -> datetime | None:
    """A time given as seconds since 1970, in UTC; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_text(value: object) -> str:
    return "" if value is None else str(value)
