"""The contract between the engine and a room: duties, and kinds of tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tracker_service.domain.leases import Lease
from tracker_service.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The jobsets that a worker holds now."""

    worker: str  #: its id
    leases: Mapping[str, Mapping[int, Lease]]  #: by kind, then by the id of the jobset

    def of(self, kind: str) -> Mapping[int, Lease]:
        """Return the leases on the jobsets of one kind, by the id of the jobset."""
        return self.leases.get(kind, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Work that every worker does again and again.

    No worker leads. Before a worker does what only one may do at a time, it claims it in the
    database.
    """

    name: str  #: for the log
    every_s: float
    run: Callable[[Held], object]
    stop: Callable[[], object] | None = None  #: ends for good whatever `run` has begun


class TaskKind(Protocol):
    """How a room handles the jobsets of one kind of tasks that this worker holds."""

    @property
    def name(self) -> str:
        """Return the name of the kind, as in the column `kind` of jobsets and tasks."""

    def load(self, connection: Connection, lease: Lease) -> None:
        """Read a jobset from the store: this worker has just claimed it, or it has changed."""

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""

    def late(self) -> Mapping[int, int]:
        """Return for each jobset that is behind how many of its tasks this worker runs too late."""

    def pinned(self, connection: Connection) -> Collection[int]:
        """Return the ids of the jobsets that must stay with their workers now."""

    def clock_was_set(self) -> None:
        """Make due at once whatever waits for an instant of the machine's clock."""
