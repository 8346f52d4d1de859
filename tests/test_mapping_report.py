"""The mapping report: all that was decided and why, in one file that runs nothing and asks nobody."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import builders as b
import numpy as np
import pytest
from test_session_state import choose, opened

from core.errors import NotFoundError, UnavailableError
from core.manifest import rows_from_mapping
from core.models import Assignment, Problem, Severity, Suggestion
from core.subjects.units import WHOLE, StreamUnits
from dashboard.evidence import Evidence, probe_pictures
from dashboard.mapping_report import Origin, followed, manifest_report, mapping_report
from dashboard.opening import check_rows
from dashboard.saved_unrolled import draw_unrolled
from dashboard.state import Checked, Session

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
ORIGIN = Origin("ana", WHEN, "1.2.3")
PAYLOAD = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Elements, text and attributes of a report."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(data.decode())

    def handle_starttag(self, name, attributes):
        self.elements.append(name)
        self.attributes += [(key, value or "") for key, value in attributes]

    def handle_data(self, data):
        self.words += data + " "


@pytest.fixture(scope="module")
def view():
    suggestion = Suggestion(
        track="one",
        assignment=Assignment("one", recording="ecephys_x", stream="ProbeB"),
        score=0.7,
        reasons=("0.4 mm from its target",),
        certain=False,
    )
    made = Session(check_rows)
    made.open(opened("one", "two", suggestions=(suggestion,)))
    choose(made, made.rows[0].id, recording="2024-11-07 10:00", stream="ProbeA")
    made.edit(made.rows[1].id, "include", False)
    made.edit(made.rows[1].id, "note", "another mouse's?")
    return made


def report(view: Session, origin: Origin = ORIGIN) -> bytes:
    return mapping_report(view.opened, view.rows, view.checked, origin)


def test_it_tells_what_was_decided_by_whom_and_on_what_evidence(view):
    page = Page(report(view))
    for words in ("ana", "2026-02-03 04:05:06 UTC", "1.2.3", view.opened.state.sha256, "1 of 2 included"):
        assert words in page.words
    for words in ("one", b.DAY1, b.SORT1, "ProbeA", "another mouse's?", "0.4 mm from its target", "two"):
        assert words in page.words
    assert "differs from the suggestion" in page.words
    for problem in view.checked.problems:
        assert problem.rule in page.words
        assert problem.message[:60] in page.words


def test_a_draft_says_so_and_a_launched_mapping_says_what_ran(view):
    assert "Draft: nothing was launched" in Page(report(view)).words
    launched = Page(report(view, Origin("ana", WHEN, "1.2.3", "1 row, converter c 2 on This machine")))
    assert "Draft" not in launched.words
    assert "1 row, converter c 2 on This machine" in launched.words


def test_it_is_one_file_that_runs_nothing_and_asks_nobody(view):
    made = report(view)
    page = Page(made)
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(page.elements)
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert sources
    assert {value.partition(",")[0] for value in sources} == {"data:image/svg+xml;base64", "data:image/png;base64"}
    assert "default-src 'none'" in dict(page.attributes)["content"] or b"default-src 'none'" in made
    assert not re.search(rb"https?://", re.sub(rb'src="data:[^"]*"', b"", made))


def test_each_mapped_probe_is_shown_against_its_recording_with_what_had_been_read(view):
    made = report(view)
    page = Page(made)
    assert page.elements.count("img") == 2
    assert "ProbeA of 2024-11-07 10:00" in page.words
    assert "The track is" in page.words
    assert "Not looked at: the units of ProbeA" in page.words
    sorting = view.opened.subject.sorting(b.SORT1)[1]
    units = StreamUnits(
        depths_um=np.array([100.0, 900.0]), x_um=np.zeros(2), groups=np.array([WHOLE, WHOLE]), passing=None, source="x"
    )
    read = Evidence(units={(sorting.asset.id, "ProbeA"): units})
    seen = Page(mapping_report(view.opened, view.rows, view.checked, ORIGIN, read))
    assert "Not looked at: the units" not in seen.words
    assert "2 units" in seen.words


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_track_against_its_recording_is_the_same_picture_each_time(view, kind):
    (picture,) = probe_pictures(view.opened, view.rows, Evidence())
    assert picture.along.tables["tracks"]["x0"]
    made = draw_unrolled(picture, kind)
    assert made.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert made == draw_unrolled(picture, kind)


def test_the_same_mapping_makes_the_same_file(view):
    assert report(view) == report(view)


def test_names_and_notes_are_text():
    made = Session(check_rows)
    made.open(opened(PAYLOAD, "two"))
    made.edit(made.rows[0].id, "note", PAYLOAD)
    page = Page(mapping_report(made.opened, made.rows, made.checked, Origin(PAYLOAD, WHEN, PAYLOAD, PAYLOAD)))
    assert page.elements.count("img") == 1, "the picture alone"
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.words.count(PAYLOAD) >= 4


def test_a_picture_that_cannot_be_drawn_is_said_and_the_rest_is_there(view):
    class NoColors(dict):
        def __getitem__(self, key):
            raise RuntimeError("no such colour")

    from dataclasses import replace

    broken = replace(view.opened, colors=NoColors())
    page = Page(mapping_report(broken, view.rows, view.checked, ORIGIN))
    assert "could not be drawn" in page.words
    assert "0.4 mm from its target" in page.words


def test_a_manifest_of_the_command_line_has_the_same_rows_and_problems(view):
    state, subject = view.opened.state, view.opened.subject
    rows = rows_from_mapping(view.mapping, subject, state)
    page = Page(manifest_report(state, subject, rows, view.checked.problems, ORIGIN))
    assert "1 of 1 included" in page.words
    assert "ProbeA" in page.words
    for problem in view.checked.problems:
        assert problem.rule in page.words


@pytest.mark.parametrize("trouble", [UnavailableError("It is being repaired."), NotFoundError("It is not there.")])
def test_units_that_cannot_be_read_are_said_in_a_report_of_the_command_line(view, trouble):
    asked = []

    def read(stream):
        asked.append(stream[1])
        raise trouble

    state, subject = view.opened.state, view.opened.subject
    rows = rows_from_mapping(view.mapping, subject, state)
    page = Page(manifest_report(state, subject, rows, (), ORIGIN, read_units=read))
    assert asked
    assert all(f"Not looked at: the units of {stream}" in page.words for stream in asked)


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (Assignment("one", recording="ecephys_x", stream="ProbeB"), "as suggested"),
        (Assignment("one", recording="ecephys_x", stream="ProbeB", shank=1), "differs from the suggestion"),
        (Assignment("one"), "not taken"),
    ],
)
def test_what_became_of_a_suggestion(view, mine, words):
    from dashboard.edits import Row

    assert followed(Row("r1", mine), view.opened.suggestions[0]) == words
    assert followed(Row("r1", mine), None) == "nothing was suggested"


def test_what_was_confirmed_is_said_with_the_name_of_who_did(view):
    asked = Problem("S1", Severity.CONFIRM, "2 of 4 shanks are mapped", "Map the others, or confirm.")
    checked = Checked((*view.checked.problems, asked), view.checked.row_ids)
    launched = Origin("ana", WHEN, "1.2.3", "1 row")
    assert Page(mapping_report(view.opened, view.rows, checked, launched)).words.count("confirmed by ana") == 1
    assert "confirmed by" not in Page(mapping_report(view.opened, view.rows, checked, ORIGIN)).words
