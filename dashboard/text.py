"""The one place that turns data into text on a page.

Names of layers, assets, files and people come from outside. Many of Panel's components hand what they are given to
the browser as HTML, so nothing from outside reaches one of them except through this module:

* `label` for plain text (options, table cells, plot names, notifications): no character in it means anything in HTML;
* `tag` and `join` to build HTML, in which every piece that is not already `Markup` is escaped;
* `pane` and `notify`, the only ways by which HTML reaches a page.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Literal
from urllib.parse import urlsplit

import panel as pn

_TAGS = frozenset(
    {"a", "br", "button", "code", "div", "h2", "h3", "header", "li", "ol", "p", "pre", "span", "strong", "ul"}
    | {"table", "tbody", "td", "th", "thead", "tr"}
)
_VOID = frozenset({"br"})
_CLASS = re.compile(r"[A-Za-z0-9_ -]*")
_STYLE = re.compile(r"--[a-z-]+:(#[0-9a-fA-F]{6}|[0-9.]{1,8}%?)")
_ODD_ADDRESS = re.compile(r"[\s\\\x00-\x1f\x7f]")
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "&": "＆", '"': "”", "'": "’", "`": "’", "$": "＄", "\\": "＼"})
_HOSTS = frozenset({"neuroglancer-demo.appspot.com", "neuroglancer.appspot.com"})


class Markup(str):
    """HTML made by this module; anything else is escaped before it is shown."""

    __slots__ = ()


def plain(value: object, limit: int = 400) -> str:
    """Data as one bounded line of text, with everything invisible made visible.

    Control characters, direction overrides and lone surrogates become `\ufffd`; line breaks become spaces.
    """
    text = str(value)[: limit * 4]
    if not (text.isascii() and text.isprintable()):  # most text is both, and is as it should be
        text = "".join(_visible(character) for character in text)
        text = unicodedata.normalize("NFC", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(character: str) -> str:
    if character in "\n\r\t":
        return " "
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character


def shortened(words: str, letters: int) -> str:
    """Words without their middle where they are too long: names mostly differ at their ends."""
    if len(words) <= letters:
        return words
    end = max(1, letters // 2)
    return f"{words[: max(0, letters - end - 1)]}…{words[-end:]}"


def in_lines(value: object, letters: int) -> tuple[str, ...]:
    """A label in at most two lines, broken at a separator where one allows it; () for none."""
    words = label(value)
    if len(words) <= letters:
        return (words,) if words else ()
    if len(words) > 2 * letters:
        return f"{words[: letters - 1]}…", words[-letters:]
    ends = [at + 1 for at in range(len(words) - letters - 1, letters) if words[at] in " _-.:/"]
    at = ends[-1] if ends else letters
    return words[:at].rstrip(), words[at:]


def label(value: object, limit: int = 120) -> str:
    """Data as text that is the same whether a component takes it for text or for HTML, Markdown or LaTeX.

    Characters with a meaning in HTML become look-alikes, so a label is for reading: keep the value beside it.
    """
    return plain(value, limit).translate(_LOOKALIKES)


def some(names: Sequence[object], most: int = 4) -> str:
    """The first of these names: `a, b, c, …`."""
    return ", ".join(map(label, names[:most])) + (", …" if len(names) > most else "")


def escape(value: object, limit: int = 4000) -> Markup:
    """Data as HTML text; `Markup` is returned as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(plain(value, limit)))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Pieces one after another, each escaped unless it is `Markup`."""
    return Markup(html.escape(separator).join(escape(part) for part in parts))


def tag(
    name: str,
    *children: object,
    cls: str = "",
    title: object = "",
    href: str = "",
    origin: str = "",
    **attributes: str,
) -> Markup:
    """One HTML element. Children are escaped unless they are `Markup`.

    Args:
        name: Element name, one of a short list.
        children: Text or `Markup`.
        cls: Class names.
        title: Tooltip; escaped.
        href: Address of a link: `https` to a known host or to `origin`, or a query (`?...`) of this page; otherwise
            no link is made.
        origin: Address of the place that the settings name.
        attributes: Others; `style` only for custom properties like `--c:#aabbcc`.

    Raises:
        ValueError: The element, class or style is not one that may be made.
    """
    if name not in _TAGS or not _CLASS.fullmatch(cls):
        raise ValueError(f"no such element or class: {name} {cls}")
    written = [f' class="{cls}"'] if cls else []
    if title:
        written.append(f' title="{html.escape(plain(title, 2000))}"')
    if href and _may_link(href, origin):
        written.append(f' href="{html.escape(href)}"' + ("" if href[0] == "?" else ' target="_blank" rel="noopener"'))
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if key == "style" and not _STYLE.fullmatch(value):
            raise ValueError(f"no such style: {value}")
        if key.startswith("on") or key in ("src", "srcdoc"):
            raise ValueError(f"no such attribute: {key}")
        written.append(f' {key}="{html.escape(plain(value, 2000))}"')
    body = "" if name in _VOID else f"{''.join(escape(child) for child in children)}</{name}>"
    return Markup(f"<{name}{''.join(written)}>{body}")


def preformatted(value: str, limit: int = 200_000, cls: str = "") -> Markup:
    """Text of several lines, such as a log, in a `pre` element."""
    lines = (plain(line, 2000) for line in value[-limit:].splitlines())
    return tag("pre", Markup(html.escape("\n".join(lines))), cls=cls)


def copyable(value: object, what: str, shown: Markup | None = None) -> Markup:
    """An id with a button that copies it; the page's `Copier` does the copying."""
    words = plain(value, 400)
    button = tag(
        "button", "copy", cls="copy", type="button", title=f"Copy {what}", aria_label=f"Copy {what}", data_copy=words
    )
    return tag("span", tag("span", words if shown is None else shown, cls="mono"), button, cls="copyable")


