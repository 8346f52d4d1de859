"""The pipeline's frame, ITK affines and the Allen CCF: values computed by hand, and ways back."""

from __future__ import annotations

import io
import struct
from itertools import product

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from core.atlas_frames import (
    MAX_AFFINE_BYTES,
    Affine,
    AffineAtlas,
    bregma_to_ccf_um,
    ccf_to_bregma_um,
    ccf_um_to_points,
    hemisphere,
    import_version,
    level0_to_pipeline_lps_mm,
    pipeline_frame,
    pipeline_lps_mm_to_level0,
    points_to_ccf_um,
    read_itk_affine,
    right_of_midline_um,
)
from core.errors import InputError
from core.geometry import level0_to_image_ras_um, level_to_level0
from core.models import ImageFrame

BRAIN = ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (4000, 7222, 6111), 6)
ORIENTATIONS = list(product("RL", "AP", "SI"))
LPS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def mat4(name: str, values: list[float]) -> bytes:
    """One column of doubles as MATLAB 4 writes it: five words of header, the name, the numbers."""
    return struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0" + struct.pack(
        f"<{len(values)}d", *values
    )  # fmt: skip


def affine_file(matrix: object, translation: object, centre: object, name: str = "AffineTransform_double_3_3") -> bytes:
    parameters = [*np.ravel(matrix).tolist(), *np.ravel(translation).tolist()]
    return mat4(name, parameters) + mat4("fixed", list(np.ravel(centre)))


# --- affines ------------------------------------------------------------------------------------


def test_an_affine_turns_about_its_centre_and_then_moves():
    """A quarter turn about (1, 1, 0), then 10 along the third axis: (2, 1, 0) comes to (1, 2, 10)."""
    affine = read_itk_affine(affine_file([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0, 0, 10], [1, 1, 0]))
    np.testing.assert_allclose(affine.to_moving(np.array([[2.0, 1.0, 0.0]])), [[1.0, 2.0, 10.0]], atol=1e-12)
    np.testing.assert_allclose(affine.to_fixed(np.array([[1.0, 2.0, 10.0]])), [[2.0, 1.0, 0.0]], atol=1e-12)


@pytest.mark.parametrize("name", ["AffineTransform_double_3_3", "MatrixOffsetTransformBase_double_3_3"])
def test_a_file_that_scipy_writes_is_read_like_one_written_by_hand(name: str):
    matrix, translation, centre = np.diag([1.04, 1.02, 1.05]), [4.1, 5.2, -2.6], [1.0, 2.0, 3.0]
    file = io.BytesIO()
    columns = {name: np.r_[matrix.ravel(), translation][:, None], "fixed": np.array(centre)[:, None]}
    scipy.io.savemat(file, columns, format="4")
    by_scipy, by_hand = (read_itk_affine(data) for data in (file.getvalue(), affine_file(matrix, translation, centre)))
    np.testing.assert_array_equal(by_scipy.matrix, by_hand.matrix)
    np.testing.assert_allclose(by_scipy.offset_mm, [4.1 - 0.04, 5.2 - 0.04, -2.6 - 0.15], atol=1e-12)
    np.testing.assert_array_equal(by_scipy.offset_mm, by_hand.offset_mm)


GOOD = affine_file(np.eye(3), [1, 2, 3], [0, 0, 0])


def mat5() -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, {"AffineTransform_double_3_3": np.zeros((12, 1)), "fixed": np.zeros((3, 1))})
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no affine"),
        (b"\0", "no affine"),
        (GOOD[:-8], "no affine"),
        (GOOD[:60], "no affine"),
        (mat4("fixed", [0, 0, 0]), "0 affine transforms"),
        (mat4("AffineTransform_double_3_3", [0] * 12), "fixed"),
        (GOOD + mat4("AffineTransform_float_3_3", [0] * 12), "2 affine transforms"),
        (affine_file(np.eye(2), [0, 0], [0, 0]), "twelve"),
        (affine_file(np.eye(3), [0, 0, np.nan], [0, 0, 0]), "finite"),
        (affine_file(np.diag([1, 1, 0]), [0, 0, 0], [0, 0, 0]), "flat"),
        (affine_file(np.eye(3), [0, 0, 0], [0, 0, 0], name="BSplineTransform_double_3_3"), "0 affine"),
        (struct.pack("<5i", 0, 2**30, 2**30, 0, 6) + b"fixed\0", "no affine"),
        (b"\0" * (MAX_AFFINE_BYTES + 1), "bytes"),
        (mat5(), "not MATLAB 4"),
    ],
)
def test_what_is_no_affine_is_refused_with_place_and_cure(data: bytes, words: str):
    with pytest.raises(InputError, match=words) as caught:
        read_itk_affine(data, where="brain/affine.mat")
    assert caught.value.where == "brain/affine.mat"
    assert caught.value.cure


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.integers(0, len(GOOD)))
def test_a_damaged_file_is_read_or_refused(noise: bytes, at: int):
    for data in (b"\0" + noise, GOOD[:at] + noise + GOOD[at + len(noise) :]):
        try:
            affine = read_itk_affine(data)
        except InputError:
            continue
        assert np.isfinite(affine.to_fixed(np.ones((1, 3)))).all()


