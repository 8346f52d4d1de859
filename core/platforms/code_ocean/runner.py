"""Conversions on Code Ocean: input assets, runs of the converter, alone or through the pipeline monitor, results.

Each effect is one request, sent once, soon after its intent was written down. Whatever is not a clear yes or no leaves
it in doubt, to be looked for by the job's token or by the asset that was made for the job alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from core.checks.rows import is_safe_asset_name
from core.errors import NotFoundError, PlatformError, RefusedError, UnavailableError, UnclearError
from core.loose_json import object_of
from core.models import Asset
from core.platforms.base import (
    DIRECT,
    MONITORED,
    CaptureRequest,
    Entry,
    InputAsset,
    KnownRun,
    RunKey,
    RunRequest,
    RunState,
    RunStatus,
    SettlePolicy,
)
from core.platforms.code_ocean.api import Budget, CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles, inner_path
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.idents import ASKED_AGAIN, ID, check_token, checked_id, unreadable
from core.platforms.code_ocean.launch_checks import Capsules, mounts_to_send, run_params
from core.platforms.code_ocean.monitor_settings import monitor_settings, tags_with_token
from core.platforms.code_ocean.records import Computation, asset_of, computation_of, entries_of
from core.platforms.code_ocean.run_listing import TOKEN, RunListings, is_of_job
from core.platforms.code_ocean.tagged_assets import tagged_assets
from core.settings import Settings

_INTENT_S = 60.0
"""Between an intent and its request: what is sent much later would arrive when nobody looks for it any more."""
_CLEAN_LOOKS = 3
_RESULTS_S = 600.0
"""The results of a run show within seconds of its end, but nobody promises that."""


class CodeOceanRunner:
    """Makes input assets, runs conversions and captures results on Code Ocean. Implements `Runner`.

    Args:
        settings: Capsules, scratch bucket, windows, shares.
        api: Sends the requests.
        s3: Puts the files of input assets into the scratch bucket.
        assets: Reads the files of assets.
        now: Seconds of a clock that is never set.
    """

    name = "Code Ocean"

    def __init__(
        self,
        settings: Settings,
        api: CodeOceanApi,
        s3: S3Files,
        assets: AssetFiles,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._api, self._s3, self._assets, self._now = settings, api, s3, assets, now
        self.converter = settings.converter_capsule
        self.settle = SettlePolicy(
            settings.asset_settle_minutes * 60.0,
            settings.run_settle_minutes * 60.0,
            _CLEAN_LOOKS,
            # A known run may be as slow to show as one whose start was not confirmed, and it goes on meanwhile.
            lost_window_s=settings.run_settle_minutes * 60.0,
            results_window_s=_RESULTS_S,
        )
        self._capsules = Capsules(api, now=now)
        self._listings = RunListings(
            api, max_age_s=settings.code_ocean_poll_seconds / 2, young_s=self.settle.run_window_s, now=now
        )
        self._ours: set[str] = set()

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> CodeOceanRunner:
        """A runner as the settings say. Opens no connection yet."""
        api = CodeOceanApi(
            settings.code_ocean_domain,
            settings.code_ocean_token,
            min_version=settings.code_ocean_min_version,
            budget=Budget(settings.code_ocean_requests_per_second, now=now, sleep=sleep),
            sleep=sleep,
        )
        s3 = S3Files()
        return cls(settings, api, s3, AssetFiles(api, s3, settings, by_name=False), now=now)

    @property
    def platform_id(self) -> str:
        """Which Code Ocean it is."""
        return self._api.domain

    def recall(self, runs: Sequence[KnownRun], now: datetime) -> None:
        """Hear of the runs that the queue knows: a list that lacks the newest of a capsule is out of date."""
        for known in runs:
            key, by_us = known.key, known.key.route == MONITORED and not known.is_child
            capsule = (key.monitor or self._settings.monitor_capsule) if by_us else (key.converter or self.converter)
            if capsule and ID.fullmatch(known.id):
                self._listings.recall(capsule, known, (now - known.started).total_seconds())

    def refusal(self, converter: str, version: str, route: str, monitor: str = "") -> str:
        """Why a job is not for this worker; "" when it is."""
        if converter != self.converter:
            return f"the job asks for the capsule {converter}, this worker runs {self.converter}"
        if version and not (version.isascii() and version.isdigit()):
            return f"the job asks for version {version!r}; versions of a capsule are numbers"
        known = self._settings.monitor_capsule
        if route == MONITORED and not known:
            return "the job asks for the route through the monitor, and this worker knows no monitor capsule"
        if route == MONITORED and monitor not in ("", known):
            return f"the job asks for the monitor {monitor}, this worker runs {known}"
        return "" if route in (DIRECT, MONITORED) else f"the job asks for a route {route!r}, which is not known here"

    # --- assets ---------------------------------------------------------------------------------

    def create_input_asset(self, request: InputAsset) -> Asset:
        """Upload the request's files, and make an asset of them.

        Raises:
            RefusedError: nothing was made: a bad token or name, or Code Ocean says no.
            UnavailableError: nothing was sent to Code Ocean; the files may lie in the scratch bucket.
            UnclearError: the asset may or may not have been made.
        """
        began_s = self._now()
        check_token(request.token)
        for name in (request.name, *(part for path in request.files for part in path.split("/"))):
            if not is_safe_asset_name(name):
                raise RefusedError(
                    f"{name[:80]!r} cannot be the name of an asset or a file", where=request.token, cure="Rename it."
                )
        bucket = self._settings.scratch_bucket
        prefix = f"{self._settings.scratch_prefix.strip('/')}/trackmapper/{request.token}/{request.name}".lstrip("/")
        for path, data in request.files.items():
            self._s3.put(bucket, f"{prefix}/{path}", data)
        source = {"bucket": bucket, "prefix": prefix, "keep_on_external_storage": False, "public": False}
        return self._make_asset(request, {"source": {"aws": source}}, began_s)

    def capture(self, request: CaptureRequest) -> Asset:
        """Make an asset of an ended run's results.

        Raises:
            NotFoundError, RefusedError: nothing was made: there is no such run, it goes on, it left nothing.
            UnclearError: the asset may or may not have been made.
        """
        began_s = self._now()
        check_token(request.token)
        more: dict[str, Any] = {"source": {"computation": {"id": checked_id(request.run_id)}}}
        if request.custom_metadata:
            more["custom_metadata"] = dict(request.custom_metadata)
        return self._make_asset(request, more, began_s)

    def _make_asset(self, request: InputAsset | CaptureRequest, more: dict[str, Any], began_s: float) -> Asset:
        told = {
            "name": request.name,
            "mount": request.name,
            "tags": tags_with_token(request.tags, request.token),
            "description": request.description,
        }
        made = asset_of(self._effect(began_s, "POST", "data_assets", {**told, **more}))
        if made is None:
            raise UnclearError("the answer names no asset", where=request.name)
        return made

    def share(self, asset: Asset) -> None:
        """Let everybody of the domain see a result, as the settings say. Raises PlatformError."""
        if self._settings.share_results != "none":
            path = f"data_assets/{checked_id(asset.id)}/permissions"
            self._api.effect("POST", path, body={"everyone": self._settings.share_results})

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        """Every asset that has this tag, archived ones too. Raises PlatformError when not all of them can be read."""
        # None can have a token that is none: it would have been refused.
        return tagged_assets(self._api, token) if TOKEN.fullmatch(token) else ()

    def get_asset(self, asset_id: str) -> Asset:
        """An asset's present state. Raises NotFoundError."""
        asset = asset_of(self._api.read("GET", f"data_assets/{checked_id(asset_id)}"))
        if asset is None or asset.id != asset_id:
            raise unreadable("record of the asset", asset_id)
        return asset

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset. Raises NotFoundError, RefusedError, PlatformError."""
        inner_path(path, asset.name)
        try:
            return self._assets.list_folder(asset, path)
        except NotFoundError:
            self._refuse_contradiction(asset, path)
            raise
        except RefusedError as error:
            raise UnavailableError(error.message, where=error.where, cure=ASKED_AGAIN) from None

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of an asset. Raises NotFoundError, or PlatformError when it is larger than `limit` bytes."""
        inner_path(path, asset.name)
        try:
            return self._assets.read_file(asset, path, limit)
        except NotFoundError:
            self._refuse_contradiction(asset, path)
            raise
        except RefusedError as error:
            raise UnavailableError(error.message, where=error.where, cure=ASKED_AGAIN) from None

    def _refuse_contradiction(self, asset: Asset, path: str) -> None:
        """Raise UnavailableError when what is said not to be there lies in its folder: results are counted by it."""
        folder, _, name = path.strip("/").rpartition("/")
        # An asset that was made has something in it.
        if not name or any(entry.name == name for entry in self.list_folder(asset, folder)):
            raise unreadable("list of files", f"{asset.name}/{path}") from None

    # --- starting -------------------------------------------------------------------------------

    def start_run(self, request: RunRequest) -> str:
        """Start a conversion, alone or through the monitor; returns the id of the run that was started.

        Raises:
            RefusedError: nothing was started: the capsule does not take it, or Code Ocean says no.
            UnavailableError: nothing was sent.
            UnclearError: it may or may not have been started.
        """
        began_s = self._now()
        check_token(request.token)
        capsule = self._capsule(request.route)
        terms = self._capsules.terms(self.converter, request.version)
        body = run_params(request, self.converter, terms)
        if request.route == MONITORED:
            body = self._monitor_params(request, body)
        made: Computation | None = None
        try:
            made = computation_of(self._effect(began_s, "POST", "computations", body))
        finally:
            self._listings.note_start(capsule, made)
        if made is None:
            raise UnclearError("the answer names no run", where=request.name)
        self._ours.add(made.id)
        return made.id

    def _monitor_params(self, request: RunRequest, converter_params: dict[str, Any]) -> dict[str, Any]:
        """What starts the monitor: the same assets, and one parameter that says everything."""
        if request.capture is None:
            raise RefusedError(
                "nothing says how the monitor is to keep the result", where=request.name, cure="Launch it again."
            )
        settings = monitor_settings(converter_params, request.capture, self._settings.share_results)
        monitor = self._settings.monitor_capsule
        mounts, faults = mounts_to_send(request, self._capsules.terms(monitor).baked_in)
        if faults:
            raise RefusedError("; ".join(faults), where=f"capsule {monitor}", cure="Launch it on the direct route.")
        return {"capsule_id": monitor, "data_assets": mounts, "parameters": [settings]}

    def _capsule(self, route: str, converter: str = "", monitor: str = "") -> str:
        """The capsule whose runs we start on a route."""
        if route == MONITORED and monitor:
            return monitor
        if refusal := self.refusal(self.converter, "", route):
            raise RefusedError(refusal, cure="Launch it again on another route.")
        return self._settings.monitor_capsule if route == MONITORED else converter or self.converter

    # --- watching -------------------------------------------------------------------------------

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        """Ids of every run started from here for a job, oldest first; the monitor's on the monitored route.

        Raises:
            PlatformError: the list cannot be read whole, or is out of date; nothing may be concluded from it.
        """
        return self._find(self._capsule(key.route, key.converter, key.monitor), key)

    def find_children(self, key: RunKey) -> tuple[str, ...]:
        """Ids of every conversion that a monitor started for a job, oldest first; () on the direct route.

        Raises:
            PlatformError: as for `find_runs`.
        """
        return self._find(key.converter or self.converter, key) if key.route == MONITORED else ()

    def _find(self, capsule: str, key: RunKey) -> tuple[str, ...]:
        found = tuple(run.id for run in self._listings.whole(capsule, key.token) if is_of_job(run, key))
        self._ours.update(found)
        return found

    def belongs(self, run_id: str, key: RunKey) -> bool:
        """Whether a run was started for a job by its route; False when there is none. Raises PlatformError."""
        try:
            run = self._read_run(run_id)
        except NotFoundError:
            return False
        converter = key.converter or self.converter
        capsule = self._capsule(key.route, converter, key.monitor)
        # Code Ocean may not say of which capsule a run is; only the converter's has these parameters.
        is_converters = any(name == "manifest" for name, _ in run.parameters)
        right = run.capsule == capsule if run.capsule else is_converters == (capsule == converter)
        return right and is_of_job(run, key)

    def run_status(self, run_id: str) -> RunStatus:
        """One look at a run; `GONE` when Code Ocean, asked for this very run, has none. Raises PlatformError."""
        if not ID.fullmatch(run_id):
            return RunStatus(run_id, RunState.GONE, detail="Code Ocean has no such run")
        capsules = (self.converter, *filter(None, [self._settings.monitor_capsule]))
        run = self._listings.find(run_id, capsules)
        try:
            return (run or self._read_run(run_id)).status
        except NotFoundError:
            return RunStatus(run_id, RunState.GONE, detail="Code Ocean has no such run")

    def _read_run(self, run_id: str) -> Computation:
        run = computation_of(self._api.read("GET", f"computations/{checked_id(run_id)}"))
        if run is None or run.id != run_id:
            raise unreadable("record of the run", run_id)
        return run

    def active_runs(self) -> tuple[str, ...]:
        """Ids of runs that still go on, of those that were started or found from here; never other people's."""
        going = []
        for run_id in sorted(self._ours):
            if self.run_status(run_id).state.goes_on:
                going.append(run_id)
            else:
                self._ours.discard(run_id)
        return tuple(going)

    def list_results(self, run_id: str, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder of a run's results. Raises NotFoundError."""
        where, record = f"results of {run_id}/{path}", f"computations/{checked_id(run_id)}"
        try:
            told = self._api.read("POST", f"{record}/results", body={"path": path})
        except NotFoundError:
            if not path and object_of(self._api.read("GET", record)).get("has_results") is True:
                raise unreadable("list of results", run_id) from None
            raise
        try:
            return entries_of(told, where)
        except UnclearError as error:
            raise UnavailableError(error.message, where=where, cure=ASKED_AGAIN) from None

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of a run's log; b"" when there is none yet. Raises PlatformError."""
        return self._assets.read_log(run_id, limit)

    # --- naming and stopping --------------------------------------------------------------------

    def name_run(self, run_id: str, name: str) -> None:
        """Give a run a name that people recognise. Raises PlatformError."""
        with self._gone_is_fine(run_id):
            self._api.effect("PATCH", f"computations/{checked_id(run_id)}?name={quote(name, safe='')}")

    def stop_run(self, run_id: str) -> None:
        """Stop a run. Code Ocean deletes its record and its results; stopping one that is gone does nothing.

        Raises:
            PlatformError: it is not known to have been stopped.
        """
        with self._gone_is_fine(run_id):
            self._api.effect("DELETE", f"computations/{checked_id(run_id)}")
        self._listings.note_deleted(run_id)

    @contextmanager
    def _gone_is_fine(self, run_id: str) -> Iterator[None]:
        """What is no more needs nothing; what was started lately may only not show yet, and goes on."""
        try:
            yield
        except NotFoundError:
            if self._listings.is_young(run_id):
                told = "Code Ocean does not show the run that it has started"
                raise PlatformError(told, where=run_id, cure=ASKED_AGAIN) from None

    def forbid_run(self, token: str) -> None:
        """Does nothing: a start on its way cannot be called back; it is looked for as long as it may arrive."""

    def _effect(self, began_s: float, method: str, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Send an effect, unless preparing it took so long that its intent is no longer just before it."""
        late_s = self._now() - began_s
        if late_s > _INTENT_S:
            raise UnavailableError(
                f"preparing the request took {late_s:.0f} s, so it was not sent",
                where=f"{method} {path}",
                cure="It is tried again; check the network if this repeats.",
            )
        return self._api.effect(method, path, body=body)
