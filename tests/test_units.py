"""Units of a stream: where they are read, what becomes of odd files, and that they are read once."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numcodecs import Blosc

from core.errors import NotFoundError, UnavailableError
from core.models import Asset, Sorting, SortingStatus
from core.platforms.local_library import LocalLibrary
from core.recent import Recent
from core.sample import Sizes, write_sample
from core.subjects import gather_subject
from core.subjects.units import MAX_UNITS_BYTES, WHOLE, StreamUnits, UnitsCache, read_units
from tests.fake_library import FakeLibrary, as_json, recording_name

NAME = "ecephys_717381_2024-04-09_11-14-13_sorted_2024-04-10_02-00-00"


def npy(elements: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, elements)
    return buffer.getvalue()


def zarr_files(folder: str, elements: np.ndarray[Any, Any], **changes: object) -> dict[str, bytes]:
    """An array in one chunk, as the sorting pipeline writes it."""
    codec = Blosc(cname="zstd", shuffle=Blosc.BITSHUFFLE)
    metadata = {
        "chunks": list(elements.shape),
        "compressor": codec.get_config(),
        "dtype": elements.dtype.str,
        "fill_value": 0.0,
        "filters": None,
        "order": "C",
        "shape": list(elements.shape),
        "zarr_format": 2,
    }
    chunk = codec.encode(np.ascontiguousarray(elements))
    return {f"{folder}/.zarray": as_json(metadata | changes), f"{folder}/0.0": bytes(chunk)}


def stream_files(stream: str, located: np.ndarray[Any, Any], passes: object = None) -> dict[str, bytes]:
    name = recording_name(stream)
    files = zarr_files(f"postprocessed/{name}.zarr/extensions/unit_locations/unit_locations", located)
    if passes is not None:
        files[f"curated/{name}/properties/default_qc.npy"] = npy(np.asarray(passes))
    return files


def located(*depths: float, x: float = 20.0) -> np.ndarray[Any, Any]:
    return np.array([[x, depth, 5.0] for depth in depths])


def sorting_of(library: FakeLibrary, files: dict[str, bytes]) -> Sorting:
    return Sorting(library.add(NAME, files), "kilosort4", SortingStatus.OK, "", ())


def units_of(files: dict[str, bytes], token: str = "ProbeA") -> StreamUnits:
    library = FakeLibrary()
    return read_units(library, sorting_of(library, files), token)


def test_a_whole_stream_has_depths_and_quality_but_no_shank():
    units = units_of(stream_files("ProbeA-AP", located(10.0, 500.0), [True, False]))
    np.testing.assert_array_equal(units.depths_um, [10.0, 500.0])
    np.testing.assert_array_equal(units.x_um, [20.0, 20.0])
    assert units.groups.tolist() == [WHOLE, WHOLE]
    assert units.passing is not None
    assert units.passing.tolist() == [True, False]
    assert (units.source, units.looked_for) == (f"unit_locations in {NAME}/postprocessed", "")


def test_shanks_sorted_apart_come_one_after_the_other_by_the_sorters_numbers():
    files = stream_files("ProbeB_group1", located(3.0, x=270.0), [False])
    files |= stream_files("ProbeB_group0", located(1.0, 2.0), [True, True])
    units = units_of(files, "ProbeB")
    assert units.depths_um.tolist() == [1.0, 2.0, 3.0]
    assert units.groups.tolist() == [0, 0, 1]
    assert units.passing is not None
    assert units.passing.tolist() == [True, True, False]


def test_tokens_are_compared_whole():
    files = stream_files("45883-1", located(1.0)) | stream_files("45883-2", located(2.0, 3.0))
    assert units_of(files, "45883-2").depths_um.tolist() == [2.0, 3.0]
    lacking = units_of(files, "45883")
    assert len(lacking.depths_um) == 0
    assert "postprocessed has no folder of this stream" in lacking.looked_for


@pytest.mark.parametrize("inner", ["extensions/", ""])
def test_older_sortings_keep_locations_in_npy_files(inner: str):
    name = recording_name("ProbeA-AP")
    files = {f"postprocessed/{name}/{inner}unit_locations/unit_locations.npy": npy(located(7.0)[:, :2])}
    files[f"sorting_precurated/{name}/properties/default_qc.npy"] = npy(np.array([True]))
    units = units_of(files)
    assert units.depths_um.tolist() == [7.0]
    assert units.passing is not None


@pytest.mark.parametrize(
    ("passes", "word"),
    [
        (None, "no properties/default_qc.npy in curated/"),
        ([True], "is not about these 2 units"),
        ([1.0, 0.0], "is not about these 2 units"),
        (np.array([True, None], dtype=object), "no .npy file of numbers"),
    ],
)
def test_quality_that_is_not_told_of_every_unit_is_unknown_and_says_where_it_was_looked_for(passes: object, word: str):
    units = units_of(stream_files("ProbeA-AP", located(1.0, 2.0), passes))
    assert len(units.depths_um) == 2
    assert units.passing is None
    assert word in units.looked_for


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": [10**9, 3], "chunks": [10**9, 3]}, "more than"),
        ({"shape": [10**9, 3], "chunks": [2, 3]}, "more than"),
        ({"chunks": [10**6, 3]}, "more than"),
        ({"shape": [2, 4]}, "are no places"),
        ({"dtype": "<i8"}, "are no places"),
        ({"dtype": "|O"}, "not read here"),
        ({"filters": [{"id": "delta"}]}, "filters"),
        ({"shape": "many"}, "sizes"),
    ],
)
def test_locations_that_make_no_sense_are_unknown_and_say_why(change: dict[str, object], word: str):
    files = stream_files("ProbeA-AP", located(1.0, 2.0))
    folder = f"postprocessed/{recording_name('ProbeA-AP')}.zarr/extensions/unit_locations/unit_locations"
    units = units_of(
        files | {f"{folder}/.zarray": zarr_files(folder, located(1.0, 2.0), **change)[f"{folder}/.zarray"]}
    )
    assert len(units.depths_um) == 0
    assert units.source == ""
    assert word in units.looked_for


def test_places_that_are_no_numbers_and_files_that_are_gone_are_unknown():
    assert "no finite location" in units_of(stream_files("ProbeA-AP", located(1.0, np.nan))).looked_for
    name = recording_name("ProbeA-AP")
    assert "no unit locations in" in units_of({f"postprocessed/{name}.zarr/.zgroup": b"{}"}).looked_for
    assert "no folder of this stream" in units_of({"output": b""}).looked_for


def test_one_damaged_shank_does_not_cost_the_others():
    files = stream_files("ProbeB_group0", located(1.0), [True]) | stream_files("ProbeB_group1", located(2.0), [True])
    folder = f"postprocessed/{recording_name('ProbeB_group1')}.zarr/extensions/unit_locations/unit_locations"
    files[f"{folder}/0.0"] = files[f"{folder}/0.0"][:-3]
    units = units_of(files, "ProbeB")
    assert units.groups.tolist() == [0]
    assert "_group1" in units.looked_for
    assert "damaged" in units.looked_for


def test_a_lost_platform_is_an_error_and_nothing_of_it_is_kept():
    library = FakeLibrary()
    sorting = sorting_of(library, stream_files("ProbeA-AP", located(1.0), [True]))
    folder = f"postprocessed/{recording_name('ProbeA-AP')}.zarr/extensions/unit_locations/unit_locations"
    library.fail(f"{NAME}/{folder}/0.0", UnavailableError("away"))
    known: UnitsCache = Recent(4)
    with pytest.raises(UnavailableError):
        read_units(library, sorting, "ProbeA", known=known)
    library._failures.clear()
    assert len(read_units(library, sorting, "ProbeA", known=known).depths_um) == 1


def test_what_was_read_is_not_read_again_until_others_took_its_place():
    library = FakeLibrary()
    streams = ("ProbeA-AP", "ProbeB", "ProbeC")
    files = {path: data for stream in streams for path, data in stream_files(stream, located(1.0), [True]).items()}
    sorting = sorting_of(library, files)
    known: UnitsCache = Recent(2)
    first = read_units(library, sorting, "ProbeA", known=known)
    requests = library.requests
    assert requests == 4
    assert read_units(library, sorting, "ProbeA", known=known) is first
    assert library.requests == requests
    for token in ("ProbeB", "ProbeC", "ProbeA"):
        read_units(library, sorting, token, known=known)
    assert library.requests == 4 * requests


def test_nothing_larger_than_the_bound_is_asked_for():
    class Asked(FakeLibrary):
        most = 0

        def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
            self.most = max(self.most, limit)
            return super().read_file(asset, path, limit)

    library = Asked()
    read_units(library, sorting_of(library, stream_files("ProbeA-AP", located(1.0), [True])), "ProbeA")
    assert 0 < library.most <= MAX_UNITS_BYTES


def test_recent_keeps_no_failure():
    recent: Recent[str, int] = Recent(1)

    def fail() -> int:
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        recent.get("a", fail)
    assert recent.get("a", lambda: 1) == 1
    assert recent.get("a", fail) == 1


def test_the_sample_mouse_has_as_many_units_as_its_sortings_count(tmp_path):
    sample = write_sample(tmp_path / "mouse", sizes=Sizes(units_per_stream=12, image_levels=(5,)))
    library = LocalLibrary(sample.library)
    subject = gather_subject(library, sample.subject, now=datetime(2026, 1, 2, tzinfo=UTC))
    seen = 0
    for recording in subject.recordings:
        contacts = {probe.name: probe.contacts for probe in recording.probes}
        for sorting in recording.sortings:
            for stream in sorting.streams:
                units = read_units(library, sorting, stream.token)
                assert units.passing is not None
                assert (len(units.depths_um), int(units.passing.sum())) == (stream.units, stream.passing)
                assert set(units.groups) == (set(stream.groups or stream.shanks) or {WHOLE})
                highest = max(contact.y_um for contact in contacts[stream.token])
                assert 0 <= units.depths_um.min() <= units.depths_um.max() <= highest
                seen += 1
    assert seen == 11
