"""Stand-ins for the cluster, the clock and the threads, for tests that need no network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.causes import Category, Cause, Retryable
from tracker_service.domain.copies import Copy, CopyStatus, Strategy
from tracker_service.domain.failures import Failure
from tracker_service.domain.jobs import (
    Action,
    Children,
    JobDetails,
    JobId,
    JobStatus,
    Observation,
)
from tracker_service.errors import (
    ApplicationNotFound,
    CredentialsRefused,
    GatewayUnavailable,
    JobNotFound,
    PathNotFound,
    RouteClosed,
    StoreUnavailable,
)
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.credentials import BasicCredential, Credential, TokenCredential
from tracker_service.sources.nodes import RunningContainer
from tracker_service.sources.oozie import Oozie
from tracker_service.sources.webhdfs import FileStatus, OpenFile, WebHdfs
from tracker_service.sources.yarn import ApplicationReport, LogAggregation, Yarn
from tracker_service.store.database import Connection, Store

Result = TypeVar("Result")

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
ANSWERS = Path(__file__).parent / "answers"

APP_1 = ApplicationId("application_1795323341942_0002")
APP_2 = ApplicationId("application_1795323341942_0005")
APP_3 = ApplicationId("application_1795323341942_0006")


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
        "application": APP_1,
        "status": CopyStatus.WAITING,
        "strategy": Strategy.WORKFLOW,
        "job": None,
        "path": f"/user/guest/WORK/logs/{job(1)}/{APP_1}.log",
        "bytes": None,
        "attempt": 0,
        "failures": 0,
        "reason": "waits",
        "created_at": NOW,
        "started_at": None,
        "log_at": NOW,
        "saved_at": NOW if values.get("status") == CopyStatus.SUCCEEDED else None,
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


@dataclass
class Ticks:
    """The seconds of a worker's monotonic clock; stands in for the module `time`."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


class FragileStore(Store):
    """A database whose transactions are lost, from the first one that writes on, when it breaks."""

    is_broken = False

    @contextmanager
    def begin(self) -> Generator[Connection, None, None]:
        with super().begin() as connection:
            yield connection
            if self.is_broken:
                raise StoreUnavailable


def a_cause(**more) -> Cause:
    usual = {
        "category": Category.APPLICATION_ERROR,
        "summary": "load.py failed with a ValueError",
        "hint": "look at the data",
        "retryable": Retryable.NO,
        "confidence": 0.9,
        "rule": "python-traceback",
        "fingerprint": "f1",
        "action": "work",
        "is_complete": True,
    }
    return Cause(**{**usual, **more})


@dataclass
class Engine:
    """Concludes what it is told to, and remembers what it was asked."""

    says: Cause | Exception | None = None
    asked: list[Failure] = field(default_factory=list)

    def __call__(self, failure: Failure) -> Cause | None:
        self.asked.append(failure)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says and replace(self.says, is_complete=failure.is_complete)


class AtOnce(Executor):
    """Runs what is submitted before `submit` returns."""

    def submit(self, call: Callable[..., Result], /, *args, **named) -> Future[Result]:
        done: Future[Result] = Future()
        done.set_result(call(*args, **named))
        return done


