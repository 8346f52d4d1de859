"""What the checks say of mappings that would break, mislead or lose something, and of those that are fine."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.checks import check_mapping, check_table, converted_by, read_thresholds
from core.errors import SettingsError
from core.manifest import ManifestRow, read_csv, write_csv
from core.models import (
    Assignment,
    ImageChannel,
    LeftOut,
    Mapping,
    Problem,
    Role,
    Severity,
    SortingStatus,
    State,
    Subject,
)
from core.rules import RULES
from core.settings import load_settings

SHANKS = [f"probeB_shank{n}" for n in (1, 2, 3, 4)]
TRACKS = ["probeA", *SHANKS, "t1", "t3"]
PITCH = 250.0 / 495.0
"""Of shanks, in steps of the builders' tracks."""
PLACES = {name: at for at, name in enumerate(TRACKS)} | {name: 1 + PITCH * n for n, name in enumerate(SHANKS)}


def true_rows() -> list[ManifestRow]:
    """All tracks of day 1: one shank, four shanks, two streams of a split probe."""

    def row(track: str, stream: str, probe: str, histology: int | None, ephys: int | None) -> ManifestRow:
        return ManifestRow(b.MOUSE, b.SORT1, b.STEM, track, stream, probe, histology, ephys, b.SURFACE1)

    return [
        row("probeA", "ProbeA", "ProbeA", None, None),
        *(row(name, "ProbeB", "ProbeB", n, n) for n, name in enumerate(SHANKS)),
        row("t1", "45883-1", "45883", 0, 0),
        row("t3", "45883-3", "45883", 2, 0),
    ]


@dataclass
class World:
    """A mapping before a case breaks it."""

    rows: list[ManifestRow]
    layers: dict[str, dict[str, object]]
    images: list[dict[str, object]]
    subject: Subject | None
    stem: str = b.STEM
    csv: Callable[[bytes], bytes] = lambda data: data
    mapping: Mapping | None = None
    state: State | None = None

    def problems(self) -> tuple[Problem, ...]:
        state = self.state or b.make_state(*self.layers.values(), images=self.images, stem=self.stem)
        table = read_csv(self.csv(write_csv(self.rows)))
        return check_table(table, state=state, subject=self.subject, mapping=self.mapping)


def world() -> World:
    layers = {name: b.layer_json(name, PLACES[name]) for name in TRACKS}
    return World(true_rows(), layers, [b.image_json()], b.make_subject())


def rules(problems: tuple[Problem, ...], *severities: Severity) -> set[str]:
    return {each.rule for each in problems if not severities or each.severity in severities}


# --- mutations ----------------------------------------------------------------------------------


def edit(number: int, **values: object) -> Callable[[World], None]:
    def change(w: World) -> None:
        w.rows[number] = replace(w.rows[number], **values)  # type: ignore[arg-type]

    return change


def cells(column: str, value: str, number: int | None = None) -> Callable[[World], None]:
    """Write `value` into a column of the CSV text, in one row or in all."""

    def change(w: World) -> None:
        def rewrite(data: bytes) -> bytes:
            table = list(csv.reader(io.StringIO(data.decode())))
            at = table[0].index(column)
            for line in table[1:] if number is None else [table[number + 1]]:
                line[at] = value
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(table)
            return text.getvalue().encode()

        w.csv = rewrite

    return change


def columns(*names: str) -> Callable[[World], None]:
    """Keep only these columns of the CSV."""

    def change(w: World) -> None:
        def rewrite(data: bytes) -> bytes:
            table = list(csv.DictReader(io.StringIO(data.decode())))
            text = io.StringIO()
            writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
            return text.getvalue().encode()

        w.csv = rewrite

    return change


def layer(name: str, **values: object) -> Callable[[World], None]:
    def change(w: World) -> None:
        w.layers[name] = {**w.layers[name], **values}

    return change


def points(name: str, numbers: list[list[float]]) -> Callable[[World], None]:
    return layer(name, annotations=b.layer_json(name, points=numbers)["annotations"])


def renamed(old: str, new: str) -> Callable[[World], None]:
    """The layer and its row both have another name."""

    def change(w: World) -> None:
        w.layers = {(new if key == old else key): value for key, value in w.layers.items()}
        w.layers[new] = {**w.layers[new], "name": new}
        w.rows = [replace(r, histology_track_id=new) if r.histology_track_id == old else r for r in w.rows]

    return change


