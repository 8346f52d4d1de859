"""Everything a platform has of one mouse: recordings, sortings, stitched brains, saved states.

One search, then every asset on its own and side by side. A broken, missing or odd asset never costs the others: it
becomes a problem of the recording or of the mouse.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

from core.asset_names import is_of_subject, parse_asset_name
from core.errors import NotFoundError
from core.models import Asset, Problem, Recording, SavedState, Severity, Stitched, Subject
from core.platforms.base import AssetReader, PartlyFoundError
from core.rules import problem
from core.subjects.lengths import with_length, without_length
from core.subjects.raw_assets import RawFacts, read_raw
from core.subjects.reading import FileReader, ReadAhead
from core.subjects.recordings import better_copy, build_recordings, created_order
from core.subjects.sortings import SortingFacts, read_sorting
from core.subjects.stitched import read_stitched

CONVERTED_NAME = "_ibl-converted_"
"""In the name of every captured result."""
SIDE_BY_SIDE = 8
"""Assets read at the same time, where the platform does not bear more."""
PARTIAL_S = 0.25
"""Between two tellings of what is known so far."""
_EPHYS_PLATFORMS = ("ecephys", "behavior", None)
"""Platforms of raw names that may hold ephys data; None is aind-data-schema 2, which names no platform."""
_RAW_KINDS = ("", "corrected")
_Progress = Callable[[str], None]
_Key = tuple[str, str]
"""Id and name of an asset: an id may be there twice."""
_LOOKS_LIKE_ONE = re.compile(r"^(ecephys|behavior|smartspim)_|_(sorted|stitched)", re.IGNORECASE)


def gather_subject(
    reader: AssetReader,
    subject: str,
    *,
    now: datetime,
    progress: _Progress | None = None,
    partial: Callable[[Subject], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Subject:
    """Gather a mouse from a platform.

    Args:
        reader: The platform. It is used from several threads at once.
        subject: The subject id, compared exactly with the subject token of every asset's name.
        now: The present time, kept as `gathered`.
        progress: Told a few words after each step, always from the calling thread.
        partial: Told the mouse as known so far, from the calling thread: after the search, then at most every
            `PARTIAL_S` seconds. Its problems are left out: what is not read yet would be among them.
        clock: Seconds that only go up.

    Returns:
        The mouse. What could not be found or read is among the problems; nothing is raised but what the search
        itself raises.

    Raises:
        PlatformError: the platform could not be searched at all.
    """
    tell = progress or _silent
    before = reader.requests
    with ExitStack() as pools:
        pool = pools.enter_context(ThreadPoolExecutor(reader.connections or SIDE_BY_SIDE, "gather"))
        files: FileReader = reader
        if reader.connections:
            files = ReadAhead(reader, pools.enter_context(ThreadPoolExecutor(reader.connections, "ahead")))
        named = pool.submit(_saved_states, reader, subject)
        tell(f"looking for assets of {subject}")
        found, problems = _searched(reader, subject)
        own = [asset for asset in found if is_of_subject(asset.name, subject)]
        work = _Work(reader, subject, now, before, clock, tell, partial)
        work.begin(pool, files, filter(_may_be_raw, own), read_raw)
        sorted_assets = [asset for asset in own if _kind(asset) == "sorted"]
        work.begin(pool, files, sorted_assets, read_sorting)
        work.begin(pool, files, [asset for asset in own if _kind(asset) == "stitched"], read_stitched)
        work.tell_partial()
        pinned, lost = _pinned_raws(pool, reader, subject, sorted_assets, found)
        work.begin(pool, files, pinned, read_raw)
        results, broken = work.results()
        results = _with_lengths(pool, files, results, tell)
        states, no_states = named.result()
    gathered = work.subject_of(results, states)
    gaps = _gaps(subject, reader.name, own, gathered.recordings, gathered.stitched)
    problems += [*_odd_names(found, subject), *_odd_records(own, subject), *lost, *broken, *no_states, *gaps]
    return replace(gathered, problems=tuple(problems), converted=_converted(found, subject))


def _searched(reader: AssetReader, subject: str) -> tuple[Sequence[Asset], list[Problem]]:
    """What was found, and what may be missing of it."""
    try:
        return reader.find_subject_assets(subject), []
    except PartlyFoundError as error:
        return error.found, [problem("A14", f"{reader.name}: {error.message}.", cure=error.cure)]


@dataclass
class _Work:
    """The assets of one mouse that are being read, and what has come of it."""

    reader: AssetReader
    subject: str
    now: datetime
    requests_before: int
    clock: Callable[[], float]
    tell: _Progress
    partial: Callable[[Subject], None] | None
    jobs: dict[_Key, tuple[Future[object], Asset]] = field(default_factory=dict)
    told_s: float = -math.inf

    def begin(
        self,
        pool: ThreadPoolExecutor,
        files: FileReader,
        assets: Iterable[Asset],
        read: Callable[[FileReader, Asset], object],
    ) -> None:
        """Begin to read assets, each once."""
        for asset in assets:
            if (asset.id, asset.name) not in self.jobs:
                self.jobs[asset.id, asset.name] = (pool.submit(read, files, asset), asset)

    def results(self) -> tuple[list[object], list[Problem]]:
        """What was read, in the order of the assets, whatever the order in which it came."""
        assets = dict(self.jobs.values())
        for number, job in enumerate(as_completed(assets), 1):
            self.tell(f"read {number} of {len(assets)} assets: {assets[job].name}")
            if number < len(assets):
                self.tell_partial()
        results: list[object] = []
        broken: list[Problem] = []
        for job, asset in assets.items():
            try:
                results.append(job.result())
            except Exception as error:  # noqa: BLE001 - one odd asset must not cost the mouse; it is listed instead
                told = f"{asset.name} could not be read ({type(error).__name__}: {error})."
                broken.append(problem("A14", told, recording=asset.name))
        return results, broken

    def tell_partial(self) -> None:
        """Tell what is known so far, unless that was told just now."""
        if self.partial is None or self.clock() - self.told_s < PARTIAL_S:
            return
        results: list[object] = []
        for job, asset in self.jobs.values():
            if job.done() and job.exception() is None:
                results.append(job.result())
            elif _platform(asset) == "ecephys" and _may_be_raw(asset):
                results.append(RawFacts(asset, has_ephys=True))
        known = self.subject_of(results, ())
        recordings = tuple(replace(recording, problems=()) for recording in known.recordings)
        self.partial(replace(known, recordings=recordings))
        self.told_s = self.clock()

    def subject_of(self, results: Sequence[object], states: tuple[SavedState, ...]) -> Subject:
        """The mouse that the facts make."""
        stitched = [facts for facts in results if isinstance(facts, Stitched)]
        return Subject(
            id=self.subject,
            platform=self.reader.name,
            recordings=build_recordings(
                [facts for facts in results if isinstance(facts, RawFacts)],
                [facts for facts in results if isinstance(facts, SortingFacts)],
            ),
            stitched=tuple(sorted(stitched, key=lambda one: (one.asset.name, created_order(one.asset)))),
            states=states,
            requests=self.reader.requests - self.requests_before,
            gathered=self.now,
            platform_id=self.reader.platform_id,
        )


def _with_lengths(pool: ThreadPoolExecutor, files: FileReader, results: list[object], tell: _Progress) -> list[object]:
    """What was read, with the lengths that decide which of a day's recordings is a surface recording."""
    asked = without_length([facts for facts in results if isinstance(facts, RawFacts)])
    if not asked:
        return results
    tell(f"looking how long {len(asked)} recordings lasted")
    known = dict(zip(map(id, asked), pool.map(lambda raw: with_length(files, raw), asked), strict=True))
    return [known.get(id(facts), facts) for facts in results]


