"""Take over at once from the worker that ran before on the same state directory and is dead."""

from __future__ import annotations

import socket
from pathlib import Path

import structlog

from tracker_service.errors import StoreUnavailable
from tracker_service.store import jobsets, workers
from tracker_service.store.database import Connection, Store

log = structlog.get_logger()


class Predecessor:
    """The workers before this one, whose ids are in a file of the state directory.

    Only the worker of `tracker run` may use it. One `tracker run` at a time has the state
    directory, and it starts a worker only when the one before has ended. So a worker in the file is
    dead, if it ran on this machine: a copy of the directory on another machine proves nothing.
    """

    def __init__(self, store: Store, file: Path) -> None:
        self._store, self._file = store, file

    def replace_with(self, worker: str) -> None:
        """Free what the workers before hold, and note the id of this worker.

        Whatever fails, the leases of a dead worker end by themselves.
        """
        before = [worker_id for worker_id in self._noted() if _is_of_this_machine(worker_id)]

        def free(connection: Connection) -> None:
            for worker_id in before:
                jobsets.release(connection, worker_id)
                workers.forget(connection, worker_id)

        try:
            self._store.write(free)
        except StoreUnavailable as error:  # the next worker frees them, too
            log.warning("jobsets_not_released", worker=worker, reason=str(error))
            self._note([*before, worker])
        else:
            log.info("took_over", worker=worker, before=before)
            self._note([worker])

    def _noted(self) -> list[str]:
        try:
            return self._file.read_text().split()
        except (OSError, ValueError):
            return []

    def _note(self, worker_ids: list[str]) -> None:
        try:
            self._file.write_text("\n".join(worker_ids) + "\n")
        except OSError as error:
            log.warning("worker_not_noted", file=str(self._file), reason=str(error))


def machine() -> str:
    """Return the name of this machine, as it begins the ids of its workers."""
    return socket.gethostname()[:32]


def _is_of_this_machine(worker_id: str) -> bool:
    return worker_id.rpartition("-")[0].rpartition("-")[0] == machine()
