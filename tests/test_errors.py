"""Errors in words: where, what, and what to do."""

from __future__ import annotations

import pytest

from core.errors import InputError


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Is a directory", "a.csv: Is a directory. Check the path."),
        ("It is gone.", "a.csv: It is gone. Check the path."),
        ("What is this?", "a.csv: What is this? Check the path."),
    ],
)
def test_message_and_cure_are_two_sentences(message: str, words: str):
    assert str(InputError(message, where="a.csv", cure="Check the path.")) == words


def test_without_a_cure_the_message_stays_as_it_is():
    assert str(InputError("Is a directory")) == "Is a directory"
