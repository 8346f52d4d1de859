"""How fast the Map page answers with 60 tracks of 2,000 points, in chromium on loopback.

`python -m tests.bench_page` alone, or as a part of `make bench`. Times are told from the press to the frame after the
last change that answers it; beside them stands a fixed piece of work on the same machine in the same run, which tells
a slow machine from slow code.
"""

from __future__ import annotations

import csv
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page

from core.sample import SampleSummary, write_sample
from tests.bench_gather import say
from tests.browser_pages import cell, chromium, open_saved, served, visit

TRACKS, POINTS, TIMES = 60, 2_000, 12
VERBOSE = bool(os.environ.get("TRACKMAPPER_BENCH_VERBOSE"))
"""Tell what held the loop."""
STEM = "700001_sixty_tracks"
_ROOT = Path(__file__).parents[1]
_WATCH = """() => {
  const bench = window.bench = { press: 0, events: [] }
  const models = [...Bokeh.documents[0]._all_models.values()]
  const note = (kind) => () => bench.events.push([kind, performance.now()])
  const table = models.find((m) => m.type === 'panel.models.tabulator.DataTabulator' && m.source.data.suggestion)
  const figures = models.filter((m) => m.type === 'Figure' && m.below.some((a) => `${a.axis_label}`.includes('mm')))
  const views = new Set(figures.flatMap((m) => m.renderers).map((r) => r.data_source).filter((s) => s && s.data.ml))
  for (const source of views) source.connect(source.properties.data.change, note('views'))
  for (const m of models) {
    if (m.type.endsWith('HTML') && m.properties.text) m.connect(m.properties.text.change, () => {
      const text = m.text
      if (text.includes('class=&quot;card') || text.includes('class="card')) note('cards')()
      else if (text.includes('Track ')) note('detail')()
    })
  }
  table.source.connect(table.source.patching, note('table'))
  table.source.connect(table.source.selected.properties.indices.change, note('row'))
  window.addEventListener('pointerdown', () => { bench.press = performance.now(); bench.events = [] }, true)
}"""
_ANSWER = """([wanted, still]) => new Promise((done) => {
  const look = () => {
    const bench = window.bench, kinds = new Set(bench.events.map((e) => e[0]))
    const last = Math.max(...bench.events.filter((e) => wanted.includes(e[0])).map((e) => e[1]))
    if (wanted.every((kind) => kinds.has(kind)) && performance.now() - last > still)
      requestAnimationFrame(() => done(bench.events.map((e) => [e[0], e[1] - bench.press])))
    else if (performance.now() - bench.press > 20000) done([['nothing', 20000]])
    else setTimeout(look, 20)
  }
  look()
})"""
_DRAWN = """() => {
  const found = { tracks: 0, views: 0 }
  window.drawn = found
  const look = () => {
    const models = [...Bokeh.documents[0].all_models]
    const source = (m) => m.renderers?.map((r) => r.data_source).find((s) => s?.data.ml)
    if (!found.tracks && models.some((m) => (m.data?.track?.length ?? 0) > 5)) found.tracks = performance.now()
    const views = models.filter((m) => m.type === 'Figure' && source(m)).map((m) => Bokeh.index.find_one(m))
    if (views.filter((view) => view?.has_finished()).length >= 3)
      requestAnimationFrame(() => { found.views = performance.now() })
    else setTimeout(look, 30)
  }
  look()
}"""


