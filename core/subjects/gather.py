"""Everything a platform has of one mouse: recordings, sortings, stitched brains, saved states.

One search, then every asset on its own and side by side. A broken, missing or odd asset never costs the others: it
becomes a problem of the recording or of the mouse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import datetime

from core.asset_names import is_of_subject, parse_asset_name
from core.errors import NotFoundError
from core.models import Asset, Problem, Recording, SavedState, Severity, Stitched, Subject
from core.platforms.base import AssetReader
from core.rules import problem
from core.subjects.raw_assets import RawFacts, read_raw
from core.subjects.recordings import better_copy, build_recordings, created_order
from core.subjects.sortings import SortingFacts, read_sorting
from core.subjects.stitched import read_stitched

SIDE_BY_SIDE = 8
"""Assets read at the same time."""
_EPHYS_PLATFORMS = ("ecephys", "behavior", None)
"""Platforms of raw names that may hold ephys data; None is aind-data-schema 2, which names no platform."""
_RAW_KINDS = ("", "corrected")
_Progress = Callable[[str], None]
_LOOKS_LIKE_ONE = re.compile(r"^(ecephys|behavior|smartspim)_|_(sorted|stitched)", re.IGNORECASE)


def gather_subject(reader: AssetReader, subject: str, *, now: datetime, progress: _Progress | None = None) -> Subject:
    """Gather a mouse from a platform.

    Args:
        reader: The platform. It is used from several threads at once.
        subject: The subject id, compared exactly with the subject token of every asset's name.
        now: The present time, kept as `gathered`.
        progress: Told a few words after each step, always from the calling thread.

    Returns:
        The mouse. What could not be found or read is among the problems; nothing is raised but what the search
        itself raises.

    Raises:
        PlatformError: the platform could not be searched at all.
    """
    tell = progress or _silent
    before = reader.requests
    tell(f"looking for assets of {subject}")
    found = reader.find_subject_assets(subject)
    own = [asset for asset in found if is_of_subject(asset.name, subject)]
    problems = [*_odd_names(found, subject), *_odd_records(own, subject)]
    sorted_assets = [asset for asset in own if _kind(asset) == "sorted"]
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="gather") as pool:
        named = pool.submit(_saved_states, reader, subject)
        pinned, lost = _pinned_raws(pool, reader, subject, sorted_assets, found)
        raw_assets = {(asset.id, asset.name): asset for asset in (*filter(_may_be_raw, own), *pinned)}.values()
        stitched_assets = [asset for asset in own if _kind(asset) == "stitched"]
        jobs: dict[Future[object], Asset] = {}
        for assets, read in ((raw_assets, read_raw), (sorted_assets, read_sorting), (stitched_assets, read_stitched)):
            jobs |= {pool.submit(read, reader, asset): asset for asset in assets}
        results, broken = _collect(jobs, tell)
        states, no_states = named.result()
    recordings = build_recordings(
        [facts for facts in results if isinstance(facts, RawFacts)],
        [facts for facts in results if isinstance(facts, SortingFacts)],
    )
    stitched = tuple(facts for facts in results if isinstance(facts, Stitched))
    return Subject(
        id=subject,
        platform=reader.name,
        recordings=recordings,
        stitched=tuple(sorted(stitched, key=lambda one: (one.asset.name, created_order(one.asset)))),
        states=states,
        problems=(*problems, *lost, *broken, *no_states, *_gaps(subject, reader.name, own, recordings, stitched)),
        requests=reader.requests - before,
        gathered=now,
        platform_id=reader.platform_id,
    )


def _collect(jobs: dict[Future[object], Asset], tell: _Progress) -> tuple[list[object], list[Problem]]:
    """What was read, in the order of the assets, whatever the order in which it came."""
    broken: list[Problem] = []
    for number, job in enumerate(as_completed(jobs), 1):
        tell(f"read {number} of {len(jobs)} assets: {jobs[job].name}")
    results = []
    for job, asset in jobs.items():
        try:
            results.append(job.result())
        except Exception as error:  # noqa: BLE001 - one odd asset must not cost the mouse; it is listed instead
            told = f"{asset.name} could not be read ({type(error).__name__}: {error})."
            broken.append(problem("A14", told, recording=asset.name))
    return results, broken


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
        except Exception as error:  # noqa: BLE001 - as in _collect: one odd answer must not cost the mouse
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


def _saved_states(reader: AssetReader, subject: str) -> tuple[tuple[SavedState, ...], list[Problem]]:
    """Saved states whose name holds the subject as a word."""
    try:
        states = reader.saved_states()
    except Exception as error:  # noqa: BLE001 - as in _collect: without its states the mouse can still be mapped
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


def _may_be_raw(asset: Asset) -> bool:
    name = parse_asset_name(asset.name)
    return name is not None and name.kind in _RAW_KINDS and name.platform in _EPHYS_PLATFORMS


def _silent(_: str) -> None:
    """Used when nobody wants to hear of progress."""
