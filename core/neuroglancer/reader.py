"""A Neuroglancer state -> layers, tracks and image sources.

Layers that are no tracks are kept and say why. What is wrong with one layer stands in that layer's `problems`;
`State.problems` holds only what concerns the state as a whole (images, subject, form of the file). One odd layer
never hides the others: `StateError` is raised only for what makes the whole state untrustworthy or unreadable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from core.errors import StateError
from core.models import Dimension, ImageLayer, Problem, Severity, State
from core.neuroglancer.layers import is_annotation_layer, read_layer
from core.neuroglancer.problems import Surroundings, problem
from core.neuroglancer.sources import acquisition_of, is_image_layer, is_zarr3, read_image, sources_of, transform_of
from core.neuroglancer.spaces import read_dimensions, voxel_size_dimensions
from core.strict_json import LIMIT_BYTES, MAX_NAME, place, read_json, shown

MAX_ANNOTATIONS = 1_000_000
MAX_LAYERS = 10_000

Layer = dict[str, object]


def read_state(data: bytes | str, *, stem: str = "state", limit_bytes: int = LIMIT_BYTES) -> State:
    """Read a Neuroglancer state.

    Args:
        data: The JSON, as UTF-8 bytes or text.
        stem: File name without `.json`.
        limit_bytes: The most bytes that are read.

    Returns:
        The state. `data` in it are the bytes given, without a byte order mark (which is no part of JSON).

    Raises:
        StateError: not a state, or one that is too large, not strict JSON, or has impossible numbers.
    """
    raw, root = read_json(data, limit_bytes=limit_bytes)
    if not isinstance(root, dict):
        kind = "a list" if isinstance(root, list) else "a single value"
        raise StateError(f"The JSON is {kind}, not a Neuroglancer state.", cure="A state is an object with layers.")
    layers, form_problems = _named_layers(root)
    _check_annotation_count(layers)

    images = tuple(read_image(layer, name) for _, name, layer in layers if is_image_layer(layer))
    dimensions = _state_dimensions(root)
    around = _surroundings(layers, dimensions)
    name_problems = _name_problems(layers)
    annotation_layers = tuple(
        read_layer(layer, name, place(root, ("layers", key)), around, tuple(name_problems.get(key, ())))
        for key, name, layer in layers
        if is_annotation_layer(layer)
    )
    subject, acquisition = _subject(images)
    return State(
        stem=stem,
        data=raw,
        sha256=hashlib.sha256(raw).hexdigest(),
        dimensions=dimensions,
        images=images,
        layers=annotation_layers,
        subject=subject,
        acquisition=acquisition,
        problems=(*form_problems, *_image_problems(images, subject)),
    )


# --- the layers of the file ---------------------------------------------------------------------


def _named_layers(root: Layer) -> tuple[list[tuple[int | str, str, Layer]], list[Problem]]:
    """(key in the file, name, layer) of each layer; and what is odd about the file's form."""
    listed = root.get("layers")
    if not isinstance(listed, dict | list):
        raise StateError(
            "The JSON has no list of layers, so it is no Neuroglancer state.",
            where="layers",
            cure="In Neuroglancer press {} (Edit JSON state) and copy everything.",
        )
    if len(listed) > MAX_LAYERS:
        raise StateError(f"The state has more than {MAX_LAYERS:,} layers.", where="layers", cure="Split the state.")
    items: list[tuple[int | str, object]] = list(listed.items() if isinstance(listed, dict) else enumerate(listed))
    odd = ["The state's layers are an object instead of a list."] if isinstance(listed, dict) else []
    layers = [(key, _name(key, layer), layer) for key, layer in items if isinstance(layer, dict)]
    if len(layers) < len(items):
        first = next(key for key, layer in items if not isinstance(layer, dict))
        odd.append(f"{len(items) - len(layers)} of the layers are no objects, first {place(root, ('layers', first))}.")
    cure = "Open the state in Neuroglancer and copy it again: the converter reads only a list of layers."
    return layers, [Problem("N17", Severity.ERROR, message, cure) for message in odd]


def _name(key: int | str, layer: Layer) -> str:
    name = layer.get("name", key if isinstance(key, str) else "")
    if isinstance(name, str) and len(name) > MAX_NAME:
        raise StateError(
            f"The layer's name is longer than {MAX_NAME:,} characters.",
            where=f"layers[{shown(str(key))}].name",
            cure="Rename the layer.",
        )
    return name if isinstance(name, str) else ""


def _check_annotation_count(layers: list[tuple[int | str, str, Layer]]) -> None:
    lists = (layer.get(key) for _, _, layer in layers for key in ("annotations", "points"))
    if sum(len(listed) for listed in lists if isinstance(listed, list)) > MAX_ANNOTATIONS:
        raise StateError(
            f"The state has more than {MAX_ANNOTATIONS:,} annotations.",
            where="layers",
            cure="Remove layers that are no probe tracks.",
        )


