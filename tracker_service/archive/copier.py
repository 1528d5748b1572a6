"""Bring each copy of a log one step further: wait, start, watch, publish, or try again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock

import structlog

from tracker_service.archive import workflow_copy
from tracker_service.archive.aggregation import Aggregation, NotReady
from tracker_service.archive.workflow_copy import WorkflowOptions
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.tasks import Copy, CopyStatus, Lease
from tracker_service.errors import (
    AccessDenied,
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    JobNotFound,
    LeaseLost,
    PathNotFound,
    RequestRefused,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import copies, jobsets
from tracker_service.store.engine import Store

log = structlog.get_logger()

_AT_ONCE = 500  #: copies in one look
_LOOK = timedelta(seconds=1)  #: at a copy that runs, or that waits for a place
_LONGEST_LOOK = timedelta(seconds=15)  #: at an application whose log is not complete
_TROUBLE = timedelta(seconds=10)  #: before the next look, where the cluster did not answer
_LOST_AFTER = timedelta(seconds=5)  #: until Oozie lists what was submitted with an unclear answer


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLimits:
    """How much is copied at once, and how often it is tried."""

    per_user: int
    per_gateway: int
    tries: int
    retry_after: timedelta

    def pause_after(self, failures: int) -> timedelta:
        """Return how long to wait after a failed try: three times as long after each."""
        return self.retry_after * int(3 ** (failures - 1))


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
        limits: CopyLimits,
        options: WorkflowOptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._executor = store, identities, executor
        self._aggregation, self._limits, self._options = aggregation, limits, options
        self._clock = clock
        self._busy: set[str] = set()
        self._lock = Lock()

    def advance(self, leases: Mapping[int, Lease]) -> None:
        """Start a look at the copies that are due; each user's on a thread of their own."""
        with self._store.read() as connection:
            due = copies.due(connection, leases, self._clock(), _AT_ONCE)
        by_owner: dict[str, list[tuple[Copy, Lease]]] = {}
        for copy, lease in due:
            by_owner.setdefault(copy.owner, []).append((copy, lease))
        for owner, theirs in by_owner.items():
            with self._lock:
                if owner in self._busy:
                    continue
                self._busy.add(owner)
            self._executor.submit(self._look, owner, theirs)

    def _look(self, owner: str, due: Sequence[tuple[Copy, Lease]]) -> None:
        try:
            with self._identities.acting_for(owner) as access:
                ended = self._ended(access, [copy for copy, _ in due])
                for copy, lease in due:
                    self._step(access, copy, lease, ended.get(copy.job or ""))
        except CredentialsRefused as error:
            for copy, lease in due:
                self._later(copy, lease, _TROUBLE, str(error))
        except GatewayUnavailable as error:
            log.warning("copies_not_seen", user=owner, reason=str(error))
            for copy, lease in due:
                self._later(copy, lease, _TROUBLE, None)
        except Exception:
            log.exception("copies_broke", user=owner)
        finally:
            with self._lock:
                self._busy.discard(owner)

    def _ended(self, access: ClusterAccess, due: Sequence[Copy]) -> Mapping[str, JobStatus]:
        """Ask with one request for about 100 copies how their workflows stand."""
        running = [JobId(c.job) for c in due if c.status == CopyStatus.RUNNING and c.job]
        return {seen.id: seen.status for seen in access.oozie.jobs(running).values()}

    def _step(
        self, access: ClusterAccess, copy: Copy, lease: Lease, status: JobStatus | None
    ) -> None:
        """Bring one copy a step further; trouble with one does not stop the others."""
        try:
            if copy.status == CopyStatus.WAITING:
                self._start(access, copy, lease)
            elif copy.job is None:
                self._find_again(access, copy, lease)
            elif status == JobStatus.SUCCEEDED:
                self._publish(access, copy, lease)
            elif status is None or status.is_terminal:
                self._look_why(access, copy, lease)
            else:
                self._later(copy, lease, _LOOK, None)
        except LeaseLost as error:
            log.warning("lease_lost", copy=copy.id, reason=str(error))
        except CredentialsRefused:
            raise
        except GatewayUnavailable as error:
            log.warning("copy_step_failed", copy=copy.id, reason=str(error))
            self._later(copy, lease, _TROUBLE, f"the cluster does not answer: {error}")
        except GatewayError as error:
            self._fail(access, copy, lease, str(error))

    def _start(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Start a copy whose log is complete, if there is a place for it.

        The new try is written down before the workflow is submitted: a crash in between leaves a
        try without a workflow, which `_find_again` settles.
        """
        log_state = self._aggregation.look(access, copy)
        if isinstance(log_state, NotReady):
            if log_state.is_final:
                self._give_up(copy, lease, log_state.reason, CopyStatus.FAILED)
            else:
                waited = (self._clock() - copy.created_at) / 4
                pause = max(_LOOK, min(waited, _LONGEST_LOOK))
                self._later(copy, lease, pause, log_state.reason)
            return
        started = self._take_place(copy, lease)
        if started is None:
            return
        try:
            job = workflow_copy.submit(access, started, log_state.owner, self._options)
        except GatewayUnavailable as error:  # it may have been started: `_find_again` will see
            self._later(started, lease, _TROUBLE, f"the cluster does not answer: {error}")
            return
        except (AccessDenied, RequestRefused, PathNotFound) as error:
            self._fail(access, started, lease, str(error))
            return
        self._change(started, lease, job=job, due_at=self._clock() + _LOOK)
        log.info("copy_started", copy=copy.id, job=copy.job_id, application=copy.application)

    def _take_place(self, copy: Copy, lease: Lease) -> Copy | None:
        """Count a copy as running if its user and the gateway have room for one more."""
        now = self._clock()
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            running = copies.running(connection)
            full = _what_is_full(running, copy.owner, self._limits)
            if full:
                values = {"due_at": now + _LOOK, "reason": f"waits for a place: {full}"}
                copies.change(connection, copy, **values)
                return None
            started = copies.change(
                connection,
                copy,
                status=CopyStatus.RUNNING,
                attempt=copy.attempt + 1,
                job=None,
                started_at=now,
                reason="is being copied",
                due_at=now + _LOST_AFTER,
            )
        if not started:
            return None
        return replace(copy, status=CopyStatus.RUNNING, attempt=copy.attempt + 1, job=None)

    def _find_again(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Settle a try of which nobody knows whether its workflow was started."""
        job = workflow_copy.find(access, copy)
        if job:
            self._change(copy, lease, job=job, due_at=self._clock())
        else:  # an outage is no failed try
            reason = "the copy workflow did not reach Oozie; it is submitted again"
            now = self._clock()
            self._change(copy, lease, status=CopyStatus.WAITING, reason=reason, due_at=now)

    def _publish(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Give a complete part the name of the log.

        1. Look how long the part is, and write it down; the lease is checked in the same moment.
        2. Rename, which replaces an older copy in one step.
        3. Look at the log under its name: the rename answers with an empty 200, done or not.
        After a crash between 2 and 3 the part is gone, and the log has the length of step 1.
        """
        length = copy.bytes
        try:
            length = access.hdfs.status(part := workflow_copy.part_path(copy)).length
        except PathNotFound:
            if length is None:
                raise
        else:
            if length == 0:
                raise RequestRefused("the copy workflow wrote an empty file")
            self._change(copy, lease, bytes=length)
            access.hdfs.rename(part, copy.path)
        published = access.hdfs.status(copy.path)
        if published.length != length:
            raise RequestRefused(f"{copy.path} has {published.length} bytes, not {length}")
        now = self._clock()
        self._change(
            copy, lease, status=CopyStatus.SUCCEEDED, bytes=length, ended_at=now, reason=None
        )
        log.info("copy_succeeded", copy=copy.id, path=copy.path, bytes=length)
        self._tidy(access, copy)

    def _look_why(self, access: ClusterAccess, copy: Copy, lease: Lease) -> None:
        """Find out why a copy workflow ended badly, or that Oozie no longer has it."""
        assert copy.job
        try:
            details = access.oozie.details(JobId(copy.job))
        except JobNotFound as error:
            self._fail(access, copy, lease, str(error))
            return
        if not details.observation.status.is_terminal:
            self._later(copy, lease, _LOOK, None)
        elif any(action.status == "KILLED" for action in details.actions):
            self._give_up(copy, lease, f"somebody killed {copy.job}", CopyStatus.KILLED)
            self._tidy(access, copy)
        else:
            errors = [a.error_message for a in details.actions if a.error_message]
            told = workflow_copy.reason(access, copy) or next(iter(errors), "no message")
            self._fail(access, copy, lease, told)

    def _fail(self, access: ClusterAccess, copy: Copy, lease: Lease, told: str) -> None:
        """Try again later, or give up after the last try; the reason is visible meanwhile."""
        failures, tries = copy.failures + 1, self._limits.tries
        reason = _explained(copy, told)
        log.warning("copy_failed", copy=copy.id, failures=failures, reason=reason)
        if failures >= tries:
            self._give_up(copy, lease, reason, CopyStatus.FAILED)
        else:
            self._change(
                copy,
                lease,
                status=CopyStatus.WAITING,
                failures=failures,
                bytes=None,
                reason=f"try {failures} of {tries} failed: {reason}",
                due_at=self._clock() + self._limits.pause_after(failures),
            )
        self._tidy(access, copy)

    def _give_up(self, copy: Copy, lease: Lease, reason: str, status: CopyStatus) -> None:
        self._change(copy, lease, status=status, reason=reason, ended_at=self._clock())

    def _tidy(self, access: ClusterAccess, copy: Copy) -> None:
        """Remove the working files; what is left over harms nobody, so trouble is only noted."""
        try:
            workflow_copy.remove_files(access, copy)
        except CredentialsRefused:
            raise
        except GatewayError as error:
            log.info("copy_not_tidied", copy=copy.id, reason=str(error))

    def _later(self, copy: Copy, lease: Lease, pause: timedelta, reason: str | None) -> None:
        told = {"reason": reason} if reason else {}
        try:
            self._change(copy, lease, due_at=self._clock() + pause, **told)
        except LeaseLost as error:
            log.warning("lease_lost", copy=copy.id, reason=str(error))

    def _change(self, copy: Copy, lease: Lease, **values: object) -> None:
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            if not copies.change(connection, copy, **values):
                raise LeaseLost(f"the copy {copy.id} was changed by somebody else meanwhile")


def _what_is_full(running: Mapping[str, int], owner: str, limits: CopyLimits) -> str | None:
    if running.get(owner, 0) >= limits.per_user:
        return f"{limits.per_user} copies of {owner} run already"
    if sum(running.values()) >= limits.per_gateway:
        return f"{limits.per_gateway} copies run already"
    return None


def _explained(copy: Copy, told: str) -> str:
    """Add what `yarn logs` hides: it says "not found" as well of what the user may not read."""
    if copy.job_user and copy.job_user != copy.owner:
        return (
            f"{told} (the job belongs to {copy.job_user}: {copy.owner} needs the right to read "
            f"its logs in HDFS, or {copy.job_user} tracks it)"
        )
    return told
