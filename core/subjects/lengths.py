"""How long a recording lasted by the sizes of its compressed arrays, for when its session's file does not tell.

A session's file gives the length for nothing. The arrays cost two requests a block, so they are asked only where a
length decides something: which of a day's recordings is the surface recording of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from core.asset_names import parse_asset_name, parse_stream_name
from core.errors import InputError, NotFoundError, TrackmapperError
from core.loose_json import count_of, number_of
from core.models import Asset, Recording
from core.subjects.asset_files import MAX_JSON_BYTES, read_object
from core.subjects.raw_assets import RawFacts
from core.subjects.reading import FileReader, read_ahead
from core.zarr_chunks import MAX_METADATA_BYTES, open_array

MOST_READ = 40
"""Recordings of a mouse whose lengths are read while it is gathered."""
MOST_BLOCKS = 8
"""Blocks of each; one of more blocks keeps its length unknown."""
_MAX_BLOCKS, _MAX_SEGMENTS = 20, 50


def without_length(raws: Sequence[RawFacts]) -> tuple[RawFacts, ...]:
    """Recordings of unknown length that share a day with another one, oldest first, at most `MOST_READ`."""
    starts: dict[str, set[str]] = {}
    for raw in raws:
        if raw.has_ephys and (name := parse_asset_name(raw.asset.name)) is not None:
            starts.setdefault(name.date, set()).add(name.start)
    found = [
        (name.start, raw.asset.name, raw)
        for raw in raws
        if raw.session.duration_s is None
        and raw.blocks is not None
        and raw.blocks <= MOST_BLOCKS
        and (name := parse_asset_name(raw.asset.name)) is not None
        and len(starts.get(name.date, ())) > 1
    ]
    return tuple(raw for _, _, raw in sorted(found, key=lambda each: each[:2])[:MOST_READ])


def with_length(reader: FileReader, raw: RawFacts) -> RawFacts:
    """The facts with the length of all blocks of the first probe; unchanged where the arrays do not tell."""
    token = next((token for token in raw.tokens if _named(raw.streams, token)), "")
    named = _named(raw.streams, token)
    if named is None or not raw.blocks or not raw.compressed:
        return raw
    folders = [f"{raw.compressed}/experiment{block}_{named}.zarr" for block in range(1, raw.blocks + 1)]
    files = [(f"{folder}/.zattrs", MAX_JSON_BYTES) for folder in folders]
    files += [(f"{folder}/traces_seg0/.zarray", MAX_METADATA_BYTES) for folder in folders]
    read_ahead(reader, raw.asset, files=files)
    try:
        seconds = sum(_block_length_s(reader, raw.asset, folder) for folder in folders)
    except TrackmapperError:
        return raw  # it stays unknown, as the card says
    return replace(raw, session=replace(raw.session, duration_s=seconds)) if seconds > 0 else raw


def read_block_lengths_s(reader: FileReader, recording: Recording, token: str) -> tuple[float, ...]:
    """The length of each block of a stream in seconds, from the sizes of its compressed arrays; three requests a block.

    Raises:
        NotFoundError: the recording has no raw asset, or no compressed data of this stream.
        InputError: the arrays do not tell.
        PlatformError: they cannot be read.
    """
    raw, named = recording.raw, _named(recording.streams, token)
    if raw is None or named is None or not recording.blocks:
        raise NotFoundError(f"There is no compressed data of {token}.", where=recording.name)
    lengths = []
    for block in range(1, min(recording.blocks, _MAX_BLOCKS) + 1):
        folder = f"ecephys_compressed/experiment{block}_{named}.zarr"
        try:
            lengths.append(_block_length_s(reader, raw, f"ecephys/{folder}"))
        except NotFoundError:
            lengths.append(_block_length_s(reader, raw, folder))
    return tuple(lengths)


def _named(streams: Sequence[str], token: str) -> str | None:
    """The full name of a probe's stream of spikes."""
    parsed = (parse_stream_name(name) for name in streams)
    return next((stream.full for stream in parsed if stream and stream.token == token and stream.is_spikes), None)


def _block_length_s(reader: FileReader, asset: Asset, folder: str) -> float:
    attributes = read_object(reader, asset, f"{folder}/.zattrs")
    rate, segments = number_of(attributes.get("sampling_frequency")), count_of(attributes.get("num_segments"))
    if rate is None or rate <= 0 or not segments or segments > _MAX_SEGMENTS:
        raise InputError("Its attributes do not tell how it was sampled.", where=f"{asset.name}/{folder}")
    read = partial(reader.read_file, asset)
    samples = [open_array(read, f"{folder}/traces_seg{number}").shape[:1] for number in range(segments)]
    return sum(size for shape in samples for size in shape) / rate
