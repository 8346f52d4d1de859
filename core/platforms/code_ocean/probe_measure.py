"""Measures on a real account how late new things show up, and computes how long a lost answer must be looked for.

Each round makes one tiny asset and one run of a capsule that a person names, looks for both as the worker would after
a lost answer, and takes everything away again. All of it carries a token, so that what is left can be found by hand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from core.errors import InputError, NotFoundError, PlatformError, RefusedError, UnclearError
from core.loose_json import object_of, text_of
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.probe_storage import TINY, probe_prefix
from core.platforms.code_ocean.records import asset_of, computation_of, objects_of, parameters_of, versions_of
from core.settings import Settings

TAG = "trackmapperprobe"
"""On every asset of a measurement, beside its token."""
SAFETY = 3.0
_LATE_RUN_MIN, _LATE_ASSET_MIN = 30.0, 5.0
"""How long after its request an effect may still happen, as far as anybody has seen, with reserve."""
_READY_S, _USED_S = 600.0, 60.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """How long a new thing took to be seen by who looks for it."""

    seen_s: float | None
    """Seconds after the answer, or after the request when the answer was lost; None: not within the patience."""
    lost: str = ""
    """Why the answer was lost; "" when it was not."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured."""

    asset: Sighting
    """By a search for its tag."""
    run: Sighting | None = None
    """By the capsule's list of runs; None when there was no asset to run on."""
    last_used_moved: bool | None = None
    """Whether the asset's `last_used` said that a run took it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Every round, and what could not be taken away again."""

    rounds: tuple[Round, ...]
    patience_s: float
    left: tuple[str, ...] = ()

    @property
    def assets(self) -> tuple[Sighting, ...]:
        """Of every round."""
        return tuple(each.asset for each in self.rounds)

    @property
    def runs(self) -> tuple[Sighting, ...]:
        """Of every round that had one."""
        return tuple(each.run for each in self.rounds if each.run is not None)


@dataclass(frozen=True, slots=True)
class Windows:
    """How long a lost answer must be looked for, in minutes, never under the floors."""

    asset_min: int
    run_min: int


def spread(sightings: Sequence[Sighting]) -> tuple[float, float] | None:
    """Median and worst lag in seconds of what was answered and seen; None when nothing was."""
    lags = [each.seen_s for each in sightings if each.seen_s is not None and not each.lost]
    return (median(lags), max(lags)) if lags else None


def windows(measured: Measurement) -> Windows:
    """The windows to set: time for effects that happen late, plus three times the worst lag of a list."""
    fields = Settings.model_fields

    def minutes(sightings: Sequence[Sighting], late_min: float, floor_min: float) -> int:
        # What was not seen at all counts as long as it was looked for; the report says that it was not.
        lags_s = [measured.patience_s if each.seen_s is None else each.seen_s for each in sightings if not each.lost]
        late_s = [each.seen_s for each in sightings if each.lost and each.seen_s is not None]
        late_min = max(late_min, SAFETY * max(late_s, default=0.0) / 60)
        return math.ceil(max(floor_min, late_min + SAFETY * max(lags_s, default=0.0) / 60))

    return Windows(
        asset_min=minutes(measured.assets, _LATE_ASSET_MIN, fields["asset_settle_minutes"].default),
        run_min=minutes(measured.runs, _LATE_RUN_MIN, fields["run_settle_minutes"].default),
    )


