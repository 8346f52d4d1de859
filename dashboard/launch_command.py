"""`trackmapper launch`: check, choose, submit and, with --wait, follow a job to its end."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.atlas_frames import AffineAtlas
from core.checks.thresholds import USUAL, Thresholds
from core.conversion import ConversionPlan, plan_conversion, sent_options
from core.errors import InputError, NotAllowedError, StoreUnusableError
from core.manifest import ManifestTable
from core.models import Problem, Severity, State, Subject
from core.platforms.base import AssetReader, ConverterOffer
from core.platforms.choice import is_code_ocean, make_reader
from core.settings import Settings
from dashboard import answers, listings
from dashboard.answers import Answer
from jobs import submission
from jobs.quotas import Quotas
from jobs.records import JobRecord
from jobs.store import JobStore
from jobs.worker_loop import run_worker

if TYPE_CHECKING:
    from core.brain_images import BrainImage  # images bring libraries that most commands do without

Result = tuple[int, Answer, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """A mapping as it was read and checked."""

    state: State
    table: ManifestTable
    subject: Subject | None
    problems: tuple[Problem, ...]
    atlas: AffineAtlas | None = None
    """The way into the atlas that they were checked by."""
    limits: Thresholds = USUAL
    brain: BrainImage | None = None
    """The brain that the state shows, when it could be read."""


def launch(
    options: argparse.Namespace,
    settings: Settings,
    read: Callable[[argparse.Namespace, Settings], Checked],
    say: Callable[[str], None],
) -> Result:
    """Launch a mapping.

    Args:
        options: Of the command line.
        settings: Of this program.
        read: Reads and checks the mapping that the options name.
        say: Tells the person what happens.
    """
    reader = make_reader(settings)
    if reader.launch_refusal:
        raise NotAllowedError(reader.launch_refusal)
    # What can be chosen is asked first: gathering a mouse takes longer than telling of a slip in an option.
    offer = reader.converter_offer(options.converter_version or "")
    parameters, route = chosen_parameters(options.parameter, offer), _route(options.route, offer)
    checked = read(options, settings)
    open_problems = [problem for problem in checked.problems if _stops(problem, options.confirm)]
    if open_problems or checked.subject is None:
        rules = sorted({p.rule for p in open_problems if p.severity is Severity.CONFIRM})
        meant = " ".join(f"--confirm {rule}" for rule in rules)
        confirm = f" Problems to confirm, when they are meant: {meant}." if rules else ""
        say(f"trackmapper: nothing was launched.{confirm}")
        answer = {**answers.check_answer(checked.problems), "ok": False}
        answer |= {"job": None, "state": None, "duplicate_of": None}
        return 1, answer, listings.problems_text(checked.problems)
    plan = plan_conversion(
        checked.table.rows,
        state=checked.state,
        subject=checked.subject,
        platform=reader.name,
        converter=offer.converter,
        converter_version=offer.version,
        parameters=parameters,
        route=route,
        monitor=offer.monitor,
        deadline_h=options.deadline or settings.long_run_hours,
        converter_label=offer.label,
    )
    now = datetime.now(UTC)
    report = _report(checked, plan, settings.user_name, now, reader)
    with JobStore(settings.data) as store:
        done = submission.submit(
            store,
            plan,
            rows=checked.table.rows,
            problems=checked.problems,
            confirmed=tuple(options.confirm),
            user=settings.user_name,
            now=now,
            relaunch=options.relaunch,
            quotas=Quotas.of(settings),
            report=report,
            zone=settings.lab_tz,
        )
        if done.duplicate_of:
            say(f"The same mapping is job {listings.short_id(done.duplicate_of)} already; no second one was made.")
        elif is_code_ocean(settings):
            say(f"This starts a paid run on {reader.name}.")
        record = _follow(store, done.job_id, settings, say) if options.wait else store.get(done.job_id)
    if options.wait:
        links = job_links(record, reader, settings)
        answer = {**answers.job_answer(record, links), "job": record.id, "duplicate_of": done.duplicate_of}
        return 0 if record.state == "succeeded" else 1, answer, listings.job_text(record, links)
    answer = answers.launch_answer(record.id, record.state, done.duplicate_of)
    return 0, answer, listings.launched_text(record)


def _report(checked: Checked, plan: ConversionPlan, user: str, now: datetime, reader: AssetReader) -> bytes:
    # here, since the page's parts take seconds to import and no other command needs them
    from core.subjects.units import read_units
    from dashboard.mapping_report import Origin, launched_words, manifest_report

    origin = Origin(user, now, submission.own_version(), launched_words(plan))
    return manifest_report(
        checked.state,
        checked.subject,
        checked.table.rows,
        checked.problems,
        origin,
        atlas=checked.atlas,
        limits=checked.limits,
        brain=checked.brain,
        read_units=lambda stream: read_units(reader, *stream),
        side_by_side=reader.connections or 8,
    )


def _stops(problem: Problem, confirmed: Sequence[str]) -> bool:
    if problem.severity is Severity.CONFIRM:
        return problem.rule not in confirmed
    return problem.severity is Severity.ERROR


def chosen_parameters(given: Sequence[str], offer: ConverterOffer) -> dict[str, str]:
    """The options that are sent: as given, and the converter's own defaults of the others.

    Args:
        given: `NAME=VALUE`, each.
        offer: What the converter takes.

    Raises:
        InputError: it takes no such option or value, or a needed one is missing.
    """
    known = {parameter.name: parameter for parameter in offer.parameters}
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise InputError(
                f"the converter takes no {name!r}" if equals else f"{text!r} is not NAME=VALUE",
                where="--parameter",
                cure=f"Version {offer.version} takes: {', '.join(known) or 'nothing'}.",
            )
        choices = known[name].choices
        if choices and value not in choices:
            raise InputError(
                f"{name} cannot be {value!r}", where="--parameter", cure=f"It is one of: {', '.join(choices)}."
            )
        values[name] = value
    missing = [p.name for p in offer.parameters if p.required and not values.get(p.name, p.default)]
    if missing:
        raise InputError(
            f"the converter needs {', '.join(missing)}",
            where="--parameter",
            cure="Give each as --parameter NAME=VALUE.",
        )
    return sent_options(values, offer.parameters)


def _route(given: str | None, offer: ConverterOffer) -> str:
    route = given or offer.route
    if route not in offer.routes:
        raise InputError(
            f"the route {route!r} is not offered", where="--route", cure=f"Take: {', '.join(offer.routes)}."
        )
    return route


def job_links(record: JobRecord, reader: AssetReader, settings: Settings, patience_s: float = 2.0) -> dict[str, str]:
    """Addresses of a job's pages. That of a capsule is learned by the reader aside, and waited for a moment."""
    links, end_s = answers.job_links(record, reader, settings.monitor_capsule), time.monotonic() + patience_s
    while links and "capsule" not in links and time.monotonic() < end_s:
        time.sleep(0.05)
        links = answers.job_links(record, reader, settings.monitor_capsule)
    return links


def _follow(store: JobStore, job_id: str, settings: Settings, say: Callable[[str], None]) -> JobRecord:
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
                say(f"job {listings.short_id(job_id)}: {now}")
                last = now
            if record.has_ended or record.state == "needs_you":
                return record
            if not loop.is_alive():
                raise StoreUnusableError("the worker's loop ended", cure="Look at its messages above; then try again.")
            time.sleep(0.2)
    finally:
        stop.set()
        loop.join(timeout=30)
