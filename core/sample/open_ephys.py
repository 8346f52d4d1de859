"""What Open Ephys leaves of a recording: settings.xml in its old and new shapes, structure.oebin, the streams."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np

from core.sample.files import random_for, write_array, write_bytes, write_group, write_json, write_small_array
from core.sample.plan import NP1, RECORD_NODE, Insertion, ProbeKind, RecordingPlan

_CHANNELS = 384
_DAQ_STREAM = "PXIe-6341"
_CHUNK_SAMPLES = 300
# Not by strftime, whose names follow the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_open_ephys(asset: Path, recording: RecordingPlan, *, seed: int) -> None:
    """Write `ecephys/ecephys_clipped` and `ecephys/ecephys_compressed` of a raw asset."""
    clipped = asset / "ecephys" / "ecephys_clipped" / RECORD_NODE
    write_bytes(clipped / "settings.xml", settings_xml(recording))
    write_json(clipped / "experiment1" / "recording1" / "structure.oebin", structure_oebin(recording))
    compressed = asset / "ecephys" / "ecephys_compressed"
    for insertion in recording.insertions:
        for stream in insertion.streams:
            folder = compressed / f"experiment1_{RECORD_NODE}#Neuropix-PXI-100.{stream}.zarr"
            rate = _sample_rate(stream)
            _write_compressed(folder, _CHANNELS, rate, recording, seed=seed)
    _write_compressed(
        compressed / f"experiment1_{RECORD_NODE}#NI-DAQmx-103.{_DAQ_STREAM}.zarr", 8, 30000.0, recording, seed=seed
    )


def structure_oebin(recording: RecordingPlan) -> dict[str, Any]:
    """The recording's table of streams."""
    streams = [
        ("Neuropix-PXI", 100, stream, _sample_rate(stream), _CHANNELS, 0.195)
        for insertion in recording.insertions
        for stream in insertion.streams
    ]
    streams.append(("NI-DAQmx", 103, _DAQ_STREAM, 30000.0, 8, 0.000305185))
    continuous = []
    events = []
    for processor, node, stream, rate, channels, bit_volts in streams:
        prefix = "AI" if node == 103 else "LFP" if stream.endswith("-LFP") else "AP" if stream.endswith("-AP") else "CH"
        continuous.append(
            {
                "folder_name": f"{processor}-{node}.{stream}/",
                "sample_rate": rate,
                "source_processor_name": processor,
                "source_processor_id": node,
                "stream_name": stream,
                "recorded_processor": "Record Node",
                "recorded_processor_id": 104,
                "num_channels": channels,
                "channels": [
                    {
                        "channel_name": f"{prefix}{number + (node != 103)}",
                        "description": "Analog input" if node == 103 else "Neuropixels electrode",
                        "identifier": "",
                        "history": f"{processor} -> Record Node",
                        "bit_volts": bit_volts,
                        "units": "",
                    }
                    for number in range(channels)
                ],
            }
        )
        events.append(
            {
                "folder_name": f"{processor}-{node}.{stream}/TTL/",
                "channel_name": "Sync line",
                "description": "State of the sync line",
                "identifier": "sync",
                "sample_rate": rate,
                "type": "int16",
                "source_processor": processor,
                "stream_name": stream,
                "initial_state": 0,
            }
        )
    return {"GUI version": recording.open_ephys, "continuous": continuous, "events": events, "spikes": []}


def settings_xml(recording: RecordingPlan) -> bytes:
    """The acquisition settings. Before 1.0 the probes stand in the editor, since then in its custom parameters."""
    new = not recording.open_ephys.startswith("0.")
    parameters = "PROCESSOR_PARAMETERS" if new else "GLOBAL_PARAMETERS"
    root = ET.Element("SETTINGS")
    info = ET.SubElement(root, "INFO")
    for tag, text in (
        ("VERSION", recording.open_ephys),
        ("PLUGIN_API_VERSION", "10" if new else "8"),
        ("DATE", f"{recording.start.day} {_MONTHS[recording.start.month - 1]} {recording.start:%Y %H:%M:%S}"),
        ("OS", "Windows 10"),
    ):
        ET.SubElement(info, tag).text = text
    chain = ET.SubElement(root, "SIGNALCHAIN")
    source = _processor(chain, "Neuropix-PXI", "100", library=("Neuropix-PXI", "1.0.0" if new else "0.4.1"))
    ET.SubElement(source, parameters)
    _add_streams(source, recording)
    ET.SubElement(source, "CUSTOM_PARAMETERS")
    editor = ET.SubElement(source, "EDITOR", isCollapsed="0", displayName="Neuropix-PXI", activeStream="0")
    neuropixels = ET.SubElement(editor, "NEUROPIXELS_EDITOR", MainSyncSlot="0", SyncDirection="1", SyncFreq="0")
    custom_names = {f"SN{i.serial}": i.probe for i in recording.insertions if _has_custom_name(i)}
    ET.SubElement(neuropixels, "BASESTATION", Directory="", Slot="2", NamingScheme="3" if custom_names else "0")
    ET.SubElement(neuropixels, "CUSTOM_PROBE_NAMES", custom_names)
    _add_probes(ET.SubElement(editor, "CUSTOM_PARAMETERS") if new else editor, recording, new=new)
    node = _processor(chain, "Record Node", RECORD_NODE.split()[-1], library=("", ""))
    ET.SubElement(node, parameters)
    _add_streams(node, recording)
    ET.SubElement(node, "CUSTOM_PARAMETERS", path="D:\\recordings", engine="BINARY", recordEvents="1")
    daq_chain = ET.SubElement(root, "SIGNALCHAIN")
    daq = _processor(daq_chain, "NI-DAQmx", "103", library=("NI-DAQmx", "1.0.0" if new else "0.5.0"))
    ET.SubElement(daq, "STREAM", name=_DAQ_STREAM, description="description", sample_rate="30000.0", channel_count="8")
    ET.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n\n' + ET.tostring(root) + b"\n"


