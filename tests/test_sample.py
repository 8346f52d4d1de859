"""The sample mouse: whole, small, the same for the same seed, and true to its own manifests."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from numcodecs import Blosc
from probeinterface.neuropixels_tools import read_openephys_neuropixels

from core.errors import InputError
from core.geometry import image_bounds_ras_um, image_frame, level0_to_image_ras_um, principal_line, track_length_um
from core.models import LayerKind
from core.neuroglancer import read_state
from core.sample import Sizes, write_sample

SMALL = Sizes(units_per_stream=8, points_per_track=(8, 12), image_levels=(5,))


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "mouse"
    return write_sample(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small sample that nobody changes."""
    folder = tmp_path_factory.mktemp("small") / "mouse"
    write_sample(folder, sizes=SMALL)
    return folder


@pytest.fixture
def copied(small, tmp_path):
    """A small sample of one's own."""
    return shutil.copytree(small, tmp_path / "mouse")


@pytest.fixture(scope="module")
def states(sample):
    return [read_state(state.path.read_bytes(), stem=state.path.stem) for state in sample.states]


@pytest.fixture(scope="module")
def stitched(sample):
    return next(path for path in (sample.library / "assets").glob("SmartSPIM*_stitched_*") if path.is_dir())


@pytest.fixture(scope="module")
def frame(stitched):
    image = next((stitched / "image_tile_fusing" / "OMEZarr").glob("Ex_639*.zarr"))
    shape = json.loads((image / "0" / ".zarray").read_text())["shape"]
    acquisition = json.loads((stitched / "acquisition.json").read_text())
    return image_frame(json.loads((image / ".zattrs").read_text()), shape[2:], acquisition)


# --- writing ----------------------------------------------------------------------------------


def test_same_seed_and_sizes_give_the_same_bytes_in_another_process(tmp_path, small):
    there = tmp_path / "there"
    code = (
        "import sys; from pathlib import Path; from core.sample import Sizes, write_sample\n"
        "sizes = Sizes(units_per_stream=8, points_per_track=(8, 12), image_levels=(5,))\n"
        "write_sample(Path(sys.argv[1]), sizes=sizes)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo"}
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, str(there)], check=True, cwd=root, env=environment, timeout=120)
    assert tree_hash(small) == tree_hash(there)


