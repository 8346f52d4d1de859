"""Nothing from outside reaches a page as HTML, and everything stays readable."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import text

DASHBOARD = Path(text.__file__).parent
PAYLOADS = [
    "<img src=x onerror=window.__xss=1>",
    '"><svg onload=window.__xss=1>',
    "<script>window.__xss=1</script>",
    "'><a href=javascript:window.__xss=1>x</a>",
    "[x](javascript:window.__xss=1)",
    "{{constructor.constructor('window.__xss=1')()}}",
    "`${window.__xss=1}`",
    "&lt;img src=x onerror=window.__xss=1&gt;",
    "$$\\href{javascript:window.__xss=1}{x}$$",
    "a\u202egnp.exe",
    "nul\0l",
    "\ud800 lone",
    "عربى",
    "x" * 10_000,
]


class Elements(HTMLParser):
    """The elements and the text that a browser would make of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_label_means_the_same_as_text_and_as_html(payload):
    shown = text.label(payload)
    assert not set(shown) & set("<>&\"'`$\\")
    assert shown.encode("utf-8")
    assert len(shown) <= 120
    assert Elements(shown).elements == []


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
@settings(max_examples=100, deadline=None)
def test_a_tag_shows_any_data_as_its_text(data):
    seen = Elements(text.tag("p", data, title=data, cls="dim"))
    assert seen.elements == ["p"]
    assert seen.words == text.plain(data, 4000)


def test_markup_is_kept_and_everything_else_escaped():
    inner = text.tag("strong", "<b>")
    assert text.join(["<i>", inner]) == "&lt;i&gt;<strong>&lt;b&gt;</strong>"
    assert isinstance(text.join([inner]), text.Markup)
    with pytest.raises(TypeError):
        text.pane("<b>plain string</b>")
    with pytest.raises(TypeError):
        text.show(text.pane(inner), "<b>plain string</b>")


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://neuroglancer-demo.appspot.com/",
        "https://evil.example/#https://neuroglancer-demo.appspot.com",
        "https://neuroglancer-demo.appspot.com@evil.example/",
        "//evil.example",
    ],
)
def test_no_link_leads_to_an_unknown_place(href):
    assert "href" not in text.tag("a", "x", href=href)


def test_links_to_known_places_are_made():
    made = text.tag("a", "x", href="https://neuroglancer-demo.appspot.com/#!{%22a%22}")
    assert 'href="https://neuroglancer-demo.appspot.com' in made
    assert 'rel="noopener"' in made
    assert 'href="?page=jobs"' in text.tag("a", "x", href="?page=jobs")


@pytest.mark.parametrize(
    "make",
    [
        lambda: text.tag("script", "x"),
        lambda: text.tag("p", "x", cls='a" onclick="x'),
        lambda: text.tag("p", "x", style="background:url(x)"),
        lambda: text.tag("p", "x", onclick="x"),
    ],
)
def test_what_could_run_is_not_made(make):
    with pytest.raises(ValueError, match="no such"):
        make()


def test_a_log_keeps_its_lines_and_shows_what_is_invisible():
    made = text.preformatted("first\n<b>second\x1b[31m")
    assert Elements(made).elements == ["pre"]
    assert Elements(made).words == "first\n<b>second\ufffd[31m"


def test_data_reaches_html_panes_and_notifications_only_here():
    """No other module makes a component that takes its data for HTML, or a notification."""
    found = []
    for path in DASHBOARD.glob("*.py"):
        if path.name == "text.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and (
                node.attr
                in {"HTML", "Markdown", "Str", "StaticText", "Alert", "Typography", "Tooltip", "notifications"}
            ):
                found.append(f"{path.name}:{node.lineno} {node.attr}")
    assert found == []


def test_times_are_in_the_viewers_zone_or_marked():
    now = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
    assert text.moment(now - timedelta(hours=2), now) == "today 17:00 UTC"
    assert text.moment(now - timedelta(hours=2), now, ZoneInfo("America/Los_Angeles")) == "today 09:00"
    assert text.moment(now - timedelta(days=1), now) == "yesterday 19:00 UTC"
    assert text.moment(datetime(2026, 4, 9, 11, 14, tzinfo=UTC), now) == "2026-04-09 11:14 UTC"


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 s"), (75, "1 min 15 s"), (4320, "1 h 12 min"), (200_000, "2 d 7 h"), (-3, "0 s")]
)
def test_durations_in_two_units(seconds, words):
    assert text.duration(seconds) == words
