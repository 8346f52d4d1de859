"""What all sessions of one dashboard process share: settings, the reader, the store. Made once, then only read."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from core.errors import PlatformError
from core.platforms.base import AssetReader, Health
from core.platforms.choice import make_reader
from core.settings import Settings, load_settings
from jobs.leadership import is_led
from jobs.records import JobRecord
from jobs.store import JobStore

HEALTH_SECONDS = 20.0


@dataclass(slots=True)
class Context:
    """Settings, reader and store of this process. Sessions on several threads share it."""

    settings: Settings
    reader: AssetReader
    store: JobStore
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _health: tuple[float, Health] = (float("-inf"), Health())

    def platform_health(self) -> Health:
        """How the platform answers; asked again at most every 20 s for all sessions."""
        with self._lock:
            if time.monotonic() - self._health[0] > HEALTH_SECONDS:
                self._health = (time.monotonic(), self.reader.health())
            return self._health[1]

    def worker_alive(self) -> bool:
        """True while a worker leads the jobs of this data folder: asked of the kernel, not of a clock."""
        return is_led(self.settings.data)

    def job_log(self, job: JobRecord, limit: int) -> str:
        """The end of a job's log; "" when there is none (any more)."""
        if not job.ids.run:
            return ""
        try:
            return self.reader.read_log(job.ids.run, limit).decode("utf-8", "replace")
        except PlatformError as error:
            return str(error)


_made: Context | None = None
_making = threading.Lock()


def get_context() -> Context:
    """The context of this process, made by the first session.

    Raises:
        SettingsError: A setting cannot be used.
        StoreUnusableError: The data folder cannot be used.
    """
    global _made  # one per process by design: a store and a reader are shared by all sessions
    with _making:
        if _made is None:
            settings = load_settings()
            _made = Context(settings, make_reader(settings), JobStore(settings.data))
        return _made
