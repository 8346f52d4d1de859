"""Launches that the queue does not know, found by what their input assets say of themselves, and kept as jobs again.

For a queue that was lost, or restored from a backup that is older than the last launches. What is made here binds the
duplicate guard, so that nobody launches the same mapping again unknowingly. Nothing of it is ever started again by
itself: what the run needs attached is not known any more, and a start without is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol

from core import image_space_converter
from core.conversion import RESULT_TAGS
from core.errors import InputError, NotFoundError, RefusedError
from core.launch_notes import COMMON_TAG, LaunchNote, read_note
from core.manifest import read_csv
from core.models import Asset
from core.platforms.base import DIRECT, CaptureRequest, Entry, InputAsset, RunKey, RunRequest
from jobs.launches import MANIFEST_ID, RUN_ID, STATE_ID, Launch, launch_to_json
from jobs.records import AskedRow, JobRecord, JobState, Moment, Phase, RemoteIds, Step
from jobs.store import JobStore

_PAGE = 1_000
_MANIFEST_LIMIT, _STATE_LIMIT = 4 << 20, 64 << 20
_FOUND = "it was not in this queue and was found on the platform"
_FOLLOWED = f"{_FOUND}; its run is followed"
_HAS_A_RUN = f"{_FOUND}, with a run: Look again follows it, Give up stops it; it may belong to another queue"
_HAS_NONE = (
    f"{_FOUND}, without a run: look again, or give it up and launch the mapping anew; it cannot be started from here"
)
_RESULT = "_ibl-converted_"


class Looks(Protocol):
    """What a recovery asks of a platform; every `Runner` answers it. None of it has an effect."""

    name: str

    @property
    def platform_id(self) -> str:
        """Which place it is."""

    def find_assets(self, token: str) -> tuple[Asset, ...]:
        """Every asset with this tag."""

    def find_runs(self, key: RunKey) -> tuple[str, ...]:
        """Ids of every run that was started for a launch."""

    def list_folder(self, asset: Asset, path: str = "") -> tuple[Entry, ...]:
        """Entries of a folder inside an asset."""

    def read_file(self, asset: Asset, path: str, limit: int) -> bytes:
        """A file of an asset."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found on the platform, and what was made of it."""

    launches: int
    """Launches whose inputs lie on the platform."""
    known: int
    """Of them, those that the queue knows, or whose mapping a job of the queue has."""
    jobs: tuple[str, ...]
    """Ids of the jobs that were made again."""
    asks: tuple[str, ...]
    """Of them, those that ask a person."""
    unread: tuple[str, ...]
    """Names of assets that say too little, or nothing that can be read."""


@dataclass(frozen=True, slots=True)
class _Found:
    note: LaunchNote
    manifest: Asset
    state: Asset


def recover_launches(
    store: JobStore, looks: Looks, *, user: str, now: datetime, zone: tzinfo, follow: bool = False
) -> Recovered:
    """Keep a job again for every launch that the platform shows and the queue does not know. Repeating it is fine.

    Args:
        store: The queue; a worker may be at work on it.
        looks: The platform.
        user: Who does this; the jobs are theirs, since who launched them is not known.
        now: When, in UTC.
        zone: Of times in names.
        follow: Follow the runs that are found, as is right where no other queue launches on this platform. Else
            every job asks: two workers that keep the result of one run would keep it twice.

    Raises:
        PlatformError: the platform could not be asked, or not read whole; what was made until then is kept.
        StoreError: the queue cannot be used.
    """
    found, unread = _launches(looks.find_assets(COMMON_TAG), looks.platform_id)
    known = _known_tokens(store)  # after the assets were listed: a job is kept before its assets are made
    made, asks, bound = [], [], 0
    # The newest first: of several attempts of one mapping, the last is the one that binds it.
    for each in sorted(found, key=lambda one: (one.note.attempt, one.manifest.created or now), reverse=True):
        if each.note.token in known:
            bound += 1
            continue
        record, inputs, blobs = _job(each, looks, user, now, zone, follow=follow)
        added = store.add_job(record, inputs=inputs, blobs=blobs)
        if added.duplicate_of is not None:
            bound += 1
            continue
        made.append(added.job_id)
        if record.state is JobState.NEEDS_YOU:
            asks.append(added.job_id)
    return Recovered(len(found), bound, tuple(made), tuple(asks), unread)


def _launches(assets: Sequence[Asset], platform_id: str) -> tuple[list[_Found], tuple[str, ...]]:
    """Launches with both inputs, without which nothing was ever started; and assets that say nothing of theirs."""
    notes: dict[str, LaunchNote] = {}
    inputs: dict[tuple[str, str], Asset] = {}
    unread = []
    for asset in assets:
        note = read_note(asset.description)
        if note is None or note.token not in asset.tags:
            unread.append(asset.name)
        elif not note.platform_id or note.platform_id == platform_id:
            notes[note.token] = note
            kind = "manifest" if asset.name.endswith(f"_manifest_{note.token}") else "state"
            inputs.setdefault((note.token, kind), asset)
    whole = [
        _Found(note, inputs[token, "manifest"], inputs[token, "state"])
        for token, note in notes.items()
        if (token, "manifest") in inputs and (token, "state") in inputs
    ]
    return whole, tuple(sorted(unread))


