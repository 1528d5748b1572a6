"""Tasks that a worker holds, with what the tests of its duties ask about them."""

from __future__ import annotations

from dataclasses import dataclass

from fakes import NOW, FakeCluster, FragileStore, Ticks, job, seen

from tracker_service.domain.tasks import Copy, CopyStatus, TaskState, TrackTask
from tracker_service.store import copies, credentials, jobs, jobsets, tasks
from tracker_service.store.credentials import Seal


@dataclass
class Held:
    """The tasks of one worker."""

    store: FragileStore
    cluster: FakeCluster
    seal: Seal
    ticks: Ticks

    def track(self, *numbers: int, owner: str = "guest", password: str = "guest-password") -> None:
        """Post these jobs while Oozie is away, and let the worker claim them."""
        with self.store.begin() as connection:
            kept = jobs.record(connection, [seen(job(n), "UNKNOWN") for n in numbers])
            tasks.track(connection, owner, owner, list(kept.values()), NOW)
            credentials.keep(connection, owner, self.seal.close(owner, password), NOW)
            jobsets.claim(connection, "worker", 3600, 10)

    def tasks(self) -> list[TrackTask]:
        with self.store.read() as connection:
            held = jobsets.held(connection, "worker")
            return [task for each in held for task in tasks.live(connection, each.lease)]

    def lose_lease(self) -> None:
        """Let another worker take everything."""
        with self.store.begin() as connection:
            jobsets.release(connection, "worker")
            jobsets.claim(connection, "another", 3600, 10)

    def state(self, number: int) -> str:
        """Return the job's state."""
        with self.store.read() as connection:
            return jobs.latest(connection, [job(number)])[job(number)].status

    def task(self, number: int, owner: str = "guest") -> tasks.TrackedJob:
        with self.store.read() as connection:
            return tasks.of_job(connection, owner, job(number))[0]

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
