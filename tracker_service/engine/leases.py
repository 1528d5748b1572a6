"""Hold jobsets by lease: claim a fair share, renew the leases, give jobsets back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version

import structlog

from tracker_service.domain.backoff import Backoff
from tracker_service.domain.leases import Lease
from tracker_service.engine.duties import Held, TaskKind
from tracker_service.errors import StoreUnavailable
from tracker_service.store import conditions, jobsets, workers
from tracker_service.store.database import Connection, Store
from tracker_service.store.jobsets import WAITED_TOO_LONG_S

log = structlog.get_logger()

_CLAIMS_AT_ONCE = 100
_SILENT_WORKER_S = 86_400
_UNNEEDED_JOBSET_S = 86_400
#: Seconds: a worker that was late claims, for this long, only jobsets that nobody else has taken.
_FULL_FOR_S = 60.0
_LOAD_PAUSES = Backoff(first_s=1.0, longest_s=60.0)  #: before a jobset is loaded that broke


class Leases:
    """The jobsets that one worker holds; it renews its leases before they end."""

    def __init__(
        self,
        store: Store,
        kinds: Sequence[TaskKind],
        *,
        worker: str,
        lease_s: float,
        started_at: datetime,
        busy: Callable[[], float],
        share_pace: Callable[[Mapping[str, int]], None],
    ) -> None:
        """Begin without any jobset.

        Args:
            kinds: the kinds of tasks that this worker runs; it never claims jobsets of other kinds.
            worker: the id of the worker.
            lease_s: a worker that does not renew its leases for this long loses them, in seconds.
            busy: returns the share of time spent on work since its last call, from 0 to 1.
            share_pace: takes the number of living workers of each kind.
        """
        self._store, self._kinds = store, {kind.name: kind for kind in kinds}
        self._worker, self._lease_s, self._started_at = worker, lease_s, started_at
        self._busy, self._share_pace = busy, share_pace
        self._held: dict[int, jobsets.HeldJobset] = {}  # as this worker has loaded them
        self._renewed = self._full_until = float("-inf")
        self._late: dict[str, set[int]] = {}  # jobsets to give back, by kind
        self._broken: dict[int, tuple[int, float]] = {}  # failures to load, and when to try again

    def held(self) -> Held:
        """Return the leases on all jobsets that this worker has loaded."""
        leases: dict[str, dict[int, Lease]] = {name: {} for name in self._kinds}
        for jobset_id, jobset in list(self._held.items()):
            leases[jobset.kind][jobset_id] = jobset.lease
        return Held(worker=self._worker, leases=leases)

    def tend(self) -> None:
        """Claim a fair share, and load changed jobsets.

        Raises:
            StoreUnavailable: the database does not answer; the next call tries again.
        """
        if self._renewed == float("-inf"):
            self.renew()  # only a worker that is known to live has a share
        self._give_back_late()
        self._take_shares()
        with self._store.read() as connection:
            held = {h.lease.jobset_id: h for h in jobsets.held(connection, self._worker)}
            for jobset_id, jobset in held.items():
                if self._held.get(jobset_id) != jobset:
                    self._load(connection, jobset)
        self._broken = {key: broken for key, broken in self._broken.items() if key in held}
        for jobset_id in set(self._held) - set(held):
            self._forget(jobset_id)
        self._release([h.lease for h in held.values() if h.size == 0])

    def _load(self, connection: Connection, jobset: jobsets.HeldJobset) -> None:
        """Load a jobset; one that cannot be loaded is tried again later, and stops no other."""
        jobset_id = jobset.lease.jobset_id
        failures, load_at = self._broken.get(jobset_id, (0, 0.0))
        if time.monotonic() < load_at:
            return
        try:
            self._kinds[jobset.kind].load(connection, jobset.lease)
        except StoreUnavailable:
            raise
        except Exception:
            pause_s = _LOAD_PAUSES.after(failures + 1)
            log.exception("jobset_not_loaded", jobset=jobset_id, again_in_s=pause_s)
            self._broken[jobset_id] = failures + 1, time.monotonic() + pause_s
        else:
            self._held[jobset_id] = jobset
            self._broken.pop(jobset_id, None)

    def renew(self) -> None:
        """Record that this worker lives and renew its leases, once in a third of their time.

        Raises:
            StoreUnavailable: the database does not answer; the next call tries again.
        """
        if time.monotonic() - self._renewed < self._lease_s / 3:
            return
        late = {name: kind.late() for name, kind in self._kinds.items()}
        presence = workers.Presence(
            id=self._worker,
            started_at=self._started_at,
            release=version("tracker-service"),
            kinds=tuple(self._kinds),
            busy=self._busy(),
            late=sum(sum(of_kind.values()) for of_kind in late.values()),
        )

        def renew(connection: Connection) -> Mapping[str, int]:
            workers.note(connection, presence)
            jobsets.renew(connection, self._worker, self._lease_s)
            living = workers.living_by_kind(connection, self._lease_s)
            is_waiting = jobsets.any_free(connection, list(self._kinds), WAITED_TOO_LONG_S)
            is_alone_and_late = any(late[name] and living[name] == 1 for name in late)
            self._note_limit(connection, is_hit=is_waiting or is_alone_and_late)
            return living

        living = self._store.write(renew)
        self._renewed = time.monotonic()
        self._share_pace(living)
        self._late = {name: set(late[name]) for name in late if living[name] > 1}

    def _give_back_late(self) -> None:
        """Give back the jobsets that run late, but none of which a log is being written.

        The only worker of a kind keeps all its jobsets: a late task is better than none.
        """
        late, self._late = self._late, {}
        if not any(late.values()):
            return
        with self._store.read() as connection:
            pinned = self._pinned(connection)
        movable = {jobset_id for of_kind in late.values() for jobset_id in of_kind} - pinned
        log.warning("jobsets_given_back", worker=self._worker, jobsets=len(movable))
        self._release([held.lease for key, held in self._held.items() if key in movable])
        self._full_until = time.monotonic() + _FULL_FOR_S

    def _note_limit(self, connection: Connection, *, is_hit: bool) -> None:
        """Tell of it once, whichever worker sees first that the workers cannot keep up."""
        if not is_hit:
            conditions.end_unseen(connection, conditions.SCALING_LIMIT, self._lease_s)
            return
        remedy = {"remedy": "start more workers"}
        if conditions.note(connection, conditions.SCALING_LIMIT, "workers", remedy):
            log.error("scaling_limit_hit", worker=self._worker, **remedy)

    def _take_shares(self) -> None:
        """Claim free jobsets up to a fair share of each kind; give the newest ones above it back.

        A worker that joins thus gets work within moments, and no other worker stops for it.
        """
        waited_s = WAITED_TOO_LONG_S if time.monotonic() < self._full_until else 0.0
        with self._store.read() as connection:
            offers = jobsets.offers(
                connection, self._worker, list(self._kinds), self._lease_s, waited_s=waited_s
            )
        for name, offer in offers.items():
            leases = [held.lease for held in self._held.values() if held.kind == name]
            room = offer.share - len(leases)
            if room > 0 and offer.free:
                self._claim(name, min(room, _CLAIMS_AT_ONCE), waited_s)
            elif room < 0:
                self._give_back_newest(name, leases, -room)

    def _claim(self, name: str, limit: int, waited_s: float) -> None:
        self._store.write(
            lambda connection: jobsets.claim(
                connection, self._worker, [name], self._lease_s, limit, waited_s=waited_s
            )
        )

    def _give_back_newest(self, name: str, leases: Sequence[Lease], number: int) -> None:
        with self._store.read() as connection:
            pinned = self._kinds[name].pinned(connection)
        movable = [lease for lease in reversed(leases) if lease.jobset_id not in pinned]
        self._release(movable[:number])

    def _release(self, leases: Sequence[Lease]) -> None:
        if leases:
            self._store.write(lambda c: jobsets.release(c, self._worker, leases))
            for lease in leases:
                self._forget(lease.jobset_id)

    def _forget(self, jobset_id: int) -> None:
        if jobset := self._held.pop(jobset_id, None):
            self._kinds[jobset.kind].drop(jobset_id)

    def tidy(self) -> None:
        """Remove the records of silent workers, and merge jobsets that have few tasks."""
        for lease in self._store.write(self._tidy):
            self._store.write(partial(jobsets.merge, lease=lease))

    def _tidy(self, connection: Connection) -> list[Lease]:
        """Remove what nobody needs; return the jobsets of this worker to merge into others."""
        workers.forget_silent(connection, _SILENT_WORKER_S)
        jobsets.remove_empty(connection, _UNNEEDED_JOBSET_S)
        pinned = self._pinned(connection)
        thin = jobsets.thin(connection, self._worker)
        return [lease for lease in thin if lease.jobset_id not in pinned]

    def _pinned(self, connection: Connection) -> set[int]:
        kinds = self._kinds.values()
        return {jobset_id for kind in kinds for jobset_id in kind.pinned(connection)}

    def give_back(self) -> None:
        """Give all jobsets back at once; work in progress notices this and stops."""

        def release(connection: Connection) -> None:
            jobsets.release(connection, self._worker)
            workers.forget(connection, self._worker)

        try:
            self._store.write(release)
        except StoreUnavailable as error:  # other workers take the jobsets when the leases end
            log.warning("jobsets_not_released", worker=self._worker, reason=str(error))
        for jobset_id in list(self._held):
            self._forget(jobset_id)
