"""Calls the notification URLs of jobs when their states change, as Oozie does."""

from __future__ import annotations

from threading import Event, Thread
from urllib.error import URLError
from urllib.request import urlopen

from tracker_service.sandbox.cluster import Cluster
from tracker_service.sandbox.jobs import SandboxJob, Status
from tracker_service.sandbox.workflows import NOTIFICATION_URL

_LOOK_S = 0.05
_TIMEOUT_S = 10.0


class Notifier:
    """Looks again and again at the workflows that have the property; repeats no call."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told: dict[str, tuple[int, Status]] = {}
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin to call."""
        self._thread.start()

    def stop(self) -> None:
        """Call no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            for job, status in self._changed():
                url = job.configuration[NOTIFICATION_URL]
                _call(url.replace("$jobId", job.job_id).replace("$status", status))

    def _changed(self) -> list[tuple[SandboxJob, Status]]:
        if not self._cluster.notifying:
            return []
        changed = []
        with self._cluster.settled() as now:
            for job_id in list(self._cluster.notifying):
                job = self._cluster.jobs[job_id]
                status = job.status(now)
                if self._told.get(job_id) != (job.run, status):
                    self._told[job_id] = job.run, status
                    changed.append((job, status))
                if job.has_ended(now):
                    self._cluster.notifying.discard(job_id)
        return changed


def _call(url: str) -> None:
    try:
        with urlopen(url, timeout=_TIMEOUT_S):  # noqa: S310 (the job's user has named it)
            pass
    except (URLError, OSError, ValueError):
        pass  # whoever is to be told is away: that delays no job
