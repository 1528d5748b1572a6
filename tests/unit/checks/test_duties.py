"""Checks on the engine: what is due runs once, wherever, and what changes is told."""

from __future__ import annotations

import socket
from datetime import timedelta

import pytest

from tests.unit.checks.endpoints import http
from tests.unit.fakes import Later
from tracker_service.checks.state import CheckState, Standing
from tracker_service.errors import StoreUnavailable
from tracker_service.store import checks, conditions, workers

MINUTELY = '  cron_schedule: "* * * * *"\n'


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def server(endpoint):
    return endpoint(http())


@pytest.fixture
def name(server, site):
    site.write(f"{server.authority}/:\n{MINUTELY}")
    return f"{server.authority}/"


def test_a_check_runs_at_its_due_times(site, name):
    worker = site.worker()
    worker.turn()
    assert site.runs(name) == []

    for _ in range(3):
        site.advance(60)
        worker.turn()

    runs = site.runs(name)
    assert [run.is_ok for run in runs] == [True] * 3
    assert {run.due_at.second for run in runs} == {0}
    assert runs[0].due_at - runs[1].due_at == timedelta(minutes=1)
    assert site.state(name) == "up"


def test_a_due_time_is_run_by_one_of_two_workers(site, server, name):
    first, second = site.worker(), site.worker()
    for worker in (first, second):
        worker.tend()
    site.advance(60)
    for worker in (first, second):
        worker.turn()

    assert len(site.runs(name)) == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("policy", "runs"), [("skip", 0), ("run_once", 1), ("run_all", 10), ("run_all(4)", 4)]
)
def test_what_was_missed_runs_as_the_check_wants(site, server, policy, runs):
    site.write(f"{server.authority}/:\n{MINUTELY}  on_missed: {policy}\n")
    site.worker().leases.give_back()
    site.advance(600)

    worker = site.worker()
    for _ in range(12):
        worker.turn()

    assert len(site.runs(f"{server.authority}/")) == runs


def test_all_runs_of_a_check_that_wait_are_recorded_at_once(site, server):
    site.write(f"{server.authority}/:\n{MINUTELY}  on_missed: run_all\n")
    site.worker().leases.give_back()
    site.advance(600)
    worker = site.worker()
    for _ in range(10):
        worker.do("check")

    worker.do("record_checks")

    due = [run.due_at for run in site.runs(f"{server.authority}/")]
    assert len(due) == 10
    assert due == sorted(due, reverse=True)


def test_a_worker_goes_on_where_another_one_has_stopped(site, name):
    first = site.worker()
    site.advance(60)
    first.turn()
    first.leases.give_back()
    second = site.worker()
    second.turn()
    assert len(site.runs(name)) == 1

    site.advance(60)
    second.turn()
    assert len(site.runs(name)) == 2


def test_what_a_worker_found_after_it_lost_its_lease_is_not_recorded(site, server, name):
    later = Later()
    slow = site.worker(later)
    site.advance(60)
    slow.do("check")
    with site.store.begin() as connection:
        workers.forget(connection, slow.id)
    slow.leases.give_back()
    other = site.worker()
    other.turn()

    later.calls.pop()()
    slow.do("record_checks")

    assert len(site.runs(name)) == 1
    assert len(server.requests) <= 2


def test_what_was_found_before_the_lease_was_lost_is_left_to_the_next_worker(site, name):
    slow = site.worker()
    site.advance(60)
    slow.do("check")
    slow.leases.give_back()
    slow.do("record_checks")
    assert site.runs(name) == []

    other = site.worker()
    other.turn()
    [run] = site.runs(name)
    assert run.worker == other.id


def test_results_wait_for_a_database_that_is_away(site, name):
    worker = site.worker()
    site.advance(60)
    worker.do("check")
    site.store.is_broken = True
    with pytest.raises(StoreUnavailable):
        worker.do("record_checks")
    site.store.is_broken = False

    worker.do("record_checks")

    assert len(site.runs(name)) == 1


def test_some_failures_in_a_row_change_the_state_and_are_told_once(site, endpoint):
    answers = [200, 500, 200, 500, 500, 500, 200]

    def next_one(connected, request):
        http(status=answers.pop(0))(connected, request)

    name = f"{endpoint(next_one).authority}/"
    site.write(f"{name}:\n{MINUTELY}  tags: [web]\n")
    worker = site.worker()
    states = []
    for _ in range(7):
        site.advance(60)
        worker.turn()
        states.append(site.state(name))

    assert states == ["up", "up", "up", "up", "down", "down", "up"]
    down, up = site.events("check.*")
    assert (down.type, down.subject, down.owner) == ("check.failed", name, None)
    assert down.data["error"] == "it answered 500"
    assert down.data["tags"] == ["web"]
    assert up.type == "check.recovered"


def test_maintenance_changes_no_state(site, endpoint):
    name = f"{endpoint(http(status=500)).authority}/"
    window = "{begin: '00:00', end: '00:00'}"
    site.write(f"{name}:\n{MINUTELY}  failures_in_a_row: 1\n  maintenance: {window}\n")
    worker = site.worker()
    site.advance(60)
    worker.turn()

    assert [run.in_maintenance for run in site.runs(name)] == [True]
    assert site.state(name) == "new"
    assert site.events("check.*") == []


