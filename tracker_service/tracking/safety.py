"""Say in a few words whether the logs of a job are safe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tracker_service.domain.copies import NOT_WANTED, Completeness, Copy, CopyStatus
from tracker_service.domain.jobs import JobStatus
from tracker_service.domain.tasks import TaskState
from tracker_service.store.tracked_jobs import TrackedJob


def is_wanted(copy: Copy) -> bool:
    """Tell whether a log is still wanted: its user has neither removed it nor stopped tracking."""
    return bool(copy.saved_at) or not (
        copy.status == CopyStatus.KILLED and copy.reason_code in NOT_WANTED
    )


def completeness(copy: Copy) -> Completeness | None:
    """Return how much of a log is saved; None if that is open, or if the log is not wanted."""
    return copy.completeness if is_wanted(copy) else None


def deleted_at(copy: Copy, retention: timedelta) -> datetime | None:
    """Return when the cluster deletes the log of an unfinished copy; None if it is finished."""
    return None if copy.status.is_finished else copy.log_at + retention


def searched_since(task: TrackedJob) -> datetime | None:
    """Return when a job ended whose applications are still searched; None for any other job."""
    status, job = task.job.status, task.job
    if task.state == TaskState.ENDED or task.is_stopped or not status.is_terminal:
        return None
    if status == JobStatus.NOT_FOUND or (status == JobStatus.SUCCEEDED and not task.copies_always):
        return None
    return job.ended_at or job.started_at or job.created_at


def safety(
    copies: Sequence[Copy], retention: timedelta, searched_since: datetime | None
) -> str | None:
    """Return how safe the logs of a job are.

    - None: no log is wanted, or the job has none. No log is wanted if the job has not ended, has
      succeeded or is not tracked, or if its user removed the logs or stopped tracking.
    - at risk until …: a log is not saved, and the cluster deletes it at this instant. A saved log
      that is copied again is not at risk, because it stays until the new one replaces it.
    - saved, partly lost, lost: all, some or none of the wanted logs are saved completely, and no
      more will be saved.

    Args:
        copies: of the job's logs, of all its runs.
        retention: how long the cluster keeps a log.
        searched_since: when the job ended, while its applications are still searched.
    """
    wanted = [copy for copy in copies if is_wanted(copy)]
    ends = [
        copy.log_at + retention for copy in wanted if not (copy.saved_at or copy.status.is_finished)
    ]
    if searched_since:
        ends.append(searched_since + retention)
    if ends:
        return f"at risk until {min(ends).isoformat(timespec='milliseconds')}"
    if not wanted:
        return None
    found = {copy.completeness for copy in wanted}
    if found == {Completeness.COMPLETE}:
        return "saved"
    return "lost" if found == {Completeness.LOST} else "partly lost"
