"""What is known of a recording and its probes, one fact after the other, in words for its card.

A fact is known, or says where it was looked for. Nothing is asked of the platform here but by the two functions at the
end, which somebody calls who wants to know more of one recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.asset_names import parse_stream_name
from core.atlas_frames import MIDLINE_ML_UM
from core.errors import InputError, NotFoundError
from core.loose_json import object_of, objects, text_of
from core.models import Asset, Probe, Recording, Subject, Target
from core.probe_geometry import RecordedSpan, recorded_spans
from core.subjects.asset_files import read_object
from core.subjects.lengths import read_block_lengths_s
from core.subjects.reading import FileReader

_SESSION_FILES = "neither session.json nor acquisition.json"
_ALIGNMENT = "Probe Alignment for "


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact."""

    name: str
    words: str
    """"" when it is not known."""
    looked_for: str = ""
    """Where it was looked for, when it is not known."""


def targets_of(recording: Recording, token: str) -> tuple[Target, ...]:
    """The targets of the probe with this stream token."""
    return tuple(target for target in recording.targets if target.probe == token)


def earlier_results(subject: Subject, recording: Recording) -> tuple[Asset, ...]:
    """Captured results of earlier conversions of this recording, by their provenance, oldest first."""
    own = {sorting.asset.id for sorting in recording.sortings} | ({recording.raw.id} if recording.raw else set())
    return tuple(asset for asset in subject.converted if own & set(asset.provenance_data_assets or ()))


def recording_facts(recording: Recording, subject: Subject) -> tuple[Fact, ...]:
    """What is known of a recording as a whole: length, blocks, notes, whether it was converted before."""
    raw = recording.raw
    no_raw = "" if raw else "there is no raw asset"
    session = _looked_in_session(recording)
    unsure = sum(asset.provenance_data_assets is None for asset in subject.converted)
    converted = ", ".join(asset.name for asset in earlier_results(subject, recording))
    if not converted and not unsure:
        converted = "not by a result among the mouse's assets"
    length = "" if recording.duration_s is None else _length(recording.duration_s)
    blocks = "" if recording.blocks is None else _count(recording.blocks, "block")
    notes = "; ".join(recording.notes) or ("none" if recording.session_file else "")
    return (
        Fact("length", length, f"{session}: no start and end; arrays are asked where two recordings share a day"),
        Fact("blocks", blocks, no_raw or "no experiment in the names of ecephys_compressed"),
        Fact("notes", notes, session),
        Fact("converted before", converted, f"{_count(unsure, 'earlier result')} without provenance"),
    )


def probe_facts(recording: Recording, token: str) -> tuple[Fact, ...]:
    """What is known of the probe of one stream: its type, what it recorded, where it was meant to go."""
    probe = next((probe for probe in recording.probes if probe.name == token), None)
    settings = _looked_in_settings(recording, token)
    kind = serial = shanks = contacts = ""
    if probe is not None:
        known = [words for words in (probe.description, probe.part_number) if words]
        kind = " · ".join(dict.fromkeys(known))
        serial = probe.serial
        shanks = f"{', '.join(str(shank + 1) for shank in probe.shanks)} of {probe.shank_count}"
        contacts = "; ".join(_span(span, probe) for span in recorded_spans(probe, tip_um=0.0))
    by_serial = "settings.xml: the probe has none" if probe is not None else settings
    by_channels = "settings.xml: no positions or numbers of electrodes" if probe is not None else settings
    targets = targets_of(recording, token)
    session = _looked_in_session(recording)
    nowhere = f"{session}: nothing about {token}" if not targets else f"{session}: not told for {token}"

    def joined(words: Callable[[Target], str]) -> str:
        return "; ".join(dict.fromkeys(filter(None, map(words, targets))))

    def told(name: str, words: Callable[[Target], str]) -> Fact:
        return Fact(name, joined(words), nowhere)

    refused = joined(lambda target: target.aim_refused)
    nowhere_aim = f"{nowhere}; {refused} is no place in a brain" if refused else nowhere

    return (
        Fact("type", kind, by_serial),
        Fact("serial number", serial, by_serial),
        Fact("recorded shanks", shanks, settings),
        Fact("recorded contacts", contacts, by_channels),
        told("target", lambda target: target.structure),
        Fact("target in the atlas", joined(_atlas_place), nowhere_aim),
        told("insertion depth", lambda target: "" if target.depth_um is None else f"{target.depth_um:,.0f} um"),
        told("angles", lambda target: ", ".join(f"{name} {value:g} deg" for name, value in target.angles_deg.items())),
        told("manipulator", lambda target: ", ".join(f"{k} {v:,.0f} um" for k, v in target.manipulator_um.items())),
        told("notes", lambda target: target.notes or "none"),
    )


