"""Mappings in the making, kept in the store: per person, mouse and state, so that a reload or a crash costs nothing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from core.models import Assignment
from dashboard.edits import Row
from dashboard.opening import Given
from dashboard.state import Opened, Session
from jobs.store import JobStore

_SCHEMA = 1
_LAST_STATES = "last states"
STATES_KEPT = 10
"""Pasted states that are kept of each person; each has at most 16 MiB."""
_DIGITS = 16
_FIELDS = ("track", "recording", "sorting", "stream", "surface", "note")


class Drafts:
    """The drafts of one person.

    Args:
        store: Where they are kept.
        user: Whose they are.
    """

    def __init__(self, store: JobStore, user: str) -> None:
        self._store, self._user = store, user
        self._kept: tuple[str, tuple[Row, ...]] | None = None

    def restore(self, opened: Opened) -> tuple[Row, ...] | None:
        """The rows of this state's draft, or None. Rows of a foreign form or of tracks that are gone are left out."""
        rows = read_rows(self._store.get_draft(self._user, draft_name(opened)), opened)
        self._kept = None if rows is None else (draft_name(opened), rows)
        return rows

    def save(self, session: Session) -> bool:
        """Keep the session's rows when they differ from what is kept; True when something was written."""
        opened, rows = session.opened, session.rows
        if opened is None or not opened.whole or self._kept == (draft_name(opened), rows):
            return False
        if self._kept is None and not session.undoable and not session.redoable:
            return False  # just opened: an untouched mapping is no draft
        self._store.set_draft(
            self._user,
            draft_name(opened),
            {
                "schema": _SCHEMA,
                "saved": datetime.now(UTC).isoformat(),
                "state_sha256": opened.state.sha256,
                "rows": [{"id": row.id, **asdict(row.assignment)} for row in rows],
            },
        )
        self._kept = (draft_name(opened), rows)
        return True

    def keep_state(self, opened: Opened) -> None:
        """Keep the bytes of a pasted or uploaded state, so that a reload opens it again. The last few are kept."""
        sha256 = opened.state.sha256
        data = {"stem": opened.state.stem, "sha256": sha256, "text": opened.state.data.decode("utf-8")}
        self._store.set_draft(self._user, _state_name(sha256), data)
        known = (self._store.get_draft(self._user, _LAST_STATES) or {}).get("names", [])
        names = [*(name for name in known if name != _state_name(sha256)), _state_name(sha256)]
        self._store.set_draft(self._user, _LAST_STATES, {"names": names[-STATES_KEPT:]})
        for name in names[:-STATES_KEPT]:
            self._store.delete_draft(self._user, name)

    def kept_state(self, sha256: str) -> Given | None:
        """The kept state with this digest (or the first 16 digits of it); None when it is not kept."""
        kept = self._store.get_draft(self._user, _state_name(sha256))
        if not kept or len(sha256) < _DIGITS or not str(kept.get("sha256", "")).startswith(sha256):
            return None
        return Given(data=str(kept["text"]).encode("utf-8"), stem=str(kept["stem"]))


def _state_name(sha256: str) -> str:
    return f"state {sha256[:_DIGITS]}"


def draft_name(opened: Opened) -> str:
    """What a draft belongs to: the mouse and the state's digest."""
    return f"{opened.state.subject or 'unknown'}@{opened.state.sha256[:16]}"


def read_rows(draft: dict[str, Any] | None, opened: Opened) -> tuple[Row, ...] | None:
    """The rows of a kept draft; None when there is none, or it is of another version."""
    if not draft or draft.get("schema") != _SCHEMA or not isinstance(draft.get("rows"), list):
        return None
    tracks = {layer.name for layer in opened.state.tracks}
    rows = []
    for entry in draft["rows"]:
        if not isinstance(entry, dict):
            continue
        values = {name: entry.get(name, "") for name in _FIELDS}
        shank = entry.get("shank")
        sound = all(isinstance(value, str) for value in values.values()) and isinstance(entry.get("id"), str)
        if sound and values["track"] in tracks and (shank is None or isinstance(shank, int)):
            rows.append(Row(entry["id"], Assignment(**values, shank=shank, include=entry.get("include") is not False)))
    return tuple(rows)
