"""Compile each SQL statement once in a process, not once for the database of each test."""

from __future__ import annotations

from typing import Any

from tracker_service.store.database import Store

_dialects: dict[str, tuple[Any, Any]] = {}  #: with the statements compiled for each


def share_compiled(store: Store) -> None:
    """Share compiled statements between the stores of one kind of database."""
    for engine in (store._engine, store._reader):
        name = engine.dialect.name
        if name not in _dialects:
            engine.connect().close()  # only then does a dialect know the version of its server
            _dialects[name] = engine.dialect, engine._compiled_cache
        engine.dialect, engine._compiled_cache = _dialects[name]
