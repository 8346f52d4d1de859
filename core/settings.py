"""The one table of settings. Every value comes from the environment (prefix TRACKMAPPER_) or a command-line option."""

from __future__ import annotations

import getpass
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError


class Settings(BaseSettings):
    """All settings of dashboard, worker and command line."""

    model_config = SettingsConfigDict(env_prefix="TRACKMAPPER_", frozen=True, extra="ignore", populate_by_name=True)

    library: Path = Field(
        default=Path(".trackmapper/library"),
        description="Folder of the local library: assets and saved states.",
    )
    data: Path = Field(
        default=Path(".trackmapper/data"),
        description="Folder of the queue: jobs, drafts, runs, logs. On a local disk, never NFS.",
    )
    user: str = Field(
        default="",
        description="Who you are, kept with every job; without it the name of the account (shown as not signed in).",
    )
    port: int = Field(default=5006, ge=1, le=65535, description="Port of the dashboard.")
    worker_port: int = Field(default=5007, ge=1, le=65535, description="Port of the worker's page.")
    state_hosts: str = Field(
        default="",
        description="Hosts that `#!https://` links may be fetched from, separated by commas; none when empty.",
    )
    state_buckets: str = Field(
        default="aind-open-data,aind-msma-morphology-data",
        description="Buckets that `#!s3://` links may be fetched from, separated by commas.",
    )
    poll_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="Seconds between two looks of the worker at a running conversion."
    )
    long_run_hours: float = Field(
        default=3.0, gt=0, description="Hours after which a running conversion is marked as long; it is never stopped."
    )

    @property
    def user_name(self) -> str:
        """The configured user, else the account's name."""
        return self.user.strip() or getpass.getuser()


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` (command-line options) win over the environment when not None.

    Raises:
        SettingsError: a value cannot be used; names the variable.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "TRACKMAPPER_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            first["msg"], where=name, cure="Set it to a value of the kind the README's settings table says."
        ) from error
