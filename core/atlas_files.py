"""The way of a state's brain into the atlas, read from the few small files that its registration left.

Read are the affine of the stitched asset's registration, what says in which frame it was made, and the affine of the
template that all SmartSPIM brains are registered to. The warps, gigabytes of them, are left alone. That something is
missing or broken costs the atlas and nothing else: `FoundAtlas.why_not` says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from core.atlas_frames import (
    MAX_AFFINE_BYTES,
    Affine,
    AffineAtlas,
    PipelineFrame,
    import_version,
    pipeline_frame,
    read_itk_affine,
)
from core.errors import InputError, NotFoundError, TrackmapperError
from core.geometry import level_scales_um_xyz
from core.loose_json import object_of, objects, text_of
from core.models import Asset, ImageChannel, State, Stitched, Subject
from core.platforms.base import AssetReader
from core.recent import Recent
from core.subjects.asset_files import MAX_JSON_BYTES, read_object
from core.subjects.reading import FileReader, ReadAhead, read_ahead
from core.subjects.shown_image import shown_brain
from core.subjects.stitched import REGISTRATION, channel_name, read_level

TEMPLATE = "SmartSPIM-template_2024-05-16_11-26-14"
"""The asset that leads from the template of every SmartSPIM registration to the atlas."""
TEMPLATE_AFFINE = "spim_template_to_ccf_syn_0GenericAffine_25.mat"
REGISTRATION_AFFINE = "ls_to_template_SyN_0GenericAffine.mat"
_TEMPLATE_BUCKET = "aind-open-data"
_OWN_FRAME = ("ls_to_template_transform_information.json", "transform_information.json")
"""Files by which a registration that was made anew tells a frame of its own."""
_ANCHOR_LEVEL = 3
_SIDE_BY_SIDE = 8
_CURE = "Look at the stitched asset."


@dataclass(frozen=True, slots=True)
class FoundAtlas:
    """The way into the atlas, or why there is none."""

    atlas: AffineAtlas | None = None
    why_not: str = ""
    """One sentence; "" when there is an atlas, and when there is no brain that could have one."""


AtlasCache = Recent[tuple[object, ...], FoundAtlas]


def find_atlas(
    reader: AssetReader, state: State, subject: Subject | None, *, known: AtlasCache | None = None
) -> FoundAtlas:
    """The way into the atlas of the brain that a state shows. Blocks for some small requests; raises nothing.

    Args:
        reader: Where the brain lies.
        state: Its first image that names a stitched asset counts.
        subject: What the platform has of the mouse.
        known: Keeps what was found, also that there is nothing; what could not be asked just now is not kept.
    """
    shown = shown_brain(state, subject)
    if shown is None or subject is None or shown[1].frame is None:
        return FoundAtlas()  # other rules say that the image is not there
    asset, channel = shown
    stitched = next(each for each in subject.stitched if each.asset is asset)

    def find() -> FoundAtlas:
        try:
            return FoundAtlas(read_atlas(reader, stitched, channel))
        except (InputError, NotFoundError) as error:
            return FoundAtlas(None, str(error))

    try:
        if known is None:
            return find()
        return known.get((reader.platform_id, asset.id, asset.name, channel), find)
    except TrackmapperError as error:
        return FoundAtlas(None, str(error))


def read_atlas(reader: AssetReader, stitched: Stitched, channel: ImageChannel) -> AffineAtlas:
    """The way from a channel of a stitched brain into the atlas.

    Args:
        reader: Where the brain lies.
        stitched: The brain.
        channel: Its channel in which the points are drawn.

    Raises:
        NotFoundError: the brain is not registered, or a file is missing.
        InputError: a file cannot be understood, or the registered image is another than the drawn one.
        PlatformError: a file cannot be read.
    """
    if reader.connections <= 0:
        return _read(reader, stitched, channel)
    with ThreadPoolExecutor(min(reader.connections, _SIDE_BY_SIDE), "atlas") as pool:
        return _read(ReadAhead(reader, pool), stitched, channel)


def _read(reader: FileReader, stitched: Stitched, channel: ImageChannel) -> AffineAtlas:
    asset = stitched.asset
    template = Asset(f"s3://{_TEMPLATE_BUCKET}/{TEMPLATE}", TEMPLATE, bucket=_TEMPLATE_BUCKET, prefix=TEMPLATE)
    images = [f"{channel.path}/.zattrs", f"{channel.path}/{_ANCHOR_LEVEL}/.zarray"]
    likely = f"{REGISTRATION}/{channel.name}"
    read_ahead(reader, asset, [REGISTRATION, likely], [("processing.json", MAX_JSON_BYTES)], guessed=True)
    read_ahead(reader, asset, [], [(path, MAX_JSON_BYTES) for path in images], guessed=True)
    read_ahead(reader, asset, [], [(f"{likely}/{REGISTRATION_AFFINE}", MAX_AFFINE_BYTES)], guessed=True)
    read_ahead(reader, template, [], [(TEMPLATE_AFFINE, MAX_AFFINE_BYTES)], guessed=True)

    processing = read_object(reader, asset, "processing.json")
    folder, files = _registration(reader, asset, [*_registered(processing), channel.name])
    if own := sorted(files & set(_OWN_FRAME)):
        raise InputError(
            f"The registration tells a frame of its own in {own[0]}, which is not read here.",
            where=f"{asset.name}/{folder}",
            cure=_CURE,
        )
    to_template = _affine(reader, asset, f"{folder}/{REGISTRATION_AFFINE}")
    to_ccf = _affine(reader, template, TEMPLATE_AFFINE)
    return AffineAtlas(_frame(reader, stitched, channel, folder, processing), to_template, to_ccf)


def _registered(processing: Mapping[str, Any]) -> Iterator[str]:
    """The channels that were registered, as processing.json tells."""
    for process in objects(object_of(processing.get("processing_pipeline")).get("data_processes")):
        if process.get("name") == "Image atlas alignment":
            yield channel_name(PurePosixPath(text_of(process.get("input_location"))).name)


def _registration(reader: FileReader, asset: Asset, likely: Sequence[str]) -> tuple[str, frozenset[str]]:
    """A registration's folder and its files. Any channel's will do: they were imaged together."""
    present = [entry.name for entry in reader.list_folder(asset, REGISTRATION) if entry.is_folder]
    for name in dict.fromkeys([*(name for name in likely if name in present), *present]):
        folder = f"{REGISTRATION}/{name}"
        files = frozenset(entry.name for entry in reader.list_folder(asset, folder))
        if REGISTRATION_AFFINE in files:
            return folder, files
    raise NotFoundError("It is not registered to the template.", where=f"{asset.name}/{REGISTRATION}", cure=_CURE)


def _affine(reader: FileReader, asset: Asset, path: str) -> Affine:
    return read_itk_affine(reader.read_file(asset, path, MAX_AFFINE_BYTES), where=f"{asset.name}/{path}")


def _frame(
    reader: FileReader, stitched: Stitched, channel: ImageChannel, folder: str, processing: Mapping[str, Any]
) -> PipelineFrame:
    """The frame in which the brain was registered, from the channel that was."""
    name = folder.rpartition("/")[2]
    registered = next((each for each in stitched.channels if each.name == name), channel)
    where, frame, version = stitched.asset.name, channel.frame, import_version(processing)
    if frame is None or registered.frame != frame:
        raise InputError(
            f"Registered was {name}, and its voxels are not those of {channel.name}.", where=where, cure=_CURE
        )
    if version is None:
        told = "The version of the step 'Image importing' is not told, so the registration's frame is unknown."
        raise InputError(told, where=f"{where}/processing.json", cure=_CURE)
    if frame.levels <= _ANCHOR_LEVEL:
        return pipeline_frame(frame, version)
    attributes, shape_zyx, _ = read_level(reader, stitched.asset, registered.path, _ANCHOR_LEVEL)
    return pipeline_frame(frame, version, shape_zyx, level_scales_um_xyz(attributes)[_ANCHOR_LEVEL])
