"""A sorted asset: what the spike sorting pipeline leaves of a recording when it works, and when it does not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from core.sample.files import random_for, write_bytes, write_group, write_json, write_small_array
from core.sample.metadata import data_description, raw_documents, sorting_processing
from core.sample.plan import RECORD_NODE, Insertion, RecordingPlan, Sizes, SortingPlan

_TIP_TO_FIRST_CONTACT_UM = 206.0

_STARTED = """N E X T F L O W  ~  version 24.10.4
Launching the sorting pipeline for {recording}
executor >  local ({jobs})
[1f/0c22aa] process > job_dispatch            [100%] 1 of 1
[8b/91d3e0] process > preprocessing           [100%] {jobs} of {jobs}
"""
_SUCCEEDED = """[d4/5e7f10] process > spike_sorting ({sorter}) [100%] {jobs} of {jobs}
[60/a2b9c4] process > postprocessing          [100%] {jobs} of {jobs}
[77/03f6de] process > curation                [100%] {jobs} of {jobs}
[2e/d81b35] process > results_collector       [100%] 1 of 1
Succeeded   : {total}
"""
_FAILED = """[d4/5e7f10] process > spike_sorting ({sorter}) [  0%] 0 of {jobs}
ERROR ~ Error executing process > 'spike_sorting ({sorter})'

Caused by:
  Essential container in task exited

Command exit status:
  1

Command error:
  Traceback (most recent call last):
    File "run_capsule.py", line 214, in <module>
      sorting = run_sorter(recording)
    File "sorter.py", line 97, in run_sorter
      drift = estimate_drift(batch.to("cuda"))
  RuntimeError: CUDA out of memory.
  The CUDA error was: tried to allocate 3.4 GiB, 1.1 GiB free

WARN: Killing running tasks (1)
"""


def write_sorting(asset: Path, recording: RecordingPlan, sorting: SortingPlan, *, seed: int, sizes: Sizes) -> None:
    """Write a sorted asset; a failed one has its log and the raw asset's metadata, and nothing else."""
    documents = raw_documents(recording)
    documents["data_description.json"] = data_description(
        sorting.name, recording.schema, created=sorting.created, source=recording.name, process="sorted"
    )
    groups = [(i, stream, group) for i in recording.insertions for stream, group in _sorted_groups(i)]
    words = {
        "recording": recording.name,
        "sorter": sorting.sorter,
        "jobs": len(groups),
        "total": 3 * len(groups) + 2,
    }
    log = _STARTED + (_FAILED if sorting.failed else _SUCCEEDED)
    write_bytes(asset / "output", log.format(**words).encode())
    counts = {}
    if not sorting.failed:
        for insertion, stream, group in groups:
            name = f"experiment1_{RECORD_NODE}#Neuropix-PXI-100.{stream}_recording1"
            name += "" if group is None else f"_group{group}"
            shank = insertion.tokens.index(stream) if insertion.kind.split else group or 0
            counts[name] = _write_units(asset, name, insertion, shank, sorting, seed=seed, sizes=sizes)
        documents["processing.json"] = sorting_processing(recording, sorting, counts)
        write_json(asset / "visualization_output.json", {name: {} for name in counts})
    for file_name, document in documents.items():
        write_json(asset / file_name, document)


def _sorted_groups(insertion: Insertion) -> list[tuple[str, int | None]]:
    """Sorted streams: the LFP is not sorted, several shanks in one stream are sorted apart."""
    stream = insertion.streams[0]
    if insertion.kind.split:
        return [(token, None) for token in insertion.tokens]
    if insertion.kind.shanks > 1:
        return [(stream, shank) for shank in range(insertion.kind.shanks)]
    return [(stream, None)]


def _write_units(
    asset: Path, name: str, insertion: Insertion, shank: int, sorting: SortingPlan, *, seed: int, sizes: Sizes
) -> tuple[int, int]:
    """Write the units of one stream or shank; returns how many there are and how many pass."""
    rng = random_for(seed, sorting.name, name)
    spread = sizes.units_per_stream // 4
    units = sizes.units_per_stream + int(rng.integers(-spread, spread + 1))
    span = 3820.0 if insertion.kind.lfp else 705.0 if insertion.kind.shanks > 1 and not insertion.kind.split else 2865.0
    highest = min(span, insertion.length_um - _TIP_TO_FIRST_CONTACT_UM)
    locations = np.column_stack(
        [
            rng.normal(250.0 * shank + 24.0, 12.0, units),
            np.sort(rng.uniform(0.0, highest, units)),
            rng.gamma(3.0, 12.0, units),
        ]
    )
    passing = rng.random(units) < 0.58
    unit_ids = np.arange(units, dtype=np.int64)
    analyzer = asset / "postprocessed" / f"{name}.zarr"
    write_group(analyzer, {"spikeinterface_info": {"version": "0.102.1", "object": "SortingAnalyzer"}})
    write_group(analyzer / "sorting", {"num_segments": 1, "sampling_frequency": 30000.0})
    write_small_array(analyzer / "sorting" / "unit_ids", unit_ids)
    write_group(analyzer / "extensions")
    write_group(analyzer / "extensions" / "unit_locations", {"params": {"method": "monopolar_triangulation"}})
    write_small_array(analyzer / "extensions" / "unit_locations" / "unit_locations", locations)
    curated = asset / "curated" / name
    write_json(curated / "numpysorting_info.json", {"unit_ids": unit_ids.tolist(), "sampling_frequency": 30000.0})
    buffer = io.BytesIO()
    np.save(buffer, passing)
    write_bytes(curated / "properties" / "default_qc.npy", buffer.getvalue())
    return units, int(passing.sum())
