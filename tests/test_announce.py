"""Notices sent outside: in a thread of their own, with no word of the address, whatever the service does."""

from __future__ import annotations

import importlib.util
import logging
import threading

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
        monitor.run_pass()
        announcer.close()
        assert [title.split(") ")[1] for title in sent] == ["overdue", "succeeded"]
        assert store.worker_status().notices == ""
        later = Announcer(SECRET, lambda title, _: not sent.append(title))
        Monitor(store, runner, Settings(), announcer=later, now=clock).run_pass()
        later.close()
        assert len(sent) == 2


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


def test_a_service_that_hangs_holds_nobody_up_and_what_is_too_much_is_left_out():
    hangs, entered = threading.Event(), threading.Event()

    def send(title: str, text: str) -> bool:
        entered.set()
        return hangs.wait(60.0)

    announcer = Announcer(SECRET, send)
    announcer.announce(a_notice())
    entered.wait(60.0)
    for number in range(200):
        announcer.announce(a_notice(number))
    assert announcer.trouble == "100 notices wait to be sent; later ones are left out"
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
