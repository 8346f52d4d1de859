"""The mapping as one page for the records: what was decided, by whom, on what evidence. It opens anywhere."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.atlas_frames import AffineAtlas
from core.brain_images import BrainImage, BrainProjections
from core.checks import Thresholds, planned_ways
from core.checks.thresholds import USUAL
from core.conversion import ConversionPlan
from core.geometry import assumed_frame
from core.manifest import mapping_from_rows
from core.manifest.rows import ManifestRow
from core.models import Points, Problem, Severity, State, Subject, Suggestion
from core.subjects.shown_image import image_frame_of
from core.suggestions import suggest
from dashboard import edits, text
from dashboard.assignment_table import suggested_place
from dashboard.edits import Row
from dashboard.evidence import Evidence, ReadUnits, probe_pictures, units_of
from dashboard.saved_pictures import draw_views, heading
from dashboard.saved_unrolled import draw_unrolled
from dashboard.state import Checked, Opened
from dashboard.text import Markup, join, tag
from dashboard.theme import GREY, SEVERITY_WORDS, track_colors
from dashboard.track_detail import sure, weighed
from dashboard.track_lines import scene

_log = logging.getLogger(__name__)
_STYLE = """
:root { color-scheme: light dark; } body { font: 14px/1.45 system-ui, sans-serif; margin: 24px auto; max-width: 1180px;
  padding: 0 16px; } h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 28px; } img { max-width: 100%; }
