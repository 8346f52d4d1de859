"""Raw assets and sortings become recordings. What was made from what is said by provenance first, then by names.

No request is made here. Every gap and every disagreement becomes a problem of the recording (rules A1 to A10); an
asset is never dropped because another one looks better without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from core.asset_names import AssetName, parse_asset_name, recording_id
from core.models import Asset, Problem, Recording, Role, Severity, Sorting, SortingStatus
from core.rules import problem
from core.sorted_streams import with_physical_shanks
from core.subjects.raw_assets import RawFacts
from core.subjects.recording_roles import assign_roles
from core.subjects.sortings import SortingFacts


@dataclass
class _Session:
    """One ephys session while its parts are put together."""

    raws: list[RawFacts] = field(default_factory=list)
    sortings: list[tuple[SortingFacts, str | None]] = field(default_factory=list)
    """With the id of the raw asset it was made from, where that is known."""
    problems: list[Problem] = field(default_factory=list)


def build_recordings(raws: Sequence[RawFacts], sortings: Sequence[SortingFacts]) -> tuple[Recording, ...]:
    """Put raw assets and sortings of one mouse together.

    Args:
        raws: Raw assets; those without ephys data count only when named `ecephys_...`.
        sortings: Every sorted asset.

    Returns:
        Recordings, oldest first. One session uploaded several times is one recording.
    """
    ephys = [raw for raw in raws if raw.has_ephys or _platform(raw.asset.name) == "ecephys"]
    sessions: dict[str, _Session] = {}
    for raw in ephys:
        sessions.setdefault(_base(raw.asset.name), _Session()).raws.append(raw)
    kept, duplicates = _one_copy_each(sortings)
    for facts in kept:
        made_from, problems = _raw_of(facts, ephys)
        base = _base(facts.sorting.asset.name if made_from is None else made_from.asset.name)
        session = sessions.setdefault(base, _Session())
        session.sortings.append((facts, None if made_from is None else made_from.asset.id))
        session.problems += [*facts.problems, *problems, *duplicates.get(facts.sorting.asset.id, ())]
    recordings = [(_recording(base, session), session) for base, session in sessions.items()]
    recordings.sort(key=lambda pair: (pair[0].start, pair[0].name))
    notes = {recording.name: _notes(recording, session) for recording, session in recordings}
    return tuple(_with_gaps(r) for r in assign_roles([recording for recording, _ in recordings], notes))


def created_order(asset: Asset) -> tuple[str, str]:
    """A key that sorts assets of one recording by when they were made, oldest first."""
    name = parse_asset_name(asset.name)
    by_name = f"{name.process_date}_{name.process_time or ''}" if name is not None and name.process_date else ""
    return (f"{asset.created:%Y-%m-%d_%H-%M-%S}" if asset.created is not None else by_name), by_name


def better_copy(assets: Iterable[Asset]) -> Asset:
    """Of several copies of one thing: a ready one, then the published (external) one, then the newest."""
    return max(assets, key=lambda asset: (asset.state == "ready", asset.bucket is not None, created_order(asset)))


# --- which raw asset a sorting was made from ------------------------------------------------------


def _raw_of(facts: SortingFacts, raws: Sequence[RawFacts]) -> tuple[RawFacts | None, list[Problem]]:
    """The raw asset, and what is to be said about how it was found."""
    asset = facts.sorting.asset
    spoken = recording_id(asset.name)
    if asset.provenance_data_assets is not None:
        pinned = [raw for raw in raws if raw.asset.id in asset.provenance_data_assets]
        pinned = [raw for raw in pinned if raw.asset.name == spoken] if len(pinned) > 1 else pinned
        if pinned:
            return pinned[0], _disagreement(asset, spoken, pinned[0].asset.name, "its provenance")
        told = f"The provenance of {asset.name} names no single raw recording that is here; names had to say it."
        problems = [problem("A8", told, recording=asset.name)]
    elif any(found.rule == "A6" for found in asset.problems):
        problems = []
    else:
        told = f"The provenance of {asset.name} is unknown; its raw recording was found by names."
        problems = [problem("A6", told, recording=asset.name)]
    described = [raw for raw in raws if raw.asset.name in facts.inputs]
    if len({raw.asset.name for raw in described}) == 1:
        raw = _best(described)
        return raw, problems + _disagreement(asset, spoken, raw.asset.name, "its data_description.json")
    named = [raw for raw in raws if raw.asset.name == spoken]
    if named:
        return _best(named), problems
    similar = _similar(parse_asset_name(asset.name), raws)
    if len(similar) == 1:
        return similar[0], problems + _disagreement(asset, spoken, similar[0].asset.name, "the only name that fits")
    if similar:
        names = ", ".join(sorted(raw.asset.name for raw in similar))
        told = f"{asset.name} could have been made from any of {names}; which one is not known."
        problems.append(problem("A8", told, recording=asset.name))
    return None, problems


def _similar(name: AssetName | None, raws: Sequence[RawFacts]) -> list[RawFacts]:
    """Raw assets of the same subject, date and time, where a platform or the time is missing or differs."""
    if name is None:
        return []
    found = []
    for raw in raws:
        other = parse_asset_name(raw.asset.name)
        if other is None or (other.subject, other.date) != (name.subject, name.date):
            continue
        if None in (name.time, other.time) or name.time == other.time:
            found.append(raw)
    return found


def _disagreement(sorting: Asset, spoken: str, raw: str, by: str) -> list[Problem]:
    if spoken == raw:
        return []
    told = f"{sorting.name} speaks of recording {spoken}, but by {by} it was made from {raw}."
    cure = f"The converter looks for a folder {spoken}: the raw recording must be attached under that name."
    return [problem("A8", told, cure=cure, recording=raw)]


def _best(raws: Sequence[RawFacts]) -> RawFacts:
    best = better_copy(raw.asset for raw in raws)
    return next(raw for raw in raws if raw.asset is best)


def _one_copy_each(sortings: Sequence[SortingFacts]) -> tuple[list[SortingFacts], dict[str, list[Problem]]]:
    """Sortings with second captures of one computation marked, and what is to be said of those that have copies."""
    groups: dict[str, list[SortingFacts]] = {}
    for facts in sortings:
        asset = facts.sorting.asset
        groups.setdefault(asset.provenance_computation or f"asset {asset.id}", []).append(facts)
    kept, problems = [], {}
    for group in groups.values():
        best = better_copy(facts.sorting.asset for facts in group)
        kept.append(next(facts for facts in group if facts.sorting.asset is best))
        # A manifest may name another copy; of copies with one name only the best could be attached.
        by_name = {facts.sorting.asset.name: facts for facts in group if facts.sorting.asset.name != best.name}
        kept += [replace(each, sorting=replace(each.sorting, copy_of=best.name)) for each in by_name.values()]
        others = [facts.sorting.asset for facts in group if facts.sorting.asset is not best]
        if others:
            names = ", ".join(f"{asset.name} ({asset.id})" for asset in others)
            which = "the published copy" if best.bucket is not None else "the newest one"
            told = f"One computation was captured {len(group)} times: {best.name} ({best.id}), {which}, is used; "
            problems[best.id] = [problem("A9", f"{told}not used: {names}.", recording=best.name)]
    names_kept = [facts.sorting.asset.name for facts in kept]
    for facts in kept:
        asset = facts.sorting.asset
        if names_kept.count(asset.name) > 1:
            told = f"Several different sortings are called {asset.name}; one of them has id {asset.id}."
            problems.setdefault(asset.id, []).append(problem("A9", told, recording=asset.name))
    return kept, problems


# --- one recording --------------------------------------------------------------------------------


def _recording(base: str, session: _Session) -> Recording:
    ordered = sorted(session.sortings, key=lambda pair: created_order(pair[0].sorting.asset))
    raw, problems = _chosen_raw(session, ordered)
    sortings: list[Sorting] = []
    for facts, made_from in ordered:
        sorting = _with_shanks(facts.sorting, _raw_read(session, made_from) or raw)
        if raw is not None and raw.has_ephys and made_from in (None, raw.asset.id):
            sorting, found = _compared(sorting, raw)
            problems += found
        sortings.append(sorting)
    name = base if raw is None else raw.asset.name
    parsed = parse_asset_name(name)
    own = () if raw is None else raw.problems
    if raw is not None and not raw.has_ephys:
        own += (
            problem("A7", f"{name} holds no ephys data: no ecephys_clipped or ecephys_compressed.", recording=name),
        )
    return Recording(
        name=name,
        start="" if parsed is None else parsed.start,
        raw=None if raw is None else raw.asset,
        role=Role.UNKNOWN,
        role_reason="",
        surface=None,
        surface_reason="",
        probes=() if raw is None else raw.probes,
        sortings=tuple(sortings),
        duration_s=None if raw is None else raw.session.duration_s,
        streams=() if raw is None else raw.streams,
        targets=() if raw is None else raw.session.targets,
        problems=(*own, *session.problems, *problems),
        blocks=None if raw is None else raw.blocks,
        session_file="" if raw is None else raw.session.file,
        notes=() if raw is None else raw.session.notes,
    )


def _raw_read(session: _Session, made_from: str | None) -> RawFacts | None:
    return next((raw for raw in session.raws if raw.asset.id == made_from), None)


def _with_shanks(sorting: Sorting, raw: RawFacts | None) -> Sorting:
    """The sorting with the shanks of its probes in place of the sorter's own numbers."""
    recorded = {probe.name: probe.shanks for probe in raw.probes} if raw is not None else {}
    streams = tuple(with_physical_shanks(stream, recorded.get(stream.token)) for stream in sorting.streams)
    return replace(sorting, streams=streams)


