"""Read jobs for callers: from the store, or from Oozie if the caller does not track the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from tracker_service.domain.applications import ApplicationId, applications_of
from tracker_service.domain.chunks import chunks
from tracker_service.domain.copies import Copy
from tracker_service.domain.jobs import Action, JobDetails, JobId, JobStatus, JobType, type_of
from tracker_service.domain.tasks import TaskState
from tracker_service.errors import GatewayError, JobNotFound
from tracker_service.identities import Caller, Identities
from tracker_service.store import children, copies, jobs, tracked_jobs
from tracker_service.store.database import Connection, Store
from tracker_service.store.jobs import StateChange
from tracker_service.store.tracked_jobs import Outline, TrackedJob
from tracker_service.tracking.children import has_children
from tracker_service.tracking.safety import safety, searched_since

log = structlog.get_logger()

_DETAILS_LIFE = timedelta(seconds=30)  #: the age after which a running job's actions are old


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as one caller sees it, with the caller's own task and copies."""

    id: JobId
    owner: str  #: the user whose task and copies these are
    task_id: int | None = None
    job_key: int | None = None  #: row of the job and run; None if the caller does not track it
    run: int
    status: JobStatus
    name: str | None
    user: str | None
    parent_id: str | None
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    checked_at: datetime | None
    is_tracked: bool
    reason: str | None = None  #: why the task waits, or why it ended without a result
    applications: Sequence[ApplicationId] = ()
    copies: Sequence[Copy] = ()
    actions: Sequence[Action] = ()
    history: Sequence[StateChange] = ()
    children: Mapping[JobId, JobStatus] = field(default_factory=dict)  #: only tracked ones
    retention: timedelta  #: how long the cluster keeps a log
    searched_since: datetime | None = None  #: end of the job, while its applications are searched

    @property
    def logs(self) -> str | None:
        """Return how safe the logs are; see `safety`."""
        return safety(self.copies, self.retention, self.searched_since)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCopies:
    """The caller's copies of a job's logs, of all its runs."""

    id: JobId
    status: JobStatus  #: of the job
    is_tracked: bool
    is_settled: bool  #: no further application will be found
    retention: timedelta  #: how long the cluster keeps a log
    copies: Sequence[Copy] = ()

    @property
    def is_finished(self) -> bool:
        """Whether all copies have ended and no other copy will be made."""
        return self.is_settled and all(copy.status.is_finished for copy in self.copies)

    @property
    def why_none(self) -> str:
        """Return why there is no copy, as a sentence."""
        if not self.is_tracked:
            return "you do not track this job: post its id to /api/task/track/"
        if self.status == JobStatus.SUCCEEDED:
            return (
                "the job SUCCEEDED; logs are saved of jobs that did not, or when they are asked "
                "for: post the id to /api/task/copy-logs/"
            )
        if not self.status.is_terminal:
            return f"the job is {self.status}; its logs are saved if it ends without success"
        if not self.is_settled:
            return f"the job is {self.status}; its applications are being looked for"
        return f"the job is {self.status}, and no application of it is known"


_PAGE = 500  #: jobs of a list that are read at once


