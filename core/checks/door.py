"""The door to every check of a mapping: all problems at once, each with its rule, its place and its cure."""

from __future__ import annotations

from collections.abc import Sequence

from core.atlas_frames import AffineAtlas
from core.checks.assets import check_assets
from core.checks.earlier import Converted, check_earlier
from core.checks.index import build_index
from core.checks.mapped import mapped_probes
from core.checks.probes import check_probes
from core.checks.rows import check_rows
from core.checks.shanks import check_shanks
from core.checks.state import check_state
from core.checks.thresholds import USUAL, Thresholds
from core.checks.tissue import check_tissue
from core.checks.tracks import check_tracks
from core.checks.usage import check_usage
from core.manifest import ManifestTable
from core.manifest.rows import ManifestRow
from core.models import Mapping, Problem, Severity, State, Subject
from core.tissue import Tissue

_GRAVITY = {Severity.ERROR: 0, Severity.CONFIRM: 1, Severity.WARNING: 2, Severity.INFO: 3}


def check_mapping(
    rows: Sequence[ManifestRow],
    *,
    state: State,
    subject: Subject | None,
    mapping: Mapping | None = None,
    converted: Sequence[Converted] = (),
    limits: Thresholds = USUAL,
    atlas: AffineAtlas | None = None,
    tissue: Tissue | None = None,
) -> tuple[Problem, ...]:
    """Every problem of a manifest, gravest first; within a severity the manifest as a whole first, then by row.

    Args:
        rows: The manifest.
        state: The Neuroglancer state that the rows' tracks are drawn in.
        subject: What the library has of the mouse; None when it is unknown there, which is an error of its own.
        mapping: What a person decided besides: streams skipped and layers ignored on purpose.
        converted: What earlier jobs delivered, recording by recording.
        limits: What measured numbers are compared with.
        atlas: The way from the image into the atlas, when its affines are at hand.
        tissue: Where the image shows tissue, when it has been read.
    """
    index = build_index(rows, state, subject, mapping, limits)
    probes = mapped_probes(index, atlas)
    found = [
        *check_rows(index),
        *check_state(index),
        *check_assets(index),
        *check_usage(index),
        *check_tracks(index),
        *check_tissue(index, tissue),
        *check_shanks(index, probes),
        *check_probes(index, probes, atlas),
        *check_earlier(index, converted),
    ]
    return _sorted_once(found)


def check_table(
    table: ManifestTable,
    *,
    state: State,
    subject: Subject | None,
    mapping: Mapping | None = None,
    converted: Sequence[Converted] = (),
    limits: Thresholds = USUAL,
    atlas: AffineAtlas | None = None,
    tissue: Tissue | None = None,
) -> tuple[Problem, ...]:
    """Every problem of a manifest that was read from a CSV, those of its reading included."""
    found = check_mapping(
        table.rows,
        state=state,
        subject=subject,
        mapping=mapping,
        converted=converted,
        limits=limits,
        atlas=atlas,
        tissue=tissue,
    )
    return _sorted_once([*table.problems, *found])


def _sorted_once(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Problems without repeats, gravest first."""

    def order(problem: Problem) -> tuple[int, int]:
        return _GRAVITY[problem.severity], -1 if problem.where.row is None else problem.where.row

    return tuple(sorted(dict.fromkeys(problems), key=order))
