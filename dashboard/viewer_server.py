"""Neuroglancer's own viewers, where the optional package is installed: one per page, on a port of loopback.

Browsers never see that port: `dashboard.viewer_routes` passes on what a page needs of it. The viewers show what lies
in the state itself; layers that would be fetched from elsewhere are left out.
"""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

from core.errors import InputError
from core.models import AnnotationLayer
from core.neuroglancer.open_links import Document, looking_at
from core.neuroglancer.sources import urls_of

MOST_VIEWERS = 24
"""Each holds a state of at most 16 MiB, besides its page."""
_LOCAL = "local://"


def is_installed() -> bool:
    """Whether the package is there; it is imported when the first viewer is opened."""
    return importlib.util.find_spec("neuroglancer") is not None


class Viewers:
    """The viewers of a process. May be used from any thread."""

    def __init__(self, most: int = MOST_VIEWERS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._open: dict[str, Any] = {}

    def open(self, root: Document, track: AnnotationLayer | None = None) -> str:
        """Open a viewer; blocks while the package starts.

        Args:
            root: JSON of the state, see `own_layers`.
            track: The layer to look at.

        Returns:
            The viewer's token, which is all that its page needs to know.

        Raises:
            InputError: too many are open.
        """
        import neuroglancer  # a second's work, and optional

        with self._lock:
            if len(self._open) >= self._most:
                raise InputError(
                    f"{self._most} pages have their viewer open.", cure="Close one, or open the state in a new tab."
                )
            made: Any = neuroglancer.Viewer(allow_credentials=False)
            made.set_state(_embedded(root, track))
            self._open[made.token] = made
            return str(made.token)

    def show(self, token: str, root: Document, track: AnnotationLayer | None = None) -> None:
        """Show another state in an open viewer."""
        if viewer := self._open.get(token):
            viewer.set_state(_embedded(root, track))

    def look_at(self, token: str, track: AnnotationLayer) -> None:
        """Move an open viewer to a track; zoom, layout and colours stay as the person has them."""
        if viewer := self._open.get(token):
            # What the browser sends meanwhile waits at the same lock, and is refused there as out of date.
            with viewer.shared_state._lock:
                viewer.set_state(_embedded(viewer.shared_state.raw_state, track))

    def state(self, token: str) -> Document | None:
        """What an open viewer shows now, as its browser has said."""
        viewer = self._open.get(token)
        return None if viewer is None else dict(viewer.shared_state.raw_state)

    def close(self, token: str) -> None:
        """Close a viewer; its page can ask for nothing any more."""
        with self._lock:
            viewer = self._open.pop(token, None)
        if viewer is not None:
            from neuroglancer import server

            running: Any = server.global_server
            if running is not None:
                running.viewers.pop(token, None)
            viewer.set_state({})  # an event stream may hold it a while longer

    def port_of(self, token: str) -> int | None:
        """The loopback port that an open viewer is served on; None when there is no such viewer."""
        if token not in self._open:
            return None
        from neuroglancer import server

        running: Any = server.global_server
        return None if running is None else int(running.port)

    def __len__(self) -> int:
        return len(self._open)


VIEWERS = Viewers()
"""Of this process: the routes and all pages share it."""


def own_layers(root: Document) -> tuple[Document, list[str]]:
    """The state with only the layers whose data lie in it, and the names of the others."""
    listed = root.get("layers")
    items = listed.items() if isinstance(listed, dict) else enumerate(listed) if isinstance(listed, list) else ()
    kept: list[Document] = []
    left_out: list[str] = []
    for key, layer in items:
        if not isinstance(layer, dict):
            continue
        named = layer if "name" in layer else {**layer, "name": str(key)}
        if all(url.startswith(_LOCAL) for url in urls_of(layer)):
            kept.append(named)
        else:
            left_out.append(str(named["name"]))
    return {**root, "layers": kept}, left_out


def _embedded(root: Document, track: AnnotationLayer | None) -> Document:
    """The state as the page shows it: without the panel of the selected layer, which takes a third of the frame."""
    shown = root if track is None else looking_at(root, track)
    selected = shown.get("selectedLayer")
    return {**shown, "selectedLayer": {**selected, "visible": False}} if isinstance(selected, dict) else shown
