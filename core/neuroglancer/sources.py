"""Sources of a Neuroglancer layer: their addresses in every form, and the assets that images come from."""

from __future__ import annotations

import re

from core.asset_names import AssetName, parse_asset_name
from core.models import ImageLayer

FUSED = "image_tile_fusing"
"""The folder of a stitched asset under which its images lie."""
_SCHEMES = re.compile(r"(?:[a-z][a-z0-9+.-]*://)+", re.IGNORECASE)
_ZARR3 = re.compile(r"^zarr3://|\|zarr3:", re.IGNORECASE)
_ZARR = re.compile(r"(.+?)(?:\.ome)?\.zarr", re.DOTALL)


def sources_of(layer: dict[str, object]) -> tuple[dict[str, object], ...]:
    """The layer's sources, each as an object with `url`, whatever form they are written in."""
    source = layer.get("source")
    listed = source if isinstance(source, list) else [source]
    objects = ({"url": item} if isinstance(item, str) else item for item in listed)
    return tuple(item for item in objects if isinstance(item, dict))


def urls_of(layer: dict[str, object]) -> tuple[str, ...]:
    """The addresses of the layer's sources."""
    return tuple(url for source in sources_of(layer) if isinstance(url := source.get("url"), str) and url)


def transform_of(source: dict[str, object]) -> dict[str, object]:
    """The source's transform; empty when it has none."""
    transform = source.get("transform")
    return transform if isinstance(transform, dict) else {}


def is_image_layer(layer: dict[str, object]) -> bool:
    """Whether the layer is an image, by its type or, when it has none, by a zarr source."""
    if layer.get("type") == "image":
        return True
    return layer.get("type") in (None, "auto", "new") and any("zarr" in url for url in urls_of(layer))


def read_image(layer: dict[str, object], name: str) -> ImageLayer:
    """Read one image layer; `asset` is None when no source lies under `image_tile_fusing`."""
    urls = urls_of(layer)
    paths = [path_of(url) for url in urls]
    assets = [asset for path in paths if (asset := _asset_of(path)) is not None]
    files = [file for path in paths if (file := _image_file_of(path)) is not None]
    channel = _ZARR.fullmatch(files[0]) if files else None
    return ImageLayer(
        name=name,
        urls=urls,
        source_is_list=isinstance(layer.get("source"), list),
        asset=assets[0] if assets else None,
        channel=channel[1] if channel else None,
        image_file=files[0] if files else None,
    )


def path_of(url: str) -> tuple[str, ...]:
    """Host or bucket and folders of an address, without format prefixes (`zarr://s3://`) and suffixes (`|zarr2:`)."""
    bare = _SCHEMES.sub("", url.split("|", 1)[0], count=1)
    return tuple(part for part in bare.split("/") if part)


def is_zarr3(url: str) -> bool:
    """Whether an address says, before or behind it, that the image is of zarr version 3."""
    return _ZARR3.search(url) is not None


def acquisition_of(image: ImageLayer) -> AssetName | None:
    """The tokens of the image's asset; without one, of the one folder of its path that has an AIND name."""
    if image.asset is not None:
        return parse_asset_name(image.asset)
    folders = {folder for url in image.urls for folder in path_of(url)[1:-1]}
    named = [name for folder in folders if (name := parse_asset_name(folder)) is not None]
    return named[0] if len(named) == 1 else None


def _asset_of(path: tuple[str, ...]) -> str | None:
    # The first part is the bucket or host: an asset stands below it.
    return path[path.index(FUSED, 2) - 1] if FUSED in path[2:] else None


def _image_file_of(path: tuple[str, ...]) -> str | None:
    return next((part for part in path[1:] if part.endswith(".zarr") and part != ".zarr"), None)
