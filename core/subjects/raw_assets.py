"""A raw ecephys asset: its probes, streams, targets and length, read with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.asset_names import parse_asset_name, parse_stream_name
from core.errors import NotFoundError, TrackmapperError
from core.loose_json import text_of
from core.models import Asset, Probe, Problem, Severity, Target
from core.open_ephys import MAX_BYTES, read_settings_xml, read_structure_oebin
from core.platforms.base import Entry
from core.rules import problem
from core.subjects.asset_files import MAX_JSON_BYTES, list_optional, read_listed
from core.subjects.reading import FileReader, read_ahead
from core.subjects.session_metadata import SessionFacts, on_streams, read_rig_serials, read_session_facts

_CLIPPED = "ecephys_clipped"
_COMPRESSED = "ecephys_compressed"
_RECORDING = "experiment1/recording1"
_SUBJECT = "subject.json"
_NO_SESSION = SessionFacts()


@dataclass(frozen=True, slots=True)
class RawFacts:
    """What a raw asset holds, and what was found wrong while reading it."""

    asset: Asset
    has_ephys: bool
    """None of the rest is known when it has none."""
    probes: tuple[Probe, ...] = ()
    """Enabled probes only: the others recorded nothing."""
    streams: tuple[str, ...] = ()
    """Full names of the probes' streams, both bands."""
    session: SessionFacts = _NO_SESSION
    problems: tuple[Problem, ...] = ()
    blocks: int | None = None
    """Experiments of the probes' streams; None when no folder is named by one."""
    compressed: str = ""
    """The folder of the compressed streams; "" when there is none."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Tokens of the streams that get sorted; of the probes when no stream list could be read."""
        parsed = [stream for stream in map(parse_stream_name, self.streams) if stream is not None and stream.is_spikes]
        return tuple(dict.fromkeys(stream.token for stream in parsed)) or tuple(probe.name for probe in self.probes)


def read_raw(reader: FileReader, asset: Asset) -> RawFacts:
    """Read a raw asset. Whatever is missing or odd becomes a problem, never an exception."""
    problems = list(asset.problems)
    if asset.state != "ready":
        told = f"{asset.name} is {asset.state}" + (f": {asset.failure_reason}" if asset.failure_reason else "") + "."
        return RawFacts(asset, True, problems=(*problems, problem("A10", told, recording=asset.name)))
    read_ahead(reader, asset, ("", "ecephys", f"ecephys/{_CLIPPED}", f"ecephys/{_COMPRESSED}"), guessed=True)
    try:
        root = {entry.name for entry in reader.list_folder(asset)}
        inner = {entry.name for entry in list_optional(reader, asset, "ecephys")} if "ecephys" in root else set()
    except TrackmapperError as error:
        told = f"The files of {asset.name} cannot be listed: {error.message}"
        return RawFacts(asset, True, problems=(*problems, problem("A14", told, recording=asset.name)))
    base = "ecephys/" if inner & {_CLIPPED, _COMPRESSED} else ""
    folders = inner if base else root
    if not folders & {_CLIPPED, _COMPRESSED, "settings.xml"}:
        return RawFacts(asset, False, problems=tuple(problems))
    read_ahead(
        reader, asset, files=[(name, MAX_JSON_BYTES) for name in (*_session_file(root), _SUBJECT) if name in root]
    )
    clipped = f"{base}{_CLIPPED}"
    nodes: tuple[Entry, ...] = ()
    streams: tuple[str, ...] = ()
    blocks: int | None = None
    try:
        nodes = list_optional(reader, asset, clipped) if _CLIPPED in folders else ()
        first = [f"{clipped}/{node.name}" for node in nodes if node.is_folder][:1]
        settings = [(f"{node}/settings.xml", MAX_BYTES) for node in first]
        read_ahead(reader, asset, [f"{node}/{_RECORDING}" for node in first], settings)
        if _COMPRESSED in folders:
            names = [entry.name for entry in reader.list_folder(asset, f"{base}{_COMPRESSED}")]
            streams, blocks = _probe_streams(names), _blocks(names)
        streams = streams or _streams_of_oebin(reader, asset, clipped, nodes)
    except TrackmapperError as error:
        told = f"The streams of {asset.name} cannot be listed: {error.message}"
        problems.append(problem("A14", told, recording=asset.name))
    places = [f"{clipped}/{node.name}/settings.xml" for node in nodes if node.is_folder]
    places += [f"{clipped}/settings.xml"] if any(node.name == "settings.xml" for node in nodes) else []
    places += ["settings.xml"] if "settings.xml" in root else []
    if _CLIPPED in folders:
        probes = _probes(reader, asset, places, problems)
        problems += _oebin_gap(reader, asset, clipped, nodes)
    else:
        probes = _probes(reader, asset, places, problems) if places else ()
        told = f"{asset.name} has no {_CLIPPED}, and so neither settings.xml nor structure.oebin of its recording."
        problems.append(problem("A7", told, recording=asset.name))
    session = _session(reader, asset, root, problems)
    problems += _other_mouse(reader, asset, root, session, problems)
    session = replace(session, targets=_on_streams(reader, asset, root, session, probes, problems))
    compressed = f"{base}{_COMPRESSED}" if _COMPRESSED in folders else ""
    return RawFacts(asset, True, probes, streams, session, tuple(problems), blocks, compressed)


