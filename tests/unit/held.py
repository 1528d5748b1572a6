"""The tasks of one worker in a store, for the tests of its duties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tests.unit.fakes import NOW, FakeCluster, FragileStore, Ticks, job, seen
from tracker_service.domain.copies import Copy, CopyPolicy, CopyStatus
from tracker_service.domain.jobs import JobId
from tracker_service.domain.leases import Lease
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.identities.keys import KeyRing
from tracker_service.store import copies, credentials, jobs, jobsets, track_tasks, tracked_jobs
from tracker_service.tracking.poller import Poller
from tracker_service.tracking.schedule import Schedule


@dataclass
class Held:
    """The tasks of one worker."""

    store: FragileStore
    cluster: FakeCluster
    key_ring: KeyRing
    ticks: Ticks

    def track(self, *numbers: int, owner: str = "guest", password: str = "guest-password") -> None:
        """Post these workflows while Oozie is away, and let the worker claim them."""
        self.track_jobs(*map(job, numbers), owner=owner, password=password)

    def track_jobs(
        self,
        *ids: JobId,
        owner: str = "guest",
        password: str = "guest-password",
        policy: CopyPolicy = CopyPolicy.OF_FAILURES,
    ) -> None:
        """Post these ids while Oozie is away, and let the worker claim them."""
        with self.store.begin() as connection:
            kept = jobs.record(connection, [seen(each, "UNKNOWN") for each in ids])
            track_tasks.track(connection, owner, owner, list(kept.values()), NOW, policy)
            credentials.keep(connection, owner, self.key_ring.encrypt(owner, password), NOW)
            jobsets.claim(connection, "worker", ["track"], 3600, 10)

    def tasks(self) -> list[TrackTask]:
        with self.store.read() as connection:
            held = jobsets.held(connection, "worker")
            return [task for each in held for task in track_tasks.live(connection, each.lease)]

    def lose_lease(self) -> None:
        """Give all jobsets to another worker."""
        with self.store.begin() as connection:
            jobsets.release(connection, "worker")
            jobsets.claim(connection, "another", ["track"], 3600, 10)

    def state(self, number: int) -> str:
        """Return the job's state."""
        with self.store.read() as connection:
            return jobs.latest(connection, [job(number)])[job(number)].status

    def task(self, number: int, owner: str = "guest") -> tracked_jobs.TrackedJob:
        with self.store.read() as connection:
            return tracked_jobs.of_job(connection, owner, job(number))[0]

    def is_live(self, number: int) -> bool:
        return self.task(number).state != TaskState.ENDED

    def copies(self, number: int) -> list[Copy]:
        task_id = self.task(number).id
        with self.store.read() as connection:
            return copies.of_tasks(connection, [task_id])[task_id]

    def copied(self, number: int) -> list[str]:
        """Return the applications whose logs are saved or will be."""
        return [copy.application for copy in self.copies(number)]

    def save_all(self, number: int) -> None:
        with self.store.begin() as connection:
            for copy in self.copies(number):
                copies.change(connection, copy, status=CopyStatus.SUCCEEDED, saved_at=NOW)

    def kept(self, owner: str = "guest") -> credentials.KeptCredential | None:
        with self.store.read() as connection:
            return credentials.find(connection, [owner]).get(owner)


@dataclass
class Following(Held):
    """The tasks of one worker with its poller and its schedule."""

    poller: Poller
    schedule: Schedule

    def track_jobs(self, *ids: JobId, **more) -> None:
        super().track_jobs(*ids, **more)
        self.load()

    def load(self) -> None:
        """Load all tasks again, which makes all of them due."""
        by_lease: dict[Lease, list[TrackTask]] = {}
        for task in self.tasks():
            by_lease.setdefault(task.lease, []).append(task)
        for lease, live in by_lease.items():
            self.schedule.drop(lease.jobset_id)
            watched = [task for task in live if task.state == "watching"]
            self.schedule.load(lease, watched, self.ticks.now, NOW + timedelta(hours=1))

    def look(self) -> None:
        self.load()
        self.poller.sweep()

    def go_on(self, seconds: float) -> None:
        """Sweep until this time has passed."""
        end = self.ticks.now + seconds
        while self.ticks.now < end:
            self.ticks.now += 1
            self.poller.sweep()
