"""Move the logs of earlier runs of a job aside, so that its newest run has the plain names."""

from __future__ import annotations

from dataclasses import replace

from tracker_service.archive.manifest import MANIFEST
from tracker_service.archive.place import LogPlace
from tracker_service.domain.copies import Copy
from tracker_service.domain.leases import Lease
from tracker_service.engine.keyed_locks import KeyedLocks
from tracker_service.errors import PathNotFound
from tracker_service.sources.webhdfs import WebHdfs
from tracker_service.store import jobsets, saved_logs
from tracker_service.store.database import Connection, Store


class EarlierRuns:
    """The saved logs of the runs before the newest."""

    def __init__(self, store: Store, place: LogPlace) -> None:
        self._store, self._place = store, place
        self._locks = KeyedLocks()  # several threads of one worker copy the logs of one job

    def path_for(self, hdfs: WebHdfs, copy: Copy) -> str:
        """Return the path of a copy's log: in `run-<n>/` once a later run has saved logs.

        Raises:
            GatewayError: HDFS does not tell the home of the owner.
        """
        placed = replace(copy, path=self._place.path_for(hdfs, copy))
        with self._store.read() as connection:
            is_late = saved_logs.has_later_run(connection, copy)
        return f"{placed.run_directory}/{copy.file_name}" if is_late else placed.path

    def move_aside(self, hdfs: WebHdfs, copy: Copy, lease: Lease) -> None:
        """Move the logs of the runs before a copy's run to `run-<n>/`, with their manifest.

        Each move is one step of the NameNode, and is noted after it. If a crash comes in between,
        the next call finds the file moved and notes it. No log of the copy's run gets its name
        before all earlier logs are moved.

        Raises:
            LeaseLost, GatewayError: not all is moved; call again.
        """
        if not copy.run:
            return
        with self._locks.held((copy.owner, copy.job_id)):
            with self._store.read() as connection:
                earlier = saved_logs.of_earlier_runs(connection, copy)
            directory = copy.job_directory
            in_the_way = [old for old in earlier if old.directory == directory]
            if in_the_way:
                _move(hdfs, directory, in_the_way[0].run_directory, MANIFEST)
            for old in in_the_way:
                target = old.run_directory
                _move(hdfs, directory, target, old.file_name)
                self._note_moved(lease, old, f"{target}/{old.file_name}")

    def _note_moved(self, lease: Lease, moved: Copy, path: str) -> None:
        def note(connection: Connection) -> None:
            jobsets.guard(connection, lease)
            saved_logs.note_moved(connection, moved, path)

        self._store.write(note)


def _move(hdfs: WebHdfs, source: str, target: str, name: str) -> None:
    hdfs.make_directory(target)
    try:
        hdfs.status(f"{source}/{name}")
    except PathNotFound:
        return  # moved before a crash, or removed by its owner
    hdfs.rename(f"{source}/{name}", f"{target}/{name}")
