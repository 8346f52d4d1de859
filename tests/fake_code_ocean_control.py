"""`/_control/...`: what tests of other processes tell the played Code Ocean, and ask it. JSON both ways."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fake_code_ocean_api import Answer
from tests.fake_code_ocean_state import CONVERTER, MonitorHabits, Outcome, Record, Timing

if TYPE_CHECKING:
    from tests.fake_code_ocean import FakeCodeOcean


def serve(fake: FakeCodeOcean, method: str, what: str, query: Mapping[str, str], body: bytes) -> Answer:
    """One control request."""
    found = _COMMANDS.get((method, what))
    if found is None:
        return Answer(404, {"message": f"known are {sorted(' '.join(key) for key in _COMMANDS)}"})
    try:
        return Answer(value=found(fake, json.loads(body) if body else dict(query)))
    except (TypeError, KeyError, ValueError) as error:
        return Answer(400, {"message": repr(error)})


def _ledger(fake: FakeCodeOcean, told: Record) -> list[Record]:
    with fake.world.lock:
        return [asdict(effect) for effect in fake.world.ledger if told.get("kind") in (None, effect.kind)]


def _requests(fake: FakeCodeOcean, _: Record) -> Record:
    return {"total": fake.count(), "by_endpoint": fake.counts(), "per_second": fake.per_second()}


def _world(fake: FakeCodeOcean, _: Record) -> Record:
    with fake.world.lock:
        now = fake.world.now()
        return {
            "assets": [asset.record() for asset in fake.world.assets.values()],
            "computations": [
                run.record(now) | {"capsule": run.capsule.id, "by": run.by} for run in fake.world.computations.values()
            ],
            "failures": [repr(error) for error in fake.world.faults_seen],
        }


def _faults(fake: FakeCodeOcean, _: Record) -> Record:
    return {"set": fake.faults.describe(), "spoiled": fake.faults.spoiled}


def _add_faults(fake: FakeCodeOcean, told: Any) -> Record:
    """A fault or a list of them: `{"fault": name in FAULTS, ...fields of Fault}`."""
    for one in told if isinstance(told, list) else [told]:
        fake.faults.add(one["fault"], **{key: value for key, value in one.items() if key != "fault"})
    return _faults(fake, {})


def _clear_faults(fake: FakeCodeOcean, _: Record) -> Record:
    fake.faults.clear()
    return _faults(fake, {})


def _add_asset(fake: FakeCodeOcean, told: Record) -> Record:
    """`{"name", "folder" or "files": {path: text}, ...}` as FakeCodeOcean.add_asset."""
    told = dict(told)
    if told.get("folder"):
        told["folder"] = Path(told["folder"])
    if told.get("files"):
        told["files"] = {path: text.encode() for path, text in told["files"].items()}
    return {"id": fake.add_asset(**told)}


def _add_runs(fake: FakeCodeOcean, told: Record) -> Record:
    fake.add_computations(int(told["number"]), told.get("capsule", CONVERTER))
    return {}


def _set_outcome(fake: FakeCodeOcean, told: Record) -> Record:
    """`{"capsule"?, "times"?: null for all, ...fields of Outcome}`."""
    fields = {key: value for key, value in told.items() if key not in ("capsule", "times")}
    fake.set_outcome(Outcome(**fields), told.get("capsule", CONVERTER), times=told.get("times", 1))
    return {}


def _set_habits(fake: FakeCodeOcean, told: Record) -> Record:
    fake.monitor.habits = MonitorHabits(**told)
    return asdict(fake.monitor.habits)


def _set_timing(fake: FakeCodeOcean, told: Record) -> Record:
    with fake.world.lock:
        fake.world.timing = Timing(**{**asdict(fake.world.timing), **told})
        return asdict(fake.world.timing)


def _go_down(fake: FakeCodeOcean, told: Record) -> Record:
    """`{"seconds"}`: after this answer nobody listens for a while."""
    threading.Timer(0.02, fake.go_down, [float(told["seconds"])]).start()
    return {}


_COMMANDS: dict[tuple[str, str], Callable[[FakeCodeOcean, Any], Any]] = {
    ("GET", "ledger"): _ledger,
    ("GET", "requests"): _requests,
    ("GET", "world"): _world,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "assets"): _add_asset,
    ("POST", "computations"): _add_runs,
    ("POST", "outcome"): _set_outcome,
    ("POST", "habits"): _set_habits,
    ("POST", "timing"): _set_timing,
    ("POST", "down"): _go_down,
}
