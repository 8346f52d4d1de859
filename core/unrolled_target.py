"""Where along a drawn track the probe was meant to go."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from core.atlas_frames import AffineAtlas, ccf_um_to_points, points_to_ccf_um
from core.drawn_tracks import ccf_to_ras_um, ras_to_ccf_um
from core.geometry import image_ras_um_to_level0, level0_to_image_ras_um
from core.models import ImageFrame, Recording
from core.plans import plan_of
from core.track_geometry import TrackShape


@dataclass(frozen=True, slots=True)
class TargetOnTrack:
    """A probe's target seen from its track; without numbers when the two cannot be brought into one frame."""

    words: str
    """`target VISp`, or `its target` without a name."""
    depth_um: float | None = None
    """Of the foot of the perpendicular from the target on the line, which goes on beyond its ends."""
    distance_um: float | None = None
    """Of the target from there, in the atlas."""
    unknown: str = ""
    """Why there are no numbers: one sentence, "" when there are."""


def target_on_track(
    shape: TrackShape, frame: ImageFrame, recording: Recording, names: Collection[str], atlas: AffineAtlas | None
) -> TargetOnTrack | None:
    """A probe's target along the line of a track.

    Args:
        shape: The track, in the image's RAS micrometres.
        frame: The image's geometry.
        recording: Tells the target.
        names: Streams of the probe.
        atlas: The way from the image into the atlas, in which targets are told; None when it is not at hand.

    Returns:
        None when the session's files name no target.
    """
    plan = plan_of(recording, names)
    if not plan.structure and plan.point_um is None:
        return None
    if plan.point_um is None:
        told = next((f" in one way: {told}" for rule, told in plan.differing if rule == "T11"), "")
        return TargetOnTrack(plan.words, unknown=f"Where {plan.words} lies, the session's file does not tell{told}.")
    if atlas is None:
        why = f"How deep {plan.words} lies is not known: the registration of this brain is not at hand."
        return TargetOnTrack(plan.words, unknown=why)
    target_um = level0_to_image_ras_um(ccf_um_to_points(ras_to_ccf_um(plan.point_um), atlas), frame)[0]
    depth_um = float((target_um - shape.entry_um) @ shape.direction)
    nearest_um = shape.at_depth_um(depth_um)
    in_atlas_um = ccf_to_ras_um(points_to_ccf_um(image_ras_um_to_level0(nearest_um, frame), atlas))[0]
    return TargetOnTrack(plan.words, depth_um, float(np.linalg.norm(plan.point_um - in_atlas_um)))
