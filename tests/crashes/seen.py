"""Read from outside what a run has left: in HDFS, in the database, over the API."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import requests
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.crashes.clients import USERS, Ledger
from tests.crashes.cluster import WatchedSandbox
from tests.crashes.processes import Family
from tests.crashes.writers import Reports
from tests.waiting import until
from tracker_service.sandbox.inodes import SUPERUSER

_OPEN_TASKS = (
    "SELECT tasks.owner, jobs.external_id, tasks.state, tasks.reason FROM tasks"
    " JOIN jobs ON jobs.id = tasks.job_id WHERE tasks.state != 'ended'"
)
_UNSENT = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'held')"
_HELD = "SELECT owner FROM jobsets WHERE size > 0"


@dataclass(frozen=True)
class Seen:
    """Reads the state of the service after a run."""

    url: str  #: of the database
    apis: Sequence[str]
    sandbox: WatchedSandbox
    ledger: Ledger
    reports: Reports
    family: Family

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows that a statement selects in the database."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @cached_property
    def files(self) -> dict[str, bytes]:
        """All files below the directories of saved logs, by path."""
        with self.sandbox.cluster.settled():
            return {
                path: self.sandbox.cluster.hdfs.read(path, SUPERUSER)
                for user in USERS
                for path in self._below(f"/user/{user}/WORK/logs")
            }

    def _below(self, directory: str) -> Iterator[str]:
        hdfs = self.sandbox.cluster.hdfs
        try:
            entries = list(hdfs.list(directory, SUPERUSER))
        except Exception:  # nothing was saved for this user
            return
        for name, node in entries:
            if node.is_directory:
                yield from self._below(f"{directory}/{name}")
            else:
                yield f"{directory}/{name}"

    def status(self, job: str) -> str:
        """Return the state of a job in Oozie."""
        with self.sandbox.cluster.settled() as now:
            return str(self.sandbox.cluster.jobs[job].status(now))

    @cached_property
    def _logs(self) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = defaultdict(dict)
        with self.sandbox.cluster.settled() as now:
            for application in self.sandbox.cluster.applications.values():
                if application.has_launched(now) and application.has_ended(now):
                    found[application.job.job_id][application.application_id] = application.text
        return found

    def logs(self, job: str) -> dict[str, bytes]:
        """Return what `yarn logs` prints of each application of a job and of its sub-workflows."""
        found = dict(self._logs.get(job, {}))
        for child in self.sandbox.cluster.jobs[job].children.values():
            found |= self.logs(child.job_id)
        return found

    def is_saved(self, user: str, job: str) -> bool:
        """Tell whether each log of a job is saved under its name, byte by byte."""
        directory = f"/user/{user}/WORK/logs/{job}"
        return all(
            self.files.get(f"{directory}/{application}.log") == log
            for application, log in self.logs(job).items()
        )

    def is_to_be_saved(self, user: str, job: str) -> bool:
        """Tell whether the service has promised a user to save the logs of a job."""
        status = self.status(job)
        if status == "SUCCEEDED":
            return (user, job) in self.ledger.wanted
        return status in ("KILLED", "FAILED")

    def tracked(self, user: str) -> dict[str, str]:
        """Return the state of each job in the user's list."""
        url: str | None = f"{self.apis[0]}/api/jobs/tracking"
        found: dict[str, str] = {}
        with requests.Session() as session:
            session.auth = (user, f"{user}-password")
            while url:
                answer = until(partial(_answer, session, url), lambda found: found is not None)
                assert answer is not None
                answer.raise_for_status()
                found |= {entry["id"]: entry["status"] for entry in answer.json()}
                url = answer.links.get("next", {}).get("url")
        return found

    @cached_property
    def workflows(self) -> dict[str, list[str]]:
        """The states of all submitted copy workflows, by name."""
        found: dict[str, list[str]] = defaultdict(list)
        with self.sandbox.cluster.settled() as now:
            for job in self.sandbox.cluster.jobs.values():
                if job.definition.name.startswith("tracker-copy-"):
                    found[job.definition.name].append(str(job.status(now)))
        return found


def _answer(session: requests.Session, url: str) -> requests.Response | None:
    """Ask once; return None while an API that was killed is starting again."""
    try:
        return session.get(url, timeout=120)
    except requests.ConnectionError:
        return None


def what_is_open(seen: Seen) -> list[str]:
    """Return descriptions of tasks that are still open, and of jobsets held by dead workers."""
    found = [
        f"{owner}'s task of {job} ({seen.ledger.started.get(job)}) is {state}: {reason}"
        for owner, job, state, reason in seen.rows(_OPEN_TASKS)
        if not (job in seen.ledger.started and seen.ledger.never_ends(job))
    ]
    pids = {pid for part in seen.family.parts for pid in part.pids}
    held_by = [owner for (owner,) in seen.rows(_HELD)]
    found += [f"a jobset is held by {o}" for o in held_by if not (o and _pid_of(o) in pids)]
    [(unsent,)] = seen.rows(_UNSENT)
    found += [f"{unsent} events are not delivered"] * bool(unsent)
    return found


def _pid_of(worker: str) -> int:
    return int(worker.rsplit("-", 2)[1])


def wait_until_settled(
    seen: Seen, seconds: float, progress: Callable[[str], object] = lambda _: None
) -> list[str]:
    """Wait, without killing, until the service has finished all tasks.

    Args:
        seconds: give up if no task ends for this long.

    Returns:
        descriptions of what is not finished.
    """
    fewest, deadline = sys.maxsize, time.monotonic() + seconds
    while True:
        seen.family.tend()
        left = what_is_open(seen)
        if len(left) < fewest:
            fewest, deadline = len(left), time.monotonic() + seconds
            progress(f"{fewest} things are left to do\n")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)
