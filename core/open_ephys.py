"""Open Ephys files: settings.xml gives a recording's probes, structure.oebin its streams.

Both come from outside: they are bounded before they are parsed, and an XML with a DOCTYPE is refused, so that no
entity is ever expanded. How a probe's stream is named depends on the plugin:

* a custom probe name, when somebody set one (unset, it repeats the serial number);
* else the processor's STREAM list, in file order (not alphabetical), among the enabled probes;
* a quad-base probe has one NP_PROBE and one stream per shank: `-1` to `-4` are appended;
* Open Ephys 0.5 has no streams: `<node>.<index>`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from core.contacts import (
    RecordedContact,
    catalogue_entry,
    contacts_by_bank,
    contacts_by_electrode,
    contacts_by_position,
)
from core.errors import InputError
from core.models import Probe

MAX_BYTES = 16 * 1024 * 1024
_MAX_ELEMENTS = 100_000
_MAX_DEPTH = 64
_SHANKS = ("0", "1", "2", "3")
_SOURCES = ("Neuropix-PXI", "OneBox")
_TABLES = ("CHANNELS", "ELECTRODE_XPOS", "ELECTRODE_YPOS", "SELECTED_ELECTRODES")
_SHANK_IN_Y = ("0.4.", "0.5.")
"""Versions of Open Ephys that added a shank's place to the height of its electrodes too."""


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One continuous stream that a Record Node wrote."""

    name: str
    """`ProbeA-AP`."""
    folder: str
    """`Neuropix-PXI-100.ProbeA-AP`."""
    sample_rate_hz: float
    node: str
    """`Record Node 104`."""

    @property
    def full(self) -> str:
        """The full stream name, by which surface blocks are merged: `Record Node 104#Neuropix-PXI-100.ProbeA-AP`."""
        return f"{self.node}#{self.folder}"


def read_settings_xml(data: bytes, *, where: str = "settings.xml") -> tuple[Probe, ...]:
    """The probes of a recording, in file order; a quad-base probe is one `Probe` per shank and stream.

    Args:
        data: The file's bytes.
        where: What to call the file in errors.

    Returns:
        Enabled probes named by their stream token, then disabled ones (which have no stream) named by custom name or
        serial. `shanks` are physical 0-based shanks: a quad-base stream `45883-3` has `(2,)`.

    Raises:
        InputError: the file is too large, no XML, has a DOCTYPE, holds no Neuropixels probe, or does not tell which
            stream belongs to which probe.
    """
    root = _parse_xml(data, where)
    probes: list[Probe] = []
    old = (root.findtext("INFO/VERSION") or "").strip().startswith(_SHANK_IN_Y)
    for processor in root.iter("PROCESSOR"):
        source = processor.get("name") or processor.get("pluginName") or ""
        if any(known in source for known in _SOURCES):
            probes += _read_processor(processor, where, old)
    if not probes:
        raise InputError(
            "It holds no Neuropixels probe.",
            where=where,
            cure="Take the settings.xml of the Record Node that recorded the probes.",
        )
    names = [probe.name for probe in probes if probe.enabled]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Two probes have the same stream name: {', '.join(twice)}.",
            where=where,
            cure="Tell the probes apart by their serial numbers and name the streams by hand.",
        )
    return tuple(sorted(probes, key=lambda probe: not probe.enabled))


def read_structure_oebin(data: bytes, *, where: str = "structure.oebin") -> tuple[RecordedStream, ...]:
    """The continuous streams of one recording, probes and DAQs alike, in file order.

    Raises:
        InputError: the file is too large, no JSON, or lacks what an oebin has.
    """
    cure = "Look at the file in the raw asset; the upload may have been cut short."
    if len(data) > MAX_BYTES:
        raise InputError(f"The file has more than {MAX_BYTES} bytes.", where=where, cure=cure)
    try:
        content = json.loads(data)
        return tuple(_read_stream(entry) for entry in content["continuous"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"It is no structure.oebin ({type(error).__name__}: {error}).", where=where, cure=cure
        ) from error


def _read_stream(entry: Mapping[str, Any]) -> RecordedStream:
    folder = str(entry["folder_name"]).rstrip("/")
    sample_rate_hz = float(entry["sample_rate"])
    if not math.isfinite(sample_rate_hz) or sample_rate_hz <= 0:
        raise ValueError(f"sample rate {sample_rate_hz}")
    return RecordedStream(
        name=str(entry.get("stream_name") or folder.partition(".")[2]),  # Open Ephys 0.5 names no streams
        folder=folder,
        sample_rate_hz=sample_rate_hz,
        node=f"{entry['recorded_processor']} {entry['recorded_processor_id']}",
    )


# --- one processor of a settings.xml --------------------------------------------------------------


def _read_processor(processor: Element, where: str, old: bool) -> list[Probe]:
    elements = processor.findall("EDITOR/NP_PROBE") + processor.findall("EDITOR/CUSTOM_PARAMETERS/NP_PROBE")
    enabled = [element for element in elements if element.get("isEnabled", "1") == "1"]
    names = _stream_names(processor, enabled, where)
    probes = [_read_probe(element, name, where, old) for element, name in zip(enabled, names, strict=True)]
    for element in elements:
        if element.get("isEnabled", "1") != "1":
            name = _custom_name(element) or _attribute(element, "probe_serial_number", "probeSerialNumber")
            probes.append(_read_probe(element, name, where, old))
    return probes


def _stream_names(processor: Element, enabled: Sequence[Element], where: str) -> list[str]:
    """One stream token per enabled probe, in the same order."""
    tokens: list[str] = []
    for stream in processor.findall("STREAM"):
        token = stream.get("name", "").removesuffix("-AP").removesuffix("-LFP")
        if "ADC" not in token and token not in tokens:
            tokens.append(token)
    if not tokens:
        node = processor.get("nodeId") or processor.get("NodeId")
        if node is None:
            raise InputError(
                "A processor in it has neither streams nor a number, so its probes' streams cannot be named.",
                where=where,
                cure="Take the settings.xml of the Record Node that recorded the probes.",
            )
        tokens = [f"{node}.{index}" for index in range(len(enabled))]
    names: list[str] = []
    for index, element in enumerate(enabled):
        custom = _custom_name(element)
        if custom and element.get("shank") is not None:
            custom = f"{custom}-{_shank_of_stream(element, where) + 1}"
        if custom in tokens:
            names.append(custom)
        elif len(tokens) == len(enabled):
            names.append(tokens[index])
        else:
            raise InputError(
                f"{len(enabled)} enabled probes and {len(tokens)} streams ({', '.join(tokens)}): "
                "which belongs to which cannot be told.",
                where=where,
                cure="Compare the serial numbers with the rig's notes and name the streams by hand.",
            )
    return names


def _custom_name(element: Element) -> str:
    """The name somebody gave the probe; "" when it is unset."""
    name = element.get("custom_probe_name", "").strip()
    return "" if name == _attribute(element, "probe_serial_number", "probeSerialNumber") else name


def _read_probe(element: Element, name: str, where: str, old: bool) -> Probe:
    part_number = _attribute(element, "probe_part_number", "probePartNumber")
    if not part_number and not _attribute(element, "probe_serial_number", "probeSerialNumber"):
        raise InputError(
            "A probe in it has neither serial number nor part number.",
            where=where,
            cure="Take the settings.xml of the Record Node that recorded the probes.",
        )
    features = catalogue_entry(part_number)
    shanks = _shanks_in_use(element, features, where)
    return Probe(
        name=name,
        serial=_attribute(element, "probe_serial_number", "probeSerialNumber"),
        part_number=part_number,
        shanks=shanks,
        shank_count=max([int(features.get("num_shanks", 1)), *(shank + 1 for shank in shanks)]),
        description=element.get("probe_name") or str(features.get("description") or ""),
        enabled=element.get("isEnabled", "1") == "1",
        contacts=_contacts(element, part_number, shanks, old),
    )


def _contacts(element: Element, part_number: str, shanks: tuple[int, ...], old: bool) -> tuple[RecordedContact, ...]:
    """The electrodes of a probe whose shanks could be read; () when the element does not tell them."""
    channels, x_um, y_um, selected = (_table(element, tag) for tag in _TABLES)
    features = catalogue_entry(part_number)
    split = element.get("shank") is not None
    on_shank = {name: shanks[0] if split else _shank_of_channel(value) for name, value in channels.items()}
    pitch_um = float(features.get("shank_pitch_um", 0.0))
    if channels and x_um and y_um and (pitch_um or set(on_shank.values()) == {0}):
        return contacts_by_position(on_shank, x_um, y_um, pitch_um=pitch_um, shank_in_y=old)
    try:
        if selected:
            found = contacts_by_electrode(part_number, [int(number) for number in selected.values()])
            # The stream of one shank may count its electrodes alone or with those of the shanks before it.
            return found if tuple(sorted({contact.shank for contact in found})) == shanks else ()
        banks = [
            (on_shank[name], int(value.partition(":")[0]), int(name.removeprefix("CH").partition("_")[0]))
            for name, value in channels.items()
        ]
    except ValueError:
        return ()
    return contacts_by_bank(part_number, banks)


def _table(element: Element, tag: str) -> Mapping[str, str]:
    found = element.find(tag)
    return {} if found is None else found.attrib


def _shanks_in_use(element: Element, features: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """0-based shanks with recorded channels."""
    if element.get("shank") is not None:
        return (_shank_of_stream(element, where),)
    channels = element.find("CHANNELS")
    selected = element.find("SELECTED_ELECTRODES")
    try:
        if channels is not None and channels.attrib:
            return tuple(sorted({_shank_of_channel(value) for value in channels.attrib.values()}))
        if selected is not None and selected.attrib and int(features.get("num_shanks", 1)) > 1:
            per_shank = int(features["electrodes_per_shank"])
            return tuple(sorted({int(index) // per_shank for index in selected.attrib.values()}))
    except ValueError as error:
        raise InputError(
            f"A channel of probe {element.get('probe_serial_number')} is no bank and shank ({error}).",
            where=where,
            cure="Look at the CHANNELS of this probe in the file.",
        ) from error
    return (0,)


def _shank_of_channel(value: str) -> int:
    """The shank of a channel's `bank:shank`; 0 when only a bank is given."""
    _, colon, shank = value.partition(":")
    if not colon:
        return 0
    if shank not in _SHANKS:
        raise ValueError(f"{value!r}")
    return int(shank)


