"""Watches that pages are changed in turns only: `panel serve ... --setup tests/lock_watch.py`.

A change of a page's parts by code of ours that does not hold the page's lock is written, with who made it, to the file
that TRACKMAPPER_TEST_LOCKS names. Panel itself takes notices away without the lock, which adds no part.
"""

from __future__ import annotations

import contextvars
import os
import threading
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bokeh.document.models import DocumentModelManager
from bokeh.server.session import ServerSession

_ROOT = str(Path(__file__).parents[1])
_ours = contextvars.ContextVar("ours", default=False)
"""Whether what runs on the event loop has the lock; on another thread only what has it runs."""


def _held(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def held(self: ServerSession, *args: Any, **more: Any) -> Any:
        token = _ours.set(True)
        try:
            return await method(self, *args, **more)
        finally:
            _ours.reset(token)

    return held


def watched(recompute: Callable[[DocumentModelManager], None], told: Path) -> Callable[[DocumentModelManager], None]:
    def watched(self: DocumentModelManager) -> None:
        document = self._document()
        context = document.session_context if document is not None else None
        session = getattr(context, "session", None)
        if session is not None:
            on_loop = threading.current_thread() is threading.main_thread()
            if not session._lock.locked() or (on_loop and not _ours.get()):
                own = [
                    f"{Path(each.filename).name}:{each.lineno} {each.name}"
                    for each in traceback.extract_stack()[:-1]
                    if each.filename.startswith(_ROOT) and "/.venv/" not in each.filename
                ]
                if own:
                    with told.open("a") as file:
                        file.write(" > ".join(own[-4:]) + "\n")
        recompute(self)

    return watched


if path := os.environ.get("TRACKMAPPER_TEST_LOCKS"):
    for name in ("with_document_locked", "_handle_patch", "_handle_pull", "_handle_push"):
        setattr(ServerSession, name, _held(getattr(ServerSession, name)))
    DocumentModelManager.recompute = watched(DocumentModelManager.recompute, Path(path))
