"""The JSON files that describe an asset, in both generations of the data schema."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from core.atlas_frames import BREGMA_UM_ML_AP_DV
from core.sample.files import random_for
from core.sample.plan import SUBJECT, Insertion, RecordingPlan, SortingPlan
from core.sample.registration import ccf_um
from core.sample.tracks import surface_z_um, tip_um

Document = dict[str, Any]
_ECEPHYS = {"name": "Extracellular electrophysiology", "abbreviation": "ecephys"}
_AIM_ERROR_UM = 120.0
_SURFACE_Z_UM = 6150.0
"""Where the manipulators' z stands when a tip touches the brain."""


def _axes(*axes: tuple[str, str]) -> list[Document]:
    return [{"object_type": "Axis", "name": name, "direction": direction} for name, direction in axes]


_CCF_SYSTEM = {
    "object_type": "Atlas",
    "name": "CCF",
    "version": "3",
    "origin": "Origin",
    "axes": _axes(("AP", "Anterior_to_posterior"), ("SI", "Superior_to_inferior"), ("ML", "Left_to_right")),
    "axis_unit": "micrometer",
    "size": [1320, 800, 1140],
    "size_unit": "pixel",
    "resolution": [10, 10, 10],
    "resolution_unit": "micrometer",
}
_BREGMA_SYSTEM = {
    "object_type": "Coordinate system",
    "name": "BREGMA_ARID",
    "origin": "Bregma",
    "axes": _axes(
        ("AP", "Posterior_to_anterior"),
        ("ML", "Left_to_right"),
        ("SI", "Superior_to_inferior"),
        ("Depth", "Up_to_down"),
    ),
    "axis_unit": "millimeter",
}
_BORN = "2024-11-20"
_PERFUSED = "2025-03-28"


def raw_documents(recording: RecordingPlan) -> dict[str, Document]:
    """The metadata files of a raw recording: file name -> document."""
    common = {"subject.json": subject(recording.schema), "procedures.json": procedures(recording.schema)}
    description = data_description(recording.name, recording.schema, created=recording.start.isoformat())
    if recording.schema == 2:
        own = {"acquisition.json": _acquisition(recording), "instrument.json": _instrument(recording)}
    else:
        own = {"session.json": _session(recording), "rig.json": _rig(recording)}
    return {"data_description.json": description, **common, **own}


def subject(schema: int) -> Document:
    """The mouse."""
    mouse = {"sex": "Female", "date_of_birth": _BORN, "genotype": "wt/wt"}
    if schema == 2:
        details = {"object_type": "Mouse subject", "species": {"name": "Mus musculus"}, **mouse}
        return {
            "object_type": "Subject",
            "schema_version": "2.0.13",
            "subject_id": SUBJECT,
            "subject_details": details,
        }
    return {"schema_version": "1.0.3", "subject_id": SUBJECT, "species": {"name": "Mus musculus"}, **mouse}


def procedures(schema: int) -> Document:
    """What was done to the mouse besides the recordings."""
    steps = [
        {"procedure_type": "Headframe", "start_date": "2025-02-10"},
        {"procedure_type": "Perfusion", "start_date": _PERFUSED},
    ]
    versions = {1: "1.2.1", 2: "2.0.30"}
    return {"schema_version": versions[schema], "subject_id": SUBJECT, "subject_procedures": steps}


def data_description(
    name: str, schema: int, *, created: str, modality: Document | None = None, source: str = "", process: str = ""
) -> Document:
    """The asset's own description; `source` names the asset it was made from, `process` how."""
    level = "derived" if source else "raw"
    if schema == 2:
        return {
            "object_type": "Data description",
            "schema_version": "2.0.9",
            "name": name,
            "subject_id": SUBJECT,
            "creation_time": created,
            "data_level": level,
            "modalities": [modality or _ECEPHYS],
            **({"source_data": [source], "tags": [process]} if source else {}),
        }
    return {
        "schema_version": "1.0.4",
        "name": name,
        "subject_id": SUBJECT,
        "creation_time": created,
        "data_level": level,
        "platform": {"name": "Electrophysiology platform", "abbreviation": "ecephys"}
        if modality is None
        else {"name": "SmartSPIM platform", "abbreviation": "SmartSPIM"},
        "modality": [modality or _ECEPHYS],
        **({"input_data_name": source, "process_name": process} if source else {}),
    }


