from __future__ import annotations

import threading

import pytest
from loopback_server import Reply

from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.gateway import BasicCredential, Gateway
from tracker_service.sources.protection import Breaker, Pace, Protection

GUEST = BasicCredential("guest", "pw")


class Time:
    """A clock that sleepers move on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def opened() -> list[str]:
    return []


@pytest.fixture
def breaker(time, opened) -> Breaker:
    return Breaker("oozie", opened.append, time)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.enter()
        breaker.leave(was_answered=False)


def succeed(breaker: Breaker) -> None:
    breaker.enter()
    breaker.leave(was_answered=True)


def is_open(breaker: Breaker) -> bool:
    try:
        breaker.enter()
    except GatewayUnavailable:
        return True
    return False


def rest_of(breaker: Breaker, time: Time) -> float:
    """Wait until a request may try again; return for how long."""
    began = time.now
    while is_open(breaker):
        time.now += 0.01
    return time.now - began


def test_some_failures_do_no_harm(breaker):
    fail(breaker, 4)

    assert not is_open(breaker)


def test_after_five_failures_in_a_row_nobody_waits_any_more(breaker, opened):
    fail(breaker, 5)

    with pytest.raises(GatewayUnavailable, match="oozie did not answer 5 times in a row"):
        breaker.enter()
    assert opened == ["oozie"]


def test_one_answer_and_the_counting_begins_anew(breaker):
    fail(breaker, 4)
    succeed(breaker)
    fail(breaker, 4)

    assert not is_open(breaker)


def test_after_the_rest_exactly_one_request_may_try(breaker, time):
    fail(breaker, 5)
    rest_of(breaker, time)

    assert is_open(breaker)
    time.now += 100
    assert is_open(breaker)


def test_if_the_try_succeeds_all_may(breaker, time):
    fail(breaker, 5)
    rest_of(breaker, time)
    breaker.leave(was_answered=True)

    assert not is_open(breaker)
    assert not is_open(breaker)


def test_each_try_in_vain_makes_the_rest_longer_up_to_the_longest(breaker, time):
    fail(breaker, 5)
    for longest in (1, 2, 4, 8, 15, 15, 15):
        assert 0.69 * longest <= rest_of(breaker, time) <= longest + 0.02
        breaker.leave(was_answered=False)


def test_after_an_outage_the_rests_begin_short_again(breaker, time):
    fail(breaker, 5)
    for _ in range(5):
        rest_of(breaker, time)
        breaker.leave(was_answered=False)
    rest_of(breaker, time)
    breaker.leave(was_answered=True)

    fail(breaker, 5)

    assert rest_of(breaker, time) <= 1.02


def test_requests_that_were_under_way_when_it_opened_prolong_nothing(breaker, time, opened):
    for _ in range(8):
        breaker.enter()
    for _ in range(8):
        breaker.leave(was_answered=False)

    assert opened == ["oozie"]
    assert rest_of(breaker, time) <= 1.02


def test_a_late_answer_shows_that_it_is_there(breaker):
    breaker.enter()
    fail(breaker, 5)

    breaker.leave(was_answered=True)

    assert not is_open(breaker)


def test_a_service_that_is_away_closes_no_way_to_the_others(loopback, open_session):
    loopback.replies = [Reply(500, b"")] * 5 + [Reply(200, b"{}")]
    session = open_session(Gateway(url=f"{loopback.origin}/gateway/x"), GUEST)
    for _ in range(5):
        with pytest.raises(GatewayUnavailable):
            session.ask("GET", "oozie/v2/jobs")

    with pytest.raises(GatewayUnavailable, match="in a row"):
        session.ask("GET", "oozie/v2/jobs")

    assert session.ask("GET", "webhdfs/v1/").status == 200
    assert len(loopback.asked) == 6


@pytest.mark.parametrize("status", [401, 403, 404, 400])
def test_an_answer_that_refuses_is_an_answer(loopback, open_session, status):
    loopback.replies = [Reply(status, b"{}", {"oozie-error-code": "E0604"})] * 9
    session = open_session(Gateway(url=f"{loopback.origin}/gateway/x"), GUEST)

    for _ in range(9):
        assert session.ask("GET", "oozie/v2/jobs").status == status


def test_all_sessions_of_a_gateway_learn_from_each_other(loopback, open_session):
    loopback.replies = [Reply(500, b"")] * 5
    gateway = Gateway(url=f"{loopback.origin}/gateway/x")
    for number in range(5):
        session = open_session(gateway, BasicCredential(f"user-{number}", "pw"))
        with pytest.raises(GatewayUnavailable):
            session.ask("GET", "oozie/v2/jobs")

    with pytest.raises(GatewayUnavailable, match="in a row"):
        open_session(gateway, GUEST).ask("GET", "oozie/v2/jobs")


def test_a_redirect_takes_no_second_place(loopback, open_session):
    target = {"Location": f"{loopback.origin}/gateway/x/webhdfs/v1/b"}
    loopback.replies = [Reply(307, b"", target), Reply(200, b"{}")]
    gateway = Gateway(
        url=f"{loopback.origin}/gateway/x", protection=Protection(places=1, place_wait_s=0.1)
    )

    answer = open_session(gateway, GUEST).get(f"{gateway.url}/webhdfs/v1/a")

    assert answer.status_code == 200


def test_who_gets_no_place_in_time_is_told_so():
    protection = Protection(places=1, place_wait_s=0.01)
    with (
        protection.request("oozie"),
        pytest.raises(GatewayUnavailable, match="1 requests"),
        protection.request("webhdfs"),
    ):
        pytest.fail("the block was entered")


def test_a_place_is_given_back_whatever_happens():
    protection = Protection(places=1, place_wait_s=0.01)
    with pytest.raises(KeyError), protection.request("oozie"):
        raise KeyError
    with protection.request("oozie") as attempt:
        attempt.was_answered = True


def test_who_waits_for_a_place_gets_it_when_one_is_free():
    protection, has_begun, may_end = Protection(places=1), threading.Event(), threading.Event()

    def first() -> None:
        with protection.request("oozie"):
            has_begun.set()
            may_end.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    has_begun.wait(10)
    threading.Timer(0.05, may_end.set).start()

    with protection.request("oozie"):
        assert may_end.is_set()
    thread.join()


def test_requests_pass_at_their_rate(time):
    pace = Pace(50, time, time.sleep)
    began = time.now

    for _ in range(500):
        pace.wait()

    assert time.now - began == pytest.approx(10, abs=0.3)


def test_who_was_quiet_for_long_saves_no_more_than_a_moment(time):
    pace = Pace(50, time, time.sleep)
    time.now += 3600
    began = time.now

    for _ in range(100):
        pace.wait()

    assert time.now - began >= 1.7


def test_workers_share_the_rate(time):
    pace = Pace(50, time, time.sleep)
    pace.share(4)
    began = time.now

    for _ in range(100):
        pace.wait()

    assert time.now - began == pytest.approx(8, abs=0.5)
