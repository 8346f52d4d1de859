"""Facts of a recording: known ones in words, unknown ones with where they were looked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.atlas_frames import AffineAtlas, pipeline_frame, points_to_ccf_um, read_itk_affine
from core.contacts import RecordedContact
from core.errors import InputError, NotFoundError
from core.manifest import read_csv
from core.models import Asset, Probe, Recording, Role, Sorting, SortingStatus, Subject, Target
from core.neuroglancer import read_state
from core.platforms.local_library import LocalLibrary
from core.probe_geometry import recorded_spans
from core.sample import Sizes, write_sample
from core.sample.plan import STITCHED, TEMPLATE
from core.sample.registration import IMPORT_VERSION
from core.subjects import gather_subject
from core.subjects.facts import (
    Fact,
    earlier_results,
    probe_facts,
    read_alignments,
    recording_facts,
    targets_of,
)
from core.subjects.lengths import read_block_lengths_s
from core.subjects.session_metadata import read_session_facts
from tests.fake_library import FakeLibrary, as_json, block_files, raw_files, sorted_files

RAW = "ecephys_717381_2024-04-09_11-14-13"
SORTED = f"{RAW}_sorted_2024-04-10_02-00-00"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
PROBE = Probe(
    "ProbeB",
    "22420013872",
    "NP2014",
    (0, 2),
    4,
    "Neuropixels 2.0 4-shank",
    contacts=tuple(RecordedContact(shank, 8.0, y) for shank in (2, 0) for y in (0.0, 15.0, 705.0)),
)


def recording(**changes: object) -> Recording:
    known = Recording(
        name=RAW, start="2024-04-09 11:14:13", raw=Asset(RAW, RAW), role=Role.MAIN, role_reason="", surface=None,
        surface_reason="", probes=(PROBE,), sortings=(Sorting(Asset(SORTED, SORTED), None, SortingStatus.OK, "", ()),),
    )  # fmt: skip
    return replace(known, **changes)  # type: ignore[arg-type]


def fact(facts: tuple[Fact, ...], name: str) -> Fact:
    return next(each for each in facts if each.name == name)


def test_what_was_recorded_is_told_shank_by_shank():
    spans = recorded_spans(PROBE, tip_um=0.0)
    assert [(span.shank, span.contacts, span.lowest_um, span.highest_um) for span in spans] == [
        (0, 3, 0.0, 705.0),
        (2, 3, 0.0, 705.0),
    ]
    facts = probe_facts(recording(), "ProbeB")
    assert fact(facts, "type").words == "Neuropixels 2.0 4-shank · NP2014"
    assert fact(facts, "serial number").words == "22420013872"
    assert fact(facts, "recorded shanks").words == "1, 3 of 4"
    assert "shank 3: 3 contacts, 0 to 705 um above the lowest row" in fact(facts, "recorded contacts").words


def test_targets_are_told_in_words():
    target = Target("ProbeB", "MOs", {"arc": 5.25}, {"x": 8422.0}, "bent", (6740.0, 4290.0, 4080.0), 2950.0)
    facts = probe_facts(recording(targets=(target, replace(target, probe="ProbeA"))), "ProbeB")
    words = {each.name: each.words for each in facts}
    assert words["target"] == "MOs"
    assert words["target in the atlas"] == "ML 6,740, AP 4,290, DV 4,080 um (right)"
    assert words["insertion depth"] == "2,950 um"
    assert (words["angles"], words["manipulator"], words["notes"]) == ("arc 5.25 deg", "x 8,422 um", "bent")


@pytest.mark.parametrize(
    ("changes", "token", "name", "where"),
    [
        ({"raw": None, "probes": ()}, "ProbeB", "type", "there is no raw asset"),
        ({"raw": None, "probes": ()}, "ProbeB", "target", "there is no raw asset"),
        ({"probes": ()}, "ProbeB", "recorded shanks", f"no settings.xml could be read in {RAW}"),
        ({}, "ProbeZ", "serial number", "no enabled probe has the stream ProbeZ"),
        ({"probes": (replace(PROBE, contacts=()),)}, "ProbeB", "recorded contacts", "no positions or numbers"),
        ({"probes": (replace(PROBE, serial=""),)}, "ProbeB", "serial number", "settings.xml"),
        ({}, "ProbeB", "target", f"neither session.json nor acquisition.json in {RAW}"),
        ({"session_file": "session.json"}, "ProbeB", "angles", "session.json: nothing about ProbeB"),
        (
            {"session_file": "acquisition.json", "targets": (Target("ProbeB", "MD"),)},
            "ProbeB",
            "target in the atlas",
            "acquisition.json: not told for ProbeB",
        ),
    ],
)
def test_an_unknown_fact_of_a_probe_says_where_it_was_looked_for(
    changes: dict[str, object], token: str, name: str, where: str
):
    unknown = fact(probe_facts(recording(**changes), token), name)
    assert unknown.words == ""
    assert where in unknown.looked_for


def test_unknown_facts_of_a_recording_say_where_they_were_looked_for():
    facts = recording_facts(recording(session_file="session.json"), Subject("717381", "test"))
    length = fact(facts, "length")
    assert length.words == ""
    assert length.looked_for == "session.json: no start and end; arrays are asked where two recordings share a day"
    assert "ecephys_compressed" in fact(facts, "blocks").looked_for
    assert fact(facts, "notes").words == "none"
    bare = recording_facts(recording(), Subject("717381", "test"))
    assert fact(bare, "notes").words == ""
    assert "neither session.json" in fact(bare, "notes").looked_for
    told = recording_facts(recording(duration_s=45.0, blocks=2, notes=("quiet", "warm")), Subject("717381", "test"))
    assert [fact(told, name).words for name in ("length", "blocks", "notes")] == ["45 s", "2 blocks", "quiet; warm"]


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        recording,
        raw=st.sampled_from([None, Asset(RAW, RAW)]),
        probes=st.sampled_from([(), (PROBE,), (Probe("ProbeB", "", "", (0,), 1),)]),
        duration_s=st.none() | st.floats(1, 1e6),
        blocks=st.none() | st.integers(1, 9),
        session_file=st.sampled_from(["", "session.json"]),
        targets=st.lists(
            st.builds(
                Target, st.just("ProbeB"), st.sampled_from(["", "MD"]), depth_um=st.none() | st.floats(100, 9000)
            ),
            max_size=2,
        ).map(tuple),
    )
)
def test_every_fact_is_known_or_says_where_it_was_looked_for(one: Recording):
    for each in (*recording_facts(one, Subject("717381", "test")), *probe_facts(one, "ProbeB")):
        assert each.words or each.looked_for


# --- converted and aligned before -----------------------------------------------------------------


def test_results_of_earlier_conversions_are_found_among_the_assets_and_told_by_their_provenance():
    library = FakeLibrary()
    library.add(RAW, raw_files())
    library.add(SORTED, sorted_files(), provenance_data_assets=(RAW,))
    result = "SmartSPIM_717381_2024-07-03_10-49-01_ibl-converted_2025-01-0{}_10-00-00"
    library.add(result.format(2), provenance_data_assets=(SORTED, "brain"))
    library.add(result.format(1), provenance_data_assets=("other",))
    library.add("717381_ibl-converted_2025-01-03_10-00-00", created=datetime(2025, 1, 3, 10, tzinfo=UTC))
    library.add("SmartSPIM_7173810_2024-07-03_10-49-01_ibl-converted_2025-01-01_10-00-00")
    subject = gather_subject(library, "717381", now=NOW)
    assert [asset.name[-19:] for asset in subject.converted] == [
        "2025-01-01_10-00-00",
        "2025-01-02_10-00-00",
        "2025-01-03_10-00-00",
    ]
    (one,) = subject.recordings
    assert [asset.name for asset in earlier_results(subject, one)] == [result.format(2)]
    assert fact(recording_facts(one, subject), "converted before").words == result.format(2)
    other = replace(one, raw=None, sortings=())
    assert fact(recording_facts(other, subject), "converted before").looked_for == "1 earlier result without provenance"
    none = replace(subject, converted=())
    assert fact(recording_facts(one, none), "converted before").words == "not by a result among the mouse's assets"


def test_alignments_are_told_by_quality_control_files():
    library = FakeLibrary()
    name = f"{RAW}_ProbeB_0"
    evaluations = [
        {"name": f"Probe Alignment for {name}"},
        {"name": f"Probe Alignment for {name}"},
        {"name": "Drift"},
        3,
    ]
    first = library.add(RAW, {"quality_control.json": as_json({"evaluations": evaluations})})
    second = library.add(SORTED, {"quality_control.json": as_json({"metrics": [{"name": "Probe Alignment for x"}]})})
    nothing, odd = library.add("a"), library.add("b", {"quality_control.json": b"[]"})
    assert read_alignments(library, [first, nothing, odd, second]) == (name, "x")
    assert library.requests == 4


@pytest.mark.parametrize("old_layout", [True, False])
def test_block_lengths_are_read_when_asked_for(old_layout: bool):
    library = FakeLibrary()
    files = block_files(1, 4_512_000) | block_files(2, 1_000, segments=2)
    files = files if old_layout else {f"ecephys/{path}": data for path, data in files.items()}
    library.add(RAW, raw_files(old_layout=old_layout) | files)
    (one,) = gather_subject(library, "717381", now=NOW).recordings
    assert one.blocks == 2
    assert read_block_lengths_s(library, one, "ProbeA") == (4512.0, 2.0)


@pytest.mark.parametrize("rate", [0, None, "fast", -3, float("nan")])
def test_a_block_that_does_not_tell_its_rate_has_no_length(rate: object):
    library = FakeLibrary()
    library.add(RAW, raw_files(old_layout=True) | block_files(1, 10, rate=rate))
    (one,) = gather_subject(library, "717381", now=NOW).recordings
    with pytest.raises(InputError):
        read_block_lengths_s(library, one, "ProbeA")
    for broken in (replace(one, raw=None), replace(one, streams=()), replace(one, blocks=None)):
        with pytest.raises(NotFoundError):
            read_block_lengths_s(library, broken, "ProbeA")


# --- where a probe was meant to go ----------------------------------------------------------------


def target_1(**module: object) -> Target:
    return read_session_facts({"data_streams": [{"ephys_modules": [{"assembly_name": "A", **module}]}]}).targets[0]


def target_2(**probe: object) -> Target:
    configuration = {"device_name": "A", "probes": [{"device_name": "ProbeA", **probe}]}
    return read_session_facts({"data_streams": [{"configurations": [configuration]}]}).targets[0]


def axes(*directions: str) -> list[dict[str, str]]:
    return [{"name": direction[:2], "direction": direction} for direction in directions]


CCF = {
    "name": "CCF",
    "origin": "Origin",
    "axis_unit": "micrometer",
    "axes": axes("Anterior_to_posterior", "Superior_to_inferior", "Left_to_right"),
}


@pytest.mark.parametrize(
    ("coordinates", "found"),
    [
        ([{"ml": "8150", "ap": 3250, "dv": 4800, "unit": "micrometer"}], (8150.0, 3250.0, 4800.0)),
        ([{"ml": 8.15, "ap": 3.25, "dv": 4.8, "unit": "millimeter"}], (8150.0, 3250.0, 4800.0)),
        ({"ml": 1000, "ap": 2000, "dv": 3000}, (1000.0, 2000.0, 3000.0)),
        ([{"ml": 1000, "ap": 2000, "dv": 3000}, {"ml": 4000, "ap": 5000, "dv": 6000}], (4000.0, 5000.0, 6000.0)),
        ([{"ml": 1000, "ap": 2000, "dv": 3000}, {"ml": 4000, "ap": 5000}], (1000.0, 2000.0, 3000.0)),
        ([{"ml": 1000, "ap": 2000, "dv": 3000}, {"ml": 1, "ap": 2, "dv": 3}], (1000.0, 2000.0, 3000.0)),
        ([{"ml": 1000, "ap": 2000, "dv": 3000, "unit": "furlong"}], None),
        ([{"ml": 1000, "ap": None, "dv": 3000}], None),
        (None, None),
        ("VISp", None),
    ],
)
def test_atlas_coordinates_of_session_1(coordinates: object, found: object):
    assert target_1(targeted_ccf_coordinates=coordinates).ccf_um_mlapdv == found


@pytest.mark.parametrize(
    ("system", "translation", "found"),
    [
        (CCF, [3250, 4800, 8150], (8150.0, 3250.0, 4800.0)),
        (CCF | {"axis_unit": "millimeter"}, [3.25, 4.8, 8.15], (8150.0, 3250.0, 4800.0)),
        (CCF | {"axes": CCF["axes"][::-1]}, [8150, 4800, 3250], (8150.0, 3250.0, 4800.0)),  # type: ignore[index]
        ({"name": "CCFv3_10um"}, [3250, 4800, 8150], (8150.0, 3250.0, 4800.0)),
        (CCF | {"origin": "Bregma"}, [3250, 4800, 8150], None),
        (CCF | {"name": "BREGMA_ARI"}, [3250, 4800, 8150], None),
        (
            CCF | {"axes": axes("Posterior_to_anterior", "Superior_to_inferior", "Left_to_right")},
            [3250, 4800, 8150],
            None,
        ),
        (CCF, [3250, 4800], None),
        (CCF, [3250, 4800, 81500], None),
        (CCF, "here", None),
        (None, [3250, 4800, 8150], None),
    ],
)
def test_atlas_coordinates_of_acquisition_2(system: object, translation: object, found: object):
    target = target_2(atlas_coordinate={"coordinate_system": system, "translation": translation})
    assert target.ccf_um_mlapdv == pytest.approx(found)


@pytest.mark.parametrize(
    ("ml", "ap", "dv"),
    [
        (1, 2, 3),
        (0, 0, 0),
        (5.7, 4.2, 3.1),
        (-1200, 2000, 3000),
        (11_101, 2000, 3000),
        (5000, 299, 3000),
        (5000, 12_901, 3000),
        (5000, 2000, 7701),
        (5000, 2000, 1e9),
    ],
)
def test_numbers_that_are_no_place_in_a_brain_are_no_aim_and_the_card_says_so(ml: float, ap: float, dv: float):
    """Files that nobody filled in hold 1, 2, 3; millimetres without their unit lie in the atlas' corner."""
    for target in (
        target_1(targeted_ccf_coordinates=[{"ml": ml, "ap": ap, "dv": dv}]),
        target_2(atlas_coordinate={"coordinate_system": CCF, "translation": [ap, dv, ml]}),
    ):
        assert target.ccf_um_mlapdv is None
        assert target.aim_refused
        known = recording(targets=(replace(target, probe="ProbeB"),), session_file="session.json")
        told = fact(probe_facts(known, "ProbeB"), "target in the atlas")
        assert told.words == ""
        assert told.looked_for.startswith("session.json: not told for ProbeB; ML ")
        assert told.looked_for.endswith("is no place in a brain")


