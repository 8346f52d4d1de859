"""What session.json (aind-data-schema 1) or acquisition.json (2) says of a recording: targets, angles, length, notes.

Names of assemblies and devices are the rig's, not the streams'. rig.json (1) or instrument.json (2) gives their probes'
serial numbers, and by these alone a target is brought to a stream of another name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from core.loose_json import number_of, object_of, objects, text_of
from core.models import Probe, Target

_UM = {"micrometer": 1.0, "um": 1.0, "millimeter": 1e3, "mm": 1e3, "centimeter": 1e4, "meter": 1e6}
_CCF_SIZE_UM = {"ml": 11_400.0, "ap": 13_200.0, "dv": 8_000.0}
_CCF_AXES = {"left_to_right": "ml", "anterior_to_posterior": "ap", "superior_to_inferior": "dv"}
_CCF_BY_NAME = ("ap", "dv", "ml")
"""The order of the atlas' own axes, for files that name the atlas and not its axes."""
_FACE_UM = 300.0
"""No aim lies as near to a face of the atlas' volume: numbers never filled in do, and mm taken for um."""
_PLACEHOLDER_UM = 100.0
"""Nobody inserts a probe by less: files that were never filled in hold 0 or 1."""
_ANGLES = {"arc": "arc_angle", "module": "module_angle", "rotation": "rotation_angle"}


class _Aim(NamedTuple):
    """What a file tells of an aim in the atlas."""

    um_mlapdv: tuple[float, float, float] | None = None
    refused: str = ""


_NO_AIM = _Aim()


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the file tells that helps a person to check a mapping."""

    subject: str = ""
    targets: tuple[Target, ...] = ()
    duration_s: float | None = None
    """From the first ephys stream's start to the last one's end; of the whole session when streams have no times."""
    notes: tuple[str, ...] = ()
    """Every note of the session and its streams, as written."""
    file: str = ""
    """The file's name; "" when there is none."""


def read_session_facts(document: Mapping[str, Any], file: str = "") -> SessionFacts:
    """Read a parsed session.json or acquisition.json. What is missing or of another kind is left out."""
    streams = objects(document.get("data_streams"))
    targets = [target for stream in streams for target in _targets(stream)]
    return SessionFacts(
        subject=text_of(document.get("subject_id")),
        targets=tuple(targets),
        duration_s=_duration_s(document, streams),
        notes=tuple(dict.fromkeys(note for note in map(text_of, _notes(document, streams)) if note)),
        file=file,
    )