class Later(Executor):
    """Keeps what is submitted, until the test runs it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def submit(self, call: Callable[..., Result], /, *args, **named) -> Future[Result]:
        self.calls.append(partial(call, *args, **named))
        return Future()

    def run_all(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class FakeOozie(Oozie):
    """Knows the jobs that it is given; groups ids as the real one does."""

    def __init__(self, ids_per_request: int = 100) -> None:
        self._ids_per_request = ids_per_request
        self.known: dict[JobId, JobDetails] = {}
        self.is_down = False
        self.answers_bulks = False  #: also while it is down
        self.left_out: set[JobId] = set()  #: of bulk answers
        self.unlistable: set[JobId] = set()  #: spoil the bulk answer that they are in
        self.troubles: dict[str, Exception] = {}  #: raised where details or tries are asked for
        self.tries: dict[str, list[Action]] = {}  #: by the action's id
        self.bulks: list[list[JobId]] = []
        self.asked: list[JobId] = []
        self.asked_tries: list[str] = []
        self.started: dict[JobId, list[JobId | None]] = {}  #: by coordinators and bundles
        self.never_started: dict[JobId, list[Action]] = {}
        self.actions_per_page = 1000
        self.asked_children: list[tuple[JobId, int]] = []
        self.listings: list[dict[str, str]] = []
        self.submitted: list[bytes] = []
        self.killed: list[JobId] = []
        self.refusal: Exception | None = None  #: raised where a workflow is submitted
        self.loses_answers = False  #: a submitted workflow is started, and the answer gets lost

    def has(self, *jobs: JobDetails) -> None:
        self.known |= {each.observation.id: each for each in jobs}

    def chunk(self, ids: Sequence[JobId]) -> dict[JobId, Observation]:
        self.bulks.append(list(ids))
        if self.is_down and not self.answers_bulks:
            raise GatewayUnavailable
        if self.unlistable.intersection(ids):
            raise GatewayUnavailable("E0603")
        there = [each for each in ids if each in self.known and each not in self.left_out]
        return {each: self.known[each].observation for each in there}

    def details(self, job_id: JobId) -> JobDetails:
        self.asked.append(job_id)
        if self.is_down:
            raise GatewayUnavailable
        if job_id in self.troubles:
            raise self.troubles[job_id]
        if job_id not in self.known:
            raise JobNotFound(f"Oozie has no job {job_id}")
        return self.known[job_id]

    def children(self, job_id: JobId, page: int = 0) -> Children:
        self.asked_children.append((job_id, page))
        if self.is_down:
            raise GatewayUnavailable
        if job_id in self.troubles:
            raise self.troubles[job_id]
        if job_id not in self.known:
            raise JobNotFound(f"Oozie has no job {job_id}")
        started = self.started.get(job_id, [])
        first, last = page * self.actions_per_page, (page + 1) * self.actions_per_page
        return Children(
            observation=self.known[job_id].observation,
            started=tuple(started[first:last]),
            never_started=tuple(self.never_started.get(job_id, [])),
            is_last=last > len(started),
        )

    def earlier_tries(self, action: Action) -> list[Action]:
        self.asked_tries.append(action.id)
        if action.id in self.troubles:
            raise self.troubles[action.id]
        return self.tries.get(action.id, [])

    def listing(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        self.listings.append(dict(parameters))
        if self.is_down:
            raise GatewayUnavailable
        if self.refusal:
            raise self.refusal
        jobs = [
            {"id": each, "status": seen.observation.status} for each, seen in self.known.items()
        ]
        return {"total": len(jobs), "workflows": jobs, "offset": 1, "len": 50}

    def submit(self, configuration: bytes) -> JobId:
        self.submitted.append(configuration)
        if self.refusal:
            raise self.refusal
        new = job(700 + len(self.submitted))
        directory = configuration.decode().partition("<name>oozie.wf.application.path</name>")[2]
        copy, attempt = directory.partition("</value>")[0].split("/")[-2:]
        self.has(details(new, "RUNNING", name=f"tracker-copy-{copy}-{attempt}"))
        if self.loses_answers:
            raise GatewayUnavailable("no answer in time")
        return new

    def named(self, name: str, user: str) -> JobId | None:
        named = (each.observation for each in self.known.values())
        return next((seen.id for seen in named if (seen.name, seen.user) == (name, user)), None)

    def kill(self, job_id: JobId) -> None:
        self.killed.append(job_id)


@dataclass
class FakeYarn(Yarn):
    """Knows the applications that it is given."""

    reports: dict[str, ApplicationReport] = field(default_factory=dict)
    tags: dict[str, ApplicationId] = field(default_factory=dict)
    running: dict[ApplicationId, list[RunningContainer]] = field(default_factory=dict)
    trouble: Exception | None = None
    asked_tags: set[str] = field(default_factory=set)

    def has(
        self,
        application: ApplicationId,
        aggregation: str,
        user: str = "guest",
        state: str = "FINISHED",
        finished_at: datetime | None = None,
        diagnostics: str | None = None,
    ) -> None:
        self.reports[application] = ApplicationReport(
            id=application,
            user=user,
            state=state,
            log_aggregation=LogAggregation(aggregation),
            finished_at=finished_at,
            diagnostics=diagnostics,
        )

    def application(self, application: ApplicationId) -> ApplicationReport:
        if self.trouble:
            raise self.trouble
        if application not in self.reports:
            raise ApplicationNotFound
        return self.reports[application]

    def running_containers(self, application: ApplicationId) -> Iterator[RunningContainer]:
        return iter(self.running.get(application, []))

    def tagged(self, tags: Collection[str]) -> list[tuple[ApplicationId, str]]:
        self.asked_tags |= set(tags)
        if self.trouble:
            raise self.trouble
        return [(app, tag) for tag, app in self.tags.items() if tag in tags]


@dataclass
class FakeHdfs(WebHdfs):
    """Files by their path, and what is raised for some paths."""

    name: str = "guest"
    homes: str = "/user"
    files: dict[str, bytes] = field(default_factory=dict)
    directories: dict[str, list[FileStatus]] = field(default_factory=dict)
    troubles: dict[str, Exception] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    #: Kept, so that none closes by itself.
    streams: list[Generator[bytes, None, None]] = field(default_factory=list)

    def user(self) -> str:
        return self.name

    def home(self) -> str:
        return f"{self.homes}/{self.name}"

    def read(self, path: str) -> OpenFile:
        if path in self.troubles:
            raise self.troubles[path]
        if path not in self.files:
            raise PathNotFound(f"{path}: there is no such file")
        self.streams.append(self._pieces(path))
        return OpenFile(len(self.files[path]), self.streams[-1])

    def _pieces(self, path: str) -> Generator[bytes, None, None]:
        try:
            self.opened.append(path)
            yield self.files[path]
        finally:
            self.closed.append(path)

    def read_range(self, path: str, offset: int, length: int) -> Generator[bytes, None, None]:
        self._trouble_of(path)
        if path not in self.files:
            raise PathNotFound(f"{path}: there is no such file")
        self.ranges.append((path, offset, length))
        yield self.files[path][offset : offset + length]

    def list(self, path: str) -> list[FileStatus]:
        self.listed.append(path)
        if path in self.troubles:
            raise self.troubles[path]
        if path in self.directories:
            return self.directories[path]
        below = [p.removeprefix(f"{path}/") for p in self._paths() if p.startswith(f"{path}/")]
        if not below:
            raise PathNotFound(f"{path}: there is no such directory")
        files = [name for name in below if "/" not in name]
        directories = dict.fromkeys(name.partition("/")[0] for name in below if "/" in name)
        return [
            *(self.status(f"{path}/{name}") for name in files),
            *(_directory_status(name) for name in directories),
        ]

    def _paths(self) -> Sequence[str]:
        """Return the paths of all files, and of what a test puts into directories."""
        return [*self.files, *(f"{path}/" for path in (*self.directories, *self.troubles))]

    def status(self, path: str) -> FileStatus:
        self._trouble_of(path)
        if path not in self.files:
            raise PathNotFound(f"{path}: there is no such file")
        name, length = path.rpartition("/")[2], len(self.files[path])
        return FileStatus(
            name=name,
            is_directory=False,
            length=length,
            owner=self.name,
            permission="600",
            modified_ms=1,
        )

    def head(self, path: str, length: int) -> bytes:
        if path not in self.files:
            raise PathNotFound
        return self.files[path][:length]

    def make_directory(self, path: str, permission: str = "700") -> None:
        self._trouble_of(path)

    def write(self, path: str, content: bytes, permission: str = "600") -> None:
        self.files[path] = content

    def write_pieces(self, path: str, pieces: Iterable[bytes], permission: str = "600") -> None:
        self.files[path] = b""
        for piece in pieces:
            self.files[path] += piece
            self._trouble_of(path)

    def rename(self, source: str, target: str) -> None:
        self._trouble_of(source)
        self.files[target] = self.files.pop(source)

    def delete(self, path: str) -> bool:
        self._trouble_of(path)
        gone = [file for file in self.files if file == path or file.startswith(f"{path}/")]
        for file in gone:
            del self.files[file]
        return bool(gone)

    def _trouble_of(self, path: str) -> None:
        if path in self.troubles:
            raise self.troubles[path]


def _directory_status(name: str) -> FileStatus:
    return FileStatus(
        name=name, is_directory=True, length=0, owner="guest", permission="700", modified_ms=1
    )


@dataclass
class FakeAccess(ClusterAccess):
    """What one identity sees of the fake cluster."""

    oozie: FakeOozie
    yarn: FakeYarn
    hdfs: FakeHdfs
    nodes: Any = None
    tokens: Any = None


PASSWORDS = {name: f"{name}-password" for name in ("guest", "sam", "admin")}


class FakeCluster:
    """A cluster with three users, whose gateway can be away or refuse everybody."""

    def __init__(self) -> None:
        self.oozie, self.yarn = FakeOozie(), FakeYarn()
        self.homes = {name: FakeHdfs(name) for name in PASSWORDS}
        self.nodes: Any = None
        self.is_away = False
        self.passwords = dict(PASSWORDS)
        self.verified: list[str] = []
        self.tokens = Tokens()

    def access(self, credential: Credential) -> FakeAccess:
        door: Any = _Door(self, credential)  # what it has not, it finds in the user's home
        return FakeAccess(self.oozie, self.yarn, door, self.nodes, door)


class Tokens:
    """The tokens that a gateway signs, and whether it gives any."""

    def __init__(self, life: timedelta = timedelta(hours=1)) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.life = life
        self.now: Callable[[], datetime] = lambda: NOW
        self.are_given, self.are_renewed = True, True
        self.revoked: set[str] = set()
        self.given = 0

    def of(self, user: str) -> TokenCredential:
        self.given += 1
        expires_at = self.now() + self.life
        claims = {"sub": user, "iss": "KNOXSSO", "exp": expires_at, "number": self.given}
        return TokenCredential(user, jwt.encode(claims, self.key, "ES256"), expires_at)


class _Door:
    """HDFS of a user, and tokens for them, behind the gateway's check of credentials."""

    def __init__(self, cluster: FakeCluster, credential: Credential) -> None:
        self._cluster, self._credential = cluster, credential

    def user(self) -> str:
        self._cluster.verified.append(self._credential.user)
        if self._cluster.is_away:
            raise GatewayUnavailable
        name = self._credential.user.lower()
        if isinstance(self._credential, TokenCredential):
            self._check_token(self._credential)
        elif isinstance(self._credential, BasicCredential) and (
            self._cluster.passwords.get(name) != self._credential.password
        ):
            raise CredentialsRefused
        return name

    def _check_token(self, credential: TokenCredential) -> None:
        tokens = self._cluster.tokens
        key = tokens.key.public_key()
        try:
            told = jwt.decode(credential.token, key, ["ES256"], {"verify_exp": False})
        except jwt.PyJWTError as error:
            raise CredentialsRefused from error
        if told["exp"] <= tokens.now().timestamp() or credential.token in tokens.revoked:
            raise CredentialsRefused

    def new(self) -> TokenCredential:
        """Give a token, as the service KNOXTOKEN does."""
        name, tokens = self.user(), self._cluster.tokens
        is_renewal = isinstance(self._credential, TokenCredential)
        if not (tokens.are_renewed if is_renewal else tokens.are_given):
            raise RouteClosed("the topology gives no tokens; have KNOXTOKEN added to it")
        return tokens.of(name)

    def __getattr__(self, name: str):
        return getattr(self._cluster.homes[self._credential.user.lower()], name)
