"""What a layer's name says: probe, date or day, shank, serial number. Only whole tokens count; nothing is guessed.

People write `A_1107`, `probe b day 2`, `20241107_46100_Shank1`, `45883-1`, or just `268`. A name that
says nothing is a normal name. What looks like a token and cannot be one (`A_1332`), what contradicts another token,
and every word that is left over beside the tokens is noted: a reading with notes is not certain.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from core.slots import stream_letter

_END = r"(?![A-Za-z0-9])"
_START = r"(?<![A-Za-z0-9])"
_PAIRS = r"\d\d[-_./]\d\d(?:[-_./](?:20)?\d\d)?|\d{4}[-_./ ]20\d\d"
_NUMBER = rf"({_PAIRS}|\d+)"
_FULL_DATE = re.compile(_START + r"(20\d\d)([-_. ]?)(\d\d)\2(\d\d)" + _END, re.ASCII)
_SHANK = re.compile(r"(?<![A-Za-z])shank[-_ ]*(\d*)" + _END, re.ASCII | re.IGNORECASE)
_GLUED_SHANK = re.compile(r"(?<=\d)s(\d{1,2})" + _END, re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"(?<![A-Za-z])day[-_ ]*(\d+)" + _END, re.ASCII | re.IGNORECASE)
_PROBE = re.compile(r"(?<![A-Za-z])probe[-_ ]*([A-Za-z])(?![A-Za-z])(?:[-_ ]*" + _NUMBER + _END + ")?", re.ASCII | re.I)
_LETTER = re.compile(r"[\W_]*([A-Za-z])(?:[-_ ]*" + _NUMBER + ")?" + _END, re.ASCII)
_MONTH_DAY = re.compile(rf"{_START}(?:{_PAIRS}|\d{{4}}){_END}", re.ASCII)
_WORD = re.compile(r"[^\W_]+|\?")
_HARMLESS = frozenset({"probe", "track", "tip", "shank", "day", "left", "right", "sn", "serial"})
"""Words beside the tokens that change nothing of what they say."""
_YEARS = range(2015, 2040)


@dataclass(frozen=True, slots=True)
class NameDate:
    """A date as a name gives it; the year is None where the name leaves it out."""

    month: int
    day: int
    year: int | None = None

    def fits(self, day: str) -> bool:
        """Whether `day` (`YYYY-MM-DD`) is this date."""
        if day[5:] != f"{self.month:02d}-{self.day:02d}":
            return False
        return self.year is None or day[:4] == f"{self.year:04d}"

    def __str__(self) -> str:
        date = f"{self.month:02d}-{self.day:02d}"
        return date if self.year is None else f"{self.year}-{date}"


@dataclass(frozen=True, slots=True)
class NameReading:
    """The tokens read from a layer's name; None where the name does not say."""

    probe: str | None = None
    """Upper-case letter."""
    tag: str | None = None
    """A stream's or probe's exact name or serial number, spelt as the recordings have it."""
    date: NameDate | None = None
    day: int | None = None
    """Counts recording days from 1."""
    shank: int | None = None
    """0-based; names count from 1."""
    notes: tuple[str, ...] = ()
    """Why the reading is not certain: what could not be read, and what contradicts itself."""

    @property
    def says_something(self) -> bool:
        """Whether any token was read."""
        return any(token is not None for token in (self.probe, self.tag, self.date, self.day, self.shank))

    def words(self) -> str:
        """The tokens in words, for reasons and messages."""
        parts = []
        if self.tag is not None:
            parts.append(f"stream {self.tag}")
        if self.probe is not None:
            parts.append(f"probe {self.probe}")
        if self.date is not None:
            parts.append(f"date {self.date}")
        if self.day is not None:
            parts.append(f"recording day {self.day}")
        if self.shank is not None:
            parts.append(f"shank {self.shank + 1}")
        return ", ".join(parts)


def read_name(name: str, words: Collection[str] = ()) -> NameReading:
    """Read a layer's name.

    Args:
        name: The layer's name.
        words: Exact names and serial numbers that this mouse's recordings know; compared as whole tokens,
            without regard to case. `45883` is not in `45883-1`.

    Returns:
        What was read. Nothing is raised for any text.
    """
    return _Reader(name).read(words)


