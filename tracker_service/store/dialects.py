"""Open SQLite, PostgreSQL and MariaDB, each so that nobody waits for ever and nothing is cut."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from tracker_service.errors import ConfigError

#: Which driver speaks with which database, and which extra of this package brings it.
_DRIVERS = {
    "postgres": ("postgresql+psycopg", "postgres"),
    "postgresql": ("postgresql+psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mariadb+pymysql", "mysql"),
}
_CONNECT_S = 10
_ANSWER_S = 60  #: no statement takes so long: the server or the way to it has gone
_LOCK_S = 10  #: to wait for another transaction
_IDLE_S = 60  #: in a transaction: whoever holds it was stopped or cut off, and others wait for it
_PATIENCE_S = 3600  #: with which an upgrade waits for another one
#: As many connections as an API process or a worker has threads; few are kept while idle.
_POOL = {"pool_size": 5, "max_overflow": 35, "pool_pre_ping": True, "pool_recycle": 600}


def open_engine(url: str, *, for_upgrade: bool = False) -> Engine:
    """Open a database.

    Args:
        for_upgrade: its statements may take long, and what they remove takes nothing with it.

    Raises:
        ConfigError: the URL is none, or the driver for it is not installed.
    """
    try:
        parsed = _with_driver(make_url(url))
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _open_sqlite(parsed, for_upgrade=for_upgrade)
        if backend == "postgresql":
            return _open_postgresql(parsed, for_upgrade=for_upgrade)
        return _open_mariadb(parsed, for_upgrade=for_upgrade)
    except ArgumentError as error:
        raise ConfigError(f"store.url cannot be used: {error}") from error
    except ModuleNotFoundError as error:
        extra = next((e for name, e in _DRIVERS.values() if name == parsed.drivername), None)
        remedy = f"pip install 'tracker-service[{extra}]'" if extra else "install its driver"
        raise ConfigError(f"store.url cannot be used: {error}; {remedy}") from error


def _with_driver(url: URL) -> URL:
    driver, _ = _DRIVERS.get(url.drivername, (url.drivername, ""))
    return url.set(drivername=driver)


def _open_postgresql(url: URL, *, for_upgrade: bool) -> Engine:
    limits = {} if for_upgrade else {"lock_timeout": _LOCK_S}
    limits["idle_in_transaction_session_timeout"] = _IDLE_S
    wanted = {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": _ANSWER_S * 1000,
        "keepalives_idle": _ANSWER_S // 2,
        "options": " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items()),
    }
    return _open_server(url, wanted)


def _open_mariadb(url: URL, *, for_upgrade: bool) -> Engine:
    wanted = {"charset": "utf8mb4", "connect_timeout": _CONNECT_S}
    if not for_upgrade:
        wanted |= {"read_timeout": _ANSWER_S, "write_timeout": _ANSWER_S}
    engine = _open_server(url, wanted)
    event.listen(engine, "connect", _prepare_mariadb)
    return engine


def _open_server(url: URL, wanted: dict[str, Any]) -> Engine:
    """Open a database on a server; what the URL itself says goes before what we want."""
    unsaid = {name: value for name, value in wanted.items() if name not in url.query}
    # FOUND_ROWS, without which MariaDB would count only rows that differ, is set by SQLAlchemy.
    return create_engine(url, isolation_level="READ COMMITTED", connect_args=unsaid, **_POOL)


def _prepare_mariadb(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Strict: a text that is too long is refused and not cut.
    cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_S}")
    # UTC: the clock that judges leases must not jump when a summer ends.
    cursor.execute("SET SESSION time_zone = '+00:00'")
    cursor.execute("SELECT VERSION()")
    if "MariaDB" in str(cursor.fetchone()):  # MySQL has no such limit
        cursor.execute(f"SET SESSION idle_transaction_timeout = {_IDLE_S}")
    cursor.close()


def _open_sqlite(url: URL, *, for_upgrade: bool) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    timeout_s = _PATIENCE_S if for_upgrade else _LOCK_S
    engine = create_engine(url, connect_args={"timeout": timeout_s}, pool_size=20, max_overflow=20)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    if for_upgrade:
        event.listen(engine, "connect", _let_tables_be_remade)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # Transactions are ours (see _begin_sqlite), not the driver's.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: in WAL mode NORMAL may lose committed transactions when the power fails.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    _use_wal(cursor)
    cursor.close()


def _let_tables_be_remade(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # SQLite changes a column by making the table anew: dropping the old one would remove all rows
    # that refer to it.
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _use_wal(cursor: DBAPICursor) -> None:
    """Switch to WAL; for this one statement SQLite does not wait for other processes itself."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: one that starts by reading could not be made to wait later.
    reads_only = connection.get_execution_options().get("reads_only")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
