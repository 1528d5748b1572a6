"""Remove saved logs from HDFS: what is ours, and never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import structlog

from tracker_service.archive.manifest import MANIFEST
from tracker_service.domain.applications import short
from tracker_service.domain.copies import Copy, CopyStatus, is_part, log_directory, run_directory
from tracker_service.errors import LogInUse, LogNotSaved, PathNotFound
from tracker_service.sources.webhdfs import FileStatus, WebHdfs
from tracker_service.store import copies, saved_logs, tasks
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()

_LONGEST_MANIFEST = 16 * 1024**2  #: in bytes


class Removal:
    """Removes the saved logs of a job for the user whom they were saved for."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock

    def remove(self, hdfs: WebHdfs, found: Sequence[Copy]) -> list[str]:
        """Remove the logs of a job, with the rights of their owner.

        1. Give up what waits to be copied.
        2. Remove the files: logs, what tries have left, our manifests; then empty directories.
        3. Note it. After a crash before that, the same call again finds less to remove, and
           notes it.

        Args:
            found: the owner's copies of one job, at least one.

        Returns:
            the paths that were there.

        Raises:
            LogInUse: a log is being copied now.
            LogNotSaved: there is nothing to remove.
            GatewayError: not all is removed; call again.
        """
        with self._store.begin() as connection:
            has_given_up = self._give_up_waiting(connection, found)
        removed = _remove_files(hdfs, found)
        saved = [copy for copy in found if copy.saved_at]
        with self._store.begin() as connection:
            saved_logs.forget_saved(connection, saved, saved_logs.REMOVED)
        log.info("logs_removed", job=found[0].job_id, user=found[0].owner, files=len(removed))
        if not (removed or saved or has_given_up):
            told = "; ".join(f"{short(copy.application)}: {copy.reason}" for copy in found)
            raise LogNotSaved(f"No log of {found[0].job_id} is saved: {told}")
        return removed

    def _give_up_waiting(self, connection: Connection, found: Sequence[Copy]) -> bool:
        """End what has not begun; no worker starts it, nor writes a manifest of what is removed."""
        now, task_ids = self._clock(), {copy.task_id for copy in found}
        before = _waiting(connection, task_ids)
        for task_id in task_ids:
            copies.give_up_waiting(connection, task_id, now, saved_logs.REMOVED)
            tasks.note_manifest(connection, task_id, now)
        there = copies.of_tasks(connection, task_ids)
        running = [c for each in there.values() for c in each if c.status == CopyStatus.RUNNING]
        if running:
            told = ", ".join(short(copy.application) for copy in running)
            raise LogInUse(
                f"Logs of {found[0].job_id} are being copied now ({told}): nothing is removed; "
                "repeat this when GET …/logs/status says `finished`."
            )
        return before


def _waiting(connection: Connection, task_ids: set[int]) -> bool:
    return any(copies.has_unfinished(connection, task_id) for task_id in task_ids)


def _remove_files(hdfs: WebHdfs, found: Sequence[Copy]) -> list[str]:
    """Remove all that is ours in the directory of a job and in those of its earlier runs."""
    first = found[0]
    directory, removed = log_directory(first.owner, first.job_id), list[str]()
    for run in sorted({copy.run for copy in found}):
        theirs = [copy for copy in found if copy.run == run]
        removed += _remove_in(hdfs, run_directory(first.owner, first.job_id, run), theirs)
    return removed + _remove_in(hdfs, directory, found)


def _remove_in(hdfs: WebHdfs, directory: str, found: Sequence[Copy]) -> list[str]:
    """Remove the files of some copies, and our manifest, in a directory; then it, if empty."""
    removed = []
    for file in listed(hdfs, directory):
        path = f"{directory}/{file.name}"
        if _is_ours(hdfs, directory, file, found) and hdfs.delete(path):
            removed.append(path)
    hdfs.delete_if_empty(directory)
    return removed


def _is_ours(hdfs: WebHdfs, directory: str, file: FileStatus, found: Sequence[Copy]) -> bool:
    if file.is_directory:
        return False
    if file.name == MANIFEST:
        return own_manifest(hdfs, directory, found[0]) is not None
    if file.name == f".{MANIFEST}.part":
        return True
    return any(file.name == copy.file_name or is_part(file.name, copy) for copy in found)


def listed(hdfs: WebHdfs, directory: str) -> list[FileStatus]:
    """Return what is in a directory; nothing where there is none."""
    try:
        return hdfs.list(directory)
    except PathNotFound:
        return []


def own_manifest(hdfs: WebHdfs, directory: str, copy: Copy) -> Mapping[str, Any] | None:
    """Return the manifest in a directory if it is one of ours, of the job and user of a copy."""
    try:
        file = hdfs.read(f"{directory}/{MANIFEST}")
    except PathNotFound:
        return None
    with closing(file.pieces):
        if file.length > _LONGEST_MANIFEST:
            return None
        content = b"".join(file.pieces)
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(told, dict) and (told.get("job"), told.get("saved-for")) == (
        copy.job_id,
        copy.owner,
    )
    return told if is_ours else None