def read_rig_serials(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """Name of an ephys assembly or a probe -> serial numbers, from a parsed rig.json or instrument.json."""
    serials: dict[str, set[str]] = {}
    for assembly in (*objects(document.get("ephys_assemblies")), *objects(document.get("components"))):
        title = text_of(assembly.get("name")) or text_of(assembly.get("ephys_assembly_name"))
        for probe in objects(assembly.get("probes")):
            if serial := text_of(probe.get("serial_number")):
                for name in (title, text_of(probe.get("name"))):
                    serials.setdefault(name, set()).add(serial)
    return serials


def on_streams(
    targets: Iterable[Target], probes: Iterable[Probe], serials: Mapping[str, set[str]]
) -> tuple[Target, ...]:
    """Targets named by the stream of their probe, where the rig's serial numbers say which; the others unchanged.

    An assembly of several probes, or a quad-base probe, gives one target per stream.
    """
    known = {probe.name: probe.serial for probe in probes}
    found: list[Target] = []
    for target in targets:
        wanted = serials.get(target.probe, set())
        streams = [name for name, serial in known.items() if serial and serial in wanted]
        same = target.probe in known or not streams
        found += [target] if same else [replace(target, probe=stream) for stream in streams]
    return tuple(found)


def _targets(stream: Mapping[str, Any]) -> Iterator[Target]:
    for module in objects(stream.get("ephys_modules")):
        yield from _targets_v1(module)
    for configuration in objects(stream.get("configurations")):
        if "probes" in configuration or "manipulator" in configuration:
            yield from _targets_v2(configuration)


def _targets_v1(module: Mapping[str, Any]) -> Iterator[Target]:
    coordinates = object_of(module.get("manipulator_coordinates"))
    axes = {axis: value for axis in ("x", "y", "z") if (value := number_of(coordinates.get(axis))) is not None}
    names = [text_of(probe.get("name")) for probe in objects(module.get("ephys_probes"))]
    aim = _aim_v1(module)
    for name in [name for name in names if name] or [text_of(module.get("assembly_name"))]:
        yield Target(
            probe=name,
            structure=_structure(module.get("primary_targeted_structure")),
            angles_deg=_angles_deg(module),
            manipulator_um=_in_um(axes, coordinates.get("unit")),
            notes=text_of(module.get("notes")),
            ccf_um_mlapdv=aim.um_mlapdv,
            depth_um=_depth_v1(module, axes, coordinates.get("unit")),
            aim_refused=aim.refused,
        )


def _targets_v2(configuration: Mapping[str, Any]) -> Iterator[Target]:
    manipulator = object_of(configuration.get("manipulator"))
    system = object_of(manipulator.get("coordinate_system"))
    position = object_of(manipulator.get("local_axis_positions")).get("translation")
    values = [number_of(value) for value in position] if isinstance(position, list) else []
    named = [text_of(axis.get("name")) for axis in objects(system.get("axes"))]
    names = named if len(named) == len(values) and all(named) else ["x", "y", "z", "depth"]
    axes = {name.lower(): value for name, value in zip(names, values, strict=False) if value is not None}
    module = next(iter(objects(configuration.get("modules"))), {})
    for probe in objects(configuration.get("probes")):
        aim = _aim_v2(object_of(probe.get("atlas_coordinate")))
        yield Target(
            probe=text_of(probe.get("device_name")) or text_of(configuration.get("device_name")),
            structure=_structure(probe.get("primary_targeted_structure")),
            angles_deg=_angles_deg(module),
            manipulator_um=_in_um(axes, system.get("axis_unit")),
            notes=text_of(probe.get("notes")),
            ccf_um_mlapdv=aim.um_mlapdv,
            depth_um=_depth_v2(probe),
            aim_refused=aim.refused,
        )


def _aim_v1(module: Mapping[str, Any]) -> _Aim:
    """The last of the targeted coordinates that can be one: later ones correct or refine the first."""
    refused = _NO_AIM
    for coordinates in reversed(objects(module.get("targeted_ccf_coordinates"))):
        axes = {axis: value for axis in _CCF_SIZE_UM if (value := number_of(coordinates.get(axis))) is not None}
        aim = _in_ccf(_in_um(axes, coordinates.get("unit")))
        if aim.um_mlapdv is not None:
            return aim
        refused = refused if refused.refused else aim
    return refused


def _aim_v2(coordinate: Mapping[str, Any]) -> _Aim:
    system = object_of(coordinate.get("coordinate_system"))
    name = text_of(system.get("name")) or text_of(coordinate.get("coordinate_system_name"))
    position = coordinate.get("translation")
    values = [number_of(value) for value in position] if isinstance(position, list) else []
    axes = [_CCF_AXES.get(text_of(axis.get("direction")).lower(), "") for axis in objects(system.get("axes"))]
    axes = axes or list(_CCF_BY_NAME)
    if not name.upper().startswith("CCF") or text_of(system.get("origin")) not in ("", "Origin"):
        return _NO_AIM  # the same numbers mean another place, e.g. from bregma
    if len(values) != len(axes):
        return _NO_AIM
    told = {axis: value for axis, value in zip(axes, values, strict=True) if value is not None}
    return _in_ccf(_in_um(told, system.get("axis_unit")))


def _in_ccf(axes_um: Mapping[str, float]) -> _Aim:
    """An aim when all axes are there and can lie in a brain; else it was meant in another frame, or not at all."""
    if axes_um.keys() != _CCF_SIZE_UM.keys():
        return _NO_AIM
    if any(not _FACE_UM <= value <= _CCF_SIZE_UM[axis] - _FACE_UM for axis, value in axes_um.items()):
        return _Aim(refused=", ".join(f"{axis.upper()} {axes_um[axis]:,.6g} um" for axis in _CCF_SIZE_UM))
    return _Aim((axes_um["ml"], axes_um["ap"], axes_um["dv"]))


def _depth_v1(module: Mapping[str, Any], axes: Mapping[str, float], unit: object) -> float | None:
    """How far the manipulator's z is from where it was at the brain's surface."""
    surface = number_of(module.get("surface_z"))
    if surface is None or "z" not in axes:
        return None
    at_surface = _in_um({"z": surface}, module.get("surface_z_unit") or unit)
    now = _in_um({"z": axes["z"]}, unit)
    return _real_depth(abs(now["z"] - at_surface["z"])) if now and at_surface else None


def _depth_v2(probe: Mapping[str, Any]) -> float | None:
    """The depth axis of the probe's own coordinates: how far it went on along itself from its place of entry."""
    system = object_of(probe.get("coordinate_system"))
    names = [text_of(axis.get("name")).lower() for axis in objects(system.get("axes"))]
    for step in objects(probe.get("transform")):
        position = step.get("translation")
        if isinstance(position, list) and len(position) == len(names) and "depth" in names:
            depth = number_of(position[names.index("depth")])
            depth_um = {} if depth is None else _in_um({"depth": abs(depth)}, system.get("axis_unit"))
            return _real_depth(depth_um["depth"]) if depth_um else None
    return None


def _real_depth(depth_um: float) -> float | None:
    return depth_um if depth_um >= _PLACEHOLDER_UM else None


def _structure(value: object) -> str:
    """A brain structure's acronym, else its name; files of different years hold text or an object."""
    if isinstance(value, dict):
        return text_of(value.get("acronym")) or text_of(value.get("name"))
    return text_of(value)


def _angles_deg(module: Mapping[str, Any]) -> dict[str, float]:
    factor = 180 / math.pi if text_of(module.get("angle_unit")).lower().startswith("radian") else 1.0
    angles = {name: number_of(module.get(key)) for name, key in _ANGLES.items()}
    return {name: angle * factor for name, angle in angles.items() if angle is not None}


def _in_um(axes: Mapping[str, float], unit: object) -> dict[str, float]:
    """Coordinates in um; none when the unit is named and unknown, for a wrong number is worse than none."""
    factor = _UM.get(text_of(unit).lower() or "micrometer")
    return {} if factor is None else {axis: value * factor for axis, value in axes.items()}


def _duration_s(document: Mapping[str, Any], streams: object) -> float | None:
    ephys = [stream for stream in objects(streams) if _is_ephys(stream)]
    starts = [_time(stream.get("stream_start_time")) for stream in ephys]
    ends = [_time(stream.get("stream_end_time")) for stream in ephys]
    if not ephys or None in starts or None in ends:
        starts = [_time(document.get("session_start_time") or document.get("acquisition_start_time"))]
        ends = [_time(document.get("session_end_time") or document.get("acquisition_end_time"))]
    try:
        seconds = (max(end for end in ends if end) - min(start for start in starts if start)).total_seconds()
    except (ValueError, TypeError):  # a time is missing, or one has a zone and the other has none
        return None
    return seconds if seconds > 0 else None


def _is_ephys(stream: Mapping[str, Any]) -> bool:
    modalities = [*objects(stream.get("stream_modalities")), *objects(stream.get("modalities"))]
    words = [text_of(modality.get("abbreviation")).lower() for modality in modalities]
    return "ecephys" in words or bool(objects(stream.get("ephys_modules")))


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text_of(value))
    except ValueError:
        return None


def _notes(document: Mapping[str, Any], streams: object) -> Iterator[object]:
    yield document.get("notes")
    for stream in objects(streams):
        yield stream.get("notes")
        for part in [*objects(stream.get("ephys_modules")), *objects(stream.get("configurations"))]:
            yield part.get("notes")
            for probe in objects(part.get("probes")):
                yield probe.get("notes")
