"""The databases that the service can keep its work in while its processes are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Database(Protocol):
    """A database that only the run uses."""

    url: str

    def crash(self) -> bool:
        """End the server without warning and start it again; False if there is no server."""


class SqliteFile:
    """A file: it crashes with the processes that write it."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"

    def crash(self) -> bool:
        return False


@contextmanager
def database(name: str, home: Path) -> Iterator[Database]:
    """Start a database for the length of the block."""
    if name != "sqlite":
        raise ValueError(name)
    yield SqliteFile(home / "tracker.db")