def _name_problems(layers: list[tuple[int | str, str, Layer]]) -> dict[int | str, list[Problem]]:
    """What is wrong with each annotation layer's name among all layers, by the layer's key in the file."""
    same: dict[str, list[int | str]] = {}
    for key, name, _ in layers:
        same.setdefault(name, []).append(key)
    found: dict[int | str, list[Problem]] = {}
    for key, name, _ in layers:
        if not name:
            message, cure = f"The layer at layers[{key}] has no name.", "Give it a name in Neuroglancer."
        elif len(same[name]) > 1:
            places = ", ".join(f"layers[{other}]" for other in same[name][:4])
            message = f'{len(same[name])} layers are named "{shown(name)}" ({places}); the converter takes the first.'
            cure = "Give each layer its own name in Neuroglancer."
        else:
            continue
        found[key] = [problem("N8", Severity.ERROR, name, message, cure)]
    return found


# --- what surrounds them ------------------------------------------------------------------------


def _state_dimensions(root: Layer) -> tuple[Dimension, ...]:
    """The state's axes; those of states older than coordinate spaces from the voxel size of their pose."""
    value: object = root.get("dimensions")
    if value is None:
        pose: object = root
        for key in ("navigation", "pose", "position", "voxelSize"):
            pose = pose.get(key) if isinstance(pose, dict) else None
        return voxel_size_dimensions(pose) or ()
    return read_dimensions(value) or ()


def _surroundings(layers: list[tuple[int | str, str, Layer]], dimensions: tuple[Dimension, ...]) -> Surroundings:
    """The scale a layer should have: that of an image which declares its own, else the state's."""
    for _, name, layer in layers:
        if not is_image_layer(layer):
            continue
        for transform in map(transform_of, sources_of(layer)):
            # A matrix or other input units change the image's size: then the output scale is not its voxels'.
            if transform.get("matrix") is None and transform.get("inputDimensions") is None:
                own = read_dimensions(transform.get("outputDimensions"))
                if own is not None:
                    return Surroundings(dimensions, own, f'the image "{shown(name)}"')
    return Surroundings(dimensions, dimensions, "the state")


def _subject(images: tuple[ImageLayer, ...]) -> tuple[str | None, str | None]:
    """Subject and acquisition that all images with a named asset agree on."""
    stitched = [image for image in images if image.asset is not None]
    names = [name for image in stitched or images if (name := acquisition_of(image)) is not None]
    subjects, acquisitions = {name.subject for name in names}, {name.base for name in names}
    return (
        subjects.pop() if len(subjects) == 1 else None,
        acquisitions.pop() if len(acquisitions) == 1 else None,
    )


def _image_problems(images: tuple[ImageLayer, ...], subject: str | None) -> list[Problem]:
    found = []
    if lists := [image for image in images if image.source_is_list]:
        found.append(
            Problem(
                "N1",
                Severity.CONFIRM,
                f"The source of {_names(lists)} is a list; converters that read image sources stop at a list.",
                "Confirm, or open the state in Neuroglancer, leave one source per image and copy it again.",
            )
        )
    if newer := [image for image in images if image.asset is not None and any(map(is_zarr3, image.urls))]:
        found.append(
            Problem(
                "N18",
                Severity.CONFIRM,
                f"The source of {_names(newer)} is written for zarr version 3, which converters do not look for.",
                "Confirm that the converter takes it, or copy the state with zarr:// sources.",
            )
        )
    assets = sorted({image.asset for image in images if image.asset is not None})
    if len(assets) > 1:
        found.append(
            Problem(
                "N2",
                Severity.ERROR,
                f"The images come from {len(assets)} assets: {', '.join(shown(asset, 80) for asset in assets[:4])}.",
                "Keep only the image layers of the brain that the tracks were drawn on.",
            )
        )
    others = [image for image in images if image.asset is None]
    if assets and others:
        found.append(
            Problem(
                "N2",
                Severity.CONFIRM,
                f"{_names(others)} is no image of a stitched asset; converters that look at every image stop there.",
                "Confirm, or remove these image layers.",
            )
        )
    if not assets:
        known = f"the subject {subject} is read from a folder's name" if subject else "the subject is not known"
        found.append(
            Problem(
                "N3",
                Severity.WARNING,
                f"No image comes from a stitched asset (a folder with image_tile_fusing), so {known}.",
                "Add an image layer of the stitched brain that the tracks were drawn on, or give the subject yourself.",
            )
        )
    return found


def _names(images: Sequence[ImageLayer]) -> str:
    first = ", ".join(f'"{shown(image.name)}"' for image in images[:4])
    return f"{first} and {len(images) - 4} more" if len(images) > 4 else first