def _may_link(href: str, origin: str) -> bool:
    if href.startswith("?"):
        return True
    try:
        parts, own = urlsplit(href), urlsplit(origin)
        same = bool(own.hostname) and (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port)
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or _ODD_ADDRESS.search(href):
        return False
    return parts.scheme == "https" and (same or (parts.hostname in _HOSTS and parts.port is None))


def pane(markup: Markup, stylesheets: Iterable[str] = (), **layout: object) -> pn.pane.HTML:
    """A pane that shows markup made by this module."""
    return pn.pane.HTML(checked(markup), stylesheets=list(stylesheets), **{"sizing_mode": "stretch_width", **layout})


def show(target: pn.pane.HTML, markup: Markup) -> None:
    """Put markup into a pane that is already on a page, when it is not what the pane shows."""
    if target.object != checked(markup):
        target.object = str(markup)


def checked(markup: Markup) -> str:
    """The markup as a string.

    Raises:
        TypeError: It was not made by this module.
    """
    if not isinstance(markup, Markup):
        raise TypeError("only markup made by dashboard.text reaches a page")
    return str(markup)


def notify(kind: Literal["info", "success", "warning", "error"], message: object, seconds: int = 8) -> None:
    """A notification in the corner of the page."""
    area = pn.state.notifications
    if area is not None:
        getattr(area, kind)(label(message, 400), duration=seconds * 1000)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 track`, `6 tracks`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """A span in the two units that matter: `1 h 12 min`, `40 s`."""
    seconds = max(0, int(seconds))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def rough_duration(seconds: float) -> str:
    """A span in its one largest unit: `4 min`, `1 h`, `40 s`."""
    seconds = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def moment(when: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """A UTC time in the viewer's zone, marked UTC when that zone is unknown: `today 10:02`, `2024-04-09 11:14 UTC`."""
    here, today = when.astimezone(zone or UTC), now.astimezone(zone or UTC)
    mark = "" if zone else " UTC"
    days = (today.date() - here.date()).days
    day = {0: "today", 1: "yesterday"}.get(days, f"{here:%Y-%m-%d}")
    return f"{day} {here:%H:%M}{mark}"
