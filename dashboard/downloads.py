"""Buttons that download a file made at the press."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable

import panel.ui as pmui

from dashboard.turns import on_page


def download_button(
    label: str, filename: str, make: Callable[[], Awaitable[bytes]], **layout: object
) -> pmui.FileDownload:
    """A button for a file.

    Args:
        label: Words of the button.
        filename: Name of the file; its ending says what it is.
        make: Makes the file, anew at each press.
        layout: Of the button.
    """

    async def made() -> io.BytesIO:
        data = await make()
        await on_page(lambda: button.param.update(data=None))  # the same file once more is no news to the browser
        return io.BytesIO(data)

    button = pmui.FileDownload(
        callback=made, filename=filename, label=label, size="small", variant="outlined", **layout
    )
    return button
