"""Every way in which Code Ocean may answer wrong, at every place where the worker asks it, and what becomes of a job.

A case: a job is carried by the real worker's loop over a real store until it meets the wrong answer, for a while. Then
the fault is lifted, and the job must come to the end that it would have come to.
`python -m tests.campaign faults` goes through more shapes of them than the tests do.
"""

from __future__ import annotations

import re
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.platforms.code_ocean.api import CodeOceanApi
from jobs import submission
from jobs.records import JobRecord, JobState, Phase
from tests.code_ocean_jobs import Bench, bench
from tests.fake_code_ocean_api import route
from tests.fake_code_ocean_faults import FAULTS
from tests.fake_code_ocean_state import Outcome

# --- answers --------------------------------------------------------------------------------------

STEERED = ("refused", "dns_failure", "tls_failure", "slow", "drip")
"""Answers for which the request goes elsewhere, or is waited for with little patience."""
ANSWERS = (
    *("400", "401", "403", "404", "409", "413", "422", "429", "429_retry_after", "500", "502_html", "503", "504_html"),
    *STEERED,
    *("reset_before", "reset_after", "truncated", "html", "wrong_types", "unknown_words"),
)
"""Each a kind of its own: names of faults that the played Code Ocean knows, and the steered ones."""
MORE_ANSWERS = (
    *("429_retry_after_date", "503_retry_after", "409_after", "500_after", "502_after", "504_after", "late_504"),
    *("late_reset", "cut", "empty", "missing_fields"),
)
"""Further shapes of them."""
RESTARTED = ("reset_after", "truncated")
"""Answers during which the worker is started again and again, once for each endpoint."""
LONG_LIST = "10k_listing"
_LATE_S = 60.0
_SLOW_S = 0.2
LISTED = 10_000
"""Runs in the long list."""


class Elsewhere:
    """Addresses at which nothing good happens: nobody listens, no such name, no TLS."""

    def __init__(self) -> None:
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))  # bound and not listening: the kernel refuses
        self._plain = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _NoTls)
        self._plain.daemon_threads = True
        threading.Thread(target=self._plain.serve_forever, args=(0.02,), daemon=True).start()
        self.domains = {
            "refused": f"http://127.0.0.1:{self._closed.getsockname()[1]}",
            "dns_failure": "https://no-such-host.invalid",
            "tls_failure": f"https://127.0.0.1:{self._plain.server_address[1]}",
        }

    def close(self) -> None:
        self._plain.shutdown()
        self._plain.server_close()
        self._closed.close()


