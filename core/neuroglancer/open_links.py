"""Links back into a viewer: a state as it was, looking at one of its tracks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import numpy as np

from core.models import AnnotationLayer, Dimension, State
from core.neuroglancer.sources import sources_of, transform_of
from core.neuroglancer.spaces import read_dimensions, voxel_size_dimensions

MAX_LINK = 1_500_000
"""Characters of a link; Chrome and Edge refuse addresses of more than 2 MiB."""

Document = dict[str, object]
"""The JSON of a state. It is never changed in place."""


def open_link(state: State, track: AnnotationLayer | None, viewer: str) -> str:
    """A link that opens the state at a track.

    Args:
        state: The state to show.
        track: The layer to look at, see `looking_at`; None to look where the state was saved.
        viewer: Address of the viewer, e.g. `https://neuroglancer-demo.appspot.com`.

    Returns:
        The link; "" when it would be longer than browsers take (`MAX_LINK`).
    """
    # Numbers, the bulk of a state, are as long in the link; a file laid out over lines may shrink to a quarter.
    if len(state.data) > 4 * MAX_LINK:
        return ""
    root: Document = json.loads(state.data)
    text = json.dumps(root if track is None else looking_at(root, track), ensure_ascii=False, separators=(",", ":"))
    link = f"{viewer.rstrip('/')}/#!{quote(text, safe='/?:@&=+$-_.~')}"
    return link if len(link) <= MAX_LINK else ""


def looking_at(root: Document, track: AnnotationLayer) -> Document:
    """The same state with the middle of a track in the centre, and its layer selected and visible.

    The middle is the drawn point that is nearest to the mean of all. Its numbers, which count voxels of the layer's
    own axes, are converted into the axes of the state, by name; they are the same numbers where both have one scale.
    The position stays as it was along axes that the layer does not have in the same unit, where the state declares
    no axes, and where the layer has a matrix of its own.

    Args:
        root: The JSON of the state.
        track: One of its annotation layers, as `read_state` has read it.
    """
    after = {**root, "selectedLayer": _selected(root.get("selectedLayer"), track.name)}
    raw = next((layer for name, layer in _layers(root) if name == track.name), None)
    if raw is None:
        return after
    after["layers"] = _with_layer(root["layers"], raw, _visible(raw))
    if not len(track.points) or any(transform_of(source).get("matrix") is not None for source in sources_of(raw)):
        return after
    middle = track.points[np.argmin(np.linalg.norm(track.points - track.points.mean(axis=0), axis=1))].tolist()
    dimensions = read_dimensions(root.get("dimensions"))
    if dimensions is not None:
        after["position"] = _position(dimensions, root.get("position"), track.dimensions, middle)
    elif root.get("dimensions") is None:
        after |= _old_form(root, track.dimensions, middle)
    return after


def _position(
    dimensions: Sequence[Dimension], saved: object, own: Sequence[Dimension], point: Sequence[float]
) -> list[object]:
    known: Sequence[object] = saved if isinstance(saved, list) and len(saved) == len(dimensions) else [0] * 64
    axes = {axis.name: (axis, number) for axis, number in zip(own, point, strict=False)}
    return [
        _converted(*axes[wanted.name], wanted)
        if wanted.name in axes and axes[wanted.name][0].unit == wanted.unit
        else before
        for wanted, before in zip(dimensions, known, strict=False)
    ]


def _converted(axis: Dimension, number: float, wanted: Dimension) -> float:
    ratio = axis.scale / wanted.scale
    # 1.8 um and 1.8e-6 m are the same scale, and not the same float.
    return number if math.isclose(ratio, 1, rel_tol=1e-12) else number * ratio


def _old_form(root: Document, own: Sequence[Dimension], point: Sequence[float]) -> Document:
    """The position of states older than coordinate spaces, which stands in their pose."""
    chain: list[Document] = [root]
    for key in ("navigation", "pose", "position"):
        inner = chain[-1].get(key)
        if not isinstance(inner, dict):
            return {}
        chain.append(inner)
    _, navigation, pose, position = chain
    dimensions = voxel_size_dimensions(position.get("voxelSize"))
    if dimensions is None:
        return {}
    moved = _position(dimensions, position.get("voxelCoordinates"), own, point)
    return {"navigation": {**navigation, "pose": {**pose, "position": {**position, "voxelCoordinates": moved}}}}


# --- layers -------------------------------------------------------------------------------------


def _layers(root: Document) -> Iterator[tuple[object, Document]]:
    """(name, layer), from a list or, in odd states, an object of layers."""
    listed = root.get("layers")
    items = listed.items() if isinstance(listed, dict) else enumerate(listed) if isinstance(listed, list) else ()
    for key, layer in items:
        if isinstance(layer, dict):
            yield layer.get("name", key), layer


def _with_layer(listed: object, old: Document, new: Document) -> object:
    if isinstance(listed, dict):
        return {key: new if layer is old else layer for key, layer in listed.items()}
    return [new if layer is old else layer for layer in listed] if isinstance(listed, list) else listed


def _visible(layer: Document) -> Document:
    after = {key: value for key, value in layer.items() if key not in ("archived", "hidden") or value is not True}
    return after if after.get("visible") is not False else {**after, "visible": True}


def _selected(before: object, name: str) -> Document:
    return {**(before if isinstance(before, dict) else {}), "layer": name, "visible": True}
