"""Check from time to time whether ended workflows were run again, and track the new runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial

import structlog

from tracker_service.domain.copies import CopyPolicy
from tracker_service.domain.jobs import JobId, Observation
from tracker_service.domain.leases import Lease
from tracker_service.engine.per_owner import PerOwner
from tracker_service.errors import GatewayError, LeaseLost, StoreUnavailable
from tracker_service.identities import Identities
from tracker_service.store import jobs, jobsets, reruns, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.store.jobs import KeptJob
from tracker_service.store.reruns import EndedRun

log = structlog.get_logger()


class Reruns:
    """Checks ended workflows for reruns; a rerun keeps the id and raises the run.

    A post of the id, a refresh and a notification notice a rerun sooner. The check needs the user's
    credential, so it goes on only while the user has a live task.
    """

    def __init__(
        self,
        store: Store,
        identities: Identities,
        executor: Executor,
        clock: Callable[[], datetime],
        *,
        every_s: float,
        watched_for: timedelta,
        pace: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to check.

        Args:
            every_s: from one check to the next, in seconds.
            watched_for: how long an ended workflow is checked.
            pace: blocks until the next request to the cluster may be sent.
        """
        self._store, self._identities = store, identities
        self._per_owner, self._clock = PerOwner(executor), clock
        self._watched_for, self._pace = watched_for, pace
        self.every_s = every_s  #: from one check to the next

    def look(self, leases: Collection[Lease]) -> None:
        """Start to check all ended workflows of the users for whom this worker asks."""
        with self._store.read() as connection:
            owners = reruns.owners_to_ask_for(connection, leases)
        for owner, lease in owners.items():
            self._start(owner, lease)

    def look_at(self, leases: Collection[Lease], wanted: Mapping[str, Collection[JobId]]) -> None:
        """Start to check some jobs of the users for whom this worker asks.

        Args:
            wanted: the jobs, by user.
        """
        for owner, lease in self.owners_to_ask_for(leases, wanted).items():
            self._start(owner, lease, wanted[owner])

    def owners_to_ask_for(
        self, leases: Collection[Lease], owners: Collection[str]
    ) -> dict[str, Lease]:
        """Return the users for whom the holder of these leases asks, each with one lease."""
        with self._store.read() as connection:
            return reruns.owners_to_ask_for(connection, leases, owners)

    def _start(self, owner: str, lease: Lease, only: Collection[JobId] | None = None) -> None:
        self._per_owner.start(owner, partial(self._look_safely, owner, lease, only))

    def _look_safely(self, owner: str, lease: Lease, only: Collection[JobId] | None) -> None:
        """Check one user's jobs; log an error, the next check comes anyway."""
        try:
            self._look(owner, lease, only)
        except (GatewayError, LeaseLost, StoreUnavailable) as error:
            log.warning("reruns_not_looked_for", user=owner, reason=str(error))
        except Exception:
            log.exception("reruns_broke", user=owner)

    def _look(self, owner: str, lease: Lease, only: Collection[JobId] | None) -> None:
        since = self._clock() - self._watched_for
        with self._store.read() as connection:
            ended = reruns.ended(connection, owner, since)
        if only is not None:
            ended = {job_id: run for job_id, run in ended.items() if job_id in only}
        if not ended:
            return
        with self._identities.polling(self._identities.asked_as(owner)) as access:
            for chunk in access.oozie.requests_for(list(ended)):
                self._pace()
                seen = access.oozie.chunk(chunk)
                again = [seen[job_id] for job_id in chunk if _is_rerun(seen.get(job_id), ended)]
                if again:
                    self._follow(owner, lease, again, since)

    def _follow(
        self, owner: str, lease: Lease, again: Sequence[Observation], since: datetime
    ) -> None:
        """Track the new runs, each with the copy policy of the run before it."""

        def track(connection: Connection) -> Collection[KeptJob]:
            jobsets.guard(connection, lease)
            ended = reruns.ended(connection, owner, since)  # the user may have changed tasks since
            kept = jobs.record(connection, [seen for seen in again if _is_rerun(seen, ended)])
            asked_as, now = jobsets.affinity(connection, lease), self._clock()
            for policy in (CopyPolicy.OF_FAILURES, CopyPolicy.ALL):
                alike = [
                    job
                    for job in kept.values()
                    if ended[job.id].copies_always == (policy == CopyPolicy.ALL)
                ]
                track_tasks.track(connection, owner, asked_as, alike, now, policy)
            return kept.values()

        for job in self._store.write(track):
            log.info("job_run_again", job=job.id, user=owner, run=job.run, now=job.status)


def _is_rerun(seen: Observation | None, ended: Mapping[JobId, EndedRun]) -> bool:
    """Tell whether a job is in a later run than the ended run that is tracked."""
    return seen is not None and seen.id in ended and seen.run > ended[seen.id].run
