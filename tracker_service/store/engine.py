"""Open the database, tell its time, and hide what the three databases spell differently."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    make_url,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.expression import FunctionElement

from tracker_service.errors import LeaseLost, StoreUnavailable
from tracker_service.store.tables import Instant

__all__ = ["Connection", "Store", "database_now"]

BUSY_TIMEOUT_S = 10


class database_now(FunctionElement[Any]):
    """The instant by the database's clock: the one clock that all workers share."""

    type = Instant()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(database_now, "postgresql")
def _postgresql_now(*_: object, **__: object) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _mysql_now(*_: object, **__: object) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000 AS SIGNED)"


def after(seconds: float) -> ColumnElement[datetime]:
    """Return the instant this long after the database's now."""
    now = type_coerce(database_now(), BigInteger)
    return type_coerce(now + round(seconds * 1000), Instant)


class Store:
    """The database. A transaction is a `with` block; what it holds happens whole or not at all."""

    def __init__(self, url: str, on_lease_lost: Callable[[], None] | None = None) -> None:
        self.url, self._on_lease_lost = url, on_lease_lost
        self._engine = _engine(url)
        self._reader = self._engine.execution_options(reads_only=True)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is durable when the block ends."""
        try:
            with _meanings(), self._engine.begin() as connection:
                yield connection
        except LeaseLost:
            if self._on_lease_lost:
                self._on_lease_lost()
            raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads, and that waits for no writer."""
        with _meanings(), self._reader.connect() as connection:
            yield connection

    def upgrade(self) -> None:
        """Bring the schema to this version, from any earlier one."""
        with _meanings(), as_file(files("tracker_service.store") / "migrations") as migrations:
            config = Config()
            config.set_main_option("script_location", str(migrations))
            with self._engine.connect() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _meanings() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        # The driver's own words: SQLAlchemy's have the statement and its values, too.
        told = getattr(error, "orig", None) or type(error).__name__
        raise StoreUnavailable(f"the database does not answer: {told}") from error


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=20)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
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


def _use_wal(cursor: DBAPICursor) -> None:
    """Switch to WAL; for this one statement SQLite does not wait for other processes itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
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


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving out those whose key is there already."""
    if not rows:
        return
    name = connection.dialect.name
    if name in ("mysql", "mariadb"):
        connection.execute(mysql.insert(table).prefix_with("IGNORE"), rows)
    else:
        dialect: Any = postgresql if name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or change the one with the same primary key."""
    keys = [column.name for column in table.primary_key]
    changes = {name: value for name, value in row.items() if name not in keys}
    name = connection.dialect.name
    if name in ("mysql", "mariadb"):
        statement = mysql.insert(table).values(row)
        connection.execute(statement.on_duplicate_key_update(changes))
    else:
        dialect: Any = postgresql if name == "postgresql" else sqlite
        statement = dialect.insert(table).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))
