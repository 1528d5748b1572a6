"""Bring a copy by a workflow one step further: submit, find again, look why it does not go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tracker_service.archive.copying import workflow_copy
from tracker_service.archive.copying.progress import LOOK, RUNS, TROUBLE, Progress
from tracker_service.archive.copying.workflow_copy import WorkflowOptions
from tracker_service.domain.copies import STOPPED_BY_US, Copy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.errors import GatewayUnavailable, JobNotFound, RequestRefused
from tracker_service.sources.access import ClusterAccess

log = structlog.get_logger()

_LONGEST_COPY = timedelta(hours=6)  #: then the workflow is killed and the copy tried again
_GOES_ON = (JobStatus.PREP, JobStatus.RUNNING, JobStatus.UNKNOWN)


class WorkflowWatch:
    """Watches the Oozie workflows that copy logs.

    A copy may be found in any state after a crash: what was submitted is found again by its name.
    """

    def __init__(
        self, progress: Progress, options: WorkflowOptions, clock: Callable[[], datetime]
    ) -> None:
        self._progress, self._options, self._clock = progress, options, clock

    def submit(self, access: ClusterAccess, started: Copy, lease: Lease, log_owner: str) -> None:
        """Submit the workflow of a try that is written down.

        Raises:
            GatewayError: it does not run; but GatewayUnavailable means that nobody knows, and
                `find_again` will see.
        """
        job = workflow_copy.submit(access, started, log_owner, self._options)
        self._progress.submitted(started, lease, job)

    def find_again(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Settle a try of which nobody knows whether its workflow was started."""
        job = workflow_copy.find(access, copy)
        if job:
            self._progress.submitted(copy, lease, job)
        else:
            self._progress.not_submitted(copy, lease)

    def goes_on(self, copy: Copy, status: JobStatus | None) -> bool:
        """Tell whether a workflow of this state needs nothing but time."""
        is_late = copy.started_at and self._clock() - copy.started_at > _LONGEST_COPY
        return status in _GOES_ON and not is_late

    def look_why(self, access: ClusterAccess, copy: Copy, lease: Lease) -> JobStatus:
        """Find out why a workflow does not go on.

        Returns:
            SUCCEEDED if it has written its part after all, KILLED if somebody killed it, and
            RUNNING if it goes on, or stops at our wish.

        Raises:
            RequestRefused: this try has failed, with the reason.
        """
        job = JobId(copy.job or "")
        try:
            details = access.oozie.details(job)
        except JobNotFound as error:
            raise RequestRefused(str(error)) from error
        status = details.observation.status
        if status == JobStatus.SUCCEEDED:
            return status
        if self.goes_on(copy, status):
            self._progress.later([copy], lease, LOOK, RUNS)
            return JobStatus.RUNNING
        if not status.is_terminal:
            self._stop(access, copy, lease, status)
            return JobStatus.RUNNING
        if (copy.reason or "").startswith(STOPPED_BY_US):  # the answer to our kill was lost
            raise RequestRefused(copy.reason)
        if any(action.status == "KILLED" for action in details.actions):
            return JobStatus.KILLED
        errors = [a.error_message for a in details.actions if a.error_message]
        raise RequestRefused(workflow_copy.reason(access, copy) or next(iter(errors), "no message"))

    def _stop(self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus) -> None:
        """Kill a workflow that is suspended, or at it for hours: it would keep its place for ever.

        That it is our deed is written down first, so that nobody takes it for somebody else's.
        """
        reason = f"{STOPPED_BY_US}: {copy.job} was {status} and did not end"
        self._progress.later([copy], lease, TROUBLE, reason)
        try:
            access.oozie.kill(JobId(copy.job or ""))
        except GatewayUnavailable as error:  # the next look kills again, or finds it killed
            log.warning("copy_not_stopped", job=copy.job_id, copy=copy.id, reason=str(error))
            return
        raise RequestRefused(reason)
