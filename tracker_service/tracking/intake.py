"""Start and stop tracking the jobs that callers post; an id answered with 200 is never lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from tracker_service.domain.applications import ApplicationId, applications_of
from tracker_service.domain.copies import CopyPolicy, is_copy_job_name
from tracker_service.domain.jobs import (
    JobDetails,
    JobId,
    JobStatus,
    JobType,
    Observation,
    type_of,
    unique,
)
from tracker_service.domain.written_ids import WrittenId
from tracker_service.errors import GatewayUnavailable, JobNotFound, NotTracked
from tracker_service.identities import Caller, Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.oozie import Oozie
from tracker_service.store import children, copies, credentials, jobs, track_tasks, tracked_jobs
from tracker_service.store.database import Connection, Store
from tracker_service.store.grouped import GroupedWrites
from tracker_service.store.jobs import KeptJob

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackResult:
    """The answer to one posted id."""

    posted: WrittenId
    id: JobId  #: the job that is tracked for it
    status: JobStatus
    applications: tuple[ApplicationId, ...] = ()

    @property
    def note(self) -> str | None:
        """Return what became of an id that names an action; None for one that names a job."""
        action = self.posted.text
        if "@" not in action or self.status == JobStatus.NOT_FOUND:
            return None
        if self.id == action and self.status.is_terminal:
            return f"{action} ended as {self.status} and has started no workflow."
        if self.id == action:
            return (
                f"{action} has started no workflow that is known yet; its workflow is tracked as "
                "soon as it has."
            )
        if type_of(self.posted.id) == JobType.COORDINATOR_ACTION:
            return f"{action} has started the workflow {self.id}, which is tracked."
        return f"{action} is an action of the workflow {self.id}, which is tracked."


@dataclass(slots=True)
class _OozieAnswers:
    """The answers of Oozie about the posted ids."""

    #: by the action of a coordinator: the workflow that it has started
    started: dict[JobId, JobId] = field(default_factory=dict)
    seen: dict[JobId, Observation] = field(default_factory=dict)
    unknown: set[JobId] = field(default_factory=set)
    details: JobDetails | None = None  #: only if a single id was posted


class Intake:
    """Starts and stops tracking jobs."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._clock = store, identities, clock
        self._writes = GroupedWrites(store)

    def track(
        self,
        caller: Caller,
        posted: Sequence[WrittenId],
        *,
        policy: CopyPolicy = CopyPolicy.OF_FAILURES,
    ) -> list[TrackResult]:
        """Track jobs for the caller; jobs that the caller tracks already stay as they are.

        The tracker's own copy workflows get an answer but are not tracked: to save the log of one,
        the tracker would start another. An action of a coordinator becomes the workflow that it has
        started; one that has started none is tracked itself until it has.

        1. Ask Oozie about each action of a coordinator, and about all jobs, 100 with one request.
        2. Keep jobs, tasks and the encrypted credential in one transaction, which is durable when
           this returns.

        Args:
            policy: which jobs' logs are saved.

        Returns:
            one result for each posted id, in the order posted; ids that are posted twice count
            once. A job that Oozie does not know is NOT_FOUND and not tracked. If Oozie does not
            answer, the job is tracked in its last known state, or as UNKNOWN.

        Raises:
            JobNotFound: Oozie knows none of the jobs.
            CredentialsRefused: the gateway no longer accepts the caller's credential.
        """
        if len(posted) == 1:
            structlog.contextvars.bind_contextvars(job=posted[0].id)
        look = _look(self._identities.access(caller), unique(each.id for each in posted))
        meant = {each: look.started.get(each.id, each.id) for each in posted}
        ids = unique(meant.values())
        if look.unknown.issuperset(ids):
            raise JobNotFound(f"Oozie knows none of these jobs: {', '.join(ids[:10])}")
        now = self._clock()
        wanted = [
            look.seen.get(job_id)
            or Observation(id=job_id, status=JobStatus.UNKNOWN, observed_at=now)
            for job_id in ids
            if job_id not in look.unknown
        ]
        results, tracked = self._writes.write(
            lambda connection: self._keep(connection, caller, meant, wanted, look.details, policy)
        )
        log.info(
            "tracked",
            user=caller.name,
            jobs=tracked,
            not_found=len(ids) - len(wanted),
            copies=str(policy),
        )
        return results

    def _keep(
        self,
        connection: Connection,
        caller: Caller,
        meant: Mapping[WrittenId, JobId],
        wanted: Sequence[Observation],
        details: JobDetails | None,
        policy: CopyPolicy,
    ) -> tuple[list[TrackResult], int]:
        """Return the results, and how many of the jobs are tracked now."""
        ours = copies.copy_jobs(connection, [seen.id for seen in wanted])
        ours |= {seen.id for seen in wanted if is_copy_job_name(seen.name)}
        kept = jobs.record(connection, [seen for seen in wanted if seen.id not in ours])
        if details and (job := kept.get(details.observation.id)):
            found = list(applications_of(job.id, details.actions))
            jobs.record_details(connection, job.key, job.run, details, found)
        if kept:
            self._start(connection, caller, list(kept.values()), policy)
        applications = jobs.applications_of(connection, [job.key for job in kept.values()])
        statuses = {seen.id: seen.status for seen in wanted if seen.id in ours}
        answers = [
            TrackResult(
                posted=posted,
                id=job_id,
                status=kept[job_id].status,
                applications=tuple(applications[kept[job_id].key]),
            )
            if job_id in kept
            else TrackResult(
                posted=posted, id=job_id, status=statuses.get(job_id, JobStatus.NOT_FOUND)
            )
            for posted, job_id in meant.items()
        ]
        return answers, len(kept)

    def _start(
        self, connection: Connection, caller: Caller, wanted: Sequence[KeptJob], policy: CopyPolicy
    ) -> None:
        """Track jobs; if the policy wants all logs, decide the copies of known applications now."""
        now = self._clock()
        self._identities.track(connection, caller, wanted, now, policy)
        if policy == CopyPolicy.OF_FAILURES:
            return
        known = jobs.applications_of(connection, [job.key for job in wanted])
        for task in tracked_jobs.of_jobs(connection, caller.name, [job.key for job in wanted]):
            copies.decide(connection, task, known[task.job.key], now)

    def stop(self, caller: Caller, job_id: JobId) -> None:
        """Stop tracking a job for the caller. Saved logs stay; running copies are finished.

        Args:
            job_id: of an action of a coordinator, its workflow is not tracked any more either.

        Raises:
            NotTracked: the caller does not track the job.
        """
        self._store.write(lambda connection: self._stop(connection, caller, job_id))
        log.info("untracked", user=caller.name, job=job_id)

    def _stop(self, connection: Connection, caller: Caller, job_id: JobId) -> None:
        ids = [job_id, *children.statuses(connection, caller.name, job_id)]
        meant = ids if type_of(job_id) == JobType.COORDINATOR_ACTION else [job_id]
        now = self._clock()
        if not any([track_tasks.stop(connection, caller.name, each, now) for each in meant]):
            raise NotTracked(
                f"You do not track the job {job_id}: GET /api/jobs/tracking lists those that "
                "you do."
            )
        for kept in credentials.find(connection, [caller.name]).values():
            credentials.erase_unneeded(connection, kept)


