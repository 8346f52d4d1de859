"""Looks at an account of Code Ocean, and says what works, what does not, and what to do.

Nothing costly happens: everything is read, but for two requests with an empty body, which name nothing that could be
made or run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.errors import AccessError, NotFoundError, PlatformError, RefusedError, SettingsError, UnavailableError
from core.loose_json import object_of, text_of
from core.platforms.base import Parameter
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.connections import refuse_open_address
from core.platforms.code_ocean.records import baked_in, objects_of, parameters_of, versions_of
from core.platforms.findings import Finding, Verdict, failed, ok, warning
from core.settings import Settings

SENT = ("manifest", "neuroglancer")
"""Named parameters that every launch gives."""
CUSTOM_METADATA = ("data level", "experiment type", "subject id")
"""Fields that every captured result gives."""
_ANY_VERSION = "0.0.1"


def probe_code_ocean(
    api: CodeOceanApi,
    settings: Settings,
    *,
    with_version: Callable[[str], CodeOceanApi],
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Finding]:
    """Look at Code Ocean itself: address, version, token, capsules, metadata.

    Args:
        api: The account.
        settings: What launches would use.
        with_version: The same account, asking for another least version of the server.
        now: Seconds, to say how long the list of runs takes.
    """
    if not settings.code_ocean_token.get_secret_value():
        yield failed(
            "token",
            "none is set: only what is public is read, and nothing is launched",
            "Make one in Code Ocean (Account, Access Tokens) and set CODE_OCEAN_API_TOKEN.",
        )
        return
    for finding in _door(api, settings, with_version):
        yield finding
        if finding.verdict is Verdict.FAILED:
            return
    yield from _write_scopes(api)
    yield from _converter(api, settings, now)
    yield from _monitor(api, settings)
    yield _metadata(api)


def _door(api: CodeOceanApi, settings: Settings, with_version: Callable[[str], CodeOceanApi]) -> Iterator[Finding]:
    """Whether it answers, takes our version, and knows the token. Ends with the first failure."""
    try:
        refuse_open_address(settings.code_ocean_domain)
    except SettingsError as error:
        yield failed("address", error.message, error.cure)
        return
    try:
        _search_one(api)
    except AccessError as error:
        yield ok("address", f"{api.domain} answers")
        yield failed("token", error.message, error.cure)
        return
    except UnavailableError as error:
        yield failed("address", f"{api.domain}: {error.message}", "Check CODE_OCEAN_DOMAIN, the network and proxies.")
        return
    except PlatformError as error:
        yield ok("address", f"{api.domain} answers")
        yield _refused_at_the_door(error, settings, with_version(_ANY_VERSION))
        return
    yield ok("address", f"{api.domain} answers")
    yield ok("server version", f"it accepts programs that need version {settings.code_ocean_min_version}")
    yield ok("token", "accepted; it may read data assets")


def _search_one(api: CodeOceanApi) -> None:
    api.read("POST", "data_assets/search", body={"limit": 1, "offset": 0, "archived": False})


def _refused_at_the_door(error: PlatformError, settings: Settings, any_version: CodeOceanApi) -> Finding:
    try:
        _search_one(any_version)
    except PlatformError:
        return failed("search of data assets", error.message, "See what it says; ask the people who run Code Ocean.")
    return failed(
        "server version",
        f"it is older than {settings.code_ocean_min_version} and refuses us ({error.message})",
        "Set TRACKMAPPER_CODE_OCEAN_MIN_VERSION to its version; what that server lacks may not work.",
    )


def _write_scopes(api: CodeOceanApi) -> Iterator[Finding]:
    """Whether the token may make assets and runs, as far as a request tells that can make nothing."""
    for what, path, cannot in (
        ("scope: data assets, write", "data_assets", "whether it may share them with everybody"),
        ("scope: capsules, write", "computations", "whether it may run this very capsule"),
    ):
        cure = f"Give the token this scope; a launch needs it. An empty POST {path} was refused."
        try:
            api.effect("POST", path, body={})
        except AccessError as error:
            yield failed(what, error.message, cure)
        except (RefusedError, NotFoundError):
            yield ok(what, f"an empty request was refused for its content, not for the token; not to be told: {cannot}")
        except PlatformError as error:
            yield warning(what, f"cannot be told: {error.message}", "Ask again later; a launch shows it.")
        else:
            yield warning(what, "an empty request was not refused", "Look in Code Ocean whether it made something.")


# --- capsules -------------------------------------------------------------------------------------


def _converter(api: CodeOceanApi, settings: Settings, now: Callable[[], float]) -> Iterator[Finding]:
    ident, what = settings.converter_capsule, "converter capsule"
    capsule = _capsule(api, ident, what, "TRACKMAPPER_CONVERTER_CAPSULE")
    if isinstance(capsule, Finding):
        yield capsule
        return
    yield ok(what, f"{text_of(capsule.get('name')) or ident} is visible")
    versions, wanted = versions_of(capsule), settings.converter_release
    if not versions or (wanted and wanted not in versions):
        lacks = f"version {wanted} is not among its released versions" if versions else "it has no released version"
        yield failed(
            "converter version",
            f"{lacks} ({_listed(versions)})",
            "Set TRACKMAPPER_CONVERTER_RELEASE to one of them, or have the capsule released.",
        )
        return
    version = wanted or versions[0]
    yield ok("converter version", f"{version} is proposed at launch; released: {_listed(versions)}")
    try:
        panel = api.read("GET", f"capsules/{ident}/app_panel?version={version}")
    except PlatformError as error:
        yield failed("converter parameters", error.message, "Without its app panel nobody knows what it takes.")
    else:
        yield from panel_findings(parameters_of(panel), version)
        yield _attached(panel)
    yield _runs(api, ident, now)


def panel_findings(parameters: Sequence[Parameter], version: str) -> Iterator[Finding]:
    """The parameters of a converter's app panel, compared with what a launch sends. Pure."""
    what, names = "converter parameters", {parameter.name for parameter in parameters}
    lacking = [name for name in SENT if name not in names]
    if lacking:
        yield failed(
            what,
            f"version {version} takes no {_listed(lacking)}; it takes {_listed(sorted(names))}",
            "Choose the capsule of the converter, or a version that takes them by these parameter names.",
        )
        return
    others = [parameter for parameter in parameters if parameter.name not in SENT]
    shown = _listed([f"{p.name} ({p.default or 'no default'})" for p in others])
    yield ok(what, f"version {version} takes {_listed(SENT)}; to choose at launch: {shown}")
    mandatory = [parameter.name for parameter in others if parameter.required and not parameter.default]
    if mandatory:
        yield warning(
            what,
            f"mandatory and without a default: {_listed(mandatory)}",
            "Give each of them at every launch: --parameter NAME=VALUE, or in the launch form.",
        )