class Lookup:
    """Reads jobs for callers; it starts to track none."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        listed_for: timedelta,
        retention: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities = store, identities
        self._listed_for, self._retention, self._clock = listed_for, retention, clock

    def meant(self, caller: Caller, job_id: JobId) -> JobId:
        """Return the job that an id means to the caller.

        An action of a coordinator means the workflow that it has started; while there is none, it
        stands for itself. Any other id means the job that it names.

        Raises:
            JobNotFound: Oozie does not know the action.
            GatewayUnavailable: the caller does not track the action, and Oozie does not answer.
        """
        if type_of(job_id) != JobType.COORDINATOR_ACTION:
            return job_id
        with self._store.read() as connection:
            started = list(children.statuses(connection, caller.name, job_id))
            is_tracked = bool(tracked_jobs.of_job(connection, caller.name, job_id))
        if not started and not is_tracked:
            answer = self._identities.access(caller).oozie.children(job_id)
            started = [workflow for workflow in answer.started if workflow]
        return started[0] if started else job_id

    def status(self, caller: Caller, job_id: JobId, *, refresh: bool = False) -> JobStatus:
        """Return a job's state: from the store if the caller tracks it, otherwise from Oozie.

        Args:
            refresh: ask Oozie also if the caller tracks the job.

        Raises:
            JobNotFound: Oozie does not know the job.
            GatewayUnavailable: Oozie does not answer.
        """
        tracked = self._tracked(caller, job_id)
        if not tracked or tracked[0].is_stopped:
            return self._ask(caller, job_id).observation.status
        if refresh:
            self._refresh(caller, tracked[0])
            tracked = self._tracked(caller, job_id)
        return tracked[0].job.status

    def job(self, caller: Caller, job_id: JobId, *, refresh: bool = False) -> JobView:
        """Return everything about one job; ask Oozie for its actions if they are missing or old.

        Args:
            refresh: ask Oozie in any case.

        Raises:
            JobNotFound, GatewayUnavailable: as `status`.
        """
        tracked = self._tracked(caller, job_id)
        if not tracked or tracked[0].is_stopped:
            view = _untracked(caller, self._ask_in_full(caller, job_id), self._retention)
            with self._store.read() as connection:
                return replace(view, copies=_copies(connection, tracked))
        if refresh:
            self._refresh(caller, tracked[0])
        elif self._wants_details(tracked[0]):
            try:
                self._refresh(caller, tracked[0])
            except GatewayError as error:  # answer with what the store has
                log.info("details_not_asked", job=job_id, reason=str(error))
        with self._store.read() as connection:
            runs = tracked_jobs.of_job(connection, caller.name, job_id)
            newest = runs[0]
            return replace(
                _views(connection, [newest], self._retention)[0],
                copies=_copies(connection, runs),
                actions=jobs.actions_of(connection, newest.job.key),
                history=jobs.history(connection, newest.job.key),
                children=children.statuses(connection, caller.name, job_id),
            )

    def copies(self, caller: Caller, job_id: JobId) -> JobCopies:
        """Return the caller's copies of a job's logs; none if the caller does not track the job.

        Raises:
            JobNotFound, GatewayUnavailable: as `status`.
        """
        tracked = self._tracked(caller, job_id)
        if not tracked:
            status = self._ask(caller, job_id).observation.status
            return JobCopies(
                id=job_id,
                status=status,
                is_tracked=False,
                is_settled=True,
                retention=self._retention,
            )
        with self._store.read() as connection:
            return _job_copies(connection, tracked, self._retention)[0]

    def copies_of(self, caller: Caller, job_ids: Sequence[JobId]) -> list[JobCopies]:
        """Return the caller's copies of many jobs' logs; untracked jobs are left out."""
        with self._store.read() as connection:
            kept = jobs.latest(connection, job_ids)
            keys = [job.key for job in kept.values()]
            tracked = tracked_jobs.of_jobs(connection, caller.name, keys)
            return _job_copies(connection, tracked, self._retention)

    def tracking(
        self,
        owner: str | None,
        *,
        statuses: Sequence[JobStatus] = (),
        after: int = 0,
        limit: int,
    ) -> tuple[Outline, Iterator[list[JobView]]]:
        """List tracked jobs whose task is live or ended lately, the oldest task first.

        Args:
            owner: list only this user's jobs; None for all users.
            statuses: list only jobs in these states; empty for all.
            after: the id of the last task of the page before.
            limit: the most jobs to list.

        Returns:
            the outline of the list, and its jobs in pages.
        """
        listing = tracked_jobs.Listing(
            owner=owner,
            since=self._clock() - self._listed_for,
            statuses=tuple(statuses),
            after=after,
            limit=limit,
        )
        with self._store.read() as connection:
            outline = tracked_jobs.outline(connection, listing)
        return outline, self._in_pages(listing, outline.task_ids)

    def _in_pages(
        self, listing: tracked_jobs.Listing, task_ids: Sequence[int]
    ) -> Iterator[list[JobView]]:
        """Yield the jobs of a list in pages, so that the first page is sent at once."""
        for page in chunks(task_ids, _PAGE):
            with self._store.read() as connection:
                found = tracked_jobs.listed(connection, listing, page)
                views = _views(connection, found, self._retention)
            yield views

    def oozie_list(self, caller: Caller, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return Oozie's own list of jobs that the caller may see, as JSON.

        See "Jobs Information" in Oozie's Web Services API.

        Args:
            parameters: of Oozie's request, such as `filter`, `offset` and `len`.

        Raises:
            BadInput: Oozie refuses the parameters.
            GatewayUnavailable: Oozie does not answer.
        """
        return self._identities.access(caller).oozie.listing(parameters)

    def _tracked(self, caller: Caller, job_id: JobId) -> list[TrackedJob]:
        with self._store.read() as connection:
            return tracked_jobs.of_job(connection, caller.name, job_id)

    def _ask(self, caller: Caller, job_id: JobId) -> JobDetails:
        return self._identities.access(caller).oozie.details(job_id)

    def _ask_in_full(self, caller: Caller, job_id: JobId) -> JobDetails:
        """Ask about a job; of a coordinator or bundle, also which actions never became a job."""
        if not has_children(job_id):
            return self._ask(caller, job_id)
        found = self._identities.access(caller).oozie.children(job_id)
        return JobDetails(observation=found.observation, actions=found.never_started)

    def _refresh(self, caller: Caller, tracked: TrackedJob) -> None:
        """Ask Oozie about a job and keep the answer; track a rerun with the caller's new task.

        If Oozie no longer knows the job, nothing changes.
        """
        try:
            details = self._ask(caller, tracked.job.id)
        except JobNotFound as error:
            log.info("tracked_job_not_found", reason=str(error))
            return
        self._store.write(lambda connection: self._keep(connection, caller, tracked, details))

    def _keep(
        self, connection: Connection, caller: Caller, tracked: TrackedJob, details: JobDetails
    ) -> None:
        found = list(applications_of(tracked.job.id, details.actions))
        kept = jobs.record(connection, [details.observation])[tracked.job.id]
        jobs.record_details(connection, kept.key, kept.run, details, found)
        if kept.key != tracked.job.key:
            self._identities.track(connection, caller, [kept], self._clock())

    def _wants_details(self, tracked: TrackedJob) -> bool:
        job = tracked.job
        if job.details_at is None or (job.observed_at and job.details_at < job.observed_at):
            return True
        # Details from the future are as old: the clock was set back since.
        age = abs(self._clock() - job.details_at)
        return not job.status.is_terminal and age > _DETAILS_LIFE


