"""A stitched SmartSPIM asset: its fused channels, where they lie in the brain, and what a conversion would miss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InputError, NotFoundError, TrackmapperError
from core.geometry import image_frame
from core.loose_json import object_of, objects, text_of
from core.models import Asset, ImageChannel, Problem, Severity, Stitched
from core.rules import problem
from core.subjects.asset_files import MAX_JSON_BYTES, list_optional, read_listed, read_object
from core.subjects.reading import FileReader, read_ahead

IMAGES = "image_tile_fusing/OMEZarr"
REGISTRATION = "image_atlas_alignment"
MIN_LEVELS = 4
MIN_PIPELINE = 3
_TRANSFORMS = tuple(
    f"ls_to_template_SyN_{end}" for end in ("0GenericAffine.mat", "1InverseWarp.nii.gz", "1Warp.nii.gz")
)


def channel_name(image_file: str) -> str:
    """`Ex_639_Em_667` of `Ex_639_Em_667.ome.zarr` or `Ex_639_Em_667.zarr`."""
    return image_file.removesuffix(".zarr").removesuffix(".ome")


def read_stitched(reader: FileReader, asset: Asset) -> Stitched:
    """Read a stitched asset. Whatever is missing or odd becomes a problem, never an exception."""
    problems = list(asset.problems)
    if asset.state != "ready":
        told = f"{asset.name} is {asset.state}" + (f": {asset.failure_reason}" if asset.failure_reason else "") + "."
        return Stitched(asset, (), (*problems, problem("A10", told, recording=asset.name)))
    files = ("metadata.nd.json", "acquisition.json", "processing.json")
    read_ahead(reader, asset, ("", IMAGES, REGISTRATION), [(name, MAX_JSON_BYTES) for name in files], guessed=True)
    try:
        root = {entry.name for entry in reader.list_folder(asset)}
        names = [entry.name for entry in list_optional(reader, asset, IMAGES) if entry.name.endswith(".zarr")]
        images = [f"{IMAGES}/{name}/{file}" for name in names for file in (".zattrs", "0/.zarray")]
        read_ahead(reader, asset, files=[(path, MAX_JSON_BYTES) for path in images])
        registered = _registered(reader, asset) if REGISTRATION in root else {}
    except TrackmapperError as error:
        told = f"The files of {asset.name} cannot be listed: {error.message}"
        return Stitched(asset, (), (*problems, problem("A14", told, recording=asset.name)))
    metadata, acquisition, processing = (
        read_listed(reader, asset, name, problems) if name in root else {} for name in files
    )
    # The converters take metadata.nd.json first, so it counts here too.
    told_axes = [one for one in (object_of(metadata.get("acquisition")), acquisition) if objects(one.get("axes"))]
    if len({_directions(one) for one in told_axes}) > 1:
        told = f"metadata.nd.json and acquisition.json of {asset.name} give the image's axes different directions."
        cure = "Find out which one is true: with the wrong one every track is mirrored or turned."
        problems.append(problem("A8", told, severity=Severity.CONFIRM, cure=cure, recording=asset.name))
    axes = next(iter(told_axes), {})
    channels = tuple(_channel(reader, asset, name, axes, problems) for name in names)
    lacks = _lacks(channels, root, processing, registered)
    for what in lacks:
        told = f"{asset.name}: {what}."
        cure = "A conversion in image space does not need it; the full converter stops."
        if not channels:
            cure = "Nothing can be converted with this asset; choose another one."
        problems.append(problem("A11", told, severity=Severity.WARNING, cure=cure, recording=asset.name))
    return Stitched(asset, channels, tuple(problems))


def _directions(acquisition: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    axes = objects(acquisition.get("axes"))
    return frozenset((text_of(axis.get("name")).lower(), text_of(axis.get("direction")).lower()) for axis in axes)


def _channel(
    reader: FileReader, asset: Asset, name: str, acquisition: Mapping[str, Any], problems: list[Problem]
) -> ImageChannel:
    path = f"{IMAGES}/{name}"
    try:
        attributes, shape, zarr_format = read_level(reader, asset, path)
        frame = image_frame(attributes, shape, dict(acquisition) or None)
    except TrackmapperError as error:
        told = f"Where image {name} of {asset.name} lies is not known: {error}"
        problems.append(problem("A14", told, recording=asset.name))
        return ImageChannel(channel_name(name), path, None)
    if zarr_format != 2:
        told = f"Image {name} of {asset.name} is of zarr format {zarr_format}; the converters read format 2."
        cure = "Confirm that your converter reads it, or use an image of format 2."
        problems.append(problem("A11", told, severity=Severity.CONFIRM, cure=cure, recording=asset.name))
    return ImageChannel(channel_name(name), path, frame)


def read_level(
    reader: FileReader, asset: Asset, path: str, level: int = 0
) -> tuple[dict[str, Any], tuple[int, int, int], int]:
    """The multiscales attributes of an image, the z, y, x size of a level, and the zarr format, 2 or 3.

    Args:
        reader: Where the asset lies.
        asset: The stitched asset.
        path: The image's folder.
        level: One that the image has; 0 is the finest.

    Raises:
        PlatformError, InputError: they are missing or cannot be read.
    """
    try:
        attributes, level_file = read_object(reader, asset, f"{path}/.zattrs"), ".zarray"
    except NotFoundError:
        attributes = object_of(read_object(reader, asset, f"{path}/zarr.json").get("attributes"))
        attributes, level_file = object_of(attributes.get("ome")) or attributes, "zarr.json"
    multiscale = next(iter(objects(attributes.get("multiscales"))), {})
    folders = [text_of(each.get("path")) for each in objects(multiscale.get("datasets"))]
    folder = "".join(folders[level : level + 1]) or str(level)
    shape = read_object(reader, asset, f"{path}/{folder}/{level_file}").get("shape")
    names = [text_of(axis.get("name")).lower() for axis in objects(multiscale.get("axes"))]
    if not isinstance(shape, list) or len(shape) != len(names) or not {"z", "y", "x"} <= set(names):
        raise InputError(
            f"Its shape {shape} and its axes {names} do not fit each other.",
            where=f"{asset.name}/{path}",
            cure="Check the image's .zattrs and .zarray.",
        )
    sizes = [shape[names.index(axis)] for axis in "zyx"]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise InputError(
            f"It has the impossible shape {shape}.",
            where=f"{asset.name}/{path}",
            cure="Check the image's .zarray.",
        )
    return attributes, (sizes[0], sizes[1], sizes[2]), 2 if level_file == ".zarray" else 3


def _registered(reader: FileReader, asset: Asset) -> dict[str, set[str]]:
    """Channel folder of the registration -> its file names."""
    folders = [entry.name for entry in reader.list_folder(asset, REGISTRATION) if entry.is_folder]
    read_ahead(reader, asset, [f"{REGISTRATION}/{name}" for name in folders])
    return {name: {file.name for file in reader.list_folder(asset, f"{REGISTRATION}/{name}")} for name in folders}


def _lacks(
    channels: tuple[ImageChannel, ...], root: set[str], processing: Mapping[str, Any], registered: dict[str, set[str]]
) -> list[str]:
    """What the full converter needs and the asset has not."""
    lacks = []
    if not channels:
        lacks.append(f"it has no image in {IMAGES}")
    lacks += [
        f"image {channel.name} has {channel.frame.levels} resolution levels, fewer than {MIN_LEVELS}"
        for channel in channels
        if channel.frame is not None and channel.frame.levels < MIN_LEVELS
    ]
    lacks += [
        f"image {channel.name} is named .ome.zarr, which the full converter does not find"
        for channel in channels
        if channel.path.endswith(".ome.zarr")
    ]
    lacks += [f"it has no {name}" for name in ("metadata.nd.json", "processing.json") if name not in root]
    version = object_of(processing.get("processing_pipeline")).get("pipeline_version")
    major = str(version).partition(".")[0].removeprefix("v")
    if "processing.json" in root and not (major.isdecimal() and int(major) >= MIN_PIPELINE):
        lacks.append(f"its pipeline version is {version or 'not given'}, not {MIN_PIPELINE} or later")
    registrations = {name: files for name, files in registered.items() if files & set(_TRANSFORMS)}
    if not registrations:
        lacks.append(f"it has no registration to the template in {REGISTRATION}")
    for name, files in sorted(registrations.items()):
        if missing := [file for file in _TRANSFORMS if file not in files]:
            lacks.append(f"the registration of {name} has no {', '.join(missing)}")
    return lacks
