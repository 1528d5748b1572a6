"""The databases in which the service can keep its work while its processes are killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Lock
from typing import Protocol

from tests.databases import SERVERS, Server


class Database(Protocol):
    """A database of this run alone."""

    url: str

    def crash(self) -> bool:
        """Restart the server; return False if the database has none."""


class SqliteFile:
    """A file: it crashes with the processes that write it."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"

    def crash(self) -> bool:
        return False


class OfServer:
    """A database of a server, which is killed or told to stop, under all its clients."""

    def __init__(self, server: Server, rng: Random) -> None:
        self._server, self._rng, self._lock = server, rng, Lock()
        self.url = server.url("crashes")

    def crash(self) -> bool:
        with self._lock:
            if self._rng.random() < 0.5:
                self._server.kill()
            else:
                self._server.stop()
            self._server.start()
        return True


NAMES = ("sqlite", *SERVERS)


@contextmanager
def database(name: str, home: Path, seed: int) -> Iterator[Database]:
    """Start a database for the length of the block.

    Raises:
        NoDatabase: its server cannot be started here.
    """
    if name == "sqlite":
        yield SqliteFile(home / "tracker.db")
        return
    with SERVERS[name](home) as server:
        yield OfServer(server, Random(seed))
