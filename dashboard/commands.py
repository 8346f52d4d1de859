"""What each command of `trackmapper` does: (options, settings) -> (exit code, answer, text)."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from core.checks import check_table
from core.checks.earlier import Converted
from core.conversion import plan_conversion
from core.errors import InputError, SettingsError, StoreUnusableError
from core.manifest import ManifestTable, read_csv
from core.models import Problem, Severity, State, Subject
from core.neuroglancer import interpret_paste, read_state
from core.neuroglancer.links import StateLink, fetch_state_link
from core.platforms.choice import is_code_ocean, make_reader
from core.sample import write_sample
from core.settings import Settings
from core.subjects import gather_subject
from core.suggestions import suggest
from dashboard import answers, demo_mode, listings, servers
from dashboard.answers import Answer
from jobs import submission
from jobs.earlier import converted_before
from jobs.records import JobRecord
from jobs.store import JobStore
from jobs.worker_loop import run_worker

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


def _gather(subject: str, settings: Settings) -> Subject:
    if not is_code_ocean(settings) and not settings.library.is_dir():
        raise SettingsError(
            "there is no such library folder",
            where=str(settings.library),
            cure="Name it with --library DIR or TRACKMAPPER_LIBRARY.",
        )
    return gather_subject(make_reader(settings), subject, now=_now())


def _code(answer: Answer) -> int:
    """1 when an error is among the answer's problems."""
    return int(any(problem["severity"] == Severity.ERROR for problem in answer["problems"]))


def _subject_of(state: State, given: str | None) -> str:
    subject = given or state.subject
    if not subject:
        raise InputError("the state names no mouse", where=state.stem, cure="Name it with --subject ID.")
    return subject


def _read_mapping(
    options: argparse.Namespace, settings: Settings
) -> tuple[State, ManifestTable, Subject | None, tuple[Problem, ...]]:
    """The state, the manifest, the mouse and every problem of the three together."""
    state = _read_source(options.state, settings)
    table = read_csv(_read_file(options.manifest, MANIFEST_LIMIT_BYTES))
    mouse = next((row.mouseid for row in table.rows if row.mouseid), None) or state.subject
    gathered = _gather(mouse, settings) if mouse else None
    converted: tuple[Converted, ...] = ()
    if mouse and settings.data.exists():
        with JobStore(settings.data) as store:
            converted = converted_before(store, mouse)
    problems = check_table(table, state=state, subject=gathered, converted=converted)
    return state, table, gathered, problems


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
    found = _gather(options.subject, settings)
    answer = answers.subject_answer(found)
    return _code(answer), answer, listings.subject_text(found)


def suggest_rows(options: argparse.Namespace, settings: Settings) -> Result:
    """Suggest a mapping."""
    found = _read_source(options.state, settings)
    rows = suggest(found, _gather(_subject_of(found, options.subject), settings))
    return 0, answers.suggest_answer(rows), listings.suggest_text(rows)


def check(options: argparse.Namespace, settings: Settings) -> Result:
    """Check a mapping."""
    *_, problems = _read_mapping(options, settings)
    answer = answers.check_answer(problems)
    return 0 if answer["ok"] else 1, answer, listings.problems_text(problems)


# --- jobs -------------------------------------------------------------------------------------


def launch(options: argparse.Namespace, settings: Settings) -> Result:
    """Check, submit and, with --wait, follow a job to its end."""
    found, table, gathered, problems = _read_mapping(options, settings)
    open_problems = [problem for problem in problems if _stops_launch(problem, options.confirm)]
    if open_problems or gathered is None:
        rules = sorted({p.rule for p in open_problems if p.severity is Severity.CONFIRM})
        confirm = (
            f" Problems to confirm, when they are meant: {' '.join(f'--confirm {r}' for r in rules)}." if rules else ""
        )
        _say(f"trackmapper: nothing was launched.{confirm}")
        answer = {**answers.check_answer(problems), "ok": False, "job": None, "state": None, "duplicate_of": None}
        return 1, answer, listings.problems_text(problems)
    reader = make_reader(settings)
    offer = reader.converter_offer()
    plan = plan_conversion(
        table.rows,
        state=found,
        subject=gathered,
        platform=reader.name,
        converter=offer.converter,
        converter_version=offer.version,
    )
    store = JobStore(settings.data)
    try:
        done = submission.submit(
            store,
            plan,
            rows=table.rows,
            problems=problems,
            confirmed=tuple(options.confirm),
            user=settings.user_name,
            now=_now(),
            relaunch=options.relaunch,
        )
        if done.duplicate_of:
            _say(f"The same mapping is job {listings.short_id(done.duplicate_of)} already; no second one was made.")
        record = _follow(store, done.job_id, settings) if options.wait else store.get(done.job_id)
    finally:
        store.close()
    if options.wait:
        answer = {**answers.job_answer(record), "job": record.id, "duplicate_of": done.duplicate_of}
        return 0 if record.state == "succeeded" else 1, answer, listings.job_text(record)
    answer = answers.launch_answer(record.id, record.state, done.duplicate_of)
    return 0, answer, listings.launched_text(record)


