"""The clocks of this machine, read in one place."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jobs.records import Moment


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@cache
def boot_id() -> str:
    """What identifies this boot of the machine; "" where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def moment() -> Moment:
    """Now, by both clocks."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Moment(at=utc_now(), boot_id=boot_id(), boot_s=time.clock_gettime(clock))
