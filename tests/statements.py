"""Compile each SQL statement once in a process, not once for the database of each test."""

from __future__ import annotations

from typing import Any

from tracker_service.store.database import Store

_dialects: dict[str, tuple[Any, Any]] = {}  #: with the statements compiled for each


def share_compiled(store: Store) -> None:
    """Share compiled statements between the stores of one kind of database."""
    for engine in (store._engine, store._reader):
        own = engine.dialect, engine._compiled_cache
        engine.dialect, engine._compiled_cache = _dialects.setdefault(engine.dialect.name, own)
