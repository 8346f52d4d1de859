"""The large forms of the tests that count: `python -m tests.campaign --seed 7 [NAME ...]`, or `make campaign`.

Each campaign prints how far it is, then one line with its counts and its seed; the exit status is 1 when one found
anything wrong. A campaign is a function of a seed and a way to tell; a new one takes its place in `CAMPAIGNS`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.code_ocean_campaign import CONTROLS
from tests.fault_matrix import ENDPOINTS, go_through
from tests.kills import ledger_of
from tests.power_cut import cut_power
from tests.simulated_days import every_monitored_path, every_path, random_days


@dataclass(frozen=True, slots=True)
class Found:
    """What a campaign has counted, in one line, and what was wrong."""

    line: str
    wrong: list[str]


Tell = Callable[[str], object]


def paths(seed: int, tell: Tell) -> Found:
    """Every path of the launch protocol with one trouble and two deaths. Nothing in it is random."""
    tally, _ = every_path()
    monitored, _ = every_monitored_path(whole=True)
    return Found(f"{tally.line()}; through a monitor: {monitored.line()}", [*tally.wrong, *monitored.wrong])


def days(seed: int, tell: Tell, jobs: int = 10_000_000) -> Found:
    """Ten million simulated jobs on bad days."""
    tally = random_days(jobs, seed, say=lambda so_far: tell(so_far.line()))
    return Found(tally.line(), tally.wrong)


def power(seed: int, tell: Tell, states: int = 10_000) -> Found:
    """Ten thousand states of the queue's disk after a cut of the power."""
    with tempfile.TemporaryDirectory() as folder:
        cuts = cut_power(Path(folder), states, seed, say=lambda so_far: tell(so_far.line()))
    return Found(cuts.line(), cuts.wrong)


def kills(seed: int, tell: Tell, jobs: int = 1000) -> Found:
    """A thousand jobs, 1,200 kills and 120 stops on a Code Ocean that loses answers; then the controls."""
    lines: list[str] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        many = {"jobs": jobs, "kills": jobs * 6 // 5, "stops": jobs * 12 // 100}
        few = {"jobs": 30, "kills": 10, "stops": 0}
        for control in ("", *CONTROLS):
            options = {**few, "control": control} if control else many
            code, ledger = ledger_of("tests.code_ocean_campaign", Path(folder) / (control or "main"), seed, **options)
            tell(json.dumps(ledger))
            lines.append(json.dumps(ledger))
            if control and not code:
                wrong.append(f"the control {control} made nothing twice: the campaign could not see it")
            elif code and not control:
                wrong += [*ledger["wrong"], *ledger["store"]]
    return Found("; ".join(lines), wrong)


def faults(seed: int, tell: Tell) -> Found:
    """Every shape of wrong answer at every endpoint, once and for a while. Nothing in it is random."""
    wrong: list[str] = []
    counts: list[str] = []
    for endpoint in ENDPOINTS:
        with tempfile.TemporaryDirectory() as folder:
            line, found = go_through(endpoint, Path(folder), large=True)
        tell(line)
        counts.append(line)
        wrong += found
    return Found("; ".join(counts), wrong)


CAMPAIGNS: dict[str, Callable[[int, Tell], Found]] = {
    "paths": paths,
    "power": power,
    "days": days,
    "kills": kills,
    "faults": faults,
}
_TELL_EVERY_S = 30.0


def _teller() -> Tell:
    """Prints at most every half minute."""
    told_s = time.monotonic()

    def tell(words: str) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            sys.stdout.write(f"    {words}\n")
            sys.stdout.flush()

    return tell


def main() -> int:
    """Run the campaigns that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CAMPAIGNS)}; all when none is named")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    unknown = set(options.names) - CAMPAIGNS.keys()
    if unknown:
        parser.error(f"there is no campaign {', '.join(sorted(unknown))}")
    failed = False
    for name in options.names or CAMPAIGNS:
        began = time.monotonic()
        found = CAMPAIGNS[name](options.seed, _teller())
        failed = failed or bool(found.wrong)
        line = f"{name}: {found.line}, seed {options.seed}, {time.monotonic() - began:.0f} s"
        sys.stdout.write("\n".join([line, *(f"    {words}" for words in found.wrong)]) + "\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
