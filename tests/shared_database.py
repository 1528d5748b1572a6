"""Share one database server of a kind between all processes of a test run.

The first process that needs the server starts a keeper. This is a process that runs the server as
long as any other process holds a lock on a file; the kernel frees the lock of a process that ends.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases import SERVERS, Databases, NoDatabase
from tests.waiting import until


@contextmanager
def shared(kind: str, home: Path) -> Iterator[Databases]:
    """Use the server that all processes with the same directory share.

    Args:
        kind: a key of `SERVERS`.

    Raises:
        NoDatabase: the server cannot be started here.
    """
    with (home / f"{kind}.users").open("a") as users:
        with (home / f"{kind}.starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that is about to stop
            told = _told(kind, home) or _start_keeper(kind, home)
        if "missing" in told:
            raise NoDatabase(told["missing"])
        databases = Databases(told["template"])
        yield databases
        databases.close()


def _told(kind: str, home: Path) -> dict[str, str]:
    file = home / f"{kind}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _start_keeper(kind: str, home: Path) -> dict[str, str]:
    with (home / f"{kind}.keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, kind, home],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _told(kind, home) or keeper.poll() is not None)
    except BaseException:
        keeper.kill()
        keeper.wait()
        raise
    keeper.returncode = 0  # nobody waits for it: it ends after us
    return _told(kind, home) or {"missing": f"see {log.name}"}


def _keep(kind: str, home: Path) -> None:
    with (home / f"{kind}.users").open("a") as users:
        try:
            with SERVERS[kind](home, durable=False) as server:
                _tell(kind, home, {"template": server.template})
                fcntl.flock(users, fcntl.LOCK_EX)
                (home / f"{kind}.json").unlink()
        except NoDatabase as error:
            _tell(kind, home, {"missing": str(error)})


def _tell(kind: str, home: Path, told: dict[str, str]) -> None:
    """Write the file in one step, because other processes wait for it."""
    new = home / f"{kind}.json.new"
    new.write_text(json.dumps(told))
    new.rename(home / f"{kind}.json")


if __name__ == "__main__":
    _keep(sys.argv[1], Path(sys.argv[2]))