def _copies(connection: Connection, runs: Sequence[TrackedJob]) -> list[Copy]:
    copied = copies.of_tasks(connection, [task.id for task in runs])
    return [copy for of_task in copied.values() for copy in of_task]


def _job_copies(
    connection: Connection, tracked: Sequence[TrackedJob], retention: timedelta
) -> list[JobCopies]:
    """Group copies by job.

    Args:
        tracked: tasks; of each job, the newest run comes first.
    """
    copied = copies.of_tasks(connection, [task.id for task in tracked])
    known = jobs.applications_of(connection, [task.job.key for task in tracked])
    runs: dict[JobId, list[TrackedJob]] = {}
    for task in tracked:
        runs.setdefault(task.job_id, []).append(task)
    return [
        JobCopies(
            id=job_id,
            status=(newest := of_job[0]).job.status,
            is_tracked=not newest.is_stopped,
            is_settled=_is_settled(newest, known[newest.job.key]),
            retention=retention,
            copies=[copy for run in of_job for copy in copied[run.id]],
        )
        for job_id, of_job in runs.items()
    ]


def _is_settled(task: TrackedJob, known: Sequence[ApplicationId]) -> bool:
    if task.state == TaskState.ENDED:
        return True
    return not (known or task.job.status.is_terminal or task.copies_always)


def _untracked(caller: Caller, details: JobDetails, retention: timedelta) -> JobView:
    seen = details.observation
    found = applications_of(seen.id, details.actions)
    return JobView(
        id=seen.id,
        owner=caller.name,
        run=seen.run,
        status=seen.status,
        name=seen.name,
        user=seen.user,
        parent_id=seen.parent_id,
        created_at=seen.created_at,
        started_at=seen.started_at,
        ended_at=seen.ended_at,
        checked_at=seen.observed_at,
        is_tracked=False,
        applications=list(dict.fromkeys(application.id for application in found)),
        actions=details.actions,
        retention=retention,
    )


def _views(
    connection: Connection, tracked: Sequence[TrackedJob], retention: timedelta
) -> list[JobView]:
    found = jobs.applications_of(connection, [task.job.key for task in tracked])
    copied = copies.of_tasks(connection, [task.id for task in tracked])
    return [
        JobView(
            id=task.job.id,
            task_id=task.id,
            job_key=task.job.key,
            owner=task.owner,
            run=task.job.run,
            status=task.job.status,
            name=task.job.name,
            user=task.job.user,
            parent_id=task.job.parent_id,
            created_at=task.job.created_at,
            started_at=task.job.started_at,
            ended_at=task.job.ended_at,
            checked_at=task.checked_at,
            is_tracked=not task.is_stopped,
            reason=task.reason,
            applications=found[task.job.key],
            copies=copied[task.id],
            retention=retention,
            searched_since=searched_since(task),
        )
        for task in tracked
    ]
