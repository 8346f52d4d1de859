"""What each command of `trackmapper` does: (options, settings) -> (exit code, answer, text)."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.atlas_files import FoundAtlas, find_atlas
from core.checks import check_table, read_thresholds
from core.checks.earlier import Converted
from core.errors import InputError, PlatformError, SettingsError
from core.manifest import read_csv
from core.models import Severity, State, Subject
from core.neuroglancer import interpret_paste, read_state
from core.neuroglancer.links import StateLink, fetch_state_link
from core.platforms.base import AssetReader
from core.platforms.choice import is_code_ocean, make_reader, make_runner
from core.sample import write_sample
from core.settings import Settings
from core.subjects import gather_subject
from core.subjects.shown_image import shown_brain
from core.suggestions import suggest
from dashboard import answers, demo_mode, launch_command, listings, probe_command, servers
from dashboard.answers import Answer
from dashboard.launch_command import Checked
from jobs import backup as backups
from jobs import second_tries, submission
from jobs.data_folder import DataFolder
from jobs.earlier import converted_before
from jobs.quotas import Quotas
from jobs.records import JobRecord
from jobs.recovery import recover_launches
from jobs.store import JobStore

if TYPE_CHECKING:
    from core.brain_images import BrainImage

Result = tuple[int, Answer, str]
MANIFEST_LIMIT_BYTES = 4 << 20
STATE_LIMIT_BYTES = 64 << 20


def _say(text: str) -> None:
    # The terminal may be gone, and what is being ended must be ended all the same.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _now() -> datetime:
    return datetime.now(UTC)


# --- reading ----------------------------------------------------------------------------------


def _read_source(source: str, settings: Settings) -> State:
    """A state from a file of this machine, standard input, or a pasted link."""
    if source == "-":
        return read_state(sys.stdin.buffer.read(STATE_LIMIT_BYTES + 1), limit_bytes=STATE_LIMIT_BYTES)
    if "#!" in source or source.lstrip().startswith(("{", "s3://", "http://", "https://")):
        pasted = interpret_paste(source)
        if isinstance(pasted, StateLink):
            return read_state(fetch_state_link(pasted, settings), stem=Path(pasted.key).stem)
        return read_state(pasted)
    return read_state(_read_file(Path(source)), stem=Path(source).stem, limit_bytes=STATE_LIMIT_BYTES)


def _read_file(path: Path, limit: int = STATE_LIMIT_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(path), cure="Check the path and its permissions."
        ) from error
    if len(data) > limit:
        raise InputError(f"the file has more than {limit >> 20} MiB", where=str(path), cure="Give a smaller file.")
    return data


def _reader(settings: Settings) -> AssetReader:
    if not is_code_ocean(settings) and not settings.library.is_dir():
        raise SettingsError(
            "there is no such library folder",
            where=str(settings.library),
            cure="Name it with --library DIR or TRACKMAPPER_LIBRARY.",
        )
    return make_reader(settings)


def _gather(subject: str, state: State, settings: Settings) -> tuple[Subject, FoundAtlas]:
    """The mouse, and the way of the shown brain into the atlas; says when there is none."""
    reader = _reader(settings)
    gathered = gather_subject(reader, subject, now=_now())
    found = find_atlas(reader, state, gathered)
    if found.why_not:
        _say(f"trackmapper: judged without the atlas. {found.why_not}")
    return gathered, found


def _brain_of(state: State, subject: Subject | None, settings: Settings, share: float) -> BrainImage | None:
    """The brain that the state shows; says when it, or where it has tissue, is not known."""
    shown = shown_brain(state, subject)
    if shown is None:
        return None
    # Here, since images bring libraries that most commands do without.
    from core.brain_image_cache import BrainImageFiles
    from core.brain_images import read_brain_image

    # A check makes no data folder where there is none.
    cache = BrainImageFiles(DataFolder.at(settings.data).brain_images) if settings.data.exists() else None
    try:
        found = read_brain_image(make_reader(settings), *shown, cache=cache, tissue_share=share)
    except (InputError, PlatformError) as error:
        _say(f"trackmapper: tracks were not held against the tissue. {error}")
        return None
    if found.tissue is None:
        _say("trackmapper: tracks were not held against the tissue. The image shows none.")
    return found


def _code(answer: Answer) -> int:
    """1 when an error is among the answer's problems."""
    return int(any(problem["severity"] == Severity.ERROR for problem in answer["problems"]))