def _chosen_raw(
    session: _Session, ordered: Sequence[tuple[SortingFacts, str | None]]
) -> tuple[RawFacts | None, list[Problem]]:
    """The raw asset that the newest usable sorting was made from; without sortings, the best copy."""
    if not session.raws:
        return None, []
    usable = [made_from for facts, made_from in ordered if facts.sorting.status is not SortingStatus.ERROR]
    pins = [pin for pin in (usable or [made_from for _, made_from in ordered]) if pin is not None]
    raw = next((raw for raw in session.raws if pins and raw.asset.id == pins[-1]), None) or _best(session.raws)
    others = [other.asset for other in session.raws if other is not raw]
    problems = []
    if others:
        names = ", ".join(f"{asset.name} ({asset.id})" for asset in others)
        why = "a sorting was made from it" if pins else "it is the published or the newest copy"
        told = f"The raw recording is there {len(session.raws)} times: {raw.asset.name} ({raw.asset.id}) is used, "
        problems.append(problem("A9", f"{told}because {why}; not used: {names}.", recording=raw.asset.name))
    for facts, made_from in ordered:
        if made_from not in (None, raw.asset.id):
            told = f"{facts.sorting.asset.name} was made from another upload of this recording ({made_from})."
            problems.append(problem("A8", told, recording=raw.asset.name))
    return raw, problems


