"""Stitched brains: channels, frames, and what a conversion would miss."""

from __future__ import annotations

import pytest

from core.errors import PlatformError
from core.models import Severity, Stitched
from core.subjects.stitched import read_stitched
from tests.fake_library import FakeLibrary, as_json, stitched_files, zattrs

NAME = "SmartSPIM_717381_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47"
IMAGE = "image_tile_fusing/OMEZarr/Ex_639_Em_667.zarr"
REGISTRATION = "image_atlas_alignment/Ex_639_Em_667"


def read(files: dict[str, bytes], **fields: object) -> Stitched:
    library = FakeLibrary()
    return read_stitched(library, library.add(NAME, files, **fields))


def messages(stitched: Stitched, rule: str) -> str:
    return " ".join(problem.message for problem in stitched.problems if problem.rule == rule)


def test_a_whole_asset_has_channels_with_frames_and_no_problem():
    stitched = read(stitched_files(["Ex_561_Em_593.zarr", "Ex_639_Em_667.zarr"]))
    assert [(c.name, c.path) for c in stitched.channels] == [
        ("Ex_561_Em_593", "image_tile_fusing/OMEZarr/Ex_561_Em_593.zarr"),
        ("Ex_639_Em_667", IMAGE),
    ]
    frame = stitched.channels[0].frame
    assert frame is not None
    assert frame.scale_level0_um_xyz == pytest.approx((1.8, 1.8, 2.0))
    assert frame.directions_xyz == ("R", "A", "I")
    assert frame.shape_level0_zyx == (4200, 6000, 5000)
    assert (frame.levels, frame.assumed) == (5, "")
    assert stitched.problems == ()


def test_an_ome_zarr_name_is_read_and_said_to_be_unknown_to_the_full_converter():
    stitched = read(stitched_files(["Ex_639_Em_667.ome.zarr"]))
    assert stitched.channels[0].name == "Ex_639_Em_667"
    assert stitched.channels[0].frame is not None
    assert ".ome.zarr" in messages(stitched, "A11")


def test_zarr_format_3():
    files = {path: data for path, data in stitched_files().items() if not path.startswith(IMAGE)}
    files[f"{IMAGE}/zarr.json"] = as_json({"zarr_format": 3, "attributes": {"ome": zattrs()}})
    files[f"{IMAGE}/0/zarr.json"] = as_json({"zarr_format": 3, "shape": [1, 1, 10, 20, 30]})
    stitched = read(files)
    frame = stitched.channels[0].frame
    assert frame is not None
    assert frame.shape_level0_zyx == (10, 20, 30)
    told = [each for each in stitched.problems if "zarr format 3" in each.message]
    assert [(each.rule, each.severity) for each in told] == [("A11", Severity.CONFIRM)]


def test_metadata_nd_json_counts_first_as_it_does_for_the_converters_and_a_disagreement_must_be_confirmed():
    files = stitched_files()
    turned = files["acquisition.json"].replace(b"Left_to_right", b"Right_to_left")
    stitched = read(files | {"acquisition.json": turned})
    frame = stitched.channels[0].frame
    assert frame is not None
    assert frame.directions_xyz == ("R", "A", "I")
    assert [(p.rule, p.severity) for p in stitched.problems] == [("A8", Severity.CONFIRM)]
    flipped = read(files | {"metadata.nd.json": b'{"acquisition": ' + turned + b"}"}).channels[0].frame
    assert flipped is not None
    assert flipped.directions_xyz == ("L", "A", "I")


def test_axes_come_from_acquisition_json_when_metadata_nd_json_has_none():
    turned = stitched_files()["acquisition.json"].replace(b"Left_to_right", b"Right_to_left")
    files = stitched_files() | {"metadata.nd.json": as_json({"acquisition": None}), "acquisition.json": turned}
    frame = read(files).channels[0].frame
    assert frame is not None
    assert frame.directions_xyz == ("L", "A", "I")


def test_axes_come_from_metadata_nd_json_when_acquisition_json_has_none():
    files = stitched_files() | {"acquisition.json": as_json({"schema_version": "2.0"})}
    frame = read(files).channels[0].frame
    assert frame is not None
    assert frame.assumed == ""


def test_without_any_axes_the_frame_says_what_was_assumed():
    files = stitched_files()
    del files["acquisition.json"], files["metadata.nd.json"]
    stitched = read(files)
    frame = stitched.channels[0].frame
    assert frame is not None
    assert frame.assumed
    assert "metadata.nd.json" in messages(stitched, "A11")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata.nd.json": None}, "no metadata.nd.json"),
        ({"processing.json": None}, "no processing.json"),
        ({"processing.json": as_json({"processing_pipeline": {"pipeline_version": "2.4.0"}})}, "2.4.0"),
        ({"processing.json": as_json({"processing_pipeline": {"pipeline_version": None}})}, "not given"),
        ({f"{REGISTRATION}/ls_to_template_SyN_1Warp.nii.gz": None}, "1Warp.nii.gz"),
        ({f"{REGISTRATION}/ls_to_template_SyN_0GenericAffine.mat": None}, "0GenericAffine.mat"),
        ({f"{IMAGE}/.zattrs": as_json(zattrs(3))}, "3 resolution levels"),
    ],
)
def test_what_the_full_converter_needs_is_named_when_missing(change: dict, words: str):
    files = stitched_files() | change
    stitched = read({path: data for path, data in files.items() if data is not None})
    assert words in messages(stitched, "A11")
    assert all(p.severity is Severity.WARNING for p in stitched.problems if p.rule == "A11")
    assert stitched.channels[0].frame is not None


def test_no_registration_and_no_image_are_named():
    stitched = read({"acquisition.json": b"{}", "metadata.nd.json": b"{}", "processing.json": b"{}"})
    assert stitched.channels == ()
    assert "no image" in messages(stitched, "A11")
    assert "no registration" in messages(stitched, "A11")


@pytest.mark.parametrize(
    "change",
    [
        {f"{IMAGE}/.zattrs": b"{"},
        {f"{IMAGE}/.zattrs": b"{}"},
        {f"{IMAGE}/.zattrs": b"[]"},
        {f"{IMAGE}/0/.zarray": b'{"shape": [1, 2]}'},
        {f"{IMAGE}/0/.zarray": b'{"shape": [1, 1, 0, 5, 5]}'},
        {f"{IMAGE}/0/.zarray": b'{"shape": [1, 1, "4", 5, 5]}'},
        {f"{IMAGE}/0/.zarray": b"null"},
        {"metadata.nd.json": as_json({"acquisition": {"axes": [{"name": "X", "direction": "up"}]}})},
    ],
)
def test_an_image_that_cannot_be_placed_stays_listed_with_the_reason(change: dict):
    stitched = read(stitched_files() | change)
    assert stitched.channels[0].frame is None
    assert "Ex_639_Em_667" in messages(stitched, "A14")


def test_metadata_that_cannot_be_read_is_named_and_costs_no_channel():
    stitched = read(stitched_files() | {"metadata.nd.json": b"{"})
    assert "metadata.nd.json" in messages(stitched, "A14")
    assert stitched.channels[0].frame is not None


def test_an_asset_that_is_not_ready_or_gone_is_shown_as_such():
    assert "still copying" in messages(read({}, state="failed", failure_reason="still copying"), "A10")
    library = FakeLibrary()
    asset = library.add(NAME, stitched_files())
    library.fail(NAME, PlatformError("The bucket is gone."))
    assert "bucket is gone" in messages(read_stitched(library, asset), "A14")
