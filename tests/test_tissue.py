"""Where an image shows tissue, and tracks that leave it: no right track is blamed, no absent image is an error."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace
from pathlib import Path

import builders as b
import numpy as np
import pytest
import truth_mice as t
from truth_brain import tissue_of

from core.checks import check_mapping
from core.checks.thresholds import Thresholds
from core.geometry import directions_ras, level0_to_image_ras_um
from core.manifest import mapping_from_rows, read_csv
from core.manifest.rows import ManifestRow
from core.models import ImageFrame, Problem, Severity
from core.platforms.local import LocalLibrary
from core.sample import Sizes, write_sample
from core.sample.plan import STITCHED
from core.settings import Settings
from core.subjects.shown_image import shown_brain
from core.tissue import Tissue, find_tissue
from core.track_geometry import track_shape
from dashboard import commands
from dashboard.context import Context
from dashboard.opening import Given, check_rows, open_state
from dashboard.state import Session
from jobs.store import JobStore

FRAME = b.make_subject().stitched[0].channels[0].frame
assert FRAME is not None


# --- finding it -----------------------------------------------------------------------------------


def a_brain(side: int = 60, voxel_um: float = 128.0) -> tuple[np.ndarray, ImageFrame]:
    """A ball of tissue with a dark, noisy background; its diameter is five sixths of the box's side."""
    rng = np.random.default_rng(3)
    at = (np.arange(side) - side / 2.0 + 0.5) / (side / 2.4)
    radius = np.sqrt(at[:, None, None] ** 2 + at[None, :, None] ** 2 + at[None, None, :] ** 2)
    volume = np.where(radius <= 1.0, 600.0, 100.0) + rng.normal(0.0, 20.0, radius.shape)
    fine = int(side * voxel_um / 2.0)
    return volume, ImageFrame((2.0, 2.0, 2.0), ("R", "A", "I"), (fine, fine, fine), 7)


