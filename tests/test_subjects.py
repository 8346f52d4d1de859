"""A whole mouse: gathered side by side, nothing lost for one broken asset."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.errors import NotFoundError, PlatformError, UnavailableError
from core.models import Asset, Severity, SortingStatus, Subject
from core.platforms.base import Entry
from core.rules import problem as a_problem
from core.subjects import gather_subject
from tests.fake_library import FakeLibrary, raw_files, sorted_files, stitched_files

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MOUSE = "717381"
DAYS = ("2024-04-09", "2024-04-10", "2024-04-11")
BRAIN = "SmartSPIM_717381_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47"


def raw_name(day: str) -> str:
    return f"ecephys_{MOUSE}_{day}_11-14-13"


def sorted_name(day: str) -> str:
    return f"{raw_name(day)}_sorted_2024-05-01_08-00-00"


@pytest.fixture
def library() -> FakeLibrary:
    """Three days, each with a raw and a sorted asset, and a brain."""
    library = FakeLibrary()
    for day in DAYS:
        raw = library.add(raw_name(day), raw_files())
        library.add(sorted_name(day), sorted_files(), provenance_data_assets=(raw.id,))
    library.add(BRAIN, stitched_files())
    return library


def gather(library: FakeLibrary, subject: str = MOUSE) -> Subject:
    return gather_subject(library, subject, now=NOW)


def everything_told(subject: Subject) -> str:
    problems = [*subject.problems]
    for part in (*subject.recordings, *subject.stitched):
        problems += part.problems
    return " | ".join(f"{p.rule} {p.message}" for p in problems)


def test_a_mouse_without_gaps_has_no_problem(library: FakeLibrary):
    subject = gather(library)
    assert [recording.name for recording in subject.recordings] == [raw_name(day) for day in DAYS]
    assert [len(recording.sortings) for recording in subject.recordings] == [1, 1, 1]
    assert [stitched.asset.name for stitched in subject.stitched] == [BRAIN]
    assert (subject.id, subject.platform, subject.gathered) == (MOUSE, "test library", NOW)
    assert everything_told(subject) == ""


def test_no_file_is_asked_for_twice_and_requests_are_counted(library: FakeLibrary):
    """The launcher this replaces needed 4,120 requests for 30 recordings: each row asked for each session again."""
    library.requests = 7
    subject = gather(library)
    assert len(library.log) == len(set(library.log))
    assert subject.requests == len(library.log) == 2 + 3 * 6 + 3 * 4 + 9


def test_assets_are_read_side_by_side():
    meeting = threading.Barrier(4, timeout=20)

    class Together(FakeLibrary):
        """Each asset's root waits for three others: read one after another, they would never meet."""

        def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
            if not path:
                meeting.wait()
            return super().list_folder(asset, path)

    library = Together()
    for hour in range(4):
        library.add(f"ecephys_{MOUSE}_2024-04-09_{hour:02}-00-00", raw_files())
    assert len(gather(library).recordings) == 4
    assert not meeting.broken


def test_progress_is_told_from_the_calling_thread(library: FakeLibrary):
    heard: list[tuple[str, int]] = []
    gather_subject(library, MOUSE, now=NOW, progress=lambda words: heard.append((words, threading.get_ident())))
    assert heard[0][0] == "looking for assets of 717381"
    assert [words.split(":")[0] for words, _ in heard[1:]] == [f"read {n} of 7 assets" for n in range(1, 8)]
    assert {thread for _, thread in heard} == {threading.get_ident()}


def test_other_mice_are_never_taken_in(library: FakeLibrary):
    """A search finds substrings and tags; the subject token decides."""
    library.add("ecephys_1717381_2024-04-09_11-14-13", raw_files())
    library.add("ecephys_717381-1_2024-04-09_11-14-13", raw_files())
    library.add("ecephys_700000_2024-04-09_11-14-13", raw_files(), tags=(MOUSE,))
    library.add("SmartSPIM_7173810_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47", stitched_files())
    subject = gather(library)
    assert [recording.name for recording in subject.recordings] == [raw_name(day) for day in DAYS]
    assert len(subject.stitched) == 1


def test_a_mouse_that_is_not_here_is_said_and_not_an_error(library: FakeLibrary):
    """No sorted asset was a KeyError that ended the page of the launcher this replaces."""
    subject = gather(library, "999999")
    assert subject.recordings == ()
    assert [(p.rule, p.severity) for p in subject.problems] == [("A13", Severity.ERROR)]


def test_a_mouse_without_brain_or_ephys_is_said():
    ephys = FakeLibrary()
    ephys.add(raw_name(DAYS[0]), raw_files())
    assert "no stitched brain" in everything_told(gather(ephys))
    brain = FakeLibrary()
    brain.add(BRAIN, stitched_files())
    assert "no ephys recording" in everything_told(gather(brain))


