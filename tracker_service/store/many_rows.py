"""Write many rows of a table with few statements.

PostgreSQL parses and plans each statement of an `executemany` anew, which takes longer than to
write the row. So all rows are one JSON text there, which the driver passes on as it is, see
https://www.postgresql.org/docs/current/functions-json.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    Dialect,
    Insert,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from tracker_service.store.database import Connection

Rows = Sequence[dict[str, Any]]  #: each has the same columns


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        names = tuple(rows[0])
        connection.execute(_insert_all(table, names), _as_json(connection.dialect, table, rows))
    else:
        connection.execute(_insert_each(table), rows)


def insert_missing(
    connection: Connection, table: Table, rows: Rows, key: str
) -> dict[Any, int] | None:
    """Insert those rows whose unique columns no row has.

    Returns:
        the `id` of each new row, by the column `key`; None, and nothing is inserted, where the
        database does not tell with one statement.
    """
    if connection.dialect.name != "postgresql":
        return None
    statement = _insert_missing(table, tuple(rows[0]), key)
    inserted = connection.execute(statement, _as_json(connection.dialect, table, rows))
    return {row[0]: row[1] for row in inserted}


def update_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Update rows, each of them found by its `id`."""
    if not rows:
        return
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        connection.execute(_update_all(table, names), _as_json(connection.dialect, table, rows))
    else:
        new = [{_new(name): value for name, value in row.items()} for row in rows]
        connection.execute(_update_each(table, names), new)


def _new(name: str) -> str:
    return f"new_{name}"  # SQLAlchemy keeps the plain names for itself


def _as_json(dialect: Dialect, table: Table, rows: Rows) -> dict[str, str]:
    writers = {name: write for name in rows[0] if (write := _writer(dialect, table.c[name].type))}
    values = [row | {name: write(row[name]) for name, write in writers.items()} for row in rows]
    return {"rows": json.dumps(values, ensure_ascii=False, separators=(",", ":"))}


def _writer(dialect: Dialect, type_: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what makes a value of a column one for JSON, if it is none by itself."""
    return None if isinstance(type_, JSON) else type_.dialect_impl(dialect).bind_processor(dialect)


# Statements are built once: to build one takes longer than SQLite takes to execute it.
@cache
def _insert_each(table: Table) -> Insert:
    return insert(table)


@cache
def _insert_all(table: Table, names: tuple[str, ...]) -> Insert:
    return insert(table).from_select(names, select(_records(table, names)))


@cache
def _insert_missing(table: Table, names: tuple[str, ...], key: str) -> Insert:
    new = postgresql.insert(table).from_select(names, select(_records(table, names)))
    return new.on_conflict_do_nothing().returning(table.c[key], table.c.id)


@cache
def _update_each(table: Table, names: tuple[str, ...]) -> Update:
    changes: dict[str, Any] = {name: bindparam(_new(name)) for name in names if name != "id"}
    return update(table).where(table.c.id == bindparam(_new("id"))).values(changes)


@cache
def _update_all(table: Table, names: tuple[str, ...]) -> Update:
    rows = _records(table, names)
    changes: dict[str, Any] = {name: rows.c[name] for name in names if name != "id"}
    return update(table).where(table.c.id == rows.c.id).values(changes)


def _records(table: Table, names: tuple[str, ...]) -> TableValuedAlias:
    rows = cast(bindparam("rows", type_=Text), JSON)
    columns = (column(name, table.c[name].type) for name in names)
    records = func.json_to_recordset(rows).table_valued(*columns, name="rows")
    return records.render_derived(with_types=True)
