"""Write down how each copy stands, under the lease of its jobset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import structlog

from tracker_service.domain.copies import Copy, CopyStatus, Strategy, WrittenLog
from tracker_service.domain.leases import Lease
from tracker_service.errors import LeaseLost
from tracker_service.store import copies, jobsets
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

LOOK = timedelta(seconds=1)  #: at a copy that runs, or that waits for a place
TROUBLE = timedelta(seconds=10)  #: before the next look, where the cluster did not answer
RUNS = "is being copied"
_SUBMISSION = timedelta(seconds=5)  #: until a try without a workflow is looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLimits:
    """How much is copied at once, and how often it is tried."""

    per_user: int  #: copy workflows
    per_gateway: int  #: copy workflows
    tries: int
    retry_after: timedelta

    def pause_after(self, failures: int) -> timedelta:
        """Return how long to wait after a failed try: three times as long after each."""
        return self.retry_after * int(3 ** (failures - 1))

    def what_is_full(self, running: Mapping[str, int], owner: str) -> str | None:
        """Say which limit leaves no room for one more copy workflow of a user, if one does."""
        if running.get(owner, 0) >= self.per_user:
            return f"{self.per_user} copy workflows of {owner} run already"
        if sum(running.values()) >= self.per_gateway:
            return f"{self.per_gateway} copy workflows run already"
        return None


class Progress:
    """The states of copies in the store.

    Each change is made only if the lease holds and the copy still is in the state and try that the
    caller saw; otherwise it raises LeaseLost, and the copy is somebody else's work.
    """

    def __init__(self, store: Store, limits: CopyLimits, clock: Callable[[], datetime]) -> None:
        self._store, self._limits, self._clock = store, limits, clock

    def later(self, due: Sequence[Copy], lease: Lease, pause: timedelta, reason: str) -> None:
        """Look at copies of one jobset again after a pause, and say why."""
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            ids = [copy.id for copy in due]
            copies.postpone(connection, ids, self._clock() + pause, reason)

    def what_is_full(self, owner: str) -> str | None:
        """Say which limit leaves no room for one more copy workflow of a user, if one does."""
        with self._store.read() as connection:
            return self._limits.what_is_full(copies.running_workflows(connection), owner)

    def start_workflow(self, copy: Copy, lease: Lease, why: str) -> Copy | None:
        """Begin a new try by a workflow if the limits leave room for it.

        The try is written down before its workflow is submitted: a crash in between leaves a try
        without a workflow, which can be looked into.

        Args:
            why: it is done in this way.

        Returns:
            the copy as it runs now; None if it has to wait for a place.
        """
        started = self._begun(copy, Strategy.WORKFLOW, why)
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            if self._limits.what_is_full(copies.running_workflows(connection), copy.owner):
                return None
            self._write_start(connection, copy, started)
        return started

    def start_directly(self, copy: Copy, lease: Lease, why: str) -> Copy:
        """Begin a new try by this process, and return the copy as it runs now."""
        started = replace(self._begun(copy, Strategy.DIRECT, why), job=copy.id)
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            self._write_start(connection, copy, started)
        log.info(
            "copy_started",
            job=copy.job_id,
            copy=copy.id,
            application=copy.application,
            directly=why,
        )
        return started

    def _begun(self, copy: Copy, strategy: Strategy, why: str) -> Copy:
        return replace(
            copy,
            status=CopyStatus.RUNNING,
            strategy=strategy,
            strategy_reason=why,
            attempt=copy.attempt + 1,
            job=None,
            part=None,
            started_at=self._clock(),
        )

    def _write_start(self, connection: Connection, before: Copy, started: Copy) -> None:
        changed = copies.change(
            connection,
            before,
            status=started.status,
            strategy=started.strategy,
            strategy_reason=started.strategy_reason,
            attempt=started.attempt,
            job=started.job,
            path=started.path,
            gap=started.gap,
            diagnostics=started.diagnostics,
            part=None,
            started_at=started.started_at,
            log_at=started.log_at,
            reason=RUNS,
            due_at=self._clock() + (LOOK if started.job else _SUBMISSION),
        )
        if not changed:
            raise LeaseLost(f"the copy {before.id} was changed by somebody else meanwhile")

    def submitted(self, copy: Copy, lease: Lease, job: str) -> None:
        """Note the workflow of a try."""
        self._change(copy, lease, job=job, due_at=self._clock() + LOOK)
        log.info(
            "copy_started",
            job=copy.job_id,
            copy=copy.id,
            application=copy.application,
            workflow=job,
        )

    def not_submitted(self, copy: Copy, lease: Lease) -> None:
        """Note that a try never reached Oozie; an outage is no failed try."""
        reason = "the copy workflow did not reach Oozie; it is submitted again"
        now = self._clock()
        self._change(copy, lease, status=CopyStatus.WAITING, reason=reason, due_at=now)

    def interrupted(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note that a direct try came to nothing without being at fault: it is made again."""
        now = self._clock()
        self._change(copy, lease, status=CopyStatus.WAITING, reason=reason, due_at=now)

    def leave_to_workflow(self, copy: Copy, lease: Lease, why: str) -> None:
        """Note that a log cannot be copied directly, so that a workflow will do it."""
        self._change(
            copy,
            lease,
            status=CopyStatus.WAITING,
            strategy=Strategy.WORKFLOW,
            strategy_reason=why,
            failures=0,
            reason=f"a workflow will copy it: {why}",
            due_at=self._clock(),
        )
        log.warning("copy_left_to_workflow", job=copy.job_id, copy=copy.id, reason=why)

    def measured(self, copy: Copy, lease: Lease, whole: WrittenLog) -> None:
        """Note what a complete part is, before it gets the log's name."""
        self._change(copy, lease, part=asdict(whole))

    def succeeded(self, copy: Copy, lease: Lease, whole: WrittenLog) -> None:
        """Note that the whole log lies under its name."""
        now = self._clock()
        self._change(
            copy,
            lease,
            status=CopyStatus.SUCCEEDED,
            bytes=whole.length,
            sha256=whole.sha256,
            contents=asdict(whole.contents),
            part=None,
            saved_at=now,
            ended_at=now,
            reason=None,
        )
        log.info(
            "copy_succeeded", job=copy.job_id, copy=copy.id, path=copy.path, bytes=whole.length
        )

    def failed(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note a failed try: there will be another, or it was the last."""
        failures, tries = copy.failures + 1, self._limits.tries
        if failures >= tries:
            self.gave_up(copy, lease, reason)
            return
        self._change(
            copy,
            lease,
            status=CopyStatus.WAITING,
            failures=failures,
            reason=f"try {failures} of {tries} failed: {reason}",
            due_at=self._clock() + self._limits.pause_after(failures),
        )
        log.warning(
            "copy_try_failed", job=copy.job_id, copy=copy.id, failures=failures, reason=reason
        )

    def gave_up(
        self, copy: Copy, lease: Lease, reason: str, status: CopyStatus = CopyStatus.FAILED
    ) -> None:
        """Note that there will be no copy, and why."""
        self._change(
            copy,
            lease,
            status=status,
            reason=reason,
            diagnostics=copy.diagnostics,
            ended_at=self._clock(),
        )
        log.warning(
            "copy_given_up", job=copy.job_id, copy=copy.id, status=str(status), reason=reason
        )

    def is_last_try(self, copy: Copy) -> bool:
        """Tell whether no other try follows if this one fails."""
        return copy.failures + 1 >= self._limits.tries

    def _change(self, copy: Copy, lease: Lease, **values: object) -> None:
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            if not copies.change(connection, copy, **values):
                raise LeaseLost(f"the copy {copy.id} was changed by somebody else meanwhile")