def source(name: str, **transform: object) -> Callable[[World], None]:
    return layer(
        name,
        source={"url": "local://annotations", "transform": transform} if transform else {"url": "local://annotations"},
    )


def both(*changes: Callable[[World], None]) -> Callable[[World], None]:
    def change(w: World) -> None:
        for each in changes:
            each(w)

    return change


def put(**values: object) -> Callable[[World], None]:
    def change(w: World) -> None:
        for name, value in values.items():
            setattr(w, name, value)

    return change


def on_subject(change: Callable[[Subject], Subject]) -> Callable[[World], None]:
    def apply(w: World) -> None:
        assert w.subject is not None
        w.subject = change(w.subject)

    return apply


def on_recording(name: str, **values: object) -> Callable[[World], None]:
    return on_subject(
        lambda s: replace(
            s,
            recordings=tuple(replace(r, **values) if r.name == name else r for r in s.recordings),  # type: ignore[arg-type]
        )
    )


def on_sorting(**values: object) -> Callable[[World], None]:
    def change(s: Subject) -> Subject:
        return replace(
            s,
            recordings=tuple(
                replace(r, sortings=tuple(replace(each, **values) for each in r.sortings)) if r.name == b.DAY1 else r  # type: ignore[arg-type]
                for r in s.recordings
            ),
        )

    return on_subject(change)


def no_problem(_: World) -> None:
    pass


def on_brain(*channels: ImageChannel) -> Callable[[World], None]:
    return on_subject(lambda s: replace(s, stitched=(replace(s.stitched[0], channels=channels),)))


def two_images(**of_the_second: object) -> Callable[[World], None]:
    """The state shows a second image of the brain, which has another geometry."""
    second = ImageChannel("Ex_445_Em_469", "image_tile_fusing/OMEZarr/Ex_445_Em_469.zarr", b.frame(**of_the_second))
    images = put(images=[b.image_json(), b.image_json(channel="Ex_445_Em_469")])
    return both(images, on_brain(second, *b.brain().channels))


OTHER_BRAIN = b.BRAIN.replace("2024-12-03", "2024-12-05")
MM_LAYER = b.space(um={"x": 1.0, "y": 1.0, "z": 1.0})
LINE = {"type": "line", "id": "l", "pointA": [1, 2, 3, 0], "pointB": [4, 5, 6, 0]}

