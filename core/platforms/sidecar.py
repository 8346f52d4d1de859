"""The small JSON file beside an asset of a local library: what a platform's API would say about the asset."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.models import Asset
from core.rules import problem

MAX_BYTES = 1024 * 1024


class _Provenance(BaseModel):
    data_assets: tuple[str, ...] | None = None
    computation: str | None = None


class _Source(BaseModel):
    bucket: str | None = None
    prefix: str | None = None


class Sidecar(BaseModel):
    """The record of an asset, with the names of Code Ocean's API. Keys it does not know are ignored."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(min_length=1, max_length=200)
    name: str = Field(min_length=1)
    type: str = "dataset"
    tags: tuple[str, ...] = ()
    created: datetime | None = None
    """ISO text, or seconds since 1970."""
    state: str = "ready"
    description: str = ""
    custom_metadata: dict[str, Any] = Field(default_factory=dict)
    provenance: _Provenance | None = None
    source: _Source | None = Field(default=None, validation_alias=AliasChoices("source", "source_bucket"))
    failure_reason: str = ""

    @field_validator("type", "tags", "state", "description", "custom_metadata", "failure_reason", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value

    @field_validator("created")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def read_sidecar(data: bytes, folder: str) -> Asset:
    """The asset a sidecar describes. A broken sidecar gives the asset with a problem, never an exception.

    Args:
        data: The sidecar's bytes.
        folder: Name of the asset's folder, which is the asset's name whatever the sidecar says.
    """
    try:
        sidecar = Sidecar.model_validate_json(data)
    except (ValidationError, OverflowError) as error:
        return broken_asset(folder, f"Its sidecar cannot be read: {_first_fault(error)}.")
    provenance, source = sidecar.provenance or _Provenance(), sidecar.source or _Source()
    asset = Asset(
        id=sidecar.id,
        name=folder,
        type=sidecar.type,
        state=sidecar.state,
        tags=sidecar.tags,
        created=sidecar.created,
        description=sidecar.description,
        custom_metadata=sidecar.custom_metadata,
        provenance_data_assets=provenance.data_assets,
        provenance_computation=provenance.computation,
        bucket=source.bucket,
        prefix=source.prefix,
        failure_reason=sidecar.failure_reason,
    )
    if sidecar.name != folder:
        told = f"Its sidecar calls it {sidecar.name!r}; the folder's name counts."
        asset = replace(asset, problems=(problem("A14", told, cure="Make the two the same.", recording=folder),))
    return asset


def asset_without_sidecar(folder: str) -> Asset:
    """An asset of which only the folder is known."""
    told = "It has no sidecar: what it was made from is unknown."
    return Asset(id=folder, name=folder, problems=(problem("A6", told, recording=folder),))


def broken_asset(folder: str, message: str) -> Asset:
    """An asset whose own record cannot be used, with the reason."""
    return Asset(id=folder, name=folder, problems=(problem("A14", message, recording=folder),))


def write_sidecar(asset: Asset) -> bytes:
    """The sidecar that `read_sidecar` reads back as the same asset."""
    provenance = None
    if asset.provenance_data_assets is not None or asset.provenance_computation is not None:
        provenance = _Provenance(data_assets=asset.provenance_data_assets, computation=asset.provenance_computation)
    source = None
    if asset.bucket is not None or asset.prefix is not None:
        source = _Source(bucket=asset.bucket, prefix=asset.prefix)
    sidecar = Sidecar(
        id=asset.id,
        name=asset.name,
        type=asset.type,
        tags=asset.tags,
        created=asset.created,
        state=asset.state,
        description=asset.description,
        custom_metadata=asset.custom_metadata,
        provenance=provenance,
        source=source,
        failure_reason=asset.failure_reason,
    )
    return sidecar.model_dump_json(indent=2).encode() + b"\n"


def _first_fault(error: ValidationError | OverflowError) -> str:
    if isinstance(error, OverflowError):
        return "a number is too large"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])
