"""The endpoints of the played Code Ocean: what each takes, refuses and answers. No HTTP in here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests import fake_code_ocean_runs
from tests.fake_code_ocean_search import search
from tests.fake_code_ocean_state import FakeAsset, FakeComputation, PanelParameter, Record, Refusal, World
from tests.fake_code_ocean_storage import Storage, copy_files, count, inside, list_folder

METADATA_FIELDS = (
    "data level", "experiment type", "modality", "platform", "subject id", "session id", "manifest", "job",
)  # fmt: skip
ROLES = {"users": ("owner", "editor", "viewer"), "groups": ("owner", "editor", "viewer", "discoverable")}
EVERYONE = ("viewer", "discoverable", "none")


@dataclass(frozen=True)
class Call:
    """A request that was let in: ids of the path, query, body."""

    ids: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def told(self) -> Record:
        if not isinstance(self.body, dict):
            raise Refusal(400, "invalid request body")
        return self.body

    def asked(self, name: str) -> str:
        if not self.query.get(name):
            raise Refusal(400, f"{name} is required")
        return self.query[name]


@dataclass
class Answer:
    """A status, and a value for JSON; None for an empty body."""

    status: int = 200
    value: Any = None


class Api:
    """The endpoints, over a world and its files."""

    def __init__(self, world: World, storage: Storage, url: Callable[[], str]) -> None:
        self.world = world
        self.storage = storage
        self.url = url
        self.downloads: dict[str, Path] = {}
        """Signature -> the file that it opens."""

    # --- data assets ---

    def search_assets(self, call: Call) -> Answer:
        now = self.world.now()
        return Answer(value=search([a for a in self.world.assets.values() if a.visible <= now], call.told))

    def get_asset(self, call: Call) -> Answer:
        return Answer(value=self.world.asset(call.ids[0]).record())

    def create_asset(self, call: Call) -> Answer:
        return Answer(value=self.world.assets[self.make_asset(call.told)].record())

    def make_asset(self, told: Record, by: str = "client") -> str:
        """Make an asset of an S3 prefix, or of a computation's results; returns its id."""
        for key in ("name", "mount"):
            if not isinstance(told.get(key), str) or not told[key]:
                raise Refusal(400, f"{key} is required")
        tags, metadata = told.get("tags"), told.get("custom_metadata") or {}
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
            raise Refusal(400, "tags are required")
        _check_metadata(metadata)
        sources = {key: value for key, value in (told.get("source") or {}).items() if value is not None}
        if len(sources) != 1 or not sources.keys() <= {"aws", "computation"}:
            raise Refusal(400, "exactly one source is required: aws or computation")
        made = FakeAsset(
            id=self.world.new_id(),
            name=told["name"],
            mount=told["mount"],
            created=self.world.now(),
            state="draft",
            tags=tuple(tags),
            description=told.get("description") or "",
            custom_metadata=metadata,
            visible=self.world.now() + self.world.lag(self.world.timing.search_lag_s),
        )
        target = {key: value for key, value in ((told.get("target") or {}).get("aws") or {}).items() if value}
        finish = self._from_s3(made, sources) if "aws" in sources else self._from_run(made, sources, target)
        self.world.assets[made.id] = made
        details = {"name": made.name, "tags": tags, "description": made.description, "source": sources}
        self.world.record_effect("asset" if "aws" in sources else "capture", made.id, by, details)
        self.world.after(self.world.timing.asset_s, lambda: finish() if made.id in self.world.assets else None)
        return made.id

    def _from_s3(self, made: FakeAsset, sources: Record) -> Callable[[], None]:
        source = sources["aws"]
        bucket, prefix = source.get("bucket"), source.get("prefix") or ""
        if not isinstance(bucket, str) or not bucket or not isinstance(prefix, str):
            raise Refusal(400, "bucket is required")
        external = bool(source.get("keep_on_external_storage"))
        made.source_bucket = {"origin": "aws", "bucket": bucket, "prefix": prefix, "external": external}

        def finish() -> None:
            # The files are read now, not when the request was answered: who overwrites them meanwhile is seen.
            folder = self.storage.asset_folder(made.id)
            if external:
                made.failure_reason = self.storage.is_there(bucket, prefix)
            elif not (why := self.storage.fetch(bucket, prefix, folder)):
                self.storage.keep(made, folder)
            else:
                made.failure_reason = why
            made.state = "failed" if made.failure_reason else "ready"

        return finish

    def _from_run(self, made: FakeAsset, sources: Record, target: Record) -> Callable[[], None]:
        run = self.world.computation(str(sources["computation"].get("id")))
        if run.ended is None:
            raise Refusal(400, "the computation has not ended")
        if run.results is None:
            raise Refusal(400, "the computation has no results")
        results = inside(run.results, sources["computation"].get("path") or "")
        if not results.is_dir():
            raise Refusal(400, "the path does not exist in the results")
        folder = self.storage.asset_folder(made.id)
        copy_files(results, folder)  # now: the computation may be deleted before the asset is ready
        made.type = "result"
        made.provenance = {
            "commit": "0123456789abcdef",
            "run_script": "code/run",
            "capsule": run.capsule.id,
            "data_assets": [ident for ident, _ in run.mounts],
            "computation": run.id,
        }
        made.app_parameters = [{"name": parameter.name, "value": value} for parameter, value in run.parameters]

        def finish() -> None:
            if target:
                prefix = target.get("prefix") or made.name
                made.source_bucket = {"origin": "aws", "bucket": target["bucket"], "prefix": prefix, "external": True}
                made.folder = folder
                count(made)
                self.storage.publish(folder, target["bucket"], prefix)
            else:
                self.storage.keep(made, folder)
            made.state = "ready"

        return finish

    def update_asset(self, call: Call) -> Answer:
        asset = self._owned(call)
        told = {key: value for key, value in call.told.items() if value is not None}
        if unknown := told.keys() - {"name", "description", "tags", "mount", "custom_metadata"}:
            raise Refusal(400, f"unknown fields {sorted(unknown)}")
        _check_metadata(told.get("custom_metadata") or {})
        for key, value in told.items():
            setattr(asset, key, tuple(value) if key == "tags" else value)
        self.world.record_effect("update", asset.id, "client", told)
        return Answer(value=asset.record())

    def get_permissions(self, call: Call) -> Answer:
        return Answer(value=self.world.asset(call.ids[0]).permissions)

    def set_permissions(self, call: Call) -> Answer:
        asset, told = self._owned(call), call.told
        if told.get("everyone") not in (None, *EVERYONE):
            raise Refusal(400, "invalid role for everyone")
        for kind, roles in ROLES.items():
            if any(item.get("role") not in roles for item in told.get(kind) or ()):
                raise Refusal(400, f"invalid role in {kind}")
        asset.permissions = {key: value for key, value in told.items() if value is not None}
        self.world.record_effect("share", asset.id, "client", asset.permissions)
        return Answer(204)

    def list_files(self, call: Call) -> Answer:
        return Answer(value=list_folder(self._internal(call), call.told.get("path", "")))

    def file_urls(self, call: Call) -> Answer:
        return Answer(value=self._urls(self._internal(call), call.asked("path")))

    def delete_asset(self, call: Call) -> Answer:
        asset = self._owned(call)
        del self.world.assets[asset.id]
        self.world.record_effect("delete_asset", asset.id, "client", {"name": asset.name})
        return Answer(204)

    def archive_asset(self, call: Call) -> Answer:
        asset = self._owned(call)
        asset.archived = call.asked("archive").lower() == "true"
        self.world.record_effect("archive", asset.id, "client", {"archive": asset.archived})
        return Answer(204)

    def _owned(self, call: Call) -> FakeAsset:
        asset = self.world.asset(call.ids[0])
        if not asset.owned:
            raise Refusal(403, "you have no permission to change this data asset")
        return asset

    def _internal(self, call: Call) -> Path:
        asset = self.world.asset(call.ids[0])
        if asset.is_external:
            raise Refusal(400, "files of external data assets cannot be listed")
        if asset.state != "ready" or asset.folder is None:
            raise Refusal(400, "the data asset is not ready")
        return asset.folder

    # --- capsules and computations ---

    def get_capsule(self, call: Call) -> Answer:
        return Answer(value=self.world.capsule(call.ids[0]).record())

    def app_panel(self, call: Call) -> Answer:
        capsule, version = self.world.capsule(call.ids[0]), call.query.get("version")
        if version is not None and version not in map(str, capsule.versions):
            raise Refusal(404, f"version {version} of the capsule does not exist")
        baked_in = [self._baked_in(ident) for ident in capsule.baked_in]
        parameters = [_panel_parameter(parameter) for parameter in capsule.panel]
        return Answer(value={"general": {"title": capsule.name}, "data_assets": baked_in, "parameters": parameters})

    def _baked_in(self, ident: str) -> Record:
        asset = self.world.assets.get(ident)
        name = asset.name if asset else ident
        kind = "external" if asset and asset.is_external else "internal"
        return {"id": ident, "mount": name, "name": name, "kind": kind, "accessible": asset is not None}

    def list_runs(self, call: Call) -> Answer:
        now = self.world.now()
        return Answer(value=[run.record(now) for run in self.world.runs_of(self.world.capsule(call.ids[0]))])

    def start_run(self, call: Call) -> Answer:
        run = fake_code_ocean_runs.start(self.world, self.storage, self.make_asset, call.told)
        return Answer(value=run.record(self.world.now()))

    def get_run(self, call: Call) -> Answer:
        return Answer(value=self.world.computation(call.ids[0]).record(self.world.now()))

    def delete_run(self, call: Call) -> Answer:
        run = self.world.computation(call.ids[0])
        del self.world.computations[run.id]
        self.storage.drop(run.id)
        self.world.record_effect("delete_run", run.id, "client", {"name": run.name, "state": run.state})
        return Answer(204)

    def rename_run(self, call: Call) -> Answer:
        run = self.world.computation(call.ids[0])
        run.name = call.asked("name")
        self.world.record_effect("rename", run.id, "client", {"name": run.name})
        return Answer(204)

    def list_results(self, call: Call) -> Answer:
        run = self.world.computation(call.ids[0])
        told = list_folder(self._results(run), call.told.get("path", ""))
        if run.ended is not None and self.world.now() < run.ended + self.world.timing.results_lag_s:
            told["items"] = [item for item in told["items"] if item["name"] == "output"]
        return Answer(value=told)

    def result_urls(self, call: Call) -> Answer:
        return Answer(value=self._urls(self._results(self.world.computation(call.ids[0])), call.asked("path")))

    def result_download_url(self, call: Call) -> Answer:
        return Answer(value={"url": self.result_urls(call).value["download_url"]})

    def _results(self, run: FakeComputation) -> Path:
        """Where its results lie; of one that runs, only what it has printed so far."""
        if run.results is not None:
            return run.results
        if run.state != "running":
            raise Refusal(404, "the computation has no results")
        live = self.storage.folder / "live" / run.id
        live.mkdir(parents=True, exist_ok=True)
        (live / "output").write_text("".join(f"{line}\n" for line in run.log))
        return live

    def custom_metadata(self, call: Call) -> Answer:
        return Answer(value={"fields": [{"name": name, "type": "string"} for name in METADATA_FIELDS]})

    def _urls(self, root: Path, path: str) -> Record:
        file = inside(root, path)
        if not file.is_file():
            raise Refusal(404, "file not found")
        signature = secrets.token_hex(16)
        self.downloads[signature] = file
        url = f"{self.url()}/_download/{quote(file.name)}?signature={signature}"
        return {"download_url": url, "view_url": f"{url}&view=1"}


