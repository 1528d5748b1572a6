"""`tracker track --wait`, in front of a loopback server that plays a service."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.unit.loopback_server import Asked, Loopback, Reply
from tracker_service import cli
from tracker_service.cli import waiting
from tracker_service.cli.live import LiveDisplay
from tracker_service.cli.options import CannotTell
from tracker_service.cli.waiting import LineDisplay, Seen, Waiter
from tracker_service.client import Job, JobAction, LogCopy, TrackerClient, TrackerClientError

JOB = "0000001-261122041514971-oozie-test-W"
OTHER = "0000002-261122041514971-oozie-test-W"


def says(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


class Service:
    """Plays a service: each look at a job brings it one step further."""

    def __init__(self) -> None:
        self.lives: dict[str, list[tuple[str, str | None]]] = {}  # job state, copy state
        self.now: dict[str, tuple[str, str | None]] = {}
        self.outages: list[Reply] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.endswith("/copy-logs/"):
            unknown = [each for each in json.loads(asked.body) if each not in self.lives]
            told = {"finished": False, "succeeded": False, "jobs": [], "not-found": unknown}
            return says(told)
        if asked.method == "POST":
            return says([self.answered(each) for each in json.loads(asked.body)])
        if self.outages:
            return self.outages.pop(0)
        job_id = asked.path.split("/")[3]
        if asked.path.endswith("/logs/status"):
            finished = self.now[job_id][1] in (None, "SUCCEEDED", "FAILED")
            return says({"finished": finished, "succeeded": finished, "jobs": {}})
        life = self.lives[job_id]
        self.now[job_id] = life.pop(0) if len(life) > 1 else life[0]
        return says(self.view(job_id, *self.now[job_id]))

    def answered(self, job_id: str) -> dict[str, object]:
        return {"id": job_id, "status": "RUNNING" if job_id in self.lives else "NOT_FOUND"}

    def view(self, job_id: str, status: str, copy: str | None) -> dict[str, object]:
        return {
            "id": job_id,
            "status": status,
            "actions": [
                {"name": ":start:", "type": ":START:", "status": "OK"},
                {"name": "load", "type": "shell", "status": status},
            ],
            "log-jobs": {"1_1": {"application": "1_1", "status": copy}} if copy else {},
        }


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def service(loopback: Loopback) -> Service:
    service = Service()
    loopback.says(service)
    return service


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def waiter(loopback: Loopback, clock: Clock) -> Iterator[Callable[..., Waiter]]:
    tracker = TrackerClient(loopback.origin, "guest", "guest-password", sleep=clock.sleep)

    def make(timeout_s: float | None = None) -> Waiter:
        return Waiter(tracker, LineDisplay(), timeout_s)

    yield make
    tracker.close()


@pytest.fixture
def track(loopback: Loopback, clock: Clock) -> Callable[..., Result]:
    """Runs `tracker track --wait`, or another verb."""
    login = {
        "TRACKER_URL": loopback.origin,
        "TRACKER_USER": "guest",
        "TRACKER_PASSWORD": "guest-password",
    }

    def run(*arguments: str, verb: str = "track") -> Result:
        return CliRunner().invoke(cli.main, [verb, "--wait", *arguments], env=login)

    return run


def test_a_job_that_succeeds_ends_with_0(track, service):
    service.lives[JOB] = [("RUNNING", None), ("RUNNING", None), ("SUCCEEDED", None)]

    told = track(JOB)

    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        f"{JOB} action load RUNNING",
        f"{JOB} RUNNING",
        f"{JOB} action load SUCCEEDED",
        f"{JOB} SUCCEEDED",
    ]
    assert told.stdout.startswith(f"{JOB} is SUCCEEDED\n")


@pytest.mark.parametrize("status", ["KILLED", "FAILED", "DONEWITHERROR"])
def test_a_job_that_fails_ends_with_1_once_its_logs_are_saved(track, service, status):
    service.lives[JOB] = [("RUNNING", None), (status, "WAITING"), (status, "SUCCEEDED")]

    told = track("--output", "json", JOB)

    assert told.exit_code == 1
    assert f"{JOB} log of 1_1 WAITING" in told.stderr.splitlines()
    [shown] = json.loads(told.stdout)
    assert (shown["status"], shown["log-jobs"]["1_1"]["status"]) == (status, "SUCCEEDED")


def test_all_jobs_are_waited_for_and_one_that_failed_is_enough_for_1(track, service):
    service.lives[JOB] = [("KILLED", "FAILED")]
    service.lives[OTHER] = [("RUNNING", None)] * 3 + [("SUCCEEDED", None)]

    told = track(JOB, OTHER)

    assert told.exit_code == 1
    assert f"{JOB} is KILLED" in told.stdout
    assert f"{OTHER} is SUCCEEDED" in told.stdout


def test_an_unknown_job_is_not_waited_for(track, service):
    service.lives[JOB] = [("SUCCEEDED", None)]

    told = track(JOB, OTHER)

    assert told.exit_code == 1
    assert told.stderr.splitlines()[-1] == f"Error: Oozie does not know {OTHER}"


@pytest.mark.parametrize(("copy", "code"), [("SUCCEEDED", 0), ("FAILED", 1)])
@pytest.mark.parametrize("status", ["SUCCEEDED", "KILLED"])
def test_the_logs_of_a_job_are_waited_for_however_it_ends(track, service, status, copy, code):
    service.lives[JOB] = [("RUNNING", None), (status, "WAITING"), (status, copy)]

    told = track(JOB, verb="copy-logs")

    assert told.exit_code == code
    assert told.stderr.splitlines()[-1] == f"{JOB} log of 1_1 {copy}"


def test_the_logs_of_an_unknown_job_are_not_waited_for(track, service):
    service.lives[JOB] = [("SUCCEEDED", "SUCCEEDED")]

    told = track(JOB, OTHER, verb="copy-logs")

    assert told.exit_code == 1
    assert told.stderr.splitlines()[-1] == f"Error: Oozie does not know {OTHER}"


def test_who_waits_for_a_time_only_is_told_what_is_not_over(track, service):
    service.lives[JOB] = [("SUSPENDED", None)]

    told = track("--timeout", "60", JOB)

    assert told.exit_code == 2
    assert told.stderr.splitlines()[-1] == (
        f"Error: not over after 60 s: {JOB}; the service goes on"
    )
    assert told.stdout == ""


def test_a_time_without_waiting_is_refused(loopback):
    told = CliRunner().invoke(
        cli.main, ["track", "--timeout", "1", JOB], env={"TRACKER_PASSWORD": "x"}
    )

    assert told.exit_code == 2
    assert "--wait" in told.stderr
    assert loopback.asked == []


def test_ctrl_c_ends_the_waiting_and_not_the_tracking(track, service, clock):
    service.lives[JOB] = [("RUNNING", None)]

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    clock.sleep = interrupted
    told = track(JOB)

    assert told.exit_code == 130
    assert "the service goes on" in told.stderr


def test_a_service_that_is_away_for_a_moment_is_asked_again(waiter, service, capsys):
    service.lives[JOB] = [("RUNNING", None), ("SUCCEEDED", None)]
    service.outages = [says({"message": "no worker lives."}, 502)] * 5

    [seen] = waiter().wait([JOB])

    assert seen.has_succeeded
    assert "no worker lives. Asking again." in capsys.readouterr().err


def test_a_service_that_stays_away_is_not_waited_for_for_ever(waiter, service, clock):
    service.lives[JOB] = [("RUNNING", None)]
    service.outages = [says({"message": "no worker lives."}, 502)] * 1000

    with pytest.raises(CannotTell, match=r"no worker lives. \(no answer for 180 s\)"):
        waiter().wait([JOB])

    assert clock.now == pytest.approx(182, abs=3)


def test_a_service_that_says_when_to_come_back_is_left_alone_until_then(waiter, service, clock):
    service.lives[JOB] = [("SUCCEEDED", None)]
    busy = json.dumps({"message": "too many requests"}).encode()
    service.outages = [Reply(429, busy, {"Retry-After": "45"})]

    waiter().wait([JOB])

    assert clock.now == 45


def test_a_time_limit_holds_while_the_service_is_away(waiter, service, clock):
    service.lives[JOB] = [("RUNNING", None)]
    service.outages = [says({"message": "away"}, 502)] * 1000

    with pytest.raises(CannotTell, match="not over after 9 s"):
        waiter(9).wait([JOB])

    assert clock.now == 9


def test_a_refusal_is_not_waited_for(waiter, service, loopback):
    service.lives[JOB] = [("RUNNING", None)]
    service.outages = [says({"message": "wrong password"}, 401)]

    with pytest.raises(TrackerClientError, match="wrong password"):
        waiter().wait([JOB])

    assert len(loopback.asked) == 1


def test_many_jobs_are_asked_about_less_often(waiter, service, clock):
    ids = [f"{number:07}-261122041514971-oozie-test-W" for number in range(40)]
    service.lives = {job_id: [("RUNNING", None), ("SUCCEEDED", None)] for job_id in ids}

    waiter().wait(ids)

    assert clock.now == 10


ACTIONS = (
    JobAction(name="load", type="shell", status="OK"),
    JobAction(name="[red]sum", type="shell", status="RUNNING"),
)


def drawn(*looks: Seen, notes: tuple[str, ...] = ()) -> str:
    """Return what a terminal shows in the end."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=80, color_system=None)
    with LiveDisplay(console) as display:
        for seen in looks:
            display.show(seen)
        for note in notes:
            display.note(note)
    return output.getvalue()