def _compared(sorting: Sorting, raw: RawFacts) -> tuple[Sorting, list[Problem]]:
    """The sorting, partial when the raw recording has streams or shanks that it lacks."""
    problems = []
    have = {stream.token: stream for stream in sorting.streams}
    if not have or not raw.tokens:
        return sorting, []
    unknown = [token for token in have if token not in raw.tokens]
    if unknown:
        told = f"{sorting.asset.name} holds streams that the raw recording has not: {', '.join(unknown)}."
        problems.append(problem("A8", told, recording=raw.asset.name))
    missing = [token for token in raw.tokens if token not in have]
    gaps = [f"not sorted: {', '.join(missing)}"] if missing else []
    for probe in raw.probes:
        stream = have.get(probe.name)
        if stream is not None and stream.shanks and len(stream.shanks) < len(probe.shanks):
            lost = ", ".join(str(shank + 1) for shank in sorted({*probe.shanks} - {*stream.shanks}))
            which = "" if stream.doubt else f", not {lost}"
            gaps.append(f"{probe.name}: {len(stream.shanks)} of {len(probe.shanks)} recorded shanks are sorted{which}")
    if not gaps or sorting.status is SortingStatus.ERROR:
        return sorting, problems
    reason = "; ".join([*([sorting.reason] if sorting.reason else []), *gaps])
    return replace(sorting, status=SortingStatus.PARTIAL, reason=reason), problems


def _with_gaps(recording: Recording) -> Recording:
    """The recording with what it lacks as problems. A failed sorting is an error only for who chooses it."""
    found = []
    name = recording.name
    if recording.raw is None:
        told = f"No raw asset of {name} was found; it is known by its sorting only."
        found.append(problem("A1", told, severity=Severity.WARNING, recording=name))
    if not recording.sortings:
        mild = Severity.INFO if recording.role is Role.SURFACE else None
        found.append(problem("A2", f"{name} has no sorting.", severity=mild, recording=name))
    originals = [sorting for sorting in recording.sortings if not sorting.copy_of]
    for sorting in originals:
        told = f"{sorting.asset.name}: {sorting.reason}."
        if sorting.status is SortingStatus.ERROR:
            found.append(problem("A3", told, severity=Severity.WARNING, recording=name))
        elif sorting.status is SortingStatus.PARTIAL:
            found.append(problem("A4", told, recording=name))
    usable = [sorting.asset.name for sorting in originals if sorting.status is not SortingStatus.ERROR]
    if len(usable) > 1:
        told = f"{name} has {len(usable)} usable sortings: {', '.join(usable)}."
        found.append(problem("A5", told, recording=name))
    return replace(recording, problems=(*recording.problems, *found))


def _notes(recording: Recording, session: _Session) -> tuple[str, ...]:
    raw = next((raw for raw in session.raws if raw.asset is recording.raw), None)
    return () if raw is None else (*raw.session.notes, raw.asset.description, *raw.asset.tags)


def _base(name: str) -> str:
    """The session that an asset's name speaks of."""
    parsed = parse_asset_name(name)
    return recording_id(name) if parsed is None else parsed.base


def _platform(name: str) -> str | None:
    parsed = parse_asset_name(name)
    return None if parsed is None else parsed.platform