def _attached(panel: object) -> Finding:
    what, inside = "assets in the converter", sorted(baked_in(panel))
    told = objects_of(object_of(panel).get("data_assets"))
    hidden = [text_of(one.get("name")) or text_of(one.get("id")) for one in told if one.get("accessible") is False]
    if hidden:
        return warning(
            what,
            f"the token may not see {_listed(hidden)}",
            "Have them shared with the token's owner, or its runs fail.",
        )
    return ok(what, f"{len(inside)}, never attached a second time")


def _runs(api: CodeOceanApi, capsule: str, now: Callable[[], float]) -> Finding:
    began_s = now()
    try:
        told = api.read("GET", f"capsules/{capsule}/computations")
    except PlatformError as error:
        return failed("list of runs", error.message, "Without it a run whose answer was lost cannot be found again.")
    if not isinstance(told, list):
        return failed("list of runs", "the answer is no list", "Ask the people who run Code Ocean.")
    return ok("list of runs", f"{len(told)} runs in {now() - began_s:.1f} s")


def _monitor(api: CodeOceanApi, settings: Settings) -> Iterator[Finding]:
    what, ident = "monitor capsule", settings.monitor_capsule
    if not ident:
        yield ok(what, "none is set; the monitor route is not offered")
        return
    capsule = _capsule(api, ident, what, "TRACKMAPPER_MONITOR_CAPSULE")
    if isinstance(capsule, Finding):
        # Only who launches through it needs it.
        lesser = warning(what, capsule.found, f"{capsule.cure} The direct route works without it.")
        yield capsule if settings.route == "monitor" else lesser
        return
    versions = versions_of(capsule)
    yield ok(what, f"{text_of(capsule.get('name')) or ident} is visible; released: {_listed(versions)}")


def _capsule(api: CodeOceanApi, ident: str, what: str, variable: str) -> dict[str, Any] | Finding:
    try:
        return object_of(api.read("GET", f"capsules/{ident}"))
    except AccessError as error:
        return failed(
            what, f"{ident}: {error.message}", "Have it shared with the token's owner; give the token capsule scopes."
        )
    except NotFoundError:
        return failed(what, f"there is none with the id {ident}", f"Set {variable} to the right id.")
    except PlatformError as error:
        return failed(what, f"{ident}: {error.message}", error.cure)


def _metadata(api: CodeOceanApi) -> Finding:
    what = "custom metadata"
    try:
        fields = objects_of(object_of(api.read("GET", "custom_metadata")).get("fields"))
    except PlatformError as error:
        return warning(what, f"its fields cannot be read: {error.message}", "A capture shows whether ours are taken.")
    names = {text_of(field.get("name")): field.get("required") is True for field in fields}
    lacking = [name for name in CUSTOM_METADATA if name not in names]
    demanded = [name for name, required in names.items() if required and name not in CUSTOM_METADATA]
    if lacking or demanded:
        words = [f"not known here: {_listed(lacking)}"] * bool(lacking)
        words += [f"demanded, and not sent: {_listed(demanded)}"] * bool(demanded)
        return warning(what, "; ".join(words), "Captured results may be refused; ask the people who run Code Ocean.")
    return ok(what, f"{_listed(CUSTOM_METADATA)} are known")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
