"""Reads a mouse's assets, saved states and runs from Code Ocean and S3. Has no effect on either.

Without a token it reads what is public: the buckets of the settings, and nothing of Code Ocean itself.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from core.errors import AccessError, NotFoundError, PlatformError, RefusedError, ThrottledError, UnavailableError
from core.loose_json import object_of, text_of
from core.models import Asset, SavedState
from core.platforms.base import DIRECT, MONITORED, ConverterOffer, Entry, Health, HealthKind, PartlyFoundError
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.asset_files import AssetFiles, inner_path
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.launch_checks import OURS, Capsules
from core.platforms.code_ocean.records import asset_of
from core.platforms.code_ocean.s3_clients import CONNECTIONS
from core.platforms.code_ocean.search import find_assets, find_public_assets, is_public_id, public_asset
from core.settings import Settings

MAX_STATE_BYTES = 64 * 1024 * 1024
SLOW_S = 2.0
"""An answer that takes longer is called slow."""
_HEALTH_S = 10.0
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
_SET_TOKEN = "Set CODE_OCEAN_API_TOKEN, and restart."


class CodeOceanReader:
    """Implements `AssetReader`. Safe in several threads.

    Args:
        settings: Domain, capsules, buckets.
        api: Code Ocean; None without a token.
        pulse: The same for the question how it is, with little patience.
        s3: The buckets.
        now: Seconds that only go up.
    """

    name = "Code Ocean"
    connections = CONNECTIONS

    def __init__(
        self,
        settings: Settings,
        api: CodeOceanApi | None,
        pulse: CodeOceanApi | None,
        s3: S3Files,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._api, self._pulse, self._s3, self._now = settings, api, pulse, s3, now
        self._files = AssetFiles(api, s3, settings)
        self._capsules = None if api is None else Capsules(api, now=now)
        self._slugs: dict[str, str] = {}
        self.launch_refusal = "" if api is not None else f"Nothing can be launched without a token. {_SET_TOKEN}"

    @classmethod
    def of(cls, settings: Settings) -> CodeOceanReader:
        """A reader as the settings say. Opens no connection yet."""
        api = pulse = None
        token, version = settings.code_ocean_token, settings.code_ocean_min_version
        if token.get_secret_value():
            domain = settings.code_ocean_domain
            api = CodeOceanApi(domain, token, min_version=version)
            pulse = CodeOceanApi(domain, token, min_version=version, read_s=_HEALTH_S)
        return cls(settings, api, pulse, S3Files())

    @property
    def platform_id(self) -> str:
        """The domain's address."""
        return self._settings.code_ocean_domain.rstrip("/")

    @property
    def requests(self) -> int:
        """How many requests were sent to Code Ocean; those to S3 are not counted."""
        return sum(api.requests for api in (self._api, self._pulse) if api is not None)

    # --- assets ---------------------------------------------------------------------------------

    def find_subject_assets(self, subject: str) -> tuple[Asset, ...]:
        """Every asset that may be of a mouse, by name: four requests, and one more for each thousand results.

        Raises:
            PartlyFoundError: some of the searches failed; it holds what the others found.
            PlatformError: nothing could be searched.
        """
        try:
            if self._api is not None:
                found = find_assets(self._api, subject)
            else:
                found = find_public_assets(self._s3, self._settings.asset_bucket_names, subject)
        except PartlyFoundError as error:
            self._files.note(error.found)
            raise
        self._files.note(found)
        return found

    def get_asset(self, asset_id: str) -> Asset:
        """One asset. Raises NotFoundError, PlatformError."""
        if is_public_id(asset_id):
            asset: Asset | None = public_asset(asset_id)
            if asset is not None:
                self._files.list_folder(asset)
        elif not _ID.fullmatch(asset_id):
            raise NotFoundError("Code Ocean has no such asset", where=asset_id[:80], cure="Check the id.")
        else:
            asset = asset_of(self._known_api(asset_id).read("GET", f"data_assets/{asset_id}"))
        if asset is None or asset.id != asset_id:
            raise UnavailableError(
                "the asset's record cannot be read", where=asset_id, cure="Tell who runs Code Ocean."
            )
        self._files.note([asset])
        return asset

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset, sorted by name. Raises NotFoundError, RefusedError, PlatformError."""
        return self._files.list_folder(asset, path)

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file's bytes. Raises NotFoundError, RefusedError, or PlatformError, also when it is too large."""
        return self._files.read_file(asset, path, limit)

    # --- saved states ---------------------------------------------------------------------------

    def saved_states(self) -> tuple[SavedState, ...]:
        """State files in the scratch bucket, `<stem>/<stem>.json` or `<stem>.json`, by name. Raises PlatformError."""
        found = {}
        for entry in self._s3.list_tree(self._settings.scratch_bucket, self._states_folder):
            folder, _, file = entry.name.rpartition("/")
            stem = file.removesuffix(".json")
            if file.endswith(".json") and stem and folder in ("", stem):
                found[entry.name] = SavedState(stem, entry.name, entry.size or 0)
        return tuple(found[path] for path in sorted(found, key=lambda path: (found[path].name, path)))

    def read_state(self, path: str) -> bytes:
        """The bytes of a saved state. Raises NotFoundError, RefusedError, or PlatformError, also when too large."""
        key = f"{self._states_folder}/{inner_path(path, 'states')}"
        return self._s3.read(self._settings.scratch_bucket, key, MAX_STATE_BYTES)

    @property
    def _states_folder(self) -> str:
        return "/".join(filter(None, (self._settings.scratch_prefix.strip("/"), "neuroglancer_states")))

    # --- how it is ------------------------------------------------------------------------------

    def health(self) -> Health:
        """How Code Ocean answers one small request just now. Raises nothing."""
        if self._pulse is None:
            told = f"No token: only public assets are read, and nothing is launched. {_SET_TOKEN}"
            return Health(HealthKind.REFUSING, told)
        began_s = self._now()
        try:
            self._pulse.read("POST", "data_assets/search", body={"limit": 1, "archived": False}, tries=1)
        except ThrottledError as error:
            return Health(HealthKind.SLOW, f"Code Ocean asks for a pause. {error.cure}".strip())
        except (AccessError, RefusedError) as error:
            return Health(HealthKind.REFUSING, _told(error))
        except NotFoundError:
            told = f"There is no Code Ocean at {self.platform_id}. Check CODE_OCEAN_DOMAIN."
            return Health(HealthKind.AWAY, told)
        except PlatformError as error:
            return Health(HealthKind.AWAY, _told(error))
        except Exception as error:  # noqa: BLE001 - the header of every page asks, and must come whatever happens
            return Health(HealthKind.AWAY, f"Code Ocean cannot be asked ({type(error).__name__}).")
        took_s = self._now() - began_s
        return Health() if took_s <= SLOW_S else Health(HealthKind.SLOW, f"Code Ocean took {took_s:.1f} s to answer.")

    # --- conversions ----------------------------------------------------------------------------

    def converter_offer(self, version: str = "") -> ConverterOffer:
        """The converter capsule's released versions, and what one of them takes. Kept for some minutes.

        Args:
            version: Whose parameters; "": of the release of the settings, else the newest.

        Raises:
            RefusedError: there is no such release.
            PlatformError: it cannot be read.
        """
        settings = self._settings
        if self._capsules is None:
            raise AccessError("the converter cannot be looked at without a token", cure=_SET_TOKEN)
        chosen = version or settings.converter_release
        terms = self._capsules.terms(settings.converter_capsule, chosen)
        if not chosen and terms.versions:
            chosen = terms.versions[0]
            terms = self._capsules.terms(settings.converter_capsule, chosen)
        self._slugs[settings.converter_capsule] = terms.slug
        routes = (DIRECT, MONITORED) if settings.monitor_capsule else (DIRECT,)
        return ConverterOffer(
            converter=settings.converter_capsule,
            label=terms.name or settings.converter_capsule,
            versions=terms.versions,
            version=chosen,
            parameters=tuple(one for one in terms.parameters if one.name not in OURS),
            routes=routes,
            route=settings.route if settings.route in routes else DIRECT,
            monitor=settings.monitor_capsule,
        )

    def read_log(self, run_id: str, limit: int) -> bytes:
        """The last `limit` bytes of what a run printed; b"" when there is none (yet). Raises PlatformError."""
        return self._files.read_log(run_id, limit) if _ID.fullmatch(run_id) else b""

    def web_link(self, kind: str, ident: str, capsule: str = "") -> str:
        """Address of a page; "" when it is not known (yet). A run is shown on its capsule's page.

        A capsule's address holds a number that is asked for once, aside: nobody waits for a link.
        """
        domain = self.platform_id
        if urlsplit(domain).scheme != "https" or not _ID.fullmatch(ident):
            return ""
        if kind == "asset":
            return f"{domain}/data-assets/{ident}"
        slug = self._slug(ident if kind == "capsule" else capsule)
        return f"{domain}/capsule/{slug}/tree" if slug else ""

    def _slug(self, capsule: str) -> str:
        api = self._api
        if api is not None and capsule not in self._slugs and _ID.fullmatch(capsule):
            self._slugs[capsule] = ""
            threading.Thread(target=self._learn_slug, args=(api, capsule), name="capsule", daemon=True).start()
            return ""
        return self._slugs.get(capsule, "")

    def _learn_slug(self, api: CodeOceanApi, capsule: str) -> None:
        try:
            slug = text_of(object_of(api.read("GET", f"capsules/{capsule}")).get("slug"))
        except PlatformError:
            self._slugs.pop(capsule, None)  # asked again with the next link
        else:
            self._slugs[capsule] = slug if _ID.fullmatch(slug) else ""

    def _known_api(self, where: str) -> CodeOceanApi:
        if self._api is None:
            raise AccessError("it is not public", where=where, cure=_SET_TOKEN)
        return self._api


def _told(error: PlatformError) -> str:
    """An error without its place: which of our requests it was says nothing to who reads a page's header."""
    message = error.message[:1].upper() + error.message[1:]
    return f"{message.rstrip('.')}. {error.cure}".strip()
