"""Stand-ins for the cluster, the clock and the threads, for tests that need no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.jobs import Action, JobDetails, JobId, JobStatus, Observation
from tracker_service.domain.tasks import Copy, CopyStatus
from tracker_service.errors import (
    ApplicationNotFound,
    CredentialsRefused,
    GatewayUnavailable,
    JobNotFound,
    PathNotFound,
)
from tracker_service.sources.gateway import BasicCredential
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.webhdfs import FileStatus
from tracker_service.sources.yarn import ApplicationReport, LogAggregation

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
ANSWERS = Path(__file__).parent / "answers"

APP_1 = ApplicationId("application_1795323341942_0002")
APP_2 = ApplicationId("application_1795323341942_0005")
APP_3 = ApplicationId("application_1795323341942_0006")


def known_bug(what: str) -> pytest.MarkDecorator:
    """Mark a test of behaviour that is not there yet; the mark has to go with the bug."""
    return pytest.mark.xfail(strict=True, reason=what)


def answer(name: str) -> bytes:
    """Return a recorded answer of a real cluster."""
    return (ANSWERS / f"{name}.json").read_bytes()


def job(number: int, letter: str = "W") -> JobId:
    return JobId(f"{number:07d}-261122045545966-oozie-test-{letter}")


def seen(job_id: JobId, status: str = "RUNNING", run: int = 0, **more) -> Observation:
    values = {"user": "guest", "name": "a job", "created_at": NOW, "observed_at": NOW}
    return Observation(id=job_id, status=JobStatus(status), run=run, **{**values, **more})


def action(workflow: JobId, name: str, external_id: str | None = None, **more) -> Action:
    values = {"type": "shell", "status": "OK"}
    return Action(id=f"{workflow}@{name}", name=name, external_id=external_id, **{**values, **more})


def sub_workflow(workflow: JobId, name: str, child: JobId) -> Action:
    return action(workflow, name, child, type="sub-workflow")


def details(job_id: JobId, status: str = "RUNNING", *actions: Action, **more) -> JobDetails:
    return JobDetails(observation=seen(job_id, status, **more), actions=actions)


def a_copy(**values) -> Copy:
    usual = {
        "id": "c0ffee",
        "task_id": 1,
        "owner": "guest",
        "job_id": job(1),
        "job_user": "guest",
        "job_ended_at": NOW,
        "application": APP_1,
        "status": CopyStatus.WAITING,
        "strategy": "workflow",
        "job": None,
        "path": f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log",
        "bytes": None,
        "attempt": 0,
        "failures": 0,
        "reason": "waits",
        "created_at": NOW,
    }
    return Copy(**{**usual, **values})


@dataclass
class Clock:
    """A clock that only moves when it is told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **how_far: float) -> None:
        self.now += timedelta(**how_far)


class AtOnce(Executor):
    """Runs what is submitted before `submit` returns."""

    def submit(self, call: Callable, /, *args, **named) -> Future:
        done: Future = Future()
        done.set_result(call(*args, **named))
        return done


class FakeOozie(Oozie):
    """Knows the jobs that it is given; groups ids as the real one does."""

    def __init__(self, ids_per_request: int = 100) -> None:
        self._ids_per_request = ids_per_request
        self.known: dict[JobId, JobDetails] = {}
        self.is_down = False
        self.left_out: set[JobId] = set()  #: of bulk answers
        self.troubles: dict[JobId, Exception] = {}  #: raised where details are asked for
        self.bulks: list[list[JobId]] = []
        self.asked: list[JobId] = []

    def has(self, *jobs: JobDetails) -> None:
        self.known |= {each.observation.id: each for each in jobs}

    def chunk(self, ids: Sequence[JobId]) -> dict[JobId, Observation]:
        self.bulks.append(list(ids))
        if self.is_down:
            raise GatewayUnavailable
        there = [each for each in ids if each in self.known and each not in self.left_out]
        return {each: self.known[each].observation for each in there}

    def details(self, job_id: JobId) -> JobDetails:
        self.asked.append(job_id)
        if self.is_down:
            raise GatewayUnavailable
        if job_id in self.troubles:
            raise self.troubles[job_id]
        if job_id not in self.known:
            raise JobNotFound
        return self.known[job_id]


@dataclass
class FakeYarn:
    """Knows the applications that it is given."""

    reports: dict[str, ApplicationReport] = field(default_factory=dict)
    tags: dict[str, ApplicationId] = field(default_factory=dict)
    trouble: Exception | None = None
    asked_tags: set[str] = field(default_factory=set)

    def has(self, application: ApplicationId, aggregation: str, user: str = "guest") -> None:
        self.reports[application] = ApplicationReport(
            id=application,
            user=user,
            state="FINISHED",
            final_status="FAILED",
            log_aggregation=LogAggregation(aggregation),
            diagnostics="",
        )

    def application(self, application: ApplicationId) -> ApplicationReport:
        if self.trouble:
            raise self.trouble
        if application not in self.reports:
            raise ApplicationNotFound
        return self.reports[application]

    def tagged(self, tags) -> list[tuple[ApplicationId, str]]:
        self.asked_tags |= set(tags)
        if self.trouble:
            raise self.trouble
        return [(app, tag) for tag, app in self.tags.items() if tag in tags]


@dataclass
class FakeHdfs:
    """Files by their path, and what is raised for some paths."""

    name: str = "guest"
    files: dict[str, bytes] = field(default_factory=dict)
    directories: dict[str, list[FileStatus]] = field(default_factory=dict)
    troubles: dict[str, Exception] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)

    def user(self) -> str:
        return self.name

    def read(self, path: str) -> Iterator[bytes]:
        if path in self.troubles:
            raise self.troubles[path]
        if path not in self.files:
            raise PathNotFound(f"{path}: there is no such file")
        return iter([self.files[path]])

    def list(self, path: str) -> list[FileStatus]:
        self.listed.append(path)
        if path in self.troubles:
            raise self.troubles[path]
        if path not in self.directories:
            raise PathNotFound
        return self.directories[path]


@dataclass
class FakeAccess:
    """What one identity sees of the fake cluster."""

    oozie: FakeOozie
    yarn: FakeYarn
    hdfs: FakeHdfs


PASSWORDS = {"guest": "guest-password", "sam": "sam-password"}


class FakeCluster:
    """A cluster with two users, whose gateway can be away or refuse everybody."""

    def __init__(self) -> None:
        self.oozie, self.yarn = FakeOozie(), FakeYarn()
        self.homes = {name: FakeHdfs(name) for name in PASSWORDS}
        self.is_away = False
        self.passwords = dict(PASSWORDS)
        self.verified: list[str] = []

    def access(self, credential: BasicCredential) -> FakeAccess:
        return FakeAccess(self.oozie, self.yarn, _Door(self, credential))


class _Door:
    """HDFS of a user, behind the gateway's check of credentials."""

    def __init__(self, cluster: FakeCluster, credential: BasicCredential) -> None:
        self._cluster, self._credential = cluster, credential

    def user(self) -> str:
        self._cluster.verified.append(self._credential.user)
        if self._cluster.is_away:
            raise GatewayUnavailable
        name = self._credential.user.lower()
        if self._cluster.passwords.get(name) != self._credential.password:
            raise CredentialsRefused
        return name

    def __getattr__(self, name: str):
        return getattr(self._cluster.homes[self._credential.user.lower()], name)
