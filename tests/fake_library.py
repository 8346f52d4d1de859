"""An in-memory platform for tests: assets with their files, requests counted, failures on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import NotFoundError, PlatformError
from core.models import Asset, SavedState
from core.platforms.base import Entry


class FakeLibrary:
    """Implements `AssetReader`. Its search is as loose as a real one: substrings of names and tags.

    `fail(path, error)` makes every request for that path raise; `asset.name` + "/" + path, or the asset's name alone.
    """

    name = "test library"
    platform_id = "the test library"
    connections = 0

    def __init__(self) -> None:
        self.requests = 0
        self.log: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._assets: dict[str, Asset] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._states: dict[str, bytes] = {}
        self._failures: dict[str, Exception] = {}

    def add(self, name: str, files: Mapping[str, bytes] | None = None, **fields: Any) -> Asset:
        """Put an asset into the library. Its id is its name unless `id` is given."""
        asset = Asset(id=fields.pop("id", name), name=name, **fields)
        self._assets[asset.id] = asset
        self._files[asset.id] = dict(files or {})
        return asset

    def add_state(self, name: str, data: bytes) -> None:
        self._states[name] = data

    def fail(self, path: str, error: Exception) -> None:
        self._failures[path] = error

    # --- AssetReader --------------------------------------------------------------------------

    def find_subject_assets(self, subject: str) -> tuple[Asset, ...]:
        with self._request(f"search {subject}"):
            return tuple(a for a in self._assets.values() if subject in a.name or any(subject in t for t in a.tags))

    def get_asset(self, asset_id: str) -> Asset:
        with self._request(f"asset {asset_id}"):
            if asset_id not in self._assets:
                raise NotFoundError("There is no such asset.", where=asset_id)
            return self._assets[asset_id]

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        with self._request(f"list {asset.name}/{path}".rstrip("/"), asset, path):
            prefix = path.strip("/") + "/" if path.strip("/") else ""
            entries: dict[str, Entry] = {}
            for file, data in self._files.get(asset.id, {}).items():
                if file.startswith(prefix):
                    name, slash, _ = file[len(prefix) :].partition("/")
                    entries[name] = Entry(name, bool(slash), None if slash else len(data))
            if not entries and prefix:
                raise NotFoundError("There is no such folder.", where=f"{asset.name}/{path}")
            return tuple(entries[name] for name in sorted(entries))

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        with self._request(f"read {asset.name}/{path}", asset, path):
            data = self._files.get(asset.id, {}).get(path)
            if data is None:
                raise NotFoundError("There is no such file.", where=f"{asset.name}/{path}")
            if len(data) > limit:
                raise PlatformError(f"The file has more than {limit} bytes.", where=f"{asset.name}/{path}")
            return data

    def saved_states(self) -> tuple[SavedState, ...]:
        with self._request("states"):
            return tuple(SavedState(name, name, len(data)) for name, data in sorted(self._states.items()))

    def read_state(self, path: str) -> bytes:
        with self._request(f"state {path}"):
            if path not in self._states:
                raise NotFoundError("There is no such state.", where=path)
            return self._states[path]

    def health(self) -> str:
        return ""

    def _request(self, what: str, asset: Asset | None = None, path: str = "") -> _Request:
        return _Request(self, what, asset, path)

    def _begin(self, what: str, asset: Asset | None, path: str) -> None:
        with self._lock:
            self.requests += 1
            self.log.append(what)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        if asset is not None:
            for key in (asset.name, f"{asset.name}/{path}".rstrip("/")):
                if key in self._failures:
                    raise self._failures[key]
        elif what in self._failures:
            raise self._failures[what]

    def _end(self) -> None:
        with self._lock:
            self._at_once -= 1


class _Request:
    def __init__(self, library: FakeLibrary, what: str, asset: Asset | None, path: str) -> None:
        self._args = (what, asset, path)
        self._library = library

    def __enter__(self) -> None:
        try:
            self._library._begin(*self._args)
        except BaseException:
            self._library._end()
            raise

    def __exit__(self, *_: object) -> None:
        self._library._end()


# --- recipes for what AIND's assets hold ----------------------------------------------------------


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def np_probe(serial: str, part: str, channels: Mapping[str, str], **attributes: str) -> str:
    """One NP_PROBE element of a settings.xml."""
    fields = {"probe_serial_number": serial, "probe_part_number": part, "custom_probe_name": serial} | attributes
    text = " ".join(f'{key}="{value}"' for key, value in fields.items())
    return f"<NP_PROBE {text}><CHANNELS {' '.join(f'{k}="{v}"' for k, v in channels.items())}/></NP_PROBE>"


def settings_xml(streams: Iterable[str], probes: Iterable[str], version: str = "0.6.6") -> bytes:
    """A settings.xml with one Neuropix-PXI processor; from 0.9 on probes sit in CUSTOM_PARAMETERS."""
    stream_tags = "".join(f'<STREAM name="{name}" sample_rate="30000.0" channel_count="384"/>' for name in streams)
    probe_tags = "".join(probes)
    if not version.startswith(("0.5", "0.6")):
        probe_tags = f"<CUSTOM_PARAMETERS>{probe_tags}</CUSTOM_PARAMETERS>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<SETTINGS><INFO><VERSION>{version}</VERSION></INFO><SIGNALCHAIN>'
        f'<PROCESSOR name="Neuropix-PXI" nodeId="100" libraryVersion="0.4.1">{stream_tags}'
        f"<EDITOR>{probe_tags}</EDITOR></PROCESSOR></SIGNALCHAIN></SETTINGS>"
    ).encode()


SINGLE_SHANK = {f"CH{i}": "0" for i in range(4)}
FOUR_SHANKS = {f"CH{i}": f"0:{i % 4}" for i in range(8)}
TWO_PROBES = settings_xml(
    ["ProbeA-AP", "ProbeA-LFP", "ProbeB"],
    [np_probe("18005110031", "PRB_1_4_0480_1", SINGLE_SHANK), np_probe("22420013872", "NP2014", FOUR_SHANKS)],
)
"""ProbeA: Neuropixels 1.0. ProbeB: 2.0 with four shanks recorded."""


def raw_files(
    streams: Iterable[str] = ("ProbeA-AP", "ProbeA-LFP", "ProbeB"),
    settings: bytes | None = TWO_PROBES,
    *,
    node: str = "Record Node 104",
    processor: str = "Neuropix-PXI-100",
    old_layout: bool = False,
) -> dict[str, bytes]:
    """Files of a raw ecephys asset."""
    root = "" if old_layout else "ecephys/"
    files = {
        f"{root}ecephys_compressed/experiment1_{node}#{processor}.{stream}.zarr/.zgroup": b"{}" for stream in streams
    }
    files[f"{root}ecephys_compressed/experiment1_{node}#NI-DAQmx-103.PXIe-6341.zarr/.zgroup"] = b"{}"
    if settings is not None:
        files[f"{root}ecephys_clipped/{node}/settings.xml"] = settings
    files[f"{root}ecephys_clipped/{node}/experiment1/recording1/structure.oebin"] = b"{}"
    return files


def block_files(
    block: int, samples: int, segments: int = 1, rate: object = 1000.0, *, old_layout: bool = True
) -> dict[str, bytes]:
    """What the compressed arrays of ProbeA tell of the length of one block: `samples` a segment."""
    root = "" if old_layout else "ecephys/"
    folder = f"{root}ecephys_compressed/experiment{block}_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr"
    files = {f"{folder}/.zattrs": as_json({"sampling_frequency": rate, "num_segments": segments})}
    metadata = {
        "zarr_format": 2, "shape": [samples, 384], "chunks": [300, 384], "dtype": "<i2", "order": "C",
        "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}, "filters": None,
        "fill_value": 0,
    }  # fmt: skip
    return files | {f"{folder}/traces_seg{number}/.zarray": as_json(metadata) for number in range(segments)}


def recording_name(stream: str, *, node: str = "Record Node 104", processor: str = "Neuropix-PXI-100") -> str:
    """`experiment1_<node>#<processor>.<stream>_recording1`; `stream` may end in `_groupN`."""
    stream, group, number = stream.partition("_group")
    return f"experiment1_{node}#{processor}.{stream}_recording1{group}{number}"


def sorted_files(
    streams: Iterable[str] = ("ProbeA-AP", "ProbeB_group0", "ProbeB_group1", "ProbeB_group2", "ProbeB_group3"),
    *,
    output: bytes | None = b"N E X T F L O W\nCompleted at: 10-Apr-2024\n",
    sorter: str = "kilosort4",
    units: Mapping[str, tuple[int, int]] | None = None,
    schema: int = 1,
    **name: str,
) -> dict[str, bytes]:
    """Files of a sorted asset. `units` maps a stream to (total, passing)."""
    names = {stream: recording_name(stream, **name) for stream in streams}
    files = {f"postprocessed/{names[stream]}.zarr/.zgroup": b"{}" for stream in names}
    files |= {f"curated/{names[stream]}/si_folder.json": b"{}" for stream in names}
    if output is not None:
        files["output"] = output
    counts = units or {}
    files["processing.json"] = processing_json(sorter, {names[s]: counts[s] for s in counts}, schema)
    return files


def processing_json(sorter: str, units: Mapping[str, tuple[int, int]], schema: int = 1) -> bytes:
    """processing.json of a sorted asset in aind-data-schema 1 or 2."""
    outputs = {
        rec: {"total_units": total, "passing_qc": passing, "failing_qc": total - passing}
        for rec, (total, passing) in units.items()
    }
    if schema == 1:
        processes: list[dict[str, Any]] = [{"name": "Spike sorting", "parameters": {"sorter_name": sorter}}]
        processes += [
            {"name": "Ephys curation", "parameters": {"recording_name": rec}, "outputs": out}
            for rec, out in outputs.items()
        ]
        return as_json({"schema_version": "1.1.1", "processing_pipeline": {"data_processes": processes}})
    processes = [
        {"process_type": "Spike sorting", "name": "Spike sorting", "code": {"parameters": {"sorter_name": sorter}}}
    ]
    processes += [
        {"process_type": "Ephys curation", "name": f"Ephys curation - {rec}", "output_parameters": out}
        for rec, out in outputs.items()
    ]
    return as_json({"schema_version": "2.0.0", "data_processes": processes})


def stitched_files(channels: Iterable[str] = ("Ex_639_Em_667.zarr",), levels: int = 5) -> dict[str, bytes]:
    """Files of a stitched SmartSPIM asset that lacks nothing."""
    axes = [
        {"name": "X", "dimension": 2, "direction": "Left_to_right"},
        {"name": "Y", "dimension": 1, "direction": "Posterior_to_anterior"},
        {"name": "Z", "dimension": 0, "direction": "Superior_to_inferior"},
    ]
    pipeline = {"pipeline_version": "3.1.0", "data_processes": [{"name": "Image importing", "code_version": "0.0.33"}]}
    files = {
        "acquisition.json": as_json({"axes": axes}),
        "metadata.nd.json": as_json({"acquisition": {"axes": axes}}),
        "processing.json": as_json({"processing_pipeline": pipeline}),
    }
    for channel in channels:
        image = f"image_tile_fusing/OMEZarr/{channel}"
        files[f"{image}/.zattrs"] = as_json(zattrs(levels))
        for level in range(levels):
            shape = [1, 1, 4200 >> level, 6000 >> level, 5000 >> level]
            files[f"{image}/{level}/.zarray"] = as_json({"shape": shape, "zarr_format": 2})
        stem = channel.removesuffix(".zarr").removesuffix(".ome")
        for transform in ("0GenericAffine.mat", "1InverseWarp.nii.gz", "1Warp.nii.gz"):
            files[f"image_atlas_alignment/{stem}/ls_to_template_SyN_{transform}"] = b"x"
    return files


def zattrs(levels: int = 5) -> dict[str, Any]:
    """OME-Zarr 0.4 attributes: t, c, z, y, x at 2.0, 1.8, 1.8 um."""
    axes = [{"name": "t", "type": "time", "unit": "millisecond"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0, 1.0, 2.0 * 2**level, 1.8 * 2**level, 1.8 * 2**level]}
            ],
        }
        for level in range(levels)
    ]
    return {"multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets}]}
