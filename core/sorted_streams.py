"""A stream of a sorting, and which of its probe's shanks the sorter's numbers mean.

The sorting pipeline names one folder per shank `..._group<N>`. N is no shank: SpikeInterface numbers the shanks that
have recorded channels, from 0 on in their order, when it reads the recording. Only then is the recording split and each
part sorted by itself. A probe recorded on its third and fourth shank has the groups 0 and 1; one of four recorded
shanks whose sorting failed leaves a gap in the numbers. What is called a shank here is always one of the probe itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MOST_SHANKS = 4
"""No Neuropixels probe has more."""


@dataclass(frozen=True, slots=True)
class SortedStream:
    """One stream of a sorting, named by its exact token."""

    token: str
    shanks: tuple[int, ...]
    """0-based physical shanks that were sorted apart; () when the stream was sorted as a whole."""
    units: int | None = None
    passing: int | None = None
    """Units that pass quality control."""
    groups: tuple[int, ...] = ()
    """The sorter's own number of each of `shanks`, as its files are named; () where these are the same."""
    doubt: str = ""
    """Why `shanks` may be others than these, one sentence without its end; "" when they are known."""

    def group_of(self, shank: int) -> int | None:
        """The sorter's number of a physical shank; None when that was not sorted by itself."""
        return dict(zip(self.shanks, self.groups or self.shanks, strict=True)).get(shank)


def with_physical_shanks(stream: SortedStream, recorded: Sequence[int] | None) -> SortedStream:
    """A stream whose shanks are still the sorter's numbers, with the probe's own shanks in their place.

    The rule: number N is the N-th of the recorded shanks, counted from 0. It is not beyond doubt

    * when settings.xml is not there, unless a number is 3: then all four shanks were recorded, and N is the shank;
    * when the numbers would also be recorded shanks by themselves, and other ones: another pipeline may write those;
    * when fewer shanks were sorted than recorded and the numbers have no gap: whoever numbered them after one was lost
      would write the same. A gap shows that they were numbered before;
    * when the numbers fit neither way: then they are left as they are.

    Args:
        stream: As its files name it: `shanks` holds the sorter's numbers.
        recorded: The probe's 0-based shanks with recorded channels, by settings.xml; None when that is not known.
    """
    groups = stream.shanks
    if not groups:
        return stream
    if recorded is None:
        if MOST_SHANKS - 1 in groups:
            return stream
        told = "without settings.xml the sorter's numbers are known, but not which of the probe's shanks they mean"
        return replace(stream, doubt=told)
    known = sorted(recorded)
    by_rank = tuple(known[group] for group in groups) if max(groups) < len(known) else None
    as_shanks = groups if set(groups) <= set(known) else None
    told = f"the sorter's {_numbers(groups)} may stand for others of the recorded {_labels(known)}"
    if by_rank is None:
        doubt = "" if as_shanks else f"the sorter's {_numbers(groups)} do not fit the recorded {_labels(known)}"
        return replace(stream, doubt=doubt)
    lost_unseen = len(groups) < len(known) and groups == tuple(range(len(groups)))
    another = as_shanks is not None and as_shanks != by_rank
    return replace(
        stream,
        shanks=by_rank,
        groups=() if by_rank == groups else groups,
        doubt=told if lost_unseen or another else "",
    )


def _numbers(groups: Iterable[int]) -> str:
    return f"groups {', '.join(map(str, groups))}"


def _labels(shanks: Iterable[int]) -> str:
    return f"shanks {', '.join(str(shank + 1) for shank in shanks)}"
