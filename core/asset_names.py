"""AIND names, parsed to tokens and compared exactly: assets, sorted streams, split quad-base streams.

    ecephys_717381_2024-04-09_11-14-13                                  raw, platform first
    717381_2024-04-09_11-14-13                                          raw, aind-data-schema 2
    ecephys_791094_2025-10-09_sorted_2026-04-23_14-11-00                derived, recording time missing
    behavior_791691_2025-06-25_14-06-10_sorted_curated                  derived, no date of its own
    experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP_recording1_group2.zarr   one sorted shank

A name is a hint. What an asset was made from is said by its provenance; see `core.subjects.recordings`.
Dates and times are the lab's local time and stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_ASSET = re.compile(
    r"(?:(?P<platform>[A-Za-z][A-Za-z0-9-]*)_)?"
    r"(?P<subject>[A-Za-z0-9][A-Za-z0-9-]*)"
    r"_(?P<date>\d{4}-\d{2}-\d{2})(?:_(?P<time>\d{2}-\d{2}-\d{2}))?"
    r"(?:_(?P<process>[A-Za-z][^/\\\s]*?)"
    r"(?:_(?P<process_date>\d{4}-\d{2}-\d{2})(?:_(?P<process_time>\d{2}-\d{2}-\d{2}))?)?)?",
    re.ASCII,
)
_STREAM = re.compile(
    r"(?:experiment(?P<experiment>\d+)_)?"
    r"(?P<full>(?:(?P<node>[^#]+)#)?(?P<processor>[^#]*?)\.(?P<token>[^.]+?))"
    r"(?:_recording(?P<recording>\d+)(?:_group(?P<group>\d+))?)?"
    r"(?:\.zarr)?/?",
    re.ASCII,
)
_SPLIT = re.compile(r"(?P<base>.+)-(?P<position>[1-9]\d*)", re.ASCII)
_PROBE_PROCESSORS = ("neuropix", "onebox", "onix")


@dataclass(frozen=True, slots=True)
class AssetName:
    """The tokens of an asset's name. `str()` gives the name back unchanged."""

    platform: str | None
    """`ecephys`, `behavior`, `SmartSPIM` ...; None in schema-2 names."""
    subject: str
    date: str
    """`YYYY-MM-DD`, the lab's local date."""
    time: str | None
    """`HH-MM-SS`, local; None where the name leaves it out."""
    process: str | None = None
    """`sorted`, `sorted_curated`, `stitched`, `corrected` ...; None for a raw name."""
    process_date: str | None = None
    process_time: str | None = None

    def __str__(self) -> str:
        tokens = (self.base, self.process, self.process_date, self.process_time)
        return "_".join(token for token in tokens if token is not None)

    @property
    def base(self) -> str:
        """The raw part: the name before its process."""
        tokens = (self.platform, self.subject, self.date, self.time)
        return "_".join(token for token in tokens if token is not None)

    @property
    def start(self) -> str:
        """`YYYY-MM-DD HH:MM:SS` local time; the date alone where the name has no time."""
        return self.date if self.time is None else f"{self.date} {self.time.replace('-', ':')}"

    @property
    def kind(self) -> str:
        """First word of the process: `sorted` for `sorted-curation-sprint`; "" for a raw name."""
        return re.split(r"[-_]", self.process)[0].lower() if self.process else ""


def parse_asset_name(name: str) -> AssetName | None:
    """Read an asset's name.

    Returns:
        The tokens; None when the name has another form or holds a date or time that does not exist.
    """
    match = _ASSET.fullmatch(name)
    if match is None:
        return None
    dates = ((match["date"], match["time"]), (match["process_date"], match["process_time"]))
    if not all(_exists(date, time) for date, time in dates if date is not None):
        return None
    return AssetName(**match.groupdict())


def recording_id(name: str) -> str:
    """The recording that a sorted asset's name speaks of: the text before `_sorted`, as the converter takes it."""
    return name.split("_sorted")[0]


def is_of_subject(name: str, subject: str) -> bool:
    """Whether the name's subject token is exactly `subject`."""
    parsed = parse_asset_name(name)
    return parsed is not None and parsed.subject == subject


@dataclass(frozen=True, slots=True)
class StreamName:
    """One stream as folders of raw and sorted assets name it."""

    full: str
    """`Record Node 104#Neuropix-PXI-100.ProbeA-AP`; the name by which surface blocks are merged."""
    processor: str
    """`Neuropix-PXI-100`."""
    token: str
    """The manifest's `ephys_collection`: `ProbeA`, `45883-1`; without `-AP` and `-LFP`."""
    band: str
    """`AP`, `LFP`, or "" for a wideband stream."""
    experiment: int | None = None
    recording: int | None = None
    group: int | None = None
    """0-based shank of `_groupN`; None when the stream is whole."""

    @property
    def is_probe(self) -> bool:
        """Whether a Neuropixels source recorded it (not a DAQ, not a OneBox's ADC)."""
        source = self.processor.rpartition("#")[2].lower()
        return source.startswith(_PROBE_PROCESSORS) and "ADC" not in self.token

    @property
    def is_spikes(self) -> bool:
        """Whether it is a probe's stream that gets sorted: not the LFP band."""
        return self.is_probe and self.band != "LFP"


def parse_stream_name(name: str) -> StreamName | None:
    """Read a stream's name: a folder of `postprocessed/`, of `ecephys_compressed/`, or a full stream name.

    Returns:
        Its tokens; None when the name is no stream's (`README`, `.DS_Store` ...).
    """
    match = _STREAM.fullmatch(name)
    if match is None or not match["processor"]:
        return None
    token, band = match["token"], ""
    for suffix in ("AP", "LFP"):
        if token.endswith("-" + suffix) and len(token) > len(suffix) + 1:
            token, band = token[: -len(suffix) - 1], suffix
            break
    numbers = {key: None if match[key] is None else int(match[key]) for key in ("experiment", "recording", "group")}
    return StreamName(match["full"], match["processor"], token, band, **numbers)


def sorted_stream(name: str) -> StreamName | None:
    """A sorted stream's name, None for the LFP band and for everything that is not `..._recordingN...`."""
    stream = parse_stream_name(name)
    if stream is None or stream.recording is None or stream.band == "LFP":
        return None
    return stream


def split_stream(token: str, all_tokens: Iterable[str]) -> tuple[str, int] | None:
    """Whether a stream is one shank of a quad-base probe that was split into streams.

    Args:
        token: A stream's token, such as `45883-1`.
        all_tokens: The tokens of all streams of the same sorting.

    Returns:
        The logical probe and the 1-based position, when another stream `<probe>-<number>` exists; else None:
        a lone `X-2` is just a probe's name.
    """
    match = _SPLIT.fullmatch(token)
    if match is None:
        return None
    for other in all_tokens:
        sibling = _SPLIT.fullmatch(other)
        if sibling is not None and other != token and sibling["base"] == match["base"]:
            return match["base"], int(match["position"])
    return None


def _exists(date: str, time: str | None) -> bool:
    """Whether the calendar and the clock have this date and time."""
    try:
        datetime.strptime(f"{date}_{time or '00-00-00'}", "%Y-%m-%d_%H-%M-%S")
    except ValueError:
        return False
    return True
