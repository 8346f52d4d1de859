"""From a stitched brain into the Allen CCF by its two small affines: affine only, the warps are left away.

The way: level-0 voxels -> the pipeline's own frame -> template -> CCF. Each frame is LPS millimetres (towards Left,
Posterior, Superior) but the last, `ccf_um`: micrometres ML, AP, DV of the Allen CCF, counted towards right, back and
down from its left front upper corner. What is left away with the warps is some hundred micrometres: enough to tell a
hemisphere or a wrong track, not a layer of cortex. `AffineAtlas.note` says so; show it beside every number.

The pipeline registered its images in a frame of its own, not in that of their metadata: it put the corner voxel that
lies farthest right, front and up at a fixed place, and for some versions it took fixed voxel sizes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import InputError
from core.geometry import directions_ras
from core.models import ImageFrame, Points

MIDLINE_ML_UM = 5_739.0
"""The CCF's midline along ML; with AP and DV below it is where bregma lies."""
BREGMA_UM_ML_AP_DV = (MIDLINE_ML_UM, 5_400.0, 332.0)

MAX_AFFINE_BYTES = 64 * 1024
_CORNER_LPS_MM = (-1.5114, -1.5, 1.5)
"""Where the pipeline puts the centre of the level's right, front, upper corner voxel."""
_ANCHORED_SINCE = (0, 0, 18)
_SPACED_UNTIL = (0, 0, 32)
_SEEN_UNTIL = (0, 0, 34)
"""The last version of which it is known that the corner is put there; later ones are taken for the same."""
_SPACING_LEVEL3_MM = {"L": 0.0144, "R": 0.0144, "A": 0.0144, "P": 0.0144, "S": 0.016, "I": 0.016}
_LEVEL3 = 8.0
"""Finest voxels along one of level 3."""
_LPS_OF_RAS = np.array([-1.0, -1.0, 1.0])
_CCF_OF_LPS_MM = np.array([-1e3, 1e3, -1e3])
_BREGMA_OF_CCF = np.array([1.0, -1.0, -1.0])
_TRANSFORMS = re.compile(r"(Affine|MatrixOffset)Transform(Base)?_(double|float)_3_3")
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


# --- affines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """An ITK affine of LPS millimetres: `moving = matrix @ fixed + offset`.

    Registrations keep it in the sense that pulls images, so points go from the moving image to the fixed template by
    its inverse.
    """

    matrix: Points
    """(3, 3)."""
    offset_mm: Points
    """(3,)."""

    def to_moving(self, points_fixed_lps_mm: Points) -> Points:
        """(n, 3) points of the fixed image (the template) in the moving one."""
        return _as_points(points_fixed_lps_mm) @ self.matrix.T + self.offset_mm

    def to_fixed(self, points_moving_lps_mm: Points) -> Points:
        """(n, 3) points of the moving image in the fixed one (the template)."""
        return (_as_points(points_moving_lps_mm) - self.offset_mm) @ np.linalg.inv(self.matrix).T


def read_itk_affine(data: bytes, *, where: str = "0GenericAffine.mat") -> Affine:
    """Read the `.mat` file of an ITK affine in three dimensions, a few hundred bytes of MATLAB 4.

    Raises:
        InputError: too large, another format, or a transform that cannot be undone.
    """
    import scipy.io  # here, since every command would wait for it at its start

    cure = "Take the affine as the registration wrote it."
    if len(data) > MAX_AFFINE_BYTES:
        raise InputError(f"The file has more than {MAX_AFFINE_BYTES} bytes.", where=where, cure=cure)
    try:
        if 0 not in data[:4]:  # a later format begins with words, and could unpack to any size
            raise ValueError("not MATLAB 4")
        content = scipy.io.loadmat(io.BytesIO(data))
        names = [name for name in content if _TRANSFORMS.fullmatch(name)]
        if len(names) != 1:
            raise ValueError(f"{len(names)} affine transforms")
        parameters = np.asarray(content[names[0]], dtype=np.float64).ravel()
        centre = np.asarray(content["fixed"], dtype=np.float64).ravel()
        if parameters.shape != (12,) or centre.shape != (3,) or not np.isfinite([*parameters, *centre]).all():
            raise ValueError("not twelve finite parameters and a centre")
    except Exception as error:  # scipy's reader raises whatever a damaged file leads it to
        raise InputError(
            f"It is no affine of ITK ({type(error).__name__}: {error}).", where=where, cure=cure
        ) from error
    matrix, translation = parameters[:9].reshape(3, 3), parameters[9:]
    if not np.linalg.cond(matrix) < 1e6:
        raise InputError("The affine squeezes space flat and cannot be undone.", where=where, cure=cure)
    return Affine(matrix, centre + translation - matrix @ centre)


# --- the pipeline's frame -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PipelineFrame:
    """Where the pipeline believed an image's voxels to lie: `LPS mm = origin + directions @ (scale * index)`."""

    origin_lps_mm: Points
    """(3,) centre of voxel (0, 0, 0) of the finest level."""
    scale_level0_mm_xyz: Points
    """(3,)."""
    directions_lps: Points
    """(3, 3), column a is the unit vector of axis x, y or z."""
    assumed: str = ""
    """What was assumed because nothing said so; "" when all was read."""