def _check_metadata(told: object) -> None:
    if not isinstance(told, dict) or (unknown := told.keys() - set(METADATA_FIELDS)):
        raise Refusal(400, f"unknown custom metadata {sorted(unknown) if isinstance(told, dict) else told!r}")


def _panel_parameter(parameter: PanelParameter) -> Record:
    told = {
        "name": parameter.name,
        "param_name": parameter.param_name,
        "type": "list" if parameter.choices else "text",
        "value_type": parameter.value_type,
        "default_value": parameter.default,
        "required": parameter.required,
        "hidden": False,
        "value_options": list(parameter.choices) or None,
    }
    return {key: value for key, value in told.items() if value is not None}


Handler = Callable[[Api, Call], Answer]
ROUTES: tuple[tuple[str, str, Handler, str], ...] = (
    ("POST", "data_assets/search", Api.search_assets, "data_asset:read"),
    ("GET", "data_assets/{id}", Api.get_asset, "data_asset:read"),
    ("POST", "data_assets", Api.create_asset, "data_asset:write"),
    ("PUT", "data_assets/{id}", Api.update_asset, "data_asset:write"),
    ("GET", "data_assets/{id}/permissions", Api.get_permissions, "data_asset:read"),
    ("POST", "data_assets/{id}/permissions", Api.set_permissions, "data_asset:write"),
    ("POST", "data_assets/{id}/files", Api.list_files, "data_asset:read"),
    ("GET", "data_assets/{id}/files/urls", Api.file_urls, "data_asset:read"),
    ("DELETE", "data_assets/{id}", Api.delete_asset, "data_asset:write"),
    ("PATCH", "data_assets/{id}/archive", Api.archive_asset, "data_asset:write"),
    ("GET", "capsules/{id}", Api.get_capsule, "capsule:read"),
    ("GET", "capsules/{id}/app_panel", Api.app_panel, "capsule:read"),
    ("GET", "capsules/{id}/computations", Api.list_runs, "capsule:read"),
    ("POST", "computations", Api.start_run, "capsule:write"),
    ("GET", "computations/{id}", Api.get_run, "capsule:read"),
    ("DELETE", "computations/{id}", Api.delete_run, "capsule:write"),
    ("PATCH", "computations/{id}", Api.rename_run, "capsule:write"),
    ("POST", "computations/{id}/results", Api.list_results, "capsule:read"),
    ("GET", "computations/{id}/results/urls", Api.result_urls, "capsule:read"),
    ("GET", "computations/{id}/results/download_url", Api.result_download_url, "capsule:read"),
    ("GET", "custom_metadata", Api.custom_metadata, "data_asset:read"),
)
"""Method, endpoint, handler, and the scope that the token needs."""
SCOPES = tuple(sorted({scope for *_, scope in ROUTES}))
ENDPOINTS = tuple((method, endpoint) for method, endpoint, *_ in ROUTES)
_PATTERNS = [
    (method, endpoint, re.compile(endpoint.replace("{id}", "([^/]+)")), handler, scope)
    for method, endpoint, handler, scope in ROUTES
]


def route(method: str, path: str) -> tuple[str, tuple[str, ...], Handler, str] | None:
    """(endpoint, ids, handler, scope) of a path after `/api/v1/`."""
    for known, endpoint, pattern, handler, scope in _PATTERNS:
        if known == method and (match := pattern.fullmatch(path)):
            return endpoint, match.groups(), handler, scope
    return None