def _looked_in_session(recording: Recording) -> str:
    if recording.raw is None:
        return "there is no raw asset"
    return recording.session_file or f"{_SESSION_FILES} in {recording.raw.name}"


def _looked_in_settings(recording: Recording, token: str) -> str:
    if recording.raw is None:
        return "there is no raw asset"
    if not recording.probes:
        return f"no settings.xml could be read in {recording.raw.name}"
    return f"settings.xml: no enabled probe has the stream {token}"


def _span(span: RecordedSpan, probe: Probe) -> str:
    on = f"shank {span.shank + 1}: " if probe.shank_count > 1 else ""
    heights = f"{span.lowest_um:,.0f} to {span.highest_um:,.0f} um above the lowest row"
    return f"{on}{_count(span.contacts, 'contact')}, {heights}"


def _atlas_place(target: Target) -> str:
    if target.ccf_um_mlapdv is None:
        return ""
    ml, ap, dv = target.ccf_um_mlapdv
    side = "right" if ml > MIDLINE_ML_UM else "left"
    return f"ML {ml:,.0f}, AP {ap:,.0f}, DV {dv:,.0f} um ({side})"


def _length(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- asked for one recording ----------------------------------------------------------------------


def read_more_facts(reader: FileReader, recording: Recording) -> tuple[Fact, ...]:
    """What a recording's files tell that its gathering did not ask for: the length of each block, alignments.

    Raises:
        UnavailableError, UnclearError: the platform cannot be asked now.
    """
    return (_block_lengths(reader, recording), _alignments(reader, recording))


def _block_lengths(reader: FileReader, recording: Recording) -> Fact:
    named = (parse_stream_name(name) for name in recording.streams)
    token = next((stream.token for stream in named if stream is not None and stream.is_spikes), "")
    try:
        lengths = read_block_lengths_s(reader, recording, token)
    except (NotFoundError, InputError) as error:
        return Fact("length of blocks", "", f"{error.message.rstrip('.')}{f' ({error.where})' if error.where else ''}")
    return Fact("length of blocks", ", ".join(map(_length, lengths)))


def _alignments(reader: FileReader, recording: Recording) -> Fact:
    assets = [*filter(None, [recording.raw]), *(sorting.asset for sorting in recording.sortings)]
    found = ", ".join(read_alignments(reader, assets))
    asked = f"quality_control.json of {_count(len(assets), 'asset')}; the metadata's database is not asked"
    return Fact("aligned before", found, f"{asked}: none is told")


def read_alignments(reader: FileReader, assets: Iterable[Asset]) -> tuple[str, ...]:
    """Which probes the quality control of some assets says were aligned; one request an asset.

    Args:
        reader: Reads the assets.
        assets: A recording's raw and sorted assets.

    Returns:
        `<recording>_<probe>_<shank>` as the alignments call themselves, each once; () when none is told. An alignment
        may be kept in the metadata's database alone, so that nothing here does not mean never.

    Raises:
        PlatformError: an asset cannot be read.
    """
    found: dict[str, None] = {}
    for asset in assets:
        try:
            document = read_object(reader, asset, "quality_control.json")
        except (NotFoundError, InputError):
            continue
        document = object_of(document.get("quality_control")) or document
        for entry in (*objects(document.get("evaluations")), *objects(document.get("metrics"))):
            name = text_of(entry.get("name"))
            if name.startswith(_ALIGNMENT):
                found[name.removeprefix(_ALIGNMENT)] = None
    return tuple(found)
