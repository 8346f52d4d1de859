"""Records: JSON both ways, states that may follow, history that is bounded."""

from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import NoSuchJobError
from core.models import Problem, Severity, Where
from jobs.records import (
    ENDS,
    EVENT_CAP,
    STATE_OF_STEP,
    TRANSITIONS,
    AskedRow,
    CountedCoverage,
    CountedRow,
    Event,
    JobRecord,
    JobState,
    KeptProblem,
    Moment,
    Phase,
    RemoteIds,
    Step,
    full_id,
    may_follow,
    new_token,
)
from tests.job_records import START, a_record

texts = st.text(max_size=30)
times = st.datetimes(timezones=st.just(UTC))
rows = st.builds(AskedRow, track=texts, recording=texts, stream=texts, shank=st.none() | st.integers(0, 3))
counted = st.builds(CountedRow, track=texts, recording=texts, stream=texts, status=texts, why=texts)
records = st.builds(
    JobRecord,
    token=st.just("j000"),
    created=times,
    created_by=texts,
    subject=texts,
    platform=texts,
    converter=texts,
    converter_version=texts,
    parameters=st.dictionaries(texts, texts, max_size=3),
    digest=texts,
    manifest_sha256=texts,
    state_sha256=texts,
    state_stem=texts,
    state=st.sampled_from(JobState),
    step=st.sampled_from(Step),
    phase=st.sampled_from(Phase),
    rows=st.lists(rows, max_size=3).map(tuple),
    ids=st.builds(RemoteIds, run=st.none() | texts),
    coverage=st.none()
    | st.builds(CountedCoverage, asked=st.integers(0), delivered=st.integers(0), rows=st.tuples(counted)),
    intent=st.none() | st.builds(Moment, at=times, boot_s=st.floats(0, 1e9)),
    due=st.none() | times,
    pause_s=st.floats(0, 3600),
    throttled=st.booleans(),
    proposed_run=texts,
    deadline=st.none() | times,
    overdue=st.booleans(),
    route=st.sampled_from(["direct", "monitor"]),
    events=st.lists(st.builds(Event, at=times, what=texts, detail=texts), max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(records)
def test_a_record_survives_json(record):
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=True)
    assert JobRecord.model_validate_json(text) == record


@pytest.mark.parametrize("text", ['{"v": 1}', "[]", '{"token": 1}', '{"state": "happy"}'])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValidationError):
        JobRecord.model_validate_json(text)


LATER_FIELDS = {
    "trackmapper_version": "",
    "converter_label": "",
    "route": "direct",
    "deadline_h": None,
    "pause_s": 0.0,
    "throttled": False,
    "proposed_run": "",
    "deadline": None,
    "overdue": False,
    "log_sha256": "",
    "report_sha256": "",
}


def test_a_record_of_an_earlier_release_is_read():
    record = a_record(ids=RemoteIds(run="r"))
    value = record.model_dump(mode="json")
    for name in LATER_FIELDS:
        del value[name]
    for name in ("child", "since"):
        del value["remote"][name]
    read = JobRecord.model_validate_json(json.dumps(value))
    assert {name: getattr(read, name) for name in LATER_FIELDS} == LATER_FIELDS
    assert (read, read.conversion_run) == (record, "r")


def test_a_record_cannot_be_changed_or_given_what_it_has_not():
    record = a_record()
    with pytest.raises(ValidationError):
        record.state = JobState.RUNNING
    with pytest.raises(ValueError, match="colour"):
        record.changed(colour="red")


def test_every_state_has_its_followers_and_ends_stay_ended():
    assert TRANSITIONS.keys() == set(JobState)
    assert set(STATE_OF_STEP) == set(Step) - {Step.DONE}
    for state in JobState:
        assert may_follow(state, state)
    for end in ENDS - {JobState.FAILED, JobState.INCOMPLETE}:
        assert not TRANSITIONS[end]
    assert TRANSITIONS[JobState.INCOMPLETE] == {JobState.CAPTURING}  # to be counted again
    # A failed step may be tried again; it never becomes another end by itself.
    assert not TRANSITIONS[JobState.FAILED] & ENDS
    assert may_follow(JobState.QUEUED, JobState.PREPARING)
    assert not may_follow(JobState.QUEUED, JobState.RUNNING)
    assert not may_follow(JobState.RUNNING, JobState.SUCCEEDED)
    assert not may_follow(JobState.CANCELLING, JobState.SUCCEEDED)


def test_every_state_can_be_reached_and_can_end():
    reached, front = {JobState.QUEUED}, {JobState.QUEUED}
    while front:
        front = {after for state in front for after in TRANSITIONS[state]} - reached
        reached |= front
    assert reached == set(JobState)


def test_the_history_is_bounded_and_says_so():
    record = a_record()
    for number in range(3 * EVENT_CAP):
        record = record.told(START, f"event {number}", "x" * 10_000)
    assert len(record.events) == EVENT_CAP
    assert (record.events[0].what, record.events[-1].what) == ("event 0", f"event {3 * EVENT_CAP - 1}")
    assert [event.what for event in record.events].count("earlier events left out") == 1
    assert len(record.events[0].detail) < 10_000


def test_a_problem_is_kept_with_its_place_and_without_numbers_that_json_has_not():
    problem = Problem("S1", Severity.CONFIRM, "far", "look", Where(row=3, track="a"), float("nan"), 2.5)
    kept = KeptProblem.of(problem)
    assert (kept.rule, kept.severity, kept.where.row, kept.measured, kept.threshold) == ("S1", "confirm", 3, "nan", 2.5)


def test_tokens_are_plain_and_differ():
    tokens = {new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert all(len(token) == 16 and token.isascii() and token.isalnum() and token.islower() for token in tokens)


def test_ids_are_padded_and_other_words_refused():
    assert full_id("12") == full_id("000000000012") == "000000000012"
    with pytest.raises(NoSuchJobError):
        full_id("twelve")
