"""How often mistakes are caught, right mappings are blamed, and certain suggestions are right: `make truth`.

Tuning used seeds from `TUNING` on; the published figures use seeds from `JUDGING` on, which no limit has seen. What
varies between mice stands in `truth_ranges.RANGES`, which mistakes are planted in `truth_mistakes.KINDS`. Every mouse
is judged without the brain's registration and with it, some as the page has them when the image has been read, too.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import reduce
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from side_by_side import side_by_side
from truth_brain import FRAME, registration_of, tissue_of
from truth_mice import Mouse, make_mouse
from truth_mistakes import BY_AIM, KINDS, ONLY_TOLD, Planted
from truth_ranges import HABITS, RANGES, Ranges, ranges_with

from core.atlas_frames import AffineAtlas
from core.checks import check_mapping
from core.geometry import level0_to_image_ras_um
from core.models import Problem, Severity, State
from core.suggestions import suggest
from core.tissue import Tissue
from core.track_geometry import track_shape

TUNING, JUDGING = 0, 1_000_000
IN_THE_BRAIN = (400.0, 0.15)
"""A track lies in its brain when no more of it lies outside than the larger of these: um, and share of its length."""
EVERY = 4
"""Of every fourth mouse the image is read: finding the tissue costs more than all else."""
_LOUD = (Severity.ERROR, Severity.CONFIRM, Severity.WARNING)
_BATCH = 10


@dataclass
class Figures:
    """What was counted."""

    mice: int = 0
    tracks: int = 0
    blamed: int = 0
    blamed_by: Counter[str] = field(default_factory=Counter)
    placed_blamed: int = 0
    """Mice that are blamed with the registration at hand."""
    placed_blamed_by: Counter[str] = field(default_factory=Counter)
    seen: int = 0
    """Mice whose image is read, too."""
    seen_blamed: int = 0
    seen_blamed_by: Counter[str] = field(default_factory=Counter)
    tissue: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(in or out of the brain, tracks or warned)."""
    caught: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, group) -> caught. The groups: revealed, names silent, below the limit, no metadata, in the atlas, told."""
    planted: Counter[tuple[str, str]] = field(default_factory=Counter)
    suggested: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(names told or not, what) -> tracks."""
    in_atlas: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The same with the registration at hand."""
    missed: list[tuple[str, int, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __add__(self, other: Figures) -> Figures:
        """Both together."""
        return Figures(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Figures)})


def problems(
    mouse: Mouse, state: State, atlas: AffineAtlas | None = None, tissue: Tissue | None = None
) -> set[Problem]:
    """Every problem of a mouse as it is mapped, but for names that another track carries, which R3 rightly tells."""
    found = check_mapping(mouse.rows, state=state, subject=mouse.subject, atlas=atlas, tissue=tissue)
    return {each for each in found if not (mouse.names_wrong and each.rule == "R3")}


def judge(seeds: Iterable[int], ranges: Ranges = RANGES, *, tell: Callable[[str], object] = lambda _: None) -> Figures:
    """Count over the mice of some seeds."""
    figures = Figures()
    for seed in seeds:
        mouse = make_mouse(seed, ranges)
        if not mouse.rows:
            continue
        state, atlas = mouse.state(), registration_of(mouse.brain, seed, ranges)
        figures.mice += 1
        figures.tracks += len(mouse.rows)
        before, in_atlas = problems(mouse, state), problems(mouse, state, atlas)
        figures.blamed += _count_blamed(before, figures.blamed_by, f"blamed {seed}", tell)
        figures.placed_blamed += _count_blamed(in_atlas, figures.placed_blamed_by, f"blamed in the atlas {seed}", tell)
        if seed % EVERY == 0:
            _judge_seen(figures, mouse, state, atlas, tell)
        _plant_all(figures, mouse, state, atlas, _places(before), _places(in_atlas))
        _count_suggestions(figures.suggested, mouse, state, None, tell)
        _count_suggestions(figures.in_atlas, mouse, state, atlas, tell)
    return figures


def _places(found: Iterable[Problem]) -> set[object]:
    return {(each.rule, each.where, each.severity) for each in found}


def _count_blamed(found: Iterable[Problem], by: Counter[str], what: str, tell: Callable[[str], object]) -> bool:
    blamed = [each for each in found if each.severity in _LOUD]
    by.update({each.rule for each in blamed})
    for each in blamed:
        tell(f"{what} {each.rule} {each.message}")
    return bool(blamed)


def _judge_seen(
    figures: Figures, mouse: Mouse, state: State, atlas: AffineAtlas, tell: Callable[[str], object]
) -> None:
    """Count what is blamed with registration and tissue; tracks that leave their brain are blamed rightly."""
    found = problems(mouse, state, atlas, tissue_of(mouse.brain, mouse.seed))
    outside = {layer.name for layer in state.tracks if not _in_the_brain(mouse, layer.points_level0_zyx)}
    warned = {each.where.track for each in found if each.rule == "T8" and each.severity is Severity.WARNING}
    for layer in state.tracks:
        where = "out" if layer.name in outside else "in"
        figures.tissue[where, "tracks"] += 1
        figures.tissue[where, "warned"] += layer.name in warned
    false = [
        each
        for each in found
        if not (each.rule == "T8" and each.severity is Severity.WARNING and each.where.track in outside)
    ]
    figures.seen += 1
    figures.seen_blamed += _count_blamed(false, figures.seen_blamed_by, f"blamed when seen {mouse.seed}", tell)


def _in_the_brain(mouse: Mouse, points_level0_zyx: np.ndarray) -> bool:
    shape = track_shape(level0_to_image_ras_um(points_level0_zyx, FRAME))
    if shape is None:
        return False
    outside = mouse.brain.radii(shape.at_depth_um(np.linspace(0.0, shape.length_um, 100))) > 1.0
    least_um, share = IN_THE_BRAIN
    return bool(outside.mean() * shape.length_um <= max(least_um, share * shape.length_um))


def _plant_all(
    figures: Figures, mouse: Mouse, state: State, atlas: AffineAtlas, before: set[object], in_atlas: set[object]
) -> None:
    for number, (kind, plant) in enumerate(KINDS.items()):
        planted = plant(mouse, np.random.default_rng([mouse.seed, number]))
        if planted is None or mouse.names_wrong:
            continue  # swapped names are a mistake of their own
        changed = state if planted.mouse.layers is mouse.layers else planted.mouse.state()
        new = _new(planted, problems(planted.mouse, changed), before)
        named = any(each.severity in _LOUD for each in new)
        groups = [_group(planted)]
        groups += ["names silent"] if planted.revealed - {"names"} and mouse.habit == HABITS[3] else []
        for each in groups:
            figures.planted[kind, each] += 1
            figures.caught[kind, each] += named
        if kind in ONLY_TOLD:
            figures.planted[kind, "told"] += 1
            figures.caught[kind, "told"] += any(each.rule == ONLY_TOLD[kind] for each in new)
        elif planted.revealed and not named:
            figures.missed.append((kind, mouse.seed, ", ".join(sorted(planted.revealed))))
        if kind in BY_AIM and (planted.revealed or planted.in_atlas):
            new = _new(planted, problems(planted.mouse, changed, atlas), in_atlas)
            named = any(each.severity in _LOUD for each in new)
            figures.planted[kind, "in the atlas"] += 1
            figures.caught[kind, "in the atlas"] += named
            if not named:
                figures.missed.append((f"{kind}, in the atlas", mouse.seed, ", ".join(sorted(planted.revealed))))


def _group(planted: Planted) -> str:
    return "revealed" if planted.revealed else "below the limit" if planted.below else "no metadata"


def _new(planted: Planted, found: set[Problem], before: set[object]) -> list[Problem]:
    """Problems that the right mapping has not, of rows or tracks that the mistake touches."""
    tracks = {planted.mouse.rows[row].histology_track_id for row in planted.rows}
    return [
        each
        for each in found
        if (each.rule, each.where, each.severity) not in before
        and (each.where.row in planted.rows or each.where.track in tracks)
    ]


def _count_suggestions(
    counted: Counter[tuple[str, str]],
    mouse: Mouse,
    state: State,
    atlas: AffineAtlas | None,
    tell: Callable[[str], object],
) -> None:
    truth = {
        row.histology_track_id: (row.sorted_recording, row.ephys_collection, row.histology_shank, row.ephys_shank)
        for row in mouse.rows
    }
    names = "swapped" if mouse.names_wrong else "silent" if mouse.habit == HABITS[3] else "telling"
    for found in suggest(state, mouse.subject, atlas=atlas):
        counted[names, "tracks"] += 1
        if found.assignment is None:
            continue
        sorting, stream, _, ephys = truth[found.track]
        # A stream of a split probe has its shank in its name.
        own = ephys if stream == found.assignment.stream and "-" not in stream else None
        place_right = (found.assignment.sorting, found.assignment.stream) == (sorting, stream)
        right = place_right and found.assignment.shank in ((own,) if found.certain else (own, None))
        what = "certain" if found.certain else "likely"
        counted[names, what] += 1
        counted[names, f"{what} and right"] += right
        if found.certain and not right:
            tell(f"certain but wrong {mouse.seed} {found.track} {found.reasons}")


def judge_batch(first: int, mice: int, ranges: Ranges) -> Figures:
    """A part of a cohort, in a process of its own; what it tells is kept."""
    said: list[str] = []
    figures = judge(range(first, first + mice), ranges, tell=said.append)
    figures.said = said
    return figures


def judge_cohort(first: int, mice: int, ranges: Ranges) -> Figures:
    """A cohort on every core."""
    starts = range(first, first + mice, _BATCH)
    tasks = [(start, min(_BATCH, first + mice - start), ranges) for start in starts]
    parts = []
    for part in side_by_side(judge_batch, tasks):
        parts.append(part)
        if len(parts) % 10 == 0:
            sys.stderr.write(f"{sum(each.mice for each in parts)} mice\n")
    found = reduce(Figures.__add__, parts, Figures())
    found.missed.sort()
    found.said.sort()
    return found


# --- the page -------------------------------------------------------------------------------------

GROUPS = ("revealed", "names silent", "below the limit", "no metadata")


def page(figures: Figures, command: str, ranges: Ranges = RANGES) -> str:
    """The figures as a document."""
    inside, outside = (figures.tissue[where, "tracks"] for where in ("in", "out"))
    lines = [
        "# How much of what is wrong is seen",
        "",
        "Synthetic mice with a known truth: what the checks catch of planted mistakes, how often they blame a right "
        "mapping, and how often a certain suggestion is right. Real mice differ from synthetic ones; these figures "
        "say what the rules do when brains are as `tests/truth_mice.py` describes them.",
        "",
        f"Written by `{command}`: {figures.mice} mice with {figures.tracks} tracks. Limits were tuned on other seeds, "
        f"from {TUNING} on; the judged ones begin at {JUDGING}. Each mouse is judged without its registration and with "
        "it, every fourth with its image, too, as the page has it when all has been read. The registration is the "
        f"brain's own turn, size and place, {ranges.registration_error_um:g} um off along each axis, without the warp; "
        "the image is a noisy ellipsoid.",
        "",
        "## Right mappings that are blamed",
        "",
        "| what is known | right mice | with an error, confirm or warning | share | by rule |",
        "| --- | --- | --- | --- | --- |",
        _blamed("tracks and metadata", figures.mice, figures.blamed, figures.blamed_by),
        _blamed("the registration, too", figures.mice, figures.placed_blamed, figures.placed_blamed_by),
        _blamed("registration and tissue", figures.seen, figures.seen_blamed, figures.seen_blamed_by),
        "",
        f"T8 warns of {figures.tissue['in', 'warned']} of the {inside} tracks that lie in their brain, up to "
        f"{IN_THE_BRAIN[0]:g} um or {IN_THE_BRAIN[1]:.0%} of their length, and of {figures.tissue['out', 'warned']} of "
        f"the {outside} that leave it by more: the mice are careless, insertions miss their place by some hundred um. "
        "The latter are not counted as false.",
        "",
        "## Mistakes that are caught",
        "",
        "A mistake counts as caught when an error, confirm or warning that the right mapping does not have names one "
        "of its rows or tracks. *Revealed* are those for which the metadata that tells is there: see the notes in "
        "`tests/truth_mistakes.py`. *Names silent* are the revealed ones in mice whose layers are only numbered. "
        "*Below the limit* are those whose metadata is there but differs by less than is called revealing, *no "
        "metadata* those of which nothing is told.",
        "",
        "| mistake | " + " | ".join(f"{group} | caught" for group in GROUPS) + " |",
        "| --- |" + " --- | --- |" * len(GROUPS),
    ]
    lines += [_kind(figures, kind, GROUPS) for kind in KINDS if kind not in ONLY_TOLD]
    lines += [
        "",
        "With the registration at hand, where it or the metadata reveals the mistake:",
        "",
        "| mistake | revealed | caught |",
        "| --- | --- | --- |",
        *(_kind(figures, kind, ("in the atlas",)) for kind in BY_AIM),
        "",
        "Some mistakes are no reason to stop, and not caught by design: a note (info) tells them.",
        "",
        "| mistake | rule | planted | told |",
        "| --- | --- | --- | --- |",
    ]
    for kind, rule in ONLY_TOLD.items():
        n = figures.planted[kind, "told"]
        lines.append(f"| {kind} | {rule} | {n} | {_share(figures.caught[kind, 'told'], n)} |")
    lines += ["", "## Suggestions", "", "*Swapped* are mice in which two tracks carry each other's names.", ""]
    lines += [*_suggestions(figures.suggested), "", "With the registration at hand:", ""]
    lines += _suggestions(figures.in_atlas)
    lines += ["", "## What varies between the mice", "", "| what | range or usual error |", "| --- | --- |"]
    lines += [f"| `{name}` | {_shown(value)} |" for name, value in vars(ranges).items()]
    return "\n".join(lines) + "\n"


def _blamed(known: str, mice: int, blamed: int, by: Counter[str]) -> str:
    rules = ", ".join(f"{rule} {n}" for rule, n in by.most_common()) or "none"
    return f"| {known} | {mice} | {blamed} | {_share(blamed, mice)} | {rules} |"


def _kind(figures: Figures, kind: str, groups: tuple[str, ...]) -> str:
    cells = [kind]
    for group in groups:
        n = figures.planted[kind, group]
        cells += [str(n), _share(figures.caught[kind, group], n)]
    return "| " + " | ".join(cells) + " |"


def _suggestions(counted: Counter[tuple[str, str]]) -> list[str]:
    lines = ["| names | tracks | certain | right | likely | right |", "| --- | --- | --- | --- | --- | --- |"]
    for names in ("telling", "silent", "swapped"):
        row = [names, str(counted[names, "tracks"])]
        for what in ("certain", "likely"):
            n = counted[names, what]
            row += [str(n), _share(counted[names, f"{what} and right"], n)]
        lines.append("| " + " | ".join(row) + " |")
    certain = sum(counted[names, "certain"] for names in ("telling", "silent", "swapped"))
    right = sum(counted[names, "certain and right"] for names in ("telling", "silent", "swapped"))
    return [*lines, "", f"Of all {certain} certain suggestions {_share(right, certain, 2)} are right."]


def _shown(value: object) -> str:
    return " to ".join(f"{part:g}" for part in value) if isinstance(value, tuple) and len(value) == 2 else f"{value}"


def _share(part: int, whole: int, digits: int = 1) -> str:
    return f"{100.0 * part / whole:.{digits}f} %" if whole else "-"


def main() -> None:
    """Judge a cohort and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mice", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=JUDGING, help="first seed")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="ranges",
        help="another range, as often as needed",
    )
    parser.add_argument("--verbose", action="store_true", help="name every miss")
    parser.add_argument("--out", type=Path, help="write the page here, too")
    options = parser.parse_args()
    try:
        ranges = ranges_with(options.ranges)
    except ValueError as error:
        parser.error(f"--set: {error}")
    figures = judge_cohort(options.seed, options.mice, ranges)
    if options.verbose:
        for line in (*figures.said, *(f"missed {miss}" for miss in figures.missed)):
            sys.stderr.write(f"{line}\n")
    others = "".join(f" --set {each}" for each in options.ranges)
    found = page(figures, f"make truth TRUTH='--mice {options.mice} --seed {options.seed}{others}'", ranges)
    if options.out:
        before = options.out.read_text().partition(NOTES)[2] if options.out.exists() else ""
        options.out.write_text(found + (NOTES + before if before else ""))
    sys.stdout.write(found)


NOTES = "\n## Where it falls short\n"
"""From here on the document is written by hand."""


if __name__ == "__main__":
    main()
