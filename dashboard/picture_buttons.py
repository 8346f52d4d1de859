"""The buttons that save what a picture shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import panel.ui as pmui

from dashboard.downloads import download_button
from dashboard.saved_pictures import Kind


def picture_buttons(
    stem: str, picture: Callable[[Kind], Awaitable[bytes]], margin: tuple[int, int]
) -> list[pmui.FileDownload]:
    """A button for PNG and one for SVG.

    Args:
        stem: Name of the file, without its ending.
        picture: Makes the file.
        margin: Of each button.
    """
    kinds: tuple[Kind, ...] = ("png", "svg")
    return [download_button(kind.upper(), f"{stem}.{kind}", partial(picture, kind), margin=margin) for kind in kinds]
