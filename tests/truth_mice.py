"""Synthetic mice with a known truth: insertions, the brain as it was imaged, tracks as a person would click them.

What varies and by how much stands in `truth_ranges.RANGES`. Planned
numbers are um towards right, front and up of the atlas; drawn ones of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import builders as b
import numpy as np
from truth_brain import CENTRE_UM, FRAME, RADII_UM, SHAPE_ZYX, Brain
from truth_ranges import HABITS, RANGES, Ranges

from core.atlas_frames import MIDLINE_ML_UM
from core.brain_pose import rotation
from core.contacts import RecordedContact
from core.geometry import image_ras_um_to_level0
from core.manifest import ManifestRow
from core.models import Points, Probe, Recording, Role, SortedStream, State, Subject, Target
from core.plans import planned_directions
from core.sorted_streams import with_physical_shanks


@dataclass(frozen=True, eq=False)
class Insertion:
    """One probe in the brain, as it was, in the plan's frame."""

    session: int
    probe: str
    kind: str
    """"one", "four" or "split"."""
    entry_um: Points
    """(shanks, 3)."""
    tip_um: Points
    angles_deg: tuple[float, float]
    depth_um: float
    target: Target
    tracks: tuple[str, ...]
    """Layer names by recorded shank."""
    rows: tuple[int, ...]
    shanks: tuple[int, ...]
    """0-based physical shank of each of them."""

    @property
    def direction(self) -> Points:
        """(3,) unit vector."""
        way = self.tip_um[0] - self.entry_um[0]
        return np.asarray(way / np.linalg.norm(way))


@dataclass(frozen=True, eq=False)
class Mouse:
    """One synthetic mouse with its true mapping."""

    seed: int
    subject: Subject
    layers: dict[str, dict[str, object]]
    rows: tuple[ManifestRow, ...]
    insertions: tuple[Insertion, ...]
    habit: str
    names_wrong: bool
    brain: Brain

    def state(self) -> State:
        """Its Neuroglancer state."""
        return b.make_state(*self.layers.values(), stem=b.STEM)


def make_mouse(seed: int, ranges: Ranges = RANGES) -> Mouse:
    """The mouse of a seed; the same for the same seed and ranges."""
    rng = np.random.default_rng(seed)
    brain = Brain.of(rng, ranges)
    habit = int(rng.choice(len(HABITS), p=ranges.habits))
    known = {
        "aims": rng.random() >= ranges.aims_missing,
        "angles": rng.random() >= ranges.angles_missing,
        "depths": rng.random() >= ranges.depths_missing,
        "contacts": rng.random() >= ranges.contacts_missing,
    }
    lab = rng.choice((-1, 1), 2), rng.uniform(*ranges.aim_above_tip_um), rng.uniform(*ranges.click_um)
    insertions: list[Insertion] = []
    recordings: list[Recording] = []
    layers: dict[str, dict[str, object]] = {}
    rows: list[ManifestRow] = []
    number = int(rng.integers(200, 400))
    for session in range(int(rng.integers(ranges.sessions[0], ranges.sessions[1] + 1))):
        day = f"2024-11-{4 + session:02d}"
        name = f"ecephys_{b.MOUSE}_{day}_10-00-00"
        sorted_name = f"{name}_sorted_{day}_22-00-00"
        surface = f"ecephys_{b.MOUSE}_{day}_12-30-00" if rng.random() < ranges.surface_share else ""
        probes, streams, targets = [], [], []
        for place in range(int(rng.integers(ranges.probes[0], ranges.probes[1] + 1))):
            kind = _kind(rng, ranges)
            letter = "ABCDEF"[place]
            base = f"{45880 + place}" if kind == "split" else f"Probe{letter}"
            planned = _plan(rng, ranges, kind, insertions, session)
            if planned is None:
                continue
            entry, tip, angles, depth, planned_tip, way = planned
            shanks = len(entry)
            tokens = [f"{base}-{n + 1}" for n in range(shanks)] if kind == "split" else [base]
            told = {what: is_known and rng.random() >= ranges.probe_missing for what, is_known in known.items()}
            signs, above, click = lab
            aim = planned_tip - above * way
            target = Target(
                base,
                f"T{len(insertions)}",
                angles_deg={
                    "arc": float(signs[0] * (angles[0] + rng.normal(0, ranges.angle_error_deg))),
                    "module": float(signs[1] * (angles[1] + rng.normal(0, ranges.angle_error_deg))),
                }
                if told["angles"]
                else {},
                ccf_um_mlapdv=(float(aim[0]), float(-aim[1]), float(-aim[2])) if told["aims"] else None,
                depth_um=float(depth * rng.normal(1, ranges.depth_error_share) + rng.normal(0, ranges.depth_error_um))
                if told["depths"]
                else None,
            )
            names = []
            bend = rng.normal(size=3), float(rng.uniform(0.0, ranges.bend_um))
            recorded = _recorded(seed, len(insertions), kind, ranges)
            for shank in range(shanks):
                number += 1
                name_of_track = _name(habit, day, session, letter, base, shank if shanks > 1 else None, kind, number)
                points = _clicked(rng, ranges, brain, entry[shank], tip[shank], click, bend)
                if shank in recorded:
                    names.append(name_of_track)
                    layers[name_of_track] = b.layer_json(name_of_track, points=points)
            first = len(rows)
            for shank, track in zip(recorded, names, strict=True):
                stream = tokens[shank] if kind == "split" else base
                which = {"one": (None, None), "four": (shank, shank), "split": (shank, 0)}[kind]
                rows.append(ManifestRow(b.MOUSE, sorted_name, b.STEM, track, stream, base, which[0], which[1], surface))
            probes += _probes(rng, kind, base, tokens, depth if told["contacts"] else None, place, recorded)
            streams += [sorted_as(token, recorded if kind == "four" else ()) for token in tokens]
            targets += [replace(target, probe=token) for token in tokens]
            insertions.append(
                Insertion(
                    session, base, kind, entry, tip, angles, depth, target, tuple(names),
                    tuple(range(first, len(rows))), recorded,
                )
            )  # fmt: skip
        if not probes:
            continue
        main = b.recording(name, b.sorting(sorted_name, *streams), probes=tuple(probes), targets=tuple(targets))
        if surface:
            main = replace(main, surface=surface, surface_reason="same day, later, short")
            recordings.append(b.recording(surface, probes=tuple(probes), role=Role.SURFACE, duration_s=300.0))
        recordings.append(replace(main, duration_s=3_600.0))
    recordings.sort(key=lambda recording: recording.start)
    subject = b.make_subject(*recordings, stitched=(b.brain(shape_level0_zyx=SHAPE_ZYX),))
    mouse = Mouse(seed, subject, layers, tuple(rows), tuple(insertions), HABITS[habit], False, brain)
    return _with_swapped_names(mouse, rng) if rng.random() < ranges.names_swapped else mouse


