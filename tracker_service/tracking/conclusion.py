"""Conclude why a run failed once all its logs are saved; keep the cause, and tell the user."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from tracker_service.domain.causes import Cause
from tracker_service.domain.failures import Conclude, Failure, Witness
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import TrackTask
from tracker_service.store import causes, conditions, copies, events, jobs
from tracker_service.store.database import Connection
from tracker_service.store.jobs import KeptJob
from tracker_service.tracking.events import Around, EndedRun, job_failed, logs_at_risk
from tracker_service.tracking.explorer import Exploration

log = structlog.get_logger()

_KNOWN_FOR = timedelta(days=30)  #: a family that was not seen for so long is new


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

    def keep(
        self,
        connection: Connection,
        task: TrackTask,
        kept: KeptJob,
        cause: Cause | None,
        now: datetime,
    ) -> None:
        """Keep why a run failed, and tell its user, if it has failed."""
        if cause:
            causes.keep(connection, task.id, kept.key, cause, now)
        if has_failed(kept.id, kept.status):
            run = ended_run(connection, task, kept, cause, now)
            events.append(connection, job_failed(run, _around(connection, run)))

    def keep_at_end(
        self, connection: Connection, task: TrackTask, found: Exploration | None, now: datetime
    ) -> None:
        """Keep why the job of a task failed, unless a cause from its logs is already kept."""
        if causes.is_kept(connection, task.id, task.job_key):
            return
        if kept := jobs.runs_of(connection, task.job_id).get(task.run):
            cause = self.of_run(connection, task, kept, found)
            self.keep(connection, task, kept, cause, now)

    def tell_early(self, connection: Connection, task: TrackTask, now: datetime) -> None:
        """Tell the user of a failed job whose logs are not saved yet what is known by now."""
        kept = jobs.runs_of(connection, task.job_id).get(task.run)
        if kept is None or not has_failed(kept.id, kept.status):
            return
        run = ended_run(connection, task, kept, self.of_run(connection, task, kept, None), now)
        events.append(connection, job_failed(run, _around(connection, run)))
        if at_risk := logs_at_risk(run):
            events.append(connection, at_risk)


def ended_run(
    connection: Connection, task: TrackTask, kept: KeptJob, cause: Cause | None, now: datetime
) -> EndedRun:
    """Return what the user of a task hears of a run."""
    logs = copies.of_run(connection, task.id, kept.run)
    return EndedRun(owner=task.owner, job=kept, cause=cause, copies=logs, at=now)


def _around(connection: Connection, run: EndedRun) -> Around:
    """Return what else is known at the moment of a failure."""
    trouble = conditions.current(connection, conditions.CLUSTER_TROUBLE)
    before = run.cause and causes.count_others(
        connection, run.cause.fingerprint, run.job.id, run.owner, run.at - _KNOWN_FOR
    )
    return Around(is_new_family=run.cause is not None and not before, trouble=trouble)


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