def test_the_live_display_shows_state_steps_and_the_running_action():
    job = Job(id=JOB, name="nightly", status="RUNNING", actions=ACTIONS, raw={})

    shown = drawn(Seen(job, False))

    assert "0000001-…-W nightly RUNNING" in shown
    assert "1/3" in shown
    assert "action [red]sum" in shown


def test_the_live_display_shows_what_a_copy_waits_for():
    copy = LogCopy(application="1_1", status="WAITING", reason="the log is not complete")
    job = Job(id=JOB, name="nightly", status="KILLED", actions=ACTIONS[:1], copies=(copy,), raw={})

    shown = drawn(Seen(job, False), notes=("the service is away",))

    assert "0000001-…-W nightly KILLED" in shown
    assert "1/3" in shown
    assert "log: the log is not complete" in shown
    assert "the service is away" in shown


def test_the_live_display_shows_why_the_tracking_does_not_go_on():
    job = Job(
        id=JOB,
        name="nightly",
        status="RUNNING",
        actions=ACTIONS,
        reason="the password is refused",
        raw={},
    )

    assert "the password is refused" in drawn(Seen(job, False))


def test_the_live_display_is_full_when_all_is_over():
    job = Job(id=JOB, name="nightly", status="SUCCEEDED", actions=ACTIONS[:1], raw={})

    shown = drawn(
        Seen(Job(id=JOB, name="nightly", status="RUNNING", raw={}), False), Seen(job, True)
    )

    last = shown.rpartition("RUNNING")[2]
    assert "0000001-…-W nightly SUCCEEDED" in last
    assert "2/2" in last


def test_lines_are_printed_where_there_is_no_terminal():
    assert isinstance(waiting.best_display(), LineDisplay)


def test_a_terminal_gets_the_live_display_if_rich_is_there(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    assert isinstance(waiting.best_display(), LiveDisplay)
    monkeypatch.setattr(waiting, "find_spec", lambda _: None)
    assert isinstance(waiting.best_display(), LineDisplay)
