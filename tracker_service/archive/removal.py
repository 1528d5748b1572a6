"""Remove saved logs from HDFS, and no other files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from typing import Any

import structlog

from tracker_service.archive.manifest import MANIFEST
from tracker_service.domain.applications import short
from tracker_service.domain.copies import Copy, CopyStatus, aside_path, is_part
from tracker_service.errors import LogInUse, LogNotSaved, PathNotFound
from tracker_service.sources.webhdfs import FileStatus, WebHdfs
from tracker_service.store import copies, saved_logs, track_tasks
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_LONGEST_MANIFEST = 16 * 1024**2  #: in bytes


class Removal:
    """Removes the saved logs of a job for the user whom they were saved for."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock

    def remove(self, hdfs: WebHdfs, found: Sequence[Copy]) -> list[str]:
        """Remove the logs of a job, with the rights of their owner.

        1. Give up the copies that wait.
        2. Remove the files (logs, leftovers of tries, our manifests), then empty directories.
        3. Note that they are removed. After a crash before this step, call it again: it finds
           less to remove, and notes the same.

        Args:
            found: the owner's copies of one job, at least one.

        Returns:
            the paths of the removed files.

        Raises:
            LogInUse: a log is being copied now; nothing is removed.
            LogNotSaved: there is nothing to remove.
            GatewayError: not all files are removed; call again.
        """
        has_given_up = self._store.write(lambda c: self._give_up_waiting(c, found))
        removed = _remove_files(hdfs, found)
        saved = [copy for copy in found if copy.saved_at]
        self._store.write(lambda c: saved_logs.forget_saved(c, saved, saved_logs.REMOVED))
        log.info("logs_removed", job=found[0].job_id, user=found[0].owner, files=len(removed))
        if not (removed or saved or has_given_up):
            reasons = "; ".join(f"{short(copy.application)}: {copy.reason}" for copy in found)
            raise LogNotSaved(f"No log of {found[0].job_id} is saved: {reasons}")
        return removed

    def _give_up_waiting(self, connection: Connection, found: Sequence[Copy]) -> bool:
        """End the copies that wait, so that no worker starts them or writes their manifest.

        Returns:
            whether any copy had not ended.
        """
        now, task_ids = self._clock(), {copy.task_id for copy in found}
        had_unfinished = any(copies.has_unfinished(connection, task_id) for task_id in task_ids)
        for task_id in task_ids:
            copies.give_up_waiting(connection, task_id, now, saved_logs.REMOVED)
            track_tasks.note_manifest(connection, task_id, now)
        all_copies = chain.from_iterable(copies.of_tasks(connection, task_ids).values())
        running = [copy for copy in all_copies if copy.status == CopyStatus.RUNNING]
        if running:
            applications = ", ".join(short(copy.application) for copy in running)
            raise LogInUse(
                f"Logs of {found[0].job_id} are being copied now ({applications}): nothing is "
                "removed; repeat this when GET …/logs/status says `finished`."
            )
        return had_unfinished


def _remove_files(hdfs: WebHdfs, found: Sequence[Copy]) -> list[str]:
    """Remove our files in the directory of a job and in the directories of its earlier runs.

    A job has more than one directory if the home of its user, or the setting, has changed.
    """
    removed = list[str]()
    for directory in _directories(found):
        for run in sorted({copy.run for copy in found}):
            of_run = [copy for copy in found if copy.run == run]
            removed += _remove_in(hdfs, f"{directory}/run-{run}", of_run)
        removed += _remove_in(hdfs, directory, found)
    return removed


def _directories(found: Sequence[Copy]) -> list[str]:
    """Return the directories of a job's logs; the path of a copy without a try may be a guess."""
    certain = [copy for copy in found if copy.attempt or copy.saved_at]
    return sorted({copy.job_directory for copy in certain or found})


def _remove_in(hdfs: WebHdfs, directory: str, found: Sequence[Copy]) -> list[str]:
    """Remove the files of copies and our manifest in a directory, then the directory if empty."""
    removed = []
    for entry in entries(hdfs, directory):
        path = f"{directory}/{entry.name}"
        if _is_ours(hdfs, directory, entry, found) and hdfs.delete(path):
            removed.append(path)
    hdfs.delete_if_empty(directory)
    return removed


def _is_ours(hdfs: WebHdfs, directory: str, entry: FileStatus, found: Sequence[Copy]) -> bool:
    if entry.is_directory:
        return False
    if entry.name in (MANIFEST, aside_path(MANIFEST)):
        return own_manifest(hdfs, directory, found[0]) is not None
    if entry.name == f".{MANIFEST}.part":
        return True
    return any(_belongs_to(entry.name, copy) for copy in found)


def _belongs_to(name: str, copy: Copy) -> bool:
    return name in (copy.file_name, aside_path(copy.file_name)) or is_part(name, copy)


def entries(hdfs: WebHdfs, directory: str) -> list[FileStatus]:
    """Return the entries of a directory; none if there is no such directory."""
    try:
        return hdfs.list(directory)
    except PathNotFound:
        return []


def own_manifest(hdfs: WebHdfs, directory: str, copy: Copy) -> Mapping[str, Any] | None:
    """Return the manifest in a directory if it is ours: for the job and the user of a copy."""
    try:
        file = hdfs.read(f"{directory}/{MANIFEST}")
    except PathNotFound:
        return None
    with closing(file.pieces):
        if file.length > _LONGEST_MANIFEST:
            return None
        content = b"".join(file.pieces)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict):
        return None
    is_ours = (manifest.get("job"), manifest.get("saved-for")) == (copy.job_id, copy.owner)
    return manifest if is_ours else None
