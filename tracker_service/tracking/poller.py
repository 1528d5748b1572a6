"""Ask Oozie about due jobs, many with one request, and act on each change."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import structlog

from tracker_service.domain.applications import applications_of
from tracker_service.domain.jobs import JobDetails, JobId, JobStatus, Observation
from tracker_service.domain.leases import Lease
from tracker_service.domain.reasons import Reason
from tracker_service.domain.tasks import TaskReason, TaskState, TrackTask
from tracker_service.engine.slots import Slots
from tracker_service.engine.timetable import Batch
from tracker_service.errors import (
    CredentialsRefused,
    GatewayError,
    GatewayUnavailable,
    JobNotFound,
    LeaseLost,
    StoreUnavailable,
    unexpected,
)
from tracker_service.identities import Identities
from tracker_service.sources.access import ClusterAccess
from tracker_service.store import jobsets, track_tasks
from tracker_service.store.database import Connection, Store
from tracker_service.tracking import outcome
from tracker_service.tracking.budget import Budget
from tracker_service.tracking.children import ChildFollower, has_children
from tracker_service.tracking.schedule import JobEntry, Schedule

log = structlog.get_logger()

_TROUBLES_IN_A_ROW = 3
_CLOSER_AT_ONCE = 20  #: detail requests of one user in a row; then other users have their turn
_IN_VAIN = 6  #: failed requests for an ended job's details; then its task goes on without them
_CHILDREN_IN_VAIN = 40  #: the same for a job with children, which would be lost: about six hours
_BROKEN_IN_VAIN = 40  #: the same for a job at which something unexpected happens each time
_BROKEN_FOR = timedelta(hours=6)  #: the same, over restarts of the worker
_CHILDREN_AFTER_S = 60.0  #: from one request for the children of a running job to the next
_PARENTS_AT_ONCE = 50  #: of one user, so that the states of the user's jobs stay fresh
_GONE_FOR_S = 300.0  #: Oozie may be running on the wrong database, so no missing job ends before


class Poller:
    """Polls the jobs of a schedule until each has ended."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        schedule: Schedule,
        executors: tuple[Executor, Executor],
        clock: Callable[[], datetime],
        slots: Slots,
    ) -> None:
        """Make a poller.

        Args:
            executors: the first one polls batches of jobs, the second one asks for details.
            slots: one for each thread of the first executor.
        """
        self._store, self._identities, self._schedule = store, identities, schedule
        self._executor, self._closer_executor = executors
        self._clock, self._slots = clock, slots
        self._children = ChildFollower(store, clock, slots.wait)
        self._budget = Budget()

    def sweep(self) -> None:
        """Start to poll the due jobs, one batch for each free slot."""
        due = self._schedule.take_due(time.monotonic(), self._slots.free())
        self._slots.take(len(due))
        for batch in due:
            self._executor.submit(self._look, batch)

    def note_polled(self) -> None:
        """Write for each jobset since when all its jobs have been polled, if that has changed."""
        if looks := self._schedule.unnoted_looks():
            self._store.write(lambda connection: jobsets.note_polled(connection, looks))
            self._schedule.mark_noted(looks)

    def _look(self, batch: Batch[JobEntry]) -> None:
        """Poll a batch of jobs.

        1. Ask Oozie about all jobs, about 100 with one request, and record changes.
        2. Ask for the details of a few running jobs.
        3. Hand the jobs that changed, ended or are missing to other threads. Their details take one
           request for each job, and the other jobs do not wait for that.
        """
        began, closer = time.monotonic(), list[JobEntry]()

        def look(access: ClusterAccess) -> None:
            closer[:], trouble = self._look_at_all(access, batch.entries)
            if trouble:
                raise trouble
            apart = {id(entry) for entry in closer}
            others = [entry for entry in batch.entries if id(entry) not in apart]
            self._look_in_the_background(access, others)

        failed = self._has_trouble(batch, look)
        batch, parts = self._schedule.split(batch, closer, _CLOSER_AT_ONCE)
        now = time.monotonic()
        self._schedule.give_back(batch, now, failed=failed)
        self._slots.release(now - began)
        for part in parts:
            self._closer_executor.submit(self._look_closer_at_part, part)

    def _look_closer_at_part(self, part: Batch[JobEntry]) -> None:
        began = time.monotonic()
        failed = self._has_trouble(part, lambda access: self._look_closer_at(access, part.entries))
        now = time.monotonic()
        self._schedule.give_back(part, now, failed=failed)
        self._slots.count_work(now - began)

    def _has_trouble(self, batch: Batch[JobEntry], look: Callable[[ClusterAccess], object]) -> bool:
        """Poll as the identity of a batch; log an error, and tell whether there was one."""
        try:
            with self._identities.polling(batch.asked_as) as access:
                look(access)
        except (GatewayError, StoreUnavailable) as error:
            jobs = len(batch.entries)
            log.warning("look_failed", user=batch.asked_as, jobs=jobs, reason=str(error))
            return True
        except Exception:
            # An error for one identity stops no other identity; its jobs are polled again later.
            log.exception("look_broke", user=batch.asked_as)
            return True
        return False

    def _look_at_all(
        self, access: ClusterAccess, due: Sequence[JobEntry]
    ) -> tuple[list[JobEntry], GatewayUnavailable | None]:
        """Ask Oozie about all jobs.

        Returns:
            the jobs whose details are needed, and the last error, if a request failed.
        """
        by_id: dict[JobId, list[JobEntry]] = {}
        for entry in due:
            by_id.setdefault(entry.task.job_id, []).append(entry)
        closer, trouble, in_a_row = [], None, 0
        for chunk in access.oozie.requests_for(list(by_id)):
            try:
                self._slots.wait()
                seen = access.oozie.chunk(chunk)
            except GatewayUnavailable as error:
                trouble, in_a_row = error, in_a_row + 1
                if in_a_row == _TROUBLES_IN_A_ROW:
                    break
                continue
            in_a_row = 0
            self._budget.earn(1)
            closer += self._record([e for job_id in chunk for e in by_id[job_id]], seen)
        return closer, trouble

    def _record(
        self, entries: Sequence[JobEntry], seen: Mapping[JobId, Observation]
    ) -> list[JobEntry]:
        """Record a bulk answer at once.

        Returns:
            the jobs whose details are needed: they changed, ended, or are missing.
        """
        closer, by_lease = [], defaultdict(list)
        for entry in entries:
            observation, task = seen.get(entry.task.job_id), entry.task
            if observation:
                entry.gone_since = None
                self._schedule.note_look(entry, observation.observed_at, time.monotonic())
            if observation and (observation.status, observation.run) != (task.status, task.run):
                by_lease[task.lease].append(entry)
            elif observation is None or observation.status.is_terminal:
                self._schedule.postpone(entry, time.monotonic())
                closer.append(entry)
        for lease, changed in by_lease.items():
            with self._unless_lost(lease):
                kept = self._record_changes(lease, changed, seen)
                closer += [e for e in kept if e.task.state == TaskState.WATCHING]
        return closer

    def _record_changes(
        self, lease: Lease, changed: Sequence[JobEntry], seen: Mapping[JobId, Observation]
    ) -> Sequence[JobEntry]:
        """Record changes in one transaction, or each alone if one of them cannot be kept.

        Returns:
            the jobs whose changes are kept.
        """
        try:
            self._record_together(lease, changed, seen)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:
            if len(changed) == 1:
                self._note_broken(changed[0], error, is_kept=False)
                return ()
            alone = [self._record_changes(lease, [entry], seen) for entry in changed]
            return [entry for kept in alone for entry in kept]
        return changed

    def _record_together(
        self, lease: Lease, changed: Sequence[JobEntry], seen: Mapping[JobId, Observation]
    ) -> None:
        def record(connection: Connection) -> list[TrackTask]:
            jobsets.guard(connection, lease)
            recorded = (
                outcome.record_observation(
                    connection, entry.task, seen[entry.task.job_id], self._clock()
                )
                for entry in changed
            )
            return [track_tasks.note_failing(connection, task, None) for task in recorded]

        tasks = self._store.write(record)
        for entry, task in zip(changed, tasks, strict=True):  # the transaction is durable now
            entry.task = task
            self._leave_if_not_watched(entry)

    def _look_closer_at(
        self,
        access: ClusterAccess,
        entries: Sequence[JobEntry],
        record: outcome.Recorder = outcome.record_details,
    ) -> bool:
        """Ask for the details of some jobs, one by one; an error with one job stops no other.

        Args:
            record: records the details.

        Returns:
            False if the last request failed because Oozie does not answer.
        """
        in_a_row = 0
        for entry in entries:
            if not self._schedule.holds(entry.task.lease):
                continue  # the lease is lost, or this worker stops
            try:
                with self._unless_lost(entry.task.lease):
                    self._look_closer(access, entry, record)
                in_a_row = 0
            except (CredentialsRefused, StoreUnavailable):
                raise
            except GatewayError as error:
                log.warning("details_not_seen", job=entry.task.job_id, reason=str(error))
                self._schedule.back_off(entry, time.monotonic())
                self._go_on_without_details(entry)
                in_a_row += isinstance(error, GatewayUnavailable)
            except Exception as error:
                self._note_broken(entry, error, is_kept=True)
            if in_a_row == _TROUBLES_IN_A_ROW:
                break  # Oozie is down; the other jobs wait for the next bulk answer
        return in_a_row == 0

    def _look_closer(
        self, access: ClusterAccess, entry: JobEntry, record: outcome.Recorder
    ) -> None:
        """Ask for a job's details; if the job has ended, end its task or start to save its logs."""
        try:
            details = self._details(access, entry)
        except JobNotFound as error:
            self._note_missing(entry, str(error))
            return
        now = time.monotonic()
        entry.gone_since, entry.details_at = None, now
        self._schedule.note_look(entry, details.observation.observed_at, now)
        self._act_on(entry, details, record)
        entry.troubles = 0

    def _details(self, access: ClusterAccess, entry: JobEntry) -> JobDetails:
        """Ask for a job's details; of a coordinator or bundle, also track the children.

        Once the job has ended, all children are listed again, because some may have been run again.
        """
        task = entry.task
        if not has_children(task.job_id):
            self._slots.wait()
            return access.oozie.details(task.job_id)
        settled = 0 if task.status.is_terminal else entry.settled_pages
        followed = self._children.follow(access, task, settled)
        entry.settled_pages = followed.settled_pages
        return followed.details

    def _go_on_without_details(self, entry: JobEntry) -> None:
        """Complete an ended job without its details, once enough requests for them have failed."""
        in_vain = _CHILDREN_IN_VAIN if has_children(entry.task.job_id) else _IN_VAIN
        if entry.troubles < in_vain or not entry.task.status.is_terminal:
            return
        with self._unless_lost(entry.task.lease):
            entry.task = self._store.write(partial(self._next_step, task=entry.task))
            self._leave_if_not_watched(entry)

    def _next_step(self, connection: Connection, task: TrackTask) -> TrackTask:
        jobsets.guard(connection, task.lease)
        return outcome.next_step(connection, task, self._clock())

    def _note_broken(self, entry: JobEntry, error: Exception, *, is_kept: bool) -> None:
        """Look at a job again after a pause, and go on without what has broken for hours.

        Args:
            is_kept: the state of the job could be kept.
        """
        log.error("look_broke", job=entry.task.job_id, exc_info=error)
        self._schedule.back_off(entry, time.monotonic())
        is_hopeless = entry.task.status.is_terminal or not is_kept
        try:
            if is_hopeless and self._breaks_for_hours(entry):
                self._give_up(entry, error)
            elif is_kept:
                self._go_on_without_details(entry)
        except StoreUnavailable:
            raise
        except Exception:
            log.exception("look_broke", job=entry.task.job_id)

    def _breaks_for_hours(self, entry: JobEntry) -> bool:
        """Note that a job breaks each look; tell whether it has done so for hours.

        Workers before this one count. One failure after a long pause ends no task.
        """
        now = self._clock()

        def note(connection: Connection) -> TrackTask:
            jobsets.guard(connection, entry.task.lease)
            return track_tasks.note_failing(connection, entry.task, now)

        with self._unless_lost(entry.task.lease):
            entry.task = self._store.write(note)
        since = entry.task.failing_since or now
        is_old = entry.troubles > 1 and now - since > _BROKEN_FOR
        return is_old or entry.troubles >= _BROKEN_IN_VAIN

    def _give_up(self, entry: JobEntry, error: Exception) -> None:
        """End the task of a job of which nothing can be kept, and say why."""
        reason = Reason(TaskReason.INCOMPLETE, unexpected(error))
        with self._unless_lost(entry.task.lease):
            entry.task = self._store.write(partial(self._end, task=entry.task, reason=reason))
            self._leave_if_not_watched(entry)

    def _end(
        self, connection: Connection, task: TrackTask, reason: Reason[TaskReason]
    ) -> TrackTask:
        jobsets.guard(connection, task.lease)
        task = track_tasks.current(connection, task)
        if task.state != TaskState.WATCHING:
            return task
        return outcome.end_task(connection, task, self._clock(), reason)

    def _act_on(self, entry: JobEntry, details: JobDetails, record: outcome.Recorder) -> None:
        found = list(applications_of(entry.task.job_id, details.actions))

        def keep(connection: Connection) -> TrackTask:
            jobsets.guard(connection, entry.task.lease)
            now = self._clock()
            task = record(connection, entry.task, details, found, now)
            task = track_tasks.note_failing(connection, task, None)
            return outcome.next_step(connection, task, now)

        entry.task = self._store.write(keep)
        self._leave_if_not_watched(entry)

    def _note_missing(self, entry: JobEntry, reason: str) -> None:
        """Record that Oozie does not know a job; end its task only if that lasts."""
        now = time.monotonic()
        if entry.gone_since is None:
            entry.gone_since = now
        is_certain = now - entry.gone_since >= _GONE_FOR_S
        gone = Observation(
            id=entry.task.job_id,
            status=JobStatus.NOT_FOUND,
            run=entry.task.run,
            observed_at=self._clock(),
        )

        def note(connection: Connection) -> TrackTask:
            jobsets.guard(connection, entry.task.lease)
            task = outcome.record_observation(connection, entry.task, gone, gone.observed_at)
            return (
                outcome.end_missing(connection, task, reason, gone.observed_at)
                if is_certain
                else task
            )

        entry.task = self._store.write(note)
        self._schedule.back_off(entry, now)
        self._leave_if_not_watched(entry)

    def _leave_if_not_watched(self, entry: JobEntry) -> None:
        if entry.task.state != TaskState.WATCHING:
            self._schedule.end(entry)

    def _look_in_the_background(self, access: ClusterAccess, entries: Sequence[JobEntry]) -> None:
        """Ask for the details of a few running jobs, the job that has waited longest first.

        This finds the applications of actions that are retried later, and the children of running
        coordinators and bundles. If Oozie does not answer, the other jobs wait for the next poll.
        """
        running = [
            entry
            for entry in sorted(entries, key=lambda entry: entry.details_at)
            if entry.task.state == TaskState.WATCHING and not entry.task.status.is_terminal
        ]
        parents = [entry for entry in running if has_children(entry.task.job_id)]
        others = [entry for entry in running if not has_children(entry.task.job_id)]
        waiting = [entry for entry in parents if _wants_children(entry)][:_PARENTS_AT_ONCE]
        for entry in (*waiting, *others[: self._budget.spend(len(others))]):
            due, entry.details_at = entry.due, time.monotonic()  # also if the request fails
            is_there = self._look_closer_at(access, [entry], outcome.record_glance)
            entry.due = min(entry.due, due)  # does not delay the next poll of the job
            if not is_there:
                return

    @contextmanager
    def _unless_lost(self, lease: Lease) -> Iterator[None]:
        """Drop a jobset whose lease is lost: another worker has its tasks."""
        try:
            yield
        except LeaseLost as error:
            log.warning("lease_lost", jobset=lease.jobset_id, reason=str(error))
            self._schedule.lose(lease)


def _wants_children(entry: JobEntry) -> bool:
    """Tell whether it is time to ask for the children of a running coordinator or bundle."""
    return time.monotonic() - entry.details_at >= _CHILDREN_AFTER_S
