"""One machine as a platform: a folder of assets, and conversions as processes of their own."""

from core.platforms.local_library import LocalLibrary
from core.platforms.local_runner import LocalRunner

__all__ = ["LocalLibrary", "LocalRunner"]
