"""The clients: they start jobs, post ids until they are answered, and remember which were."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import requests

from tracker_service.sandbox.cluster import Cluster

USERS = ("guest", "sam", "tom", "admin")
#: What the jobs do, and of how many of a hundred.
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
    """What was posted, and what was answered with 200."""

    started: dict[str, str] = field(default_factory=dict)  #: the course of each job, by its id
    answered: set[tuple[str, str]] = field(default_factory=set)  #: user and id
    wanted: set[tuple[str, str]] = field(default_factory=set)  #: however they end: answered
    refreshes: Counter[tuple[str, str]] = field(default_factory=Counter)  #: sent, answered or not
    requests: int = 0
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def never_ends(self, job: str) -> bool:
        return self.started[job] == "never-ends"


@dataclass(frozen=True, slots=True)
class Wish:
    """One request that a client makes until it is answered."""

    user: str
    path: str
    ids: Sequence[str]

    @property
    def is_refresh(self) -> bool:
        return "refresh" in self.path


class Client(threading.Thread):
    """Posts one wish after the other."""

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
                wish = self._next_wish()
                while wish and not self._is_answered(session, wish):
                    if self._stopped.wait(0.1):
                        return
                self._stopped.wait(self._rng.uniform(0.1, 0.6))

    def _next_wish(self) -> Wish | None:
        """Think of something: mostly new jobs, sometimes what was posted before."""
        user, dice = self._rng.choice(USERS), self._rng.random()
        with self._ledger.lock:
            theirs = sorted(job for owner, job in self._ledger.answered if owner == user)
        if theirs and dice < 0.1:
            return Wish(user, "track", self._rng.choices(theirs, k=3))
        if theirs and dice < 0.15:
            return Wish(user, "copy-logs", [self._rng.choice(theirs)])
        if theirs and dice < 0.2:
            return Wish(user, "copy-logs/?refresh=true", [self._rng.choice(theirs)])
        if not self._has_room():
            return None
        return Wish(user, "track", self._new_jobs(user, 1 if dice < 0.7 else 5))

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

    def _is_answered(self, session: requests.Session, wish: Wish) -> bool:
        """Send a wish once to any of the APIs; a refresh counts as made even if nobody answers."""
        keys = [(wish.user, job) for job in wish.ids]
        with self._ledger.lock:
            self._ledger.requests += 1
            if wish.is_refresh:
                self._ledger.refreshes.update(keys)
        path = wish.path if "?" in wish.path else f"{wish.path}/"
        url = f"{self._rng.choice(self._urls)}/api/task/{path}"
        auth = (wish.user, f"{wish.user}-password")
        self._on_posted()
        try:
            answer = session.post(url, json=list(wish.ids), auth=auth, timeout=120)
        except requests.RequestException:
            answer = None
        with self._ledger.lock:
            if answer is not None and answer.status_code == 200:
                self._note(wish, keys, answer)
                return True
            self._ledger.unanswered += 1
            if answer is not None and answer.status_code < 500:
                self._ledger.wrong.append(f"{wish}: {answer.status_code} {answer.text[:200]}")
            return False

    def _note(self, wish: Wish, keys: Sequence[tuple[str, str]], answer: requests.Response) -> None:
        self._ledger.answered.update(keys)
        if wish.path != "track":
            self._ledger.wanted.update(keys)
            return
        unknown = [told["id"] for told in answer.json() if told["status"] == "NOT_FOUND"]
        if unknown:
            self._ledger.wrong.append(f"{wish}: answered as not found: {unknown}")


def settled_wishes(clients: Sequence[Client], seconds: float = 30) -> None:
    """Stop all clients and wait until none of them posts."""
    for client in clients:
        client.stop()
    deadline = time.monotonic() + seconds
    for client in clients:
        client.join(max(0.1, deadline - time.monotonic()))
