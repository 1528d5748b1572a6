"""The clients: they start jobs, post each id until it is answered, and keep a ledger of both."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import requests

from tests.crashes.writers import Writer
from tracker_service.sandbox.cluster import Cluster

USERS = ("guest", "sam", "tom", "admin")
#: The courses of jobs, and how many of a hundred jobs take each.
_COURSES = {
    "fails": 50,
    "java-exception": 12,  # its log is an IFile
    "missing-input": 8,  # its log is long: a workflow copies it
    "retried": 4,
    "fork": 4,
    "sub-workflow": 6,
    "killed": 4,
    "succeeds": 10,
    "never-ends": 2,
}
_RUNS_S, _AGGREGATES_S = 1.5, 0.3


@dataclass
class Ledger:
    """The ids that were posted, and the ids that were answered with 200."""

    started: dict[str, str] = field(default_factory=dict)  #: the course of each job, by its id
    answered: set[tuple[str, str]] = field(default_factory=set)  #: user and id
    #: user and id, answered, with logs to be saved however the job ends
    wanted: set[tuple[str, str]] = field(default_factory=set)
    refreshes: Counter[tuple[str, str]] = field(default_factory=Counter)  #: sent, answered or not
    requests: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def never_ends(self, job: str) -> bool:
        return self.started[job] == "never-ends"


@dataclass(frozen=True, slots=True)
class Post:
    """A request that a client repeats until it is answered."""

    user: str
    path: str
    ids: Sequence[str]

    @property
    def is_refresh(self) -> bool:
        return "refresh" in self.path


class Client(threading.Thread):
    """Sends one post after the other."""

    def __init__(
        self,
        cluster: Cluster,
        ledger: Ledger,
        urls: Sequence[str],
        has_room: Callable[[], bool],
        on_posted: Callable[[], None],
        seed: str,
    ) -> None:
        super().__init__(name=f"client {seed}", daemon=True)
        self._cluster, self._ledger, self._urls = cluster, ledger, urls
        self._has_room, self._on_posted, self._rng = has_room, on_posted, Random(seed)
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopped.is_set():
                post = self._next_post()
                while post and not self._is_answered(session, post):
                    if self._stopped.wait(0.1):
                        return
                self._stopped.wait(self._rng.uniform(0.1, 0.6))

    def _next_post(self) -> Post | None:
        """Choose the next post: mostly new jobs, sometimes jobs that were posted before."""
        user, dice = self._rng.choice(USERS), self._rng.random()
        with self._ledger.lock:
            posted = sorted(job for owner, job in self._ledger.answered if owner == user)
        if posted and dice < 0.1:
            return Post(user, "track", self._rng.choices(posted, k=3))
        if posted and dice < 0.15:
            return Post(user, "copy-logs", [self._rng.choice(posted)])
        if posted and dice < 0.2:
            return Post(user, "copy-logs/?refresh=true", [self._rng.choice(posted)])
        if not self._has_room():
            return None
        return Post(user, "track", self._new_jobs(user, 1 if dice < 0.7 else 5))

    def _new_jobs(self, user: str, number: int) -> list[str]:
        courses = self._rng.choices(list(_COURSES), list(_COURSES.values()), k=number)
        found = []
        for course in courses:
            runs_s = None if course == "never-ends" else _RUNS_S
            job = self._cluster.start(course, user, runs_s=runs_s, aggregates_s=_AGGREGATES_S)
            with self._ledger.lock:
                self._ledger.started[job] = course
            found.append(job)
        return found

    def _is_answered(self, session: requests.Session, post: Post) -> bool:
        """Send an post once to any of the APIs; a refresh counts even if nobody answers."""
        keys = [(post.user, job) for job in post.ids]
        with self._ledger.lock:
            self._ledger.requests += 1
            if post.is_refresh:
                self._ledger.refreshes.update(keys)
        path = post.path if "?" in post.path else f"{post.path}/"
        url = f"{self._rng.choice(self._urls)}/api/task/{path}"
        auth = (post.user, f"{post.user}-password")
        self._on_posted()
        try:
            answer = session.post(url, json=list(post.ids), auth=auth, timeout=120)
        except requests.RequestException:
            answer = None
        with self._ledger.lock:
            if answer is not None and answer.status_code == 200:
                self._note(post, keys, answer)
                return True
            self._ledger.unanswered += 1
            if answer is not None and answer.status_code < 500:
                self._ledger.wrong.append(f"{post}: {answer.status_code} {answer.text[:200]}")
            return False

    def _note(self, post: Post, keys: Sequence[tuple[str, str]], answer: requests.Response) -> None:
        self._ledger.answered.update(keys)
        if post.path != "track":
            self._ledger.wanted.update(keys)
            return
        unknown = [job["id"] for job in answer.json() if job["status"] == "NOT_FOUND"]
        if unknown:
            self._ledger.wrong.append(f"{post}: answered as not found: {unknown}")


def stop_clients(clients: Sequence[Client | Writer], seconds: float = 30) -> None:
    """Stop all clients and wait until none of them posts."""
    for client in clients:
        client.stop()
    deadline = time.monotonic() + seconds
    for client in clients:
        client.join(max(0.1, deadline - time.monotonic()))
