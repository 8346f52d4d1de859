"""The probes of a mouse's recordings as places that tracks can be given to, each with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from core.asset_names import split_stream
from core.models import Recording, Role, Subject
from core.plans import ProbePlan, plan_of
from core.probe_geometry import recorded_spans
from core.slots import probe_of, recorded_shanks, recording_day, shank_doubt, sorted_shanks, stream_names


@dataclass(frozen=True, slots=True, eq=False)
class ProbeSlot:
    """One probe of one recording; each of its positions takes one track."""

    recording: Recording
    base: str
    """The probe's name: its stream, or what its split streams share."""
    positions: tuple[tuple[str, int | None], ...]
    """(stream, 0-based physical shank of the probe, None where the stream is one shank) by physical shank."""
    plan: ProbePlan
    lowest_um: float | None
    """The lowest recorded electrode above the tip; None when unknown."""

    @property
    def words(self) -> str:
        """`ProbeA of 2024-11-07`."""
        return f"{self.base} of {recording_day(self.recording) or self.recording.name}"

    def physical_shank(self, position: int) -> int:
        """0-based shank of the probe that a position is."""
        stream, shank = self.positions[position]
        if shank is not None:
            return shank
        return 0 if stream == self.base else int(stream.rpartition("-")[2]) - 1

    def nameable(self, position: int) -> tuple[str, int | None, str]:
        """A position as a row can name it, and the doubt about its shank; a shank that no sorting holds stays open."""
        stream, shank = self.positions[position]
        if shank is not None and shank not in sorted_shanks(self.recording, stream):
            return stream, None, f"shank {shank + 1} was recorded, but no usable sorting holds it"
        return stream, shank, "" if shank is None else shank_doubt(self.recording, stream)


def probe_slots(subject: Subject) -> tuple[ProbeSlot, ...]:
    """Every probe of every recording that is not only a surface recording, in the order of the recordings."""
    slots = []
    for recording in subject.recordings:
        if recording.role is Role.SURFACE:
            continue
        streams = stream_names(recording)
        bases: dict[str, list[str]] = {}
        for stream in streams:
            split = split_stream(stream, streams)
            bases.setdefault(split[0] if split else stream, []).append(stream)
        for base, own in bases.items():
            positions = tuple(
                (stream, shank) for stream in own for shank in (recorded_shanks(recording, stream) or (None,))
            )
            lowest = [
                span.lowest_um
                for stream in own
                if (probe := probe_of(recording, stream)) is not None
                for span in recorded_spans(probe)
            ]
            plan = plan_of(recording, {base, *own})
            slots.append(ProbeSlot(recording, base, positions, plan, min(lowest, default=None)))
    return tuple(slots)