class _NoTls(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        self.request.recv(4096)


class SteeredApi(CodeOceanApi):
    """Sends the requests of one endpoint elsewhere, as long as it is told to."""

    def steer(self, method: str, endpoint: str, other: CodeOceanApi, times: int | None) -> None:
        self._other, self._where, self._times = other, (method, endpoint), times

    def unsteer(self) -> None:
        self._times = 0

    steered = 0
    _times: int | None = 0

    def _sender(self, method: str, path: str) -> CodeOceanApi | None:
        found = route(method, path.partition("?")[0])
        if self._times == 0 or found is None or (method, found[0]) != self._where:
            return None
        self._times = None if self._times is None else self._times - 1
        self.steered += 1
        return self._other

    def read(self, method: str, path: str, **more: Any) -> Any:
        other = self._sender(method, path)
        return super().read(method, path, **more) if other is None else other.read(method, path, **more)

    def effect(self, method: str, path: str, **more: Any) -> Any:
        other = self._sender(method, path)
        return super().effect(method, path, **more) if other is None else other.effect(method, path, **more)


# --- endpoints ------------------------------------------------------------------------------------


def _nothing(_: Bench) -> None:
    return None


def _doubt_an_asset(bench: Bench) -> None:
    """The answer about the manifest's asset is lost, so it is searched for."""
    bench.fake.faults.add("reset_after", method="POST", endpoint="data_assets")


def _doubt_a_run(bench: Bench) -> None:
    bench.fake.faults.add("reset_after", method="POST", endpoint="computations")


def _list_late(bench: Bench) -> None:
    """New runs are missing from the list for a while, so they are asked for singly."""
    bench.fake.timing.listing_lag_s = 200.0
    bench.fake.timing.run_s = 100.0


def _hang(bench: Bench) -> None:
    bench.fake.set_outcome(Outcome("hang"))


@dataclass(frozen=True)
class Endpoint:
    """A call of the worker, and what must be so for it to be made."""

    method: str
    path: str
    prepare: Callable[[Bench], None] = _nothing
    is_cancelled: bool = False
    """The job runs until a person cancels it."""
    is_needed: bool = True
    """The job cannot go on without it; names, shares and logs are helps for people."""

    @property
    def words(self) -> str:
        return f"{self.method} {self.path}"


ENDPOINTS = (
    Endpoint("POST", "data_assets/search", _doubt_an_asset),
    Endpoint("POST", "data_assets"),
    Endpoint("GET", "data_assets/{id}"),
    Endpoint("POST", "data_assets/{id}/permissions", is_needed=False),
    Endpoint("POST", "data_assets/{id}/files"),
    Endpoint("GET", "data_assets/{id}/files/urls"),
    Endpoint("GET", "capsules/{id}"),
    Endpoint("GET", "capsules/{id}/app_panel"),
    Endpoint("GET", "capsules/{id}/computations", _doubt_a_run),
    Endpoint("POST", "computations"),
    Endpoint("GET", "computations/{id}", _list_late),
    Endpoint("PATCH", "computations/{id}", is_needed=False),
    Endpoint("DELETE", "computations/{id}", _hang, is_cancelled=True),
    Endpoint("POST", "computations/{id}/results"),
    Endpoint("GET", "computations/{id}/results/urls", is_needed=False),
)


# --- a case ---------------------------------------------------------------------------------------


@dataclass
class Case:
    """What became of one job."""

    endpoint: Endpoint
    answer: str
    record: JobRecord
    """As it is at its end."""
    during: JobRecord
    """As it was while the fault lasted."""
    met: int
    """How often the job met the wrong answer."""
    retries: int
    effects: Counter[str] = field(default_factory=Counter)
    texts: tuple[str, ...] = ()
    """Everything that people could read of it."""
    banner: str = ""
    """What the worker said of itself while the fault lasted."""

    @property
    def name(self) -> str:
        return f"{self.endpoint.words} x {self.answer}"


WHILE_S, RESTART_S = 240.0, 45.0
_BARE_CLASS = re.compile(r"\W*\w+(Error|Exception|Timeout)\W*")


def run_case(
    bench: Bench,
    api: SteeredApi,
    elsewhere: Elsewhere,
    endpoint: Endpoint,
    answer: str,
    times: int | None,
    *,
    restarts: bool = False,
) -> Case:
    """Carry a new job through a fault to its end.

    Args:
        bench: Reused from case to case; the worker and all it knows are new.
        api: That of the worker.
        elsewhere: For the answers that come from there.
        endpoint: Which call is spoiled.
        answer: How.
        times: How many requests meet it; None: all, for a while.
        restarts: Whether the worker dies every few looks of that while; not for answers that come from elsewhere.
    """
    fake = bench.fake
    endpoint.prepare(bench)
    job_id = bench.launch()
    mark, steered = len(fake.ledger), api.steered
    if endpoint.is_cancelled:
        bench.until(job_id, JobState.RUNNING)
        submission.cancel(bench.store, job_id, "ben", bench.clock().at)
    with _fault(bench, api, elsewhere, endpoint, answer, times):
        before = fake.faults.spoiled.get(_OF_THE_CASE, 0)
        _run_while(bench, job_id, WHILE_S, RESTART_S if restarts else WHILE_S)
        met = fake.faults.spoiled.get(_OF_THE_CASE, 0) - before + api.steered - steered
        during = bench.record(job_id)
        banner = _banner(bench)
    retries, texts = 0, [banner, *_texts(during)]
    record = _finish(bench, job_id)
    while record.state is JobState.FAILED and retries < 2:
        texts += _texts(record)
        retries += 1
        job_id = submission.retry(bench.store, job_id, "ana", bench.clock().at).id
        record = _finish(bench, job_id)
    texts += _texts(record)
    tokens = {bench.record(each).token for each in {job_id, record.id}}
    ours = [effect for effect in fake.ledger[mark:] if any(token in repr(effect.details) for token in tokens)]
    named = Counter(f"{effect.kind} {effect.details.get('name', '')}" for effect in ours if effect.kind in _ONCE)
    return Case(endpoint, answer, record, during, met, retries, named, tuple(texts), banner)


_ONCE = ("asset", "run", "capture")
_OF_THE_CASE = "of the case"
"""Counted apart from the lost answers that only bring a job to an endpoint."""


@contextmanager
def _fault(
    bench: Bench, api: SteeredApi, elsewhere: Elsewhere, endpoint: Endpoint, answer: str, times: int | None
) -> Iterator[None]:
    faults, place = bench.fake.faults, {"method": endpoint.method, "endpoint": endpoint.path}
    if answer == LONG_LIST:
        bench.fake.add_computations(LISTED)
        faults.add(FAULTS["latency"], name=_OF_THE_CASE, seconds=0.0, times=times, **place)
    elif answer in STEERED:
        domain = elsewhere.domains.get(answer, bench.fake.url)
        token, patience = bench.settings.code_ocean_token, {"slow": {"read_s": 0.05}, "drip": {"body_s": 0.02}}
        given = {"read_s": 5.0, **patience.get(answer, {})}
        other = CodeOceanApi(domain, token, min_version="4.0.0", sleep=bench.sleep, draw=lambda: 0.5, **given)
        api.steer(endpoint.method, endpoint.path, other, times)
        if answer == "drip":
            faults.add("drip", seconds=0.1, times=None if times is None else 3 * times, **place)
        if answer == "slow":
            faults.add("latency", seconds=_SLOW_S, times=None if times is None else 3 * times, **place)
    else:
        late = {"late_s": _LATE_S} if answer.startswith("late_") else {}
        faults.add(FAULTS[answer], name=_OF_THE_CASE, times=times, **place, **late)
    try:
        yield
    finally:
        faults.clear()
        api.unsteer()


def _run_while(bench: Bench, job_id: str, seconds: float, lives_s: float) -> None:
    end_s, dies_s = bench.clock.s + seconds, bench.clock.s + lives_s
    while bench.clock.s < end_s and not bench.record(job_id).has_ended:
        slow = bench.fake.faults.spoiled.get("latency", 0)
        bench.monitor.run_pass()
        if bench.fake.faults.spoiled.get("latency", 0) > slow:
            # What was given up is still on its way, in real time: minutes of our clock must not pass meanwhile.
            time.sleep(_SLOW_S + 0.2)
        bench.clock.s += 15.0
        if bench.clock.s >= dies_s:
            bench.restart()
            dies_s += lives_s


def _finish(bench: Bench, job_id: str) -> JobRecord:
    """Until it ends or asks a person; 30 hours at most."""
    for _ in range(1800):
        record = bench.record(job_id)
        if record.has_ended or record.state is JobState.NEEDS_YOU:
            break
        bench.monitor.run_pass()
        bench.clock.s += 60.0
    bench.monitor.run_pass()
    return bench.record(job_id)


def _banner(bench: Bench) -> str:
    status = bench.store.worker_status()
    return "" if status is None else "\n".join((status.waiting, *status.errors))


def _texts(record: JobRecord) -> list[str]:
    return [record.error, *(f"{event.what}: {event.detail}" if event.detail else event.what for event in record.events)]


# --- what must hold -------------------------------------------------------------------------------


def faults_of(case: Case, token: str) -> list[str]:
    """What is wrong with the way a case went; nothing when all is well."""
    found = []
    if not case.met:
        found.append("the job never met the answer")
    end = JobState.CANCELLED if case.endpoint.is_cancelled else JobState.SUCCEEDED
    if case.record.state is not end:
        found.append(f"it ended {case.record.state} at {case.record.step}: {case.record.error}")
    if end is JobState.SUCCEEDED:
        coverage = case.record.coverage
        if coverage is None or coverage.delivered != coverage.asked:
            found.append(f"it counted {coverage}")
        found += [f"{number} times {what}" for what, number in case.effects.items() if number != 1 and not _again(case)]
        if len(case.effects) != 4 and not _again(case):
            found.append(f"its effects are {dict(case.effects)}")
    elif sum(number for what, number in case.effects.items() if what.startswith("run")) != 1:
        found.append(f"its effects are {dict(case.effects)}")
    during = case.during
    if case.answer in ("401", "403"):
        if during.state is JobState.FAILED:
            found.append("a refused token failed the job")
        if case.endpoint.is_needed and case.met > 1 and "refuses us" not in case.banner:
            found.append(f"nobody is told that the token is refused: {case.banner!r}")
    if during.state is JobState.FAILED and not during.error:
        found.append("it failed without a word")
    is_told = during.error or any(event.what == "in doubt" for event in during.events)
    if during.phase is Phase.SETTLING and not is_told:
        found.append("it waits without a word")
    found += [f"odd words: {text[:200]!r}" for text in case.texts if _is_odd(text, token)]
    return found


def _again(case: Case) -> bool:
    """The asset was said to be gone, and a person pressed Retry: then it is made once more."""
    return case.retries > 0 and case.answer == "404" and case.endpoint.words == "GET data_assets/{id}"


def _is_odd(text: str, token: str) -> bool:
    return token in text or "Traceback" in text or _BARE_CLASS.fullmatch(text) is not None


# --- all cases of an endpoint -----------------------------------------------------------------------


def cases_of(endpoint: Endpoint, *, large: bool = False) -> list[tuple[str, int | None]]:
    """Answers, and how many requests meet each: None for all of a while."""
    answers = [*ANSWERS, *(MORE_ANSWERS if large else ())]
    if endpoint.path == "capsules/{id}/computations":
        answers.append(LONG_LIST)
    # A single wrong answer to a read is mended by asking again; to an effect it is not.
    once = endpoint.path in ("data_assets", "computations") or large
    return [(answer, times) for answer in answers for times in ((None, 1) if once else (None,))]


def go_through(endpoint: Endpoint, folder: Path, *, large: bool = False) -> tuple[str, list[str]]:
    """Carry a job through each wrong answer of an endpoint. Returns a line of counts, and what was wrong."""
    wrong, retried, chosen = [], 0, [(*case, False) for case in cases_of(endpoint, large=large)]
    chosen += [(answer, None, True) for answer in RESTARTED]
    # Only where the files of assets are asked of Code Ocean do they lie nowhere else.
    more = {"asset_buckets": ""} if "/files" in endpoint.path else {}
    with (
        closing(Elsewhere()) as elsewhere,
        bench(folder / "data", api=SteeredApi, run_settle_minutes=5.0, asset_settle_minutes=3.0, **more) as jobs,
    ):
        for answer, times, restarts in chosen:
            jobs.restart()
            case = run_case(jobs, jobs.api, elsewhere, endpoint, answer, times, restarts=restarts)
            retried += case.retries > 0
            how = f"{times or 'all'}{', restarts' if restarts else ''}"
            wrong += [f"{case.name} ({how}): {fault}" for fault in faults_of(case, jobs.fake.token)]
    counts = f"{len(chosen)} cases, {retried} tried again by a person, {len(wrong)} wrong"
    return f"fault matrix: {endpoint.words}: {counts}", wrong