def _processor(chain: ET.Element, name: str, node: str, *, library: tuple[str, str]) -> ET.Element:
    return ET.SubElement(
        chain,
        "PROCESSOR",
        name=name,
        insertionPoint="1",
        pluginName=name,
        libraryName=library[0],
        libraryVersion=library[1],
        nodeId=node,
    )


def _add_streams(processor: ET.Element, recording: RecordingPlan) -> None:
    for insertion in recording.insertions:
        for stream in insertion.streams:
            ET.SubElement(
                processor,
                "STREAM",
                name=stream,
                description="description",
                sample_rate=str(_sample_rate(stream)),
                channel_count=str(_CHANNELS),
                device_name=insertion.kind.device,
            )


def _add_probes(parent: ET.Element, recording: RecordingPlan, *, new: bool) -> None:
    for port, insertion in enumerate(recording.insertions, start=1):
        name = insertion.probe if _has_custom_name(insertion) else insertion.serial
        for shank in range(insertion.kind.shanks) if insertion.kind.split else [None]:
            probe = _add_probe(parent, insertion.kind, insertion.serial, name=name, port=port, shank=shank)
            _add_electrodes(probe, insertion.kind, shank, recording.first_row)
            if new:
                probe.set("isEnabled", "1")
    for port, serial in enumerate(recording.idle_serials, start=len(recording.insertions) + 1):
        probe = _add_probe(parent, NP1, serial, name=serial, port=port, shank=None)
        _add_electrodes(probe, NP1, None, 0)
        probe.set("isEnabled", "0")


def _add_probe(
    parent: ET.Element, kind: ProbeKind, serial: str, *, name: str, port: int, shank: int | None
) -> ET.Element:
    attributes = {
        "slot": "2",
        "headstage_serial_number": f"2118{port:04d}",
        "headstage_part_number": kind.headstage,
        "port": str(port),
        "dock": "1",
        **({} if shank is None else {"shank": str(shank)}),
        "probe_serial_number": serial,
        "probe_part_number": kind.part_number,
        "probe_name": kind.device,
        "num_adcs": str(kind.adcs),
        "custom_probe_name": name,
        **({"apGainValue": "500x", "lfpGainValue": "250x"} if kind.lfp else {}),
        "electrodeConfigurationPreset": "NONE",
        "referenceChannel": "Ext" if kind.lfp else "Tip",
    }
    return ET.SubElement(parent, "NP_PROBE", attributes)


def _add_electrodes(probe: ET.Element, kind: ProbeKind, shank: int | None, first_row: int) -> None:
    suffix = "" if shank is None else f"_{shank}"
    tables = zip(("CHANNELS", "ELECTRODE_XPOS", "ELECTRODE_YPOS"), _electrodes(kind, shank, first_row), strict=True)
    for tag, values in tables:
        ET.SubElement(probe, tag, {f"CH{number}{suffix}": value for number, value in enumerate(values)})


def _electrodes(kind: ProbeKind, shank: int | None, first_row: int) -> tuple[list[str], list[str], list[str]]:
    """Bank (with the shank, where one stream has several), x and y in um of each recorded channel."""
    spread = kind.shanks > 1 and not kind.split
    per_shank = _CHANNELS // kind.shanks if spread else _CHANNELS
    columns = (27, 59, 11, 43) if kind.lfp else (8, 40)
    row_um = 20 if kind.lfp else 15
    channels, x, y = [], [], []
    for number in range(_CHANNELS):
        on_shank = number // per_shank if spread else (shank or 0)
        electrode = number % per_shank + 2 * first_row
        bank = str(electrode // _CHANNELS)
        channels.append(f"{bank}:{on_shank}" if spread else bank)
        x.append(str(columns[electrode % len(columns)] + 250 * on_shank))
        y.append(str(row_um * (electrode // 2)))
    return channels, x, y


def _write_compressed(folder: Path, channels: int, rate: float, recording: RecordingPlan, *, seed: int) -> None:
    """A compressed stream: the length is that of the recording, of the samples only the first chunk is there."""
    samples = int(recording.seconds * rate)
    write_group(folder, {"num_segments": 1, "sampling_frequency": rate, "has_channel_info": True})
    write_small_array(folder / "channel_ids", np.arange(channels, dtype=np.int64))
    rng = random_for(seed, recording.name, folder.name)
    trace = rng.normal(0.0, 6.0, (_CHUNK_SAMPLES, channels)).astype("<i2")
    write_array(
        folder / "traces_seg0",
        shape=(samples, channels),
        chunks=(_CHUNK_SAMPLES, channels),
        dtype="<i2",
        data=[((0, 0), trace)],
    )


def _sample_rate(stream: str) -> float:
    return 2500.0 if stream.endswith("-LFP") else 30000.0


def _has_custom_name(insertion: Insertion) -> bool:
    return not insertion.probe.startswith("Probe")
