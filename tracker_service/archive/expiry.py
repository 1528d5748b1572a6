"""Remove saved logs that are older than the operator wants to keep them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter

import structlog

from tracker_service.archive.manifest import MANIFEST
from tracker_service.archive.removal import entries, own_manifest
from tracker_service.domain.copies import Copy, aside_path
from tracker_service.domain.timing import OPERATION, Timing
from tracker_service.errors import AccessDenied, GatewayError, RequestRefused, StoreUnavailable
from tracker_service.identities import Identities
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import copies, saved_logs, tasks
from tracker_service.store.database import Store

log = structlog.get_logger()

_AT_ONCE = 100  #: logs of a user in one look; then the other users have their turn


class Expiry:
    """Removes expired logs of users who track something: only these have left a credential.

    Users have their turns, 100 logs each, until no log of them is too old.

    A log is removed only if the manifest beside it is ours and lists the log with the checksum in
    the store. A log that cannot be removed now is tried again in a later round.
    """

    def __init__(
        self,
        store: Store,
        identities: Identities,
        kept_for: timedelta | None,
        clock: Callable[[], datetime],
        timing: Timing = OPERATION,
    ) -> None:
        """Prepare to remove logs.

        Args:
            kept_for: how long a saved log is kept; None: for ever.
        """
        self._store, self._identities = store, identities
        self._kept_for, self._clock = kept_for, clock
        self._looked: dict[str, datetime] = {}
        self._is_stopping = False
        self._of_user_every = timing.expiry_of_user
        self.every_s = timing.expiry.total_seconds()

    def stop(self) -> None:
        """Stop before the next directory."""
        self._is_stopping = True

    def advance(self, jobset_ids: Collection[int]) -> None:
        """Remove expired logs of users with live tasks in these jobsets, at most once an hour."""
        if self._kept_for is None:
            return
        now = self._clock()
        with self._store.read() as connection:
            owners = tasks.live_owners(connection, jobset_ids)
        self._looked = {o: at for o, at in self._looked.items() if now - at < self._of_user_every}
        places = dict.fromkeys(sorted(owners - self._looked.keys()), "")
        self._looked |= dict.fromkeys(places, now)
        before = now - self._kept_for
        while places:
            looked = {owner: self._look(owner, before, place) for owner, place in places.items()}
            places = {owner: place for owner, place in looked.items() if place}

    def _look(self, owner: str, before: datetime, after: str) -> str | None:
        """Remove some expired logs of a user.

        Args:
            after: the id of the last copy that was looked at; "" for none.

        Returns:
            the same for the next look; None if there is nothing more to do now.
        """
        with self._store.read() as connection:
            old = saved_logs.saved_before(connection, owner, before, after=after, limit=_AT_ONCE)
        if not old:
            return None
        try:
            with self._identities.acting_for(owner) as access:
                by_directory = attrgetter("directory")
                for directory, group in groupby(sorted(old, key=by_directory), by_directory):
                    if self._is_stopping:
                        return None
                    self._remove_safely(access.hdfs, directory, list(group))
        except GatewayError as error:
            log.info("copies_not_expired", user=owner, reason=str(error))
            return None
        return old[-1].id if len(old) == _AT_ONCE else None

    def _remove_safely(self, hdfs: WebHdfs, directory: str, old: Sequence[Copy]) -> None:
        """Remove the old logs in one directory; if the cluster refuses, go on with the next one."""
        try:
            self._remove(hdfs, directory, old)
        except (AccessDenied, RequestRefused) as error:
            log.info("copies_not_expired", user=old[0].owner, job=old[0].job_id, reason=str(error))
        except (GatewayError, StoreUnavailable):
            raise
        except Exception:
            log.exception("expiry_broke", user=old[0].owner, job=old[0].job_id)

    def _remove(self, hdfs: WebHdfs, directory: str, old: Sequence[Copy]) -> None:
        """Remove the old logs in one directory.

        The files are removed before the store forgets them: after a crash it can be repeated.
        """
        known = _in_manifest(hdfs, directory, old[0])
        ours = self._unchanged([copy for copy in old if (copy.file_name, copy.sha256) in known])
        if not ours:
            return
        names = {entry.name for entry in entries(hdfs, directory) if not entry.is_directory}
        for copy in ours:
            for path in (copy.path, aside_path(copy.path)):
                if path.rpartition("/")[2] in names:
                    hdfs.delete(path)
        self._store.write(lambda c: saved_logs.forget_saved(c, ours, saved_logs.EXPIRED))
        log.info("copies_expired", job=old[0].job_id, user=old[0].owner, copies=len(ours))
        _tidy(hdfs, directory, old[0])

    def _unchanged(self, seen: Sequence[Copy]) -> list[Copy]:
        """Leave out copies that have changed since they were read: they are being copied again."""
        with self._store.read() as connection:
            by_task = copies.of_tasks(connection, {copy.task_id for copy in seen})
        current = list(chain.from_iterable(by_task.values()))
        return [copy for copy in seen if copy in current]


def _in_manifest(hdfs: WebHdfs, directory: str, copy: Copy) -> set[tuple[str, str]]:
    """Return the names and checksums of the files that our manifest in a directory lists."""
    manifest = own_manifest(hdfs, directory, copy) or {}
    applications = manifest.get("applications")
    if not isinstance(applications, list):
        return set()
    listed = [entry for entry in applications if isinstance(entry, dict)]
    return {(str(entry.get("file")), str(entry.get("sha256"))) for entry in listed}


def _tidy(hdfs: WebHdfs, directory: str, copy: Copy) -> None:
    """Remove a directory if only our manifest is left in it."""
    if [entry.name for entry in entries(hdfs, directory)] == [MANIFEST]:
        hdfs.delete(f"{directory}/{MANIFEST}")
        hdfs.delete_if_empty(directory)
        hdfs.delete_if_empty(copy.job_directory)
