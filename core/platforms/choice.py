"""Which platform the settings name: the one place that knows them all."""

from __future__ import annotations

from core.errors import SettingsError
from core.platforms.base import AssetReader, Runner
from core.settings import Settings


def is_code_ocean(settings: Settings) -> bool:
    """Whether assets live on Code Ocean; else on this machine."""
    if settings.platform != "auto":
        return settings.platform == "code_ocean"
    # Whoever names a library means it; a token may lie in the environment for other programs.
    named = "library" in settings.model_fields_set
    return not named and bool({"code_ocean_token", "code_ocean_domain"} & settings.model_fields_set)


def make_reader(settings: Settings) -> AssetReader:
    """What reads the assets. Opens no connection yet."""
    # Imported when needed: each platform brings its own libraries, and only one is used.
    if is_code_ocean(settings):
        from core.platforms.code_ocean.reader import CodeOceanReader

        return CodeOceanReader.of(settings)
    from core.platforms.local import LocalLibrary

    return LocalLibrary(settings.library, settings.data)


def make_runner(settings: Settings) -> Runner:
    """What makes the effects: for the worker, and `recover`, which only looks. Opens no connection yet.

    Raises:
        SettingsError: nothing can be launched with these settings.
    """
    if is_code_ocean(settings):
        from core.platforms.code_ocean.runner import CodeOceanRunner

        if not settings.code_ocean_token.get_secret_value().strip():
            raise SettingsError(
                "Code Ocean runs nothing without an access token",
                where="CODE_OCEAN_API_TOKEN",
                cure="Make one in your account there, set the variable, and start the worker again.",
            )
        return CodeOceanRunner.of(settings)
    from core.platforms.local import LocalRunner

    return LocalRunner(settings.library, settings.data)


def poll_seconds(settings: Settings) -> float:
    """Seconds between two looks at a run."""
    return settings.code_ocean_poll_seconds if is_code_ocean(settings) else settings.poll_seconds


def settings_warnings(settings: Settings) -> tuple[str, ...]:
    """What these settings make unsafe, in words; () when nothing."""
    if not is_code_ocean(settings):
        return ()
    found = []
    for name, risk in (
        ("run_settle_minutes", "a run whose start was not confirmed may be started, and paid, twice"),
        ("asset_settle_minutes", "an input whose answer was lost may be made twice"),
    ):
        safe, told = Settings.model_fields[name].default, getattr(settings, name)
        if told < safe:
            variable = f"TRACKMAPPER_{name.upper()}"
            found.append(f"{variable} is {told:g}, less than the safe {safe:g}: {risk}")
    return tuple(found)