.picture { background: #fff; } table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
th, td { border-bottom: 1px solid #8886; padding: 4px 12px 4px 0; text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } .dim { opacity: .72; } ul { margin: 0; padding-left: 16px; }
.name { overflow-wrap: anywhere; min-width: 170px; } .swatch { background: var(--c); display: inline-block; width: 10px;
  height: 10px; border-radius: 50%; margin-right: 6px; print-color-adjust: exact; } .sign { white-space: nowrap; }
.draft { border: 2px dashed #c77; padding: 6px 12px; }
@media print { body { max-width: none; margin: 0; font-size: 11px; } tr, img { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a report comes from."""

    user: str
    made: datetime
    """With its zone."""
    version: str
    """Of Trackmapper."""
    launched: str = ""
    """What was launched with the mapping; "" for a draft."""


def mapping_report(
    opened: Opened,
    rows: Sequence[Row],
    checked: Checked,
    origin: Origin,
    evidence: Evidence | None = None,
) -> bytes:
    """A self-contained page of HTML in UTF-8: the same bytes for the same input. Blocks for a second or more.

    Args:
        opened: The state, its mouse and the suggestions.
        rows: The mapping.
        checked: What the checks said of these rows.
        origin: Who made it and when.
        evidence: What had been read for its pictures.
    """
    state, evidence = opened.state, evidence or Evidence()
    title = f"Mapping of mouse {state.subject or 'unknown'}: {state.stem}"
    draft = tag("p", "Draft: nothing was launched with this mapping.", cls="draft")
    facts = [
        ("State", f"{state.stem}, sha256 {state.sha256}"),
        ("Mapped by", f"{origin.user}, {origin.made.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("Image", f"image space, RAS; assumed: {opened.frame.assumed}" if opened.frame.assumed else "image space, RAS"),
        ("Trackmapper", origin.version),
        *([("Launched", origin.launched)] if origin.launched else []),
    ]
    body = [
        tag("h2", title),
        "" if origin.launched else draft,
        tag("table", tag("tbody", *(tag("tr", tag("th", name), tag("td", words)) for name, words in facts))),
        tag("h2", "Tracks"),
        _picture(opened, evidence.brain, _turned(checked)),
        tag("p", f"Not looked at: {', '.join(evidence.unseen)}.", cls="dim") if evidence.unseen else "",
        tag("h2", f"Rows: {sum(row.assignment.include for row in rows)} of {len(rows)} included"),
        _rows_table(opened, rows),
        *_probes(opened, rows, evidence),
        tag("h2", "What the checks found"),
        _problems_table(rows, checked, confirmed_by=origin.user if origin.launched else ""),
    ]
    return _page(title, join(body)).encode()


def manifest_report(
    state: State,
    subject: Subject | None,
    manifest: Sequence[ManifestRow],
    problems: Sequence[Problem],
    origin: Origin,
    *,
    atlas: AffineAtlas | None = None,
    limits: Thresholds = USUAL,
    brain: BrainImage | None = None,
    read_units: ReadUnits | None = None,
    side_by_side: int = 8,
) -> bytes:
    """The report of a manifest that was made elsewhere, with what would have been suggested.

    Args:
        state: Has the tracks.
        subject: The mouse.
        manifest: Its rows.
        problems: What the checks said of them.
        origin: Who made it and when.
        atlas: The way into the atlas that they were checked by.
        limits: What they were checked by.
        brain: The brain that the state shows, when it was read.
        read_units: Asked for the units of each stream, from threads; without it none are shown.
        side_by_side: So many threads.
    """
    frame = image_frame_of(state, subject) or assumed_frame(state)
    suggestions = suggest(state, subject, atlas=atlas) if subject else ()
    opened = Opened(state, subject, frame, suggestions, track_colors(state), atlas=atlas)
    mapping = mapping_from_rows(manifest, subject, state)
    rows = tuple(Row(f"r{number}", assignment) for number, assignment in enumerate(mapping.assignments, 1))
    planned = planned_ways(manifest, state=state, subject=subject, limits=limits)
    checked = Checked(tuple(problems), tuple(row.id for row in rows), planned)
    units = units_of(opened, rows, read_units, side_by_side=side_by_side) if read_units else {}
    seen = (None, None) if brain is None else (brain.projections, brain.tissue)
    return mapping_report(opened, rows, checked, origin, Evidence(*seen, units))


def launched_words(plan: ConversionPlan) -> str:
    """What a plan runs, for a report's head."""
    return f"{text.count(len(plan.rows), 'row')}, converter {plan.converter_words} on {plan.platform}"


def followed(row: Row, proposal: Suggestion | None) -> str:
    """What a person made of a suggestion."""
    if proposal is None or proposal.assignment is None:
        return "nothing was suggested"
    if not row.assignment.recording:
        return "not taken"
    mine, suggested = row.assignment, proposal.assignment
    same = (mine.recording, mine.stream, mine.shank) == (suggested.recording, suggested.stream, suggested.shank)
    return "as suggested" if same else "differs from the suggestion"


def _rows_table(opened: Opened, rows: Sequence[Row]) -> Markup:
    suggestions = {each.track: each for each in opened.suggestions}
    lines = []
    for row in rows:
        track, proposal = row.assignment.track, suggestions.get(row.assignment.track)
        swatch = tag("span", cls="swatch", style=f"--c:{opened.colors.get(track, GREY)}")
        cells = (join([swatch, track]), _place(opened, row), _said(row), _evidence(opened, row, proposal))
        lines.append(tag("tr", *(tag("td", cell) for cell in cells)))
    return _table(("Track", "Mapped to", "Included", "Evidence"), lines)


def _place(opened: Opened, row: Row) -> Markup:
    """Probe and shank, with the exact names of the assets, by which they are still found years later."""
    mine = row.assignment
    if not mine.recording:
        return tag("span", "nothing", cls="dim")
    shank = "" if mine.shank is None else f", shank {edits.shown(opened.subject, mine, 'shank')}"
    names = [mine.recording, mine.sorting, f"surface: {mine.surface}" if mine.surface else ""]
    lines = (tag("div", name, cls="dim name") for name in names if name)
    return join([tag("strong", f"{mine.stream or 'no stream'}{shank}"), *lines])


def _said(row: Row) -> Markup:
    told = "yes" if row.assignment.include else "no"
    return join([told, tag("div", row.assignment.note) if row.assignment.note else ""])


def _evidence(opened: Opened, row: Row, proposal: Suggestion | None) -> Markup:
    if proposal is None:
        return tag("span", followed(row, proposal), cls="dim")
    place = suggested_place(opened.subject, proposal) or "cannot tell"
    listed = [*proposal.reasons, *filter(None, [weighed(proposal)])]
    told = tag("div", tag("strong", followed(row, proposal)), f": {place}{sure(proposal)}")
    return join([told, tag("ul", *(tag("li", words) for words in listed))])


def _problems_table(rows: Sequence[Row], checked: Checked, *, confirmed_by: str) -> Markup:
    if not checked.problems:
        return tag("p", "Nothing.")
    tracks = {row.id: row.assignment.track for row in rows}

    def line(problem: Problem) -> Markup:
        sign, word = SEVERITY_WORDS[problem.severity]
        track = tracks.get(checked.row_id(problem) or "", problem.where.track or "")
        measured = "" if problem.measured is None else problem.measured
        limit = "" if problem.threshold is None else problem.threshold
        confirmed = confirmed_by and problem.severity is Severity.CONFIRM
        said = join([problem.message, tag("div", f"confirmed by {confirmed_by}", cls="dim") if confirmed else ""])
        cells = (tag("span", f"{sign} {word}", cls="sign"), problem.rule, track, said, measured, limit)
        return tag("tr", *(tag("td", cell) for cell in cells))

    return _table(("Kind", "Rule", "Track", "What", "Measured", "Limit"), [line(each) for each in checked.problems])


def _table(head: Sequence[str], lines: Sequence[Markup]) -> Markup:
    return tag("table", tag("thead", tag("tr", *(tag("th", words) for words in head))), tag("tbody", *lines))


def _turned(checked: Checked) -> dict[str, Points]:
    """The planned ways of the tracks that are said to be turned from theirs, so that the picture shows why."""
    found = {problem.where.track for problem in checked.problems if problem.rule == "T10"}
    return {track: way for track, way in checked.planned.items() if track in found}


def _picture(opened: Opened, brain: BrainProjections | None, planned: Mapping[str, Points]) -> Markup:
    try:
        drawn = scene(opened.state, opened.frame, opened.colors)
        svg = draw_views(drawn, heading(opened), "svg", brain=brain, planned=planned)
    except Exception:  # noqa: BLE001 - a drawing library's trouble with a name must not keep a mapping from its launch
        _log.exception("the tracks of %s could not be drawn", opened.state.sha256)
        return tag("p", "The tracks could not be drawn; everything else is here.", cls="dim")
    return _image(svg, "svg+xml", "All tracks in three projections")


def _probes(opened: Opened, rows: Sequence[Row], evidence: Evidence) -> list[Markup]:
    """Each probe's tracks against what was recorded."""
    told = []
    for picture in probe_pictures(opened, rows, evidence):
        try:
            png = draw_unrolled(picture, "png")
        except Exception:  # noqa: BLE001 - as above: the sentences say the same
            _log.exception("%s could not be drawn", picture.heading)
            image = tag("p", "It could not be drawn; the sentences say the same.", cls="dim")
        else:
            image = _image(png, "png", f"Tracks against recording: {picture.heading}")
        told.append(
            join([tag("h3", picture.heading), image, tag("ul", *(tag("li", words) for words in picture.words))])
        )
    return [tag("h2", "Tracks against recordings"), *told] if told else []


def _image(data: bytes, kind: str, words: str) -> Markup:
    # as an image, which runs nothing
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Markup(f'<img class="picture" alt="{text.escape(words)}" src="{source}">')


def _page(title: str, body: Markup) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{body}</body></html>\n'
    )