class _Reader:
    """Takes tokens out of a name one kind after the other, so that no character is read twice."""

    def __init__(self, name: str) -> None:
        self.rest = name
        self.notes: list[str] = []
        self.tags: list[str] = []
        self.letters: list[str] = []
        self.dates: list[NameDate] = []
        self.days: list[int] = []
        self.shanks: list[int] = []

    def read(self, words: Collection[str]) -> NameReading:
        self._take_full_dates()
        self._take_tags(words)
        self._take_shanks()
        for found in self._take(_DAY):
            self._read_day(found[1])
        self._take_letters()
        self._take_month_days()
        tag, probe = self._which_probe()
        shank = self._agreed("shanks", self.shanks)
        reading = NameReading(
            probe=probe,
            tag=tag,
            date=self._agreed_date(),
            day=self._agreed("days", self.days),
            shank=None if shank is None else shank - 1,
        )
        unread = _unread(self.rest)
        if unread and reading.says_something:
            self.notes.append(f"not understood in the name: {', '.join(dict.fromkeys(unread))}")
        return replace(reading, notes=tuple(self.notes))

    # --- taking tokens ----------------------------------------------------------------------------

    def _take(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Every match; its characters are blanked out so that they end neighbouring tokens."""
        while found := pattern.search(self.rest):
            self._blank(found)
            yield found

    def _blank(self, found: re.Match[str]) -> None:
        self.rest = self.rest[: found.start()] + "|" * len(found[0]) + self.rest[found.end() :]

    def _take_full_dates(self) -> None:
        for found in self._take(_FULL_DATE):
            self._keep_date(_date(int(found[1]), int(found[3]), int(found[4])), found[0])

    def _take_tags(self, words: Collection[str]) -> None:
        lowered = self.rest.lower()
        # Longest first: where 45883-1 stands, 45883 does not.
        for word in sorted((word for word in set(words) if word and word.lower() in lowered), key=len, reverse=True):
            whole = rf"(?<![A-Za-z0-9])(?<!\d-){re.escape(word)}(?![A-Za-z0-9]|-\d)"
            if any(True for _ in self._take(re.compile(whole, re.IGNORECASE))):
                self.tags.append(word)

    def _take_shanks(self) -> None:
        for found in (*self._take(_SHANK), *self._take(_GLUED_SHANK)):
            if not found[1]:
                self.notes.append("it says shank without a number after it")
            elif not 1 <= int(found[1]) <= 4:
                self.notes.append(f"it says shank {int(found[1])}, but names count shanks from 1 to 4")
            else:
                self.shanks.append(int(found[1]))

    def _take_letters(self) -> None:
        for found in self._take(_PROBE):
            self.letters.append(found[1].upper())
            if found[2]:
                self._read_number(found[2])
        # A bare letter counts only where the name begins: after an unknown word it is part of that word's name.
        bare = _LETTER.match(self.rest)
        if bare is None or (self.tags and not any(map(stream_letter, self.tags))):
            return
        if not bare[2] and not bare[1].isupper() and (self.letters or _unread(self.rest[bare.end() :])):
            return
        self._blank(bare)
        if not bare[2] or self._read_number(bare[2]):
            self.letters.append(bare[1].upper())

    def _take_month_days(self) -> None:
        # Without a probe beside it, a number of four digits may be anything: a track's own number, a serial.
        if self.letters or self.tags:
            for found in self._take(_MONTH_DAY):
                self._keep_date(_date_of(found[0]), found[0])

    # --- numbers ----------------------------------------------------------------------------------

    def _read_number(self, number: str) -> bool:
        """Read the number after a probe's letter as a day or a date; note it when it is neither."""
        if len(number) <= 2:
            return self._read_day(number)
        date = _date_of(number)
        if date is None:
            self.notes.append(f"{number} is neither a date nor a day")
            return False
        self._keep_date(date, number)
        return True

    def _read_day(self, digits: str) -> bool:
        if digits.startswith("0") or len(digits) > 2:
            self.notes.append(f"{digits} is not a recording day")
            return False
        self.days.append(int(digits))
        return True

    def _keep_date(self, date: NameDate | None, said: str) -> None:
        if date is None:
            self.notes.append(f"{said} is not a date")
        else:
            self.dates.append(date)

    # --- what the tokens of a kind agree on ---------------------------------------------------------

    def _which_probe(self) -> tuple[str | None, str | None]:
        """The tag, or else the letter, when the name speaks of one probe only."""
        if len(self.tags) > 1:
            self.notes.append(f"the name holds several streams: {', '.join(self.tags)}")
            return None, None
        tag = next(iter(self.tags), None)
        said = dict.fromkeys([*filter(None, [stream_letter(tag or "")]), *self.letters])
        if len(said) > 1:
            self.notes.append(f"the name holds several probes: {', '.join(said)}")
            return None, None
        return tag, None if tag is not None else next(iter(said), None)

    def _agreed(self, kind: str, numbers: list[int]) -> int | None:
        said = sorted(set(numbers))
        if len(said) > 1:
            self.notes.append(f"the name holds {len(said)} {kind}: {', '.join(map(str, said))}")
        return said[0] if len(said) == 1 else None

    def _agreed_date(self) -> NameDate | None:
        """The date, with its year where any of them gives it."""
        full = next((date for date in self.dates if date.year is not None), None)
        date = full or next(iter(self.dates), None)
        if date is None or all(_agree(date, other) for other in self.dates):
            return date
        said = dict.fromkeys(map(str, self.dates))
        self.notes.append(f"the name holds {len(said)} dates: {', '.join(said)}")
        return None


def _unread(text: str) -> list[str]:
    """Words and numbers in what is left of a name that may change what it says."""
    return [word for word in _WORD.findall(text) if word.lower() not in _HARMLESS]


def _date_of(number: str) -> NameDate | None:
    """A date of four, six or eight digits: month and day, with a year before or after them."""
    digits = re.sub(r"\D", "", number)
    pairs = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    if len(digits) == 4:
        return _date(None, pairs[0], pairs[1])
    if len(digits) == 6:
        return _date(2000 + pairs[2], pairs[0], pairs[1]) or _date(2000 + pairs[0], pairs[1], pairs[2])
    if len(digits) == 8:
        return _date(int(digits[4:]), pairs[0], pairs[1]) or _date(int(digits[:4]), pairs[2], pairs[3])
    return None


def _date(year: int | None, month: int, day: int) -> NameDate | None:
    if year is not None and year not in _YEARS:
        return None
    try:
        datetime.date(year or 2024, month, day)  # 2024 has a 29 February
    except ValueError:
        return None
    return NameDate(month, day, year)


def _agree(one: NameDate, other: NameDate) -> bool:
    years = one.year is None or other.year is None or one.year == other.year
    return years and (one.month, one.day) == (other.month, other.day)
