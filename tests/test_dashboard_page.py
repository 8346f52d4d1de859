"""The page without a browser: the guards round Panel, opening, launching, who may see it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import socket
import threading
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import builders as b
import numpy as np
import panel as pn
import panel.ui as pmui
import pytest
from bokeh.document import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from test_session_state import choose, opened, session

from core.checks.earlier import Converted
from core.errors import InputError, ManifestError, NotFoundError, StateError, UnavailableError
from core.launch_digest import drawn_digest
from core.manifest import read_csv, rows_from_mapping, write_csv
from core.models import LayerKind
from core.neuroglancer import read_state
from core.platforms.base import Health, HealthKind
from core.platforms.local import LocalLibrary
from core.sample import Sizes, write_sample
from core.settings import Settings
from core.tissue import Tissue
from dashboard import edits, header, opening, page, source_view, text, track_lines, track_plots
from dashboard.context import Context
from dashboard.csv_upload import take_csv
from dashboard.drafts import draft_name
from dashboard.health import SeenHealth, WorkerSeen
from dashboard.launch_view import LaunchView
from dashboard.mapping_view import MappingView
from dashboard.mice import Mice
from dashboard.opening import Given
from dashboard.state import Session
from dashboard.track_detail import detail
from jobs import exposure
from jobs.earlier import converted_before
from jobs.launches import open_launch
from jobs.records import JobState
from jobs.store import JobStore

SCATTERED = [
    [500.0, 100.0, 900.0, 0.0],
    [600.0, 1900.0, 200.0, 0.0],
    [1500.0, 700.0, 1400.0, 0.0],
    [90.0, 90.0, 90.0, 0.0],
]


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "library" / "assets").mkdir(parents=True)
    chosen = Settings(library=tmp_path / "library", data=tmp_path / "data", user="ana")
    with JobStore(chosen.data) as store:
        yield Context(chosen, LocalLibrary(chosen.library), store)


# --- guards ---------------------------------------------------------------------------------------


def test_pages_are_let_go_and_leave_no_watcher_on_the_busy_flag():
    def watchers() -> int:
        return len(pn.state.param.watchers.get("busy", {}).get("value", []))

    before = watchers()
    left = []
    for _ in range(5):
        made = page.make_page("Trackmapper", [], [text.pane(text.tag("p", "x"))])
        document = Document()
        made.get_root(document)
        left.append(weakref.ref(made))
        document.clear()
        del made, document
    assert watchers() == before
    pn.state._views.clear()
    gc.collect()
    assert [ref() for ref in left] == [None] * 5


def test_a_page_made_without_the_guard_would_leak():
    before = len(pn.state.param.watchers.get("busy", {}).get("value", []))
    made = pmui.Page(title="x")
    assert len(pn.state.param.watchers["busy"]["value"]) > before, "if this fails, Panel has changed: drop the guard"
    page.detach_busy_watcher(made)
    assert len(pn.state.param.watchers["busy"]["value"]) == before


# --- who may see it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
     ("::", False), ("10.1.2.3", False), ("fe80::1%eth0", False), ("", False)],
)  # fmt: skip
def test_only_loopback_is_loopback(address, loopback):
    assert exposure.is_loopback(address) is loopback


def test_the_addresses_are_those_the_kernel_says():
    with socket.socket() as server:
        server.bind(("127.0.0.2", 0))
        assert "127.0.0.2" not in exposure.listening_addresses(), "bound is not listening"
        server.listen()
        assert "127.0.0.2" in exposure.listening_addresses()
        server.getsockname()  # still open: looking does not close it
    assert "127.0.0.2" not in exposure.listening_addresses()


def test_looking_at_the_sockets_leaves_nothing_open():
    here, there = socket.socketpair()
    with here, there, socket.socket(socket.AF_INET6) as six:
        six.bind(("::1", 0))
        six.listen()
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            assert "::1" in exposure.listening_addresses()
        assert len(os.listdir("/dev/fd")) == before


def test_without_a_login_an_open_server_shows_only_how_to_close_it(monkeypatch):
    assert exposure.may_show(["127.0.0.1"])
    assert not exposure.may_show(["127.0.0.1", "0.0.0.0"])
    words = " ".join(exposure.refusal(["0.0.0.0"]))
    assert "0.0.0.0" in words
    assert "--address 127.0.0.1" in words
    monkeypatch.setattr(pn, "config", SimpleNamespace(oauth_provider="github", basic_auth=None))
    assert not exposure.may_show(["0.0.0.0"]), "a provider is set up, but nobody has logged in"
    for user, may in (("guest", False), ("ana", True)):
        monkeypatch.setattr(pn, "state", SimpleNamespace(user=user))
        assert exposure.may_show(["0.0.0.0"]) is may


# --- opening --------------------------------------------------------------------------------------


def test_opening_an_unknown_mouse_draws_its_tracks_and_says_what_is_missing(shared):
    state = b.make_state("one", "two", b.layer_json("targets", points=SCATTERED))
    words: list[str] = []
    found = opening.open_state(shared, Given(data=state.data, stem="s"), words.append)
    assert found.note == f"This library holds no asset of mouse {b.MOUSE}."
    assert found.frame.assumed
    assert words[0] == "Reading the state"
    view = Session(opening.check_rows)
    view.open(found)
    line = source_view.source_line(view)
    assert "3 layers, 2 tracks" in line
    assert "targets: landmarks" in line
    assert found.note in line


@pytest.mark.parametrize("path", ["nobody/no-such.json", "../../etc/passwd"])
def test_a_saved_state_that_is_not_there_tells_to_choose_another(shared, path):
    """As in an address that was kept longer than the state."""
    with pytest.raises(NotFoundError, match="no such saved state") as told:
        opening.open_state(shared, Given(saved=path), lambda _: None)
    assert told.value.cure == "Choose one of the saved states in the list, or paste the state."


def test_opening_runs_off_the_event_loop_and_a_later_one_wins(shared, monkeypatch):
    seen: list[str] = []
    gate = threading.Event()

    def slow(_context, given, progress, _show):
        seen.append(threading.current_thread().name)
        progress(f"reading {given.stem}")
        if given.stem == "first":
            gate.wait(20)
        return opened(given.stem)

    monkeypatch.setattr(source_view, "open_state", slow)
    view = session("before")
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)

    async def both() -> None:
        first = asyncio.create_task(source.open(Given(data=b"x", stem="first")))
        while "reading first" not in view.progress:
            await asyncio.sleep(0.01)
        assert view.phase == "working"
        await source.open(Given(data=b"x", stem="second"))
        gate.set()
        await first

    asyncio.run(both())
    assert threading.main_thread().name not in seen
    assert [layer.name for layer in view.opened.state.tracks] == ["second"]
    assert view.phase == "open"


def test_a_state_that_cannot_be_read_leaves_what_was_open(shared):
    view = session("one")
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)
    asyncio.run(source.open(Given(paste="/etc/passwd")))
    assert isinstance(view.refusal, StateError)
    assert view.opened is not None
    assert "Not opened" in source_view.source_line(view)


def test_a_paste_that_is_refused_while_a_mouse_is_read_lets_that_one_be_read_to_its_end(shared):
    gates = [threading.Event() for _ in range(3)]
    shared.mice = Mice(shared.reader, gather=gathers_in_steps(gates))
    view = Session(opening.check_rows)
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)

    async def watch() -> None:
        first = asyncio.create_task(source.open(Given(data=b.make_state("one", "two").data, stem="s")))
        while view.opened is None:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(source.open(Given(paste="{broken")))
        while view.refusal is None:
            await asyncio.sleep(0.01)
        assert not view.opened.whole
        for gate in gates:
            gate.set()
        await asyncio.gather(first, second)

    asyncio.run(watch())
    assert view.opened.whole
    assert view.phase == "open"
    assert isinstance(view.refusal, StateError), "and it is still said what was refused"
    assert "Not opened" in source_view.source_line(view)


@pytest.mark.parametrize(("data", "words"), [(b"", "empty|JSON"), (b" " * (opening.UPLOAD_LIMIT + 1), "16 MiB")])
def test_a_file_that_is_empty_or_too_large_is_refused_in_words(shared, data, words):
    view = Session(opening.check_rows)
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)
    source.upload.filename = "state.json"
    asyncio.run(source._uploaded(SimpleNamespace(new=data)))
    assert re.search(words, str(view.refusal))
    assert source.upload.value is None, "the same file can be given again"


def gathers_in_steps(gates: list[threading.Event]):
    """Tells of the first recording, then of all but the brain, then gives the whole mouse; a gate before each."""

    def gather(reader, subject, *, now, progress, partial):
        whole = replace(b.make_subject(), gathered=now, requests=4)
        for gate, part in zip(gates, (whole.recordings[:1], whole.recordings), strict=False):
            assert gate.wait(20)
            partial(replace(whole, recordings=part, stitched=()))
        assert gates[-1].wait(20)
        return whole

    return gather


def test_tracks_are_there_before_the_mouse_and_recordings_as_they_come(shared):
    gates = [threading.Event() for _ in range(3)]
    shared.mice = Mice(shared.reader, gather=gathers_in_steps(gates))
    view = Session(opening.check_rows)
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)
    launch = LaunchView(shared, view, "ana", lambda _: asyncio.sleep(0))

    async def until(check) -> None:
        while not check():
            await asyncio.sleep(0.01)

    async def watch() -> None:
        task = asyncio.create_task(source.open(Given(data=b.make_state("one", "two").data, stem="s")))
        await until(lambda: view.opened is not None)
        made = MappingView(view, lambda: launch.view)
        made.plots.draw()
        assert [row.assignment.track for row in view.rows] == ["one", "two"]
        assert "Reading the recordings" in str(made.cards.pane.object)
        assert "Until the image is read, assumed" in str(made.plots.caption.object)
        assert view.phase == "working"
        assert launch.open_button.disabled
        assert "Checked when" in str(made.problems.counts.object)
        with pytest.raises(InputError):
            view.edit(view.rows[0].id, "recording", "2024-11-07 10:00")
        height, drawn = made.table.view.height, made.plots._plots
        gates[0].set()
        await until(lambda: "2024-11-07 10:00" in str(made.cards.pane.object))
        assert "2024-11-08" not in str(made.cards.pane.object)
        assert made.plots._plots is drawn, "nothing was drawn anew: the image is not known yet"
        gates[1].set()
        gates[2].set()
        await task
        assert "2024-11-08 10:00" in str(made.cards.pane.object)
        assert made.table.view.height == height
        assert view.opened.whole
        assert not view.opened.frame.assumed
        assert "Assumed" not in str(made.plots.caption.object)
        assert view.checked.problems

    asyncio.run(watch())
    assert view.phase == "open"
    assert "gathered just now, 4 requests" in str(source.age.object)
    source.tick(view.opened.subject.gathered + timedelta(minutes=4, seconds=50))
    assert "gathered 4 min ago" in str(source.age.object)


def test_a_refresh_keeps_the_rows_also_those_edited_meanwhile(shared):
    gates = [threading.Event()]
    gates[0].set()
    shared.mice = Mice(shared.reader, gather=gathers_in_steps(gates))
    view = Session(opening.check_rows)
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)

    async def press() -> None:
        await source.open(Given(data=b.make_state("one").data, stem="s"))
        first = view.opened.subject
        gates[0].clear()
        task = asyncio.create_task(source._gather_anew(None))
        while view.phase != "working":
            await asyncio.sleep(0.01)
        choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
        gates[0].set()
        await task
        assert view.opened.subject is not first

    asyncio.run(press())
    assert view.rows[0].assignment.stream == "ProbeA"
    assert view.undoable
    assert view.phase == "open"


def test_a_refresh_that_fails_leaves_what_was_known(shared, monkeypatch):
    said = []
    monkeypatch.setattr(text, "notify", lambda kind, words, *_: said.append((kind, words)))
    view = session("one")

    def broken(*_, **__):
        raise UnavailableError("Code Ocean does not answer")

    shared.mice = Mice(shared.reader, gather=broken)
    source = source_view.SourceView(shared, view, lambda _: None, lambda _: None)
    before = view.opened
    asyncio.run(source._gather_anew(None))
    assert view.opened is before
    assert view.phase == "open"
    assert said[0][0] == "error"
    assert "does not answer" in said[0][1]


def test_editing_asks_the_platform_nothing(tmp_path):
    """The sample mouse, every view and the launch form in place: a hundred edits, not one request."""
    summary = write_sample(tmp_path / "sample", sizes=Sizes(units_per_stream=2, image_levels=(5,)))
    chosen = Settings(library=summary.library, data=tmp_path / "data", user="ana")
    with JobStore(chosen.data) as store:
        context = Context(chosen, LocalLibrary(chosen.library), store)
        found = opening.open_state(context, Given(data=summary.states[0].path.read_bytes(), stem="s"), lambda _: None)
        view = Session(opening.check_rows)
        launch = LaunchView(context, view, "ana", lambda _: asyncio.sleep(0))
        source_view.SourceView(context, view, lambda _: None, lambda _: None)
        made = MappingView(view, lambda: launch.view)
        view.open(found)
        made.plots.draw()
        asyncio.run(launch.load_offer())
        assert context.reader.requests > 0
        before = context.reader.requests
        view.accept_certain()
        for row in view.rows:
            for column in ("recording", "sorting", "stream"):
                offered = list(edits.choices(view.opened.subject, view.find(row.id).assignment, column))
                if offered:
                    view.edit(row.id, column, offered[-1])
            view.edit(row.id, "note", "seen")
            view.edit(row.id, "include", False)
        for _ in range(20):
            view.undo()
        asyncio.run(launch._open(None))
        again = opening.open_state(context, Given(data=summary.states[0].path.read_bytes(), stem="s"), lambda _: None)
        assert again.subject is found.subject
        assert context.reader.requests == before


# --- the header -----------------------------------------------------------------------------------


NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def shown(
    kind: HealthKind | None, words: str = "", refusal: str = "", waiting: str = "", *, alive=True
) -> header.Shown:
    worker = WorkerSeen(alive, waiting)
    seen = None if kind is None else SeenHealth(Health(kind, words), NOON)
    return header.Shown("Code Ocean", refusal, seen, worker, NOON, None)


@pytest.mark.parametrize(
    ("kind", "words", "banner"),
    [(None, "… Code Ocean", False), (HealthKind.OK, "✓ Code Ocean", False),
     (HealthKind.SLOW, "▲ Code Ocean slow", False),
     (HealthKind.REFUSING, "refuses, since today 12:00", True),
     (HealthKind.AWAY, "away, since today 12:00", True)],
)  # fmt: skip
def test_the_header_says_how_the_platform_is_and_since_when(kind, words, banner):
    told = shown(kind, "the token <b>lacks</b> a scope")
    line = header.status(told, "mouse 1", "ana", signed_in=True)
    assert words in line
    assert "<b>" not in line
    below = header.banner(told)
    assert ("the token" in below) is banner
    assert ('role="alert"' in below) is banner


def test_without_a_token_a_calm_banner_says_what_is_read_and_what_is_off():
    told = shown(HealthKind.REFUSING, "No token", refusal="Nothing can be launched without a token.")
    below = header.banner(told)
    assert "Only what is public is read from Code Ocean" in below
    assert "Nothing can be launched without a token." in below
    assert "alert" not in below
    assert "refuses" not in header.status(told, "", "ana", signed_in=True)


def test_the_header_says_what_the_worker_waits_for():
    line = header.status(shown(HealthKind.OK, waiting="paused <i> by ben"), "", "ana", signed_in=True)
    assert "worker waits: paused &lt;i&gt; by ben" in line
    assert "No worker is running" in header.status(shown(None, alive=False), "", "ana", signed_in=True)


def test_where_nothing_can_be_launched_the_button_is_off_and_says_why(shared):
    shared.reader.launch_refusal = "Nothing can be launched without a token."
    view = session("one")
    launch = LaunchView(shared, view, "ana", lambda _: asyncio.sleep(0))
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    assert launch.open_button.disabled
    assert "without a token" in str(launch.words.object)


# --- the mapping ----------------------------------------------------------------------------------


def test_the_whole_map_follows_one_selection_and_its_csv_comes_back(shared):
    view = session("one", "two")
    launch = LaunchView(shared, view, "ana", lambda _: asyncio.sleep(0))
    made = MappingView(view, lambda: launch.view)
    made.view.get_root(Document())
    made.plots.draw()
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeB", shank="2 of 4")
    made.plots._solid._clicked(SimpleNamespace(new={"points": [{"curveNumber": 0}]}))
    assert view.track == "one"
    assert made.table.view.selection == [0]
    assert made.plots._plots.marked == "one"
    assert [trace.line.width for trace in made.plots._solid._figure.data[:2]] == [11, 5]
    assert "track sel" in str(made.cards.pane.object)
    assert "2 of 4" in str(made.cards.pane.object)
    view.edit(view.rows[1].id, "include", False)
    csv = asyncio.run(made._csv())
    asyncio.run(made._uploaded(SimpleNamespace(new=csv)))
    assert [row.assignment.include for row in view.rows] == [True, False], "what a manifest cannot hold is kept"
    assert (view.rows[0].assignment.stream, view.rows[0].assignment.shank) == ("ProbeB", 1)
    view.undo()
    assert len(view.rows) == 2


def mapped_csv(*tracks: str) -> tuple[Session, bytes]:
    view = session(*tracks)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeB", shank="2 of 4")
    view.edit(view.rows[0].id, "note", "sure of it")
    view.edit(view.rows[1].id, "include", False)
    view.edit(view.rows[1].id, "note", "bleached")
    return view, write_csv(rows_from_mapping(view.mapping, view.opened.subject, view.opened.state))


def test_an_unchanged_csv_changes_nothing_and_says_what_was_kept():
    view, csv = mapped_csv("one", "two", "three")
    before = tuple(row.assignment for row in view.rows)
    taken = take_csv(read_csv(csv), view.opened, before)
    assert taken.assignments == before
    assert taken.words.startswith("2 rows read: 2 as before, 0 changed or new; 1 row left out as before; 1 note kept.")


def test_what_a_csv_changes_is_counted_and_its_notes_stay():
    view, csv = mapped_csv("one", "two")
    before = tuple(row.assignment for row in view.rows)
    view.edit(view.rows[0].id, "shank", "3 of 4")
    taken = take_csv(read_csv(csv), view.opened, [row.assignment for row in view.rows])
    assert "1 row read: 0 as before, 1 changed or new" in taken.words
    assert taken.assignments == before


@pytest.mark.parametrize("fault", ["not a csv", "another mouse", "a column", "other tracks"])
def test_a_csv_that_is_not_of_this_mapping_changes_nothing(shared, fault):
    view, csv = mapped_csv("one", "two")
    made = MappingView(view, pn.Column)
    lines = csv.decode().splitlines()
    spoiled = {
        "not a csv": b"\xff\xfe not a csv",
        "another mouse": csv.replace(b.MOUSE.encode(), b"700002"),
        "a column": "\n".join(line.partition(",")[2] for line in lines).encode(),
        "other tracks": csv.replace(b"one", b"ten"),
    }
    before = view.rows
    asyncio.run(made._uploaded(SimpleNamespace(new=spoiled[fault])))
    assert view.rows == before
    if fault != "not a csv":
        with pytest.raises(ManifestError, match="The mapping is as it was"):
            take_csv(read_csv(spoiled[fault]), view.opened, [row.assignment for row in before])


def test_a_csv_without_some_rows_says_what_it_removes_and_one_without_any_is_refused():
    view, csv = mapped_csv("one", "two", "three")
    choose(view, view.rows[2].id, recording="2024-11-07 10:00", stream="ProbeB", shank="3 of 4")
    before = [row.assignment for row in view.rows]
    taken = take_csv(read_csv(csv), view.opened, before)
    assert [row.track for row in taken.assignments if row.recording] == ["one"]
    one_gone = "1 mapped row not in the file and removed (three)"
    whole = write_csv(rows_from_mapping(view.mapping, view.opened.subject, view.opened.state)).splitlines(keepends=True)
    for lines, words in ((whole[:2], one_gone), (whole, "2 as before")):
        taken = take_csv(read_csv(b"".join(lines)), view.opened, before)
        assert words in taken.words
        assert taken.warns is (words == one_gone)
    with pytest.raises(ManifestError, match="holds no rows"):
        take_csv(read_csv(whole[0]), view.opened, before)


def test_what_a_csv_cannot_decide_is_told_to_be_left():
    view, csv = mapped_csv("one", "two")
    lines = csv.decode().splitlines()
    at = lines[0].split(",").index("logical_probe")
    cells = lines[1].split(",")
    cells[at] = "ProbeZZ"
    before = [row.assignment for row in view.rows]
    taken = take_csv(read_csv("\n".join([lines[0], ",".join(cells)]).encode()), view.opened, before)
    assert "Not taken over, as it follows from the rest: logical_probe." in taken.words
    assert (list(taken.assignments), taken.warns) == (before, True)


def test_layers_that_are_no_tracks_are_not_offered():
    state = b.make_state("one", b.layer_json("targets", points=SCATTERED))
    assert [layer.kind for layer in state.layers] == [LayerKind.TRACK, LayerKind.LANDMARKS]
    view = session("one")
    assert detail(view).startswith("<p")


# --- launching ------------------------------------------------------------------------------------


def mapped(shared) -> tuple[Session, LaunchView, list[str]]:
    view = session("one")
    launched: list[str] = []

    async def note(job_id: str) -> None:
        launched.append(job_id)

    return view, LaunchView(shared, view, "ana", note), launched


def test_the_dialog_says_when_no_track_is_held_against_the_tissue(shared):
    view, launch, _ = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    asyncio.run(launch._open(None))
    assert "not been read" in str(launch.summary.object)
    frame = view.opened.frame
    shape = tuple(size // 64 for size in frame.shape_level0_zyx)
    view.see(Tissue(np.ones(shape, np.bool_), frame, (64.0, 64.0, 64.0)))
    assert launch.dialog.open
    assert "not been read" not in str(launch.summary.object)


def confirm_all(launch: LaunchView) -> None:
    for _, box in launch._confirms:
        box.value = True


def test_launch_waits_for_the_last_error_and_the_last_confirmation_and_makes_one_job(shared):
    view, launch, launched = mapped(shared)
    assert launch.open_button.disabled
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    assert not [p for p in view.checked.problems if p.severity == "error"]
    assert not launch.open_button.disabled
    asyncio.run(launch._open(None))
    assert launch.dialog.open
    assert b.SORT1 in str(launch.summary.object)
    assert launch.launch.disabled is bool(launch._confirms)
    asyncio.run(launch._launch(None)) if launch._confirms else None
    assert launched == []
    confirm_all(launch)
    assert not launch.launch.disabled

    async def twice() -> None:
        await asyncio.gather(launch._launch(None), launch._launch(None))

    asyncio.run(twice())
    assert len(launched) == 1
    assert len(shared.store.newest(10)) == 1
    record = shared.store.get(launched[0])
    assert (record.created_by, record.subject, len(record.rows)) == ("ana", b.MOUSE, 1)
    assert {c.rule for c in record.confirmed} == {rule for rule, _ in launch._confirms}
    name = open_launch(shared.store, record).capture_request.name
    assert name.endswith(f"{record.created.astimezone(shared.settings.lab_tz):_ibl-converted_%Y-%m-%d_%H-%M-%S}")
    report = shared.store.kept_report(record).decode()
    assert "Draft" not in report
    assert record.state_sha256 in report
    assert f"1 row, converter {record.converter_label or record.converter}" in report
    asyncio.run(launch._open(None))
    confirm_all(launch)
    asyncio.run(launch._launch(None))
    assert launched == [record.id, record.id], "the same mapping again is the same job"
    assert len(shared.store.newest(10)) == 1


def test_an_open_dialog_shows_what_would_run_now_and_asks_anew_what_is_news(shared):
    view, launch, launched = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    asyncio.run(launch._open(None))
    confirm_all(launch)
    choose(view, view.rows[0].id, stream="ProbeB")
    assert "<td>ProbeB</td>" in str(launch.summary.object)
    assert "<td>ProbeA</td>" not in str(launch.summary.object)
    view.remember((Converted(b.DAY1, "7", frozenset({("another", "ProbeB", None)})),))
    assert {rule for rule, box in launch._confirms if not box.value} >= {"R8"}
    assert launch.launch.disabled
    asyncio.run(launch._launch(None))
    assert launched == []
    view.remember(())
    confirm_all(launch)
    asyncio.run(launch._launch(None))
    assert [row.stream for row in shared.store.get(launched[0]).rows] == ["ProbeB"]


def test_the_same_state_given_in_another_way_is_the_same_launch(shared):
    view, launch, launched = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    asyncio.run(launch._open(None))
    confirm_all(launch)
    asyncio.run(launch._launch(None))
    document = json.loads(view.opened.state.data) | {"layout": "4panel", "crossSectionScale": 2.5}
    again = read_state(json.dumps(document, indent=3).encode(), stem="pasted")
    assert again.sha256 != view.opened.state.sha256
    before = view.opened
    view.open(replace(view.opened, state=again), view.rows)
    assert draft_name(view.opened) == draft_name(before)
    view.remember(converted_before(shared.store, b.MOUSE))
    assert ["is converting" in p.message for p in view.checked.problems if p.rule == "R8"] == [True]
    asyncio.run(launch._open(None))
    confirm_all(launch)
    asyncio.run(launch._launch(None))
    assert launched == [launched[0]] * 2
    assert len(shared.store.newest(10)) == 1


def test_a_point_that_was_moved_is_another_launch():
    state = opened("one", "two").state
    moved = replace(state, layers=(replace(state.layers[0], points=state.layers[0].points + 1.0), *state.layers[1:]))
    assert drawn_digest(moved, {"two"}) == drawn_digest(state, {"two"})
    assert drawn_digest(moved, {"one"}) != drawn_digest(state, {"one"})
    assert drawn_digest(moved) != drawn_digest(state)


def test_all_that_is_confirmed_with_one_tick_is_shown(shared):
    view, launch, _ = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    earlier = tuple(Converted(b.DAY1, job, frozenset({(f"other {job}", "ProbeA", None)})) for job in ("7", "8"))
    asyncio.run(launch._open(None))
    view.remember(earlier[:1])
    (box,) = [box for rule, box in launch._confirms if rule == "R8"]
    assert "Job 7" in box.label
    box.value = True
    view.remember(earlier)
    (box,) = [box for rule, box in launch._confirms if rule == "R8"]
    assert not box.value, "what is confirmed is another"
    shown = " ".join(str(part.object) for part in launch.checks if hasattr(part, "object"))
    assert "Job 7" in shown
    assert "Job 8" in shown


def test_nothing_is_launched_while_another_windows_mapping_waits_for_a_choice(shared):
    view, launch, launched = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    asyncio.run(launch._open(None))
    confirm_all(launch)
    view.contested = True
    assert launch.open_button.disabled
    assert "another window" in str(launch.words.object)
    asyncio.run(launch._launch(None))
    assert launched == []
    view.contested = False
    confirm_all(launch)
    asyncio.run(launch._launch(None))
    assert len(launched) == 1


def test_a_mapping_that_has_succeeded_is_launched_again_only_when_asked_to(shared):
    view, launch, launched = mapped(shared)
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")

    def press() -> None:
        asyncio.run(launch._open(None))
        confirm_all(launch)
        asyncio.run(launch._launch(None))

    press()
    record = shared.store.get(launched[0])
    for state in (JobState.PREPARING, JobState.LAUNCHING, JobState.RUNNING, JobState.VERIFYING, JobState.CAPTURING):
        record = shared.store.put(record.changed(state=state))
    shared.store.put(record.changed(state=JobState.SUCCEEDED, ended=record.created))
    press()
    assert launched == [record.id]
    assert launch.again.visible
    asyncio.run(launch._launch_again(None))
    assert len(launched) == 2
    assert len(shared.store.newest(10)) == 2


def test_a_recording_converted_meanwhile_in_another_way_must_be_confirmed(shared):
    view = mapped(shared)[0]
    choose(view, view.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    view.remember((Converted(b.DAY1, "7", frozenset({("another", "ProbeA", None)})),))
    assert "R8" in {p.rule for p in view.checked.problems if p.severity == "confirm"}
    view.remember(())
    assert "R8" not in {p.rule for p in view.checked.problems}


# --- drawing --------------------------------------------------------------------------------------


@given(st.integers(2, 900), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_decimation_keeps_ends_order_and_bends(number, seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(number, 3)).cumsum(axis=0)
    kept = track_lines.decimate(points, 200)
    assert min(number, 100) <= len(kept) <= 200
    assert (kept[0] == points[0]).all()
    assert (kept[-1] == points[-1]).all()
    places = [int(np.flatnonzero((points == point).all(axis=1))[0]) for point in kept]
    assert places == sorted(places)


def test_a_sharp_bend_survives():
    line = np.column_stack([np.linspace(0, 1, 1001)] * 3)
    line[500] += [0.0, 5.0, 0.0]
    assert any((point == line[500]).all() for point in track_lines.decimate(line, 5))


def test_the_scene_is_in_anatomical_millimetres_inside_the_image():
    found = opened("one")
    made = track_lines.scene(found.state, found.frame, found.colors)
    low, high = made.box_image_ras_mm
    points = made.lines[0].points_image_ras_mm
    assert (points >= low).all()
    assert (points <= high).all()
    assert np.allclose(high - low, [4500 * 1.8 / 1000, 5000 * 1.8 / 1000, 4000 * 2.0 / 1000])
    assert points[0, 2] > points[-1, 2], "drawn from the top down"


def test_tracks_of_an_image_of_unknown_size_fill_no_more_than_their_place_and_no_less_than_an_axis_needs():
    found = opened("one")
    made = track_lines.scene(found.state, replace(found.frame, shape_level0_zyx=(0, 0, 0)), found.colors)
    assert made.box_image_ras_mm is None
    spans = made.limits_mm[1] - made.limits_mm[0]
    assert spans.min() >= 0.8 * spans.max() - 1e-9
    plots = track_plots.TrackPlots(made, print)
    upper, lower = (plots.coronal[1].object, plots.horizontal[1].object)
    assert 150 <= upper.frame_height <= track_plots.UPPER_HEIGHT
    assert 150 <= lower.frame_height <= track_plots.LOWER_HEIGHT
