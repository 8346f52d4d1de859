"""Answers that go wrong, by name, scripted or random: what the played Code Ocean does instead of answering."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
UNKNOWN_WORD = "hibernating"


@dataclass(frozen=True)
class Fault:
    """One way to spoil requests.

    `answer`: normal | status | reset | cut (the connection closes in the middle of the body) | drip (the body comes
    slowly, over `seconds`) | truncated (half of the JSON, well delivered) | html (200 with a page) | wrong_types |
    unknown_words | missing_fields | empty (200, no body) | refuse (closed at accept, before the request is read; the
    client cannot tell it from a reset, `FakeCodeOcean.down` is what a true refusal looks like); tls_plain, tls_record,
    tls_alert: the secure connection itself breaks, see BROKEN_TLS.
    `effect`: whether what was asked happens: made | none | late (`late_s` after the answer).
    """

    name: str = ""
    answer: str = "normal"
    effect: str = "made"
    status: int = 0
    retry_after: str = ""
    html: bool = False
    seconds: float = 0.0
    """Wait before the request is looked at; of a drip, how long the body takes."""
    late_s: float = 0.0
    method: str = "*"
    endpoint: str = "*"
    """As in ROUTES: `computations`, `computations/{id}` ...; `*` stands for anything. `_download` are the file URLs."""
    times: int | None = 1
    """How many requests it spoils; None: all."""
    skip: int = 0
    """How many requests pass first."""
    probability: float = 1.0


def _refused(status: int, **more: Any) -> Fault:
    return Fault(f"{status}", "status", "none", status, **more)


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("latency", seconds=0.2),
        *(_refused(status) for status in (400, 401, 403, 404, 409, 413, 422, 429, 500)),
        replace(_refused(429, retry_after="1"), name="429_retry_after"),
        replace(_refused(429, retry_after="Wed, 21 Oct 2099 07:28:00 GMT"), name="429_retry_after_date"),
        replace(_refused(502, html=True), name="502_html"),
        _refused(503),
        replace(_refused(503, retry_after="1"), name="503_retry_after"),
        replace(_refused(504, html=True), name="504_html"),
        Fault("refuse", "refuse", "none"),
        Fault("reset_before", "reset", "none"),
        Fault("reset_after", "reset"),
        Fault("500_after", "status", status=500),
        Fault("409_after", "status", status=409),
        Fault("502_after", "status", status=502, html=True),
        Fault("504_after", "status", status=504, html=True),
        Fault("late_504", "status", "late", 504, html=True, late_s=0.2),
        Fault("late_reset", "reset", "late", late_s=0.2),
        Fault("drip", "drip", seconds=0.5),
        Fault("cut", "cut"),
        Fault("truncated", "truncated"),
        Fault("html", "html"),
        Fault("empty", "empty"),
        Fault("wrong_types", "wrong_types"),
        Fault("unknown_words", "unknown_words"),
        Fault("missing_fields", "missing_fields"),
    )
}
"""Every kind of fault by its name; the fault matrix goes through them."""

TLS_FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (Fault("tls_plain", "tls_plain"), Fault("tls_record", "tls_record"), Fault("tls_alert", "tls_alert"))
}
"""What a server that speaks https can do wrong besides, after the effect."""
BROKEN_TLS = {
    "tls_plain": b"HTTP/1.1 502 Bad Gateway\r\n\r\n" * 5,
    "tls_record": b"\x17\x03\x03\x00\x20" + b"x" * 32,
    "tls_alert": b"\x15\x03\x03\x00\x13" + b"y" * 19,
}
"""Bytes that are no answer to a client that reads encrypted ones; half of a good answer comes before the record."""

MESSAGES = {
    400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "not found", 409: "conflict",
    413: "payload too large", 422: "unprocessable", 429: "too many requests, back off", 500: "internal error",
    503: "service unavailable",
}  # fmt: skip


def named(name: str, **changes: Any) -> Fault:
    """A fault of the table, changed: `named("reset_after", method="POST", endpoint="computations")`."""
    return replace((FAULTS | TLS_FAULTS)[name], **changes)


class FaultPlan:
    """The faults that are set. Among those that fit a request the first wins; latencies are added to it."""

    def __init__(self, seed: int = 0, on_refuse: Callable[[], None] = lambda: None) -> None:
        self._on_refuse = on_refuse
        self._lock = threading.Lock()
        self._rng = random.Random(seed)
        self._faults: list[list[Any]] = []  # [fault, requests still to pass, requests still to spoil]
        self.spoiled: dict[str, int] = {}
        """How many requests each fault has spoiled."""

    def add(self, fault: Fault | str, **changes: Any) -> None:
        """Set a fault, given whole or by its name in FAULTS with changes."""
        made = replace(fault, **changes) if isinstance(fault, Fault) else named(fault, **changes)
        with self._lock:
            self._faults.append([made, made.skip, made.times])
        if made.answer == "refuse":
            self._on_refuse()  # connections that are kept open would never come to accept

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) | {"left": left} for fault, _, left in self._faults]

    def take(self, method: str, endpoint: str) -> tuple[float, Fault | None]:
        """Seconds to wait, and what else to do to this request."""
        wait_s = 0.0
        with self._lock:
            for entry in self._faults:
                fault = entry[0]
                if fault.answer != "refuse" and self._fits(entry, method, endpoint):
                    wait_s += fault.seconds if fault.answer != "drip" else 0.0
                    if fault.answer != "normal":
                        return wait_s, fault
        return wait_s, None

    def refuses(self) -> bool:
        """Whether a connection is closed at accept."""
        with self._lock:
            return any(entry[0].answer == "refuse" and self._fits(entry, "*", "*") for entry in self._faults)

    def _fits(self, entry: list[Any], method: str, endpoint: str) -> bool:
        fault, to_pass, left = entry
        # A template's braces are no pattern; only `*` is.
        if left == 0 or (fault.answer != "refuse" and not _same(fault, method, endpoint)):
            return False
        if to_pass:
            entry[1] -= 1
            return False
        if fault.probability < 1 and self._rng.random() >= fault.probability:
            return False
        if left is not None:
            entry[2] -= 1
        self.spoiled[fault.name] = self.spoiled.get(fault.name, 0) + 1
        return True


def _same(fault: Fault, method: str, endpoint: str) -> bool:
    return fault.method in ("*", method) and fnmatchcase(endpoint, fault.endpoint)


def spoil_body(answer: str, body: bytes, *, is_json: bool) -> bytes:
    """The body of a spoiled answer. What needs JSON cuts other bodies in half."""
    needs_json = answer in ("wrong_types", "unknown_words", "missing_fields")
    if answer == "truncated" or (needs_json and not is_json):
        return body[: len(body) // 2]
    if answer == "html":
        return HTML
    if answer == "empty":
        return b""
    if not needs_json or not body:
        return body
    change = {"wrong_types": _wrong_types, "unknown_words": _unknown_words, "missing_fields": _missing_fields}[answer]
    return json.dumps(change(json.loads(body))).encode()


def _wrong_types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _wrong_types(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(number): _wrong_types(item) for number, item in enumerate(value)}
    if isinstance(value, str):
        return 7
    return [str(value)]


def _unknown_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_unknown_words(item) for item in value]
    if not isinstance(value, dict):
        return value
    words = ("state", "end_status", "status", "type", "origin", "kind", "everyone", "role")
    return {key: UNKNOWN_WORD if key in words and item else _unknown_words(item) for key, item in value.items()}


def _missing_fields(value: Any) -> Any:
    """Every record keeps its id, and nothing else that is no list of records."""
    if isinstance(value, list):
        return [_missing_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "id" in value:
        return {"id": value["id"]}
    return {key: _missing_fields(item) for key, item in value.items() if isinstance(item, list)}
