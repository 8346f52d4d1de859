"""Each wrong answer at each call of the worker: a named state, words for people, nothing lost, nothing twice."""

from __future__ import annotations

from contextlib import closing

import pytest

from core.errors import UnclearError
from tests.code_ocean_jobs import bench
from tests.fault_matrix import ENDPOINTS, Elsewhere, SteeredApi, cases_of, faults_of, go_through, run_case


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.words)
def test_every_wrong_answer_of(endpoint, tmp_path, tell):
    counts, wrong = go_through(endpoint, tmp_path)
    tell(counts)
    assert not wrong, "\n".join(wrong)


def test_the_matrix_is_whole():
    assert len({endpoint.words for endpoint in ENDPOINTS}) == 15
    assert sum(len(cases_of(endpoint)) for endpoint in ENDPOINTS) >= 15 * 22


class HastyApi(SteeredApi):
    """Repeats what was not confirmed, as HTTP libraries can be told to."""

    def effect(self, method, path, **more):
        try:
            return super().effect(method, path, **more)
        except UnclearError:
            return super().effect(method, path, **more)


@pytest.mark.parametrize("words", ["POST data_assets", "POST computations"])
def test_the_matrix_sees_what_is_made_twice(tmp_path, words, tell):
    [endpoint] = [endpoint for endpoint in ENDPOINTS if endpoint.words == words]
    with closing(Elsewhere()) as elsewhere, bench(tmp_path / "data", api=HastyApi) as jobs:
        case = run_case(jobs, jobs.api, elsewhere, endpoint, "reset_after", 1)
        faults = faults_of(case, jobs.fake.token)
        tell(f"control, repeated requests, {case.name}: {'; '.join(faults)}")
        assert any("2 times" in fault for fault in faults)
