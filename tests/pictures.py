"""`make pictures`: the screenshots of the README, taken from the sample mouse in a real browser."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from core.sample import write_sample
from core.settings import load_settings
from dashboard import servers
from tests.browser_pages import cell, chromium, free_port, open_saved, served, visit

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 1440


def take(folder: Path, images: Path = IMAGES) -> None:
    """Map and launch the day-1 state, and photograph both pages on the way."""
    sample = write_sample(folder / "sample")
    first, day1 = sample.states[:2]
    data = folder / "data"
    settings = load_settings(library=sample.library, data=data, worker_port=free_port(), poll_seconds=0.5, user="ana")
    images.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(served(sample.library, data))
        env = servers.environment(settings)
        servers.wait_until_serving(
            stack.enter_context(servers.started(servers.WORKER, settings.worker_port, env)), settings.worker_port
        )
        browser = stack.enter_context(chromium())
        page = visit(browser, server.url, width=WIDTH, height=1550).page
        open_saved(page, first.path.stem)
        page.locator(".js-plotly-plot").wait_for()
        page.get_by_role("button", name="Accept certain").click()
        cell(page, "track", 2).click()
        page.wait_for_timeout(8_000)  # until the notice is gone
        page.get_by_label("Neuroglancer link or state").scroll_into_view_if_needed()
        page.wait_for_timeout(1_000)
        page.screenshot(path=images / "map.png")

        page.close()

        page = visit(browser, server.url, width=WIDTH, height=1000).page
        open_saved(page, day1.path.stem)
        page.get_by_role("button", name="Accept certain").click()
        page.get_by_role("button", name="Review and launch").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("heading", name="Assets attached").wait_for()
        for box in dialog.get_by_role("checkbox").all():
            box.check()
        page.wait_for_timeout(1_000)
        page.screenshot(path=images / "launch.png")
        dialog.get_by_role("button", name="Launch").click()
        page.get_by_text("5 of 5 delivered").first.wait_for()
        page.wait_for_timeout(8_000)
        page.screenshot(path=images / "jobs.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        take(Path(made), *(Path(name) for name in sys.argv[1:2]))
