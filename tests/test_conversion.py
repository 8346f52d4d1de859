"""What a launch needs and how it is named."""

from __future__ import annotations

import re
from dataclasses import replace

import builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversion import (
    capture_request,
    input_assets,
    launch_rows,
    plan_conversion,
    run_request,
    sent_options,
)
from core.errors import InputError, ManifestError
from core.manifest import ManifestRow, read_csv
from core.models import ImageChannel, ImageFrame, Subject
from core.platforms.base import Parameter

SAFE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
STATE = b.make_state("probeA", "b1", "b2", stem="my state (1)")
ROWS = (
    ManifestRow(b.MOUSE, b.SORT1, STATE.stem, "probeA", "ProbeA", "ProbeA", surface_finding=b.SURFACE1),
    ManifestRow(b.MOUSE, b.SORT1, STATE.stem, "b1", "ProbeB", "ProbeB", 0, 0, b.SURFACE1),
    ManifestRow(b.MOUSE, b.SORT2, STATE.stem, "b2", "ProbeB", "ProbeB", 1, 1),
)


def plan(rows=ROWS, *, state=STATE, subject=None, **more):
    values = {"platform": "this machine", "converter": "image-space", "converter_version": "1", **more}
    return plan_conversion(rows, state=state, subject=subject or b.make_subject(), **values)


def test_only_what_the_rows_need_is_attached_and_each_once():
    assert [(each.mount, each.why) for each in plan().assets] == [
        (b.BRAIN, "brain"),
        (b.SORT1, "sorting"),
        (b.DAY1, "recording"),
        (b.SURFACE1, "surface recording"),
        (b.SORT2, "sorting"),
        (b.DAY2, "recording"),
    ]
    assert [each.mount for each in plan(ROWS[2:]).mounts] == [b.BRAIN, b.SORT2, b.DAY2]
    assert plan().recordings == (b.DAY1, b.DAY2)


def test_the_raw_asset_that_a_sorting_was_made_from_stands_under_the_name_the_converter_looks_for():
    base = b.make_subject()
    corrected = replace(base.recordings[0], raw=b.asset(f"{b.DAY1}_corrected"))
    subject = replace(base, recordings=(corrected, *base.recordings[1:]))
    raw = next(each for each in plan(subject=subject).assets if each.why == "recording")
    assert (raw.name, raw.mount) == (f"{b.DAY1}_corrected", b.DAY1)


def test_the_launch_has_its_own_name_for_the_state_and_sends_the_bytes_given():
    manifest, state = input_assets(plan(), "t0k3n")
    assert state.files == {f"{state.name}.json": STATE.data}
    assert state.name == f"{b.MOUSE}_neuroglancer-state_t0k3n"
    table = read_csv(manifest.files[f"{manifest.name}.csv"])
    assert not table.problems
    assert table.rows == launch_rows(plan(), "t0k3n")
    assert {row.probe_file for row in table.rows} == {state.name}
    assert [replace(row, probe_file=STATE.stem) for row in table.rows] == list(ROWS)
    assert "t0k3n" in manifest.tags
    assert "t0k3n" in state.tags


def test_the_run_finds_manifest_and_state_under_their_mounts():
    request = run_request(plan(parameters={"skip-ephys": "true"}), "t0k3n", "id-manifest", "id-state")
    mounts = {each.mount: each.asset_id for each in request.mounts}
    assert mounts[request.parameters["manifest"].split("/")[0]] == "id-manifest"
    assert mounts[request.parameters["neuroglancer"].split("/")[0]] == "id-state"
    assert request.parameters["skip-ephys"] == "true"
    assert len(mounts) == len(request.mounts)


def test_the_result_is_named_after_the_brain_and_the_time_of_the_launch():
    request = capture_request(plan(), "t0k3n", "run-1", "2025-01-02_03-04-05", ("id-manifest", "id-state"))
    assert request.name == f"SmartSPIM_{b.MOUSE}_2024-12-01_10-00-00_ibl-converted_2025-01-02_03-04-05"
    assert {b.MOUSE, "t0k3n"} <= set(request.tags)
    assert set(request.provenance_data_assets) == {each.asset_id for each in plan().assets} | {
        "id-manifest",
        "id-state",
    }


def test_the_digest_is_of_what_runs_and_of_nothing_else():
    same = plan().digest
    assert re.fullmatch("[0-9a-f]{64}", same)
    assert plan(ROWS[::-1]).digest == same
    assert plan(tuple(replace(row, probe_file="renamed") for row in ROWS)).digest == same
    assert plan(attempt=2).digest == same
    others = [
        plan(ROWS[:2]),
        plan((replace(ROWS[0], histology_track_id="b1"), *ROWS[1:])),
        plan((replace(ROWS[0], surface_finding=""), *ROWS[1:])),
        plan((ROWS[0], replace(ROWS[1], histology_shank=1, ephys_shank=1), ROWS[2])),
        plan(state=b.make_state("probeA", "b1", stem=STATE.stem)),
        plan(platform="other"),
        plan(converter="other"),
        plan(converter_version="2"),
        plan(parameters={"skip-ephys": "true"}),
    ]
    assert len({same, *(each.digest for each in others)}) == len(others) + 1


