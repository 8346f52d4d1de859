"""Which track belongs to which probe and shank of which recording: proposals with reasons. A person decides."""

from core.suggestions.door import suggest

__all__ = ["suggest"]
