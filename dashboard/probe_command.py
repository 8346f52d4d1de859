"""`trackmapper probe`: looks at everything a launch needs, and measures how late new things show up."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from core.errors import InputError, SettingsError, StoreError, TrackmapperError
from core.platforms.choice import is_code_ocean, make_reader, settings_warnings
from core.platforms.findings import Finding, Verdict, failed, ok, warning
from core.settings import Settings
from dashboard import listings
from dashboard.answers import SCHEMA, Answer
from jobs import data_folder
from jobs.leadership import is_led
from jobs.records import new_token
from jobs.store import JobStore

if TYPE_CHECKING:
    from core.platforms.code_ocean.probe_measure import Measurement

Result = tuple[int, Answer, str]


def probe(options: argparse.Namespace, settings: Settings, *, say: Callable[[str], None]) -> Result:
    """Look at the account, the storage and this machine; exit code 1 when a launch would not work."""
    if options.measure:
        return _measure(options, settings, say)
    findings = [*_platform(settings), *_machine(settings)]
    bad = any(finding.verdict is Verdict.FAILED for finding in findings)
    return int(bad), probe_answer(findings), probe_text(findings)


def _platform(settings: Settings) -> Iterator[Finding]:
    if is_code_ocean(settings):
        yield from _code_ocean(settings)
    else:
        yield from _library(settings)
    yield from _states(settings)


def _code_ocean(settings: Settings) -> Iterator[Finding]:
    # Imported when needed: boto3 takes a noticeable part of a second.
    import boto3

    from core.platforms.code_ocean.api import CodeOceanApi
    from core.platforms.code_ocean.files import make_clients
    from core.platforms.code_ocean.probe import probe_code_ocean
    from core.platforms.code_ocean.probe_storage import probe_storage

    def api(min_version: str) -> CodeOceanApi:
        return CodeOceanApi(settings.code_ocean_domain, settings.code_ocean_token, min_version=min_version)

    for words in settings_warnings(settings):
        cure = "Unset it, unless `trackmapper probe --measure` says that less is enough."
        yield warning("settle window", words, cure)
    try:
        yield from probe_code_ocean(api(settings.code_ocean_min_version), settings, with_version=api)
    except SettingsError as error:
        yield failed("address", error.message, error.cure)
    credentials = boto3.session.Session().get_credentials()
    yield from probe_storage(
        make_clients(), settings, credentials=credentials.method if credentials else "", token=new_token()
    )


def _library(settings: Settings) -> Iterator[Finding]:
    assets = settings.library / "assets"
    if not assets.is_dir():
        yield failed(
            "library", f"{settings.library} is no library", "Name one with --library DIR or TRACKMAPPER_LIBRARY."
        )
        return
    count = sum(1 for entry in assets.iterdir() if entry.is_dir())
    yield ok("library", f"{settings.library}: {count} assets")
    offer = make_reader(settings).converter_offer()
    yield ok("converter", f"{offer.label} {offer.version}, in processes of this machine")


def _states(settings: Settings) -> Iterator[Finding]:
    what, cure = "saved states", "Paste a link or upload the file instead."
    try:
        count = len(make_reader(settings).saved_states())
    except TrackmapperError as error:
        yield warning(what, f"cannot be listed: {error}", cure)
        return
    yield ok(what, f"{count} found") if count else warning(what, "none found", cure)


def _machine(settings: Settings) -> Iterator[Finding]:
    """The data folder, the worker, and what notices need."""
    database = data_folder.DataFolder.at(settings.data).database
    if database.exists():
        try:
            with JobStore(settings.data) as store:
                wrong = store.check()
        except StoreError as error:
            yield failed("data folder", error.message, error.cure)
            return
        if wrong:
            yield warning("data folder", "; ".join(wrong), "Keep the file as it is; docs/lab.md tells of backups.")
        else:
            yield ok("data folder", f"{settings.data}: the queue is sound")
    else:
        yield ok("data folder", f"{settings.data}: no queue yet; it is made at the first use")
    if is_led(settings.data):
        yield ok("worker", "one is alive")
    else:
        yield warning("worker", "none is running here", "Start one: trackmapper worker. Until then launches wait.")
    if settings.notice_url.get_secret_value():
        installed = importlib.util.find_spec("apprise") is not None
        yield (
            ok("notices", "an address is set, and apprise is installed")
            if installed
            else warning(
                "notices",
                "an address is set, but apprise is not installed",
                "Install the extra `notify`, as the README says.",
            )
        )


def probe_answer(findings: Sequence[Finding]) -> Answer:
    """`ok` when everything that a launch needs is there."""
    return {
        "schema": SCHEMA,
        "ok": all(finding.verdict is not Verdict.FAILED for finding in findings),
        "findings": [{**asdict(finding), "verdict": finding.verdict.value} for finding in findings],
    }


def probe_text(findings: Sequence[Finding]) -> str:
    """A line each; what is off says what to do."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict.value:8}{finding.what}: {finding.found}")
        if finding.cure:
            lines.append(f"{'':8}  {finding.cure}")
    counts = {verdict: sum(f.verdict is verdict for f in findings) for verdict in Verdict}
    lines.append(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count))
    return "\n".join(listings.plain(line) for line in lines)