# Numbers of the cases: mutations of a working manifest whose effect on the real converter has been measured.
BROKEN: dict[str, tuple[Callable[[World], None], str]] = {
    "01 blank annotation_format": (cells("annotation_format", ""), "M6"),
    "02 swc": (cells("annotation_format", "swc"), "M6"),
    "05 blank track id": (edit(0, histology_track_id=""), "M3"),
    "06 blank collection": (edit(0, ephys_collection=""), "M3"),
    "07 unknown layer": (edit(0, histology_track_id="nobody"), "N8"),
    "08 empty layer": (layer("probeA", annotations=[]), "N15"),
    "09 one point": (points("probeA", b.line_points(count=1)), "T1"),
    "10 a line in the layer": (
        lambda w: layer("probeA", annotations=[*w.layers["probeA"]["annotations"], LINE])(w),  # type: ignore[misc]
        "N6",
    ),
    "11 two mice": (edit(0, mouseid="700002"), "M8"),
    "12 one blank mouse": (edit(0, mouseid=""), "M3"),
    "13 track used twice": (edit(6, histology_track_id="probeA"), "R2"),
    "14 histology shank twice": (edit(2, histology_shank=0), "M11"),
    "15 ephys shank twice": (edit(2, ephys_shank=0), "M12"),
    "16 shank is no number": (cells("ephys_shank", "1/4", 1), "M4"),
    "17 logical probe differs": (edit(2, logical_probe="other"), "M14"),
    "18 wrong probe_file": (cells("probe_file", "elsewhere"), "M17"),
    "20 rank 3 points": (points("probeA", b.line_points(time=False)), "N7"),
    "21 no coordinate space, state in x, y, z": (
        both(
            source("probeA"),
            lambda w: put(state=b.make_state(*w.layers.values(), images=w.images, dimensions=b.space("xyz")))(w),
        ),
        "N4",
    ),
    "22 image source is a list": (put(images=[b.image_json(as_list=True)]), "N1"),
    "23 images of two assets": (put(images=[b.image_json(), b.image_json(OTHER_BRAIN)]), "N2"),
    "26 brain is not there": (on_subject(lambda s: replace(s, stitched=())), "A13"),
    "29 registration differs between rows": (edit(0, registration_asset="reg/ccf_Ex_639"), "M20"),
    "31 template without registration": (
        lambda w: put(rows=[replace(r, template_to_ccf_asset="t") for r in w.rows])(w),
        "M20",
    ),
    "34 layer 0268": (both(renamed("probeA", "0268"), lambda w: put(rows=w.rows[:1])(w)), "M7"),
    "35 layer NA": (renamed("probeA", "NA"), "M7"),
    "36 slash in the layer's name": (renamed("probeA", "probe/A"), "M9"),
    "37 sorting is not there": (
        lambda w: put(rows=[replace(r, sorted_recording=r.sorted_recording + "x") for r in w.rows])(w),
        "A13",
    ),
    "38 header only": (put(rows=[]), "M1"),
    "39 space after the layer's name": (edit(0, histology_track_id="probeA "), "N8"),
    "41 track used twice on shanks": (edit(2, histology_track_id="probeB_shank1"), "R2"),
    "42 matrix": (source("probeA", outputDimensions=b.space(), matrix=[[1, 0, 0, 0, 5]]), "N5"),
    "43 layer scale is not the voxel": (source("probeA", outputDimensions=MM_LAYER), "N10"),
    "46 state and manifest of different names": (put(stem="copy"), "M17"),
    "47 ProbeA-AP": (edit(0, ephys_collection="ProbeA-AP"), "M13"),
    "48 surface recording missing": (
        lambda w: put(rows=[replace(r, surface_finding=b.SURFACE1.replace("11-00", "12-00")) for r in w.rows])(w),
        "R5",
    ),
    "47 probe of another stream": (edit(0, logical_probe="ProbeB"), "M24"),
    "47 probe of no stream": (edit(0, logical_probe="X"), "M24"),
    "44 |zarr3:": (put(images=[{**b.image_json(), "source": f"{b.image_json()['source']}|zarr3:"}]), "N18"),
    "44 zarr3://": (
        put(images=[{**b.image_json(), "source": str(b.image_json()["source"]).replace("zarr://", "zarr3://")}]),
        "N18",
    ),
    "44 image that the brain lacks": (put(images=[b.image_json(channel="Ex_445_Em_469")]), "A16"),
    "44 image without geometry": (on_brain(replace(b.brain().channels[0], frame=None)), "A16"),
    "44 image without directions": (on_brain(b.brain(assumed="the usual directions").channels[0]), "A16"),
    "44 images of two voxel sizes": (two_images(scale_level0_um_xyz=(3.6, 3.6, 4.0)), "A17"),
    "44 images of two directions": (two_images(directions_xyz=("L", "P", "I")), "A17"),
    "44 images of two sizes": (two_images(shape_level0_zyx=(4000, 5000, 4000)), "A17"),
    "09 thirty times one point": (points("probeA", b.line_points(count=1) * 30), "T1"),
    "09 two points in one place": (points("probeA", b.line_points(count=1) * 2), "T1"),
    "66 registration is not used": (
        lambda w: put(rows=[replace(r, registration_asset="SmartSPIM_1/ccf_Ex_639") for r in w.rows])(w),
        "M23",
    ),
    "66 registration out of the data folder": (
        lambda w: put(rows=[replace(r, registration_asset="../../x") for r in w.rows])(w),
        "M9",
    ),
    "48 surface recording mapped": (on_recording(b.DAY1, role=Role.SURFACE), "R5"),
    "57 sorting made from another day": (on_recording(b.DAY1, raw=b.asset(b.DAY2)), "R6"),
    "49 sorting there twice": (
        on_subject(lambda s: replace(s, recordings=(*s.recordings, replace(s.recordings[0], name="copy")))),
        "A9",
    ),
}