def _subject_of(state: State, given: str | None) -> str:
    subject = given or state.subject
    if not subject:
        raise InputError("the state names no mouse", where=state.stem, cure="Name it with --subject ID.")
    return subject


def _read_mapping(options: argparse.Namespace, settings: Settings) -> Checked:
    """The state, the manifest, the mouse and every problem of the three together."""
    state = _read_source(options.state, settings)
    table = read_csv(_read_file(options.manifest, MANIFEST_LIMIT_BYTES))
    mouse = next((row.mouseid for row in table.rows if row.mouseid), None) or state.subject
    gathered, found = _gather(mouse, state, settings) if mouse else (None, FoundAtlas())
    converted: tuple[Converted, ...] = ()
    if mouse and settings.data.exists():
        with JobStore(settings.data) as store:
            converted = converted_before(store, mouse)
    limits = read_thresholds(settings.thresholds)
    brain = _brain_of(state, gathered, settings, limits.tissue_share)
    problems = check_table(
        table,
        state=state,
        subject=gathered,
        converted=converted,
        limits=limits,
        atlas=found.atlas,
        tissue=None if brain is None else brain.tissue,
    )
    return Checked(state, table, gathered, problems, found.atlas, limits, brain)


def sample(options: argparse.Namespace, settings: Settings) -> Result:
    """Write the sample mouse."""
    summary = write_sample(options.folder, seed=options.seed)
    return 0, answers.sample_answer(summary), listings.sample_text(summary)


def state(options: argparse.Namespace, settings: Settings) -> Result:
    """Read a state."""
    found = _read_source(options.state, settings)
    answer = answers.state_answer(found)
    return _code(answer), answer, listings.state_text(found)


def subject(options: argparse.Namespace, settings: Settings) -> Result:
    """Gather a mouse."""
    found = gather_subject(_reader(settings), options.subject, now=_now())
    answer = answers.subject_answer(found)
    return _code(answer), answer, listings.subject_text(found)


def suggest_rows(options: argparse.Namespace, settings: Settings) -> Result:
    """Suggest a mapping."""
    found = _read_source(options.state, settings)
    mouse, registered = _gather(_subject_of(found, options.subject), found, settings)
    rows = suggest(found, mouse, atlas=registered.atlas)
    return 0, answers.suggest_answer(rows), listings.suggest_text(rows)


def check(options: argparse.Namespace, settings: Settings) -> Result:
    """Check a mapping."""
    problems = _read_mapping(options, settings).problems
    answer = answers.check_answer(problems)
    return 0 if answer["ok"] else 1, answer, listings.problems_text(problems)


# --- jobs -------------------------------------------------------------------------------------


def launch(options: argparse.Namespace, settings: Settings) -> Result:
    """Check, submit and, with --wait, follow a job to its end."""
    return launch_command.launch(options, settings, _read_mapping, _say)


def jobs(options: argparse.Namespace, settings: Settings) -> Result:
    """List jobs."""
    if options.limit < 1:
        raise InputError("--limit must be 1 or more", where="--limit", cure="Give a number such as 50.")
    with JobStore(settings.data) as store:
        before = listings.long_id(options.before) if options.before else None
        records: tuple[JobRecord, ...] = ()
        while len(records) < options.limit:
            page = store.newest(options.limit - len(records), before=records[-1].id if records else before)
            if not page:
                break
            records += page
    following = records[-1].id if len(records) == options.limit else None
    return 0, answers.jobs_answer(records, following), listings.jobs_text(records)


def job(options: argparse.Namespace, settings: Settings) -> Result:
    """Show a job. Exit code 1 when it failed, so that scripts can ask."""
    with JobStore(settings.data) as store:
        record = store.get(listings.long_id(options.id))
        if options.report is not None:
            _write_report(options.report, store.kept_report(record))
    _, answer, text = _shown(record, settings)
    return int(record.state in {"failed", "incomplete", "refused"}), answer, text