def test_size_stays_small(sample):
    files = [path for path in sample.library.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60_000_000


def test_a_whole_sample_is_kept(copied):
    kept = next(copied.rglob("settings.xml"))
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    summary = write_sample(copied, sizes=SMALL)
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before
    assert summary.library == copied / "library"
    assert all(state.path.is_file() for state in summary.states)


def test_another_seed_replaces_the_samples_own_files_only(small, copied):
    result = copied / "library" / "assets" / "a_captured_result" / "coverage.json"
    result.parent.mkdir()
    result.write_text("{}")
    other = write_sample(copied, seed=2, sizes=SMALL)
    assert result.read_text() == "{}"
    shutil.rmtree(result.parent)
    assert tree_hash(copied) != tree_hash(small)
    assert [state.path.is_file() for state in other.states] == [True] * 3
    write_sample(copied, sizes=SMALL)
    assert tree_hash(copied) == tree_hash(small)


def test_what_a_larger_sample_had_besides_is_removed(tmp_path, small):
    folder = tmp_path / "mouse"
    write_sample(folder, sizes=Sizes(4, (4, 5), (5,), extra_recordings=1))
    write_sample(folder, sizes=SMALL)
    assert tree_hash(folder) == tree_hash(small)


@pytest.mark.parametrize("harm", ["an asset is gone", "it was interrupted", "a writer was killed"])
def test_a_half_written_sample_is_replaced(tmp_path, small, copied, harm):
    if harm == "an asset is gone":
        shutil.rmtree(next((copied / "library" / "assets").glob("*_sorted_*13_02-41-15")))
    elif harm == "it was interrupted":
        marker = copied / ".trackmapper-sample.json"
        marker.write_text(marker.read_text().replace('"complete": true', '"complete": false'))
        next((copied / "library" / "states").glob("*/*.json")).unlink()
    else:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        copied.rename(tmp_path / f".mouse.partial-{gone.pid}")
    write_sample(copied, sizes=SMALL)
    assert tree_hash(copied) == tree_hash(small)
    assert [path.name for path in tmp_path.iterdir()] == ["mouse"]


def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no sample"):
        write_sample(tmp_path, sizes=SMALL)
    assert (tmp_path / "library" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library"]


def test_a_marker_that_points_elsewhere_is_refused(tmp_path, copied):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    marker = copied / ".trackmapper-sample.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "seed": 9, "items": ["library/../../mine.txt"]}))
    with pytest.raises(InputError, match="holds no sample"):
        write_sample(copied, sizes=SMALL)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    "sizes",
    [Sizes(units_per_stream=0), Sizes(points_per_track=(9, 8)), Sizes(image_levels=(6,)), Sizes(extra_recordings=-1)],
)
def test_sizes_that_make_no_sense_are_refused(tmp_path, sizes):
    with pytest.raises(InputError, match="no size"):
        write_sample(tmp_path / "mouse", sizes=sizes)
    assert list(tmp_path.iterdir()) == []


# --- files ------------------------------------------------------------------------------------


def test_every_json_parses_and_names_and_ids_are_unique(sample):
    paths = [path for path in sample.library.rglob("*") if path.suffix in (".json", ".oebin") or path.name == ".zarray"]
    assert all(isinstance(json.loads(path.read_bytes()), dict) for path in paths)
    assets = sample.library / "assets"
    sidecars = [json.loads(path.read_bytes()) for path in sorted(assets.glob("*.json"))]
    assert sorted(sidecar["name"] for sidecar in sidecars) == sorted(p.name for p in assets.iterdir() if p.is_dir())
    ids = {sidecar["id"] for sidecar in sidecars}
    assert len(ids) == len(sidecars)
    made_from = {source for sidecar in sidecars for source in sidecar["provenance"]["data_assets"]}
    assert made_from <= ids
    derived = [sidecar for sidecar in sidecars if "_sorted_" in sidecar["name"] or "_stitched_" in sidecar["name"]]
    assert all(len(sidecar["provenance"]["data_assets"]) == 1 for sidecar in derived)


def test_open_ephys_files_are_read_by_probeinterface(sample):
    seen = {}
    for settings in sample.library.rglob("settings.xml"):
        root = ET.fromstring(settings.read_bytes())
        for stream in root.findall(".//PROCESSOR[@name='Neuropix-PXI']/STREAM"):
            name = stream.attrib["name"]
            if not name.endswith("-LFP"):
                probe = read_openephys_neuropixels(settings, stream_name=f"Record Node 104#Neuropix-PXI-100.{name}")
                seen[root.findtext("INFO/VERSION"), name] = probe.get_contact_count(), probe.get_shank_count()
    assert seen["0.6.6", "ProbeB"] == (384, 4)
    assert seen["0.6.6", "ProbeA-AP"] == (384, 1)
    assert seen["1.0.0", "ProbeC"] == (384, 1)
    assert {name for version, name in seen if name.startswith("45883-")} == {f"45883-{n}" for n in (1, 2, 3, 4)}
    clipped = list(sample.library.rglob("settings.xml"))
    assert len(clipped) == len(list(sample.library.rglob("ecephys_clipped/*/*/*/structure.oebin"))) == 5


def test_compressed_chunks_decode_to_the_declared_shape(sample):
    arrays = [path.parent for path in sample.library.rglob(".zarray")]
    held = 0
    for array in arrays:
        meta = json.loads((array / ".zarray").read_bytes())
        assert meta["zarr_format"] == 2
        codec = Blosc.from_config({key: value for key, value in meta["compressor"].items() if key != "id"})
        for chunk in (path for path in array.rglob("*") if path.is_file() and path.name != ".zarray"):
            held += 1
            elements = np.frombuffer(codec.decode(chunk.read_bytes()), dtype=meta["dtype"])
            assert elements.size == np.prod(meta["chunks"])
            index = str(chunk.relative_to(array)).split(meta["dimension_separator"])
            assert len(index) == len(meta["shape"])
    assert held > 50


def test_the_brain_has_tissue_dye_and_a_registration(stitched, frame):
    images = stitched / "image_tile_fusing" / "OMEZarr"
    assert frame.levels == 6
    assert frame.assumed == ""
    extent_mm = np.array(frame.shape_level0_zyx)[::-1] * frame.scale_level0_um_xyz / 1000.0
    assert extent_mm == pytest.approx([11.0, 13.0, 8.0], abs=0.05)
    for image in images.iterdir():
        values = np.frombuffer(Blosc().decode((image / "5" / "0" / "0" / "0" / "0" / "0").read_bytes()), "<u2")
        assert values.max() > 300
        assert (values == 0).mean() > 0.1
    registration = next((stitched / "image_atlas_alignment").iterdir())
    assert (images / f"{registration.name}.zarr").is_dir()
    affine = scipy.io.loadmat(registration / "ls_to_template_SyN_0GenericAffine.mat")
    assert affine["AffineTransform_double_3_3"].shape == (12, 1)
    assert affine["fixed"].shape == (3, 1)
    processing = json.loads((stitched / "processing.json").read_bytes())["processing_pipeline"]
    assert processing["pipeline_version"].startswith("3.")
    assert [process["name"] for process in processing["data_processes"]] == ["Image importing", "Image atlas alignment"]


# --- states -----------------------------------------------------------------------------------


def test_states_hold_what_their_notes_say(states):
    whole, one_day, faulty = states
    assert len(whole.tracks) == 13
    assert {layer.name: layer.kind for layer in whole.layers if layer.kind is not LayerKind.TRACK} == {
        "B_0312_old": LayerKind.ARCHIVED,
        "landmarks": LayerKind.LANDMARKS,
    }
    assert len(whole.images) == 2
    assert len(one_day.tracks) == 5
    assert [state.subject for state in states] == ["700001"] * 3
    assert faulty.images[0].source_is_list
    assert any(layer.kind is LayerKind.EMPTY for layer in faulty.layers)
    assert sum(len(layer.problems) > 0 for layer in faulty.layers) >= 2


def test_tracks_lie_inside_the_image_and_are_lines_of_a_probes_length(states, frame):
    low, high = image_bounds_ras_um(frame)
    for layer in (*states[0].tracks, *states[1].tracks):
        assert [layer.scale_um(axis) for axis in "xyz"] == pytest.approx(frame.scale_level0_um_xyz)
        points = level0_to_image_ras_um(layer.points_level0_zyx, frame)
        assert 20 <= len(points) <= 40
        assert ((points > low) & (points < high)).all()
        assert 2000.0 < track_length_um(points) < 5000.0
        line = principal_line(points)
        assert 5.0 < line.residual_rms_um < 60.0
        assert line.explained > 0.99


@pytest.mark.parametrize(
    ("state", "shanks"),
    [(0, [f"B_0312_shank{n}" for n in (1, 2, 3, 4)]), (0, [f"45883-{n}" for n in (1, 2, 3, 4)]),
     (1, [f"20250312_ProbeB_Shank{n}" for n in (1, 2, 3, 4)])],
)  # fmt: skip
def test_shanks_of_a_probe_are_250_um_apart_parallel_and_in_order(states, frame, state, shanks):
    layers = {layer.name: layer for layer in states[state].tracks}
    lines = [principal_line(level0_to_image_ras_um(layers[name].points_level0_zyx, frame)) for name in shanks]
    direction = lines[0].direction
    for one, other in itertools.pairwise(lines):
        apart = other.centre_um - one.centre_um
        across = apart - (apart @ direction) * direction
        assert np.linalg.norm(across) == pytest.approx(250.0, abs=25.0)
        assert np.degrees(np.arccos(min(1.0, one.direction @ other.direction))) < 2.0
    outer = lines[-1].centre_um - lines[0].centre_um
    assert np.linalg.norm(outer - (outer @ direction) * direction) == pytest.approx(750.0, abs=30.0)
