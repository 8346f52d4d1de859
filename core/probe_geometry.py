"""A probe by its part number, and which stretch of each shank a recording heard.

Heights are micrometres above the tip. The catalogue places the lowest row of electrodes about 200 um above it; the
alignment GUI takes 200 um for every probe, and so do pictures and checks unless they ask for the catalogue's number.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.contacts import RecordedContact, all_contacts, catalogue_entry
from core.models import Probe

PITCH_UM = 250.0
"""Distance of neighbouring shanks on nearly every four-shank Neuropixels probe."""
GUI_TIP_UM = 200.0
"""From the tip to the lowest row of electrodes, as the alignment GUI takes it for every probe."""


@dataclass(frozen=True, slots=True)
class ProbeModel:
    """What the catalogue says of a part number."""

    part_number: str
    description: str
    shanks: int
    shank_pitch_um: float
    """Distance of neighbouring shanks; 0 for a probe of one."""
    tip_um: float
    """From the tip to the lowest row of electrodes."""
    rows: int
    """Rows of electrodes on one shank."""
    row_pitch_um: float
    electrodes_per_shank: int

    @property
    def span_um(self) -> float:
        """From the lowest row of electrodes to the highest."""
        return (self.rows - 1) * self.row_pitch_um


@dataclass(frozen=True, slots=True)
class RecordedSpan:
    """The electrodes of one shank that were recorded, in um above the tip."""

    shank: int
    """0-based physical shank."""
    contacts: int
    lowest_um: float
    highest_um: float

    @property
    def length_um(self) -> float:
        """From the lowest recorded electrode to the highest; what lies between may have gaps."""
        return self.highest_um - self.lowest_um


def probe_model(part_number: str) -> ProbeModel | None:
    """The probe of this part number; None when the catalogue does not know it."""
    features = catalogue_entry(part_number)
    if not features:
        return None
    return ProbeModel(
        part_number=part_number,
        description=str(features.get("description", "")),
        shanks=int(features["num_shanks"]),
        shank_pitch_um=float(features["shank_pitch_um"]),
        tip_um=float(features["tip_length_um"]),
        rows=int(features["rows_per_shank"]),
        row_pitch_um=float(features["electrode_pitch_vert_um"]),
        electrodes_per_shank=int(features["electrodes_per_shank"]),
    )


def shank_pitch_um(probe: Probe | None) -> float:
    """Distance of a probe's neighbouring shanks by its part number; the usual one where the catalogue has none."""
    model = probe_model(probe.part_number) if probe is not None else None
    return model.shank_pitch_um if model is not None and model.shank_pitch_um > 0 else PITCH_UM


def model_contacts(part_number: str, shank: int | None = None) -> tuple[RecordedContact, ...]:
    """Every electrode of a part number, or of one of its shanks; () when the catalogue does not know it."""
    return tuple(contact for contact in all_contacts(part_number) if shank is None or contact.shank == shank)


def recorded_spans(probe: Probe, *, tip_um: float = GUI_TIP_UM) -> tuple[RecordedSpan, ...]:
    """Which stretch of each shank was recorded, by shank; () when the recording does not tell its electrodes.

    Args:
        probe: A probe of a recording; for a quad-base probe, one of its shanks.
        tip_um: From the tip to the lowest row of electrodes.
    """
    heights: dict[int, list[float]] = {}
    for contact in probe.contacts:
        heights.setdefault(contact.shank, []).append(contact.y_um + tip_um)
    return tuple(RecordedSpan(shank, len(found), min(found), max(found)) for shank, found in sorted(heights.items()))
