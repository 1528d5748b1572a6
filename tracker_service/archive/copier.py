"""Bring each copy of a log one step further: wait, start, watch, publish, or try again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from threading import Lock

import structlog

from tracker_service.archive import workflow_copy
from tracker_service.archive.aggregation import Aggregation, Ready
from tracker_service.archive.progress import LOOK, RUNS, TROUBLE, Progress
from tracker_service.archive.workflow_copy import WorkflowOptions
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import Copy, CopyStatus, Lease
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    JobNotFound,
    LeaseLost,
    PathNotFound,
    RequestRefused,
    StoreUnavailable,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import copies
from tracker_service.store.engine import Store

log = structlog.get_logger()

_AT_ONCE = 500  #: copies in one look
_LONGEST_LOOK = timedelta(seconds=15)  #: at an application whose log is not complete
_LONGEST_COPY = timedelta(hours=6)  #: then the workflow is killed and the copy tried again
_TROUBLES_IN_A_ROW = 3
_STOPPED = "the tracker stopped the copy workflow"
_GOES_ON = (JobStatus.PREP, JobStatus.RUNNING, JobStatus.UNKNOWN)


class Copier:
    """Saves logs by one Oozie workflow for each application.

    A copy may be found in any state after a crash. What was submitted is found again by its name,
    what was written under a part's name is never visible as a log, and only the rename, one atomic
    step of the NameNode, makes it one.
    """

    def __init__(
        self,
        store: Store,
        identities: Identities,
        executor: Executor,
        aggregation: Aggregation,
        progress: Progress,
        options: WorkflowOptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._executor = store, identities, executor
        self._aggregation, self._progress, self._options = aggregation, progress, options
        self._clock = clock
        self._busy: set[str] = set()
        self._full: dict[str, datetime] = {}  # users without a place, and until when
        self._lock = Lock()

    def advance(self, leases: Mapping[int, Lease]) -> None:
        """Start a look at the copies that are due; each user's on a thread of their own."""
        now = self._clock()
        with self._lock:
            busy = set(self._busy)
            full = {owner for owner, until in self._full.items() if until > now}
        with self._store.read() as connection:
            due = copies.due(connection, leases, now, busy, full, _AT_ONCE)
        by_owner: dict[str, list[tuple[Copy, Lease]]] = {}
        for copy, lease in due:
            by_owner.setdefault(copy.owner, []).append((copy, lease))
        for owner, theirs in by_owner.items():
            with self._lock:
                self._busy.add(owner)
            self._executor.submit(self._look, owner, theirs)

    def _look(self, owner: str, due: Sequence[tuple[Copy, Lease]]) -> None:
        """Look at one user's copies; while the cluster does not answer, all of them wait.

        Those that run come first: they free places for those that wait.
        """
        left = sorted(due, key=lambda each: each[0].status != CopyStatus.RUNNING)
        try:
            with self._identities.acting_for(owner) as access:
                stands = self._how_workflows_stand(access, [copy for copy, _ in due])
                left = self._watch_all(access, left, stands)
                in_a_row = 0
                while left and in_a_row < _TROUBLES_IN_A_ROW:
                    was_answered = self._step(access, *left[0], stands)
                    left, in_a_row = left[1:], 0 if was_answered else in_a_row + 1
                self._postpone(left, TROUBLE, "the cluster does not answer")
        except _Full as full:
            self._wait_for_a_place(owner, left, str(full))
        except GatewayError as error:
            log.warning("copies_not_seen", user=owner, reason=str(error))
            self._postpone(left, TROUBLE, str(error))
        except Exception as error:
            # One user's trouble must not stop the others'; it is tried again, and it is seen.
            log.exception("copies_broke", user=owner)
            self._postpone(left, TROUBLE, _unexpected(error))
        finally:
            with self._lock:
                self._busy.discard(owner)

    def _how_workflows_stand(
        self, access: ClusterAccess, due: Sequence[Copy]
    ) -> Mapping[str, JobStatus]:
        """Ask with one request for about 100 copies how their workflows stand."""
        running = [JobId(c.job) for c in due if c.status == CopyStatus.RUNNING and c.job]
        return {seen.id: seen.status for seen in access.oozie.jobs(running).values()}

    def _watch_all(
        self,
        access: ClusterAccess,
        due: Sequence[tuple[Copy, Lease]],
        stands: Mapping[str, JobStatus],
    ) -> list[tuple[Copy, Lease]]:
        """Let those that go on as they should go on; return the others."""
        fine = [each for each in due if self._goes_on(each[0], stands.get(each[0].job or ""))]
        self._postpone(fine, LOOK, RUNS)
        return [each for each in due if each not in fine]

    def _goes_on(self, copy: Copy, status: JobStatus | None) -> bool:
        is_late = copy.started_at and self._clock() - copy.started_at > _LONGEST_COPY
        return status in _GOES_ON and not is_late

    def _wait_for_a_place(
        self, owner: str, left: Sequence[tuple[Copy, Lease]], reason: str
    ) -> None:
        """Leave a user's waiting copies alone for a moment, without a write for each of them."""
        with self._lock:
            self._full[owner] = self._clock() + LOOK
        with self._store.begin() as connection:
            copies.explain(connection, [copy.id for copy, _ in left], reason)

    def _step(
        self, access: ClusterAccess, copy: Copy, lease: Lease, stands: Mapping[str, JobStatus]
    ) -> bool:
        """Bring one copy a step further; trouble with one does not stop the others.

        Returns:
            False if the cluster did not answer.

        Raises:
            CredentialsRefused, _Full: it would be the same for the next.
        """
        try:
            self._do_next(access, copy, lease, stands)
        except (CredentialsRefused, StoreUnavailable, _Full):
            raise
        except GatewayUnavailable as error:
            self._postpone([(copy, lease)], TROUBLE, str(error))
            return False
        except GatewayError as error:
            self._fail(access, copy, lease, str(error))
        except LeaseLost as error:
            log.warning("lease_lost", job=copy.job_id, copy=copy.id, reason=str(error))
        except Exception as error:
            log.exception("copy_step_broke", job=copy.job_id, copy=copy.id)
            self._fail(access, copy, lease, _unexpected(error))
        return True

    def _do_next(
        self, access: ClusterAccess, copy: Copy, lease: Lease, stands: Mapping[str, JobStatus]
    ) -> None:
        if copy.status == CopyStatus.WAITING:
            self._start_if_ready(access, copy, lease)
        elif copy.job is None:
            self._find_again(access, copy, lease)
        elif stands.get(copy.job) == JobStatus.SUCCEEDED:
            self._publish(access, copy, lease)
        else:
            self._look_why(access, copy, lease)

    def _start_if_ready(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Start a copy whose log is complete, if there is a place for it."""
        if full := self._progress.what_is_full(copy.owner):
            raise _Full(f"waits for a place: {full}")
        log_state = self._aggregation.look(access, copy)
        if isinstance(log_state, Ready):
            self._start(access, copy, lease, log_state.owner)
        elif log_state.is_final:
            self._progress.gave_up(copy, lease, log_state.reason)
        else:
            waited = (self._clock() - copy.created_at) / 4
            pause = max(LOOK, min(waited, _LONGEST_LOOK))
            self._postpone([(copy, lease)], pause, log_state.reason)

    def _start(self, access: ClusterAccess, copy: Copy, lease: Lease, log_owner: str) -> None:
        started = self._progress.start(copy, lease)
        if started is None:  # another worker took the last place
            self._postpone([(copy, lease)], LOOK, "waits for a place")
            return
        try:
            job = workflow_copy.submit(access, started, log_owner, self._options)
        except GatewayUnavailable as error:
            # It may have been started: `_find_again` will see.
            self._postpone([(started, lease)], TROUBLE, str(error))
        except (CredentialsRefused, StoreUnavailable):
            raise
        except GatewayError as error:
            self._fail(access, started, lease, str(error))
        except Exception as error:
            log.exception("submission_broke", job=copy.job_id, copy=copy.id)
            self._fail(access, started, lease, _unexpected(error))
        else:
            self._progress.submitted(started, lease, job)

    def _find_again(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Settle a try of which nobody knows whether its workflow was started."""
        job = workflow_copy.find(access, copy)
        if job:
            self._progress.submitted(copy, lease, job)
        else:
            self._progress.not_submitted(copy, lease)

    def _publish(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Give a complete part the name of the log.

        1. Look how long the part is, and write it down; the lease is checked in the same moment.
        2. Rename, which replaces an older copy in one step.
        3. Look at the log under its name: the rename answers with an empty 200, done or not.
        After a crash between 2 and 3 the part is gone, and the log has the length of step 1.
        """
        length, part = copy.bytes, workflow_copy.part_path(copy)
        try:
            length = access.hdfs.status(part).length
        except PathNotFound:
            if length is None:
                raise
        else:
            if length == 0:
                raise RequestRefused("the copy workflow wrote an empty file")
            self._progress.measured(copy, lease, length)
            access.hdfs.rename(part, copy.path)
        published = access.hdfs.status(copy.path)
        if published.length != length:
            raise RequestRefused(f"{copy.path} has {published.length} bytes, not {length}")
        self._tidy(access, copy)
        self._progress.succeeded(copy, lease, length)

    def _look_why(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Find out why a copy workflow does not go on, or that Oozie no longer has it."""
        job = JobId(copy.job or "")
        try:
            details = access.oozie.details(job)
        except JobNotFound as error:
            self._fail(access, copy, lease, str(error))
            return
        status = details.observation.status
        if self._goes_on(copy, status):
            self._postpone([(copy, lease)], LOOK, RUNS)
        elif status == JobStatus.SUCCEEDED:
            self._publish(access, copy, lease)
        elif not status.is_terminal:
            self._stop(access, copy, lease, status)
        elif (copy.reason or "").startswith(_STOPPED):  # the answer to our kill was lost
            self._fail(access, copy, lease, copy.reason or "")
        elif any(action.status == "KILLED" for action in details.actions):
            self._progress.gave_up(copy, lease, f"somebody killed {job}", CopyStatus.KILLED)
            self._tidy(access, copy)
        else:
            errors = [a.error_message for a in details.actions if a.error_message]
            told = workflow_copy.reason(access, copy) or next(iter(errors), "no message")
            self._fail(access, copy, lease, told)

    def _stop(self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus) -> None:
        """Kill a workflow that is suspended, or at it for hours: it would keep its place for ever.

        That it is our deed is written down first, so that nobody takes it for somebody else's.
        """
        reason = f"{_STOPPED}: {copy.job} was {status} and did not end"
        self._progress.later([copy], lease, TROUBLE, reason)
        try:
            access.oozie.kill(JobId(copy.job or ""))
        except GatewayUnavailable as error:  # the next look kills again, or finds it killed
            log.warning("copy_not_stopped", job=copy.job_id, copy=copy.id, reason=str(error))
            return
        self._fail(access, copy, lease, reason)

    def _fail(self, access: ClusterAccess, copy: Copy, lease: Lease, told: str) -> None:
        try:
            self._progress.failed(copy, lease, _explained(copy, told))
        except LeaseLost as error:
            log.warning("lease_lost", job=copy.job_id, copy=copy.id, reason=str(error))
        else:
            self._tidy(access, copy)

    def _tidy(self, access: ClusterAccess, copy: Copy) -> None:
        """Remove what the try has left, and never mind if that fails: the copy counts.

        What a crash leaves of a failed try, the end of the last one removes.
        """
        try:
            workflow_copy.remove_files(access, copy)
        except CredentialsRefused:
            raise
        except GatewayError as error:
            log.info("copy_not_tidied", job=copy.job_id, copy=copy.id, reason=str(error))

    def _postpone(self, due: Sequence[tuple[Copy, Lease]], pause: timedelta, reason: str) -> None:
        """Look at copies again after a pause, and say why."""
        by_lease: dict[Lease, list[Copy]] = {}
        for copy, lease in due:
            by_lease.setdefault(lease, []).append(copy)
        for lease, theirs in by_lease.items():
            try:
                self._progress.later(theirs, lease, pause, reason)
            except LeaseLost as error:
                log.warning("lease_lost", jobset=lease.jobset_id, reason=str(error))


class _Full(Exception):
    """There is no place for one more copy of this user."""


def _unexpected(error: Exception) -> str:
    return f"something unexpected went wrong in the tracker: {error!r}"


def _explained(copy: Copy, told: str) -> str:
    """Add what `yarn logs` hides: it says "not found" as well of what the user may not read."""
    if copy.job_user and copy.job_user != copy.owner:
        return (
            f"{told} (the job belongs to {copy.job_user}: {copy.owner} needs the right to read "
            f"its logs in HDFS, or {copy.job_user} tracks it)"
        )
    return told