def _look(access: ClusterAccess, ids: Sequence[JobId]) -> _OozieAnswers:
    """Ask Oozie about jobs; stop at the first request that fails."""
    look = _OozieAnswers()
    actions = [job_id for job_id in ids if type_of(job_id) == JobType.COORDINATOR_ACTION]
    try:
        for action in actions:
            _look_at_action(access.oozie, action, look)
        jobs = unique([look.started.get(job_id, job_id) for job_id in ids])
        left = [job_id for job_id in jobs if job_id not in look.seen.keys() | look.unknown]
        if len(jobs) == len(left) == 1:
            _look_at_one(access.oozie, left[0], look)
        else:
            _look_at_many(access.oozie, left, look)
    except GatewayUnavailable as error:
        # The caller waits for one time-out at most; a worker asks about the other jobs later.
        log.warning("oozie_not_asked", reason=str(error), jobs=len(ids) - len(look.seen))
    return look


def _look_at_action(oozie: Oozie, action: JobId, look: _OozieAnswers) -> None:
    """Ask Oozie which workflow an action of a coordinator has started."""
    try:
        answer = oozie.children(action)
    except JobNotFound:
        look.unknown.add(action)
        return
    look.seen[action] = answer.observation
    if workflow := answer.started[0]:
        look.started[action] = workflow


def _look_at_one(oozie: Oozie, job_id: JobId, look: _OozieAnswers) -> None:
    """Ask Oozie about one job, with its actions in the same answer."""
    try:
        look.details = oozie.details(job_id)
    except JobNotFound:
        look.unknown.add(job_id)
    else:
        look.seen[job_id] = look.details.observation


def _look_at_many(oozie: Oozie, ids: Sequence[JobId], look: _OozieAnswers) -> None:
    for chunk in oozie.requests_for(ids):
        look.seen |= oozie.chunk(chunk)
        missing = [job_id for job_id in chunk if job_id not in look.seen]
        if missing:  # ask twice before a job counts as unknown
            look.seen |= oozie.chunk(missing)
            look.unknown.update(job_id for job_id in missing if job_id not in look.seen)