def _write_report(path: Path, report: bytes) -> None:
    if not report:
        raise InputError("no mapping report was kept", cure="Jobs launched by earlier versions have none.")
    try:
        with path.open("xb") as file:
            file.write(report)
    except OSError as error:
        raise InputError(
            f"the report cannot be written: {error.strerror}", where=str(path), cure="Name a new file in a folder."
        ) from error


def cancel_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Stop a job."""
    return _acted(options, settings, submission.cancel)


def retry_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Try a failed job again."""
    return _acted(options, settings, partial(submission.retry, quotas=Quotas.of(settings), zone=settings.lab_tz))


def recount_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Count an incomplete job's result again."""
    return _acted(options, settings, second_tries.recount)


def extend_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Give a run more time before it asks its people."""
    return _acted(options, settings, partial(submission.extend, hours=options.hours))


def attach_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Name the run that a job could not find by itself."""
    return _acted(options, settings, partial(submission.attach, run_id=options.run_id))


def pause(options: argparse.Namespace, settings: Settings) -> Result:
    """Hold back everything that makes something, for every job."""
    return _paused(settings, settings.user_name)


def resume(options: argparse.Namespace, settings: Settings) -> Result:
    """Go on after a pause."""
    return _paused(settings, "")


def _paused(settings: Settings, by: str) -> Result:
    with JobStore(settings.data) as store:
        store.set_paused(by)
    return 0, answers.pause_answer(by), f"Paused by {by}: nothing new is made for any job." if by else "Not paused."


def _acted(options: argparse.Namespace, settings: Settings, act: Callable[..., JobRecord]) -> Result:
    with JobStore(settings.data) as store:
        record = act(store, listings.long_id(options.id), user=settings.user_name, now=_now())
    return _shown(record, settings)


def _shown(record: JobRecord, settings: Settings) -> Result:
    links = launch_command.job_links(record, make_reader(settings), settings)
    return 0, answers.job_answer(record, links), listings.job_text(record, links)


# --- upkeep -----------------------------------------------------------------------------------


def probe(options: argparse.Namespace, settings: Settings) -> Result:
    """Look at everything a launch needs."""
    return probe_command.probe(options, settings, say=_say)


def backup(options: argparse.Namespace, settings: Settings) -> Result:
    """Write everything that is kept of jobs and drafts into one file."""
    if not DataFolder.at(settings.data).database.exists():
        raise InputError("there is no queue to back up", where=str(settings.data), cure="Name its folder with --data.")
    with JobStore(settings.data) as store:
        made = backups.write_backup(store, options.file, now=_now())
    return 0, answers.backup_answer(made), listings.backup_text(made)


def restore(options: argparse.Namespace, settings: Settings) -> Result:
    """Put a backup in the place of the queue."""
    restored = backups.restore_backup(options.file, settings.data, now=_now(), replace=options.replace)
    return 0, answers.restore_answer(restored), listings.restore_text(restored)


def recover(options: argparse.Namespace, settings: Settings) -> Result:
    """Keep a job again for every launch that the platform shows and the queue does not know."""
    runner = make_runner(settings)
    with JobStore(settings.data) as store:
        told = {"user": settings.user_name, "now": _now(), "zone": settings.lab_tz}
        found = recover_launches(store, runner, **told, follow=options.follow)
    return 0, answers.recover_answer(found), listings.recover_text(found)


# --- servers ----------------------------------------------------------------------------------


def serve(options: argparse.Namespace, settings: Settings) -> Result:
    """Serve the dashboard until Ctrl-C."""
    return _serve(options, settings, "Dashboard", servers.DASHBOARD, settings.port)


def worker(options: argparse.Namespace, settings: Settings) -> Result:
    """Serve the worker until Ctrl-C."""
    return _serve(options, settings, "Worker", servers.WORKER, settings.worker_port)


def _serve(options: argparse.Namespace, settings: Settings, name: str, script: str, port: int) -> Result:
    door = servers.Door(options.address, tuple(options.origin))
    servers.refuse_open_door(door)
    _say(f"{name}: {servers.page_url(script, port)}")
    return servers.run_in_foreground(script, port, settings, door), {}, ""


def demo(options: argparse.Namespace, settings: Settings) -> Result:
    """Dashboard and worker on the sample mouse until Ctrl-C."""
    return demo_mode.run(options, settings, say=_say), {}, ""
