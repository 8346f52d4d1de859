"""JSON from outside, read within bounds: size and depth are measured before anything is parsed.

Python's own reader recurses without a bound, lets the last of two equal keys win, and takes `NaN`, `1e999` and lone
surrogates. Here each of these is refused with the place it stands at: line and column for what is not JSON, a path
like `layers[3] "268" annotations[5].point[1]` for what is JSON and still unusable.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from core.errors import StateError

MIB = 1024 * 1024
LIMIT_BYTES = 16 * MIB
MAX_DEPTH = 64
MAX_CONTAINERS = 3_000_000
MAX_INTEGER = 2**53
MAX_NAME = 10_000

Path = Sequence[str | int]
"""Keys and list positions that lead from the top to a value."""

_BOM = b"\xef\xbb\xbf"
# Possessive, and with an optional closing quote: a string that never ends is read once, not once per quote in it.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")


class _Twice(dict[str, object]):
    """An object that had one key more than once."""

    key: str = ""


def read_json(data: bytes | str, *, limit_bytes: int = LIMIT_BYTES) -> tuple[bytes, object]:
    """Parse JSON strictly.

    Args:
        data: UTF-8 bytes or text. A byte order mark at the start is left out.
        limit_bytes: The most bytes that are looked at.

    Returns:
        The bytes that were parsed (as given, without a byte order mark) and the value.

    Raises:
        StateError: too large, too deep, not UTF-8, not JSON, or JSON with values that cannot be used.
    """
    raw = _bytes_of(data, limit_bytes)
    text = _text_of(raw)
    if not text.strip():
        raise StateError("The text is empty.", cure="Paste or save the whole state again.")
    _check_depth(raw)
    try:
        value: object = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            what, cure = "There is more text after the end of the JSON.", "Remove what follows the last bracket."
        else:
            what, cure = f"This is not JSON: {error.msg[0].lower()}{error.msg[1:]}.", "Copy the whole state again."
        raise StateError(what, where=f"line {error.lineno}, column {error.colno}", cure=cure) from None
    _check_values(value)
    return raw, value


def place(root: object, path: Path) -> str:
    """The path to a value in words, with the name of each named list entry on the way."""
    words, value = "", root
    for key in path:
        if isinstance(key, int):
            words += f"[{key}]"
        else:
            words += f"{'.' if words and not words.endswith(' ') else ''}{shown(key)}"
        value = value[key]  # type: ignore[index]
        name = value.get("name") if isinstance(value, dict) and isinstance(key, int) else None
        if isinstance(name, str):
            words += f' "{shown(name)}" '
    return words.strip() or "top level"


def shown(text: str, limit: int = 60) -> str:
    """A text from outside, short and printable, for use in a message."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return printable if len(text) <= limit else printable[:limit] + "…"


def _bytes_of(data: bytes | str, limit_bytes: int) -> bytes:
    if isinstance(data, str):
        # No text has fewer bytes than characters: this refuses before the copy is made.
        _check_size(len(data), limit_bytes)
        try:
            data = data.encode()
        except UnicodeEncodeError as error:
            raise StateError(
                "The text holds half of a surrogate pair, which is no character.",
                where=f"character {error.start + 1}",
                cure="Remove that character, or copy the state again.",
            ) from None
    _check_size(len(data), limit_bytes)
    return data.removeprefix(_BOM)


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise StateError(
            f"The state is larger than {limit_bytes / MIB:g} MiB.",
            cure="Remove layers that are not needed, or save the points as a smaller state.",
        )


def _text_of(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise StateError(
            "The text is not UTF-8.", where=f"line {line}, byte {column}", cure="Save the file as UTF-8 and try again."
        ) from None


def _check_depth(raw: bytes) -> None:
    brackets = np.frombuffer(_STRING.sub(b"", raw).translate(None, _NOT_BRACKETS), dtype=np.uint8)
    opening = (brackets == ord("[")) | (brackets == ord("{"))
    if int(opening.sum()) > MAX_CONTAINERS:
        raise StateError(
            f"The state has more than {MAX_CONTAINERS:,} lists and objects.", cure="Split it into smaller states."
        )
    depth = np.cumsum(np.where(opening, 1, -1).astype(np.int32))
    if len(depth) and int(depth.max()) > MAX_DEPTH:
        raise StateError(
            f"Lists and objects are nested deeper than {MAX_DEPTH} levels.",
            where=_place_of_bracket(raw, int(np.argmax(depth > MAX_DEPTH))),
            cure="This is no state that Neuroglancer wrote; copy it again.",
        )


def _place_of_bracket(raw: bytes, number: int) -> str:
    """Line and column of the bracket of this number, counted from 0 outside strings."""
    bare = _STRING.sub(lambda match: b" " * len(match[0]), raw)
    at = next(match.start() for i, match in enumerate(re.finditer(rb"[\[\]{}]", bare)) if i == number)
    line = raw.count(b"\n", 0, at) + 1
    return f"line {line}, column {len(raw[raw.rfind(b'\n', 0, at) + 1 : at].decode()) + 1}"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    twice = _Twice(value)
    twice.key = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return twice


def _integer(digits: str) -> int:
    # 20 characters of a longer number are over the bound as well, and int() refuses very long ones.
    return int(digits[:20])


def _check_values(root: object) -> None:
    """Walk all values without recursion; raise for the first that cannot be used."""
    if why := _why_unusable(root):
        raise _unusable(root, (), why)
    # A path is a chain (path of the parent, key), so that nothing is copied for the values that are fine.
    todo: list[tuple[object, tuple[object, ...]]] = [(root, ())]
    sound: set[str] = set()
    while todo:
        parent, chain = todo.pop()
        children: Iterable[tuple[object, object]] = ()
        if isinstance(parent, dict):
            if why := _why_unusable_keys(parent, sound):
                raise _unusable(root, chain, why)
            children = parent.items()
        elif isinstance(parent, list):
            children = enumerate(parent)
        for key, value in children:
            if isinstance(value, dict | list):
                todo.append((value, (chain, key)))
            elif why := _why_unusable(value):
                raise _unusable(root, (chain, key), why)


def _why_unusable(value: object) -> str:
    # The parser gives exact types; asking for them is faster than isinstance, and a state has millions of values.
    if type(value) is float:
        return "" if math.isfinite(value) else "The number is not finite."
    if type(value) is int:
        return "" if abs(value) <= MAX_INTEGER else "The whole number is larger than 2**53 and would lose digits."
    if type(value) is str and _UNPRINTABLE.search(value):
        return "The text holds NUL or half of a surrogate pair."
    return ""


def _why_unusable_keys(value: dict[str, object], sound: set[str]) -> str:
    """Why a key cannot be used; `sound` keeps the keys that were looked at before."""
    if isinstance(value, _Twice):
        return f'The key "{shown(value.key)}" stands twice in the same object.'
    for key in value.keys() - sound:
        if len(key) > MAX_NAME:
            return f"A key is longer than {MAX_NAME:,} characters."
        if _UNPRINTABLE.search(key):
            return "A key holds NUL or half of a surrogate pair."
        sound.add(key)
    return ""


def _unusable(root: object, chain: tuple[object, ...], why: str) -> StateError:
    path: list[str | int] = []
    while chain:
        chain, key = chain  # type: ignore[assignment]
        path.append(key)  # type: ignore[arg-type]
    return StateError(why, where=place(root, path[::-1]), cure="Correct it there, or copy the state again.")
