"""The electrodes that a probe recorded from, and the catalogue of Neuropixels probes that places them.

A settings.xml tells them in one of three ways: as positions of its channels, as numbers of electrodes, or as banks of
channels. The last two need the part number. What is not told, or not understood, stays unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple


class RecordedContact(NamedTuple):
    """One electrode."""

    shank: int
    """0-based physical shank."""
    x_um: float
    """Across its own shank, from about the left edge, seen from the side of the contacts with the tip down."""
    y_um: float
    """Above the lowest row of the probe's electrodes, towards the base. The tip lies below 0."""


@cache
def _catalogue() -> Mapping[str, Mapping[str, Any]]:
    file = resources.files("probeinterface") / "resources" / "neuropixels_probe_features.json"
    probes: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["neuropixels_probes"]
    return probes


def catalogue_entry(part_number: str) -> Mapping[str, Any]:
    """What imec's catalogue, as probeinterface carries it, says of a part number; empty when it does not know it."""
    return _catalogue().get(part_number, {})


def contacts_by_position(
    shanks: Mapping[str, int],
    x_um: Mapping[str, str],
    y_um: Mapping[str, str],
    *,
    pitch_um: float,
    shank_in_y: bool = False,
) -> tuple[RecordedContact, ...]:
    """Contacts from the positions of channels, as Open Ephys writes them: shanks side by side in x.

    Args:
        shanks: Channel -> 0-based shank.
        x_um: Channel -> x in um as text.
        y_um: Channel -> y in um as text.
        pitch_um: Distance of neighbouring shanks; 0 for a probe of one.
        shank_in_y: The distance was added to y too, as Open Ephys before 0.6 did.

    Returns:
        One per channel, sorted by shank and height; () when a channel has no position.
    """
    try:
        found = [
            RecordedContact(
                shank,
                _finite(x_um[channel]) - pitch_um * shank,
                _finite(y_um[channel]) - pitch_um * shank * shank_in_y,
            )
            for channel, shank in shanks.items()
        ]
    except (KeyError, ValueError):
        return ()
    return _in_order(found)


def contacts_by_electrode(part_number: str, electrodes: Iterable[int]) -> tuple[RecordedContact, ...]:
    """Contacts from electrode numbers that count through all shanks; () when the catalogue does not know them."""
    features = catalogue_entry(part_number)
    if not features:
        return ()
    per_shank, shanks = int(features["electrodes_per_shank"]), int(features["num_shanks"])
    numbers = list(electrodes)
    if any(not 0 <= number < per_shank * shanks for number in numbers):
        return ()
    return _in_order(_contact(features, *divmod(number, per_shank)) for number in numbers)


def contacts_by_bank(part_number: str, channels: Sequence[tuple[int, int, int]]) -> tuple[RecordedContact, ...]:
    """Contacts from (shank, bank, channel), where channels follow each other along the shank.

    Returns:
        () for probes whose channels are wired in another order, and for unknown ones.
    """
    features = catalogue_entry(part_number)
    if not str(features.get("channel_mapping_type", "")).startswith("simple bank"):
        return ()
    per_bank, per_shank = int(features["channels_per_bank"]), int(features["electrodes_per_shank"])
    on_shank = [bank * per_bank + channel for _, bank, channel in channels]
    if any(not 0 <= electrode < per_shank for electrode in on_shank):
        return ()
    numbers = [shank * per_shank + electrode for (shank, _, _), electrode in zip(channels, on_shank, strict=True)]
    return contacts_by_electrode(part_number, numbers)


def all_contacts(part_number: str) -> tuple[RecordedContact, ...]:
    """Every electrode that a probe of this part number has; () when the catalogue does not know it."""
    features = catalogue_entry(part_number)
    if not features:
        return ()
    return contacts_by_electrode(
        part_number, range(int(features["electrodes_per_shank"]) * int(features["num_shanks"]))
    )


def _contact(features: Mapping[str, Any], shank: int, electrode: int) -> RecordedContact:
    row, column = divmod(electrode, int(features["cols_per_shank"]))
    row_kind = "even" if row % 2 == 0 else "odd"
    left = float(features[f"{row_kind}_row_horz_offset_left_edge_to_leftmost_electrode_center_um"])
    return RecordedContact(
        shank,
        left + column * float(features["electrode_pitch_horz_um"]),
        row * float(features["electrode_pitch_vert_um"]),
    )


def _in_order(contacts: Iterable[RecordedContact]) -> tuple[RecordedContact, ...]:
    return tuple(sorted(contacts, key=lambda contact: (contact.shank, contact.y_um, contact.x_um)))


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