def _pinned_raws(
    pool: ThreadPoolExecutor, reader: AssetReader, subject: str, sortings: Sequence[Asset], found: Sequence[Asset]
) -> tuple[list[Asset], list[Problem]]:
    """Raw assets that a sorting's provenance names, and what is wrong with what it names.

    A re-upload may have any name: an asset that provenance names counts as raw unless its name says otherwise.
    """
    known = {asset.id: asset for asset in found}
    wanted = {pin: asset for asset in sortings for pin in asset.provenance_data_assets or ()}
    looked_up = {pin: pool.submit(reader.get_asset, pin) for pin in wanted if pin not in known}
    assets: list[Asset] = []
    problems: list[Problem] = []
    for pin, sorting in wanted.items():
        try:
            asset = known[pin] if pin in known else looked_up[pin].result()
        except Exception as error:  # noqa: BLE001 - as in _Work.results: one odd answer must not cost the mouse
            gone = "is not there" if isinstance(error, NotFoundError) else f"cannot be asked for ({error})"
            told = f"{sorting.name} was made from asset {pin}, which {gone}."
            problems.append(problem("A8", told, recording=sorting.name))
            continue
        name = parse_asset_name(asset.name)
        if name is not None and name.subject != subject:
            told = f"{sorting.name} was made from {asset.name}, which is of another mouse."
            problems.append(problem("A8", told, severity=Severity.CONFIRM, recording=sorting.name))
        elif name is None or (name.platform in _EPHYS_PLATFORMS and name.kind not in ("sorted", "stitched")):
            assets.append(asset)
    return assets, problems