def write_state(sample: SampleSummary) -> tuple[str, bytes]:
    """A saved state of the sample mouse with `TRACKS` tracks of `POINTS` points, most of them beside the real ones.

    Returns:
        Its name, and a CSV that maps every track; most rows name a shank that another row has, too.
    """
    first = sample.states[0].path
    state = json.loads(first.read_text())
    drawn = [layer for layer in state["layers"] if layer["type"] == "annotation" and len(layer["annotations"]) > 10]
    rest = [layer for layer in state["layers"] if layer not in drawn]
    random, made = np.random.default_rng(1), []
    for number in range(TRACKS):
        like = drawn[number % len(drawn)]
        points = np.array([each["point"] for each in like["annotations"]], dtype=float)
        at = np.linspace(0, len(points) - 1, POINTS)
        dense = np.column_stack([np.interp(at, np.arange(len(points)), column) for column in points.T])
        dense[:, :3] += random.normal(0.0, 4.0, (POINTS, 3)) + 60.0 * (number // len(drawn))
        name = like["name"] if number < len(drawn) else f"{like['name']}_{number}"
        listed = [{"type": "point", "id": f"{number}-{i}", "point": point} for i, point in enumerate(dense.tolist())]
        made.append({**like, "name": name, "annotations": listed})
    folder = sample.library / "states" / STEM
    folder.mkdir(parents=True)
    (folder / f"{STEM}.json").write_text(json.dumps({**state, "layers": [*rest, *made]}))
    rows = list(csv.DictReader(io.StringIO(sample.states[0].manifest.read_text())))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    names = ("histology_track_id", "probe_id")
    for number, layer in enumerate(made):
        row = rows[number % len(rows)]
        own = {name: layer["name"] for name in names if name in row} | {"probe_file": STEM}
        writer.writerow({**row, **own})
    return STEM, out.getvalue().encode()


def calibration_ms() -> float:
    """A fixed piece of pure Python, the median of seven."""
    found = []
    for _ in range(7):
        began = time.perf_counter()
        sum(i * i % 7 for i in range(200_000))
        found.append((time.perf_counter() - began) * 1e3)
    return statistics.median(found)


def answers(page: Page, press: Callable[[int], None], wanted: Sequence[str], times: int = TIMES) -> list[float]:
    """Milliseconds from each press to the last change that answers it."""
    found = []
    for number in range(times):
        press(number)
        events = page.evaluate(_ANSWER, [list(wanted), 400])
        found.append(max(at for kind, at in events if kind in (*wanted, "nothing")) + 16.0)
        page.wait_for_timeout(1_500)  # the 3-D view has its turn: it is told apart
    return found


def told(what: str, found: Sequence[float], target: str) -> None:
    """Best, median and worst."""
    say(what, f"{statistics.median(found):.0f} ms ({min(found):.0f}-{max(found):.0f})", target)


def holds(path: Path, since: float, until: float) -> list[dict[str, Any]]:
    """What held the loop between two times, the longest first."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return sorted((each for each in lines if since <= each["at"] <= until), key=lambda each: -each["work_ms"])


def say_holds(what: str, path: Path, since: float, target: str = "200 ms") -> None:
    """The longest hold of a phase and by what."""
    found = holds(path, since, time.time() + 1)
    told = f"{max(each['held_ms'] for each in found)} ms, {found[0]['work_ms']} of work" if found else "0 ms"
    say(f"event loop held longest, {what}", told, target)
    for each in found[: 3 if VERBOSE else 0]:
        seen = "; ".join(f"{one['where']} ({one['looks']})" for one in each["seen"][:2])
        say(f"    {each['held_ms']} ms, {each['work_ms']} of work", seen)


def bench_map_page(sample: SampleSummary) -> None:
    """Opening, selecting, editing; each with what held the event loop meanwhile."""
    say("a fixed piece of work, for comparison", f"{calibration_ms():.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        (stem, mapping), log = write_state(sample), Path(folder) / "loop.jsonl"
        more = {"TRACKMAPPER_BENCH_LOOP": str(log), "PYTHONPATH": str(_ROOT)}
        options = ("--setup", str(_ROOT / "tests" / "bench_loop.py"))
        with served(sample.library, Path(folder) / "data", more=more, options=options) as server, chromium() as browser:
            drawn = []
            for turn in range(4):
                began = time.time()
                page = visit(browser, server.url).page
                page.wait_for_timeout(2_000)
                say_holds("page built" + (", first visit" if not turn else ""), log, began)
                began = time.time()
                page.evaluate(_DRAWN)
                open_saved(page, stem)
                page.wait_for_function("() => window.drawn.views > 0", timeout=60_000)
                times = page.evaluate("() => window.drawn")
                drawn.append(times["views"] - times["tracks"])
                page.locator(".js-plotly-plot").wait_for()
                page.wait_for_timeout(6_000)
                say_holds("state opened" + (", first visit" if not turn else ""), log, began)
                if turn < 3:
                    page.close()
            told("three views drawn after the tracks are there", drawn, "1,000 ms")
            csv_file = {"name": "mapping.csv", "mimeType": "text/csv", "buffer": mapping}
            page.locator("input[type=file][accept='.csv']").set_input_files(csv_file)
            cell(page, "stream", 0).get_by_text("Probe").wait_for()
            page.wait_for_timeout(3_000)
            page.evaluate(_WATCH)
            began = time.time()
            selected = answers(page, lambda i: cell(page, "track", 1 + i % 8).click(), ("row", "views", "cards"))
            told("selection answered in table, views and cards", selected, "150 ms")
            say_holds("selecting", log, began)
            began = time.time()
            edited = answers(page, lambda i: cell(page, "include", 3).click(), ("table",))
            told("one cell edited, checks run again and repainted", edited, "150 ms")
            say_holds("editing", log, began)
    say("the fixed piece of work again", f"{calibration_ms():.1f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        bench_map_page(write_sample(Path(place) / "mouse"))