# --- the pipeline's frame -----------------------------------------------------------------------


def test_the_frame_of_a_usual_brain_is_the_one_computed_by_hand():
    """Level 3 has 763 x 902 x 500 voxels of 14.4, 14.4 and 16 um. Its last voxel in x and y and its first in z lie at
    the corner. From there it is 762 and 901 voxels to the first, and 6.3, 6.3, 7 um on to the first finest one."""
    frame = pipeline_frame(BRAIN, "0.0.34", (500, 902, 763))
    np.testing.assert_allclose(level0_to_pipeline_lps_mm(np.zeros((1, 3)), frame), [[9.4677, 11.4807, 1.507]])
    far = level0_to_pipeline_lps_mm(np.array([[1000.0, 2000.0, 3000.0]]), frame)
    np.testing.assert_allclose(far, [[9.4677 - 5.4, 11.4807 - 3.6, 1.507 - 2.0]])
    assert frame.assumed == ""


@pytest.mark.parametrize("letters", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("version", ["0.0.17", "0.0.18", "0.0.31", "0.0.32"])
def test_the_corner_lies_where_the_pipeline_put_it(letters: tuple[str, str, str], version: str):
    frame = ImageFrame((3.0, 1.0, 2.0), letters, (810, 1615, 2400), 5)
    shape_xyz = np.array([300, 201, 101])
    pipeline = pipeline_frame(frame, version, shape_xyz[::-1].tolist())
    scale_um = np.array([1.8, 1.8, 2.0] if version in ("0.0.18", "0.0.31") else [3.0, 1.0, 2.0])
    steps = level0_to_pipeline_lps_mm(np.eye(3)[::-1], pipeline) - level0_to_pipeline_lps_mm(np.zeros((3, 3)), pipeline)
    expected = np.array([LPS[letter] for letter in letters]) * scale_um[:, None] / 1e3
    np.testing.assert_allclose(steps, expected, atol=1e-12)
    if version == "0.0.17":
        points = np.array([[5.0, 6.0, 7.0]])
        ras_um = level0_to_image_ras_um(points, frame)
        np.testing.assert_allclose(level0_to_pipeline_lps_mm(points, pipeline) * [-1e3, -1e3, 1e3], ras_um, atol=1e-9)
        return
    corner_xyz = [size - 1 if letter in "RAS" else 0 for size, letter in zip(shape_xyz, letters, strict=True)]
    corner = level_to_level0(np.array([corner_xyz[::-1]], dtype=float), (8.0, 8.0, 8.0))
    np.testing.assert_allclose(level0_to_pipeline_lps_mm(corner, pipeline), [[-1.5114, -1.5, 1.5]], atol=1e-12)


def test_what_the_metadata_leave_open_is_said():
    assert "an eighth" in pipeline_frame(BRAIN, "0.0.33").assumed
    later = pipeline_frame(BRAIN, "1.2", (500, 902, 763))
    assert "1.2" in later.assumed
    assert "0.0.34" in later.assumed
    guessed = ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (4000, 7222, 6111), 6, "directions guessed")
    assert pipeline_frame(guessed, "0.0.2").assumed == "directions guessed"
    np.testing.assert_array_equal(
        pipeline_frame(BRAIN, "0.0.33").origin_lps_mm, pipeline_frame(BRAIN, "0.0.33", (500, 902, 763)).origin_lps_mm
    )


def test_an_unknown_version_or_size_is_refused():
    with pytest.raises(InputError, match="no version number"):
        pipeline_frame(BRAIN, "main")
    with pytest.raises(InputError, match="corner is unknown"):
        pipeline_frame(ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (0, 0, 0), 1), "0.0.33")


