"""Ids and tokens as they may go into an address or a tag, and the words for answers that cannot be read."""

from __future__ import annotations

import re

from core.errors import NotFoundError, PlatformError, RefusedError, UnavailableError
from core.platforms.code_ocean.run_listing import TOKEN

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", re.ASCII)
ASKED_AGAIN = "It is asked again."


def check_token(token: str) -> None:
    """Raise RefusedError for a token that Code Ocean's search of tags could not find."""
    if not TOKEN.fullmatch(token):
        raise RefusedError(
            f"{token[:80]!r} is no token for Code Ocean", cure="Use 12 to 20 small letters and digits, a letter first."
        )


def checked_id(ident: str) -> str:
    """The id, when it can be one: it becomes part of an address."""
    if not ID.fullmatch(ident):
        raise NotFoundError(f"Code Ocean has nothing with the id {ident[:80]!r}", cure="Check the id.")
    return ident


def unreadable(what: str, where: str) -> PlatformError:
    """An answer that says nothing; the call is made again."""
    return UnavailableError(f"Code Ocean's {what} cannot be read", where=where, cure=ASKED_AGAIN)
