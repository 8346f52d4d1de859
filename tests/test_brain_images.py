"""The brain behind the tracks: pixels lie where tracks do, reading is bounded, what was made is kept."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest

from core.brain_image_cache import BrainImageFiles
from core.brain_images import BrainImage, Projection, read_brain_image
from core.errors import InputError, NotFoundError, UnavailableError
from core.geometry import image_bounds_ras_um, level0_to_image_ras_um, level_to_level0
from core.models import Asset, ImageChannel, ImageFrame
from core.platforms.local_library import LocalLibrary
from core.sample import Sizes, write_sample
from core.sample.plan import STITCHED
from core.subjects.stitched import read_stitched
from tests.fake_library import FakeLibrary, as_json

NAME = "SmartSPIM_717381_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47"
PATH = "image_tile_fusing/OMEZarr/Ex_639_Em_667.zarr"
SCALE_ZYX = (2.0, 1.8, 1.5)
VIEWS = {"coronal": (0, 2), "sagittal": (1, 2), "horizontal": (0, 1)}
DIRECTIONS = (("R", "A", "I"), ("L", "A", "I"), ("R", "P", "S"), ("L", "P", "I"),
              ("A", "R", "S"), ("I", "L", "P"), ("S", "A", "R"), ("P", "I", "L"))  # fmt: skip
Volume = np.ndarray[Any, Any]


def multiscales(levels: int, axes: str = "tczyx") -> dict[str, Any]:
    """OME-Zarr attributes; each level halves the one before."""
    scale = dict(zip("zyx", SCALE_ZYX, strict=True))
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [scale.get(a, 1.0) * 2**level for a in axes]}],
        }
        for level in range(levels)
    ]
    named = [{"name": a, "type": "space", "unit": "micrometer"} if a in "zyx" else {"name": a} for a in axes]
    return {"multiscales": [{"axes": named, "datasets": datasets, "version": "0.4"}]}


def level_files(
    level: int,
    volume: Volume,
    chunk: int = 4,
    *,
    gaps: Sequence[tuple[int, ...]] = (),
    order: str = "C",
    axes: str = "tczyx",
) -> dict[str, bytes]:
    """One level of format 2; `volume` is z, y, x and is written in the order of `axes`."""
    spatial = [a for a in axes if a in "zyx"]
    array = volume.transpose(["zyx".index(a) for a in spatial])
    array = array[tuple(slice(None) if a in "zyx" else None for a in axes)]
    chunks = [chunk if a in "zyx" else 1 for a in axes]
    codec = numcodecs.Blosc(cname="zstd")
    metadata = {
        "zarr_format": 2,
        "shape": list(array.shape),
        "chunks": chunks,
        "dtype": array.dtype.str,
        "compressor": codec.get_config(),
        "fill_value": 0,
        "filters": None,
        "order": order,
        "dimension_separator": "/",
    }
    files = {f"{PATH}/{level}/.zarray": as_json(metadata)}
    for index in np.ndindex(*(-(-n // c) for n, c in zip(array.shape, chunks, strict=True))):
        part = array[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        full = np.zeros(chunks, dtype=array.dtype)
        full[tuple(slice(n) for n in part.shape)] = part
        if index not in gaps:
            data = codec.encode(full.tobytes(order="F" if order == "F" else "C"))
            files[f"{PATH}/{level}/" + "/".join(map(str, index))] = bytes(data)
    return files


def frame(
    shape_level0: Sequence[int], directions: tuple[str, str, str] = ("R", "A", "I"), levels: int = 2
) -> ImageFrame:
    z, y, x = shape_level0
    return ImageFrame((SCALE_ZYX[2], SCALE_ZYX[1], SCALE_ZYX[0]), directions, (z, y, x), levels)


def brain_files(volume: Volume, level: int = 1, **how: Any) -> dict[str, bytes]:
    """An image whose coarsest level is given and whose finer ones claim to be large."""
    axes = how.get("axes", "tczyx")
    files = {f"{PATH}/.zattrs": as_json(multiscales(level + 1, axes))} | level_files(level, volume, **how)
    for finer in range(level):
        claim = json.loads(files[f"{PATH}/{level}/.zarray"])
        claim["shape"] = [10_000 if a in "zyx" else 1 for a in axes]
        files[f"{PATH}/{finer}/.zarray"] = as_json(claim)
    return files


def read(files: dict[str, bytes], channel_frame: ImageFrame | None, **how: Any) -> BrainImage:
    library = FakeLibrary()
    asset = library.add(NAME, files)
    return read_brain_image(library, asset, ImageChannel("Ex_639_Em_667", PATH, channel_frame), **how)


def brightest_um(view: Projection) -> tuple[float, float]:
    """Centre of the brightest pixel: (across, up)."""
    left, right, bottom, top = view.extent_um
    rows, columns = view.pixels.shape
    row, column = np.unravel_index(int(view.pixels.argmax()), view.pixels.shape)
    return left + (column + 0.5) * (right - left) / columns, bottom + (row + 0.5) * (top - bottom) / rows


@pytest.mark.parametrize("directions", DIRECTIONS, ids="".join)
@pytest.mark.parametrize(("axes", "order"), [("tczyx", "C"), ("xyz", "C"), ("cyzx", "F")])
def test_a_bright_voxel_is_seen_where_the_frame_puts_it(directions: tuple[str, str, str], axes: str, order: str):
    volume = np.ones((5, 9, 7), dtype="<u2")
    volume[1, 6, 2] = 900
    lies = frame((10, 18, 14), directions)
    image = read(brain_files(volume, axes=axes, order=order), lies)
    at_um = level0_to_image_ras_um(level_to_level0(np.array([[1.0, 6.0, 2.0]]), (2.0, 2.0, 2.0)), lies)
    bounds = image_bounds_ras_um(lies)
    assert bounds is not None
    for name, (across, up) in VIEWS.items():
        view = getattr(image.projections, name)
        assert brightest_um(view) == pytest.approx((at_um[0, across], at_um[0, up]))
        assert view.extent_um == pytest.approx((*bounds[:, across], *bounds[:, up]))


def test_each_view_is_the_maximum_along_the_axis_that_is_looked_along():
    rng = np.random.default_rng(4)
    volume = rng.integers(0, 60_000, (6, 10, 9)).astype("<u2")
    image = read(brain_files(volume), frame((12, 20, 18)))
    low, high = image.projections.limits
    for view, expected in (
        (image.projections.coronal, volume.max(axis=1)[::-1]),  # z counts downwards in this frame
        (image.projections.sagittal, volume.max(axis=2)[::-1]),
        (image.projections.horizontal, volume.max(axis=0)),
    ):
        grey = np.rint(((expected - low) * 255.0 / (high - low)).clip(0, 255))
        np.testing.assert_array_equal(view.pixels, grey)


def test_gaps_are_dark_and_edges_are_cut():
    volume = np.full((5, 5, 5), 800, dtype="<u2")
    gaps = [index for index in np.ndindex(1, 1, 2, 2, 2) if index[4] == 1]
    image = read(brain_files(volume, gaps=gaps), frame((10, 10, 10)))
    coronal = image.projections.coronal.pixels
    assert coronal.shape == (5, 5)
    assert (coronal[:, :4] == 255).all()
    assert (coronal[:, 4] == 0).all()


def test_an_image_of_which_no_voxel_is_there_is_not_found():
    volume = np.ones((4, 4, 4), dtype="<u2")
    with pytest.raises(NotFoundError, match="None of the level's voxels"):
        read(brain_files(volume, gaps=[(0, 0, 0, 0, 0)]), frame((8, 8, 8)))
    with pytest.raises(NotFoundError):
        read({}, frame((8, 8, 8)))


@pytest.mark.parametrize("value", [0, 500])
def test_an_image_of_one_brightness_is_no_error(value: int):
    image = read(brain_files(np.full((4, 4, 4), value, dtype="<u2")), frame((8, 8, 8)))
    assert np.unique(image.projections.coronal.pixels).size == 1
    assert image.tissue is None


def test_numbers_that_are_none_count_as_dark():
    volume = np.full((4, 4, 4), 2.0, dtype="<f4")
    volume[0, 0, 0], volume[3, 3, 3] = np.nan, np.inf
    image = read(brain_files(volume), frame((8, 8, 8)))
    assert all(np.isfinite(image.projections.limits))


def test_zarr_format_3():
    volume = np.ones((3, 4, 5), dtype="<u2")
    volume[2, 3, 4] = 900
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [1, 1, 3, 4, 5],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 3, 4, 5]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}],
    }
    files = {
        f"{PATH}/zarr.json": as_json({"zarr_format": 3, "attributes": {"ome": multiscales(1)}}),
        f"{PATH}/0/zarr.json": as_json(metadata),
        f"{PATH}/0/c/0/0/0/0/0": bytes(numcodecs.Zstd().encode(volume.tobytes())),
    }
    lies = frame((3, 4, 5), levels=1)
    across, up = brightest_um(read(files, lies).projections.coronal)
    assert (across, up) == pytest.approx((4 * 1.5, -2 * 2.0))


# --- which level, and what is refused -------------------------------------------------------------


def three_levels() -> dict[str, bytes]:
    files = {f"{PATH}/.zattrs": as_json(multiscales(3))}
    for level in range(3):
        files |= level_files(level, np.full((32 >> level,) * 3, 9, dtype="<u2"), chunk=16)
    return files


@pytest.mark.parametrize(("wanted", "level"), [(10**9, 0), (32**3 * 2, 0), (32**3 * 2 - 1, 1), (8**3 * 2, 2), (5, 2)])
def test_the_finest_level_within_the_bound_is_taken_else_the_coarsest(wanted: int, level: int):
    image = read(three_levels(), frame((32, 32, 32), levels=3), wanted_bytes=wanted)
    assert image.level == level
    assert f"level {level}: voxels of {1.5 * 2**level:.3g}" in image.source


class Counted(FakeLibrary):
    """Counts the bytes of chunks that were read."""

    chunk_bytes = 0
    most = 0

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        data = super().read_file(asset, path, limit)
        if not path.endswith((".zarray", ".zattrs", ".json")):
            self.chunk_bytes += len(data)
            self.most = max(self.most, limit)
        return data


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [1, 1, 10**6, 10**6, 10**6]},
        {"shape": [1, 1, 100, 1000, 1000], "chunks": [1, 1, 1, 1, 1]},
        {"shape": [1, 1, 1, 2000, 10000], "chunks": [1, 1, 1000, 1, 1000]},
        {"chunks": [1, 1, 10**4, 10**4, 10**4]},
        {"shape": [4, 4, 4]},
        {"shape": [1, 1, 0, 4, 4]},
        {"dtype": "|O"},
    ],
)
def test_an_image_that_claims_too_much_or_makes_no_sense_is_refused_before_its_voxels_are_read(
    change: dict[str, object],
):
    files = {f"{PATH}/.zattrs": as_json(multiscales(1))} | level_files(0, np.ones((4, 4, 4), dtype="<u2"))
    files[f"{PATH}/0/.zarray"] = as_json(json.loads(files[f"{PATH}/0/.zarray"]) | change)
    library = Counted()
    asset = library.add(NAME, files)
    with pytest.raises(InputError) as caught:
        read_brain_image(library, asset, ImageChannel("x", PATH, frame((4, 4, 4), levels=1)))
    assert NAME in caught.value.where
    assert library.chunk_bytes == 0


def test_a_time_axis_that_claims_to_be_endless_costs_nothing():
    files = {f"{PATH}/.zattrs": as_json(multiscales(1))} | level_files(0, np.ones((4, 4, 4), dtype="<u2"))
    claim = json.loads(files[f"{PATH}/0/.zarray"])
    claim["shape"][0] = 2**39
    image = read(files | {f"{PATH}/0/.zarray": as_json(claim)}, frame((4, 4, 4), levels=1))
    assert image.projections.coronal.pixels.shape == (4, 4)


@pytest.mark.parametrize(
    "zattrs",
    [b"", b"[]", b"{}", b'{"multiscales": []}', b'{"multiscales": [{"axes": 3}]}', as_json(multiscales(0))],
)
def test_attributes_that_are_no_images_are_refused(zattrs: bytes):
    with pytest.raises(InputError):
        read({f"{PATH}/.zattrs": zattrs}, frame((4, 4, 4)))


def test_an_image_without_a_known_place_is_refused():
    with pytest.raises(InputError, match="is not known"):
        read(three_levels(), None)


def test_a_damaged_chunk_and_a_lost_platform_end_the_reading():
    files = brain_files(np.ones((8, 8, 8), dtype="<u2"))
    path = f"{PATH}/1/0/0/1/0/1"
    with pytest.raises(InputError, match="damaged"):
        read(files | {path: b"no chunk"}, frame((16, 16, 16)))
    library = FakeLibrary()
    asset = library.add(NAME, files)
    library.fail(f"{NAME}/{path}", UnavailableError("away"))
    with pytest.raises(UnavailableError):
        read_brain_image(library, asset, ImageChannel("x", PATH, frame((16, 16, 16))))


def test_progress_is_told_and_a_cancelled_reading_ends_soon():
    files = brain_files(np.ones((16, 16, 16), dtype="<u2"))
    told: list[float] = []
    read(files, frame((32, 32, 32)), progress=told.append)
    assert told == [number / 64 for number in range(1, 65)]
    enough = threading.Event()
    told.clear()

    def progress(share: float) -> None:
        told.append(share)
        enough.set()

    with pytest.raises(CancelledError):
        read(files, frame((32, 32, 32)), progress=progress, cancelled=enough.is_set)
    assert len(told) < 64


def test_the_tissue_of_the_level_lies_where_its_tracks_do():
    volume = np.full((48, 52, 44), 100, dtype="<u2")
    volume[8:, 6:46, 5:38] = 600
    lies = frame((48 * 64, 52 * 64, 44 * 64), levels=7)
    tissue = read(brain_files(volume, level=6, chunk=32), lies).tissue
    assert tissue is not None
    points = level0_to_image_ras_um(np.array([[1300, 1400, 1000], [200, 1400, 1000], [-9, 1400, 1000]]), lies)
    assert tissue.inside(points).tolist() == [True, False, False]
    assert read(brain_files(volume, level=6, chunk=32), lies, tissue_share=1.5).tissue is None


# --- kept on disk ---------------------------------------------------------------------------------


def kept_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.brain.npz"))


def test_what_was_made_is_kept_and_comes_back_the_same(tmp_path):
    cache = BrainImageFiles(tmp_path / "brains")
    library = Counted()
    volume = np.random.default_rng(1).integers(0, 900, (40, 40, 40)).astype("<u2")
    asset = library.add(NAME, brain_files(volume, level=6, chunk=32))
    channel = ImageChannel("x", PATH, frame((2560, 2560, 2560), levels=7))
    made = read_brain_image(library, asset, channel, cache=cache)
    library.chunk_bytes = 0
    again = read_brain_image(library, asset, channel, cache=cache)
    assert library.chunk_bytes == 0
    assert (again.level, again.source, again.projections.limits) == (made.level, made.source, made.projections.limits)
    for name in VIEWS:
        one, other = getattr(made.projections, name), getattr(again.projections, name)
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.extent_um == other.extent_um
    assert made.tissue is not None
    assert again.tissue is not None
    np.testing.assert_array_equal(made.tissue.blocks_zyx, again.tissue.blocks_zyx)
    assert (made.tissue.frame, made.tissue.factors_zyx) == (again.tissue.frame, again.tissue.factors_zyx)
    other = read_brain_image(library, asset, channel, cache=cache, tissue_share=1.5)
    assert library.chunk_bytes > 0, "another share is another image"
    library.chunk_bytes = 0
    kept = read_brain_image(library, asset, channel, cache=cache, tissue_share=1.5)
    assert library.chunk_bytes == 0
    assert other.tissue is kept.tissue is None


@pytest.mark.parametrize("what", ["asset", "channel", "level", "frame", "image", "platform"])
def test_another_image_has_another_file(tmp_path, what: str):
    cache = BrainImageFiles(tmp_path)
    library = FakeLibrary()
    asset = library.add(NAME, three_levels())
    channel = ImageChannel("x", PATH, frame((32, 32, 32), levels=3))
    read_brain_image(library, asset, channel, cache=cache)
    wanted = 10**9
    if what == "asset":
        asset = library.add(NAME, three_levels(), id="another")
    elif what == "channel":
        channel = replace(channel, name="y")
    elif what == "level":
        wanted = 5
    elif what == "frame":
        channel = replace(channel, frame=frame((32, 32, 32), ("L", "A", "I"), levels=3))
    elif what == "image":
        asset = library.add(NAME, three_levels() | level_files(0, np.full((30, 32, 32), 9, dtype="<u2"), chunk=16))
    else:
        library.platform_id = "another library"
    read_brain_image(library, asset, channel, cache=cache, wanted_bytes=wanted)
    assert len(kept_files(tmp_path)) == 2


def test_a_damaged_file_is_removed_and_the_image_read_again(tmp_path):
    cache = BrainImageFiles(tmp_path)
    files = brain_files(np.ones((4, 4, 4), dtype="<u2"))
    whole = None
    for damage in (b"", b"PK\x03\x04nothing", None):
        image = read(files, frame((8, 8, 8)), cache=cache)
        (path,) = kept_files(tmp_path)
        whole = whole or path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again = read(files, frame((8, 8, 8)), cache=cache)
    np.testing.assert_array_equal(again.projections.coronal.pixels, image.projections.coronal.pixels)
    assert kept_files(tmp_path)[0].read_bytes()[:2] == b"PK"


def test_the_folder_stays_small_and_what_is_used_stays_longest(tmp_path):
    rng = np.random.default_rng(0)

    def image(number: int, cache: BrainImageFiles) -> None:
        volume = rng.integers(0, 2**16, (12, 12, 12)).astype("<u2")
        library = FakeLibrary()
        asset = library.add(NAME, brain_files(volume, chunk=12), id=f"brain {number}")
        read_brain_image(library, asset, ImageChannel("x", PATH, frame((24, 24, 24))), cache=cache)

    roomy = BrainImageFiles(tmp_path)
    image(0, roomy)
    size = kept_files(tmp_path)[0].stat().st_size
    (first,) = kept_files(tmp_path)
    image(1, roomy)
    (second,) = {*kept_files(tmp_path)} - {first}
    for age_s, path in ((200, first), (100, second)):
        os.utime(path, (path.stat().st_mtime - age_s,) * 2)
    tight = BrainImageFiles(tmp_path, max_bytes=int(2.5 * size))
    image(0, tight)  # used, so that the other one is now the older
    image(2, tight)
    assert first.exists()
    assert not second.exists()
    assert len(kept_files(tmp_path)) == 2
    image(3, BrainImageFiles(tmp_path, max_bytes=1))
    assert len(kept_files(tmp_path)) == 1


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    cache = BrainImageFiles(tmp_path / "file" / "brains")
    assert read(brain_files(np.ones((4, 4, 4), dtype="<u2")), frame((8, 8, 8)), cache=cache).level == 1


def test_several_threads_may_read_and_keep_the_same_image(tmp_path):
    cache = BrainImageFiles(tmp_path)
    files = brain_files(np.ones((8, 8, 8), dtype="<u2"))
    done: list[BrainImage] = []
    threads = [
        threading.Thread(target=lambda: done.append(read(files, frame((16, 16, 16)), cache=cache))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 6
    assert [path.name for path in tmp_path.iterdir()] == [path.name for path in kept_files(tmp_path)]


# --- the sample mouse -----------------------------------------------------------------------------


def test_the_sample_brain_is_seen_with_its_tracks_in_tissue(tmp_path):
    sample = write_sample(tmp_path / "mouse", sizes=Sizes(units_per_stream=1, image_levels=(5,)))
    library = LocalLibrary(sample.library)
    asset = next(asset for asset in library.find_subject_assets(sample.subject) if asset.name == STITCHED)
    channels = {channel.name: channel for channel in read_stitched(library, asset).channels}
    channel = channels["Ex_639_Em_680"]
    image = read_brain_image(library, asset, channel, wanted_bytes=32 * 1024 * 1024)
    assert image.level == 5
    assert channel.frame is not None
    assert image.tissue is not None
    state = json.loads(sample.states[1].path.read_bytes())
    for layer in (layer for layer in state["layers"] if layer["type"] == "annotation"):
        points_zyx = np.array([annotation["point"][:3] for annotation in layer["annotations"]])
        inside = image.tissue.inside(level0_to_image_ras_um(points_zyx, channel.frame))
        assert inside.all()
    corners = image_bounds_ras_um(channel.frame)
    assert corners is not None
    outside = np.array(list(itertools.product(*corners.T)))
    assert not image.tissue.inside(outside * 0.99).any()
