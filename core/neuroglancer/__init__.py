"""Reading Neuroglancer states: text, file or link -> layers, tracks and image sources; and links back into a viewer."""

from core.neuroglancer.links import StateLink, fetch_state_link, interpret_paste
from core.neuroglancer.reader import read_state, viewer_link

__all__ = ["StateLink", "fetch_state_link", "interpret_paste", "read_state", "viewer_link"]
