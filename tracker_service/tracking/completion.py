"""See to it that every application of a job that failed is found and saved; then end its task."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock

import structlog

from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Copy
from tracker_service.domain.failures import Conclude
from tracker_service.domain.jobs import JobDetails, JobStatus
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason, TaskState, TrackTask
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.engine.per_owner import PerOwner
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    JobNotFound,
    LeaseLost,
    StoreUnavailable,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import causes, copies, jobs, jobsets, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.tracking import outcome
from tracker_service.tracking.children import ChildFollower, has_children
from tracker_service.tracking.conclusion import Conclusion
from tracker_service.tracking.explorer import Exploration, explore

log = structlog.get_logger()

ManifestWriter = Callable[[WebHdfs, JobStatus, Sequence[Copy], Cause | None, datetime], None]

_TRIED_FOR_S = 6 * 3600.0  #: then the task ends with what was found


@dataclass(slots=True)
class _Item:
    """A task whose job's logs are being saved; times of the worker's monotonic clock."""

    task: TrackTask
    since: float
    due: float
    troubles: int = 0
    is_explored: bool = False  #: all that the job started was looked for once


class Completion:
    """The end of tasks whose jobs did not succeed.

    A job is searched for applications twice: at once, so that their logs are saved, and again when
    all known ones are, because a job that is killed may just have started another.
    """

    def __init__(
        self,
        store: Store,
        identities: Identities,
        executor: Executor,
        write_manifest: ManifestWriter,
        conclude: Conclude,
        clock: Callable[[], datetime],
        *,
        timing: Timing = OPERATION,
    ) -> None:
        self._settle_s = timing.settle.total_seconds()
        self._pauses = timing.search_pauses
        self._write_manifest, self._conclusion = write_manifest, Conclusion(conclude)
        self._store, self._identities = store, identities
        self._per_owner, self._clock = PerOwner(executor), clock
        self._children = ChildFollower(store, clock)
        self._items: dict[int, _Item] = {}
        self._lock = Lock()

    def load(self, lease: Lease, copying: Sequence[TrackTask], now: float) -> None:
        """Take the copying tasks of a jobset as the store has them."""
        with self._lock:
            before = self._drop(lease.jobset_id)
            for task in copying:
                item = before.get(task.id) or _Item(task, since=now, due=now)
                item.task = task
                self._items[task.id] = item

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""
        with self._lock:
            self._drop(jobset_id)

    def _drop(self, jobset_id: int) -> dict[int, _Item]:
        gone = {k: i for k, i in self._items.items() if i.task.lease.jobset_id == jobset_id}
        for key in gone:
            del self._items[key]
        return gone

    def advance(self) -> None:
        """Start a search for the jobs that want one; each user's on a thread of their own."""
        now = time.monotonic()
        with self._lock:
            due = [item for item in self._items.values() if item.due <= now]
        if not due:
            return
        with self._store.read() as connection:
            saved = copies.all_finished(connection, {item.task.lease for item in due})
        by_owner: dict[str, list[_Item]] = {}
        for item in due:
            if item.task.is_stopped:
                if item.task.id in saved:
                    self._end_stopped(item)
                continue
            is_last = item.task.id in saved and now - item.since >= self._settle_s
            if is_last or not item.is_explored:
                by_owner.setdefault(item.task.owner, []).append(item)
        for owner, items in by_owner.items():
            self._per_owner.start(owner, partial(self._look, owner, items))

    def _end_stopped(self, item: _Item) -> None:
        """End a task that its user has stopped, now that what had been begun is copied."""
        try:
            with self._store.begin() as connection:
                jobsets.guard(connection, item.task.lease)
                task = track_tasks.current(connection, item.task)
                if task.is_stopped:
                    task = outcome.end_task(connection, task, self._clock(), track_tasks.STOPPED)
            self._note(item, task, None)
        except LeaseLost as error:
            self._lost(item, error)

    def _lost(self, item: _Item, error: LeaseLost) -> None:
        log.warning("lease_lost", jobset=item.task.lease.jobset_id, reason=str(error))
        with self._lock:
            if self._items.get(item.task.id) is item:
                del self._items[item.task.id]

    def _look(self, owner: str, items: Sequence[_Item]) -> None:
        try:
            with self._identities.acting_for(owner) as access:
                # Those with trouble come last: it may be theirs alone.
                ordered = sorted(items, key=lambda item: item.troubles)
                for number, item in enumerate(ordered, 1):
                    if not self._search_safely(access, item):
                        # Part of the cluster is away: one search is enough to know.
                        for other in ordered[number:]:
                            other.due = time.monotonic() + self._pauses.first_s
                        break
        except GatewayError as error:
            log.warning("search_failed", user=owner, reason=str(error))
            for item in items:
                self._later(item)
        except Exception:
            log.exception("search_broke", user=owner)
            for item in items:
                self._later(item)

    def _search_safely(self, access: ClusterAccess, item: _Item) -> bool:
        """Search one job; what is unexpected there does not stop the others."""
        try:
            return self._search(access, item)
        except (GatewayError, StoreUnavailable):
            raise
        except LeaseLost as error:
            self._lost(item, error)
            return True
        except Exception:
            log.exception("search_broke", job=item.task.job_id)
            self._later(item)
            return True

    def _search(self, access: ClusterAccess, item: _Item) -> bool:
        """Search one job for applications; end its task if all are saved and none is new.

        Returns:
            whether everything could be asked.
        """
        found, gone, trouble = None, None, None
        try:
            found = self._explore(access, item.task)
        except JobNotFound as error:  # purged meanwhile; what was found before is saved
            gone = str(error)
        except CredentialsRefused:
            raise
        except GatewayError as error:
            trouble = str(error)
        if found and not found.is_complete:
            trouble = "part of the cluster could not be asked for applications"
        not_told = self._tell_beside(access, item.task, found)
        trouble = trouble or not_told
        self._act_on(item, found, gone, trouble)
        return trouble is None

    def _tell_beside(
        self, access: ClusterAccess, task: TrackTask, found: Exploration | None
    ) -> str | None:
        """Conclude why each run failed once all its copies have ended, and write it beside them.

        Returns:
            what went wrong.
        """
        now = self._clock()
        with self._store.read() as connection:
            untold = {run[0].run: run for run in _untold(connection, task)}
            runs = jobs.runs_of(connection, task.job_id)
            why = {n: self._conclusion.of_run(connection, task, runs[n], found) for n in untold}
        try:
            for number, run in untold.items():
                self._write_manifest(access.hdfs, runs[number].status, run, why[number], now)
        except CredentialsRefused:
            raise
        except GatewayError as error:
            return f"the manifest beside the logs could not be written: {error}"
        if untold:
            with self._store.begin() as connection:
                jobsets.guard(connection, task.lease)
                track_tasks.note_manifest(connection, task.id, now)
                for number, cause in why.items():
                    if cause:
                        causes.keep(connection, task.id, runs[number].key, cause, now)
        return None

    def _explore(self, access: ClusterAccess, task: TrackTask) -> Exploration:
        """Find what a job has started: applications, or other jobs, which are followed then."""
        if not has_children(task.job_id):
            return explore(access, task.job_id, is_wanted=task.copies_always)
        details = JobDetails(observation=self._children.follow(access, task).observation)
        return Exploration(details=details, applications=(), is_complete=True)

    def _act_on(
        self, item: _Item, found: Exploration | None, gone: str | None, trouble: str | None
    ) -> None:
        is_given_up = bool(trouble) and time.monotonic() - item.since > _TRIED_FOR_S
        with self._store.begin() as connection:
            jobsets.guard(connection, item.task.lease)
            now = self._clock()
            # What was loaded may be older than the last commit of this very task.
            task = track_tasks.current(connection, item.task)
            if found and task.state != TaskState.ENDED:
                task = outcome.record_details(
                    connection, task, found.details, found.applications, now
                )
            if task.state == TaskState.COPYING:
                outcome.decide_copies(connection, task, now)
                is_saved = task.id in copies.all_finished(connection, [task.lease])
                is_last = time.monotonic() - item.since >= self._settle_s
                # A log that was saved just now is not in the manifest: the next search tells it.
                is_told = not trouble and not _untold(connection, task)
                if is_saved and is_last and (is_given_up or is_told):
                    self._conclusion.keep_at_end(connection, task, found, now)
                    task = outcome.end_task(connection, task, now, _why_ended(trouble, gone))
        self._note(item, task, trouble)

    def _note(self, item: _Item, task: TrackTask, trouble: str | None) -> None:
        """Remember what is durable now."""
        item.task = task
        if trouble:
            log.info("search_incomplete", job=task.job_id, reason=trouble)
            self._later(item)
        else:
            item.is_explored, item.troubles = True, 0
        if task.state != TaskState.COPYING:
            with self._lock:
                self._items.pop(task.id, None)

    def _later(self, item: _Item) -> None:
        item.troubles += 1
        item.due = time.monotonic() + self._pauses.after(item.troubles)