def at_radius(share: float, frame: ImageFrame, count: int = 400) -> np.ndarray:
    """Points of the image in all directions from its middle, so many radii of the ball away."""
    rng = np.random.default_rng(5)
    ways = rng.normal(size=(count, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    middle = np.asarray(frame.shape_level0_zyx) / 2.0 - 0.5
    return level0_to_image_ras_um(middle + ways * share * frame.shape_level0_zyx[0] / 2.4, frame)


def test_a_ball_is_inside_and_the_dark_around_it_outside():
    volume, frame = a_brain()
    tissue = find_tissue(volume, frame, (64.0, 64.0, 64.0))
    assert tissue is not None
    assert tissue.inside(at_radius(0.93, frame)).all()
    assert not tissue.inside(at_radius(1.1, frame)).any()


@pytest.mark.parametrize("directions", [("L", "P", "S"), ("A", "I", "R"), ("S", "R", "P")])
def test_whatever_the_axes_a_lopsided_brain_lies_where_its_frame_says(directions):
    volume, _ = a_brain()
    volume[:28] = 100.0  # the half of low z is missing
    frame = ImageFrame((2.0, 2.0, 2.0), directions, (3840, 3840, 3840), 7)
    tissue = find_tissue(volume, frame, (64.0, 64.0, 64.0))
    assert tissue is not None
    way = directions_ras(directions)[:, 2]  # where z increases to
    middle = level0_to_image_ras_um(np.array([[1920.0] * 3]), frame)
    assert tissue.inside(middle + 1_500.0 * way).all()
    assert not tissue.inside(middle - 1_500.0 * way).any()


def test_finer_voxels_are_taken_together_and_edges_count_as_they_are():
    volume, frame = a_brain(side=130, voxel_um=50.0)
    volume = volume[:129, :127]
    z, y, x = frame.shape_level0_zyx
    frame = replace(frame, shape_level0_zyx=(z - 25, y - 75, x))
    tissue = find_tissue(volume, frame, (25.0, 25.0, 25.0))
    assert tissue is not None
    assert tissue.factors_zyx == (50.0, 50.0, 50.0)
    assert tissue.blocks_zyx.shape == (65, 64, 65)
    whole = replace(frame, shape_level0_zyx=(z, y, x))
    assert tissue.inside(at_radius(0.93, whole)).all()
    assert not tissue.inside(at_radius(1.1, whole)).any()


def test_dark_inside_is_tissue_and_specks_outside_are_none():
    volume, frame = a_brain()
    volume[28:32, 24:36, 20:26] = 100.0  # a ventricle
    volume[30, 30, :30] = 100.0  # a slit to the outside
    volume[2:4, 2:4, 2:4] = 9_000.0  # dust
    tissue = find_tissue(volume, frame, (64.0, 64.0, 64.0))
    assert tissue is not None
    inner = level0_to_image_ras_um(np.array([[30, 30, 23], [30.5, 30, 10]]) * 64.0, frame)
    assert tissue.inside(inner).all()
    assert not tissue.inside(level0_to_image_ras_um(np.array([[3.0, 3.0, 3.0]]) * 64.0, frame)).any()


@pytest.mark.parametrize("bright", [2.0, 20.0])
def test_strong_label_in_a_part_does_not_make_the_rest_dark(bright):
    volume, frame = a_brain()
    volume[20:27, 20:40, 20:40] *= bright
    tissue = find_tissue(volume, frame, (64.0, 64.0, 64.0))
    assert tissue is not None
    assert tissue.inside(at_radius(0.9, frame)).all()


def test_an_image_of_one_brightness_or_with_hardly_any_tissue_shows_no_brain():
    _, frame = a_brain()
    assert find_tissue(np.full((60, 60, 60), 7, "<u2"), frame, (64.0, 64.0, 64.0)) is None
    few = np.zeros((60, 60, 60))
    few[30:38, 30:38, 30:38] = 500.0
    assert find_tissue(few, frame, (64.0, 64.0, 64.0)) is None


def test_nothing_lies_inside_beyond_the_image_or_nowhere():
    tissue = Tissue(
        np.ones((4, 4, 4), np.bool_), ImageFrame((1.0, 1.0, 1.0), ("R", "A", "S"), (8, 8, 8), 2), (2.0,) * 3
    )
    points = np.array(
        [[3.0, 3.0, 3.0], [-0.4, 7.4, 0.0], [-0.6, 3.0, 3.0], [7.6, 3.0, 3.0], [np.nan, 1.0, 1.0], [1e30, 1, 1]]
    )
    assert tissue.inside(points).tolist() == [True, True, False, False, False, False]


# --- T8 -------------------------------------------------------------------------------------------

COARSE = tuple(size // 64 for size in FRAME.shape_level0_zyx)


def tissue_below(height_um: float, deepest_um: float = 1e9) -> Tissue:
    """All of the image that lies deeper than this below its upper face, and not too deep."""
    depth_um = (np.arange(COARSE[0]) + 0.5) * 64.0 * FRAME.scale_level0_um_xyz[2]
    blocks = np.broadcast_to(((depth_um > height_um) & (depth_um < deepest_um))[:, None, None], COARSE)
    return Tissue(np.array(blocks), FRAME, (64.0, 64.0, 64.0))


def track(top_um: float, length_um: float, count: int = 21) -> dict[str, object]:
    """A vertical track that begins so deep below the image's upper face."""
    z = np.linspace(top_um, top_um + length_um, count) / FRAME.scale_level0_um_xyz[2]
    return b.layer_json("268", points=[[float(each), 2000.0, 2000.0, 0.0] for each in z])


def outside(tissue: Tissue | None, layer: dict[str, object], **limits: float) -> list[Problem]:
    row = ManifestRow(b.MOUSE, "s_sorted_t", b.STEM, "268", "ProbeA")
    found = check_mapping(
        [row], state=b.make_state(layer), subject=b.make_subject(), limits=Thresholds(**limits), tissue=tissue
    )
    return [each for each in found if each.rule == "T8"]


def test_a_track_in_the_tissue_and_one_that_begins_a_little_above_are_fine():
    for above in (0.0, 200.0, 450.0):
        assert not outside(tissue_below(1_024.0), track(1_024.0 - above, 4_000.0))


def test_a_track_that_begins_far_above_the_tissue_is_told_with_its_number_and_its_limit():
    (found,) = outside(tissue_below(2_048.0), track(1_024.0, 4_000.0))
    assert found.severity is Severity.WARNING
    assert isinstance(found.measured, int)
    assert found.measured == pytest.approx(1_024, abs=40)
    assert found.threshold == 800
    assert f"{found.measured} of 4000 um" in found.message
    assert "(6 of 21 points)" in found.message
    assert "tip" not in found.message
    assert (found.where.row, found.where.track) == (0, "268")


def test_a_tip_that_leaves_the_tissue_is_told_sooner():
    bottom = 1_024.0 + 3_584.0
    assert not outside(tissue_below(1_024.0, bottom), track(1_024.0, 3_584.0 + 200.0))
    (found,) = outside(tissue_below(1_024.0, bottom), track(1_024.0, 3_584.0 + 400.0))
    assert found.measured == pytest.approx(400, abs=40)
    assert found.threshold == 300
    assert "before the tip" in found.message
    assert not outside(tissue_below(1_024.0, bottom), track(1_024.0, 3_984.0), tip_outside_um=450)


def test_a_track_wholly_outside_is_told_once():
    (found,) = outside(tissue_below(6_000.0), track(1_024.0, 3_000.0))
    assert "3000 of 3000 um" in found.message


def test_a_bent_order_of_points_changes_nothing():
    layer = track(1_024.0, 4_000.0)
    turned = layer | {"annotations": list(reversed(layer["annotations"]))}  # type: ignore[call-overload]
    (one,), (other,) = (outside(tissue_below(2_048.0), each) for each in (layer, turned))
    assert (one.measured, one.message) == (other.measured, other.message)


def test_without_the_image_or_with_that_of_another_nothing_is_checked():
    assert not outside(None, track(1_024.0, 4_000.0))
    other = replace(tissue_below(2_048.0), frame=replace(FRAME, directions_xyz=("R", "A", "S")))
    assert not outside(other, track(1_024.0, 4_000.0))


def test_points_outside_the_image_are_an_error_already():
    found = outside(tissue_below(2_048.0), track(-500.0, 4_000.0))
    assert [each.severity for each in found] == [Severity.ERROR]


def test_the_limits_are_settings():
    layer = track(1_024.0, 4_000.0)
    assert not outside(tissue_below(2_048.0), layer, outside_share=0.3)
    assert outside(tissue_below(1_536.0), layer, outside_share=0.05, outside_um=400)


def test_right_tracks_of_synthetic_mice_are_not_blamed_in_a_noisy_brain():
    """Some of these mice have insertions that miss their own brain: what leaves it by the exact ball is left out."""
    judged = 0
    for seed in (1, 3):
        mouse = t.make_mouse(seed)
        tissue = tissue_of(mouse.brain, seed)
        state = mouse.state()
        found = check_mapping(mouse.rows, state=state, subject=mouse.subject, tissue=tissue)
        blamed = {each.where.track for each in found if each.rule == "T8"}
        for layer in state.tracks:
            line = track_shape(level0_to_image_ras_um(layer.points_level0_zyx, t.FRAME))
            assert line is not None
            away = mouse.brain.radii(line.at_depth_um(np.linspace(0.0, line.length_um, 100))) > 1.0
            if away.mean() < 0.1:
                judged += 1
                assert layer.name not in blamed
    assert judged > 10


# --- the sample mouse, through the page and the commands ------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory):
    return write_sample(tmp_path_factory.mktemp("tissue") / "mouse", sizes=Sizes(units_per_stream=1, image_levels=(5,)))


def lifted(state: Path, folder: Path, track: str, up_um: float) -> Path:
    """The state with one track moved up, by another name: nothing else says that it is wrong."""
    document = json.loads(state.read_bytes())
    layer = next(layer for layer in document["layers"] if layer["name"] == track)
    names = list(layer["source"]["transform"]["outputDimensions"])
    for annotation in layer["annotations"]:
        annotation["point"][names.index("z")] -= up_um / 2.0
    made = folder / state.name
    made.write_text(json.dumps(document))
    return made


def by_the_command(settings: Settings, state: Path, manifest: Path) -> list[dict[str, object]]:
    _, answer, _ = commands.check(argparse.Namespace(state=str(state), manifest=manifest), settings)
    return [each for each in answer["problems"] if each["rule"] == "T8"]


def on_the_page(session: Session) -> list[Problem]:
    return [each for each in session.checked.problems if each.rule == "T8"]


def test_page_and_command_tell_a_track_that_lies_above_the_brain(sample, tmp_path, capsys):
    state = sample.states[1]
    track = "20250312_ProbeA"
    settings = Settings(library=sample.library, data=tmp_path / "data", user="ana")
    assert not by_the_command(settings, state.path, state.manifest), "right tracks are not blamed"
    assert not settings.data.exists(), "a check leaves nothing behind"
    wrong = lifted(state.path, tmp_path, track, 1_300.0)
    with JobStore(settings.data) as store:
        context = Context(settings, LocalLibrary(sample.library), store)
        session = Session(check_rows)
        session.open(open_state(context, Given(data=wrong.read_bytes(), stem=wrong.stem), lambda _: None))
        opened = session.opened
        rows = read_csv(state.manifest.read_bytes()).rows
        session.replace_all(mapping_from_rows(rows, opened.subject, opened.state).assignments, "as it is")
        assert not on_the_page(session), "not checked until the image is read"
        shown = shown_brain(opened.state, opened.subject)
        image = asyncio.run(context.brain_of(*shown, lambda _: None, lambda: False))
        session.see(image.tissue)
        (found,) = on_the_page(session)
        assert (found.where.track, found.severity) == (track, Severity.WARNING)
        session.undo()
        session.redo()
        assert on_the_page(session) == [found], "an edit checks again with the same tissue"
        session.see(None)
        assert not on_the_page(session)
    (told,) = by_the_command(settings, wrong, state.manifest)
    assert (told["message"], told["measured"], told["threshold"]) == (found.message, found.measured, found.threshold)
    assert "tissue" not in capsys.readouterr().err


def test_without_the_image_the_command_says_so_and_checks_all_else(sample, tmp_path, capsys):
    state = sample.states[1]
    wrong = lifted(state.path, tmp_path, "20250312_ProbeA", 1_300.0)
    image = sample.library / "assets" / STITCHED / "image_tile_fusing/OMEZarr/Ex_639_Em_680.zarr/5/0"
    aside = image.rename(image.with_name("aside"))
    try:
        settings = Settings(library=sample.library, data=tmp_path / "data", user="ana")
        assert not by_the_command(settings, wrong, state.manifest)
    finally:
        aside.rename(image)
    assert "not held against the tissue" in capsys.readouterr().err
