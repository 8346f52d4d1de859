"""What a simulated platform may answer to a request with an effect, and what may stand behind the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from core.errors import AccessError, NotFoundError, RefusedError, ThrottledError, UnavailableError, UnclearError
from jobs.call_answers import Answer, Made
from jobs.calls import perform
from jobs.protocol import Kind
from jobs.records import JobRecord, Phase, Step
from tests.fake_runner import a_launch
from tests.job_records import a_record


def quick[Model](kind: type[Model], values: dict[str, Any]) -> Model:
    """A pydantic record without its checks, which cost more than all that is simulated."""
    made = kind.__new__(kind)
    object.__setattr__(made, "__dict__", values)
    return made


class QuickRecord(JobRecord):
    """A job's record whose copies cost a fifth: the values are those that the program's functions gave."""

    def changed(self, **values: Any) -> QuickRecord:
        assert values.keys() <= _FIELDS
        return quick(QuickRecord, {**self.__dict__, **values})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> QuickRecord:
        return quick(QuickRecord, {**self.__dict__, **(update or {})})


_FIELDS = JobRecord.model_fields.keys()


@cache
def fresh_record() -> QuickRecord:
    """A job as it is launched."""
    return QuickRecord(**dict(a_record("d1", token="j000000000000001", id="000000000001", rev=1)))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a POST is answered with: the contract's error, None when it is confirmed."""

    error: Exception | None
    effects: tuple[bool, ...]
    """Whether the effect was made: both when the answer does not tell."""
    takes_s: float = 0.3


def _replies() -> dict[str, Reply]:
    no, yes, either = (False,), (True,), (True, False)
    refused = {f"HTTP {status}": Reply(RefusedError(f"HTTP {status}"), no) for status in (400, 413, 422)}
    access = {f"HTTP {status}": Reply(AccessError(f"HTTP {status}"), no) for status in (401, 403)}
    never_sent = {why: Reply(UnavailableError(why), no) for why in ("no address", "connection refused", "TLS")}
    broken = {f"HTTP {status}": Reply(UnclearError(f"HTTP {status}"), either) for status in (409, 500, 502, 503, 504)}
    return {
        "made": Reply(None, yes),
        **refused,
        "HTTP 404": Reply(NotFoundError("HTTP 404"), no),
        **access,
        "HTTP 429": Reply(ThrottledError("HTTP 429"), no),
        "HTTP 429, Retry-After": Reply(ThrottledError("HTTP 429", retry_after_s=30.0), no),
        **never_sent,
        "time-out": Reply(UnclearError("no answer within 60 s"), either, 60.0),
        "reset": Reply(UnclearError("the connection broke"), either, 5.0),
        **broken,
        "2xx with rubbish": Reply(UnclearError("the answer is no JSON"), either),
        "2xx without an id": Reply(UnclearError("the answer holds no id"), either),
    }


REPLIES = _replies()


@cache
def sorted_answer(name: str) -> Answer:
    """What the program's own sorter makes of a reply."""
    error = REPLIES[name].error
    if error is None:
        return Made("")

    class Runner:
        def refusal(self, converter: str, version: str, route: str, monitor: str = "") -> str:
            return ""

        def start_run(self, request: object) -> str:
            raise error

    record = fresh_record().changed(step=Step.RUN, phase=Phase.INTENT)
    return perform(Kind.MAKE, record, Runner(), lambda _: a_launch(record.token))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one POST: its answer, and its effect on the platform."""

    reply: str = "made"
    made: bool = True
    late_s: float = 0.0
    """How long after the client gave up the effect takes place."""
    lag_s: float = 0.0
    """How much later listings show it."""


CLEAN = Fate()
