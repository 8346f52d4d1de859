"""The way into the atlas from a registration's own files: read once, bounded, and its absence costs nothing else."""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import builders as b
import numpy as np
import pytest
import scipy.io

from core.atlas_files import REGISTRATION_AFFINE, TEMPLATE, TEMPLATE_AFFINE, FoundAtlas, find_atlas
from core.atlas_frames import ccf_um_to_points, points_to_ccf_um
from core.errors import UnavailableError
from core.manifest import mapping_from_rows, read_csv, write_csv
from core.manifest.rows import ManifestRow
from core.models import Problem, State, Subject
from core.neuroglancer import read_state
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.reader import CodeOceanReader
from core.platforms.local import LocalLibrary
from core.recent import Recent
from core.sample import Sizes, write_sample
from core.sample.plan import STITCHED
from core.sample.registration import ccf_um
from core.sample.tracks import BRAIN_CENTRE_UM, to_level0_zyx
from core.settings import Settings
from core.subjects import gather_subject
from core.suggestions import suggest
from dashboard import commands
from dashboard.context import Context
from dashboard.opening import Given, check_rows, open_state
from dashboard.state import Session
from jobs.store import JobStore
from tests.fake_library import FakeLibrary, as_json, stitched_files, zattrs
from tests.light_s3 import served_with_clients

NOW = datetime(2025, 6, 10, tzinfo=UTC)
NAME = "SmartSPIM_717381_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47"
IMAGE = "image_tile_fusing/OMEZarr/Ex_639_Em_667.zarr"
REGISTERED = f"image_atlas_alignment/Ex_639_Em_667/{REGISTRATION_AFFINE}"


