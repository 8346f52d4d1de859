"""Code Ocean's HTTP door: what is repeated and what never is, how answers are sorted, and a token that nobody sees."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from core.errors import (
    AccessError,
    NotFoundError,
    PlatformError,
    RefusedError,
    ThrottledError,
    UnavailableError,
    UnclearError,
)
from core.platforms.code_ocean.api import Budget, CodeOceanApi
from tests.fake_code_ocean import TOKEN, FakeCodeOcean
from tests.fake_code_ocean_faults import FAULTS
from tests.fake_code_ocean_state import CONVERTER
from tests.fake_code_ocean_storage import wait_for
from tests.light_s3 import Answer, LightS3

EFFECT = {"name": "an asset", "tags": ["x"], "mount": "an asset", "source": {"aws": {"bucket": "b", "prefix": "p"}}}
SEARCH = ("POST", "data_assets/search")


class Place:
    def __init__(self, fake: FakeCodeOcean) -> None:
        self.fake = fake
        self.slept: list[float] = []
        self.api = self.of()

    def of(self, token: str = TOKEN, **more: object) -> CodeOceanApi:
        given = {"min_version": "4.0.0", "sleep": self.slept.append, "draw": lambda: 1.0, "read_s": 5.0, **more}
        return CodeOceanApi(self.fake.url, SecretStr(token), **given)  # type: ignore[arg-type]

    def search(self) -> object:
        return self.api.read(*SEARCH, body={"limit": 1})


@pytest.fixture
def place() -> Iterator[Place]:
    with FakeCodeOcean() as fake:
        yield Place(fake)


# --- reads are repeated, with care ----------------------------------------------------------------


@pytest.mark.parametrize("fault", ["500", "429", "503", "502_html", "reset_before", "cut", "truncated", "html"])
def test_a_read_survives_two_bad_answers(place: Place, fault: str):
    place.fake.faults.add(fault, times=2)
    assert place.search() == {"has_more": False, "results": []}
    assert place.fake.count() == place.api.requests == 3
    assert len(place.slept) == 2
    assert place.slept[0] < place.slept[1]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("500", UnavailableError),
        ("429", ThrottledError),
        ("502_html", UnavailableError),
        ("truncated", UnavailableError),
    ],
)
def test_a_read_gives_up_after_three_tries(place: Place, fault: str, kind: type[Exception]):
    place.fake.faults.add(fault, times=None)
    with pytest.raises(kind):
        place.search()
    assert place.fake.count() == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("400", RefusedError), ("422", RefusedError), ("401", AccessError), ("403", AccessError), ("404", NotFoundError)],
)
def test_a_clear_no_is_asked_for_once(place: Place, fault: str, kind: type[Exception]):
    place.fake.faults.add(fault, times=None)
    with pytest.raises(kind):
        place.search()
    assert place.fake.count() == 1
    assert place.slept == []


def test_a_pause_that_is_asked_for_is_kept(place: Place):
    place.fake.faults.add("429", retry_after="7")
    place.search()
    assert place.slept == [7.0]


def test_a_pause_that_is_too_long_is_told_instead(place: Place):
    place.fake.faults.add("429_retry_after_date", times=None)
    with pytest.raises(ThrottledError) as caught:
        place.search()
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 86_400
    assert place.fake.count() == 1


def test_a_server_that_is_away_is_unavailable(place: Place):
    with place.fake.down(), pytest.raises(UnavailableError):
        place.search()


def test_one_try_is_one_request(place: Place):
    place.fake.faults.add("500", times=None)
    with pytest.raises(UnavailableError):
        place.api.read(*SEARCH, body={"limit": 1}, tries=1)
    assert place.fake.count() == 1


def test_connections_are_used_again_by_whatever_thread():
    with LightS3({}) as server:
        server.fault = lambda _: Answer(body=b'{"results": []}')
        api = CodeOceanApi(server.url, SecretStr(TOKEN), min_version="4.0.0")
        for _ in range(5):
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(api.read, *SEARCH).result() == {"results": []}
        assert (api.requests, server.connections) == (5, 1)


# --- effects are sent once ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"latency", "drip", "refuse"}))
def test_an_effect_is_sent_once_whatever_the_answer(place: Place, fault: str):
    place.fake.faults.add(fault, times=None)
    try:
        place.api.effect("POST", "data_assets", body=EFFECT)
    except UnclearError:
        pass  # it is looked for, whether it was made or not
    except PlatformError:
        assert place.fake.ledger == [], "an effect that was made counts as not made"
    else:
        assert len(place.fake.ledger) == 1
    assert place.fake.count("POST", "data_assets") == 1
    assert place.slept == []


def test_an_effect_to_a_server_that_is_away_was_not_sent(place: Place):
    with place.fake.down(), pytest.raises(UnavailableError):
        place.api.effect("POST", "data_assets", body=EFFECT)


def test_a_body_that_drips_for_too_long_is_given_up_while_it_drips(place: Place):
    place.fake.faults.add("drip", seconds=6.0, method="POST", endpoint="data_assets")
    with pytest.raises(UnclearError, match="too slow"):
        place.of(body_s=0.1).effect("POST", "data_assets", body=EFFECT)
    [made] = place.fake.ledger
    wait_for(lambda: made.answered is False)  # else it was read to its end


# --- the token ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["", "401", "500", "reset_before", "truncated", "502_html", "429"])
def test_the_token_is_never_shown(place: Place, caplog: pytest.LogCaptureFixture, fault: str):
    caplog.set_level(logging.DEBUG)
    if fault:
        place.fake.faults.add(fault, times=None)
    seen = [repr(place.api), str(place.api)]
    for call in (place.search, lambda: place.api.effect("POST", "data_assets", body=EFFECT)):
        try:
            call()
        except PlatformError as error:
            seen += [str(error), repr(error), "".join(traceback.format_exception(error))]
    text = "\n".join([*seen, caplog.text])
    assert place.fake.url.rpartition(":")[2] in text, "nothing was logged, so nothing was tried"
    assert TOKEN not in text
    assert "Basic " not in text


def test_a_wrong_token_says_what_to_set(place: Place):
    with pytest.raises(AccessError, match="CODE_OCEAN_API_TOKEN"):
        place.of("cop_another").read(*SEARCH, body={"limit": 1})


def test_a_server_that_is_too_old_says_so(place: Place):
    with pytest.raises(RefusedError, match=r"9\.9\.9"):
        place.of(min_version="9.9.9").read(*SEARCH, body={"limit": 1})


# --- the budget -----------------------------------------------------------------------------------


def test_the_budget_spreads_requests_over_time():
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    budget = Budget(2.0, reserve=3.0, now=lambda: clock[0], sleep=sleep)
    times = []
    for _ in range(9):
        budget.spend()
        times.append(clock[0])
    assert times[:3] == [0.0, 0.0, 0.0]
    assert times[3:] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]


def test_a_server_that_repeats_the_token_does_not_give_it_away(place: Place):
    mounts = [{"id": TOKEN, "mount": "m"}, {"id": "x", "mount": "n"}]
    with pytest.raises(RefusedError, match=r"\(token\) not found") as caught:
        place.api.effect("POST", "computations", body={"capsule_id": CONVERTER, "data_assets": mounts})
    assert TOKEN not in str(caught.value)