def _stops_launch(problem: Problem, confirmed: Sequence[str]) -> bool:
    if problem.severity is Severity.CONFIRM:
        return problem.rule not in confirmed
    return problem.severity is Severity.ERROR


def _follow(store: JobStore, job_id: str, settings: Settings) -> JobRecord:
    """Wait for the end of a job or for its question; runs the worker's loop when nobody else does."""
    stop = threading.Event()
    # The loop itself stands by while another worker leads, and takes over when that one dies.
    loop = threading.Thread(target=run_worker, args=(settings, stop), name="worker", daemon=True)
    loop.start()
    last = ""
    try:
        while True:
            record = store.get(job_id)
            now = f"{record.state} ({record.step})" if record.step else record.state
            if now != last:
                _say(f"job {listings.short_id(job_id)}: {now}")
                last = now
            if record.has_ended or record.state == "needs_you":
                return record
            if not loop.is_alive():
                raise StoreUnusableError("the worker's loop ended", cure="Look at its messages above; then try again.")
            time.sleep(0.2)
    finally:
        stop.set()
        loop.join(timeout=30)


def jobs(options: argparse.Namespace, settings: Settings) -> Result:
    """List jobs."""
    if options.limit < 1:
        raise InputError("--limit must be 1 or more", where="--limit", cure="Give a number such as 50.")
    with JobStore(settings.data) as store:
        before = listings.long_id(options.before) if options.before else None
        records = store.newest(options.limit, before=before)
    following = records[-1].id if len(records) == options.limit else None
    return 0, answers.jobs_answer(records, following), listings.jobs_text(records)


def job(options: argparse.Namespace, settings: Settings) -> Result:
    """Show a job. Exit code 1 when it failed, so that scripts can ask."""
    with JobStore(settings.data) as store:
        record = store.get(listings.long_id(options.id))
    failed = record.state in {"failed", "incomplete", "refused"}
    return 1 if failed else 0, answers.job_answer(record), listings.job_text(record)


def cancel_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Stop a job."""
    with JobStore(settings.data) as store:
        record = submission.cancel(store, listings.long_id(options.id), user=settings.user_name, now=_now())
    return 0, answers.job_answer(record), listings.job_text(record)


def retry_job(options: argparse.Namespace, settings: Settings) -> Result:
    """Try a failed job again."""
    with JobStore(settings.data) as store:
        record = submission.retry(store, listings.long_id(options.id), user=settings.user_name, now=_now())
    return 0, answers.job_answer(record), listings.job_text(record)


# --- servers ----------------------------------------------------------------------------------


def serve(options: argparse.Namespace, settings: Settings) -> Result:
    """Serve the dashboard until Ctrl-C."""
    _say(f"Dashboard: {servers.page_url(servers.DASHBOARD, settings.port)}")
    return servers.run_in_foreground(servers.DASHBOARD, settings.port, settings), {}, ""


def worker(options: argparse.Namespace, settings: Settings) -> Result:
    """Serve the worker until Ctrl-C."""
    _say(f"Worker: {servers.page_url(servers.WORKER, settings.worker_port)}")
    return servers.run_in_foreground(servers.WORKER, settings.worker_port, settings), {}, ""


def demo(options: argparse.Namespace, settings: Settings) -> Result:
    """Dashboard and worker on the sample mouse until Ctrl-C."""
    return demo_mode.run(options, settings, say=_say), {}, ""
