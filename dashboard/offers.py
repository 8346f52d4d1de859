"""What can be launched, per version: asked of the platform once, and shared by all sessions of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from core.platforms.base import AssetReader, ConverterOffer

FRESH_S = 600.0


class Offers:
    """The offers that were read. Used from many threads.

    Args:
        reader: Whom to ask.
        clock: Seconds that only grow.
    """

    def __init__(self, reader: AssetReader, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._clock = reader, clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, ConverterOffer]] = {}

    def get(self, version: str = "") -> ConverterOffer:
        """The offer of a version, of the proposed one when "". Blocks while the platform is asked.

        Raises:
            PlatformError: it could not be read.
        """
        with self._lock:
            at, kept = self._kept.get(version, (float("-inf"), None))
            if kept is not None and self._clock() - at < FRESH_S:
                return kept
            offer = self._reader.converter_offer(version)
            self._kept = {key: value for key, value in self._kept.items() if self._clock() - value[0] < FRESH_S}
            self._kept[version] = self._kept[offer.version] = (self._clock(), offer)
            return offer