def test_an_aim_near_a_face_but_in_the_brain_is_taken():
    target = target_1(targeted_ccf_coordinates=[{"ml": 300, "ap": 12_900, "dv": 7_700}])
    assert (target.ccf_um_mlapdv, target.aim_refused) == ((300.0, 12_900.0, 7_700.0), "")


@pytest.mark.parametrize(
    ("module", "depth_um"),
    [
        ({"surface_z": 6150, "manipulator_coordinates": {"z": 9100, "unit": "micrometer"}}, 2950.0),
        ({"surface_z": "9100.0", "manipulator_coordinates": {"z": 6150}}, 2950.0),
        (
            {
                "surface_z": 6.15,
                "surface_z_unit": "millimeter",
                "manipulator_coordinates": {"z": 9100, "unit": "micrometer"},
            },
            2950.0,
        ),
        ({"surface_z": 6150, "manipulator_coordinates": {"z": 6151}}, None),
        ({"surface_z": None, "manipulator_coordinates": {"z": 6151}}, None),
        ({"surface_z": 6150, "manipulator_coordinates": {"x": 9000}}, None),
        ({"surface_z": 6150, "manipulator_coordinates": {"z": 9000, "unit": "turns"}}, None),
    ],
)
def test_insertion_depth_of_session_1(module: dict[str, object], depth_um: float | None):
    assert target_1(**module).depth_um == pytest.approx(depth_um)