def test_schema_2_names_without_a_platform_are_seen(library: FakeLibrary):
    """Invisible to the launcher this replaces, whose name parser demanded a platform."""
    raw = library.add("717381_2024-04-12_09-00-00", raw_files())
    library.add(
        "717381_2024-04-12_09-00-00_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=(raw.id,)
    )
    recording = gather(library).recordings[-1]
    assert recording.name == "717381_2024-04-12_09-00-00"
    assert len(recording.sortings) == 1


def test_a_raw_smartspim_asset_is_no_recording_and_no_gap(library: FakeLibrary):
    library.add("SmartSPIM_717381_2024-07-03_10-49-01", {"SmartSPIM/x": b""})
    subject = gather(library)
    assert len(subject.recordings) == 3
    assert everything_told(subject) == ""


def test_the_example_mouse_keeps_all_four_recordings():
    """Mouse 717381: two days of two recordings; the main sorting of day 2 failed.

    The launcher this replaces left the failed one out and took the surface recording of that day for the main one.
    """
    library = FakeLibrary()
    starts = ("2024-04-09_11-14-13", "2024-04-09_11-44-16", "2024-04-10_16-29-12", "2024-04-10_16-51-20")
    for start in starts:
        surface = start in (starts[1], starts[3])
        raw = library.add(
            f"ecephys_717381_{start}", raw_files(), bucket="aind-open-data", description="surface finding" * surface
        )
        files = {"output": b"Command error:", "nextflow/x": b""} if start == starts[2] else sorted_files()
        library.add(f"ecephys_717381_{start}_sorted_2024-04-12_00-00-00", files, provenance_data_assets=(raw.id,))
    recordings = gather(library).recordings
    assert [recording.name for recording in recordings] == [f"ecephys_717381_{start}" for start in starts]
    assert [recording.role.value for recording in recordings] == ["main", "surface", "main", "surface"]
    assert [recording.surface for recording in recordings] == [recordings[1].name, None, recordings[3].name, None]
    assert [recording.sortings[0].status.value for recording in recordings] == ["ok", "ok", "error", "ok"]


def test_several_brains_are_all_listed_and_none_is_the_newest_by_itself(library: FakeLibrary):
    """The launcher this replaces attached the newest one, not the one in the state."""
    library.add("SmartSPIM_717381_2024-05-20_15-19-15_stitched_2024-06-01_00-00-00", stitched_files())
    subject = gather(library)
    assert len(subject.stitched) == 2
    assert "2 stitched brains" in everything_told(subject)


def test_duplicated_names_of_brains_are_said(library: FakeLibrary):
    library.add(BRAIN, stitched_files(), id="again", bucket="aind-open-data")
    assert "again is the published" in everything_told(gather(library))


