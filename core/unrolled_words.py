"""The picture of a track against its recording in sentences with numbers."""

from __future__ import annotations

import numpy as np

from core.shank_geometry import side_of
from core.unrolled import ShankPlane, Unrolled, UnrolledShank


def describe(unrolled: Unrolled) -> tuple[str, ...]:
    """The picture in sentences with numbers: the row's own shank first, then the probe, then what is not known."""
    shank = unrolled.shanks[unrolled.chosen]
    told = [
        f"The track is {_mm(shank.length_um)} long; its {len(shank.points_um):,} points lie "
        f"{shank.residual_rms_um:.0f} um from a straight line (root mean square).",
        *_contact_words(shank),
        *_unit_words(shank),
    ]
    surface = unrolled.planned_surface_um
    if surface is not None:
        off = f"{_mm(abs(surface))} {'above' if surface < 0 else 'below'}" if abs(surface) >= 5.0 else "at"
        told.append(
            f"The probe was moved in by {unrolled.inserted_um:,.0f} um: by that the surface lies {off} the "
            "upper end of the track."
        )
    told += _target_words(unrolled)
    told += _other_shanks(unrolled)
    if f"{unrolled.scale:.2f}" != "1.00" and any(len(each.contacts_um) for each in unrolled.shanks):
        told.append(
            f"Heights on the probe are multiplied by {unrolled.scale:.2f}: the size of this tissue, by the distances "
            "of tracks that stand like the shanks of one probe."
        )
    return (*told, *unrolled.unknown)


def _target_words(unrolled: Unrolled) -> list[str]:
    target, length = unrolled.target, unrolled.shanks[unrolled.chosen].length_um
    if target is None or target.depth_um is None or target.distance_um is None:
        return []
    depth = target.depth_um
    if depth < 0:
        where = f"{_mm(-depth)} above the upper end"
    elif depth > length:
        where = f"{_mm(depth - length)} below the tip"
    else:
        where = f"at a depth of {_mm(depth)}"
    return [f"{target.words[0].upper()}{target.words[1:]} lies {_mm(target.distance_um)} beside the line, {where}."]


def _contact_words(shank: UnrolledShank) -> list[str]:
    if not len(shank.contacts_um):
        return []
    depths, total, out = shank.contacts_um[:, 0], len(shank.contacts_um), int(shank.above.sum())
    if out:
        first = f"{out} of {total} contacts lie above the surface, up to {_mm(-float(depths.min()))}."
    else:
        first = f"All {total} contacts lie below the surface, the highest {_mm(float(depths.min()))} below it."
    bare = 0 if shank.no_tissue is None else int((shank.no_tissue & ~shank.above).sum())
    more = [f"{bare} of {total} contacts lie where the image shows no tissue."] if bare else []
    return [first, *more, f"The deepest contact is {_mm(shank.length_um - float(depths.max()))} above the tip."]


def _unit_words(shank: UnrolledShank) -> list[str]:
    total = len(shank.units_um)
    if not total:
        return []
    good = "" if shank.passing is None else f", {int(shank.passing.sum()):,} of which pass quality control"
    out = int((shank.units_um < 0).sum())
    low, high = float(shank.units_um.min()), float(shank.units_um.max())
    above = f"; {out:,} of them lie above the surface" if out else ""
    return [f"{total:,} units{good}, at depths from {_mm(low)} to {_mm(high)}{above}."]


def _other_shanks(unrolled: Unrolled) -> list[str]:
    told = []
    bare = [str(shank.number + 1) for shank in unrolled.shanks if not shank.track]
    if bare:
        told.append(f"No row gives a track to shank {', '.join(bare)} of {unrolled.shank_count}.")
    plane = unrolled.plane
    if plane is not None:
        apart = "; ".join(f"{one + 1} to {other + 1}: {um:.0f} um" for one, other, um in plane.spacings)
        told.append(f"Distances of neighbouring shanks as drawn: {apart}.")
        told.append(_facing_words(plane))
    return told


def _facing_words(plane: ShankPlane) -> str:
    """How the shanks stand in the brain, and which way the contacts look if that is right: a question for a person."""
    layout = plane.layout
    stand = ", ".join(str(plane.numbers[at] + 1) for at in layout.order)
    start, end = side_of(layout.across)
    first, last = np.argmin(plane.numbers), np.argmax(plane.numbers)
    rising = layout.across * np.sign(layout.position_um[last] - layout.position_um[first])
    # Seen from the side of the contacts shank 1 is left and the tips are down: they look along rising x up.
    faced = side_of(np.cross(rising, -layout.axis))[1]
    return (
        f"From {start} to {end} the shanks stand as {stand}. Shank 1 is the left-most one seen from the side of the "
        f"contacts, so they would look towards the {faced}; whether they did, the tracks do not tell."
    )


def _mm(um: float) -> str:
    return f"{um / 1000.0:.2f} mm"
