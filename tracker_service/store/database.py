"""Open transactions, ask the database for its time, and hide the differences of SQL dialects."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Table,
    select,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, FunctionElement

from tracker_service.errors import ConfigError, LeaseLost, StoreConflict, StoreUnavailable
from tracker_service.store.dialects import open_engine
from tracker_service.store.tables import Instant

__all__ = ["Connection", "Store", "database_now"]

Result = TypeVar("Result")
Item = TypeVar("Item")
_LAST = "last"  #: key of what a transaction writes at its end, in the connection's `info`
_TRIES = 3  #: of a transaction that meets another one
#: What the databases say when two transactions meet: a deadlock, a serialization failure, a key
#: that the other one has inserted. See https://www.postgresql.org/docs/current/errcodes-appendix.html,
#: https://mariadb.com/docs/server/reference/error-codes and https://www.sqlite.org/rescode.html
_CONFLICTS = frozenset(
    (
        *("40P01", "40001", "23505"),
        *(1020, 1062, 1213),
        *(sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
    )
)
#: What PgBouncer says if `pool_mode` is `statement`; its code stands for other troubles as well.
_STATEMENT_POOLING = "not allowed in statement pooling mode"
_NO_TABLE = re.compile(r"no such table: \w+|relation .* does not exist|Table .* doesn't exist")


class database_now(FunctionElement[Any]):
    """The current instant of the database's clock, the only clock that all workers share."""

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


def current_time(connection: Connection) -> datetime:
    """Return the current instant of the database's clock."""
    now: datetime = connection.execute(select(database_now())).scalar_one()
    return now


def after(seconds: float) -> ColumnElement[datetime]:
    """Return the instant some seconds after the current one of the database's clock."""
    now = type_coerce(database_now(), BigInteger)
    return type_coerce(now + round(seconds * 1000), Instant)


class Store:
    """The database. A `with` block is a transaction: all of its writes are kept, or none."""

    def __init__(self, url: str, on_lease_lost: Callable[[], None] | None = None) -> None:
        self.url, self._on_lease_lost = url, on_lease_lost
        self._engine = open_engine(url)
        self._reader = self._engine.execution_options(reads_only=True)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is durable when the block ends.

        Raises:
            StoreConflict: another transaction has changed the same rows; `write` tries again.
            StoreUnavailable: the database does not answer.
            ConfigError: a pooler in front of the database allows no transactions.
        """
        try:
            with _translated_errors(), self._engine.begin() as connection:
                connection.info[_LAST] = {}
                yield connection
                _write_last(connection)
        except LeaseLost as error:
            if error.is_taken and self._on_lease_lost:
                self._on_lease_lost()
            raise

    def write(self, change: Callable[[Connection], Result]) -> Result:
        """Carry out a transaction that writes; it is durable when this returns.

        It is carried out again, twice at most, if it meets another transaction: both wait for each
        other, or both insert the same key, or one removes what the other refers to.

        Args:
            change: may be called more than once; the database keeps only one result.

        Returns:
            the result of the call that is kept.

        Raises:
            StoreConflict: it has met other transactions each time.
            StoreUnavailable: the database does not answer.
        """
        for _ in range(_TRIES - 1):
            with suppress(StoreConflict, IntegrityError):
                return self._write_once(change)
        return self._write_once(change)

    def _write_once(self, change: Callable[[Connection], Result]) -> Result:
        with self.begin() as connection:
            return change(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads; it waits for no writer.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with _translated_errors(), self._reader.connect() as connection:
            yield connection

    def upgrade(self) -> None:
        """Upgrade the schema to this version, from any earlier one.

        Raises:
            ConfigError: a later release has upgraded the schema, or a pooler allows no
                transactions.
        """
        with _translated_errors():
            # Imported here: Alembic takes ten megabytes that other processes do not need.
            from tracker_service.store.upgrade import upgrade  # noqa: PLC0415

            upgrade(self.url)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        # The driver's own message: that of SQLAlchemy also has the statement and its values.
        message = getattr(error, "orig", None) or type(error).__name__
        if isinstance(error, DBAPIError) and _is_conflict(error):
            raise StoreConflict(
                f"other requests change the same rows at this moment, try again: {message}"
            ) from error
        if _STATEMENT_POOLING in str(message):
            raise ConfigError(
                f"store.url cannot be used: the pooler says: {message}; set pool_mode = transaction"
            ) from error
        if missing := _NO_TABLE.search(str(message)):
            raise StoreUnavailable(
                f"the database has no tables of this service ({missing[0]}): create them with "
                "`tracker db upgrade`, or name another database with store.url"
            ) from error
        if not _is_temporary(error):
            raise
        raise StoreUnavailable(f"the database does not answer: {message}") from error


def _is_conflict(error: DBAPIError) -> bool:
    """Tell whether the transaction was undone because it met another one."""
    cause: Any = error.orig
    codes = (getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", None))
    return not _CONFLICTS.isdisjoint((*codes, *getattr(cause, "args", ())[:1]))


def _is_temporary(error: DBAPIError | PoolTimeout) -> bool:
    """Tell whether a retry may succeed: after an outage, a lock, a deadlock or a failover."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    is_read_only = getattr(error.orig, "sqlstate", None) == "25006"  # PostgreSQL, as a standby
    return error.connection_invalidated or is_read_only


def at_end(
    connection: Connection, write: Callable[[Connection, Sequence[Item]], None], item: Item
) -> None:
    """Have something written as the last of a transaction, so that its locks are held briefly.

    Args:
        write: is called once, with all items that the transaction has given it.
    """
    connection.info[_LAST].setdefault(write, []).append(item)


def _write_last(connection: Connection) -> None:
    last: dict[Callable[[Connection, Sequence[Any]], None], list[Any]] = connection.info[_LAST]
    while last:
        write = next(iter(last))
        write(connection, last.pop(write))


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; leave out each row whose key exists."""
    if rows:
        connection.execute(_insert_new(connection.dialect.name, table), rows)


# Statements are built once: to build one takes longer than SQLite takes to execute it.
@cache
def _insert_new(dialect_name: str, table: Table) -> Insert:
    if dialect_name in ("mysql", "mariadb"):
        # INSERT IGNORE would also ignore broken references, and cut texts that are too long.
        key = next(iter(table.primary_key))
        return mysql.insert(table).on_duplicate_key_update({key.name: key})
    dialect: Any = postgresql if dialect_name == "postgresql" else sqlite
    return cast(Insert, dialect.insert(table).on_conflict_do_nothing())


def upsert(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or update the row with the same primary key."""
    statement = upserting(connection.dialect.name, table, tuple(row))
    if any(isinstance(value, ClauseElement) for value in row.values()):
        connection.execute(statement.values(row))
    else:
        connection.execute(statement, row)


@cache
def upserting(dialect_name: str, table: Table, names: tuple[str, ...]) -> Insert:
    """Return the statement of `upsert` for rows with these columns."""
    keys = [column.name for column in table.primary_key]
    if dialect_name in ("mysql", "mariadb"):
        new = mysql.insert(table)
        changes = {name: new.inserted[name] for name in names if name not in keys}
        return new.on_duplicate_key_update(changes)
    dialect: Any = postgresql if dialect_name == "postgresql" else sqlite
    new = dialect.insert(table)
    changes = {name: new.excluded[name] for name in names if name not in keys}
    return cast(Insert, new.on_conflict_do_update(index_elements=keys, set_=changes))
