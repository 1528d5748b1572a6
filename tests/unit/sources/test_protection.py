from __future__ import annotations

import random
import threading
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from tests.unit.fakes import Ticks
from tracker_service.errors import GatewayUnavailable
from tracker_service.sources.protection import Circuit, Health, Protection

JOBS = "oozie/v2/jobs"


class Watched:
    """A circuit, the seconds it lives in, and what it has told."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks
        self.told: list[tuple[str, str, float]] = []
        self.circuit = Circuit(
            "oozie", lambda *change: self.told.append(change), ticks.monotonic, random.Random(7)
        )

    def ask(self, sign: Health, path: str = JOBS) -> None:
        self.circuit.leave(self.circuit.enter(), sign, path, "answered 500")

    def fail(self, times: int, path: str = JOBS) -> None:
        for _ in range(times):
            self.ask(Health.DEAD, path)

    def is_open(self) -> bool:
        try:
            self.circuit.look()
        except GatewayUnavailable:
            return True
        return False


@pytest.fixture
def watched() -> Watched:
    return Watched(Ticks())


def test_a_circuit_opens_after_five_failures_in_a_row(watched):
    watched.fail(4)
    assert not watched.is_open()

    watched.fail(1)

    assert watched.is_open()
    assert watched.told == [("oozie", True)]


def test_an_answer_in_between_begins_the_count_anew(watched):
    watched.fail(4)
    watched.ask(Health.ALIVE)
    watched.fail(4)

    assert not watched.is_open()


def test_what_says_nothing_neither_counts_nor_begins_anew(watched):
    watched.fail(4)
    watched.ask(Health.NONE)
    assert not watched.is_open()

    watched.fail(1)

    assert watched.is_open()


def test_one_job_about_which_nobody_can_answer_opens_nothing(watched):
    watched.fail(50, "oozie/v2/job/slow")

    assert not watched.is_open()


def test_two_such_jobs_are_no_accident(watched):
    watched.fail(4, "oozie/v2/job/slow")
    watched.fail(1, "oozie/v2/job/other")

    assert watched.is_open()


def test_who_is_refused_learns_when_to_come_back(watched):
    watched.fail(5)

    with pytest.raises(GatewayUnavailable, match=r"oozie behind the gateway .* in 1 s") as caught:
        watched.circuit.enter()

    assert caught.value.retry_after_s == 1


def test_exactly_one_request_probes_when_the_pause_is_over(watched):
    watched.fail(5)
    watched.ticks.now += 1

    watched.circuit.enter()

    assert watched.is_open()


def test_an_answer_to_the_probe_closes_the_circuit(watched):
    watched.fail(5)
    watched.ticks.now += 1

    watched.ask(Health.ALIVE)

    assert not watched.is_open()
    assert watched.told == [("oozie", True), ("oozie", False)]
    watched.fail(4)
    assert not watched.is_open()


def test_a_probe_that_says_nothing_lets_the_next_one_through(watched):
    watched.fail(5)
    watched.ticks.now += 1

    watched.ask(Health.NONE)

    assert not watched.is_open()
    assert watched.told == [("oozie", True)]


def test_the_pauses_grow_to_a_minute_and_are_never_quite_the_same(watched):
    pauses = []
    watched.fail(5)
    for _ in range(10):
        began = watched.ticks.now
        while watched.is_open():
            watched.ticks.now += 0.01
        pauses.append(watched.ticks.now - began)
        watched.ask(Health.DEAD)

    for number, pause in enumerate(pauses):
        longest = min(2.0**number, 60)
        assert 0.7 * longest <= pause <= longest + 0.02
    assert len({round(pause, 3) for pause in pauses[6:]}) > 1


def test_a_late_answer_from_before_changes_nothing(watched):
    late = watched.circuit.enter()
    watched.fail(5)

    watched.circuit.leave(late, Health.ALIVE, JOBS, "")

    assert watched.is_open()


def test_each_change_is_one_line_of_the_log(watched):
    with capture_logs() as lines:
        watched.fail(5)
        watched.ticks.now += 1
        watched.ask(Health.ALIVE)
        watched.ask(Health.ALIVE)

    assert [line["event"] for line in lines] == ["circuit_opened", "circuit_closed"]
    assert lines[0]["reason"] == "answered 500"


def test_who_finds_no_place_in_time_is_told_so():
    protection = Protection(max_concurrent=2, place_wait_s=0.01)

    with protection.admitted(JOBS), protection.admitted(JOBS):
        with pytest.raises(GatewayUnavailable, match="2 requests to the gateway are on their way"):
            protection.admitted(JOBS).__enter__()

        with protection.admitted("webhdfs/v1/x", is_streamed=True):
            pass

    with protection.admitted(JOBS):
        pass


def test_a_place_is_free_again_whatever_happened():
    protection = Protection(max_concurrent=1, place_wait_s=0.01)

    for _ in range(3):
        with suppress(ZeroDivisionError), protection.admitted(JOBS):
            raise ZeroDivisionError
    with protection.admitted(JOBS):
        pass


def test_who_waits_for_a_place_gets_it_when_one_is_free():
    protection, entered = Protection(max_concurrent=1, place_wait_s=180), threading.Event()

    def enter() -> None:
        with protection.admitted(JOBS):
            entered.set()

    with protection.admitted(JOBS):
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.05)
    thread.join(180)

    assert entered.is_set()


def fail(protection: Protection, path: str, **signs: Health) -> None:
    for _ in range(5):
        with protection.admitted(path) as attempt:
            attempt.gateway = signs.get("gateway", Health.NONE)
            attempt.service = signs.get("service", Health.NONE)


def test_a_dead_oozie_does_not_close_hdfs():
    protection = Protection()
    fail(protection, JOBS, service=Health.DEAD, gateway=Health.ALIVE)

    with pytest.raises(GatewayUnavailable, match="oozie"):
        protection.admitted(JOBS).__enter__()
    with protection.admitted("webhdfs/v1/"):
        pass


def test_a_gateway_that_cannot_be_reached_closes_all():
    protection = Protection()
    fail(protection, JOBS, gateway=Health.DEAD)

    with pytest.raises(GatewayUnavailable, match=r"^the gateway did not answer"):
        protection.admitted("webhdfs/v1/").__enter__()


def test_a_probe_that_is_refused_elsewhere_is_not_lost():
    ticks = Ticks()
    protection = Protection(monotonic=ticks.monotonic, max_concurrent=1, place_wait_s=0.01)
    fail(protection, JOBS, gateway=Health.DEAD)
    ticks.now += 1
    with protection._place(False), suppress(GatewayUnavailable):  # no place for the probe
        protection.admitted(JOBS).__enter__()

    with protection.admitted(JOBS) as attempt:
        attempt.gateway = Health.ALIVE

    with protection.admitted("webhdfs/v1/"):
        pass
