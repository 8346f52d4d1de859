"""Which image a conversion is placed by."""

from __future__ import annotations

from dataclasses import replace

import builders as b
import pytest

from core.models import ImageChannel, Stitched, Subject
from core.subjects.shown_image import first_image, image_frame_of, shown_brain, shown_channel

OTHER = "Ex_445_Em_469"


def brain(*files: str) -> Stitched:
    """Each image of the brain has as many levels as it has images before it, and one more."""
    channels = tuple(
        ImageChannel(file.removesuffix(".zarr").removesuffix(".ome"), f"x/{file}", b.frame(levels=number))
        for number, file in enumerate(files, 1)
    )
    return replace(b.brain(), channels=channels)


def subject(*stitched: Stitched) -> Subject:
    return b.make_subject(stitched=stitched)


def test_the_first_image_of_a_stitched_asset_counts_not_the_first_channel_of_the_brain():
    plain = {"type": "image", "name": "atlas", "source": "precomputed://gs://atlas"}
    state = b.make_state("t", images=[plain, b.image_json(channel=b.CHANNEL), b.image_json(channel=OTHER)])
    image = first_image(state)
    assert image is not None
    assert image.channel == b.CHANNEL
    frame = image_frame_of(state, subject(brain(f"{OTHER}.zarr", f"{b.CHANNEL}.zarr")))
    assert frame is not None
    assert frame.levels == 2
    seen = shown_brain(state, subject(replace(brain(), asset=b.asset("other")), brain(f"{b.CHANNEL}.zarr")))
    assert seen is not None
    assert (seen[0], seen[1].name) == (b.brain().asset, b.CHANNEL)


@pytest.mark.parametrize(
    ("files", "level"),
    [
        (("E.ome.zarr", "E.zarr"), 2),
        (("E.ome.zarr",), 1),
        (("F.zarr",), None),
        ((), None),
    ],
)
def test_the_exact_file_comes_first_then_the_other_spelling_of_the_channel(files, level):
    state = b.make_state("t", images=[b.image_json(channel="E")])
    found = shown_channel(state.images[0], brain(*files))
    assert (found and found.frame and found.frame.levels) == level
    frame = image_frame_of(state, subject(brain(*files)))
    assert (frame and frame.levels) == level


def test_nothing_is_known_without_a_mouse_a_brain_or_an_image():
    state = b.make_state("t")
    assert image_frame_of(state, None) is None
    assert image_frame_of(state, subject()) is None
    assert image_frame_of(state, subject(replace(brain(f"{b.CHANNEL}.zarr"), asset=b.asset("other")))) is None
    bare = b.make_state("t", images=[{"type": "image", "name": "atlas", "source": "precomputed://gs://atlas"}])
    assert first_image(bare) is None
    assert image_frame_of(bare, subject(b.brain())) is None