def _converted(found: Iterable[Asset], subject: str) -> tuple[Asset, ...]:
    """Results of earlier conversions, which are named after the brain or the mouse."""
    named = [asset for asset in found if CONVERTED_NAME in asset.name]
    own = [asset for asset in named if is_of_subject(asset.name, subject) or asset.name.startswith(f"{subject}_")]
    return tuple(sorted(own, key=created_order))


def _saved_states(reader: AssetReader, subject: str) -> tuple[tuple[SavedState, ...], list[Problem]]:
    """Saved states whose name holds the subject as a word."""
    try:
        states = reader.saved_states()
    except Exception as error:  # noqa: BLE001 - as in _Work.results: without its states the mouse can still be mapped
        told = f"The saved states cannot be listed: {error}"
        return (), [problem("A14", told, cure="Paste the state or upload its file.")]
    return tuple(state for state in states if subject in re.split(r"[^0-9A-Za-z-]+", state.name)), []


# --- what is odd or missing -----------------------------------------------------------------------


def _odd_names(found: Iterable[Asset], subject: str) -> list[Problem]:
    """Assets that are this mouse's by tag or record, look like ephys or image assets, and have no name to read."""
    problems = []
    for asset in found:
        tokens = re.split(r"[_\s]+", asset.name)
        ours = subject in tokens or subject in asset.tags or _told_subject(asset) == subject
        if ours and parse_asset_name(asset.name) is None and _LOOKS_LIKE_ONE.search(asset.name):
            told = f"{asset.name} is left out: its name is no AIND name, or holds a date that does not exist."
            problems.append(problem("A8", told, cure="Correct the asset's name.", recording=asset.name))
    return problems


def _odd_records(own: Sequence[Asset], subject: str) -> list[Problem]:
    problems = []
    ids = [asset.id for asset in own]
    for double in sorted({each for each in ids if ids.count(each) > 1}):
        names = ", ".join(asset.name for asset in own if asset.id == double)
        told = f"{names} have the same id {double}, so provenance cannot tell them apart."
        problems.append(problem("A9", told, cure="Give each asset its own id."))
    for asset in own:
        told_subject = _told_subject(asset)
        if told_subject not in ("", subject):
            told = f"{asset.name} is of mouse {subject} by its name, of mouse {told_subject} by its record."
            problems.append(problem("A8", told, recording=asset.name))
    return problems


def _gaps(
    subject: str,
    platform: str,
    own: Sequence[Asset],
    recordings: Sequence[Recording],
    stitched: Sequence[Stitched],
) -> list[Problem]:
    if not own:
        told = f"{platform} holds no asset of mouse {subject}."
        return [problem("A13", told, cure="Check the subject id, or add the mouse's assets to the library.")]
    problems = []
    if not recordings:
        told = f"{platform} holds no ephys recording of mouse {subject}."
        problems.append(problem("A13", told, severity=Severity.WARNING))
    if not stitched:
        told = f"{platform} holds no stitched brain of mouse {subject}."
        problems.append(problem("A13", told, severity=Severity.WARNING))
    names = sorted(one.asset.name for one in stitched)
    if len(names) > 1:
        told = f"Mouse {subject} has {len(names)} stitched brains: {', '.join(names)}."
        problems.append(problem("A12", told))
    for name in sorted({name for name in names if names.count(name) > 1}):
        copies = [one.asset for one in stitched if one.asset.name == name]
        told = f"{name} is there {len(copies)} times; {better_copy(copies).id} is the published or the newest copy."
        problems.append(problem("A9", told, recording=name))
    return problems


def _told_subject(asset: Asset) -> str:
    told = asset.custom_metadata.get("subject id")
    return "" if told is None else str(told).strip()


def _kind(asset: Asset) -> str | None:
    name = parse_asset_name(asset.name)
    return None if name is None else name.kind


def _platform(asset: Asset) -> str | None:
    name = parse_asset_name(asset.name)
    return None if name is None else name.platform


def _may_be_raw(asset: Asset) -> bool:
    name = parse_asset_name(asset.name)
    return name is not None and name.kind in _RAW_KINDS and name.platform in _EPHYS_PLATFORMS


def _silent(_: str) -> None:
    """Used when nobody wants to hear of progress."""