def _shank_of_stream(element: Element, where: str) -> int:
    """The 0-based shank that an NP_PROBE of a quad-base probe stands for."""
    text = element.get("shank", "")
    if text not in _SHANKS:
        raise InputError(
            f"A quad-base probe has shank {text!r}.", where=where, cure="Shanks are 0 to 3; look at the file."
        )
    return int(text)


def _attribute(element: Element, *names: str) -> str:
    return next((element.attrib[name] for name in names if element.get(name)), "")


# --- bounded XML ----------------------------------------------------------------------------------


class _RefusedXmlError(Exception):
    """A handler's word to the parser: stop here."""


def _parse_xml(data: bytes, where: str) -> Element:
    cure = "Take the file as Open Ephys wrote it."
    if len(data) > MAX_BYTES:
        raise InputError(f"The file has more than {MAX_BYTES} bytes.", where=where, cure=cure)
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > _MAX_DEPTH or elements > _MAX_ELEMENTS:
            raise _RefusedXmlError(f"It nests deeper than {_MAX_DEPTH} or has more than {_MAX_ELEMENTS} elements.")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse_doctype(*_: object) -> None:
        raise _RefusedXmlError("It has a DOCTYPE, which Open Ephys never writes and which could hide other files.")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except _RefusedXmlError as error:
        raise InputError(str(error), where=where, cure=cure) from error
    except (expat.ExpatError, ValueError, LookupError) as error:  # ValueError, LookupError: odd declared encodings
        raise InputError(f"It is no XML ({error}).", where=where, cure=cure) from error
