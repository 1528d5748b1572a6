"""Give a complete part the name of the log, so that a log is never half visible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tracker_service.archive.copying import target
from tracker_service.archive.copying.earlier_runs import EarlierRuns
from tracker_service.archive.copying.progress import Progress
from tracker_service.domain.copies import (
    Copy,
    Strategy,
    WrittenLog,
    is_part,
    part_path,
)
from tracker_service.domain.leases import Lease
from tracker_service.errors import CredentialsRefused, GatewayError, PathNotFound, RequestRefused
from tracker_service.sources.webhdfs import WebHdfs

log = structlog.get_logger()


class Publisher:
    """Makes logs visible, and notes that their copies have succeeded."""

    def __init__(self, earlier_runs: EarlierRuns, progress: Progress) -> None:
        self._earlier_runs, self._progress = earlier_runs, progress

    def publish(self, hdfs: WebHdfs, copy: Copy, lease: Lease, written: WrittenLog) -> None:
        """Make the log that a try has written the saved log of its application.

        The logs of earlier runs are moved aside first. After a crash, call it again: `written` is
        then what was noted of the part, if anything was.

        Raises:
            TargetRefused: HDFS does not let the log have its name.
            RequestRefused: the part or the log has another length than was written.
            PathNotFound: there is neither a part nor a log.
            LeaseLost, CopyChanged: the copy is somebody else's work.
        """
        with target.writing():
            self._earlier_runs.move_aside(hdfs, copy, lease)
        self._rename(hdfs, copy, lease, written)
        if copy.strategy == Strategy.WORKFLOW or copy.attempt > 1:
            remove_leftovers(hdfs, copy)
        self._progress.succeeded(copy, lease, written)

    def _rename(self, hdfs: WebHdfs, copy: Copy, lease: Lease, written: WrittenLog) -> None:
        """Give a complete part the name of the log.

        1. Compare the length of the part with what was written, and note what the part is. The
           same transaction checks the lease.
        2. Rename the part, which replaces an older log in one step.
        3. Compare the length of the log: the answer to a rename is an empty 200, done or not.
        After a crash between 2 and 3 the part is gone, and the log has the length that step 1
        noted.
        """
        part = part_path(copy)
        try:
            length = hdfs.status(part).length
        except PathNotFound:
            if copy.part is None:
                raise
        else:
            _compare(part, length, written)
            self._progress.measured(copy, lease, written)
            with target.writing():
                hdfs.rename(part, copy.path)
        _compare(copy.path, hdfs.status(copy.path).length, written)


def _compare(path: str, length: int, written: WrittenLog) -> None:
    if length != written.length:
        raise RequestRefused(f"{path} has {length} bytes, not {written.length}")


def remove_leftovers(hdfs: WebHdfs, copy: Copy) -> None:
    """Remove the files that the tries of a copy have left.

    Where the cluster refuses that, the copy stands all the same. What a crash leaves of a failed
    try is removed at the end of the last try.
    """
    with _tidying(copy):
        if copy.strategy == Strategy.WORKFLOW:
            hdfs.delete(copy.working_directory)
        _remove_parts(hdfs, copy)


def remove_part(hdfs: WebHdfs, copy: Copy) -> None:
    """Remove the part of this try of a copy, which nobody will publish."""
    with _tidying(copy):
        hdfs.delete(part_path(copy))


@contextmanager
def _tidying(copy: Copy) -> Iterator[None]:
    try:
        yield
    except CredentialsRefused:
        raise
    except GatewayError as error:
        log.info("copy_not_tidied", job=copy.job_id, copy=copy.id, reason=str(error))


def _remove_parts(hdfs: WebHdfs, copy: Copy) -> None:
    try:
        entries = hdfs.list(copy.directory)
    except PathNotFound:
        return
    for entry in entries:
        if is_part(entry.name, copy):
            hdfs.delete(f"{copy.directory}/{entry.name}")