ARID = {"axis_unit": "millimeter", "axes": [{"name": name} for name in ("AP", "ML", "SI", "Depth")]}


@pytest.mark.parametrize(
    ("system", "transform", "depth_um"),
    [
        (ARID, [{"translation": [1.0, 2.0, 0.1, 2.95]}], 2950.0),
        (ARID, [{"angles": [1, 2, 3, 4]}, {"translation": [1.0, 2.0, 0.1, -2.95]}], 2950.0),
        (ARID | {"axis_unit": "micrometer"}, [{"translation": [5000, 5000, 0, 1]}], None),
        (ARID, [{"translation": [1.0, 2.0, 0.1]}], None),
        ({"axes": [{"name": name} for name in "XYZ"]}, [{"translation": [1.0, 2.0, 3.0]}], None),
        (None, [{"translation": [1.0, 2.0, 0.1, 2.95]}], None),
        (ARID, None, None),
    ],
)
def test_insertion_depth_of_acquisition_2(system: object, transform: object, depth_um: float | None):
    assert target_2(coordinate_system=system, transform=transform).depth_um == pytest.approx(depth_um)


# --- the sample mouse -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory):
    return write_sample(tmp_path_factory.mktemp("facts") / "mouse", sizes=Sizes(units_per_stream=1, image_levels=(5,)))


