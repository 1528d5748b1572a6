"""The workflow way of a copy: an Oozie workflow writes the log on the cluster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tracker_service.archive.copying import target, workflow_copy
from tracker_service.archive.copying.progress import (
    IS_COPIED,
    LOOK_AGAIN_AFTER,
    LimitReached,
    Progress,
)
from tracker_service.archive.copying.publishing import Publisher
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.tries import Tries
from tracker_service.archive.copying.ways import Choice
from tracker_service.archive.copying.workflow_copy import WorkflowOptions
from tracker_service.audit import AuditedAction, audited
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.applications import short
from tracker_service.domain.copies import STOPPED_BY_US, Copy, CopyReason, CopyStatus, Strategy
from tracker_service.domain.jobs import JobDetails, JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.errors import GatewayUnavailable, JobNotFound, RequestRefused
from tracker_service.sources.access import ClusterAccess

log = structlog.get_logger()

_LONGEST_COPY = timedelta(hours=6)  #: then the workflow is killed and the copy tried again
_ACTIVE = (JobStatus.PREP, JobStatus.RUNNING, JobStatus.UNKNOWN)


class WorkflowWay:
    """Copies a log with an Oozie workflow, and reads back what it wrote.

    After a crash, a workflow that was submitted is found again by its name.
    """

    strategy = Strategy.WORKFLOW

    def __init__(
        self,
        progress: Progress,
        publisher: Publisher,
        tries: Tries,
        streams: Streams,
        options: WorkflowOptions,
        *,
        new_scanner: Callable[[], Scanner],
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare to copy.

        Args:
            new_scanner: makes what looks for the cause in one log, which still has its secrets.
        """
        self._progress, self._publisher, self._tries = progress, publisher, tries
        self._streams, self._options = streams, options
        self._new_scanner, self._clock = new_scanner, clock

    def limit_reached(self, owner: str) -> Reason[CopyReason] | None:
        """Say which limit leaves no room for one more copy; None if there is room."""
        return self._progress.limit_reached(owner)

    def begin(self, access: ClusterAccess, copy: Copy, lease: Lease, choice: Choice) -> None:
        """Note a new try, then submit its workflow.

        Raises:
            LimitReached: there is no room; the copy waits, and its way is noted.
        """
        if copy.strategy != Strategy.WORKFLOW and (limit := self.limit_reached(copy.owner)):
            self._progress.leave_to_workflow(copy, lease, choice.why)
            raise LimitReached(Strategy.WORKFLOW, limit)
        started = self._progress.start_workflow(copy, lease, choice.why)
        if started is None:  # another worker took the last slot
            self._progress.postpone([copy], lease, LOOK_AGAIN_AFTER, "waits for a place")
            return
        with self._tries.noting_failure(access, started, lease):
            what = {"job": copy.job_id, "applications": [short(copy.application)]}
            with audited(AuditedAction.COPY_LOG, copy.owner, **what):
                job = workflow_copy.submit(access, started, choice.log_owner, self._options)
            self._progress.submitted(started, lease, job)

    def is_progressing(self, copy: Copy, status: JobStatus | None) -> bool:
        """Tell whether a running copy needs nothing but time.

        Args:
            status: of its workflow, as Oozie says; None if nobody knows.
        """
        is_late = copy.started_at and self._clock() - copy.started_at > _LONGEST_COPY
        return status in _ACTIVE and not is_late

    def resume(
        self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus | None
    ) -> None:
        """Bring a running copy on whose workflow has ended, is stuck, or is not known.

        Raises:
            RequestRefused: this try has failed, with the reason.
        """
        if copy.job is None:
            self._find_again(access, copy, lease)
        elif status == JobStatus.SUCCEEDED:
            self._start_reading_back(copy, lease)
        else:
            self._examine(access, copy, lease, JobId(copy.job))

    def _find_again(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Find out whether the workflow of a try was started, where nobody knows."""
        job = workflow_copy.find(access, copy)
        if job:
            self._progress.submitted(copy, lease, job)
        else:
            self._progress.not_submitted(copy, lease)

    def _start_reading_back(self, copy: Copy, lease: Lease) -> None:
        if limit := self._streams.limit_reached(copy.owner):
            reason = f"is copied and will be checked: {limit.text}"
            self._progress.postpone([copy], lease, LOOK_AGAIN_AFTER, reason)
        else:
            self._streams.start(copy, lease, self._read_back)

    def _read_back(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Take the checksum of what a workflow wrote, unless that was done before a crash."""
        written = copy.part or workflow_copy.read_back(
            access.hdfs, copy, self._new_scanner(), self._streams.stopping
        )
        self._publisher.publish(access.hdfs, copy, lease, written)

    def _examine(self, access: ClusterAccess, copy: Copy, lease: Lease, job: JobId) -> None:
        """Ask Oozie for the details of a workflow that does not progress, and act on them."""
        try:
            details = access.oozie.details(job)
        except JobNotFound as error:
            raise RequestRefused(str(error)) from error
        status = details.observation.status
        if status == JobStatus.SUCCEEDED:
            self._start_reading_back(copy, lease)
        elif self.is_progressing(copy, status):
            self._progress.postpone([copy], lease, LOOK_AGAIN_AFTER, IS_COPIED)
        elif not status.is_terminal:
            self._stop(access, copy, lease, job, status)
        else:
            self._end(access, copy, lease, details)

    def _end(self, access: ClusterAccess, copy: Copy, lease: Lease, details: JobDetails) -> None:
        """Give a copy up whose workflow a person has killed; otherwise only the try has failed."""
        if copy.reason_code == CopyReason.STOPPED_BY_TRACKER:  # the answer to our kill was lost
            raise RequestRefused(copy.reason or STOPPED_BY_US)
        if any(action.status == "KILLED" for action in details.actions):
            reason = f"somebody killed {copy.job}"
            self._tries.give_up(access, copy, lease, reason, CopyStatus.KILLED)
            return
        errors = [a.error_message for a in details.actions if a.error_message]
        reported = workflow_copy.reported_reason(access, copy)
        target.check(access.hdfs, copy)
        raise RequestRefused(reported or next(iter(errors), "no message"))

    def _stop(
        self, access: ClusterAccess, copy: Copy, lease: Lease, job: JobId, status: JobStatus
    ) -> None:
        """Kill a workflow that is suspended or runs for hours: it would keep its slot for ever.

        The reason is noted before the kill, so that nobody takes the kill for a user's.
        """
        reason = f"{STOPPED_BY_US}: {job} was {status} and did not end"
        self._progress.note_kill(copy, lease, reason)
        try:
            access.oozie.kill(job)
        except GatewayUnavailable as error:  # the next look kills again, or finds it killed
            log.warning("copy_not_stopped", job=copy.job_id, copy=copy.id, reason=str(error))
            return
        raise RequestRefused(reason)
