"""Checks of the brain that the tracks are drawn in: it is there, and its images can be placed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from core.checks.index import CheckIndex, RowPlace
from core.models import Asset, ImageFrame, ImageLayer, Problem, Severity
from core.rules import problem
from core.subjects.shown_image import first_image, shown_channel


def check_brain(index: CheckIndex) -> Iterator[Problem]:
    """Every problem of the stitched asset that the state shows, and of the images it shows of it."""
    for name in dict.fromkeys(image.asset for image in index.state.images if image.asset):
        found = [each for each in index.stitched if each.asset.name == name]
        if not found:
            yield problem("A13", f"The state's brain {name} is not in this library.", measured=name)
        if len({each.asset.id for each in found}) > 1:
            yield problem("A9", f"{len(found)} assets are named {name}.", severity=Severity.ERROR, measured=len(found))
        for each in found:
            yield from ready(each.asset)
            yield from each.problems
    yield from _images(index)


def ready(asset: Asset, place: RowPlace | None = None) -> Iterator[Problem]:
    """The problem of an asset that cannot be attached yet."""
    if asset.state != "ready":
        reason = f": {asset.failure_reason}" if asset.failure_reason else ""
        message = f"{asset.name} is {asset.state}{reason}."
        yield problem("A10", message, **place) if place else problem("A10", message)


def _images(index: CheckIndex) -> Iterator[Problem]:
    """Images that cannot be placed, or not like the first one."""
    first = first_image(index.state)
    seen = set()
    for image in index.state.images:
        if image.asset is None or (image.asset, image.image_file) in seen:
            continue
        seen.add((image.asset, image.image_file))
        frame, fault = _placed(index, image)
        if fault:
            yield problem("A16", fault, severity=None if image is first else Severity.WARNING, measured=image.channel)
        elif first is not None and frame is not None and index.frame is not None:
            differ = _differences(index.frame, frame, index.limits.same_scale)
            if differ:
                told = f"The images {first.name!r} and {image.name!r} differ: {differ}."
                yield problem("A17", f"{told} Points are placed by the first one.", measured=differ)


def _placed(index: CheckIndex, image: ImageLayer) -> tuple[ImageFrame | None, str]:
    """An image's geometry, or what of it is not known; neither for a brain whose own problem says enough."""
    brain = next((each for each in index.stitched if each.asset.name == image.asset), None)
    if brain is None or brain.asset.state != "ready":
        return None, ""
    channel = shown_channel(image, brain)
    if channel is None:
        there = ", ".join(each.path.rpartition("/")[2] for each in brain.channels) or "none"
        return None, f"{brain.asset.name} has no image {image.image_file}; it has {there}."
    if channel.frame is None:
        return None, f"The voxel size or the axes of {image.image_file} in {brain.asset.name} cannot be read."
    if channel.frame.assumed:
        return None, f"{brain.asset.name} does not tell the directions of the axes of {image.image_file}."
    return channel.frame, ""


def _differences(one: ImageFrame, other: ImageFrame, same_scale: float) -> str:
    """In what two images' voxels differ, in words; "" when a voxel of the one is a voxel of the other."""
    differ = []
    pairs = zip(one.scale_level0_um_xyz, other.scale_level0_um_xyz, strict=True)
    if not all(math.isclose(a, b, rel_tol=same_scale) for a, b in pairs):
        differ.append(f"voxels of {_um(one)} and {_um(other)} um along x, y, z")
    if one.directions_xyz != other.directions_xyz:
        differ.append(f"axes towards {', '.join(one.directions_xyz)} and {', '.join(other.directions_xyz)}")
    if one.shape_level0_zyx != other.shape_level0_zyx and min(*one.shape_level0_zyx, *other.shape_level0_zyx) > 0:
        differ.append(f"sizes {one.shape_level0_zyx} and {other.shape_level0_zyx} voxels along z, y, x")
    return "; ".join(differ)


def _um(frame: ImageFrame) -> str:
    return ", ".join(f"{size:g}" for size in frame.scale_level0_um_xyz)
