"""Find due copies and take their next steps, one user on each thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from threading import Lock

import structlog

from tracker_service.archive.copying.progress import (
    IS_COPIED,
    LOOK_AGAIN_AFTER,
    LimitReached,
    Progress,
)
from tracker_service.archive.copying.streams import Streams
from tracker_service.archive.copying.tries import Tries
from tracker_service.archive.copying.ways import Ways
from tracker_service.domain.copies import Copy, CopyStatus, Strategy
from tracker_service.domain.jobs import JobId, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.engine.per_owner import PerOwner
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    StoreUnavailable,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import copies
from tracker_service.store.database import Store

log = structlog.get_logger()

_COPIES_AT_ONCE = 500  #: in one look
_OUTAGES_IN_A_ROW = 3  #: unanswered copies after which the others of the user are not tried

Due = tuple[Copy, Lease]


class Copier:
    """Brings the copies on that are due, each user's on a thread of their own."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        executor: Executor,
        streams: Streams,
        ways: Ways,
        tries: Tries,
        progress: Progress,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._per_owner = store, identities, PerOwner(executor)
        self._streams, self._ways, self._tries = streams, ways, tries
        self._progress, self._clock = progress, clock
        self._full: dict[str, datetime] = {}  # users without a slot for a workflow, until when
        self._lock = Lock()

    def advance(self, leases: Mapping[int, Lease]) -> None:
        """Start a look at the copies that are due; each user's on a thread of their own."""
        now = self._clock()
        with self._store.read() as connection:
            due = copies.due(connection, leases, now, self._due_filter(now), _COPIES_AT_ONCE)
        by_owner: dict[str, list[Due]] = {}
        for copy, lease in due:
            by_owner.setdefault(copy.owner, []).append((copy, lease))
        for owner, owned in by_owner.items():
            self._per_owner.start(owner, partial(self._look, owner, owned))

    def _due_filter(self, now: datetime) -> copies.DueFilter:
        with self._lock:
            return copies.DueFilter(
                owners=self._per_owner.busy,
                copies=self._streams.copies,
                without_workflow={owner for owner, until in self._full.items() if until > now},
                is_without_stream=self._streams.is_full,
            )

    def stop(self) -> None:
        """Make running copies break off."""
        self._streams.stop()

    def _look(self, owner: str, due: Sequence[Due]) -> None:
        """Look at one user's copies; the trouble of one user never stops the others.

        Running copies come first: they free slots for those that wait.
        """
        left = sorted(due, key=lambda pair: pair[0].status != CopyStatus.RUNNING)
        try:
            with self._identities.acting_for(owner) as access:
                self._advance_all(access, left)
        except GatewayError as error:
            log.warning("copies_not_seen", user=owner, reason=str(error))
            self._progress.await_cluster(left, str(error))
        except StoreUnavailable as error:  # the next look finds the same copies due
            log.warning("store_unavailable", user=owner, reason=str(error))
        except Exception as error:
            self._tries.broke(left, error)

    def _advance_all(self, access: ClusterAccess, left: list[Due]) -> None:
        """Bring one user's copies on, until the cluster stops answering.

        Args:
            left: the copies; each is removed once nothing more is to be done for it now.
        """
        statuses = self._workflow_statuses(access, left)
        self._postpone_progressing(left, statuses)
        step, outages = partial(self._ways.advance, statuses=statuses), 0
        while left and outages < _OUTAGES_IN_A_ROW and not self._streams.stopping.is_set():
            try:
                was_answered = self._tries.run(access, *left[0], step)
            except LimitReached as limit:
                self._leave_without_slot(left, limit)
                continue
            except (CredentialsRefused, StoreUnavailable):
                raise
            except Exception as error:  # not even its failure could be noted
                self._tries.broke(left[:1], error)
                was_answered = True
            del left[0]
            outages = 0 if was_answered else outages + 1
        if left and not self._streams.stopping.is_set():
            self._progress.await_cluster(left, "the cluster does not answer")

    def _workflow_statuses(self, access: ClusterAccess, left: list[Due]) -> Mapping[str, JobStatus]:
        """Ask Oozie for the statuses of copy workflows, about 100 with one request.

        While Oozie does not answer, the copies that have a workflow are postponed.

        Returns:
            the statuses by the ids of the workflows.
        """
        running = [JobId(copy.job) for copy, _ in left if copy.has_workflow and copy.job]
        try:
            return {seen.id: seen.status for seen in access.oozie.jobs(running).values()}
        except GatewayUnavailable as error:
            with_workflow = [pair for pair in left if pair[0].has_workflow]
            self._progress.await_cluster(with_workflow, str(error))
            _remove(left, with_workflow)
            return {}
        except (CredentialsRefused, StoreUnavailable):
            raise
        except Exception:  # then each workflow is asked about alone
            log.exception("copy_workflows_not_seen", workflows=len(running))
            return {}

    def _postpone_progressing(self, left: list[Due], statuses: Mapping[str, JobStatus]) -> None:
        """Leave running copies alone that need nothing but time."""
        running = [pair for pair in left if pair[0].status == CopyStatus.RUNNING]
        progressing = [pair for pair in running if self._ways.is_progressing(pair[0], statuses)]
        if progressing:
            self._progress.postpone_all(progressing, LOOK_AGAIN_AFTER, IS_COPIED)
            _remove(left, progressing)

    def _leave_without_slot(self, left: list[Due], limit: LimitReached) -> None:
        """Leave copies alone for a moment that wait for a slot, and note the limit.

        It takes one write for all of them.
        """
        first, others = left[0], left[1:]
        waiting = [first, *(pair for pair in others if _waits_for_slot(pair[0], limit.strategy))]
        if limit.strategy == Strategy.WORKFLOW:
            with self._lock:
                self._full[first[0].owner] = self._clock() + LOOK_AGAIN_AFTER
        ids = [copy.id for copy, _ in waiting]
        self._store.write(partial(copies.explain, ids=ids, reason=limit.reason))
        _remove(left, waiting)


def _waits_for_slot(copy: Copy, strategy: Strategy) -> bool:
    """Tell whether a copy waits for a slot of this strategy."""
    is_by_workflow = copy.strategy == Strategy.WORKFLOW
    return copy.status == CopyStatus.WAITING and is_by_workflow == (strategy == Strategy.WORKFLOW)


def _remove(left: list[Due], done: Sequence[Due]) -> None:
    ids = {copy.id for copy, _ in done}
    left[:] = [pair for pair in left if pair[0].id not in ids]
