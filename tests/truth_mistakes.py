"""The mistakes people make when they map a mouse, planted one at a time into a right mapping.

Each kind says what of the metadata would reveal it; a mistake that nothing reveals is counted apart. These rules were
written before any limit was tuned; four kinds came later, see docs/truth.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import builders as b
import numpy as np
from truth_mice import HABITS, SHAPE_ZYX, Insertion, Mouse, sorted_as
from truth_sortings import counted, with_stream

from core.models import Points, SortingStatus, Subject
from core.sorted_streams import with_physical_shanks

AIM_UM = 2_500.0
"""An aim this far from the wrong track reveals it, when the aims of two more probes, or of both swapped, are known."""
ANGLE_DEG = 30.0
"""Planned directions this far apart reveal a swap, when the angles of both and of three more probes are known."""
LENGTH_SHARE, LENGTH_UM = 0.4, 1_200.0
"""An insertion that differs by both from the wrong track's reveals it."""
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
    return Planted(changed, frozenset((*one.rows, *other.rows)), frozenset(_what_reveals(mouse, one, other)))


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
    changed, rows, revealed = mouse, set(), set()
    for one, other in pairs[int(rng.integers(len(pairs)))]:
        for a, c in zip(one.rows, other.rows, strict=True):
            changed = _swap_tracks(changed, a, c)
        rows |= {*one.rows, *other.rows}
        revealed |= _what_reveals(mouse, one, other)
    return Planted(changed, frozenset(rows), frozenset(revealed))


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
    known = probe.target.depth_um is not None and lost >= 800.0
    return Planted(changed, frozenset(probe.rows), frozenset({"depth"} if known else ()))


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
}
