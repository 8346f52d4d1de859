"""Each wrong answer at each call of the worker: a named state, words for people, nothing lost, nothing twice."""

from __future__ import annotations

import sys

import pytest

from tests.code_ocean_jobs import Bench, bench
from tests.fault_matrix import (
    ANSWERS,
    ENDPOINTS,
    LONG_LIST,
    MORE_ANSWERS,
    Elsewhere,
    Endpoint,
    SteeredApi,
    faults_of,
    run_case,
)


@pytest.fixture(scope="module")
def elsewhere():
    made = Elsewhere()
    yield made
    made.close()


@pytest.fixture
def jobs(tmp_path):
    with bench(tmp_path / "data", api=SteeredApi, run_settle_minutes=5.0, asset_settle_minutes=3.0) as made:
        yield made


def cases(endpoint: Endpoint, *, large: bool) -> list[tuple[str, int | None]]:
    """Answers, and how many requests meet each: None for all of a while."""
    answers = [*ANSWERS, *(MORE_ANSWERS if large else ())]
    if endpoint.path == "capsules/{id}/computations":
        answers.append(LONG_LIST)
    # A single wrong answer to a read is mended by asking again; to an effect it is not.
    once = endpoint.path in ("data_assets", "computations") or large
    return [(answer, times) for answer in answers for times in ((None, 1) if once else (None,))]


def carry_through(endpoint: Endpoint, jobs: Bench, elsewhere: Elsewhere, capsys, *, large: bool) -> None:
    wrong, retried, chosen = [], 0, cases(endpoint, large=large)
    for answer, times in chosen:
        jobs.restart()
        case = run_case(jobs, jobs.api, elsewhere, endpoint, answer, times)
        retried += case.retries > 0
        wrong += [f"{case.name} ({times or 'all'}): {fault}" for fault in faults_of(case, jobs.fake.token)]
    with capsys.disabled():
        counts = f"{len(chosen)} cases, {retried} tried again by a person, {len(wrong)} wrong"
        sys.stdout.write(f"\nfault matrix: {endpoint.words}: {counts}\n")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.words)
def test_every_wrong_answer_of(endpoint, jobs: Bench, elsewhere, capsys):
    carry_through(endpoint, jobs, elsewhere, capsys, large=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.words)
def test_every_shape_of_wrong_answer_of(endpoint, jobs: Bench, elsewhere, capsys):
    carry_through(endpoint, jobs, elsewhere, capsys, large=True)


def test_the_matrix_is_large_enough():
    assert sum(len(cases(endpoint, large=False)) for endpoint in ENDPOINTS) >= 15 * 22