def test_a_layer_that_keeps_its_zeros_by_luck_is_warned():
    odd = world()
    renamed("probeA", "0268")(odd)
    found = [each for each in odd.problems() if each.rule == "M7"]
    assert [(each.severity, each.where.track) for each in found] == [(Severity.WARNING, "0268")]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_mapping_is_stopped_by_the_rule_that_names_it(case):
    change, rule = BROKEN[case]
    broken = world()
    change(broken)
    found = broken.problems()
    assert rule in rules(found, Severity.ERROR, Severity.CONFIRM), [str(each) for each in found]


LEGACY = ("mouseid", "sorted_recording", "probe_file", "probe_id", "probe_name", "probe_shank", "annotation_format")


def two_kinds(w: World) -> None:
    """Only probes that the older columns can express."""
    w.rows = w.rows[:5]


VALID: dict[str, Callable[[World], None]] = {
    "00 as it is": no_problem,
    "03 JSON": cells("annotation_format", "JSON"),
    "25 brain under a prefix": lambda w: put(
        images=[{**b.image_json(), "source": str(b.image_json()["source"]).replace("data/", "data/test/more/")}]
    )(w),
    "32 shanks as floats": both(cells("ephys_shank", "0.0", 1), no_problem),
    "33 legacy columns": both(two_kinds, columns(*LEGACY)),
    "44 |zarr2:": lambda w: put(images=[{**b.image_json(), "source": f"{b.image_json()['source']}|zarr2:"}])(w),
    "45 ephys_shank blank": both(
        two_kinds,
        columns(
            *(
                name
                for name in (
                    "mouseid",
                    "sorted_recording",
                    "probe_file",
                    "histology_track_id",
                    "ephys_collection",
                    "histology_shank",
                )
            )
        ),
    ),
    "44 two images alike": two_images(levels=3),
    "15 older copy of the sorting": lambda w: put(
        subject=replace(
            b.make_subject(),
            recordings=tuple(
                replace(r, sortings=(replace(r.sortings[0], copy_of="newer"),)) if r.name == b.DAY1 else r
                for r in b.make_subject().recordings
            ),
        )
    )(w),
    "09 doubled points": points("probeA", b.line_points() * 2),
    "57 re-upload of the same session": on_recording(b.DAY1, raw=b.asset(f"{b.DAY1}_corrected")),
    "50 layer in zyx": source("probeA", outputDimensions=b.space("zyx")),
    "50 layer in xyz": both(
        points("probeA", b.line_points(order="xyz")), source("probeA", outputDimensions=b.space("xyz"))
    ),
}


@pytest.mark.parametrize("case", VALID)
def test_a_valid_mapping_has_no_error(case):
    fine = world()
    VALID[case](fine)
    found = fine.problems()
    stopping = [each for each in found if each.severity is Severity.ERROR]
    assert not stopping
    assert not [each for each in found if each.severity is Severity.CONFIRM and each.rule != "N2"]


def test_a_fine_mapping_is_silent_but_for_what_is_left_out():
    found = world().problems()
    assert [(each.rule, each.severity) for each in found] == [("R1", Severity.INFO)]
    assert b.DAY2 in found[0].message


def test_problems_name_rule_place_and_cure_and_come_gravest_first():
    broken = world()
    edit(2, ephys_collection="ProbeX")(broken)
    points("t1", b.line_points(5, count=3))(broken)
    found = broken.problems()
    order = [Severity.ERROR, Severity.CONFIRM, Severity.WARNING, Severity.INFO]
    assert [order.index(each.severity) for each in found] == sorted(order.index(each.severity) for each in found)
    unknown = next(each for each in found if each.rule == "A15")
    assert (unknown.where.row, unknown.where.track, unknown.where.column) == (2, "probeB_shank2", "ephys_collection")
    assert unknown.where.recording == b.DAY1
    assert "ProbeB" in unknown.message
    assert all(each.cure and each.message for each in found)
    few = next(each for each in found if each.rule == "T1")
    assert (few.measured, few.threshold, few.severity) == (3, 4, Severity.WARNING)


def test_no_subject_is_one_error_and_the_rest_is_still_checked():
    broken = world()
    broken.subject = None
    edit(0, histology_track_id="nobody")(broken)
    found = broken.problems()
    assert len([each for each in found if each.rule == "A13"]) == 1
    assert {"A13", "N8"} <= rules(found, Severity.ERROR)


