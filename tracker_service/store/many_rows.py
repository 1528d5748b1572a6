"""Write many rows of a table with few statements.

PostgreSQL parses and plans each statement of an `executemany` anew, which takes longer than to
write the row. So all rows are arrays of one statement there, see
https://www.postgresql.org/docs/current/functions-array.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Insert,
    Table,
    TableValuedAlias,
    Update,
    bindparam,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tracker_service.store.database import Connection

Rows = Sequence[Mapping[str, Any]]  #: each has the same columns


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        names = tuple(rows[0])
        connection.execute(_insert_arrays(table, names), _arrays(rows, names))
    else:
        connection.execute(_insert_each(table), rows)


def update_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Update rows, each of them found by its `id`."""
    if not rows:
        return
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        connection.execute(_update_arrays(table, names), _arrays(rows, names))
    else:
        new = [{_new(name): value for name, value in row.items()} for row in rows]
        connection.execute(_update_each(table, names), new)


def _new(name: str) -> str:
    return f"new_{name}"  # SQLAlchemy keeps the plain names for itself


def _arrays(rows: Rows, names: Sequence[str]) -> dict[str, list[Any]]:
    return {_new(name): [row[name] for row in rows] for name in names}


# Statements are built once: to build one takes longer than SQLite takes to execute it.
@cache
def _insert_each(table: Table) -> Insert:
    return insert(table)


@cache
def _insert_arrays(table: Table, names: tuple[str, ...]) -> Insert:
    return insert(table).from_select(names, select(_unnested(table, names)))


@cache
def _update_each(table: Table, names: tuple[str, ...]) -> Update:
    changes: dict[str, Any] = {name: bindparam(_new(name)) for name in names if name != "id"}
    return update(table).where(table.c.id == bindparam(_new("id"))).values(changes)


@cache
def _update_arrays(table: Table, names: tuple[str, ...]) -> Update:
    rows = _unnested(table, names)
    changes: dict[str, Any] = {name: rows.c[name] for name in names if name != "id"}
    return update(table).where(table.c.id == rows.c.id).values(changes)


def _unnested(table: Table, names: Sequence[str]) -> TableValuedAlias:
    arrays = (bindparam(_new(name), type_=ARRAY(table.c[name].type)) for name in names)
    columns = (column(name, table.c[name].type) for name in names)
    return func.unnest(*arrays).table_valued(*columns, name="rows").render_derived()
