"""A folder of assets read like a platform, and nothing outside of it."""

import json
import os
from pathlib import Path

import pytest
from local_fixtures import SORTED, STEM, STITCHED, layer, track_points, write_asset, write_json, write_library

from core.errors import NotFoundError, PlatformError, RefusedError
from core.models import Asset
from core.platforms.base import Entry, Health
from core.platforms.local import LocalLibrary


@pytest.fixture
def library(tmp_path):
    write_library(tmp_path / "library", layer("268", track_points(1000)))
    return LocalLibrary(tmp_path / "library")


def names(assets):
    return [asset.name for asset in assets]


def test_a_subjects_assets_are_found_by_token_tag_or_metadata_and_never_by_substring(library):
    folder = library.library
    write_asset(folder, "notes", {}, custom_metadata={"subject id": "700001"})
    write_asset(folder, "notes-2", {}, custom_metadata={"subject id": 700001})
    write_asset(folder, "ecephys_7000011_2024-04-09_11-14-13", {}, tags=["7000011", "x700001"])
    write_asset(folder, "ecephys_17000_2024", {}, description="700001")
    assert set(names(library.find_subject_assets("700001"))) == {SORTED, STITCHED, "notes", "notes-2"}
    assert library.find_subject_assets("70000") == ()
    assert library.find_subject_assets("") == ()
    assert library.requests == 3


def test_a_changed_sidecar_is_read_again(library):
    assert library.find_tagged_assets("fresh") == ()
    write_json(library.assets_folder / f"{SORTED}.json", {"id": "9", "name": SORTED, "tags": ["fresh"]})
    assert [asset.id for asset in library.find_tagged_assets("fresh")] == ["9"]
    assert library.get_asset("9").name == SORTED


def test_an_asset_may_have_its_sidecar_inside_or_none(library):
    inside = library.assets_folder / "ecephys_700001_inside"
    write_json(inside / ".asset.json", {"id": "in", "name": inside.name})
    (library.assets_folder / "ecephys_700001_bare").mkdir()
    write_json(library.assets_folder / "ecephys_700001_nothing.json", {"id": "no", "name": "no folder, no asset"})
    found = {asset.name: asset for asset in library.find_subject_assets("700001")}
    assert found["ecephys_700001_inside"].id == "in"
    bare = found["ecephys_700001_bare"]
    assert (bare.id, bare.provenance_data_assets, [p.rule for p in bare.problems]) == (bare.name, None, ["A6"])
    assert "ecephys_700001_nothing" not in found


@pytest.mark.parametrize("content", [b"", b"{", b"x" * (1024 * 1024 + 1)])
def test_a_broken_sidecar_is_listed_with_its_problem(library, content):
    (library.assets_folder / f"{SORTED}.json").write_bytes(content)
    found = {asset.name: asset for asset in library.find_subject_assets("700001")}
    assert [p.rule for p in found[SORTED].problems] == ["A14"]


def test_two_assets_with_one_id_are_not_guessed_between(library):
    write_asset(library.library, "copy", {})
    write_json(library.assets_folder / "copy.json", {"id": f"id-{SORTED}", "name": "copy"})
    with pytest.raises(PlatformError, match="same id"):
        library.get_asset(f"id-{SORTED}")
    with pytest.raises(NotFoundError):
        library.get_asset("nothing")


def test_folders_and_files_are_read_within_bounds(library):
    asset = library.get_asset(f"id-{SORTED}")
    folder = library.asset_folder(asset)
    (folder / "sub").mkdir()
    (folder / "sub" / "b").write_bytes(b"12345")
    (folder / "a").write_bytes(b"")
    os.mkfifo(folder / "pipe")
    assert library.list_folder(asset) == (
        Entry("a", False, 0), Entry("processing.json", False, 2), Entry("sub", True)
    )  # fmt: skip
    assert library.list_folder(asset, "sub") == (Entry("b", False, 5),)
    assert library.read_file(asset, "sub/b", 5) == b"12345"
    with pytest.raises(PlatformError, match="more than 4 bytes"):
        library.read_file(asset, "sub/b", 4)
    for path in ("none", "sub", "a/b", "pipe"):
        with pytest.raises(NotFoundError):
            library.read_file(asset, path, 10)
    for path in ("none", "a", "sub/b"):
        with pytest.raises(NotFoundError):
            library.list_folder(asset, path)


@pytest.mark.parametrize("path", ["../secret", "sub/../../secret", "/etc/passwd", "a\0b", "..", "\ud800"])
def test_no_path_leads_out(library, path):
    (library.assets_folder / "secret").write_text("s")
    asset = library.get_asset(f"id-{SORTED}")
    for look in (lambda: library.read_file(asset, path, 10), lambda: library.list_folder(asset, path),
                 lambda: library.read_state(path)):  # fmt: skip
        with pytest.raises(RefusedError):
            look()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../library", ".hidden", "a\0"])
def test_no_assets_name_leads_out(library, name):
    with pytest.raises(PlatformError):
        library.list_folder(Asset("x", name))