def _probes(reader: FileReader, asset: Asset, places: list[str], problems: list[Problem]) -> tuple[Probe, ...]:
    """The enabled probes by the first settings.xml that can be read: Record Nodes all keep the same one."""
    reasons = []
    for place in places:
        try:
            data = reader.read_file(asset, place, MAX_BYTES)
            return tuple(p for p in read_settings_xml(data, where=f"{asset.name}/{place}") if p.enabled)
        except NotFoundError:
            continue
        except TrackmapperError as error:
            reasons.append(f"{place}: {error.message}")
    told = f"{asset.name} has no settings.xml." if not reasons else f"{asset.name}: {' '.join(reasons)}"
    problems.append(problem("A7", told, recording=asset.name))
    return ()


def _probe_streams(names: Iterable[str]) -> tuple[str, ...]:
    parsed = (parse_stream_name(name) for name in names)
    return tuple(dict.fromkeys(stream.full for stream in parsed if stream is not None and stream.is_probe))


def _blocks(names: Iterable[str]) -> int | None:
    parsed = (parse_stream_name(name) for name in names)
    return len({stream.experiment for stream in parsed if stream and stream.is_probe and stream.experiment}) or None


def _streams_of_oebin(reader: FileReader, asset: Asset, clipped: str, nodes: Iterable[Entry]) -> tuple[str, ...]:
    """Streams by each Record Node's first structure.oebin, for assets without compressed data."""
    streams: list[str] = []
    for node in nodes:
        if not node.is_folder:
            continue
        path = f"{clipped}/{node.name}/{_RECORDING}/structure.oebin"
        try:
            data = reader.read_file(asset, path, MAX_BYTES)
        except NotFoundError:
            continue
        streams += [stream.full for stream in read_structure_oebin(data, where=f"{asset.name}/{path}")]
    return _probe_streams(streams)


def _oebin_gap(reader: FileReader, asset: Asset, clipped: str, nodes: Iterable[Entry]) -> list[Problem]:
    """The problem of a recording whose Record Nodes keep no structure.oebin."""
    listed = [node.name for node in nodes if node.is_folder]
    for node in listed:
        try:
            entries = list_optional(reader, asset, f"{clipped}/{node}/{_RECORDING}")
        except TrackmapperError as error:
            return [problem("A14", f"{asset.name}/{clipped}/{node}: {error.message}", recording=asset.name)]
        if any(entry.name == "structure.oebin" for entry in entries):
            return []
    told = f"{asset.name} has no {_RECORDING}/structure.oebin, so its data cannot be read."
    return [problem("A14", told, recording=asset.name)]


def _other_mouse(
    reader: FileReader, asset: Asset, root: set[str], session: SessionFacts, problems: list[Problem]
) -> list[Problem]:
    """The problems of metadata that speak of another mouse than the asset's name."""
    name = parse_asset_name(asset.name)
    subject = text_of(read_listed(reader, asset, _SUBJECT, problems).get("subject_id")) if _SUBJECT in root else ""
    said = {_SUBJECT: subject, "the session's metadata": session.subject}
    return [
        problem(
            "A8",
            f"{asset.name} is of mouse {name.subject} by its name, of mouse {mouse} by {where}.",
            severity=Severity.CONFIRM,
            recording=asset.name,
        )
        for where, mouse in said.items()
        if name is not None and mouse.strip() not in ("", name.subject)
    ]


def _session(reader: FileReader, asset: Asset, root: set[str], problems: list[Problem]) -> SessionFacts:
    for path in _session_file(root):
        return read_session_facts(read_listed(reader, asset, path, problems), path)
    return _NO_SESSION


def _session_file(root: set[str]) -> Sequence[str]:
    """The file that tells of the session, where there is one."""
    return [name for name in ("session.json", "acquisition.json") if name in root][:1]


def _on_streams(
    reader: FileReader,
    asset: Asset,
    root: set[str],
    session: SessionFacts,
    probes: tuple[Probe, ...],
    problems: list[Problem],
) -> tuple[Target, ...]:
    """The session's targets by stream; the rig's file is asked for only when a name alone does not say."""
    path = next((name for name in ("rig.json", "instrument.json") if name in root), None)
    named = {target.probe for target in session.targets} <= {probe.name for probe in probes}
    if path is None or named or not probes:
        return session.targets
    return on_streams(session.targets, probes, read_rig_serials(read_listed(reader, asset, path, problems)))
