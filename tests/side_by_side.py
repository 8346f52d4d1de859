"""Work in processes of its own, on every core."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence


def side_by_side[T](work: Callable[..., T], tasks: Sequence[tuple[object, ...]]) -> Iterator[T]:
    """The results of some work as they come, of a function that can be imported and its arguments."""
    with multiprocessing.get_context("spawn").Pool(min(len(tasks), os.cpu_count() or 1)) as pool:
        yield from pool.imap_unordered(functools.partial(_apply, work), tasks)


def _apply[T](work: Callable[..., T], task: tuple[object, ...]) -> T:
    return work(*task)