def affine(scale: float = 1.0, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> bytes:
    buffer = io.BytesIO()
    parameters = np.r_[(np.eye(3) * scale).ravel(), offset]
    scipy.io.savemat(buffer, {"AffineTransform_double_3_3": parameters[:, None], "fixed": np.zeros((3, 1))}, format="4")
    return buffer.getvalue()


def processing(channel: str = "Ex_639_Em_667", version: object = "0.0.34") -> bytes:
    steps = [
        {"name": "Image importing", "code_version": version},
        {"name": "Image atlas alignment", "input_location": f"/data/image_tile_fusing/OMEZarr/{channel}.zarr"},
    ]
    return as_json({"processing_pipeline": {"pipeline_version": "3.1.0", "data_processes": steps}})


def brain(library: FakeLibrary, **changed: bytes | None) -> tuple[State, Subject]:
    """A state on a registered brain whose files are changed, or taken away, before it is gathered."""
    files = stitched_files() | {REGISTERED: affine(), "processing.json": processing()}
    for path, data in changed.items():
        files.pop(path, None)
        if data is not None:
            files[path] = data
    library.add(NAME, files)
    image = {"type": "image", "name": "brain", "source": f"zarr://s3://aind-open-data/{NAME}/{IMAGE}"}
    state = b.make_state("268", images=[image])
    return state, gather_subject(library, "717381", now=NOW)


def with_template(library: FakeLibrary, data: bytes | None = None) -> None:
    library.add(TEMPLATE, {TEMPLATE_AFFINE: data or affine()}, id=f"s3://aind-open-data/{TEMPLATE}")


@pytest.fixture
def library() -> FakeLibrary:
    made = FakeLibrary()
    with_template(made)
    return made


def test_a_registered_brain_leads_into_the_atlas_and_back(library):
    state, subject = brain(library)
    before = library.requests
    found = find_atlas(library, state, subject)
    assert library.requests - before <= 8, "a handful of small files"
    assert found.atlas is not None
    assert found.why_not == ""
    points = np.array([[100.0, 200.0, 300.0]])
    np.testing.assert_allclose(ccf_um_to_points(points_to_ccf_um(points, found.atlas), found.atlas), points, atol=1e-6)
    assert not found.atlas.pipeline.assumed


def test_by_hand_where_the_corner_voxel_of_level_3_lies(library):
    """Right, front and upper corner of level 3, whose y runs to the front and z down: (z 0, y last, x last)."""
    state, subject = brain(library)
    atlas = find_atlas(library, state, subject).atlas
    assert atlas is not None
    corner = (np.array([[0.0, 750.0 - 1, 625.0 - 1]]) + 0.5) * 8.0 - 0.5
    np.testing.assert_allclose(points_to_ccf_um(corner, atlas), [[1511.4, -1500.0, -1500.0]], atol=1e-6)


def test_files_asked_for_side_by_side_tell_the_same(library):
    state, subject = brain(library)
    alone = find_atlas(library, state, subject).atlas
    library.connections = 4
    found = find_atlas(library, state, subject).atlas
    assert alone is not None
    assert found is not None
    points = np.array([[10.0, 20.0, 30.0]])
    np.testing.assert_array_equal(points_to_ccf_um(points, found), points_to_ccf_um(points, alone))


BROKEN: dict[str, dict[str, bytes | None]] = {
    "not registered": {REGISTERED: None},
    "processing.json": {"processing.json": None},
    "Image importing": {"processing.json": processing(version=None)},
    "no version number": {"processing.json": processing(version="new")},
    "no affine of ITK": {REGISTERED: b"x"},
    "cannot be undone": {REGISTERED: affine(0.0)},
    "more than": {REGISTERED: b"x" * 100_000},
    "a frame of its own": {"image_atlas_alignment/Ex_639_Em_667/transform_information.json": b"{}"},
    f"{IMAGE}/3/.zarray: There is no": {f"{IMAGE}/3/.zarray": None},
}


@pytest.mark.parametrize("words", BROKEN)
def test_what_is_missing_or_broken_is_said_and_raises_nothing(library, words):
    state, subject = brain(library, **BROKEN[words])
    found = find_atlas(library, state, subject)
    assert found.atlas is None
    assert words in found.why_not


def test_without_the_template_there_is_no_atlas():
    library = FakeLibrary()
    found = find_atlas(library, *brain(library))
    assert found.atlas is None
    assert TEMPLATE in found.why_not


def test_the_registration_of_another_channel_will_do_when_its_voxels_are_the_same(library):
    other = "Ex_445_Em_469"
    both = stitched_files(["Ex_445_Em_469.zarr", "Ex_639_Em_667.zarr"])
    changed: dict[str, bytes | None] = {
        **both, REGISTERED: None, f"image_atlas_alignment/{other}/{REGISTRATION_AFFINE}": affine(),
        "image_atlas_alignment/ccf_visualization/neuroglancer_config.json": b"{}",
        "processing.json": processing(other),
    }  # fmt: skip
    assert find_atlas(library, *brain(library, **changed)).atlas is not None
    coarser = zattrs()
    for level in coarser["multiscales"][0]["datasets"]:
        level["coordinateTransformations"][0]["scale"][2] *= 2.0
    changed[f"image_tile_fusing/OMEZarr/{other}.zarr/.zattrs"] = as_json(coarser)
    found = find_atlas(library, *brain(library, **changed))
    assert "voxels are not those" in found.why_not


def test_a_brain_of_few_levels_is_placed_by_an_assumption_that_is_told(library):
    changed: dict[str, bytes | None] = {f"{IMAGE}/.zattrs": as_json(zattrs(3)), f"{IMAGE}/3/.zarray": None}
    atlas = find_atlas(library, *brain(library, **changed)).atlas
    assert atlas is not None
    assert "an eighth" in atlas.note


def test_no_brain_has_no_atlas_and_no_complaint(library):
    state, subject = brain(library)
    assert find_atlas(library, state, None) == FoundAtlas()
    assert find_atlas(library, b.make_state("268", images=[]), subject) == FoundAtlas()


def test_it_is_read_once_and_what_could_not_be_asked_is_asked_again(library):
    state, subject = brain(library)
    known: Recent[tuple[object, ...], FoundAtlas] = Recent(4)
    library.fail(f"{NAME}/{REGISTERED}", UnavailableError("The bucket sleeps."))
    assert "sleeps" in find_atlas(library, state, subject, known=known).why_not
    library._failures.clear()
    found = find_atlas(library, state, subject, known=known)
    assert found.atlas is not None
    before = library.requests
    assert find_atlas(library, state, replace(subject), known=known) is found
    assert library.requests == before


def test_that_there_is_none_is_kept_too(library):
    state, subject = brain(library, **{REGISTERED: None})
    known: Recent[tuple[object, ...], FoundAtlas] = Recent(4)
    first = find_atlas(library, state, subject, known=known)
    before = library.requests
    assert find_atlas(library, state, subject, known=known) is first
    assert library.requests == before


# --- the sample mouse, through the page and the commands -------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory):
    return write_sample(tmp_path_factory.mktemp("atlas") / "mouse", sizes=Sizes(units_per_stream=1, image_levels=(5,)))


def affine_file(library: Path) -> Path:
    return library / "assets" / STITCHED / "image_atlas_alignment" / "Ex_639_Em_680" / REGISTRATION_AFFINE


@pytest.fixture
def unregistered(sample):
    """The sample with its registration's affine moved away for a while."""
    file = affine_file(sample.library)
    aside = file.rename(sample.library.parent / "aside.mat")
    yield sample
    aside.rename(file)


def opened_page(sample, tmp_path, state) -> tuple[Context, Session]:
    settings = Settings(library=sample.library, data=tmp_path / "data", user="ana")
    context = Context(settings, LocalLibrary(sample.library), JobStore(settings.data))
    session = Session(check_rows)
    session.open(open_state(context, Given(data=state.path.read_bytes(), stem=state.path.stem), lambda _: None))
    return context, session


def wrong_probe(state) -> ManifestRow:
    """The only row of a manifest: a track on another probe of its recording, whose aim is millimetres away.

    Without the atlas one aim alone fits any track.
    """
    rows = read_csv(state.manifest.read_bytes()).rows
    one = next(row for row in rows if row.ephys_shank is None)
    return replace(one, histology_track_id=next(row.histology_track_id for row in rows if row.ephys_shank == 0))


def test_the_sample_brain_s_middle_comes_where_it_lies_in_the_atlas(sample):
    reader = LocalLibrary(sample.library)
    subject = gather_subject(reader, sample.subject, now=NOW)
    state = read_state(sample.states[0].path.read_bytes(), stem="all")
    atlas = find_atlas(reader, state, subject).atlas
    assert atlas is not None
    points = BRAIN_CENTRE_UM + np.array([[0.0, 0.0, 0.0], [2000.0, -3000.0, 1000.0]])
    np.testing.assert_allclose(points_to_ccf_um(to_level0_zyx(points), atlas), ccf_um(points), atol=1.0)


def on_the_page(session: Session, row: ManifestRow) -> list[Problem]:
    opened = session.opened
    session.replace_all(mapping_from_rows([row], opened.subject, opened.state).assignments, "a wrong probe")
    return [each for each in session.checked.problems if each.rule == "T11"]


def by_the_command(sample, tmp_path, state, row: ManifestRow) -> list[dict[str, object]]:
    manifest = tmp_path / "wrong.csv"
    manifest.write_bytes(write_csv([row]))
    options = argparse.Namespace(state=str(state.path), manifest=manifest)
    settings = Settings(library=sample.library, data=tmp_path / "queue", user="ana")
    _, answer, _ = commands.check(options, settings)
    return [each for each in answer["problems"] if each["rule"] == "T11"]


def test_page_and_command_judge_aims_by_the_atlas_and_an_edit_reads_nothing(sample, tmp_path, capsys):
    state = sample.states[1]
    context, session = opened_page(sample, tmp_path, state)
    with context.store:
        assert session.opened.atlas is not None
        assert session.opened.no_atlas == ""
        right = read_csv(state.manifest.read_bytes()).rows
        assert not [each for row in right if row.ephys_shank is None for each in on_the_page(session, row)]
        before = context.reader.requests
        (found,) = on_the_page(session, wrong_probe(state))
        assert context.reader.requests == before
    assert "by the atlas" in found.message
    assert isinstance(found.measured, int)
    assert found.measured > found.threshold == 1_500
    (told,) = by_the_command(sample, tmp_path, state, wrong_probe(state))
    assert (told["message"], told["measured"]) == (found.message, found.measured)
    assert "atlas" not in capsys.readouterr().err


def test_without_the_registration_page_and_command_say_why_and_judge_as_before(unregistered, tmp_path, capsys):
    state = unregistered.states[1]
    context, session = opened_page(unregistered, tmp_path, state)
    with context.store:
        assert session.opened.atlas is None
        assert "not registered" in session.opened.no_atlas
        assert session.opened.whole
        told = on_the_page(session, wrong_probe(state))
    assert not [each for each in told if "atlas" in each.message], "one aim alone fits any track"
    by_command = by_the_command(unregistered, tmp_path, state, wrong_probe(state))
    assert [each["message"] for each in by_command] == [each.message for each in told]
    assert "without the atlas" in capsys.readouterr().err


def test_page_and_command_suggest_the_same_with_and_without(sample, tmp_path):
    state = sample.states[0]
    context, session = opened_page(sample, tmp_path, state)
    with context.store:
        opened = session.opened
        assert opened.suggestions == suggest(opened.state, opened.subject, atlas=opened.atlas)
        bare = suggest(opened.state, opened.subject)
    certain = {each.track: each.assignment for each in bare if each.certain}
    assert certain == {each.track: each.assignment for each in opened.suggestions if each.certain}
    options = argparse.Namespace(state=str(state.path), subject=None)
    _, answer, _ = commands.suggest_rows(options, Settings(library=sample.library, data=tmp_path / "queue"))
    assert [(row["track"], row["score"]) for row in answer["rows"]] == [
        (each.track, pytest.approx(each.score, abs=1e-3)) for each in opened.suggestions
    ]


def test_from_s3_the_same_atlas_is_read_as_from_a_local_library(sample):
    state = read_state(sample.states[0].path.read_bytes(), stem="all")
    local = LocalLibrary(sample.library)
    here = find_atlas(local, state, gather_subject(local, sample.subject, now=NOW)).atlas
    with served_with_clients() as (s3, clients):
        for file in (sample.library / "assets").rglob("*"):
            if file.is_file() and not file.match("assets/*.json"):
                key = str(file.relative_to(sample.library / "assets"))
                s3.objects.setdefault("aind-open-data", {})[key] = file.read_bytes()
        reader = CodeOceanReader(Settings(platform="code_ocean"), None, None, S3Files(lambda: clients))
        there = find_atlas(reader, state, gather_subject(reader, sample.subject, now=NOW))
    assert there.why_not == ""
    assert here is not None
    assert there.atlas is not None
    points = to_level0_zyx(BRAIN_CENTRE_UM[None])
    np.testing.assert_array_equal(points_to_ccf_um(points, here), points_to_ccf_um(points, there.atlas))