def test_another_mouses_state_is_an_error():
    broken = world()
    broken.rows = [replace(row, mouseid="700002") for row in broken.rows]
    found = broken.problems()
    assert {"M22", "R7"} <= rules(found, Severity.ERROR)


def test_the_first_image_places_the_points_whatever_the_order_of_the_brains_channels():
    odd = world()
    two_images(shape_level0_zyx=(10, 10, 10))(odd)
    assert not [each for each in odd.problems() if each.rule == "T8"]
    odd.images.reverse()
    assert [each for each in odd.problems() if each.rule == "T8"]


def test_an_image_beside_the_first_that_the_brain_lacks_is_warned():
    odd = world()
    odd.images.append(b.image_json(channel="Ex_445_Em_469"))
    assert [each.severity for each in odd.problems() if each.rule == "A16"] == [Severity.WARNING]


def test_a_copy_of_the_sorting_is_told_and_its_recording_counts_as_mapped():
    told = world()
    VALID["15 older copy of the sorting"](told)
    found = told.problems()
    assert [each.severity for each in found if each.rule == "A9"] == [Severity.WARNING]
    assert not [each for each in found if each.rule == "R1" and each.where.recording == b.DAY1]


@pytest.mark.parametrize(("column", "words"), [("sorted_recording", "sorting"), ("ephys_collection", "stream")])
def test_a_blank_cell_is_said_in_words_before_its_column(column, words):
    broken = world()
    edit(0, **{column: ""})(broken)
    found = next(each for each in broken.problems() if each.rule == "M3")
    assert found.message == f"No {words} is chosen ({column} is blank)."
    assert found.cure.startswith(f"Choose a {words}")


# --- earlier jobs -------------------------------------------------------------------------------


def cells(rows):
    return [(row.recording, row.histology_track_id, row.ephys_collection, row.ephys_shank) for row in rows]


def test_another_mapping_of_a_converted_recording_must_be_confirmed_and_the_same_one_not():
    w = world()
    state = b.make_state(*w.layers.values(), images=w.images)
    swapped = [replace(w.rows[0], histology_track_id="t1"), *w.rows[1:]]
    other_day = [replace(row, sorted_recording=b.SORT2) for row in swapped]
    for rows, jobs in (
        (w.rows, [("job-7", "warning")]),
        (w.rows[::-1], [("job-7", "warning")]),
        (swapped, [("job-7", "confirm")]),
        (w.rows[:3], [("job-7", "confirm")]),
        (other_day, []),
    ):
        for goes_on in (False, True):
            converted = converted_by("job-7", cells(rows), goes_on=goes_on)
            found = check_mapping(w.rows, state=state, subject=w.subject, converted=converted)
            told = [each for each in found if each.rule == "R8"]
            assert [(each.measured, each.severity) for each in told] == jobs
            assert all(("is converting" in each.message) is goes_on for each in told)
    found = check_table(
        read_csv(write_csv(w.rows)), state=state, subject=w.subject, converted=converted_by("job-7", cells(swapped))
    )
    (r8,) = (each for each in found if each.rule == "R8")
    assert (r8.severity, r8.where.recording) == (Severity.CONFIRM, b.DAY1)
    assert "job-7" in r8.message
    assert "probeA, t1" in r8.message


# --- shanks -------------------------------------------------------------------------------------


def test_a_shank_without_a_track_must_be_confirmed_and_is_named():
    broken = world()
    broken.rows = [row for row in broken.rows if row.histology_track_id != "probeB_shank2"]
    found = next(each for each in broken.problems() if each.rule == "S1")
    assert found.severity is Severity.CONFIRM
    assert "without a track: shank 2" in found.message


def test_one_track_for_a_four_shank_stream_must_be_confirmed():
    broken = world()
    broken.rows = [broken.rows[0], replace(broken.rows[1], histology_shank=None, ephys_shank=None)]
    assert "S1" in rules(broken.problems(), Severity.CONFIRM)


def test_a_shank_that_was_not_recorded_is_an_error():
    broken = world()
    on_sorting(streams=(b.stream("ProbeA"), b.stream("ProbeB", 0, 1), b.stream("45883-1"), b.stream("45883-3")))(broken)
    found = [each for each in broken.problems() if each.rule == "A15"]
    assert {each.severity for each in found} == {Severity.ERROR}
    assert "no shank 3 of ProbeB; it has shanks 1, 2" in found[0].message


