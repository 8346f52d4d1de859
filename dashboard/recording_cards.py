"""A card for each recording with what is known of it, and the tracks assigned to its streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from core.models import Assignment, Probe, Recording, Role, Sorting, SortingStatus, Subject
from dashboard.edits import shank_count, sorting_label
from dashboard.text import Markup, count, duration, escape, join, tag

CARD_CSS = """
.card { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; margin: 0 0 8px; }
.card.surface { border-style: dashed; } .card h3 { font-size: 14px; } .card .facts { margin: 4px 0 0; }
.card header { display: flex; gap: 6px 10px; flex-wrap: wrap; align-items: baseline; }
.probe { display: grid; grid-template-columns: minmax(90px, 1fr) minmax(140px, 2.4fr) minmax(90px, 1.2fr);
  gap: 2px 10px; padding: 4px 0; border-top: 1px solid var(--line); }
.tracks { display: flex; flex-wrap: wrap; gap: 2px 10px; align-content: flex-start; }
.track { display: inline-flex; gap: 5px; align-items: center; }
.track.sel { font-weight: 700; text-decoration: underline; }
"""
_STATUS = {SortingStatus.OK: ("good", "✓"), SortingStatus.PARTIAL: ("warn", "▲"), SortingStatus.ERROR: ("bad", "✕")}


@dataclass(frozen=True, slots=True)
class Marks:
    """What the cards need to know of the mapping."""

    assignments: tuple[Assignment, ...]
    colors: Mapping[str, str]
    selected: str


def cards(subject: Subject, marks: Marks) -> Markup:
    """Every recording of a subject, oldest first."""
    if not subject.recordings:
        return tag(
            "div",
            tag("h2", "No recordings"),
            tag("p", "The library holds no ephys recording of this mouse."),
            cls="empty",
        )
    return join(_card(subject, recording, marks) for recording in subject.recordings)


def _card(subject: Subject, recording: Recording, marks: Marks) -> Markup:
    head = tag(
        "header",
        tag("h3", recording.start[:16] or recording.name, cls="num", title=recording.name),
        _role(subject, recording),
        tag("span", duration(recording.duration_s), cls="dim num") if recording.duration_s else "",
    )
    sortings = [_sorting(sorting) for sorting in recording.sortings]
    if not sortings and recording.role is not Role.SURFACE:
        sortings = [tag("p", "Not sorted", cls="dim")]
    problems = [tag("p", f"▲ {p.rule} {p.message}", cls="warn", title=p.cure) for p in recording.problems]
    surface = " surface" if recording.role is Role.SURFACE else ""
    return tag("div", head, *sortings, *_probes(recording, marks), *problems, cls=f"card{surface}")


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
    return tag(
        "div",
        tag("div", tag("strong", token), _units(recording, token)),
        tag("div", about, *meant),
        tag("div", _tracks(recording, token, marks), cls="tracks"),
        cls="probe",
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


def _tracks(recording: Recording, token: str, marks: Marks) -> Markup:
    mine = [a for a in marks.assignments if a.include and a.recording == recording.name and a.stream == token]
    if not mine:
        sorted_here = any(stream.token == token for sorting in recording.sortings for stream in sorting.streams)
        return tag("span", "no track", cls="dim") if sorted_here else Markup("")
    return join(_track(recording, token, a, marks) for a in mine)


def _track(recording: Recording, token: str, assignment: Assignment, marks: Marks) -> Markup:
    shank = ""
    if assignment.shank is not None:
        shank = f" · {assignment.shank + 1} of {shank_count(recording, token, [assignment.shank])}"
    swatch = tag("span", cls="swatch", style=f"--c:{marks.colors.get(assignment.track, '#888888')}")
    selected = " sel" if assignment.track == marks.selected else ""
    return tag("span", swatch, tag("span", assignment.track, shank), cls=f"track{selected}")


def tracks_without_row(names: Iterable[str], assignments: Iterable[Assignment]) -> tuple[str, ...]:
    """Tracks of the state that no row of the mapping is about."""
    mapped = {assignment.track for assignment in assignments}
    return tuple(name for name in names if name not in mapped)
