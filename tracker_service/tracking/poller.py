"""Ask about the jobs that are due, many with one request, and act on what changed."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from tracker_service.domain.jobs import JobId, JobStatus, Observation
from tracker_service.domain.tasks import Lease, TaskState, TrackTask
from tracker_service.errors import (
    AccessDenied,
    CredentialsRefused,
    GatewayUnavailable,
    JobNotFound,
    LeaseLost,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import copies, credentials, jobs, jobsets, tasks
from tracker_service.store.engine import Connection, Store
from tracker_service.tracking.explorer import Exploration, explore
from tracker_service.tracking.schedule import Entry, Schedule

log = structlog.get_logger()

_BACKGROUND_SHARE = 0.1  #: details of running jobs, as a part of the bulk requests
_MAX_BUDGET = 10.0
_SETTLE_S = 5.0  #: after a job's end, until YARN has heard of the last application that it started
_COPIES_LOOK_S = 1.0
_TROUBLE_S = 30.0


@dataclass(slots=True)
class _Budget:
    """How many background requests have been earned by bulk requests."""

    earned: float = 1.0

    def earn(self, requests: int) -> None:
        self.earned = min(self.earned + requests * _BACKGROUND_SHARE, _MAX_BUDGET)

    def spend(self) -> bool:
        if self.earned < 1:
            return False
        self.earned -= 1
        return True


class Poller:
    """Follows the tasks of a schedule until each has ended."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        schedule: Schedule,
        executor: Executor,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._identities, self._schedule = store, identities, schedule
        self._executor, self._clock = executor, clock
        self._budget = _Budget()

    def sweep(self) -> None:
        """Start a look at everything that is due; each user's tasks on a thread of their own."""
        for owner, due in self._schedule.take_due(time.monotonic()).items():
            self._executor.submit(self._look, owner, due)

    def _look(self, owner: str, due: Sequence[Entry]) -> None:
        """Look at one user's tasks.

        1. Ask Oozie about the jobs that run, about 100 with one request; record what changed.
        2. Ask for the details of those that changed or ended, and of a few others.
        3. End the tasks of which nothing is left to do.
        """
        failed = False
        try:
            with self._identities.acting_for(owner) as access:
                self._look_at_running(access, [e for e in due if _is(e, TaskState.WATCHING)])
                self._look_at_copying(access, [e for e in due if _is(e, TaskState.COPYING)])
            self._note_sweep(owner)
        except (GatewayUnavailable, CredentialsRefused, AccessDenied) as error:
            log.warning("look_failed", user=owner, jobs=len(due), reason=str(error))
            failed = True
        except Exception:
            # One user's trouble must not stop the others'; it is tried again, and it is seen.
            log.exception("look_broke", user=owner)
            failed = True
        finally:
            self._schedule.give_back(owner, time.monotonic(), failed=failed)

    def _look_at_running(self, access: ClusterAccess, entries: Sequence[Entry]) -> None:
        by_id: dict[JobId, list[Entry]] = {}
        for entry in entries:
            by_id.setdefault(entry.task.job_id, []).append(entry)
        for chunk in access.oozie.requests_for(list(by_id)):
            seen = access.oozie.chunk(chunk)
            self._budget.earn(1)
            looked_at = [entry for job_id in chunk for entry in by_id[job_id]]
            for entry in self._record(looked_at, seen):
                self._look_closer(access, entry)
        self._look_in_the_background(access, entries)

    def _record(self, entries: Sequence[Entry], seen: Mapping[JobId, Observation]) -> list[Entry]:
        """Record at once what a bulk answer says.

        Returns:
            the tasks that want a closer look: their jobs changed, ended, or are missing.
        """
        closer, by_lease = [], defaultdict(list)
        for entry in entries:
            told, task = seen.get(entry.task.job_id), entry.task
            if told:
                self._schedule.looked(entry, told.observed_at, time.monotonic())
            if told and (told.status, told.run) != (task.status, task.run):
                by_lease[task.lease].append(entry)
            elif told is None or told.status.is_terminal:
                closer.append(entry)
        for lease, changed in by_lease.items():
            with self._unless_lost(lease), self._store.begin() as connection:
                jobsets.guard(connection, lease)
                for entry in changed:
                    entry.task = self._recorded(connection, entry.task, seen[entry.task.job_id])
                closer += changed
        return closer

    @contextmanager
    def _unless_lost(self, lease: Lease) -> Iterator[None]:
        """Drop a jobset in which another worker's epoch has begun: its tasks are that worker's."""
        try:
            yield
        except LeaseLost as error:
            log.warning("lease_lost", jobset=lease.jobset_id, reason=str(error))
            self._schedule.drop(lease.jobset_id)

    def _recorded(self, connection: Connection, task: TrackTask, seen: Observation) -> TrackTask:
        kept = jobs.record(connection, [seen])[seen.id]
        if kept.key != task.job_key:
            tasks.follow_run(connection, task, kept.key, self._clock())
        if kept.status != task.status:
            log.info("job_state_changed", job=kept.id, was=task.status, now=kept.status)
        return replace(task, job_key=kept.key, run=kept.run, status=kept.status)

    def _look_closer(self, access: ClusterAccess, entry: Entry) -> None:
        """Ask for a job's details; if it has ended, end its task or have its logs copied."""
        try:
            exploration = explore(access, entry.task.job_id)
        except JobNotFound as error:
            self._lose(entry, str(error))
            return
        except GatewayUnavailable:
            # It may be this one job that Oozie cannot tell about: the others do not wait for it.
            entry.due = time.monotonic() + _TROUBLE_S
            raise
        with self._unless_lost(entry.task.lease):
            self._act_on(entry, exploration)

    def _act_on(self, entry: Entry, exploration: Exploration) -> None:
        seen = exploration.details.observation
        with self._store.begin() as connection:
            jobsets.guard(connection, entry.task.lease)
            task = self._recorded(connection, entry.task, seen)
            self._keep(connection, task, exploration)
            entry.task = self._next_step(connection, task, exploration)
        entry.details_at = time.monotonic()
        self._schedule.looked(entry, seen.observed_at, time.monotonic())
        if entry.task.state == TaskState.COPYING:
            entry.due = time.monotonic() + _SETTLE_S
        elif entry.task.state == TaskState.ENDED:
            self._schedule.end(entry)

    def _keep(self, connection: Connection, task: TrackTask, found: Exploration) -> None:
        jobs.record_details(connection, task.job_key, found.details, found.applications)

    def _next_step(self, connection: Connection, task: TrackTask, found: Exploration) -> TrackTask:
        """Decide what becomes of a task by the state of its job."""
        if not task.status.is_terminal:
            return task
        if task.status == JobStatus.SUCCEEDED:
            return self._end(connection, task)
        ids = [application.id for application in found.applications]
        new = copies.decide(connection, task, ids, self._clock())
        log.info("copies_decided", job=task.job_id, user=task.owner, copies=new)
        tasks.start_copying(connection, task)
        return replace(task, state=TaskState.COPYING)

    def _end(self, connection: Connection, task: TrackTask, reason: str | None = None) -> TrackTask:
        tasks.end(connection, task, self._clock(), reason)
        kept = credentials.find(connection, [task.owner]).get(task.owner)
        if kept and credentials.erase_unneeded(connection, kept):
            log.info("credential_erased", user=task.owner)
        return replace(task, state=TaskState.ENDED)

    def _lose(self, entry: Entry, reason: str) -> None:
        """End a task whose job Oozie no longer has: a bulk answer and a look of its own say so."""
        now = self._clock()
        gone = Observation(
            id=entry.task.job_id,
            status=JobStatus.NOT_FOUND,
            run=entry.task.run,
            observed_at=now,
        )
        with self._unless_lost(entry.task.lease):
            with self._store.begin() as connection:
                jobsets.guard(connection, entry.task.lease)
                task = self._recorded(connection, entry.task, gone)
                entry.task = self._end(connection, task, reason)
            self._schedule.end(entry)

    def _look_in_the_background(self, access: ClusterAccess, entries: Sequence[Entry]) -> None:
        """Ask for the details of a few running jobs, those first that have waited longest.

        So the applications of actions that are retried later become known.
        """
        running = [
            e for e in entries if _is(e, TaskState.WATCHING) and not e.task.status.is_terminal
        ]
        for entry in sorted(running, key=lambda e: e.details_at):
            if not self._budget.spend():
                return
            self._look_closer(access, entry)

    def _look_at_copying(self, access: ClusterAccess, entries: Sequence[Entry]) -> None:
        """End the tasks whose logs are saved, once no further application has turned up."""
        if not entries:
            return
        with self._store.read() as connection:
            saved = copies.all_finished(connection, {entry.task.lease for entry in entries})
        for entry in entries:
            entry.due = time.monotonic() + _COPIES_LOOK_S
            if entry.task.id in saved:
                self._list_again(access, entry)

    def _list_again(self, access: ClusterAccess, entry: Entry) -> None:
        lease = entry.task.lease
        try:
            found = explore(access, entry.task.job_id)
        except JobNotFound as error:  # purged meanwhile; what was found before is saved
            with self._unless_lost(lease), self._store.begin() as connection:
                jobsets.guard(connection, lease)
                entry.task = self._end(connection, entry.task, str(error))
        else:
            with self._unless_lost(lease), self._store.begin() as connection:
                jobsets.guard(connection, lease)
                self._finish(connection, entry, found)
        if entry.task.state == TaskState.ENDED:
            self._schedule.end(entry)

    def _finish(self, connection: Connection, entry: Entry, found: Exploration) -> None:
        task = self._recorded(connection, entry.task, found.details.observation)
        if task.job_key != entry.task.job_key:  # somebody has run it again
            entry.task = replace(task, state=TaskState.WATCHING)
            return
        self._keep(connection, task, found)
        ids = [application.id for application in found.applications]
        new = copies.decide(connection, task, ids, self._clock())
        if not new and found.is_complete:
            entry.task = self._end(connection, task)

    def _note_sweep(self, owner: str) -> None:
        """Write once for each jobset since when all its jobs have been looked at."""
        looked_at = self._schedule.looked_at_since(owner)
        if looked_at:
            with self._store.begin() as connection:
                jobsets.polled(connection, looked_at)


def _is(entry: Entry, state: TaskState) -> bool:
    return entry.task.state == state
