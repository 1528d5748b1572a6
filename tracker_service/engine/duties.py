"""What a room gives the engine: duties, and kinds of tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tracker_service.domain.leases import Lease
from tracker_service.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The jobsets that a worker holds at this moment."""

    worker: str  #: its id
    leases: Mapping[str, Mapping[int, Lease]]  #: by kind, and by jobset

    def of(self, kind: str) -> Mapping[int, Lease]:
        """Return the leases of the jobsets of one kind, by jobset."""
        return self.leases.get(kind, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Work that every worker does again and again.

    No worker leads: what only one may do at a time is claimed in the database first.
    """

    name: str  #: for the log
    every_s: float
    run: Callable[[Held], object]
    stop: Callable[[], object] | None = None  #: breaks off what `run` has begun, for good


class TaskKind(Protocol):
    """What a room does with the jobsets of one kind of tasks that this worker holds."""

    @property
    def name(self) -> str:
        """Return the kind, as the store has it."""

    def load(self, connection: Connection, lease: Lease) -> None:
        """Take a jobset in as the store has it: it is new here, or has changed."""

    def drop(self, jobset_id: int) -> None:
        """Forget a jobset that this worker no longer holds."""

    def late(self) -> Mapping[int, int]:
        """Return how many tasks of each jobset this worker does not get to in time."""

    def pinned(self, connection: Connection) -> Collection[int]:
        """Return the jobsets that must not change hands now."""

    def clock_was_set(self) -> None:
        """Make everything due that is due by the machine's clock."""