def _kind(rng: np.random.Generator, ranges: Ranges) -> str:
    at = rng.random()
    return "four" if at < ranges.four_shanks_share else "split" if at < ranges.four_shanks_share + ranges.split_share else "one"  # fmt: skip  # noqa: E501


def _recorded(seed: int, number: int, kind: str, ranges: Ranges) -> tuple[int, ...]:
    """0-based shanks that a probe recorded on. Drawn apart from all else, which stays as it is without this."""
    if kind != "four":
        return (0, 1, 2, 3) if kind == "split" else (0,)
    rng = np.random.default_rng([seed, number, 4])
    if rng.random() >= ranges.recorded_in_part:
        return (0, 1, 2, 3)
    return tuple(sorted(int(shank) for shank in rng.choice(4, int(rng.integers(1, 4)), replace=False)))


def sorted_as(token: str, recorded: tuple[int, ...], lost: int | None = None) -> SortedStream:
    """The sorting of a stream: one group per recorded shank, counted from 0, but for one that was lost; else whole."""
    groups = tuple(group for group, shank in enumerate(recorded) if shank != lost) if len(recorded) > 1 else ()
    return with_physical_shanks(b.stream(token, *groups), recorded)


def _name(habit: int, day: str, session: int, letter: str, base: str, shank: int | None, kind: str, number: int) -> str:
    tail = "" if shank is None else f"_shank{shank + 1}"
    if habit == 0:
        return f"{day.replace('-', '')}_{base}{tail}"
    if habit == 3:
        return str(number)
    if kind == "split":
        return f"{day.replace('-', '')}_{base}{tail}"
    return f"{letter}_{day[5:7]}{day[8:]}{tail}" if habit == 1 else f"{letter}{session + 1}{tail}"


def _with_swapped_names(mouse: Mouse, rng: np.random.Generator) -> Mouse:
    """Two tracks of one shank each carry each other's name; the truth follows the points."""
    single = [insertion for insertion in mouse.insertions if insertion.kind == "one"]
    if len(single) < 2 or mouse.habit == HABITS[3]:
        return mouse
    one, other = (single[int(i)].tracks[0] for i in rng.choice(len(single), 2, replace=False))
    other_name = {one: other, other: one}
    layers = {name: mouse.layers[other_name.get(name, name)] | {"name": name} for name in mouse.layers}
    rows = tuple(
        replace(r, histology_track_id=other_name.get(r.histology_track_id, r.histology_track_id)) for r in mouse.rows
    )
    insertions = tuple(
        replace(each, tracks=tuple(other_name.get(name, name) for name in each.tracks)) for each in mouse.insertions
    )
    return replace(mouse, layers=layers, rows=rows, insertions=insertions, names_wrong=True)


