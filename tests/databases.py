"""Start throw-away PostgreSQL and MariaDB servers, for tests and measurements."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from tracker_service.supervisor import die_with_parent

#: Debian installs the programs of PostgreSQL outside the PATH.
_POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, _POSTGRES_BIN)])
_START_S = 180

#: The kernel ends a server with the thread that has started it; this one ends with the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="database-starter")


class NoDatabase(Exception):
    """A server cannot be started here; the message says why."""


class Databases:
    """The databases of a running server."""

    def __init__(self, template: str) -> None:
        """Take their URL, with a place `{name}` for the name of the database."""
        self.template = template
        self._admin = create_engine(
            template.format(name="postgres" if template.startswith("postgres") else "mysql"),
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=True,
        )

    def url(self, name: str) -> str:
        """Return the URL of a database; create the database if it does not exist."""
        there = text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :name")
        if self._admin.name == "postgresql":
            there = text("SELECT 1 FROM pg_database WHERE datname = :name")
        with self._admin.connect() as connection:
            if not connection.scalar(there, {"name": name}):
                connection.execute(text(f"CREATE DATABASE {name}"))
        return self.template.format(name=name)

    def execute(self, statement: str) -> None:
        """Execute a statement as the administrator, outside of any transaction."""
        with self._admin.connect() as connection:
            connection.execute(text(statement))

    def close(self) -> None:
        """Close all connections of the administrator."""
        self._admin.dispose()


class Server(Databases):
    """One server in a directory of its own, reached through a socket in it."""

    def __init__(self, command: Sequence[str], user: str | None, log: Path, template: str) -> None:
        super().__init__(template)
        self._command, self._user, self._log = command, user, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers; after `kill` it first recovers."""
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > deadline:
                self.stop()
                raise NoDatabase(f"{self._command[0]} does not start: {self._last_words()}")
            # The server refuses to start while a process of its predecessor lives; then try again.
            if self._process is None or self._process.poll() is not None:
                self._process = _starter.submit(self._spawn).result()
            time.sleep(0.05)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - calls prctl and nothing else
                **_as_user(self._user),
            )

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            self.execute("SELECT 1")
        except DBAPIError:
            return False
        return True

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-500:]

    def stop(self) -> None:
        """Stop the server in good order; connections to it are closed."""
        self.close()
        # PostgreSQL would wait for its clients at SIGTERM; MariaDB has no other signal for this.
        polite = signal.SIGINT if self._admin.name == "postgresql" else signal.SIGTERM
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(polite)
            try:
                self._process.wait(120)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Kill every process of the server (-9), as a power failure would."""
        if self._process is None:
            return
        below = _children(self._process.pid)
        self._process.kill()
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self.close()


@contextmanager
def postgres(home: Path, *, durable: bool = True) -> Iterator[Server]:
    """Run a PostgreSQL server.

    Args:
        home: where its log goes. The data have a directory of their own, because the paths of
            sockets have to be short and the server runs as another user than root.
        durable: what is committed outlives a crash of the machine too, as in operation, and not
            only one of the server.

    Raises:
        NoDatabase: it cannot be started here.
    """
    _need("initdb", "postgres", package="postgresql", driver="psycopg")
    with _directory("postgres") as (directory, user):
        data = directory / "data"
        common = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        _run(["initdb", *common, "--no-sync", f"--pgdata={data}"], user)
        settings = {"listen_addresses": "", "max_connections": "200"}
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = Server(
            [_program("postgres"), "-D", str(data), "-k", str(directory), *options],
            user,
            home / "postgres.log",
            f"postgresql+psycopg://postgres@/{{name}}?host={directory}",
        )
        with _running(server):
            yield server


@contextmanager
def mariadb(home: Path, *, durable: bool = True) -> Iterator[Server]:
    """Run a MariaDB server; arguments and errors are those of `postgres`."""
    _need("mariadb-install-db", "mariadbd", package="mariadb-server", driver="pymysql")
    with _directory("mysql") as (directory, user):
        data = directory / "data"
        common = ["--no-defaults", f"--datadir={data}", "--innodb-log-file-size=32M"]
        open_to_all = "--auth-root-authentication-method=normal"
        _run(["mariadb-install-db", *common, "--skip-test-db", open_to_all], user)
        socket = directory / "socket"
        options = [f"--socket={socket}", f"--pid-file={directory}/pid", "--skip-networking"]
        options += ["--max-connections=200", "--character-set-server=utf8mb4"]
        if not durable:
            options += ["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0"]
            options += ["--innodb-flush-method=nosync"]
        server = Server(
            [_program("mariadbd"), *common, *options],
            user,
            home / "mariadb.log",
            f"mysql+pymysql://root@localhost/{{name}}?unix_socket={socket}",
        )
        with _running(server):
            yield server


SERVERS = {"postgresql": postgres, "mariadb": mariadb}


@contextmanager
def _running(server: Server) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


@contextmanager
def _directory(account: str) -> Iterator[tuple[Path, str | None]]:
    """Make a directory that the server's user owns, and say who that is if it is another."""
    with tempfile.TemporaryDirectory(prefix="db-", ignore_cleanup_errors=True) as name:
        user = None
        if os.geteuid() == 0:
            user = account if account in {each.pw_name for each in pwd.getpwall()} else "nobody"
            shutil.chown(name, user)
            Path(name).chmod(0o755)
        yield Path(name), user


@cache
def _program(name: str) -> str:
    return shutil.which(name, path=_PATH) or ""


def _need(*programs: str, package: str, driver: str) -> None:
    if missing := [name for name in programs if not _program(name)]:
        raise NoDatabase(f"there is no {' and no '.join(missing)} (apt-get install {package})")
    if not find_spec(driver):
        raise NoDatabase(f"the Python package {driver} is not installed")


class _Caller(TypedDict, total=False):
    """As whom and where a program is started; options of `subprocess`."""

    cwd: str
    user: str
    group: int
    extra_groups: list[int]


def _as_user(user: str | None) -> _Caller:
    if user is None:
        return {"cwd": "/"}
    account = pwd.getpwnam(user)
    return {"cwd": "/", "user": user, "group": account.pw_gid, "extra_groups": []}


def _run(command: Sequence[object], user: str | None) -> None:
    program, *arguments = map(str, command)
    call = [_program(program), *arguments]
    done = subprocess.run(call, check=False, capture_output=True, text=True, **_as_user(user))
    if done.returncode:
        raise NoDatabase(f"{program} fails: {(done.stdout + done.stderr)[-500:]}")


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