@pytest.mark.parametrize(
    "path",
    [
        raw_name(DAYS[1]),
        f"{raw_name(DAYS[1])}/ecephys/ecephys_clipped",
        f"{raw_name(DAYS[1])}/ecephys/ecephys_clipped/Record Node 104/settings.xml",
        sorted_name(DAYS[1]),
        f"{sorted_name(DAYS[1])}/output",
        f"{sorted_name(DAYS[1])}/processing.json",
        BRAIN,
        f"{BRAIN}/image_tile_fusing/OMEZarr",
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("It is gone."),
        PlatformError("It has moved."),
        UnavailableError("No answer."),
        ValueError("a shape nobody expected"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_broken_asset_never_costs_the_others(library: FakeLibrary, path: str, error: Exception):
    """Files gone, prefixes moved, 503 and odd shapes each ended the whole page of the launcher this replaces."""
    library.fail(path, error)
    subject = gather(library)
    by_name = {recording.name: recording for recording in subject.recordings}
    for day in (DAYS[0], DAYS[2]):
        assert by_name[raw_name(day)].sortings[0].status is SortingStatus.OK
        assert by_name[raw_name(day)].probes
    assert everything_told(subject) != ""


def test_a_provenance_that_leads_nowhere_is_said(library: FakeLibrary):
    """An asset that the server answers 404 for ended the page of the launcher this replaces."""
    library.add(
        f"{raw_name('2024-04-12')}_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=("gone",)
    )
    subject = gather(library)
    assert subject.recordings[-1].raw is None
    assert "made from asset gone, which is not there" in everything_told(subject)


def test_a_provenance_that_cannot_be_asked_for_is_said(library: FakeLibrary):
    library.add(f"{raw_name('2024-04-12')}_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=("far",))
    library.fail("asset far", UnavailableError("No answer."))
    assert "cannot be asked for (No answer.)" in everything_told(gather(library))


def test_an_answer_of_another_kind_costs_neither_provenance_nor_states_the_mouse(library: FakeLibrary):
    library.add(f"{raw_name('2024-04-12')}_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=("odd",))
    library.fail("asset odd", KeyError("state"))
    library.fail("states", ValueError("unknown state"))
    subject = gather(library)
    assert len(subject.recordings) == 4
    assert "made from asset odd" in everything_told(subject)
    assert "saved states cannot be listed" in everything_told(subject)


def test_two_assets_with_one_id_are_both_kept_and_said():
    class TwoOfOneId(FakeLibrary):
        def find_subject_assets(self, subject: str) -> tuple[Asset, ...]:
            return tuple(replace(asset, id="same") for asset in super().find_subject_assets(subject))

        def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
            return super().list_folder(replace(asset, id=asset.name), path)

        def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
            return super().read_file(replace(asset, id=asset.name), path, limit)

    doubled = TwoOfOneId()
    for day in DAYS[:2]:
        doubled.add(raw_name(day), raw_files())
    subject = gather(doubled)
    assert [recording.name for recording in subject.recordings] == [raw_name(day) for day in DAYS[:2]]
    assert "have the same id same" in everything_told(subject)


def test_a_raw_that_only_provenance_knows_is_fetched(library: FakeLibrary):
    """A re-upload under a name that no search for the mouse finds."""
    raw = library.add("corrected upload of April", raw_files(), id="r-1", type="result")
    library.add(f"{raw_name('2024-04-12')}_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=("r-1",))
    recording = next(r for r in gather(library).recordings if r.raw is raw)
    assert len(recording.sortings) == 1
    assert recording.probes
    assert any(problem.rule == "A8" for problem in recording.problems)


def test_a_sorting_made_from_another_mouse_must_be_confirmed(library: FakeLibrary):
    """Paths of another subject have occurred in AIND's pipeline."""
    other = library.add("ecephys_700000_2024-04-12_11-14-13", raw_files())
    library.add(
        f"{raw_name('2024-04-12')}_sorted_2024-05-01_08-00-00", sorted_files(), provenance_data_assets=(other.id,)
    )
    subject = gather(library)
    assert all(recording.raw is not other for recording in subject.recordings)
    (problem,) = [p for p in subject.problems if "another mouse" in p.message]
    assert problem.severity is Severity.CONFIRM


def test_names_that_cannot_be_read_and_records_that_disagree_are_listed(library: FakeLibrary):
    library.add("ecephys_717381_2024-13-09_11-14-13", raw_files())
    library.add("my_favourite_sorted_thing", {}, tags=(MOUSE,))
    library.add("717381_data_converter_manifest", {}, tags=(MOUSE,))
    library.add(raw_name("2024-04-12"), raw_files(), custom_metadata={"subject id": "700000"})
    told = everything_told(gather(library))
    assert "ecephys_717381_2024-13-09_11-14-13 is left out" in told
    assert "my_favourite_sorted_thing is left out" in told
    assert "manifest" not in told
    assert "mouse 700000 by its record" in told


def test_an_asset_without_a_sidecar_carries_its_own_problem(library: FakeLibrary):
    gap = a_problem("A6", "It has no sidecar: what it was made from is unknown.")
    library.add(f"{raw_name(DAYS[0])}_sorted_2024-06-01_08-00-00", sorted_files(), problems=(gap,))
    recording = gather(library).recordings[0]
    assert [p for p in recording.problems if p.rule == "A6"] == [gap]
    assert len(recording.sortings) == 2


def test_saved_states_of_the_mouse_are_listed(library: FakeLibrary):
    library.add_state("Probes_717381_Day1and2.json", b"{}")
    library.add_state("Probes_1717381.json", b"{}")
    assert [state.name for state in gather(library).states] == ["Probes_717381_Day1and2.json"]


def test_states_that_cannot_be_listed_are_a_problem(library: FakeLibrary):
    library.fail("states", UnavailableError("No answer."))
    assert "saved states cannot be listed" in everything_told(gather(library))


def test_a_platform_that_cannot_be_searched_says_so(library: FakeLibrary):
    library.fail(f"search {MOUSE}", UnavailableError("No answer."))
    with pytest.raises(UnavailableError):
        gather(library)


def test_what_is_new_is_seen_at_once(library: FakeLibrary):
    """Sessions were cached for the life of the process of the launcher this replaces."""
    assert len(gather(library).recordings) == 3
    library.add(raw_name("2024-04-12"), raw_files())
    assert len(gather(library).recordings) == 4
