"""A card for each recording with what is known of it, and the tracks assigned to its streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.models import Assignment, Probe, Recording, Role, Sorting, SortingStatus, Subject
from core.slots import shank_doubt
from core.subjects.facts import Fact, probe_facts, recording_facts
from dashboard.edits import Row, shank_count, shank_label, sorting_label
from dashboard.text import Markup, count, duration, escape, join, tag

CARD_CSS = """
.card { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; margin: 0 0 8px; }
.card.surface { border-style: dashed; } .card h3 { font-size: 14px; } .card .facts { margin: 4px 0 0; }
.card header { display: flex; gap: 6px 10px; flex-wrap: wrap; align-items: baseline; }
.probe { display: grid; grid-template-columns: minmax(90px, 1fr) minmax(140px, 2.4fr) minmax(90px, 1.2fr);
  gap: 2px 10px; padding: 4px 0; border-top: 1px solid var(--line); }
.probe > div { min-width: 0; overflow-wrap: anywhere; }
.tracks { display: flex; flex-wrap: wrap; gap: 2px 10px; align-content: flex-start; }
.track { all: unset; cursor: pointer; display: inline-flex; gap: 5px; min-width: 0; align-items: center;
  border-radius: 4px; }
.track:hover, .facts-button:hover { background: var(--soft); } [data-pick] { cursor: pointer; }
.track:focus-visible, .facts-button:focus-visible { outline: 2px solid var(--info); }
.track.sel { font-weight: 700; text-decoration: underline; }
.facts-button { all: unset; cursor: pointer; margin-left: auto; color: var(--info); border-radius: 4px; }
.known { margin: 6px 0 2px; font-size: 12px; } .known th { width: 130px; font-weight: 400; }
.known td { overflow-wrap: anywhere; } .known .of td { padding-top: 8px; font-weight: 600; }
"""
ROWS, FACTS = "rows", "facts"
"""What can be picked on a card: the rows of a track, a probe or a recording by their ids; its facts by its number."""
_STATUS = {SortingStatus.OK: ("good", "✓"), SortingStatus.PARTIAL: ("warn", "▲"), SortingStatus.ERROR: ("bad", "✕")}


@dataclass(frozen=True, slots=True)
class Marks:
    """What the cards need to know of the mapping."""

    rows: tuple[Row, ...]
    colors: Mapping[str, str]
    selected: str
    """The selected track."""
    facts: Mapping[str, Sequence[Fact]]
    """Recordings whose facts are unfolded, each with what its files tell beyond what was gathered."""
    waits: frozenset[str] = frozenset()
    """Those of which more is being read."""


def cards(subject: Subject, marks: Marks) -> Markup:
    """Every recording of a subject, oldest first."""
    if not subject.recordings:
        return tag(
            "div",
            tag("h2", "No recordings"),
            tag("p", "The library holds no ephys recording of this mouse."),
            cls="empty",
        )
    return join(_card(subject, number, recording, marks) for number, recording in enumerate(subject.recordings))


def _card(subject: Subject, number: int, recording: Recording, marks: Marks) -> Markup:
    unfolded = recording.name in marks.facts
    head = tag(
        "header",
        tag("h3", recording.start[:16] or recording.name, cls="num", title=recording.name),
        _role(subject, recording),
        tag("span", duration(recording.duration_s), cls="dim num") if recording.duration_s else "",
        tag(
            "button", "Facts ▾" if unfolded else "Facts ▸", cls="facts-button", type="button", data_pick=FACTS,
            data_value=str(number), aria_expanded="true" if unfolded else "false",
            aria_label=f"Facts of {recording.start[:16] or recording.name}",
        ),
    )  # fmt: skip
    sortings = [_sorting(sorting) for sorting in recording.sortings]
    if not sortings and recording.role is not Role.SURFACE:
        sortings = [tag("p", "Not sorted", cls="dim")]
    problems = [tag("p", f"▲ {p.rule} {p.message}", cls="warn", title=p.cure) for p in recording.problems]
    surface = " surface" if recording.role is Role.SURFACE else ""
    facts = [_facts(subject, recording, marks)] if unfolded else []
    mine = [row for row in marks.rows if row.assignment.include and row.assignment.recording == recording.name]
    parts = (*sortings, *_probes(recording, marks), *problems, *facts)
    return tag("div", head, *parts, cls=f"card{surface}", **_picks(mine))


def _picks(rows: Sequence[Row]) -> dict[str, str]:
    """The attributes of an element that a press on selects these rows, one after the other."""
    return {"data_pick": ROWS, "data_value": " ".join(row.id for row in rows)} if rows else {}


def _facts(subject: Subject, recording: Recording, marks: Marks) -> Markup:
    """Everything that is known of a recording and its probes, and where the rest was looked for."""
    told = [_fact(fact) for fact in (*recording_facts(recording, subject), *marks.facts[recording.name])]
    if recording.name in marks.waits:
        told.append(tag("tr", tag("td", "More is being read.", cls="dim", colspan="2")))
    for probe in sorted(recording.probes, key=lambda probe: probe.name):
        told.append(tag("tr", tag("td", probe.name, colspan="2"), cls="of"))
        told += [_fact(fact) for fact in probe_facts(recording, probe.name)]
    return tag("table", *told, cls="known")


def _fact(fact: Fact) -> Markup:
    looked_for = tag("span", tag("strong", "unknown"), f" · looked for: {fact.looked_for}", cls="dim")
    return tag("tr", tag("th", fact.name), tag("td", fact.words or looked_for))


def _role(subject: Subject, recording: Recording) -> Markup:
    if recording.role is Role.SURFACE:
        # a surface recording says whose it is: the recording that names it
        mains = [r.start[:16] or r.name for r in subject.recordings if r.surface == recording.name]
        words = "surface recording" + (f" of {', '.join(mains)}" if mains else "")
        return tag("span", words, cls="pill", title=recording.role_reason)
    words = {Role.MAIN: "main recording", Role.UNKNOWN: "role unknown"}[recording.role]
    surface = subject.recording(recording.surface) if recording.surface else None
    also = (
        tag("span", f"surface: {surface.start[:16] or surface.name}", cls="dim", title=recording.surface_reason)
        if surface
        else ""
    )
    return tag("span", tag("span", words, cls="pill", title=recording.role_reason), " ", also)


def _sorting(sorting: Sorting) -> Markup:
    cls, sign = _STATUS[sorting.status]
    words = f"second capture of {sorting.copy_of}" if sorting.copy_of else sorting.reason
    reason = tag("span", f" {words}", cls="dim") if words else ""
    return tag(
        "p", tag("span", f"{sign} {sorting_label(sorting)}", cls=cls, title=sorting.asset.name), reason, cls="facts"
    )


def _probes(recording: Recording, marks: Marks) -> list[Markup]:
    """One line per probe, and one per sorted stream that no probe of settings.xml is named like."""
    tokens = {stream.token for sorting in recording.sortings for stream in sorting.streams}
    named = {probe.name for probe in recording.probes}
    lines = [
        _line(recording, probe.name, _about(probe), marks) for probe in sorted(recording.probes, key=lambda p: p.name)
    ]
    lines += [_line(recording, token, escape("not in settings.xml"), marks) for token in sorted(tokens - named)]
    return lines


def _about(probe: Probe) -> Markup:
    recorded = ""
    if 0 < len(probe.shanks) < probe.shank_count:
        recorded = f", recorded on {', '.join(str(shank + 1) for shank in probe.shanks)}"
    words = (
        f"{probe.description or probe.part_number or 'unknown type'} · {count(probe.shank_count, 'shank')}{recorded}"
    )
    off = "" if probe.enabled else tag("span", " switched off", cls="warn")
    return join(
        [
            tag("span", words, title=probe.part_number),
            tag("span", f" SN {probe.serial}", cls="dim") if probe.serial else "",
            off,
        ]
    )


def _line(recording: Recording, token: str, about: Markup, marks: Marks) -> Markup:
    targets = [target for target in recording.targets if target.probe == token]
    meant = [
        tag("div", f"target {target.structure or '?'}", cls="dim", title=_angles(target.angles_deg, target.notes))
        for target in targets
    ]
    mine = [
        row for row in marks.rows
        if row.assignment.include and (row.assignment.recording, row.assignment.stream) == (recording.name, token)
    ]  # fmt: skip
    return tag(
        "div",
        tag("div", tag("strong", token), _units(recording, token)),
        tag("div", about, *meant),
        tag("div", _tracks(recording, token, mine, marks), cls="tracks"),
        cls="probe",
        **_picks(mine),
    )


def _angles(angles_deg: Mapping[str, float], notes: str) -> str:
    words = [f"{name} {value:g}°" for name, value in angles_deg.items()]
    return ", ".join([*words, *([notes] if notes else [])])


def _units(recording: Recording, token: str) -> Markup:
    # of the newest sorting that counted this stream
    for sorting in reversed(recording.sortings):
        for stream in sorting.streams:
            if stream.token == token and stream.units is not None:
                passing = f"{stream.passing:,} of " if stream.passing is not None else ""
                hint = "units that pass quality control, of all" if passing else "units"
                return tag("div", f"{passing}{stream.units:,} units", cls="dim num", title=hint)
    return Markup("")


def _tracks(recording: Recording, token: str, rows: Sequence[Row], marks: Marks) -> Markup:
    if not rows:
        sorted_here = any(stream.token == token for sorting in recording.sortings for stream in sorting.streams)
        return tag("span", "no track", cls="dim") if sorted_here else Markup("")
    return join(_track(recording, token, row, marks) for row in rows)


def _track(recording: Recording, token: str, row: Row, marks: Marks) -> Markup:
    assignment, shank = row.assignment, ""
    if assignment.shank is not None:
        sorting = next((each for each in recording.sortings if each.asset.name == assignment.sorting), None)
        total, doubt = shank_count(recording, token, [assignment.shank]), shank_doubt(recording, token, sorting)
        shank = f" · {shank_label(assignment.shank, total, unsure=bool(doubt))}"
    swatch = tag("span", cls="swatch", style=f"--c:{marks.colors.get(assignment.track, '#888888')}")
    selected = assignment.track == marks.selected
    return tag(
        "button", swatch, tag("span", assignment.track, shank), cls="track sel" if selected else "track",
        type="button", aria_pressed="true" if selected else "false", **_picks([row]),
    )  # fmt: skip


def tracks_without_row(names: Iterable[str], assignments: Iterable[Assignment]) -> tuple[str, ...]:
    """Tracks of the state that no row of the mapping is about."""
    mapped = {assignment.track for assignment in assignments}
    return tuple(name for name in names if name not in mapped)
