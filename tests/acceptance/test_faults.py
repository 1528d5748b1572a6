"""Every fault on the way to the gateway: each accepted job is kept, and handled once."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import TypeVar

import pytest
import requests

from tests.acceptance.conftest import Run
from tests.acceptance.service import RunningService
from tests.faults import FAULTS, Fault, FaultyWay
from tests.stands import SandboxStand, access
from tests.waiting import until

Result = TypeVar("Result")

pytestmark = pytest.mark.slow

IMPATIENT = {
    "TRACKER_GATEWAY__CONNECT_TIMEOUT_S": 1,
    "TRACKER_GATEWAY__READ_TIMEOUT_S": 1,
    "TRACKER_POLLING__MAX_INTERVAL_S": 2,
}
LASTS_S = 4.0  #: long enough for several tries
AT_ONCE_S = 0.5  #: much less than a request waits for who does not answer
OTHERS = [f"another{number}" for number in range(5)]  #: the machine may hold one up, not all
STORM = 40  #: requests in a tenth of a second; a process has 24 at once


@pytest.fixture(scope="module")
def way(sandbox: SandboxStand) -> Iterator[FaultyWay]:
    with FaultyWay(sandbox).running() as way:
        yield way
        way.heal()


@pytest.fixture(scope="module")
def service(
    sandbox: SandboxStand, way: FaultyWay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningService]:
    """One service that goes through all of it."""
    state_dir = tmp_path_factory.mktemp("faults") / "state"
    service = RunningService(sandbox, state_dir, TRACKER_GATEWAY__URL=way.url, **IMPATIENT)
    yield service
    service.end()


def post_while_it_lasts(service: RunningService, sandbox: SandboxStand, fault: Fault) -> list[str]:
    """Post new jobs until the fault has struck, and return those that were answered with 200."""
    taken, end = [], time.monotonic() + LASTS_S
    while time.monotonic() < end or not fault.met:
        job = sandbox.start("fail")
        answer = service.post([job])
        assert answer.status_code in (200, 401, 503), answer.text
        if answer.status_code == 200:
            taken.append(job)
        time.sleep(0.5)
    return taken


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_that_heals_loses_nothing_and_does_nothing_twice(
    service: RunningService, sandbox: SandboxStand, way: FaultyWay, kind: str
) -> None:
    jobs, endless = [sandbox.start("fail") for _ in range(3)], sandbox.start("sleep")
    began = time.monotonic()
    until(lambda: service.post([*jobs, endless]).status_code, lambda status: status == 200)

    with way.broken(kind) as fault:
        jobs += post_while_it_lasts(service, sandbox, fault)
    jobs.append(sandbox.start("fail"))
    until(lambda: service.post([jobs[-1]]).status_code, lambda status: status == 200)

    assert fault.met
    for job in jobs:
        assert_saved_once(service, sandbox, way, job)
    assert service.status(endless) == "RUNNING"
    assert service.live_tasks(endless) == 1
    assert submitted_twice(sandbox) == []
    assert way.busiest(0.1, began) <= STORM


def submitted_twice(sandbox: SandboxStand) -> list[str]:
    """Return the tries of copies that were submitted more than once: each has a name of its own."""
    names = Counter(job.definition.name for job in sandbox.server.cluster.jobs.values())
    return [name for name, count in names.items() if "tracker-copy-" in name and count > 1]


def assert_saved_once(
    service: RunningService, sandbox: SandboxStand, way: FaultyWay, job: str
) -> None:
    """Show from outside that the log of a job is there as YARN has it, and was published once."""
    [(application, copy)] = service.wait_saved(job).items()
    assert copy["status"] == "SUCCEEDED", copy
    name = f"application_{copy['application']}"
    path = f"/user/guest/WORK/logs/{job}/{name}.log"
    hdfs = access(sandbox).hdfs
    assert b"".join(hdfs.read(path)) == sandbox.yarn_logs(name, "guest"), application
    assert {file.name for file in hdfs.list(path.rpartition("/")[0])} == {
        f"{name}.log",
        "manifest.json",
    }
    assert way.renames()[path] == 1


def test_a_submission_whose_answer_is_lost_is_not_made_again(
    sandbox: SandboxStand, way: FaultyWay, run: Run
) -> None:
    settings = IMPATIENT | {"TRACKER_COPYING__STRATEGY": "workflow"}
    service = run(sandbox, TRACKER_GATEWAY__URL=way.url, **settings)
    before, job = way.submissions(), sandbox.start("fail")

    with way.broken("reset", "^POST .*/oozie/v2/jobs") as fault:
        service.track(job)
        until(lambda: fault.met)

    assert_saved_once(service, sandbox, way, job)
    assert way.submissions() - before == 1


def test_a_dead_oozie_leaves_hdfs_open_and_lets_ids_in_at_once(
    service: RunningService, sandbox: SandboxStand, way: FaultyWay
) -> None:
    saved, watched = sandbox.start("fail"), sandbox.start("sleep")
    until(lambda: service.post([saved, watched]).status_code, lambda status: status == 200)
    [copy] = service.wait_saved(saved).values()

    with way.broken("hang", "/oozie/"):
        until(lambda: open_circuits(service), lambda told: "oozie" in told)
        for _ in range(6):  # the API's own circuit opens too
            service.track(sandbox.start("sleep"))
        late = [sandbox.start("fail") for _ in OTHERS]
        took = [timed(partial(service.track, job))[0] for job in late]
        log = service.get(f"job/{saved}/logs")

    assert min(took) < AT_ONCE_S
    expected = sandbox.yarn_logs(f"application_{copy['application']}", "guest")
    assert log.content == expected
    for job in late:
        assert_saved_once(service, sandbox, way, job)
    service.track(sandbox.start("sleep"))  # the API's circuit closes when it has asked
    until(lambda: open_circuits(service), lambda told: not told)
    assert "circuit_opened" in service.log.read_text()
    assert "circuit_closed" in service.log.read_text()


def timed(do: Callable[[], Result]) -> tuple[float, Result]:
    """Do something, and return how many seconds it took and what came of it."""
    began = time.monotonic()
    result = do()
    return time.monotonic() - began, result


def open_circuits(service: RunningService) -> set[str]:
    text = requests.get(f"{service.url}/metrics", timeout=120).text
    beginning, end = 'tracker_gateway_circuit_open{route="', '"} 1.0'
    lines = [line for line in text.splitlines() if line.startswith(beginning)]
    return {line[len(beginning) : -len(end)] for line in lines if line.endswith(end)}


def test_who_cannot_be_verified_is_told_quickly_when_to_come_back(
    service: RunningService, sandbox: SandboxStand, way: FaultyWay
) -> None:
    job = sandbox.start("sleep")

    def ask(user: str) -> requests.Response:
        return requests.post(
            f"{service.url}/api/task/track/", json=[job], auth=(user, "x"), timeout=120
        )

    with way.broken("503"):
        for number in range(6):
            assert ask(f"user{number}").status_code == 503
        answers = {user: timed(partial(ask, user)) for user in OTHERS}

    # One may be let through to see whether the gateway is back.
    reached = {each.authorization for each in way.passed}
    held_back = [user for user in OTHERS if basic(user) not in reached]
    took, answer = min((answers[user] for user in held_back), key=itemgetter(0))
    assert took < AT_ONCE_S
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "is asked again in" in answer.json()["detail"]


def basic(user: str) -> str:
    """Return the header by which a user with the password `x` logs in."""
    return f"Basic {base64.b64encode(f'{user}:x'.encode()).decode()}"


def test_refused_credentials_are_used_no_more(
    service: RunningService, sandbox: SandboxStand, way: FaultyWay
) -> None:
    jobs = [sandbox.start("sleep") for _ in range(20)]
    until(lambda: service.post(jobs).status_code, lambda status: status == 200)
    refused = "SELECT 1 FROM credentials WHERE refusals > 0"

    with way.broken("401") as fault:
        until(lambda: service.query(refused))
        looks = looks_in_vain(service)
        until(lambda: looks_in_vain(service), lambda count: count >= looks + 3)

        assert fault.met <= 2


def looks_in_vain(service: RunningService) -> int:
    return service.log.read_text().count("look_failed")


def test_after_an_outage_thousands_of_due_jobs_are_asked_about_at_a_steady_pace(
    sandbox: SandboxStand, run: Run
) -> None:
    with FaultyWay(sandbox).running() as way:  # of its own: nobody else asks through it
        service = run(
            sandbox,
            TRACKER_GATEWAY__URL=way.url,
            TRACKER_POLLING__IDS_PER_REQUEST=10,
            TRACKER_GATEWAY__REQUESTS_PER_S=10,
            **IMPATIENT,
        )
        jobs = {user: [sandbox.start("sleep", user) for _ in range(750)] for user in USERS}
        for user in USERS:  # who is verified now need not be while it lasts
            service.track(jobs[user][0], user=user)

        with way.broken("503", "/oozie/"):
            for user in USERS:
                service.track(*jobs[user], user=user)
            until(lambda: open_circuits(service), lambda told: "oozie" in told)
        healed = time.monotonic()
        known = "SELECT count(*) FROM jobs WHERE status = 'RUNNING'"
        until(lambda: service.query(known)[0][0], lambda count: count >= 1000)

        took = time.monotonic() - healed
        asked = [p for p in way.passed if p.at > healed and "/oozie/" in p.target]
        assert len(asked) <= 10 * (took + 0.5) + 2
        # the burst, the pace, and what the machine held up
        assert way.busiest(0.1, healed, "/oozie/") <= 2 + 1 + 3
        service.end()


USERS = ("guest", "sam", "tom", "admin")
