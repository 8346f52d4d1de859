"""Which image of which brain a state shows, and its geometry: one answer for checks, pages and conversion.

A state may show several images. The first one that names a stitched asset counts, as it does for the converter.
"""

from __future__ import annotations

from core.models import Asset, ImageChannel, ImageFrame, ImageLayer, State, Stitched, Subject


def first_image(state: State) -> ImageLayer | None:
    """The image layer that a conversion is placed by."""
    return next((image for image in state.images if image.asset), None)


def shown_channel(image: ImageLayer, stitched: Stitched) -> ImageChannel | None:
    """The channel of a brain that an image layer shows; None when it shows another brain or the brain lacks it."""
    if image.asset != stitched.asset.name:
        return None
    by_file = {channel.path.rpartition("/")[2]: channel for channel in stitched.channels}
    files = (image.image_file, f"{image.channel}.zarr", f"{image.channel}.ome.zarr")
    return next((by_file[file] for file in files if file in by_file), None)


def shown_brain(state: State, subject: Subject | None) -> tuple[Asset, ImageChannel] | None:
    """The stitched asset and its channel that a state shows; None when it names none, or the mouse has it not."""
    image = first_image(state)
    if image is None or subject is None:
        return None
    shown = ((stitched.asset, shown_channel(image, stitched)) for stitched in subject.stitched)
    return next(((asset, channel) for asset, channel in shown if channel is not None), None)


def image_frame_of(state: State, subject: Subject | None) -> ImageFrame | None:
    """The geometry that a conversion of this state is placed by.

    Args:
        state: Its first image layer that names a stitched asset counts.
        subject: What the platform has of the mouse.

    Returns:
        The image's frame; `assumed` in it says what its metadata left open. None when the state names no stitched
        asset, the asset is not there, lacks the image, or the image's geometry cannot be read.
    """
    shown = shown_brain(state, subject)
    return None if shown is None else shown[1].frame