def test_links_that_leave_the_library_are_refused(library, tmp_path):
    outside = tmp_path / "outside"
    write_json(outside / "secret.json", {"id": "s", "name": "s"})
    asset = library.get_asset(f"id-{SORTED}")
    folder = library.asset_folder(asset)
    (folder / "file").symlink_to(outside / "secret.json")
    (folder / "folder").symlink_to(outside)
    (folder / "fine").symlink_to(folder / "processing.json")
    (folder / "loop").symlink_to(folder / "loop")
    assert [entry.name for entry in library.list_folder(asset)] == ["fine", "processing.json"]
    assert library.read_file(asset, "fine", 10) == b"{}"
    for path in ("file", "folder/secret.json"):
        with pytest.raises(RefusedError, match="leaves the library"):
            library.read_file(asset, path, 100)
    with pytest.raises(PlatformError):
        library.read_file(asset, "loop", 100)

    (library.assets_folder / "ecephys_700001_linked").symlink_to(outside)
    (library.assets_folder / "loop").symlink_to(library.assets_folder / "loop")
    (library.assets_folder / "ecephys_700001_side").mkdir()
    (library.assets_folder / "ecephys_700001_side.json").symlink_to(outside / "secret.json")
    found = {asset.name: asset for asset in library.find_subject_assets("700001")}
    for name in ("ecephys_700001_linked", "ecephys_700001_side"):
        assert (found[name].id, [p.rule for p in found[name].problems]) == (name, ["A14"])
    with pytest.raises(RefusedError):
        library.list_folder(found["ecephys_700001_linked"])

    (library.states_folder / "linked").mkdir()
    (library.states_folder / "linked" / "linked.json").symlink_to(outside / "secret.json")
    assert names(library.saved_states()) == [STEM]
    with pytest.raises(RefusedError):
        library.read_state("linked/linked.json")


def test_a_library_that_is_itself_a_link_works(library, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(library.library)
    other = LocalLibrary(link)
    assert names(other.find_subject_assets("700001")) == names(library.find_subject_assets("700001"))
    assert other.read_file(other.get_asset(f"id-{SORTED}"), "processing.json", 10) == b"{}"


def test_saved_states_are_listed_and_read(library):
    (library.states_folder / "empty").mkdir()
    (library.states_folder / "stray.json").write_text("{}")
    [state] = library.saved_states()
    assert (state.name, state.path) == (STEM, f"{STEM}/{STEM}.json")
    data = library.read_state(state.path)
    assert len(data) == state.size
    assert json.loads(data)["layers"][1]["name"] == "268"
    with pytest.raises(NotFoundError):
        library.read_state("none/none.json")


def test_an_empty_place_is_no_error_and_says_what_is_wrong(tmp_path):
    library = LocalLibrary(tmp_path / "nowhere")
    assert library.find_subject_assets("1") == ()
    assert library.saved_states() == ()
    assert "is not there" in library.health().words
    (tmp_path / "nowhere").mkdir()
    assert "assets" in library.health().words
    (tmp_path / "nowhere" / "assets").mkdir()
    assert library.health() == Health()


def test_a_relative_library_is_the_same_after_a_change_of_folder(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = LocalLibrary(Path("library"))
    monkeypatch.chdir("/")
    assert names(relative.saved_states()) == [STEM]


# --- which library --------------------------------------------------------------------------------


def test_a_library_keeps_its_id_wherever_it_is_and_shares_it_with_no_other(library, tmp_path):
    told = library.platform_id
    assert told == library.platform_id == LocalLibrary(library.library).platform_id
    library.library.rename(tmp_path / "moved")
    assert LocalLibrary(tmp_path / "moved").platform_id == told
    write_library(tmp_path / "other")
    assert LocalLibrary(tmp_path / "other").platform_id != told


def test_a_library_that_cannot_be_written_is_known_by_its_place(library, monkeypatch):
    def refused(*_args):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("core.atomic_files.create_file", refused)
    assert library.platform_id == os.path.realpath(library.library)
    (library.library / ".library-id").write_text("garbage")
    assert library.platform_id == os.path.realpath(library.library)


# --- adding ---------------------------------------------------------------------------------------


def filled(library, asset, content):
    part = library.part_folder(asset)
    (part / "f").write_bytes(content)
    return part


def test_two_makers_of_one_name_do_not_touch_each_others_work(library):
    first, second = Asset("1", "name"), Asset("2", "name")
    parts = filled(library, first, b"first"), filled(library, second, b"second")
    library.add_asset(first, parts[0])
    with pytest.raises(RefusedError, match="another asset of this name"):
        library.add_asset(second, parts[1])
    assert library.get_asset("1").name == "name"
    assert library.read_file(first, "f", 10) == b"first"
    with pytest.raises(NotFoundError):
        library.get_asset("2")
    assert not list(library.assets_folder.glob(".*.part"))


def test_only_what_dead_makers_left_long_ago_is_cleared_away(library):
    old = 1_000_000_000
    for name, at in (("dead", old), ("fresh", None)):
        part = library.assets_folder / f".{name}.999999999-0123abcd.part"
        part.mkdir()
        (part / "half").write_bytes(b"half")
        if at:
            os.utime(part, (at, at))
    mine = filled(library, Asset("1", "mine"), b"")
    os.utime(mine, (old, old))
    library.part_folder(Asset("2", "next"))
    left = {path.name.split(".")[1] for path in library.assets_folder.glob(".*.part")}
    assert left == {"fresh", "mine", "next"}


def test_a_link_is_listed_as_one(library):
    asset = library.get_asset(f"id-{SORTED}")
    folder = library.asset_folder(asset)
    (folder / "b").symlink_to("processing.json")
    (folder / "c").symlink_to(".", target_is_directory=True)
    assert [entry.name for entry in library.list_folder(asset) if entry.is_link] == ["b", "c"]
