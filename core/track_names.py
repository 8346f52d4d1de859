"""What a layer's name says: probe, date or day, shank, serial number. Only whole tokens count; nothing is guessed.

People write `A_1107`, `probe b day 2`, `20241107_46100_Shank1`, `45883-1`, or just `268`. A name that
says nothing is a normal name. What looks like a token and cannot be one (`A_1332`) is noted.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass

_END = r"(?![A-Za-z0-9])"
_START = r"(?<![A-Za-z0-9])"
_NUMBER = r"(\d\d[-_./]\d\d|\d+)"
_FULL_DATE = re.compile(_START + r"(20\d\d)([-_. ]?)(\d\d)\2(\d\d)" + _END, re.ASCII)
_SHANK = re.compile(r"(?<![A-Za-z])shank[-_ ]*(\d*)" + _END, re.ASCII | re.IGNORECASE)
_GLUED_SHANK = re.compile(r"(?<=\d)s(\d{1,2})" + _END, re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"(?<![A-Za-z])day[-_ ]*(\d+)" + _END, re.ASCII | re.IGNORECASE)
_PROBE = re.compile(r"(?<![A-Za-z])probe[-_ ]*([A-Za-z])(?![A-Za-z])(?:[-_ ]*" + _NUMBER + _END + ")?", re.ASCII | re.I)
_LETTER = re.compile(r"[\W_]*([A-Za-z])(?:[-_ ]*" + _NUMBER + ")?" + _END, re.ASCII)
_MONTH_DAY = re.compile(_START + r"(\d\d)[-_./]?(\d\d)" + _END, re.ASCII)
_KNOWN_WORDS = re.compile(r"[\W_]*(?:(?:tip|track|probe|shank|left|right)[\W_]*)*", re.ASCII | re.IGNORECASE)
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
    """What looks like a token and could not be read."""

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
        self.tag: str | None = None
        self.probe: str | None = None
        self.date: NameDate | None = None
        self.day: int | None = None
        self.shank: int | None = None

    def read(self, words: Collection[str]) -> NameReading:
        self._take_full_date()
        self._take_tag(words)
        self._take_shank()
        self._take_day()
        self._take_probe()
        self._take_month_day()
        return NameReading(self.probe, self.tag, self.date, self.day, self.shank, tuple(self.notes))

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The first match; its characters are blanked out so that they end neighbouring tokens."""
        found = pattern.search(self.rest)
        if found is not None:
            self._blank(found)
        return found

    def _blank(self, found: re.Match[str]) -> None:
        self.rest = self.rest[: found.start()] + "|" * len(found[0]) + self.rest[found.end() :]

    def _take_full_date(self) -> None:
        while found := self._take(_FULL_DATE):
            date = _date(int(found[1]), int(found[3]), int(found[4]))
            if date is None:
                self.notes.append(f"{found[0]} is not a date")
            else:
                self._keep_date(date)

    def _keep_date(self, date: NameDate) -> None:
        """Keep a date; a second one that differs is noted."""
        if self.date is not None and not _agree(date, self.date):
            self.notes.append(f"the name holds two dates, {self.date} and {date}")
        elif self.date is None or self.date.year is None:
            self.date = date

    def _take_tag(self, words: Collection[str]) -> None:
        lowered = self.rest.lower()
        hits = []
        # Longest first: where 45883-1 stands, 45883 does not.
        for word in sorted((word for word in set(words) if word and word.lower() in lowered), key=len, reverse=True):
            whole = rf"(?<![A-Za-z0-9])(?<!\d-){re.escape(word)}(?![A-Za-z0-9]|-\d)"
            if self._take(re.compile(whole, re.IGNORECASE)):
                hits.append(word)
        if len(hits) == 1:
            self.tag = hits[0]
        elif hits:
            self.notes.append(f"the name holds several streams: {', '.join(hits)}")

    def _take_shank(self) -> None:
        found = self._take(_SHANK) or self._take(_GLUED_SHANK)
        if found is None:
            return
        if not found[1]:
            self.notes.append("it says shank without a number after it")
        elif not 1 <= int(found[1]) <= 4:
            self.notes.append(f"it says shank {int(found[1])}, but names count shanks from 1 to 4")
        else:
            self.shank = int(found[1]) - 1

    def _take_day(self) -> None:
        found = self._take(_DAY)
        if found is not None:
            self._read_day(found[1])

    def _take_probe(self) -> None:
        found = self._take(_PROBE)
        if found is not None:
            self.probe = found[1].upper()
            if found[2]:
                self._read_number(found[2])
            return
        # A bare letter counts only where the name begins: after an unknown word it is part of that word's name.
        found = _LETTER.match(self.rest)
        if found is None or self.tag is not None:
            return
        if not found[2] and not _KNOWN_WORDS.fullmatch(self.rest[found.end() :]) and not found[1].isupper():
            return
        self._blank(found)
        if not found[2] or self._read_number(found[2]):
            self.probe = found[1].upper()

    def _read_number(self, number: str) -> bool:
        """Read the number after a probe's letter as a day or a date; note it when it is neither."""
        digits = re.sub(r"\D", "", number)
        if len(digits) <= 2:
            return self._read_day(digits)
        date = None
        if len(digits) == 4:
            date = _date(None, int(digits[:2]), int(digits[2:]))
        elif len(digits) == 6:
            pairs = [int(digits[at : at + 2]) for at in (0, 2, 4)]
            date = _date(2000 + pairs[2], pairs[0], pairs[1]) or _date(2000 + pairs[0], pairs[1], pairs[2])
        elif len(digits) == 8:
            date = _date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        if date is None:
            self.notes.append(f"{number} is neither a date nor a day")
            return False
        self._keep_date(date)
        return True

    def _read_day(self, digits: str) -> bool:
        if digits.startswith("0") or len(digits) > 2:
            self.notes.append(f"{digits} is not a recording day")
            return False
        if self.day is not None and self.day != int(digits):
            self.notes.append(f"the name holds two days, {self.day} and {int(digits)}")
            return True
        self.day = int(digits)
        return True

    def _take_month_day(self) -> None:
        # Without a probe beside it, a number of four digits may be anything: a track's own number, a serial.
        if self.date is not None or (self.probe is None and self.tag is None):
            return
        for found in _MONTH_DAY.finditer(self.rest):
            date = _date(None, int(found[1]), int(found[2]))
            if date is None:
                self.notes.append(f"{found[0]} is not a date")
            else:
                self._keep_date(date)


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
