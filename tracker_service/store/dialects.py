"""Open SQLite, PostgreSQL or MariaDB with time limits, durable commits and strict types."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from tracker_service.errors import ConfigError

#: The driver of each database, and the extra of this package that installs it.
_DRIVERS = {
    "postgres": ("postgresql+psycopg", "postgres"),
    "postgresql": ("postgresql+psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mariadb+pymysql", "mysql"),
}
_CONNECT_S = 10
_ANSWER_S = 60  #: no statement takes this long, so the server or the network is down
_LOCK_S = 10  #: the longest wait for another transaction
_IDLE_S = (
    60  #: the longest pause in a transaction: its process hangs, and others wait for its locks
)
_NEVER = "none"
_PATIENCE_S = 3600  #: the longest wait of an upgrade for another upgrade
#: As many connections as threads ask for; few stay open while idle.
_POOL = {"pool_size": 5, "max_overflow": -1}
_SERVER_POOL = {**_POOL, "pool_pre_ping": True, "pool_recycle": 600}


def open_engine(url: str, *, for_upgrade: bool = False) -> Engine:
    """Open a database.

    Args:
        url: of SQLAlchemy, see https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls
        for_upgrade: allow long statements; on SQLite, allow tables to be rebuilt.

    Raises:
        ConfigError: the URL is invalid, or its driver is not installed.
    """
    try:
        parsed = _with_driver(make_url(url))
        if "autocommit" in parsed.query:
            raise ConfigError("store.url cannot be used: leave out autocommit, or nothing is whole")
        engine = _OPEN.get(parsed.get_backend_name(), _open_mariadb)(
            parsed, for_upgrade=for_upgrade
        )
        event.listen(engine, "do_connect", _connect)
        return engine
    except ArgumentError as error:
        raise ConfigError(f"store.url cannot be used: {error}") from error
    except ModuleNotFoundError as error:
        extra = next((e for name, e in _DRIVERS.values() if name == parsed.drivername), None)
        remedy = f"pip install 'tracker-service[{extra}]'" if extra else "install its driver"
        raise ConfigError(f"store.url cannot be used: {error}; {remedy}") from error


def _connect(
    dialect: Dialect, _: ConnectionPoolEntry, arguments: tuple[Any, ...], parameters: dict[str, Any]
) -> DBAPIConnection:
    """Connect; name the setting if the driver does not take a parameter of the URL."""
    driver: Any = dialect.loaded_dbapi
    try:
        return dialect.connect(*arguments, **parameters)
    except (TypeError, ValueError, driver.ProgrammingError) as error:
        raise ConfigError(f"store.url cannot be used: {error}") from error


def _with_driver(url: URL) -> URL:
    driver, _ = _DRIVERS.get(url.drivername, (url.drivername, ""))
    return url.set(drivername=driver)


def _open_postgresql(url: URL, *, for_upgrade: bool) -> Engine:
    wanted = {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": _ANSWER_S * 1000,
        "keepalives_idle": _ANSWER_S // 2,
        "prepare_threshold": _threshold(url.query.get("prepare_threshold", _NEVER)),
    }
    url = url.difference_update_query(["prepare_threshold"])
    engine = _open_server(url, wanted)
    limits = {} if for_upgrade else {"lock_timeout": _LOCK_S}
    limits["idle_in_transaction_session_timeout"] = _IDLE_S
    event.listen(engine, "begin", partial(_limit_waits, limits=limits))
    return engine


def _threshold(value: str | tuple[str, ...]) -> int | None:
    """Return after how many executions psycopg prepares a statement on the server; None: never.

    See https://www.psycopg.org/psycopg3/docs/advanced/prepare.html. The default is never: a pooler
    that gives each transaction another connection would not find the prepared statement there.
    """
    if value == _NEVER:
        return None
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    raise ConfigError(
        f"store.url cannot be used: prepare_threshold={value} is neither a number nor {_NEVER}"
    )


# Not for the session: poolers such as PgBouncer refuse the parameter `options` of a new connection,
# and give a session's settings to other sessions.
def _limit_waits(connection: Connection, limits: Mapping[str, int]) -> None:
    """Limit the waits of a transaction that writes; one that only reads waits for no other."""
    if not connection.get_execution_options().get("reads_only"):
        settings = (f"set_config('{name}', '{seconds}s', true)" for name, seconds in limits.items())
        connection.exec_driver_sql(f"SELECT {', '.join(settings)}")


def _open_mariadb(url: URL, *, for_upgrade: bool) -> Engine:
    wanted = {"charset": "utf8mb4", "connect_timeout": _CONNECT_S}
    if not for_upgrade:
        wanted |= {"read_timeout": _ANSWER_S, "write_timeout": _ANSWER_S}
    engine = _open_server(url, wanted)
    event.listen(engine, "connect", _prepare_mariadb)
    return engine


def _open_server(url: URL, wanted: dict[str, Any]) -> Engine:
    """Open a database on a server; parameters in the URL override ours."""
    defaults = {name: value for name, value in wanted.items() if name not in url.query}
    # SQLAlchemy sets FOUND_ROWS. Without it, MariaDB would count only the rows that change.
    return create_engine(
        url, isolation_level="READ COMMITTED", connect_args=defaults, **_SERVER_POOL
    )


def _prepare_mariadb(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Strict: MariaDB refuses a text that is too long instead of cutting it.
    cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_S}")
    # UTC: leases depend on this clock, which must not jump when summer time ends.
    cursor.execute("SET SESSION time_zone = '+00:00'")
    cursor.execute("SELECT VERSION()")
    if "MariaDB" in str(cursor.fetchone()):  # MySQL has no such limit
        cursor.execute(f"SET SESSION idle_transaction_timeout = {_IDLE_S}")
    cursor.close()


def _open_sqlite(url: URL, *, for_upgrade: bool) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    timeout_s = _PATIENCE_S if for_upgrade else _LOCK_S
    engine = create_engine(url, connect_args={"timeout": timeout_s}, **_POOL)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    if for_upgrade:
        event.listen(engine, "connect", _allow_table_rebuilds)
    return engine


_KEPT_WAL_BYTES = 1024 * 1024  #: of the WAL after a checkpoint; the rest is given back


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # We begin transactions ourselves, see _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    # FULL: in WAL mode NORMAL may lose committed transactions when the power fails.
    # What is deleted, such as a credential, is overwritten; a WAL that has been read is cut.
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        f"journal_size_limit={_KEPT_WAL_BYTES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _use_wal(cursor)
    cursor.close()


def _allow_table_rebuilds(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # To change a column, SQLite rebuilds the table. With foreign keys on, dropping the old table
    # would remove all rows that refer to it.
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _use_wal(cursor: DBAPICursor) -> None:
    """Switch to WAL; retry, because this is the one statement for which SQLite does not wait."""
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
    # A writer takes the lock at once: after a read, SQLite would fail at once instead of waiting.
    reads_only = connection.get_execution_options().get("reads_only")
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


_OPEN = {"sqlite": _open_sqlite, "postgresql": _open_postgresql}