def test_several_tracks_on_a_single_shank_must_be_confirmed():
    broken = world()
    broken.rows = [replace(row, ephys_collection="ProbeA", logical_probe="ProbeA") for row in broken.rows[1:5]]
    assert "S1" in rules(broken.problems(), Severity.CONFIRM)


@pytest.mark.parametrize(
    "values", [{"histology_shank": 0}, {"ephys_shank": 2}, {"logical_probe": "45883-3"}, {"logical_probe": ""}]
)
def test_a_split_stream_must_name_its_probe_and_shank(values):
    broken = world()
    edit(6, **values)(broken)
    assert "M21" in rules(broken.problems(), Severity.CONFIRM, Severity.ERROR)


def test_only_histology_or_only_ephys_shank_is_an_error_when_it_cannot_be_filled():
    broken = world()
    edit(1, histology_shank=None)(broken)
    assert "M16" in rules(broken.problems(), Severity.ERROR)


def test_shank_columns_of_a_single_shank_are_warned():
    broken = world()
    edit(0, histology_shank=0, ephys_shank=0)(broken)
    assert "M21" in rules(broken.problems(), Severity.WARNING)


# --- what is left out ---------------------------------------------------------------------------


def test_a_stream_without_a_track_is_warned_unless_skipped():
    left = world()
    left.rows = left.rows[1:]
    found = [each for each in left.problems() if each.rule == "R1" and each.severity is Severity.WARNING]
    assert [each.measured for each in found] == ["ProbeA"]
    left.mapping = Mapping(
        b.MOUSE,
        skipped_streams=(LeftOut(f"{b.SORT1}/ProbeA", "no track visible", "ana"),),
        ignored_layers=(LeftOut("probeA", "not mine", "ana"),),
    )
    assert not rules(left.problems(), Severity.WARNING)


def test_every_unused_track_is_named_unless_ignored():
    left = world()
    left.layers["spare 1"] = b.layer_json("spare 1", 20)
    left.layers["spare 2"] = b.layer_json("spare 2", 21)
    left.mapping = Mapping(b.MOUSE, (Assignment("probeA"),), ignored_layers=(LeftOut("spare 2", "old", "ana"),))
    assert [each.where.track for each in left.problems() if each.rule == "R2"] == ["spare 1"]


# --- layers -------------------------------------------------------------------------------------


def test_landmarks_and_archived_layers_must_be_confirmed():
    landmarks = [[500.0, 1000.0, 900.0, 0.0], [1500.0, 3000.0, 2900.0, 0.0], [800.0, 2500.0, 300.0, 0.0]]
    marks = b.layer_json("targets", points=landmarks)
    for at, name in enumerate(("CCant", "AntComMid", "LGN")):
        marks["annotations"][at]["description"] = name  # type: ignore[index]
    broken = world()
    broken.layers["targets"] = marks
    edit(0, histology_track_id="targets")(broken)
    assert "N13" in rules(broken.problems(), Severity.CONFIRM)

    archived = world()
    layer("probeA", archived=True)(archived)
    assert "N16" in rules(archived.problems(), Severity.CONFIRM)


def test_two_layers_of_one_name_are_an_error():
    broken = world()
    broken.layers["again"] = {**b.layer_json("probeA", 30)}
    assert "N8" in rules(broken.problems(), Severity.ERROR)


def test_a_layer_in_the_images_own_scale_is_fine_whatever_the_viewer_shows():
    fine = world()
    fine.state = b.make_state(*fine.layers.values(), dimensions=b.space(um={"x": 10.0, "y": 10.0, "z": 10.0}))
    assert "N10" not in rules(fine.problems(), Severity.ERROR)


def test_scale_problem_gives_both_numbers():
    broken = world()
    source("probeA", outputDimensions=MM_LAYER)(broken)
    found = next(each for each in broken.problems() if each.rule == "N10")
    assert "1.8" in str(found.threshold)
    assert "1" in str(found.measured)


# --- points -------------------------------------------------------------------------------------


def test_points_outside_the_image_are_an_error_with_the_count():
    broken = world()
    points("probeA", [*b.line_points(), [b.SHAPE_ZYX[0] + 10.0, 10.0, 10.0, 0.0], [-5.0, 10.0, 10.0, 0.0]])(broken)
    found = next(each for each in broken.problems() if each.rule == "T8")
    assert (found.severity, found.measured, found.where.track) == (Severity.ERROR, 2, "probeA")


