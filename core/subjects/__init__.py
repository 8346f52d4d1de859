"""Everything a mouse has on a platform: recordings, sortings, brains, and what is missing of them."""

from core.subjects.gather import gather_subject

__all__ = ["gather_subject"]
