"""Conclude why a run failed once all its logs are saved, and keep the cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import structlog

from tracker_service.domain.causes import Cause
from tracker_service.domain.failures import Conclude, Failure, Witness
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TrackTask
from tracker_service.store import causes, jobs
from tracker_service.store.database import Connection
from tracker_service.store.jobs import KeptJob
from tracker_service.tracking.explorer import Exploration

log = structlog.get_logger()


class Conclusion:
    """Concludes causes from the store and from a last answer of Oozie."""

    def __init__(self, conclude: Conclude) -> None:
        self._conclude = conclude

    def of_run(
        self, connection: Connection, task: TrackTask, kept: KeptJob, found: Exploration | None
    ) -> Cause | None:
        """Return why a run of a task's job failed; None if it did not, or if no cause was found.

        Args:
            found: the last search for the job's applications; None if Oozie could not be asked.
        """
        if not has_failed(kept.id, kept.status):
            return None
        witnesses = causes.witnesses(connection, task.id, kept.key)
        is_seen = found is not None and found.details.observation.run == kept.run
        return concluded(
            self._conclude,
            Failure(
                job_id=kept.id,
                run=kept.run,
                status=kept.status,
                actions=found.actions
                if found and is_seen
                else jobs.actions_of(connection, kept.key),
                witnesses=witnesses,
                is_complete=(found is None or found.is_complete) and _all_saved(witnesses),
            ),
        )

    def keep_at_end(
        self, connection: Connection, task: TrackTask, found: Exploration | None, now: datetime
    ) -> None:
        """Keep why the job of a task failed, unless a cause from its logs is already kept."""
        if causes.is_kept(connection, task.id, task.job_key):
            return
        kept = jobs.runs_of(connection, task.job_id).get(task.run)
        if kept and (cause := self.of_run(connection, task, kept, found)):
            causes.keep(connection, task.id, task.job_key, cause, now)


def has_failed(job_id: JobId, status: JobStatus) -> bool:
    """Tell whether a job is a failed workflow; other jobs fail because their workflows do."""
    return status in (JobStatus.KILLED, JobStatus.FAILED) and job_id.endswith("W")


def concluded(conclude: Conclude, failure: Failure) -> Cause | None:
    """Return the cause of a failure; None if there is none, or if a rule breaks on its texts."""
    try:
        return conclude(failure)
    except Exception:
        log.exception("cause_broke", job=failure.job_id, run=failure.run)
        return None


def _all_saved(witnesses: Sequence[Witness]) -> bool:
    return all(witness.is_saved for witness in witnesses)