def _known_tokens(store: JobStore) -> frozenset[str]:
    tokens: set[str] = set()
    before: str | None = None
    while page := store.newest(_PAGE, before=before):
        before = page[-1].id
        tokens.update(record.token for record in page)
    return frozenset(tokens)


def _job(
    found: _Found, looks: Looks, user: str, now: datetime, zone: tzinfo, *, follow: bool
) -> tuple[JobRecord, object, tuple[bytes, ...]]:
    """A record, its inputs and their bytes."""
    note, route = found.note, found.note.route or DIRECT
    key = RunKey(note.token, found.manifest.id, route, note.converter, note.monitor)
    try:
        runs = looks.find_runs(key)
    except RefusedError:
        runs = ()  # a route or a capsule that this place does not know by now
    follows = follow and bool(runs)
    words = "" if follows else _HAS_A_RUN if runs else _HAS_NONE
    created = found.manifest.created or now
    record = JobRecord(
        token=note.token,
        attempt=note.attempt,
        created=created,
        created_by=user,
        state=JobState.LAUNCHING if follows else JobState.NEEDS_YOU,
        step=Step.RUN,
        phase=Phase.SETTLING,
        intent=Moment(at=now),
        look_first=True,
        subject=note.subject,
        acquisition=note.acquisition or None,
        platform=looks.name,
        platform_id=note.platform_id,
        converter=note.converter,
        converter_version=note.converter_version,
        route=route,
        monitor=note.monitor,
        digest=note.digest,
        manifest_sha256="",
        state_sha256="",
        state_stem=note.state_stem or found.state.name,
        parameters=dict(note.parameters or {}),
        not_known=_not_known(note),
        ids=RemoteIds(manifest_asset=found.manifest.id, state_asset=found.state.id),
        error=words,
    ).told(now, "recovered from the platform", words or _FOLLOWED, by=user)
    try:
        manifest = _read_input(found.manifest, f"{found.manifest.name}.csv", looks, note, _MANIFEST_LIMIT)
        state = _read_input(found.state, f"{found.state.name}.json", looks, note, _STATE_LIMIT)
        rows = read_csv(*manifest.files.values()).rows
    except (InputError, NotFoundError, RefusedError) as error:
        # The guard holds without them; a result cannot be counted, and says so.
        return record.told(now, "its inputs cannot be read", str(error)), {"plan": {}}, ()
    [csv], [drawn] = manifest.files.values(), state.files.values()
    record = record.changed(
        manifest_sha256=hashlib.sha256(csv).hexdigest(),
        state_sha256=hashlib.sha256(drawn).hexdigest(),
        rows=tuple(
            AskedRow(track=r.histology_track_id, recording=r.recording, stream=r.ephys_collection, shank=r.ephys_shank)
            for r in rows
        ),
    )
    name = _result_name(found, looks, f"{created.astimezone(zone):%Y-%m-%d_%H-%M-%S}")
    launch = Launch(
        rows=rows,
        manifest=manifest,
        state=state,
        # Without mounts: it is never sent.
        run_request=RunRequest(note.token, f"{note.subject}_ibl-conversion_{note.token}", (), {}, route=route),
        capture_request=CaptureRequest(
            token=note.token,
            run_id=RUN_ID,
            name=name,
            tags=(note.subject, *RESULT_TAGS, note.token),
            description=f"{len(rows)} probe tracks of mouse {note.subject}, converted for alignment.",
            custom_metadata={"data level": "derived", "experiment type": "ecephys", "subject id": note.subject},
            provenance_data_assets=(MANIFEST_ID, STATE_ID),
        ),
    )
    value, blobs = launch_to_json(launch)
    frame = None if note.frame is None else dataclasses.asdict(note.frame)
    return record, {**value, "plan": {"frame": frame}, "mapping": None}, blobs


def _not_known(note: LaunchNote) -> tuple[str, ...]:
    """What the note does not say, and the count would have needed."""
    takes_none = note.converter == image_space_converter.NAME
    parameters = () if takes_none or note.parameters is not None else ("parameters",)
    return (*parameters, *(("geometry",) if note.frame is None else ()))


def _read_input(asset: Asset, path: str, looks: Looks, note: LaunchNote, limit: int) -> InputAsset:
    data = looks.read_file(asset, path, limit)
    return InputAsset(note.token, asset.name, {path: data}, asset.tags, asset.description)


def _result_name(found: _Found, looks: Looks, launched: str) -> str:
    """The name of the result that was kept already, or the one to keep it by: then it is looked for, and made once."""
    kept = [asset for asset in looks.find_assets(found.note.token) if _RESULT in asset.name]
    made = min(kept, key=lambda asset: (asset.created is None, asset.created), default=None)
    return made.name if made else f"{found.note.acquisition or found.note.subject}{_RESULT}{launched}"
