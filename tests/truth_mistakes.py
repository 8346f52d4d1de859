"""The mistakes people make when they map a mouse, planted one at a time into a right mapping.

Each kind says what of the metadata would reveal it; a mistake that nothing reveals is counted apart. These rules were
written before any limit was tuned; four kinds came later, see docs/truth.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import builders as b
import numpy as np
from truth_brain import FRAME, SHAPE_ZYX
from truth_mice import Insertion, Mouse, sorted_as
from truth_ranges import HABITS
from truth_sortings import counted, with_stream

from core.atlas_frames import MIDLINE_ML_UM
from core.geometry import image_ras_um_to_level0, level0_to_image_ras_um
from core.models import Points, Recording, Sorting, SortingStatus, Subject
from core.sorted_streams import with_physical_shanks

AIM_UM = 2_500.0
"""An aim this far from the wrong track reveals it, when the aims of two more probes, or of both swapped, are known."""
ANGLE_DEG = 30.0
"""Planned directions this far apart reveal a swap, when the angles of both and of three more probes are known."""
LENGTH_SHARE, LENGTH_UM = 0.4, 1_200.0
"""An insertion that differs by both from the wrong track's reveals it."""
LOST_UM = 800.0
"""A tip that was not drawn is revealed by the insertion's depth when as much is missing."""
HEMISPHERE_UM = 2_000.0
"""An aim this far from the midline tells the wrong hemisphere: a brain that lies askew in its image hides less."""
HEMISPHERE_IN_ATLAS_UM = 950.0
"""The same by the atlas: its limit of 300 um, and 2.6 usual errors of the insertion and the registration together."""
KEPT = (0.4, 0.65)
"""How much of a track is left where its tip was not drawn."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A mouse with one mistake."""

    mouse: Mouse
    rows: frozenset[int]
    """Rows of the probes that it touches."""
    revealed: frozenset[str]
    """What gives it away; empty when nothing does."""
    below: bool = False
    """Not revealed, although the metadata is there: the difference stays below what is called revealing."""
    in_atlas: bool = False
    """The atlas gives it away, whatever else does."""


Plant = Callable[[Mouse, np.random.Generator], Planted | None]


def _swap_tracks(mouse: Mouse, one: int, other: int) -> Mouse:
    """Two rows take each other's track."""
    rows = list(mouse.rows)
    a, c = rows[one].histology_track_id, rows[other].histology_track_id
    rows[one], rows[other] = replace(rows[one], histology_track_id=c), replace(rows[other], histology_track_id=a)
    return replace(mouse, rows=tuple(rows))


def _pick(rng: np.random.Generator, found: list[tuple[Insertion, Insertion]]) -> tuple[Insertion, Insertion] | None:
    return found[int(rng.integers(len(found)))] if found else None


