"""What is asked of a local conversion, checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from core import image_space_converter
from core.errors import RefusedError
from core.platforms.base import RunRequest
from core.platforms.local_library import relative_parts
from core.platforms.local_runs import TOKEN


def laid_out(request: RunRequest) -> list[tuple[str, str]]:
    """Mount paths with their assets' ids. Raises RefusedError when two paths are the same or one is in another."""
    laid: dict[tuple[str, ...], str] = {}
    for mount in request.mounts:
        parts = relative_parts(mount.mount, "the mounts")
        if not parts or any(other[: len(parts)] == parts[: len(other)] for other in laid):
            # A folder inside a mounted asset would be made in the asset itself.
            raise RefusedError(
                f"no asset can be mounted as {mount.mount!r} here",
                where=mount.asset_id,
                cure="Give each its own folder.",
            )
        laid[parts] = mount.asset_id
    return [("/".join(parts), asset_id) for parts, asset_id in laid.items()]


def arguments(parameters: Mapping[str, str]) -> list[str]:
    """The converter's options. Raises RefusedError when one is missing or unknown."""
    missing = [name for name in image_space_converter.REQUIRED if not parameters.get(name)]
    unknown = [name for name in parameters if name not in image_space_converter.PARAMETERS]
    if missing or unknown:
        told = f"needs {', '.join(missing)}" if missing else f"does not know {', '.join(unknown)}"
        raise RefusedError(f"the converter {told}", where="parameters", cure="Correct the parameters.")
    return [f"--{name}={value}" for name, value in parameters.items() if value]


def check_token(token: str) -> None:
    """Raise RefusedError when a token cannot be the name of a run's folder."""
    if not TOKEN.fullmatch(token):
        raise RefusedError(f"{token[:80]!r} is no token", cure="Use letters, digits, - and _, at most 64.")
