"""A small Code Ocean on loopback: real HTTP, real files, real conversions, and faults on demand.

In a test: `with FakeCodeOcean() as fake:` and `fake.url`, `fake.token`. As a process of its own:
`python -m tests.fake_code_ocean --port 0` prints one line of JSON with its address; `/_control/...` drives it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.fake_code_ocean_api import SCOPES, Answer, Api, Call
from tests.fake_code_ocean_faults import FaultPlan
from tests.fake_code_ocean_http import Seen, Server
from tests.fake_code_ocean_state import (
    CONVERTER,
    MONITOR,
    Effect,
    FakeAsset,
    FakeCapsule,
    FakeComputation,
    Outcome,
    PanelParameter,
    Refusal,
    Timing,
    World,
)
from tests.fake_code_ocean_storage import INTERNAL_BUCKET, Put, Storage, count

TOKEN = "cop_a_token_that_must_never_be_seen_anywhere"


class FakeCodeOcean:
    """The server, its world and its faults.

    Args:
        token: What clients must show.
        version: The server's own version, compared with `Min-Server-Version`.
        scopes: What the token may do; all of SCOPES without a word.
        timing: How long things take.
        clock: Seconds since 1970. With one that a test moves, what is due happens at the next request.
        s3: A boto3 client for the object storage; without one, assets must be given as folders.
        put: A faster way to put objects than the client's.
        bucket: The internal bucket.
        seed: Of ids and of random faults.
        port: 0 for any.
        tls: What makes it speak https; without it it speaks http.
    """

    def __init__(
        self,
        *,
        token: str = TOKEN,
        version: str = "4.8.0",
        scopes: tuple[str, ...] = SCOPES,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.time,
        s3: Any = None,
        put: Put | None = None,
        bucket: str = INTERNAL_BUCKET,
        seed: int = 0,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self.token = token
        self.version = version
        self.scopes = set(scopes)
        self.world = World(clock, timing or Timing(), seed)
        self.faults = FaultPlan(seed, self.drop_connections)
        self.requests: list[Seen] = []
        self.closing = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="fake-code-ocean-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.storage = Storage(self.folder, s3, bucket, put)
        self.api = Api(self.world, self.storage, lambda: self.url)
        self.converter = self.add_capsule(FakeCapsule(CONVERTER, "Data converter", "0325751"))
        settings = PanelParameter("Settings", required=True)
        self.monitor = self.add_capsule(
            FakeCapsule(MONITOR, "Pipeline monitor", "5449547", "monitor", (1, 2), (settings,))
        )
        self._server: Server | None = None
        self.port = port

    # --- the server ---

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeCodeOcean:
        self.start()
        if self.world.clock is time.time:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.closing.set()
        with self.world.lock:
            self.world.lock.notify_all()
        self.stop()
        self.world.finish()
        self._folder.cleanup()
        if self.world.faults_seen and kind is None:
            raise AssertionError("the fake itself failed") from self.world.faults_seen[0]

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._server = Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more and drop every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.drop_connections()
            self._server = None

    def drop_connections(self) -> None:
        """Close the connections that are kept open; new ones are welcome."""
        if self._server is not None:
            self._server.drop_connections()

    def go_down(self, seconds: float) -> None:
        """Stop listening for a while. Returns at once."""
        self.stop()
        threading.Timer(seconds, lambda: None if self.closing.is_set() else self.start()).start()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens: connections are refused by the kernel, while what was started goes on."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _tick(self) -> None:
        with self.world.lock:
            while not self.closing.is_set():
                wait_s = self.world.advance()
                self.world.lock.wait(60.0 if wait_s is None else max(0.0, wait_s))

    def advance(self) -> None:
        """Let everything happen that is due by the clock."""
        self.world.advance()

    # --- what is in it ---

    @property
    def timing(self) -> Timing:
        return self.world.timing

    @property
    def ledger(self) -> list[Effect]:
        return self.world.ledger

    def effects(self, kind: str) -> list[Effect]:
        """The effects of one kind, in order."""
        with self.world.lock:
            return [effect for effect in self.world.ledger if effect.kind == kind]

    def add_capsule(self, capsule: FakeCapsule) -> FakeCapsule:
        self.world.capsules[capsule.id] = capsule
        return capsule

    def set_outcome(self, outcome: Outcome, capsule: str = CONVERTER, *, times: int | None = 1) -> None:
        """Say how the next runs of a capsule end, or all further ones (`times=None`)."""
        with self.world.lock:
            if times is None:
                self.world.capsules[capsule].outcome = outcome
            else:
                self.world.outcomes += [(capsule, outcome)] * times

    def add_asset(
        self,
        name: str,
        folder: Path | None = None,
        *,
        files: Mapping[str, bytes] | None = None,
        bucket: str = "",
        prefix: str = "",
        publish: bool = True,
        **record: Any,
    ) -> str:
        """An asset that is there already; returns its id.

        Args:
            name: Also its mount.
            folder: Its files; or `files`: path -> bytes.
            files: See `folder`.
            bucket: It is external, in this bucket; without one it is internal.
            prefix: Its folder in the bucket; the name when empty.
            publish: Put its files into S3, too.
            record: Further fields of FakeAsset.
        """
        with self.world.lock:
            given: dict[str, Any] = {"id": self.world.new_id(), "mount": name, "created": self.world.now(), **record}
            asset = FakeAsset(name=name, folder=folder, **given)
            if files is not None:
                asset.folder = self.storage.asset_folder(asset.id)
                for path, data in files.items():
                    (asset.folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (asset.folder / path).write_bytes(data)
            if bucket:
                place = {"bucket": bucket, "prefix": prefix or name}
                asset.source_bucket = {"origin": "aws", "external": True, **place}
            self.world.assets[asset.id] = asset
        count(asset)
        if asset.folder is not None and publish:
            self.storage.publish(asset.folder, bucket or self.storage.bucket, (prefix or name) if bucket else asset.id)
        return asset.id

    def add_computations(self, number: int, capsule: str = CONVERTER, *, age_s: float = 86_400.0) -> None:
        """Fill a capsule's list with ended runs of long ago."""
        world, owner = self.world, self.world.capsules[capsule]
        with world.lock:
            start = world.now() - age_s
            for i in range(number):
                ident = world.new_id()
                mounts = tuple((f"{ident[:8]}-{j}", f"asset-{j}") for j in range(4))
                made = FakeComputation(ident, owner, 1, start - i, world.new_run_name(), mounts, (), Outcome())
                made.state, made.end_status, made.exit_code = "completed", "succeeded", 0
                made.started, made.ended = start - i, start - i + 60
                world.computations[ident] = made

    # --- how it was used ---

    def count(self, method: str = "", endpoint: str = "") -> int:
        """How many requests came, of a method and endpoint if said."""
        return sum(method in ("", s.method) and endpoint in ("", s.endpoint) for s in list(self.requests))

    def counts(self) -> dict[str, int]:
        """Requests by `METHOD endpoint`."""
        return dict(Counter(f"{seen.method} {seen.endpoint}" for seen in list(self.requests)))

    def per_second(self) -> dict[int, int]:
        """Requests by the second of the clock that they came in."""
        return dict(Counter(int(seen.at) for seen in list(self.requests)))

    # --- one request ---

    def refusal(self, headers: Mapping[str, str], scope: str) -> Refusal | None:
        """Why a request is not let in."""
        wanted = "Basic " + base64.b64encode(f"{self.token}:".encode()).decode()
        if headers.get("Authorization") != wanted:
            return Refusal(401, "unauthorized")
        least = headers.get("Min-Server-Version", "0")
        if _numbers(least) > _numbers(self.version):
            return Refusal(400, f"the client needs server version {least} or later, this is {self.version}")
        if scope not in self.scopes:
            return Refusal(403, f"the access token lacks the scope {scope}")
        return None

    def perform(self, handler: Callable[[Api, Call], Answer], call: Call) -> tuple[Answer, list[Effect]]:
        """Do what is asked, now. Returns the answer and the effects that it tells of."""
        with self.world.lock:
            self.world.advance()
            mark = len(self.world.ledger)
            try:
                answer = handler(self.api, call)
            except Refusal as refusal:
                answer = Answer(refusal.status, {"message": refusal.message})
            effects = self.world.ledger[mark:]
            self.world.advance()  # what takes no time has happened when the answer arrives
            self.world.lock.notify_all()
            return answer, effects

    def perform_late(self, handler: Callable[[Api, Call], Answer], call: Call, seconds: float) -> None:
        """Do what is asked later; nobody is told."""
        self.world.after(self.world.lag(seconds), lambda: self._unheard(*self.perform(handler, call)))

    def _unheard(self, _: Answer, effects: list[Effect]) -> None:
        for effect in effects:
            effect.answered = False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def main(arguments: list[str] | None = None) -> None:
    """Serve until a signal, or until the process that started it is gone."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_code_ocean")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--version", default="4.8.0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", default="", help="endpoint of an S3 server; `moto` starts one")
    parser.add_argument("--sample", action="store_true", help="load the sample mouse")
    for name in Timing.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Timing, name))
    told = parser.parse_args(arguments)
    timing = Timing(**{name: getattr(told, name) for name in Timing.__dataclass_fields__})
    from tests import code_ocean_place  # here: it starts servers, and imports this module

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        place = None
        if told.s3 == "moto":
            place = stack.enter_context(code_ocean_place.moto_server())
        elif told.s3:
            place = code_ocean_place.s3_at(told.s3)
        fake = FakeCodeOcean(
            token=told.token,
            version=told.version,
            timing=timing,
            s3=place and place.client,
            put=place and place.put,
            seed=told.seed,
            port=told.port,
        )
        if told.sample:
            code_ocean_place.load_sample(fake, place)
        stack.enter_context(fake)
        address = {"url": fake.url, "token": fake.token, "s3": place.endpoint if place else ""}
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(1)


if __name__ == "__main__":
    main()
