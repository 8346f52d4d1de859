"""How often mistakes are caught, right mappings are blamed, and certain suggestions are right: `make truth`.

Tuning used seeds from `TUNING` on; the published figures use seeds from `JUDGING` on, which no limit has seen. What
varies between mice stands in `truth_mice.RANGES`, which mistakes are planted in `truth_mistakes.KINDS`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from truth_mice import HABITS, RANGES, Mouse, make_mouse
from truth_mistakes import KINDS

from core.checks import check_mapping
from core.models import Problem, Severity, State
from core.suggestions import suggest

TUNING, JUDGING = 0, 1_000_000
_LOUD = (Severity.ERROR, Severity.CONFIRM, Severity.WARNING)


@dataclass
class Figures:
    """What was counted."""

    mice: int = 0
    tracks: int = 0
    blamed: int = 0
    blamed_by: Counter[str] = field(default_factory=Counter)
    caught: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, group) -> caught. The groups: revealed, names silent, not revealed."""
    planted: Counter[tuple[str, str]] = field(default_factory=Counter)
    suggested: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(names told or not, what) -> tracks."""
    missed: list[tuple[str, int, str]] = field(default_factory=list)


def loud(mouse: Mouse, state: State) -> set[Problem]:
    """Errors, confirms and warnings of a mouse as it is mapped."""
    found = check_mapping(mouse.rows, state=state, subject=mouse.subject)
    return {each for each in found if each.severity in _LOUD}


def judge(seeds: Iterable[int], *, tell: Callable[[str], object] = lambda _: None) -> Figures:
    """Count over the mice of some seeds."""
    figures = Figures()
    for seed in seeds:
        mouse = make_mouse(seed)
        if not mouse.rows:
            continue
        state = mouse.state()
        figures.mice += 1
        figures.tracks += len(mouse.rows)
        # A name that another track carries is no right mapping's fault: R3 says so rightly.
        before = {each for each in loud(mouse, state) if not (mouse.names_wrong and each.rule == "R3")}
        figures.blamed += bool(before)
        figures.blamed_by.update({each.rule for each in before})
        for each in before:
            tell(f"blamed {seed} {each.rule} {each.message}")
        _plant_all(figures, mouse, state, {(each.rule, each.where) for each in before})
        _count_suggestions(figures, mouse, state, tell)
        if figures.mice % 100 == 0:
            sys.stderr.write(f"{figures.mice} mice\n")
    return figures


def _plant_all(figures: Figures, mouse: Mouse, state: State, before: set[object]) -> None:
    for number, (kind, plant) in enumerate(KINDS.items()):
        planted = plant(mouse, np.random.default_rng([mouse.seed, number]))
        if planted is None:
            continue
        tracks = {planted.mouse.rows[row].histology_track_id for row in planted.rows}
        changed = state if planted.mouse.layers is mouse.layers else planted.mouse.state()
        new = [each for each in loud(planted.mouse, changed) if (each.rule, each.where) not in before]
        named = any(each.where.row in planted.rows or each.where.track in tracks for each in new)
        if mouse.names_wrong:
            continue  # its names are a mistake of their own
        group = "revealed" if planted.revealed else "not revealed"
        groups = [group, *(["names silent"] if planted.revealed - {"names"} and mouse.habit == HABITS[3] else [])]
        for each in groups:
            figures.planted[kind, each] += 1
            figures.caught[kind, each] += named
        if planted.revealed and not named:
            figures.missed.append((kind, mouse.seed, ", ".join(sorted(planted.revealed))))


def _count_suggestions(figures: Figures, mouse: Mouse, state: State, tell: Callable[[str], object]) -> None:
    truth = {
        row.histology_track_id: (row.sorted_recording, row.ephys_collection, row.histology_shank, row.ephys_shank)
        for row in mouse.rows
    }
    names = "swapped" if mouse.names_wrong else "silent" if mouse.habit == HABITS[3] else "telling"
    for found in suggest(state, mouse.subject):
        figures.suggested[names, "tracks"] += 1
        if found.assignment is None:
            continue
        sorting, stream, _, ephys = truth[found.track]
        # A stream of a split probe has its shank in its name.
        own = ephys if stream == found.assignment.stream and "-" not in stream else None
        place_right = (found.assignment.sorting, found.assignment.stream) == (sorting, stream)
        right = place_right and found.assignment.shank in ((own,) if found.certain else (own, None))
        what = "certain" if found.certain else "likely"
        figures.suggested[names, what] += 1
        figures.suggested[names, f"{what} and right"] += right
        if found.certain and not right:
            tell(f"certain but wrong {mouse.seed} {found.track} {found.reasons}")


# --- the page -------------------------------------------------------------------------------------


def page(figures: Figures, command: str) -> str:
    """The figures as a document."""
    by_rule = ", ".join(f"{rule} {n}" for rule, n in figures.blamed_by.most_common())
    lines = [
        "# How much of what is wrong is seen",
        "",
        "Synthetic mice with a known truth: what the checks catch of planted mistakes, how often they blame a right "
        "mapping, and how often a certain suggestion is right. Real mice differ from synthetic ones; these figures "
        "say what the rules do when brains are as `tests/truth_mice.py` describes them.",
        "",
        f"Written by `{command}`: {figures.mice} mice with {figures.tracks} tracks. Limits were tuned on other seeds, "
        f"from {TUNING} on; the judged ones begin at {JUDGING}.",
        "",
        "## Right mappings that are blamed",
        "",
        f"{_share(figures.blamed, figures.mice)} of right mice have any error, confirm or warning "
        f"({figures.blamed} of {figures.mice}; by rule: {by_rule or 'none'}).",
        "",
        "## Mistakes that are caught",
        "",
        "A mistake counts as caught when an error, confirm or warning that the right mapping does not have names one "
        "of its rows or tracks. *Revealed* are those for which the metadata that tells is there: see the notes in "
        "`tests/truth_mistakes.py`. *Names silent* are the revealed ones in mice whose layers are only numbered.",
        "",
        "| mistake | revealed | caught | names silent | caught | not revealed | caught |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        cells = [kind]
        for group in ("revealed", "names silent", "not revealed"):
            n = figures.planted[kind, group]
            cells += [str(n), _share(figures.caught[kind, group], n)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Suggestions",
        "",
        "*Swapped* are mice in which two tracks carry each other's names.",
        "",
        "| names | tracks | certain | right | likely | right |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    counted = figures.suggested
    for names in ("telling", "silent", "swapped"):
        row = [names, str(counted[names, "tracks"])]
        for what in ("certain", "likely"):
            n = counted[names, what]
            row += [str(n), _share(counted[names, f"{what} and right"], n)]
        lines.append("| " + " | ".join(row) + " |")
    certain = sum(counted[names, "certain"] for names in ("telling", "silent", "swapped"))
    right = sum(counted[names, "certain and right"] for names in ("telling", "silent", "swapped"))
    lines += ["", f"Of all {certain} certain suggestions {_share(right, certain, 2)} are right."]
    lines += ["", "## What varies between the mice", "", "| what | range or usual error |", "| --- | --- |"]
    lines += [f"| `{name}` | {_shown(value)} |" for name, value in vars(RANGES).items()]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return " to ".join(f"{part:g}" for part in value) if isinstance(value, tuple) and len(value) == 2 else f"{value}"


def _share(part: int, whole: int, digits: int = 1) -> str:
    return f"{100.0 * part / whole:.{digits}f} %" if whole else "-"


def main() -> None:
    """Judge a cohort and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mice", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=JUDGING, help="first seed")
    parser.add_argument("--verbose", action="store_true", help="name every miss")
    parser.add_argument("--out", type=Path, help="write the page here, too")
    options = parser.parse_args()
    tell = (lambda line: sys.stderr.write(f"{line}\n")) if options.verbose else (lambda _: 0)
    figures = judge(range(options.seed, options.seed + options.mice), tell=tell)
    if options.verbose:
        for miss in figures.missed:
            sys.stderr.write(f"missed {miss}\n")
    found = page(figures, f"make truth TRUTH='--mice {options.mice} --seed {options.seed}'")
    if options.out:
        before = options.out.read_text().partition(NOTES)[2] if options.out.exists() else ""
        options.out.write_text(found + (NOTES + before if before else ""))
    sys.stdout.write(found)


NOTES = "\n## Where it falls short\n"
"""From here on the document is written by hand."""


if __name__ == "__main__":
    main()