def test_the_import_step_tells_the_version():
    steps = [{"name": "Image destriping", "code_version": "9"}, {"name": "Image importing", "code_version": "0.0.30"}]
    assert import_version({"processing_pipeline": {"data_processes": steps}}) == "0.0.30"
    for odd in ({}, {"processing_pipeline": 3}, {"processing_pipeline": {"data_processes": [3, {"name": 4}]}}):
        assert import_version(odd) is None


# --- into the atlas -----------------------------------------------------------------------------


def test_a_point_comes_into_the_atlas_as_computed_by_hand():
    """Native frame, so voxel (z 100, y 200, x 300) lies at LPS (-0.54, -0.36, -0.2) mm. The template is twice as large
    and 1 mm to the left; the CCF has its origin 5 mm further left and 4 mm further front than the template."""
    to_template = Affine(np.eye(3) / 2.0, np.array([-0.5, 0.0, 0.0]))
    to_ccf = Affine(np.eye(3), np.array([5.0, -4.0, 0.0]))
    atlas = AffineAtlas(pipeline_frame(BRAIN, "0.0.1"), to_template, to_ccf)
    ccf = points_to_ccf_um(np.array([[100.0, 200.0, 300.0]]), atlas)
    # template (-0.08, -0.72, -0.4), CCF (-5.08, 3.28, -0.4)
    np.testing.assert_allclose(ccf, [[5080.0, 3280.0, 400.0]])
    np.testing.assert_allclose(ccf_to_bregma_um(ccf), [[-659.0, 2120.0, -68.0]])
    assert right_of_midline_um(ccf)[0] == pytest.approx(-659.0)
    assert hemisphere(ccf) == "left"
    assert hemisphere(ccf, unsure_um=700.0) is None
    assert hemisphere(np.array([5740.0, 0.0, 0.0])) == "right"
    assert atlas.note.startswith("affine only")


def test_what_was_assumed_stands_in_the_note():
    same = Affine(np.eye(3), np.zeros(3))
    note = AffineAtlas(pipeline_frame(BRAIN, "0.0.33"), same, same).note
    assert "affine only" in note
    assert "an eighth" in note


numbers = st.floats(-1.0, 1.0)
triples = st.tuples(numbers, numbers, numbers)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ORIENTATIONS), triples, triples, triples, st.sampled_from(["0.0.10", "0.0.20", "0.0.33"]))
def test_the_way_back_ends_where_it_began(letters, skew, move, where, version):
    frame = ImageFrame((1.8, 1.9, 2.0), letters, (4000, 7222, 6111), 6)
    matrix = np.eye(3) + 0.2 * np.array([[0, skew[0], 0], [0, 0, skew[1]], [skew[2], 0, 0]])
    affine = Affine(matrix, np.array(move))
    atlas = AffineAtlas(pipeline_frame(frame, version), affine, Affine(matrix.T, -np.array(move)))
    points = (np.array([where]) + 1.0) * 2000.0
    np.testing.assert_allclose(ccf_um_to_points(points_to_ccf_um(points, atlas), atlas), points, atol=1e-6)
    np.testing.assert_allclose(bregma_to_ccf_um(ccf_to_bregma_um(points)), points, atol=1e-9)
    back = pipeline_lps_mm_to_level0(level0_to_pipeline_lps_mm(points, atlas.pipeline), atlas.pipeline)
    np.testing.assert_allclose(back, points, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.permutations("xyz"), triples)
def test_how_an_image_is_stored_does_not_move_the_brain(letters, order, where):
    """The same brain, its axes flipped and exchanged: one place has one place in the pipeline's frame."""
    size, voxel = {"x": 700, "y": 900, "z": 500}, {"x": 14.4, "y": 16.0, "z": 12.0}
    plain = {"x": "R", "y": "A", "z": "S"}
    turned = dict(zip("xyz", letters, strict=True))

    def place(towards, names, index):
        """The image whose axes x, y, z are the brain's axes `names`."""
        frame = ImageFrame(
            tuple(voxel[name] / 8 for name in names),
            tuple(towards[name] for name in names),
            tuple(size[name] * 8 for name in names)[::-1],
            6,
        )
        point = np.array([[index[name] for name in names][::-1]])
        return level0_to_pipeline_lps_mm(point, pipeline_frame(frame, "0.0.33"))

    index = {name: (part + 1.0) * 1000.0 for name, part in zip("xyz", where, strict=True)}
    same = {n: index[n] if turned[n] == plain[n] else size[n] * 8 - 1 - index[n] for n in "xyz"}
    np.testing.assert_allclose(place(turned, order, same), place(plain, "xyz", index), atol=1e-9)
