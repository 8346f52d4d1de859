"""Strict JSON: what is refused, where it says so, and that nothing else ever comes out."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import strict_json
from core.errors import StateError
from core.strict_json import MAX_DEPTH, place, read_json, shown

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(JSON_VALUES)
@settings(max_examples=100, deadline=None)
def test_sound_json_is_read_as_it_is(value):
    text = json.dumps(value)
    assert read_json(text) == (text.encode(), value)
    assert read_json(json.dumps(value, ensure_ascii=False).encode())[1] == value


@given(st.binary(max_size=200) | st.text(max_size=200) | st.text('[]{}",:\\0e9.-+ntu\n', max_size=60))
@settings(max_examples=100, deadline=None)
def test_anything_is_read_or_refused(data):
    with contextlib.suppress(StateError):
        json.dumps(read_json(data)[1])


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("", "", "empty"),
        ("  \n ", "", "empty"),
        ('{"a": 1,\n "b": }', "line 2, column 7", "not JSON"),
        ('{"a": 1} x', "line 1, column 10", "after the end"),
        ("{}{}", "line 1, column 3", "after the end"),
        ('{"a": "b', "line 1, column 7", "unterminated"),
        ('{"a": "line\nbreak"}', "line 1, column 12", "control character"),
        ("{'a': 1}", "line 1, column 2", "not JSON"),
        ('{"layers": [{"name": "268", "annotations": [{"point": [1, NaN]}]}]}',
         'layers[0] "268" annotations[0].point[1]', "not finite"),
        ('{"a": [0, Infinity]}', "a[1]", "not finite"),
        ('{"a": {"b": -Infinity}}', "a.b", "not finite"),
        ('{"a": 1e999}', "a", "not finite"),
        ("[-1e999]", "[0]", "not finite"),
        ('{"a": {"k": 1, "j": 2, "k": 3}}', "a", '"k" stands twice'),
        ('{"k": 1, "\\u006b": 1}', "top level", '"k" stands twice'),
        ('{"a": "\\ud800"}', "a", "surrogate"),
        ('{"a": ["\\udfff\\ud800"]}', "a[0]", "surrogate"),
        ('{"a": "x\\u0000"}', "a", "NUL"),
        ('{"a": {"\\u0000": 1}}', "a", "NUL"),
        ('{"a": 9007199254740993}', "a", "2**53"),
        ('{"a": -9007199254740993}', "a", "2**53"),
        ("9" * 6000, "top level", "2**53"),
        ('{"' + "n" * 10_001 + '": 1}', "top level", "key is longer"),
        (b'{"a": 1,\n"b": "\xff"}', "line 2, byte 7", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "line 1, byte 1", "not UTF-8"),
        ('{"a": "\ud800"}', "character 8", "surrogate"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_how_to_cure_it(text, where, says):
    with pytest.raises(StateError) as caught:
        read_json(text)
    assert caught.value.where == where
    assert says in caught.value.message
    assert caught.value.cure.endswith(".")


def test_a_byte_order_mark_is_left_out():
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == (b'{"a": 1}', {"a": 1})
    assert read_json('\ufeff{"a": 1}') == (b'{"a": 1}', {"a": 1})


def test_largest_exact_numbers_are_kept():
    assert read_json("[9007199254740992, -9007199254740992, 1e308]")[1] == [2**53, -(2**53), 1e308]


def test_depth_counts_brackets_outside_strings_only():
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    read_json(deepest)
    read_json(json.dumps(["[" * 500, '\\"[[' * 100]))
    with pytest.raises(StateError, match="deeper than 64") as caught:
        read_json('{"a": "[[[[",\n "b": ' + deepest + "}")
    assert caught.value.where == f"line 2, column {6 + MAX_DEPTH}"


@pytest.mark.parametrize(
    "text",
    ["[" * 2_000_000, '{"a":' * 500_000, "[" * 100 + "]" * 100, '"\\"' * 500_000, "]" * 1000, '"' + "\\" * 500_001],
    ids=["lists", "objects", "closed", "endless string", "closing only", "backslashes"],
)
def test_hostile_nesting_is_refused_before_parsing(text):
    with pytest.raises(StateError):
        read_json(text)


def test_size_is_bounded_before_parsing(monkeypatch):
    monkeypatch.setattr(strict_json.json, "loads", lambda *_, **__: pytest.fail("parsed"))
    for data in (b" " * 101, " " * 101, "é" * 60):
        with pytest.raises(StateError, match="larger than"):
            read_json(data, limit_bytes=100)
    with pytest.raises(StateError, match="lists and objects"):
        read_json("[" + "[]," * 3_000_000 + "[]]")


def test_places_name_the_list_entries_that_have_a_name():
    root = {"layers": [{}, {"name": "a\nb" * 40, "source": {"url": 1}}]}
    assert place(root, ("layers", 0)) == "layers[0]"
    words = place(root, ("layers", 1, "source", "url"))
    assert words.startswith('layers[1] "a\N{REPLACEMENT CHARACTER}ba')
    assert words.endswith('…" source.url')
    assert place(root, ()) == "top level"


def test_shown_text_is_short_and_printable():
    assert shown("track 268") == "track 268"
    assert shown("\x1b[31m\u202egoal") == "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}goal"
    assert len(shown("a" * 100_000)) == 61
