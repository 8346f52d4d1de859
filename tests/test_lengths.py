"""How long a recording lasted, by its arrays where its session's file does not tell: it tells surface recordings."""

from __future__ import annotations

from datetime import UTC, datetime

import builders as b
import pytest

from core.checks import check_mapping
from core.errors import UnavailableError
from core.manifest import ManifestRow
from core.models import Recording, Role, Severity, Subject
from core.subjects import gather_subject
from core.subjects.lengths import MOST_BLOCKS, MOST_READ
from tests.fake_library import FakeLibrary, as_json, block_files, raw_files, sorted_files

MOUSE = "717381"
DAY = f"ecephys_{MOUSE}_2024-04-09"
MAIN, SECOND = f"{DAY}_11-14-13", f"{DAY}_13-14-13"
NEXT_DAY = f"ecephys_{MOUSE}_2024-04-10_11-14-13"
SORTED = f"{MAIN}_sorted_2024-04-10_02-00-00"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def lasting(*seconds: int, **more: object) -> dict[str, bytes]:
    """Files of a raw asset whose blocks last so long; no session file."""
    files = raw_files()
    for number, length in enumerate(seconds, 1):
        files |= block_files(number, length * 1000, old_layout=False, **more)  # type: ignore[arg-type]
    return files


def session(minutes: int) -> dict[str, bytes]:
    times = {"session_start_time": "2024-04-09T11:00:00", "session_end_time": f"2024-04-09T11:{minutes:02}:00"}
    return {"session.json": as_json(times)}


def gathered(library: FakeLibrary) -> dict[str, Recording]:
    return {each.name: each for each in subject_of(library).recordings}


def subject_of(library: FakeLibrary) -> Subject:
    return gather_subject(library, MOUSE, now=NOW)


def arrays_read(library: FakeLibrary) -> list[str]:
    return [what for what in library.log if what.endswith((".zattrs", ".zarray"))]


def test_the_sizes_of_arrays_tell_the_surface_recording_when_no_session_file_does():
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, lasting(300))
    found = gathered(library)
    assert [found[name].duration_s for name in (MAIN, SECOND)] == [5_400.0, 300.0]
    assert (found[MAIN].surface, found[SECOND].role) == (SECOND, Role.SURFACE)
    assert "5 min against 90 min" in found[MAIN].surface_reason


def test_two_long_ones_of_a_day_are_two_main_recordings():
    library = FakeLibrary()
    library.add(MAIN, lasting(3_000))
    library.add(SECOND, lasting(3_600))
    assert [each.role for each in gathered(library).values()] == [Role.MAIN, Role.MAIN]


def test_blocks_and_segments_are_added():
    library = FakeLibrary()
    library.add(MAIN, lasting(1_000, 2_000, segments=2))
    library.add(SECOND, lasting(60))
    assert gathered(library)[MAIN].duration_s == 6_000.0


def test_only_what_the_session_files_leave_open_is_read():
    library = FakeLibrary()
    library.add(MAIN, lasting(3_000) | session(50))
    library.add(SECOND, lasting(240))
    library.add(NEXT_DAY, lasting(3_000))
    found = gathered(library)
    assert (found[MAIN].duration_s, found[SECOND].role) == (3_000.0, Role.SURFACE)
    assert found[NEXT_DAY].duration_s is None, "alone on its day, nothing depends on it"
    assert len(arrays_read(library)) == 2
    assert all(SECOND in what for what in arrays_read(library))
    assert subject_of(library).requests > 0


def test_a_copy_of_one_recording_is_no_second_recording():
    library = FakeLibrary()
    library.add(MAIN, lasting(3_000))
    library.add(MAIN, lasting(3_000), id="another upload")
    gathered(library)
    assert arrays_read(library) == []


def test_what_is_read_is_bounded_and_counted():
    library = FakeLibrary()
    for hour in range(24):
        for minute in ("00", "30"):
            library.add(f"{DAY}_{hour:02}-{minute}-00", lasting(600))
    subject = subject_of(library)
    assert sum(each.duration_s is not None for each in subject.recordings) == MOST_READ
    assert len(arrays_read(library)) == 2 * MOST_READ
    assert subject.requests == library.requests
    many = FakeLibrary()
    many.add(MAIN, lasting(*[60] * (MOST_BLOCKS + 1)))
    many.add(SECOND, lasting(*[60] * MOST_BLOCKS))
    assert [each.duration_s for each in gathered(many).values()] == [None, 60.0 * MOST_BLOCKS]


@pytest.mark.parametrize("rate", [0, None, "fast"])
def test_arrays_that_do_not_tell_leave_the_length_unknown(rate):
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, lasting(300, rate=rate))
    found = gathered(library)
    assert found[SECOND].duration_s is None
    assert found[SECOND].role is Role.UNKNOWN


def test_arrays_that_cannot_be_read_cost_nothing_else():
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, lasting(300))
    library.fail(
        f"{SECOND}/ecephys/ecephys_compressed/experiment1_Record Node 104#Neuropix-PXI-100.ProbeA-AP.zarr/.zattrs",
        UnavailableError("away"),
    )
    found = gathered(library)
    assert (found[MAIN].duration_s, found[SECOND].duration_s) == (5_400.0, None)
    assert found[SECOND].probes


# --- R5 -------------------------------------------------------------------------------------------


def named_as_surface(library: FakeLibrary, surface: str):
    """The R5 problems of a mapping that names a surface recording."""
    library.add(SORTED, sorted_files(), provenance_data_assets=(MAIN,))
    rows = [ManifestRow(MOUSE, SORTED, b.STEM, "one", "ProbeA", "ProbeA", None, None, surface)]
    found = check_mapping(rows, state=b.make_state("one"), subject=subject_of(library))
    return [each for each in found if each.rule == "R5"]


def test_a_surface_recording_too_long_by_its_arrays_is_told():
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, lasting(900))
    (found,) = named_as_surface(library, SECOND)
    assert (found.severity, found.measured, found.threshold) == (Severity.WARNING, 900.0, 600.0)


def test_one_whose_length_nothing_tells_is_told_as_unknown():
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, raw_files())
    (found,) = named_as_surface(library, SECOND)
    assert found.severity is Severity.INFO
    assert "is not known" in found.message
    assert (found.measured, found.threshold) == ("unknown", 600.0)


def test_a_short_one_is_left_alone():
    library = FakeLibrary()
    library.add(MAIN, lasting(5_400))
    library.add(SECOND, lasting(300))
    assert named_as_surface(library, SECOND) == []
