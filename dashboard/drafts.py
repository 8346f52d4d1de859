"""Mappings in the making, kept in the store: per person, mouse and state, so that a reload or a crash costs nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from core.launch_digest import drawn_digest
from core.models import Assignment
from dashboard.edits import Row
from dashboard.opening import Given
from dashboard.state import Held, Opened
from jobs.store import JobStore

_SCHEMA = 1
_LAST_STATES = "last states"
STATES_KEPT = 10
"""Pasted states that are kept of each person; each has at most 16 MiB."""
_DIGITS = 16
_FIELDS = ("track", "recording", "sorting", "stream", "surface", "note")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A draft that another window wrote since this one last read it."""

    draft: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def saved(self) -> datetime | None:
        """When it was written, as it says."""
        try:
            return datetime.fromisoformat(str(self.draft.get("saved")))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class _Known:
    """What stands in the store of one draft, as this window last read or wrote it."""

    draft: dict[str, Any] | None
    rows: tuple[Row, ...] | None


class Drafts:
    """The drafts of one person, as one window keeps them; what another one wrote is never overwritten unasked.

    Args:
        store: Where they are kept.
        user: Whose they are.
    """

    def __init__(self, store: JobStore, user: str) -> None:
        self._store, self._user = store, user
        self._names: dict[str, str] = {}
        """By digest of a state's bytes, the name of its draft: what is drawn is digested once, not every second."""
        self._known: dict[str, _Known] = {}
        self.elsewhere: Elsewhere | None = None
        """What another window wrote of the mapping that is open here, until a person chooses."""

    def restore(self, opened: Opened) -> tuple[Row, ...] | None:
        """The rows of this state's draft, or None. Rows of a foreign form or of tracks that are gone are left out."""
        name = self._name(opened)
        draft = self._store.get_draft(self._user, name)
        known = self._known[name] = _Known(draft, read_rows(draft, opened))
        self.elsewhere = None
        return known.rows

    def save(self, held: Held) -> bool:
        """Keep a session's rows when they differ from what is kept; True when something was written.

        Where another window wrote meanwhile, nothing is written and `elsewhere` says what stands there.
        """
        opened, rows = held.opened, held.rows
        if opened is None or not opened.whole:
            return False
        name = self._name(opened)
        known = self._known.get(name, _Known(None, None))
        standing = self._store.get_draft(self._user, name)
        if standing is not None and standing != known.draft:
            theirs = read_rows(standing, opened)
            if theirs is not None and theirs != rows:
                self.elsewhere = Elsewhere(standing, theirs)
                return False
            known = self._known[name] = _Known(standing, theirs)
        self.elsewhere = None
        if known.rows == rows or (known.rows is None and not held.is_touched):
            return False  # kept already, or just opened: an untouched mapping is no draft
        draft = {
            "schema": _SCHEMA,
            "saved": datetime.now(UTC).isoformat(),
            "state_sha256": opened.state.sha256,
            "rows": [{"id": row.id, **asdict(row.assignment)} for row in rows],
        }
        if not self._store.replace_draft(self._user, name, standing, draft):
            return False  # written by another window this very moment: the next look finds it
        self._known[name] = _Known(draft, rows)
        return True

    def settle(self, opened: Opened) -> None:
        """A person has chosen between this window's mapping and `elsewhere`: the one shown here is kept from now on."""
        if self.elsewhere is not None:
            self._known[self._name(opened)] = _Known(self.elsewhere.draft, self.elsewhere.rows)
            self.elsewhere = None

    def _name(self, opened: Opened) -> str:
        sha256 = opened.state.sha256
        if sha256 not in self._names:
            self._names[sha256] = draft_name(opened)
        return self._names[sha256]

    def keep_state(self, opened: Opened) -> None:
        """Keep the bytes of a pasted or uploaded state, so that a reload opens it again. The last few are kept."""
        sha256 = opened.state.sha256
        data = {"stem": opened.state.stem, "sha256": sha256, "text": opened.state.data.decode("utf-8")}
        self._store.set_draft(self._user, _state_name(sha256), data)
        while True:  # another window may keep one at the same time
            known = self._store.get_draft(self._user, _LAST_STATES)
            earlier = (name for name in (known or {}).get("names", []) if name != _state_name(sha256))
            names = [*earlier, _state_name(sha256)]
            if self._store.replace_draft(self._user, _LAST_STATES, known, {"names": names[-STATES_KEPT:]}):
                break
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
    """What a draft belongs to: the mouse and what is drawn, however the state was given."""
    return f"{opened.state.subject or 'unknown'}@{drawn_digest(opened.state)[:16]}"


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
