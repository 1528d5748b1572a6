"""Follow what coordinators and bundles start: each workflow, each coordinator by its own task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from tracker_service.domain.copies import is_copy_job_name
from tracker_service.domain.jobs import JobId, JobType, Observation, type_of
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.oozie import Oozie
from tracker_service.store import children, jobs, jobsets, track_tasks
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

PAGES_AT_ONCE = 100  #: of 1000 actions; a coordinator of each minute fills them in ten weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a coordinator or a bundle told of itself when it was asked what it has started."""

    observation: Observation
    settled_pages: int  #: pages from the first on with nothing left to come


class ChildFollower:
    """Gives what a job starts tasks of their own, for the user who tracks that job."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock

    def follow(self, access: ClusterAccess, task: TrackTask, settled_pages: int = 0) -> Followed:
        """Ask what a job has started, and follow what is not followed yet.

        What the user tracks already, or has stopped to track, is left as it is. Each group of new
        jobs is kept by a transaction of its own, so that a crash loses nothing.

        Args:
            settled_pages: how many pages of actions need not be looked at again.

        Raises:
            LeaseLost: the task is another worker's by now.
            JobNotFound, GatewayUnavailable, CredentialsRefused, AccessDenied: as `Oozie.children`;
                what was followed until then stays followed.
        """
        for page in range(settled_pages, settled_pages + PAGES_AT_ONCE):
            told = access.oozie.children(task.job_id, page)
            started = [job_id for job_id in told.started if job_id is not None]
            self._follow_new(access.oozie, task, started)
            if told.is_last:
                break
            if page == settled_pages and len(started) == len(told.started):
                settled_pages += 1
        return Followed(observation=told.observation, settled_pages=settled_pages)

    def _follow_new(self, oozie: Oozie, task: TrackTask, started: Sequence[JobId]) -> None:
        with self._store.read() as connection:
            new = children.without_task(connection, task.owner, started)
        for chunk in oozie.requests_for(new):
            seen = oozie.chunk(chunk)
            if missing := [job_id for job_id in chunk if job_id not in seen]:
                seen |= oozie.chunk(missing)  # a second look before "there is no such job"
            if unknown := [job_id for job_id in missing if job_id not in seen]:
                log.info("children_not_found", job=task.job_id, children=unknown)
            with self._store.begin() as connection:
                jobsets.guard(connection, task.lease)
                self._keep(connection, task, [seen[each] for each in chunk if each in seen])

    def _keep(
        self, connection: Connection, task: TrackTask, started: Sequence[Observation]
    ) -> None:
        task = track_tasks.current(connection, task)
        if task.is_stopped or task.state == TaskState.ENDED:
            return
        wanted = [seen for seen in started if not is_copy_job_name(seen.name)]
        kept = jobs.record(connection, wanted)
        new = children.without_task(connection, task.owner, list(kept))
        children.follow(connection, task, [kept[job_id] for job_id in new], self._clock())
        log.info("children_followed", job=task.job_id, user=task.owner, children=len(new))


def has_children(job_id: JobId) -> bool:
    """Tell whether this is a coordinator or a bundle, which starts other jobs."""
    return type_of(job_id) != JobType.WORKFLOW
