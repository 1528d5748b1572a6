"""Record what Oozie says of a job, and move its task to the next state, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from tracker_service.domain.applications import Application
from tracker_service.domain.jobs import JobDetails, JobStatus, Observation
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason, TaskState, TrackTask
from tracker_service.store import copies, credentials, jobs, tasks, track_tasks
from tracker_service.store.database import Connection

log = structlog.get_logger()

Recorder = Callable[[Connection, TrackTask, JobDetails, Sequence[Application], datetime], TrackTask]


def record_observation(
    connection: Connection, task: TrackTask, seen: Observation, now: datetime
) -> TrackTask:
    """Record an observation of a task's job; if the job was run again, follow the new run.

    Returns:
        the task as it is now, with the recorded state of its job.
    """
    kept = jobs.record(connection, [seen])[seen.id]
    if kept.key != task.job_key:
        log.info("job_run_again", job=kept.id, user=task.owner, run=kept.run, now=kept.status)
        return track_tasks.follow_run(connection, task, kept, now)
    if kept.status != task.status:
        log.info(
            "job_state_changed", job=kept.id, user=task.owner, was=task.status, now=kept.status
        )
    return replace(task, run=kept.run, status=kept.status, observed_at=kept.observed_at)


def record_details(
    connection: Connection,
    task: TrackTask,
    details: JobDetails,
    found: Sequence[Application],
    now: datetime,
) -> TrackTask:
    """Record a job's observation, actions and applications; return the task as it is now."""
    task = record_observation(connection, task, details.observation, now)
    jobs.record_details(connection, task.job_key, task.run, details, found)
    return task


def record_glance(
    connection: Connection,
    task: TrackTask,
    details: JobDetails,
    found: Sequence[Application],
    now: datetime,
) -> TrackTask:
    """Record only the applications of a job that is still in its known state.

    Background checks use this, so that thousands of them do not each rewrite the row of a job. The
    API itself asks Oozie for the actions of a running job.
    """
    seen = details.observation
    if (seen.status, seen.run) != (task.status, task.run):
        return record_details(connection, task, details, found, now)
    jobs.record_applications(connection, task.job_key, seen.observed_at, found)
    return task


def next_step(connection: Connection, task: TrackTask, now: datetime) -> TrackTask:
    """End the task of a job that succeeded; start to save the logs of any other ended job."""
    task = track_tasks.current(connection, task)
    if task.state != TaskState.WATCHING:
        return task
    decide_copies(connection, task, now)
    if not task.status.is_terminal:
        return task
    if task.status == JobStatus.SUCCEEDED and not task.copies_always:
        return end_task(connection, task, now)
    return replace(task, state=track_tasks.start_copying(connection, task))


def decide_copies(connection: Connection, task: TrackTask, now: datetime) -> int:
    """Decide to copy the logs of all known applications of a job, if its logs are wanted.

    Returns:
        the number of new copies.
    """
    if task.is_stopped or not _wants_copies(task):
        return 0  # the task only waits for running copies, or for copies of an earlier run
    known = jobs.applications_of(connection, [task.job_key])[task.job_key]
    new = copies.decide(connection, task, known, now)
    if new:
        log.info("copies_decided", job=task.job_id, user=task.owner, copies=new)
    return new


def _wants_copies(task: TrackTask) -> bool:
    if task.status == JobStatus.NOT_FOUND:
        return False
    failed = task.status.is_terminal and task.status != JobStatus.SUCCEEDED
    return failed or task.copies_always


def end_missing(connection: Connection, task: TrackTask, reason: str, now: datetime) -> TrackTask:
    """End the task of a job that Oozie no longer knows; still save the logs of a failed one."""
    if task.status == JobStatus.NOT_FOUND:
        return end_task(connection, task, now, Reason(TaskReason.JOB_GONE, reason))
    return next_step(connection, task, now)


def end_task(
    connection: Connection,
    task: TrackTask,
    now: datetime,
    reason: Reason[TaskReason] | None = None,
) -> TrackTask:
    """End a task and erase the user's credential if no live task needs it.

    If copies of an earlier run have not ended, the task saves these first.
    """
    if copies.has_unfinished(connection, task.id):  # of an earlier run
        return replace(task, state=track_tasks.start_copying(connection, task))
    tasks.end(connection, task, now, reason)
    log.info("tracking_ended", job=task.job_id, user=task.owner, reason=reason and reason.text)
    kept = credentials.find(connection, [task.owner]).get(task.owner)
    if kept and credentials.erase_unneeded(connection, kept):
        log.info("credential_erased", user=task.owner)
    return replace(task, state=TaskState.ENDED)
