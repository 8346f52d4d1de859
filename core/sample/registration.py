"""Where the sample's brain lies in the atlas, and the registration that says so, in the formats of ANTs.

The cleared brain is a little smaller than the atlas and lies straight in it; the registration's template is the atlas.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io

from core.atlas_frames import level0_to_pipeline_lps_mm, pipeline_frame
from core.models import ImageFrame, Points
from core.sample.files import write_bytes
from core.sample.tracks import BRAIN_CENTRE_UM, SHAPE_LEVEL0_ZYX, VOXEL_UM_XYZ, to_level0_zyx

IMPORT_VERSION = "0.0.34"
"""Of the step that imported the images: it says in which frame they were registered."""
_ATLAS_PER_BRAIN = np.array([1.04, 1.02, 1.05])
"""Sizes along ML, AP, DV."""
_CENTRE_CCF_UM = np.array([5739.0, 6600.0, 4000.0])
_TOWARDS_CCF = np.array([1.0, -1.0, 1.0])
"""The image box counts to the front, the atlas to the back."""
_LPS_MM_PER_CCF_UM = np.array([-1e-3, 1e-3, -1e-3])


def ccf_um(points_box_um: Points) -> Points:
    """Points of the image box, (n, 3) um, in the Allen CCF: (n, 3) um ML, AP, DV."""
    offsets = np.asarray(points_box_um, dtype=np.float64).reshape(-1, 3) - BRAIN_CENTRE_UM
    return np.asarray(_CENTRE_CCF_UM + offsets * _TOWARDS_CCF * _ATLAS_PER_BRAIN)


def write_registration(folder: Path, directions_xyz: tuple[str, str, str], shape_level3_zyx: Sequence[int]) -> None:
    """Write the affine from the brain to the template, and two warps of no displacement."""
    x_um, y_um, z_um = (float(size) for size in VOXEL_UM_XYZ)
    frame = ImageFrame((x_um, y_um, z_um), directions_xyz, SHAPE_LEVEL0_ZYX, levels=1)
    registered = pipeline_frame(frame, IMPORT_VERSION, shape_level3_zyx, [8.0 * size for size in (x_um, y_um, z_um)])
    centre = level0_to_pipeline_lps_mm(to_level0_zyx(BRAIN_CENTRE_UM[None]), registered)[0]
    # It is kept in the sense that pulls images: from the template to the brain.
    matrix = np.diag(1.0 / _ATLAS_PER_BRAIN)
    _write_affine(folder / "ls_to_template_SyN_0GenericAffine.mat", matrix, centre - matrix @ _centre_lps_mm())
    for name in ("1InverseWarp", "1Warp"):
        write_bytes(folder / f"ls_to_template_SyN_{name}.nii.gz", _zero_warp())


def write_template(asset: Path) -> None:
    """Write the asset that leads from the template to the atlas: they are the same here."""
    _write_affine(asset / "spim_template_to_ccf_syn_0GenericAffine_25.mat", np.eye(3), np.zeros(3))


def _centre_lps_mm() -> Points:
    return np.asarray(_CENTRE_CCF_UM * _LPS_MM_PER_CCF_UM)


def _write_affine(path: Path, matrix: Points, offset_mm: Points) -> None:
    buffer = io.BytesIO()
    parameters = np.r_[matrix.ravel(), offset_mm]
    matrices = {"AffineTransform_double_3_3": parameters[:, None], "fixed": np.zeros((3, 1))}
    scipy.io.savemat(buffer, matrices, format="4")
    write_bytes(path, buffer.getvalue())


def _zero_warp(cells: int = 6, cell_mm: float = 2.8) -> bytes:
    """A gzipped NIfTI-1 displacement field of zeros that covers the brain."""
    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 5, cells, cells, cells, 1, 3, 1, 1)
    struct.pack_into("<3h", header, 68, 1007, 16, 32)  # a vector field of 32-bit floats
    struct.pack_into("<8f", header, 76, 1.0, cell_mm, cell_mm, cell_mm, 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<f", header, 108, 352.0)
    struct.pack_into("<B", header, 123, 2)  # millimetres
    struct.pack_into("<2h", header, 252, 1, 1)
    for row in range(3):
        struct.pack_into("<4f", header, 280 + 16 * row, *(cell_mm * (column == row) for column in range(4)))
    header[344:348] = b"n+1\0"
    voxels = np.zeros((3, cells, cells, cells), dtype="<f4")
    return gzip.compress(bytes(header) + b"\0\0\0\0" + voxels.tobytes(), mtime=0)