def test_every_fact_but_an_earlier_conversion_is_known_of_the_sample_mouse(sample):
    subject = gather_subject(LocalLibrary(sample.library), sample.subject, now=NOW)
    for one in subject.recordings:
        probes = [probe.name for probe in one.probes]
        facts = [*recording_facts(one, subject), *(each for name in probes for each in probe_facts(one, name))]
        assert [each for each in facts if not each.words] == []
        assert read_block_lengths_s(LocalLibrary(sample.library), one, probes[0]) == (one.duration_s,)


def test_the_sample_mouse_s_targets_lie_beside_its_tracks_by_its_own_registration(sample):
    assets = sample.library / "assets"
    subject = gather_subject(LocalLibrary(sample.library), sample.subject, now=NOW)
    channel = next(channel for channel in subject.stitched[0].channels if channel.name == "Ex_639_Em_680")
    assert channel.frame is not None
    to_template = assets / STITCHED / "image_atlas_alignment" / channel.name / "ls_to_template_SyN_0GenericAffine.mat"
    to_ccf = assets / TEMPLATE / "spim_template_to_ccf_syn_0GenericAffine_25.mat"
    atlas = AffineAtlas(
        pipeline_frame(channel.frame, IMPORT_VERSION, (500, 902, 763)),
        read_itk_affine(to_template.read_bytes()),
        read_itk_affine(to_ccf.read_bytes()),
    )
    state = read_state(sample.states[0].path.read_bytes(), stem="all")
    tracks = {layer.name: layer.points_level0_zyx for layer in state.tracks}
    assert sample.states[0].manifest is not None
    rows = read_csv(sample.states[0].manifest.read_bytes()).rows
    assert len(rows) == 12
    for row in rows:
        found = subject.sorting(row.sorted_recording)
        assert found is not None
        (target,) = targets_of(found[0], row.ephys_collection)
        assert target.ccf_um_mlapdv is not None
        away_um = np.linalg.norm(points_to_ccf_um(tracks[row.histology_track_id], atlas) - target.ccf_um_mlapdv, axis=1)
        assert away_um.min() < 450.0 + 260.0 * (row.histology_shank or 0)
        assert target.depth_um is not None
        assert np.ptp(tracks[row.histology_track_id][:, 0] * 2.0) < 1.3 * target.depth_um