def _why_ended(trouble: str | None, gone: str | None) -> Reason[TaskReason] | None:
    """Return why a task ends otherwise than usual; None if all was done."""
    if trouble:
        return Reason(TaskReason.INCOMPLETE, trouble)
    return Reason(TaskReason.JOB_GONE, gone) if gone else None


def _runs(there: Sequence[Copy]) -> list[list[Copy]]:
    """Return the copies of a task by the run of its job; most have one only."""
    by_run: dict[int, list[Copy]] = {}
    for copy in there:
        by_run.setdefault(copy.run, []).append(copy)
    return list(by_run.values())


def _untold(connection: Connection, task: TrackTask) -> list[list[Copy]]:
    """Return the copies of each run that the manifest does not yet tell of as they ended."""
    there = copies.of_tasks(connection, [task.id])[task.id]
    written_at = track_tasks.manifest_at(connection, task.id)
    return [run for run in _runs(there) if _is_untold(run, written_at)]


def _is_untold(run: Sequence[Copy], written_at: datetime | None) -> bool:
    """Tell whether all copies of a run have ended, one of them after the manifest was written."""
    if not all(copy.status.is_finished for copy in run):
        return False
    ends = [copy.ended_at or copy.saved_at or copy.created_at for copy in run]
    return written_at is None or max(ends) > written_at
