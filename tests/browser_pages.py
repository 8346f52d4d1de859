"""Real pages in a real browser: a served dashboard on a free port, and chromium that can reach nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

ROOT = Path(__file__).resolve().parents[1]
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
CHROMIUM_ARGS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]


@dataclass
class Server:
    """A served dashboard."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    """A port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(
    library: Path,
    data: Path,
    *,
    address: str | None = "127.0.0.1",
    more: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """`panel serve dashboard/app.py`, as the README says, until the block ends; `more` goes into its environment.

    Every page is changed in turns only, or the block fails at its end: see `lock_watch`.
    """
    port = free_port()
    log = data.parent / f"dashboard-{port}.log"
    command = [sys.executable, "-m", "panel", "serve", str(ROOT / "dashboard" / "app.py"), "--port", str(port)]
    command += ["--allow-websocket-origin", f"127.0.0.1:{port}", "--websocket-max-message-size", "25165824"]
    command += ["--plugins", "dashboard.viewer_routes", "--warm"]
    command += [*(["--address", address] if address else []), *options]
    environment = {**os.environ, "TRACKMAPPER_LIBRARY": str(library), "TRACKMAPPER_DATA": str(data)}
    changed = data.parent / f"unlocked-{port}.log"
    if "--setup" not in options:
        command += ["--setup", str(ROOT / "tests" / "lock_watch.py")]
    environment |= {"TRACKMAPPER_USER": "ana", "TRACKMAPPER_TEST_LOCKS": str(changed), **(more or {})}
    with log.open("wb") as told:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=told, stderr=told)
        try:
            _wait_until_serving(process, port, log)
            yield Server(f"http://127.0.0.1:{port}/app", port, process, log)
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert not changed.exists(), f"changed without the page's lock: {changed.read_text()}"


def _wait_until_serving(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"the dashboard did not start: {log.read_text()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/static/js/bokeh.min.js", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the dashboard does not answer: {log.read_text()}")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for which only 127.0.0.1 exists."""
    path = os.environ.get("TRACKMAPPER_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "the browser tests need chromium: install it (Debian: apt install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """An open page and everything it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests that went anywhere but to the server."""
        near = ("data", "blob", "about")
        return [
            url for url in self.requests if (part := urlsplit(url)).scheme not in near and part.hostname != "127.0.0.1"
        ]


def visit(browser: Browser, url: str, *, width: int = 1440, height: int = 1400) -> Visit:
    """Open a page and wait until it can be used."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(WAIT_MS)
    made = Visit(page)
    page.on("request", lambda request: made.requests.append(request.url))
    page.on("websocket", lambda socket: made.requests.append(socket.url))
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.goto(url)
    page.get_by_role("button", name="Help", exact=True).wait_for()
    return made


def open_saved(page: Page, stem: str) -> None:
    """Pick a saved state on the Map page and wait for its table."""
    box = page.get_by_role("combobox", name="Saved states")
    expect(box).not_to_be_disabled(timeout=WAIT_MS)
    box.click()
    page.get_by_role("menuitem", name=stem).click()
    cell(page, "track", 0).wait_for()


def paste(page: Page, state: str) -> None:
    """Paste a state and press Open."""
    box = page.get_by_label("Neuroglancer link or state")
    box.fill(state)
    page.get_by_role("button", name="Open", exact=True).click()


def cell(page: Page, column: str, row: int) -> Locator:
    """A cell of the mapping table."""
    return page.locator(f'.tabulator-cell[tabulator-field="{column}"]:visible').nth(row)


def choose(page: Page, column: str, row: int, words: str) -> None:
    """Pick an entry of a cell's list; the answer to an earlier edit may close the list, then it is opened again."""
    entry = page.locator(".tabulator-edit-list-item", has_text=words).first
    for _ in range(8):
        cell(page, column, row).click()
        with contextlib.suppress(PlaywrightTimeoutError):
            return entry.click(timeout=4_000)
    raise AssertionError(f"{column} of row {row} does not offer {words!r}")


def loopback_state(layers: list[dict[str, object]]) -> str:
    """A state of a mouse that no library here has."""
    space = {"z": [2e-6, "m"], "y": [1.8e-6, "m"], "x": [1.8e-6, "m"], "t": [0.001, "s"]}
    stitched = "s3://aind-open-data/SmartSPIM_799999_2024-01-01_10-00-00_stitched_2024-01-03_11-00-00"
    image = {
        "type": "image",
        "name": "Ex_639",
        "source": f"zarr://{stitched}/image_tile_fusing/OMEZarr/Ex_639_Em_667.zarr",
    }
    return json.dumps({"dimensions": space, "layers": [image, *layers]})


def track_layer(name: str, at: int = 0) -> dict[str, object]:
    """A layer with a straight track."""
    points = [
        {"type": "point", "id": f"{name[:20]}{i}", "point": [500 + 150 * i, 1500 + 3 * i, 600 + 275 * at + 4 * i, 0]}
        for i in range(12)
    ]
    return {"type": "annotation", "name": name, "source": {"url": "local://annotations"}, "annotations": points}


_FIGURE = """
const figures = [...Bokeh.documents[0].all_models].filter((m) => m.type === 'Figure')
const lines = (figure) => figure.renderers.map((r) => r.data_source).find((s) => s && s.data.ml && s.data.track)
const figure = figures.find((f) => lines(f) && Bokeh.index.find_one(f))
const view = figure && Bokeh.index.find_one(figure)
"""
"""The coronal view, in the page."""
_PLACE = f"""(track) => {{ {_FIGURE}
  const data = view && lines(figure).data
  const at = data ? data.track.indexOf(track) : -1
  if (at < 0) return null
  const middle = Math.floor(data.ml[at].length / 2), box = view.el.getBoundingClientRect()
  const x = view.frame.x_scale.compute(data.ml[at][middle]), y = view.frame.y_scale.compute(data.dv[at][middle])
  return [box.x + x, box.y + y]
}}"""
HOVERED = f"() => {{ {_FIGURE} const s = lines(figure); return s.inspected.indices.map((i) => s.data.track[i]) }}"
"""Tracks under the mouse, as the three projections show it."""
SOLID = """(() => { const find = (root) => { for (const e of root.querySelectorAll("*")) {
  if (e.data && e.layout) return e
  if (e.shadowRoot) { const f = find(e.shadowRoot); if (f) return f } } return null }; return find(document) })()"""
"""The 3-D view's element, in the page."""


def place_of(page: Page, track: str) -> tuple[float, float]:
    """The pixel of a track's middle in the coronal view, once it is drawn."""
    return tuple(page.wait_for_function(_PLACE, arg=track).json_value())