def sorting_processing(recording: RecordingPlan, sorting: SortingPlan, counts: dict[str, tuple[int, int]]) -> Document:
    """What the sorting pipeline did; `counts` is recording name in the pipeline -> (units, passing units)."""
    one_process = _process_2 if recording.schema == 2 else _process_1
    processes = []
    for name, (units, passing) in counts.items():
        totals = {"total_units": units, "passing_qc": passing, "failing_qc": units - passing}
        sorter = {"recording_name": name, "sorter_name": sorting.sorter}
        processes.append(one_process("Spike sorting", sorting, sorter, {"total_units": units}))
        processes.append(one_process("Ephys curation", sorting, {"recording_name": name}, totals))
    if recording.schema == 2:
        return {"object_type": "Processing", "schema_version": "2.0.14", "data_processes": processes}
    pipeline = {"data_processes": processes, "processor_full_name": "Sample", "pipeline_version": "1.0.0"}
    return {"schema_version": "1.1.4", "processing_pipeline": pipeline, "analyses": []}


def _process_1(kind: str, sorting: SortingPlan, parameters: Document, outputs: Document) -> Document:
    return {
        "name": kind,
        "software_version": sorting.version,
        "start_date_time": sorting.created,
        "end_date_time": sorting.created,
        "input_location": "../data",
        "output_location": "../results",
        "code_url": "",
        "parameters": parameters,
        "outputs": outputs,
    }


def _process_2(kind: str, sorting: SortingPlan, parameters: Document, outputs: Document) -> Document:
    return {
        "object_type": "Data process",
        "process_type": kind,
        "name": f"{kind} - {parameters['recording_name']}",
        "stage": "Processing",
        "code": {"url": "", "version": sorting.version, "parameters": parameters},
        "start_date_time": sorting.created,
        "end_date_time": sorting.created,
        "output_parameters": outputs,
    }


def _session(recording: RecordingPlan) -> Document:
    end = recording.start + timedelta(seconds=recording.seconds)
    modules = [
        {
            "assembly_name": _assembly(insertion),
            "arc_angle": insertion.arc_deg,
            "module_angle": insertion.module_deg,
            "rotation_angle": 0.0,
            "angle_unit": "degrees",
            "primary_targeted_structure": {"acronym": insertion.acronym, "name": insertion.structure},
            "other_targeted_structure": None,
            "targeted_ccf_coordinates": [
                {**_target_ccf_um(recording, insertion), "unit": "micrometer", "ccf_version": "CCFv3"}
            ],
            "manipulator_coordinates": {**_manipulator_um(insertion), "unit": "micrometer"},
            "surface_z": _SURFACE_Z_UM,
            "surface_z_unit": "micrometer",
            "notes": None,
        }
        for insertion in recording.insertions
    ]
    stream = {
        "stream_start_time": recording.start.isoformat(),
        "stream_end_time": end.isoformat(),
        "stream_modalities": [_ECEPHYS],
        "ephys_modules": modules,
        "stick_microscopes": [],
        "notes": recording.notes or None,
    }
    return {
        "schema_version": "1.0.3",
        "subject_id": SUBJECT,
        "session_start_time": recording.start.isoformat(),
        "session_end_time": end.isoformat(),
        "session_type": "Surface finding" if recording.first_row else "Ecephys",
        "rig_id": "sample_rig_1_2025-02-01",
        "data_streams": [stream],
        "notes": recording.notes or None,
    }


def _rig(recording: RecordingPlan) -> Document:
    assemblies = [
        {
            "name": _assembly(insertion),
            "manipulator": {"name": f"Manipulator {number}", "serial_number": f"4688{number}"},
            "probes": [
                {"name": insertion.probe, "serial_number": insertion.serial, "probe_model": insertion.kind.device}
            ],
        }
        for number, insertion in enumerate(recording.insertions, start=1)
    ]
    return {"schema_version": "1.0.3", "rig_id": "sample_rig_1_2025-02-01", "ephys_assemblies": assemblies}


