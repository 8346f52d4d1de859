"""After a cut of the power the queue opens, and holds everything that it had acknowledged."""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.power_cut import cut_power

SEED = int(os.environ.get("TRACKMAPPER_TEST_SEED", random.SystemRandom().randrange(10**6)))


@pytest.mark.parametrize(("normal", "states"), [(False, 300), (True, 60)])
def test_nothing_acknowledged_is_lost_by_a_power_cut(tmp_path, normal, states, tell):
    """Nor may it go unseen when the database does not wait for the disk: the control."""
    began = time.monotonic()
    cuts = cut_power(tmp_path, states, SEED, normal=normal)
    words = f"power cuts{', control, synchronous=NORMAL' if normal else ''}: {cuts.line()}, seed {SEED}"
    tell(f"{words}, {time.monotonic() - began:.0f} s")
    assert cuts.states == states
    assert cuts.unopenable == 0, cuts.wrong
    if normal:
        assert cuts.lost > states / 2, "cuts that lose nothing without synchronisation prove nothing"
    else:
        assert cuts.lost == 0, cuts.wrong