# --- measuring ------------------------------------------------------------------------------------


def _measure(options: argparse.Namespace, settings: Settings, say: Callable[[str], None]) -> Result:
    from core.platforms.code_ocean.api import Budget, CodeOceanApi
    from core.platforms.code_ocean.files import make_clients
    from core.platforms.code_ocean.probe_measure import Measure

    if not is_code_ocean(settings):
        raise SettingsError(
            "there is nothing to measure on this machine", where="--measure", cure="Set CODE_OCEAN_API_TOKEN."
        )
    if not 1 <= options.runs <= 50:
        raise InputError("the number of runs must be 1 to 50", where="--runs", cure="Leave it out for 5.")
    clients = make_clients()
    if clients.signed is None:
        raise SettingsError("no AWS credentials are found", cure="Run `trackmapper probe` and see what it says of S3.")
    tokens = tuple(new_token() for _ in range(options.runs))
    _ask(options, settings, tokens, say)
    measured = Measure(
        api=CodeOceanApi(
            settings.code_ocean_domain,
            settings.code_ocean_token,
            min_version=settings.code_ocean_min_version,
            budget=Budget(settings.code_ocean_requests_per_second),
        ),
        s3=clients.signed,
        settings=settings,
        capsule=options.measure,
        tokens=tokens,
        say=say,
        now=time.monotonic,
        sleep=time.sleep,
    ).run()
    return _measured(measured)


def _ask(options: argparse.Namespace, settings: Settings, tokens: Sequence[str], say: Callable[[str], None]) -> None:
    """Say what will be done, and go on only when a person agrees."""
    count = len(tokens)
    say(f"This makes {count} tiny data assets on {settings.code_ocean_domain} and runs the capsule")
    say(f"{options.measure} {count} times, each on one of them. Runs are stopped and deleted as soon as they are")
    say("listed, and assets and objects are deleted (or archived) at the end. The runs may cost money.")
    say(f"Everything carries the tag trackmapperprobe and one of: {' '.join(tokens)}")
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is there to be asked", where="--measure", cure="Add --yes in scripts.")
    say("Type yes to go on:")
    if sys.stdin.readline().strip().lower() != "yes":
        raise InputError("it was not agreed to; nothing was made", where="--measure", cure="Type yes, or add --yes.")


def _measured(measured: Measurement) -> Result:
    from core.platforms.code_ocean.probe_measure import spread, windows

    advised = windows(measured)
    settings = {
        "TRACKMAPPER_ASSET_SETTLE_MINUTES": advised.asset_min,
        "TRACKMAPPER_RUN_SETTLE_MINUTES": advised.run_min,
    }
    found: dict[str, Answer] = {}
    for what, sightings in (("asset", measured.assets), ("run", measured.runs)):
        typical_s, worst_s = spread(sightings) or (None, None)
        found[what] = {
            "count": len(sightings),
            "median_s": typical_s,
            "worst_s": worst_s,
            "lost": [{"why": each.lost, "found_s": each.seen_s} for each in sightings if each.lost],
            "unseen": sum(each.seen_s is None for each in sightings),
        }
    unseen = sum(each["unseen"] for each in found.values())
    moved = [each.last_used_moved for each in measured.rounds if each.last_used_moved is not None]
    sound = not unseen and not measured.left
    answer = {"schema": SCHEMA, "ok": sound, **found, "last_used_moved": [sum(moved), len(moved)]}
    answer |= {"settings": settings, "left": list(measured.left)}
    labels = {"asset": "new asset, found by its tag", "run": "new run, in its capsule's list"}
    rows = [
        (labels[what], n["count"], _seconds(n["median_s"]), _seconds(n["worst_s"]), len(n["lost"]), n["unseen"])
        for what, n in found.items()
    ]
    words = [
        listings.table(rows, ("", "times", "median", "worst", "answers lost", "never seen")),
        f"last_used of the asset moved in {sum(moved)} of {len(moved)} runs.",
        "Set:\n" + "\n".join(f"  {name}={value}" for name, value in settings.items()),
    ]
    if unseen:
        words.append(
            f"{unseen} were not seen within {measured.patience_s / 60:g} min: a lost answer could not be settled here. "
            "Do not launch before somebody has found out why."
        )
    if measured.left:
        words.append("Left behind; delete it by hand:\n" + "\n".join(f"  {each}" for each in measured.left))
    return int(not sound), answer, "\n\n".join(words)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
