"""See to it that each copy that is due gets its next step, and that trouble stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

import structlog

from tracker_service.archive.copying.progress import LOOK, RUNS, TROUBLE, Progress
from tracker_service.archive.copying.steps import (
    Full,
    Next,
    Step,
    Steps,
    has_workflow,
    unexpected,
    waits_for,
)
from tracker_service.archive.copying.streams import Streams
from tracker_service.domain.copies import Copy, CopyStatus, Strategy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.engine.per_owner import PerOwner
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    LeaseLost,
    StoreUnavailable,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import copies
from tracker_service.store.database import Store

log = structlog.get_logger()

_AT_ONCE = 500  #: copies in one look
_TROUBLES_IN_A_ROW = 3


class Copier:
    """Looks at the copies that are due, each user's on a thread of their own."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        executor: Executor,
        streams: Streams,
        steps: Steps,
        progress: Progress,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._per_owner = store, identities, PerOwner(executor)
        self._streams, self._steps, self._progress = streams, steps, progress
        self._clock = clock
        self._full: dict[str, datetime] = {}  # users without a place for a workflow, until when
        self._lock = Lock()

    def advance(self, leases: Mapping[int, Lease]) -> None:
        """Start a look at the copies that are due; each user's on a thread of their own."""
        now = self._clock()
        with self._store.read() as connection:
            due = copies.due(connection, leases, now, self._resting(now), _AT_ONCE)
        by_owner: dict[str, list[tuple[Copy, Lease]]] = {}
        for copy, lease in due:
            by_owner.setdefault(copy.owner, []).append((copy, lease))
        for owner, theirs in by_owner.items():
            self._per_owner.start(owner, partial(self._look, owner, theirs))

    def _resting(self, now: datetime) -> copies.DueFilter:
        with self._lock:
            return copies.DueFilter(
                owners=self._per_owner.busy,
                copies=self._streams.copies,
                without_workflow={owner for owner, until in self._full.items() if until > now},
                is_without_stream=self._streams.what_is_full is not None,
            )

    def stop(self) -> None:
        """Let what is being copied break off."""
        self._streams.stop()

    def _look(self, owner: str, due: Sequence[tuple[Copy, Lease]]) -> None:
        """Look at one user's copies; while the cluster does not answer, all of them wait.

        Those that run come first: they free places for those that wait.
        """
        left = sorted(due, key=lambda each: each[0].status != CopyStatus.RUNNING)
        try:
            with self._identities.acting_for(owner) as access:
                stands, left = self._how_workflows_stand(access, left)
                left = self._watch_all(left, stands)
                in_a_row = 0
                while left and in_a_row < _TROUBLES_IN_A_ROW and not self._streams.is_stopping:
                    try:
                        step = self._steps.next_of(left[0][0], stands)
                        was_answered = self._do(step, access, *left[0])
                    except Full as full:
                        left = self._without_place(owner, left, full)
                        continue
                    left, in_a_row = left[1:], 0 if was_answered else in_a_row + 1
                if not self._streams.is_stopping:
                    self._postpone(left, TROUBLE, "the cluster does not answer")
        except GatewayError as error:
            log.warning("copies_not_seen", user=owner, reason=str(error))
            self._postpone(left, TROUBLE, str(error))
        except Exception as error:
            # One user's trouble must not stop the others'; it is tried again, and it is seen.
            log.exception("copies_broke", user=owner)
            self._postpone(left, TROUBLE, unexpected(error))

    def _how_workflows_stand(
        self, access: ClusterAccess, due: list[tuple[Copy, Lease]]
    ) -> tuple[Mapping[str, JobStatus], list[tuple[Copy, Lease]]]:
        """Ask with one request for about 100 copies how their workflows stand.

        Returns:
            the states by the ids of workflows, and the copies that can be looked at: while Oozie
            does not answer, those without a workflow.
        """
        running = [JobId(copy.job) for copy, _ in due if has_workflow(copy) and copy.job]
        try:
            return {seen.id: seen.status for seen in access.oozie.jobs(running).values()}, due
        except GatewayUnavailable as error:
            self._postpone([each for each in due if has_workflow(each[0])], TROUBLE, str(error))
            return {}, [each for each in due if not has_workflow(each[0])]

    def _watch_all(
        self, due: Sequence[tuple[Copy, Lease]], stands: Mapping[str, JobStatus]
    ) -> list[tuple[Copy, Lease]]:
        """Let those that go on as they should go on; return the others."""
        fine = [each for each in due if self._steps.goes_on(each[0], stands)]
        self._postpone(fine, LOOK, RUNS)
        return _without(due, fine)

    def _without_place(
        self, owner: str, left: Sequence[tuple[Copy, Lease]], full: Full
    ) -> list[tuple[Copy, Lease]]:
        """Leave those alone for a moment that have no place; return the others.

        It takes one write for all of them.
        """
        without = [left[0], *(each for each in left[1:] if waits_for(full.strategy, each[0]))]
        if full.strategy == Strategy.WORKFLOW:
            with self._lock:
                self._full[owner] = self._clock() + LOOK
        with self._store.begin() as connection:
            copies.explain(connection, [copy.id for copy, _ in without], str(full))
        return _without(left, without)

    def _do(self, step: Step, access: ClusterAccess, copy: Copy, lease: Lease) -> bool:
        """Bring one copy a step further; trouble with one does not stop the others.

        Returns:
            False if the cluster did not answer.

        Raises:
            CredentialsRefused, Full: it would be the same for the next.
        """
        try:
            then = step(access, copy, lease)
        except (CredentialsRefused, StoreUnavailable, Full):
            raise
        except GatewayUnavailable as error:
            self._postpone([(copy, lease)], TROUBLE, str(error))
            return False
        except LeaseLost as error:
            log.warning("lease_lost", job=copy.job_id, copy=copy.id, reason=str(error))
        except Exception as error:
            self._steps.fail(access, copy, lease, error)
        else:
            if then is not None:
                return self._go_on(then, access, lease)
        return True

    def _go_on(self, then: Next, access: ClusterAccess, lease: Lease) -> bool:
        if not then.is_long:
            return self._do(then.step, access, then.copy, lease)
        self._stream(then.step, then.copy, lease)
        return True

    def _stream(self, step: Step, copy: Copy, lease: Lease) -> None:
        """Let a thread of the streams do a long step, as the user of the copy."""

        def run() -> None:
            try:
                with self._identities.acting_for(copy.owner) as access:
                    self._do(step, access, copy, lease)
            except GatewayError as error:
                self._postpone([(copy, lease)], TROUBLE, str(error))
            except Exception as error:
                log.exception("stream_broke", job=copy.job_id, copy=copy.id)
                self._postpone([(copy, lease)], TROUBLE, unexpected(error))

        self._streams.start(copy, run)

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


def _without(
    due: Sequence[tuple[Copy, Lease]], others: Sequence[tuple[Copy, Lease]]
) -> list[tuple[Copy, Lease]]:
    ids = {copy.id for copy, _ in others}
    return [each for each in due if each[0].id not in ids]