def _acquisition(recording: RecordingPlan) -> Document:
    end = recording.start + timedelta(seconds=recording.seconds)
    configurations = [
        {
            "object_type": "Ephys assembly config",
            "device_name": _assembly(insertion),
            "manipulator": {
                "object_type": "Manipulator config",
                "device_name": f"Manipulator {number}",
                "coordinate_system": {"object_type": "Coordinate system", "name": "MPM_MANIP_XYZ"},
                "local_axis_positions": {
                    "object_type": "Translation",
                    "translation": list(_manipulator_um(insertion).values()),
                },
            },
            "probes": [
                {
                    "object_type": "Probe config",
                    "device_name": insertion.probe,
                    "primary_targeted_structure": {
                        "atlas": "CCFv3",
                        "acronym": insertion.acronym,
                        "name": insertion.structure,
                    },
                    "other_targeted_structure": None,
                    "atlas_coordinate": {
                        "object_type": "Atlas coordinate",
                        "coordinate_system": _CCF_SYSTEM,
                        "translation": [_target_ccf_um(recording, insertion)[axis] for axis in ("ap", "dv", "ml")],
                    },
                    "coordinate_system": _BREGMA_SYSTEM,
                    "transform": [
                        {
                            "object_type": "Translation",
                            "translation": [*_entry_bregma_mm(insertion), insertion.length_um / 1e3],
                        }
                    ],
                    "notes": None,
                }
            ],
            "modules": [{"arc_angle": insertion.arc_deg, "module_angle": insertion.module_deg, "rotation_angle": 0.0}],
        }
        for number, insertion in enumerate(recording.insertions, start=1)
    ]
    stream = {
        "object_type": "Data stream",
        "stream_start_time": recording.start.isoformat(),
        "stream_end_time": end.isoformat(),
        "modalities": [_ECEPHYS],
        "active_devices": [_assembly(insertion) for insertion in recording.insertions],
        "configurations": configurations,
        "notes": recording.notes or None,
    }
    return {
        "object_type": "Acquisition",
        "schema_version": "2.0.35",
        "subject_id": SUBJECT,
        "acquisition_start_time": recording.start.isoformat(),
        "acquisition_end_time": end.isoformat(),
        "acquisition_type": "Ecephys",
        "instrument_id": "sample_rig_2",
        "coordinate_system": _BREGMA_SYSTEM,
        "data_streams": [stream],
    }


def _instrument(recording: RecordingPlan) -> Document:
    components = [
        {
            "object_type": "Ephys assembly",
            "name": _assembly(insertion),
            "manipulator": {"object_type": "Manipulator", "name": f"Manipulator {number}"},
            "probes": [
                {
                    "object_type": "Ephys probe",
                    "name": insertion.probe,
                    "serial_number": insertion.serial,
                    "probe_model": insertion.kind.device,
                }
            ],
        }
        for number, insertion in enumerate(recording.insertions, start=1)
    ]
    return {
        "object_type": "Instrument",
        "schema_version": "2.0.33",
        "instrument_id": "sample_rig_2",
        "components": components,
    }


def _assembly(insertion: Insertion) -> str:
    return f"Assembly {insertion.probe.removeprefix('Probe')}"


def _target_ccf_um(recording: RecordingPlan, insertion: Insertion) -> dict[str, float]:
    """Where the tip was meant to be, in the atlas: it came to lie a little beside that."""
    missed = random_for(0, "aim", recording.start.date(), insertion.probe).normal(0.0, _AIM_ERROR_UM, 3)
    ml, ap, dv = ccf_um(tip_um(insertion))[0] + missed
    return {"ml": round(float(ml), -1), "ap": round(float(ap), -1), "dv": round(float(dv), -1)}


def _entry_bregma_mm(insertion: Insertion) -> list[float]:
    """Where shank 0 meets the brain's surface, mm from bregma towards front, right and down."""
    x, y = insertion.entry_um_xy
    ml, ap, dv = (ccf_um(np.array([[x, y, surface_z_um(x, y)]]))[0] - BREGMA_UM_ML_AP_DV) / 1e3
    return [round(float(value), 3) for value in (-ap, ml, dv)]


def _manipulator_um(insertion: Insertion) -> dict[str, float]:
    x, y = insertion.entry_um_xy
    return {"x": round(x + 1840.0, 1), "y": round(y - 920.0, 1), "z": round(_SURFACE_Z_UM + insertion.length_um, 1)}
