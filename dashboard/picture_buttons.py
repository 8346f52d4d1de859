"""The buttons that save what a picture shows."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

import panel.ui as pmui

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

    def button(kind: Kind) -> pmui.FileDownload:
        async def file() -> io.BytesIO:
            return io.BytesIO(await picture(kind))

        return pmui.FileDownload(
            callback=file,
            filename=f"{stem}.{kind}",
            label=kind.upper(),
            size="small",
            variant="outlined",
            margin=margin,
        )

    return [button("png"), button("svg")]
