"""Complete the tasks of failed jobs: find every application, await its log, write the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from threading import Lock

import structlog

from tracker_service.domain.causes import Cause
from tracker_service.domain.copies import Copy
from tracker_service.domain.failures import Conclude
from tracker_service.domain.jobs import JobStatus
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
    unexpected,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import copies, events, jobs, jobsets, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.tracking import outcome
from tracker_service.tracking.children import ChildFollower, has_children
from tracker_service.tracking.conclusion import Conclusion, ended_run
from tracker_service.tracking.events import logs_ended
from tracker_service.tracking.explorer import Exploration, Trouble, explore, trouble_of

log = structlog.get_logger()

ManifestWriter = Callable[[WebHdfs, JobStatus, Sequence[Copy], Cause | None, datetime], None]
#: No trouble of one job, but of all: the credential, the lease, the database.
_NOT_OF_ONE_JOB = (CredentialsRefused, LeaseLost, StoreUnavailable)

_TELL_AFTER_S = 120.0  #: a user whose logs take longer hears of the failure before they are saved
#: A task whose search has failed for this time ends without the part that fails.
_TRIED_FOR_S = 6 * 3600.0


@dataclass(slots=True)
class _Item:
    """A task whose job's logs are being saved; times are of the worker's monotonic clock."""

    task: TrackTask
    since: float
    due: float
    troubles: int = 0
    failing_since: float | None = None  #: since when each search has failed
    is_explored: bool = False  #: the first search for applications is complete
    is_told: bool = False  #: its user has heard of the failure


class Completion:
    """Completes the tasks of jobs whose logs are saved.

    Each job is searched for applications twice. The first search comes at once, so that all logs
    are saved. The second one comes when all known logs are saved, because a job that was killed may
    have started another application just before.
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
        pace: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to search.

        Args:
            pace: blocks until the next request to the cluster may be sent.
        """
        self._settle_s = timing.settle.total_seconds()
        self._pauses = timing.search_pauses
        self._write_manifest, self._conclusion = write_manifest, Conclusion(conclude)
        self._store, self._identities = store, identities
        self._per_owner, self._clock = PerOwner(executor), clock
        self._children = ChildFollower(store, clock, pace)
        self._pace = pace
        self._items: dict[int, _Item] = {}
        self._lock = Lock()

    def load(self, lease: Lease, copying: Sequence[TrackTask], now: float) -> None:
        """Replace the copying tasks of a jobset by those in the store.

        Args:
            now: in seconds of the worker's monotonic clock.
        """
        with self._lock:
            before = self._drop(lease.jobset_id)
            for task in copying:
                item = before.get(task.id) or self._new_item(task, now)
                item.task = task
                self._items[task.id] = item

    def _new_item(self, task: TrackTask, now: float) -> _Item:
        """Return the item of a task; its search may have failed since before this worker began."""
        item = _Item(task, since=now, due=now)
        if task.failing_since:
            failed_for = self._clock() - task.failing_since
            item.failing_since = now - max(0.0, failed_for.total_seconds())
        return item

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
        """Start the searches that are due; each user's jobs are searched on one thread."""
        now = time.monotonic()
        with self._lock:
            due = [item for item in self._items.values() if item.due <= now]
        if not due:
            return
        with self._store.read() as connection:
            saved = copies.finished_tasks(connection, {item.task.lease for item in due})
        by_owner: dict[str, list[_Item]] = {}
        for item in due:
            self._tell_early(item, now)
            if item.task.is_stopped:
                if item.task.id in saved:
                    self._end_stopped(item)
                continue
            is_last = item.task.id in saved and now - item.since >= self._settle_s
            if is_last or not item.is_explored:
                by_owner.setdefault(item.task.owner, []).append(item)
        for owner, items in by_owner.items():
            self._per_owner.start(owner, partial(self._look, owner, items))

    def _tell_early(self, item: _Item, now: float) -> None:
        """Tell of a failure whose logs take long to be saved."""
        if item.is_told or item.task.is_stopped or now - item.since < _TELL_AFTER_S:
            return
        item.is_told = True
        self._store.write(lambda c: self._conclusion.tell_early(c, item.task, self._clock()))

    def _end_stopped(self, item: _Item) -> None:
        """End a task that its user has stopped and whose running copies have ended."""
        try:
            task = self._store.write(partial(self._end_if_stopped, task=item.task))
            self._note(item, task, None)
        except LeaseLost as error:
            self._lost(item, error)
        except StoreUnavailable:
            raise
        except Exception as error:  # it ends no other task
            self._give_up_late(item, error)

    def _end_if_stopped(self, connection: Connection, task: TrackTask) -> TrackTask:
        jobsets.guard(connection, task.lease)
        task = track_tasks.current(connection, task)
        if task.is_stopped:
            return outcome.end_task(connection, task, self._clock(), track_tasks.STOPPED)
        return task

    def _lost(self, item: _Item, error: LeaseLost) -> None:
        log.warning("lease_lost", jobset=item.task.lease.jobset_id, reason=str(error))
        with self._lock:
            if self._items.get(item.task.id) is item:
                del self._items[item.task.id]

    def _look(self, owner: str, items: Sequence[_Item]) -> None:
        try:
            with self._identities.acting_for(owner) as access:
                # Jobs that failed before come last, so that their trouble stops no other search.
                ordered = sorted(items, key=lambda item: item.troubles)
                for number, item in enumerate(ordered, 1):
                    if not self._search_safely(access, item):
                        # Part of the cluster does not answer: do not try the other jobs now.
                        for other in ordered[number:]:
                            other.due = time.monotonic() + self._pauses.first_s
                        break
        except (GatewayError, StoreUnavailable) as error:
            log.warning("search_failed", user=owner, reason=str(error))
            for item in items:
                self._back_off(item)
        except Exception as error:
            for item in items:
                self._give_up_late(item, error)

    def _search_safely(self, access: ClusterAccess, item: _Item) -> bool:
        """Search one job; an unexpected error there does not stop the other searches.

        Returns:
            False if part of the cluster did not answer.
        """
        try:
            return self._search(access, item)
        except (GatewayError, StoreUnavailable):
            raise
        except LeaseLost as error:
            self._lost(item, error)
        except Exception as error:
            self._give_up_late(item, error)
        return True

    def _give_up_late(self, item: _Item, error: Exception) -> None:
        """Search a job again after a pause; end a task that has met such errors for hours.

        What else is known of the job is not written: that may be what breaks.
        """
        log.error("search_broke", job=item.task.job_id, exc_info=error)
        is_given_up = _fails_for_hours(item)
        self._back_off(item)

        def note(connection: Connection) -> TrackTask:
            jobsets.guard(connection, item.task.lease)
            task = track_tasks.current(connection, item.task)
            if task.state == TaskState.COPYING and is_given_up:
                reason = Reason(TaskReason.INCOMPLETE, unexpected(error))
                task = outcome.end_task(connection, task, self._clock(), reason)
                return track_tasks.note_failing(connection, task, None)
            return track_tasks.note_failing(connection, task, self._clock())

        try:
            self._renew(item, self._store.write(note))
        except LeaseLost as lost:
            self._lost(item, lost)
        except StoreUnavailable as unavailable:  # the next failure is noted again
            log.warning("store_unavailable", job=item.task.job_id, reason=str(unavailable))

    def _search(self, access: ClusterAccess, item: _Item) -> bool:
        """Search one job for applications; end its task if all logs are saved and none is new.

        Returns:
            False if part of the cluster did not answer.
        """
        found, gone, trouble = None, None, None
        try:
            found = self._explore(access, item.task)
            trouble = found.trouble and _of_a_part(found.trouble)
        except JobNotFound as error:  # Oozie has purged it; the known applications are saved
            gone = str(error)
        except _NOT_OF_ONE_JOB:
            raise
        except Exception as error:
            trouble = trouble_of(error, item.task.job_id)
        write_trouble = self._write_manifests(access, item.task, found)
        trouble = trouble or write_trouble
        self._act_on(item, found, gone, trouble.reason if trouble else None)
        return not (trouble and trouble.is_outage)

    def _write_manifests(
        self, access: ClusterAccess, task: TrackTask, found: Exploration | None
    ) -> Trouble | None:
        """Write the manifest, with the cause, of each run whose copies have all ended.

        Returns:
            why a manifest could not be written; None if all were.
        """
        now = self._clock()
        with self._store.read() as connection:
            unwritten = {run[0].run: run for run in _unwritten(connection, task)}
            runs = jobs.runs_of(connection, task.job_id)
            # Earlier releases overwrote some runs; their logs are saved and have a manifest, too.
            known = {number: runs[number] for number in unwritten if number in runs}
            why = {n: self._conclusion.of_run(connection, task, known[n], found) for n in known}
        try:
            for number, run in unwritten.items():
                status = known[number].status if number in known else JobStatus.UNKNOWN
                self._write_manifest(access.hdfs, status, run, why.get(number), now)
        except _NOT_OF_ONE_JOB:
            raise
        except Exception as error:
            trouble = trouble_of(error, task.job_id)
            reason = f"the manifest beside the logs could not be written: {trouble.reason}"
            return replace(trouble, reason=reason)

        def note(connection: Connection) -> None:
            jobsets.guard(connection, task.lease)
            track_tasks.note_manifest(connection, task.id, now)
            for number, kept in known.items():
                self._conclusion.keep(connection, task, kept, why[number], now)
                told = ended_run(connection, task, kept, why[number], now)
                if ended := logs_ended(told):
                    events.append(connection, ended)

        if unwritten:
            self._store.write(note)
        return None

    def _explore(self, access: ClusterAccess, task: TrackTask) -> Exploration:
        """Find the applications of a workflow; track the children of any other job."""
        if not has_children(task.job_id):
            wanted = task.copies_always
            return explore(access, task.job_id, is_wanted=wanted, pace=self._pace)
        return Exploration(details=self._children.follow(access, task).details, applications=())

    def _act_on(
        self, item: _Item, found: Exploration | None, gone: str | None, trouble: str | None
    ) -> None:
        is_given_up = bool(trouble) and _fails_for_hours(item)

        def act(connection: Connection) -> TrackTask:
            jobsets.guard(connection, item.task.lease)
            now = self._clock()
            # The loaded task may be older than the last commit.
            task = track_tasks.current(connection, item.task)
            if found and task.state != TaskState.ENDED:
                task = outcome.record_details(
                    connection, task, found.details, found.applications, now
                )
            if task.state == TaskState.COPYING:
                outcome.decide_copies(connection, task, now)
                is_saved = task.id in copies.finished_tasks(connection, [task.lease])
                is_last = time.monotonic() - item.since >= self._settle_s
                # A log that was saved just now is not in the manifest; the next search writes it.
                is_written = not trouble and not _unwritten(connection, task)
                if is_saved and is_last and (is_given_up or is_written):
                    self._conclusion.keep_at_end(connection, task, found, now)
                    task = outcome.end_task(connection, task, now, _why_ended(trouble, gone))
            fails = trouble and task.state == TaskState.COPYING
            return track_tasks.note_failing(connection, task, now if fails else None)

        self._note(item, self._store.write(act), trouble)

    def _note(self, item: _Item, task: TrackTask, trouble: str | None) -> None:
        """Update an item after its transaction is committed."""
        if trouble:
            log.info("search_incomplete", job=task.job_id, reason=trouble)
            self._back_off(item)
        else:
            item.is_explored, item.troubles, item.failing_since = True, 0, None
        self._renew(item, task)

    def _renew(self, item: _Item, task: TrackTask) -> None:
        item.task = task
        if task.state != TaskState.COPYING:
            with self._lock:
                self._items.pop(task.id, None)

    def _back_off(self, item: _Item) -> None:
        item.troubles += 1
        item.due = time.monotonic() + self._pauses.after(item.troubles)