def import_version(processing: Mapping[str, Any]) -> str | None:
    """The version of the step "Image importing" in a parsed processing.json; None when it is not told."""
    pipeline = processing.get("processing_pipeline")
    processes = pipeline.get("data_processes") if isinstance(pipeline, Mapping) else None
    for process in processes if isinstance(processes, list) else []:
        if isinstance(process, Mapping) and process.get("name") == "Image importing":
            version = process.get("code_version")
            return version if isinstance(version, str) else None
    return None


def pipeline_frame(
    frame: ImageFrame,
    version: str,
    shape_level3_zyx: Sequence[int] | None = None,
    scale_level3_um_xyz: Sequence[float] | None = None,
) -> PipelineFrame:
    """The frame in which the pipeline registered an image.

    Args:
        frame: The image's own geometry.
        version: Version of the step "Image importing", see `import_version`.
        shape_level3_zyx: Size of level 3 in voxels; an eighth of the finest level when None.
        scale_level3_um_xyz: Voxel size of level 3; eight times the finest when None.

    Raises:
        InputError: the version cannot be understood, or the image's size is unknown.
    """
    number = _version(version)
    directions = directions_ras(frame.directions_xyz) * _LPS_OF_RAS[:, None]
    scale_mm = np.asarray(frame.scale_level0_um_xyz) / 1e3
    if number < _ANCHORED_SINCE:
        return PipelineFrame(np.zeros(3), scale_mm, directions, frame.assumed)
    assumed = [frame.assumed] if frame.assumed else []
    if number > _SEEN_UNTIL:
        assumed.append(f"images imported by {version} lie like those of {'.'.join(map(str, _SEEN_UNTIL))}")
    if shape_level3_zyx is None:
        shape_level3_zyx = [size // int(_LEVEL3) for size in frame.shape_level0_zyx]
        assumed.append("level 3 has an eighth of the finest level's voxels")
    if min(shape_level3_zyx) < 1:
        raise InputError(
            f"The image's level 3 has the size {tuple(shape_level3_zyx)}, so its corner is unknown.",
            cure="Check the .zarray of the stitched image.",
        )
    level3_mm = scale_mm * _LEVEL3 if scale_level3_um_xyz is None else np.asarray(scale_level3_um_xyz) / 1e3
    if number < _SPACED_UNTIL:
        level3_mm = np.array([_SPACING_LEVEL3_MM[letter] for letter in frame.directions_xyz])
    last = np.asarray(shape_level3_zyx, dtype=np.float64)[::-1] - 1.0
    corner = np.where([letter in "RAS" for letter in frame.directions_xyz], last, 0.0)
    scale = level3_mm / _LEVEL3
    # A voxel of level 3 is the mean of the finest beneath it: its centre lies between theirs.
    origin = np.asarray(_CORNER_LPS_MM) - directions @ (level3_mm * corner) + directions @ ((scale - level3_mm) / 2.0)
    return PipelineFrame(origin, scale, directions, "; ".join(assumed))


def level0_to_pipeline_lps_mm(points_level0_zyx: Points, pipeline: PipelineFrame) -> Points:
    """Voxel indices of the finest level, (n, 3) in z, y, x, as (n, 3) LPS millimetres of the pipeline's frame."""
    indices_xyz = _as_points(points_level0_zyx)[:, ::-1]
    return indices_xyz * pipeline.scale_level0_mm_xyz @ pipeline.directions_lps.T + pipeline.origin_lps_mm


def pipeline_lps_mm_to_level0(points_pipeline_lps_mm: Points, pipeline: PipelineFrame) -> Points:
    """The inverse of `level0_to_pipeline_lps_mm`: (n, 3) voxel indices in z, y, x."""
    along = (_as_points(points_pipeline_lps_mm) - pipeline.origin_lps_mm) @ pipeline.directions_lps
    return np.asarray((along / pipeline.scale_level0_mm_xyz)[:, ::-1])


def _version(text: str) -> tuple[int, int, int]:
    found = _VERSION.match(text.strip())
    if found is None:
        raise InputError(
            f"The image was imported by a version {text!r}, which is no version number.",
            where="processing.json",
            cure="Without it the frame of the registration is unknown; look at the step 'Image importing'.",
        )
    return int(found[1]), int(found[2]), int(found[3] or 0)


# --- into the atlas -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class AffineAtlas:
    """The way from one image into the Allen CCF, affine only."""

    pipeline: PipelineFrame
    image_to_template: Affine
    """As the registration keeps it: fixed is the template, moving the image."""
    template_to_ccf: Affine
    """As the registration keeps it: fixed is the CCF, moving the template."""

    @property
    def note(self) -> str:
        """What to say beside every number that comes from it."""
        more = f"; {self.pipeline.assumed}" if self.pipeline.assumed else ""
        return f"affine only, without the warps: some hundred um off{more}"


def points_to_ccf_um(points_level0_zyx: Points, atlas: AffineAtlas) -> Points:
    """Voxel indices of the finest level as (n, 3) CCF micrometres ML, AP, DV. Affine only."""
    template = atlas.image_to_template.to_fixed(level0_to_pipeline_lps_mm(points_level0_zyx, atlas.pipeline))
    return np.asarray(atlas.template_to_ccf.to_fixed(template) * _CCF_OF_LPS_MM)


def ccf_um_to_points(points_ccf_um: Points, atlas: AffineAtlas) -> Points:
    """The inverse of `points_to_ccf_um`: (n, 3) voxel indices in z, y, x. Affine only."""
    template = atlas.template_to_ccf.to_moving(_as_points(points_ccf_um) / _CCF_OF_LPS_MM)
    return pipeline_lps_mm_to_level0(atlas.image_to_template.to_moving(template), atlas.pipeline)


def ccf_to_bregma_um(points_ccf_um: Points) -> Points:
    """(n, 3) CCF micrometres ML, AP, DV as micrometres from bregma towards right, front and up."""
    return np.asarray((_as_points(points_ccf_um) - BREGMA_UM_ML_AP_DV) * _BREGMA_OF_CCF)


def bregma_to_ccf_um(points_bregma_um: Points) -> Points:
    """The inverse of `ccf_to_bregma_um`."""
    return np.asarray(_as_points(points_bregma_um) * _BREGMA_OF_CCF + BREGMA_UM_ML_AP_DV)


def right_of_midline_um(points_ccf_um: Points) -> Points:
    """(n,) how far each of (n, 3) CCF points lies right of the midline; negative on the left."""
    right: Points = _as_points(points_ccf_um)[:, 0] - MIDLINE_ML_UM
    return right


def hemisphere(point_ccf_um: Points, *, unsure_um: float = 0.0) -> str | None:
    """Either "left" or "right"; None within `unsure_um` of the midline."""
    right_um = float(right_of_midline_um(point_ccf_um)[0])
    if abs(right_um) <= unsure_um:
        return None
    return "right" if right_um > 0 else "left"


def _as_points(points: Points) -> Points:
    return np.asarray(points, dtype=np.float64).reshape(-1, 3)