def wrong_track(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The tracks of two probes of one session are swapped."""
    return _swapped_probes(mouse, rng, same_session=True)


def wrong_day(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The tracks of two probes of different days are swapped."""
    return _swapped_probes(mouse, rng, same_session=False)


def _swapped_probes(mouse: Mouse, rng: np.random.Generator, *, same_session: bool) -> Planted | None:
    pairs = [
        (one, other)
        for i, one in enumerate(mouse.insertions)
        for other in mouse.insertions[i + 1 :]
        if (one.session == other.session) is same_session and len(one.rows) == len(other.rows)
    ]
    pair = _pick(rng, pairs)
    if pair is None:
        return None
    one, other = pair
    changed = mouse
    for a, c in zip(one.rows, other.rows, strict=True):
        changed = _swap_tracks(changed, a, c)
    rows = frozenset((*one.rows, *other.rows))
    return Planted(changed, rows, frozenset(_what_reveals(mouse, one, other)), _is_told(one, other))


def _is_told(*insertions: Insertion) -> bool:
    """Whether a file tells anything of these probes that tracks are held against."""
    targets = [each.target for each in insertions]
    return any(each.ccf_um_mlapdv or each.angles_deg or each.depth_um is not None for each in targets)


def _what_reveals(mouse: Mouse, one: Insertion, other: Insertion) -> set[str]:
    found = set()
    rest = [each for each in mouse.insertions if each not in (one, other)]
    aims = [_aim_um(each) for each in (one, other)]
    far = [aim is not None and _away_um(aim, wrong) >= AIM_UM for aim, wrong in zip(aims, (other, one), strict=True)]
    if any(far) and (all(aim is not None for aim in aims) or sum(_aim_um(each) is not None for each in rest) >= 2):
        found.add("aims")
    angled = sum(bool(each.target.angles_deg) for each in rest)
    turned = np.degrees(np.arccos(np.clip(one.direction @ other.direction, -1.0, 1.0)))
    if one.target.angles_deg and other.target.angles_deg and angled >= 3 and turned >= ANGLE_DEG:
        found.add("angles")
    for each, wrong in ((one, other), (other, one)):
        off = abs(wrong.depth_um - each.depth_um)
        if each.target.depth_um is not None and off >= max(LENGTH_SHARE * each.depth_um, LENGTH_UM):
            found.add("depth")
    if mouse.habit != HABITS[3] and not mouse.names_wrong:
        found.add("names")
    return found


def _aim_um(insertion: Insertion) -> Points | None:
    ccf = insertion.target.ccf_um_mlapdv
    return None if ccf is None else np.array([ccf[0], -ccf[1], -ccf[2]])


def _away_um(point: Points, insertion: Insertion) -> float:
    entry, tip = insertion.entry_um.mean(axis=0), insertion.tip_um.mean(axis=0)
    way = tip - entry
    share = np.clip((point - entry) @ way / (way @ way), 0.0, 1.0)
    return float(np.linalg.norm(point - entry - share * way))


def wrong_days(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """Two whole days are taken for each other: every probe that both have gets the other day's tracks."""
    by_session: dict[int, dict[tuple[str, str, int], Insertion]] = {}
    for each in mouse.insertions:
        by_session.setdefault(each.session, {})[each.probe, each.kind, len(each.rows)] = each
    pairs = [
        [(by_session[one][key], by_session[other][key]) for key in by_session[one].keys() & by_session[other].keys()]
        for one in by_session
        for other in by_session
        if one < other
    ]
    pairs = [sorted(pair, key=lambda both: both[0].rows) for pair in pairs if len(pair) >= 2]
    if not pairs:
        return None
    changed, rows, revealed, told = mouse, set(), set(), False
    for one, other in pairs[int(rng.integers(len(pairs)))]:
        for a, c in zip(one.rows, other.rows, strict=True):
            changed = _swap_tracks(changed, a, c)
        rows |= {*one.rows, *other.rows}
        revealed |= _what_reveals(mouse, one, other)
        told |= _is_told(one, other)
    return Planted(changed, frozenset(rows), frozenset(revealed), told)


def _shanked(mouse: Mouse, rng: np.random.Generator) -> Insertion | None:
    found = [each for each in mouse.insertions if len(each.rows) == 4]
    return found[int(rng.integers(len(found)))] if found else None


def swapped_shanks(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """Two neighbouring shanks of a four-shank probe are swapped."""
    probe = _shanked(mouse, rng)
    if probe is None:
        return None
    at = int(rng.integers(3))
    changed = _swap_tracks(mouse, probe.rows[at], probe.rows[at + 1])
    return Planted(changed, frozenset(probe.rows), frozenset({"geometry"}))


def mirrored_shanks(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """All four shanks of a probe in reversed order: only names reveal it."""
    probe = _shanked(mouse, rng)
    if probe is None:
        return None
    changed = _swap_tracks(_swap_tracks(mouse, probe.rows[0], probe.rows[3]), probe.rows[1], probe.rows[2])
    named = {"names"} if mouse.habit != HABITS[3] else set()
    return Planted(changed, frozenset(probe.rows), frozenset(named))


def missing_shank(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """One shank has no row."""
    probe = next((each for each in mouse.insertions if each.kind == "four" and len(each.rows) > 1), None)
    if probe is None:
        return None
    gone = probe.rows[int(rng.integers(len(probe.rows)))]
    rows = tuple(row for number, row in enumerate(mouse.rows) if number != gone)
    touched = (number - (number > gone) for number in probe.rows if number != gone)
    return Planted(replace(mouse, rows=rows), frozenset(touched), frozenset({"recording"}))


def mixed_shanks(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """One shank has the track of another probe, and that probe the shank's."""
    probe = _shanked(mouse, rng)
    others = [each for each in mouse.insertions if each is not probe]
    if probe is None or not others:
        return None
    other = others[int(rng.integers(len(others)))]
    one, another = probe.rows[int(rng.integers(4))], other.rows[int(rng.integers(len(other.rows)))]
    return Planted(_swap_tracks(mouse, one, another), frozenset((*probe.rows, *other.rows)), frozenset({"geometry"}))


def wrong_layer(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """A row's layer holds a few test clicks, scattered landmarks, or two tracks drawn into one."""
    row = int(rng.integers(len(mouse.rows)))
    name = mouse.rows[row].histology_track_id
    kind = int(rng.integers(3 if len(mouse.rows) > 1 else 2))
    if kind == 0:
        start = rng.uniform(0.3, 0.7, 3) * SHAPE_ZYX
        points = [[*map(float, start + rng.normal(0, 8, 3)), 0.0] for _ in range(5)]
    elif kind == 1:
        points = [[*map(float, rng.uniform(0.25, 0.75, 3) * SHAPE_ZYX), 0.0] for _ in range(8)]
    else:
        other = mouse.rows[(row + 1) % len(mouse.rows)].histology_track_id
        points = _points(mouse, name) + _points(mouse, other)
    return Planted(_with_points(mouse, name, points), frozenset({row}), frozenset({"geometry"}))


def _points(mouse: Mouse, name: str) -> list[list[float]]:
    return [list(each["point"]) for each in mouse.layers[name]["annotations"]]  # type: ignore[attr-defined]


def _with_points(mouse: Mouse, name: str, points: list[list[float]]) -> Mouse:
    return replace(mouse, layers=mouse.layers | {name: b.layer_json(name, points=points)})


def wrong_scale(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """A layer was pasted from another volume and says its voxels, or its axes are in another order than it says."""
    row = int(rng.integers(len(mouse.rows)))
    name = mouse.rows[row].histology_track_id
    if rng.random() < 0.5:
        um = {axis: float(rng.choice((1.0, 3.6, 10.0, 25.0))) for axis in "xyz"}
        source = {"url": "local://annotations", "transform": {"outputDimensions": b.space(um=um)}}
        changed = replace(mouse, layers=mouse.layers | {name: mouse.layers[name] | {"source": source}})
    else:
        points = [[x, y, z, t] for z, y, x, t in _points(mouse, name)]
        changed = _with_points(mouse, name, points)
    return Planted(changed, frozenset({row}), frozenset({"geometry"}))


def missing_tip(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The dye ended early: the lower part of a probe's tracks was not drawn. Its insertion depth reveals it."""
    probe = mouse.insertions[int(rng.integers(len(mouse.insertions)))]
    kept = rng.uniform(*KEPT)
    changed = mouse
    for name in probe.tracks:
        points = _points(mouse, name)
        changed = _with_points(changed, name, points[: max(2, round(kept * len(points)))])
    lost = (1.0 - kept) * probe.depth_um
    told = probe.target.depth_um is not None
    return Planted(changed, frozenset(probe.rows), frozenset({"depth"} if told and lost >= LOST_UM else ()), told)


def _recording(mouse: Mouse, rng: np.random.Generator, *, with_surface: bool) -> tuple[str, frozenset[int]] | None:
    names = sorted({row.sorted_recording for row in mouse.rows if bool(row.surface_finding) or not with_surface})
    if not names:
        return None
    name = names[int(rng.integers(len(names)))]
    return name, frozenset(n for n, row in enumerate(mouse.rows) if row.sorted_recording == name)


def _edited(mouse: Mouse, rows: frozenset[int], **values: object) -> Mouse:
    return replace(
        mouse,
        rows=tuple(replace(row, **values) if n in rows else row for n, row in enumerate(mouse.rows)),  # type: ignore[arg-type]
    )


def surface_forgotten(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The surface recording of the day is not named."""
    found = _recording(mouse, rng, with_surface=True)
    return found and Planted(_edited(mouse, found[1], surface_finding=""), found[1], frozenset({"recording"}))


def wrong_surface(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The main recording of another day is named as surface recording."""
    found = _recording(mouse, rng, with_surface=False)
    if found is None:
        return None
    others = [r.name for r in mouse.subject.recordings if not found[0].startswith(r.name) and r.sortings]
    if not others:
        return None
    changed = _edited(mouse, found[1], surface_finding=others[int(rng.integers(len(others)))])
    return Planted(changed, found[1], frozenset({"recording"}))


def failed_sorting(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The chosen sorting failed."""
    found = _recording(mouse, rng, with_surface=False)
    if found is None:
        return None

    def failed(subject: Subject) -> Subject:
        return replace(
            subject,
            recordings=tuple(
                replace(
                    recording,
                    sortings=tuple(
                        replace(sorting, status=SortingStatus.ERROR, reason="CUDA error", streams=())
                        if sorting.asset.name == found[0]
                        else sorting
                        for sorting in recording.sortings
                    ),
                )
                for recording in subject.recordings
            ),
        )

    return Planted(replace(mouse, subject=failed(mouse.subject)), found[1], frozenset({"recording"}))


def names_disagree(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The sorting was made from another recording than its name says."""
    found = _recording(mouse, rng, with_surface=False)
    if found is None:
        return None
    raw = b.asset(f"ecephys_{b.MOUSE}_2024-10-01_09-00-00")
    recordings = tuple(
        replace(each, raw=raw) if found[0].startswith(each.name + "_") else each for each in mouse.subject.recordings
    )
    changed = replace(mouse, subject=replace(mouse.subject, recordings=recordings))
    return Planted(changed, found[1], frozenset({"recording"}))


def copied_track(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """A layer was copied and its copy stands for another probe of the same session."""
    pairs = [
        (one, other)
        for one in mouse.insertions
        for other in mouse.insertions
        if one is not other and one.session == other.session
    ]
    pair = _pick(rng, pairs)
    if pair is None:
        return None
    source, name = pair[0].tracks[0], pair[1].tracks[0]
    points = [[z + 1.0, y + 1.0, x, t] for z, y, x, t in _points(mouse, source)]
    rows = frozenset((pair[0].rows[0], pair[1].rows[0]))
    return Planted(_with_points(mouse, name, points), rows, frozenset({"geometry"}))


def counted_shanks(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The sorter's count of the recorded shanks was taken for the shanks of the probe."""
    found = counted(mouse, rng)
    return found and Planted(found[0], frozenset(found[1].rows), frozenset({"recording"}))


def counted_without_settings(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The same, where settings.xml is missing: that the count may not be the shank is all that can be said."""
    found = counted(mouse, rng)
    if found is None:
        return None
    changed, probe = found
    stream = with_physical_shanks(b.stream(probe.probe, *range(len(probe.rows))), None)
    changed = with_stream(changed, probe, stream, settings=False)
    return Planted(changed, frozenset(probe.rows), frozenset({"recording"}))


def lost_shank(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The sorting lost a recorded shank, and nobody misses its row."""
    found = [each for each in mouse.insertions if each.kind == "four" and len(each.rows) > 1]
    if not found:
        return None
    probe = found[int(rng.integers(len(found)))]
    at = int(rng.integers(len(probe.rows)))
    gone = probe.rows[at]
    changed = with_stream(mouse, probe, sorted_as(probe.probe, probe.shanks, probe.shanks[at]), settings=True)
    rows = tuple(row for number, row in enumerate(changed.rows) if number != gone)
    touched = frozenset(number - (number > gone) for number in probe.rows if number != gone)
    return Planted(replace(changed, rows=rows), touched, frozenset({"recording"}))


def wrong_hemisphere(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The track of the other hemisphere: a probe's tracks lie as their mirror images do."""
    probe = mouse.insertions[int(rng.integers(len(mouse.insertions)))]
    changed = mouse
    for name in probe.tracks:
        points = _points(mouse, name)
        image_um = level0_to_image_ras_um(np.array(points)[:, :3], FRAME)
        plan_um = mouse.brain.plan_um(image_um)
        plan_um[:, 0] = 2.0 * MIDLINE_ML_UM - plan_um[:, 0]
        voxels = image_ras_um_to_level0(mouse.brain.image_um(plan_um), FRAME)
        changed = _with_points(changed, name, [[*map(float, voxel), 0.0] for voxel in voxels])
    aim, revealed = _aim_um(probe), set()
    mirror = np.array([-1.0, 1.0, 1.0])
    middle = np.array([2.0 * MIDLINE_ML_UM, 0.0, 0.0])
    there = replace(probe, entry_um=probe.entry_um * mirror + middle, tip_um=probe.tip_um * mirror + middle)
    rest = [each for each in mouse.insertions if each is not probe]
    if aim is not None:
        track_um = float((probe.entry_um + probe.tip_um)[:, 0].mean() / 2.0 - MIDLINE_ML_UM)
        if min(abs(aim[0] - MIDLINE_ML_UM), abs(track_um)) >= HEMISPHERE_UM:
            revealed.add("side")
        if _away_um(aim, there) >= AIM_UM and sum(_aim_um(each) is not None for each in rest) >= 2:
            revealed.add("aims")
    turned = np.degrees(np.arccos(np.clip(probe.direction @ there.direction, -1.0, 1.0)))
    if probe.target.angles_deg and sum(bool(each.target.angles_deg) for each in rest) >= 3 and turned >= ANGLE_DEG:
        revealed.add("angles")
    in_atlas = aim is not None and abs(aim[0] - MIDLINE_ML_UM) >= HEMISPHERE_IN_ATLAS_UM
    told = aim is not None or bool(probe.target.angles_deg)
    return Planted(changed, frozenset(probe.rows), frozenset(revealed), told, in_atlas)


def outside_the_volume(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """A part of a track lies outside the image: it was clicked on another one, or the layer was shifted."""
    row = int(rng.integers(len(mouse.rows)))
    name = mouse.rows[row].histology_track_id
    points = np.array(_points(mouse, name))
    axis, beyond = int(rng.integers(3)), int(rng.integers(1, len(points)))
    along = np.sort(points[:, axis])
    points[:, axis] += SHAPE_ZYX[axis] - along[-beyond] if rng.random() < 0.5 else -1.0 - along[beyond - 1]
    return Planted(_with_points(mouse, name, points.tolist()), frozenset({row}), frozenset({"geometry"}))


def archived_layer(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The track was given up: its layer is archived, another one was drawn beside it."""
    row = int(rng.integers(len(mouse.rows)))
    name = mouse.rows[row].histology_track_id
    layers = mouse.layers | {name: mouse.layers[name] | {"archived": True}}
    return Planted(replace(mouse, layers=layers), frozenset({row}), frozenset({"state"}))


def doubled_points(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """Some points were clicked twice. Only worth knowing: the line hardly moves."""
    row = int(rng.integers(len(mouse.rows)))
    name = mouse.rows[row].histology_track_id
    points = _points(mouse, name)
    for at in sorted(rng.choice(len(points), min(3, len(points)), replace=False).tolist(), reverse=True):
        points.insert(at, [points[at][0] + 1.0, *points[at][1:]])
    return Planted(_with_points(mouse, name, points), frozenset({row}), frozenset({"geometry"}))


def unfit_surface(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The surface recording of the day is none: it lasted too long, or holds other streams."""
    found = _recording(mouse, rng, with_surface=True)
    if found is None:
        return None
    name = mouse.rows[min(found[1])].surface_finding
    surface = next(each for each in mouse.subject.recordings if each.name == name)
    if rng.random() < 0.5:
        other = replace(surface, duration_s=float(rng.uniform(610.0, 5_000.0)))
    else:
        streams = tuple(stream.replace("Record Node 104", "Record Node 108") for stream in surface.streams)
        other = replace(surface, streams=streams)
    recordings = tuple(other if each.name == name else each for each in mouse.subject.recordings)
    changed = replace(mouse, subject=replace(mouse.subject, recordings=recordings))
    return Planted(changed, found[1], frozenset({"recording"}))


def older_sorting(mouse: Mouse, rng: np.random.Generator) -> Planted | None:
    """The recording was sorted again, and the older sorting is chosen. Which one counts is a person's decision."""
    found = _recording(mouse, rng, with_surface=False)
    if found is None:
        return None
    recordings = tuple(
        replace(each, sortings=(*each.sortings, _sorted_later(each))) if found[0].startswith(f"{each.name}_") else each
        for each in mouse.subject.recordings
    )
    changed = replace(mouse, subject=replace(mouse.subject, recordings=recordings))
    return Planted(changed, found[1], frozenset({"recording"}))


def _sorted_later(recording: Recording) -> Sorting:
    return replace(recording.sortings[-1], asset=b.asset(f"{recording.name}_sorted_2024-12-20_01-00-00"))


ONLY_TOLD = {"points clicked twice": "T4", "older of two sortings": "R6"}
"""Kinds that are no reason to stop: a note tells them, by this rule."""
BY_AIM = ("wrong track, same session", "wrong day", "two whole days", "wrong hemisphere")
"""Kinds that are judged with the registration at hand, too."""
KINDS: dict[str, Plant] = {
    "wrong track, same session": wrong_track,
    "wrong day": wrong_day,
    "two whole days": wrong_days,
    "two shanks swapped": swapped_shanks,
    "shank order mirrored": mirrored_shanks,
    "shank without a track": missing_shank,
    "shanks of two probes mixed": mixed_shanks,
    "wrong layer": wrong_layer,
    "wrong scale or order of axes": wrong_scale,
    "tip not drawn": missing_tip,
    "surface recording forgotten": surface_forgotten,
    "wrong surface recording": wrong_surface,
    "failed sorting": failed_sorting,
    "raw and sorting disagree": names_disagree,
    "copied track": copied_track,
    "sorter's count taken for the shank": counted_shanks,
    "the same without settings.xml": counted_without_settings,
    "shank lost in sorting": lost_shank,
    "wrong hemisphere": wrong_hemisphere,
    "points outside the volume": outside_the_volume,
    "archived layer": archived_layer,
    "unfit surface recording": unfit_surface,
    "points clicked twice": doubled_points,
    "older of two sortings": older_sorting,
}
