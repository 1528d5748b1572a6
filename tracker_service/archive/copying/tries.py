"""Run a try of a copy; if it fails, record why and decide what happens to the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from tracker_service.archive.copying.progress import LimitReached, Progress
from tracker_service.archive.copying.publishing import remove_leftovers, remove_part
from tracker_service.domain.copies import Copy, CopyStatus, Strategy
from tracker_service.domain.leases import Lease
from tracker_service.errors import (
    CopyChanged,
    CredentialsRefused,
    GatewayUnavailable,
    LeaseLost,
    LogFileBroken,
    StoreUnavailable,
    TargetRefused,
    TrackerError,
    WorkerStops,
    unexpected,
)
from tracker_service.sources.access import ClusterAccess

log = structlog.get_logger()

Work = Callable[[ClusterAccess, Copy, Lease], None]


class Tries:
    """Runs the work of tries; the trouble of one copy never stops another.

    Args:
        may_use_workflow: a workflow may copy what cannot be copied directly.
    """

    def __init__(self, progress: Progress, *, may_use_workflow: bool) -> None:
        self._progress, self._may_use_workflow = progress, may_use_workflow

    def run(self, access: ClusterAccess, copy: Copy, lease: Lease, work: Work) -> bool:
        """Do some work for a copy; postpone the copy if the cluster does not answer.

        Returns:
            False if the cluster did not answer.

        Raises:
            CredentialsRefused, LimitReached, StoreUnavailable: the next copy would meet them too.
        """
        try:
            with self.noting_failure(access, copy, lease):
                work(access, copy, lease)
        except GatewayUnavailable as error:
            self._progress.await_cluster([(copy, lease)], str(error))
            return False
        return True

    @contextmanager
    def noting_failure(self, access: ClusterAccess, copy: Copy, lease: Lease) -> Iterator[None]:
        """Note an error in the block as a failed try; drop work that is not ours any more.

        Raises:
            CredentialsRefused, GatewayUnavailable, LimitReached, StoreUnavailable: these are no
                failures of the try, and the next copy would meet them too.
        """
        with _dropping_work_of_others(copy, access):
            try:
                yield
            except (CredentialsRefused, GatewayUnavailable, LimitReached, StoreUnavailable):
                raise
            except (LeaseLost, CopyChanged, WorkerStops):
                raise
            except Exception as error:
                self._note_failure(access, copy, lease, error)

    def give_up(
        self,
        access: ClusterAccess,
        copy: Copy,
        lease: Lease,
        reason: str,
        status: CopyStatus = CopyStatus.FAILED,
    ) -> None:
        """End a copy without a log, and remove what its tries have left."""
        self._progress.gave_up(copy, lease, reason, status)
        if copy.attempt:
            remove_leftovers(access.hdfs, copy)

    def broke(self, due: Sequence[tuple[Copy, Lease]], error: Exception) -> None:
        """Note a failed try of copies for an error outside their own work that nobody foresaw.

        So no copy meets the same error for ever.
        """
        for copy, lease in due:
            log.error("copy_broke", job=copy.job_id, copy=copy.id, exc_info=error)
            with _dropping_work_of_others(copy):
                self._progress.failed(copy, lease, unexpected(error))

    def _note_failure(
        self, access: ClusterAccess, copy: Copy, lease: Lease, error: Exception
    ) -> None:
        """Note a failed try; a log that cannot be copied directly is left to a workflow."""
        reason = str(error)
        if not isinstance(error, TrackerError):
            log.error("copy_step_broke", job=copy.job_id, copy=copy.id, exc_info=error)
            reason = unexpected(error)
        if isinstance(error, TargetRefused):
            self._progress.refused(copy, lease, reason)
        elif self._is_left_to_workflow(copy, error):
            self._progress.leave_to_workflow(copy, lease, reason)
        elif self._is_left_to_last_try(copy):
            self._progress.leave_to_last_try(copy, lease, _with_owner_hint(copy, reason))
        else:
            self._progress.failed(copy, lease, _with_owner_hint(copy, reason))
        remove_leftovers(access.hdfs, copy)

    def _is_left_to_workflow(self, copy: Copy, error: Exception) -> bool:
        if copy.strategy != Strategy.DIRECT or not self._may_use_workflow:
            return False
        if self._progress.is_after_workflow(copy):
            return False
        return isinstance(error, LogFileBroken) or self._progress.is_last_try(copy)

    def _is_left_to_last_try(self, copy: Copy) -> bool:
        """Tell whether no workflow can copy a log, of which parts may be readable all the same."""
        is_by_workflow = copy.strategy == Strategy.WORKFLOW and self._may_use_workflow
        return is_by_workflow and self._progress.is_last_try(copy)


@contextmanager
def _dropping_work_of_others(copy: Copy, access: ClusterAccess | None = None) -> Iterator[None]:
    """Stop work on a copy that another worker will do, or has done; the log says why.

    The other worker may have tidied up before the part of this try was there.
    """
    try:
        yield
    except (LeaseLost, CopyChanged) as error:
        event = "lease_lost" if isinstance(error, LeaseLost) else "copy_changed"
        log.warning(event, job=copy.job_id, copy=copy.id, reason=str(error))
        if access and copy.strategy == Strategy.DIRECT and copy.part is None:
            remove_part(access.hdfs, copy)
    except WorkerStops as error:
        log.info("copy_broken_off", job=copy.job_id, copy=copy.id, reason=str(error))


def _with_owner_hint(copy: Copy, reason: str) -> str:
    """Say whose job it was: `yarn logs` says "not found" also of logs that a user may not read."""
    if copy.job_user and copy.job_user != copy.owner:
        return (
            f"{reason} (the job belongs to {copy.job_user}: {copy.owner} needs the right to read "
            f"its logs in HDFS, or {copy.job_user} tracks it)"
        )
    return reason
