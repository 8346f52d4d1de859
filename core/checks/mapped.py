"""Which probe each row maps: the tracks of one probe in one recording, judged together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.asset_names import split_stream
from core.atlas_frames import AffineAtlas
from core.checks.index import CheckIndex
from core.checks.thresholds import Thresholds
from core.drawn_tracks import atlas_shape, drawn_shape
from core.models import ImageFrame, Points, Recording
from core.plans import ProbePlan, plan_of
from core.shank_geometry import fit_pitch, shank_layout
from core.track_geometry import TrackShape


@dataclass(frozen=True, slots=True, eq=False)
class MappedProbe:
    """One probe of one recording with the tracks that the rows give it."""

    recording: Recording
    rows: tuple[int, ...]
    """Manifest rows, by shank."""
    shapes: tuple[TrackShape, ...]
    """Of the same rows, in the image."""
    shanks: tuple[int | None, ...]
    """0-based physical shanks."""
    in_atlas: tuple[TrackShape, ...]
    """The same tracks in the atlas; () without one."""
    plan: ProbePlan

    def middle(self, *, atlas: bool = False) -> tuple[Points, Points]:
        """(3,) entry and (3,) tip of the middle of its shanks."""
        shapes = self.in_atlas if atlas else self.shapes
        return _mean([shape.entry_um for shape in shapes]), _mean([shape.tip_um for shape in shapes])

    def scale(self, limits: Thresholds) -> float | None:
        """Drawn over true distances of its shanks."""
        known = [(shank, shape) for shank, shape in zip(self.shanks, self.shapes, strict=True) if shank is not None]
        if len({shank for shank, _ in known}) < 3 or len(known) > 4:
            return None
        fit = fit_pitch(shank_layout([shape for _, shape in known]))
        return None if fit is None or fit.residual_um > limits.shank_row_um else fit.scale


def mapped_probes(index: CheckIndex, atlas: AffineAtlas | None) -> tuple[MappedProbe, ...]:
    """The probes that the rows map, with the shapes of their tracks; none when the image's geometry is unknown."""
    if index.frame is None:
        return ()
    groups: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(index.rows):
        chosen = index.chosen(row.sorted_recording)
        if chosen is None or len(index.by_track[row.histology_track_id]) > 1:
            continue
        split = split_stream(row.ephys_collection, [stream.token for stream in chosen[1].streams])
        groups.setdefault((row.sorted_recording, split[0] if split else row.ephys_collection), []).append(number)
    made = (_mapped(index, index.frame, atlas, base, numbers) for (_, base), numbers in groups.items())
    return tuple(each for each in made if each is not None)


def _mapped(
    index: CheckIndex, frame: ImageFrame, atlas: AffineAtlas | None, base: str, numbers: list[int]
) -> MappedProbe | None:
    found = []
    for number in sorted(numbers, key=lambda n: (index.rows[n].histology_shank or 0, n)):
        layers = index.layers.get(index.rows[number].histology_track_id)
        shape = drawn_shape(layers[0], frame) if layers else None
        if layers and shape is not None:
            found.append((number, shape, atlas_shape(layers[0], atlas) if atlas else None))
    chosen = index.chosen(index.rows[numbers[0]].sorted_recording)
    if not found or chosen is None:
        return None
    names = {base, *(index.rows[number].ephys_collection for number in numbers)}
    return MappedProbe(
        recording=chosen[0],
        rows=tuple(number for number, _, _ in found),
        shapes=tuple(shape for _, shape, _ in found),
        shanks=tuple(index.rows[number].histology_shank for number, _, _ in found),
        in_atlas=tuple(shape for _, _, shape in found if shape is not None),
        plan=plan_of(chosen[0], names),
    )


def _mean(points: Sequence[Points]) -> Points:
    return np.asarray(np.mean(points, axis=0))
