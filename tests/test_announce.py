"""Notices sent outside: in a thread of their own, with no word of the address, whatever the service does."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time

import pytest
from pydantic import SecretStr

from core.settings import Settings
from jobs.announce import Announcer, message
from jobs.monitor import Monitor
from jobs.notices import Notice
from jobs.protocol import OVERDUE
from jobs.records import JobState
from jobs.store import JobStore
from jobs.submission import extend, submit
from tests.fake_runner import Clock, FakeRunner
from tests.job_records import START, a_plan

SECRET = SecretStr("json://user:canary@127.0.0.1:9/hook")


def a_notice(number: int = 1, **values) -> Notice:
    told = {"job_id": "000000000012", "subject": "700001", "state": "needs_you", "words": "which run is it?"}
    return Notice(number=number, at=START, to="ana", **{**told, **values})


def test_a_message_says_which_job_what_and_why():
    title, text = message(a_notice())
    assert title == "Trackmapper: job 12 (mouse 700001) needs you"
    assert text == "which run is it?\nLaunched by ana; 2026-03-01 09:00Z."


def test_ends_questions_deadlines_and_twins_are_told_once_and_in_order(tmp_path):
    sent: list[str] = []
    announcer = Announcer(SECRET, lambda title, _: not sent.append(title))
    with JobStore(tmp_path / "data") as store:
        clock = Clock()
        runner = FakeRunner(clock, run_s=4 * 3600.0)
        monitor = Monitor(store, runner, Settings(poll_seconds=2.0), announcer=announcer, now=clock)
        plan = a_plan()
        job_id = submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START).job_id
        while not store.get(job_id).has_ended:
            monitor.run_pass()
            clock.s += 600.0
        for _ in range(1000):  # what was sent is noted by the next pass after it
            monitor.run_pass()
            if store.announced() == store.last_notice():
                break
            time.sleep(0.01)
        announcer.close()
        assert [title.split(") ")[1] for title in sent] == ["overdue", "succeeded"]
        assert store.worker_status().notices == ""
        later = Announcer(SECRET, lambda title, _: not sent.append(title))
        Monitor(store, runner, Settings(), announcer=later, now=clock).run_pass()
        later.close()
        assert len(sent) == 2


class Told:
    """What people were told, by workers that come and go."""

    def __init__(self, store: JobStore) -> None:
        self.store, self.clock, self.sent = store, Clock(), []
        self.runner = FakeRunner(self.clock)

    def send(self, title: str, _: str) -> bool:
        self.sent.append(title.split(" (")[0].split(" ")[-1])
        return True

    def worker(self, send=None, *, announces: bool = True) -> Monitor:
        announcer = Announcer(SECRET, send or self.send) if announces else None
        return Monitor(self.store, self.runner, Settings(poll_seconds=2.0), announcer=announcer, now=self.clock)

    def end_one(self, monitor: Monitor, digest: str) -> None:
        """A job is launched, and ends in the hands of this worker."""
        plan = a_plan(digest)
        job_id = submit(self.store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=self.clock().at)
        while not self.store.get(job_id.job_id).has_ended:
            monitor.run_pass()
            self.clock.s += 60.0

    def restart(self) -> None:
        monitor = self.worker()
        monitor.run_pass()
        monitor.end()


@pytest.fixture
def told(tmp_path):
    with JobStore(tmp_path / "data") as store:
        yield Told(store)


def test_what_was_being_sent_when_the_worker_was_killed_is_sent_by_the_next(told):
    hangs, entered = threading.Event(), threading.Event()
    cut_off = lambda *_: entered.set() or hangs.wait(60.0)  # noqa: E731
    killed = told.worker(cut_off)
    told.end_one(killed, "1")
    told.end_one(killed, "2")
    killed.run_pass()
    assert entered.wait(60.0)
    assert told.store.announced() == 0
    told.restart()
    assert told.sent == ["1", "2"]
    assert told.store.announced() == told.store.last_notice() == 2
    told.restart()
    assert told.sent == ["1", "2"]
    hangs.set()


def test_what_was_sent_and_not_written_down_is_sent_twice_rather_than_never(told, monkeypatch):
    killed = told.worker()
    monkeypatch.setattr(JobStore, "set_announced", lambda *_: None)
    told.end_one(killed, "1")
    killed.end()
    monkeypatch.undo()
    told.restart()
    assert told.sent == ["1", "1"]


def test_what_ended_while_a_worker_without_an_address_led_is_told_by_the_next(told):
    told.restart()
    told.end_one(told.worker(announces=False), "1")
    assert told.sent == []
    told.restart()
    assert told.sent == ["1"]


def test_a_first_address_is_not_told_the_history_nor_any_what_is_no_news(told):
    told.end_one(told.worker(announces=False), "1")
    told.restart()
    told.end_one(told.worker(announces=False), "2")
    told.clock.s += 8 * 86_400.0
    told.end_one(told.worker(announces=False), "3")
    told.restart()
    assert told.sent == ["3"]
    assert told.store.announced() == 3


def test_a_worker_that_leads_again_does_not_hand_over_twice_what_it_has_in_hand(told):
    hangs, sent = threading.Event(), []
    announcer = Announcer(SECRET, lambda title, _: hangs.wait(60.0) and not sent.append(title))
    settings = Settings(poll_seconds=2.0)
    told.end_one(Monitor(told.store, told.runner, settings, announcer=announcer, now=told.clock), "1")
    again = Monitor(told.store, told.runner, settings, announcer=announcer, now=told.clock)
    again.run_pass()
    hangs.set()
    again.end()
    assert len(sent) == 1
    assert told.store.announced() == 1


def test_a_deadline_is_told_again_after_it_was_moved(tmp_path):
    with JobStore(tmp_path / "data") as store:
        clock = Clock()
        runner = FakeRunner(clock, run_s=100 * 3600.0)
        monitor = Monitor(store, runner, Settings(poll_seconds=2.0), now=clock)
        plan = a_plan()
        job_id = submit(store, plan, rows=plan.rows, problems=(), confirmed=(), user="ana", now=START).job_id

        def until(hours: float) -> list[str]:
            while clock.s < hours * 3600.0:
                monitor.run_pass()
                clock.s += 600.0
            return [notice.state for notice in store.notices(0)]

        assert until(2.9) == []
        assert until(5) == ["overdue"]
        assert store.get(job_id).overdue
        extended = extend(store, job_id, 4.0, "ben", clock().at)
        assert (extended.overdue, (extended.deadline - clock().at).total_seconds()) == (False, 4 * 3600.0)
        assert until(8.5) == ["overdue"]
        assert until(12) == ["overdue", "overdue"]
        assert [e.what for e in store.get(job_id).events].count(OVERDUE) == 2
        assert store.get(job_id).state is JobState.RUNNING
        assert runner.stopped == set()


def test_a_service_that_hangs_holds_nobody_up_and_what_is_too_much_is_not_taken():
    hangs, entered = threading.Event(), threading.Event()

    def send(title: str, text: str) -> bool:
        entered.set()
        return hangs.wait(60.0)

    announcer = Announcer(SECRET, send)
    announcer.announce(a_notice())
    entered.wait(60.0)
    taken = [announcer.announce(a_notice(number)) for number in range(2, 200)]
    assert (sum(taken), announcer.first_open(), announcer.last_taken()) == (100, 1, 101)
    assert announcer.trouble == "100 notices wait to be sent; later ones wait in the queue"
    hangs.set()
    announcer.close()
    assert announcer.trouble == ""


def test_what_a_service_throws_is_told_without_the_address(caplog):
    caplog.set_level(logging.DEBUG)

    def send(title: str, text: str) -> bool:
        raise ConnectionError("cannot reach json://user:canary@127.0.0.1:9/hook")

    announcer = Announcer(SECRET, send)
    announcer.announce(a_notice())
    announcer.close()
    assert announcer.trouble == "the notice of job 12 was not sent (ConnectionError)"
    assert "canary" not in caplog.text + repr(announcer) + repr(vars(announcer))


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        (SECRET, "the notice of job 12 was not sent to everybody"),
        (SecretStr("json://127.0.0.1:9/ nonsense:canary"), "address 2 of TRACKMAPPER_NOTICE_URL is not understood"),
    ],
)
def test_the_real_service_that_fails_is_told_without_the_address(urls, words, caplog):
    caplog.set_level(logging.DEBUG)
    announcer = Announcer(urls)
    announcer.announce(a_notice())
    announcer.close(60.0)
    assert words in announcer.trouble
    assert "canary" not in caplog.text + announcer.trouble


def test_without_the_package_the_words_say_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apprise" else real(name))
    announcer = Announcer(SECRET)
    announcer.announce(a_notice())
    announcer.close()
    assert "pip install 'trackmapper[notify]'" in announcer.trouble
