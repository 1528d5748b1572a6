"""Two workers on one database start each copy workflow once, and no more than the limits allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, RLock
from xml.etree import ElementTree as ET

import pytest

from tests.store.rows import NOW, job, seen
from tests.unit.archive_parts import LIMITS, build
from tests.unit.fakes import Clock, FakeCluster, FakeOozie, details
from tracker_service.archive.copying.copier import Copier
from tracker_service.domain.applications import ApplicationId
from tracker_service.domain.copies import Copy, CopyStatus, copy_job_name, part_path
from tracker_service.domain.jobs import JobDetails, JobId, Observation
from tracker_service.domain.leases import Lease
from tracker_service.identities import Callers, Identities, KeptCredentials
from tracker_service.identities.keys import KeyRing
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.gateway import AccessPool
from tracker_service.store import copies, credentials, jobs, jobsets, track_tasks
from tracker_service.store.database import Store
from tracker_service.tracking import outcome

pytestmark = pytest.mark.slow

APPLICATIONS = [ApplicationId(f"application_1795323341942_{number:04d}") for number in range(1, 4)]
USERS = ("guest", "sam")
ROUNDS = 60


class CountingOozie(FakeOozie):
    """Counts the workflows that run, whenever one is submitted; one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = RLock()
        self.running: dict[JobId, str] = {}  #: whose workflow it is
        self.most: Counter[str] = Counter()
        self.most_at_all = 0

    def submit(self, configuration: bytes) -> JobId:
        with self._lock:
            new = super().submit(configuration)
            values = {p.findtext("name"): p.findtext("value") for p in ET.fromstring(configuration)}
            self.running[new] = str(values["user.name"])
            now = Counter(self.running.values())
            self.most |= now
            self.most_at_all = max(self.most_at_all, now.total())
            return new

    def end(self, workflow: JobId) -> None:
        self.running.pop(workflow, None)
        self.has(details(workflow, "SUCCEEDED", name=self.known[workflow].observation.name))

    def named(self, name: str, user: str) -> JobId | None:
        with self._lock:
            known = list(self.known.values())
        return next((k.observation.id for k in known if k.observation.name == name), None)

    def chunk(self, ids: Sequence[JobId]) -> dict[JobId, Observation]:
        with self._lock:
            return super().chunk(ids)

    def details(self, job_id: JobId) -> JobDetails:
        with self._lock:
            return super().details(job_id)


@dataclass
class Workers:
    """Two workers, each with its copier and its leases."""

    store: Store
    cluster: FakeCluster
    oozie: CountingOozie
    clock: Clock
    copiers: Mapping[str, Copier]
    task_ids: list[int] = field(default_factory=list)

    def fails(self, number: int, user: str, holder: str) -> None:
        """Fail a job; its copies wait in a jobset that one of the workers holds."""
        with self.store.begin() as connection:
            kept = jobs.record(connection, [seen(number, user=user)])
            affinity = f"{user} of {holder}"
            track_tasks.track(connection, user, affinity, list(kept.values()), NOW)
            jobsets.claim(connection, holder, ["track"], 3600, 10)
            [task] = [
                task
                for held in jobsets.held(connection, holder)
                for task in track_tasks.live(connection, held.lease)
                if task.job_id == job(number)
            ]
            failed = details(job(number), "KILLED", user=user)
            task = outcome.record_details(connection, task, failed, (), NOW)
            copies.decide(connection, task, self._applications(number), NOW)
            track_tasks.start_copying(connection, task)
            self.task_ids.append(task.id)

    def _applications(self, number: int) -> list[ApplicationId]:
        found = [ApplicationId(f"{each[:-4]}{number}{each[-3:]}") for each in APPLICATIONS]
        for application in found:
            self.cluster.yarn.has(application, "SUCCEEDED")
        return found

    def leases(self, worker: str) -> dict[int, Lease]:
        with self.store.read() as connection:
            return {h.lease.jobset_id: h.lease for h in jobsets.held(connection, worker)}

    def look_at_once(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Have both workers look at the same time, with the leases that they have now."""
        met, held = Barrier(3), {worker: self.leases(worker) for worker in self.copiers}

        def look(worker: str) -> None:
            met.wait(60)
            self.copiers[worker].advance(held[worker])

        with ThreadPoolExecutor(2) as threads:
            looks = [threads.submit(look, worker) for worker in self.copiers]
            met.wait(60)
            meanwhile()
            for each in looks:
                each.result()

    def rounds(self) -> Iterator[int]:
        """Yield numbers until all logs are saved; after each, workflows end and time passes."""
        for number in range(ROUNDS):
            yield number
            self.end_workflows()
            self.clock.advance(seconds=6)
            if all(copy.status.is_finished for copy in self.all_copies()):
                return

    def all_copies(self) -> list[Copy]:
        with self.store.read() as connection:
            found = copies.of_tasks(connection, self.task_ids)
        return [copy for of_task in found.values() for copy in of_task]

    def end_workflows(self) -> None:
        """Have each workflow that runs write its log, and end."""
        for copy in self.all_copies():
            name = copy_job_name(copy)
            if workflow := self.oozie.named(name, copy.owner):
                self.cluster.homes[copy.owner].files.setdefault(part_path(copy), b"log\n")
                self.oozie.end(workflow)

    def swap(self) -> None:
        """Give what each worker holds to the other one."""
        with self.store.begin() as connection:
            for worker in self.copiers:
                jobsets.release(connection, worker)
            for worker in self.copiers:
                jobsets.claim(connection, worker, ["track"], 3600, 2)


@pytest.fixture
def workers(store: Store, tmp_path: Path) -> Workers:
    cluster, clock = FakeCluster(), Clock()
    cluster.oozie = oozie = CountingOozie()
    key_ring = KeyRing(tmp_path / "credentials.key")
    pool: AccessPool[ClusterAccess] = AccessPool(cluster.access)
    identities = Identities(
        Callers(store, key_ring, pool, clock),
        KeptCredentials(store, key_ring, pool, clock),
        pool,
        "http://knox",
    )
    copiers = {worker: build(store, identities, clock).copier for worker in ("one", "two")}
    found = Workers(store, cluster, oozie, clock, copiers)
    for user in USERS:
        with store.begin() as connection:
            sealed = key_ring.encrypt(user, f"{user}-password")
            credentials.keep(connection, user, sealed, NOW)
    for number, (user, holder) in enumerate(
        [(user, holder) for holder in copiers for user in USERS], start=1
    ):
        found.fails(number, user, holder)
    return found


def assert_all_is_saved_once(workers: Workers) -> None:
    there = workers.all_copies()
    assert len(there) == 2 * len(USERS) * len(APPLICATIONS)
    assert {copy.status for copy in there} == {CopyStatus.SUCCEEDED}
    assert {copy.attempt for copy in there} == {1}
    assert len(workers.oozie.submitted) == len(there)
    assert max(workers.oozie.most.values()) == LIMITS.per_user
    assert workers.oozie.most_at_all <= LIMITS.per_gateway


def test_two_workers_start_each_workflow_once_and_keep_to_the_limits(workers: Workers) -> None:
    for _ in workers.rounds():
        workers.look_at_once()

    assert_all_is_saved_once(workers)


def test_a_worker_that_loses_its_lease_in_the_middle_starts_nothing_twice(workers: Workers) -> None:
    for number in workers.rounds():
        workers.look_at_once(meanwhile=workers.swap if number % 2 == 0 else lambda: None)

    assert_all_is_saved_once(workers)