def test_an_unchanged_check_keeps_its_phase_when_files_are_read_again(site, server, name):
    worker = site.worker()
    site.advance(30)
    site.write(f"{name}:\n{MINUTELY}{server.authority}/more:\n{MINUTELY}")
    worker.do("enrol_checks")
    worker.tend()
    site.advance(30)
    worker.turn()

    assert len(site.runs(name)) == 1
    site.advance(60)
    worker.turn()
    assert len(site.runs(f"{server.authority}/more")) == 2


def test_a_changed_check_is_asked_as_it_is_now(site, server, name):
    worker = site.worker()
    site.write(f"{name}:\n{MINUTELY}  method: HEAD\n")
    worker.do("enrol_checks")
    worker.tend()
    site.advance(60)
    worker.turn()

    assert server.requests[0].startswith(b"HEAD ")


def test_a_bad_file_is_told_and_its_last_good_version_stays(site, name):
    worker = site.worker()
    site.write(f"{name}:\n  cron_schedule: often\n")
    worker.do("enrol_checks")
    worker.tend()
    site.advance(60)
    worker.turn()

    assert len(site.runs(name)) == 1
    with site.store.read() as connection:
        [file] = checks.files(connection)
    assert (file.rule, file.line) == ("cron", 2)
    assert file.message == (
        f"{name}: cron_schedule: 'often' has 1 fields, not 5: minute hour day-of-month month "
        "day-of-week"
    )


def test_after_the_clock_was_set_due_times_are_computed_again(site, name):
    worker = site.worker()
    site.now.advance(hours=-1)
    for kind in worker._kinds:
        kind.clock_was_set()
    worker.turn()
    site.advance(3600 + 60)
    worker.turn()

    assert len(site.runs(name)) == 1


def test_more_checks_of_one_host_than_its_limit_wait_for_each_other(site, server):
    site.write("".join(f"{server.authority}/{n}:\n{MINUTELY}" for n in range(10)))
    later = Later()
    worker = site.worker(later, per_host=3)
    site.advance(60)
    worker.do("check")

    assert len(later.calls) == 3
    for call in later.calls:
        call()
    worker.do("record_checks")
    assert sum(len(site.runs(f"{server.authority}/{n}")) for n in range(10)) == 10


def test_runs_are_spread_but_lie_at_the_same_moments(site, server):
    site.write("".join(f"{server.authority}/{n}:\n{MINUTELY}" for n in range(20)))
    worker = site.worker(spread_s=50)
    counts = []
    for _ in range(12):
        site.advance(10)
        before = len(server.requests)
        worker.turn()
        counts.append(len(server.requests) - before)

    assert sum(counts[6:]) == 20
    assert max(counts) < 15
    assert all(
        run.late_ms <= 10_000 for n in range(20) for run in site.runs(f"{server.authority}/{n}")
    )


class TestOutOfReach:
    @pytest.fixture
    def name(self, site, server):
        """An endpoint that nobody reaches, beside one that everybody reaches."""
        name = f"127.0.0.1:{closed_port()}/"
        site.write(f"{name}:\n{MINUTELY}  failures_in_a_row: 1\n{server.authority}/:\n{MINUTELY}")
        return name

    def test_exactly_that_check_goes_to_another_worker_which_runs_the_same_due_time(
        self, site, server, name
    ):
        first, second = site.worker(), site.worker()
        with site.store.read() as connection:
            assert len(workers.living_ids(connection, "check")) == 2
        site.advance(60)
        first.turn()
        assert site.runs(name) == []
        assert len(site.runs(f"{server.authority}/")) == 1

        first.tend()
        second.tend()
        second.turn()

        [run] = site.runs(name)
        assert run.worker == second.id
        assert site.state(name) == "down"

    def test_what_nobody_reaches_is_said_once_and_stays(self, site, server, name):
        first, second = site.worker(), site.worker()
        for _ in range(4):
            site.advance(60)
            for worker in (first, second):
                worker.tend()
                worker.turn()

        assert len(site.events("check.unreachable")) == 1
        assert [event.type for event in site.events("check.failed")] == ["check.failed"]
        assert len({run.worker for run in site.runs(name)}) == 1

    def test_when_it_is_reached_again_that_is_said(self, site, name):
        worker = site.worker()
        site.advance(60)
        worker.turn()
        with site.store.read() as connection:
            assert conditions.current(connection, conditions.CHECK_UNREACHABLE)
        port = int(name.rpartition(":")[2].rstrip("/"))
        with socket.create_server(("127.0.0.1", port)):
            site.advance(60)
            # It is reached, though it does not answer as HTTP.
            site.write(f"{name}:\n{MINUTELY}  timeout: 200ms\n")
            worker.do("enrol_checks")
            worker.tend()
            worker.turn()

        assert len(site.events("check.reachable")) == 1


class TestStanding:
    @pytest.mark.parametrize(
        ("state", "runs", "end"),
        [
            ("new", [True], "up"),
            ("new", [False], "new"),
            ("new", [False, False], "down"),
            ("up", [False, True, False], "up"),
            ("up", [False, False], "down"),
            ("down", [True], "up"),
        ],
    )
    def test_runs_in_a_row_change_it(self, check, now, state, runs, end):
        standing = Standing(CheckState(state), now())
        for is_ok in runs:
            standing = standing.after(check("h"), is_ok=is_ok, at=now())
        assert standing.state == end
