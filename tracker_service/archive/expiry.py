"""Remove saved logs that are older than the operator wants them to be kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

import structlog

from tracker_service.archive.manifest import MANIFEST
from tracker_service.archive.removal import listed, own_manifest
from tracker_service.domain.copies import Copy, log_directory
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.errors import AccessDenied, GatewayError, RequestRefused
from tracker_service.identities import Identities
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import copies, saved_logs, tasks
from tracker_service.store.database import Store

log = structlog.get_logger()

_AT_ONCE = 100  #: copies of a user in one look; the next look goes on behind them
_USERS_AT_ONCE = 10


class Expiry:
    """The end of copies, for users who have something tracked: only they have left a credential.

    A log is removed only where our manifest lies beside it and lists it with the checksum that we
    know; what cannot be removed now is looked at again in a later round.
    """

    def __init__(
        self,
        store: Store,
        identities: Identities,
        kept_for: timedelta | None,
        clock: Callable[[], datetime],
        timing: Timing = OPERATION,
    ) -> None:
        """Prepare to remove copies.

        Args:
            kept_for: since a log was saved; None: for ever.
        """
        self._store, self._identities = store, identities
        self._kept_for, self._clock = kept_for, clock
        self._looked: dict[str, datetime] = {}
        self._last: dict[str, str] = {}  # the copy up to which a user's were looked at
        self._is_stopping = False
        self._of_user_every = timing.expiry_of_user
        self.every_s = timing.expiry.total_seconds()

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping = True

    def advance(self, jobset_ids: Collection[int]) -> None:
        """Look at the copies of users with live tasks in these jobsets, hourly at most."""
        if self._kept_for is None:
            return
        now = self._clock()
        with self._store.read() as connection:
            owners = tasks.live_owners(connection, jobset_ids)
        self._looked = {o: at for o, at in self._looked.items() if now - at < self._of_user_every}
        for owner in sorted(owners - self._looked.keys())[:_USERS_AT_ONCE]:
            self._looked[owner] = now
            self._look(owner, now - self._kept_for)

    def _look(self, owner: str, before: datetime) -> None:
        with self._store.read() as connection:
            old = saved_logs.saved_before(
                connection, owner, before, after=self._last.pop(owner, ""), limit=_AT_ONCE
            )
        if not old:
            return
        if len(old) == _AT_ONCE:
            self._last[owner] = old[-1].id
        try:
            with self._identities.acting_for(owner) as access:
                in_order = attrgetter("directory")
                for directory, theirs in groupby(sorted(old, key=in_order), in_order):
                    if self._is_stopping:
                        return
                    self._remove_safely(access.hdfs, directory, list(theirs))
        except GatewayError as error:
            log.info("copies_not_expired", user=owner, reason=str(error))

    def _remove_safely(self, hdfs: WebHdfs, directory: str, old: Sequence[Copy]) -> None:
        """Remove the old logs in one directory; one that refuses does not stop the others."""
        try:
            self._remove(hdfs, directory, old)
        except (AccessDenied, RequestRefused) as error:
            log.info("copies_not_expired", user=old[0].owner, job=old[0].job_id, reason=str(error))

    def _remove(self, hdfs: WebHdfs, directory: str, old: Sequence[Copy]) -> None:
        """Remove the old logs in one directory; the files first, so that it can be repeated."""
        known = _in_manifest(hdfs, directory, old[0])
        ours = self._unchanged([copy for copy in old if (copy.file_name, copy.sha256) in known])
        if not ours:
            return
        there = {file.name for file in listed(hdfs, directory) if not file.is_directory}
        for copy in ours:
            if copy.file_name in there:
                hdfs.delete(copy.path)
        with self._store.begin() as connection:
            saved_logs.forget_saved(connection, ours, saved_logs.EXPIRED)
        log.info("copies_expired", job=old[0].job_id, user=old[0].owner, copies=len(ours))
        _tidy(hdfs, directory, old[0])

    def _unchanged(self, seen: Sequence[Copy]) -> list[Copy]:
        """Return those that are still as they were seen: nobody has them copied again."""
        with self._store.read() as connection:
            now = copies.of_tasks(connection, {copy.task_id for copy in seen})
        there = [copy for each in now.values() for copy in each]
        return [copy for copy in seen if copy in there]


def _in_manifest(hdfs: WebHdfs, directory: str, copy: Copy) -> set[tuple[str, str]]:
    """Return the files that our manifest in a directory lists, with their checksums."""
    manifest = own_manifest(hdfs, directory, copy) or {}
    told = manifest.get("applications")
    entries = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return {(str(each.get("file")), str(each.get("sha256"))) for each in entries}


def _tidy(hdfs: WebHdfs, directory: str, copy: Copy) -> None:
    """Remove a directory in which only our manifest is left."""
    if [file.name for file in listed(hdfs, directory)] == [MANIFEST]:
        hdfs.delete(f"{directory}/{MANIFEST}")
        hdfs.delete_if_empty(directory)
        hdfs.delete_if_empty(log_directory(copy.owner, copy.job_id))