def bent() -> list[list[float]]:
    numbers = b.line_points(count=20)
    numbers[10][1] += 600.0
    return numbers


SHAPES: dict[str, tuple[list[list[float]], str]] = {
    "bent": (bent(), "T2"),
    "scrambled": ([b.line_points()[i] for i in (0, 5, 2, 8, 1, 11)], "T3"),
    "from the tip": (b.line_points()[::-1], "T3"),
    "gap": ([b.line_points()[i] for i in (0, 1, 2, 10, 11)], "T4"),
    "short": ([[500.0 + i * 10, 1500.0, 600.0, 0.0] for i in range(6)], "T5"),
    "long": ([[100.0 + i * 520, 100.0 + i * 680, 600.0, 0.0] for i in range(8)], "T5"),
    "flat": ([[500.0, 1000.0 + i * 100, 600.0, 0.0] for i in range(12)], "T9"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_odd_track_is_warned_with_what_was_measured(shape):
    numbers, rule = SHAPES[shape]
    odd = world()
    points("probeA", numbers)(odd)
    found = [each for each in odd.problems() if each.rule == rule]
    assert [each.where.track for each in found] == ["probeA"]
    assert found[0].severity in (Severity.WARNING, Severity.INFO)
    assert found[0].measured is not None
    assert found[0].threshold is not None


def test_without_an_image_the_layers_own_scale_is_used():
    odd = world()
    points("probeA", bent())(odd)
    odd.subject = None
    assert "T2" in rules(odd.problems())


@pytest.mark.parametrize("backwards", [False, True])
def test_a_copied_track_within_a_recording_is_warned(backwards):
    odd = world()
    copy = [[z + 3, y + 2, x, t] for z, y, x, t in b.line_points(0)]
    points("t1", copy[::-1] if backwards else copy)(odd)
    found = [each for each in odd.problems() if each.rule == "R4"]
    assert len(found) == 1
    assert "probeA" in found[0].message
    assert "t1" in found[0].message
    assert float(found[0].measured or 0) < 100


# --- recordings ---------------------------------------------------------------------------------


def test_a_failed_sorting_is_an_error_with_its_reason():
    broken = world()
    on_sorting(status=SortingStatus.ERROR, reason="CUDA out of memory")(broken)
    found = next(each for each in broken.problems() if each.rule == "R6")
    assert found.severity is Severity.ERROR
    assert "CUDA out of memory" in found.message


def test_of_several_usable_sortings_the_chosen_one_is_said():
    told = world()
    second = b.sorting(f"{b.DAY1}_sorted_2024-11-20_01-00-00", b.stream("ProbeA"))
    on_subject(
        lambda s: replace(
            s, recordings=(replace(s.recordings[0], sortings=(*s.recordings[0].sortings, second)), *s.recordings[1:])
        )
    )(told)
    found = [each for each in told.problems() if each.rule == "R6"]
    assert [each.severity for each in found] == [Severity.INFO]
    assert b.SORT1 in found[0].message


def test_an_asset_that_is_not_ready_is_an_error():
    broken = world()
    on_recording(b.DAY1, raw=b.asset(b.DAY1, state="pending"))(broken)
    assert "A10" in rules(broken.problems(), Severity.ERROR)


def test_a_missing_raw_asset_is_an_error():
    broken = world()
    on_recording(b.DAY1, raw=None)(broken)
    assert "A1" in rules(broken.problems(), Severity.ERROR)


def test_a_recording_of_another_mouse_is_an_error():
    broken = world()
    other = b.SORT1.replace(b.MOUSE, "700009")
    edit(0, sorted_recording=other)(broken)
    found = [each for each in broken.problems() if each.rule == "R7"]
    assert [each.measured for each in found] == ["700009"]


SURFACES: dict[str, Callable[[World], None]] = {
    "forgotten": lambda w: put(rows=[replace(r, surface_finding="") for r in w.rows])(w),
    "another day": lambda w: put(rows=[replace(r, surface_finding=b.DAY2) for r in w.rows])(w),
    "too long": on_recording(b.SURFACE1, duration_s=900.0),
    "a main recording": on_recording(b.SURFACE1, role=Role.MAIN),
    "earlier": on_recording(b.SURFACE1, start="2024-11-07 08:00:00"),
    "other stream names": on_recording(b.SURFACE1, streams=("Record Node 105#Neuropix-PXI-100.ProbeA-AP",)),
}


@pytest.mark.parametrize("case", SURFACES)
def test_a_surface_recording_that_does_not_fit_is_warned(case):
    odd = world()
    SURFACES[case](odd)
    found = odd.problems()
    assert "R5" in rules(found, Severity.WARNING)
    assert "R5" not in rules(found, Severity.ERROR)


NAMES = {
    "B 2024-11-08": "probe B, 2024-11-08",
    "B_1108": "probe B, 11-08",
    "ProbeB_1107": "ProbeB",
    "A_1108": "11-08",
    "A day 2": "recording day 2",
    "A_1107_shank3": "shank 3",
    "20241107_45883-3": "45883-3",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_says_something_else_is_warned(name):
    odd = world()
    renamed("probeA", name)(odd)
    found = [each for each in odd.problems() if each.rule == "R3"]
    assert len(found) == 1, found
    assert str(found[0].measured) == NAMES[name]


@pytest.mark.parametrize("name", ["A_1107", "A day 1", "ProbeA 2024-11-07", "268", "V1", "PFC_1108", "CA1", "F1"])
def test_a_name_that_agrees_or_says_nothing_is_not_warned(name):
    fine = world()
    renamed("probeA", name)(fine)
    assert "R3" not in rules(fine.problems())


def test_a_thousand_rows_are_checked_whatever_is_wrong_with_them():
    rows = [replace(true_rows()[0], histology_track_id=f"x{n}") for n in range(1000)]
    found = check_mapping(rows, state=b.make_state("probeA"), subject=b.make_subject())
    assert len([each for each in found if each.rule == "N8"]) == 1000
    assert len([each for each in found if each.rule == "M11"]) == 999


words = st.one_of(
    st.text(max_size=15), st.sampled_from(["probeA", "ProbeA", "45883-3", b.SORT1, b.STEM, b.MOUSE, "NA"])
)
any_rows = st.lists(
    st.builds(
        ManifestRow,
        mouseid=words,
        sorted_recording=words,
        probe_file=words,
        histology_track_id=words,
        ephys_collection=words,
        logical_probe=words,
        histology_shank=st.one_of(st.none(), st.integers(-1, 5)),
        ephys_shank=st.one_of(st.none(), st.integers(-1, 5)),
        surface_finding=words,
        annotation_format=words,
        registration_asset=words,
    ),
    max_size=5,
)
STATE = b.make_state(*TRACKS)
SUBJECT = b.make_subject()


@given(any_rows, st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_rows_are_answered_with_problems_of_published_rules(rows, known):
    found = check_mapping(rows, state=STATE, subject=SUBJECT if known else None)
    assert all(each.rule in RULES for each in found)
    assert len(set(found)) == len(found)
    assert all(each.where.row is None or each.where.row < max(len(rows), 1) for each in found)


# --- limits -------------------------------------------------------------------------------------


def test_a_limit_that_is_set_decides_and_is_shown():
    odd = world()
    points("probeA", bent())(odd)
    state = b.make_state(*odd.layers.values(), images=odd.images)

    def t2(text: str) -> list[Problem]:
        found = check_mapping(odd.rows, state=state, subject=odd.subject, limits=read_thresholds(text))
        return [each for each in found if each.rule == "T2"]

    assert [each.threshold for each in t2("")] == [500.0]
    assert [each.threshold for each in t2('{"off_line_grave_um": 1500}')] == [150.0]
    assert not t2('{"off_line_um": 2000, "off_line_grave_um": 3000}')


@pytest.mark.parametrize("text", ["[1]", "{", '{"unknown": 1}', '{"angle_deg": "15"}', '{"angle_deg": -1}',
                                  '{"angle_deg": true}', '{"angle_deg": NaN}'])  # fmt: skip
def test_limits_that_cannot_be_used_are_refused_where_settings_are_read(text):
    with pytest.raises(SettingsError) as refused:
        load_settings(thresholds=text)
    assert "TRACKMAPPER_THRESHOLDS" in str(refused.value)
    assert load_settings(thresholds='{"angle_deg": 20}').thresholds
