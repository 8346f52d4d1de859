"""The one table of settings. Every value comes from the environment (prefix TRACKMAPPER_) or a command-line option."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError

_LAB_ZONE = "America/Los_Angeles"


class Settings(BaseSettings):
    """All settings of dashboard, worker and command line."""

    model_config = SettingsConfigDict(env_prefix="TRACKMAPPER_", frozen=True, extra="ignore", populate_by_name=True)

    platform: Literal["auto", "local", "code_ocean"] = Field(
        default="auto",
        description="Where assets live and conversions run. `auto`: Code Ocean when its token or domain is set and no "
        "library is named, else this machine.",
    )
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
    viewers: str = Field(
        default="https://neuroglancer-demo.appspot.com",
        description="Neuroglancer viewers, separated by commas. A state opens in the one that its link named when that "
        "is among them, else in the first.",
    )
    lab_zone: str = Field(
        default=_LAB_ZONE,
        description="Time zone of the lab, as the IANA names it: of the times in the names of results.",
    )
    poll_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="Seconds between two looks of the worker at a local conversion."
    )
    long_run_hours: float = Field(
        default=3.0,
        gt=0,
        description="Deadline proposed at launch, in hours. A run that passes it asks its people; it is never stopped.",
    )
    notice_url: SecretStr = Field(
        default=SecretStr(""),
        description="Apprise URLs that are told of ends and questions, separated by spaces; needs the extra `notify`.",
    )
    stop_twins: bool = Field(
        default=False, description="Stop a second run of one launch when it is found, instead of only raising an alarm."
    )
    thresholds: str = Field(
        default="",
        description="Limits of the checks that are to differ from those in docs/rules.md, as JSON: "
        '`{"angle_deg": 20}`.',
    )
    jobs_per_user_day: int = Field(
        default=0, ge=0, description="Launches one person may make in 24 hours; 0: no limit."
    )
    jobs_active: int = Field(default=0, ge=0, description="Jobs that may be under way at once; 0: no limit.")
    jobs_per_hour: int = Field(default=0, ge=0, description="Launches of all people in one hour; 0: no limit.")

    code_ocean_domain: str = Field(
        default="https://codeocean.allenneuraldynamics.org",
        validation_alias=AliasChoices("CODE_OCEAN_DOMAIN", "CODEOCEAN_DOMAIN", "code_ocean_domain"),
        description="Address of Code Ocean.",
    )
    code_ocean_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("CODE_OCEAN_API_TOKEN", "CODEOCEAN_TOKEN", "code_ocean_token"),
        description="Access token of Code Ocean. Without one only what is public is read, and nothing is launched.",
    )
    code_ocean_min_version: str = Field(
        default="4.0.0", description="Oldest server version that is accepted; sent as Min-Server-Version."
    )
    code_ocean_requests_per_second: float = Field(
        default=2.0, gt=0, description="Requests a second that the worker sends to Code Ocean at most, on average."
    )
    code_ocean_poll_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds between two looks of the worker at the runs of a capsule."
    )
    asset_settle_minutes: float = Field(
        default=10.0,
        ge=0,
        description="How long a lost answer about an asset is looked for before it counts as not made.",
    )
    run_settle_minutes: float = Field(
        default=35.0,
        ge=0,
        description="How long a lost answer about a run is looked for before it counts as not started.",
    )
    converter_capsule: str = Field(
        default="60569c31-be2d-4ccd-b60b-ab247824ec7c", description="Id of the capsule that converts."
    )
    converter_release: str = Field(
        default="", description="Released version of the converter that is proposed at launch; the newest when empty."
    )
    monitor_capsule: str = Field(
        default="567b5b98-8d41-413b-9375-9ca610ca2fd3",
        description="Id of the pipeline monitor capsule; empty: the route through it is not offered.",
    )
    route: Literal["direct", "monitor"] = Field(
        default="direct",
        description="Route proposed at launch: `direct` runs the converter and our worker keeps the result, `monitor` "
        "runs it through the pipeline monitor capsule, which keeps the result although our worker is down.",
    )
    scratch_bucket: str = Field(
        default="aind-scratch-data", description="Bucket for saved states and for the inputs of launches."
    )
    scratch_prefix: str = Field(default="aind-session", description="Folder of the scratch bucket that is used.")
    asset_buckets: str = Field(
        default="codeocean-s3datasetsbucket-1u41qdg42ur9,aind-private-data-prod-o5171v,aind-open-data-prod-o5171v,"
        "aind-open-data,aibs-behavior-data,aind-ephys-data,aind-ophys-data",
        description="Buckets searched for an asset's files when its record names none, separated by commas.",
    )
    share_results: Literal["viewer", "discoverable", "none"] = Field(
        default="viewer", description="What everybody of the Code Ocean domain may do with a captured result."
    )

    @field_validator("thresholds")
    @classmethod
    def _readable(cls, text: str) -> str:
        if text.strip():
            from core.checks.thresholds import read_thresholds  # here, since few set it and checks import much

            read_thresholds(text)
        return text

    @field_validator("lab_zone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        if name != _LAB_ZONE:  # a machine without time zones can still do all that names no result
            _zone(name)
        return name

    @property
    def lab_tz(self) -> ZoneInfo:
        """The zone of times in names. Raises SettingsError when this machine knows no time zones."""
        try:
            return _zone(self.lab_zone)
        except ValueError as error:
            raise SettingsError(
                str(error), where="TRACKMAPPER_LAB_ZONE", cure="Install the system's tzdata, or set another zone."
            ) from error

    @property
    def viewer_addresses(self) -> tuple[str, ...]:
        """The viewers, in their order."""
        return tuple(address.strip() for address in self.viewers.split(",") if address.strip())

    @property
    def asset_bucket_names(self) -> tuple[str, ...]:
        """The searched buckets, in their order."""
        return tuple(dict.fromkeys(name.strip() for name in self.asset_buckets.split(",") if name.strip()))

    @property
    def user_name(self) -> str:
        """The configured user, else the account's name."""
        return self.user.strip() or getpass.getuser()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name[:60]!r} is no time zone that this machine knows, such as {_LAB_ZONE}") from error


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` (command-line options) win over the environment when not None.

    Raises:
        SettingsError: a value cannot be used; names the variable.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # an input may be a secret
        given_name = "_".join(str(part) for part in first["loc"]).upper()
        name = given_name if given_name.startswith(("CODE_OCEAN", "CODEOCEAN")) else f"TRACKMAPPER_{given_name}"
        raise SettingsError(
            first["msg"], where=name, cure="Set it to a value of the kind the README's settings table says."
        ) from error