@dataclass(slots=True)
class Measure:
    """One measurement: its means, and what it has made so far.

    Args:
        api: The account.
        s3: A boto3 client with credentials.
        settings: Names the scratch bucket.
        capsule: Id of a tiny capsule.
        tokens: One per round, unique, plain letters and digits.
        say: Told what happens.
        now: Seconds that only grow.
        sleep: Waits.
        patience_s: How long a thing is looked for before it counts as not seen.
    """

    api: CodeOceanApi
    s3: Any
    settings: Settings
    capsule: str
    tokens: tuple[str, ...]
    say: Callable[[str], None] = lambda words: None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    patience_s: float = 900.0
    _version: int | None = None
    _assets: set[str] = field(default_factory=set)
    _runs: set[str] = field(default_factory=set)

    def run(self) -> Measurement:
        """Measure, and take away whatever was made, also when it ends early.

        Raises:
            InputError: the capsule cannot be used for this.
            PlatformError: something was refused; what was made until then is taken away.
        """
        self._check_capsule()
        rounds: list[Round] = []
        left: list[str] = []
        try:
            for number, token in enumerate(self.tokens, start=1):
                rounds.append(self._round(token))
                self.say(f"round {number} of {len(self.tokens)}: {round_words(rounds[-1])}")
        finally:
            left += self._take_away()
            for words in left:
                self.say(f"left: {words}")
        return Measurement(tuple(rounds), self.patience_s, tuple(left))

    def _check_capsule(self) -> None:
        versions = versions_of(object_of(self.api.read("GET", f"capsules/{self.capsule}")))
        self._version = int(versions[0]) if versions else None
        query = f"?version={self._version}" if versions else ""
        try:
            panel = self.api.read("GET", f"capsules/{self.capsule}/app_panel{query}")
        except (NotFoundError, RefusedError):
            return  # a capsule without an app panel asks for nothing
        needed = [p.name for p in parameters_of(panel) if p.required and not p.default]
        if needed:
            raise InputError(
                f"the capsule cannot run without parameters: {', '.join(needed)}",
                where=self.capsule,
                cure="Name a tiny capsule that needs none and ends within seconds.",
            )

    # --- one round ------------------------------------------------------------------------------

    def _round(self, token: str) -> Round:
        name = f"trackmapper-probe-{token}"
        bucket, prefix = self.settings.scratch_bucket, probe_prefix(self.settings, token)
        self.s3.put_object(Bucket=bucket, Key=f"{prefix}/probe.txt", Body=TINY)
        source = {"bucket": bucket, "prefix": prefix, "keep_on_external_storage": False, "public": False}
        body: dict[str, Any] = {
            "name": name,
            "mount": name,
            "tags": [TAG, token],
            "description": "Made by a measurement of Trackmapper; it may be deleted.",
            "source": {"aws": source},
        }
        asset, asset_seen = self._make("data_assets", body, self._assets, lambda: self._assets_of(token))
        if asset is None:
            return Round(asset_seen)
        used_before = self._wait_ready(asset)
        body = {"capsule_id": self.capsule, "data_assets": [{"id": asset, "mount": name}]}
        if self._version is not None:
            body["version"] = self._version
        run, run_seen = self._make("computations", body, self._runs, lambda: self._runs_with(asset))
        if run is None:
            return Round(asset_seen, run_seen)
        moved = self._until(lambda: self._last_used(asset) > used_before, _USED_S) is not None
        self._delete_run(run)  # at once: it has shown what it was for, and every second costs
        return Round(asset_seen, run_seen, moved)

    def _make(
        self, path: str, body: Mapping[str, Any], ours: set[str], look: Callable[[], list[str]]
    ) -> tuple[str | None, Sighting]:
        """Make one thing and look for it; its id, None when its answer was lost and it was not found."""
        made, lost, began_s = "", "", self.now()
        try:
            made = text_of(object_of(self.api.effect("POST", path, body=body)).get("id"))
            lost = "" if made else "the answer holds no id"
        except UnclearError as error:
            lost = error.message
        if made:
            ours.add(made)
            began_s = self.now()
        seen: list[str] = []

        def is_seen() -> bool:
            seen[:] = look()
            return made in seen if made else bool(seen)

        seen_s = self._until(is_seen, self.patience_s, began_s)
        return made or next(iter(seen), None), Sighting(seen_s, lost)

    def _until(self, happens: Callable[[], bool], patience_s: float, began_s: float | None = None) -> float | None:
        """Seconds until something is so; None when it was not within the patience."""
        began_s = self.now() if began_s is None else began_s
        while True:
            if happens():
                return self.now() - began_s
            waited_s = self.now() - began_s
            if waited_s > patience_s:
                return None
            # Often at first, where the answer matters to the second; then a twentieth of what has passed.
            self.sleep(max(0.5, waited_s / 20))

    def _wait_ready(self, asset: str) -> float:
        """Wait until the asset can be attached; returns its `last_used`."""
        states: list[str] = []

        def has_ended() -> bool:
            told = asset_of(self.api.read("GET", f"data_assets/{asset}"))
            states[:] = [told.state if told else "unknown", told.failure_reason if told else ""]
            return states[0] != "draft"

        self._until(has_ended, _READY_S)
        if states[0] != "ready":
            raise RefusedError(
                f"the tiny asset is {states[0]}: {states[1] or 'no reason given'}",
                where=f"s3://{self.settings.scratch_bucket}",
                cure="Let Code Ocean read the scratch bucket: the inputs of every launch come from it.",
            )
        return self._last_used(asset)

    def _last_used(self, asset: str) -> float:
        told = object_of(self.api.read("GET", f"data_assets/{asset}")).get("last_used")
        return float(told) if isinstance(told, int | float) else 0.0

    # --- looking, as the worker does ------------------------------------------------------------

    def _assets_of(self, token: str) -> list[str]:
        body = {"query": f'tag:"{token}"', "limit": 100, "archived": False}
        found = objects_of(object_of(self.api.read("POST", "data_assets/search", body=body)).get("results"))
        return [text_of(one.get("id")) for one in found if token in (one.get("tags") or ())]

    def _runs_with(self, asset: str) -> list[str]:
        told = self.api.read("GET", f"capsules/{self.capsule}/computations")
        runs = filter(None, (computation_of(one) for one in objects_of(told)))
        return [run.id for run in runs if any(mount.asset_id == asset for mount in run.mounts)]

    # --- taking away ----------------------------------------------------------------------------

    def _take_away(self) -> list[str]:
        """Delete whatever carries our tokens; returns what could not be, in words."""
        left: list[str] = []

        def each(what: str, names: Iterable[str], call: Callable[[str], object]) -> None:
            for name in sorted(names):
                try:
                    call(name)
                except (PlatformError, ClientError, BotoCoreError) as error:
                    left.append(f"{what} {name}: {error}")

        each("assets with the tag", self.tokens, lambda token: self._assets.update(self._assets_of(token)))
        each("runs with the asset", self._assets, lambda asset: self._runs.update(self._runs_with(asset)))
        each("run", self._runs, self._delete_run)
        each("asset", self._assets, self._delete_asset)
        bucket = self.settings.scratch_bucket
        keys = (f"{probe_prefix(self.settings, token)}/probe.txt" for token in self.tokens)
        each(f"object of bucket {bucket},", keys, lambda key: self.s3.delete_object(Bucket=bucket, Key=key))
        return left

    def _delete_run(self, run: str) -> None:
        with suppress(NotFoundError):
            self.api.effect("DELETE", f"computations/{run}")
        self._runs.discard(run)

    def _delete_asset(self, asset: str) -> None:
        try:
            self.api.effect("DELETE", f"data_assets/{asset}")
        except NotFoundError:
            pass
        except PlatformError:
            self.api.effect("PATCH", f"data_assets/{asset}/archive?archive=true")
        self._assets.discard(asset)


def round_words(measured: Round) -> str:
    """A round on one line."""
    parts = [f"asset {_sighting_words(measured.asset)}"]
    if measured.run is not None:
        parts.append(f"run {_sighting_words(measured.run)}")
    return ", ".join(parts)


def _sighting_words(seen: Sighting) -> str:
    words = "not found in time" if seen.seen_s is None else f"found after {seen.seen_s:.1f} s"
    return f"{words} (its answer was lost: {seen.lost})" if seen.lost else words
