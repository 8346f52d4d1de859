"""Watches the event loop of a served dashboard: `panel serve ... --setup tests/bench_loop.py`.

A beat every few milliseconds tells when the loop was held and how long it worked meanwhile, which other processes on
the machine do not change; a thread looks what held it. Each long hold is one line of JSON in the file that
TRACKMAPPER_BENCH_LOOP names.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from tornado.ioloop import IOLoop

BEAT_S, LONG_S = 0.005, 0.06
_ROOT = str(Path(__file__).parents[1])


class Watch:
    """The beat on the loop, and the thread that looks at the loop's stack while it is late."""

    def __init__(self, path: Path) -> None:
        self._path, self._loop = path, IOLoop.current()
        self._last, self._main = time.monotonic(), threading.main_thread().ident
        self._worked = time.thread_time()
        self._seen: collections.Counter[str] = collections.Counter()

    def start(self) -> None:
        """Begin as soon as the loop runs."""
        self._loop.add_callback(self._beat)
        threading.Thread(target=self._look, name="bench", daemon=True).start()

    def _beat(self) -> None:
        now, worked = time.monotonic(), time.thread_time()
        held_s = now - self._last - BEAT_S
        if held_s > LONG_S:
            seen = [{"where": where, "looks": looks} for where, looks in self._seen.most_common(3)]
            with self._path.open("a") as file:
                work_ms = round((worked - self._worked) * 1e3)
                told = {"at": time.time(), "held_ms": round(held_s * 1e3), "work_ms": work_ms, "seen": seen}
                file.write(json.dumps(told) + "\n")
        self._seen.clear()
        self._last, self._worked = now, worked
        self._loop.call_later(BEAT_S, self._beat)

    def _look(self) -> None:
        while True:
            time.sleep(0.01)
            if time.monotonic() - self._last > LONG_S / 2 and self._main is not None:
                frame = sys._current_frames().get(self._main)
                own = [
                    f"{Path(each.filename).name}:{each.name}"
                    for each in traceback.extract_stack(frame)
                    if each.filename.startswith(_ROOT) and "/.venv/" not in each.filename
                ]
                self._seen[" > ".join(own[-3:]) or "libraries alone"] += 1


if path := os.environ.get("TRACKMAPPER_BENCH_LOOP"):
    Watch(Path(path)).start()
