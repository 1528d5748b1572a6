"""Look now and then whether a job that has ended was run again, and follow that run."""

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
from tracker_service.store.database import Store
from tracker_service.store.reruns import EndedRun

log = structlog.get_logger()


class Reruns:
    """The slow look at workflows that have ended: a rerun keeps the id and raises the run.

    It is the last of the ways to notice one, after a post of the id, a refresh and a notification;
    it needs a credential, so it ends with the last task of a user.
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
    ) -> None:
        self._store, self._identities = store, identities
        self._per_owner, self._clock = PerOwner(executor), clock
        self._watched_for = watched_for
        self.every_s = every_s  #: from one look to the next

    def look(self, leases: Collection[Lease]) -> None:
        """Start a look for each user whose tasks are held; each on a thread of its own."""
        with self._store.read() as connection:
            askers = reruns.askers(connection, leases)
        for owner, lease in askers.items():
            self._start(owner, lease)

    def look_at(self, leases: Collection[Lease], wanted: Mapping[str, Collection[JobId]]) -> None:
        """Start a look at some jobs alone, as far as these leases make it this worker's work.

        Args:
            wanted: the jobs of each user.
        """
        for owner, lease in self.asked_for(leases, wanted).items():
            self._start(owner, lease, wanted[owner])

    def asked_for(self, leases: Collection[Lease], owners: Collection[str]) -> dict[str, Lease]:
        """Return for which of these users the holder of these leases has to ask."""
        with self._store.read() as connection:
            return reruns.askers(connection, leases, owners)

    def _start(self, owner: str, lease: Lease, only: Collection[JobId] | None = None) -> None:
        self._per_owner.start(owner, partial(self._look_safely, owner, lease, only))

    def _look_safely(self, owner: str, lease: Lease, only: Collection[JobId] | None) -> None:
        """Look at one user's jobs; what is missed now is seen at the next look."""
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
                seen = access.oozie.chunk(chunk)
                again = [seen[each] for each in chunk if _is_rerun(seen.get(each), ended)]
                if again:
                    self._follow(owner, lease, again, since)

    def _follow(
        self, owner: str, lease: Lease, again: Sequence[Observation], since: datetime
    ) -> None:
        """Track these runs like a post would do, each with the wish for the run before it."""
        with self._store.begin() as connection:
            jobsets.guard(connection, lease)
            ended = reruns.ended(connection, owner, since)  # it may be tracked or stopped meanwhile
            kept = jobs.record(connection, [seen for seen in again if _is_rerun(seen, ended)])
            asked_as, now = jobsets.affinity(connection, lease), self._clock()
            for wish in (CopyPolicy.OF_FAILURES, CopyPolicy.ALL):
                alike = [
                    job
                    for job in kept.values()
                    if ended[job.id].copies_always == (wish == CopyPolicy.ALL)
                ]
                track_tasks.track(connection, owner, asked_as, alike, now, wish)
        for job in kept.values():
            log.info("job_run_again", job=job.id, user=owner, run=job.run, now=job.status)


def _is_rerun(seen: Observation | None, ended: Mapping[JobId, EndedRun]) -> bool:
    """Tell whether a job that had ended is in a later run than the one that was tracked."""
    return seen is not None and seen.id in ended and seen.run > ended[seen.id].run
