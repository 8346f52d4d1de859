"""The selected track in Neuroglancer: a link that opens its state there, and the viewer inside the page."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import panel as pn
import panel.ui as pmui
import param
from panel.custom import JSComponent
from param.parameterized import Event

from core.errors import TrackmapperError
from core.models import AnnotationLayer
from core.neuroglancer import open_link
from core.neuroglancer.open_links import Document
from dashboard import text
from dashboard.state import Opened, Session
from dashboard.text import Markup, tag
from dashboard.theme import CSS
from dashboard.turns import next_turn, on_page
from dashboard.viewer_server import VIEWERS, Viewers, is_installed, own_layers

FRAME_HEIGHT = 560
TOO_LONG = "The state is too long for a link: save it as a file and open that in Neuroglancer."


def viewer_for(named: str, addresses: Sequence[str]) -> str:
    """The viewer a state opens in: the one its link named when that is a known one, else the first known one."""
    known = {(part.scheme, part.netloc.lower()) for part in map(urlsplit, addresses)}
    own = urlsplit(named)
    return named if (own.scheme, own.netloc.lower()) in known else next(iter(addresses), "")


def selected(session: Session) -> AnnotationLayer | None:
    """The layer of the selected track."""
    opened: Opened | None = session.opened
    return next((layer for layer in opened.state.tracks if layer.name == session.track), None) if opened else None


def track_link(session: Session, addresses: Sequence[str]) -> Markup:
    """The link beside the selected track; nothing while none is selected."""
    opened: Opened | None = session.opened
    track = selected(session)
    if opened is None or track is None or not addresses:
        return Markup("")
    viewer = viewer_for(opened.viewer, addresses)
    link = open_link(opened.state, track, viewer)
    if not link:
        return tag("p", TOO_LONG, cls="dim")
    told = f"The same state at {track.name}, in a new tab of {urlsplit(viewer).hostname}"
    return tag("p", tag("a", "Open in Neuroglancer", href=link, origin=viewer, title=told))


class Frame(JSComponent):
    """A viewer of our own port in the page; its address is made here, from nothing but the token."""

    token = param.String(regex=r"([0-9a-f]{20,128})?", doc="The viewer; nothing is shown without one.")

    _esm = """
export function render({ model }) {
  const frame = document.createElement('iframe')
  frame.title = 'Neuroglancer'
  frame.style.cssText = 'width:100%;height:100%;border:0;background:#000'
  const show = () => { frame.src = model.token ? `viewer/v/${model.token}/` : 'about:blank' }
  model.on('token', show)
  show()
  return frame
}
"""


_QUIET = {"boxShadow": "none", "& .MuiPaper-root": {"boxShadow": "none"}, "& .MuiTypography-root": {"fontSize": "15px"}}
"""The unfolding part looks like the other parts of the page, not like a page of its own."""


class NeuroglancerView:
    """The link, and below it the viewer, which begins when it is opened and ends with the session.

    Args:
        session: What is open and selected.
        addresses: The public viewers of the settings.
        viewers: Where viewers are opened; None where there is no such package, or its routes are not served.
    """

    def __init__(self, session: Session, addresses: Sequence[str], viewers: Viewers | None) -> None:
        self._session, self._addresses, self._viewers = session, addresses, viewers
        self._token = ""
        self._shown = ""
        self.link = text.pane(Markup(""), [CSS])
        self.note = text.pane(Markup(""), [CSS])
        self.frame = Frame(height=FRAME_HEIGHT, sizing_mode="stretch_width", margin=0)
        inside = pn.Column(self.note, self.frame, sizing_mode="stretch_width", margin=0)
        self.expander = pmui.Accordion(
            ("Neuroglancer", inside), active=[], sizing_mode="stretch_width", visible=viewers is not None, sx=_QUIET
        )
        self.view = pn.Column(self.link, self.expander, sizing_mode="stretch_width", margin=0)
        self.expander.param.watch(self._pressed, "active")
        session.param.watch(lambda *_: next_turn(self._refresh), ["opened", "track"])
        self._refresh()

    def _refresh(self, *_: Event) -> None:
        text.show(self.link, track_link(self._session, self._addresses))
        opened, track = self._session.opened, selected(self._session)
        if self._viewers is None or not self._token or opened is None:
            return
        if self._shown != opened.state.sha256:
            self._viewers.show(self._token, self._document(opened), track)
        elif track is not None:
            self._viewers.look_at(self._token, track)

    async def _pressed(self, event: Event) -> None:
        if event.new and not self._token:
            await self.open()

    async def open(self) -> None:
        """Begin the viewer."""
        opened = self._session.opened
        if self._viewers is None or opened is None:
            return
        document, track = await on_page(lambda: self._document(opened)), selected(self._session)
        try:
            self._token = await asyncio.to_thread(self._viewers.open, document, track)
        except TrackmapperError as error:
            trouble = tag("p", str(error), cls="warn", role="alert")
            await on_page(lambda: text.show(self.note, trouble))
            return
        await on_page(self._begun)

    def _begun(self) -> None:
        if pn.state.curdoc:
            pn.state.on_session_destroyed(lambda _: self.close())
        self.frame.token = self._token
        self._refresh()  # what was selected meanwhile

    def close(self) -> None:
        """End the viewer and free what it holds."""
        if self._viewers is not None and self._token:
            self._viewers.close(self._token)
        self._token = ""

    def _document(self, opened: Opened) -> Document:
        document, left_out = own_layers(json.loads(opened.state.data))
        self._shown = opened.state.sha256
        told = f"Not shown here, since they lie elsewhere: {', '.join(left_out)}." if left_out else ""
        text.show(self.note, tag("p", told, cls="dim") if told else Markup(""))
        return document


def viewers_here() -> Viewers | None:
    """The viewers of this process where the package is installed and its routes are served."""
    return VIEWERS if is_installed() and "dashboard.viewer_routes" in sys.modules else None