def _fails_for_hours(item: _Item) -> bool:
    """Note that a search has failed; tell whether its task ends without the rest.

    One failure after a long pause, of this worker or of all, ends no task.
    """
    now = time.monotonic()
    if item.failing_since is None:
        item.failing_since = now
    return item.troubles > 0 and now - item.failing_since > _TRIED_FOR_S


def _of_a_part(trouble: Trouble) -> Trouble:
    reason = f"part of the cluster could not be asked for applications: {trouble.reason}"
    return replace(trouble, reason=reason)


def _why_ended(trouble: str | None, gone: str | None) -> Reason[TaskReason] | None:
    """Return the reason of a task that ends with trouble or without its job; otherwise None."""
    if trouble:
        return Reason(TaskReason.INCOMPLETE, trouble)
    return Reason(TaskReason.JOB_GONE, gone) if gone else None


def _runs(there: Sequence[Copy]) -> list[list[Copy]]:
    """Group the copies of a task by the run of its job; most tasks have one run."""
    by_run: dict[int, list[Copy]] = {}
    for copy in there:
        by_run.setdefault(copy.run, []).append(copy)
    return list(by_run.values())


def _unwritten(connection: Connection, task: TrackTask) -> list[list[Copy]]:
    """Return the copies of each run whose manifest has to be written, grouped by run."""
    there = copies.of_tasks(connection, [task.id])[task.id]
    written_at = track_tasks.manifest_at(connection, task.id)
    return [run for run in _runs(there) if _is_unwritten(run, written_at)]


def _is_unwritten(run: Sequence[Copy], written_at: datetime | None) -> bool:
    """Tell whether all copies of a run have ended, and one of them after the last manifest."""
    if not all(copy.status.is_finished for copy in run):
        return False
    ends = [copy.ended_at or copy.saved_at or copy.created_at for copy in run]
    return written_at is None or max(ends) > written_at