def test_a_launch_in_another_library_with_other_assets_or_another_geometry_is_another_launch():
    base = b.make_subject()
    elsewhere = replace(base, platform_id="another library")
    first, *later = base.recordings
    sorted_anew = replace(first.sortings[0], asset=b.asset(b.SORT1, id="another asset of this name"))
    renewed = replace(base, recordings=(replace(first, sortings=(sorted_anew,)), *later))
    rescaled = with_frame(replace(FRAME, scale_level0_um_xyz=(3.6, 3.6, 4.0)))
    turned = with_frame(replace(FRAME, directions_xyz=("L", "A", "I")))
    plans = [plan(subject=subject) for subject in (base, elsewhere, renewed, with_frame(FRAME), rescaled, turned)]
    assert len({each.digest for each in plans}) == len(plans)
    assert plans[1].platform_id == "another library"
    resized = with_frame(replace(FRAME, shape_level0_zyx=(1, 1, 1)))
    assert plan(subject=resized).digest == plans[3].digest


FRAME = ImageFrame((1.8, 1.8, 2.0), ("R", "A", "I"), (100, 200, 300), 4)


def with_frame(frame, path="image_tile_fusing/OMEZarr/{}"):
    image = STATE.images[0]
    channel = ImageChannel(image.channel, path.format(image.image_file), frame)
    return b.make_subject(stitched=(replace(b.brain(), channels=(channel,)),))


def test_the_geometry_that_was_checked_is_kept_when_it_was_read_and_not_assumed():
    assert plan(subject=with_frame(FRAME)).frame == FRAME
    assert plan(subject=with_frame(replace(FRAME, assumed="directions"))).frame is None
    assert plan(subject=with_frame(FRAME, "image_tile_fusing/OMEZarr/another.zarr")).frame is None
    assert plan(subject=with_frame(None)).frame is None


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_names_are_safe_or_refused(mouse, token):
    rows = tuple(replace(row, mouseid=mouse) for row in ROWS)
    try:
        made = plan(rows)
        manifest, state = input_assets(made, token)
        run = run_request(made, token, "m", "s")
        capture = capture_request(made, token, "r", token)
    except ManifestError:
        return
    names = [manifest.name, state.name, run.name, capture.name, *(each.mount for each in run.mounts)]
    names += [part for path in run.parameters.values() for part in path.split("/")]
    names += [*manifest.files, *state.files]
    assert all(SAFE.fullmatch(name) and ".." not in name for name in names)


@given(st.text(max_size=20), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_parameters_are_plain_or_refused(name, value):
    try:
        request = run_request(plan(parameters={name: value}), "t", "m", "s")
    except InputError:
        pass
    else:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert not value.startswith("-")
        assert not set(value) & set(" \n\t;$()`'\"\\|&<>*?{}")
        assert request.parameters[name] == value


@pytest.mark.parametrize("name", ["manifest", "neuroglancer"])
def test_a_parameter_cannot_take_the_place_of_an_input(name):
    with pytest.raises(InputError):
        plan(parameters={name: "elsewhere"})


def lacking(**values: object) -> Subject:
    base = b.make_subject()
    return replace(base, **values)  # type: ignore[arg-type]


BASE = b.make_subject()
INCOMPLETE = {
    "no brain": lacking(stitched=()),
    "two brains of one name": lacking(stitched=(b.brain(), replace(b.brain(), asset=b.asset(b.BRAIN, id="other")))),
    "no recordings": lacking(recordings=()),
    "no raw": lacking(recordings=(replace(BASE.recordings[0], raw=None), *BASE.recordings[1:])),
    "no surface recording": lacking(recordings=(BASE.recordings[0], BASE.recordings[2])),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_a_plan_without_an_asset_it_needs_is_refused(case):
    with pytest.raises(ManifestError) as caught:
        plan(subject=INCOMPLETE[case])
    assert caught.value.where
    assert caught.value.cure


def test_no_rows_are_refused():
    with pytest.raises(ManifestError):
        plan(())


def test_a_state_without_a_brain_is_refused():
    with pytest.raises(ManifestError, match="no stitched brain"):
        plan(state=b.make_state("probeA", images=[{**b.image_json(), "source": "zarr://s3://bucket/other.zarr"}]))


def test_defaults_are_sent_as_they_were_shown():
    offered = (Parameter("skip-ephys", "1"), Parameter("n", ""), Parameter("text", "two words"), Parameter("mode", "a"))
    assert sent_options({}, offered) == {"skip-ephys": "1", "mode": "a"}
    assert sent_options({"mode": "b", "n": "3", "text": "x"}, offered) == {
        "skip-ephys": "1", "n": "3", "text": "x", "mode": "b",
    }  # fmt: skip
    assert sent_options({"skip-ephys": ""}, offered) == {"mode": "a"}
