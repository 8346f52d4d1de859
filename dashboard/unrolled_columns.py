"""What the picture of tracks against recordings shows: one column per track, each with its own probe beside it."""

from __future__ import annotations

from dataclasses import dataclass

from core.unrolled import Unrolled, UnrolledShank
from core.unrolled_target import TargetOnTrack
from dashboard.edits import shank_label


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One track along its depth, with the contacts and units of the probe that is looked at beside it."""

    shank: UnrolledShank
    head: str
    """First line above it; text from outside, not yet made safe for a page."""
    line: str
    """Second line."""
    chosen: bool
    planned_um: float | None = None
    """Depth of the surface by how far the probe was moved in."""
    target: TargetOnTrack | None = None
    undrawn: str = ""
    """What stands in place of contacts and units that no choice was made for."""


def columns_of(unrolled: Unrolled) -> tuple[Column, ...]:
    """The shanks of one probe, first shank first; surface and target are told of the chosen one."""
    return tuple(
        Column(
            shank=shank,
            head=shank_label(shank.number, unrolled.shank_count) if unrolled.shank_count > 1 else "",
            line=shank.track,
            chosen=at == unrolled.chosen,
            planned_um=unrolled.planned_surface_um if at == unrolled.chosen else None,
            target=unrolled.target if at == unrolled.chosen else None,
        )
        for at, shank in enumerate(unrolled.shanks)
    )


def column_of(unrolled: Unrolled, head: str, line: str, *, chosen: bool, undrawn: str = "") -> Column:
    """The chosen shank of one candidate."""
    return Column(
        shank=unrolled.shanks[unrolled.chosen],
        head=head,
        line=line,
        chosen=chosen,
        planned_um=unrolled.planned_surface_um,
        target=unrolled.target,
        undrawn=undrawn,
    )