def _probes(
    rng: np.random.Generator,
    kind: str,
    base: str,
    tokens: list[str],
    depth_um: float | None,
    place: int,
    recorded: tuple[int, ...],
) -> list[Probe]:
    """Probes of settings.xml, with the electrodes of a bank that lies in the brain in part; none without a depth."""
    part, height, shanks = {"one": ("NP1000", 3_820.0, 1), "four": ("NP2014", 705.0, 4), "split": ("NP2020", 2_865.0, 4)}[kind]  # fmt: skip  # noqa: E501
    start = 0.0 if depth_um is None else rng.uniform(0.0, max(depth_um - 1_200.0, 0.0))
    made = []
    for n, token in enumerate(tokens):
        own = recorded if kind == "four" else (n,) if kind == "split" else (0,)
        heights = np.linspace(start, start + height, 12)
        contacts = () if depth_um is None else tuple(RecordedContact(s, 27.0, float(y)) for s in own for y in heights)
        made.append(Probe(token, f"19{place:03d}{base}", part, own, shanks, contacts=contacts))
    return made


# --- insertions -----------------------------------------------------------------------------------


def _plan(
    rng: np.random.Generator, ranges: Ranges, kind: str, others: list[Insertion], session: int
) -> tuple[Points, Points, tuple[float, float], float, Points, Points] | None:
    """Entries, tips, angles, depth, planned tip and planned direction; None when the brain is full."""
    for _ in range(200):
        side = rng.choice((-1.0, 1.0)) * rng.uniform(700.0, 3_600.0)
        spot = np.array([MIDLINE_ML_UM + side, CENTRE_UM[1] + rng.uniform(-3_800.0, 3_800.0)])
        angles = tuple(float(angle) for angle in rng.uniform(-ranges.angle_deg, ranges.angle_deg, 2))
        depth = float(rng.uniform(*ranges.depth_um))
        pitch = rotation(np.radians([ranges.atlas_pitch_deg, 0.0, 0.0]))
        way = (planned_directions(np.array([angles])) @ pitch.T)[0]
        flat = (spot - CENTRE_UM[:2]) / RADII_UM[:2]
        inside = 1.0 - float(flat @ flat)
        if inside < 0.05:
            continue
        entry = np.array([*spot, CENTRE_UM[2] + RADII_UM[2] * np.sqrt(inside)])
        tip = entry + depth * way
        if float((((tip - CENTRE_UM) / RADII_UM) ** 2).sum()) > 0.92:
            continue
        across = np.cross(way, rng.normal(size=3))
        across /= np.linalg.norm(across)
        steps = (np.arange(4) - 1.5 if kind != "one" else np.zeros(1))[:, None] * 250.0 * across
        missed = rng.normal(0.0, ranges.aim_error_um, 3)
        entries, tips = entry + missed + steps, tip + missed + steps
        least = (_apart(entries, tips, other, ranges) for other in others)
        if all(apart >= (1.0 if other.session == session else 0.7) * ranges.apart_um for apart, other in zip(least, others, strict=True)):  # fmt: skip  # noqa: E501
            return entries, tips, (angles[0], angles[1]), depth, tip, way
    return None


def _apart(entries: Points, tips: Points, other: Insertion, ranges: Ranges) -> float:
    shares = np.linspace(0.0, 1.0, 24)[:, None, None]
    a = (entries + (tips - entries) * shares).reshape(-1, 3)
    c = (other.entry_um + (other.tip_um - other.entry_um) * shares).reshape(-1, 3)
    return float(np.linalg.norm(a[:, None] - c[None], axis=2).min())


# --- the image ------------------------------------------------------------------------------------


def _clicked(
    rng: np.random.Generator,
    ranges: Ranges,
    brain: Brain,
    entry: Points,
    tip: Points,
    click_um: float,
    bend_um: tuple[Points, float],
) -> list[list[float]]:
    """Points of one track as the state has them, from the surface to the tip. A probe bends as a whole."""
    count = int(rng.integers(ranges.points[0], ranges.points[1] + 1))
    way = tip - entry
    length = float(np.linalg.norm(way))
    way /= length
    start, end = rng.normal(0.0, ranges.entry_error_um), length + rng.normal(0.0, ranges.tip_error_um)
    steps = (np.arange(count) + np.r_[0.0, rng.uniform(-0.35, 0.35, count - 2), 0.0]) / (count - 1)
    depth = start + steps * (end - start)
    side = np.cross(way, bend_um[0])
    side /= np.linalg.norm(side)
    other = np.cross(way, side)
    bend = bend_um[1] * 4.0 * steps * (1.0 - steps)
    points = entry + depth[:, None] * way + bend[:, None] * side
    points = brain.image_um(points + rng.normal(0.0, click_um, (count, 1)) * side + rng.normal(0.0, click_um, (count, 1)) * other)  # fmt: skip  # noqa: E501
    voxels = image_ras_um_to_level0(points, FRAME)
    return [[round(float(v), 1) for v in voxel] + [0.0] for voxel in voxels]
