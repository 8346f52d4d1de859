"""What all sessions of one dashboard process share: settings, reader, store and what was read with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from core.atlas_files import AtlasCache
from core.brain_image_cache import BrainImageFiles
from core.brain_images import BrainImage, read_brain_image
from core.checks.thresholds import read_thresholds
from core.models import Asset, ImageChannel, Recording, Sorting
from core.platforms.base import AssetReader
from core.platforms.choice import is_code_ocean, make_reader
from core.recent import Recent
from core.settings import Settings, load_settings
from core.subjects.facts import Fact, read_more_facts
from core.subjects.units import StreamUnits, UnitsCache, read_units
from dashboard.health import HealthWatch, WorkerSeen
from dashboard.job_log import KeptLog, read_job_log
from dashboard.mice import Mice
from dashboard.offers import Offers
from jobs.data_folder import DataFolder
from jobs.leadership import is_led
from jobs.records import JobRecord
from jobs.store import JobStore

PLATFORM_THREADS = 24
STREAMS_KEPT = 128
ATLASES_KEPT = 64


@dataclass(slots=True)
class Context:
    """Settings, reader and store of this process. Sessions on several threads share it."""

    settings: Settings
    reader: AssetReader
    store: JobStore
    health: HealthWatch = field(init=False)
    mice: Mice = field(init=False)
    offers: Offers = field(init=False)
    brains: BrainImageFiles = field(init=False)
    units: UnitsCache = field(default_factory=lambda: Recent(STREAMS_KEPT), init=False)
    atlases: AtlasCache = field(default_factory=lambda: Recent(ATLASES_KEPT), init=False)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.health, self.mice, self.offers = HealthWatch(self.reader), Mice(self.reader), Offers(self.reader)
        self.brains = BrainImageFiles(DataFolder.at(self.settings.data).brain_images)
        self._threads = ThreadPoolExecutor(PLATFORM_THREADS, thread_name_prefix="platform")

    async def ask[**P, T](self, what: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Do what waits for the platform, on threads of its own: a slow platform holds no page's clock up."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: what(*args, **more))

    async def units_of(self, sorting: Sorting, token: str) -> StreamUnits:
        """The units of one stream, read once while they are looked at.

        Raises:
            PlatformError: they cannot be read now.
        """
        return await self.ask(read_units, self.reader, sorting, token, known=self.units)

    async def facts_of(self, recording: Recording) -> tuple[Fact, ...]:
        """What a recording's files tell beyond what its gathering asked for.

        Raises:
            PlatformError: they cannot be read now.
        """
        return await self.ask(read_more_facts, self.reader, recording)

    async def brain_of(
        self, asset: Asset, channel: ImageChannel, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> BrainImage:
        """The brain that a state shows, from this machine's disk when it was read before.

        Raises:
            NotFoundError, InputError, PlatformError: it cannot be shown.
            CancelledError: `cancelled` said so.
        """
        share = read_thresholds(self.settings.thresholds).tissue_share
        more = {"tissue_share": share, "progress": progress, "cancelled": cancelled}
        read = partial(read_brain_image, cache=self.brains, **more)
        return await self.ask(read, self.reader, asset, channel)

    @property
    def costs(self) -> str:
        """What a launch costs, in words; "" when nothing."""
        return f"starts a paid run on {self.reader.name}" if is_code_ocean(self.settings) else ""

    @property
    def place(self) -> str:
        """What people call the place of the assets, as the beginning of a sentence."""
        return self.reader.name if is_code_ocean(self.settings) else "This library"

    def worker(self) -> WorkerSeen:
        """The worker of this data folder: whether one leads is asked of the kernel, not of a clock."""
        if not is_led(self.settings.data):
            return WorkerSeen(alive=False)
        paused = self.store.paused_by()
        status = self.store.worker_status()
        return WorkerSeen(alive=True, waiting=f"paused by {paused}" if paused else status.waiting if status else "")

    def job_log(self, job: JobRecord, limit: int) -> KeptLog:
        """The end of a job's log; blocks while the platform is asked."""
        return read_job_log(self.reader, self.store, job, limit)


_made: Context | None = None
_making = threading.Lock()


def get_context() -> Context:
    """The context of this process, made by the first session.

    Raises:
        TrackmapperError: A setting or the data folder cannot be used.
    """
    global _made  # one per process by design: a store and a reader are shared by all sessions
    with _making:
        if _made is None:
            settings = load_settings()
            _made = Context(settings, make_reader(settings), JobStore(settings.data))
        return _made
