"""One sorted asset: its streams and shanks, its units, its sorter, and whether it can be trusted.

Read with at most four requests: the root, the folder of sorted streams, the pipeline's `output`, `processing.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.asset_names import parse_stream_name, sorted_stream
from core.errors import TrackmapperError
from core.loose_json import count_of, object_of, objects, text_of
from core.models import Asset, Problem, Severity, SortedStream, Sorting, SortingStatus
from core.rules import problem
from core.subjects.asset_files import MAX_JSON_BYTES, read_listed
from core.subjects.reading import FileReader, read_ahead

MAX_OUTPUT_BYTES = 32 * 1024 * 1024
_FOLDERS = ("postprocessed", "curated", "sorting_precurated")
"""Where sorted streams lie, newest layout first."""
_FATAL = {
    b"Essential container in task exited": "a container died",
    b"Out of memory.": "it ran out of memory",
    b"Task failed to start - DockerTimeoutError": "a task did not start (Docker timed out)",
    b"Traceback (most recent call last):": "a step raised an exception",
    b"Command error:": "a step failed",
    b"WARN: Killing running tasks": "the pipeline killed its running tasks",
}
_CUDA = b"The CUDA error was:"


@dataclass(frozen=True, slots=True)
class SortingFacts:
    """A sorting and what was found wrong while reading it."""

    sorting: Sorting
    problems: tuple[Problem, ...]
    inputs: tuple[str, ...] = ()
    """Names of the assets it was made from by its own data_description.json; read only when provenance is unknown."""


def read_sorting(reader: FileReader, asset: Asset) -> SortingFacts:
    """Read a sorted asset. Whatever is missing or odd becomes a problem or the sorting's reason, never an exception."""
    if asset.state != "ready":
        reason = asset.failure_reason or ("it failed" if asset.state == "failed" else "it is not finished yet")
        found = problem("A10", f"{asset.name} is {asset.state}: {reason}.", recording=asset.name)
        return _facts(asset, SortingStatus.ERROR, f"the asset is {asset.state}: {reason}", problems=[found])
    files = [("processing.json", MAX_JSON_BYTES), ("output", MAX_OUTPUT_BYTES)]
    if asset.provenance_data_assets is None:
        files.append(("data_description.json", MAX_JSON_BYTES))
    read_ahead(reader, asset, ("", _FOLDERS[0]), files, guessed=True)
    try:
        root = {entry.name: entry for entry in reader.list_folder(asset)}
    except TrackmapperError as error:
        return _facts(asset, SortingStatus.ERROR, f"its files cannot be listed: {error.message}")
    problems: list[Problem] = []
    processing: dict[str, Any] = {}
    if "processing.json" in root:
        processing = read_listed(reader, asset, "processing.json", problems)
    else:
        told = f"{asset.name} has no processing.json, so its sorter and units are not known."
        problems.append(problem("A14", told, severity=Severity.INFO, recording=asset.name))
    names, gap = _stream_names(reader, asset, root, problems)
    streams = _streams(names, _units(processing))
    inputs: tuple[str, ...] = ()
    if asset.provenance_data_assets is None and "data_description.json" in root:
        inputs = _inputs(read_listed(reader, asset, "data_description.json", problems))
    if "output" in root:
        status, reason = _verdict(_markers(reader, asset, problems), streams, gap)
    else:
        status, reason = _verdict((), streams, gap)
        told = f"{asset.name} has no `output` file, so how the sorting ended is not known."
        problems.append(problem("A14", told, recording=asset.name))
    return _facts(asset, status, reason, streams, sorter_name(processing), problems, inputs)


def sorter_name(processing: Mapping[str, Any]) -> str | None:
    """The sorter by a parsed processing.json of aind-data-schema 1 or 2; None when it does not say."""
    for process in _processes(processing):
        title = text_of(process.get("name")) or text_of(process.get("process_type"))
        if title.lower().startswith("spike sorting"):
            for parameters in (process.get("parameters"), object_of(process.get("code")).get("parameters")):
                if name := text_of(object_of(parameters).get("sorter_name")):
                    return name
    return None


def _facts(
    asset: Asset,
    status: SortingStatus,
    reason: str,
    streams: tuple[SortedStream, ...] = (),
    sorter: str | None = None,
    problems: Iterable[Problem] = (),
    inputs: tuple[str, ...] = (),
) -> SortingFacts:
    return SortingFacts(Sorting(asset, sorter, status, reason, streams), (*asset.problems, *problems), inputs)


# --- streams and units ----------------------------------------------------------------------------


