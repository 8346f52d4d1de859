"""Reading Neuroglancer states: text, file or link -> layers, tracks and image sources; and links back into a viewer."""

from core.neuroglancer.links import StateLink, fetch_state_link, interpret_paste, viewer_of
from core.neuroglancer.open_links import looking_at, open_link
from core.neuroglancer.reader import read_state

__all__ = ["StateLink", "fetch_state_link", "interpret_paste", "looking_at", "open_link", "read_state", "viewer_of"]
