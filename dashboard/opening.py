"""From what a person gave to everything the Map page shows. Blocking: runs in a thread, never on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from core.atlas_files import find_atlas
from core.checks import Thresholds, check_mapping, planned_ways
from core.checks.earlier import Converted
from core.errors import InputError, NotFoundError, PlatformError, RefusedError, StateError
from core.geometry import assumed_frame
from core.manifest import rows_from_mapping
from core.models import Assignment, ImageFrame, Mapping, State, Subject
from core.neuroglancer import interpret_paste, read_state, viewer_of
from core.neuroglancer.links import StateLink, fetch_state_link
from core.subjects.shown_image import image_frame_of
from core.suggestions import suggest
from dashboard.context import Context
from dashboard.edits import Row
from dashboard.state import Checked, Opened
from dashboard.text import count
from dashboard.theme import track_colors
from jobs.earlier import converted_before

PASTE_LIMIT = 4 * 1024 * 1024
UPLOAD_LIMIT = 16 * 1024 * 1024
_CHOOSE_STATE = "Choose one of the saved states in the list, or paste the state."


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gave: exactly one of pasted text, a file's bytes, or a saved state's path."""

    paste: str = ""
    data: bytes = b""
    stem: str = "state"
    saved: str = ""
    is_file: bool = False
    """`data` is a file's, also when it is empty."""


def open_state(
    context: Context,
    given: Given,
    progress: Callable[[str], None],
    show: Callable[[Opened], None] = lambda _: None,
) -> Opened:
    """Read a state and gather its mouse, or take the one that another session gathered a short while ago.

    Args:
        context: Where states and mice come from.
        given: The state.
        progress: Told what is waited for.
        show: Given what is known so far, first the state alone; may be called from another thread.

    Raises:
        StateError: The state cannot be read.
        PlatformError: A saved state or link cannot be fetched.
    """
    progress("Reading the state")
    data, stem = _bytes_of(context, given)
    state, viewer = read_state(data, stem=stem), viewer_of(given.paste)
    colors = track_colors(state)

    def arrived(subject: Subject | None) -> None:
        show(Opened(state, subject, drawn_frame(state, subject), (), colors, whole=False, viewer=viewer))

    arrived(None)
    subject, note = _subject_of(context, state, progress, arrived)
    return replace(_opened(context, state, subject, note, progress), viewer=viewer)


def gather_anew(context: Context, opened: Opened, progress: Callable[[str], None]) -> Opened:
    """The same state with its mouse gathered anew.

    Raises:
        PlatformError: The platform could not be searched; what is open is as good as before.
    """
    state = opened.state
    if state.subject is None:
        return opened
    progress(f"Looking for assets of mouse {state.subject}")
    subject = context.mice.get(state.subject, anew=True, progress=progress, partial=lambda _: None)
    return replace(_opened(context, state, subject, _note_of(context, subject), progress), viewer=opened.viewer)


def _opened(
    context: Context, state: State, subject: Subject | None, note: str, progress: Callable[[str], None]
) -> Opened:
    if subject and not (subject.recordings or subject.stitched):
        subject = None  # nothing to choose from; the note says so
    progress("Reading the brain's registration")
    found = find_atlas(context.reader, state, subject, known=context.atlases)
    progress("Comparing names")
    opened = Opened(
        state,
        subject,
        drawn_frame(state, subject),
        suggest(state, subject, atlas=found.atlas) if subject else (),
        track_colors(state),
        note,
        converted_before(context.store, subject.id) if subject else (),
        atlas=found.atlas,
        no_atlas=found.why_not,
    )
    # What is measured of the tracks is remembered: here, in a thread, and not when the page checks for the first time.
    check_rows(opened, tuple(Row(layer.name, Assignment(layer.name)) for layer in state.tracks))
    return opened


def _bytes_of(context: Context, given: Given) -> tuple[bytes, str]:
    if given.saved:
        try:
            return context.reader.read_state(given.saved), PurePosixPath(given.saved).stem
        except (NotFoundError, RefusedError) as error:
            raise NotFoundError("there is no such saved state", where=given.saved, cure=_CHOOSE_STATE) from error
    if given.data or given.is_file:
        if len(given.data) > UPLOAD_LIMIT:
            raise StateError("The file is larger than 16 MiB.", cure="Save the state without its archived layers.")
        return given.data, given.stem
    if len(given.paste.encode("utf-8", "replace")) > PASTE_LIMIT:
        raise StateError("The paste is larger than 4 MiB.", cure="Save it as a file and upload that.")
    found = interpret_paste(given.paste)
    if isinstance(found, StateLink):
        return fetch_state_link(found, context.settings), PurePosixPath(found.key).stem or "state"
    return found, "state"


def _subject_of(
    context: Context, state: State, progress: Callable[[str], None], arrived: Callable[[Subject], None]
) -> tuple[Subject | None, str]:
    if state.subject is None:
        return None, "The state names no stitched SmartSPIM asset, so the mouse is not known."
    progress(f"Looking for assets of mouse {state.subject}")
    try:
        subject = context.mice.get(state.subject, progress=progress, partial=arrived)
    except (PlatformError, InputError) as error:
        return None, f"The mouse could not be gathered. {error}"
    return subject, _note_of(context, subject)


def _note_of(context: Context, subject: Subject) -> str:
    if not subject.recordings and not subject.stitched:
        return f"{context.place} holds no asset of mouse {subject.id}."
    return "" if subject.recordings else f"{context.place} holds no recording of mouse {subject.id}."


def drawn_frame(state: State, subject: Subject | None) -> ImageFrame:
    """The geometry that the tracks are drawn by: the conversion's own, else an assumed one that says so."""
    return image_frame_of(state, subject) or assumed_frame(state)


def check_rows(
    opened: Opened, rows: tuple[Row, ...], converted: tuple[Converted, ...] = (), *, limits: Thresholds | None = None
) -> Checked:
    """Every problem of the rows as they stand, and which row each manifest row is."""
    mapping = Mapping(subject=opened.state.subject or "", assignments=tuple(row.assignment for row in rows))
    manifest = rows_from_mapping(mapping, opened.subject, opened.state)
    limits = limits or Thresholds()
    problems = check_mapping(
        manifest,
        state=opened.state,
        subject=opened.subject,
        mapping=mapping,
        converted=converted,
        limits=limits,
        atlas=opened.atlas,
        tissue=opened.tissue,
    )
    planned = planned_ways(manifest, state=opened.state, subject=opened.subject, limits=limits)
    return Checked(tuple(problems), tuple(row.id for row in rows if row.assignment.include), planned)


def opened_words(opened: Opened) -> str:
    """`7 layers, 6 tracks`."""
    return f"{count(len(opened.state.layers), 'layer')}, {count(len(opened.state.tracks), 'track')}"