def _stream_names(
    reader: FileReader, asset: Asset, root: Mapping[str, object], problems: list[Problem]
) -> tuple[list[str], str]:
    """Entries of the first folder that holds sorted streams; and what a newer layout's folder lacks."""
    there = [folder for folder in _FOLDERS if folder in root]
    for folder in there:
        try:
            names = [entry.name for entry in reader.list_folder(asset, folder)]
        except TrackmapperError as error:
            problems.append(problem("A14", f"{asset.name}/{folder}: {error.message}", recording=asset.name))
            continue
        if any(sorted_stream(name) for name in names):
            lacks = folder != there[0] and "postprocessed" in there
            return names, f"its postprocessed folder holds no stream, only {folder} does" if lacks else ""
    return [], ""


def _streams(names: Iterable[str], units: Mapping[str, tuple[int, int | None]]) -> tuple[SortedStream, ...]:
    """As the sorter numbers them: which shanks of a probe these are, only its recording can tell."""
    shanks: dict[str, set[int]] = {}
    for name in names:
        stream = sorted_stream(name)
        if stream is not None:
            shanks.setdefault(stream.token, set()).update(() if stream.group is None else (stream.group,))
    return tuple(
        SortedStream(token, tuple(sorted(groups)), *units.get(token, (None, None)))
        for token, groups in sorted(shanks.items())
    )


def _processes(processing: Mapping[str, Any]) -> list[dict[str, Any]]:
    pipeline = object_of(processing.get("processing_pipeline"))
    return [*objects(pipeline.get("data_processes")), *objects(processing.get("data_processes"))]


def _units(processing: Mapping[str, Any]) -> dict[str, tuple[int, int | None]]:
    """Stream token -> (all units, units that pass); shanks added up; of a curation done twice, the last one."""
    counts: dict[str, tuple[str, int, int | None]] = {}
    for process in _processes(processing):
        title = text_of(process.get("name")) or text_of(process.get("process_type"))
        if not title.startswith("Ephys curation"):
            continue
        parameters = object_of(process.get("parameters")) or object_of(object_of(process.get("code")).get("parameters"))
        recording = text_of(parameters.get("recording_name")) or title.partition(" - ")[2]
        outputs = object_of(process.get("outputs")) or object_of(process.get("output_parameters"))
        stream, total = parse_stream_name(recording), count_of(outputs.get("total_units"))
        if stream is not None and total is not None:
            counts[recording] = (stream.token, total, count_of(outputs.get("passing_qc")))
    units: dict[str, tuple[int, int | None]] = {}
    for token, total, passing in counts.values():
        before, passed = units.get(token, (0, 0))
        units[token] = (before + total, None if passed is None or passing is None else passed + passing)
    return units


def _inputs(description: Mapping[str, Any]) -> tuple[str, ...]:
    """What a data_description.json (schema 1 or 2) says the asset was derived from."""
    sources = description.get("source_data")
    named = [description.get("input_data_name"), *(sources if isinstance(sources, list) else [sources])]
    return tuple(name for name in map(text_of, named) if name)


# --- how it ended ---------------------------------------------------------------------------------


def _markers(reader: FileReader, asset: Asset, problems: list[Problem]) -> tuple[bytes, ...]:
    try:
        output = reader.read_file(asset, "output", MAX_OUTPUT_BYTES)
    except TrackmapperError as error:
        told = f"{asset.name}/output: {error.message} How the sorting ended is not known."
        problems.append(problem("A14", told, recording=asset.name))
        return ()
    return tuple(marker for marker in (*_FATAL, _CUDA) if marker in output)


def _verdict(markers: tuple[bytes, ...], streams: tuple[SortedStream, ...], gap: str) -> tuple[SortingStatus, str]:
    """The status and why, in words; `gap` is what its folders lack."""
    words = [_FATAL[marker] for marker in markers if marker in _FATAL]
    if _CUDA in markers:
        words.append("there was a CUDA error")
    told = f"its output says: {', '.join(words)}" if words else ""
    if any(marker in _FATAL for marker in markers):
        return SortingStatus.ERROR, told + (f"; it left {len(streams)} sorted stream(s) behind" if streams else "")
    if not streams:
        return SortingStatus.ERROR, "it holds no sorted stream" + (f", and {told}" if told else "")
    if told:
        gap += "; " if gap else ""
        return SortingStatus.PARTIAL, f"{gap}{told}; some probes may still be usable"
    return (SortingStatus.PARTIAL, gap) if gap else (SortingStatus.OK, "")
