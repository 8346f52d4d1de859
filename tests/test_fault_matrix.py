"""Each wrong answer at each call of the worker: a named state, words for people, nothing lost, nothing twice."""

from __future__ import annotations

import sys

import pytest

from tests.fault_matrix import ENDPOINTS, cases_of, go_through


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.words)
def test_every_wrong_answer_of(endpoint, tmp_path, capsys):
    counts, wrong = go_through(endpoint, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{counts}\n")
    assert not wrong, "\n".join(wrong)


def test_the_matrix_is_whole():
    assert len({endpoint.words for endpoint in ENDPOINTS}) == 15
    assert sum(len(cases_of(endpoint)) for endpoint in ENDPOINTS) >= 15 * 22
