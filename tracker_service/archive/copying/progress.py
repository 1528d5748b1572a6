"""Record the progress of copies in the store, under the lease of their jobset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.copies import Copy, CopyReason, CopyStatus, Strategy, WrittenLog
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.errors import CopyChanged, LeaseLost
from tracker_service.store import copies, jobsets
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

LOOK_AGAIN_AFTER = timedelta(seconds=1)  #: a copy that runs, or that waits for a slot
IS_COPIED = "is being copied"
_LONGEST_PAUSE = timedelta(hours=1)  #: between two tries
_MOST_OUTAGES = 100_000  #: copies whose outages are counted
_LONGEST_PAUSE_S = 600.0  #: between two submissions that do not reach Oozie
_SUBMISSION = timedelta(seconds=5)  #: until a try without a known workflow is looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLimits:
    """How many copy workflows run at once, and how often a copy is tried."""

    per_user: int  #: copy workflows
    per_gateway: int  #: copy workflows
    tries: int
    retry_after: timedelta

    def pause_after(self, failures: int) -> timedelta:
        """Return how long to wait after a failed try: three times the last pause, up to 1 h."""
        return min(self.retry_after * int(3 ** min(failures - 1, 10)), _LONGEST_PAUSE)

    def limit_reached(self, running: Mapping[str, int], owner: str) -> Reason[CopyReason] | None:
        """Say which limit leaves no room for one more workflow of a user; None if there is room."""
        if running.get(owner, 0) >= self.per_user:
            text = f"{self.per_user} copy workflows of {owner} run already"
            return Reason(CopyReason.NO_USER_SLOT, text)
        if sum(running.values()) >= self.per_gateway:
            text = f"{self.per_gateway} copy workflows run already"
            return Reason(CopyReason.NO_GATEWAY_SLOT, text)
        return None


class LimitReached(Exception):
    """One more copy of this strategy has to wait for a slot."""

    def __init__(self, strategy: Strategy, limit: Reason[CopyReason]) -> None:
        self.reason = Reason(limit.code, f"waits for a place: {limit.text}")
        super().__init__(self.reason.text)
        self.strategy = strategy


class Progress:
    """The states of copies in the store.

    A copy is changed only while the lease holds (otherwise LeaseLost is raised), and only if it is
    in the state and the try that the caller saw (otherwise CopyChanged is raised).
    """

    def __init__(
        self,
        store: Store,
        limits: CopyLimits,
        clock: Callable[[], datetime],
        timing: Timing = OPERATION,
    ) -> None:
        self._store, self._limits, self._clock = store, limits, clock
        self._outage_pauses = timing.outage_pauses
        first_s = timing.outage_pauses.first_s
        self._submission_pauses = Backoff(first_s, longest_s=max(first_s, _LONGEST_PAUSE_S))
        self._outages: dict[str, int] = {}  # in a row, by copy

    def postpone(self, due: Sequence[Copy], lease: Lease, pause: timedelta, reason: str) -> None:
        """Make copies of one jobset due again after a pause, and note the reason."""
        ids, due_at = [copy.id for copy in due], self._clock() + pause

        def write(connection: Connection) -> None:
            jobsets.guard(connection, lease)
            copies.postpone(connection, ids, due_at, reason)

        self._store.write(write)

    def postpone_all(
        self, due: Sequence[tuple[Copy, Lease]], pause: timedelta, reason: str
    ) -> None:
        """Make copies due again after a pause; leave out those whose lease is lost."""
        by_lease: dict[Lease, list[Copy]] = {}
        for copy, lease in due:
            by_lease.setdefault(lease, []).append(copy)
        for lease, leased in by_lease.items():
            try:
                self.postpone(leased, lease, pause, reason)
            except LeaseLost as error:
                log.warning("lease_lost", jobset=lease.jobset_id, reason=str(error))

    def await_cluster(self, due: Sequence[tuple[Copy, Lease]], reason: str) -> None:
        """Make copies due again that the cluster did not answer for.

        The pause of a copy grows with each outage in a row.
        """
        if len(self._outages) > _MOST_OUTAGES:
            self._outages.clear()
        by_pause: dict[float, list[tuple[Copy, Lease]]] = {}
        for copy, lease in due:
            self._outages[copy.id] = self._outages.get(copy.id, 0) + 1
            pause_s = self._outage_pauses.after(self._outages[copy.id])
            by_pause.setdefault(pause_s, []).append((copy, lease))
        for pause_s, alike in by_pause.items():
            self.postpone_all(alike, timedelta(seconds=pause_s), reason)

    def limit_reached(self, owner: str) -> Reason[CopyReason] | None:
        """Say which limit leaves no room for one more workflow of a user; None if there is room."""
        with self._store.read() as connection:
            return self._limits.limit_reached(copies.running_workflows(connection), owner)

    def note_path(self, copy: Copy, lease: Lease, path: str) -> None:
        """Note where the log of a copy will be."""
        self._change(copy, lease, path=path)

    def start_workflow(self, copy: Copy, lease: Lease, why: str) -> Copy | None:
        """Note a new try by a workflow, if the limits leave room for it.

        The try is noted before its workflow is submitted. After a crash in between, the workflow
        is searched for by the name of the try.

        Args:
            why: the reason for the strategy.

        Returns:
            the running copy; None if it has to wait for a slot.
        """
        started = self._new_try(copy, Strategy.WORKFLOW, why)

        def write(connection: Connection) -> Copy | None:
            jobsets.guard(connection, lease)
            copies.lock_workflows(connection)
            if self._limits.limit_reached(copies.running_workflows(connection), copy.owner):
                return None
            self._write_start(connection, copy, started)
            return started

        return self._store.write(write)

    def start_directly(self, copy: Copy, lease: Lease, why: str) -> Copy:
        """Note a new try by this process, and return the running copy."""
        started = replace(self._new_try(copy, Strategy.DIRECT, why), job=copy.id)

        def write(connection: Connection) -> None:
            jobsets.guard(connection, lease)
            self._write_start(connection, copy, started)

        self._store.write(write)
        log.info(
            "copy_started",
            job=copy.job_id,
            copy=copy.id,
            application=copy.application,
            directly=why,
        )
        return started

    def _new_try(self, copy: Copy, strategy: Strategy, why: str) -> Copy:
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
            reason=IS_COPIED,
            due_at=self._clock() + (LOOK_AGAIN_AFTER if started.job else _SUBMISSION),
        )
        if not changed:
            raise _changed(before)

    def submitted(self, copy: Copy, lease: Lease, job: str) -> None:
        """Note the workflow of a try."""
        self._change(copy, lease, job=job, due_at=self._clock() + LOOK_AGAIN_AFTER)
        log.info(
            "copy_started",
            job=copy.job_id,
            copy=copy.id,
            application=copy.application,
            workflow=job,
        )

    def not_submitted(self, copy: Copy, lease: Lease) -> None:
        """Note that the workflow of a try never reached Oozie; this is no failed try.

        It is submitted again at once, and then after longer and longer pauses.
        """
        why = f" ({copy.reason})" if copy.reason and copy.reason != IS_COPIED else ""
        reason = f"the copy workflow did not reach Oozie{why}; it is submitted again"
        earlier = copy.attempt - copy.failures - 1
        pause = timedelta(seconds=self._submission_pauses.after(earlier) if earlier > 0 else 0)
        due_at = self._clock() + pause
        self._change(copy, lease, status=CopyStatus.WAITING, reason=reason, due_at=due_at)

    def note_kill(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note that the tracker is about to kill the workflow of a try."""
        self._change(
            copy,
            lease,
            reason=reason,
            reason_code=CopyReason.STOPPED_BY_TRACKER,
            due_at=self._clock() + timedelta(seconds=self._outage_pauses.after(1)),
        )

    def interrupted(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note that a direct try was interrupted; this is no failed try."""
        now = self._clock()
        self._change(copy, lease, status=CopyStatus.WAITING, reason=reason, due_at=now)

    def leave_to_workflow(self, copy: Copy, lease: Lease, why: str) -> None:
        """Note that a workflow has to copy a log that cannot be copied directly."""
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

    def leave_to_last_try(self, copy: Copy, lease: Lease, why: str) -> None:
        """Note that no workflow can copy a log: one direct try saves what can be read of it."""
        self._change(
            copy,
            lease,
            status=CopyStatus.WAITING,
            strategy=Strategy.DIRECT,
            strategy_reason=f"no workflow could copy it: {why}",
            failures=self._limits.tries,
            reason=why,
            due_at=self._clock(),
        )

    def measured(self, copy: Copy, lease: Lease, written: WrittenLog) -> None:
        """Note the length and checksum of a complete part, before it gets the log's name."""
        self._change(copy, lease, part=asdict(written))

    def succeeded(self, copy: Copy, lease: Lease, written: WrittenLog) -> None:
        """Note that the whole log lies under its name."""
        now = self._clock()
        self._change(
            copy,
            lease,
            status=CopyStatus.SUCCEEDED,
            bytes=written.length,
            sha256=written.sha256,
            contents=asdict(written.contents),
            part=None,
            saved_at=now,
            ended_at=now,
            reason=None,
        )
        log.info(
            "copy_succeeded", job=copy.job_id, copy=copy.id, path=copy.path, bytes=written.length
        )

    def failed(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note a failed try: another follows after a pause, or the copy is given up."""
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

    def refused(self, copy: Copy, lease: Lease, reason: str) -> None:
        """Note that HDFS does not take the log: that can be mended, so it uses up no try.

        The longer the copy is refused, the longer are the pauses. It ends when the cluster has
        deleted the log.
        """
        now = self._clock()
        waited = (now - copy.created_at) / 2
        due_at = now + max(self._limits.retry_after, min(waited, _LONGEST_PAUSE))
        text = (
            f"HDFS does not take it, have that corrected: {reason} (try {copy.attempt}; the next "
            f"is at {due_at:%Y-%m-%d %H:%M:%S} UTC, for as long as the cluster keeps the log)"
        )
        self._change(copy, lease, status=CopyStatus.WAITING, reason=text, due_at=due_at)
        log.warning("copy_refused", job=copy.job_id, copy=copy.id, reason=reason)

    def gave_up(
        self, copy: Copy, lease: Lease, reason: str, status: CopyStatus = CopyStatus.FAILED
    ) -> None:
        """End a copy without a log, and note the reason."""
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
        """Tell whether the copy is given up if this try fails."""
        return copy.failures + 1 >= self._limits.tries

    def is_after_workflow(self, copy: Copy) -> bool:
        """Tell whether a direct try is the last one, after a workflow has failed."""
        return copy.strategy == Strategy.DIRECT and copy.failures >= self._limits.tries

    def _change(self, copy: Copy, lease: Lease, **values: object) -> None:
        def write(connection: Connection) -> None:
            jobsets.guard(connection, lease)
            if not copies.change(connection, copy, **values):
                raise _changed(copy)

        self._store.write(write)
        status = values.get("status")
        if "job" in values or (isinstance(status, CopyStatus) and status.is_finished):
            self._outages.pop(copy.id, None)  # a note about a try that goes on ends no outage


def _changed(copy: Copy) -> CopyChanged:
    return CopyChanged(f"the copy {copy.id} was changed by somebody else meanwhile")
