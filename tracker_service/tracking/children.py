"""Find the jobs that a coordinator or a bundle starts, and track each by its own task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from tracker_service.domain.copies import is_copy_job_name
from tracker_service.domain.jobs import Action, JobDetails, JobId, JobType, Observation, type_of
from tracker_service.domain.tasks import TaskState, TrackTask
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.oozie import Oozie
from tracker_service.store import children, jobs, jobsets, track_tasks
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_NEVER_STARTED = 100  #: the most actions that are kept of those that never started anything
PAGES_AT_ONCE = 100  #: pages of 1000 actions; a run every minute fills them in ten weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The answer of Oozie about a coordinator or a bundle whose children were followed."""

    details: JobDetails  #: with the newest actions that ended before they had started anything
    settled_pages: int  #: how many of the first pages can get no new children


class ChildFollower:
    """Tracks the jobs that a tracked job starts, for the same user."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], pace: Callable[[], None]
    ) -> None:
        """Prepare to follow.

        Args:
            pace: blocks until the next request to the cluster may be sent.
        """
        self._store, self._clock, self._pace = store, clock, pace

    def follow(self, access: ClusterAccess, task: TrackTask, settled_pages: int = 0) -> Followed:
        """Ask Oozie which jobs a job has started, and track the new ones.

        Jobs that the user tracks, or has stopped tracking, are left alone. New jobs are kept in
        groups, each in a transaction of its own; a crash loses no committed group.

        Args:
            settled_pages: how many of the first pages of actions to skip.

        Raises:
            LeaseLost: another worker has the task now.
            JobNotFound, GatewayUnavailable, CredentialsRefused, AccessDenied: as `Oozie.children`;
                the jobs that were tracked before stay tracked.
        """
        never_started: deque[Action] = deque(maxlen=_NEVER_STARTED)
        for page in range(settled_pages, settled_pages + PAGES_AT_ONCE):
            self._pace()
            answer = access.oozie.children(task.job_id, page)
            started = [job_id for job_id in answer.started if job_id is not None]
            never_started += answer.never_started
            self._follow_new(access.oozie, task, started)
            if answer.is_last:
                break
            if page == settled_pages and len(started) == len(answer.started):
                settled_pages += 1
        details = JobDetails(observation=answer.observation, actions=tuple(never_started))
        return Followed(details=details, settled_pages=settled_pages)

    def _follow_new(self, oozie: Oozie, task: TrackTask, started: Sequence[JobId]) -> None:
        with self._store.read() as connection:
            new = children.without_task(connection, task.owner, started)
        for chunk in oozie.requests_for(new):
            self._pace()
            seen = oozie.chunk(chunk)
            if missing := [job_id for job_id in chunk if job_id not in seen]:
                self._pace()
                seen |= oozie.chunk(missing)  # ask twice before a job counts as unknown
            if unknown := [job_id for job_id in missing if job_id not in seen]:
                log.info("children_not_found", job=task.job_id, children=unknown)
            there = [seen[job_id] for job_id in chunk if job_id in seen]
            self._store.write(partial(self._keep, task=task, started=there))

    def _keep(
        self, connection: Connection, task: TrackTask, started: Sequence[Observation]
    ) -> None:
        jobsets.guard(connection, task.lease)
        task = track_tasks.current(connection, task)
        if task.is_stopped or task.state == TaskState.ENDED:
            return
        wanted = [
            # Some releases of Oozie leave out the parent; then the child would not be listed.
            replace(seen, parent_id=seen.parent_id or task.job_id)
            for seen in started
            if not is_copy_job_name(seen.name)
        ]
        kept = jobs.record(connection, wanted)
        new = children.without_task(connection, task.owner, list(kept))
        children.follow(connection, task, [kept[job_id] for job_id in new], self._clock())
        log.info("children_followed", job=task.job_id, user=task.owner, children=len(new))


def has_children(job_id: JobId) -> bool:
    """Tell whether a job is a coordinator or a bundle, which start other jobs."""
    return type_of(job_id) != JobType.WORKFLOW
