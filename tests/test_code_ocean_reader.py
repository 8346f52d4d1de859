"""A mouse on Code Ocean: four searches, every odd asset shown and none costing the others; what else a page asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any, cast

import pytest
from pydantic import SecretStr

from core.errors import AccessError, NotFoundError, PlatformError, RefusedError, UnavailableError
from core.models import Problem, Role, SavedState, SortingStatus, Subject
from core.platforms.base import HealthKind
from core.platforms.choice import make_reader
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.files import S3Files
from core.platforms.code_ocean.reader import MAX_STATE_BYTES, CodeOceanReader
from core.platforms.code_ocean.s3_clients import Clients
from core.platforms.code_ocean.search import find_assets
from core.settings import Settings
from core.subjects import gather_subject
from tests.fake_code_ocean import TOKEN, FakeCodeOcean
from tests.fake_code_ocean_state import CONVERTER, FakeCapsule, PanelParameter
from tests.fake_library import FakeLibrary, block_files, raw_files, sorted_files, stitched_files
from tests.light_s3 import LightS3, served_with_clients

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MOUSE = "717381"
OPEN, CLOSED = "aind-open-data", "aind-private-data-prod-o5171v"
STATES = "aind-session/neuroglancer_states"
BRAIN = f"SmartSPIM_{MOUSE}_2024-07-03_10-49-01_stitched_2024-08-16_23-15-47"


def raw_name(day: int, start: str = "11-14-13") -> str:
    return f"ecephys_{MOUSE}_2024-04-{day:02d}_{start}"


def sorted_name(day: int) -> str:
    return f"{raw_name(day)}_sorted_2024-05-01_08-00-00"


@dataclass
class Place:
    """A Code Ocean and an S3 server."""

    fake: FakeCodeOcean
    s3: LightS3
    clients: Clients

    def reader(self, **more: Any) -> CodeOceanReader:
        settings = Settings(**{"code_ocean_domain": self.fake.url, **more})
        return CodeOceanReader(settings, self.api(), self.api(), S3Files(lambda: self.clients))

    def api(self) -> CodeOceanApi:
        return CodeOceanApi(self.fake.url, SecretStr(TOKEN), min_version="4.0.0", sleep=lambda _: None)

    def add(self, name: str, files: dict[str, bytes], bucket: str = OPEN, folder: str = "", **record: Any) -> str:
        """An external asset with its files in S3; returns its id."""
        self.put(bucket, folder or name, files)
        return self.fake.add_asset(name, bucket=bucket, prefix=folder or name, publish=False, **record)

    def internal(self, name: str, files: dict[str, bytes], **record: Any) -> str:
        """One that Code Ocean keeps, in a bucket that we may not read."""
        return self.fake.add_asset(name, files=files, publish=False, **record)

    def put(self, bucket: str, folder: str, files: dict[str, bytes]) -> None:
        self.s3.objects.setdefault(bucket, {}).update({f"{folder}/{path}": data for path, data in files.items()})

    def session(self, day: int, **record: Any) -> tuple[str, str]:
        """A raw and a sorted asset; returns their ids."""
        raw = self.add(raw_name(day), raw_files(), tags=(MOUSE,))
        return raw, self.add(sorted_name(day), sorted_files(), provenance=made_from(raw), **record)

    def gather(self, reader: CodeOceanReader | None = None, **more: Any) -> Subject:
        return gather_subject(reader or self.reader(), MOUSE, now=NOW, **more)


def made_from(*assets: str, computation: str = "") -> dict[str, Any]:
    return {"data_assets": list(assets), "computation": computation or f"run of {assets}"}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[LightS3, Clients]]:
    with served_with_clients() as served:
        yield served


@pytest.fixture
def place(served: tuple[LightS3, Clients], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    s3, clients = served
    s3.reset({OPEN: {}, "aind-scratch-data": {}})
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    with FakeCodeOcean() as fake:
        yield Place(fake, s3, clients)


def told(subject: Subject) -> str:
    problems: list[Problem] = [*subject.problems]
    for part in (*subject.recordings, *subject.stitched):
        problems += part.problems
    return " | ".join(f"{problem.rule} {problem.message}" for problem in problems)


# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sessions", [1, 30])
def test_a_mouse_costs_four_requests_however_many_sessions_it_has(place: Place, sessions: int):
    for day in range(1, sessions + 1):
        place.session(day)
    place.add(BRAIN, stitched_files(), tags=("smartspim", "processed"))
    subject = place.gather()
    assert [recording.name for recording in subject.recordings] == [raw_name(day) for day in range(1, sessions + 1)]
    assert [sorting.status for recording in subject.recordings for sorting in recording.sortings] == (
        [SortingStatus.OK] * sessions
    )
    assert [stitched.asset.name for stitched in subject.stitched] == [BRAIN]
    assert place.fake.counts() == {"POST data_assets/search": 4}
    assert subject.requests == 4
    asked = [f"{request.raw_path}?{request.raw_query}" for request in place.s3.log]
    assert len(asked) == len(set(asked)), "S3 was asked twice for the same"
    assert told(subject) == ""


def test_lengths_that_only_arrays_tell_are_read_from_s3_alone(place: Place):
    """Two recordings a day and no session file: which is the surface recording is told by sizes of arrays."""
    for day in range(1, 16):
        place.add(raw_name(day), raw_files() | block_files(1, 3_600_000, old_layout=False), tags=(MOUSE,))
        place.add(raw_name(day, "13-00-00"), raw_files() | block_files(1, 300_000, old_layout=False), tags=(MOUSE,))
    subject = place.gather()
    assert [each.role for each in subject.recordings] == [Role.MAIN, Role.SURFACE] * 15
    assert {each.duration_s for each in subject.recordings} == {3_600.0, 300.0}
    assert place.fake.counts() == {"POST data_assets/search": 4}
    asked = [f"{request.raw_path}?{request.raw_query}" for request in place.s3.log]
    assert len(asked) == len(set(asked)), "S3 was asked twice for the same"
    assert sum(".zattrs" in each or ".zarray" in each for each in asked) == 2 * 30


def test_a_raw_that_only_provenance_names_costs_one_request_more(place: Place):
    """A re-upload has any name, no tag, and is of type result."""
    raw = place.add("a re-upload of that day", raw_files(), type="result")
    for day in (9, 10):
        place.add(sorted_name(day), sorted_files(), provenance=made_from(raw))
    subject = place.gather()
    assert {recording.raw.id for recording in subject.recordings if recording.raw} == {raw}
    assert place.fake.counts() == {"POST data_assets/search": 4, "GET data_assets/{id}": 1}


def test_more_than_a_thousand_assets_are_all_found(place: Place):
    for number in range(1100):
        place.fake.add_asset(f"notes {number}", bucket=OPEN, publish=False, tags=(MOUSE,))
    place.session(9)
    found = place.reader().find_subject_assets(MOUSE)
    assert len(found) == 1102
    assert list(found) == sorted(found, key=lambda asset: (asset.name, asset.id))


def test_archived_assets_are_left_out(place: Place):
    place.session(9)
    place.add(sorted_name(10), sorted_files(), archived=True)
    assert len(place.reader().find_subject_assets(MOUSE)) == 2


@pytest.mark.parametrize("subject", ["", 'a" OR "b', "1 2", "name:x", "717381 "])
def test_a_subject_that_is_no_id_is_not_searched_for(place: Place, subject: str):
    assert place.reader().find_subject_assets(subject) == ()
    assert place.fake.count() == 0


# --- names and provenance -------------------------------------------------------------------------


def test_names_without_a_platform_are_seen(place: Place):
    raw = place.add(f"{MOUSE}_2025-04-09_11-14-13", raw_files())
    place.add(f"{MOUSE}_2025-04-09_11-14-13_sorted_2025-05-01_08-00-00", sorted_files(), provenance=made_from(raw))
    [recording] = place.gather().recordings
    assert (recording.name, len(recording.sortings)) == (f"{MOUSE}_2025-04-09_11-14-13", 1)


def test_a_corrected_re_upload_is_the_raw_when_provenance_says_so(place: Place):
    place.add(raw_name(9), raw_files())
    corrected = place.add(f"{raw_name(9)}_corrected", raw_files(), type="result")
    place.add(sorted_name(9), sorted_files(), provenance=made_from(corrected))
    [recording] = place.gather().recordings
    assert recording.raw is not None
    assert recording.raw.id == corrected


def test_one_computation_captured_twice_is_one_sorting_and_the_published_copy(place: Place):
    raw = place.add(raw_name(9), raw_files())
    made = made_from(raw, computation="the run")
    place.internal(sorted_name(9), sorted_files(), provenance=made)
    published = place.add(sorted_name(9), sorted_files(), provenance=made)
    [recording] = place.gather().recordings
    assert [sorting.asset.id for sorting in recording.sortings] == [published]


def test_a_recording_time_that_a_sorted_name_leaves_out_is_found_by_provenance(place: Place):
    raws = [place.add(raw_name(9, start), raw_files()) for start in ("11-14-13", "15-00-00")]
    name = f"ecephys_{MOUSE}_2024-04-09_sorted_2024-05-01_08-00-00"
    place.add(name, sorted_files(), provenance=made_from(raws[1]))
    first, second = place.gather().recordings
    assert (len(first.sortings), [sorting.asset.name for sorting in second.sortings]) == (0, [name])


def test_provenance_beats_names(place: Place):
    raws = [place.add(raw_name(day), raw_files()) for day in (9, 10)]
    place.add(sorted_name(9), sorted_files(), provenance=made_from(raws[1]))
    subject = place.gather()
    assert [len(recording.sortings) for recording in subject.recordings] == [0, 1]
    assert "A8" in told(subject)


def test_a_failed_sorting_says_why(place: Place):
    place.session(9)
    output = b"Command error:\n  Out of memory.\n"
    raw = place.add(raw_name(10), raw_files())
    place.add(sorted_name(10), {"output": output, "nextflow/x": b""}, provenance=made_from(raw))
    text = told(place.gather())
    assert f"A3 {sorted_name(10)}" in text
    assert "it ran out of memory" in text


def test_a_processed_brain_is_found_though_its_tags_do_not_name_the_mouse(place: Place):
    place.add(BRAIN, stitched_files(), tags=("smartspim", "processed"))
    place.add(BRAIN.replace(MOUSE, "717382"), stitched_files(), tags=("smartspim", "processed"))
    assert [stitched.asset.name for stitched in place.gather().stitched] == [BRAIN]


def test_other_mice_are_never_taken_in(place: Place):
    place.session(9)
    other = place.add(raw_name(10).replace(MOUSE, "717382"), raw_files(), description=f"littermate of {MOUSE}")
    place.add(raw_name(11).replace(MOUSE, "99"), raw_files(), tags=(MOUSE,))
    subject = place.gather()
    assert [recording.name for recording in subject.recordings] == [raw_name(9)]
    assert other not in told(subject)


# --- one odd asset never costs the page -----------------------------------------------------------


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if not path.startswith(names)}


ODD_SORTINGS: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "no output": (without(sorted_files(), "output"), {}, "has no `output` file"),
    "files gone": ({}, {}, "its files cannot be listed"),
    "a draft": (sorted_files(), {"state": "draft"}, "is draft"),
    "failed": (sorted_files(), {"state": "failed", "failure_reason": "too large"}, "too large"),
    "an unknown state": (sorted_files(), {"state": "hibernating"}, "is hibernating"),
    "nothing sorted": ({"output": b"", "nextflow/x": b""}, {}, "holds no sorted stream"),
    "a process without a name": (
        sorted_files() | {"processing.json": b'{"data_processes": [{"process_type": "Spike sorting"}]}'},
        {},
        "",
    ),
    "a file without a dot": (sorted_files() | {"curated/README": b"", "postprocessed/README": b""}, {}, ""),
    "broken processing.json": (sorted_files() | {"processing.json": b"{"}, {}, "processing.json"),
    "NaN in processing.json": (sorted_files() | {"processing.json": b'{"data_processes": NaN}'}, {}, ""),
    "no provenance": (sorted_files(), {"provenance": None}, "provenance"),
    "provenance that is gone": (sorted_files(), {"provenance": made_from("nobody")}, "which is not there"),
    "a name that is no date": (sorted_files(), {"name": f"ecephys_{MOUSE}_2024-04-31_11-14-13_sorted"}, "A8"),
    "no tags, no type": (sorted_files(), {"missing": ("tags", "type", "created", "custom_metadata")}, ""),
    "no id": (sorted_files(), {"missing": ("id",)}, "have no id"),
}


@pytest.mark.parametrize("what", ODD_SORTINGS)
def test_one_odd_sorting_never_costs_the_page(place: Place, what: str):
    files, record, words = ODD_SORTINGS[what]
    record = dict(record)
    place.session(9)
    raw = place.add(raw_name(10), raw_files(), tags=(MOUSE,))
    place.add(BRAIN, stitched_files())
    name = record.pop("name", sorted_name(10))
    place.add(name, files, **{"provenance": made_from(raw), "tags": (MOUSE,), **record})
    subject = place.gather()
    assert [recording.name for recording in subject.recordings] == [raw_name(9), raw_name(10)]
    assert subject.recordings[0].sortings[0].status is SortingStatus.OK
    assert len(subject.stitched) == 1
    assert words in told(subject)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "cannot be listed"),
        (without(raw_files(), "ecephys/ecephys_clipped"), "no ecephys_clipped"),
        (raw_files(settings=b"<broken"), "A7"),
        (raw_files() | {"session.json": b"[]", "subject.json": b"\xff"}, "session.json"),
        ({"behavior/x": b""}, "holds no ephys data"),
    ],
)
def test_one_odd_raw_never_costs_the_page(place: Place, files: dict[str, bytes], words: str):
    place.session(9)
    place.add(raw_name(10), files)
    subject = place.gather()
    assert [recording.name for recording in subject.recordings] == [raw_name(9), raw_name(10)]
    assert words in told(subject)


def test_a_sorted_day_without_its_raw_and_a_raw_without_a_sorting_are_both_shown(place: Place):
    place.add(sorted_name(9), sorted_files())
    place.add(raw_name(10), raw_files())
    assert [(r.raw is None, len(r.sortings)) for r in place.gather().recordings] == [(True, 1), (False, 0)]


def test_a_mouse_that_is_not_there_is_said(place: Place):
    assert "A13" in told(place.gather())


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("fault", ["403", "404", "empty", "wrong_types", "missing_fields"])
def test_a_search_that_fails_is_a_gap_and_not_the_end(place: Place, fault: str, which: int):
    place.session(9)
    place.fake.faults.add(fault, endpoint="data_assets/search", skip=which, times=1)
    subject = place.gather()
    assert [recording.name for recording in subject.recordings] == [raw_name(9)]
    assert "A14 Code Ocean: assets may be missing" in told(subject)


@pytest.mark.parametrize("poor", range(4))
def test_of_two_records_of_one_asset_the_fuller_one_counts(poor: int):
    whole = {"id": "1", "name": raw_name(9), "state": "ready", "source_bucket": {"bucket": OPEN, "prefix": "p"}}
    asked = count()

    class Searches:
        def read(self, *_: str, body: dict[str, Any]) -> dict[str, Any]:
            record = {"id": "1", "name": raw_name(9)} if next(asked) == poor else whole
            return {"results": [record], "has_more": False}

    [asset] = find_assets(cast(CodeOceanApi, Searches()), MOUSE)
    assert (asset.state, asset.bucket) == ("ready", OPEN)


def test_searches_that_all_fail_are_an_error(place: Place):
    place.session(9)
    place.fake.faults.add("403", times=None)
    with pytest.raises(AccessError):
        place.gather()


def test_files_that_s3_refuses_are_listed_by_code_ocean(place: Place):
    raw = place.internal(raw_name(9), raw_files())
    place.internal(sorted_name(9), sorted_files(), provenance=made_from(raw))
    subject = place.gather()
    assert [sorting.status for sorting in subject.recordings[0].sortings] == [SortingStatus.OK]
    assert [probe.name for probe in subject.recordings[0].probes] == ["ProbeA", "ProbeB"]
    assert place.fake.count("POST", "data_assets/search") == 4


# --- as it comes ----------------------------------------------------------------------------------


def test_what_is_known_so_far_is_told_in_order_and_not_too_often(place: Place):
    for day in range(1, 9):
        place.session(day)
    place.add(BRAIN, stitched_files())
    seconds, heard = [0.0], []

    def clock() -> float:
        seconds[0] += 0.1
        return seconds[0]

    def partial(subject: Subject) -> None:
        heard.append((subject, seconds[0], threading.get_ident()))

    whole = place.gather(partial=partial, clock=clock)
    assert len(heard) > 2
    assert {thread for *_, thread in heard} == {threading.get_ident()}
    times = [at for _, at, _ in heard]
    assert min(after - before for before, after in pairwise(times)) >= 0.25
    names = [recording.name for recording in whole.recordings]
    assert [recording.name for recording in heard[0][0].recordings] == names
    sortings = [sum(len(recording.sortings) for recording in subject.recordings) for subject, *_ in heard]
    assert sortings == sorted(sortings)
    assert not any(told(subject) for subject, *_ in heard)


class Wide(FakeLibrary):
    """Asks ahead, as of a platform far away."""

    connections = 16


def test_asking_ahead_finds_the_same():
    found = []
    for library in (FakeLibrary(), Wide()):
        for day in range(1, 7):
            raw = library.add(raw_name(day), raw_files(old_layout=day == 2, settings=None if day == 3 else b"<broken"))
            files = without(sorted_files(), *("output", "processing.json", "postprocessed")[: day % 4])
            library.add(sorted_name(day), files, provenance_data_assets=None if day == 4 else (raw.id,))
        library.add(BRAIN, stitched_files(["Ex_1_Em_2.zarr", "Ex_3_Em_4.ome.zarr"]))
        library.fail(f"{raw_name(5)}/ecephys", PlatformError("it broke"))
        library.fail(f"{sorted_name(6)}/output", UnavailableError("away"))
        subject = gather_subject(library, MOUSE, now=NOW)
        found.append((subject.recordings, subject.stitched, subject.problems))
        listed = [entry for entry in library.log if entry.startswith("list")]
        assert len(listed) == len(set(listed))
    assert found[0] == found[1]


# --- without a token ------------------------------------------------------------------------------


def test_without_a_token_what_is_public_is_read(place: Place, monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    place.session(9)
    place.add(BRAIN, stitched_files())
    place.add(f"{MOUSE}_2025-01-01_10-00-00", raw_files())
    place.add(f"ecephys_{MOUSE}9_2025-01-01_10-00-00", raw_files())
    place.put(CLOSED, raw_name(10), raw_files())
    place.s3.private |= {CLOSED, "aind-scratch-data"}
    reader = make_reader(Settings(platform="code_ocean", code_ocean_domain=place.fake.url))
    subject = place.gather(reader)
    assert [recording.name for recording in subject.recordings] == [raw_name(9), f"{MOUSE}_2025-01-01_10-00-00"]
    assert [sorting.asset.id for sorting in subject.recordings[0].sortings] == [f"s3://{OPEN}/{sorted_name(9)}"]
    assert len(subject.stitched) == 1
    assert "A6" in told(subject)
    assert place.fake.count() == reader.requests == 0
    assert not any(request.signed for request in place.s3.log)
    for words in (reader.launch_refusal, reader.health().words):
        assert "CODE_OCEAN_API_TOKEN" in words
    asset = reader.get_asset(f"s3://{OPEN}/{BRAIN}")
    assert (asset.name, asset.bucket, asset.prefix) == (BRAIN, OPEN, BRAIN)
    assert reader.read_log("run", 10) == b""
    for call in (lambda: reader.get_asset("an-id"), reader.converter_offer):
        with pytest.raises(AccessError, match="CODE_OCEAN_API_TOKEN"):
            call()
    with pytest.raises(NotFoundError):
        reader.get_asset(f"s3://{OPEN}/nothing")


# --- assets and states ----------------------------------------------------------------------------


def test_an_asset_is_read_whole(place: Place):
    raw, ident = place.session(9, custom_metadata={"subject id": MOUSE})
    asset = place.reader().get_asset(ident)
    assert (asset.name, asset.bucket, asset.prefix) == (sorted_name(9), OPEN, sorted_name(9))
    assert asset.provenance_data_assets == (raw,)
    assert asset.custom_metadata == {"subject id": MOUSE}


@pytest.mark.parametrize("ident", ["none", "", "..", "a/b", "a?b", "-"])
def test_an_asset_that_is_not_there_is_said(place: Place, ident: str):
    with pytest.raises(NotFoundError):
        place.reader().get_asset(ident)


def test_saved_states_are_listed_and_read(place: Place):
    files = {
        f"{MOUSE}_day1/{MOUSE}_day1.json": b"{}",
        "alone.json": b"[1]",
        "a/b.json": b"",
        "a/notes.txt": b"",
        "x/y/y.json": b"",
        ".json": b"",
    }
    place.put("aind-scratch-data", STATES, files)
    reader = place.reader()
    assert reader.saved_states() == (
        SavedState(f"{MOUSE}_day1", f"{MOUSE}_day1/{MOUSE}_day1.json", 2),
        SavedState("alone", "alone.json", 3),
    )
    assert reader.read_state("alone.json") == b"[1]"
    assert [state.name for state in place.gather(reader).states] == [f"{MOUSE}_day1"]
    with pytest.raises(NotFoundError):
        reader.read_state("none.json")
    with pytest.raises(RefusedError):
        reader.read_state("../secret.json")


def test_a_state_that_is_too_large_is_not_read(place: Place):
    place.s3.objects["aind-scratch-data"][f"{STATES}/large.json"] = bytes(MAX_STATE_BYTES + 1)
    with pytest.raises(PlatformError, match="more than"):
        place.reader().read_state("large.json")


def test_no_states_are_no_problem(place: Place):
    assert place.reader().saved_states() == ()


# --- how it is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("", HealthKind.OK, ""),
        ("401", HealthKind.REFUSING, "CODE_OCEAN_API_TOKEN"),
        ("403", HealthKind.REFUSING, "scopes"),
        ("400", HealthKind.REFUSING, "refuses"),
        ("404", HealthKind.AWAY, "CODE_OCEAN_DOMAIN"),
        ("429", HealthKind.SLOW, "pause"),
        ("500", HealthKind.AWAY, "500"),
        ("502_html", HealthKind.AWAY, "502"),
        ("reset_before", HealthKind.AWAY, "broke"),
        ("html", HealthKind.AWAY, "JSON"),
    ],
)
def test_health_is_one_request_and_says_what_is_wrong(place: Place, fault: str, kind: HealthKind, words: str):
    if fault:
        place.fake.faults.add(fault, times=None)
    reader = place.reader()
    health = reader.health()
    assert health.kind is kind
    assert words in health.words
    assert place.fake.count() == reader.requests == 1
    assert TOKEN not in health.words


def test_a_slow_answer_and_no_answer_are_told_apart(place: Place):
    settings = Settings(code_ocean_domain=place.fake.url)
    api = place.api()
    seconds = iter([0.0, 2.5])
    slow = CodeOceanReader(settings, api, api, S3Files(), now=lambda: next(seconds))
    assert slow.health().kind is HealthKind.SLOW
    assert place.reader().health().kind is HealthKind.OK
    with place.fake.down():
        assert place.reader().health().kind is HealthKind.AWAY


# --- conversions ----------------------------------------------------------------------------------


def test_the_converter_is_offered_with_its_releases_and_options(place: Place):
    reader = place.reader()
    offer = reader.converter_offer()
    assert (offer.converter, offer.label) == (CONVERTER, "Data converter")
    assert (offer.versions, offer.version) == (("3", "2", "1"), "3")
    assert {"skip-ephys": "0", "run-async": "1"}.items() <= {one.name: one.default for one in offer.parameters}.items()
    assert not {"manifest", "neuroglancer"} & {one.name for one in offer.parameters}
    assert (offer.routes, offer.route) == (("direct", "monitor"), "direct")
    asked = place.fake.count()
    assert reader.converter_offer() == offer
    assert place.fake.count() == asked
    assert reader.converter_offer("2").version == "2"


def test_the_settings_propose_release_and_route(place: Place):
    offer = place.reader(converter_release="1", route="monitor").converter_offer()
    assert (offer.version, offer.route) == ("1", "monitor")
    offer = place.reader(monitor_capsule="", route="monitor").converter_offer()
    assert (offer.routes, offer.route) == (("direct",), "direct")
    with pytest.raises(PlatformError, match="no released version 9"):
        place.reader(converter_release="9").converter_offer()


class Draft(FakeCapsule):
    """A capsule that somebody works on."""

    def record(self) -> dict[str, Any]:
        return super().record() | {"status": "non_release"}


def test_a_capsule_that_was_never_released_is_offered_as_it_is(place: Place):
    place.fake.add_capsule(Draft("own", "My converter", "1", versions=(), panel=(PanelParameter("skip-ephys"),)))
    offer = place.reader(converter_capsule="own").converter_offer()
    assert (offer.versions, offer.version, offer.label) == ((), "", "My converter")


def test_the_log_is_what_the_run_printed(place: Place):
    run = place.fake.world.computations
    place.fake.add_computations(1)
    [ident] = run
    results = place.fake.storage.results_folder(ident)
    results.mkdir(parents=True)
    (results / "output").write_bytes(b"0123456789")
    run[ident].results = results
    reader = place.reader()
    assert reader.read_log(ident, 100) == b"0123456789"
    assert reader.read_log(ident, 4) == b"6789"
    assert reader.read_log("none", 4) == reader.read_log("../x", 4) == b""
    place.fake.faults.add("500", times=None)
    with pytest.raises(UnavailableError):
        reader.read_log(ident, 4)


def test_links_are_given_only_where_they_are_known(place: Place):
    api = place.api()
    reader = CodeOceanReader(Settings(code_ocean_domain="https://co.example.org/"), api, api, S3Files())
    assert reader.web_link("asset", "an-id") == "https://co.example.org/data-assets/an-id"
    assert reader.web_link("asset", "s3://bucket/x") == reader.web_link("asset", "../x") == ""
    reader.converter_offer()
    page = "https://co.example.org/capsule/0325751/tree"
    assert reader.web_link("capsule", CONVERTER) == reader.web_link("run", "a-run", CONVERTER) == page
    assert place.reader().web_link("asset", "an-id") == "", "a page that is not https is no link"


def test_a_capsules_number_is_asked_for_aside_and_once(place: Place):
    api = place.api()
    reader = CodeOceanReader(Settings(code_ocean_domain="https://co.example.org"), api, api, S3Files())
    assert reader.web_link("capsule", CONVERTER) == ""
    for thread in threading.enumerate():
        if thread.name == "capsule":
            thread.join(10)
    assert reader.web_link("capsule", CONVERTER).endswith("/capsule/0325751/tree")
    assert place.fake.count("GET", "capsules/{id}") == 1


def test_which_code_ocean_it_is_is_said(place: Place):
    reader = make_reader(Settings(code_ocean_domain=place.fake.url, code_ocean_token=SecretStr(TOKEN)))
    assert isinstance(reader, CodeOceanReader)
    assert reader.health().kind is HealthKind.OK
    assert (reader.name, reader.platform_id, reader.launch_refusal) == ("Code Ocean", place.fake.url, "")
